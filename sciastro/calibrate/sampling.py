"""Learn levels and noise of a set of calibration frames from a few bands of rows, before combining them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "ReadRows",
    "Sample",
    "clipped_variance",
    "pair_variance",
    "take_sample",
    "trimmed_mean",
]

ReadRows = Callable[[int, int], npt.NDArray[np.generic]]
Floats = npt.NDArray[np.float32]
STARTERS = 40_000  # values that clipping starts from


@dataclass(frozen=True, slots=True)
class Sample:
    """Some bands of every frame.

    Attributes
    ----------
    values
        float32 (frame, rows, columns) [adu], bands stacked, each beginning on a multiple of the
        period; `subtract` taken off.
    raw_top
        Fraction of the sampled pixels of each frame at or above the ceiling that was given.
    """

    values: Floats
    raw_top: npt.NDArray[np.float64]


def take_sample(
    readers: Sequence[ReadRows],
    shape: tuple[int, int],
    *,
    subtract: Floats | None = None,
    ceiling: float = float("nan"),
    pixels: int = 300_000,
    bands: int = 8,
    period: int = 2,
) -> Sample:
    """Read evenly spread bands of rows of every frame.

    Parameters
    ----------
    readers
        One per frame: ``read(y0, y1)`` returns those rows [adu].
    shape
        Rows and columns of a frame.
    subtract
        Plane to subtract [adu], or None.
    ceiling
        Raw level [adu] whose exceedance is counted.
    pixels, bands
        How much to read.
    period
        Every band begins on a multiple of this: the period of a color mosaic.
    """
    height, width = shape
    rows = min(height, max(period, int(np.ceil(pixels / bands / width / period)) * period))
    count = min(bands, height // rows)
    starts = sorted({int(start) // period * period for start in np.linspace(0, height - rows, count)})
    values = np.empty((len(readers), rows * len(starts), width), np.float32)
    top = np.zeros(len(readers))
    for number, read in enumerate(readers):
        for k, start in enumerate(starts):
            band = np.asarray(read(start, start + rows)).astype(np.float32)
            top[number] += np.count_nonzero(band >= ceiling)
            values[number, k * rows : (k + 1) * rows] = (
                band if subtract is None else band - subtract[start : start + rows]
            )
    return Sample(values, top / values[0].size)


def trimmed_mean(values: npt.NDArray[np.floating], cut: float = 0.05) -> float:
    """Return the mean without the fraction `cut` at either end; NaN is left out; NaN of nothing."""
    good = np.sort(values[np.isfinite(values)], axis=None)
    k = int(cut * good.size)
    return float(np.mean(good[k : good.size - k], dtype=np.float64)) if good.size else float("nan")


def clipped_variance(values: npt.NDArray[np.floating], kappa: float = 4.0) -> float:
    """Return the variance of the core of `values`: clipped at kappa sigma about the mean until settled.

    Starts from the 1.4826 MAD (or, where digitization makes that 0, from the standard deviation), and is
    corrected for the Gaussian tails that were cut off (0.11 % at 4 sigma).
    """
    good = values[np.isfinite(values)].astype(np.float64)
    if good.size < 2:
        return float("nan")
    some = good[:: max(1, good.size // STARTERS) | 1]  # sorting them all would take most of the time
    center = float(np.median(some))
    sigma = 1.4826 * float(np.median(np.abs(some - center))) or float(good.std())
    for _ in range(20):
        kept = good[np.abs(good - center) <= kappa * max(sigma, 1e-30)]
        center, before, sigma = float(kept.mean()), sigma, float(kept.std())
        if abs(sigma - before) <= 1e-4 * before:
            break
    tail = 2 * kappa * np.exp(-(kappa**2) / 2) / np.sqrt(2 * np.pi)  # of a Gaussian cut at +- kappa
    return float(sigma**2 / (1 - tail))


def pair_variance(values: Floats, scale: npt.NDArray[np.floating]) -> tuple[float, float, float]:
    """Return the clipped variance of differences of neighboring frames, and the scales that go with it.

    For scaled frames with V = s^2 read + s shot level, the difference of two has the variance
    ``(s1^2 + s2^2) read + (s1 + s2) shot level``: fixed pattern drops out.

    Parameters
    ----------
    values
        (frame, pixel...) [adu], not scaled.
    scale
        (frame,).

    Returns
    -------
    variance, sum_of_squares, sum_of_scales
        Over the pairs (1, 2), (2, 3), ... (n, 1); one frame alone is compared with itself two columns
        away, which counts fixed pattern as noise.
    """
    if len(values) == 1:
        shift = values[0][..., 2:] - values[0][..., :-2]
        return clipped_variance(shift) * float(scale[0]) ** 2, 2 * float(scale[0]) ** 2, 2 * float(scale[0])
    n = len(values)
    pairs = [(i, (i + 1) % n) for i in range(n if n > 2 else 1)]
    found = [
        clipped_variance(values[i] * np.float32(scale[i]) - values[j] * np.float32(scale[j]))
        for i, j in pairs
    ]
    squares = [float(scale[i] ** 2 + scale[j] ** 2) for i, j in pairs]
    sums = [float(scale[i] + scale[j]) for i, j in pairs]
    # Few frames: the mean, since one noisier frame is in the master too. Many: the median, against one that
    # is not like the others.
    variance = np.mean(found) if n < 5 else np.median(found)
    return float(variance), float(np.mean(squares)), float(np.mean(sums))
