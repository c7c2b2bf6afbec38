"""A frame's own world coordinates: carried from the reference, then set right by the frame's own stars.

What is carried has the error of the registration and of all that differs between both frames (refraction
grows with the zenith distance and shears the field). Its own stars against the catalog show it, but each
catalog position has an error, too. So a correction is made only where stars that it has not seen prove it:
none, a shift, an affine map, or a polynomial, whichever predicts left-out stars best.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.match import closest_pairs
from sciastro.astrometry.refine import propagate
from sciastro.astrometry.robust import RAYLEIGH_MEDIAN, extra_scatter, select_model
from sciastro.astrometry.sky import CatalogStars, isolated, pixels_of
from sciastro.astrometry.solution import ImageStars
from sciastro.core import transform
from sciastro.core.wcs import pixel_scale

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["OwnPlace", "correction", "own_place"]

Floats = npt.NDArray[np.float64]

REACH = 2.0  # pixel: how far a carried position may be off
FEWEST = 6  # pairs that are worth a look
GAIN = 0.02  # relative fall of the residual of unseen stars that a correction must bring
ROOM, CONTRAST = 2.5, 1.5  # FWHM without a neighbor of as many magnitudes
CLIP = 4.0  # sigma
FLOOR = 0.01  # pixel, of the error of every star
KEPT = 0.9  # of the stars that a map must not clip
MOST = 2  # degree of the correction
HIGHEST = 5  # order of SIP that the corrected WCS may have


@dataclass(frozen=True, slots=True)
class OwnPlace:
    """World coordinates of one frame, and how they agree with its own stars.

    Attributes
    ----------
    wcs
        As carried, or corrected.
    correction
        "none", "shift", "affine" or "degree n".
    n_stars
        Catalog stars that were compared.
    rms_before, rms
        Root mean square length of their residuals, as carried and as returned [pixel]; NaN without stars.
    """

    wcs: "WCS"
    correction: str
    n_stars: int
    rms_before: float
    rms: float


def own_place(wcs: "WCS", image: ImageStars, sky: CatalogStars) -> OwnPlace:
    """Return a frame's WCS, corrected where its own stars prove that it is off.

    Parameters
    ----------
    wcs
        Carried from the reference (`refine.propagate`), within 2 pixels.
    image
        Stars of the frame.
    sky
        Catalog stars over it, at its epoch.
    """
    there = pixels_of(wcs, sky)
    with np.errstate(invalid="ignore"):
        inside = np.flatnonzero(
            np.all((there > -REACH) & (there < np.array(image.shape[::-1]) + REACH), axis=1)
        )
    inside = inside[isolated(there[inside], sky.mag[inside], ROOM * image.fwhm, CONTRAST)]
    alone = np.flatnonzero(isolated(image.points, image.mag, ROOM * image.fwhm, CONTRAST))
    if inside.size < FEWEST or alone.size < FEWEST:
        return OwnPlace(wcs, "none", 0, float("nan"), float("nan"))
    i, j = closest_pairs(image.points[alone], there[inside], REACH)
    i, j = alone[i], inside[j]
    source, target = there[j], image.points[i]
    sigma = np.hypot(np.hypot(image.sigma[i], FLOOR), sky.err[j] / pixel_scale(wcs))
    left = target - source
    keep = _clipped(left, sigma)
    if keep.sum() < FEWEST:
        return OwnPlace(wcs, "none", int(keep.sum()), float("nan"), float("nan"))
    source, target, sigma, left = source[keep], target[keep], sigma[keep], left[keep]
    before = float(np.sqrt(np.mean(np.sum(left**2, axis=1))))
    name, change = correction(source, target, sigma, image.shape)
    if change is None:
        return OwnPlace(wcs, name, len(left), before, before)
    after = target - np.column_stack(transform.evaluate(change, *source.T))
    order = _order(wcs)
    corrected, _ = propagate(wcs, change, image.shape, min_order=order, max_order=max(order, HIGHEST))
    rms = float(np.sqrt(np.mean(np.sum(after**2, axis=1))))
    return OwnPlace(corrected, name, len(left), before, rms)


def _clipped(left: Floats, sigma: Floats) -> npt.NDArray[np.bool_]:
    """Return which residuals about their median are no outliers."""
    if len(left) < FEWEST:
        return np.zeros(len(left), bool)
    size = np.hypot(*(left - np.median(left, axis=0)).T)
    ratio = size / np.hypot(sigma, extra_scatter(size, sigma))
    return np.asarray(ratio <= CLIP * max(float(np.median(ratio)) / RAYLEIGH_MEDIAN, 0.5))


def correction(
    source: Floats, target: Floats, sigma: Floats, shape: tuple[int, int]
) -> tuple[str, Floats | None]:
    """Return name and map of the correction that predicts left-out stars best; None where that is none.

    Parameters
    ----------
    source, target
        (n, 2) positions of stars by the frame's own solution, and as seen [pixel].
    sigma
        (n,) error of a pair per axis [pixel].
    shape
        Rows and columns of the frame.
    """
    left = target - source
    error = np.hypot(sigma, extra_scatter(np.hypot(*(left - np.median(left, axis=0)).T), sigma))
    weight = 1 / error**2
    share = weight / weight.sum()

    def size(residual: Floats) -> float:  # of the stars that `share` counts
        return float(np.sqrt(np.sum(share * np.sum(residual**2, axis=1))))

    name, change, unseen = "none", None, left
    mean = share @ left
    shifted = (left - mean) / (1 - share)[:, None]  # of each star, from a mean without it
    if size(shifted) < (1 - GAIN) * size(left):
        name, change, unseen = "shift", transform.identity(1), shifted
        change[:, 0] += mean
    if len(left) >= 2 * transform.n_terms(1) + FEWEST:
        fit = select_model(source, target, sigma, shape, max_degree=MOST, min_degree=1)
        share = np.where(fit.keep, share, 0.0)
        share = share / share.sum()
        if fit.keep.mean() > KEPT and fit.cross_validated < (1 - GAIN) * size(unseen):
            name, change = fit.model, fit.coefficients
    return name, change


def _order(wcs: "WCS") -> int:
    """Return the order of the distortion of a WCS, 1 where it has none."""
    return 1 if wcs.sip is None or wcs.sip.a is None else len(wcs.sip.a) - 1
