"""The brightness of a color image in FITS: the mean of its planes, read one after the other.

Stacks of color cameras are written as three planes (channel, y, x). They are no raw frames, so the readers of
`io.reader` refuse them; for the stars on them their mean will do.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from sciastro.errors import FileError
from sciastro.io.fitsunits import planes, walk
from sciastro.io.framefacts import FrameFacts
from sciastro.io.headers import facts_from_header

__all__ = ["read_brightness", "read_color_planes"]

MOST = 4  # planes of a color image, with transparency; more make a cube of something else


def read_brightness(path: Path) -> tuple[npt.NDArray[np.float32], fits.Header, int] | None:
    """Return the mean of the planes of the first color image, its header, and the number of its HDU.

    None where the file holds no color image.

    Raises
    ------
    FileError
        If the file is no FITS file, is cut off, or cannot be unpacked.
    """
    with _color_image(path, 2) as (hdu, number):
        return None if hdu is None else (_mean(hdu), hdu.header.copy(), number)


def read_color_planes(
    path: Path,
) -> tuple[list[npt.NDArray[np.float32]], fits.Header, FrameFacts] | None:
    """Return red, green and blue of the first color image of a file, its header, and what that says.

    None where the file holds no image of three planes (or four, with transparency).

    Raises
    ------
    FileError
        If the file is no FITS file, is cut off, or cannot be unpacked.
    """
    with _color_image(path, 3) as (hdu, number):
        if hdu is None:
            return None
        found = [np.array(hdu.section[k], dtype=np.float32) for k in range(3)]
        header = hdu.header.copy()
    rows, columns = found[0].shape
    return found, header, facts_from_header(header, path.name, (rows, columns), "float32", number)


@contextmanager
def _color_image(path: Path, fewest: int) -> Iterator[tuple[Any, int]]:
    """Open the first image of `fewest` to `MOST` planes: its HDU (None without one), and its number."""
    number = next((one.number for one in walk(path) if fewest <= (planes(one.header) or 0) <= MOST), -1)
    if number < 0:
        yield None, number
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with fits.open(path, memmap=True) as hdus:
                yield (hdus[number] if len(hdus[number].shape) == 3 else None), number
    except (OSError, ValueError, TypeError) as error:
        raise FileError(f"cannot be read: {error}.", where=str(path), remedy="Copy it again.") from error


def _mean(hdu: fits.ImageHDU) -> npt.NDArray[np.float32]:
    count = min(hdu.shape[0], 3)  # a fourth one is transparency
    total = np.zeros(hdu.shape[1:], np.float32)
    for k in range(count):
        total += np.asarray(hdu.section[k], dtype=np.float32)
    return np.asarray(total / np.float32(count), dtype=np.float32)
