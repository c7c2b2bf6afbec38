"""What is told of the colors of a set."""

import numpy as np
import pytest
from color_stars import ASSUMED, stars, true_response

from sciastro.photometry.atmosphere import air
from sciastro.photometry.color import solve_gains
from sciastro.photometry.colorstars import ColorStars
from sciastro.photometry.response import make_response
from sciastro.recipe.colorcurves import CameraCurves, Site
from sciastro.recipe.setcolor import SetColor, bands_of_picture


@pytest.mark.parametrize(("swapped", "cfa"), [(False, True), (True, True), (True, False)])
def test_greens_taken_for_red_and_blue_are_told(swapped, cfa):
    given, _ = stars(np.random.default_rng(1), 60, true_response("bayer"))
    flux, err = given.flux, given.flux_err
    if swapped:  # a crop by one column: red and blue pixels hold green, "green" the mean of red and blue
        flux = np.stack([flux[:, 1], (flux[:, 0] + flux[:, 2]) / 2, flux[:, 1]], axis=1)
    response = make_response(ASSUMED["bayer"], air(1.4))
    fit, _ = solve_gains(ColorStars.of(flux, err, bp_rp=given.bp_rp), response=response)
    found = SetColor(
        bands=("R", "G", "B"), fit=fit, stars=None, curves=CameraCurves(response=response, told={}),
        site=Site(), sky={}, cfa=cfa,
    )  # fmt: skip
    assert ("Bayer pattern" in found.doubt) == (swapped and cfa)


def test_two_broad_bands_make_a_picture():
    assert bands_of_picture(["r", "g"]) == ("r", "g")
    assert bands_of_picture(["g", "r", "i"]) == ("i", "r", "g")
    assert bands_of_picture(["V"]) == ()
