"""A lens in the place of a polynomial, where a picture is wide."""

import logging

from sciastro.astrometry.onelens import BENT, lens_solution
from sciastro.astrometry.sky import StarsAt, catalog_stars
from sciastro.astrometry.solution import Solution
from sciastro.astrometry.solve import image_stars
from sciastro.core.stars import StarArray
from sciastro.core.wcs import center, footprint_radius

__all__ = ["with_lens"]

log = logging.getLogger(__name__)

MARGIN = 1.3  # of the radius, since distortion may hide how wide a picture is
TOLD = 0.5  # pixel: a written WCS that is farther from its lens is told
FARTHEST = 89.0  # deg


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
