"""What a file says about its image before any pixel is read, and what a reader of a format must do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from sciastro.errors import FileError

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["Pixels", "Placed", "Probe", "Reader", "RowSource", "image_of", "stamp_of"]

Pixels = npt.NDArray[Any]
RowSource = Callable[[int, int], Pixels]
"""``rows(first, last)`` returns the rows ``first <= y < last`` in the dtype of the probe. Safe to call
from several threads at once."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One two-dimensional image of a file.

    Attributes
    ----------
    path
        The file.
    header
        Its cards, cleaned; cards of the primary header are included where the image is an extension.
    shape
        Rows and columns.
    dtype
        Dtype that the pixels have once read (uint16 for the usual BITPIX 16 with BZERO 32768).
    hdu
        Number of the image in the file, 0 for the first.
    offset
        First byte of the pixels in the (unzipped) file; None where they are tile-compressed.
    stored
        Dtype in the file, before scaling.
    bscale, bzero
        ``value = bzero + bscale * stored``.
    blank
        Stored integer that means "missing"; such images are read as floating point with NaN.
    row_bytes
        Bytes from one row to the next where they do not follow each other directly (margins); 0 else.
    sequence
        Whether the images of the file are exposures one after the other, each a frame of the session.
    """

    path: Path
    header: "fits.Header"
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    hdu: int = 0
    offset: int | None = None
    stored: np.dtype[Any] | None = None
    bscale: float = 1.0
    bzero: float = 0.0
    blank: int | None = None
    row_bytes: int = 0
    sequence: bool = False


class Placed(Protocol):
    """Where the pixels of a plane lie in a file and how they are stored: a `Probe` without its header."""

    @property
    def path(self) -> Path:
        """Return the file."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Return rows and columns."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the dtype of the pixels once read."""
        ...

    @property
    def offset(self) -> int | None:
        """Return the first byte of the pixels."""
        ...

    @property
    def stored(self) -> np.dtype[Any] | None:
        """Return the dtype in the file."""
        ...

    @property
    def bscale(self) -> float:
        """Return the factor from what is stored."""
        ...

    @property
    def bzero(self) -> float:
        """Return what is added to it."""
        ...

    @property
    def blank(self) -> int | None:
        """Return the stored integer that means "missing"."""
        ...


class Reader(Protocol):
    """What a file format must offer to be an entry of ``READERS``."""

    @property
    def name(self) -> str:
        """Name of the format."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Ends of file names, lower case."""
        ...

    def probe(self, path: Path) -> list[Probe]:
        """Return the images of `path` without reading their pixels."""
        ...

    def pixels(self, probe: Probe) -> Pixels:
        """Return all rows as a native array."""
        ...

    def open_rows(self, probe: Probe) -> RowSource:
        """Return a function that reads bands of rows."""
        ...


def image_of(probes: Sequence[Probe], path: Path, hdu: int | None = None) -> Probe:
    """Return the image in an HDU of a file; None is its first one.

    Raises
    ------
    FileError
        If there is none.
    """
    chosen = next((one for one in probes if hdu is None or one.hdu == hdu), None)
    if chosen is None:
        numbers = ", ".join(str(one.hdu) for one in probes)
        raise FileError(
            f"has no image in HDU {hdu}.", where=str(path), remedy=f"Images are in HDU {numbers}."
        )
    return chosen


def stamp_of(path: Path) -> tuple[int, int]:
    """Return size [byte] and time of last change [ns] of a file: one that changed has others."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns
