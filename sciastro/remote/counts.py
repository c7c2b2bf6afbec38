"""About how many stars a region has: enough to decide how to ask for them, and for nothing else."""

import math

import numpy as np

from sciastro.remote.columns import Region

__all__ = ["area_of", "depth_for", "expected_stars"]

# Magnitude G and stars per square degree down to it: totals of Gaia DR3, rounded (0.2, 3, 37, 300, 1000, 1800
# million), over the 41,253 square degrees of the sky.
MAGNITUDES = (9.0, 12.0, 15.0, 18.0, 20.0, 21.0)
LOG_COUNTS = tuple(math.log10(count) for count in (4.0, 75.0, 900.0, 7_000.0, 25_000.0, 44_000.0))


def area_of(region: Region) -> float:
    """Return the area of a cone [deg2]."""
    half = math.sin(math.radians(region.radius) / 2)
    return 4 * math.pi * half * half * (180 / math.pi) ** 2


def expected_stars(region: Region, faintest: float | None) -> float:
    """Return how many stars a region has in the mean of the sky; near the Milky Way ten times more."""
    depth = MAGNITUDES[-1] if faintest is None else faintest
    below = min(depth - MAGNITUDES[0], 0.0) * 0.45  # brighter than the table: a factor of 2.8 per magnitude
    return float(area_of(region) * 10 ** (np.interp(depth, MAGNITUDES, LOG_COUNTS) + below))


def depth_for(region: Region, count: float) -> float:
    """Return the magnitude down to which a region has about `count` stars, in the mean of the sky."""
    wanted = math.log10(max(count, 1.0) / area_of(region))
    if wanted <= LOG_COUNTS[0]:
        return MAGNITUDES[0] + (wanted - LOG_COUNTS[0]) / 0.45
    return float(np.interp(wanted, LOG_COUNTS, MAGNITUDES))
