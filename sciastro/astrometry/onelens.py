"""One wide picture and the catalog: a lens with distortion, grown from the middle of the picture outward.

A polynomial on the tangent plane follows a telescope, not a wide lens: with 10 % of distortion, stars at the
corners lie hundreds of pixels from where the middle of the picture predicts them. The lens has a dozen
unknowns, whatever the field. Its fit begins with the stars that a first solution has found, predicts those a
little farther out, takes them in, and so on to the corners. What is written is the SIP polynomial nearest to
the lens, with its deviation.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.lens import FISHEYE, RECTILINEAR, Lens, monotone, projected, rotation_of
from sciastro.astrometry.match import closest_pairs
from sciastro.astrometry.own import correction
from sciastro.astrometry.plane import project
from sciastro.astrometry.refine import fit_wcs
from sciastro.astrometry.robust import RAYLEIGH_MEDIAN, Fit, middle
from sciastro.astrometry.sky import CatalogStars, isolated
from sciastro.astrometry.solution import ImageStars, Refined, Solution, finished
from sciastro.core import transform
from sciastro.core.directions import unit_vectors
from sciastro.core.wcs import center, footprint_radius, pixel_scale

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["BENT", "LensFit", "fit_lens", "lens_solution", "lens_wcs"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

PRIOR = np.array([0.5, 0.04, 0.04, 0.3, 0.3, 0.2, 0.02, 0.02])  # log f; center in widths; terms: 1 sigma
STEP = 1.12  # by which the reach grows
FEWEST = 25  # pairs that a lens is fitted to
WIDEST_PAIR, LEAST_PAIR = 8.0, 0.8  # pixel: radius of pairs while the reach grows, and of the last ones
ROOM, CONTRAST = 6.0, 1.5  # pixel without a neighbor of as many magnitudes
CLIP = 4.0  # sigma
ORDERS = (3, 5, 7, 9)  # of SIP, in turn
FEWER, MORE = 0.8, 1.2  # of the stars of the polynomial: a lens with smaller residuals, and one with larger
COARSEST = 2.0  # pixel: rms of a lens that is believed
FREE = 3  # order of a polynomial with about as many coefficients as a lens
FOLLOWED = 0.02  # pixel: deviation of SIP from the lens that needs no higher order
CURVED = 25.0  # deg from middle to corner, beyond which a lens may be a fisheye
BENT = 10.0  # deg from middle to corner, beyond which a lens is tried
FARTHEST = 80.0  # deg from the middle that the tangent plane can show


@dataclass(frozen=True, slots=True)
class LensFit:
    """A lens, how it looks at the sky, and the stars that say so.

    Attributes
    ----------
    lens
        Camera and distortion.
    rotation
        3 x 3, from equatorial axes to those of the camera; determinant -1 where the picture is mirrored.
    image, sky
        Rows of `ImageStars` and of `CatalogStars`, pair by pair.
    keep
        Pairs that entered the last fit.
    rms
        Root mean square length of their residuals [pixel].
    scatter
        Robust error per axis of the residuals [pixel].
    change
        `core.transform` map from where the lens shows stars to where they are: what a picture has that a lens
        has not (resized by unequal factors, cropped, stacked); None without proof by left-out stars.
    """

    lens: Lens
    rotation: Floats
    image: Indices
    sky: Indices
    keep: npt.NDArray[np.bool_]
    rms: float
    scatter: float
    change: Floats | None = None


def fit_lens(
    image: ImageStars, sky: CatalogStars, wcs: "WCS", pairs: tuple[Floats, Floats, Floats]
) -> LensFit | None:
    """Return the lens that explains most stars of a picture; None where there are too few.

    Parameters
    ----------
    image
        Stars of the picture.
    sky
        Catalog stars over the whole of it, brightest first.
    wcs
        Right in some part of the picture.
    pairs
        x, y [pixel], directions (n, 3) of stars that are known to be one.
    """
    wide = footprint_radius(wcs, image.shape) > CURVED
    found = [
        _grown(image, sky, wcs, pairs, kind) for kind in ((RECTILINEAR, FISHEYE) if wide else (RECTILINEAR,))
    ]
    known = [one for one in found if one is not None]
    # Both kinds, with three radial terms, may explain all stars: the nearer one by residuals.
    return min(known, key=lambda one: one.scatter / np.sqrt(one.keep.sum()), default=None)


def _grown(
    image: ImageStars, sky: CatalogStars, wcs: "WCS", pairs: tuple[Floats, Floats, Floats], kind: str
) -> LensFit | None:
    x, y, rays = pairs
    if len(rays) < FEWEST:
        return None
    half = np.array([image.shape[1] - 1, image.shape[0] - 1]) / 2
    corner = float(np.hypot(*half))
    vector = Lens(206264.806 / pixel_scale(wcs), half[0], half[1], kind=kind).as_vector()
    rotation = _first_rotation(vector, kind, x, y, rays)
    reach = max(float(np.percentile(np.hypot(x - half[0], y - half[1]), 90)) / corner, 0.15)
    points = np.column_stack([x, y])
    vector, rotation = _adjusted(vector, rotation, kind, rays, points, image.shape, reach)
    directions = unit_vectors(sky.ra, sky.dec)
    alone = np.flatnonzero(isolated(image.points, image.mag, ROOM, CONTRAST))
    last = False
    radius = WIDEST_PAIR
    rounds = 0
    while True:
        i, j = _paired(vector, rotation, kind, image, sky, directions, alone, reach * corner, radius)
        if i.size < FEWEST:
            return None
        points, rays = image.points[i], directions[j]
        vector, rotation = _adjusted(vector, rotation, kind, rays, points, image.shape, reach)
        left = points - projected(vector, kind, rays @ rotation.T)
        size = np.hypot(*left.T)
        scatter = middle(size) / RAYLEIGH_MEDIAN
        if last and rounds >= 3:
            return _finished(vector, rotation, kind, image, (i, j), points, points - left)
        if reach >= 1.05:
            last, rounds = True, rounds + 1
            radius = float(np.clip(6 * scatter, LEAST_PAIR, WIDEST_PAIR))
        else:
            reach = min(reach * STEP, 1.06)


def _finished(
    vector: Floats, rotation: Floats, kind: str, image: ImageStars, pairs: tuple[Indices, Indices],
    points: Floats, there: Floats,
) -> LensFit:  # fmt: skip
    """Return the fit, with what the picture has that the lens has not; the lens shows stars at `there`."""
    size = np.hypot(*(points - there).T)
    good = size < CLIP * max(middle(size) / RAYLEIGH_MEDIAN, 1e-6)
    sigma = image.sigma[pairs[0]]
    _, change = correction(there[good], points[good], sigma[good], image.shape)
    if change is not None:
        there = np.column_stack(transform.evaluate(change, *there.T))
    size = np.hypot(*(points - there).T)
    scatter = middle(size) / RAYLEIGH_MEDIAN
    keep = size < CLIP * max(scatter, 1e-6)
    rms = float(np.sqrt(np.mean(size[keep] ** 2)))
    return LensFit(Lens.from_vector(vector, kind), rotation, *pairs, keep, rms, float(scatter), change)


def _first_rotation(vector: Floats, kind: str, x: Floats, y: Floats, rays: Floats) -> Floats:
    """Return the rotation, mirrored where that fits better, from directions to the rays of their pixels.

    Kabsch (1976, Acta Crystallographica A32, 922).
    """
    seen = Lens.from_vector(vector, kind).unproject(x, y)
    u, _, vt = np.linalg.svd(seen.T @ rays)
    best = [u @ np.diag([1, 1, sign]) @ vt for sign in (1.0, -1.0)]
    return np.asarray(min(best, key=lambda r: float(np.sum((seen - rays @ r.T) ** 2))))


def _paired(
    vector: Floats, rotation: Floats, kind: str, image: ImageStars, sky: CatalogStars, directions: Floats,
    alone: Indices, reach: float, radius: float,
) -> tuple[Indices, Indices]:  # fmt: skip
    """Return image and catalog stars that coincide within `reach` [pixel] of the middle."""
    lens = Lens.from_vector(vector, kind)
    turned = directions @ rotation.T
    there = projected(vector, kind, turned)
    rows, columns = image.shape
    with np.errstate(invalid="ignore"):
        good = (
            monotone(lens, turned)
            & (np.hypot(there[:, 0] - (columns - 1) / 2, there[:, 1] - (rows - 1) / 2) < reach)
            & np.all((there > -radius) & (there < np.array([columns, rows]) + radius), axis=1)
        )
    inside = np.flatnonzero(good)
    inside = inside[isolated(there[inside], sky.mag[inside], ROOM, CONTRAST)]
    i, j = closest_pairs(image.points[alone], there[inside], radius)
    return alone[i], inside[j]


def _adjusted(
    vector: Floats, rotation: Floats, kind: str, rays: Floats, points: Floats, shape: tuple[int, int],
    reach: float,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return lens and rotation by robust least squares; terms are freed as far as stars reach."""
    from scipy.optimize import least_squares

    free = np.array([0, 3] if reach < 0.5 else [0, 1, 2, 3, 4] if reach < 0.85 else range(8))
    anchor = Lens(float(np.exp(vector[0])), (shape[1] - 1) / 2, (shape[0] - 1) / 2, kind=kind).as_vector()
    prior = (PRIOR * np.array([1, shape[1], shape[1], 1, 1, 1, 1, 1]))[free]
    weight = 1.0

    def left(p: Floats) -> Floats:
        now = vector.copy()
        now[free] = p[3:]
        turned = rays @ (rotation_of(p[:3])[0] @ rotation).T
        return np.concatenate(
            [(np.nan_to_num(points - projected(now, kind, turned), nan=100.0) * weight).ravel(),
             (now[free] - anchor[free]) / prior]
        )  # fmt: skip

    start = np.concatenate([np.zeros(3), vector[free]])
    scale = np.concatenate([np.full(3, 1e-3), prior])
    size = np.hypot(*left(start)[: 2 * len(rays)].reshape(-1, 2).T)
    for _ in range(2):
        weight = weight / max(middle(size) / RAYLEIGH_MEDIAN, 0.02)
        fit = least_squares(left, start, x_scale=scale, loss="soft_l1", max_nfev=60)
        start = fit.x
        size = np.hypot(*left(start)[: 2 * len(rays)].reshape(-1, 2).T)
    out = vector.copy()
    out[free] = start[3:]
    return out, rotation_of(start[:3])[0] @ rotation


