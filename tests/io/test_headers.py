"""Headers of real capture programs and every odd spelling, as facts."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from astropy.io import fits

from sciastro.io.cards import parse_angle, parse_date
from sciastro.io.dialects import canonical_filter
from sciastro.io.filenames import facts_from_name
from sciastro.io.fits import header_from_bytes
from sciastro.io.framefacts import KINDS
from sciastro.io.headers import facts_from_header
from sciastro.io.reader import probe

DATA = Path(__file__).parents[3] / "shared" / "data"


def facts(path="frame.fits", shape=(100, 100), dtype="uint16", **cards):
    header = fits.Header()
    for key, value in cards.items():
        header[key.replace("_", "-")] = value
    return facts_from_header(header, path, shape, dtype)


def text_header(name):
    path = DATA / "headers" / name
    if not path.exists():
        pytest.skip("no real headers beside the repository")
    lines = [line[:80].ljust(80) for line in path.read_bytes().split(b"\n") if line.strip()]
    header = header_from_bytes(b"".join(lines))
    shape = (int(header.get("NAXIS2", 100)), int(header.get("NAXIS1", 100)))
    return facts_from_header(header, "x/0001.fits", shape, "uint16")


def real(path):
    if not (DATA / path).exists():
        pytest.skip("no real data beside the repository")
    image = probe(DATA / path)[0]
    return facts_from_header(image.header, path.split("/", 1)[1], image.shape, str(image.dtype), image.hdu)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


PROGRAMS = {
    "header_app.txt": {"kind": "master-light", "exposure": 900.0, "program": "Astro Pixel Processor"},
    "header_app2.txt": {
        "kind": "master-flat",
        "filter": "HaOIII",
        "exposure": 1.28,
        "gain_setting": 120.0,
        "combined": 30,
        "cfa": "RGGB",
        "row_order": "TOP-DOWN",
    },
    "header_apt.txt": {
        "kind": "light",
        "target": "TEST",
        "exposure": 240.0,
        "gain_setting": 120.0,
        "egain": pytest.approx(1.00224, abs=1e-5),
        "set_temperature": -15.0,
        "temperature": None,
        "time": utc("2018-09-17T21:06:46"),
        "pointing": pytest.approx((23.75, 30.740278), abs=1e-5),
        "site": pytest.approx((51.05, 3.683333), abs=1e-5),
        "scale": pytest.approx(2.3875, abs=1e-3),
        "filter": "OSC",
    },
    "header_dwarflab.txt": {
        "kind": "unknown",
        "exposure": 15.0,
        "gain_setting": 110.0,
        "binning": (2, 2),
        "cfa": "GBRG",
        "filter": "OSC",
        "pointing": None,
        "time": datetime(2023, 6, 10, 21, 38, 26, 942000, tzinfo=UTC),
    },
    "header_maximdl.txt": {
        "kind": "light",
        "filter": "SII",
        "target": "m17",
        "exposure": 300.0,
        "temperature": pytest.approx(-34.9938, abs=1e-4),
        "time": utc("2018-07-04T14:05:33"),
        "night": date(2018, 7, 4),
        "pointing": pytest.approx((275.2005, -16.183), abs=1e-4),
        "pedestal": 100.0,
        "calibrated": "BDF",
        "aperture": 392.0,
    },
    "header_nina.txt": {
        "kind": "light",
        "filter": "OSC",
        "cfa": "RGGB",
        "exposure": 30.0,
        "gain_setting": 120.0,
        "offset": 30.0,
        "temperature": -10.0,
        "pointing": None,
        "program": "N.I.N.A.",
        "time": datetime(2021, 3, 2, 20, 19, 15, 455000, tzinfo=UTC),
    },
    "header_pixinsight.txt": {
        "kind": "master-light",
        "filter": "LP",
        "exposure": 120.0,
        "egain": 3.62,
        "has_wcs": True,
        "scale": pytest.approx(1.2413, abs=1e-3),
        "site": pytest.approx((51.05, 3.716667, 10.0), abs=1e-5),
        "program": "PixInsight",
    },
    "header_seestar.txt": {
        "kind": "master-light",
        "combined": 187,
        "gain_setting": 80.0,
        "temperature": 21.875,
        "has_wcs": True,
        "target": "NGC 6027A",
    },
    "header_sgp_fixed_wcs.txt": {
        "kind": "light",
        "filter": "HaOIII",
        "gain_setting": 120.0,
        "egain": pytest.approx(3.99),
        "offset": 30.0,
        "has_wcs": True,
        "scale": pytest.approx(0.65415, abs=1e-5),
        "pointing": pytest.approx((283.3956, 33.0340), abs=1e-3),
    },
    "sgp_header.txt": {
        "kind": "light",
        "has_wcs": False,  # CTYPE and CRVAL without any scale are a placeholder
        "pointing": pytest.approx((283.395540, 33.034063), abs=1e-5),
        "scale": pytest.approx(0.65415),
        "time": datetime(2020, 5, 30, 0, 23, 4, 96882, tzinfo=UTC),
        "night": date(2020, 5, 29),
    },
    "header_sharpcap.txt": {
        "kind": "unknown",
        "exposure": 2.0,
        "temperature": 12.7,
        "has_wcs": True,
        "cfa": "",
        # "System Clock-Frame Grabbed" is the end of the exposure: one second earlier is its middle.
        "time": datetime(2019, 4, 29, 20, 25, 28, 821958, tzinfo=UTC),
    },
    "wcs_header_m106.txt": {"kind": "unknown", "has_wcs": True, "exposure": None, "time": None},
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_capture_program_is_understood(name):
    got = text_header(name)
    assert got.kind in KINDS
    for fact, value in PROGRAMS[name].items():
        found = getattr(got, fact)
        if fact == "site" and len(value.expected) == 2:
            found = found[:2]
        assert found == value, fact


SESSIONS = {
    "calib_arcsat_m13/light/M13_sdss_g_20190503_090311.fits.fz": {
        "kind": "light",
        "filter": "g",
        "target": "M13",
        "exposure": 120.0,
        "gain_setting": None,
        "egain": None,
        "time": utc("2019-05-03T09:04:11"),
        "night": date(2019, 5, 2),
        "has_wcs": True,
        "scale": pytest.approx(0.66758, abs=1e-4),
    },
    "calib_arcsat_m13/bias/Bias_BIN1_20190503_073730.fits.fz": {
        "kind": "bias",
        "exposure": 0.0,
        "filter": "",
        "target": "",
    },
    "calib_arcsat_m13/dark/Dark_BIN1_20190503_104029.fits.fz": {
        "kind": "dark",
        "exposure": 80.0,
        "filter": "",
    },
    "calib_arcsat_m13/flat/domeflat_sdss_g_001.fits.fz": {"kind": "flat", "exposure": 11.55, "filter": "g"},
    "osc_seestar_m94/session1/Light_M94_10.0s_IRCUT_20250326-212046.fit.fz": {
        "kind": "light",
        "filter": "OSC",
        "cfa": "GRBG",
        "gain_setting": 80.0,
        "target": "M 94",
        "pointing": (193.04166, 40.970556),
        "night": date(2025, 3, 26),
    },
    "timeseries_hatp32/HATP-32171220013343.fits.fz": {
        "kind": "unknown",
        "filter": "Clear",
        "exposure": 60.0,
        "time": datetime(2017, 12, 20, 1, 34, 13, 317000, tzinfo=UTC),  # DATE-OBS is local time, -0700
        "site": (31.68, -110.88, None),  # LONGITUD = 110.88 counts to the west
        "temperature": pytest.approx(-2.15),  # CAMTEMP is in kelvin
        "night": date(2017, 12, 19),
        "saturation": 4095.0,
        "scale": 5.21,
    },
    "stack_m13_orion/M13_blue_0001.fits.fz": {
        "kind": "light",
        "filter": "B",
        "target": "M13",
        "pedestal": 500.0,
        "pointing": None,
        "calibrated": "?",
    },
    "detector_qsi683/flat_dark_1.fits.fz": {
        "kind": "dark-flat",
        "exposure": 24.0,
        "binning": (2, 2),
        "egain": pytest.approx(1.059),
        "readout_mode": "Low Gain",
        "gain_setting": None,
    },
    "detector_qsi683/flat_1.fits.fz": {"kind": "flat", "filter": "Ha"},
}


@pytest.mark.parametrize("path", SESSIONS)
def test_real_sessions_are_understood(path):
    got = real(path)
    for fact, value in SESSIONS[path].items():
        assert getattr(got, fact) == value, fact


def test_origins_say_where_facts_come_from():
    got = real("stack_m13_orion/M13_blue_0001.fits.fz")
    assert got.origins["kind"] == "IMAGETYP"
    assert got.origins["filter"] == got.origins["target"] == "file name"
    assert real("detector_qsi683/flat_dark_1.fits.fz").origins["kind"] == "IMAGETYP and file name"


# ---------------------------------------------------------------------------------------------- kinds
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Light Frame", "light"),
        ("LIGHT", "light"),
        ("object", "light"),
        ("Bias Frame", "bias"),
        ("zero", "bias"),
        ("Dark Frame", "dark"),
        ("Flat Field", "flat"),
        ("FLATFIELD", "flat"),
        ("DARKFLAT", "dark-flat"),
        ("Flat Dark", "dark-flat"),
        ("Dark Flat", "dark-flat"),
        ("Master Dark", "master-dark"),
        ("masterFlat", "master-flat"),
        ("MasterDarkFlat", "master-dark-flat"),
        ("master bias", "master-bias"),
        ("Superbias", "master-bias"),
    ],
)
def test_spellings_of_kinds(text, kind):
    assert facts(IMAGETYP=text, EXPTIME=1.0).kind == kind


def test_the_header_wins_over_the_folder_and_says_so():
    got = facts("flats/x_001.fits", IMAGETYP="Light Frame", EXPTIME=60.0)
    assert got.kind == "light"
    assert any("the folder name says flat" in problem for problem in got.problems)


@pytest.mark.parametrize(
    "path", ["dark-flats/x1.fits", "flatdarks/x1.fits", "a/flat_dark_7.fits", "Darkflats/1.fits"]
)
def test_darks_for_flats(path):
    got = facts(path, IMAGETYP="Dark Frame", EXPTIME=2.0)
    assert got.kind == "dark-flat"
    assert "and" in got.origins["kind"]
    assert not got.problems or "contradict" not in got.problems[0]


def test_names_serve_where_the_header_is_silent():
    got = facts("Dark_300s_-10C_gain100.fits")
    assert (got.kind, got.exposure, got.temperature, got.gain_setting) == ("dark", 300.0, -10.0, 100.0)
    assert {got.origins[fact] for fact in ("kind", "exposure", "temperature", "gain_setting")} == {
        "file name"
    }
    got = facts("M31/lights/0001.fits", EXPTIME=60.0)
    assert (got.kind, got.target) == ("light", "M31")
    assert got.origins["kind"] == got.origins["target"] == "folder name"


def test_combined_exposures_are_masters():
    got = facts(IMAGETYP="Dark Frame", EXPTIME=60.0, NCOMBINE=20)
    assert got.kind == "master-dark"
    assert got.combined == 20
    assert any("20 combined exposures" in problem for problem in got.problems)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Light_NGC 6888_300.0s_Bin1_gain100_20230701-231234_-10.0C_0001.fit", ("light", "NGC 6888", "")),
        ("IC_1805_Ha_001.fits", ("", "IC 1805", "Ha")),
        ("0001_M13_L.fits", ("", "M13", "L")),
        ("NGC 7000/LIGHT/2021-03-02_21-19-00_L_-10.00_30.00s_0001.fits", ("light", "NGC 7000", "L")),
        ("Dark Shark/a_001.fits", ("", "Dark Shark", "")),
        ("darks 300s/a_001.fits", ("dark", "", "")),
        ("masterDark_BIN-1_4144x2822_EXPOSURE-30.00s.fits", ("master-dark", "", "")),
        ("2024-01-02/Flats-R/f1.fits", ("flat", "", "")),
    ],
)
def test_file_names(path, expected):
    got = facts_from_name(path)
    assert (got.kind, got.target, got.filter) == expected


# -------------------------------------------------------------------------------------------- filters
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Red", "R"),
        ("R", "R"),
        ("r", "r"),
        ("Astrodon R", "R"),
        ("Lum", "L"),
        ("Luminance", "L"),
        ("Ha", "Ha"),
        ("H-alpha", "Ha"),
        ("Halpha", "Ha"),
        ("H_Alpha 7nm", "Ha"),
        ("Chroma OIII 3nm", "OIII"),
        ("O3", "OIII"),
        ("SII", "SII"),
        ("sdss_g", "g"),
        ("g'", "g"),
        ("Bessell V", "V"),
        ("None", "Clear"),
        ("no filter", "Clear"),
        ("I", "I"),
        ("i", "i"),
    ],
)
def test_filters(text, name):
    assert canonical_filter(text) == (name, True)


def test_unknown_filters_stay_as_they_are_without_control_characters():
    got = facts(IMAGETYP="Light", EXPTIME=1.0, FILTER="Comet C2 / v1")
    assert got.filter == "Comet C2 / v1"
    assert "unknown name" in got.origins["filter"]


def test_color_cameras_without_a_selecting_filter_are_osc():
    assert facts(IMAGETYP="Light", EXPTIME=1.0, BAYERPAT="RGGB", FILTER="IRCUT").filter == "OSC"
    assert facts(IMAGETYP="Light", EXPTIME=1.0, BAYERPAT="RGGB").filter == "OSC"
    assert facts(IMAGETYP="Light", EXPTIME=1.0, BAYERPAT="RGGB", FILTER="L-eXtreme").filter == "HaOIII"
    assert facts(IMAGETYP="Light", EXPTIME=1.0).filter == "Clear"


# --------------------------------------------------------------------------------- color filter array
@pytest.mark.parametrize(
    ("cards", "rows", "stored"),
    [
        ({}, 100, "RGGB"),
        ({"ROWORDER": "TOP-DOWN"}, 100, "RGGB"),
        # 100 rows: stored row 0 is picture row 99, an odd one: G B come first.
        ({"ROWORDER": "BOTTOM-UP"}, 100, "GBRG"),
        # 101 rows: stored row 0 is picture row 100, an even one.
        ({"ROWORDER": "BOTTOM-UP"}, 101, "RGGB"),
        ({"XBAYROFF": 1}, 100, "GRBG"),
        ({"YBAYROFF": 1}, 100, "GBRG"),
        ({"XBAYROFF": 1, "YBAYROFF": 1}, 100, "BGGR"),
        ({"YBAYROFF": 1, "ROWORDER": "BOTTOM-UP"}, 100, "RGGB"),
    ],
)
def test_color_array_as_stored(cards, rows, stored):
    assert facts(shape=(rows, 80), IMAGETYP="Light", EXPTIME=1.0, BAYERPAT="RGGB", **cards).cfa == stored


def test_the_green_pixels_of_a_real_mosaic_lie_where_the_pattern_says():
    import numpy as np

    from sciastro.io.reader import read_pixels

    path = "osc_seestar_m94/session1/Light_M94_10.0s_IRCUT_20250326-212046.fit.fz"
    got = real(path)
    pixels = read_pixels(DATA / path)
    sky = {(y, x): float(np.median(pixels[y::2, x::2])) for y in (0, 1) for x in (0, 1)}
    green = [
        phase for phase, color in zip([(0, 0), (0, 1), (1, 0), (1, 1)], got.cfa, strict=True) if color == "G"
    ]
    other = [phase for phase in sky if phase not in green]
    assert abs(sky[green[0]] - sky[green[1]]) < 0.01 * sky[green[0]]
    assert min(sky[phase] for phase in green) > 1.1 * max(sky[phase] for phase in other)


def test_odd_patterns():
    assert facts(IMAGETYP="Light", EXPTIME=1.0, BAYERPAT="0").cfa == ""
    got = facts(IMAGETYP="Light", EXPTIME=1.0, BAYERPAT="GGRGGB")
    assert got.cfa == ""
    assert any("no Bayer pattern" in problem for problem in got.problems)


# ----------------------------------------------------------------------------------------------- time
@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"DATE_OBS": "2020-01-01T22:00:00"}, "2020-01-01T22:00:30"),
        ({"DATE_OBS": "2020-01-01T22:00:00.1234567Z"}, "2020-01-01T22:00:30.123456"),
        ({"DATE_OBS": "2020-01-01", "TIME_OBS": "22:00:00"}, "2020-01-01T22:00:30"),
        ({"DATE_OBS": "01/02/99", "UT": "01:00:00"}, "1999-02-01T01:00:30"),
        ({"DATE_OBS": "01/02/03", "UT": "01:00:00"}, "2003-02-01T01:00:30"),
        ({"DATE_OBS": "nonsense", "MJD_OBS": 58849.5}, "2020-01-01T12:00:30"),
        ({"DATE_OBS": "nonsense", "JD": 2458850.0}, "2020-01-01T12:00:30"),
        ({"DATE_AVG": "2020-01-01T22:00:00", "DATE_OBS": "2020-01-01T21:00:00"}, "2020-01-01T22:00:00"),
        ({"DATE_END": "2020-01-01T22:01:00"}, "2020-01-01T22:00:30"),
        ({"DATE_OBS": "2020-01-01T15:00:00-0700"}, "2020-01-01T22:00:30"),
    ],
)
def test_times(cards, expected):
    assert facts(IMAGETYP="Light", EXPTIME=60.0, **cards).time == utc(expected)


@pytest.mark.parametrize(
    "text",
    ["nonsense", "2020-13-45T99:99:99", "0000-00-00T00:00:00", "1970-01-01T00:00:00", "9999-01-01T00:00:00"],
)
def test_nonsense_dates_are_no_times(text):
    got = facts(IMAGETYP="Light", EXPTIME=60.0, DATE_OBS=text)
    assert got.time is None
    assert got.night is None
    assert any("DATE-OBS" in problem for problem in got.problems)


def test_nights_run_from_local_noon_to_noon():
    # 03:00 UTC in New Mexico (-105.8 deg, 7.05 h) is 19:57 of the evening before.
    card = {"IMAGETYP": "Light", "EXPTIME": 0.002, "DATE_OBS": "2019-05-03T03:00:00"}
    assert facts(SITELAT="32 46 49", SITELONG="-105 49 13", **card).night == date(2019, 5, 2)
    # 12:30 UTC in Australia (149 deg, 9.9 h) is 22:26 of the same day; noon of Greenwich would agree,
    assert facts(SITELAT=-31.3, SITELONG=149.0, **{**card, "DATE_OBS": "2019-05-03T12:30:00"}).night == date(
        2019, 5, 3
    )
    # but 11:30 UTC, an hour before, is the same night there and not in Greenwich.
    early = {**card, "DATE_OBS": "2019-05-03T11:30:00"}
    assert facts(SITELAT=-31.3, SITELONG=149.0, **early).night == date(2019, 5, 3)
    assert facts(**early).night == date(2019, 5, 2)
    assert facts(DATE_LOC="2019-05-03T21:30:00", **early).night == date(2019, 5, 3)


# --------------------------------------------------------------------------------- gain and the others
def test_gain_is_a_setting_unless_a_table_or_a_comment_says_otherwise():
    got = facts(IMAGETYP="Light", EXPTIME=1.0, GAIN=120, EGAIN=0.25, SWCREATE="N.I.N.A. 3")
    assert (got.gain_setting, got.egain) == (120.0, 0.25)
    got = facts(IMAGETYP="Light", EXPTIME=1.0, GAIN=1.4)
    assert (got.gain_setting, got.egain) == (1.4, None)
    got = facts(IMAGETYP="OBJECT", EXPTIME=1.0, GAIN=1.4, ORIGIN="LCOGT")
    assert (got.gain_setting, got.egain) == (None, 1.4)
    header = fits.Header([("IMAGETYP", "Light"), ("EXPTIME", 1.0), ("GAIN", 1.4, "[e-/ADU] conversion")])
    got = facts_from_header(header, "a.fits", (9, 9), "uint16")
    assert (got.gain_setting, got.egain) == (None, 1.4)


@pytest.mark.parametrize(
    ("cards", "level"),
    [
        ({"PEDESTAL": -500, "SWCREATE": "MaxIm DL 6"}, 500.0),
        ({"PEDESTAL": -100, "SBSTDVER": "SBFITSEXT Version 1.0"}, 100.0),
        ({"PEDESTAL": 200, "PROGRAM": "PixInsight 1.8.9"}, 200.0),
        ({"PEDESTAL": 0}, 0.0),
    ],
)
def test_pedestals(cards, level):
    assert facts(IMAGETYP="Light", EXPTIME=1.0, **cards).pedestal == level


@pytest.mark.parametrize(
    ("text", "angle"),
    [
        ("+51 03 00.000", 51.05),
        ("-00 04 32", -0.0755556),
        ("18:53:34.930", 18.893036),
        ("12h 30m 00s", 12.5),
        ("31d40m48s N", 31.68),
        ("110 52.8 W", -110.88),
        ("110.88W", -110.88),
        ("-16.183", -16.183),
    ],
)
def test_angles(text, angle):
    parsed = parse_angle(text)
    assert parsed is not None
    assert parsed[0] == pytest.approx(angle, abs=1e-6)


@pytest.mark.parametrize("text", ["", "north", "12 61 00", "1 2 3 4", "12:30:99"])
def test_what_is_no_angle(text):
    assert parse_angle(text) is None


def test_old_dates_follow_the_standard():
    assert parse_date("28/11/51", "05:00:00") == (utc("1951-11-28T05:00:00"), True)
    assert parse_date("2020-02-30") is None


def test_second_sixty_is_the_first_of_the_next_minute():
    assert parse_date("2016-12-31T23:59:60") == (utc("2017-01-01T00:00:00"), True)
    assert parse_date("2020-05-06 07:08:60.25Z") == (datetime(2020, 5, 6, 7, 9, 0, 250_000, tzinfo=UTC), True)
    assert parse_date("2016-12-31T23:59:61") is None
    assert parse_date("9999-12-31T23:59:60") is None


@pytest.mark.parametrize(
    ("cards", "pointing"),
    [
        ({"RA": 10.5, "DEC": 41.2}, (10.5, 41.2)),
        ({"RA": "00 42 44.3", "DEC": "+41 16 09"}, (10.684583, 41.269167)),
        ({"OBJCTRA": "00 42 44.3", "OBJCTDEC": "-41 16 09"}, (10.684583, -41.269167)),
        ({"RA": 0.0, "DEC": 0.0}, None),
        ({"RA": 400.0, "DEC": 10.0}, None),
    ],
)
def test_pointings(cards, pointing):
    got = facts(IMAGETYP="Light", EXPTIME=1.0, **cards).pointing
    assert got is None if pointing is None else got == pytest.approx(pointing, abs=1e-5)


def test_hours_by_comment():
    header = fits.Header(
        [("IMAGETYP", "Light"), ("EXPTIME", 1.0), ("RA", 2.0, "[h] RA"), ("DEC", 1.0, "[deg]")]
    )
    assert facts_from_header(header, "a.fits", (9, 9), "uint16").pointing == (30.0, 1.0)


# ------------------------------------------------------------------------------------------ bad headers
def test_missing_exposure_is_said():
    got = facts(IMAGETYP="Light")
    assert got.exposure is None
    assert "names no exposure time" in got.problems


@pytest.mark.parametrize("kind", ["Light", "Dark"])
@pytest.mark.parametrize("value", [-30.0, 2e6, "NaN", "soon"])
def test_an_exposure_time_that_is_none_is_named(kind, value):
    # Keyword, value, HDU, and what is taken: nothing, the next spelling, or what the option says.
    got = facts(IMAGETYP=kind, EXPTIME=value)
    assert got.exposure is None
    assert got.refused == (f"EXPTIME = {value} (HDU 0) is no exposure time; the frame has none",)
    assert got.refused[0] in got.problems
    got = facts(IMAGETYP=kind, EXPTIME=value, EXPOSURE=20.0)
    assert got.exposure == 20.0
    assert got.refused == (f"EXPTIME = {value} (HDU 0) is no exposure time; 20 s is taken (EXPOSURE)",)


def test_a_nan_written_into_the_card_is_named():
    header = fits.Header.fromstring(
        f"{'IMAGETYP= ' + chr(39) + 'Light' + chr(39):80}{'EXPTIME =                  NaN':80}"
    )
    got = facts_from_header(header, "M31_60s_0001.fits", (9, 9), "uint16", 2)
    assert "EXPTIME = NaN (HDU 2) is no exposure time; 60 s is taken (file name)" in got.refused


def test_a_good_exposure_time_refuses_nothing():
    assert facts(IMAGETYP="Light", EXPTIME=20.0, EXPOSURE=-1.0).refused == ()
    assert facts(IMAGETYP="Bias", EXPTIME=0.0).refused == ()


def test_hostile_headers_do_not_raise():
    raw = [
        b"SIMPLE  =                    T",
        b"IMAGETYP= 'Light\x07 Frame'",
        b"OBJECT  = '../../\x00etc/passwd'",
    ]
    raw += [b"EXPTIME =  30,5", b"EXPTIME =                 99.0", b"GAIN    = 'unknown'", b"CCD-TEMP= NaN"]
    raw += [
        b"DATE-OBS= 17",
        b"RA      = 'abc'",
        b"DEC     = 'def'",
        b"XBINNING= 'two'",
        b"FILTER  = '\xc3\xa4\x1b[31m'",
    ]
    raw += [
        b"HIERARCH ESO DET CHIP1 GAIN = 2.5 / x",
        b"LONGSTR = 'abc&'",
        b"CONTINUE  'def'",
        b"BAD KEY = = 'x",
        b"END",
    ]
    header = header_from_bytes(b"".join(card.ljust(80) for card in raw))
    got = facts_from_header(header, "a.fits", (10, 10), "uint16")
    assert got.kind == "light"
    assert got.exposure == 30.5
    assert "\x00" not in got.target
    assert "\x1b" not in got.filter
    assert any("EXPTIME stands several times" in problem for problem in got.problems)
    assert any("no coordinates" in problem for problem in got.problems)
    assert got.pointing is None
    assert got.binning == (1, 1)


def test_floats_of_programs_that_write_0_to_1():
    assert (
        facts(dtype="float32", IMAGETYP="Master Dark", EXPTIME=1.0, PROGRAM="PixInsight").adu_per_unit
        == 65535.0
    )
    assert (
        facts(dtype="uint16", IMAGETYP="Master Dark", EXPTIME=1.0, PROGRAM="PixInsight").adu_per_unit == 1.0
    )
    assert facts(dtype="float32", IMAGETYP="Master Dark", EXPTIME=1.0).adu_per_unit == 1.0


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"DATE_OBS": "2020-01-01T22:01:09.184", "TIMESYS": "TT"}, "2020-01-01T22:00:30"),
        ({"DATE_OBS": "2020-01-01T22:00:37", "TIMESYS": "TAI"}, "2020-01-01T22:00:30"),
        ({"DATE_OBS": "2020-01-01T22:00:18", "TIMESYS": "GPS"}, "2020-01-01T22:00:30"),
        ({"MJD_OBS": 58849.5 + 69.184 / 86400, "TIMESYS": "TT"}, "2020-01-01T12:00:30"),
        ({"DATE_OBS": "2020-01-01T22:00:00Z", "TIMESYS": "TT"}, "2020-01-01T22:00:30"),
        ({"DATE_OBS": "nonsense", "JD": 2458850.0, "TIMESYS": "TT"}, "2020-01-01T12:00:30"),
        ({"DATE_OBS": "1955-01-01T22:00:00", "TIMESYS": "UTC"}, "1955-01-01T22:00:30"),
    ],
)
def test_time_scales_become_utc(cards, expected):
    got = facts(IMAGETYP="Light", EXPTIME=60.0, **cards)
    assert abs((got.time - utc(expected)).total_seconds()) < 1e-5
    assert ("converted" in got.origins["time"]) == (
        got.origins["time"].count("from T") + got.origins["time"].count("from GPS") > 0
    )


def test_an_unknown_time_scale_is_named():
    got = facts(IMAGETYP="Light", EXPTIME=60.0, DATE_OBS="2020-01-01T22:00:00", TIMESYS="MARS")
    assert got.time == utc("2020-01-01T22:00:30")
    assert "TIMESYS = 'MARS' is no time scale that is known; UTC is taken" in got.problems


def test_the_middle_of_a_stack_is_half_way():
    cards = {"IMAGETYP": "Light", "EXPTIME": 60.0, "STACKCNT": 10, "DATE_OBS": "2020-01-01T22:00:00"}
    got = facts(DATE_END="2020-01-01T22:30:00", **cards)
    assert got.time == utc("2020-01-01T22:15:00")
    assert got.origins["time"] == "half-way from DATE-OBS to DATE-END"
    alone = facts(**cards)
    assert any("last of its 10 exposures" in problem for problem in alone.problems)


def test_the_end_tells_the_middle_where_there_is_no_exposure_time():
    got = facts(IMAGETYP="Light", DATE_OBS="2020-01-01T22:00:00", DATE_END="2020-01-01T22:02:00")
    assert got.time == utc("2020-01-01T22:01:00")


def test_an_end_that_cannot_be_is_named():
    cards = {"IMAGETYP": "Light", "EXPTIME": 60.0, "DATE_OBS": "2020-01-01T22:00:00"}
    early = facts(DATE_END="2020-01-01T21:00:00", **cards)
    assert early.time == utc("2020-01-01T22:00:30")
    assert any("before the start" in problem for problem in early.problems)
    short = facts(DATE_END="2020-01-01T22:00:10", **cards)
    assert any("10 s after the start of an exposure of 60 s" in problem for problem in short.problems)
    assert not facts(DATE_END="2020-01-01T22:01:03", **cards).problems


def test_the_site_of_an_option_serves_where_the_header_is_silent():
    header = fits.Header({"IMAGETYP": "Light", "EXPTIME": 1.0, "DATE-OBS": "2020-01-01T22:00:00"})
    got = facts_from_header(header, "a.fits", (4, 4), "uint16", site_else=(28.0, -16.0, 2390.0))
    assert got.site == (28.0, -16.0, 2390.0)
    header["SITELAT"], header["SITELONG"] = 50.0, 8.0
    assert facts_from_header(header, "a.fits", (4, 4), "uint16", site_else=(1.0, 2.0, None)).site[0] == 50.0
