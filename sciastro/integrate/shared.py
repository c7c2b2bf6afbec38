"""Noise that frames of a stack share: that of their masters, which averages down through dither alone.

The variance of each frame holds that of its dark and flat, and the stack adds frames as if they were
independent. Where two frames put the same pixel of a master under the same pixel of the stack, they are
not: the pairs are summed from the resampling weights at pixels drawn at random (`kernels.correlate`),
averaged over cells of the canvas, and added to the variance plane. A dither of more than a few pixels makes
it vanish.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.integrate.drizzle import Dropper
from sciastro.integrate.noise import ALL, Sampled, upright
from sciastro.integrate.resample import Resampler
from sciastro.kernels.correlate import drizzle_shared, warp_shared

__all__ = ["SharedNoise", "add_shared", "shared_noise"]

Floats = npt.NDArray[np.float64]

CELLS = 8  # along each axis: pairs are closer in the middle of a rotating field than at its edge
ROWS = 256  # of the canvas at a time


@dataclass(frozen=True, slots=True)
class SharedNoise:
    """What to add to the variance of a stack: ``offset + relative * image**2``, by cells of the canvas.

    Attributes
    ----------
    offset
        (CELLS, CELLS) [electron2 / s2], from darks and biases.
    relative
        (CELLS, CELLS) [1], from flats.
    """

    offset: Floats
    relative: Floats


def shared_noise(
    sampled: Sampled,
    shape: tuple[int, int],
    weight: npt.ArrayLike,
    offset: tuple[Floats, npt.ArrayLike],
    relative: tuple[Floats, npt.ArrayLike],
    how: Resampler | Dropper,
    dropped: npt.NDArray[np.bool_] = ALL,
) -> SharedNoise:
    """Return the shared noise of a stack.

    Parameters
    ----------
    sampled
        From `integrate.noise.sample_canvas`.
    shape
        Rows and columns of the canvas.
    weight
        Per frame.
    offset
        Noise (1 sigma) of what is subtracted, (sample, frame) [electron / s per canvas pixel], and the number
        of the master of each frame; negative: none.
    relative
        The same for what is divided by, as a share of the signal [1].
    how
        Interpolation or drops.
    dropped
        As for `integrate.noise.autocorrelation`.
    """
    cells = []
    for amplitude, group in (offset, relative):
        out = np.empty(sampled.x.shape[0])
        numbers = np.asarray(group, dtype=np.int64)
        common = (np.asarray(weight, dtype=np.float64), np.nan_to_num(amplitude), numbers)
        if isinstance(how, Dropper):
            x, y, sides = upright(sampled)
            drizzle_shared(x, y, sides, *common, how.kernel, how.pixfrac, dropped, out)
        else:
            warp_shared(sampled.x, sampled.y, *common, how.table, out)
        cells.append(_by_cell(out, sampled, shape))
    return SharedNoise(*cells)


def _by_cell(values: Floats, sampled: Sampled, shape: tuple[int, int]) -> Floats:
    """Return means over cells; cells without samples take the mean of all."""
    known = np.isfinite(values)
    if not known.any():
        return np.zeros((CELLS, CELLS))
    row = (sampled.v[known] * CELLS / shape[0]).astype(np.intp)
    column = (sampled.u[known] * CELLS / shape[1]).astype(np.intp)
    total, count = np.zeros((2, CELLS, CELLS))
    np.add.at(total, (row, column), values[known])
    np.add.at(count, (row, column), 1.0)
    return np.where(count > 0, total / np.maximum(count, 1), values[known].mean())


def add_shared(
    image: npt.NDArray[np.float32], variance: npt.NDArray[np.float32], noise: SharedNoise
) -> float:
    """Add the shared noise to `variance` in place; return by what share its median rose.

    Parameters
    ----------
    image, variance
        float32 (y, x) [electron / s, electron2 / s2]; NaN is missing and stays.
    """
    if not (np.any(noise.offset > 0) or np.any(noise.relative > 0)):
        return 0.0
    rows, columns = image.shape
    at = (np.arange(CELLS) + 0.5) / CELLS  # between the middles of the cells; constant beyond the outer ones
    across = (np.arange(columns) + 0.5) / columns
    wide = [
        np.array([np.interp(across, at, line) for line in plane], np.float32)
        for plane in (noise.offset, noise.relative)
    ]
    ratios = []
    for first in range(0, rows, ROWS):
        here = np.s_[first : first + ROWS]
        down = (np.arange(*here.indices(rows)) + 0.5) / rows
        low = np.clip((down * CELLS - 0.5).astype(np.intp), 0, CELLS - 2)
        t = np.clip(down * CELLS - 0.5 - low, 0, 1)[:, None].astype(np.float32)
        offset, relative = ((1 - t) * plane[low] + t * plane[low + 1] for plane in wide)
        added = offset + relative * image[here] ** 2
        step = np.s_[:: max(rows // 64, 1), :: max(columns // 64, 1)]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios.append((added[step] / variance[here][step]).ravel())
        variance[here] += added
    ratio = np.concatenate(ratios)
    known = np.isfinite(ratio)
    return float(np.median(ratio[known])) if known.any() else 0.0
