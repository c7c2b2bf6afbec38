"""Triangle kernels against brute force."""

from itertools import combinations

import numpy as np
import pytest

from sciastro.kernels.triangles import list_triangles, orientation_histogram, vote


def triangles(points, shortest=0.0):
    room = len(points) * (len(points) - 1) * (len(points) - 2) // 6
    shape, size, angle = np.empty((room, 2)), np.empty(room), np.empty(room)
    turn, corners = np.empty(room, np.int8), np.empty((room, 3), np.int32)
    x, y = points.T.copy()
    n = list_triangles(x, y, shortest, shape, size, angle, turn, corners)
    return shape[:n], size[:n], angle[:n], turn[:n], corners[:n]


def test_every_clear_triangle_is_listed_with_its_ratios():
    points = np.random.default_rng(1).uniform(0, 100, (9, 2))
    shape, size, _, _, corners = triangles(points)
    found = {tuple(sorted(row)): (*s, a) for row, s, a in zip(corners.tolist(), shape, size, strict=True)}
    for trio in combinations(range(9), 3):
        sides = sorted((np.hypot(*(points[i] - points[j])) for i, j in combinations(trio, 2)), reverse=True)
        clear = sides[2] > 0.12 * sides[0] and sides[1] < 0.985 * sides[0] and sides[2] < 0.985 * sides[1]
        assert (trio in found) == clear
        if clear:
            assert found[trio] == pytest.approx((sides[1] / sides[0], sides[2] / sides[0], sides[0]))


@pytest.mark.parametrize("mirror", [False, True])
def test_votes_name_the_right_pairs(mirror):
    rng = np.random.default_rng(2)
    a = rng.uniform(0, 1000, (12, 2))
    order = rng.permutation(12)
    turn = np.deg2rad(137.0)
    matrix = 1.05 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    b = ((a * [1, -1 if mirror else 1]) @ matrix.T + [40, -20])[order]
    (sa, la, aa, ta, ca), (sb, lb, ab, tb, cb) = triangles(a), triangles(b)
    counts = np.empty((2, 120, 12), np.int64)
    matches = orientation_histogram(sa, la, aa, ta, sb, lb, ab, tb, 1.0, 0.12, mirror, counts)
    parity, rotation, scale = np.unravel_index(np.argmax(counts), counts.shape)
    assert parity == int(mirror)
    assert abs(rotation * 3 - 137) <= 3  # bins of 3 degrees
    votes = np.empty((12, 12), np.int64)
    vote(matches, ca, cb, parity, rotation, scale, 120, 12, votes)
    np.testing.assert_array_equal(order[np.argmax(votes, axis=1)], np.arange(12))


def test_mirrored_triangles_do_not_match_unless_asked():
    a = np.random.default_rng(3).uniform(0, 1000, (8, 2))
    (sa, la, aa, ta, _), (sb, lb, ab, tb, _) = triangles(a), triangles(a * [1, -1])
    counts = np.empty((2, 120, 12), np.int64)
    orientation_histogram(sa, la, aa, ta, sb, lb, ab, tb, 0.5, 0.1, False, counts)
    assert counts[1].sum() == 0
