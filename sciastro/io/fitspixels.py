"""Pixels that lie in a FITS file as they are: read straight from their place, swapped in small blocks.

The blocks stay in the processor's cache. Nothing of astropy is loaded for it, so that a command can read
pixels before it has what reads headers.
FITS standard 4.0: sections 3 (file organization), 4.4.2.5 (BSCALE, BZERO, BLANK).
"""

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from sciastro.errors import FileError
from sciastro.io.plainrows import check_rows
from sciastro.io.probe import Pixels, Placed

__all__ = [
    "STORED",
    "PlainRows",
    "convert_in_place",
    "dtype_of",
    "fill",
    "hash_part",
    "read_converted",
    "read_floats",
    "reading",
    "stored_dtype",
]

CHUNK = 1 << 19
"""Bytes swapped at a time: small enough for the second-level cache."""

BLOCK = 1 << 22
"""Bytes read and converted at a time on their way to another dtype: between blocks Python is needed."""

STORED = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
UNSIGNED = {(16, 32768.0): "uint16", (32, 2147483648.0): "uint32", (8, -128.0): "int8"}


@dataclass(frozen=True, slots=True)
class PlainRows:
    """Reads bands of rows of an image whose pixels lie in the file as they are."""

    probe: Placed

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the rows."""
        return self.probe.dtype

    def __call__(self, first: int, last: int) -> Pixels:
        """Return the rows ``first <= y < last``."""
        out = np.empty((last - first, self.probe.shape[1]), self.probe.dtype)
        self.into(first, last, out)
        return out

    def into(self, first: int, last: int, out: Pixels) -> None:
        """Fill `out` (rows, columns), of our dtype, with those rows; they may lie apart (in a wider tile)."""
        check_rows(self.probe, first, last)
        start = (self.probe.offset or 0) + first * self.probe.shape[1] * out.itemsize
        with reading(self.probe.path), self.probe.path.open("rb", buffering=0) as file:
            if out.flags.c_contiguous:
                read_converted(file, out.reshape(-1), start, self.probe)
            else:
                _read_apart(file, out, start, self.probe)


def read_floats(image: Placed, room: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
    """Return all pixels as float32 without a second array of that size.

    Parameters
    ----------
    image
        Where they lie.
    room
        What is filled and returned, (rows, columns); None makes it.

    Raises
    ------
    FileError
        If the file cannot be read.
    """
    out = np.empty(image.shape, np.float32) if room is None else room
    if image.dtype == np.float32:
        PlainRows(image).into(0, image.shape[0], out)
        return out
    rows, columns = image.shape
    block = np.empty((min(max(BLOCK // (columns * image.dtype.itemsize), 1), rows), columns), image.dtype)
    start = image.offset or 0
    with reading(image.path), image.path.open("rb", buffering=0) as file:
        for first in range(0, rows, len(block)):
            part = block[: min(len(block), rows - first)]
            fill(file, part, start + first * columns * part.itemsize, image)
            convert_in_place(part.reshape(-1), image)
            with np.errstate(over="ignore"):  # beyond float32: infinite
                out[first : first + len(part)] = part
    return out


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while reading into a `FileError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileError("does not exist.", where=str(path), remedy="Check the path.") from error
    except PermissionError as error:
        raise FileError("may not be read.", where=str(path), remedy="Check its permissions.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(
            "is cut off or damaged: it cannot be unpacked.", where=str(path), remedy="Copy it again."
        ) from error
    except OSError as error:
        raise FileError(f"cannot be read: {error}.", where=str(path), remedy="Copy it again.") from error


def dtype_of(bitpix: int, bscale: float, bzero: float, blank: int | None) -> np.dtype[Any]:
    """Return the dtype that holds the values without loss where the pixels are integers as measured."""
    if bitpix > 0 and blank is None and bscale == 1.0:
        if bzero == 0.0 and bitpix < 64:
            return np.dtype(STORED[bitpix]).newbyteorder("=")
        if (bitpix, bzero) in UNSIGNED:
            return np.dtype(UNSIGNED[bitpix, bzero])
    return np.dtype(np.float64 if bitpix in {32, 64, -64} else np.float32)


def read_converted(file: IO[bytes], out: Pixels, start: int, probe: Placed, digest: Any = None) -> int:
    """Fill `out` from position `start`, each block converted while it is in the cache; return the position.

    `digest` (of `hashlib`) is given the bytes as they are in the file.
    """
    step = CHUNK // out.itemsize
    for begin in range(0, out.size, step):
        part = out[begin : begin + step]
        fill(file, part.view(np.uint8), start + begin * out.itemsize, probe)
        if digest is not None:
            digest.update(part.view(np.uint8))
        convert_in_place(part, probe)
    return start + out.nbytes


def _read_apart(file: IO[bytes], out: Pixels, start: int, probe: Placed) -> None:
    """Fill rows that lie apart, some whole rows at a time: on their way from the cache they are converted."""
    columns, size = out.shape[1], out.itemsize
    rows = max(CHUNK // (columns * size), 1)
    block = np.empty((min(rows, out.shape[0]), columns), out.dtype)
    swapped = np.dtype(np.float32) == out.dtype and _is_plain_float(probe) and out.strides[1] == size
    for y in range(0, out.shape[0], rows):
        part = out[y : y + rows]
        read = block[: part.shape[0]]
        fill(file, read.view(np.uint8), start + y * columns * size, probe)
        if swapped:
            _swap_apart(read, part)
        else:
            convert_in_place(read.reshape(-1), probe)
            part[...] = read


def _is_plain_float(probe: Placed) -> bool:
    """Return whether float32 pixels are stored as such, with their bytes reversed and nothing else."""
    return stored_dtype(probe) == ">f4" and probe.bscale == 1.0 and probe.bzero == 0.0 and np.little_endian


def _swap_apart(read: Pixels, out: Pixels) -> None:
    from sciastro.kernels.byteorder import swap_rows

    stride, columns = out.strides[0] // 4, out.shape[1]
    flat = np.lib.stride_tricks.as_strided(out, ((out.shape[0] - 1) * stride + columns,), (4,))
    swap_rows(read.reshape(-1).view(np.uint32), columns, flat.view(np.uint32), stride)


def hash_part(file: IO[bytes], start: int, end: int, probe: Placed, digest: Any) -> None:
    """Give `digest` the bytes from `start` to `end` of the file."""
    for begin in range(start, end, CHUNK):
        part = np.empty(min(CHUNK, end - begin), np.uint8)
        fill(file, part, begin, probe)
        digest.update(part)


def stored_dtype(probe: Placed) -> np.dtype[Any]:
    """Return the dtype in the file.

    Raises
    ------
    ValueError
        If the image is tile-compressed.
    """
    if probe.stored is None:
        raise ValueError("a tile-compressed image has no plain pixels")
    return probe.stored


def fill(file: IO[bytes], target: Pixels, start: int, probe: Placed) -> None:
    """Fill the bytes of `target` from position `start` of the file.

    Raises
    ------
    FileError
        If the file ends before.
    """
    view = memoryview(target.data).cast("B")
    done = 0
    if not hasattr(os, "preadv"):  # Windows; `file` belongs to this call alone, so seeking is safe
        file.seek(start)
    while done < len(view):
        if hasattr(os, "preadv"):
            got = os.preadv(file.fileno(), [view[done:]], start + done)
        else:
            got = file.readinto(view[done:])  # type: ignore[attr-defined]
        if not got:
            raise FileError(
                "ended while its pixels were read.",
                where=str(probe.path),
                remedy="Copy it again from the camera.",
            )
        done += got


def convert_in_place(part: Pixels, probe: Placed) -> None:
    """Turn big-endian stored values (rows, x) into native ones of the same size, in place."""
    stored = stored_dtype(probe)
    if stored == ">i2" and probe.dtype.kind in "iu" and np.little_endian:
        from sciastro.kernels.byteorder import swap_in_place  # numba: not for who reads headers alone

        swap_in_place(part.view(np.uint16), np.uint16(0x8000 if probe.bzero != 0.0 else 0))
        return
    if stored.itemsize == 4 and np.little_endian:
        from sciastro.kernels.byteorder import swap_words_in_place

        swap_words_in_place(part.view(np.uint32))
    elif stored.itemsize > 1 and np.little_endian:
        part.byteswap(inplace=True)
    if probe.dtype.kind in "iu" and probe.bzero != 0.0:  # the sign bit is all that BZERO changes
        part.view(f"u{stored.itemsize}")[...] ^= np.array(
            1 << (8 * stored.itemsize - 1), f"u{stored.itemsize}"
        )
    elif probe.dtype.kind == "f" and (stored.kind != "f" or probe.bscale != 1.0 or probe.bzero != 0.0):
        native = part.view(stored.newbyteorder("="))
        missing = native == probe.blank if probe.blank is not None else None
        part[...] = native * probe.bscale + probe.bzero
        if missing is not None:
            part[missing] = np.nan
