"""Catalog positions on a date, against vectors worked by astropy; what is unknown grows the error."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Distance, SkyCoord, get_body_barycentric
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time

from sciastro.astrometry.motion import UNKNOWN_PARALLAX, UNKNOWN_PM, at_date, observer
from sciastro.astrometry.plane import separation
from sciastro.astrometry.sky import catalog_stars

YEAR = 2025.3


def table(**columns):
    units = {"ra": u.deg, "dec": u.deg, "epoch": u.yr, "parallax": u.mas, "parallax_err": u.mas}
    other = {"ra_err": u.arcsec, "dec_err": u.arcsec}
    known = {**units, **other}
    return QTable(
        {name: np.asarray(values, float) * known.get(name, u.mas / u.yr) for name, values in columns.items()}
    )


def test_motion_and_parallax_equal_vectors_of_astropy():
    rng = np.random.default_rng(1)
    n = 40
    ra, dec = rng.uniform(0, 360, n), np.rad2deg(np.arcsin(rng.uniform(-1, 1, n)))
    dec[:2] = 89.999, -89.999
    parallax, pm = 10 ** rng.uniform(0, 2.8, n), rng.normal(0, 500, (2, n))
    stars = table(
        ra=ra, dec=dec, pm_ra_cosdec=pm[0], pm_dec=pm[1], parallax=parallax, epoch=np.full(n, 2016.0)
    )
    got_ra, got_dec, _ = at_date(stars, YEAR)
    place = SkyCoord(
        ra * u.deg, dec * u.deg, distance=Distance(parallax=parallax * u.mas),
        pm_ra_cosdec=pm[0] * u.mas / u.yr,
        pm_dec=pm[1] * u.mas / u.yr, radial_velocity=np.zeros(n) * u.km / u.s,
    )  # fmt: skip
    xyz = place.cartesian.xyz + place.velocity.d_xyz * ((YEAR - 2016.0) * u.yr)
    earth = get_body_barycentric("earth", Time(YEAR, format="jyear"), ephemeris="builtin").xyz
    seen = SkyCoord(*(xyz - earth[:, None]), representation_type="cartesian")
    seen.representation_type = "unitspherical"
    apart = separation(got_ra, got_dec, seen.ra.deg, seen.dec.deg) * 3.6e6
    assert apart.max() < 0.01  # mas; the linear form of the parallax is good to 1e-6 of it
    moved = separation(ra, dec, seen.ra.deg, seen.dec.deg) * 3.6e6
    assert np.median(moved) > 1000


def test_what_is_missing_grows_the_error():
    nan = np.nan
    stars = table(
        ra=[10.0, 10.0, 10.0], dec=[20.0, 20.0, 20.0], ra_err=[0.01, 0.01, nan], dec_err=[0.01, 0.01, nan],
        pm_ra_cosdec=[5.0, nan, 5.0], pm_dec=[0.0, nan, 0.0],
        pm_ra_err=[1.0, nan, nan], pm_dec_err=[1.0, nan, nan],
        parallax=[0.0, 0.0, nan], parallax_err=[0.0, 0.0, nan], epoch=[2005.3] * 3,
    )  # fmt: skip
    ra, dec, err = at_date(stars, YEAR)
    np.testing.assert_allclose(err[:2], np.hypot(0.01, [20 * 1e-3, 20 * UNKNOWN_PM * 1e-3]), rtol=1e-9)
    assert dec[1] == pytest.approx(20.0, abs=1e-12) and ra[1] == pytest.approx(10.0, abs=1e-12)
    assert 0.2 * UNKNOWN_PARALLAX < 1000 * err[2] < UNKNOWN_PARALLAX
    assert ra[0] == pytest.approx(10.0 + 100e-3 / 3600 / np.cos(np.deg2rad(20.0)), abs=1e-9)


def test_tables_that_were_moved_already_stay():
    stars = table(ra=[359.9999, 0.0], dec=[1.0, 2.0], pm_ra_cosdec=[900.0, 900.0], pm_dec=[900.0, 900.0])
    stars.meta["epoch"] = YEAR
    ra, dec, _ = at_date(stars, YEAR)
    np.testing.assert_allclose([ra, dec], [[359.9999, 0.0], [1.0, 2.0]], atol=1e-12)
    del stars.meta["epoch"]  # nobody says: taken as they are
    np.testing.assert_allclose(at_date(stars, YEAR)[0], ra, atol=1e-12)
    stars.meta["epoch"] = YEAR - 10
    assert at_date(stars, YEAR)[1][0] == pytest.approx(1 + 9 / 3600, abs=1e-8)
    assert np.array_equal(at_date(stars, None)[0], ra)


def test_masked_motions_are_unknown_ones():
    plain = Table({"ra": [1.0, 2.0], "dec": [0.0, 0.0]}, masked=True)
    plain["pm_ra_cosdec"] = MaskedColumn([1e9, 3600.0], mask=[True, False], unit=u.mas / u.yr)
    plain["pm_dec"] = MaskedColumn([1e9, 0.0], mask=[True, False], unit=u.mas / u.yr)
    plain.meta["epoch"] = YEAR - 10
    for one in (plain, QTable(plain)):
        stars = catalog_stars(one, YEAR)
        assert stars.ra.tolist() == pytest.approx([1.0, 2.01], abs=1e-7)
        assert stars.err[0] > 0.15 > 0.01 > stars.err[1]


def test_the_earth_is_one_astronomical_unit_from_the_sun():
    assert np.linalg.norm(observer(2025.01)) == pytest.approx(
        0.983, abs=0.012
    )  # perihelion; of the barycenter
    assert observer(2025.25)[0] < -0.9  # at the equinox the Sun is at RA 0, so that the Earth is opposite
