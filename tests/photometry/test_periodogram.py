"""Periods of known waves and boxes."""

import numpy as np
import pytest

from sciastro.photometry.periodogram import box_periodogram, wave_periodogram


def nights(seed, n=6, per=60):
    rng = np.random.default_rng(seed)
    time = np.sort(np.concatenate([k + rng.uniform(0, 0.3, per) for k in range(n)]))
    return rng, 2460000.0 + time


@pytest.mark.parametrize("amplitude", [0.005, 0.01, 0.05])
def test_a_wave_is_found_with_its_error(amplitude):
    pulls = []
    for seed in range(12):
        rng, time = nights(seed)
        flux = 1 + amplitude * np.sin(2 * np.pi * time / 0.1234) + rng.normal(0, 0.005, time.size)
        found = wave_periodogram(time, flux, np.full(time.size, 0.005))
        assert found.period == pytest.approx(0.1234, abs=0.001)
        assert found.false_alarm < 1e-6
        pulls.append((found.period - 0.1234) / found.period_err)
    # 40 seeds of 0.003, 0.01, 0.05 gave 1.00, 0.94, 0.92.
    assert 0.55 < np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_noise_has_no_period():
    rng, time = nights(1)
    found = wave_periodogram(time, 1 + rng.normal(0, 0.01, time.size), np.full(time.size, 0.01))
    assert found.false_alarm > 0.01
    assert wave_periodogram(time[:10], np.ones(10), np.ones(10)) is None


def test_eclipses_are_found_by_boxes():
    rng, time = nights(2, n=8)
    phase = (time - 2460000.1) / 0.87
    inside = np.abs(phase - np.round(phase)) * 0.87 < 1 / 24
    flux = 1 - 0.02 * inside + rng.normal(0, 0.003, time.size)
    found = box_periodogram(time, flux, np.full(time.size, 0.003))
    assert found.period == pytest.approx(0.87, rel=0.003)
    assert found.depth == pytest.approx(0.02, rel=0.15)
    assert box_periodogram(time[:40], flux[:40], np.full(40, 0.003)) is None  # one night
