"""What is told of the colors of a set."""

import numpy as np
import pytest
from color_stars import ASSUMED, stars, true_response

from sciastro.photometry.atmosphere import air
from sciastro.photometry.color import solve_gains
from sciastro.photometry.colorstars import ColorStars
from sciastro.photometry.response import make_response
from sciastro.recipe.colorcurves import CameraCurves, Site
from sciastro.recipe.setcolor import SetColor, bands_of_picture, color_slope


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


def table_of(given, order, bands=("R", "G", "B")):
    """Return stars as `color_of_bands` lists them, the bands in another order."""
    from astropy import units as u
    from astropy.table import QTable

    columns = {
        f"flux_{band}": given.flux[:, k] * u.electron / u.s for band, k in zip(bands, order, strict=True)
    }
    return QTable({**columns, "color": given.bp_rp * u.mag})


@pytest.mark.parametrize("cfa", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_red_and_blue_taken_for_each_other_are_told(cfa, seed):
    rng = np.random.default_rng(seed)
    given, _ = stars(rng, int(rng.integers(12, 80)), true_response("bayer"), grown=True)
    for order, wrong in (((0, 1, 2), False), ((2, 1, 0), True)):
        found = SetColor(
            bands=("R", "G", "B"), fit=None, stars=table_of(given, order), site=Site(), sky={}, cfa=cfa,
            curves=CameraCurves(response=None, told={}),
        )  # fmt: skip
        assert ("wrong way round" in found.doubt) == wrong
        assert ("BAYERPAT" in found.doubt) == (wrong and cfa)


def test_chance_seldom_makes_a_slope():
    rng, wrong = np.random.default_rng(4), 0
    for _ in range(1000):
        color = rng.uniform(0.4, 1.0, int(rng.integers(8, 30)))
        slope, err = color_slope(color, rng.normal(0, 0.05, len(color)))
        wrong += slope < -4 * err
    assert wrong < 9


def test_few_stars_or_one_color_prove_nothing():
    given, _ = stars(np.random.default_rng(2), 6, true_response("bayer"))
    same, _ = stars(np.random.default_rng(2), 40, true_response("bayer"), colors=(0.8, 0.82), spread=0.03)
    for some in (given, same):
        found = SetColor(
            bands=("R", "G", "B"), fit=None, stars=table_of(some, (2, 1, 0)), site=Site(), sky={}, cfa=True,
            curves=CameraCurves(response=None, told={}),
        )  # fmt: skip
        assert not found.doubt
