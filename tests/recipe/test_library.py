"""Masters of a library serve sessions that have none of their own."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from small_nights import edit, frames, reduce


@pytest.fixture(scope="module")
def library(good_night, tmp_path_factory):
    """The masters of the good night."""
    root = tmp_path_factory.mktemp("library")
    (root / "masters").mkdir()
    run = reduce(good_night, root / "out", "--library", root / "masters", "--library-add", until="calibrate")
    assert run.code == 0
    return root / "masters"


@pytest.fixture
def lights_only(night):
    for kind in ("DARK", "BIAS", "FLAT"):
        for path in frames(night, kind):
            path.unlink()
    return night


def test_lights_and_a_library_give_the_same_image(lights_only, library, good_run, tmp_path):
    run = reduce(lights_only, tmp_path / "out", "--library", library)
    assert run.code == 0, run.told
    for path in (run.out / "products").glob("*.fits"):
        with fits.open(path) as mine, fits.open(good_run.out / "products" / path.name) as theirs:
            np.testing.assert_allclose(mine["SCI"].data, theirs["SCI"].data, rtol=1e-4, atol=1e-4)
            # A pair of bias frames measures the read noise a little differently from the master.
            np.testing.assert_allclose(mine["ERR"].data, theirs["ERR"].data, rtol=0.01)
    rows = {row["id"]: row["matched_by"] for row in run.summary["masters"]}
    assert rows["dark-60s"].startswith(f"Taken from {library}") and "L1: Same settings" in rows["dark-60s"]


def test_masters_of_other_settings_are_not_taken(lights_only, library, tmp_path):
    for path in frames(lights_only, "LIGHT"):
        edit(path, GAIN=300)
    run = reduce(lights_only, tmp_path / "out", "--library", library)
    assert run.summary["masters"] == []
    assert any(text.startswith("no darks") for text in run.summary["warnings"])
    (told,) = (text for text in run.summary["warnings"] if text.startswith("--library"))
    assert "none of its 4 masters fits these lights: another gain (100, not 300)" in told


@pytest.mark.slow
def test_nothing_in_a_library_is_overwritten(good_night, library, tmp_path):
    before = {path.name: path.stat().st_mtime_ns for path in library.iterdir()}
    assert sorted(name.split("_")[0] for name in before) == ["bias", "dark-60s", "flat-G", "flat-R"]
    again = Path(shutil.copytree(library, tmp_path / "library"))
    kept = {path.name: path.stat().st_ino for path in again.iterdir()}
    assert (
        reduce(good_night, tmp_path / "out", "--library", again, "--library-add", until="calibrate").code == 0
    )
    assert {path.name: path.stat().st_ino for path in again.iterdir()} == kept


def test_an_empty_library_is_a_beginning(good_night, tmp_path):
    (tmp_path / "library").mkdir()
    assert reduce(good_night, tmp_path / "out", "--library", tmp_path / "library", until="ingest").code == 0
    run = reduce(good_night, tmp_path / "out", "--library-add", until="ingest")
    assert run.code == 2 and "--library-add: is given without --library" in run.told
