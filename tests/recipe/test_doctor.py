"""The doctor says what is there, what is missing and what to do about it."""

from pathlib import Path

import numpy as np
import pytest
from session_frames import frame, several, write

from sciastro.recipe.doctor import as_text, check_flats, diagnose
from sciastro.recipe.flats import read_rows_of
from sciastro.recipe.matching import plan_masters
from sciastro.recipe.session import Session, scan

DATA = Path(__file__).parents[3] / "shared" / "data"


def look(*sets, **kwargs):
    session = Session(Path("night"), tuple(item for members in sets for item in members), **kwargs)
    return diagnose(session, plan_masters(session))


def codes(diagnosis):
    return {issue.code for issue in diagnosis.issues}


def section(diagnosis, start):
    return next(item for item in diagnosis.sections if item.title.startswith(start))


def complete():
    return (
        several("light", 6, egain=0.5, pointing=(83.8, -5.4), scale=1.0),
        several("bias", 20),
        several("dark", 20),
        several("flat", 20, exposure=2.0),
    )


def test_a_good_session_has_no_complaints():
    diagnosis = look(*complete())
    assert diagnosis.issues == ()
    assert "Nothing to complain about." in as_text(diagnosis)


def test_what_is_there():
    rows = section(look(*complete()), "What is there").rows
    assert [(row[0], row[1], row[3], row[-1]) for row in rows] == [
        ("light", "M 42", "60 s", "6"),
        ("dark", "", "60 s", "20"),
        ("bias", "", "0 s", "20"),
        ("flat", "", "2 s", "20"),
    ]


def test_every_choice_is_told_with_its_candidates():
    diagnosis = look(*complete(), several("dark", 10, gain_setting=200.0))
    needs = {row[2]: (row[3], row[4]) for row in section(diagnosis, "Which master").rows}
    assert needs["dark"][0] == "dark-60s-g100"
    assert needs["bias"][0] == "-"
    assert "holds the bias already" in needs["bias"][1]
    refused = [row for row in section(diagnosis, "What was considered").rows if row[4].startswith("refused")]
    assert [(row[2], row[4]) for row in refused] == [
        ("dark-60s-g200", "refused: another gain (200, not 100)")
    ]
    assert codes(diagnosis) == {"unused-master"}


@pytest.mark.parametrize(
    ("sets", "code", "severity"),
    [
        ((several("light", 6),), "no-dark", "warning"),
        ((several("light", 6),), "no-zero-level", "warning"),
        ((several("light", 6),), "no-flat", "warning"),
        ((several("light", 6),), "no-gain", "note"),
        ((several("light", 6),), "no-pointing", "note"),
        ((several("light", 6),), "no-scale", "note"),
        ((several("light", 6, time=None),), "no-time", "note"),
        ((several("light", 1),), "one-light", "warning"),
        ((several("light", 3),), "few-lights", "note"),
        ((several("light"), several("light", gain_setting=1.0)), "mixed-gain", "note"),
        ((several("light"), several("light", binning=(2, 2))), "mixed-binning", "warning"),
        ((several("light"), several("light", shape=(9, 9))), "mixed-size", "warning"),
        ((several("light", 6), several("bias", 3)), "few-calibration-frames", "note"),
        ((several("light", 6), several("dark", exposure=80.0)), "dark-as-is", "warning"),
        ((several("light", 6), several("flat", 20)), "flat-not-calibrated", "warning"),
        ((several("light", 6, calibrated="D"),), "already-calibrated", "warning"),
        ((several("light", 6, pedestal=500.0),), "pedestal", "note"),
        ((several("dark", 6),), "no-lights", "error"),
    ],
)
def test_issues(sets, code, severity):
    issues = {issue.code: issue for issue in look(*sets).issues}
    assert code in issues
    assert issues[code].severity == severity
    assert issues[code].message


