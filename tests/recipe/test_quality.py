"""The table of measures of a run, and trying a selection on it."""

import numpy as np
import pytest
from small_nights import command, frames, make_night, reduce

from sciastro.integrate.select import MEASURES, selection
from sciastro.io.tables import read_table


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quality")
    session = make_night(folder / "session")
    return session, reduce(
        session, folder / "out", "--set", "grade.select=best 66 % by fwhm", until="register"
    )


def test_every_light_has_its_measures(run):
    session, outcome = run
    table = read_table(outcome.out / "quality.ecsv")
    assert len(table) == len(frames(session, "LIGHT")) == 6
    for name in MEASURES:
        assert np.isfinite(np.asarray(table[name], dtype=float)).all(), name
    assert str(table["fwhm"].unit) == "pix" and str(table["sky"].unit) == "electron / s"
    for band in ("G", "R"):
        group = table[table["band"] == band]
        assert group["used"].sum() == 2
        (left,) = group[~np.asarray(group["used"], dtype=bool)]
        assert left["reason"].startswith("not selected: rank(fwhm) = ")
        assert left["fwhm"] == group["fwhm"].max()
        assert group["psf_signal"].max() == 1.0
    rows = {row["path"]: row for row in outcome.summary["frames"]}
    for row in table:
        assert rows[row["path"]]["used"] == row["used"]
        assert rows[row["path"]]["fwhm_px"] == pytest.approx(row["fwhm"])


def test_a_selection_is_tried_without_stacking(run):
    _, outcome = run
    before = sorted(path.name for path in outcome.out.rglob("*"))
    result = command("select", outcome.out, "n_stars > 5 and airmass < 9")
    assert result.exit_code == 0
    assert result.stdout.count(" kept\n") == 6  # the frame that the run did not select comes back
    assert "keeps 3 of 3 frames, 100 % of the exposure" in result.stdout
    strict = command("select", outcome.out, "fwhm < 0.99 * max(fwhm)")
    assert "OUT: fwhm = " in strict.stdout
    assert sorted(path.name for path in outcome.out.rglob("*")) == before


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_selection_is_drawn(run, tmp_path, suffix):
    _, outcome = run
    picture = tmp_path / "new" / f"tried.{suffix}"
    words = "fwhm < 0.99 * max(fwhm) and 0.5 < transparency"
    result = command("select", outcome.out, words, "--plot", picture)
    assert result.exit_code == 0 and f"Drawn in {picture}" in result.stdout
    begin = {"png": b"\x89PNG", "svg": b"<?xml"}[suffix]
    assert picture.read_bytes().startswith(begin) and len(list(picture.parent.iterdir())) == 1
    table = read_table(outcome.out / "quality.ecsv")
    measures = {name: np.asarray(table[name], dtype=float) for name in MEASURES}
    limits = {"fwhm": 0.99 * measures["fwhm"].max(), "transparency": 0.5}
    assert selection(words).limits(measures) == pytest.approx(limits)
    assert selection("fwhm < sky").limits(measures) == {}


def test_a_picture_of_no_known_format_is_refused(run, tmp_path):
    _, outcome = run
    wrong = command("select", outcome.out, "fwhm < 3", "--plot", tmp_path / "tried.gif")
    assert wrong.exit_code == 2 and ".png, .svg, .pdf" in wrong.stderr and not list(tmp_path.iterdir())


def test_slips_are_told(run, tmp_path):
    _, outcome = run
    wrong = command("select", outcome.out, "fhwm < 3")
    assert wrong.exit_code == 2 and "names 'fhwm'" in wrong.stderr
    assert command("select", tmp_path, "fwhm < 3").exit_code == 3


@pytest.mark.parametrize(
    "setting",
    [
        "stack.scale_reject=bwmv",
        pytest.param("stack.scale=noise", marks=pytest.mark.slow),
        pytest.param("stack.scale=two_sided", marks=pytest.mark.slow),
    ],
)
def test_other_sources_of_scale(run, tmp_path, setting):
    session, _ = run
    outcome = reduce(session, tmp_path / "out", "--set", setting)
    assert outcome.code == 0
    assert set(outcome.images.values()) == {3}


def test_inspect_shows_the_table(run):
    _, outcome = run
    result = command("inspect", outcome.out)
    assert result.exit_code == 0
    assert result.stdout.count("2 of 3 frames used") == 2
    assert result.stdout.count("left out: not selected: rank(fwhm) = ") == 2


def test_fewer_frames_than_asked_for_are_told(run, tmp_path):
    session, _ = run
    done = reduce(session, tmp_path / "out", "--set", "stack.min_frames=9")
    assert done.code == 3 and "no band has 9 frames" in done.told and "stack.min_frames" in done.told
