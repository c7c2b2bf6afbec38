"""What every part of a run shares: stages are timed and end, warnings are told once, sizes are read."""

import logging
import time

import numpy as np
import pytest

from sciastro.errors import OptionError
from sciastro.recipe.context import STAGES, Context, Silent, parse_memory, peak_memory


class Listener:
    def __init__(self):
        self.heard = []

    def start(self, stage, total):
        self.heard.append(("start", stage, total))

    def advance(self, stage, amount=1):
        self.heard.append(("advance", stage, amount))

    def finish(self, stage):
        self.heard.append(("finish", stage))


def context(tmp_path, progress=None):
    return Context(out=tmp_path, workers=2, memory=10**9, progress=progress or Silent())


def test_a_stage_is_timed_and_shown(tmp_path):
    listener = Listener()
    run = context(tmp_path, listener)
    with run.stage("masters", 3):
        run.progress.advance("masters")
        time.sleep(0.02)
    assert listener.heard == [("start", "masters", 3), ("advance", "masters", 1), ("finish", "masters")]
    first = run.timings["masters"]
    assert first >= 0.02
    with run.stage("masters"):
        time.sleep(0.01)
    assert run.timings["masters"] >= first + 0.01  # a stage in two parts counts both


def test_a_stage_that_fails_ends_all_the_same(tmp_path):
    listener = Listener()
    run = context(tmp_path, listener)
    with pytest.raises(ValueError, match="broken"), run.stage("solve"):
        raise ValueError("broken")
    assert listener.heard[-1] == ("finish", "solve")
    assert run.timings["solve"] >= 0


def test_a_warning_is_kept_and_logged_once(tmp_path, caplog):
    run = context(tmp_path)
    with caplog.at_level(logging.WARNING, logger="sciastro"):
        run.warn("no flats")
        run.warn("no darks")
        run.warn("no flats")
    assert run.warnings == ["no flats", "no darks"]
    assert [record.getMessage() for record in caplog.records] == ["no flats", "no darks"]
    assert context(tmp_path).warnings == []  # nothing is shared between runs


def test_what_resume_needs_lies_in_the_output(tmp_path):
    assert context(tmp_path).work == tmp_path / ".work"
    assert len(set(STAGES)) == len(STAGES) == 9


def test_silence_takes_every_call():
    silent = Silent()
    assert [silent.start("a", 1), silent.advance("a", 2), silent.advance("a"), silent.finish("a")] == [
        None
    ] * 4


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2 * 10**9),
        ("2 gb", 2 * 10**9),
        (" 1.5 GiB ", 3 * 2**29),
        ("800M", 8 * 10**8),
        ("800MB", 8 * 10**8),
        ("1TB".replace("TB", "T"), 10**12),
        ("512MiB", 2**29),
        ("600000KiB", 600000 * 2**10),
        ("500000000", 5 * 10**8),
        ("500000000B", 5 * 10**8),
        ("2e9", 2 * 10**9),
    ],
)
def test_sizes(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize(
    "text", ["", "much", "GB", "2XB", "2GBB", "nan", "inf", "infGB", "nanGB", "2,5GB", "0x10GB"]
)
def test_no_sizes(text):
    with pytest.raises(OptionError, match=r"--memory: is .*Write it like 2GB, 800MB or 1\.5GiB"):
        parse_memory(text)


@pytest.mark.parametrize("text", ["0", "499MB", "-2GB", "100KiB"])
def test_too_small_sizes(text):
    with pytest.raises(OptionError, match=r"--memory: is .*Give at least 500MB"):
        parse_memory(text)


def test_peak_memory_is_in_bytes_and_only_grows():
    before = peak_memory()
    psutil = pytest.importorskip("psutil")
    now = psutil.Process().memory_info().rss
    assert before >= 0.9 * now - 5e6  # the peak is at least what is used now, in the same unit
    block = np.ones(8 * 10**6)  # 64 MB, touched
    grown = peak_memory()
    assert grown >= before
    assert grown >= psutil.Process().memory_info().rss - 5e6
    assert block.sum() == 8e6


def test_a_run_that_takes_more_than_its_bound_says_so_once(tmp_path, monkeypatch):
    import sciastro.recipe.context as module

    peaks = iter([4.0e8, 5.4e8, 5.6e8, 7.0e8])
    monkeypatch.setattr(module, "peak_memory", lambda: int(next(peaks)))
    context = Context(out=tmp_path, workers=1, memory=5 * 10**8, progress=Silent())
    said = []
    for stage in ("masters", "calibrate", "integrate"):
        with context.stage(stage):
            pass
        said.append(len(context.warnings))
    assert said == [0, 1, 1]  # a tenth above is within the bound
    assert context.warnings[0].startswith(
        "the run took 0.56 GB by the end of stage calibrate, and --memory asked"
    )


def test_what_the_process_took_before_is_not_the_runs(tmp_path, monkeypatch):
    import sciastro.recipe.context as module

    monkeypatch.setattr(module, "peak_memory", lambda: 9 * 10**8)
    context = Context(out=tmp_path, workers=1, memory=5 * 10**8, progress=Silent())
    with context.stage("masters"):
        pass
    assert context.warnings == []
