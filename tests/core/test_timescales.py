from datetime import UTC, datetime

import numpy as np
import pytest
from astropy.time import Time

from sciastro.core.timescales import (
    dut1,
    julian_utc,
    julian_year,
    scale_of,
    tdb_minus_tt,
    to_utc,
    tt_of,
    utc_of,
)

DATES = np.array(
    ["1961-01-01T00:00:00", "1965-03-01T12:34:56.789", "1972-01-01", "2000-01-01T11:58:55.816",
     "2016-12-31T23:59:59.5", "2017-01-01T00:00:00", "2020-02-29T23:59:59.999999"], dtype="M8[us]",
)  # fmt: skip


def test_terrestrial_time_is_that_of_astropy_through_rubber_and_leap_seconds():
    peer = Time(DATES.astype(str), scale="utc").tt
    whole, fraction = tt_of(DATES)
    assert np.abs((whole - peer.jd1) + (fraction - peer.jd2)).max() * 86400 < 1e-9


def test_utc_comes_back_to_the_microsecond():
    assert np.array_equal(utc_of(tt_of(DATES)), DATES)
    assert np.isnat(utc_of(tt_of(np.datetime64("NaT"))))


@pytest.mark.parametrize(
    ("scale", "shown"),
    [  # 2020-01-01T00:00:00 UTC: TAI - UTC = 37 s, TT = TAI + 32.184 s, GPS = TAI - 19 s
        ("utc", "2020-01-01T00:00:00"),
        ("tai", "2020-01-01T00:00:37"),
        ("gps", "2020-01-01T00:00:18"),
        ("tt", "2020-01-01T00:01:09.184"),
    ],
)
def test_scales_at_a_fixed_distance(scale, shown):
    assert to_utc(datetime.fromisoformat(shown), scale) == datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("scale", ["tdb", "tcb", "tcg", "ut1"])
@pytest.mark.parametrize("date", ["1999-07-04T03:21:00.5", "2018-03-20T16:15:27"])
def test_scales_of_relativity_and_of_the_earth(scale, date):
    peer = Time(date, scale="utc")
    shown = getattr(peer, scale).datetime
    assert abs((to_utc(shown, scale) - peer.to_datetime(UTC)).total_seconds()) < 5e-5


def test_a_moment_in_a_leap_second_becomes_the_second_after_it():
    tai = datetime(2017, 1, 1, 0, 0, 36, 500000)  # 23:59:60.5 UTC
    assert to_utc(tai, "tai") == datetime(2017, 1, 1, 0, 0, 0, 500000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("year", "delta"), [(1890, -5.87), (1900, -2.72), (1910, 10.46), (1930, 24.08), (1950, 29.15)]
)  # Astronomical Almanac, table of TT - UT at the beginning of the year
def test_plates_have_the_delta_t_of_their_year(year, delta):
    stamp = np.datetime64(f"{year}-01-01", "us")
    whole, fraction = tt_of(stamp)
    assert ((whole - julian_utc(stamp)[0]) + (fraction - julian_utc(stamp)[1])) * 86400 == pytest.approx(
        delta, abs=0.6
    )
    summer = stamp + np.timedelta64(150, "D")
    assert utc_of(tt_of(summer)) == summer


def test_no_step_where_utc_begins():
    before, after = np.datetime64("1959-12-31T23:59:59.999999", "us"), np.datetime64("1960-01-01", "us")
    gap = [np.subtract(tt_of(t)[0], 2436934.5) + tt_of(t)[1] for t in (before, after)]
    assert abs(gap[1] - gap[0]) * 86400 < 0.1


def test_far_future_keeps_the_last_leap_second_without_a_word():
    assert tt_of(np.datetime64("2099-01-01", "us"))[1] * 86400 == pytest.approx(69.184)
    assert dut1(np.datetime64("2099-01-01", "us")) == 0.0


def test_nothing_known_is_nan():
    assert np.isnan(julian_utc(np.datetime64("NaT"))[0])
    assert np.isnan(tt_of(np.array(["NaT", "2020-01-01"], "M8[us]"))[1])[0]
    assert dut1(np.array(["NaT"], "M8[us]")) == [0.0]


def test_spellings():
    assert [scale_of(x) for x in ("UTC", " tt ", "TDT", "UTC(NIST)", "ET", "IAT", "GMT", "GPS", "mars")] == [
        "utc", "tt", "tt", "utc", "tt", "tai", "utc", "gps", "",
    ]  # fmt: skip


def test_tdb_swings_by_1_7_ms_in_a_year():
    days = 2451545.0 + np.arange(0, 366.0)
    swing = tdb_minus_tt((days, np.zeros_like(days)))
    assert 1.6e-3 < swing.max() < 1.75e-3
    assert -1.75e-3 < swing.min() < -1.6e-3


@pytest.mark.parametrize(
    "shown", ["1910-04-01T00:00:00", "1999-12-31T23:58:55", "2000-01-01T12:00:00", "2026-11-26T09:00:00"]
)
def test_julian_years_are_those_of_astropy(shown):
    # JD 2451545.0 is 2000.0; counted from "1970.0" it would come out a quarter of a day early.
    seconds = datetime.fromisoformat(shown).replace(tzinfo=UTC).timestamp()
    assert julian_year(seconds) == pytest.approx(Time(shown, scale="tt").jyear, abs=1e-8)
