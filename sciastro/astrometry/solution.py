"""What a plate solution is, and its making from matched stars."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.plane import offsets
from sciastro.astrometry.refine import round_trip
from sciastro.astrometry.residuals import described, empirical_errors, leverage
from sciastro.astrometry.robust import Fit
from sciastro.astrometry.sky import CatalogStars
from sciastro.core.wcs import parity, pixel_scale, resampled, rotation

if TYPE_CHECKING:
    from astropy.table import QTable
    from astropy.wcs import WCS

__all__ = ["ImageStars", "Refined", "Solution", "finished", "residual_table"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Solution:
    """World coordinates of an image.

    Attributes
    ----------
    wcs
        TAN or TAN-SIP, ICRS.
    n_stars
        Stars that the fit used.
    rms_arcsec, rms_px
        Root mean square length of their residuals.
    matched
        One row per pair: names, places, residuals, formal and empirical errors (`residuals.DESCRIPTIONS`).
    order
        1 for TAN, else the SIP order.
    log_false_alarm
        Bound on log10 of the probability that this is chance.
    parity, rotation, scale
        +1 sky as seen; position angle of +y [deg]; arcsec / pixel.
    catalog, epoch
        Name of the catalog, and Julian year its positions were brought to by the caller.
    method
        "header" (a given WCS, moved), "pattern" (near a hint), "previous" (as the frame before), "blind", or
        the name of another engine.
    round_trip_px
        Largest error of AP, BP against A, B over the frame [pixel].
    deviation_px
        Largest deviation of the WCS over the frame from the lens that it stands for [pixel]; 0 without one.
    attempts
        What was tried, in words.
    notes
        What whoever uses it should know, in sentences.
    """

    wcs: "WCS"
    n_stars: int
    rms_arcsec: float
    rms_px: float
    matched: "QTable"
    order: int
    log_false_alarm: float
    parity: int
    rotation: float
    scale: float
    catalog: str
    epoch: float
    method: str
    round_trip_px: float
    attempts: tuple[str, ...]
    deviation_px: float = 0.0
    notes: tuple[str, ...] = ()

    def moved(self, x: float, y: float, shape: tuple[int, int]) -> "Solution":
        """Return the solution of a grid that begins at pixel (`x`, `y`) of this one."""
        from astropy import units as u

        wcs, table = resampled(self.wcs, (x, y)), self.matched.copy()
        wcs.pixel_shape = (shape[1], shape[0])
        for name, by in (("x", x), ("y", y), ("x_fit", x), ("y_fit", y)):
            table[name] = table[name] - by * u.pix
        middle = [(size - 1) / 2 * u.pix for size in (shape[1], shape[0])]
        table["radius"] = np.hypot(table["x"] - middle[0], table["y"] - middle[1])
        return replace(self, wcs=wcs, matched=described(table))


@dataclass(frozen=True, slots=True)
class ImageStars:
    """Image stars, brightest first.

    Attributes
    ----------
    index
        (star) rows of the star list.
    points, sigma
        (star, 2) x and y, and (star) error per axis [pixel].
    mag
        (star) -2.5 log10 flux.
    fwhm
        Median width [pixel].
    shape
        Rows and columns of the image.
    """

    index: Indices
    points: Floats
    sigma: Floats
    mag: Floats
    fwhm: float
    shape: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Refined:
    """A WCS and the pairs it rests on.

    Attributes
    ----------
    wcs, order
        Fitted WCS and its order, 1 for TAN.
    image, sky
        Rows of `ImageStars` and the catalog stars paired with them.
    fit
        Of the pairs on the tangent plane; ``keep`` says which entered.
    log_p
        Bound on log10 of the probability that this is chance.
    free
        Order of a polynomial with about as many coefficients as were fitted; 0 is `order`.
    """

    wcs: "WCS"
    image: Indices
    sky: CatalogStars
    fit: Fit
    log_p: float
    order: int
    free: int = 0


def finished(image: ImageStars, refined: Refined, method: str, epoch: float, attempts: list[str]) -> Solution:
    """Return the solution with residuals per star; `epoch` [Julian year] and `attempts` are recorded."""
    wcs, sky, keep = refined.wcs, refined.sky, refined.fit.keep
    table = residual_table(image, refined)
    table.meta.update(catalog=sky.name, epoch=epoch, order=refined.order)
    length = np.hypot(table["d_ra"].value, table["d_dec"].value)[keep]
    pixels = np.hypot(table["dx"].value, table["dy"].value)[keep]
    return Solution(
        wcs=wcs,
        n_stars=int(keep.sum()),
        rms_arcsec=float(np.sqrt(np.mean(length**2))),
        rms_px=float(np.sqrt(np.mean(pixels**2))),
        matched=table,
        order=refined.order,
        log_false_alarm=refined.log_p,
        parity=parity(wcs),
        rotation=rotation(wcs),
        scale=pixel_scale(wcs),
        catalog=sky.name,
        epoch=epoch,
        method=method,
        round_trip_px=round_trip(wcs, image.shape),
        attempts=tuple(attempts),
    )


def _away(wcs: "WCS", points: Floats, sky: CatalogStars) -> tuple[Floats, Floats, Floats]:
    """Return image minus catalog: east and north (n,) [deg], and along columns and rows (n, 2) [pixel].

    Pixels by the local scale at each star: a WCS is always good for pixel to sky, its inverse of strong
    distortion is not.
    """
    seen = []
    for step in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
        ra, dec = wcs.all_pix2world(points[:, 0] + step[0], points[:, 1] + step[1], 0)
        seen.append(np.stack(offsets(sky.ra, sky.dec, ra, dec), axis=-1))
    here, across, up = seen
    local = np.stack([across - here, up - here], axis=-1)
    pixels: Floats = np.asarray(np.linalg.solve(local, here[..., None])[..., 0], dtype=np.float64)
    return here[:, 0], here[:, 1], pixels


def residual_table(image: ImageStars, refined: Refined) -> "QTable":
    """Return one row per pair with the columns of `residuals.DESCRIPTIONS`."""
    from astropy import units as u
    from astropy.table import QTable

    wcs, sky, keep = refined.wcs, refined.sky, refined.fit.keep
    points, scale = image.points[refined.image], pixel_scale(wcs)
    east, north, delta = _away(wcs, points, sky)
    fitted = points - delta
    sigma = np.hypot(image.sigma[refined.image], sky.err / scale)
    share = leverage(points, np.hypot(sigma, refined.fit.scatter), keep, refined.free or refined.order)
    error = empirical_errors(points - fitted, share, sky.mag, keep)
    middle = np.array([image.shape[1] - 1, image.shape[0] - 1]) / 2
    return described(
        QTable(
            {
                "index": image.index[refined.image], "id": sky.id,
                "x": points[:, 0] * u.pix, "y": points[:, 1] * u.pix,
                "ra": sky.ra * u.deg, "dec": sky.dec * u.deg, "mag": sky.mag, "color": sky.color,
                "x_fit": fitted[:, 0] * u.pix, "y_fit": fitted[:, 1] * u.pix,
                "dx": (points - fitted)[:, 0] * u.pix, "dy": (points - fitted)[:, 1] * u.pix,
                "d_ra": east * 3600 * u.arcsec, "d_dec": north * 3600 * u.arcsec,
                "radius": np.hypot(*(points - middle).T) * u.pix,
                "sigma": sigma * u.pix, "sigma_sky": sigma * scale * u.arcsec,
                "error": error * u.pix, "error_sky": error * scale * u.arcsec,
                "leverage": share, "used": keep,
            }
        )
    )  # fmt: skip
