"""Walk the header-data units of a FITS file without reading their data.

FITS standard 4.0: section 3 (file organization), 4.4.1 (sizes), 10 (tile compression).
"""

import bz2
import gzip
import re
import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from sciastro.errors import FileError

__all__ = [
    "PACKED",
    "Unit",
    "data_size",
    "flag",
    "header_from_bytes",
    "integer",
    "is_wcs_card",
    "number_of",
    "open_file",
    "planes",
    "walk",
]

BLOCK = 2880
CARD = 80
MAX_HEADER_BLOCKS = 2000  # 72,000 cards: a file without END is not read to its end
PACKED = (".gz", ".bz2")
NOT_PRINTABLE = re.compile(rb"[^\x20-\x7e]")
WCS_CARD = re.compile(
    r"^(WCSAXES|WCSNAME|CTYPE[12]|CUNIT[12]|CRVAL[12]|CRPIX[12]|CDELT[12]|CROTA[12]|CRDER[12]|CSYER[12]"
    r"|CD\d_\d|PC\d_\d|PC00\d00\d|P[VS][12]_\d+|LONPOLE|LATPOLE|RADESYS|RADECSYS|EQUINOX"
    r"|[AB]P?_ORDER|[AB]P?_\d_\d|[AB]P?_DMAX|C[PQ]DIS[12]|C[PQ]ERR[12]|D[PQ][12](\..*)?|SIPREFD|TPVRESID|LENSRES)$"
    r"|^TR[12]_\d+$"
)
"""Cards of the primary celestial WCS and its distortion, not of alternate descriptions (CTYPE1A)."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One header-data unit: its cards and where its data lie."""

    number: int
    header: fits.Header
    data: int
    size: int


def header_from_bytes(raw: bytes) -> fits.Header:
    """Return the cards of `raw` with everything that FITS forbids replaced.

    Control characters become blanks, accents are dropped (FITS allows ASCII only) and other foreign
    letters become question marks, card by card, so that one bad card never spoils its neighbors.
    """
    if NOT_PRINTABLE.search(raw):
        raw = b"".join(_clean_card(raw[i : i + CARD]) for i in range(0, len(raw), CARD))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        return fits.Header.fromstring(raw.decode("ascii"))


def _clean_card(card: bytes) -> bytes:
    if not NOT_PRINTABLE.search(card):
        return card
    try:
        text = card.decode("utf-8")
    except UnicodeDecodeError:
        text = card.decode("latin-1")
    flat = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    kept = "".join(
        char if " " <= char <= "~" else (" " if unicodedata.category(char) == "Cc" else "?") for char in flat
    )
    return kept[:CARD].ljust(CARD).encode("ascii")


def open_file(path: Path) -> IO[bytes]:
    """Open a file for reading, through gzip or bzip2 where its name says so."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if suffix == ".bz2":
        return cast("IO[bytes]", bz2.open(path, "rb"))
    return path.open("rb")


def walk(path: Path) -> Iterator[Unit]:
    """Yield the units of a file; checks that the data of each lie within the file.

    Raises
    ------
    FileError
        If the file is empty or cut off, or is no FITS file.
    """
    packed = path.suffix.lower() in PACKED
    total = None if packed else path.stat().st_size
    if path.stat().st_size == 0:
        raise FileError("is empty.", where=str(path), remedy="Copy it again, or delete it.")
    position = 0
    with open_file(path) as file:
        number = 0
        while True:
            raw = _header_bytes(file, path, number)
            if raw is None:
                return
            position += len(raw)
            header = header_from_bytes(raw)
            size = data_size(header)
            yield Unit(number, header, position, size)
            if total is not None and position + size > total:
                missing = min(size, position + size - total)
                raise FileError(
                    f"is cut off: {missing} of the {size} data bytes that its header announces are missing.",
                    where=f"{path} [HDU {number}]",
                    remedy="Copy it again from the camera, or delete it.",
                )
            if packed and planes(header) == 1:
                return  # what follows would have to be unpacked for nothing
            position += -(-size // BLOCK) * BLOCK
            file.seek(position)
            number += 1


def _header_bytes(file: IO[bytes], path: Path, number: int) -> bytes | None:
    """Return the blocks of one header up to its END card; None where the file has ended."""
    blocks = []
    for count in range(MAX_HEADER_BLOCKS):
        block = file.read(BLOCK)
        if count == 0 and number > 0 and (len(block) < CARD or block[:8] != b"XTENSION"):
            return None  # the file ends, or padding and special records follow
        if count == 0 and number == 0 and not block.startswith(b"SIMPLE  ="):
            raise FileError(
                "is not a FITS file, whatever its name says.",
                where=str(path),
                remedy="Delete it, or rename it to what it is.",
            )
        blocks.append(block)
        for start in range(0, len(block), CARD):
            if block[start : start + 8].rstrip() == b"END" and not block[start + 8 : start + CARD].strip(
                b" \0"
            ):
                return b"".join(blocks).ljust((count + 1) * BLOCK)
        if len(block) < BLOCK:
            break
    raise FileError(
        "is cut off within its header (no END card).",
        where=f"{path} [HDU {number}]",
        remedy="Copy it again from the camera, or delete it.",
    )


def integer(header: fits.Header, key: str, default: int) -> int:
    """Return a card as an integer, `default` where it is missing or damaged."""
    value = number_of(header, key, float(default))
    return int(value)


def number_of(header: fits.Header, key: str, default: float) -> float:
    """Return a card as a number, `default` where it is missing or damaged."""
    try:
        value = header.get(key, default)
        return float(value)
    except (ValueError, TypeError, fits.VerifyError):
        return default


def is_wcs_card(keyword: str) -> bool:
    """Return whether `keyword` belongs to the primary WCS of an image, or to its distortion."""
    return WCS_CARD.match(keyword) is not None


def flag(header: fits.Header, key: str) -> bool:
    """Return whether a card is there and true."""
    try:
        return header.get(key) is True
    except fits.VerifyError:
        return False


def data_size(header: fits.Header) -> int:
    """Return the bytes of data after a header (equation 2 of the standard, section 4.4.1.2)."""
    axes = [integer(header, f"NAXIS{n}", 0) for n in range(1, integer(header, "NAXIS", 0) + 1)]
    if not axes:
        return 0
    groups = flag(header, "GROUPS") and axes[0] == 0
    count = int(np.prod(axes[1:] if groups else axes, dtype=np.int64))
    total = integer(header, "GCOUNT", 1) * (integer(header, "PCOUNT", 0) + count)
    return abs(integer(header, "BITPIX", 8)) // 8 * total


def planes(header: fits.Header) -> int | None:
    """Return how many image planes a unit holds, None where it holds no image."""
    tiled = flag(header, "ZIMAGE")
    extension = str(header.get("XTENSION", "IMAGE")).strip()
    if extension not in {"IMAGE", "IUEIMAGE"} and not tiled:
        return None
    prefix = "Z" if tiled else ""
    axes = [
        integer(header, f"{prefix}NAXIS{n}", 0) for n in range(1, integer(header, f"{prefix}NAXIS", 0) + 1)
    ]
    if len(axes) < 2 or min(axes) < 1:
        return None
    return int(np.prod(axes[2:], dtype=np.int64)) if axes[1] > 1 or axes[0] > 1 else None
