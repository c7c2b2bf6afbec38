"""The camera against its own parameters: photon transfer, fixed patterns, clipping, color phases."""

import numpy as np
import pytest

from sciastro.errors import OptionError
from sciastro.simulate.camera import (
    CameraOptions,
    bias,
    dark,
    dark_rate_at,
    expose,
    flat,
    make_sensor,
    phase_of,
    saturation_adu,
    stored_cfa,
    throughput,
)

PLAIN = CameraOptions(
    rows=600,
    columns=800,
    gain=1.31,
    read_noise=5.2,
    column_noise=0.0,
    hot_pixels=0.0,
    dead_pixels=0.0,
    glow=0.0,
    prnu=0.0,
    vignetting=0.0,
    dust=0,
)


def rng(n):
    return np.random.default_rng([7, n])


def test_photon_transfer_recovers_gain_and_read_noise():
    # Janesick: the difference of two frames has twice the temporal variance, without any pattern.
    camera = make_sensor(CameraOptions(rows=600, columns=800, gain=1.31, read_noise=5.2), seed=3)
    transmission = throughput(camera, "G")

    def pairs(make):
        frames = [make(rng(i)).astype(float) for i in range(8)]
        good = ~(camera.dead | camera.hot)
        variance = np.mean(
            [np.var((a - b)[good]) / 2 for a, b in zip(frames[::2], frames[1::2], strict=True)]
        )
        return np.mean([f[good].mean() for f in frames]), variance

    dark_level, dark_variance = pairs(lambda r: bias(camera, r))
    level, variance = pairs(lambda r: flat(camera, transmission, 0.6, 2.0, r))
    gain = (level - dark_level) / (variance - dark_variance)
    assert gain == pytest.approx(1.31, rel=0.01)
    # The bias pair also holds the digitization, 1/12 adu2.
    assert gain * np.sqrt(dark_variance - 1 / 12) == pytest.approx(5.2, rel=0.01)


def test_mean_and_variance_of_a_light():
    camera = make_sensor(PLAIN, seed=1)
    rate, exposure = 3.7, 120.0
    image = expose(camera, rate, exposure, rng(1)).astype(float)
    current = PLAIN.dark_current * dark_rate_at(PLAIN.temperature)
    electrons = (rate + current) * exposure
    n = image.size
    expected = PLAIN.offset + electrons / PLAIN.gain
    # The dark current scatters by a third from pixel to pixel, which adds to the variance.
    variance = (electrons + PLAIN.read_noise**2 + (current * exposure / 3) ** 2) / PLAIN.gain**2 + 1 / 12
    assert image.mean() == pytest.approx(expected, abs=4 * np.sqrt(variance / n))
    assert image.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / n))


def test_bias_structure_is_fixed_and_follows_columns():
    camera = make_sensor(CameraOptions(rows=400, columns=500, column_noise=2.0), seed=5)
    mean = np.mean([bias(camera, rng(i)) for i in range(12)], axis=0)
    profile = mean.mean(axis=0)
    np.testing.assert_allclose(profile, camera.structure[0], atol=5 * 3.9 / np.sqrt(12 * 400))
    assert camera.structure[0].std() == pytest.approx(2.0, rel=0.15)


def test_dark_current_hot_pixels_and_glow():
    options = CameraOptions(rows=400, columns=500, temperature=0.0, hot_pixels=2e-3)
    camera = make_sensor(options, seed=5)
    mean = np.mean([dark(camera, 100.0, rng(i)) for i in range(10)], axis=0) - np.float64(camera.structure)
    seen = mean * options.gain / 100.0
    assert camera.hot.sum() == 400
    quiet = ~camera.hot
    truth = np.float64(camera.dark) + camera.glow
    error = np.sqrt((truth * 100 + options.read_noise**2 + options.gain**2 / 12) / 10) / 100
    pull = ((seen - truth) / error)[quiet]
    assert pull.std() == pytest.approx(1.0, abs=0.02)
    assert pull.mean() == pytest.approx(0.0, abs=0.02)
    bright = truth[camera.hot] > 1
    assert bright.sum() > 100
    np.testing.assert_allclose(seen[camera.hot][bright], truth[camera.hot][bright], rtol=0.15)
    assert camera.glow.max() == pytest.approx(options.glow, rel=0.3)


