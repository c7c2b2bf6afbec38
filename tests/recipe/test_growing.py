"""A stack that grows by a night is the stack of both nights, at the cost of the new frames."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from small_nights import PLAN, frames, reduce, repaint
from test_resume import killed

from sciastro.recipe.simulated import night_plan, write_night

FIRST = 5


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Nine lights of one band with calibration frames."""
    root = tmp_path_factory.mktemp("nights")
    write_night(night_plan("tiny", PLAN | {"lights": 9, "bands": "G"}), root / "all")
    return root


@pytest.fixture(scope="module")
def whole(root):
    """Both nights at once."""
    return reduce(root / "all", root / "whole", until="photometry")


@pytest.fixture(scope="module")
def nights(root, whole):
    """The same as nights of five and four: the best frames are in the first, so both have one scale."""
    (state,) = whole.out.glob("stacks/1/state.json")
    (kept,) = json.loads(state.read_text())["sets"]
    best = {kept["reference"], kept["images"]["G"]["reference"], kept["images"]["G"]["base"]}
    names = [path.relative_to(root / "all").as_posix() for path in frames(root / "all", "LIGHT")]
    names.sort(key=lambda name: name not in best)
    for night, part in (("one", names[FIRST:]), ("two", names[:FIRST])):
        shutil.copytree(root / "all", root / night)
        for name in part:
            (root / night / name).unlink()
    return root


@pytest.fixture(scope="module")
def first(nights):
    return reduce(nights / "one", nights / "first", until="photometry")


@pytest.fixture
def old(first, tmp_path):
    """A copy of the first night's results that a test may write to; hard links stay links."""
    return Path(shutil.copytree(first.out, tmp_path / "out"))


@pytest.fixture(scope="module")
def grown(nights, first):
    out = nights / "grown"
    shutil.copytree(first.out, out)
    return reduce(nights / "two", out, "--add", until="photometry")


def planes(run):
    (path,) = [one for one in (run.out / "products").glob("*.fits") if "sources" not in one.name]
    with fits.open(path) as hdus:
        return {hdu.name: np.asarray(hdu.data) for hdu in hdus[1:]}, hdus[0].header


