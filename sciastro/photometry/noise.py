"""Correlated noise of resampled images, from the one number that travels with them.

An image carries ``noise_correlation`` R: the noise of a large area over what its variance plane gives
for uncorrelated pixels. The correlation of two pixels is taken as the product of one function per axis that
sums to R, so that the noise of a large area grows by ``sqrt(R * R) = R``; summed over the pixels of an
aperture it gives the right noise for small ones too, without a transition by hand. The function is

- up to R = 1.119: part of what Lanczos-3 resampling leaves when the sub-pixel phase is any (R = 1.119);
- from R = 1.5: the triangle ``1 - |d| / L`` that a box of width L leaves, as in drizzle; at R = 1.5 that
  is bilinear resampling of any phase, whose correlation with the nearest pixel is 1/4;
- in between: a mixture.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["lag_correlation"]

# sum_k w_k(f) w_{k+d}(f), averaged over the phase f and divided by that of d = 0, for normalized Lanczos-3
# weights; the lags 4 and 5 (-0.0033 together) are in the last one, so that the sum is right.
_LANCZOS = np.array([1.0, 0.11224, -0.07616, 0.02360])
_LANCZOS_FACTOR = float(2 * _LANCZOS.sum() - 1)


def lag_correlation(noise_correlation: float) -> npt.NDArray[np.float64]:
    """Return the correlation along one axis at lags 0, 1, ...: what `kernels.aperture` takes.

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
