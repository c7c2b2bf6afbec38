"""Which period a light curve has: Lomb-Scargle for waves, box least squares for eclipses.

Reads times, relative fluxes and errors. Methods are those of astropy (VanderPlas 2018, ApJS 236, 16; Kovacs,
Zucker & Mazeh 2002, A&A 391, 369). A period that the nights do not hold twice is not looked for.
"""

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
        [d]; the error is that of a wave's frequency, half the width of the peak over the S/N of the wave
        (VanderPlas 2018), and of a box the step of the grid.
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
    period = 1 / float(frequency[k])
    # A peak is 1 / span wide; its center is known better by the S/N of the wave.
    strength = np.sqrt(max(time.size * power[k] / (2 * max(1 - power[k], 1e-9)), 1.0))
    width = float(0.5 / span / strength)
    return Periodogram("Lomb-Scargle", frequency, power, period, period**2 * width, chance)


def box_periodogram(time: Floats, flux: Floats, err: Floats) -> Periodogram | None:
    """Return the box least squares periodogram; None below 20 points, or where no period fits in twice.

    Boxes of 1 to 5 hours, periods from 0.3 d on.
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
