"""From the rough place of a wide picture to world coordinates with residuals per star.

The picture is undistorted (`drifting`), so that a gnomonic WCS fits it but for the error of the lens; SIP
terms are added only as far as they predict left-out stars better. Catalog stars are taken as deep as the
picture shows stars, no deeper: where a wide field is crowded, a nearest neighbor is soon a wrong one.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.match import chance, closest_pairs
from sciastro.astrometry.plane import project
from sciastro.astrometry.refine import fit_wcs
from sciastro.astrometry.robust import select_model
from sciastro.astrometry.sky import CatalogStars, isolated, pixels_of
from sciastro.astrometry.solution import ImageStars, Refined, Solution, finished
from sciastro.core.wcs import pixel_scale

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["solve_wide"]

Floats = npt.NDArray[np.float64]

FIRST, LAST = 3.0, 0.6  # pixel: radius of the first pairs, and the smallest one
ROUNDS = 4  # of pairing and fitting; all but the last fit a linear map
DEPTH = 1.2  # catalog stars for one of the picture
CONTRAST = 1.5  # magnitudes by which a neighbor must be fainter
ROOM = 4.0  # pixel without such a neighbor
SURE = -7.0  # log10 of the probability of chance


def solve_wide(
    image: ImageStars, wcs: "WCS", sky: CatalogStars, *, epoch: float, max_order: int = 3
) -> Solution | None:
    """Refine the WCS of an undistorted picture; None where too few stars coincide.

    Parameters
    ----------
    image
        Stars of the picture, brightest first.
    wcs
        Gnomonic, within a few pixels (`wide.picture_wcs`).
    sky
        Catalog stars over the field.
    epoch
        Julian year of their positions.
    max_order
        Highest order of SIP that is tried.
    """
    result: Refined | None = None
    radius = FIRST
    for step in range(ROUNDS):
        there = pixels_of(wcs, sky)
        rows, columns = image.shape
        with np.errstate(invalid="ignore"):
            inside = np.flatnonzero(
                (there[:, 0] > 0) & (there[:, 0] < columns) & (there[:, 1] > 0) & (there[:, 1] < rows)
            )[: int(DEPTH * len(image.points))]
        inside = inside[isolated(there[inside], sky.mag[inside], ROOM, CONTRAST)]
        alone = np.flatnonzero(isolated(image.points, image.mag, ROOM, CONTRAST))
        i, j = closest_pairs(image.points[alone], there[inside], radius)
        i, j = alone[i], inside[j]
        if i.size < 12:
            return None
        crval = [float(v) for v in wcs.wcs.crval]
        plane = project(sky.ra[j], sky.dec[j], *crval) * 3600 / pixel_scale(wcs)
        fit = select_model(
            image.points[i], plane, image.sigma[i], image.shape, min_degree=1,
            max_degree=1 if step < ROUNDS - 1 else max_order,
        )  # fmt: skip
        used = np.flatnonzero(fit.keep)
        start = wcs.deepcopy()
        start.sip = None
        points = image.points[i[used]]
        wcs = fit_wcs(
            points[:, 0], points[:, 1], sky.ra[j[used]], sky.dec[j[used]],
            1 / (image.sigma[i[used]] ** 2 + fit.scatter**2),
            start=start, order=fit.degree, shape=image.shape,
        )  # fmt: skip
        near = np.hypot(*(image.points[i] - pixels_of(wcs, sky.take(j))).T)
        log_p = chance(pixels_of(wcs, sky.take(inside)), image.points[alone], radius, maps=1.0, fixed=4)
        result = Refined(wcs, i, sky.take(j), fit, log_p, fit.degree)
        radius = float(np.clip(5 * np.median(near) + 0.1, LAST, FIRST))
    if result is None or result.log_p > SURE:
        return None
    return finished(image, result, "camera model", epoch, ["bright stars over the whole sky"])
