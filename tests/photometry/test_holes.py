"""Depth of images with holes: of the apertures as sources have them, filled up by mirror images."""

import numpy as np
import pytest

from sciastro.core.quality import Quality
from sciastro.photometry.depth import DepthOptions, depth

GONE = int(Quality.NO_DATA | Quality.DO_NOT_USE)


def sparse(share, seed=3, shape=(500, 500)):
    """Return a blank image of pixels of 1 to 4 samples of variance 4, with a share of holes."""
    rng = np.random.default_rng(seed)
    variance = (4.0 / rng.integers(1, 5, shape)).astype("f4")
    image = rng.normal(10, np.sqrt(variance)).astype("f4")
    holes = rng.random(shape) < share
    image[holes], variance[holes] = np.nan, np.nan
    return image, variance, np.where(holes, GONE, 0).astype("u2")


def test_holes_that_mirrors_fill_are_measured():
    # All of 38 pixels are there in one of 50 apertures; 8 % of holes leave 2 pixels each that both miss.
    image, variance, quality = sparse(0.1)
    found = depth(image, variance, quality, [250.0], [250.0], fwhm=3.3, aperture_radius=3.5)
    assert found.n_apertures > 200
    assert found.ratio == pytest.approx(1.0, abs=0.12)
    # 38.5 pixels of mean variance 4 * (1 + 1/2 + 1/3 + 1/4) / 4 = 2.08; a mirrored one counts twice: + 20 %.
    assert found.sigma == pytest.approx(np.sqrt(38.5 * 2.08 * 1.2), rel=0.1)


def test_the_variance_plane_is_averaged_where_it_is_uneven():
    # No aperture can be filled: the sum of 38.5 pixels of mean variance 2.08; their median is 1.67.
    image, variance, quality = sparse(0.7)
    found = depth(
        image, variance, quality, [250.0], [250.0], fwhm=3.3, aperture_radius=3.5,
        options=DepthOptions(least=100),
    )  # fmt: skip
    assert found.n_apertures == 0
    assert found.sigma == pytest.approx(np.sqrt(38.5 * 2.08), rel=0.02)


def test_whole_images_are_measured_as_before():
    image, variance, quality = sparse(0.0)
    found = depth(image, variance, quality, [250.0], [250.0], fwhm=3.3, aperture_radius=3.5)
    assert found.n_apertures == 600
    assert found.ratio == pytest.approx(1.0, abs=0.08)
