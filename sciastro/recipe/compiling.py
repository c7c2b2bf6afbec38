"""A first run compiles its kernels on several processors: helpers compile ahead what later stages call.

A run that finds everything compiled starts none, and pays a millisecond for asking. Helpers end with the run.
"""

import contextlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sciastro.core.lift import processors
from sciastro.kernels import ahead

__all__ = ["compiling_ahead"]

HELPER = 300 * 10**6  # bytes of memory that a helper takes at most; 282 MB measured
SHARE = 3  # helpers take at most one part in so many of the memory that a run may use
MOST = 3  # helpers
GRACE = 2.0  # seconds that a helper has to end

log = logging.getLogger(__name__)
_BUSY = threading.Lock()  # of the run that helpers work for


@dataclass
class _Helpers:
    """The processes that compile for one run."""

    path: Path
    first: str
    last: str
    number: int
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self) -> None:
        """Start them: the first in the order of need, the others from the end."""
        environment = {name: value for name, value in os.environ.items() if "API_KEY" not in name}
        environment["PYTHONPATH"] = os.pathsep.join(place for place in sys.path if place)
        for i in range(self.number):
            step = "1" if i == 0 else "-1"
            command = [sys.executable, "-P", "-m", "sciastro.kernels.ahead", str(self.path), self.first]
            with contextlib.suppress(OSError):  # no room for a process: the run does without
                self.processes.append(
                    subprocess.Popen(
                        [*command, self.last, step],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                        env=environment,
                    )
                )  # fmt: skip

    def end(self) -> list[str]:
        """End those that still work, and return what all of them compiled."""
        compiled: list[str] = []
        for process in self.processes:
            try:
                said, _ = process.communicate(timeout=GRACE)  # closes its input
            except subprocess.TimeoutExpired:
                process.kill()
                said, _ = process.communicate()
            compiled += said.split()
        return compiled


def _number(workers: int, memory: int) -> int:
    """Return how many helpers a run may have: none where it shall keep to one processor."""
    ways = min(workers, processors())
    if ways < 2 or not sys.executable:
        return 0
    return min(ways, MOST, memory // SHARE // HELPER)


@contextlib.contextmanager
def compiling_ahead(first: str, last: str, *, workers: int, memory: int) -> Iterator[None]:
    """Have what stages `first` to `last` need compiled by helpers, if the run inside the block lacks it.

    Parameters
    ----------
    first, last
        Names of stages (`kernels.planned.STAGES`).
    workers
        Threads of the run; with one there are no helpers.
    memory
        Bytes that the run may use; helpers take up to a third of it, beside the run: all processes together
        may pass it by so much while kernels are compiled. It is not taken from the run: whether a field is
        looked for over the whole sky must not depend on what is compiled.
    """
    number = _number(workers, memory)
    if number == 0 or not _BUSY.acquire(blocking=False):
        yield
        return
    try:
        path = ahead.lock_file()
        if path is None:
            yield
        else:
            with _helped(_Helpers(path, first, last, number)):
                yield
    finally:
        _BUSY.release()


@contextlib.contextmanager
def _helped(helpers: _Helpers) -> Iterator[None]:
    compiled: list[str] = []
    theirs: list[str] = []
    try:
        with ahead.sharing(helpers.path, helpers.start) as compiled:
            yield
    finally:
        theirs = helpers.end()
        if compiled:
            here, there = " ".join(compiled), " ".join(theirs) or "nothing"
            log.info("compiled here: %s; by helpers: %s", here, there)
