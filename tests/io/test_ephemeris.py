"""Ephemerides as Horizons, the Minor Planet Center and people write them."""

from datetime import UTC, datetime

import numpy as np
import pytest

from sciastro.errors import FileError, OptionError
from sciastro.io.ephemeris import read_ephemeris

START = datetime(2024, 1, 13, 22, tzinfo=UTC).timestamp()
# 2024-01-13 22:00 UTC is JD 2460323.416666..., MJD 60322.916666...; 05 34 31.94 is 83.6330833 deg.
PLACES = ((83.633083333, 22.014472222), (83.640000000, 22.020000000), (83.647916667, -0.504166667))

HORIZONS = """\
*******************************************************************************
 Date__(UT)__HR:MN     R.A._____(ICRF)_____DEC    APmag   S-brt
*************************************************************
$$SOE
 2024-Jan-13 22:00 *m  05 34 31.94 +22 00 52.1    9.126    n.a.
 2024-Jan-13 23:00  m  05 34 33.60 +22 01 12.0    9.126    n.a.
 2024-Jan-14 00:00 C   05 34 35.50 -00 30 15.0    9.125    n.a.
$$EOE
*******************************************************************************
"""
COMMAS = """\
 Date_________JDUT, , ,R.A.___(ICRF), DEC____(ICRF),  APmag,
$$SOE
 2460323.416666667,*,m,  83.633083333,  22.014472222,  9.126,
 2460323.458333333, , ,  83.640000000,  22.020000000,  9.126,
 2460323.500000000, , ,  83.647916667,  -0.504166667,  9.126,
$$EOE
"""
MPC = """\
C/2023 A3
Date       UT      R.A. (J2000) Decl.    Delta     r     El.    Ph.   m1     Sky Motion
            h m s                                                            "/min    P.A.
2024 01 13 220000 05 34 31.94 +22 00 52.1   0.812   1.74  150.1  17.3  9.1    1.20   250.1
2024 01 13 230000 05 34 33.60 +22 01 12.0   0.812   1.74  150.1  17.3  9.1    1.20   250.1
2024 01 14 000000 05 34 35.50 -00 30 15.0   0.812   1.74  150.1  17.3  9.1    1.20   250.1
"""
CSV = """\
time,ra,dec
2024-01-13T22:00:00,83.633083333,22.014472222
2024-01-13T23:00:00Z,83.640000000,22.020000000
2024-01-14T00:00:00,83.647916667,-0.504166667
"""
HOURS = """\
MJD,RA,Dec
60322.916666667,05:34:31.94,+22:00:52.1
60322.958333333,05:34:33.60,+22:01:12.0
60323.000000000,05:34:35.50,-00:30:15.0
"""


@pytest.mark.parametrize(
    "text", [HORIZONS, COMMAS, MPC, CSV, HOURS], ids=["horizons", "commas", "mpc", "csv", "mjd"]
)
def test_every_kind_says_the_same(tmp_path, text):
    path = tmp_path / "e.txt"
    path.write_text(text, encoding="utf-8")
    got = read_ephemeris(path)
    np.testing.assert_allclose(got.time, START + 3600 * np.arange(3), atol=1e-3)
    np.testing.assert_allclose(np.stack([got.ra, got.dec], axis=1), PLACES, atol=2e-6)


def test_barycentric_time_is_told_from_utc(tmp_path):
    path = tmp_path / "e.txt"
    path.write_text(HORIZONS.replace("Date__(UT)__HR:MN", "Date__(TDB)__HR:MN"), encoding="utf-8")
    # TDB - UTC was 37 s + 32.184 s in 2024.
    np.testing.assert_allclose(read_ephemeris(path).time[0], START - 69.184, atol=0.003)


def test_between_rows_across_ra_zero(tmp_path):
    # A great circle along the equator, 1 deg / h, through RA = 0.
    times = [f"2024-01-13T{20 + h}:00:00+00:00,{(358.5 + h) % 360},0.0" for h in range(4)]
    path = tmp_path / "e.csv"
    path.write_text("time,ra,dec\n" + "\n".join(times), encoding="utf-8")
    got = read_ephemeris(path)
    ra, dec = got.at(START - 3600 * 0.5 + 1800 * 0)
    assert float(ra[0]) == pytest.approx(0.0, abs=1e-4)  # 21:30 is 1.5 h on: 358.5 + 1.5
    assert float(dec[0]) == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(OptionError, match="covers 2024-01-13 20:00:00 to 2024-01-13 23:00:00"):
        got.at([START, START + 7201])


def test_rows_too_far_apart_are_told(tmp_path):
    rows = [
        f"2024-01-13T{h:02d}:00:00,{10 + 0.2 * np.sin(2 * h)},{20 + 0.2 * np.cos(2 * h)}" for h in range(12)
    ]
    path = tmp_path / "e.csv"
    path.write_text("time,ra,dec\n" + "\n".join(rows), encoding="utf-8")
    assert read_ephemeris(path).roughness() > 10
    path.write_text("time,ra,dec\n" + "\n".join(f"2024-01-13T{h:02d}:00:00,{10 + h},20" for h in range(12)))
    assert read_ephemeris(path).roughness() < 0.05


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "no ephemeris"), ("hello\nworld\n", "has no columns ra and dec"),
     (CSV.replace("time,ra,dec", "time,ra,delta"), "has no columns ra and dec"),  # a distance
     (HORIZONS.replace("$$EOE", ""), "cut off"),
     (HORIZONS.replace("(ICRF)", "(a-app)"), "no astrometric positions"),
     (HORIZONS.replace("05 34 33.60", "n.a."), "a row that cannot be read"),
     (HORIZONS.replace("-Jan-14", "-Foo-14"), "makes no sense"),
     ("time,ra,dec\n2024-01-13T22:00:00,1,2\n", "fewer than two rows"),
     (CSV.replace("23:00:00Z", "22:00:00"), "two rows for one time"),
     (CSV.replace("-0.504166667", "-95"), "makes no sense"),
     (CSV.replace("time", "when"), "no column of times"),
     (CSV.replace("2024-01-13T23", "yesterday"), "times that cannot"),
     (HOURS.replace("05:34:33.60", "five"), "positions that cannot be read")],
)  # fmt: skip
def test_what_is_no_ephemeris_is_refused(tmp_path, text, said):
    path = tmp_path / "e.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FileError, match=said):
        read_ephemeris(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match="cannot be read"):
        read_ephemeris(tmp_path / "none.csv")
