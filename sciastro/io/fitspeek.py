"""Where the pixels of a plain FITS file lie, told from its first cards; astropy is not needed for it.

For who reads pixels while astropy is loaded. What this says is believed only where `io.fits` says the same
afterwards.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sciastro.io.fitspixels import STORED, dtype_of
from sciastro.io.probe import Placed

__all__ = ["Peek", "peek", "same_place"]

CARD, BLOCK = 80, 2880
LONGEST = 20 * BLOCK  # bytes of a header that is looked at
SUFFIXES = (".fits", ".fit", ".fts")


@dataclass(frozen=True, slots=True)
class Peek:
    """Where the pixels of a plane lie and how they are stored, as in `io.probe.Probe`; `header` is text."""

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    offset: int
    stored: np.dtype[Any]
    bscale: float
    bzero: float
    header: str
    blank: int | None = None

    @property
    def end(self) -> int:
        """Return where the pixels end in the file."""
        return self.offset + self.shape[0] * self.shape[1] * self.stored.itemsize


def peek(path: Path) -> Peek | None:
    """Return where the pixels of the first image lie; None where that takes more than its first cards.

    None, too, where the file cannot be read or is cut off: `io.fits` tells why.
    """
    if path.suffix.lower() not in SUFFIXES:
        return None
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST).decode("latin-1")
            size = os.fstat(file.fileno()).st_size
    except OSError:
        return None
    cards: dict[str, str] = {}
    for start in range(0, len(text), CARD):
        key = text[start : start + 8].rstrip()
        if key == "END":
            found = _from_cards(path, cards, text[: math.ceil((start + CARD) / BLOCK) * BLOCK])
            return found if found is not None and found.end <= size else None
        cards.setdefault(key, text[start + 10 : start + CARD].partition("/")[0].strip())
    return None


def _from_cards(path: Path, cards: dict[str, str], header: str) -> Peek | None:
    """Return what the cards of a primary header say, None where anything is unusual."""
    try:
        bitpix, axes = int(cards["BITPIX"]), int(cards["NAXIS"])
        shape = int(cards["NAXIS2"]), int(cards["NAXIS1"])
        bscale, bzero = float(cards.get("BSCALE", "1")), float(cards.get("BZERO", "0"))
    except (KeyError, ValueError):
        return None
    if cards.get("SIMPLE") != "T" or axes != 2 or bitpix not in STORED or "BLANK" in cards or min(shape) < 1:
        return None
    stored, dtype = np.dtype(STORED[bitpix]), dtype_of(bitpix, bscale, bzero, None)
    if dtype.itemsize != stored.itemsize:
        return None
    return Peek(path, shape, dtype, len(header), stored, bscale, bzero, header)


def same_place(one: Placed, other: Placed) -> bool:
    """Return whether the same pixels are meant, read in the same way."""
    return all(getattr(one, name) == getattr(other, name) for name in _SAID)


_SAID = ("path", "shape", "dtype", "offset", "stored", "bscale", "bzero", "blank")