def test_two_targets_of_one_name():
    far = several("light", pointing=(10.0, 41.0), scale=1.0)
    near = several("light", pointing=(83.8, -5.4), scale=1.0)
    told = next(issue for issue in look(near, far).issues if issue.code == "mosaic")
    assert told.severity == "warning"
    assert "canvas.largest=40" in told.message
    assert "mosaic" not in codes(look(near, near))


def test_the_worst_comes_first_and_costs_are_named():
    diagnosis = look(several("light", 1), skipped=(("x.fits", "is empty."),))
    order = [issue.severity for issue in diagnosis.issues]
    assert order == sorted(order, key=("error", "warning", "note").index)
    assert "skipped-files" in codes(diagnosis)
    text = as_text(diagnosis)
    assert "x.fits" in text
    assert "Vignetting" in text
    assert max(len(line) for line in text.splitlines()) <= 140


def test_problems_are_counted_once():
    frames = [frame("light", problems=("names no time of observation",)) for _ in range(7)]
    (row,) = section(look(frames), "What is odd").rows
    assert row[:2] == ("7", "names no time of observation")


# ---------------------------------------------------------------------------------------------- flats
def flat_session(tmp_path, levels):
    for number, pixels in enumerate(levels):
        from astropy.io import fits

        path = write(tmp_path / f"flat_{number}.fits", IMAGETYP="Flat", EXPTIME=1.0)
        fits.writeto(path, pixels, fits.getheader(path), overwrite=True)
    rng = np.random.default_rng(5)
    for number in range(3):
        path = write(tmp_path / f"bias_{number}.fits", IMAGETYP="Bias", EXPTIME=0.0)
        pixels = rng.normal(500, 5, (60, 80)).astype(np.uint16)
        fits.writeto(path, pixels, fits.getheader(path), overwrite=True)
    return scan(tmp_path)


def test_flats_are_judged_by_a_few_rows(tmp_path):
    rng = np.random.default_rng(4)

    def shaded(level):
        x = np.linspace(-1, 1, 80)
        return rng.poisson(level * (1 - 0.2 * x**2) * np.ones((60, 1))).astype(np.uint16)

    piled = np.minimum(shaded(30000), 30000)
    levels = [
        shaded(30000),
        np.full((60, 80), 65535, np.uint16),
        shaded(500),
        shaded(12000),
        shaded(50000),
        piled,
    ]
    session = flat_session(tmp_path, levels)
    read = []

    def read_rows(item, first, last):
        read.append((item.path, last - first))
        return read_rows_of(session)(item, first, last)

    got = check_flats(session, read_rows)
    assert [item.verdict for item in got] == ["good", "saturated", "black", "low", "high", "saturated"]
    assert [item.usable for item in got] == [True, False, False, True, True, False]
    assert sum(count for path, count in read if path == "flat_0.fits") == 18
    issues = diagnose(session, plan_masters(session), got)
    assert {"flat-saturated", "flat-black", "flat-low", "flat-high"} <= codes(issues)
    assert issues.issues[0].severity == "error"


def test_unreadable_flats(tmp_path):
    session = flat_session(tmp_path, [np.full((60, 80), 30000, np.uint16)])
    (tmp_path / "flat_0.fits").write_bytes(b"gone")
    (got,) = check_flats(session, read_rows_of(session))
    assert got.verdict == "unreadable"
    assert not got.usable


@pytest.mark.parametrize(
    "name", ["calib_arcsat_m13", "osc_seestar_m94", "stack_m13_orion", "detector_qsi683"]
)
def test_real_sessions_can_be_told(name):
    if not (DATA / name).is_dir():
        pytest.skip("no real data beside the repository")
    session = scan(DATA / name)
    flats = check_flats(session, read_rows_of(session))
    assert all(item.usable for item in flats)
    text = as_text(diagnose(session, plan_masters(session), flats))
    assert "What is there" in text
    expected = {
        "calib_arcsat_m13": "Scaled by 0.75 (60 s light / 80 s dark)",
        "osc_seestar_m94": "The session holds no dark frames.",
        "stack_m13_orion": "it is already calibrated",
        "detector_qsi683": "There are no lights",
    }
    assert expected[name] in text
