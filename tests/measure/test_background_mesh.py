"""Background mesh: truth first, then sep as the reference tool."""

import numpy as np
import pytest
from star_scenes import gaussian_field

from sciastro.core.quality import Quality
from sciastro.errors import DatasetError
from sciastro.measure.background import BackgroundOptions, background


def field(shape=(700, 900), n=250, seed=1, **kwargs):
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 1, (n, 2)) * [shape[1] - 1, shape[0] - 1]
    return gaussian_field(shape, xy, 10 ** rng.uniform(2.5, 5.5, n), 3.0, seed=seed, **kwargs)


def test_level_and_noise_of_a_star_field():
    # Sky 200 e-, read noise 3 e-: noise sqrt(209) = 14.46 e- per pixel.
    sky = background(field())
    assert sky.level == pytest.approx(200, abs=0.5)
    assert sky.rms == pytest.approx(np.sqrt(209), rel=0.02)
    assert sky.level_map().shape == (700, 900)
    assert np.median(np.abs(sky.level_map() - 200)) < 0.7


def test_a_gradient_is_followed_to_the_corners():
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:700, :900]
    truth = 300 + 0.2 * x + 1e-4 * (y - 350) ** 2
    level = background(rng.normal(truth, 10).astype(np.float32)).level_map()
    assert np.std(level - truth) < 0.6
    assert np.abs(level - truth)[[0, 0, -1, -1], [0, -1, 0, -1]].max() < 4


def test_a_bright_star_leaves_the_sky_flat():
    image = gaussian_field((640, 640), [(320, 320)], [5e7], 6.0, seed=3)
    y, x = np.mgrid[:640, :640]
    r = np.hypot(x - 320, y - 320)
    image += (3e4 / (1 + (r / 8) ** 2) ** 1.8).astype(np.float32)  # halo
    level = background(image).level_map()
    assert np.abs(level - 200)[r > 250].max() < 8
    assert level[320, 320] < 400


def test_missing_and_flagged_pixels_are_skipped():
    image = field(seed=4)
    quality = np.zeros(image.shape, np.uint16)
    image[100:300, 200:420] = np.nan
    image[400:600, 500:700], quality[400:600, 500:700] = 5000, int(Quality.NO_DATA)
    image[::7, ::5], quality[::7, ::5] = 9e4, int(Quality.HOT)
    sky = background(image, quality)
    assert sky.level == pytest.approx(200, abs=0.7)
    assert np.isfinite(sky.level_mesh).all() and np.isfinite(sky.rms_mesh).all()
    assert np.abs(sky.level_map() - 200).max() < 8


def test_agrees_with_sep():
    # sep clips its mesh differently at the third decimal; both are mode estimates of the same pixels.
    sep = pytest.importorskip("sep")
    image = field(seed=5)
    ours, theirs = background(image), sep.Background(image)
    assert ours.level == pytest.approx(theirs.globalback, abs=0.3)
    assert ours.rms == pytest.approx(theirs.globalrms, rel=0.03)
    assert np.std(ours.level_map() - theirs.back()) < 0.6


def test_odd_shapes_and_one_tile():
    rng = np.random.default_rng(6)
    for shape in [(40, 40), (65, 129), (10, 300)]:
        sky = background(rng.normal(50, 2, shape))
        assert sky.level_map().shape == shape
        assert sky.level == pytest.approx(50, abs=0.6)


def test_constant_image_has_no_noise():
    sky = background(np.full((128, 128), 7.0))
    assert sky.level == pytest.approx(7.0, rel=1e-6)
    assert sky.rms == pytest.approx(0, abs=1e-4)
    assert (sky.rms_map() > 0).all()  # nothing may divide by zero


def test_nothing_usable_is_an_error():
    with pytest.raises(DatasetError, match="no usable pixel"):
        background(np.full((64, 64), np.nan))
    with pytest.raises(DatasetError, match="has shape"):
        background(np.zeros((64, 64)), np.zeros((3, 3), np.uint16))
    with pytest.raises(DatasetError, match="one plane"):
        background(np.zeros((2, 64, 64)))


def test_input_is_untouched():
    image = field(seed=7)
    before = image.copy()
    background(image, options=BackgroundOptions(box=32, estimator="median"))
    np.testing.assert_array_equal(image, before)
