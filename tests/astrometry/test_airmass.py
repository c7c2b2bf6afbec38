"""Airmass against astropy and its limits."""

import numpy as np
import pytest

from sciastro.astrometry.airmass import airmass, altitude, relative_airmass


def test_relative_airmass_has_the_right_limits():
    # High up the atmosphere is a plane slab: 1 / sin h. At the horizon it is about 38 airmasses.
    np.testing.assert_allclose(
        relative_airmass([90, 60, 40]), 1 / np.sin(np.deg2rad([90, 60, 40])), rtol=2e-3
    )
    assert relative_airmass(1e-6) == pytest.approx(38, abs=0.3)
    assert np.isnan(relative_airmass(-1.0))


def test_altitude_agrees_with_astropy():
    import astropy.units as u
    from astropy.coordinates import AltAz, EarthLocation, SkyCoord
    from astropy.time import Time
    from astropy.utils import iers

    rng = np.random.default_rng(4)
    ra, dec = rng.uniform(0, 360, 40), rng.uniform(-60, 75, 40)
    time = np.datetime64("2026-11-14T02:00:00") + (rng.uniform(-9e8, 0, 40)).astype("timedelta64[s]")
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "ignore"):
        place = EarthLocation(lat=52.0 * u.deg, lon=13.0 * u.deg)
        seen = (
            SkyCoord(ra * u.deg, dec * u.deg).transform_to(AltAz(obstime=Time(time), location=place)).alt.deg
        )
    assert np.abs(altitude(ra, dec, 52.0, 13.0, time) - seen).max() < 0.03


def test_unknown_time_is_nan():
    assert np.isnan(airmass(10.0, 20.0, 50.0, 8.0, np.datetime64("NaT")))
    # Half an hour past the zenith: 5 degrees from it.
    assert airmass(10.0, 50.0, 50.0, 8.0, np.datetime64("2026-11-14T21:00:00")) == pytest.approx(
        1.003, abs=2e-3
    )
