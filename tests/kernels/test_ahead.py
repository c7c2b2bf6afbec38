"""Kernels that helpers compile: the plan's words, the locks, and helpers that end."""

import errno
import subprocess
import sys
import time

import numpy as np
import pytest
from numba import njit, types

from sciastro.kernels import ahead, remembering
from sciastro.kernels.planned import PLANNED, STAGES, planned_until, types_of

HOLD = """
import sys
from pathlib import Path
from sciastro.kernels.ahead import Locks
locks = Locks(Path(sys.argv[1]))
print(locks.take(int(sys.argv[2])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """A lock file, place 3 of which another process holds."""
    path = tmp_path / "locks"
    command = [sys.executable, "-c", HOLD, str(path), "3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        yield path, process
        process.kill()


def test_types_are_read_as_they_are_written():
    assert types_of("u2:2 i4:2r f8:2A f4 b1") == (
        types.Array(types.uint16, 2, "C"),
        types.Array(types.int32, 2, "C", readonly=True),
        types.Array(types.float64, 2, "A"),
        types.float32,
        types.boolean,
    )


def test_every_planned_kernel_exists_and_its_types_can_be_read():
    assert {job.stage for job in PLANNED} <= set(STAGES)
    assert len({(job.name, job.signature) for job in PLANNED}) == len(PLANNED)
    for job in PLANNED:
        assert len(job.types) == job.kernel.py_func.__code__.co_argcount


def test_a_run_until_a_stage_needs_what_comes_before_it():
    names = [job.name for job in planned_until("calibrate", "register")]
    assert "detect.find_peaks" in names
    assert not {"masters.combine_counts", "twopass.two_pass", "warp.warp"} & set(names)
    assert len(planned_until("demo", "report")) == len(PLANNED)


def test_who_holds_a_kernel_is_waited_for_and_may_die(held):
    path, process = held
    locks = ahead.Locks(path)
    assert not locks.take(3)
    assert locks.take(4)
    process.kill()
    with locks.waited(3):
        assert process.wait(10) is not None
    locks.close()


def test_a_helper_that_hangs_holds_up_a_run_for_a_while_only(held, monkeypatch):
    monkeypatch.setattr(ahead, "LONGEST", 0.1)
    locks, begin = ahead.Locks(held[0]), time.monotonic()
    with locks.waited(3):
        assert 0.1 <= time.monotonic() - begin < 5
    locks.close()


def test_where_there_are_no_locks_nothing_is_shared(monkeypatch, tmp_path):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    assert ahead.lock_file() is not None
    monkeypatch.setattr(ahead.fcntl, "lockf", no_locks)
    assert ahead.lock_file() is None
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError):
        ahead.Locks(tmp_path / "nowhere" / "locks")


def test_a_helper_ends_with_its_input(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    command = [sys.executable, "-m", "sciastro.kernels.ahead", str(tmp_path / "locks")]
    command += ["integrate", "integrate", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        time.sleep(1.0)  # it loads Numba, or compiles
        begin = time.monotonic()
        process.communicate(timeout=30)
        assert time.monotonic() - begin < 15  # all of it takes 20 s of processor time
        assert process.returncode == 0


def test_remembered_answers_are_those_of_numba():
    def work(x, n):
        total = np.float32(0)
        for i in range(n):
            total += x[i] / x[n - 1 - i] if x[i] > x[0] else x[i] * n
        return total, n // 3, n / 3, -n

    plain = njit(error_model="numpy")(work)
    x = np.random.default_rng(3).normal(size=50).astype(np.float32)
    expected = plain(x, 50)
    before = remembering.BaseFunction.get_call_type
    with remembering.remembering():
        assert remembering.BaseFunction.get_call_type is not before
        again = njit(error_model="numpy")(work)
        assert again(x, 50) == expected
    assert remembering.BaseFunction.get_call_type is before
    assert again.nopython_signatures == plain.nopython_signatures


def test_what_a_division_by_zero_gives_is_not_remembered_for_others():
    def ratio(x, y):
        return x / y

    with remembering.remembering():
        quiet, loud = (njit(error_model=model)(ratio) for model in ("numpy", "python"))
        for _ in range(2):
            assert quiet(1, 0) == np.inf
            with pytest.raises(ZeroDivisionError):
                loud(1, 0)


def test_with_an_unknown_numba_nothing_is_changed(monkeypatch):
    monkeypatch.setattr(remembering, "numba_is_known", lambda: False)
    before = remembering.BaseFunction.get_call_type
    with remembering.remembering():
        assert remembering.BaseFunction.get_call_type is before
