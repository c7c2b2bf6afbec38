"""Correlated noise of resampled images: what it does to sums of pixels, and a model of it from one number.

A stack carries the correlation of two pixels by their offset (``noise_autocorrelation``). Where that is not
known, an image carries ``noise_correlation`` R at least: the noise of a large area over what its variance
plane gives for uncorrelated pixels. The correlation of two pixels is then taken as the product of one
function per axis that sums to R, so that the noise of a large area grows by ``sqrt(R * R) = R``; summed over
the pixels of an aperture it gives nearly the right noise for small ones too. The function is

- up to R = 1.119: part of what Lanczos-3 resampling leaves when the sub-pixel phase is any (R = 1.119);
- from R = 1.5: the triangle ``1 - |d| / L`` that a box of width L leaves, as in drizzle; at R = 1.5 that
  is bilinear resampling of any phase, whose correlation with the nearest pixel is 1/4;
- in between: a mixture.
"""

import numpy as np
import numpy.typing as npt

from sciastro.kernels.aperture import circle_overlap

__all__ = [
    "aperture_factor",
    "lag_correlation",
    "large_factor",
    "plane_correlation",
    "weighted_factor",
    "window_factors",
]

# sum_k w_k(f) w_{k+d}(f), averaged over the phase f and divided by that of d = 0, for normalized Lanczos-3
# weights; the lags 4 and 5 (-0.0033 together) are in the last one, so that the sum is right.
_LANCZOS = np.array([1.0, 0.11224, -0.07616, 0.02360])
_LANCZOS_FACTOR = float(2 * _LANCZOS.sum() - 1)


def lag_correlation(noise_correlation: float) -> npt.NDArray[np.float64]:
    """Return the correlation along one axis at lags 0, 1, ...

    Parameters
    ----------
    noise_correlation
        R; below 1 (noise that resampling sharpened) the nearest pixels are anticorrelated. NaN or not
        positive counts as 1, that is as uncorrelated pixels.
    """
    r = float(noise_correlation)
    if not np.isfinite(r) or r <= 0 or abs(r - 1) < 1e-6:
        return np.ones(1)
    if r < 1:
        return np.array([1.0, (r - 1) / 2])
    if r <= _LANCZOS_FACTOR:
        return _mixture(np.array([1.0, 0.0, 0.0, 0.0]), _LANCZOS, (r - 1) / (_LANCZOS_FACTOR - 1))
    if r < 1.5:
        bilinear = np.array([1.0, 0.25, 0.0, 0.0])
        return _mixture(_LANCZOS, bilinear, (r - _LANCZOS_FACTOR) / (1.5 - _LANCZOS_FACTOR))
    # 1 + 2 * sum_{d=1}^{n} (1 - d / L) = R with n = floor(R)  =>  L = n (n + 1) / (2 n + 1 - R)
    n = int(np.floor(r))
    width = n * (n + 1) / (2 * n + 1 - r)
    return np.asarray(1 - np.arange(n + 1) / width)


def _mixture(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], share: float
) -> npt.NDArray[np.float64]:
    return np.asarray((1 - share) * first + share * second)


def plane_correlation(noise_correlation: float) -> npt.NDArray[np.float64]:
    """Return the correlation by offset in y and x (2 K + 1, 2 K + 1) that `lag_correlation` stands for."""
    half = lag_correlation(noise_correlation)
    lags = np.concatenate([half[:0:-1], half])
    return np.asarray(lags[:, None] * lags[None])


def large_factor(kernel: npt.NDArray[np.float64]) -> float:
    """Return the noise of large areas over that of uncorrelated pixels; `kernel` as for `weighted_factor`."""
    return float(np.sqrt(max(float(np.sum(kernel)), 0.0)))


def weighted_factor(kernel: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    """Return the noise of a weighted sum of pixels over what it would be were they uncorrelated.

    ``sqrt(sum_ij c_i c_j rho_ij / sum_i c_i^2)`` for pixels of one variance.

    Parameters
    ----------
    kernel
        Correlation by offset in y and x (2 K + 1, 2 K + 1), 1 in the middle.
    weights
        c, (y, x).
    """
    k = kernel.shape[0] // 2
    wide = np.pad(np.asarray(weights, dtype=np.float64), k)
    rows, columns = weights.shape
    total = 0.0
    for b in range(kernel.shape[0]):
        for a in range(kernel.shape[1]):
            if kernel[b, a] != 0.0:
                total += float(kernel[b, a] * np.sum(wide[b : b + rows, a : a + columns] * weights))
    return float(np.sqrt(max(total, 0.0) / np.sum(np.asarray(weights) ** 2)))


def aperture_factor(kernel: npt.NDArray[np.float64], radius: float) -> float:
    """Return `weighted_factor` of a circular aperture of `radius` [pixel] on the center of a pixel."""
    half = int(np.ceil(radius + 0.5))
    span = range(-half, half + 1)
    overlap = np.array([[circle_overlap(i, j, radius) for i in span] for j in span])
    return weighted_factor(kernel, overlap)


def window_factors(kernel: npt.NDArray[np.float64], fwhm: float) -> tuple[tuple[float, float], float]:
    """Return `weighted_factor` for the position in x and y, and for the flux, of a Gaussian window.

    For stars of `fwhm` [pixel] under the windows of `kernels.windowed`: a centroid weighs pixels by x times a
    Gaussian of about 1.4 widths of the star, a flux by a Gaussian of 1 width.
    """
    sigma = fwhm / 2.3548
    half = max(int(np.ceil(5 * sigma)), 2)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    wide, narrow = (np.exp(-(x**2 + y**2) / (2 * (width * sigma) ** 2)) for width in (1.4, 1.0))
    place = weighted_factor(kernel, x * wide), weighted_factor(kernel, y * wide)
    return place, weighted_factor(kernel, narrow)
