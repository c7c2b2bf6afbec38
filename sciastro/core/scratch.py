"""Memory that a thread uses again for the next frame or window.

Fresh memory has to be cleared by the system, page by page, before it can be written: for planes of many
megabytes that takes as long as calibrating them.
"""

import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Scratch"]


class Scratch(threading.local):
    """Named arrays of the calling thread; what a name gave before is overwritten when it is taken again."""

    def __init__(self) -> None:
        self._held: dict[str, npt.NDArray[Any]] = {}

    def __reduce__(self) -> tuple[type["Scratch"], tuple[()]]:
        """Travel empty: memory belongs to one process."""
        return Scratch, ()

    def take(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return a contiguous array of this thread, contents left over."""
        size = math.prod(shape)
        held = self._held.get(name)
        if held is None or held.size < size or held.dtype != np.dtype(dtype):
            self._held[name] = held = np.empty(size, dtype)
        return held[:size].reshape(shape)
