"""Stars and comet share frames: what the noise of their sum is, against a simulation of the passes."""

import numpy as np
import pytest
from scipy import ndimage

from sciastro.recipe.comets import shared_noise_share


@pytest.mark.parametrize("way", [0.0, 2.0, 6.0, 200.0])
def test_noise_of_the_sum_of_stars_and_comet(way):
    # Frames of pure noise, moved exactly (Fourier); stars are their mean, the comet that of what is left.
    rng, n, size = np.random.default_rng(3), 8, 128
    shifts = np.stack([np.linspace(0, way, n), 0.4 * np.linspace(0, way, n)], axis=1)
    frames = rng.normal(0, 1, (n, size, size))
    stars = frames.mean(axis=0)

    def moved(image, shift):
        return np.fft.ifft2(ndimage.fourier_shift(np.fft.fft2(image), shift[::-1])).real

    comet = np.mean([moved(f - stars, s) for f, s in zip(frames, shifts, strict=True)], axis=0)
    share = shared_noise_share(shifts, np.ones(n))
    # Exactly 1 - share - 1 / n of the variance of a mean is left; the 1 / n is not claimed.
    assert comet.var() * n == pytest.approx(1 - share - 1 / n, abs=0.03)
    assert (stars + comet).var() * n == pytest.approx(2 - share - 1 / n, abs=0.05)
    assert share == pytest.approx({0.0: 1 - 1 / n, 200.0: 0.0}.get(way, share), abs=0.02)


def test_weights_count():
    shifts, weights = np.array([[0.0, 0.0], [0.0, 0.0], [90.0, 0.0]]), np.array([1.0, 1.0, 2.0])
    assert shared_noise_share(shifts, weights) == pytest.approx(2 * 0.25 * 0.25, abs=1e-3)
