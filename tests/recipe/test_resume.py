"""A run may be killed at any moment: `--resume` goes on, and the science is that of an uninterrupted run."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import h5py
import pytest
from small_nights import command, edit, frames, reduce, science

from sciastro.recipe import making, measuring

# Runs the command line and kills itself, without a chance to tidy up, at the n-th call of one function.
KILLER = """
import functools, importlib, os, signal, sys
module, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
owner = importlib.import_module(module)
*parts, name = name.split(".")
for part in parts:
    owner = getattr(owner, part)
original, calls = getattr(owner, name), 0
@functools.wraps(original)
def deadly(*arguments, **options):
    global calls
    calls += 1
    if calls == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)
setattr(owner, name, deadly)
sys.argv[:] = ["sciastro", *sys.argv[4:]]
from sciastro.cli import main
main()
"""


def killed(session, out, module, name, count, *options):
    """Run until the n-th call of a function, then die."""
    done = subprocess.run(
        [sys.executable, "-c", KILLER, module, name, str(count), "reduce", session, "-o", out, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    ("module", "name", "count"),
    [
        pytest.param(
            "sciastro.recipe.journal", "Journal.save", 3, marks=pytest.mark.slow
        ),  # masters: two are made
        ("sciastro.io.paths", "_flush", 4),  # a master is written but not yet in place
        ("sciastro.io.store", "_add_planes", 2),  # in the middle of an update of frames.h5
        pytest.param("sciastro.io.store", "RawBlock.write", 4, marks=pytest.mark.slow),  # pass 1
        pytest.param("sciastro.recipe.stages", "stack_band", 2, marks=pytest.mark.slow),  # pass 2
    ],
)
def test_killed_then_resumed(good_night, good_run, tmp_path, module, name, count):
    out = tmp_path / "out"
    killed(good_night, out, module, name, count)
    run = reduce(good_night, out, "--resume", until="photometry")
    assert run.code == 0
    assert not any("--resume" in text for text in run.summary["warnings"])
    assert science(out) == science(good_run.out)
    assert not (out / ".work").exists()


def test_finished_pieces_are_not_made_again(good_night, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert reduce(good_night, out, until="calibrate").code == 0

    def never(*_, **__):
        raise AssertionError("made again")

    monkeypatch.setattr("sciastro.recipe.making.combine_master", never)
    monkeypatch.setattr("sciastro.recipe.measuring._measure", never)
    assert reduce(good_night, out, "--resume").code == 0


def test_a_store_of_another_run_is_not_taken_over(good_night, good_run, night, tmp_path):
    """Killed before the new store was in place, a run must not go on with the old one."""
    for path in frames(night, "LIGHT"):
        edit(path, OBJECT="Another")
    out = tmp_path / "out"
    reduce(good_night, out)
    killed(night, out, "sciastro.recipe.beginning", "create_store", 1)
    assert reduce(night, out, "--resume").code == 0
    with h5py.File(out / "frames.h5") as file:
        assert {name.decode() for name in file["lights_0/target"][:]} == {"Another"}


def test_an_option_redoes_only_what_depends_on_it(good_night, tmp_path, monkeypatch):
    """Whatever is taken over, the science is that of a run of its own with the same options."""
    made = {"masters": 0, "lights": 0}

    def counted(owner, name, what):
        original = getattr(owner, name)

        def call(*arguments, **options):
            made[what] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    counted(making, "combine_master", "masters")
    counted(measuring, "_measure", "lights")
    cases = (
        (
            "stack.high=2.5",
            (0, 0),
            "stack.high was none and is 2.5. Masters and measured frames are taken",
        ),
        ("stars.threshold=6", (0, 6), "stars.threshold was 5.0 and is 6.0. Masters are taken over"),
        ("masters.high=4", (4, 6), "masters.high was .* and is 4.0. Masters depend on that; starting anew"),
    )
    for number, (change, expected, told) in enumerate(cases):
        out = tmp_path / str(number)
        reduce(good_night, out, until="calibrate")
        made.update(masters=0, lights=0)
        run = reduce(good_night, out, "--resume", "--set", change)
        assert run.code == 0
        assert (made["masters"], made["lights"]) == expected
        assert any(re.search(f"--resume: {told}", text) for text in run.summary["warnings"])
        assert science(out) == science(reduce(good_night, tmp_path / f"own {number}", "--set", change).out)


def test_twice_without_resume(good_night, tmp_path):
    first = science(reduce(good_night, tmp_path / "out").out)
    assert science(reduce(good_night, tmp_path / "out").out) == first


def test_leftovers_of_a_killed_run_are_swept(good_night, tmp_path):
    masters = tmp_path / "out" / "masters"
    masters.mkdir(parents=True)
    (masters / ".dark-60s.0a1b2c3d.part.fits").write_bytes(b"half")
    (masters / ".my.part.fits").write_bytes(b"not ours")
    (masters / "mine.txt").write_text("not ours")
    command("reduce", good_night, "-o", tmp_path / "out", "--until", "ingest")
    assert sorted(path.name for path in masters.iterdir()) == [".my.part.fits", "mine.txt"]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_control_c_tells_how_to_go_on(good_night, tmp_path):
    out = tmp_path / "out"
    code = KILLER.replace("os.kill(os.getpid(), signal.SIGKILL)", "signal.raise_signal(signal.SIGINT)")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            "sciastro.recipe.stages",
            "stack_band",
            "1",
            "reduce",
            good_night,
            "-o",
            out,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130
    assert done.stderr.strip() == "sciastro: stopped. Run the same command with --resume to go on."
    summary = json.loads((out / "summary.json").read_text())
    assert summary["status"] == "failed" and summary["error"] == "stopped by the user"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_killed_at_random_moments(good_night, good_run, tmp_path, seed):
    out, rng = tmp_path / "out", random.Random(seed)
    command = [sys.executable, "-c", "from sciastro.cli import main; main()", "reduce", good_night, "-o", out]
    for extra in ([], ["--resume"]):
        process = subprocess.Popen([*command, *extra], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.5, 5.0))
        process.kill()
        process.wait()
    assert reduce(good_night, out, "--resume", until="photometry").code == 0
    assert science(out) == science(good_run.out)
