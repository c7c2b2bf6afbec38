"""Photon transfer against the truth of a small camera."""

import numpy as np
import pytest
from tiny_camera import TinyCamera

from sciastro.calibrate.gain import measure_dark_current, measure_gain, measure_read_noise
from sciastro.errors import DatasetError

CAMERA = TinyCamera(shape=(640, 640), gain=1.37, read_noise=7.5)


@pytest.mark.parametrize("ratio", [1.0, 0.85])  # a lamp that flickers
@pytest.mark.parametrize("light", [3_000.0, 25_000.0])
def test_gain_and_read_noise_within_one_percent(light, ratio):
    rng = np.random.default_rng(5)
    flats = [CAMERA.expose(light * f, 1.0, rng) for f in (1.0, ratio)]
    bias = CAMERA.frames(2, 0, 0, seed=1)
    got = measure_gain(*flats, *bias)
    noise = np.hypot(CAMERA.read_noise, CAMERA.gain / np.sqrt(12))  # digitization comes with it
    assert got.gain == pytest.approx(CAMERA.gain, rel=0.01)
    assert got.read_noise == pytest.approx(noise, rel=0.01)
    assert abs(got.gain - CAMERA.gain) < 3.5 * got.gain_err
    assert 0.001 < got.gain_err / got.gain < 0.006


def test_the_error_of_the_gain_is_its_scatter():
    camera, pulls = TinyCamera(shape=(160, 160)), []
    for seed in range(40):
        rng = np.random.default_rng([9, seed])
        flats, bias = [camera.expose(20_000, 1, rng) for _ in "ab"], [camera.expose(0, 0, rng) for _ in "ab"]
        got = measure_gain(*flats, *bias)
        pulls.append((got.gain - camera.gain) / got.gain_err)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.3)
    assert np.mean(pulls) == pytest.approx(0.0, abs=0.5)


def test_phases_of_a_mosaic_of_different_brightness():
    color = np.tile(np.array([[0.4, 1.0], [1.0, 0.6]]), (320, 320))
    rng = np.random.default_rng(5)
    flats = [CAMERA.expose(30_000 * color, 1.0, rng) for _ in range(2)]
    got = measure_gain(*flats, *CAMERA.frames(2, 0, 0, seed=1), cfa="RGGB")
    assert got.gain == pytest.approx(CAMERA.gain, rel=0.01)


def test_hot_pixels_and_cosmic_rays_do_not_matter():
    rng = np.random.default_rng(5)
    flats = [CAMERA.expose(20_000, 1.0, rng) for _ in range(2)]
    bias = CAMERA.frames(2, 0, 0, seed=1)
    for frame in (*flats, *bias):
        hit = rng.random(frame.shape) < 5e-4
        frame[hit] = rng.integers(5_000, 60_000, hit.sum())
    got = measure_gain(*flats, *bias)
    assert got.gain == pytest.approx(CAMERA.gain, rel=0.01)
    assert got.read_noise == pytest.approx(CAMERA.read_noise, rel=0.01)


def test_read_noise_of_a_drifting_bias():
    first, second = CAMERA.frames(2, 0, 0, seed=1).astype(np.float64)
    noise, error, level = measure_read_noise(first, second + 25)
    truth = np.hypot(CAMERA.read_noise / CAMERA.gain, np.sqrt(1 / 12))
    assert abs(noise - truth) < 4 * error
    assert level == pytest.approx(CAMERA.offset + 12.5, abs=0.3)


def test_dark_current_from_level_and_from_noise():
    camera = TinyCamera(shape=(640, 640), dark_rate=0.2)
    got = measure_dark_current(
        camera.frames(2, 0, 300, 1), 300, camera.frames(2, 0, 1, 2), 1, gain=camera.gain
    )
    assert got.rate == pytest.approx(0.2, rel=0.01)
    assert abs(got.rate_from_noise - 0.2) < 4 * got.rate_from_noise_err


def test_flats_without_light_are_refused():
    bias = CAMERA.frames(4, 0, 0, seed=1)
    with pytest.raises(DatasetError, match="too little light"):
        measure_gain(*bias)
    with pytest.raises(DatasetError, match="different shapes"):
        measure_gain(bias[0], bias[1], bias[2], bias[3][:100])
    with pytest.raises(DatasetError, match="two long and two short"):
        measure_dark_current(bias[:1], 10, bias[1:], 1, gain=1)
