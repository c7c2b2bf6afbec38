"""Read TIFF files of sensor pixels: one channel, 16 or 32 bits, linear; pictures are refused with the reason.

TIFF has no place for exposure times and the like: capture and processing programs put a FITS header, or lines
``KEY = value``, into ImageDescription, and cameras write Exif tags. TIFF 6.0; tifffile reads the pixels.
"""

import importlib
import logging
import lzma
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from sciastro.errors import FileError
from sciastro.io.cards import add_card, parse_number
from sciastro.io.exif import Exif, read_exif
from sciastro.io.exifcards import exif_header
from sciastro.io.lastframe import LastFrame
from sciastro.io.plainrows import plain_rows
from sciastro.io.probe import Pixels, Probe, RowSource
from sciastro.io.xisfcards import STRUCTURE

__all__ = ["TiffReader"]

LARGEST = 1 << 29
MOST_PAGES = 100_000
logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it says, our errors say
ADU_WHITE = 65535.0  # of floats from 0 to 1: white of 16 bits
DEFLATE, PIECE = (8, 32946), 1 << 20
LINE = re.compile(r"^\s*([A-Za-z][A-Za-z0-9_-]{0,7})\s*=\s*(.*?)\s*$")
CARD_LENGTH = 80
BLACK_IS_ZERO, MOSAIC = 1, 32803
COPY = "Copy it again, or save it again with the program that made it."
RAW_FRAME = "Give the raw frame that it was made from (or 16-bit or 32-bit float gray, not stretched)."
SAMPLE_BITS = {"u": {16, 32}, "i": {16, 32}, "f": {32, 64}}


class TiffReader:
    """TIFF files with one channel of 16 or 32 bits; every page of the same size is a frame."""

    name: str = "TIFF"
    suffixes = (".tif", ".tiff")

    def __init__(self) -> None:
        self._last = LastFrame()

    def probe(self, path: Path) -> list[Probe]:
        """Return the pages, in file order, without reading their pixels.

        Raises
        ------
        FileError
            If the file is no TIFF file, is cut off, or holds a picture: colors, 8 bits, a palette.
        """
        with _opened(path) as tiff:
            pages = _pages(tiff, path)
            exif = read_exif(path)
            header = _header(exif, pages[0], str(pages[0].description or ""), path)
            return [_probe(path, number, page, header, len(pages)) for number, page in enumerate(pages)]

    def pixels(self, probe: Probe) -> Pixels:
        """Return all rows of one page as a native array.

        Raises
        ------
        FileError
            If the file holds other pixels than it says.
        """
        if probe.offset is not None:
            return self.open_rows(probe)(0, probe.shape[0])
        with _opened(probe.path) as tiff:
            _refuse_bombs(tiff.pages[probe.hdu], probe.path)
            data = np.asarray(tiff.pages[probe.hdu].asarray(maxworkers=1))
        if data.size != probe.shape[0] * probe.shape[1]:
            raise FileError("holds other pixels than it says.", where=str(probe.path), remedy=COPY)
        return np.ascontiguousarray(data.reshape(probe.shape), dtype=probe.dtype)

    def open_rows(self, probe: Probe) -> RowSource:
        """Return a function that reads bands of rows; packed pages are unpacked for the first of them."""
        if probe.offset is None or probe.stored is None:
            return self._last.rows(probe, self.pixels)
        return plain_rows(probe, COPY)


def _refuse_bombs(page: Any, path: Path) -> None:
    """Raise for deflated pixels that unpack to more than the page has: zlib alone would unpack all of it."""
    if int(page.compression) not in DEFLATE:
        return
    whole = int(page.shape[0]) * int(page.shape[1]) * page.dtype.itemsize
    with path.open("rb") as file:
        for at, size in zip(page.dataoffsets, page.databytecounts, strict=False):
            file.seek(at)
            engine = zlib.decompressobj()
            left, out = file.read(size), 0
            while left and out <= 2 * whole:
                out += len(engine.decompress(left, PIECE))
                left = engine.unconsumed_tail
            if out > 2 * whole:  # tiles may stand over the edge
                found = "unpacks to more pixels than it says."
                raise FileError(found, where=str(path), remedy=COPY)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open with tifffile; whatever a damaged file makes it raise becomes a `FileError`."""
    tifffile = importlib.import_module("tifffile")
    try:
        if path.stat().st_size == 0:
            raise FileError("is empty.", where=str(path), remedy="Copy it again, or delete it.")
        with tifffile.TiffFile(path) as tiff:
            yield tiff
    except FileNotFoundError as error:
        raise FileError("does not exist.", where=str(path), remedy="Check the path.") from error
    except tifffile.TiffFileError as error:
        found = f"is no TIFF file that can be read ({error})."
        raise FileError(found, where=str(path), remedy=COPY) from error
    except (
        ImportError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, OSError,
        OverflowError, MemoryError, ArithmeticError, struct.error, zlib.error, lzma.LZMAError,
    ) as error:  # fmt: skip
        if isinstance(error, ImportError) or "imagecodecs" in str(error):
            raise FileError(
                "is compressed in a way that needs the package imagecodecs.",
                where=str(path),
                remedy="Install it (pip install imagecodecs), or save the file without compression.",
            ) from error
        raise FileError(f"cannot be read ({error}).", where=str(path), remedy=COPY) from error


def _pages(tiff: Any, path: Path) -> list[Any]:
    """Return the pages that are frames: those of the first one's size and type."""
    first = tiff.pages.first
    _refuse_pictures(first, path)
    if len(tiff.pages) > MOST_PAGES:
        raise FileError(f"says that it holds {len(tiff.pages)} pages.", where=str(path), remedy=COPY)
    same = [page for page in tiff.pages if page.shape == first.shape and page.dtype == first.dtype]
    size = path.stat().st_size
    for page in same:
        end = max((at + n for at, n in zip(page.dataoffsets, page.databytecounts, strict=False)), default=0)
        if end > size or not page.dataoffsets:
            missing = max(end - size, 1)
            raise FileError(
                f"is cut off: {missing} bytes of its pixels are missing.", where=str(path), remedy=COPY
            )
    return same


