"""What to know about a source: the quality bits under its aperture, and how it was measured.

The low 16 bits are those of `core.quality.Quality`; the bits above are ours.
"""

from enum import IntFlag

import numpy as np
import numpy.typing as npt

from sciastro.core.quality import QUALITY_MEANINGS

__all__ = ["SourceFlag", "flag_meanings", "flag_words", "flags_text"]


class SourceFlag(IntFlag):
    """Bits of a source's ``flags`` above the 16 of `Quality`."""

    CROWDED = 1 << 16
    CUT = 1 << 17
    MIRRORED = 1 << 18
    POOR_SKY = 1 << 19
    OFF_IMAGE = 1 << 20
    BAD_POSITION = 1 << 21
    FAINT = 1 << 22
    NO_STAR = 1 << 23
    COLOR_BEYOND = 1 << 24
    BLENDED = 1 << 25
    WINGS = 1 << 26
    PARTLY = 1 << 27
    UNSETTLED = 1 << 28
    HELD = 1 << 29
    UNDERSAMPLED = 1 << 30
    NEIGHBOR = 1 << 31


_OWN = {
    SourceFlag.CROWDED: "a neighbor's light is in the aperture",
    SourceFlag.NEIGHBOR: "neighbors, seen or told by its growth, add a tenth of the flux's error, or more",
    SourceFlag.CUT: "pixels are missing that nothing could replace; no flux",
    SourceFlag.MIRRORED: "missing pixels were replaced by their mirror image through the center",
    SourceFlag.POOR_SKY: "too few free pixels around it: its sky counts those of sources, or is the map's",
    SourceFlag.OFF_IMAGE: "the position is outside the image; no flux",
    SourceFlag.BAD_POSITION: "the position is no number, or nothing puts it on the image; no flux",
    SourceFlag.FAINT: "too little light for a magnitude; the flux and its error hold",
    SourceFlag.COLOR_BEYOND: "its color is beyond those of the stars that set the color term",
    SourceFlag.NO_STAR: "wider, narrower or longer than stars are: a blend, a galaxy or an artifact",
    SourceFlag.BLENDED: "another star is nearer than the width of a star; both are fit together",
    SourceFlag.WINGS: "its core is saturated: fit from its wings",
    SourceFlag.PARTLY: "part of it is missing or off the image; fit from the rest",
    SourceFlag.UNSETTLED: "the fit did not come to rest; the errors do not hold",
    SourceFlag.HELD: "too faint to tell its position: it was kept as given",
    SourceFlag.UNDERSAMPLED: "stars are narrower than two pixels: the fit leans on the model of the PSF",
}


def flag_meanings() -> dict[str, str]:
    """Return "value NAME" -> meaning of every bit that ``flags`` may hold."""
    pairs: list[tuple[IntFlag, str]] = [*QUALITY_MEANINGS.items(), *_OWN.items()]
    return {f"{int(bit)} {bit.name}": meaning for bit, meaning in pairs}


def flag_words(value: int) -> list[str]:
    """Return the names of the bits set in `value`, lowest first; unknown ones as BIT_n."""
    known: dict[int, str] = {}
    for bit in (*QUALITY_MEANINGS, *_OWN):
        known[int(bit)] = str(bit.name)
    bits = [1 << n for n in range(32) if int(value) >> n & 1]
    return [known.get(bit, f"BIT_{bit.bit_length() - 1}") for bit in bits]


def flags_text(flags: npt.ArrayLike) -> npt.NDArray[np.str_]:
    """Return the words of every entry of `flags` (any shape), joined by spaces; "" where no bit is set."""
    values = np.asarray(flags).astype(np.int64)
    words = {int(value): " ".join(flag_words(int(value))) for value in np.unique(values)}
    return np.array([words[int(value)] for value in values.ravel()], dtype=np.str_).reshape(values.shape)
