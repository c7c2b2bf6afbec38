"""Star fields with known truth: pixel-integrated Gaussians or oversampled Moffat stars on a flat sky."""

import numpy as np
from scipy.special import erf

FWHM_PER_SIGMA = 2.3548200450309493


def gaussian_field(shape, xy, flux, fwhm, *, sky=200.0, read_noise=3.0, seed=0):
    """Return one exposure [electron]. `fwhm` counts the pixel: the optical sigma2 is sigma2 - 1/12."""
    rng = np.random.default_rng(seed)
    image = np.full(shape, float(sky))
    sigma = np.sqrt((fwhm / FWHM_PER_SIGMA) ** 2 - 1 / 12)
    reach = int(6 * sigma) + 2
    for (x, y), f in zip(xy, flux, strict=True):
        i, j = round(x), round(y)
        a, b, c, d = (
            max(i - reach, 0),
            min(i + reach + 1, shape[1]),
            max(j - reach, 0),
            min(j + reach + 1, shape[0]),
        )
        gx = 0.5 * np.diff(erf((np.arange(a, b + 1) - 0.5 - x) / sigma / np.sqrt(2)))
        gy = 0.5 * np.diff(erf((np.arange(c, d + 1) - 0.5 - y) / sigma / np.sqrt(2)))
        image[c:d, a:b] += f * gy[:, None] * gx
    return (rng.poisson(image) + rng.normal(0, read_noise, shape)).astype(np.float32)


def grid(side, step, seed=0, jitter=0.5):
    """Return side x side positions `step` apart, each moved by up to `jitter` pixel."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(side) * step + step // 2, np.arange(side) * step + step // 2)
    return np.column_stack([x.ravel(), y.ravel()]) + rng.uniform(-jitter, jitter, (side * side, 2))


def moffat_stamp(size, x, y, fwhm, beta, oversample=7):
    """Return a unit-flux Moffat star, integrated over pixels."""
    alpha = fwhm / 2 / np.sqrt(2 ** (1 / beta) - 1)
    fine = (np.arange(size * oversample) + 0.5) / oversample - 0.5
    u, v = np.meshgrid(fine - x, fine - y)
    profile = (1 + (u**2 + v**2) / alpha**2) ** -beta
    return (profile / profile.sum()).reshape(size, oversample, size, oversample).sum((1, 3))


def cramer_rao(flux, fwhm, sky_variance):
    """Return the least possible error per axis [pixel] of a Gaussian star's position, all noise counted."""
    sigma = fwhm / FWHM_PER_SIGMA
    step = 0.1 * sigma
    axis = np.arange(-8 * sigma, 8 * sigma, step)
    u, v = np.meshgrid(axis, axis)
    signal = flux * np.exp(-0.5 * (u**2 + v**2) / sigma**2) / (2 * np.pi * sigma**2)
    return float(np.sum((signal * u / sigma**2) ** 2 / (signal + sky_variance)) * step**2) ** -0.5


def flux_of_snr(snr, fwhm, sky_variance):
    """Return the flux [electron] whose aperture-free S/N is `snr`: snr2 = F2 / (F + 4 pi sigma2 V)."""
    background = 4 * np.pi * (fwhm / FWHM_PER_SIGMA) ** 2 * sky_variance
    return 0.5 * (snr**2 + np.sqrt(snr**4 + 4 * snr**2 * background))
