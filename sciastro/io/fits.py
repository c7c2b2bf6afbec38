"""Read FITS images fast and strictly: headers without pixels, rows without copies.

Headers are walked here, block by block, so that a truncated file is found from its size alone.
Plain pixels are read straight from their place in the file (`io.fitspixels`); tile-compressed images (.fz)
are unpacked by astropy, only the tiles needed.
FITS standard 4.0: sections 3 (file organization), 4.4.2.5 (BSCALE, BZERO, BLANK), 10 (compression).
"""

import hashlib
import os
import re
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from sciastro.errors import FileError
from sciastro.io.fitspixels import (
    STORED,
    PlainRows,
    convert_in_place,
    dtype_of,
    fill,
    hash_part,
    read_converted,
    reading,
    stored_dtype,
)
from sciastro.io.fitsunits import (
    PACKED,
    Unit,
    flag,
    header_from_bytes,
    integer,
    is_wcs_card,
    number_of,
    open_file,
    planes,
    walk,
)
from sciastro.io.plainrows import check_rows
from sciastro.io.probe import Pixels, Probe, RowSource

__all__ = ["FitsReader", "header_from_bytes"]

OF_THE_TABLE = re.compile(
    r"^(Z(IMAGE|TILE\d+|CMPTYPE|NAME\d+|VAL\d+|SIMPLE|BITPIX|NAXIS\d*|EXTEND|TENSION|PCOUNT|GCOUNT|BLOCKED"
    r"|HECKSUM|DATASUM|QUANTIZ|DITHER0|BLANK|SCALE|ZERO)|T(TYPE|FORM|DIM|UNIT|NULL|ZERO|SCAL)\d+|TFIELDS|THEAP"
    r"|PCOUNT|GCOUNT|XTENSION|NAXIS\d*|BITPIX|CHECKSUM|DATASUM|EXTEND)$"
)
OF_THE_PRIMARY = frozenset(
    {
        "SIMPLE",
        "BITPIX",
        "NAXIS",
        "EXTEND",
        "BSCALE",
        "BZERO",
        "BLANK",
        "END",
        "CHECKSUM",
        "DATASUM",
        "PCOUNT",
    }
    | {"GCOUNT", "GROUPS", "XTENSION", "INHERIT", "EXTNAME", "EXTVER", ""}
    | {f"NAXIS{n}" for n in range(1, 10)}
)


class FitsReader:
    """FITS images: plain, gzip, bzip2, tile-compressed; single or multi-extension."""

    name: str = "FITS"
    suffixes = (
        ".fits",
        ".fit",
        ".fts",
        ".fits.gz",
        ".fit.gz",
        ".fts.gz",
        ".fits.bz2",
        ".fit.bz2",
        ".fts.bz2",
        ".fz",
    )

    def probe(self, path: Path) -> list[Probe]:
        """Return every two-dimensional image of `path`, in file order, without reading pixels.

        Raises
        ------
        FileError
            If the file is no FITS file, is cut off, or holds no two-dimensional image.
        """
        with reading(path):
            units = list(walk(path))
        primary = units[0].header
        probes = []
        color = False
        for unit in units:
            count = planes(unit.header)
            if count is None:
                continue
            if count > 1:
                color = True
                continue
            probes.append(_probe(path, unit, primary))
        if probes:
            return probes
        if color:
            raise FileError(
                "holds a color image or a cube of several planes, not one raw frame.",
                where=str(path),
                remedy="Give the raw frames (one plane, before debayering or stacking).",
            )
        raise FileError(
            "holds no two-dimensional image of more than a pixel a side.", where=str(path),
            remedy="Give a FITS file with an image in it.",
        )  # fmt: skip

    def pixels(self, probe: Probe) -> Pixels:
        """Return all rows as a native array of dtype ``probe.dtype``."""
        return self.open_rows(probe)(0, probe.shape[0])

    def plain(self, probe: Probe) -> bool:
        """Return whether the pixels lie in the file as they are, each as large as in memory."""
        packed = probe.stored is None or probe.path.suffix.lower() in PACKED
        return not packed and probe.dtype.itemsize == stored_dtype(probe).itemsize

    def read_into(self, probe: Probe, out: Pixels) -> str:
        """Read all rows of a plain image into `out`; return the SHA-256 digest of the whole file."""
        digest = hashlib.sha256()
        with reading(probe.path), probe.path.open("rb", buffering=0) as file:
            start = probe.offset or 0
            hash_part(file, 0, start, probe, digest)
            end = read_converted(file, out.reshape(-1), start, probe, digest)
            hash_part(file, end, os.fstat(file.fileno()).st_size, probe, digest)
        return digest.hexdigest()

    def open_rows(self, probe: Probe) -> RowSource:
        """Return a function that reads bands of rows; it keeps no file open and no pixels in memory.

        A gzip or bzip2 file has to be unpacked from its beginning for each band.
        """
        if self.plain(probe):
            return PlainRows(probe)

        def rows(first: int, last: int) -> Pixels:
            check_rows(probe, first, last)
            with reading(probe.path):
                if probe.stored is None:
                    return _unpack_tiles(probe, first, last)
                if probe.path.suffix.lower() in PACKED:
                    return _convert_chunks(probe, *_read_stream(probe, first, last))
                return _read_plain(probe, first, last)

        return rows


