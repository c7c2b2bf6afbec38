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


def test_matches_and_votes_equal_the_twin():
    rng = np.random.default_rng(4)
    a = rng.uniform(0, 500, (9, 2))
    b = np.concatenate([a[:6] * 1.04 + rng.normal(0, 0.5, (6, 2)), rng.uniform(0, 500, (4, 2))])
    (sa, la, aa, ta, ca), (sb, lb, ab, tb, cb) = triangles(a), triangles(b)
    tolerance, reach, bins = 2.0, 0.1, (40, 8)
    counts = np.empty((2, *bins), np.int64)
    matches = orientation_histogram(sa, la, aa, ta, sb, lb, ab, tb, tolerance, reach, True, counts)
    slow, expected = np.zeros_like(counts), set()
    for t in range(len(la)):
        eps = min(1.5 * tolerance / la[t], 1 / 200)
        for o in range(len(lb)):
            log_scale = np.log(lb[o] / la[t])
            if np.abs(sb[o] - sa[t]).max() > eps or abs(log_scale) > reach:
                continue
            parity = int(ta[t] != tb[o])
            turn = (ab[o] + (aa[t] if parity else -aa[t])) % (2 * np.pi)
            i = min(int(turn / (2 * np.pi) * bins[0]), bins[0] - 1)
            j = min(int((log_scale + reach) / (2 * reach) * bins[1]), bins[1] - 1)
            slow[parity, i, j] += 1
            expected.add((t, o, parity, i * bins[1] + j))
    np.testing.assert_array_equal(counts, slow)
    assert {tuple(int(v) for v in row) for row in matches} == expected
    parity, rotation, scale = (int(v) for v in np.unravel_index(np.argmax(counts), counts.shape))
    votes, slow_votes = np.empty((len(a), len(b)), np.int64), np.zeros((len(a), len(b)), np.int64)
    vote(matches, ca, cb, parity, rotation, scale, *bins, votes)
    for t, o, mirrored, cell in expected:
        i, j = divmod(cell, bins[1])
        near = min(abs(i - rotation), bins[0] - abs(i - rotation)) <= 1 and abs(j - scale) <= 1
        if mirrored == parity and near:
            for c in range(3):
                slow_votes[ca[t, c], cb[o, c]] += 1
    assert slow_votes.max() > 3
    np.testing.assert_array_equal(votes, slow_votes)
