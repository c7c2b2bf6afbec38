"""Near points by cells against SciPy's trees, and the binomial tail against its own."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull, cKDTree
from scipy.special import bdtrc

from sciastro.astrometry.robust import coverage
from sciastro.core.neighbors import (
    close_pairs,
    log10_binomial_tail,
    mutual_nearest,
    nearest_within,
    pairs_within,
)


def lists(seed, kind):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(-50, 1000, (300, 2)), rng.uniform(0, 900, (500, 2))
    if kind == "clustered":
        b[:250] = rng.normal(300, 4, (250, 2))
        a[:100] = rng.normal(301, 3, (100, 2))
    elif kind == "line":
        a[:, 0], b[:, 0] = 7.0, 7.0
    elif kind == "whole pixels":
        a, b = np.round(a / 20), np.round(b / 20)
    return a, b


@pytest.mark.parametrize("kind", ["uniform", "clustered", "line", "whole pixels"])
@pytest.mark.parametrize("radius", [0.0, 1.0, 30.0, 5000.0])
def test_pairs_and_nearest_are_those_of_a_tree(kind, radius):
    a, b = lists(1, kind)
    i, j, apart = pairs_within(a, b, radius)
    want = {(p, q) for p, near in enumerate(cKDTree(b).query_ball_point(a, radius)) for q in near}
    assert len(i) == len(want) and set(zip(i.tolist(), j.tolist(), strict=True)) == want
    np.testing.assert_allclose(apart, np.hypot(*(a[i] - b[j]).T))
    assert np.all(np.diff(i) >= 0)
    first, second = close_pairs(b, radius)
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == cKDTree(b).query_pairs(radius)
    if radius > 0:
        distance, index = nearest_within(a, b, radius)
        true, _ = cKDTree(b).query(a, distance_upper_bound=radius)
        np.testing.assert_allclose(distance, true)
        some = np.isfinite(distance)
        np.testing.assert_allclose(np.hypot(*(a[some] - b[index[some]]).T), distance[some])
        assert np.all(index[~some] == len(b))


def test_mutual_nearest_are_each_others_nearest():
    a, b = np.array([[0.0, 0.0], [1.0, 0.0], [9.0, 9.0]]), np.array([[0.4, 0.0], [1.1, 0.0]])
    i, j = mutual_nearest(a, b, 2.0)
    assert i.tolist() == [0, 1] and j.tolist() == [0, 1]
    # Both of a are nearest to the one of b, whose nearest is the second.
    i, j = mutual_nearest(a, b[1:], 2.0)
    assert i.tolist() == [1] and j.tolist() == [0]
    assert mutual_nearest(a, b, 0.05)[0].size == 0


def test_long_lists_are_looked_at_in_parts(monkeypatch):
    a, b = lists(2, "clustered")
    whole = pairs_within(a, b, 20.0)
    monkeypatch.setattr("sciastro.core.neighbors.MOST", 50)
    for one, other in zip(whole, pairs_within(a, b, 20.0), strict=True):
        np.testing.assert_array_equal(np.sort(one), np.sort(other))


def test_nothing_near_nothing_and_missing_positions():
    a, b = lists(3, "uniform")
    none = np.empty((0, 2))
    for one, other in ((none, b), (a, none), (none, none)):
        assert pairs_within(one, other, 5.0)[0].size == 0
        assert np.all(np.isinf(nearest_within(one, other, 5.0)[0]))
    holed, target = a.copy(), b.copy()
    holed[::7], target[::5] = np.nan, np.inf
    i, j, _ = pairs_within(holed, target, 40.0)
    want = {(p, q) for p, q in zip(*pairs_within(a, b, 40.0)[:2], strict=True) if p % 7 and q % 5}
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == want
    far = np.array([[1e300, -1e300], [0.0, 0.0]])
    assert pairs_within(far, np.zeros((1, 2)), 1e-9)[0].tolist() == [1]


@pytest.mark.parametrize(("n", "p"), [(1, 0.5), (7, 0.02), (60, 1e-3), (900, 0.3), (2000, 1e-5)])
def test_binomial_tail_is_that_of_scipy(n, p):
    for k in {-1, 0, 1, n // 3, n - 1}:
        true = bdtrc(k, n, p) if k >= 0 else 1.0
        if true > 1e-290:
            assert log10_binomial_tail(k, n, p) == pytest.approx(np.log10(true), rel=1e-9, abs=1e-12)
    assert log10_binomial_tail(n, n, p) == -np.inf
    assert log10_binomial_tail(n - 1, n, p) == pytest.approx(n * np.log10(p), rel=1e-12)
    assert log10_binomial_tail(n - 1, n, 1.0) == 0.0


def test_hull_is_that_of_qhull():
    rng = np.random.default_rng(4)
    for points in (
        rng.normal(50, 9, (40, 2)),
        np.round(rng.uniform(0, 9, (60, 2))),
        rng.uniform(0, 99, (4, 2)),
    ):
        assert coverage(points, (100, 100)) == pytest.approx(ConvexHull(points).volume / 1e4, rel=1e-12)
    line = np.column_stack([np.arange(9.0), 2 * np.arange(9.0)])
    assert coverage(line, (100, 100)) == pytest.approx(0.0, abs=1e-12)
    assert coverage(np.ones((5, 2)), (100, 100)) == 0.0