def _probe(path: Path, unit: Unit, primary: fits.Header) -> Probe:
    tiled = flag(unit.header, "ZIMAGE")
    prefix = "Z" if tiled else ""
    bitpix = integer(unit.header, f"{prefix}BITPIX", 0)
    if bitpix not in STORED:
        raise FileError(
            f"says BITPIX = {bitpix}, which FITS does not know.",
            where=f"{path} [HDU {unit.number}]",
            remedy="Write the file again with the program that made it.",
        )
    shape = (integer(unit.header, f"{prefix}NAXIS2", 0), integer(unit.header, f"{prefix}NAXIS1", 0))
    bscale, bzero = number_of(unit.header, "BSCALE", 1.0), number_of(unit.header, "BZERO", 0.0)
    blank = None
    if bitpix > 0 and ("BLANK" in unit.header or "ZBLANK" in unit.header):
        blank = integer(unit.header, "BLANK", integer(unit.header, "ZBLANK", 0))
    header = _image_header(unit.header, bitpix, shape) if tiled else unit.header.copy()
    header["NAXIS"] = 2
    for axis in range(3, 10):
        header.remove(f"NAXIS{axis}", ignore_missing=True)
    if unit.number > 0:
        _add_primary(header, primary)
    return Probe(
        path=path,
        header=header,
        shape=shape,
        dtype=dtype_of(bitpix, bscale, bzero, blank),
        hdu=unit.number,
        offset=None if tiled else unit.data,
        stored=None if tiled else np.dtype(STORED[bitpix]),
        bscale=bscale,
        bzero=bzero,
        blank=blank,
    )


def _image_header(table: fits.Header, bitpix: int, shape: tuple[int, int]) -> fits.Header:
    """Return the header of a tile-compressed image as it was before compression."""
    header = fits.Header()
    header["SIMPLE"], header["BITPIX"], header["NAXIS"] = True, bitpix, 2
    header["NAXIS1"], header["NAXIS2"] = shape[1], shape[0]
    for card in table.cards:
        if not OF_THE_TABLE.match(card.keyword):
            header.append(card, end=True)
    return header


def _add_primary(header: fits.Header, primary: fits.Header) -> None:
    """Add the cards of the primary header that the extension lacks (the INHERIT convention)."""
    if header.get("INHERIT", True) is False:
        return
    present = OF_THE_PRIMARY | set(header.keys()) - {"COMMENT", "HISTORY"}
    own_wcs = "CTYPE1" in header  # half of another one must not be mixed into it
    for card in primary.cards:
        if card.keyword not in present and not (own_wcs and is_wcs_card(card.keyword)):
            header.append(card, end=True)


def _read_plain(probe: Probe, first: int, last: int) -> Pixels:
    """Read rows from their place in the file whose values need another size in memory than there."""
    stored = stored_dtype(probe)
    count = (last - first) * probe.shape[1]
    start = (probe.offset or 0) + first * probe.shape[1] * stored.itemsize
    raw = np.empty(count, stored)
    with probe.path.open("rb", buffering=0) as file:
        fill(file, raw.view(np.uint8), start, probe)
    return _convert_chunks(probe, raw, (last - first, probe.shape[1]))


def _convert_chunks(probe: Probe, raw: Pixels, shape: tuple[int, int]) -> Pixels:
    """Return `raw` (as stored, big-endian) as native values."""
    stored = stored_dtype(probe)
    if probe.dtype.itemsize == stored.itemsize:
        out = raw.view(probe.dtype)
        convert_in_place(out, probe)
        return out.reshape(shape)
    values = raw.astype(probe.dtype)
    values *= probe.dtype.type(probe.bscale)
    values += probe.dtype.type(probe.bzero)
    if probe.blank is not None:
        values[raw == probe.blank] = np.nan
    return values.reshape(shape)


def _read_stream(probe: Probe, first: int, last: int) -> tuple[Pixels, tuple[int, int]]:
    """Unpack a gzip or bzip2 file up to the rows wanted."""
    stored = stored_dtype(probe)
    width = probe.shape[1] * stored.itemsize
    raw = np.empty((last - first) * probe.shape[1], stored)
    view = memoryview(raw.view(np.uint8).data).cast("B")
    with open_file(probe.path) as file:
        file.seek((probe.offset or 0) + first * width)
        done = 0
        while done < len(view):
            got = file.readinto(view[done:])  # type: ignore[attr-defined]
            if not got:
                raise FileError(
                    "is cut off: its pixels end too early.", where=str(probe.path), remedy="Copy it again."
                )
            done += got
    return raw, (last - first, probe.shape[1])


def _unpack_tiles(probe: Probe, first: int, last: int) -> Pixels:
    """Unpack the tiles of the rows wanted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        with fits.open(probe.path, memmap=False) as units:
            unit = units[probe.hdu]
            if first == last:
                return np.empty((0, probe.shape[1]), probe.dtype)
            try:
                data = (
                    unit.section[..., first:last, :] if unit.header["NAXIS"] > 2 else unit.section[first:last]
                )
            except (ValueError, RuntimeError, TypeError) as error:
                raise FileError(
                    f"cannot be unpacked ({error}).", where=str(probe.path), remedy="Copy it again."
                ) from error
    return np.ascontiguousarray(np.asarray(data).reshape(last - first, probe.shape[1]), dtype=probe.dtype)
