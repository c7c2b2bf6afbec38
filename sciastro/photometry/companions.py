"""Neighbors that detection did not tell apart, told by how a source's own light grows.

A companion nearer than about two widths to a bright star is no source of its own, and its light is in the
star's aperture. It raises what lies between `INNER` and `OUTER` widths over what lies within: beyond `SURE`
errors of that ratio, and of the scatter of profiles, a source has one. Ratio, scatter and how both change
over the field are those of the stars of the curve of growth; light of known neighbors is taken off.
"""

import numpy as np
import numpy.typing as npt

from sciastro.photometry.coarse import pixel_scatter
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.growth import flux_ratio
from sciastro.photometry.growthmap import growth_map
from sciastro.photometry.neighbors import Others
from sciastro.photometry.plane import Plane, SkyLevels

__all__ = ["companion_flags"]

Floats = npt.NDArray[np.float64]

# Radii [width]. Of crowds as found (14 fields, 2,154 sources above S/N 10) pulls have a deviation of 4.9, and
# without the sources that the ring tells 1.04; with 0.6 to 1.25 or 1.25 to 2.0 widths 1.12 and 1.14.
INNER, OUTER = 0.8, 1.6
SURE = 3.0  # errors; of 651 stars that stand alone none is beyond, of those in crowds that are right 1.3 %
LEAST_SCATTER = 0.002  # of profiles, relative: below, 50 stars do not tell it from 0
FEWEST = 5  # stars of the curve of growth; fewer do not tell a scatter


def companion_flags(
    plane: Plane, x: Floats, y: Floats, sky: SkyLevels, bright: npt.NDArray[np.intp], others: Others,
    fwhm: float,
) -> npt.NDArray[np.uint32]:  # fmt: skip
    """Return NEIGHBOR where a source's light grows as that of two.

    Parameters
    ----------
    plane, x, y, sky
        Image, positions [pixel] and sky of all sources.
    bright
        Stars of the curve of growth (indices).
    others
        The same sources, as each other's neighbors.
    fwhm
        Of stars [pixel].
    """
    flags = np.zeros(len(x), np.uint32)
    if len(bright) < FEWEST:
        return flags
    inner, outer = INNER * fwhm, OUTER * fwhm
    usual = growth_map(plane, x, y, sky, bright, inner, outer, others=others)
    if usual is None:
        return flags
    wide, narrow = (others.taken_off(plane, x, y, radius) for radius in (outer, inner))
    ratio, err = flux_ratio(wide, narrow, sky)
    scatter = max(usual.scatter, LEAST_SCATTER, pixel_scatter(float(fwhm), float(inner)))
    expected = usual.at(x, y)
    with np.errstate(invalid="ignore"):
        flags[ratio - expected > SURE * np.hypot(err, scatter * expected)] = int(SourceFlag.NEIGHBOR)
    return flags