def states(out):
    """Return the bytes of everything that makes the old stack."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in (*out.glob("stacks/**/*"), out / "stacks.json")
        if path.is_file()
    }


def test_the_same_image_as_both_nights_together(grown, whole):
    assert grown.code == 0, grown.told
    (mine, header), (theirs, _) = planes(grown), planes(whole)
    assert header["NCOMBINE"] == 9
    sigma = (mine["SCI"] - theirs["SCI"]) / theirs["ERR"]
    known = np.isfinite(sigma)
    assert known.mean() > 0.95
    # Frames are compared within their night, so rejection differs a little.
    assert np.sqrt(np.mean(sigma[known] ** 2)) < 0.3
    assert abs(np.median(sigma[known])) < 0.02
    ratio = mine["ERR"][known] / theirs["ERR"][known]
    assert np.median(ratio) == pytest.approx(1, abs=0.02)
    both = (mine["COVERAGE"] > 0) & (theirs["COVERAGE"] > 0)
    assert np.median(mine["COVERAGE"][both]) == pytest.approx(np.median(theirs["COVERAGE"][both]), rel=0.05)


def test_every_frame_of_both_nights_is_told_once(grown, whole, first):
    rows = [row for row in grown.summary["frames"] if row["type"] == "light"]
    rows.sort(key=lambda row: row["path"])
    assert len(rows) == len({row["path"] for row in rows}) == 9
    assert all(row["used"] for row in rows)
    theirs = [row for row in whole.summary["frames"] if row["type"] == "light"]
    for key in ("weight", "transparency"):
        mine, other = (np.array([row[key] for row in some]) for some in (rows, theirs))
        assert mine / mine.max() == pytest.approx(other / other.max(), rel=0.05)
    (product,), (together,) = grown.summary["products"], whole.summary["products"]
    assert (product["n_frames"], product["exposure_s"]) == (9, together["exposure_s"])
    assert product["zeropoint"]["mag"] == pytest.approx(together["zeropoint"]["mag"], abs=0.01)
    assert (grown.out / "frames-2.h5").exists() and (grown.out / "masters-2").is_dir()
    assert sorted(path.name for path in (grown.out / "stacks").iterdir()) == ["2"]
    assert json.loads((grown.out / "stacks.json").read_text())["generation"] == 2


def test_fluxes_are_unbiased(grown, whole):
    from astropy.table import QTable

    (mine, theirs) = (
        QTable.read(next((run.out / "products").glob("*_sources.ecsv"))) for run in (grown, whole)
    )
    distance = np.hypot(
        mine["x"].value[:, None] - theirs["x"].value, mine["y"].value[:, None] - theirs["y"].value
    )
    i, j = np.nonzero(distance < 0.3)
    bright = theirs["snr"][j] > 50
    ratio = (mine["flux"][i] / theirs["flux"][j])[bright]
    assert bright.sum() >= 10
    assert float(np.median(ratio)) == pytest.approx(1, abs=1e-3)


def test_twice_the_same_night_doubles_nothing(nights, grown, tmp_path):
    out = Path(shutil.copytree(grown.out, tmp_path / "out"))
    before = states(out)
    run = reduce(nights / "two", out, "--add")
    assert run.code == 3
    assert "holds no light that can be added" in run.told and "is in the stack already" in run.told
    assert states(out) == before


@pytest.mark.slow
def test_frames_that_are_in_are_refused_and_the_others_added(nights, old):
    run = reduce(nights / "all", old, "--add")
    assert run.code == 4
    reasons = [row["reason"] for row in run.summary["frames"] if "already" in (row["reason"] or "")]
    assert len(reasons) == FIRST
    assert run.summary["products"][0]["n_frames"] == 9


def test_a_third_night_of_one_frame_with_a_satellite(nights, old, tmp_path, whole):
    """One frame cannot reject within its night: it is compared with the image."""
    night = Path(shutil.copytree(nights / "two", tmp_path / "night"))
    first, *others = frames(night, "LIGHT")
    for path in others:
        path.unlink()
    rows = slice(100, 103)

    def streak(pixels):
        pixels[rows, 20:-20] += 3000
        return pixels

    repaint(first, streak)
    run = reduce(night, old, "--add")
    assert run.summary["products"][0]["n_frames"] == FIRST + 1
    (mine, _), (theirs, _) = planes(run), planes(whole)
    sigma = (mine["SCI"] - theirs["SCI"]) / np.hypot(mine["ERR"], theirs["ERR"])
    assert np.abs(np.nanmedian(sigma[95:110, 40:-40], axis=1)).max() < 0.5


@pytest.mark.parametrize(
    ("module", "name", "count"),
    [
        pytest.param("sciastro.io.store", "RawBlock.write", 2, marks=pytest.mark.slow),
        pytest.param("sciastro.recipe.stages", "grow_band", 1, marks=pytest.mark.slow),
        pytest.param("sciastro.recipe.run", "save_stacks", 1, marks=pytest.mark.slow),
        pytest.param("sciastro.recipe.keepingstacks", "_light_state", 3, marks=pytest.mark.slow),
    ],
)
def test_killed_in_the_middle_leaves_the_old_stack(nights, grown, old, module, name, count):
    before = states(old)
    killed(nights / "two", old, module, name, count, "--add", "--until", "photometry")
    left = states(old)
    assert {name: left.get(name) for name in before} == before
    again = reduce(nights / "two", old, "--add", "--resume", until="photometry")
    assert again.code == 0, again.told
    (mine, _), (theirs, _) = planes(again), planes(grown)
    for key in mine:
        np.testing.assert_array_equal(mine[key], theirs[key])


@pytest.mark.slow
def test_maps_of_the_first_night_do_not_outlive_it(nights, tmp_path):
    options = ("--set", "integrate.stack.maps=true")
    run = reduce(nights / "one", tmp_path / "out", *options)
    assert list((run.out / "products").glob("*_rejection.fits"))
    assert reduce(nights / "two", run.out, "--add").code == 0
    assert not list((run.out / "products").glob("*_rejection.fits"))


def test_nothing_to_add_to(nights, tmp_path):
    run = reduce(nights / "two", tmp_path / "empty", "--add")
    assert run.code == 2 and "--add: needs a finished stack" in run.told


def test_other_options_are_refused(nights, old):
    run = reduce(nights / "two", old, "--add", "--set", "integrate.stack.high=2.5")
    assert run.code == 2 and "integrate.stack.high: is 2.5" in run.told


@pytest.mark.slow
def test_another_target_gets_products_of_its_own(nights, old, tmp_path):
    night = Path(shutil.copytree(nights / "two", tmp_path / "night"))
    for path in frames(night, "LIGHT"):
        fits.setval(path, "OBJECT", value="Another")
    run = reduce(night, old, "--add")
    assert set(run.images.values()) == {FIRST, 4} and len(run.images) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_cluster_adds_the_same(nights, grown, old):
    """Four frames are compared with the old image, in the workers too."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address=":0"
    ) as cluster:
        run = reduce(
            nights / "two", old, "--add", "--scheduler", cluster.scheduler_address, until="photometry"
        )
    assert run.code == 0, run.told
    (mine, _), (theirs, _) = planes(run), planes(grown)
    for key in mine:
        np.testing.assert_array_equal(mine[key], theirs[key])