def lens_wcs(fit: LensFit, shape: tuple[int, int]) -> "tuple[WCS, int, float] | None":
    """Return the TAN-SIP nearest to a lens, its order, and its largest deviation over the frame [pixel].

    None where the picture reaches beyond what a tangent plane can show.
    """
    from astropy.wcs import WCS

    x, y = (
        v.ravel()
        for v in np.meshgrid(np.linspace(-0.5, shape[1] - 0.5, 31), np.linspace(-0.5, shape[0] - 0.5, 31))
    )
    shown = (x, y) if fit.change is None else transform.invert(fit.change, x, y)
    rays = fit.lens.unproject(*shown) @ fit.rotation
    axis = (fit.lens.unproject((shape[1] - 1) / 2, (shape[0] - 1) / 2) @ fit.rotation)[0]
    if not np.min(rays @ axis) >= np.cos(np.deg2rad(FARTHEST)):
        return None
    ra, dec = np.rad2deg(np.arctan2(rays[:, 1], rays[:, 0])) % 360, np.rad2deg(np.arcsin(rays[:, 2]))
    start = WCS(naxis=2)
    start.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    start.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    start.wcs.crval = [np.rad2deg(np.arctan2(axis[1], axis[0])) % 360, np.rad2deg(np.arcsin(axis[2]))]
    best: tuple[WCS, int, float] | None = None
    for order in ORDERS:
        wcs = fit_wcs(x, y, ra, dec, start=start, order=order, shape=shape)
        ra0, dec0 = center(wcs, shape)
        got_ra, got_dec = wcs.all_pix2world(x, y, 0)
        gone = project(got_ra, got_dec, ra0, dec0) - project(ra, dec, ra0, dec0)
        # On the tangent plane of the middle lengths grow outward, so that this is never too small.
        off = float(np.max(np.hypot(*gone.T)) * 3600 / pixel_scale(wcs))
        if best is None or off < best[2]:
            best = wcs, order, off
        if off < FOLLOWED:
            break
    return best


