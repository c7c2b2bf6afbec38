"""Raw pixels in the files of the session: instead of those in ``frames.h5``, or beside them.

Linked pixels save a copy of every frame on the disk. The files must then stay as they are until the run has
ended; one that changed is an error, never a wrong pixel. Where there is a copy, the file it was made of is
the `Original`: the system still has it in its memory, and reading it again spares a second place there. One
that changed is left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.io import fits

from sciastro.errors import FileError, OptionError
from sciastro.io.fits import FitsReader
from sciastro.io.probe import Probe, stamp_of
from sciastro.io.reader import open_rows, probe, reader_of

__all__ = ["LinkedBlock", "Original", "link", "original_of"]

REMEDY = "Bring the file back, or run without --raw link."
NO_STAMP = (-1, -1)  # of a file that could not be read: no file has it


@dataclass(frozen=True, slots=True)
class LinkedBlock:
    """Pixels of one group of frames, read by position from their own files.

    Attributes
    ----------
    images
        Where the pixels lie, per frame; without headers.
    stamps
        Size [byte] and time of last change [ns] of each file when the run began.
    """

    images: tuple[Probe, ...]
    stamps: tuple[tuple[int, int], ...]

    def rows(self, frame: int, first: int, last: int) -> np.ndarray:
        """Return rows `first` to `last` (exclusive) of `frame`, shape (rows, x).

        Raises
        ------
        FileError
            If the file is gone, cannot be read, or is not what it was.
        """
        self._check(frame)
        rows = np.asarray(open_rows(self.images[frame])(first, last))
        self._check(frame)  # also while we read
        return rows

    def _check(self, frame: int) -> None:
        path = self.images[frame].path
        if _stamp(path) != self.stamps[frame]:
            raise FileError("changed while the run needed it.", where=str(path), remedy=REMEDY)

    def write(self, frame: int, pixels: np.ndarray) -> None:
        """Keep nothing: the pixels are where they were read."""


def link(files: Sequence[tuple[Path, int]]) -> LinkedBlock:
    """Return access to the pixels of `files` (path and number of the image in it).

    A file that cannot be read (any more) costs its own frame alone: asking for its rows raises.

    Raises
    ------
    OptionError
        If the pixels of a file are packed: its rows cannot be read by position.
    """
    images, stamps = [], []
    for path, number in files:
        try:
            found = next((one for one in probe(path) if one.hdu == number), None)
            stamp = NO_STAMP if found is None else _stamp(path)
        except FileError:  # told where its pixels are wanted
            found, stamp = None, NO_STAMP
        image = Probe(path, fits.Header(), (0, 0), np.dtype(np.uint16)) if found is None else found
        packed = image.offset is None or image.stored is None or path.suffix.lower() in (".gz", ".bz2")
        if packed and found is not None:
            raise OptionError(
                f"cannot be used: rows of {path} cannot be read by position.",
                where="--raw link",
                remedy="It needs plain FITS files; leave the option out for others.",
            )
        images.append(replace(image, header=fits.Header()))
        stamps.append(stamp)
    return LinkedBlock(tuple(images), tuple(stamps))


@dataclass(frozen=True, slots=True)
class Original:
    """The file that a frame in ``frames.h5`` was copied from.

    Attributes
    ----------
    image
        Where its pixels lie; without header.
    stamp
        Size [byte] and time of last change [ns] before the copy was made.
    """

    image: Probe
    stamp: tuple[int, int]

    def rows(self, first: int, last: int) -> np.ndarray | None:
        """Return rows `first` to `last` (exclusive), (rows, x); None where the file is not what it was."""
        try:
            rows = open_rows(self.image)(first, last)
            return np.asarray(rows) if _stamp(self.image.path) == self.stamp else None  # also while we read
        except FileError:  # there is the copy
            return None


def original_of(path: Path, number: int, store: Path) -> Original | None:
    """Return the image `number` of `path` as original of a copy in `store`.

    Returns
    -------
    Original or None
        None where the copy is the better one to read: the pixels are packed or of another format than FITS,
        or the file lies on another disk or cannot be read.
    """
    try:
        if not isinstance(reader_of(path), FitsReader) or path.stat().st_dev != store.stat().st_dev:
            return None
        stamp = _stamp(path)
        image = next((one for one in probe(path) if one.hdu == number), None)
    except (FileError, OSError):  # told where its pixels are wanted
        return None
    if image is None or not FitsReader().plain(image):
        return None
    return Original(replace(image, header=fits.Header()), stamp)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        return stamp_of(path)
    except OSError as error:
        raise FileError(f"cannot be read: {error.strerror}.", where=str(path), remedy=REMEDY) from error
