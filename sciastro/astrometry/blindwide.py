"""Find where a very wide picture looks, through a lens that nobody knows: from its first quad to a camera.

A lens is guessed by one number, the bend of its picture against a stereographic one, which gnomonic lenses
from 30 to 110 degrees across the diagonal and distortions up to a tenth all share. Quads are compared on the
sphere (`kernels.widesearch`); the place of the best one is grown to a camera with radial distortion by least
squares over more and more stars, then written as TAN with SIP for `solve_field` to judge.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from sciastro.astrometry.lens import Lens, rotation_of
from sciastro.astrometry.match import chance, closest_pairs
from sciastro.astrometry.quads import QuadIndex
from sciastro.astrometry.refine import fit_wcs
from sciastro.astrometry.robust import Fit
from sciastro.astrometry.sky import CatalogStars, pixels_of
from sciastro.astrometry.solution import ImageStars, Refined, Solution, finished
from sciastro.astrometry.verdict import SPENDING
from sciastro.core import transform
from sciastro.core.directions import unit_vectors
from sciastro.kernels.widesearch import find_wide

__all__ = ["Camera", "Tally", "camera_wcs", "grown", "solved_by", "wide_places"]

Floats = npt.NDArray[np.float64]

BENDS = (-0.08, -0.16, -0.04, -0.12, -0.2, -0.24, 0.0, -0.28, -0.32, 0.05)  # the likeliest first
NARROW, WIDE = np.radians(12.0), np.radians(62.0)  # half diagonals
LENS_ROOM = 0.14  # bend that distortion may add to that of a gnomonic picture
TOLERANCE = 0.03  # distance of alike codes
SIGMA = 3.0  # pixel: error of a star
SHARE = 0.4  # of the image stars that are in no catalog
SKY = 2000  # brightest stars that vote
GROWTH = ((40, 60.0), (60, 40.0), (90, 25.0), (140, 12.0), (250, 6.0), (400, 4.0))  # stars, pixel
ORDER = 5  # of SIP
FEWEST = 12  # pairs of a camera
AROUND = 7  # stars around a place that are combined
PAIR = 4.0  # pixel: between a star and its prediction


@dataclass(slots=True)
class Tally:
    """How many candidates were weighed so far: the price of every later agreement."""

    weighed: int = 0


@dataclass(frozen=True, slots=True)
class Camera:
    """A lens and how it is turned: `rotation` (3, 3) takes equatorial directions to those of the lens."""

    lens: Lens
    rotation: Floats
    log_odds: float


def wide_places(
    points: Floats, shape: tuple[int, int], index: QuadIndex, *, first: int, last: int, goal: float,
    tally: Tally, parity: int | None = None, until: float = np.inf,
) -> Iterator[Camera]:  # fmt: skip
    """Yield cameras whose odds are beyond chance.

    Parameters
    ----------
    points
        Stars that vote (n, 2), brightest first [pixel].
    first, last
        Which of them are combined with their `AROUND` nearest: quads of a wide picture must be small, to be
        in the index and to keep their shape.
    goal
        ln of the odds.
    tally
        Counts what is weighed.
    """
    half = np.array([shape[1], shape[0]]) / 2
    radius = float(np.hypot(*half))
    middle = half - 0.5
    centered = points - middle
    square = (centered**2).sum(axis=1) / radius**2
    distance = np.hypot(*(centered[:, None] - centered[None]).transpose(2, 0, 1))
    for anchor in range(first, min(last, len(points))):
        order = np.argsort(distance[anchor], kind="stable")
        for bend in BENDS:
            low, high = _focal_bounds(bend, radius)
            bent = centered[order] * (1 + bend * square[order])[:, None]
            for sign in (1.0, -1.0) if parity is None else (float(parity),):
                x, y = np.ascontiguousarray(bent[:, 0]), sign * bent[:, 1]
                for faintest in range(3, min(len(points), AROUND)):
                    place = np.zeros(11)
                    done = find_wide(
                        x, y, faintest, half[0], half[1], bend, TOLERANCE, SIGMA, SHARE, low, high,
                        index.large_codes, index.large_quads, index.large_slot_start, index.xyz,
                        min(SKY, len(index.xyz)), goal, place,
                    )  # fmt: skip
                    tally.weighed += int(place[10])
                    if done:
                        yield _camera(place, bend, sign, radius, middle)
                if time.monotonic() > until:
                    return


def _focal_bounds(bend: float, radius: float) -> tuple[float, float]:
    """Return bounds of the focal length [pixel] that go with a bend: half diagonals that it may belong to."""
    half = np.linspace(NARROW, WIDE, 60)
    gnomonic = 2 * np.tan(half / 2) / np.tan(half) - 1
    fits = half[np.abs(gnomonic - bend) < LENS_ROOM]
    if fits.size == 0:
        return 1.0, 0.0
    focal = radius * (1 + bend) / (2 * np.tan(fits / 2))
    return float(focal.min()), float(focal.max())


def _camera(place: Floats, bend: float, sign: float, radius: float, middle: Floats) -> Camera:
    """Return the camera of what `find_wide` wrote."""
    focal, alpha, beta = place[1], complex(place[2], place[3]), complex(place[4], place[5])
    a, ra, dec = complex(place[6], place[7]), place[8], place[9]
    # three directions of the picture, and where they are on the sky
    z = np.array([0.0, 0.4, 0.4j]) * radius
    w = z / (2 * focal)
    seen = np.column_stack([2 * w.real, 2 * w.imag, 1 - np.abs(w) ** 2]) / (1 + np.abs(w) ** 2)[:, None]
    s = (alpha * 2 * (w - a) / (1 + np.conj(a) * w) + beta) / 2
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    axis = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    length = 1 + np.abs(s) ** 2
    sky = (
        (-2 * s.real / length)[:, None] * east + (2 * s.imag / length)[:, None] * north
        + ((1 - np.abs(s) ** 2) / length)[:, None] * axis
    )  # fmt: skip
    seen = seen * np.array([1.0, sign, 1.0])
    rotation = (np.linalg.inv(sky) @ seen).T
    u, _, vt = np.linalg.svd(rotation)
    return Camera(_rectilinear(focal, bend, radius, middle), np.asarray(u @ vt), float(place[0]))


def _rectilinear(focal: float, bend: float, radius: float, middle: Floats) -> Lens:
    """Return the gnomonic lens with radial terms nearest to a bent stereographic picture."""
    r = np.linspace(0.02, 1.0, 60) * radius
    t = np.tan(2 * np.arctan(r * (1 + bend * (r / radius) ** 2) / (2 * focal)))
    terms, *_ = np.linalg.lstsq(np.column_stack([t, t**3, t**5]), r, rcond=None)
    return Lens(
        float(terms[0]), float(middle[0]), float(middle[1]),
        (float(terms[1] / terms[0]), float(terms[2] / terms[0]), 0.0),
    )  # fmt: skip


def grown(camera: Camera, points: Floats, sky: Floats, shape: tuple[int, int]) -> Camera | None:
    """Return the camera fitted to more and more stars; None where they do not hold it.

    Parameters
    ----------
    points
        Stars of the picture (n, 2), brightest first [pixel].
    sky
        Directions of catalog stars (n, 3), brightest first.
    """
    from scipy.optimize import least_squares

    vector = np.array([np.log(camera.lens.focal), camera.lens.x, camera.lens.y, *camera.lens.radial[:2]])
    rotation = camera.rotation
    edge = np.array([shape[1], shape[0]]) - 1

    def lens_of(v: Floats) -> Lens:
        return Lens(
            float(np.exp(np.clip(v[0], 0.0, 20.0))), float(v[1]), float(v[2]), (float(v[3]), float(v[4]), 0.0)
        )

    for many, reach in GROWTH:
        there = sky @ rotation.T
        spot = lens_of(vector).project(there)
        with np.errstate(invalid="ignore"):
            on = np.flatnonzero((there[:, 2] > 0.3) & np.all((spot > -reach) & (spot < edge + reach), axis=1))
        on = on[: int(1.3 * many)]
        i, j = closest_pairs(points[:many], spot[on], reach)
        if i.size < FEWEST:
            return None
        there, seen = sky[on[j]], points[:many][i]

        def residual(
            v: Floats, there: Floats = there, seen: Floats = seen, base: Floats = rotation
        ) -> Floats:
            turned = there @ (rotation_of(v[5:])[0] @ base).T
            gone = (lens_of(v).project(turned) - seen) / 2.0
            prior = np.array([(v[1] - (edge[0] / 2)) / 30, (v[2] - (edge[1] / 2)) / 30])
            return np.concatenate([np.clip(np.nan_to_num(gone, nan=1e3), -1e3, 1e3).ravel(), prior])

        fit = least_squares(residual, np.concatenate([vector, np.zeros(3)]), loss="cauchy", max_nfev=60)
        vector, rotation = fit.x[:5], np.asarray(rotation_of(fit.x[5:])[0] @ rotation)
    return Camera(lens_of(vector), rotation, camera.log_odds)


def camera_wcs(camera: Camera, shape: tuple[int, int]) -> WCS:
    """Return TAN with SIP for a camera, as near as the polynomial comes."""
    gx, gy = (
        v.ravel() for v in np.meshgrid(np.linspace(0, shape[1] - 1, 25), np.linspace(0, shape[0] - 1, 25))
    )
    sky = camera.lens.unproject(gx, gy) @ camera.rotation
    ra, dec = np.degrees(np.arctan2(sky[:, 1], sky[:, 0])) % 360, np.degrees(np.arcsin(sky[:, 2]))
    axis = camera.rotation[2]
    start = WCS(naxis=2)
    start.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    start.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    start.wcs.crval = [
        float(np.degrees(np.arctan2(axis[1], axis[0])) % 360),
        float(np.degrees(np.arcsin(axis[2]))),
    ]
    return fit_wcs(gx, gy, ra, dec, start=start, order=ORDER, shape=shape)


def solved_by(
    camera: Camera, image: ImageStars, sky: CatalogStars, tally: Tally, *, false_alarm: float, epoch: float
) -> Solution | None:
    """Return the solution that a grown camera makes; None where it may be chance.

    Parameters
    ----------
    image, sky
        Stars of the picture and of the catalog around it, brightest first.
    tally
        Candidates weighed before this one.
    """
    wcs = camera_wcs(camera, image.shape)
    there = pixels_of(wcs, sky)
    depth = camera_depth(image, there)
    bright = np.arange(min(len(image.points), depth))
    with np.errstate(invalid="ignore"):
        edge = np.array([image.shape[1], image.shape[0]]) - 1
        facing = _facing(camera, sky)
        on = np.flatnonzero(facing & np.all((there > 0) & (there < edge), axis=1))[:depth]
    i, j = closest_pairs(image.points[bright], there[on], PAIR)
    if i.size < FEWEST:
        return None
    log_p = chance(there[on], image.points[bright], PAIR, maps=SPENDING * max(tally.weighed, 1), fixed=6)
    if log_p > np.log10(false_alarm):
        return None
    pairs = sky.take(on[j])
    gone = np.hypot(*(image.points[i] - there[on[j]]).T)
    keep = gone < max(3.0 * float(np.median(gone)), 0.5)
    rms = float(np.sqrt(np.mean(gone[keep] ** 2)))
    fit = Fit(transform.identity(), "camera", ORDER, keep, rms, rms / np.sqrt(2), rms)
    refined = Refined(wcs, i, pairs, fit, log_p, ORDER)
    return finished(image, refined, "blind", epoch, [f"a wide lens: odds e^{camera.log_odds:.0f}"])


def camera_depth(image: ImageStars, there: Floats) -> int:
    """Return how many stars of each list are compared: so few that neighbors by chance are rare.

    `there` are the places (n, 2) of catalog stars on the frame [pixel].
    """
    area = image.shape[0] * image.shape[1]
    return int(np.clip(0.05 * area / (np.pi * PAIR**2), 60, 600))


def _facing(camera: Camera, sky: CatalogStars) -> npt.NDArray[np.bool_]:
    """Return which stars lie in front of the lens, within what it may show."""
    seen = unit_vectors(sky.ra, sky.dec) @ camera.rotation[2]
    return np.asarray(seen > np.cos(WIDE))
