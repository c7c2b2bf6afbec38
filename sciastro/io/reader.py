"""One door to the pixels of every format: probe, read, and read bands of rows.

`probe` looks at headers only. The readers stand in one frozen table; a new format is one more entry.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from sciastro.errors import FileError
from sciastro.io import fitspixels
from sciastro.io.fits import FitsReader
from sciastro.io.probe import Pixels, Probe, Reader, RowSource, image_of
from sciastro.io.raw import RawReader
from sciastro.io.ser import SerReader
from sciastro.io.tiff import TiffReader
from sciastro.io.xisf import XisfReader

__all__ = [
    "LATER",
    "READERS",
    "Pixels",
    "Probe",
    "Reader",
    "RowSource",
    "is_image",
    "open_rows",
    "probe",
    "read_floats",
    "read_hashed",
    "read_pixels",
    "reader_of",
    "sha256",
]

READERS: tuple[Reader, ...] = (FitsReader(), XisfReader(), RawReader(), SerReader(), TiffReader())

PICTURE = "is a picture, not a raw frame: its numbers are no longer linear."
LATER = MappingProxyType(
    {
        ".avi": "is a video of pictures; SER videos of the raw pixels can be read.",
        **dict.fromkeys((".jpg", ".jpeg", ".png", ".heic", ".bmp", ".gif"), PICTURE),
    }
)
"""Formats that people have beside their frames, and what is said of them."""

REMEDY = "Convert it to FITS (integer, not stretched, not debayered) for now."
REMEDY_PICTURE = "Give the raw frames that it was made from."


def reader_of(path: Path) -> Reader:
    """Return the reader for `path`, by the end of its name.

    Raises
    ------
    FileError
        For a format that cannot be read.
    """
    name = path.name.lower()
    if path.is_dir():
        raise FileError(
            "is a folder, not an image.", where=str(path), remedy=f"Name the files in it: {path.name}/*."
        )
    for reader in READERS:
        if name.endswith(reader.suffixes):
            return reader
    found = LATER.get(path.suffix.lower(), "is not an image format that can be read.")
    raise FileError(found, where=str(path), remedy=REMEDY_PICTURE if found == PICTURE else REMEDY)


def is_image(path: Path) -> bool:
    """Return whether `path` is named like an image, readable or not."""
    name = path.name.lower()
    return path.suffix.lower() in LATER or any(name.endswith(reader.suffixes) for reader in READERS)


def probe(path: Path) -> list[Probe]:
    """Return every two-dimensional image of `path` without reading its pixels.

    Raises
    ------
    FileError
        If the file cannot be read as what its name says.
    """
    return reader_of(path).probe(path)


def read_pixels(path: Path, hdu: int | None = None) -> Pixels:
    """Return the pixels [adu, (y, x)] of one image of `path`, as read.

    Parameters
    ----------
    path
        The file.
    hdu
        Number of the image as in `Probe`; None takes the first.

    Returns
    -------
    ndarray
        Native uint8, int16, uint16, int32, uint32 as the camera wrote it; float32 or float64 where the
        file holds floating point, scaled integers, or integers with blanks (then NaN).

    Raises
    ------
    FileError
        If the file or the image cannot be read.
    """
    chosen = _chosen(path, hdu)
    return reader_of(path).pixels(chosen)


def read_floats(image: Probe) -> npt.NDArray[np.float32]:
    """Return the pixels of one image as float32, of a plain FITS file without a second array of that size.

    Raises
    ------
    FileError
        If the file cannot be read.
    """
    reader = reader_of(image.path)
    if isinstance(reader, FitsReader) and reader.plain(image):
        return fitspixels.read_floats(image)
    return reader.pixels(image).astype(np.float32, copy=False)


def read_hashed(path: Path, hdu: int | None, room: Callable[[], Pixels]) -> tuple[Pixels, str]:
    """Return the pixels of one image, and the SHA-256 digest of its file; plain files are read once for both.

    Parameters
    ----------
    path, hdu
        As for `read_pixels`.
    room
        Gives an array of the shape and dtype that are expected; it is filled and returned where they fit.

    Raises
    ------
    FileError
        If the file or the image cannot be read.
    """
    chosen = _chosen(path, hdu)
    reader = reader_of(path)
    if isinstance(reader, FitsReader) and reader.plain(chosen):
        target = room()
        if target.shape == chosen.shape and target.dtype == chosen.dtype:
            return target, reader.read_into(chosen, target)
    return reader.pixels(chosen), sha256(path)


def _chosen(path: Path, hdu: int | None) -> Probe:
    return image_of(reader_of(path).probe(path), path, hdu)


def open_rows(image: Probe) -> RowSource:
    """Return a function ``rows(first, last)`` for bands of `image`; safe to call from several threads."""
    return reader_of(image.path).open_rows(image)


def sha256(path: Path) -> str:
    """Return the SHA-256 digest of the file, as hexadecimal text.

    Raises
    ------
    FileError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileError(f"cannot be read: {error}.", where=str(path), remedy="Check the file.") from error
