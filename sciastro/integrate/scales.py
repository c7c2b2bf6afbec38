"""Robust scales of a sample of pixels: MAD, Sn, biweight midvariance, and iterated k-sigma-biweight.

All are given so that they equal the standard deviation of Gaussian noise. NaN is skipped. Samples of 10,000
to 100,000 pixels are enough: the error of a scale from n pixels is about 1 / sqrt(2 n).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import mad_sigma

__all__ = ["SCALES", "biweight", "ikss", "ikss_lite", "mad", "sn", "subsample", "two_sided"]

Floats = npt.NDArray[np.float64]

GAUSS_SN = 1.1926  # Rousseeuw & Croux 1993, JASA 88, 1273
GAUSS_BIWEIGHT = 0.991  # sqrt(BWMV) of Gaussian noise is 1.009 sigma
MOST = 4000  # samples of which `sn` compares all pairs


def _clean(sample: npt.ArrayLike) -> Floats:
    values = np.asarray(sample, dtype=np.float64).ravel()
    return values[np.isfinite(values)]


def subsample(plane: npt.NDArray[np.floating], most: int = 100_000) -> Floats:
    """Return about `most` finite pixels of a plane (y, x), on a grid that no pattern can hide in."""
    flat = plane.ravel()
    step = max(1, flat.size // most)
    while step > 1 and np.gcd(step, plane.shape[-1]) > 1:
        step += 1
    return _clean(flat[::step])


def mad(sample: npt.ArrayLike) -> float:
    """Return `core.robust.mad_sigma` of the finite values of a sample (any shape); NaN of none."""
    x = _clean(sample)
    return mad_sigma(x) if x.size else float("nan")


def sn(sample: npt.ArrayLike) -> float:
    """Return the Sn scale, ``1.1926 med_i med_j |x_i - x_j|`` (Rousseeuw & Croux 1993).

    The inner median is the high one (element n // 2 of 0-based order), the outer the low one
    ((n + 1) // 2 - 1). No center is assumed. Of more than `MOST` samples every k-th is taken.
    """
    x = _clean(sample)
    if x.size < 2:
        return float("nan")
    x = np.sort(x[:: -(-x.size // MOST)])
    n = x.size
    inner = np.empty(n)
    for begin in range(0, n, 256):
        part = np.abs(x[begin : begin + 256, None] - x[None, :])
        inner[begin : begin + 256] = np.partition(part, n // 2, axis=1)[:, n // 2]
    return GAUSS_SN * float(np.partition(inner, (n + 1) // 2 - 1)[(n + 1) // 2 - 1])


def biweight(sample: npt.ArrayLike, center: float | None = None) -> float:
    """Return 0.991 times the root of the biweight midvariance (Beers, Flynn & Gebhardt 1990, AJ 100, 32).

    ``n sum (x - M)^2 (1 - u^2)^4 / (sum (1 - u^2)(1 - 5 u^2))^2`` over |u| < 1, with
    ``u = (x - M) / (9 MAD)``, M the median and n the number of all samples.
    """
    x = _clean(sample)
    if x.size < 2:
        return float("nan")
    middle = float(np.median(x)) if center is None else center
    spread = float(np.median(np.abs(x - middle)))
    if spread == 0:
        return 0.0
    d = x - middle
    u2 = np.square(d / (9 * spread))
    inside = u2 < 1
    d, u2 = d[inside], u2[inside]
    below = float(((1 - u2) * (1 - 5 * u2)).sum())
    return GAUSS_BIWEIGHT * float(np.sqrt(x.size * (d**2 * (1 - u2) ** 4).sum()) / abs(below))


def two_sided(sample: npt.ArrayLike) -> tuple[float, float]:
    """Return the biweight scales below and above the median, each of the half mirrored about the median.

    Stars and nebulae widen the upper half; the lower one is nearer to the noise.
    """
    x = _clean(sample)
    if x.size < 2:
        return float("nan"), float("nan")
    middle = float(np.median(x))
    halves = (x[x <= middle] - middle, x[x >= middle] - middle)
    low, high = (biweight(np.concatenate([half, -half]), 0.0) for half in halves)
    return low, high


def ikss(sample: npt.ArrayLike) -> tuple[float, float]:
    """Return location and scale of the iterative k-sigma estimator (k = 4) with the biweight scale.

    Repeat: m the median, s = sqrt(BWMV) of what is left; stop where s changes by less than 1e-5 of itself;
    keep what lies within m +- 4 s.
    """
    x = _clean(sample)
    if x.size < 2:
        return float("nan"), float("nan")
    before = np.inf
    for _ in range(100):
        middle, scale = float(np.median(x)), biweight(x) / GAUSS_BIWEIGHT
        if scale == 0 or (before - scale) / scale < 1e-5:
            break
        before = scale
        x = x[np.abs(x - middle) <= 4 * scale]
    return middle, GAUSS_BIWEIGHT * scale


def ikss_lite(sample: npt.ArrayLike) -> tuple[float, float]:
    """Return location and scale in one step: median and biweight scale within 6 MAD of the median."""
    x = _clean(sample)
    if x.size < 2:
        return float("nan"), float("nan")
    middle = float(np.median(x))
    x = x[np.abs(x - middle) <= 6 * float(np.median(np.abs(x - middle)))]
    return float(np.median(x)), biweight(x)


def _mean_of_sides(sample: npt.ArrayLike) -> float:
    return float(np.mean(two_sided(sample)))


SCALES: Mapping[str, Callable[[npt.ArrayLike], float]] = MappingProxyType(
    {
        "mad": mad,
        "sn": sn,
        "bwmv": biweight,
        "two_sided": _mean_of_sides,
        "ikss": lambda sample: ikss(sample)[1],
        "ikss_lite": lambda sample: ikss_lite(sample)[1],
    }
)
"""Name to scale of a sample."""
