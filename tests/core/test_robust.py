"""Scatter by the median absolute deviation, by hand."""

import numpy as np
import pytest

from sciastro.core.robust import mad_sigma


def test_outliers_do_not_widen_it():
    # Median 3; deviations 2 1 0 1 97, whose median is 1.
    assert mad_sigma(np.array([1.0, 2.0, 3.0, 4.0, 100.0])) == pytest.approx(1.4826)
    # From 0: 1 2 3 4 100, median 3.
    assert mad_sigma(np.array([1.0, -2.0, 3.0, -4.0, 100.0]), 0.0) == pytest.approx(3 * 1.4826)
    assert np.isnan(mad_sigma(np.array([1.0, np.nan, 2.0])))


def test_it_is_the_sigma_of_a_gaussian():
    sample = np.random.default_rng(3).normal(5.0, 2.0, 200_000)
    assert mad_sigma(sample) == pytest.approx(2.0, abs=0.03)  # its own error is 0.005
