"""Where a detector is full, as the pixels show it."""

import numpy as np
import pytest

from sciastro.recipe.detector import pile_level


def star_frame(seed, peaks, fwhm=3.0, shape=(300, 400)):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = rng.normal(1500, 20, shape)
    for peak in peaks:
        cx, cy = rng.uniform(20, shape[1] - 20), rng.uniform(20, shape[0] - 20)
        image += peak * np.exp(-4 * np.log(2) * ((x - cx) ** 2 + (y - cy) ** 2) / fwhm**2)
    return image, rng


@pytest.mark.parametrize("full", [20_000.0, 64_600.0])
def test_a_full_well_with_read_noise_is_a_pile(full):
    image, rng = star_frame(1, [3e5, 2e5, 9e4, 3e4, 1e4, 5e3] * 4)
    clipped = np.rint(np.minimum(image, full) + rng.normal(0, 4, image.shape)).astype(np.uint16)
    level = pile_level(clipped)
    assert full - 60 < level <= clipped[image >= full].min() + 8
    assert (clipped >= level)[image >= full].mean() > 0.99


def test_a_converter_that_clips_is_a_pile():
    image, _ = star_frame(2, [3e5, 2e5] * 6)
    assert pile_level(np.minimum(image, 16383 * 4).astype(np.uint16)) == 16383 * 4


@pytest.mark.parametrize("fwhm", [1.8, 4.0, 12.0, 40.0])
@pytest.mark.parametrize("seed", range(4))
def test_stars_that_fit_are_no_pile(fwhm, seed):
    rng = np.random.default_rng(seed)
    image, _ = star_frame(seed, 10 ** rng.uniform(3, 4.6, 60), fwhm)
    assert np.isnan(pile_level(image.astype(np.uint16)))


def test_bright_skies_and_flats_are_no_pile():
    rng = np.random.default_rng(1)
    assert np.isnan(pile_level(rng.normal(30_000, 100, (300, 300)).astype(np.uint16)))
