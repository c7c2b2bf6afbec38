"""Slow movers over a star that nobody sees apart: told, parted from it, and given the errors that they have.

A slow mover stays in the light of a star all night: the star pulls every place toward itself, and the fit to
all frames with them. `measure.stillstar` fits both. Where chi2 falls by `TOLD` or more, the mover without the
star is what is stated, and its places on single frames, which still hold the star's light, get the distance
from there as an error; between `NOTICED` and `TOLD` nothing is moved, and what the star would change is an
error. Pulls of simulated movers (FWHM 2.5 pixel, Gaussian and Moffat stars, ways of 1.5 to 6 pixel, S/N 8 to
50 per frame, stars of 0.1 to 1 times their light): 1.0 to 1.8 rms with the formal errors, hence `REAL`; with
the star in them, up to 33.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.evenmotion import Motion
from sciastro.measure.stillstar import Parted, part_from_star
from sciastro.measure.trailfit import JointFit, Stamp
from sciastro.recipe.moverplaces import Errors, Mover, Path2, Place

__all__ = ["Gathered", "apart"]

Floats = npt.NDArray[np.float64]

NOTICED, TOLD = 9.0, 16.0  # fall of chi2 by 3 numbers, per degree of freedom
REAL = 2.0  # variance that is real over the formal one


@dataclass(slots=True)
class Gathered:
    """What the fit of one mover to all frames takes.

    Attributes
    ----------
    stamps, spots, slopes
        Per frame: pixels, the expected place [pixel], (2, 2) pixel per arcsec.
    scales, zeros
        Per frame: electrons there for 1 electron / s of its light; zero point and its error [mag].
    times
        Of the frames [min].
    """

    stamps: list[Stamp] = field(default_factory=list)
    spots: list[Path2] = field(default_factory=list)
    slopes: list[Floats] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    zeros: list[Path2] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


def apart(mover: Mover, part: Gathered, minutes: Floats, errors: Errors) -> Mover:
    """Return a slow mover with what a star beneath its way does to it.

    Parameters
    ----------
    mover
        As it is measured on frames with their stars.
    part
        Its pixels.
    minutes
        Of all frames.
    errors
        How real the errors of fits are.
    """
    motion, fit = mover.motion, mover.together
    if len(part.stamps) < 3 or fit is None:
        return mover
    run = np.array(part.times) - motion.time
    found = part_from_star(part.stamps, part.spots, part.slopes, part.scales, run, (motion.vx, motion.vy))
    if found is None or found.gain < NOTICED:
        return mover
    factor = REAL * errors.factor2 * max(found.chi2, 1.0)
    matrix = factor * found.covariance
    matrix[:2, :2] += np.eye(2) * errors.floor2 / len(part.stamps)
    if found.gain >= TOLD:
        return _parted(mover, fit, found, matrix, minutes, factor)
    shift, drift = found.offset - fit.offset, found.drift
    wider = replace(
        motion,
        place_err=float(np.hypot(motion.place_err, np.hypot(*shift) / np.sqrt(2))),
        speed_err=float(np.hypot(motion.speed_err, np.hypot(*drift) / np.sqrt(2))),
    )
    return replace(
        mover, motion=wider, apparent=motion,
        together=replace(fit, covariance=fit.covariance + np.outer(shift, shift)),
        places=_doubted(mover.places, lambda t: shift + drift * (t - motion.time), minutes),
    )  # fmt: skip


def _parted(
    mover: Mover, fit: JointFit, found: Parted, matrix: Floats, minutes: Floats, factor: float
) -> Mover:
    """Return the mover without the star."""
    before = mover.motion
    motion = replace(
        before, x=before.x + float(found.offset[0]), y=before.y + float(found.offset[1]),
        vx=before.vx + float(found.drift[0]), vy=before.vy + float(found.drift[1]),
        place_err=float(np.sqrt(np.trace(matrix[:2, :2]) / 2)),
        speed_err=float(np.sqrt(np.trace(matrix[2:, 2:]) / 2)),
    )  # fmt: skip
    light_err = float(np.sqrt(factor)) * found.light_err
    together = JointFit(np.zeros(2), matrix[:2, :2], found.light, light_err, found.chi2)
    fainter = 2.5 * float(np.log10(fit.flux / found.light))
    return replace(
        mover, motion=motion, apparent=before, together=together, at=(motion.time, motion.x, motion.y),
        places=tuple(_widened(place, motion, matrix, float(minutes[place.frame])) for place in mover.places),
        mag=mover.mag + fainter, mag_err=float(np.hypot(mover.mag_err, 1.0857 * light_err / found.light)),
        beneath=found.star / found.light,
    )  # fmt: skip


def _widened(place: Place, motion: Motion, matrix: Floats, time: float) -> Place:
    """Return a place that holds the star's light, too, with how far off the mover it is as an error."""
    x, y = motion.at(time)
    run = time - motion.time
    there = matrix[:2, :2] + run * (matrix[:2, 2:] + matrix[2:, :2]) + run**2 * matrix[2:, 2:]
    off = np.array([place.x - float(x), place.y - float(y)])
    return _enlarged(place, float(off @ off) / 2 + float(np.trace(there)) / 2)


def _doubted(places: Sequence[Place], by: Callable[[float], Floats], minutes: Floats) -> tuple[Place, ...]:
    return tuple(
        _enlarged(place, float(np.sum(by(float(minutes[place.frame])) ** 2)) / 2) for place in places
    )


def _enlarged(place: Place, variance: float) -> Place:
    """Return a place with more variance along each axis [arcsec2]."""
    xx, yy, xy = place.ellipse
    return replace(
        place, err=float(np.sqrt(place.err**2 + variance)), ellipse=(xx + variance, yy + variance, xy)
    )
