"""The weights with which a missing color is interpolated from the samples around it, for any mosaic.

Stars and nebulae are close to one shape in all colors: what the other colors show of the fine structure
belongs into the missing one. Taken as a random field of that kind, the best linear unbiased estimate is
co-kriging (Cressie 1993, section 3.2.3, with a linear trend): weights that reproduce any linear gradient
of each color exactly and have the least expected square error. Being linear with fixed weights, it
propagates variance exactly, and no color leaks into another: the samples of one color hand on nothing in
total to the planes of the others. Interpolation along edges (Menon et al. 2007 and the like) does not:
measured on simulated stars in `benchmarks/demosaic.py`.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sciastro.core.cfa import cell_side, pattern_of

__all__ = ["Interpolation", "interpolation", "radius_of"]

Floats = npt.NDArray[np.float64]

LENGTH = 1.5  # pixel: width of the Gaussian covariance of the light; stars of FWHM 2.5 pixel have this one
TINT = 1.0  # scatter of the differences between colors over that of the light: raw levels differ by as much
NOISE = 0.1  # noise of a sample over the scatter of the light: keeps weights small

Interpolation = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def radius_of(cfa: str, method: str) -> int:
    """Return how far the samples of an interpolated pixel lie from it [pixel]."""
    return {(2, "bilinear"): 1, (3, "linear"): 3}.get((cell_side(cfa), method), 2)


@lru_cache(maxsize=16)
def interpolation(cfa: str, method: str = "linear") -> Interpolation:
    """Return the weights of the samples around each phase of a mosaic.

    Parameters
    ----------
    cfa
        Pattern as stored.
    method
        "linear": from the samples of all colors. "bilinear": from those of the missing color alone, on a
        Bayer sensor the mean of the 2 or 4 nearest.

    Returns
    -------
    weights, near
        Read-only float32 (phase y, phase x, color, y, x). `near` is what to weigh with where samples are
        missing: those of the color itself, falling off as a Gaussian of 1 pixel, not normalized.
    """
    found = _interpolation(cfa, method)
    for table in found:
        table.setflags(write=False)  # kept, and handed to everybody who asks
    return found


def _interpolation(cfa: str, method: str) -> Interpolation:
    codes, radius = pattern_of(cfa), radius_of(cfa, method)
    if radius == 1:
        return _nearest(codes)
    weights = _kriging(codes, radius, others=method == "linear")
    if len(codes) > 2:  # on a Bayer sensor symmetry alone does it
        weights = _evened(weights, codes)
    dy, dx, around = _around(codes, radius)
    near = np.stack([(around == c) * np.exp(-(dy**2 + dx**2) / 2) for c in range(3)], axis=2)
    shape = (*codes.shape, 3, 2 * radius + 1, 2 * radius + 1)
    return weights.reshape(shape).astype(np.float32), near.reshape(shape).astype(np.float32)


def _nearest(codes: npt.NDArray[np.int8]) -> Interpolation:
    """Return the weights of the 2 or 4 nearest samples of the missing color, for weights and for `near`."""
    dy, dx, around = _around(codes, 1)
    far = np.hypot(dy, dx)
    weights = np.zeros((2, 2, 3, 9), np.float32)
    for y, x, c in np.ndindex(2, 2, 3):
        same = around[y, x] == c
        use = same & (far == far[same].min())
        weights[y, x, c, use] = 1 / use.sum()
    weights = weights.reshape(2, 2, 3, 3, 3)
    return weights, (weights > 0).astype(np.float32)


def _around(codes: npt.NDArray[np.int8], radius: int) -> tuple[Floats, Floats, npt.NDArray[np.int8]]:
    """Return the offsets of the samples around a pixel, and their colors (phase y, phase x, sample)."""
    dy, dx = (plane.ravel() for plane in np.mgrid[-radius : radius + 1, -radius : radius + 1])
    p = len(codes)
    y, x = np.mgrid[:p, :p][:, :, :, None]
    return dy.astype(float), dx.astype(float), codes[(y + dy) % p, (x + dx) % p]


def _kriging(codes: npt.NDArray[np.int8], radius: int, *, others: bool) -> Floats:
    dy, dx, around = _around(codes, radius)
    squares = (dy[:, None] - dy) ** 2 + (dx[:, None] - dx) ** 2
    alike = np.exp(-squares / (2 * LENGTH**2))
    to_center = np.exp(-(dy**2 + dx**2) / (2 * LENGTH**2))
    trend = np.stack([np.ones_like(dy), dy, dx])
    out = np.zeros((*codes.shape, 3, dy.size))
    for y, x, c in np.ndindex(out.shape[:3]):
        colors = around[y, x]
        if codes[y, x] == c:
            out[y, x, c, dy.size // 2] = 1.0
            continue
        use = np.flatnonzero((colors == c) | others)
        same = colors[use, None] == colors[use]
        covariance = alike[np.ix_(use, use)] * (1 + TINT**2 * same) + NOISE**2 * np.eye(use.size)
        target = to_center[use] * (1 + TINT**2 * (colors[use] == c))
        constraints = np.concatenate([trend[:, use] * (colors[use] == k) for k in range(3)])
        wanted = np.zeros(len(constraints))
        wanted[3 * c] = 1.0
        out[y, x, c, use] = _constrained(covariance, target, constraints, wanted)
    return out


def _constrained(covariance: Floats, target: Floats, constraints: Floats, wanted: Floats) -> Floats:
    """Return the w that minimizes w K w / 2 - w t under A w = b (rows of A may be dependent or zero)."""
    n, m = len(target), len(wanted)
    system = np.zeros((n + m, n + m))
    system[:n, :n], system[:n, n:], system[n:, :n] = covariance, constraints.T, constraints
    solution: Floats = np.linalg.lstsq(system, np.concatenate([target, wanted]), rcond=None)[0]
    return solution[:n]


def _evened(weights: Floats, codes: npt.NDArray[np.int8]) -> Floats:
    """Return `weights` changed as little as possible so that no color adds flux to the plane of another.

    The weights of each sample of another color add up to 0 over the pixels that use it, while each pixel
    still reproduces gradients: otherwise the flux of a star in red would depend on how blue it is. (Equal
    totals for the samples of the color itself were tried: on X-Trans, whose green is spread unevenly, the
    flux of stars then depends three times more on where they fall.)
    """
    p, radius = len(codes), round(np.sqrt(weights.shape[-1])) // 2
    dy, dx, around = _around(codes, radius)
    y, x = np.mgrid[:p, :p][:, :, :, None]
    source = (((y + dy) % p) * p + (x + dx) % p).astype(int)  # which sample of the period a weight is of
    out = weights.copy()
    for c in range(3):
        free = np.broadcast_to((codes != c)[:, :, None], source.shape) & (weights[:, :, c] != 0)
        number = np.flatnonzero(free.ravel())
        pixel, sample = number // dy.size, number % dy.size
        color = around.reshape(-1, dy.size)[pixel, sample]
        rows = np.zeros((p * p * 9 + p * p, number.size))
        for k in range(3):
            for i, trend in enumerate((np.ones_like(dy), dy, dx)):
                rows[pixel * 9 + 3 * k + i, np.arange(number.size)] += trend[sample] * (color == k)
        rows[p * p * 9 + source.reshape(-1, dy.size)[pixel, sample], np.arange(number.size)] = 1.0
        total = np.zeros(p * p)
        np.add.at(total, source.ravel(), weights[:, :, c].ravel())
        wanted = np.zeros(len(rows))
        wanted[p * p * 9 :] = -total
        use = np.ones(len(rows), bool)
        use[p * p * 9 :] = codes.ravel() != c
        change = np.linalg.lstsq(rows[use], wanted[use], rcond=None)[0]
        plane = out[:, :, c].reshape(-1)
        plane[number] += change
        out[:, :, c] = plane.reshape(p, p, -1)
    return out
