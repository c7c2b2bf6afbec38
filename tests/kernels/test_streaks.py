"""Faint extended light of a frame, against a slow twin."""

import numpy as np
from scipy import ndimage

from sciastro.kernels.samples import (
    HIGH,
)
from sciastro.kernels.streaks import mark_streaks

NO_SHARE = np.empty((0, 0, 0), np.float32)


def slow(values, variance, there, base, edge, kappa):
    step = np.zeros(base.shape)
    for axis in (0, 1):
        d = np.abs(np.diff(base, axis=axis))
        pad = [(0, 0), (0, 0)]
        pad[axis] = (1, 0)
        before = np.pad(d, pad)
        pad[axis] = (0, 1)
        step = np.maximum(step, np.maximum(before, np.pad(d, pad)))
    found = np.zeros(values.shape, bool)
    for i, frame in enumerate(values):
        sigma = np.sqrt(np.where(there[i], variance[i], 1))
        counts = there[i] & (edge * step < sigma)
        z = np.where(counts, np.clip((np.nan_to_num(frame) - base) / sigma, -3, 3), 0)

        def box(plane, half):
            out = ndimage.uniform_filter(plane.astype(float), 2 * half + 1, mode="constant")
            return out * (2 * half + 1) ** 2

        inside, light = np.round(box(counts, 3)), box(z, 3)
        beyond = np.round(box(counts, 15)) - inside
        around = (box(z, 15) - light) / np.maximum(beyond, 1)
        significant = light - inside * np.maximum(around, 0) > kappa * np.sqrt(inside)
        significant &= (inside >= 24) & (light > kappa * np.sqrt(inside))
        found[i] = ndimage.binary_dilation(significant, np.ones((5, 5), bool))
    return found


def test_streaks_equal_their_twin_and_hits_are_none():
    rng = np.random.default_rng(5)
    n, rows, columns = 4, 60, 90
    y, x = np.mgrid[:rows, :columns]
    base = (3000 * np.exp(-((x - 60) ** 2 + (y - 20) ** 2) / 8)).astype(np.float32)
    variance = rng.uniform(80, 120, (n, rows, columns)).astype(np.float32)
    values = (base + rng.normal(0, 10, variance.shape)).astype(np.float32)
    values[1] += 20 * np.exp(-((y - 0.5 * x - 10) ** 2) / 4)  # a trail
    values[2, 30:33, 30:33] += 800  # a hit
    values[3] += 8  # another sky
    values[rng.random(values.shape) < 0.05] = np.nan
    variance[rng.random(values.shape) < 0.05] = 0
    weight = np.array([1, 1, 1, 0.5], np.float32)
    there = np.isfinite(values) & (variance > 0)
    marks, touched = np.zeros(values.shape, np.uint8), np.zeros(base.shape, np.uint8)
    marks[1, 0, 0] = 1
    mark_streaks(values, variance, weight, NO_SHARE, base, 1.2, 5.0, marks, touched)
    want = slow(values, variance, there, base, 1.2, 5.0)
    assert (marks[0, 0:1] == 0).all() and marks[1, 0, 0] == 1
    assert ((marks == HIGH) == want)[1:].mean() > 0.9999
    assert (marks[1] == HIGH).sum() > 400 and not marks[[0, 2, 3]].any()
    np.testing.assert_array_equal(touched, (marks == HIGH).any(axis=0))
    share = np.ones_like(values)
    share[1] = 0
    again = np.zeros(values.shape, np.uint8)
    mark_streaks(values, variance, weight, share, base, 1.2, 5.0, again, touched)
    assert not again.any()
