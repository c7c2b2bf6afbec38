"""What all frames of a night show, on one plane of the sky: honest errors, and what of it stands still.

Positions are on a tangent plane [arcsec], times in minutes. Stars are known from a stack of the night: they
tell by how much each frame is shifted, how large position errors really are, and how bright a star of the
stack should be on each frame. A sighting that a star of the stack accounts for stands still, unless its chain
of sightings moves evenly by more than chance and the common wobble of stars allow: `slow_chains`.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.evenmotion import Motion, fit_motion
from sciastro.core.robust import MAD_TO_SIGMA, mad_sigma

__all__ = ["LEAST", "Chain", "Settled", "Sightings", "Stars", "beside", "settle", "slow_chains", "stationary"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

BRIGHT, FAINT = 50.0, 8.0  # signal over noise from which the floor, and up to which the factor, is measured
FEW = 8  # stars below which nothing is learned from them
NEAR = 1.2  # widths of a star within which a star of the stack can account for a sighting
RATIO = 1.6  # times the expected light that a star may have and still stand still
WOBBLE = 6.0  # robust sigma of the displacements of stars that a slow mover exceeds
LEAST = 0.25  # widths of a star that a slow mover moves at least in all
REACH = 1.3  # widths of a star around its place in the stack where sightings belong to a chain


@dataclass(frozen=True, slots=True)
class Sightings:
    """All sightings of a night, one row each.

    Attributes
    ----------
    frame
        Number of the frame (n,).
    time
        Mid-exposure [min] (n,).
    x, y, err
        On the plane [arcsec] (n,); the error holds along each axis.
    flux
        On one scale for all frames (n,).
    snr
        (n,).
    """

    frame: Indices
    time: Floats
    x: Floats
    y: Floats
    err: Floats
    flux: Floats
    snr: Floats

    def take(self, which: npt.NDArray[np.generic]) -> "Sightings":
        """Return some of them."""
        return Sightings(*(getattr(self, name)[which] for name in self.__slots__))

    @property
    def points(self) -> Floats:
        """Return (n, 2) [arcsec]."""
        return np.stack([self.x, self.y], axis=1)


@dataclass(frozen=True, slots=True)
class Stars:
    """Sources of the stack: (n,) each, places on the plane [arcsec], light in any unit."""

    x: Floats
    y: Floats
    flux: Floats
    snr: Floats

    @property
    def points(self) -> Floats:
        """Return (n, 2) [arcsec]."""
        return np.stack([self.x, self.y], axis=1)


@dataclass(frozen=True, slots=True)
class Chain:
    """Sightings of one source that hardly moves: their numbers, and the motion through them."""

    members: Indices
    motion: Motion


@dataclass(frozen=True, slots=True)
class Settled:
    """What stars say of frames.

    Attributes
    ----------
    shifts
        By frame, what its places are off along x and y [arcsec].
    scales
        By frame, the light of a star in the stack over that on the frame.
    factor2, floor2
        Of real errors: ``sqrt(factor2 err2 + floor2)`` [arcsec2].
    """

    shifts: dict[int, tuple[float, float]]
    scales: dict[int, float]
    factor2: float = 1.0
    floor2: float = 0.0

    def apply(self, seen: Sightings) -> Sightings:
        """Return sightings freed of shifts, on the light scale of the stack, with real errors."""
        x, y, flux = seen.x.copy(), seen.y.copy(), seen.flux.copy()
        for number, shift in self.shifts.items():
            here = seen.frame == number
            x[here], y[here] = x[here] - shift[0], y[here] - shift[1]
            flux[here] *= self.scales[number]
        err = np.sqrt(self.factor2 * seen.err**2 + self.floor2)
        return replace(seen, x=x, y=y, flux=flux, err=err)


def settle(seen: Sightings, stars: Stars, width: float) -> Settled:
    """Return what the stars of the stack say of the frames: shifts, light, and how large errors really are.

    Parameters
    ----------
    width
        Of a star [arcsec].

    Returns
    -------
    Settled
        Nothing is said of a frame with too few stars. The factor of errors is from faint stars, the floor
        from bright ones.
    """
    index = _nearest(seen.points, stars.points, NEAR * width)
    known = (index >= 0) & (stars.snr[np.maximum(index, 0)] > 15)
    shifts: dict[int, tuple[float, float]] = {}
    scales: dict[int, float] = {}
    for number in np.unique(seen.frame):
        here = seen.frame == number
        good = here & known & (seen.snr > 10)
        if good.sum() < FEW:
            good = here & known
        if good.sum() < FEW:
            continue
        of = index[good]
        off = np.median(seen.x[good] - stars.x[of]), np.median(seen.y[good] - stars.y[of])
        shifts[int(number)] = (float(off[0]), float(off[1]))
        scales[int(number)] = float(np.median(stars.flux[of] / seen.flux[good]))
    moved = Settled(shifts, scales).apply(seen)
    at = np.maximum(index, 0)
    off_x, off_y = (moved.x - stars.x[at])[known], (moved.y - stars.y[at])[known]
    factor2, floor2 = _honest(
        np.concatenate([off_x, off_y]), np.tile(seen.err[known], 2), np.tile(seen.snr[known], 2)
    )
    return Settled(shifts, scales, factor2, floor2)


def _honest(off: Floats, err: Floats, snr: Floats) -> tuple[float, float]:
    """Return the factor and the floor, both squared, from formal to real errors."""
    bright, faint = snr > BRIGHT, snr < 4 * FAINT
    floor2, factor2 = 0.0, 1.0
    if bright.sum() >= 2 * FEW:
        scatter = mad_sigma(off[bright], 0.0)
        floor2 = max(scatter**2 - float(np.median(err[bright])) ** 2, 0.0)
    if faint.sum() >= 4 * FEW:
        ratio = MAD_TO_SIGMA * float(np.median(np.abs(off[faint]) / np.sqrt(err[faint] ** 2 + floor2)))
        factor2 = float(np.clip(ratio, 1.0, 3.0)) ** 2
    return factor2, floor2


def _nearest(points: Floats, of: Floats, radius: float) -> Indices:
    """Return, per point, the nearest of other points within `radius` (-1: none)."""
    from scipy.spatial import cKDTree

    if not len(points) or not len(of):
        return np.full(len(points), -1)
    apart, index = cKDTree(of).query(points, distance_upper_bound=radius)
    return np.where(np.isfinite(apart), index, -1).astype(np.intp)


def beside(seen: Sightings, others: Sightings, radius: float) -> Mask:
    """Return which sightings have one of `others` on the same frame within `radius` [arcsec]."""
    out = np.zeros(seen.x.size, bool)
    for number in np.unique(seen.frame):
        here, there = np.flatnonzero(seen.frame == number), others.frame == number
        out[here] = _nearest(seen.points[here], others.points[there], radius) >= 0
    return out


def stationary(seen: Sightings, stars: Stars, width: float) -> Mask:
    """Return which sightings a star of the stack accounts for: near, and about as bright as there.

    A mover's own trail in the stack is fainter than the mover on each frame by its length in widths.
    """
    from scipy.spatial import cKDTree

    out = np.zeros(seen.x.size, bool)
    if not stars.x.size or not seen.x.size:
        return out
    apart, index = cKDTree(stars.points).query(
        seen.points, k=min(3, stars.x.size), distance_upper_bound=NEAR * width
    )
    apart, index = apart.reshape(seen.x.size, -1), index.reshape(seen.x.size, -1)
    for k in range(apart.shape[1]):
        near = np.isfinite(apart[:, k])
        light = stars.flux[np.where(near, index[:, k], 0)]
        noise = seen.flux / np.maximum(seen.snr, 1e-3)
        # The nearer, the less light is needed: blends and wings of bright stars make sightings beside them.
        out |= near & (seen.flux < RATIO * light + 3 * noise)
    return out


def slow_chains(seen: Sightings, stars: Stars, width: float, false_tracks: float) -> list[Chain]:
    """Return sources of the stack that move evenly, by less than a few widths of a star in all.

    Parameters
    ----------
    false_tracks
        How many of all sources that stand still may seem to move by chance.
    """
    from scipy.spatial import cKDTree

    numbers = np.unique(seen.frame)
    if numbers.size < 3 or not stars.x.size:
        return []
    trees = {n: (np.flatnonzero(seen.frame == n)) for n in numbers}
    chained = np.full((numbers.size, stars.x.size), -1)
    for row, n in enumerate(numbers):
        of = trees[n]
        apart, index = cKDTree(seen.points[of]).query(stars.points, distance_upper_bound=REACH * width)
        near = np.isfinite(apart)
        chained[row, near] = of[index[near]]
    limit = -2 * np.log(max(false_tracks, 1e-12) / max(stars.x.size, 1))
    found, moves = [], []
    for star in range(stars.x.size):
        members = chained[:, star][chained[:, star] >= 0]
        if members.size < max(3, 0.4 * numbers.size):
            continue
        fit = fit_motion(seen.time[members], seen.x[members], seen.y[members], seen.err[members])
        if fit is None:
            continue
        way = np.array([fit.vx, fit.vy]) * float(np.ptp(seen.time[members]))
        moves.append(way)
        found.append((members, fit, float(np.hypot(*way))))
    if not found:
        return []
    wobble = MAD_TO_SIGMA * float(np.median(np.abs(np.array(moves) - np.median(moves, axis=0))))
    least = max(LEAST * width, WOBBLE * wobble if len(found) >= FEW else 0.0)
    return [
        Chain(members, fit)
        for members, fit, way in found
        if way > least and fit.gain > limit and fit.chi2 / max(fit.dof, 1) < 4.0
    ]
