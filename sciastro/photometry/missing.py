"""Means and medians over what is there: NaN where nothing is, without a warning."""

import numpy as np
import numpy.typing as npt

__all__ = ["mean_of", "median_of"]

Floats = npt.NDArray[np.float64]


def median_of(values: npt.ArrayLike, axis: int | None = None, *, keepdims: bool = False) -> Floats:
    """Return the median of finite values along `axis`, None: of all; NaN where there is none."""
    x = np.asarray(values, np.float64)
    if axis is None:
        x, axis = x.ravel(), 0
    ranked = np.sort(np.where(np.isfinite(x), x, np.inf), axis=axis)
    count = np.isfinite(x).sum(axis=axis, keepdims=True)
    low, high = np.maximum((count - 1) // 2, 0), np.minimum(count // 2, max(x.shape[axis] - 1, 0))
    if not x.shape[axis]:
        return np.full(count.shape if keepdims else np.squeeze(count, axis).shape, np.nan)
    middle = (np.take_along_axis(ranked, low, axis) + np.take_along_axis(ranked, high, axis)) / 2
    out = np.where(count > 0, middle, np.nan)
    return out if keepdims else np.asarray(np.squeeze(out, axis))


def mean_of(values: npt.ArrayLike, axis: int | None = None) -> Floats:
    """Return the mean of finite values along `axis`, None: of all; NaN where there is none."""
    x = np.asarray(values, np.float64)
    ok = np.isfinite(x)
    count = ok.sum(axis=axis)
    total = np.where(ok, x, 0.0).sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
