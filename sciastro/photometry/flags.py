"""What to know about a source: the quality bits under its aperture, and how it was measured.

The low 16 bits are those of `core.quality.Quality`; the bits above are ours.
"""

from enum import IntFlag

from sciastro.core.quality import QUALITY_MEANINGS

__all__ = ["SourceFlag", "flag_meanings"]


class SourceFlag(IntFlag):
    """Bits of a source's ``flags`` above the 16 of `Quality`."""

    CROWDED = 1 << 16
    CUT = 1 << 17
    MIRRORED = 1 << 18
    POOR_SKY = 1 << 19


_OWN = {
    SourceFlag.CROWDED: "a neighbor's light is in the aperture",
    SourceFlag.CUT: "pixels are missing that nothing could replace; no flux",
    SourceFlag.MIRRORED: "missing pixels were replaced by their mirror image through the center",
    SourceFlag.POOR_SKY: "too few free pixels around it: the sky level includes pixels of other sources",
}


def flag_meanings() -> dict[str, str]:
    """Return "value NAME" -> meaning of every bit that ``flags`` may hold."""
    pairs: list[tuple[IntFlag, str]] = [*QUALITY_MEANINGS.items(), *_OWN.items()]
    return {f"{int(bit)} {bit.name}": meaning for bit, meaning in pairs}
