"""Functions that only kernels call: same numbers, and no way in from Python."""

import numpy as np
import pytest
from numba import njit

from sciastro.kernels.inner import inner
from sciastro.kernels.order import median
from sciastro.kernels.samples import sort_rows


@inner
def _square(x, n):
    total = 0.0
    for i in range(n):
        total += x[i] * x[i]
    return total


@inner
def _root(x):
    return np.sqrt(_square(x, x.size)), median(x.copy(), x.size)


@njit(nogil=True, error_model="numpy")
def _length(x):
    return _root(x)


def test_inner_functions_call_each_other_and_functions_with_a_way_in():
    x = np.random.default_rng(1).normal(size=101)
    length, middle = _length(x)
    assert length == pytest.approx(np.sqrt((x**2).sum()), rel=1e-13)
    assert middle == np.median(x)


def test_python_cannot_call_them():
    ranked = np.zeros((2, 3), np.float32)
    for compiled in (False, True):
        with pytest.raises(TypeError, match="cannot be called from Python"):
            _square(np.ones(3), 3)
        if not compiled:
            _length(np.ones(3))  # compiles it
    with pytest.raises(TypeError, match="sort_rows is compiled into kernels"):
        sort_rows(ranked, np.zeros((0, 2), np.int32), 3)
