"""Which period a light curve has: Lomb-Scargle for waves, box least squares for eclipses.

Reads times, relative fluxes and errors. Methods are those of astropy (VanderPlas 2018, ApJS 236, 16; Kovacs,
Zucker & Mazeh 2002, A&A 391, 369). A period that the nights do not hold twice is not looked for.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Periodogram", "box_periodogram", "wave_periodogram"]

Floats = npt.NDArray[np.float64]

MOST = 200_000  # frequencies
FEWEST = 20  # points


@dataclass(frozen=True, slots=True)
class Periodogram:
    """Power by frequency [1 / d] and what stands out.

    Attributes
    ----------
    period, period_err
        [d]; the error of a wave is that of Montgomery & O'Donoghue 1999 (Delta Scuti Star Newsletter 13, 28),
        which holds for white noise; that of a box is the step of the grid,
        the least that it is uncertain by.
    false_alarm
        Chance that noise makes such a peak (Baluev 2008); NaN where it is not known.
    depth, t0, duration
        Of a box: relative, [d], [d]; NaN for waves.
    """

    method: str
    frequency: Floats
    power: Floats
    period: float
    period_err: float
    false_alarm: float
    depth: float = float("nan")
    t0: float = float("nan")
    duration: float = float("nan")


def wave_periodogram(time: Floats, flux: Floats, err: Floats) -> Periodogram | None:
    """Return the Lomb-Scargle periodogram; None below 20 points.

    Frequencies go from two periods in the span to half the typical sampling, in steps of a tenth of a peak.

    Parameters
    ----------
    time, flux, err
        (point,) in days, in any unit, and in that unit; finite.
    """
    from astropy.timeseries import LombScargle

    span = float(np.ptp(time)) if time.size else 0.0
    if time.size < FEWEST or not span > 0:
        return None
    frequency = _grid(span, float(np.median(np.diff(np.sort(time)))))
    if frequency.size < 3:
        return None
    found = LombScargle(time - time[0], flux, err)
    power = np.asarray(found.power(frequency), np.float64)
    k = int(np.argmax(power))
    chance = float(found.false_alarm_probability(power[k], maximum_frequency=frequency[-1], method="baluev"))
    best, top = _top(frequency, power, k)
    # sigma_f = sqrt(6 / N) sigma / (pi T A), A^2 / (2 sigma^2) = power / (1 - power); at most a peak
    noise = math.sqrt(3 * max(1 - top, 1e-9) / (time.size * max(top, 1e-9))) / np.pi
    err_period = min(noise, 0.5) / span / best**2
    return Periodogram("Lomb-Scargle", frequency, power, 1 / best, err_period, chance)


def _top(frequency: Floats, power: Floats, k: int) -> tuple[float, float]:
    """Return frequency and power at the top of the peak at `k`, by the parabola through three points."""
    if not 0 < k < power.size - 1:
        return float(frequency[k]), float(power[k])
    left, middle, right = power[k - 1 : k + 2]
    bend = float(left - 2 * middle + right)
    off = 0.5 * float(left - right) / bend if bend < 0 else 0.0
    step = float(frequency[1] - frequency[0])
    return float(frequency[k]) + off * step, float(middle - 0.25 * (left - right) * off)


def box_periodogram(time: Floats, flux: Floats, err: Floats) -> Periodogram | None:
    """Return the box least squares periodogram; None below 20 points, or where no period fits in twice.

    Boxes of 1 to 5 hours, periods from 0.3 d on.

    Parameters
    ----------
    time, flux, err
        (point,) in days, in any unit, and in that unit; finite.
    """
    from astropy.timeseries import BoxLeastSquares

    span = float(np.ptp(time)) if time.size else 0.0
    if time.size < FEWEST or span < 0.6:
        return None
    durations = np.array([1.0, 2.0, 3.0, 5.0]) / 24
    # A box moves by less than a third of its width over the span, as far as `MOST` allows.
    step = max(0.3 * float(durations[0]) / span**2, (1 / 0.3) / MOST)
    frequency = np.arange(2 / span, 1 / 0.3, step)
    if frequency.size < 3:
        return None
    found = BoxLeastSquares(time - time[0], flux, err)
    result = found.power(1 / frequency, durations, objective="snr")
    power = np.asarray(result.power, np.float64)
    k = int(np.nanargmax(power))
    return Periodogram(
        "BLS", frequency, power, 1 / float(frequency[k]), float(step / frequency[k] ** 2), float("nan"),
        float(result.depth[k]), float(result.transit_time[k] + time[0]), float(result.duration[k]),
    )  # fmt: skip


def _grid(span: float, step: float) -> Floats:
    low, high = 2 / span, 0.5 / max(step, 1e-6)
    if high <= low:
        return np.empty(0)
    return np.arange(low, high, max(0.1 / span, (high - low) / MOST))
