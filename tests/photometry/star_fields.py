"""Simulated star fields with truth: pixel-integrated Gaussian stars on a flat sky, shot and read noise."""

import numpy as np
from scipy.special import ndtr

from sciastro.core.stars import STAR_DTYPE


def star_image(shape, x, y, flux, fwhm):
    """Return the expected image (y, x) of Gaussian stars, each integrated over the pixels."""
    sigma = fwhm / np.sqrt(8 * np.log(2))
    image = np.zeros(shape)
    half = int(np.ceil(6 * sigma)) + 1
    for a, b, f in zip(x, y, flux, strict=True):
        column, row = round(a), round(b)
        i = np.arange(max(0, column - half), min(shape[1], column + half + 1))
        j = np.arange(max(0, row - half), min(shape[0], row + half + 1))
        if i.size == 0 or j.size == 0:
            continue
        across = ndtr((i + 0.5 - a) / sigma) - ndtr((i - 0.5 - a) / sigma)
        down = ndtr((j + 0.5 - b) / sigma) - ndtr((j - 0.5 - b) / sigma)
        image[j[0] : j[-1] + 1, i[0] : i[-1] + 1] += f * np.outer(down, across)
    return image


def as_stars(x, y, fwhm, err=0.02):
    """Return positions as a star list."""
    stars = np.zeros(len(x), STAR_DTYPE)
    stars["x"], stars["y"], stars["fwhm"] = x, y, fwhm
    stars["x_err"] = stars["y_err"] = err
    return stars


def field(seed, *, size=900, spacing=45, fwhm=3.2, sky=60.0, read_noise=4.0, faint=2.2, bright=5.2):
    """Return image, variance, quality, x, y and true flux of stars on a jittered lattice; 1 s, electron."""
    rng = np.random.default_rng(seed)
    lattice = np.arange(spacing, size - spacing // 2, spacing, dtype=float)
    x, y = (axis.ravel() for axis in np.meshgrid(lattice, lattice))
    x, y = x + rng.uniform(-4, 4, x.size), y + rng.uniform(-4, 4, y.size)
    flux = 10 ** rng.uniform(faint, bright, x.size)
    truth = star_image((size, size), x, y, flux, fwhm) + sky
    seen = rng.poisson(truth) + rng.normal(0, read_noise, truth.shape)
    variance = truth + read_noise**2
    return (
        (seen - sky).astype(np.float32),
        variance.astype(np.float32),
        np.zeros(truth.shape, np.uint16),
        x,
        y,
        flux,
    )
