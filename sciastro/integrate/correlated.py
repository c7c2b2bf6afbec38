"""Resampling of frames whose pixels share noise, as those of an interpolated mosaic do.

The kernel `warp` adds variances as if pixels were independent. For pixels with the autocorrelation rho a
sample ``sum w x`` has the variance ``V sum_ij w_i w_j rho(i - j)``: on the average over the positions
between pixels, which dithers visit evenly, a constant times ``V sum w^2``.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["resampled_noise", "widened"]


def resampled_noise(
    autocorrelation: npt.NDArray[np.float64], table: npt.NDArray[np.floating]
) -> tuple[float, float]:
    """Return what the noise of a frame with correlated pixels is, resampled, over that of independent ones.

    Parameters
    ----------
    autocorrelation
        (2 n + 1, 2 n + 1) by lag in frame pixels, 1 in the middle.
    table
        Weights of the interpolation by position between pixels (phase, tap), `kernels.warp.warp_table`.

    Returns
    -------
    variance
        Factor of the variance of a resampled pixel: ``sum rho(l) B(l) / B(0)`` over lags l, with B the
        autocorrelation of the weights, the mean over positions.
    correlation
        Noise of large areas over that of independent pixels of the raised variance: for
        `integrate_tile`, beside frames whose variance is multiplied by the first.
    """
    taps = table.shape[1]
    weights = np.asarray(table, np.float64)
    share = np.zeros(2 * taps - 1)
    for i in range(taps):
        for j in range(taps):
            share[i - j + taps - 1] += float(np.mean(weights[:, i] * weights[:, j]))
    n, m = autocorrelation.shape[0] // 2, taps - 1
    rho = np.pad(autocorrelation, max(m - n, 0))
    near = rho[
        rho.shape[0] // 2 - m : rho.shape[0] // 2 + m + 1, rho.shape[1] // 2 - m : rho.shape[1] // 2 + m + 1
    ]
    variance = float(share @ near @ share) / float(share[m]) ** 2
    return variance, float(np.sqrt(autocorrelation.sum() / variance))


def widened(
    resampled: npt.NDArray[np.float64], autocorrelation: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the autocorrelation of resampled pixels that shared noise before; 1 in the middle.

    Parameters
    ----------
    resampled
        By offset on the canvas, what resampling leaves of independent pixels (`integrate.noise`).
    autocorrelation
        By lag on the frames, which have about the canvas' scale and orientation.
    """
    if autocorrelation.sum() == autocorrelation.max() or not np.isfinite(resampled).all():
        return resampled
    shape = tuple(a + b - 1 for a, b in zip(resampled.shape, autocorrelation.shape, strict=True))
    spectrum = np.fft.rfft2(resampled, shape) * np.fft.rfft2(autocorrelation, shape)
    out = np.fft.irfft2(spectrum, shape)
    return np.asarray(out / out[shape[0] // 2, shape[1] // 2])
