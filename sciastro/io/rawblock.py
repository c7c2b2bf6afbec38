"""Pixels that lie contiguously in a file, read and written by their place in it."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sciastro.errors import FileError
from sciastro.io.paths import output_error
from sciastro.io.placing import put

__all__ = ["RawBlock", "descriptor_of"]


@dataclass(frozen=True)
class RawBlock:
    """Pixels of one group, read and written by position.

    Attributes
    ----------
    path
        The HDF5 file.
    offset
        First byte of the pixels.
    shape, dtype
        Frames, rows, columns and dtype (native byte order).
    """

    path: Path
    offset: int
    shape: tuple[int, int, int]
    dtype: np.dtype

    def rows(self, frame: int, first: int, last: int) -> np.ndarray:
        """Return rows `first` to `last` (exclusive) of `frame`, shape (rows, x).

        Raises
        ------
        FileError
            If the file ends before its pixels do.
        """
        _, height, width = self.shape
        out = np.empty((last - first, width), self.dtype)
        start = self.offset + (frame * height + first) * width * self.dtype.itemsize
        view = _bytes_of(out)
        with descriptor_of(self.path, os.O_RDONLY) as descriptor:
            done = 0
            while done < len(view):
                count = os.preadv(descriptor, [view[done:]], start + done)
                if count == 0:
                    raise FileError(
                        "ends before its pixels do.",
                        where=str(self.path),
                        remedy="Run again without --resume.",
                    )
                done += count
        return out

    def write(self, frame: int, pixels: np.ndarray, *, once: bool = False) -> None:
        """Write all pixels of `frame`; `pixels` must have the block's shape and dtype.

        `once`: nobody will read them soon, so that the system need not keep them in its memory.

        Raises
        ------
        FileError
            If the pixels are not those of the block.
        OutputError
            If they cannot be written.
        """
        if pixels.shape != self.shape[1:] or pixels.dtype != self.dtype:
            raise FileError(
                f"has {pixels.shape} {pixels.dtype}, and the store holds {self.shape[1:]} {self.dtype}.",
                where=f"frame {frame}",
                remedy="This frame belongs into another group.",
            )
        start = self.offset + frame * int(np.prod(self.shape[1:])) * self.dtype.itemsize
        try:
            with descriptor_of(self.path, os.O_WRONLY) as descriptor:
                put(descriptor, start, _bytes_of(np.ascontiguousarray(pixels)), once=once)
        except OSError as error:
            raise output_error(error, self.path) from error


def _bytes_of(array: np.ndarray) -> memoryview:
    """Return the memory of a contiguous `array`, writable where the array is."""
    return memoryview(array.reshape(-1).view(np.uint8).data)


@contextlib.contextmanager
def descriptor_of(path: Path, flags: int) -> Iterator[int]:
    """Open `path` for the block below; closed at its end."""
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
