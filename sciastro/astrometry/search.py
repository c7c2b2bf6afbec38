"""First guesses of the world coordinates: a header's WCS moved, or star patterns around a pointing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.match import NoMatchError, chance, match_stars
from sciastro.astrometry.plane import offset, project
from sciastro.astrometry.sky import CatalogStars, StarsAt, catalog_stars, isolated, pixels_of
from sciastro.core import transform
from sciastro.core.neighbors import pairs_within
from sciastro.errors import MatchError

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = [
    "CONTRAST",
    "Guess",
    "Nearby",
    "Pointing",
    "as_wcs",
    "by_pattern",
    "by_shift",
    "reach_of",
    "spiral",
]

Floats = npt.NDArray[np.float64]

DEPTHS = (150, 600)  # stars of each list that a shift is sought with: catalogs may lack the brightest
FEW = 30  # isolated catalog stars that are enough
CONTRAST = 1.5  # magnitudes by which a neighbor must be fainter to be ignored
MAX_CENTERS = 64  # trial centers of a pattern search
MANY = 10_000  # shifts beyond which a tree counts them
PATTERN_SKY = 400  # most catalog stars around one trial center


@dataclass(frozen=True, slots=True)
class Guess:
    """A WCS that a search suggests.

    Attributes
    ----------
    wcs
        TAN, or the header's own moved by the shift.
    log_false_alarm
        Bound on log10 of the probability that chance suggested it.
    method
        "header", "pattern", or "few" (`fewstars`).
    """

    wcs: "WCS"
    log_false_alarm: float
    method: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointing:
    """Where patterns are sought: center, reach and step [deg], scale [arcsec / pixel], parity."""

    ra: float
    dec: float
    radius: float
    scale: float
    scale_tolerance: float
    parity: int | None


@dataclass(frozen=True, slots=True)
class Nearby:
    """An image and the sky around a pointing, to be compared.

    Attributes
    ----------
    image
        Star positions (n, 2), brightest first [pixel].
    shape
        Rows and columns.
    pointing
        Where to look.
    stars_at
        Catalog: (ra, dec, radius) [deg] -> table.
    false_alarm
        Largest probability of a chance match, of each way.
    attempts
        Grows by what was tried, in words.
    """

    image: Floats
    shape: tuple[int, int]
    pointing: Pointing
    stars_at: StarsAt
    false_alarm: float
    attempts: list[str]


def by_shift(
    image: Floats,
    wcs: "WCS",
    sky: CatalogStars,
    shape: tuple[int, int],
    *,
    reach: float,
    tolerance: float,
    room: float,
) -> tuple[list[Guess], str]:
    """Move a WCS so that most stars coincide.

    Parameters
    ----------
    image
        Star positions (n, 2), brightest first [pixel].
    wcs
        Trial WCS.
    sky
        Catalog stars around the field, brightest first.
    reach, tolerance
        Largest shift, and distance of a coincidence [pixel].
    room
        Catalog stars with a comparable neighbor within this many pixels are left out, if enough remain.

    Returns
    -------
    guesses, text
        The moved WCS for several depths of the lists, the most certain first, and what was found, in words.
    """
    predicted = pixels_of(wcs, sky)
    low, high = -reach, np.array([shape[1], shape[0]]) + reach
    with np.errstate(invalid="ignore"):
        near = np.all((predicted > low) & (predicted < high), axis=1)
    alone = near & isolated(predicted, sky.mag, room, CONTRAST)
    predicted = predicted[alone if alone.sum() >= FEW else near]
    if len(predicted) < 4 or len(image) < 4:
        return [], f"the given WCS puts {len(predicted)} catalog stars on the frame"
    found: list[tuple[float, Floats]] = []
    for depth in DEPTHS:
        for radius in (tolerance, 2.5 * tolerance):
            found.extend(_best_shift(image[:depth], predicted[:depth], reach, radius))
        if depth >= max(len(image), len(predicted)):
            break
    if not found:
        return [], f"no star lies within {reach:.0f} pixel of where the given WCS puts it"
    found.sort(key=lambda item: item[0])
    guesses = [Guess(_moved(wcs, shift), log_p, "header") for log_p, shift in found]
    log_p, shift = found[0]
    return guesses, f"the given WCS moved by ({shift[0]:.1f}, {shift[1]:.1f}) pixel: log10 p {log_p:.1f}"


def _best_shift(
    image: Floats, predicted: Floats, reach: float, tolerance: float
) -> list[tuple[float, Floats]]:
    """Return the shift that most pairs agree on, with log10 of its chance; empty if no pair is near."""
    first, second, _ = pairs_within(image, predicted, reach)
    difference = image[first] - predicted[second]
    if len(difference) < 3:
        return []
    shift = difference[int(np.argmax(_crowd(difference, tolerance)))]
    for _ in range(3):
        shift = difference[np.hypot(*(difference - shift).T) <= tolerance].mean(axis=0)
    return [(chance(predicted + shift, image, tolerance, maps=(reach / tolerance) ** 2, fixed=1), shift)]


def _crowd(points: Floats, radius: float) -> npt.NDArray[np.intp]:
    """Return how many points lie within `radius` of each."""
    if len(points) < MANY:
        return np.bincount(pairs_within(points, points, radius)[0], minlength=len(points))
    from scipy.spatial import cKDTree  # slow to load, but it counts without listing

    return np.asarray(cKDTree(points).query_ball_point(points, radius, return_length=True))


def _moved(wcs: "WCS", shift: Floats) -> "WCS":
    from astropy.wcs import Sip

    moved = wcs.deepcopy()
    moved.wcs.crpix = np.asarray(moved.wcs.crpix) + shift
    if moved.sip is not None:
        sip = moved.sip
        moved.sip = Sip(sip.a, sip.b, sip.ap, sip.bp, np.asarray(sip.crpix) + shift)
    moved.wcs.set()
    return moved


def spiral(radius: float, step: float) -> Iterator[tuple[float, float]]:
    """Yield offsets (east, north) [deg] that cover a disk, from the middle outward, on a hexagonal grid."""
    rings = int(np.ceil(radius / step))
    points = [
        (step * (i + 0.5 * (j % 2)), step * j * np.sqrt(0.75))
        for j in range(-rings - 1, rings + 2)
        for i in range(-rings - 1, rings + 2)
    ]
    inside = [p for p in points if np.hypot(*p) <= radius + 1e-9] or [(0.0, 0.0)]
    yield from sorted(inside, key=lambda p: (np.hypot(*p), p))


def by_pattern(near: Nearby, *, tolerance: float) -> Iterator[Guess]:
    """Yield WCS guesses from matching star patterns at centers in a spiral around the pointing.

    Parameters
    ----------
    near
        What is compared; its false alarm bounds all centers together.
    tolerance
        Distance of a pair [pixel]; must cover distortion.
    """
    image, shape, pointing = near.image, near.shape, near.pointing
    diagonal, centers = _looks(pointing, shape)
    ratio = np.pi * diagonal**2 / (shape[0] * shape[1] * (pointing.scale / 3600) ** 2)
    best, depths = 0.0, []
    for number, (east, north) in enumerate(centers):
        ra, dec = offset(pointing.ra, pointing.dec, east, north)
        sky = catalog_stars(near.stars_at(ra, dec, diagonal))
        depths.append(len(sky))
        sky = sky.take(np.arange(min(len(sky), PATTERN_SKY)))
        plane = project(sky.ra, sky.dec, ra, dec) * 3600 / pointing.scale
        ahead = np.flatnonzero(np.isfinite(plane).all(axis=1))  # absurd scales put some behind it
        sky, plane = sky.take(ahead), plane[ahead]
        plane[:, 0] *= -1 if pointing.parity != -1 else 1  # x to the west: the sky as seen
        try:
            match = match_stars(
                image, plane, max_scale=1 + pointing.scale_tolerance, tolerance=tolerance,
                allow_mirror=pointing.parity is None, false_alarm=near.false_alarm, depth_ratio=ratio,
                trials=len(centers),
            )  # fmt: skip
        except NoMatchError as error:
            best = min(best, error.log_false_alarm)
            continue
        except MatchError:  # too few catalog stars here, as `depths` tells
            continue
        near.attempts.append(
            f"center {number + 1} of {len(centers)} (RA {ra:.3f}, Dec {dec:.3f}): {len(sky)} catalog stars, "
            f"{match.n} pairs, log10 p {match.log_false_alarm:.1f}"
        )
        sign = 1.0 if pointing.parity != -1 else -1.0
        yield Guess(
            as_wcs(match.map, shape, (ra, dec), pointing.scale, sign), match.log_false_alarm, "pattern"
        )
    near.attempts.append(_in_vain(centers, depths, best, near.false_alarm))


def _looks(pointing: Pointing, shape: tuple[int, int]) -> tuple[float, list[tuple[float, float]]]:
    """Return the radius of a look and the offsets (east, north) of all looks [deg]."""
    diagonal = 0.5 * float(np.hypot(*shape)) * pointing.scale / 3600 * (1 + pointing.scale_tolerance)
    step = 0.5 * min(shape) * pointing.scale / 3600
    near = min(pointing.radius, 0.3 * step)  # a pointing as good as this needs one look
    centers = [(0.0, 0.0)] if pointing.radius <= near + 1e-12 else list(spiral(pointing.radius, step))
    return diagonal, centers[:MAX_CENTERS]


def reach_of(pointing: Pointing, shape: tuple[int, int]) -> float:
    """Return how far from the pointing `by_pattern` looks at stars [deg]."""
    diagonal, centers = _looks(pointing, shape)
    return diagonal + float(np.hypot(*centers[-1]))


def _in_vain(centers: list[tuple[float, float]], depths: list[int], best: float, false_alarm: float) -> str:
    """Return what a pattern search tried, in words."""
    reach = np.hypot(*centers[-1])
    where = f"{len(centers)} places within {reach:.2f} deg" if len(centers) > 1 else "the place given"
    stars = f"{min(depths)} to {max(depths)}" if min(depths) < max(depths) else f"{max(depths)}"
    chances = (
        f"the best candidate may be chance with a probability of {10**best:.0e}, above {false_alarm:.0e}"
        if best < 0
        else "no similar pattern"
    )
    return f"star patterns compared at {where} ({stars} catalog stars each): {chances}"


def as_wcs(
    coefficients: Floats, shape: tuple[int, int], center: tuple[float, float], scale: float, sign: float
) -> "WCS":
    """Return the TAN WCS of a similarity from image pixels to the plane (x to the west for sign +1)."""
    from astropy.wcs import WCS

    flip = np.diag([-sign, 1.0])
    linear = coefficients[:, 1:3] / transform.SCALE
    origin = np.linalg.solve(
        linear, -coefficients[:, 0]
    )  # the pixel of the tangent point, on the frame or not
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit, wcs.wcs.radesys = ["RA---TAN", "DEC--TAN"], ["deg", "deg"], "ICRS"
    wcs.wcs.crval, wcs.wcs.crpix = list(center), origin + 1.0
    wcs.wcs.cd = flip @ linear * scale / 3600
    wcs.pixel_shape = (shape[1], shape[0])
    wcs.wcs.set()
    return wcs
