"""A lens in the place of a polynomial, where a picture is wide."""

import logging
from typing import Any

from sciastro.astrometry.onelens import BENT, lens_solution
from sciastro.astrometry.sky import StarsAt, catalog_stars
from sciastro.astrometry.solution import Solution
from sciastro.astrometry.solve import image_stars
from sciastro.core.stars import StarArray
from sciastro.core.wcs import center, footprint_radius

__all__ = ["lens_card", "with_lens"]

log = logging.getLogger(__name__)

MARGIN = 1.3  # of the radius, since distortion may hide how wide a picture is
TOLD = 0.5  # pixel: a written WCS that is farther from its lens is told
FARTHEST = 89.0  # deg
LENS, LENS_COMMENT = "LENSRES", "[pixel] largest difference from the lens model"


def with_lens(stars: StarArray, shape: tuple[int, int], found: Solution, stars_at: StarsAt) -> Solution:
    """Return the solution by a lens where the picture is wide and the lens is better, else the given one.

    Parameters
    ----------
    stars
        Of the picture.
    shape
        Rows and columns.
    stars_at
        Catalog: (ra, dec, radius) [deg] -> table.
    """
    radius = footprint_radius(found.wcs, shape)
    if radius < BENT or found.matched is None:
        return found
    sky = catalog_stars(stars_at(*center(found.wcs, shape), min(MARGIN * radius, FARTHEST)), found.epoch)
    better = lens_solution(image_stars(stars, shape), sky, found)
    if better is None:
        return found
    log.info("%s", better.attempts[-1])
    if better.deviation_px > TOLD:
        log.warning("the WCS follows the lens only within %.1f pixel", better.deviation_px)
    return better


def lens_card(solution: Solution | None, scale: float) -> dict[str, tuple[Any, str]]:
    """Return the card of how far, at most, a written polynomial is from the fitted lens; none without a lens.

    Parameters
    ----------
    scale
        Of the grid that is written [arcsec / pixel].
    """
    if solution is None or not solution.deviation_px > 0:
        return {}
    return {LENS: (round(solution.deviation_px * solution.scale / scale, 4), LENS_COMMENT)}