def test_twice_the_dark_current_every_six_degrees():
    cold = make_sensor(CameraOptions(rows=50, columns=60, temperature=-12.6), seed=5)
    warm = make_sensor(CameraOptions(rows=50, columns=60, temperature=0.0), seed=5)
    np.testing.assert_allclose(warm.dark, 4 * cold.dark, rtol=1e-5)
    np.testing.assert_array_equal(warm.hot, cold.hot)  # the same camera, only warmer


def test_sensor_is_its_seed():
    options = CameraOptions(rows=60, columns=80)
    first, same, other = make_sensor(options, 1), make_sensor(options, 1), make_sensor(options, 2)
    np.testing.assert_array_equal(first.response, same.response)
    assert not np.array_equal(first.hot, other.hot)
    assert not np.array_equal(throughput(first, "R"), throughput(first, "G"))  # each filter has its dust


def test_vignetting_and_dead_pixels():
    options = CameraOptions(rows=400, columns=600, vignetting=0.3, dust=0, prnu=0.0, dead_pixels=1e-3)
    camera = make_sensor(options, seed=2)
    light = throughput(camera, "R")
    assert light[~camera.dead].max() == pytest.approx(1.0, abs=1e-3)
    assert light[~camera.dead].min() == pytest.approx(0.7, abs=0.02)
    assert light[camera.dead].max() <= 0.4


def test_saturation_clips_at_full_well_and_at_the_converter():
    small = CameraOptions(**{**PLAIN.as_dict(), "full_well": 10000.0, "read_noise": 0.0})
    image = expose(make_sensor(small, 1), 1e6, 1.0, rng(1))
    assert np.all(image == round(10000 / 1.31 + 500))
    assert saturation_adu(small) == pytest.approx(10000 / 1.31 + 500)
    deep = CameraOptions(**{**PLAIN.as_dict(), "full_well": 1e6})
    assert np.all(expose(make_sensor(deep, 1), 1e6, 1.0, rng(1)) == 65535)
    assert saturation_adu(deep) == 65535
    coarse = CameraOptions(**{**PLAIN.as_dict(), "full_well": 1e6, "bits": 12})
    image = expose(make_sensor(coarse, 1), 500.0, 1.0, rng(1))
    assert np.all(image % 16 == 0)
    assert image.mean() == pytest.approx(500 / 1.31 + 500, rel=0.01)
    assert expose(make_sensor(coarse, 1), 1e6, 1.0, rng(1)).max() == 65520 == saturation_adu(coarse)


@pytest.mark.parametrize(
    ("rows", "order", "stored"),
    [(600, "TOP-DOWN", "RGGB"), (600, "BOTTOM-UP", "GBRG"), (601, "BOTTOM-UP", "RGGB")],
)
def test_row_order_moves_the_phases(rows, order, stored):
    options = CameraOptions(rows=rows, columns=800, cfa="RGGB")
    assert stored_cfa(options, order) == stored
    # By hand: write the sensor's letters top row first, then store them in that order.
    sensor = np.array([["RGGB"[2 * (j & 1) + (i & 1)] for i in range(4)] for j in range(rows)])
    as_stored = sensor if order == "TOP-DOWN" else sensor[::-1]
    assert "".join(as_stored[:2, :2].ravel()) == stored


def test_color_flat_has_its_phases():
    options = CameraOptions(**{**PLAIN.as_dict(), "cfa": "GRBG"})
    camera = make_sensor(options, 1)
    image = flat(camera, throughput(camera, "OSC"), 0.5, 1.0, rng(1), "GRBG").astype(float) - 500
    level = {channel: [] for channel in range(3)}
    for j in range(2):
        for i in range(2):
            level[phase_of("GRBG")[j, i]].append(image[j::2, i::2].mean())
    np.testing.assert_allclose(level[1], 0.5 * (saturation_adu(options) - 500), rtol=2e-3)
    assert level[0][0] == pytest.approx(0.62 * level[1][0], rel=2e-3)
    assert level[2][0] == pytest.approx(0.74 * level[1][0], rel=2e-3)


def test_wrong_input_is_named():
    camera = make_sensor(CameraOptions(rows=20, columns=30), 1)
    with pytest.raises(OptionError, match="sensor has shape"):
        expose(camera, np.zeros((5, 5), np.float32), 1.0, rng(1))
    with pytest.raises(OptionError, match="0 s or more"):
        expose(camera, 1.0, float("nan"), rng(1))
