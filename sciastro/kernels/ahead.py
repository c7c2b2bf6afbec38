"""Compiling kernels in processes of their own, before a run calls them.

Numba lets one thread of a process compile at a time, so that a second processor helps only a second process.
Helpers go through the plan (`kernels.planned`) and leave what they compile in Numba's cache; the run takes it
from there. Who compiles a kernel holds its byte of a lock file, which the system releases when a process
ends, however: nothing is compiled twice, and a helper that dies holds up nobody.

``python -m sciastro.kernels.ahead LOCK FIRST LAST STEP`` is such a helper: stages from FIRST to LAST, in the
order of need (STEP 1) or from the end (STEP -1). It ends with its standard input, writes the names of what it
compiled, and takes processors only from who leaves them (`NICE`).
"""

import contextlib
import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from numba.core import event
from numba.core.registry import CPUDispatcher

from sciastro.kernels.planned import PLANNED, Planned, planned_until
from sciastro.kernels.remembering import remembering

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["lock_file", "main", "sharing"]

NICE = 5  # added to the niceness of helpers
LONGEST = 180.0  # seconds that a run waits for a helper before it compiles a kernel itself
PAUSE = 0.01  # seconds between two looks at a lock
NAMES = tuple(dict.fromkeys(job.name for job in PLANNED))  # a kernel's place is its byte of the lock file
STARTER = len(NAMES)  # the byte of the run that has helpers
TRIAL = STARTER + 1  # the byte that shows whether there are locks


def lock_file() -> Path | None:
    """Return the file of the locks, in Numba's cache; None where nothing can be shared."""
    kernel = PLANNED[0].kernel
    if fcntl is None or not isinstance(kernel, CPUDispatcher) or not kernel.stats.cache_path:
        return None  # Windows, or NUMBA_DISABLE_JIT
    path = Path(kernel.stats.cache_path) / "compiling.lock"
    try:
        Locks(path).close()
    except OSError:  # a full or foreign folder, or a file system without locks
        return None
    return path


class Locks:
    """One byte of a file per kernel, which one process at a time may hold.

    Raises
    ------
    OSError
        Where the file cannot be written, or the file system knows no locks.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if self.take(TRIAL):
                self.leave(TRIAL)
        except OSError:
            self.close()
            raise

    def take(self, place: int) -> bool:
        """Hold `place`, unless another process does."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, by system
            return False
        return True

    def leave(self, place: int) -> None:
        """Let go of `place`."""
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    @contextlib.contextmanager
    def waited(self, place: int) -> Iterator[None]:
        """Hold `place` inside the block, as soon as nobody else does, `LONGEST` at the latest."""
        last = time.monotonic() + LONGEST
        while not (held := self.take(place)) and time.monotonic() < last:
            time.sleep(PAUSE)
        try:
            yield
        finally:
            if held:
                self.leave(place)

    def close(self) -> None:
        """Let go of everything."""
        os.close(self._file)


class _FirstMiss(event.Listener):
    """Calls `start` once, when a planned kernel is about to be compiled by this process."""

    def __init__(self, kernels: Sequence[Any], start: Callable[[], None]) -> None:
        self._kernels, self._start = {id(kernel) for kernel in kernels}, start
        self._guard = threading.Lock()
        self.compiled: list[str] = []

    def on_start(self, event: Any) -> None:
        dispatcher = event.data["dispatcher"]
        if id(dispatcher) not in self._kernels:
            return
        with self._guard:
            first = not self.compiled
            self.compiled.append(dispatcher.py_func.__name__)
        if first:
            self._start()

    def on_end(self, event: Any) -> None:
        pass


@contextlib.contextmanager
def sharing(path: Path, start: Callable[[], None]) -> Iterator[list[str]]:
    """Compile planned kernels inside the block only when no helper does; wait for who does.

    Parameters
    ----------
    path
        The file of the locks.
    start
        Called when the first of them is missing in Numba's cache, on the thread that needs it, unless another
        run has helpers already.

    Yields
    ------
    list of str
        Grows by the kernels that this process compiles.
    """
    locks = Locks(path)
    kernels = {job.name: job.kernel for job in PLANNED}

    def start_once() -> None:
        if locks.take(STARTER):
            start()

    missing = _FirstMiss(tuple(kernels.values()), start_once)
    event.register("numba:compile", missing)
    for place, kernel in enumerate(kernels.values()):
        kernel.compile = functools.partial(_compile, kernel.compile, locks, place)
    try:
        with remembering():
            yield missing.compiled
    finally:
        event.unregister("numba:compile", missing)
        for kernel in kernels.values():
            del kernel.compile
        locks.close()


def _compile(compile_it: Callable[[Any], Any], locks: Locks, place: int, signature: Any) -> Any:
    with locks.waited(place):
        return compile_it(signature)  # from the cache, if a helper had it


def main(arguments: Sequence[str]) -> None:
    """Compile what nobody has compiled and nobody is compiling."""
    path, first, last, step = arguments
    os.nice(NICE)
    threading.Thread(target=_end_with_input, daemon=True).start()
    locks = Locks(Path(path))
    with remembering():
        for job in planned_until(first, last)[:: int(step)]:
            place = NAMES.index(job.name)
            if locks.take(place):
                _compile_job(job)
                locks.leave(place)


def _compile_job(job: Planned) -> None:
    kernel = job.kernel
    kernel.compile(job.types)
    if kernel.stats.cache_misses:
        sys.stdout.write(f"{job.name}\n")
        sys.stdout.flush()


def _end_with_input() -> None:
    """End this process with its standard input: whoever started it has ended, or needs it no longer."""
    while os.read(0, 1):  # not sys.stdin, whose lock a thread may not hold at the end
        pass
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
