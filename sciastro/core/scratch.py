"""Memory that is used again, for the next frame or window and from one stage to the next.

Fresh memory has to be cleared by the system, page by page, before it can be written: for planes of many
megabytes that takes as long as calibrating them, and several times as long on a virtual machine that has
given its free pages back. So large arrays are lent (`lend`): when the last view of one is gone, its memory
waits for the next that is asked for, until `release` or a request that nothing fits gives it back.
"""

import math
import threading
import weakref
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Scratch", "lend", "lend_ahead", "recycled_bytes", "release", "spare_bytes"]

SMALLEST = 4 << 20  # byte: smaller arrays are not worth it
LOOSE = 1.25  # a block may be this many times as large as what is asked for
PAGE = 4096  # byte

Block = npt.NDArray[np.uint8]

_back: deque[Block] = deque()  # appended to by finalizers, at any time and in any thread
_spare: list[Block] = []
_lock = threading.Lock()
_recycled = [0]  # byte, since the process began


def lend(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a contiguous array, contents left over; its memory comes back when no view of it is left.

    Where no spare memory fits, as much of it as is asked for goes back to the system, so that lending never
    needs more memory at a time than `numpy.empty` would.
    """
    kind, size = np.dtype(dtype), math.prod(shape)
    needed = size * kind.itemsize
    if needed < SMALLEST:
        return np.empty(shape, kind)
    block = _fitting(needed)
    if block is None:
        block = np.empty(needed, np.uint8)
    # The memoryview in between: arrays that are made from `lent` keep it alive, not the block behind it.
    lent = np.frombuffer(block.data, np.uint8, needed)
    weakref.finalize(lent, _back.append, block).atexit = False
    return lent.view(kind).reshape(shape)


def _fitting(needed: int, *, instead: bool = True) -> Block | None:
    """Take the smallest spare block that holds `needed` bytes; else give up about as many of the others."""
    with _lock:
        _collect()
        for i, block in enumerate(_spare):
            if needed <= block.size <= LOOSE * needed:
                _recycled[0] += block.size
                return _spare.pop(i)
        while _spare and instead and needed > 0:
            needed -= _spare.pop().size
    return None


def _collect() -> None:
    """Sort what came back into the spare blocks, smallest first."""
    while _back:
        _spare.append(_back.popleft())
    _spare.sort(key=lambda block: block.size)


def lend_ahead(sizes: list[int]) -> None:
    """Make spare blocks of these sizes [byte] ready, cleared by the system already; no others stay.

    For a moment in which a processor has nothing better to do.
    """
    blocks = []
    for size in sorted(sizes, reverse=True):
        block = _fitting(size, instead=False)
        if block is None:
            block = np.empty(size, np.uint8)
            block[::PAGE] = 0
        blocks.append(block)
    release()
    _back.extend(blocks)


def spare_bytes() -> int:
    """Return how much memory waits to be lent [byte]."""
    with _lock:
        _collect()
        return sum(block.size for block in _spare)


def recycled_bytes() -> int:
    """Return how much memory was lent that had been lent before, since the process began [byte]."""
    return _recycled[0]


def release() -> None:
    """Give all spare memory back to the system."""
    with _lock:
        _back.clear()
        _spare.clear()


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
            self._held[name] = held = lend((size,), dtype)
        return held[:size].reshape(shape)
