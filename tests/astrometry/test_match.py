"""Matching: right where stars are shared, silent where they are not."""

import numpy as np
import pytest
from star_lists import as_stars, two_lists

from sciastro.astrometry.match import chance, closest_pairs, match_stars
from sciastro.astrometry.trianglevotes import similarity
from sciastro.core import transform
from sciastro.errors import MatchError

CASES = {
    "any angle": {},
    "flipped": {"rotation": np.pi},
    "10 % larger": {"scale": 1.1},
    "10 % smaller": {"scale": 1 / 1.1},
    "half unmatched": {"kept": 0.5, "n": 300},
    "deep": {"n": 4000},
    "12 stars": {"n": 12, "kept": 0.97},
    "8 stars": {"n": 8, "kept": 1.0, "brightness": 0.1, "shift": 5.0, "rotation": np.pi},
    "brightness shuffled": {"brightness": 1.0, "n": 300},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(4))
def test_shared_stars_are_found(case, seed):
    a, b, name_a, name_b, _ = two_lists(seed, **CASES[case])
    found = match_stars(a, b)
    right = name_a[found.index_a] == name_b[found.index_b]
    assert right.mean() > 0.97
    assert right.sum() >= 0.85 * np.intersect1d(name_a, name_b).size
    assert found.log_false_alarm < -6
    assert np.unique(found.index_a).size == found.n == np.unique(found.index_b).size


def test_different_depth():
    a, b, name_a, name_b, _ = two_lists(5, n=1500, brightness=0.2)
    found = match_stars(a, b[:90])
    assert (name_a[found.index_a] == name_b[found.index_b]).mean() > 0.97
    assert found.n > 60


def test_mirrored_only_when_allowed():
    a, b, name_a, name_b, _ = two_lists(6, n=300, mirror=-1)
    with pytest.raises(MatchError, match="do not match"):
        match_stars(a, b)
    found = match_stars(a, b, allow_mirror=True)
    assert found.parity == -1
    assert (name_a[found.index_a] == name_b[found.index_b]).mean() > 0.97


def test_map_is_the_true_similarity():
    a, b, *_ = two_lists(7, n=200, rotation=0.5, scale=1.05, distortion=0.0, noise=0.05)
    found = match_stars(a, b)
    jacobian = found.map[:, 1:] / transform.SCALE
    assert np.sqrt(np.linalg.det(jacobian)) == pytest.approx(1.05, abs=1e-4)
    assert np.arctan2(jacobian[1, 0], jacobian[0, 0]) == pytest.approx(0.5, abs=1e-4)
    assert found.rms == pytest.approx(0.05 * 2, rel=0.2)  # two lists, two axes


@pytest.mark.parametrize("n", [8, 20, 100, 800])
def test_unrelated_lists_are_refused(n):
    for seed in range(6):
        rng = np.random.default_rng(1000 * n + seed)
        a, b = rng.uniform(0, 1000, (2, n, 2))
        with pytest.raises(MatchError, match="do not match"):
            match_stars(a, b, allow_mirror=True)


def test_unrelated_clusters_are_refused():
    # Clustered stars coincide far more often than uniform ones; the bound must know.
    for seed in range(6):
        rng = np.random.default_rng(seed)
        a, b = (500 + 60 * rng.standard_t(2, (300, 2)) for _ in range(2))
        with pytest.raises(MatchError, match="do not match"):
            match_stars(a, b, allow_mirror=True)


def test_too_few_stars():
    with pytest.raises(MatchError, match="hold 3 and 50 stars"):
        match_stars(np.zeros((3, 2)), np.random.default_rng(0).uniform(0, 9, (50, 2)))


def test_star_arrays_and_plain_points_give_the_same():
    a, b, *_ = two_lists(8, n=150)
    plain, rich = match_stars(a, b), match_stars(as_stars(a, 0.1), as_stars(b, 0.1))
    np.testing.assert_array_equal(plain.index_a, rich.index_a)
    np.testing.assert_array_equal(plain.map, rich.map)


def test_similarity_of_three_points_by_hand():
    # Turn by 90 degrees, double, move by (1, 2): (x, y) -> (1 - 2y, 2 + 2x).
    a = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    x, y = transform.evaluate(similarity(a, np.array([[1.0, 2.0], [1.0, 4.0], [-5.0, 2.0]])), [5.0], [7.0])
    assert (x[0], y[0]) == pytest.approx((-13.0, 12.0))


def test_closest_pairs_are_one_to_one():
    a = np.array([[0.0, 0.0], [0.4, 0.0], [9.0, 9.0]])
    b = np.array([[0.1, 0.0], [20.0, 20.0]])
    i, j = closest_pairs(a, b, 1.0)
    assert i.tolist() == [0] and j.tolist() == [0]


def test_chance_is_a_bound():
    # Random lists under one fixed map: the claimed p must not be smaller than how often it happens.
    hits = 0
    for seed in range(400):
        a, b = np.random.default_rng(seed).uniform(0, 300, (2, 40, 2))
        hits += chance(a, b, 5.0, maps=1.0, fixed=0) < -1.5
    assert hits <= 400 * 10**-1.5 * 1.5
