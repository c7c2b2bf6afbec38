"""Our own products never become raw frames, wherever somebody puts them."""

import shutil

import numpy as np
import pytest
from astropy.io import fits
from small_nights import frames, reduce

from sciastro.errors import OptionError
from sciastro.io.product_cards import ProductFacts
from sciastro.io.products import write_image_product
from sciastro.recipe.run import RunRequest
from sciastro.recipe.session import scan


def test_a_product_among_raw_frames_is_skipped_with_a_reason(tmp_path):
    header = fits.Header({"IMAGETYP": "Light Frame", "EXPTIME": 60.0, "OBJECT": "M 1"})
    fits.writeto(tmp_path / "light.fits", np.ones((8, 9), "u2"), header)
    ones = np.ones((8, 9), "f4")
    facts = ProductFacts(target="M 1", band="R", exposure=600.0, n_frames=10)
    write_image_product(
        tmp_path / "M_1_R.fits", ones, ones, np.zeros((8, 9), "u2"), ones, wcs=None, facts=facts
    )
    session = scan(tmp_path)
    assert [frame.path for frame in session.frames] == ["light.fits"]
    assert session.skipped == (("M_1_R.fits", "is a product of sciastro, not a raw frame."),)


def test_products_may_not_lie_around_the_session(tmp_path):
    (tmp_path / "night" / "lights").mkdir(parents=True)
    request = RunRequest(session=tmp_path / "night" / "lights", out=tmp_path / "night")
    with pytest.raises(OptionError, match="holds the session"):
        request.check()
    RunRequest(session=tmp_path / "night", out=tmp_path / "night" / "out").check()


def test_a_copy_of_a_light_is_left_out_with_a_word(night, tmp_path):
    first = frames(night, "LIGHT")[0]
    (night / "backup").mkdir()
    shutil.copy(first, night / "backup" / first.name)
    run = reduce(night, tmp_path / "out", until="ingest")
    assert run.code == 0 and "ok: 6 light frames, " in run.printed  # nothing is lost with it
    left = [row for row in run.summary["frames"] if row["reason"]]
    assert len(left) == 1 and (left[0]["type"], left[0]["band"]) == ("light", "G")
    assert "is the same file as" in left[0]["reason"]
    assert any("is the same file as" in text for text in run.summary["warnings"])


def test_products_of_an_earlier_run_are_named_and_not_listed(night, tmp_path):
    out = tmp_path / "out"
    assert reduce(night, out).code == 0
    for path in frames(night, "LIGHT"):
        if "_R_" in path.name:
            path.unlink()
    run = reduce(night, out)
    assert run.images.keys() == {("Tiny", "G")} and (out / "products" / "Tiny_R.fits").exists()
    (told,) = (text for text in run.summary["warnings"] if "of an earlier run" in text)
    assert told.startswith("1 file is of an earlier run and not of this one: products/Tiny_R.fits. Delete")
