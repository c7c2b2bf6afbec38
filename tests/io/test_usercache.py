"""What is made once for a user: one process at a time makes it."""

import multiprocessing
import os
import signal
import sys
import time

import numpy as np
import pytest

from sciastro.io.usercache import keep_arrays, kept_arrays, one_at_a_time

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no locks of this kind there")


def make(folder, log, seconds):
    """Make what is not there, as the index of the sky is made; note that it was made."""
    os.environ["SCIASTRO_CACHE"] = str(folder)
    with one_at_a_time("thing"):
        if kept_arrays("thing", ("a",)) is None:
            with (folder / "log").open("a") as file:
                file.write(f"{log}\n")
            time.sleep(seconds)
            keep_arrays("thing", {"a": np.arange(5)})


def started(*what):
    process = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn").Process(
        target=make, args=what
    )
    process.start()
    return process


def noted(folder, word, seconds=20.0):
    """Wait until `word` is in the log."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (folder / "log").exists() and word in (folder / "log").read_text():
            return
        time.sleep(0.02)
    raise AssertionError(f"{word} never began")


def test_the_second_process_waits_and_uses_what_the_first_made(tmp_path):
    first = started(tmp_path, "first", 1.0)
    noted(tmp_path, "first")
    second = started(tmp_path, "second", 1.0)
    for process in (first, second):
        process.join(30)
        assert process.exitcode == 0
    assert (tmp_path / "log").read_text().split() == ["first"]


def test_a_maker_that_is_killed_leaves_no_lock(tmp_path):
    first = started(tmp_path, "first", 60.0)
    noted(tmp_path, "first")
    os.kill(first.pid, signal.SIGKILL)
    first.join(30)
    second = started(tmp_path, "second", 0.0)
    second.join(30)
    assert second.exitcode == 0
    assert (tmp_path / "log").read_text().split() == ["first", "second"]


def test_waiting_ends_and_a_folder_that_cannot_be_written_holds_nothing(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path))
    begin = time.monotonic()
    with one_at_a_time("thing"), one_at_a_time("thing", longest=0.3):
        assert 0.3 <= time.monotonic() - begin < 10
    assert "another process is making thing" in caplog.text
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path / "file"))
    with one_at_a_time("thing"):
        pass


def test_keeping_removes_the_forerunners_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path))
    others = ["quads-0123456789abcdef", "quads", "words-0123456789ab", ".quads-0123456789ab-new", "notes"]
    for name in ["quads-0123456789ab", "quads-aaaaaaaaaaaa", ".quads-0123456789ab-old", *others]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.npy").write_bytes(b"x")
    (tmp_path / ".quads-0123456789ab.lock").touch()
    os.utime(tmp_path / ".quads-0123456789ab-old", (1e9, 1e9))
    keep_arrays("quads-bbbbbbbbbbbb", {"a": np.arange(5)})
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"quads-bbbbbbbbbbbb", ".quads-0123456789ab.lock", *others}
    assert kept_arrays("quads-bbbbbbbbbbbb", ("a",))["a"].tolist() == [0, 1, 2, 3, 4]
