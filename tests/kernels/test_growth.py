"""Large-scale growth of rejected structures, against slow twins."""

import numpy as np
from scipy import ndimage

from sciastro.kernels.growth import AROUND, FEWEST, GROWN, average_again, grow_marks
from sciastro.kernels.samples import (
    HIGH,
    LOW,
)

NO_SHARE = np.empty((0, 0, 0), np.float32)


def slow_growth(mark, side, reach):
    here = mark == side
    company = (
        ndimage.uniform_filter(here.astype(float), 2 * AROUND + 1, mode="constant") * (2 * AROUND + 1) ** 2
    )
    large = here & (np.round(company) >= FEWEST)
    if not large.any():
        return mark
    near = ndimage.distance_transform_edt(~large) <= reach
    return np.where(near & (mark == 0), side | GROWN, mark)


def marked(seed=0):
    marks = np.zeros((3, 60, 80), np.uint8)
    marks[0, 20:23, 10:13] = HIGH  # a hit
    marks[1, np.arange(60), np.arange(60) + 10] = HIGH  # a trail, one pixel wide
    marks[1, 40:44, 5:12] = LOW
    rng = np.random.default_rng(seed)
    marks[2][rng.random((60, 80)) < 0.004] = HIGH  # noise
    marks[2, 30:34] = np.where(rng.random((4, 80)) < 0.3, HIGH, 0)  # a faint, wide trail, dashes of it
    return marks


def test_growth_equals_its_twin_and_leaves_single_hits_alone():
    for side, reach in ((HIGH, 3), (LOW, 2), (HIGH, 0)):
        marks, touched = marked(), np.zeros((60, 80), np.uint8)
        want = np.array([slow_growth(mark, side, reach) for mark in marks]) if reach else marks.copy()
        before = marks.copy()
        grow_marks(marks, side, reach, touched)
        np.testing.assert_array_equal(marks, want)
        np.testing.assert_array_equal(touched > 0, (marks != before).any(axis=0))
        np.testing.assert_array_equal(marks[0], before[0])
    marks, touched = marked(), np.zeros((60, 80), np.uint8)
    grow_marks(marks, HIGH, 2, touched)
    assert (marks[2, 30:34, 2:-2] > 0).mean() > 0.97


def test_average_again_equals_a_masked_average():
    rng = np.random.default_rng(1)
    shape = (5, 12, 14)
    values, variance = rng.normal(10, 1, shape).astype("f4"), rng.uniform(1, 2, shape).astype("f4")
    values[rng.random(shape) < 0.1] = np.nan
    weight = np.array([1, 2, 0, 1, 3], np.float32)
    marks = rng.choice(np.array([0, 0, 0, LOW, HIGH, HIGH | GROWN], np.uint8), shape)
    marks[:, 0, 0] = HIGH | GROWN  # all: growth must not empty the pixel
    touched = (rng.random(shape[1:]) < 0.7).astype(np.uint8)
    touched[0, 0] = 1
    for use_median in (False, True):
        image, spread, coverage = (np.full(shape[1:], 10, np.float32) for _ in range(3))
        low, high = np.zeros((2, *shape[1:]), np.uint16)
        again = marks.copy()
        average_again(
            values, variance, weight, NO_SHARE, again, touched, use_median, image, spread, coverage, low, high
        )
        for y, x in np.ndindex(shape[1:]):
            if not touched[y, x]:
                assert image[y, x] == 10
                continue
            there = np.isfinite(values[:, y, x]) & (weight > 0)
            bad = marks[:, y, x].copy()
            if not (there & (bad == 0)).any():
                bad[bad & GROWN > 0] = 0
            keep = there & (bad == 0)
            if not keep.any():
                continue
            w = weight[keep].astype(float)
            want = np.median(values[keep, y, x]) if use_median else np.average(values[keep, y, x], weights=w)
            np.testing.assert_allclose(image[y, x], want, rtol=1e-5)
            assert low[y, x] == (there & (bad & 3 == LOW)).sum()
            assert high[y, x] == (there & (bad & 3 == HIGH)).sum()
            if not use_median:
                np.testing.assert_allclose(
                    spread[y, x], (w**2 * variance[keep, y, x]).sum() / w.sum() ** 2, rtol=1e-5
                )
        assert not (again[:, touched > 0] & GROWN).any()
