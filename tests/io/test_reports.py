"""Reports to the Minor Planet Center: ADES PSV against the schema, 80-column records column by column."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from ades_rules import problems

from sciastro.errors import FileError, OptionError
from sciastro.io.ades import report_ades
from sciastro.io.designations import parse_designation
from sciastro.io.observation80 import parse_line80, report80, write_line80
from sciastro.io.observations import Observation, ReportFacts, band_code, catalog_code

FACTS = ReportFacts(
    station="703", submitter="A. N. Observer", observers=("A. N. Observer", "B. Öther"),
    measurers=("A. N. Observer",), aperture=0.41, design="Reflector", detector="CCD", mode="CCD",
    catalog="Gaia3", focal_ratio=6.3, pixel_scale=1.25, telescope="Big one", comments=("Thin clouds",),
)  # fmt: skip
TIME = datetime(2024, 2, 29, 23, 59, 59, 999_900, tzinfo=UTC)
ONE = Observation(
    designation=parse_designation("2023 AB12"), time=TIME, ra=83.6331, dec=22.0145, ra_err=0.12, dec_err=0.3,
    correlation=-0.2, mag=17.345, mag_err=0.08, band="Rc", exposure=120.0, snr=12.0, seeing=3.1, fit_rms=0.08,
    n_stars=49, rate=0.5, remarks="fine",
)  # fmt: skip


def cells(text):
    lines = [line for line in text.splitlines() if line[:1] not in "#!"]
    names = [name.strip() for name in lines[0].split("|")]
    return [dict(zip(names, [c.strip() for c in line.split("|")], strict=False)) for line in lines[1:]]


def extremes(n, seed):
    """Yield observations of every kind, poles and RA = 0 included."""
    rng = np.random.default_rng(seed)
    names = ("433", "620000", "2023 AB12", "2026 CZ6190", "C/2023 A3", "12P", "73P-C", "P/2010 A2", "sa01")
    for i in range(n):
        edge = rng.random() < 0.3
        yield replace(
            ONE, designation=parse_designation(names[i % len(names)]),
            time=datetime(2024, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(rng.integers(3e13))),
            ra=float(rng.choice([0.0, 1e-10, 359.999999999, 360.0]) if edge else rng.uniform(0, 360)),
            dec=float(rng.choice([-90, 90, -1e-7, 0.0, 89.9999999]) if edge else rng.uniform(-90, 90)),
            ra_err=float(10 ** rng.uniform(-3.5, 2)), dec_err=float(10 ** rng.uniform(-3.5, 2)),
            correlation=float(rng.uniform(-1, 1)), mag=float(rng.choice([np.nan, -1.2, 9.97, 21.4])),
            mag_err=float(10 ** rng.uniform(-3, 0.3)), exposure=float(10 ** rng.uniform(-2, 4.5)),
            rate=float(10 ** rng.uniform(-2, 3)), snr=float(10 ** rng.uniform(0, 4)),
            seeing=float(rng.choice([np.nan, 2.5])), n_stars=int(rng.integers(0, 9999)),
        )  # fmt: skip


@pytest.mark.parametrize("version", ["2022", "2017"])
def test_ades_obeys_the_schema(version):
    text = report_ades(list(extremes(300, 1)), FACTS, version=version)
    assert problems(text) == []
    assert text.startswith(f"# version={version}\n")


def test_ades_says_what_was_measured():
    for one in extremes(200, 2):
        (row,) = cells(report_ades([one], FACTS))
        apart = (float(row["ra"]) - one.ra + 180) % 360 - 180
        assert abs(apart) * 3600 * np.cos(np.deg2rad(one.dec)) <= 0.01 * one.ra_err + 2e-6
        assert abs(float(row["dec"]) - one.dec) * 3600 <= 0.01 * one.dec_err + 2e-6
        moment = datetime.fromisoformat(row["obsTime"])
        assert abs((moment - one.time).total_seconds()) <= 0.0006
        assert float(row["rmsRA"]) == pytest.approx(one.ra_err, rel=0.1, abs=6e-5)
        assert row["stn"] == "703"
        assert row["permID"] + row["provID"] + row["trkSub"] == str(one.designation)
        assert ("mag" in row and row["mag"] != "") == np.isfinite(one.mag)


def test_the_rules_refuse_what_the_schema_refuses():
    good = report_ades([ONE], FACTS)
    assert problems(good) == []
    for old, new in (
        ("! mpcCode 703", "! mpcCode 70"), ("# submitter\n! name A. N. Observer\n", ""), ("|CCD |", "|XXX |"),
        ("! aperture 0.410", "! aperture 0.4100000"), ("! design Reflector\n", ""), ("|Rc  |", "|    |"),
        ("2024-03-01T", "2024-02-30T"), ("2023 AB12", "2023 IB12"), ("22.01450", "92.01450"),
        ("|0.1200|", "|0.0000|"), ("rmsRA |rmsDec", "rmsDec|rmsRA "), ("# version=2022", "# version=2018"),
        ("|Gaia3 |17", "|Gaia3DR3X|17"), ("# telescope", "# telescop"), ("|-0.200 |", "|-1.200 |"),
    ):  # fmt: skip
        assert old in good, old
        assert problems(good.replace(old, new)), (old, new)


def test_ades_passes_the_tools_of_the_iau(tmp_path, monkeypatch):
    convert = pytest.importorskip("ades.psvtoxml", reason="iau-ades is not installed")
    validate = pytest.importorskip("ades.valsubmit", reason="iau-ades is not installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.psv").write_text(report_ades(list(extremes(100, 3)), FACTS), encoding="utf-8")
    convert.psvtoxml("x.psv", "x.xml")
    validate.valsubmit("x.xml")
    assert "submit is OK" in (tmp_path / "valsubmit.file").read_text()


# ---------------------------------------------------------------------------------------- 80 columns
def test_every_column():
    # 22.0145 deg = 22 00 52.2; 83.6331 deg = 5h 34m 31.944s; errors 0.12" (0.01 s is 0.14") and 0.3".
    line = write_line80(ONE, FACTS)
    assert len(line) == 80
    columns = {
        (1, 5): "     ", (6, 12): "K23A12B", (13, 13): " ", (14, 14): " ", (15, 15): "C",
        (16, 32): "2024 03 01.00000 ", (33, 44): "05 34 31.944", (45, 56): "+22 00 52.2 ", (57, 65): " " * 9,
        (66, 70): "17.3 ", (71, 71): "R", (72, 77): " " * 6, (78, 80): "703",
    }  # fmt: skip
    for (first, last), text in columns.items():
        assert line[first - 1 : last] == text, (first, last)


@pytest.mark.parametrize(
    ("error", "ra", "dec"),
    [(0.001, "02 00 00.000", "+00 00 00.00"), (0.1, "02 00 00.000", "+00 00 00.00"),
     (0.2, "02 00 00.00 ", "+00 00 00.1 "), (0.8, "02 00 00.00 ", "+00 00 00.1 "),
     (2.0, "02 00 00.0  ", "+00 00 00   "), (60.0, "02 00 00.0  ", "+00 00 00   ")],
)  # fmt: skip
def test_decimals_follow_the_error(error, ra, dec):
    line = write_line80(
        replace(ONE, ra=30.0, dec=0.1 / 3600 if "1 " in dec else 0.0, ra_err=error, dec_err=error), FACTS
    )
    assert line[32:44] == ra
    assert line[44:56] == dec


def test_carries_never_write_sixty():
    line = write_line80(replace(ONE, ra=359.99999999, dec=-59.99999999, time=TIME), FACTS)
    assert line[15:56] == "2024 03 01.00000 00 00 00.00 -60 00 00.0 "
    assert write_line80(replace(ONE, dec=-0.00012), FACTS)[44:56] == "-00 00 00.4 "


def test_fast_movers_get_a_finer_time():
    # 1e-5 day is 0.864 s: at 30 arcsec / min that is 0.43 arcsec, more than the error of 0.12.
    assert write_line80(replace(ONE, rate=30.0), FACTS)[15:32] == "2024 03 01.000000"


def test_there_and_back_within_the_last_digit():
    for one in extremes(500, 6):
        line = write_line80(one, FACTS)
        got = parse_line80(line)
        assert got.designation == one.designation
        assert got.station == "703"
        assert got.note2 == "C"
        seconds = abs((got.time - one.time).total_seconds())
        assert (
            seconds * one.rate / 60 <= 0.5 * max(min(one.ra_err, one.dec_err), 0.0864 * one.rate / 60) + 1e-6
        )
        cosine = np.cos(np.deg2rad(one.dec))
        apart = ((got.ra - one.ra + 180) % 360 - 180) * 3600
        assert abs(apart) * cosine <= max(0.44 * one.ra_err, 0.0075 * cosine) + 1e-6
        assert abs(got.dec - one.dec) * 3600 <= max(0.44 * one.dec_err, 0.0050001)
        again = replace(one, time=got.time, ra=got.ra, dec=got.dec, mag=got.mag)
        assert write_line80(again, FACTS) == line  # exact once it is written


@pytest.mark.parametrize(
    "spoil",
    [lambda s: s[:79], lambda s: s + " ", lambda s: s[:20] + "x" + s[21:], lambda s: s[:60] + "x" + s[61:],
     lambda s: s.replace("+", " ", 1), lambda s: " " * 12 + s[12:]],
)  # fmt: skip
def test_a_broken_record_is_refused(spoil):
    with pytest.raises((FileError, OptionError)):
        parse_line80(spoil(write_line80(ONE, FACTS)))


def test_the_header_of_records():
    text = report80([ONE], FACTS)
    head = [line for line in text.splitlines() if len(line) != 80]
    assert head == [
        "COD 703", "OBS A. N. Observer, B. Öther", "MEA A. N. Observer",
        "TEL 0.41-m f/6.3 Reflector + CCD", "NET Gaia3", "COM Thin clouds", "NUM 1", "ACK sciastro",
    ]  # fmt: skip


# --------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("change", "said"),
    [({"station": ""}, "mpc_code"), ({"station": "XX"}, "mpc_code"), ({"station": "70|"}, "mpc_code"),
     ({"submitter": " "}, "submitter"), ({"observers": ()}, "observers"),
     ({"measurers": ("a|b",)}, "measurers"),
     ({"aperture": 0.0}, "aperture"), ({"aperture": float("nan")}, "aperture"),
     ({"design": "x" * 26}, "design"),
     ({"mode": "FILM"}, "mode"), ({"catalog": "my stars"}, "catalog"), ({"catalog": ""}, "catalog"),
     ({"comments": ("a\nb",)}, "comment"), ({"focal_ratio": -1.0}, "focal_ratio")],
)  # fmt: skip
@pytest.mark.parametrize("write", [report_ades, report80])
def test_a_report_with_a_missing_fact_is_not_written(change, said, write):
    with pytest.raises(OptionError, match=f"report fact {said}"):
        write([ONE], replace(FACTS, **change))


@pytest.mark.parametrize(
    ("change", "said"),
    [({"ra": float("nan")}, "position"), ({"dec": 91.0}, "position"), ({"ra_err": 0.0}, "errors"),
     ({"dec_err": float("nan")}, "errors"), ({"time": TIME.replace(tzinfo=None)}, "UTC"),
     ({"time": TIME.astimezone(timezone(timedelta(hours=2)))}, "UTC")],
)  # fmt: skip
@pytest.mark.parametrize("write", [report_ades, report80])
def test_an_observation_that_lacks_something_is_not_written(change, said, write):
    with pytest.raises(OptionError, match=said):
        write([replace(ONE, **change)], FACTS)


def test_names_of_catalogs_and_bands():
    assert catalog_code("Gaia DR3 (TAP)") == "Gaia3"
    assert catalog_code("Tyc2") == "Tyc2"
    assert catalog_code("my stars") == ""
    assert band_code("Cousins R") == "Rc"
    assert band_code("instrumental") == ""
