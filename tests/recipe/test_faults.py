"""Faults that no frame is to blame for: a power cut, a second run in the same folder, files that vanish."""

import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest
from small_nights import frames, reduce, science

from sciastro.errors import OutputError
from sciastro.io.lock import locked


def test_pixels_that_never_reached_the_disk_are_read_again(good_night, good_run, tmp_path):
    """What a power cut leaves: the journal says a frame is done, and its pixels are zeros."""
    out = tmp_path / "out"
    assert reduce(good_night, out, until="calibrate").code == 0
    with h5py.File(out / "frames.h5", "r+") as file:
        file["lights_0/raw"][2, 100:150] = 0
    run = reduce(good_night, out, "--resume", until="photometry")
    assert run.code == 0
    assert sum("not whole, so it is read again" in text for text in run.summary["warnings"]) == 1
    assert science(out) == science(good_run.out)


@pytest.mark.parametrize("fault", ["blackened", pytest.param("deleted", marks=pytest.mark.slow)])
def test_frames_that_change_or_vanish_after_pass_1_do_not_matter(
    night, good_run, tmp_path, monkeypatch, fault
):
    """Raw pixels are in the store by then."""
    import sciastro.recipe.stages as module

    original = module.solve_set

    def vanish(*arguments, **options):
        for path in frames(night, "LIGHT"):
            if fault == "deleted":
                path.unlink(missing_ok=True)
            elif path.exists():
                whole = path.read_bytes()
                path.write_bytes(whole[:2880] + bytes(len(whole) - 2880))
        return original(*arguments, **options)

    monkeypatch.setattr(module, "solve_set", vanish)
    run = reduce(night, tmp_path / "out", until="photometry")
    assert run.code == 0, run.told
    assert science(run.out) == science(good_run.out)


def test_two_runs_in_one_folder(good_night, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    code = """
        import sys, time
        from pathlib import Path
        from sciastro.io.lock import locked
        with locked(Path(sys.argv[1])):
            print("locked", flush=True)
            time.sleep(60)
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), out], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "locked\n"
        run = reduce(good_night, out)
        assert run.code == 3
        assert f"is in use by another run (process {holder.pid})" in run.told
        assert not (out / "frames.h5").exists()
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert reduce(good_night, out, until="ingest").code == 0  # the system let go with the process


def test_the_lock_is_released(tmp_path):
    for _ in range(2):
        with locked(tmp_path), pytest.raises(OutputError, match="is in use"), locked(tmp_path):
            pass
    assert np.array_equal(sorted(path.name for path in tmp_path.iterdir()), [".lock"])


def test_linked_raw_pixels_give_the_same_bytes_and_take_no_disk(good_night, good_run, tmp_path):
    run = reduce(good_night, tmp_path / "out", "--raw", "link", until="photometry")
    assert run.code == 0, run.told
    assert science(run.out) == science(good_run.out)
    raw = sum(path.stat().st_size for path in frames(good_night, "LIGHT"))
    saved = (good_run.out / "frames.h5").stat().st_size - (run.out / "frames.h5").stat().st_size
    assert saved > 0.9 * raw
    with h5py.File(run.out / "frames.h5") as file:
        assert "raw" not in file["lights_0"] and file["lights_0/fwhm"].shape == (
            len(frames(good_night, "LIGHT")),
        )


@pytest.mark.parametrize(
    "fault", ["changed", *(pytest.param(one, marks=pytest.mark.slow) for one in ("truncated", "deleted"))]
)
def test_a_linked_file_that_changes_stops_the_run(night, tmp_path, monkeypatch, fault):
    import sciastro.recipe.stages as module

    original, (path, *_) = module.solve_set, frames(night, "LIGHT")

    def spoil(*arguments, **options):
        whole = path.read_bytes()
        if fault == "deleted":
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(whole if fault == "changed" else whole[:60_000])
        return original(*arguments, **options)

    monkeypatch.setattr(module, "solve_set", spoil)
    run = reduce(night, tmp_path / "out", "--raw", "link")
    assert run.code == 3
    assert path.name in run.told and "--raw link" in run.told
    assert not list((run.out / "products").glob("*.fits"))


def test_compressed_frames_cannot_be_linked(night, tmp_path):
    import gzip

    path = frames(night, "LIGHT")[0]
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    run = reduce(night, tmp_path / "out", "--raw", "link")
    assert run.code == 2 and "--raw link: cannot be used" in run.told
