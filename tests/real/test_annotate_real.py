"""Annotations on real images: names lie on what they name."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from sciastro.io.raster import read_raster
from sciastro.recipe.annotating import Wish, annotate_file
from sciastro.recipe.solving import Question

DATA = Path(__file__).parents[3] / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the real images are not here")


def test_a_galaxy_is_where_its_name_is(tmp_path):
    path = DATA / "platesolve" / "M13-2018-05-19.jpg"
    hint = Question(ra=250.5, dec=36.5, scale=1.62, write=False)
    done = annotate_file(path, tmp_path / "m13.png", Wish(question=hint, size=1000))
    (row,) = (one for one in done.content if one["name"] == "NGC 6207")
    light = ndimage.gaussian_filter(read_raster(path).mean(axis=2), 4)
    x, y = int(row["x"].value), int(row["y"].value)
    box = light[y - 40 : y + 41, x - 40 : x + 41]
    top = np.unravel_index(np.argmax(box), box.shape)
    assert np.hypot(top[0] - 40, top[1] - 40) < 4
    assert row["labeled"]
    assert done.content["name"][0] == "M 13"


def test_the_horsehead_is_dark_inside_its_outline(tmp_path):
    done = annotate_file(DATA / "wcs_fits" / "HorseHead.fits", tmp_path / "b33.png", Wish(size=600))
    assert done.wcs_from == "header"
    assert "B 33" in set(done.content["name"])
    assert done.content.meta["constellation"] == "Orion"
