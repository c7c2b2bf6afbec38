"""Learn levels and noise of a set of calibration frames from a few bands of rows, before combining them."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeGuard

import numpy as np
import numpy.typing as npt

from sciastro.core.lift import run_tasks
from sciastro.core.robust import mad_sigma

__all__ = [
    "FillRows",
    "ReadRows",
    "Sample",
    "clipped_variance",
    "fills",
    "pair_variance",
    "take_sample",
    "trimmed_mean",
]

ReadRows = Callable[[int, int], npt.NDArray[np.generic]]
"""``read(y0, y1)`` returns rows y0..y1-1 of a frame, (rows, columns) [adu]."""


class FillRows(Protocol):
    """A `ReadRows` that can also fill memory which is there already."""

    def __call__(self, first: int, last: int) -> npt.NDArray[np.generic]:
        """Return the rows ``first <= y < last``."""
        ...

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Dtype of the rows."""
        ...

    def into(self, first: int, last: int, out: npt.NDArray[np.generic]) -> None:
        """Fill `out` (rows, columns), contiguous and of that dtype, with the rows ``first <= y < last``."""
        ...


def fills(read: ReadRows) -> TypeGuard[FillRows]:
    """Return whether a reader is a `FillRows`."""
    return hasattr(read, "into")


Floats = npt.NDArray[np.float32]
COUNTED = tuple(np.dtype(code) for code in ("u1", "=u2"))
LEVELS = 1 << 16  # that they can have
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
    means
        Trimmed mean of each frame [adu]; NaN where it holds no number. Empty if not asked for.
    counts
        How often each number 0, 1, ... occurs, over all frames; None where they are not small integers.
    """

    values: Floats
    raw_top: npt.NDArray[np.float64]
    means: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64] | None = None

    def median(self) -> float:
        """Return the median of all values [adu], without NaN."""
        if self.counts is None:
            return float(np.nanmedian(self.values))
        running = np.cumsum(self.counts)
        total = int(running[-1])
        low, high = np.searchsorted(running, [(total - 1) // 2, total // 2], side="right")
        return float(low + high) / 2

    def only(self, chosen: Sequence[int]) -> "Sample":
        """Return the sample of some of the frames."""
        if len(chosen) == len(self.values):
            return self
        index = np.asarray(chosen, dtype=np.intp)
        means = self.means[index] if self.means.size else self.means
        return replace(self, values=self.values[index], raw_top=self.raw_top[index], means=means, counts=None)


def take_sample(
    readers: Sequence[ReadRows],
    shape: tuple[int, int],
    *,
    subtract: Floats | None = None,
    ceiling: float = float("nan"),
    pixels: int = 300_000,
    bands: int = 8,
    period: int = 2,
    means: bool = False,
    workers: int = 1,
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
    means
        Whether to find the trimmed means of the frames too.
    workers
        Threads.
    """
    height, width = shape
    rows = min(height, max(period, int(np.ceil(pixels / bands / width / period)) * period))
    count = min(bands, height // rows)
    starts = sorted({int(start) // period * period for start in np.linspace(0, height - rows, count)})
    values = np.empty((len(readers), rows * len(starts), width), np.float32)

    counts = np.zeros(LEVELS if subtract is None and not means else 0, np.int64)
    small, lock = [True] * len(readers), threading.Lock()

    def look(number: int) -> tuple[int, float]:
        top = 0
        for k, start in enumerate(starts):
            target = values[number, k * rows : (k + 1) * rows]
            band = np.asarray(readers[number](start, start + rows))
            target[...] = band
            top += int(np.count_nonzero(target >= ceiling))
            if band.dtype not in COUNTED:
                small[number] = False
            elif counts.size:
                here = np.bincount(band.reshape(-1), minlength=LEVELS)
                with lock:
                    np.add(counts, here, out=counts)
            if subtract is not None:
                target -= subtract[start : start + rows]
        return top, trimmed_mean(values[number]) if means else 0.0

    found = run_tasks(look, range(len(readers)), workers=workers)
    tops = np.array([top for top, _ in found]) / values[0].size
    levels = np.array([mean for _, mean in found] if means else [])
    return Sample(values, tops, levels, counts if counts.size and all(small) else None)


def trimmed_mean(values: npt.NDArray[np.floating], cut: float = 0.05) -> float:
    """Return the mean without the fraction `cut` at either end; NaN is left out; NaN of nothing."""
    good = values[np.isfinite(values)]
    if not good.size:
        return float("nan")
    k = int(cut * good.size)
    good.partition((k, good.size - 1 - k))
    return float(np.mean(good[k : good.size - k], dtype=np.float64))


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
    sigma = mad_sigma(some, center) or float(good.std())
    for _ in range(20):
        kept = good[np.abs(good - center) <= kappa * max(sigma, 1e-30)]
        center, before, sigma = float(kept.mean()), sigma, float(kept.std())
        if abs(sigma - before) <= 1e-4 * before:
            break
    tail = 2 * kappa * np.exp(-(kappa**2) / 2) / np.sqrt(2 * np.pi)  # of a Gaussian cut at +- kappa
    return float(sigma**2 / (1 - tail))


def pair_variance(
    values: Floats, scale: npt.NDArray[np.floating], workers: int = 1
) -> tuple[float, float, float]:
    """Return the clipped variance of differences of neighboring frames, and the scales that go with it.

    For scaled frames with V = s^2 read + s shot level, the difference of two has the variance
    ``(s1^2 + s2^2) read + (s1 + s2) shot level``: fixed pattern drops out.

    Parameters
    ----------
    values
        (frame, pixel...) [adu], not scaled.
    scale
        (frame,).
    workers
        Threads.

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
    found = run_tasks(
        lambda ij: clipped_variance(
            values[ij[0]] * np.float32(scale[ij[0]]) - values[ij[1]] * np.float32(scale[ij[1]])
        ),
        pairs,
        workers=workers,
    )
    squares = [float(scale[i] ** 2 + scale[j] ** 2) for i, j in pairs]
    sums = [float(scale[i] + scale[j]) for i, j in pairs]
    # Few frames: the mean, since one noisier frame is in the master too. Many: the median, against one that
    # is not like the others.
    variance = np.mean(found) if n < 5 else np.median(found)
    return float(variance), float(np.mean(squares)), float(np.mean(sums))
