"""Movers of a small night: found where they are, with honest errors, told from what only seems to move."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from ades_rules import problems
from small_nights import command, reduce

from sciastro.astrometry.evenmotion import fit_motion
from sciastro.errors import FileError, MatchError, OptionError
from sciastro.io.observation80 import parse_line80
from sciastro.io.tables import read_table, write_table
from sciastro.recipe import moverfit, movingfield
from sciastro.recipe import movers as movers_module
from sciastro.recipe.moverfiles import time_scale
from sciastro.recipe.moverplaces import Mover, Place
from sciastro.recipe.moverreport import read_facts
from sciastro.recipe.movers import _moves, find_movers, read_summary, time_of
from sciastro.recipe.movingfield import fields_of
from sciastro.recipe.simulated import night_plan, write_night
from sciastro.simulate.night import asteroids_of
from sciastro.simulate.plan import middle_of
from sciastro.simulate.truth import Truth

PLAN = {
    "telescope.focal_length": 150.0, "telescope.aperture": 60.0, "seeing": 12.9, "flip": False,
    "sky.least_density": 0.0, "sky.faintest": 13.5, "lights": 8, "biases": 3, "darks": 3, "flats": 3,
    "bands": "R", "exposure": 60.0, "haze": 0.02, "seed": 5,
}  # fmt: skip
ASTEROIDS = {
    "asteroids.count": 12, "asteroids.bright": 12.0, "asteroids.faint": 14.5, "asteroids.slow": 3.0,
    "asteroids.fast": 18.0, "asteroids.margin": 0.2,
}  # fmt: skip
FACTS = ("--mpc-code", "703", "--observer", "A. N. Observer", "--aperture", 0.06, "--design", "Refractor",
         "--detector", "CCD", "--mode", "CCD", "--star-catalog", "Tyc2")  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("movers")
    write_night(night_plan("tiny", {**PLAN, **ASTEROIDS}), folder / "night")
    return folder, reduce(folder / "night", folder / "out", until="photometry").out


@pytest.fixture(scope="module")
def searched(run):
    folder, out = run
    result = command("movers", out)
    assert result.exit_code == 0, result.output
    return folder, out, result.output


@pytest.fixture
def spoiled(run, tmp_path):
    """A copy of the run whose per-frame facts a test may change."""
    out = tmp_path / "out"
    shutil.copytree(run[1], out)

    def change(**columns):
        with h5py.File(out / "frames.h5", "r+") as file:
            for name, values in columns.items():
                file[f"lights_0/{name}"][...] = values(file[f"lights_0/{name}"][...])
        return out

    return change


def test_asteroids_are_found_where_they_are(run):
    folder, out = run
    said = []
    (found,) = find_movers(out, tell=said.append)
    truth, one = Truth.load(folder / "night"), found.field
    seen = {}
    for k, true in enumerate(asteroids_of(truth.plan)):
        for mover in found.movers:
            off = []
            for place in mover.good:
                when = datetime.fromtimestamp(one.frames[place.frame].time, UTC)
                x, y = one.plane(*true.at(middle_of(truth.plan), when))
                off.append([(place.x - x[0]) / place.err, (place.y - y[0]) / place.err])
            if np.median(np.abs(off)) < 5:
                seen[k] = (mover, np.array(off), true)
    # 13 arcsec stars of an open cluster fill the field: 5 of 12 meet them on too many frames.
    assert len(seen) >= 6
    assert len(found.movers) == len(seen)  # no false one
    assert found.expected_false < 0.2
    pulls = np.concatenate([off for _, off, _ in seen.values()])
    assert 0.7 < np.sqrt(np.mean(pulls**2)) < 1.35
    for mover, _, true in seen.values():
        speed = np.hypot(mover.motion.vx, mover.motion.vy)
        assert abs(speed - true.rate) < 5 * mover.motion.speed_err + 0.002 * true.rate
        assert mover.motion.chi2 < 4 * mover.motion.dof
        # Cousins R of a star with B-V = 0.75 is V - 0.44.
        assert mover.mag == pytest.approx(true.mag - 0.44, abs=0.12 + 4 * mover.mag_err)
        fit, when = mover.together, time_of(one, mover.motion.time)
        x, y = one.plane(*true.at(middle_of(truth.plan), when))
        off = np.array([mover.motion.x - x[0], mover.motion.y - y[0]]) + fit.offset
        assert off @ np.linalg.solve(fit.covariance, off) < 25
    assert "chance makes" in said[-1]


def test_memory_bounds_what_is_kept_and_changes_nothing(run, monkeypatch):
    _, out = run
    (kept,) = find_movers(out)
    assert all(look.planes is not None for look in kept.field.looks)
    said = iter([0])  # only the first frame finds memory
    monkeypatch.setattr(movingfield, "resident_memory", lambda: next(said, 10**12))
    (again,) = find_movers(out)
    assert all(look.planes is None for look in again.field.looks)
    places = [[(place.x, place.y, place.err) for place in one.places] for one in kept.movers]
    assert [[(place.x, place.y, place.err) for place in one.places] for one in again.movers] == places
    with pytest.raises(OptionError, match=r"--memory .*: is 0.3 GB, and a frame of .* Give at least 1"):
        find_movers(out, memory=300_000_000)


def test_tables_and_pictures(searched):
    _, out, told = searched
    movers, places = (read_table(out / f"products/{n}.ecsv") for n in ("movers", "movers_positions"))
    assert len(movers) >= 5
    assert len(set(movers["name"])) == len(movers)
    assert set(places["name"]) == set(movers["name"])
    assert str(movers["rate"].unit) == "arcsec / min"
    for name in movers["name"]:
        assert (out / f"renders/Tiny_{name}.png").stat().st_size > 500
        assert str(name) in told
    assert movers.meta["time_scale"] == "UTC"


def test_ades_report(searched, tmp_path):
    _, out, _ = searched
    result = command("movers", out, "--no-again", "--report", "ades", "-o", tmp_path / "r.psv", *FACTS)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "r.psv").read_text()
    assert problems(text) == []
    places = read_table(out / "products/movers_positions.ecsv")
    rows = text[text.index("permID") :].splitlines()[1:]
    used = np.flatnonzero(places["used"])
    assert len(rows) == used.size
    for row, k in zip(rows, used, strict=True):
        assert float(row.split("|")[6]) == pytest.approx(float(places["ra"][k]), abs=1e-6)
        assert row.split("|")[2].strip() == places["name"][k]


def test_a_star_beneath_is_told_in_tables_and_reports(searched, tmp_path):
    _, out, _ = searched
    movers = read_table(out / "products/movers.ecsv")
    assert "star_beneath" in movers.colnames and np.all(movers["star_beneath"] >= 0)
    (tmp_path / "products").mkdir()
    movers["star_beneath"] = np.where(np.arange(len(movers)) == 0, 0.4, 0.0)
    write_table(tmp_path / "products/movers.ecsv", movers)
    shutil.copy(out / "products/movers_positions.ecsv", tmp_path / "products")
    for kind in ("ades", "mpc80"):
        output = ("-o", tmp_path / kind, "--stacked")
        assert command("movers", tmp_path, "--no-again", "--report", kind, *output, *FACTS).exit_code == 0
    text = (tmp_path / "ades").read_text()
    assert problems(text) == []
    first, second = text[text.index("permID") :].splitlines()[1:3]
    assert "|I" in first and "a star of 0.4 times its light lies under its way" in first
    assert "|I" not in second and "lies under" not in second
    records = [line for line in (tmp_path / "mpc80").read_text().splitlines() if len(line) == 80]
    assert [line[13] for line in records] == ["I", *" " * (len(movers) - 1)]


def test_records_report_of_one_object_from_all_frames(searched, tmp_path):
    _, out, _ = searched
    result = command(
        "movers", out, "--no-again", "--report", "mpc80", "-o", tmp_path / "r.txt", "--object",
        "M001=2023 AB12", "--stacked", *FACTS,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = parse_line80((tmp_path / "r.txt").read_text().splitlines()[-1])
    movers = read_table(out / "products/movers.ecsv")
    assert record.designation.provisional == "2023 AB12"
    assert record.ra == pytest.approx(float(movers["ra"][0]), abs=2e-5)
    assert record.band == "R"


@pytest.mark.parametrize(
    ("change", "said"),
    [({"--mpc-code": None}, "lack mpc_code"), ({"--mode": "XYZ"}, "report fact mode"),
     ({"--star-catalog": None}, "lack catalog. The run's star catalog is 'sciastro stars 1'"),
     ({"--object": "M001=12345678901234"}, "designation"), ({"--object": "M999=433"}, "names 'M999'"),
     ({"--object": "M001"}, "Write NAME=DESIGNATION"),
     ({"--aperture": None, "--observer": None}, "lack observers")],
)  # fmt: skip
def test_reports_that_are_refused(searched, tmp_path, change, said):
    _, out, _ = searched
    options = dict(zip(FACTS[::2], FACTS[1::2], strict=True)) | change
    plain = [part for key, value in options.items() if value is not None for part in (key, value)]
    result = command("movers", out, "--no-again", "--report", "ades", "-o", tmp_path / "r.psv", *plain)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not (tmp_path / "r.psv").exists()


@pytest.mark.parametrize("words", [(), ("--orbits", "nothing.txt"), ("--site", "here")])
def test_what_a_report_alone_cannot_use_is_refused(searched, words):
    _, out, _ = searched
    assert command("movers", out, "--no-again", *words).exit_code == 2


def test_stars_of_large_errors_give_a_zero_point_too(searched, monkeypatch):
    _, out, _ = searched
    monkeypatch.setattr(moverfit, "BRIGHT", np.inf)
    movers = [mover for field in find_movers(out) for mover in field.movers]
    assert movers
    assert np.isfinite([mover.mag for mover in movers]).all()


def test_times_of_an_unknown_zone_are_not_reported(searched, tmp_path):
    _, out, _ = searched
    copy = tmp_path / "out"
    (copy / "products").mkdir(parents=True)
    for name in ("movers", "movers_positions"):
        text = (out / f"products/{name}.ecsv").read_text()
        (copy / f"products/{name}.ecsv").write_text(text.replace("time_scale: UTC", "time_scale: unknown"))
    result = command("movers", copy, "--no-again", "--report", "ades", "-o", tmp_path / "r.psv", *FACTS)
    assert result.exit_code == 2
    assert "is 'unknown', and reports need UTC" in " ".join(result.stderr.split())
    (copy / "summary.json").write_text("{}")
    assert time_scale(copy) == "UTC"
    (copy / "stacks/1").mkdir(parents=True)
    (copy / "stacks/1/state.json").write_text('{"problems": ["names no time zone; the camera\'s clock ..."]}')
    assert time_scale(copy) == "unknown"
    (copy / "stacks/1/state.json").write_bytes(b"\xff\xfe")  # nobody knows what it says
    assert time_scale(copy) == "unknown"
    assert time_scale(out) == "UTC"


def test_widths_and_errors_have_the_scale_of_the_frames(run):
    _, out = run
    summary = read_summary(out)
    (plain,) = fields_of(out, summary)
    for row in summary["products"]:
        row["wcs"]["scale_arcsec_px"] /= 2  # as after drizzling onto pixels of half the size
    (fine,) = fields_of(out, summary)
    assert (
        fine.scale
        == plain.scale
        == pytest.approx(2 * summary["products"][0]["wcs"]["scale_arcsec_px"], rel=1e-3)
    )


def test_fields_of_different_star_catalogs_are_not_mixed(searched, tmp_path):
    _, out, _ = searched
    copy = tmp_path / "copy"
    (copy / "products").mkdir(parents=True)
    movers, places = (read_table(out / f"products/{name}.ecsv") for name in ("movers", "movers_positions"))
    movers.meta["fields"].append({**movers.meta["fields"][0], "target": "Other", "catalog": "Gaia DR3"})
    other = movers["name"] == movers["name"][1]
    movers["target"] = np.where(other, "Other", movers["target"])
    places["target"] = np.where(places["name"] == movers["name"][1], "Other", places["target"])
    write_table(copy / "products/movers.ecsv", movers)
    write_table(copy / "products/movers_positions.ecsv", places)
    words = ("movers", copy, "--no-again", "--report", "ades", "-o", tmp_path / "r.psv", *FACTS[:-2])
    mixed = command(*words)
    assert mixed.exit_code == 2
    assert "star catalog of the movers: differs between the fields" in " ".join(mixed.stderr.split())
    alone = command(*words, "--object", f"{movers['name'][1]}=2023 AB12")
    assert alone.exit_code == 0, alone.output
    assert "|Gaia3 " in (tmp_path / "r.psv").read_text()


def test_facts_of_a_file(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text('mpc_code = "703"\nobservers = ["A", "B"]\naperture = 0.4\n', encoding="utf-8")
    facts = read_facts(path, {"aperture": 0.5, "design": None})
    assert facts == {"mpc_code": "703", "observers": ["A", "B"], "aperture": 0.5}
    with pytest.raises(OptionError, match="report fact apertur"):
        read_facts(None, {"apertur": 1.0})
    path.write_text("mpc_code = ", encoding="utf-8")
    with pytest.raises(FileError, match="cannot be read as TOML"):
        read_facts(path, {})


# --------------------------------------------------------------------------------------- bad input
def test_two_frames_are_too_few(spoiled):
    out = spoiled(use=lambda v: np.where(np.arange(v.size) < 2, v, 0))
    with pytest.raises(
        MatchError, match=r"has 2 frames in which motion can be seen, and 3 are needed \(6 the run"
    ):
        find_movers(out)


def test_frames_without_times(spoiled):
    out = spoiled(time=lambda v: np.full_like(v, np.iinfo(np.int64).min))
    with pytest.raises(MatchError, match="8 has no time of observation"):
        find_movers(out)


def test_frames_that_all_have_the_same_time(spoiled):
    out = spoiled(time=lambda v: np.full_like(v, v[0]))
    with pytest.raises(MatchError, match="8 frames at 1 different time, and 3 are needed"):
        find_movers(out)


def test_frames_without_world_coordinates(spoiled):
    out = spoiled(wcs=lambda v: np.array([""] * len(v), dtype=object))
    with pytest.raises(MatchError, match="8 has no world coordinates"):
        find_movers(out)


def test_times_that_go_backwards_are_told(spoiled):
    said = []
    out = spoiled(time=lambda v: v[::-1].copy())
    find_movers(out, tell=said.append)
    assert "times do not follow the names of the files" in said[0]


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(FileError, match="is no summary of a run: there is no such file") as told:
        find_movers(tmp_path)
    assert "Errno" not in str(told.value)
    with pytest.raises(FileError, match=r"away: is no folder\."):
        find_movers(tmp_path / "away")
    (tmp_path / "summary.json").write_text(json.dumps({"products": []}))
    with pytest.raises(FileError, match="holds no image with sources"):
        find_movers(tmp_path)
    result = command("movers", tmp_path)
    assert result.exit_code == 3
    result = command("movers", tmp_path, "--report", "ades")
    assert result.exit_code == 2
    assert "needs a file" in result.stderr


def test_a_night_without_movers_has_none(tmp_path):
    write_night(night_plan("tiny", PLAN), tmp_path / "night")
    out = reduce(tmp_path / "night", tmp_path / "out", until="photometry").out
    result = command("movers", out)
    assert result.exit_code == 0, result.output
    assert "0 movers in 8 frames" in result.output
    assert len(read_table(out / "products/movers.ecsv")) == 0
    report = command("movers", out, "--no-again", "--report", "ades", "-o", tmp_path / "r.psv", *FACTS)
    assert report.exit_code == 2
    assert "holds no mover to report" in " ".join(report.stderr.split())


@pytest.mark.parametrize(("drift", "moves"), [(0.0, False), (3.0, True)])
def test_what_stays_at_a_pixel_while_the_sky_moves_is_no_mover(drift, moves):
    # On six frames the sky passes by 3 pixels (of 2 arcsec) per minute; a hot pixel stays where it is.
    minutes = np.arange(6.0)
    frame = SimpleNamespace(side=1.0)
    one = SimpleNamespace(target="T", scale=2.0, frames=[frame] * 6, looks=[SimpleNamespace(frame=frame)] * 6)
    places = tuple(
        Place(
            frame=k, pixel=(100.0 + drift * k, 50.0), x=6.0 * k, y=0.0, err=0.2, ellipse=(0.04, 0.04, 0.0),
            rate=1.0, snr=20.0, mag=15.0, mag_err=0.05, blended=False,
        )
        for k in range(6)
    )  # fmt: skip
    motion = fit_motion(minutes, 6.0 * minutes, np.zeros(6), np.full(6, 0.2))
    mover = Mover(
        places=places, motion=motion, together=None, at=(0.0, 0.0, 0.0), mag=15.0, mag_err=0.05, slow=False,
        expected_false=0.0,
    )  # fmt: skip
    said = []
    assert _moves(one, mover, minutes, 5.0, said.append) is moves
    assert moves or "stays at pixel 100, 50 of the sensor" in said[0]


def test_movers_of_frames_with_too_many_sightings_are_doubted(searched, monkeypatch):
    _, out, _ = searched
    real, said = movers_module.link, []
    monkeypatch.setattr(movers_module, "link", lambda *words: replace(real(*words), bounded=True))
    find_movers(out, tell=said.append)
    assert any("look at the picture of each" in line for line in said)


def test_stars_are_taken_off_by_the_stack_of_the_frames_own_filter(run, monkeypatch):
    _, out = run
    (one,) = fields_of(out, read_summary(out))
    opened = []
    monkeypatch.setattr(movingfield, "open_template", lambda _, row: opened.append(row["image"]) or row)
    deep, few = dict(one.product, image="deep", n_frames=9), dict(one.product, image="few", n_frames=4)
    one.product, one.rows = deep, {"R": deep, "B": dict(deep, image="blue", n_frames=5), "G": few}
    one.frames = [replace(one.frames[i], band=band) for i, band in enumerate("RBGR")]
    found = movingfield._templates(one)
    assert {band: row["image"] for band, row in found.items()} == {"R": "deep", "B": "blue", "G": "deep"}
    assert opened == ["deep", "blue"]


@pytest.mark.slow
def test_the_filaments_of_a_nebula_in_three_filters_are_no_movers(tmp_path):
    write_night(night_plan("demo", {}), tmp_path / "night")
    out = reduce(tmp_path / "night", tmp_path / "out", until="photometry").out
    found = find_movers(out, tell=lambda text: None)
    # none moves; 20 when the stars of the deepest filter were taken off all frames, 2 by their own
    assert sum(len(one.movers) for one in found) <= 4
