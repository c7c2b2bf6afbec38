"""The run's pass: same numbers as the step, whatever workers and memory; and memory kept."""

import tracemalloc

import numpy as np
import pytest
from fields import Night

from sciastro.core.transform import identity
from sciastro.integrate.normalize import Terms
from sciastro.integrate.options import StackOptions
from sciastro.integrate.run import empty_stack, stack_windows
from sciastro.integrate.stack import stack


def test_same_numbers_as_the_step_for_any_workers_and_memory():
    night = Night(5, seed=6, side=3)
    want = stack(night.dataset())
    for workers, memory in ((1, 200 << 20), (2, 50 << 20), (3, 60 << 20)):
        out, shares = empty_stack(night.shape), []
        ratio = stack_windows(
            night.read, night.maps, night.shape, night.terms(), np.ones(5), out,
            options=StackOptions(), memory_bytes=memory, workers=workers, progress=shares.append,
        )  # fmt: skip
        np.testing.assert_array_equal(out.image, want["image"].values[0])
        np.testing.assert_array_equal(out.variance, want["image_variance"].values[0])
        np.testing.assert_array_equal(out.quality, want["image_quality"].values[0])
        np.testing.assert_array_equal(out.rejected_high, want["rejected_high"].values[0])
        assert ratio == pytest.approx(
            float(want["noise_correlation"][0]), rel=1e-7
        )  # summed in singles per tile
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


def test_a_frame_of_weight_zero_is_never_read():
    night = Night(4, seed=6, side=3)
    read = []

    def watch(i, *window):
        read.append(i)
        return night.read(i, *window)

    out = empty_stack(night.shape)
    stack_windows(
        watch, night.maps, night.shape, night.terms(), np.array([1.0, 0, 1, 1]), out,
        options=StackOptions(), memory_bytes=100 << 20, workers=1,
    )  # fmt: skip
    assert set(read) == {0, 2, 3}
    assert out.coverage.max() == 3


def test_an_error_in_reading_is_raised():
    def broken(*_window):
        raise OSError("disk gone")

    out = empty_stack((100, 100))
    unit = Terms(np.ones(2), np.zeros(2), np.zeros(2))
    with pytest.raises(OSError, match="disk gone"):
        stack_windows(
            broken, np.repeat(identity()[None], 2, axis=0), (100, 100), unit, np.ones(2), out,
            options=StackOptions(), memory_bytes=100 << 20,
        )  # fmt: skip


@pytest.mark.parametrize("workers, memory", [(1, 50 << 20), (2, 90 << 20)])
@pytest.mark.parametrize("angle", [0.2, 35.0])
def test_peak_memory_stays_within_the_bound(workers, memory, angle):
    shape, n = (900, 1300), 24
    t = np.radians(angle)
    c = identity()
    c[:, 1:] = 1000 * np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    c[:, 0] = (650, 450) - c[:, 1:] / 1000 @ (650, 450)
    maps = np.repeat(c[None], n, axis=0)
    rng = np.random.default_rng(1)
    plane = rng.normal(100, 10, shape).astype(np.float32)

    def read(_i, y0, y1, x0, x1):
        part = plane[y0:y1, x0:x1].copy()
        return part, np.full_like(part, 100), np.zeros(part.shape, np.uint16)

    out = empty_stack(shape)
    arguments = (read, maps, shape, Terms(np.ones(n), np.zeros(n), np.zeros(n)), np.ones(n), out)
    tracemalloc.start()
    try:
        stack_windows(*arguments, options=StackOptions(), memory_bytes=memory, workers=workers)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Samples of all tiles at once would take 281 MB.
    assert peak < memory
    assert np.isfinite(out.image).mean() > 0.6
