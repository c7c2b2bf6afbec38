"""Order statistics against NumPy."""

import numpy as np
import pytest

from sciastro.kernels.order import median, select


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 144, 1001])
@pytest.mark.parametrize("levels", [1, 3, 10**6])
def test_select_and_median_agree_with_numpy(size, levels):
    rng = np.random.default_rng(size + levels)
    values = np.append(rng.integers(0, levels, size), [-99, 99]).astype(np.float32)
    for k in {0, size // 4, size // 2, size - 1}:
        assert select(values.copy(), size, k) == np.sort(values[:size])[k]
    assert median(values.copy(), size) == np.median(values[:size])


def test_select_keeps_the_values():
    values = np.random.default_rng(1).normal(size=200)
    work = values.copy()
    select(work, 200, 70)
    np.testing.assert_array_equal(np.sort(work), np.sort(values))
    assert (work[:70] <= work[70]).all()
    assert (work[71:] >= work[70]).all()
