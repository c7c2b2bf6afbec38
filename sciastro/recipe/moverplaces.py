"""Movers and their places, and the even motion through places: blends and outliers are left out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.evenmotion import Motion, fit_motion
from sciastro.measure.trailfit import JointFit

__all__ = ["Errors", "Guess", "Mover", "Path2", "Place", "consistent", "even", "through"]

Floats = npt.NDArray[np.float64]
Path2 = tuple[float, float]

BRIGHTER = 1.3  # times as much light as most places have, beside its noise, that a place may have
OUTLIER = 4.5  # sigma from the motion beyond which a place is no place of the mover


@dataclass(frozen=True, slots=True)
class Errors:
    """How errors of fits turn into real ones [arcsec]: ``sqrt(factor2 formal2 + floor2)``."""

    factor2: float = 1.0
    floor2: float = 0.0


@dataclass(frozen=True, slots=True)
class Guess:
    """A motion that was found, whether it is slow, and how many as good ones chance makes."""

    motion: Motion
    slow: bool
    expected_false: float


@dataclass(frozen=True, slots=True)
class Place:
    """A mover on one frame.

    Attributes
    ----------
    frame
        Number in `Field.frames`.
    pixel
        x, y on the calibrated plane.
    x, y, err
        On the plane of the field [arcsec]; error along each axis.
    ellipse
        Covariance along x and y [arcsec2] (xx, yy, xy).
    rate
        Its light above the air [electron / s].
    snr, mag, mag_err
        NaN magnitudes without a zero point.
    blended
        Whether a star lies in it; such places are not used.
    """

    frame: int
    pixel: Path2
    x: float
    y: float
    err: float
    ellipse: tuple[float, float, float]
    rate: float
    snr: float
    mag: float
    mag_err: float
    blended: bool


@dataclass(frozen=True, slots=True)
class Mover:
    """Something that moves evenly.

    Attributes
    ----------
    places
        One per frame that shows it, in order of time.
    motion
        Through those without a star in them, on the plane [arcsec, min].
    together
        The fit to all frames at once, with the time [min] and place it is for; None where it failed.
    mag, mag_err
        From the fit to all frames.
    slow
        Whether it moves less than a few widths of a star.
    expected_false
        Tracks as good as this one that chance makes in the night.
    name, label
        Name in its night; the known object that it is, if any.
    beneath
        Light of a star under its way over its own; 0 where none shows. Its places on single frames hold that
        light, and their errors what it does to them.
    apparent
        The motion with such a star in it; None where there is no doubt.
    """

    places: tuple[Place, ...]
    motion: Motion
    together: JointFit | None
    at: tuple[float, float, float]
    mag: float
    mag_err: float
    slow: bool
    expected_false: float
    name: str = ""
    label: str = ""
    beneath: float = 0.0
    apparent: Motion | None = None

    @property
    def good(self) -> tuple[Place, ...]:
        """Places that are used."""
        return tuple(one for one in self.places if not one.blended)


def even(places: list[Place]) -> list[Place]:
    """Return places with those marked as blended that are much brighter than most: a star adds to them."""
    good = [place.rate for place in places if not place.blended]
    if len(good) < 3:
        return places
    middle = float(np.median(good))
    return [
        replace(p, blended=True) if p.rate > BRIGHTER * middle + 4 * p.rate / p.snr else p for p in places
    ]


def through(places: Sequence[Place], minutes: Floats, before: Motion | None = None) -> Motion | None:
    """Return the motion through places without a star in them, outliers left out one by one.

    Parameters
    ----------
    before
        Motion that is known already; places far off it do not enter.
    """
    used = [one for one in places if not one.blended]
    if before is not None:
        near = []
        for one in used:
            x, y = before.at(float(minutes[one.frame]))
            run = float(minutes[one.frame]) - before.time
            spread = float(np.hypot(before.place_err, before.speed_err * run))
            if np.hypot(one.x - x, one.y - y) < OUTLIER * np.hypot(spread, one.err):
                near.append(one)
        used = near if len(near) >= 3 else used
    while len(used) >= 3:
        time = np.array([minutes[one.frame] for one in used])
        x, y, err = (np.array([getattr(one, name) for one in used]) for name in ("x", "y", "err"))
        fit = fit_motion(time, x, y, err)
        if fit is None:
            return None
        at = fit.at(time)
        off = np.hypot(x - at[0], y - at[1]) / err
        worst = int(np.argmax(off))
        if off[worst] < OUTLIER or len(used) == 3:
            return fit
        used = [one for k, one in enumerate(used) if k != worst]
    return None


def consistent(places: Sequence[Place], minutes: Floats, motion: Motion) -> list[Place]:
    """Return the places within `OUTLIER` sigma of the motion; `minutes` (frame,) are the times of frames."""
    out = []
    for place in places:
        x, y = motion.at(float(minutes[place.frame]))
        if np.hypot(place.x - x, place.y - y) < OUTLIER * place.err:
            out.append(place)
    return out
