"""The picture of a run is shown as the frames say: their first row on top, or at the bottom."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from sciastro.core.wcs import tan_wcs
from sciastro.recipe.plan import load_recipe
from sciastro.recipe.run import RunRequest, reduce_session
from sciastro.recipe.stacked import Stacked


@pytest.mark.parametrize("order", ["TOP-DOWN", "BOTTOM-UP"])
def test_the_top_of_the_frames_is_the_top_of_the_picture(tmp_path, order):
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:140, :160]
    sky = np.full((140, 160), 500.0)
    for a, b in rng.uniform(8, 132, (40, 2)):
        sky += 2000 * np.exp(-((y - b) ** 2 + (x - a) ** 2) / 4.5)
    sky += 50000 * np.exp(-((y - 30) ** 2 + (x - 80) ** 2) / 30)  # in the first rows of the file
    (tmp_path / "night").mkdir()
    for i in range(2):
        header = fits.Header(
            {"IMAGETYP": "Light", "EXPTIME": 10.0, "OBJECT": "Field", "EGAIN": 1.0, "ROWORDER": order}
        )
        pixels = rng.poisson(sky).clip(0, 65535).astype(np.uint16)
        fits.PrimaryHDU(pixels, header).writeto(tmp_path / "night" / f"{i}.fits")
    request = RunRequest(
        session=tmp_path / "night",
        out=tmp_path / "out",
        recipe=load_recipe(None, []),
        until="render",
        workers=1,
    )
    (path,) = reduce_session(request)["renders"]
    picture = np.asarray(Image.open(tmp_path / "out" / path).convert("L"), dtype=float)
    brightest = np.unravel_index(np.argmax(picture), picture.shape)[0] / picture.shape[0]
    assert (brightest < 0.5) == (order == "TOP-DOWN")
    how = json.loads((tmp_path / "out" / path).with_suffix(".json").read_text())
    assert ("downward" in json.dumps(how)) == (order == "TOP-DOWN")


@pytest.mark.parametrize(
    ("order", "side", "shown"),
    [("", -1, True), ("", 1, False), ("", None, False), ("BOTTOM-UP", -1, False), ("TOP-DOWN", 1, True)],
)
def test_frames_that_do_not_say_it_are_shown_as_on_the_sky(order, side, shown):
    wcs = None if side is None else tan_wcs(38.0, 61.0, 2.0, (100, 120), parity=side)
    stack = SimpleNamespace(lights=[SimpleNamespace(facts=SimpleNamespace(row_order=order))], wcs=wcs)
    assert Stacked.top_down.fget(stack) is shown
