"""Options of the stack reach a run."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from sciastro.core import transform
from sciastro.errors import FileError
from sciastro.recipe import stacking
from sciastro.recipe.lights import StackSet
from sciastro.recipe.plan import load_recipe
from sciastro.recipe.run import RunRequest, reduce_session


@pytest.fixture(scope="module")
def two_frames(tmp_path_factory):
    """Two lights of 60 stars; the second under twice the sky."""
    folder = tmp_path_factory.mktemp("night")
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:200, :220]
    stars = sum(
        flux * np.exp(-((y - b) ** 2 + (x - a) ** 2) / (2 * 1.5**2))
        for a, b, flux in zip(
            rng.uniform(12, 208, 60), rng.uniform(12, 188, 60), rng.uniform(1e3, 2e4, 60), strict=True
        )
    )
    for i, sky in enumerate((1000.0, 2000.0)):
        pixels = rng.poisson(np.clip(stars + sky, 0, None)).clip(0, 65535).astype(np.uint16)
        header = fits.Header({"IMAGETYP": "Light", "EXPTIME": 10.0, "OBJECT": "Field", "EGAIN": 1.0})
        fits.PrimaryHDU(pixels, header).writeto(folder / f"{i}.fits")
    return folder


def reduced(session, out, *changes):
    return reduce_session(
        RunRequest(session=session, out=out, recipe=load_recipe(None, changes), until="integrate", workers=1)
    )


def test_normalize_reaches_the_stack(two_frames, tmp_path):
    summary = reduced(two_frames, tmp_path / "both", "grade.weight=equal")
    assert summary["products"][0]["n_frames"] == 2
    plain = reduced(two_frames, tmp_path / "none", "grade.weight=equal", "stack.normalize=none")
    sky = {}
    for name, one in (("both", summary), ("none", plain)):
        with fits.open(tmp_path / name / one["products"][0]["image"]) as hdus:
            sky[name] = float(np.nanmedian(hdus["SCI"].data))
    # Rates are 100 and 200 electron / s: their mean, or the sky of one of the frames.
    assert sky["none"] == pytest.approx(150, abs=5)
    assert min(abs(sky["both"] - 100), abs(sky["both"] - 200)) < 5


def test_fewer_than_min_frames_make_no_image(two_frames, tmp_path):
    with pytest.raises(Exception, match="gave no image"):
        reduced(two_frames, tmp_path / "out", "stack.min_frames=3")


def test_with_one_worker_an_error_of_the_prediction_does_not_wait_for_the_stack(
    two_frames, tmp_path, monkeypatch
):
    def fail(*arguments):
        raise FileError("cannot be read.", where="flat.fits")

    monkeypatch.setattr(stacking, "predict_noise", fail)
    monkeypatch.setattr(stacking, "stack_windows", lambda *arguments, **options: pytest.fail("too late"))
    with pytest.raises(FileError, match=r"flat\.fits"):
        reduced(two_frames, tmp_path / "out")


def test_rejection_is_told_and_its_maps_are_written(two_frames, tmp_path):
    night = tmp_path / "night"
    night.mkdir()
    for i in range(6):
        with fits.open(two_frames / "0.fits") as hdus:
            noise = np.random.default_rng(i).poisson(400, hdus[0].data.shape)
            pixels = hdus[0].data.astype(int) + noise
            if i == 4:
                pixels[60:90, 40:100] += 3000
            fits.PrimaryHDU(pixels.clip(0, 65535).astype(np.uint16), hdus[0].header).writeto(
                night / f"{i}.fits"
            )
    summary = reduced(night, tmp_path / "out", "stack.maps=true", "stack.reject=noise")
    product = summary["products"][0]
    assert product["method"].startswith("noise 4.5 / 4, mean")
    assert product["rejection"]["frames_far_above"] == ["4.fits"]
    lost = {row["path"]: row.get("lost") for row in summary["frames"]}
    band = product["band"]
    # 1800 of 44,000 pixels; next to stars a sample may be some way off.
    assert 0.8 * 1800 / 44_000 < lost["4.fits"][band]["rejected_high"] < 1.05 * 1800 / 44_000
    assert lost["3.fits"][band]["rejected_high"] < 1e-3
    assert any("4.fits: 3." in text and "were rejected" in text for text in summary["warnings"])
    with fits.open(tmp_path / "out" / product["image"].replace(".fits", "_rejection.fits")) as hdus:
        assert hdus["REJECTED_HIGH"].data[75, 70] == 1
        assert hdus["OUTSIDE"].data[100, 100] == 0


def test_the_width_that_chooses_the_kernel_is_that_of_the_reference():
    here = SimpleNamespace(measured=SimpleNamespace(fwhm=3.1), from_reference=transform.identity(1))
    other = SimpleNamespace(measured=SimpleNamespace(fwhm=2.0), from_reference=transform.identity(1))
    lost = SimpleNamespace(measured=None, from_reference=None)
    members = StackSet(target="T", stem="T", lights=[here, other], cfa="")
    assert np.isnan(members.fwhm)  # none is chosen
    members.reference = here
    assert members.fwhm == 3.1
    members.lights = [other]  # a night that is added: the reference is of the first
    assert members.fwhm == 3.1
    members.lights = [here, lost]  # alone: nothing is interpolated
    assert np.isnan(members.fwhm)
