"""Counts and colors of invented stars, light of bands, nebula."""

import numpy as np
import pytest
from astropy.table import QTable
from simulated_fields import catalog

from sciastro.errors import CatalogError, OptionError
from sciastro.simulate.bands import BANDS, Telescope, color_channels, star_rates, surface_rate
from sciastro.simulate.nebula import make_nebula, texture_map
from sciastro.simulate.optics import centered, pixel_to_sky, sky_to_pixel
from sciastro.simulate.presets import preset
from sciastro.simulate.sky import SkyOptions, all_stars, real_stars, sky_plane


def test_a_star_of_magnitude_zero_by_hand():
    # V = 0, B-V = 0 through V: 0.88e6 photons / s / cm2, 10 cm aperture (78.54 cm2), half of them seen.
    telescope = Telescope(aperture=100.0, efficiency=0.5)
    assert star_rates(("V",), [0.0], [0.0], telescope)[0, 0] == pytest.approx(0.88e6 * 78.5398 * 0.5)
    # Five magnitudes are a factor of 100; B-V = 1 is 0.8 mag fainter in the blue filter.
    rates = star_rates(("V", "B"), [5.0, 0.0], [0.0, 1.0], telescope)
    assert rates[0, 0] == pytest.approx(0.88e6 * 78.5398 * 0.5 / 100)
    assert rates[1, 1] == pytest.approx(1.21e6 * 78.5398 * 0.5 * 10**-0.32)
    assert star_rates(("B",), [3.0], [np.nan], telescope) == star_rates(("B",), [3.0], [0.65], telescope)


def test_surface_is_a_star_per_square_arcsec():
    telescope = Telescope()
    per_pixel = surface_rate("R", 21.0, 0.9, telescope, 2.0)
    assert per_pixel == pytest.approx(4 * star_rates(("R",), [21.0], [0.9], telescope)[0, 0])


def test_bands():
    assert color_channels("OSC") == ("OSC-R", "OSC-G", "OSC-B")
    assert color_channels("Ha") == ("Ha",)
    with pytest.raises(OptionError, match="Known bands"):
        color_channels("X")
    assert BANDS["Ha"].emission > 10 * BANDS["Ha"].reflection  # hydrogen shines in H alpha


def test_invented_stars_continue_the_counts():
    options = SkyOptions(
        complete_to=11.0, faintest=16.0, count_slope=0.3, least_density=200.0, most_invented=10**6
    )
    stars = all_stars(real_stars(catalog(preset("tiny"), 0)), 92.0, 24.0, 1.0, options, seed=3)
    mag = np.asarray(stars["mag"])
    assert stars["invented"].all() and np.all(np.diff(mag) >= 0)
    area = np.pi
    for low, high in ((11, 13), (13, 15), (15, 16)):
        expected = 200 * area * (10 ** (0.3 * (high - 11)) - 10 ** (0.3 * (low - 11)))
        count = ((mag >= low) & (mag < high)).sum()
        assert count == pytest.approx(expected, abs=4 * np.sqrt(expected))
    x, y = sky_to_pixel(centered(92.0, 24.0, 3600.0, (1, 1)), stars["ra"], stars["dec"])
    assert np.hypot(x, y).max() < 1.001  # degrees
    assert (np.hypot(x, y) < np.sqrt(0.5)).mean() == pytest.approx(0.5, abs=0.02)  # uniform over the disk
    assert 0.3 < np.median(stars["color"]) < 1.2


def test_given_stars_are_kept_and_not_doubled():
    plan = preset("tiny")
    given = real_stars(catalog(plan, 80))
    options = SkyOptions(complete_to=9.0, faintest=11.5, least_density=0.0)
    stars = all_stars(given, plan.ra, plan.dec, 0.2, options, seed=1)
    kept = np.asarray(stars["mag"])[~np.asarray(stars["invented"])]
    np.testing.assert_array_equal(np.sort(kept), np.sort(given["mag"]))


def test_bound_on_invented_stars_takes_the_brightest():
    options = SkyOptions(least_density=500.0, most_invented=100)
    stars = all_stars(real_stars(catalog(preset("tiny"), 0)), 92.0, 24.0, 1.0, options, seed=1)
    assert len(stars) == 100
    assert stars["mag"].max() < 12.5


def test_star_table_without_a_column_is_named():
    with pytest.raises(CatalogError, match="has no column 'color'"):
        real_stars(QTable({"ra": [1.0], "dec": [2.0], "mag": [3.0]}))


def test_sky_slope_by_hand():
    geometry = centered(92.0, 24.0, 2.0, (401, 401))
    plane = sky_plane(geometry, 92.0, 24.0, SkyOptions(gradient=0.3, gradient_angle=0.0))
    assert plane[200, 200] == pytest.approx(1.0, abs=1e-5)
    # North is +y here; half the diagonal (284 px) away the sky is 30 % brighter.
    assert plane[400, 200] == pytest.approx(1 + 0.3 * 200 / (0.5 * np.hypot(401, 401)), abs=1e-4)
    assert plane[200, 0] == pytest.approx(1.0, abs=1e-3)


def test_nebula_is_bounded_repeatable_and_fixed_on_the_sky():
    one = make_nebula("ring", 98.0, 5.0, 0.8, seed=4, size=256)
    two = make_nebula("ring", 98.0, 5.0, 0.8, seed=4, size=256)
    np.testing.assert_array_equal(one.emission, two.emission)
    for plane in (one.emission, one.reflection):
        assert plane.min() >= 0 and 0.9 < plane.max() < 5
        assert np.abs(plane[0]).max() == 0 and np.abs(plane[:, -1]).max() < 1e-6
    assert make_nebula("none", 98.0, 5.0, 0.8, seed=4) is None
    frame = centered(98.1, 4.9, 3.0, (300, 400), angle=200.0, parity=-1, at_corner=2.0)
    map_x, map_y = texture_map(frame, one)
    x, y = np.array([10.0, 350.0, 200.0]), np.array([20.0, 280.0, 150.0])
    terms = np.stack([x**0, x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3], axis=1)
    exact = sky_to_pixel(one.grid, *pixel_to_sky(frame, x, y))
    np.testing.assert_allclose((terms @ map_x, terms @ map_y), exact, atol=0.02)
