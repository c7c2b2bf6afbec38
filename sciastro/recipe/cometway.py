"""The way of a comet or an asteroid over the frames, as an ephemeris has it: it may curve."""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sciastro.astrometry.movers import CurvedTrack
from sciastro.astrometry.plane import separation
from sciastro.core.wcs import center, footprint_radius, pixel_scale
from sciastro.io.ephemeris import Ephemeris, read_ephemeris
from sciastro.recipe.context import Context

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["way_of"]

log = logging.getLogger(__name__)

COARSE = 0.2  # pixel that an ephemeris may be off between its rows


def way_of(
    path: str, stem: str, times: Sequence[float], wcs: "WCS | None", context: Context
) -> CurvedTrack | None:
    """Return the way of an ephemeris over the reference grid; None where it cannot be told.

    Parameters
    ----------
    path
        The ephemeris.
    stem
        Name of the set of frames, for messages.
    times
        Of the frames [s since 1970].
    """
    if wcs is None or len(times) < 2:
        why = "there are no world coordinates" if wcs is None else "fewer than two frames have a time"
        context.warn(f"{stem}: the ephemeris is not used: {why}. The stack is of the stars only.")
        return None
    ephemeris = read_ephemeris(path)
    rough = ephemeris.roughness()
    scale = pixel_scale(wcs)
    if rough > COARSE * scale:
        context.warn(
            f"{stem}: rows of the ephemeris are too far apart: between them it may be "
            f"{rough:.1f} arcsec off. Get one with a shorter step."
        )
    ends = sorted(times)
    ra, dec = ephemeris.at([ends[0], ends[-1]])
    shape = wcs.pixel_shape[::-1] if wcs.pixel_shape else (1000, 1000)
    middle = center(wcs, shape)
    away = float(np.min(separation(ra, dec, *middle)))
    if away > 2 * footprint_radius(wcs, shape):
        context.warn(
            f"{stem}: the ephemeris is of something {away:.2f} degrees away, outside of the frames. "
            "The stack is of the stars only."
        )
        return None
    way = CurvedTrack(_places_of(ephemeris, wcs))
    first, last = way.at(ends[0]), way.at(ends[-1])
    moved = float(np.hypot(last[0] - first[0], last[1] - first[1]))
    log.info("%s: the ephemeris moves %.1f pixel over the frames", stem, moved)
    return way


def _places_of(ephemeris: Ephemeris, wcs: "WCS") -> Callable[[float], tuple[float, float]]:
    def place(time: float) -> tuple[float, float]:
        ra, dec = ephemeris.at(time)
        x, y = wcs.all_world2pix(ra, dec, 0, quiet=True)
        return float(x[0]), float(y[0])

    return place
