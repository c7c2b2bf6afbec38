import socket
import struct

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.time import Time

from sciastro.astrometry.timing import (
    AU_SECONDS,
    GEOCENTER_ERROR,
    Site,
    bjd_tdb,
    hjd_utc,
    julian_date,
    light_travel_time,
    meaning_of,
)
from sciastro.core.timescales import _earth_rotation, dut1, utc_of
from sciastro.errors import DatasetError, FileError, OptionError

TOLOLO = Site(-30.169283, -70.806789, 2241.9)
# The Earth from the barycenter [km] at TDB, from JPL's DE421 (Folkner et al. 2009) by jplephem 2.24.
DE421 = np.array([
    (2415100.5, -148599743.1, -4615384.8, -2020346.5),
    (2429630.5, -29644908.0, 131880607.2, 57229856.5),
    (2440000.25, -67989885.5, -124144033.7, -53840750.2),
    (2451545.0, -27566632.3, 132361428.5, 57418647.4),
    (2455197.5, -26892452.2, 133184438.9, 57739677.8),
    (2461000.125, 77418093.0, 114478915.6, 49646900.1),
    (2466000.5, 92694719.6, -111516541.5, -48365164.9),
])  # fmt: skip
NIGHT = np.datetime64("2017-09-03T12:00:00", "us")


def tau_ceti(jd: float) -> tuple[float, float]:
    """Hipparcos, epoch 1991.25, moved to the date."""
    years = (jd - 2448349.0625) / 365.25
    ra = 26.0213645867 - 1721.05 * years / 3.6e6 / np.cos(np.radians(-15.9395557246))
    return ra, -15.9395557246 + 854.16 * years / 3.6e6


def test_a_published_number():
    # barycorrpy (Kanodia & Wright 2018), its test of JDUTC_to_BJDTDB: tau Ceti from Cerro Tololo, DE430,
    # to 8 decimals (0.9 ms).
    times = NIGHT + np.array([0, 864, 1728], "m8[ms]")
    got = bjd_tdb(times, *tau_ceti(2458000.0), TOLOLO, parallax=273.96)
    published = [2458000.00505211, 2458000.00506211, 2458000.00507211]
    assert np.abs(got - published).max() * 86400 < 1e-3


def test_analytic_ephemeris_against_jpl():
    times = np.array([utc_of((np.array(jd), np.array(0.0))) for jd in DE421[:, 0]])
    for ra, dec in [(0.0, 0.0), (90.0, 0.0), (0.0, 90.0), (215.0, -40.0)]:
        n = [np.cos(np.radians(dec)) * np.cos(np.radians(ra)),
             np.cos(np.radians(dec)) * np.sin(np.radians(ra)), np.sin(np.radians(dec))]  # fmt: skip
        truth = DE421[:, 1:] @ n / 299792.458
        # TT is not TDB: the Earth moves 50 m in 1.7 ms, nothing here.
        assert np.abs(light_travel_time(times, ra, dec) - truth).max() < 5e-5


def test_same_as_astropy_with_a_site():
    times = np.array(["2003-05-01T02:03:04", "2017-09-03T12:00:00", "2020-11-26T05:00:00"], "M8[us]")
    place = EarthLocation.from_geodetic(TOLOLO.longitude, TOLOLO.latitude, TOLOLO.height)
    peer = Time(times.astype(str), scale="utc", location=place)
    for ra, dec in [(10.0, -70.0), (250.0, 36.0), (100.0, 0.0)]:
        delay = peer.light_travel_time(SkyCoord(ra * u.deg, dec * u.deg), ephemeris="builtin")
        assert np.abs(light_travel_time(times, ra, dec, TOLOLO) - delay.to_value("s")).max() < 5e-6
        whole = peer.tdb + delay
        assert np.abs((bjd_tdb(times, ra, dec, TOLOLO) - whole.jd1) - whole.jd2).max() * 86400 < 5e-5
        sun = peer.light_travel_time(SkyCoord(ra * u.deg, dec * u.deg), "heliocentric", ephemeris="builtin")
        assert np.abs(hjd_utc(times, ra, dec, TOLOLO) - (peer + sun).jd).max() * 86400 < 1e-4


def test_without_a_site_it_is_off_by_no_more_than_is_stated():
    times = NIGHT + np.arange(0, 86400, 600).astype("m8[s]")
    worst = 0.0
    for ra, dec in [(0, 0), (90, 20), (30, -30)]:
        difference = bjd_tdb(times, ra, dec, Site(0.0, 0.0, 0.0)) - bjd_tdb(times, ra, dec)
        worst = max(worst, float(np.abs(difference).max()) * 86400)
    assert 0.019 < worst <= GEOCENTER_ERROR


def test_the_year_of_a_star_on_the_ecliptic_and_at_its_pole():
    times = np.datetime64("2021-01-01", "us") + np.arange(0, 366).astype("m8[D]")
    ecliptic = light_travel_time(times, 0.0, 0.0)
    assert 485 < ecliptic.max() < 508
    assert -508 < ecliptic.min() < -485
    pole = SkyCoord(0 * u.deg, 90 * u.deg, frame="barycentricmeanecliptic").icrs
    assert np.abs(light_travel_time(times, pole.ra.deg, pole.dec.deg)).max() < 1.0


def test_the_nearest_star_sees_a_curved_front():
    flat, curved = (light_travel_time(NIGHT, 219.9, -60.8, parallax=p) for p in (0.0, 747.0))
    # r^2 sin^2 / 2 d: at most half an au^2 over 276,000 au
    assert 0 < flat - curved < AU_SECONDS * 0.5 * 1.04 / (206264.8 / 0.747)
    assert flat - curved > 1e-4