def lens_solution(image: ImageStars, sky: CatalogStars, found: Solution) -> Solution | None:
    """Return the solution of a wide picture by a lens; None where it is not better than the given one.

    Parameters
    ----------
    image, sky
        Stars of the picture, and those of the catalog over the whole of it, at its epoch.
    found
        A solution that is right in some part of the picture.
    """
    used = found.matched[np.asarray(found.matched["used"], dtype=bool)]
    x, y, ra, dec = (np.asarray(used[name].value, dtype=np.float64) for name in ("x", "y", "ra", "dec"))
    fit = fit_lens(image, sky, found.wcs, (x, y, unit_vectors(ra, dec)))
    if fit is None:
        return None
    stars = int(fit.keep.sum())
    finer = stars >= FEWER * found.n_stars and fit.rms < found.rms_px
    if not finer and not (stars >= MORE * found.n_stars and fit.rms < COARSEST):
        return None
    made = lens_wcs(fit, image.shape)
    if made is None:
        return None
    wcs, order, off = made
    whole = Fit(np.full((2, 3), np.nan), "lens", order, fit.keep, fit.rms, fit.scatter, float("nan"))
    refined = Refined(wcs, fit.image, sky.take(fit.sky), whole, found.log_false_alarm, order, FREE)
    text = f"a {fit.lens.kind} lens; SIP of order {order} follows it within {off:.3f} pixel"
    return replace(
        finished(image, refined, found.method, found.epoch, [*found.attempts, text]), deviation_px=off
    )
