"""Run another program for a while: no shell, a group of its own, ended with its children when time is up."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sciastro.errors import SolveError

__all__ = ["Ended", "run"]

MOST = 4_000_000  # bytes of output that are kept
GRACE = 1.0  # seconds between asking a process to end and ending it


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit code, and the end of what it printed."""

    code: int
    out: str
    err: str

    @property
    def last_words(self) -> str:
        """Return the last line that it printed, errors first."""
        lines = [line.strip() for line in (self.err.splitlines() or self.out.splitlines()) if line.strip()]
        return lines[-1][:200] if lines else "no message"


def run(
    command: Sequence[str], *, name: str, until: float, text: str = "", folder: Path | None = None
) -> Ended:
    """Run a program and wait for it.

    Parameters
    ----------
    command
        Program and arguments, as they are; no shell reads them.
    name
        What an error calls it.
    until
        `time.monotonic` at which the program and all its children are ended.
    text
        What it reads from standard input.
    folder
        Its working folder.

    Raises
    ------
    SolveError
        If it cannot be started, or is not done in time.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as given:
        given.write(text.encode())
        given.seek(0)
        try:
            process = subprocess.Popen(
                list(command), env=_environment(), stdin=given, stdout=out, stderr=err, cwd=folder,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise SolveError(
                f"cannot be started ({error.strerror}).", where=name, remedy="Check that it is installed."
            ) from error
        try:
            process.wait(timeout=max(until - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired as error:
            raise SolveError(
                "found nothing before the time was over.", where=name, remedy="Give it more --seconds."
            ) from error
        finally:  # also where it ended: children that it left behind, and Ctrl-C
            _end(process)
        return Ended(process.returncode, _tail(out.fileno()), _tail(err.fileno()))


def _environment() -> dict[str, str]:
    """Return our environment without keys, which are nobody else's business."""
    return {name: value for name, value in os.environ.items() if "API_KEY" not in name}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole group of a process."""
    if process.poll() is None:
        _signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE)
    _signal(process.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    process.wait()


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all of them have ended
        if hasattr(os, "killpg"):
            os.killpg(group, number)
        else:
            os.kill(group, number)


def _tail(handle: int) -> str:
    size = os.lseek(handle, 0, os.SEEK_END)
    os.lseek(handle, max(0, size - MOST), os.SEEK_SET)
    return os.read(handle, MOST).decode("utf-8", "replace")
