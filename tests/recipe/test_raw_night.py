"""A night of camera raw gives what the same pixels give as FITS, to the last bit."""

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from camera_files import as_dng, color_night
from small_nights import reduce

import sciastro
from sciastro.simulate.camera import XTRANS

pytest.importorskip("rawpy")
OPTIONS = ("--set", "correct.gain=0.7", "--ra", "92.27", "--dec", "24.35")


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    stored = color_night(folder / "fits", **{"camera.rows": 384, "camera.columns": 512})
    return folder, {"fits": stored, "dng": as_dng(stored, folder / "dng")}


def assert_same_products(folder, sessions):
    runs = {name: reduce(session, folder / f"out-{name}", *OPTIONS) for name, session in sessions.items()}
    assert {name: run.code for name, run in runs.items()} == {"fits": 0, "dng": 0}
    assert runs["dng"].images == runs["fits"].images == {("Tiny", band): 3 for band in "RGB"}
    for band in "RGB":
        name = f"products/Tiny_{band}.fits"
        with fits.open(runs["fits"].out / name) as one, fits.open(runs["dng"].out / name) as two:
            for plane in ("SCI", "ERR", "DQ", "COVERAGE"):
                np.testing.assert_array_equal(one[plane].data, two[plane].data)
            assert np.isfinite(two["SCI"].data).mean() > 0.9


def test_dng_gives_what_fits_gives(nights):
    assert_same_products(*nights)


@pytest.mark.slow
def test_xtrans_dng_gives_what_fits_gives(tmp_path):
    size = {"camera.rows": 384, "camera.columns": 510, "camera.cfa": XTRANS}
    stored = color_night(tmp_path / "fits", **size)
    sessions = {"fits": stored, "dng": as_dng(stored, tmp_path / "dng", cfa=XTRANS)}
    assert_same_products(tmp_path, sessions)


def sky_of(run):
    """Sky [electron / s / pixel] of every light, in the order of their times."""
    rows = [row for row in run.summary["frames"] if row["type"] == "light"]
    return np.array([row["sky_e_s"] for row in sorted(rows, key=lambda row: row["time"])])


def test_black_level_stands_in_for_bias_frames(nights, tmp_path):
    # The camera has an offset of its own: told as black level, it leaves the same sky as bias frames.
    _, sessions = nights
    level = float(np.median([fits.getdata(path) for path in sessions["fits"].rglob("BIAS/*.fits")]))
    lone = as_dng(sessions["fits"], tmp_path / "dng", black_level=level)
    for path in [*lone.rglob("bias/*.dng"), *lone.rglob("dark/*.dng")]:
        path.unlink()
    one = reduce(lone, tmp_path / "one", *OPTIONS)
    two = reduce(sessions["fits"], tmp_path / "two", *OPTIONS, "--set", "match.use_darks=false")
    assert (one.code, two.code) == (0, 4)  # the darks of the second are not used, and it says so
    assert level > 100
    np.testing.assert_allclose(sky_of(one), sky_of(two), rtol=2e-3)
    assert "zero level" not in " ".join(one.summary["warnings"])


def test_names_and_formats_of_what_is_kept(nights, tmp_path):
    _, sessions = nights
    run = reduce(sessions["dng"], tmp_path / "out", *OPTIONS, "--keep", "calibrated,xisf")
    assert run.code == 0
    kept = {path.name for path in (run.out / "calibrated").iterdir()}
    assert kept == {f"Tiny_lights_IMG_000{k}_{band}.fits" for k in range(3) for band in "RGB"}
    assert len(list(run.out.glob("products/*.xisf"))) == 3
    for path in sorted(run.out.glob("products/*_?.fits")):
        one, two = (sciastro.open(each).load() for each in (path, path.with_suffix(".xisf")))
        xr.testing.assert_identical(one, two)