def _refuse_pictures(page: Any, path: Path) -> None:
    where = str(path)
    dtype = page.dtype
    if page.samplesperpixel != 1 or len(page.shape) != 2:
        raise FileError("is a color picture, not the pixels of a sensor.", where=where, remedy=RAW_FRAME)
    if int(page.photometric) not in (BLACK_IS_ZERO, MOSAIC):
        raise FileError("is a picture with a palette or inverted tones.", where=where, remedy=RAW_FRAME)
    if dtype is None or 8 * dtype.itemsize not in SAMPLE_BITS.get(dtype.kind, ()):
        bits = page.bitspersample
        raise FileError(
            f"is a picture of {bits} bits: its numbers are no longer those of the sensor.",
            where=where,
            remedy=RAW_FRAME,
        )
    rows, columns = page.shape
    if not 0 < rows * columns <= LARGEST:
        raise FileError(f"says it is {columns} x {rows} pixels.", where=where, remedy=COPY)


def _probe(path: Path, number: int, page: Any, common: fits.Header, count: int) -> Probe:
    plain = page.is_contiguous and int(page.compression) == 1 and page.fillorder == 1
    return Probe(
        path=path,
        header=common.copy(),
        shape=(int(page.shape[0]), int(page.shape[1])),
        dtype=page.dtype.newbyteorder("="),
        hdu=int(page.index) if count > 1 else 0,
        offset=int(page.dataoffsets[0]) if plain else None,
        stored=page.dtype.newbyteorder(page.parent.byteorder) if plain else None,
        sequence=count > 1,
    )


# -------------------------------------------------------------------------------------------- facts
def _header(exif: Exif, page: Any, description: str, path: Path) -> fits.Header:
    """Return what the description says, and what Exif tags add to it.

    Floating-point pixels are looked at: what stays below 1 runs from 0 to 1, else the numbers are adu.
    """
    header = _from_description(description)
    tags = exif_header(exif, (int(page.shape[0]), int(page.shape[1])))
    has_time = any(key in header for key in ("DATE-OBS", "DATE-AVG"))
    for card in tags.cards:
        of_time = card.keyword in ("DATE-OBS", "DATE-LOC", "TIMESYS")
        if card.keyword in ("COMMENT", "HISTORY") or card.keyword in header or (of_time and has_time):
            continue
        header.append(card, end=True)
    pattern = exif.main.get(33422)
    if int(page.photometric) == MOSAIC and isinstance(pattern, tuple) and "BAYERPAT" not in header:
        add_card(header, "BAYERPAT", "".join("RGB"[int(one)] for one in pattern if one in (0, 1, 2)))
    if "ROWORDER" not in header:
        add_card(header, "ROWORDER", "TOP-DOWN")
    if page.dtype.kind == "f":
        _refuse_bombs(page, path)
        data = np.asarray(page.asarray(maxworkers=1))
        white = 1.0 if not np.nanmax(data, initial=0.0) > 1.0 else ADU_WHITE
        add_card(header, "XISFMAX", white, "Value of white: floats of pictures run from 0 to 1")
    return header


def _from_description(text: str) -> fits.Header:
    """Return the cards in a description: a FITS header as it is, or lines ``KEY = value``."""
    header = fits.Header()
    lines = text.splitlines()
    if len(lines) < 3 and len(text) >= 3 * CARD_LENGTH and "=" in text[:CARD_LENGTH]:
        lines = [text[at : at + CARD_LENGTH] for at in range(0, len(text), CARD_LENGTH)]
    for line in lines[:2000]:
        match = LINE.match(line)
        if match is None or (STRUCTURE.match(match[1].upper()) and match[1].upper() != "ROWORDER"):
            continue
        key, value = match[1].upper(), match[2]
        if value.startswith("'"):
            end = value.find("'", 1)
            said: str | float | bool = value[1 : end if end > 0 else None].strip()
        else:
            said = value.split(" /")[0].strip()
            number = parse_number(said)
            if number is not None and re.fullmatch(r"[-+0-9.eEdD]+", said):
                said = number
            elif said in ("T", "F"):
                said = said == "T"
        if key not in header:
            add_card(header, key, said)
    return header
