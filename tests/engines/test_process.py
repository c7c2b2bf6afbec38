"""Programs that are run for a while: what they say, and that nothing of them stays."""

import os
import sys
import time
from pathlib import Path

import pytest

from sciastro.engines.process import run
from sciastro.errors import SolveError


def soon(seconds=20.0):
    return time.monotonic() + seconds


def test_output_and_exit_code():
    code = "import sys; print(sys.stdin.read() * 2); print('oh', file=sys.stderr); sys.exit(3)"
    done = run([sys.executable, "-c", code], name="x", until=soon(), text="ab")
    assert (done.code, done.out.strip(), done.last_words) == (3, "abab", "oh")


def test_words_of_a_shell_are_words():
    done = run(
        [sys.executable, "-c", "import sys; print(sys.argv[1])", "$(id); `id` > x"], name="x", until=soon()
    )
    assert done.out.strip() == "$(id); `id` > x"


def test_keys_are_not_handed_on(monkeypatch):
    monkeypatch.setenv("ASTROMETRY_NET_API_KEY", "sesame")
    done = run([sys.executable, "-c", "import os; print(dict(os.environ))"], name="x", until=soon())
    assert "PATH" in done.out and "sesame" not in done.out


def test_it_is_ended_with_its_children(tmp_path):
    code = (
        "import subprocess, sys, time, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    start = time.monotonic()
    with pytest.raises(SolveError, match="before the time was over"):
        run([sys.executable, "-c", code], name="x", until=soon(4))  # Python starts in that
    assert time.monotonic() - start < 12
    child = int((tmp_path / "pid").read_text())
    for _ in range(50):
        if not alive(child):
            return
        time.sleep(0.1)
    raise AssertionError(f"process {child} is still there")


def alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{number}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_program_that_is_not_there():
    with pytest.raises(SolveError, match="cannot be started"):
        run(["/nowhere/solver"], name="x", until=soon())
