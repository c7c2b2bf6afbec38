"""Quality bits: why a pixel (or a source) should not be trusted.

Low positions are those of JWST where the meaning agrees; some names are ours, so the names always
travel with the data (FITS header cards, CF ``flag_masks`` / ``flag_meanings``). Test with
``quality & Quality.HOT``, never with ``==``.
"""

from enum import IntFlag

import numpy as np
import numpy.typing as npt

__all__ = [
    "FLUX_UNKNOWN",
    "QUALITY_MEANINGS",
    "Quality",
    "decode_quality",
    "flag_attributes",
    "unusable",
]


class Quality(IntFlag):
    """Bits of the uint16 quality plane."""

    DO_NOT_USE = 1 << 0
    SATURATED = 1 << 1
    COSMIC_RAY = 1 << 2
    OUTLIER = 1 << 4
    EDGE = 1 << 9
    DEAD = 1 << 10
    HOT = 1 << 11
    INTERPOLATED = 1 << 12
    NO_DATA = 1 << 13
    TRAIL = 1 << 14
    LOW_FLAT = 1 << 15


QUALITY_MEANINGS: dict[Quality, str] = {
    Quality.DO_NOT_USE: "must not enter any measurement",
    Quality.SATURATED: "at or above the saturation level",
    Quality.COSMIC_RAY: "hit by a cosmic ray (found on a single frame)",
    Quality.OUTLIER: "rejected against the other frames",
    Quality.EDGE: "too near the edge of the detector or of the canvas",
    Quality.DEAD: "responds too little or not at all",
    Quality.HOT: "dark current far above the detector's",
    Quality.INTERPOLATED: "value made from neighboring pixels",
    Quality.NO_DATA: "nothing was measured here",
    Quality.TRAIL: "crossed by a satellite, an aircraft or a meteor",
    Quality.LOW_FLAT: "flat field too low to divide by",
}

UNUSABLE = Quality.DO_NOT_USE | Quality.NO_DATA
FLUX_UNKNOWN = np.uint16(Quality.DO_NOT_USE | Quality.SATURATED)
"""Bits of a star whose flux must not be compared with that of others."""


def decode_quality(value: int) -> list[str]:
    """Return the names of the bits set in `value`, lowest first."""
    return [bit.name for bit in Quality if value & bit and bit.name is not None]


def unusable(quality: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Return where `quality` forbids any use (DO_NOT_USE or NO_DATA)."""
    return np.asarray((quality & int(UNUSABLE)) != 0)


def flag_attributes() -> dict[str, object]:
    """Return the CF attributes that explain the bits to any netCDF tool."""
    return {
        "flag_masks": np.array([int(bit) for bit in Quality], dtype=np.uint16),
        "flag_meanings": " ".join(str(bit.name) for bit in Quality),
    }
