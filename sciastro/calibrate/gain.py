"""Gain, read noise and dark current of a camera from pairs of frames: the photon transfer method.

With the difference of two flats every fixed pattern drops out; what remains is shot noise and read noise:
``var(f1 - f2) = 2 (level / g + R^2)`` in adu (Janesick 2001; with ``level`` above bias and R the read noise
in adu). All estimates are made in small boxes, where illumination is even, and combined robustly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.sampling import clipped_variance
from sciastro.core.cfa import period, phase_slices
from sciastro.core.robust import MAD_TO_SIGMA
from sciastro.errors import DatasetError

__all__ = ["DarkCurrent", "GainEstimate", "measure_dark_current", "measure_gain", "measure_read_noise"]

Plane = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class GainEstimate:
    """Gain [electron / adu] and read noise [electron] with standard errors, and flat level and bias [adu]."""

    gain: float
    gain_err: float
    read_noise: float
    read_noise_err: float
    level: float
    bias: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DarkCurrent:
    """Dark current [electron / s] from the level and from the noise of darks, with standard errors."""

    rate: float
    rate_err: float
    rate_from_noise: float
    rate_from_noise_err: float


def _same_shape(*planes: Plane) -> None:
    shapes = {plane.shape for plane in planes}
    if len(shapes) != 1:
        raise DatasetError(
            f"have different shapes: {sorted(shapes)}.", where="frames", remedy="Use frames of one camera."
        )


def _boxes(plane: Plane, size: int) -> Floats:
    """Return (boxes, pixels) of the whole boxes that fit into a plane."""
    rows, columns = plane.shape[0] // size, plane.shape[1] // size
    cut = np.asarray(plane[: rows * size, : columns * size], np.float64)
    boxes = cut.reshape(rows, size, columns, size).swapaxes(1, 2)
    flattened: Floats = boxes.reshape(rows * columns, size * size)
    return flattened


def measure_read_noise(
    first: Plane, second: Plane, *, cfa: str = "", size: int = 32, clip: float = 4.0
) -> tuple[float, float, float]:
    """Return the temporal noise of a pair of bias frames (or darks), its error, and their level [adu].

    Parameters
    ----------
    first, second
        Raw frames (y, x) [adu] of the same settings.
    cfa
        Pattern; on a mosaic the phases are measured apart and averaged.
    size
        Edge of the boxes [pixel], of X-Trans phases a third of it.
    clip
        Differences beyond this many sigma are left out.
    """
    _same_shape(first, second)
    variances: list[float] = []
    for part in phase_slices(cfa):
        boxes = _boxes(
            np.asarray(first[part], np.float64) - np.asarray(second[part], np.float64), _edge(size, cfa)
        )
        # The core of all boxes, each freed of its own mean: drifts of the bias level do not count.
        boxes = boxes - np.median(boxes, axis=1, keepdims=True)
        variances.append(_box_variance(boxes, clip) / 2)
    pixels = first.size
    noise = float(np.sqrt(np.mean(variances)))
    level = float(np.mean([np.mean(_core(first)), np.mean(_core(second))]))
    return noise, float(noise / np.sqrt(2 * pixels)), level


def _edge(size: int, cfa: str) -> int:
    """Return the edge of a box in pixels of a phase: about the same piece of sky for every mosaic."""
    return max(4, 2 * size // max(period(cfa), 2))


def _core(plane: Plane) -> Floats:
    values = np.asarray(plane[::3, ::3], np.float64).ravel()
    values = values[np.isfinite(values)]
    if values.size < 10:  # too few to cut anything off
        return values if values.size else np.array([np.nan])
    low, high = np.quantile(values, [0.02, 0.98])
    return np.extract((values >= low) & (values <= high), values)


def _box_variance(boxes: Floats, clip: float) -> float:
    """Return the variance within boxes, outliers clipped, corrected for the median taken from each box."""
    pixels = boxes.shape[1]
    # Var(x - median of n) = sigma^2 (1 + f/n - 2/n), f = n Var(median)/sigma^2 -> pi/2, and the covariance of
    # a sample with the median is sigma^2/n.
    return clipped_variance(boxes, clip) / float(1 + (np.pi / 2 - 2) / pixels)


def measure_gain(
    flat_a: Plane,
    flat_b: Plane,
    bias_a: Plane,
    bias_b: Plane,
    *,
    cfa: str = "",
    size: int = 32,
    saturation: float = 65_535.0,
) -> GainEstimate:
    """Measure gain and read noise from two flats and two bias frames (or dark-flats).

    Per box: the second flat is scaled to the level of the first (lamps flicker), the difference freed of its
    median; with s the scale, ``var(a - s b) = (1 + s^2) R^2 + (level_a + s^2 level_b) / g``.
    The gain is the ratio of all boxes' signal to all their shot variance, which is not biased as a mean
    of ratios would be; its error comes from the scatter of the boxes.

    Parameters
    ----------
    flat_a, flat_b
        Raw flats (y, x) [adu] of one exposure.
    bias_a, bias_b
        Raw bias frames, or dark-flats of the flats' exposure, which are better.
    cfa
        Pattern; on a mosaic the four phases are measured apart and combined.
    size
        Edge of the boxes [pixel].
    saturation
        Boxes above 90 % of it are not used [adu].

    Raises
    ------
    DatasetError
        If the frames differ in shape, or hold no light above the bias.
    """
    _same_shape(flat_a, flat_b, bias_a, bias_b)
    read, read_err, _ = measure_read_noise(bias_a, bias_b, cfa=cfa, size=size)
    signals, variances, levels = [], [], []
    for part in phase_slices(cfa):
        found = _transfer(
            flat_a[part], flat_b[part], bias_a[part], bias_b[part], _edge(size, cfa), 0.9 * saturation, read
        )
        signals.append(found[0])
        variances.append(found[1])
        levels.append(found[2])
    signal, variance = np.concatenate(signals), np.concatenate(variances)
    if signal.size < 4 or not variance.sum() > 0 or not np.median(signal) > 10 * read:
        raise DatasetError(
            f"hold too little light: {np.median(signal) / 2 if signal.size else 0.0:.1f} adu above bias, "
            f"in {signal.size} boxes.",
            where="flats",
            remedy="Use flats at 30 to 60 % of full scale that are not saturated.",
        )
    gain, gain_err = _ratio(signal, variance)
    return GainEstimate(
        gain=gain,
        gain_err=gain_err,
        read_noise=read * gain,
        read_noise_err=float(np.hypot(read_err * gain, read * gain_err)),
        level=float(np.mean(np.concatenate(levels))),
        bias=float(np.mean([np.mean(_core(bias_a)), np.mean(_core(bias_b))])),
    )


def _transfer(
    flat_a: Plane, flat_b: Plane, bias_a: Plane, bias_b: Plane, size: int, ceiling: float, read: float
) -> tuple[Floats, Floats, Floats]:
    """Return per box: signal (of a plus that of the scaled b), its shot variance, and the level [adu]."""
    bias = (np.asarray(bias_a, np.float64) + np.asarray(bias_b, np.float64)) / 2
    a, b = (_boxes(np.asarray(flat, np.float64) - bias, size) for flat in (flat_a, flat_b))
    raw = np.maximum(_boxes(flat_a, size).max(axis=1), _boxes(flat_b, size).max(axis=1))
    level_a, level_b = a.mean(axis=1), b.mean(axis=1)
    lit = (raw < ceiling) & (level_a > 0) & (level_b > 0)
    a, b, level_a, level_b = a[lit], b[lit], level_a[lit], level_b[lit]
    if not a.size:
        return np.empty(0), np.empty(0), np.empty(0)
    # One ratio for the pair: a box's own would take a degree of freedom from its variance.
    scale = float(level_a.sum() / level_b.sum())
    # The raw frames enter the difference: the bias taken off cancels but for (1 - scale) of its noise.
    difference = a - scale * b
    difference -= difference.mean(axis=1, keepdims=True)
    pixels = difference.shape[1]
    limit = 5 * np.sqrt(clipped_variance(difference))
    kept = np.abs(difference) <= limit
    number = kept.sum(axis=1)
    total = np.where(kept, difference, 0)
    mean = total.sum(axis=1) / number
    variance = (total**2).sum(axis=1) / (number - 1) - mean**2 * number / (number - 1)
    good = number > 0.9 * pixels
    noise = (1 + scale**2) * read**2 + (1 - scale) ** 2 * read**2 / 2
    signal = level_a + scale**2 * level_b
    return signal[good], (variance - noise)[good], level_a[good]


def _ratio(signal: Floats, variance: Floats) -> tuple[float, float]:
    """Return sum(signal) / sum(variance) over boxes, outlying boxes left out, and its standard error."""
    keep = np.ones(signal.size, bool)
    for _ in range(10):
        gain = signal[keep].sum() / variance[keep].sum()
        residual = (variance - signal / gain) / signal
        center = np.median(residual[keep])
        spread = MAD_TO_SIGMA * np.median(np.abs(residual[keep] - center))
        after = np.abs(residual - center) <= 4 * spread
        if (after == keep).all() or not after.any():
            break
        keep = after
    gain = signal[keep].sum() / variance[keep].sum()
    residual = variance[keep] - signal[keep] / gain
    error = gain * np.sqrt((residual**2).sum()) / variance[keep].sum()
    return float(gain), float(error)


def measure_dark_current(
    darks: Sequence[Plane],
    exposure: float,
    short: Sequence[Plane],
    short_exposure: float,
    *,
    gain: float,
    clip: float = 8.0,
) -> DarkCurrent:
    """Measure the dark current from long darks against short ones (or bias frames).

    From the level: ``g (level_long - level_short) / (t_long - t_short)``; from the noise:
    ``g^2 (var_long - var_short) / (t_long - t_short)``, which does not care about drifts of the bias
    level. The level is that of the core of the pixels (2 to 98 %). The noise keeps warm pixels, which
    are part of a sensor's dark current, so it gives the larger number of the two on a real sensor.

    Parameters
    ----------
    darks, short
        Two or more raw frames each (y, x) [adu].
    exposure, short_exposure
        [s].
    gain
        [electron / adu].
    clip
        For the noise: differences beyond this many sigma (hot pixels, cosmic rays) are left out.

    Raises
    ------
    DatasetError
        With fewer than two of either, or without a difference in exposure.
    """
    if len(darks) < 2 or len(short) < 2 or not exposure > short_exposure:
        raise DatasetError(
            f"are {len(darks)} of {exposure:g} s and {len(short)} of {short_exposure:g} s.",
            where="darks",
            remedy="Give at least two long and two short ones.",
        )
    long_noise, long_err, long_level = measure_read_noise(darks[0], darks[1], clip=clip)
    short_noise, short_err, short_level = measure_read_noise(short[0], short[1], clip=clip)
    span = exposure - short_exposure
    pixels = darks[0].size
    level_err = np.hypot(long_noise, short_noise) / np.sqrt(2 * pixels)
    noise_err = 2 * np.hypot(long_noise * long_err, short_noise * short_err)
    return DarkCurrent(
        rate=gain * (long_level - short_level) / span,
        rate_err=float(gain * level_err / span),
        rate_from_noise=gain**2 * (long_noise**2 - short_noise**2) / span,
        rate_from_noise_err=float(gain**2 * noise_err / span),
    )
