"""The brightness of a color image in FITS: the mean of its planes, read one after the other.

Stacks of color cameras are written as three planes (channel, y, x). They are no raw frames, so the readers of
`io.reader` refuse them; for the stars on them their mean will do.
"""

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from sciastro.errors import FileError
from sciastro.io.fitsunits import planes, walk

__all__ = ["read_brightness"]

MOST = 4  # planes of a color image, with transparency; more make a cube of something else


def read_brightness(path: Path) -> tuple[npt.NDArray[np.float32], fits.Header, int] | None:
    """Return the mean of the planes of the first color image, its header, and the number of its HDU.

    None where the file holds no color image.

    Raises
    ------
    FileError
        If the file is no FITS file, is cut off, or cannot be unpacked.
    """
    number = next((one.number for one in walk(path) if 2 <= (planes(one.header) or 0) <= MOST), None)
    if number is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with fits.open(path, memmap=True) as hdus:
                hdu = hdus[number]
                if len(hdu.shape) != 3:
                    return None
                return _mean(hdu), hdu.header.copy(), number
    except (OSError, ValueError, TypeError) as error:
        raise FileError(f"cannot be read: {error}.", where=str(path), remedy="Copy it again.") from error


def _mean(hdu: fits.ImageHDU) -> npt.NDArray[np.float32]:
    count = min(hdu.shape[0], 3)  # a fourth one is transparency
    total = np.zeros(hdu.shape[1:], np.float32)
    for k in range(count):
        total += np.asarray(hdu.section[k], dtype=np.float32)
    return np.asarray(total / np.float32(count), dtype=np.float32)
