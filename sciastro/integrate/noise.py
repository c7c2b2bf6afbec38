"""The noise of a stack beyond its variance plane: how much pixels share, by their distance.

The autocorrelation comes from the weights with which frames are brought to the canvas (`kernels.correlate`),
as the mean over pixels drawn at random, hence over sub-pixel phases and frames. Rejection and bad pixels,
which change a few per cent of the weights, are not in it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core import transform
from sciastro.core.correlation import plane_correlation
from sciastro.integrate.correlated import widened
from sciastro.integrate.drizzle import Dropper
from sciastro.integrate.resample import WHOLE, Resampler
from sciastro.kernels.correlate import drizzle_patches, warp_patches
from sciastro.kernels.drizzle import POINT
from sciastro.kernels.warp import TAPS

__all__ = ["ALL", "Sampled", "autocorrelation", "sample_canvas", "side_by_side", "upright"]

Floats = npt.NDArray[np.float64]
Shape = tuple[int, int]

LOOKS = 40_000  # pixels times frames that are looked at
FEWEST, MOST = 24, 4096  # pixels
LARGEST = 16  # lag at most [pixel]
ALL = np.ones((1, 1), dtype=np.bool_)
FLAT = 1e-5  # correlation that counts as none


@dataclass(frozen=True, slots=True)
class Sampled:
    """Canvas pixels drawn at random, as each frame sees them.

    Attributes
    ----------
    u, v
        Column and row on the canvas (sample,).
    x, y
        Position on the frames (sample, frame) [pixel]; NaN where a frame does not show the pixel.
    sides
        (sample, frame, 4): exx, exy, eyx, eyy, the sides (exx, eyx) and (exy, eyy) of the pixel there.
    """

    u: Floats
    v: Floats
    x: Floats
    y: Floats
    sides: Floats

    @property
    def area(self) -> Floats:
        """Area of the pixels on the frames (sample, frame) [frame pixel]."""
        s = self.sides
        return np.asarray(np.abs(s[..., 0] * s[..., 3] - s[..., 1] * s[..., 2]))


def sample_canvas(
    maps: npt.ArrayLike, shape: Shape, frame_shape: Shape, domains: npt.ArrayLike | None = None, seed: int = 0
) -> Sampled:
    """Draw canvas pixels and look up where frames show them.

    Parameters
    ----------
    maps
        Canvas-to-frame maps (frame, 2, term).
    shape, frame_shape
        Of canvas and frames.
    domains
        Canvas boxes (frame, 4) that hold the frames; None is everywhere.
    """
    maps = np.asarray(maps, dtype=np.float64)
    n = int(np.clip(LOOKS // max(len(maps), 1), FEWEST, MOST))
    rng = np.random.default_rng(seed)  # a regular grid could beat with the phases of a rotated frame
    v, u = rng.integers(0, shape[0], n).astype(float), rng.integers(0, shape[1], n).astype(float)
    x, y, sides = (
        np.full((n, len(maps)), np.nan),
        np.full((n, len(maps)), np.nan),
        np.zeros((n, len(maps), 4)),
    )
    for i, c in enumerate(maps):
        inside = np.ones(n, dtype=bool)
        if domains is not None:
            x0, x1, y0, y1 = np.asarray(domains, dtype=np.float64)[i]
            inside = (u >= x0) & (u <= x1) & (v >= y0) & (v <= y1)
        at = transform.evaluate(c, u, v)
        inside &= (at[0] > -0.5) & (at[0] < frame_shape[1] - 0.5)
        inside &= (at[1] > -0.5) & (at[1] < frame_shape[0] - 0.5)
        for k, step in enumerate(((0.5, 0.0), (0.0, 0.5))):
            ends = [transform.evaluate(c, u + sign * step[0], v + sign * step[1]) for sign in (1, -1)]
            for axis in (0, 1):
                sides[:, i, 2 * axis + k] = ends[0][axis] - ends[1][axis]
        x[inside, i], y[inside, i] = at[0][inside], at[1][inside]
    return Sampled(u, v, x, y, sides)


def autocorrelation(
    sampled: Sampled,
    gain: npt.ArrayLike,
    how: Resampler | Dropper,
    before: npt.ArrayLike | None = None,
    dropped: npt.NDArray[np.bool_] = ALL,
) -> Floats:
    """Return the correlation of the noise of two canvas pixels by their offset, float64 (2 K + 1, 2 K + 1).

    The middle is 1. NaN (1, 1) where no frame shows any of the pixels.

    Parameters
    ----------
    sampled
        From `sample_canvas`.
    gain
        Per frame, variance of a pixel times the square of its factor in the stack (any common unit).
    how
        Interpolation or drops.
    before
        Per frame, noise of large areas over that of single pixels that it has on its own grid; None is 1.
    dropped
        Which pixels of a pattern that repeats over a frame are dropped, bool (y, x): those of one color.
    """
    gains = np.asarray(gain, dtype=np.float64)
    k = _largest_lag(sampled, how)
    out = np.zeros((2 * k + 1, 2 * k + 1))
    if isinstance(how, Resampler) and how.keeps_samples and _on_pixels(sampled):
        out[k, k] = count = 1
    elif isinstance(how, Dropper):
        x, y, sides = upright(sampled)
        count = drizzle_patches(x, y, sides, gains, how.kernel, how.pixfrac, dropped, out)
    else:
        count = warp_patches(sampled.x, sampled.y, sampled.sides, gains, how.table, out)
    if count == 0:
        return np.full((1, 1), np.nan)
    out = 0.5 * (out + out[::-1, ::-1]) / count
    if before is not None:
        out = _blurred(out, np.asarray(before, dtype=np.float64), gains)
    return _trimmed(out)


def _on_pixels(sampled: Sampled) -> bool:
    """Return whether every sample lies on a pixel of every frame that shows it, neither turned nor scaled."""
    shown = np.isfinite(sampled.x)
    off = [np.abs(one[shown] - np.round(one[shown])).max(initial=0.0) for one in (sampled.x, sampled.y)]
    turn = np.abs(sampled.sides[shown] - (1.0, 0.0, 0.0, 1.0)).max(initial=0.0)
    return bool(shown.any() and max(*off, turn) <= WHOLE)


def upright(sampled: Sampled) -> tuple[Floats, Floats, Floats]:
    """Turn mirrored frames over, so that pixels have positive areas; drops do not care."""
    sides = sampled.sides.copy()
    flipped = sides[..., 0] * sides[..., 3] - sides[..., 1] * sides[..., 2] < 0
    sides[flipped] *= (1.0, 1.0, -1.0, -1.0)
    return sampled.x, np.where(flipped, -sampled.y, sampled.y), sides


def _largest_lag(sampled: Sampled, how: Resampler | Dropper) -> int:
    """Return the largest offset at which two output pixels can share an input pixel."""
    area = sampled.area[np.isfinite(sampled.x)]
    finest = 1 / np.sqrt(max(float(area.min(initial=1.0)), 1e-3))  # output pixels per input pixel
    if isinstance(how, Dropper):
        side = 0.0 if how.kernel == POINT else how.pixfrac
        return min(int(np.ceil(np.sqrt(2) * (side * finest + 1))), LARGEST)
    return min(int(np.ceil(TAPS * finest)), LARGEST)


def _blurred(kernel: Floats, before: Floats, gain: Floats) -> Floats:
    """Return `kernel` for input pixels that are correlated themselves, by about the mean factor `before`."""
    factor = float(np.sqrt(np.average(before**2, weights=gain)))
    if not abs(factor - 1) > 1e-6:
        return kernel
    return widened(kernel, plane_correlation(factor))


def _trimmed(kernel: Floats) -> Floats:
    """Cut off the outer rings in which nothing is correlated."""
    while kernel.shape[0] > 1:
        rings = np.concatenate([kernel[0], kernel[-1], kernel[:, 0], kernel[:, -1]])
        if np.abs(rings).max() > FLAT:
            break
        kernel = kernel[1:-1, 1:-1]
    return np.ascontiguousarray(kernel)


def side_by_side(kernels: list[Floats]) -> Floats:
    """Return kernels of any sizes as (band, lag_y, lag_x), the smaller ones with zeros around them."""
    size = max(one.shape[0] for one in kernels)
    return np.stack([np.pad(one, (size - one.shape[0]) // 2) for one in kernels])
