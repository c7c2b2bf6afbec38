"""Keep the frame that a thread unpacked last, for readers that are asked for it band by band."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sciastro.io.plainrows import check_rows
from sciastro.io.probe import Pixels, Probe, RowSource, stamp_of

__all__ = ["LastFrame"]


class LastFrame:
    """One frame per thread: packed files can only be unpacked whole, and rows are wanted in bands."""

    def __init__(self) -> None:
        self._kept = threading.local()

    def rows(self, probe: Probe, unpack: Callable[[Probe], Pixels]) -> RowSource:
        """Return a function that reads bands of rows of `probe`; `unpack` gives the whole frame.

        A file that has changed since is unpacked anew.
        """

        def rows(first: int, last: int) -> Pixels:
            check_rows(probe, first, last)
            key = (probe.path, probe.hdu, _state(probe.path))
            kept: tuple[Any, Pixels] | None = getattr(self._kept, "frame", None)
            if kept is None or kept[0] != key:
                self._kept.frame = None  # not two frames at once
                kept = self._kept.frame = (key, unpack(probe))
            return kept[1][first:last].copy()

        return rows


def _state(path: Path) -> tuple[int, int] | None:
    try:
        return stamp_of(path)
    except OSError:  # reading will say what is wrong
        return None
