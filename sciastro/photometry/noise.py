"""Correlated noise of resampled images, from the one number that travels with them.

An image carries ``noise_correlation`` R: the noise of a large area over what its variance plane gives
for uncorrelated pixels. The correlation of two pixels is taken as the product of one function per axis,
the triangle ``1 - |d| / L`` that a box of width L leaves behind, with L such that it sums to R; the area
noise then grows by ``sqrt(R * R) = R``. The model is exact for bilinear resampling averaged over the
sub-pixel phase (R = 1.5: correlation 1/4 with the nearest pixel) and for drops of whole pixels, and it gives
the right noise for small apertures and for large ones without a transition by hand.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["lag_correlation"]


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
    # 1 + 2 * sum_{d=1}^{n} (1 - d / L) = R with n = floor(R)  =>  L = n (n + 1) / (2 n + 1 - R)
    n = int(np.floor(r))
    width = n * (n + 1) / (2 * n + 1 - r)
    return 1 - np.arange(n + 1) / width
