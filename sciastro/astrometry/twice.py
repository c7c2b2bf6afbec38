"""Pictures that show every star twice: plates exposed a second time after a small shift, double images.

The shift is sought as that of a header (`search.by_shift`), among the image stars that the solution does not
explain. Where a second solution, a shift away, passes the test of `solve_field` by itself, the picture is two
pictures of one field, and the brighter one is what it was made for: patterns of stars cannot tell, and may
find the fainter one, whose stars are sharper.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.match import closest_pairs
from sciastro.astrometry.search import by_shift
from sciastro.astrometry.sky import CatalogStars, Hint, StarsAt, catalog_stars, pixels_of
from sciastro.astrometry.solution import ImageStars, Solution
from sciastro.astrometry.solve import DEFAULTS, SolveOptions, image_stars, solve_field
from sciastro.core.neighbors import nearest_within
from sciastro.core.stars import StarArray
from sciastro.core.wcs import center, footprint_radius
from sciastro.errors import SolveError

__all__ = ["brighter_image"]

Floats = npt.NDArray[np.float64]

REACH = 0.1  # of the longer side: how far apart the two may be
APART = 3.0  # widths of stars: nearer ones are one image
BRIGHTER = 0.8  # share of the stars that must be brighter in the brighter one
COMMON = 8  # fewest stars that are seen in both


def brighter_image(
    stars: StarArray, shape: tuple[int, int], found: Solution, *, stars_at: StarsAt,
    options: SolveOptions = DEFAULTS,
) -> Solution:  # fmt: skip
    """Return the solution of the brighter image of a field that is shown twice, else the given one.

    Parameters
    ----------
    stars
        `STAR_DTYPE` of the picture.
    shape
        Rows and columns.
    found
        A solution; where there are two, `notes` of the one returned say so.
    stars_at, options
        As for `solve_field`.
    """
    image = image_stars(stars, shape, options)
    ra, dec = center(found.wcs, shape)
    reach = REACH * max(shape)
    radius = footprint_radius(found.wcs, shape) + reach * found.scale / 3600
    sky = catalog_stars(stars_at(ra, dec, radius), found.epoch)
    known = pixels_of(found.wcs, sky)
    room = APART * image.fwhm
    other = np.isinf(nearest_within(image.points, known, room)[0])
    guesses, _ = by_shift(
        image.points[other], found.wcs, sky, shape, reach=reach, tolerance=options.tolerance, room=room
    )
    if not guesses or guesses[0].log_false_alarm > np.log10(options.false_alarm):
        return found
    near = replace(options, shift=max(options.tolerance, image.fwhm))
    try:
        second = solve_field(
            stars, shape, stars_at=stars_at, hint=Hint(wcs=guesses[0].wcs), epoch=found.epoch, options=near
        )
    except SolveError:  # what is seen twice is too little to be a picture
        return found
    return _chosen(found, second, image, sky, room)


def _chosen(found: Solution, second: Solution, image: ImageStars, sky: CatalogStars, room: float) -> Solution:
    """Return the brighter of two solutions, with a note; the first where one cannot tell."""
    i, first = _mags(found, image, sky)
    j, then = _mags(second, image, sky)
    _, a, b = np.intersect1d(i, j, return_indices=True)
    shift = np.median(pixels_of(second.wcs, sky) - pixels_of(found.wcs, sky), axis=0)
    length = float(np.hypot(*shift))
    if a.size < COMMON or not length > room:
        return found
    difference = then[b] - first[a]
    second_is_brighter = float(np.mean(difference < 0)) > BRIGHTER
    said = f"the brighter images, by {abs(float(np.median(difference))):.1f} mag."
    if not second_is_brighter and not float(np.mean(difference > 0)) > BRIGHTER:
        said = "one of them; neither is brighter."
    note = f"Every star is on it twice, {length * found.scale:.0f} arcsec apart: the place is that of {said}"
    one = _as_found(second, found) if second_is_brighter else found
    return replace(one, notes=(*found.notes, note))


def _as_found(second: Solution, found: Solution) -> Solution:
    """Return the second solution, found the way of the first."""
    log_p = max(second.log_false_alarm, found.log_false_alarm)  # the search before it pays for both
    return replace(
        second, method=found.method, log_false_alarm=log_p, attempts=(*found.attempts, *second.attempts)
    )


def _mags(solution: Solution, image: ImageStars, sky: CatalogStars) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return the rows of catalog stars that are seen where a solution has them, and how bright they are."""
    i, j = closest_pairs(pixels_of(solution.wcs, sky), image.points, image.fwhm)
    return i, image.mag[j]
