"""What every part of a run shares: where it writes, what it may use, and what it has to tell."""

import contextlib
import ctypes
import logging
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sciastro.core.cluster import Cluster
from sciastro.errors import OptionError

__all__ = [
    "STAGES",
    "Context",
    "Progress",
    "Silent",
    "hand_back_arrays",
    "parse_memory",
    "peak_memory",
    "resident_memory",
    "return_free_memory",
]

STAGES = (
    "ingest",
    "masters",
    "calibrate",
    "solve",
    "register",
    "integrate",
    "photometry",
    "render",
    "report",
)

log = logging.getLogger(__name__)


class Progress(Protocol):
    """Who shows how far a run is."""

    def start(self, stage: str, total: int) -> None:
        """Begin `stage`, which has `total` parts."""

    def advance(self, stage: str, amount: int = 1) -> None:
        """Say that `amount` more parts of `stage` are done."""

    def finish(self, stage: str) -> None:
        """End `stage`."""


class Silent:
    """Shows nothing."""

    def start(self, stage: str, total: int) -> None:
        """Do nothing."""

    def advance(self, stage: str, amount: int = 1) -> None:
        """Do nothing."""

    def finish(self, stage: str) -> None:
        """Do nothing."""


@dataclass
class Context:
    """One run: fixed settings, and the two lists that grow (timings, warnings).

    Attributes
    ----------
    out
        Folder for every product.
    workers
        Threads of this process.
    memory
        Bound on peak memory [byte], of each process.
    progress
        Who shows how far the run is.
    cluster
        Runs masters, frames and tiles in workers of a cluster; None: threads of this process.
    night
        1 for a first run in its folder, n for the n-th night that is added to its stacks.
    timings
        Seconds per stage.
    warnings
        What the user should know; also logged.
    searched
        Seconds spent on looking for fields over the whole sky, which one run may do for so long only.
    colors
        Records of color calibrations (`recipe.setcolor`).
    begun
        Whether the run has written to `out`: one that is refused before leaves what is there as it is.
    before
        Peak memory of this process before the run [byte].
    """

    out: Path
    workers: int
    memory: int
    progress: Progress
    cluster: Cluster | None = None
    night: int = 1
    timings: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)
    searched: float = 0.0
    colors: list[dict[str, Any]] = field(default_factory=list)
    begun: bool = False
    before: int = field(default_factory=lambda: peak_memory())  # noqa: PLW0108 - it is defined below

    @property
    def work(self) -> Path:
        """Folder of what a later `--resume` needs; removed when a run ends well."""
        return self.out / ".work"

    def numbered(self, name: str) -> Path:
        """Return where this night's file or folder `name` lies: "frames.h5", and "frames-2.h5" when added."""
        stem, dot, suffix = name.partition(".")
        return self.out / (name if self.night == 1 else f"{stem}-{self.night}{dot}{suffix}")

    def warn(self, text: str) -> None:
        """Keep and log a warning, once."""
        if text not in self.warnings:
            self.warnings.append(text)
            log.warning(text)

    def withdraw(self, start: str) -> None:
        """Take back the warnings that begin with `start`; what they said no longer holds."""
        self.warnings[:] = [text for text in self.warnings if not text.startswith(start)]

    @contextmanager
    def stage(self, name: str, total: int = 1) -> Iterator[None]:
        """Time a stage and show its progress."""
        log.info("%s: begins", name, extra={"stage": name})
        self.progress.start(name, total)
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + time.perf_counter() - begin
            self.progress.finish(name)
        log.info("%s: %.2f s", name, self.timings[name], extra={"stage": name})
        self._weigh(name)

    def _weigh(self, stage: str) -> None:
        """Say so, once, where the run took more memory than its bound; tiles cannot be as small as that."""
        peak = peak_memory()
        if peak > max(self.before, OVER * self.memory) and not any(TOOK in text for text in self.warnings):
            self.warn(
                f"{TOOK} {peak / 1e9:.2f} GB by the end of stage {stage}, and --memory asked for "
                f"{self.memory / 1e9:.2f} GB: one frame at a time, the images of a canvas and the libraries "
                "do not fit into that. Ask for more where the machine must not go beyond."
            )


UNITS = {
    "": 1,
    "B": 1,
    "K": 10**3,
    "KB": 10**3,
    "M": 10**6,
    "MB": 10**6,
    "G": 10**9,
    "GB": 10**9,
    "T": 10**12,
}
UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of malloc.h; setting one ends the learning
LEAST = 500 * 10**6  # bytes; a run of the smallest frames to its report takes 450 MB, most of it libraries
OVER = 1.1  # times the bound on memory above which a run says that it did not keep to it
TOOK = "the run took"
LARGE_BLOCK = 8 << 20  # bytes from which a block comes straight from the system
FREE_KEPT = 32 << 20  # bytes of freed memory that each thread keeps for its next arrays


def parse_memory(text: str) -> int:
    """Return the bytes of a text such as "2GB", "1.5 GiB" or "800M".

    Raises
    ------
    OptionError
        If the text is no size, or below `LEAST`.
    """
    cleaned = text.strip().replace(" ", "").upper()
    number = cleaned.rstrip("BKMGTI")
    unit = cleaned[len(number) :]
    try:
        size = int(float(number) * UNITS[unit])
    except (ValueError, KeyError, OverflowError) as error:
        raise OptionError(
            f"is {text!r}.", where="--memory", remedy="Write it like 2GB, 800MB or 1.5GiB."
        ) from error
    if size < LEAST:
        raise OptionError(f"is {text!r}.", where="--memory", remedy=f"Give at least {LEAST // 10**6}MB.")
    return size


def hand_back_arrays() -> None:
    """Make the C library give the memory of every array back to the system as soon as it is freed.

    GNU malloc learns from the first large arrays that are freed to keep the next ones; after a few
    megapixel planes came and went, that was 300 MB which no array used. Elsewhere this does nothing.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(AttributeError, OSError):  # another C library, which has no mallopt
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, LARGE_BLOCK)
        library.mallopt(TRIM_THRESHOLD, FREE_KEPT)


def return_free_memory() -> None:
    """Give the memory that small freed objects leave behind back to the system; 20 MB after pass 1."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # another C library, which has no malloc_trim
            ctypes.CDLL(None).malloc_trim(0)


def resident_memory() -> int:
    """Return the resident size of this process now [byte]; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * resource.getpagesize()


def peak_memory() -> int:
    """Return the largest resident size of this process so far [byte]."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