def test_heliocentric_stays_near_barycentric():
    delta = (bjd_tdb(NIGHT, 83.8, -5.4) - hjd_utc(NIGHT, 83.8, -5.4)) * 86400
    assert abs(delta - 69.184) < 4.5


def test_old_plates_and_missing_times():
    times = np.array(["1910-05-19T03:00:00", "NaT"], "M8[us]")
    got = bjd_tdb(times, 10.0, 20.0)
    assert abs(got[0] - julian_date(times)[0]) < 0.006
    assert np.isnan(got[1])
    assert np.isnan(light_travel_time(times, 10.0, 20.0)[1])


def test_bad_places_and_directions():
    with pytest.raises(OptionError, match="degrees"):
        Site(91.0, 0.0)
    with pytest.raises(OptionError, match="latitude nan"):
        Site(float("nan"), 0.0)
    with pytest.raises(DatasetError, match="-90 to 90"):
        bjd_tdb(NIGHT, 0.0, 91.0)


def write_kernel(path, pieces):
    """Write a JPL kernel (DAF/SPK, type 2) in which bodies stand still on 2000-01-01: center, target, km."""
    daf = pytest.importorskip("jplephem.daf")
    check = b"FTPSTR:\r:\n:\r\n:\r\x00:\x81:\x10\xce:ENDFTP"
    head = struct.pack("<8sii60siii8s", b"DAF/SPK ", 2, 6, b"test".ljust(60), 2, 2, 385, b"LTL-IEEE")
    path.write_bytes((head.ljust(699, b"\0") + check.ljust(28, b"\0")).ljust(1024, b"\0") + b"\0" * 2048)
    with path.open("r+b") as file:
        kernel = daf.DAF(file)
        for center, target, place in pieces:
            record = [0.0, 86400.0]  # middle, half length [s]
            for value in place:
                record += [value, 0.0]
            values = (-86400.0, 86400.0, target, center, 1, 2, 0, 0)
            kernel.add_array(b"one", values, np.array([*record, -86400.0, 172800.0, len(record), 1]))


def test_a_kernel_of_the_user(tmp_path):
    _, *earth = DE421[3]
    part = np.array([3000.0, -2000.0, 1000.0])
    write_kernel(tmp_path / "mine.bsp", [(0, 3, earth - part), (3, 399, part)])
    time = utc_of((np.array(DE421[3, 0]), np.array(0.0)))
    for ra, dec in [(0.0, 0.0), (90.0, 10.0), (10.0, -80.0)]:
        by_kernel = bjd_tdb(time, ra, dec, TOLOLO, ephemeris=tmp_path / "mine.bsp")
        assert abs(by_kernel - bjd_tdb(time, ra, dec, TOLOLO)) * 86400 < 9e-5  # and 40 us of a float
    with pytest.raises(FileError, match="does not hold the date"):
        bjd_tdb(NIGHT, 0.0, 0.0, ephemeris=tmp_path / "mine.bsp")


def test_nothing_here_reaches_for_the_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    far = np.array(["1890-01-01", "1965-01-01", "2020-01-01", "2090-01-01"], "M8[us]")
    assert np.isfinite(bjd_tdb(far, 10.0, 20.0, TOLOLO)).all()
    assert np.isfinite(hjd_utc(far, 10.0, 20.0)).all()
    _earth_rotation.cache_clear()
    assert np.isfinite(dut1(far)).all()


def test_a_kernel_that_is_none(tmp_path):
    pytest.importorskip("jplephem")
    (tmp_path / "a.bsp").write_bytes(b"<html>captive portal</html>" * 100)
    with pytest.raises(FileError, match="no JPL kernel"):
        bjd_tdb(NIGHT, 0.0, 0.0, ephemeris=tmp_path / "a.bsp")


def test_a_column_says_what_it_is():
    assert meaning_of(TOLOLO)["scale"] == "tdb"
    assert "22 ms" in meaning_of(None)["accuracy"]
    assert "-30.16928" in meaning_of(TOLOLO)["site"]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: bjd_tdb("yesterday", 1, 2), DatasetError, "time: is 'yesterday'. Give UTC"),
        (lambda: hjd_utc("yesterday", 1, 2), DatasetError, "time: is 'yesterday'"),
        (lambda: julian_date("yesterday"), DatasetError, "time: is 'yesterday'"),
        (lambda: bjd_tdb(2459000, 1, 2), DatasetError, "2459000, a number. Give UTC"),  # not in 1970
        (lambda: bjd_tdb(NIGHT, 1, None), OptionError, "dec: is None. Give degrees"),  # not NaN
        (lambda: bjd_tdb(NIGHT, "10h", 2), OptionError, "ra: is '10h'. Give degrees"),
        (lambda: bjd_tdb(NIGHT, np.inf, 2), OptionError, "ra: is inf"),
        (lambda: bjd_tdb(NIGHT, 1, 2, (28, -16, 2400)), OptionError, "site: is .* Give Site"),
        (lambda: bjd_tdb(NIGHT, 1, 2, parallax="near"), OptionError, "parallax: is 'near'"),
        (lambda: bjd_tdb(np.repeat(NIGHT, 3), [1, 2], [1, 2]), DatasetError, "have shapes"),
        (lambda: Site("La Palma", 0), OptionError, "latitude La Palma.* Give degrees"),
    ],
)
def test_what_is_no_time_and_no_direction_is_told(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert caught.value.where and caught.value.remedy


def test_times_of_astropy_are_taken_in_their_scale():
    time = Time(["2020-01-01T00:00:00", "2021-06-01T12:00:00"], scale="utc")
    plain = bjd_tdb(time.datetime64, 10.0, 20.0)
    assert np.array_equal(bjd_tdb(time, 10.0, 20.0), plain)
    assert np.abs(bjd_tdb(time.tdb, 10.0, 20.0) - plain).max() < 1e-9
