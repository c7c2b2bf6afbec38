"""Similar triangles between two lists of points: every triangle, its shape, and votes for point pairs."""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit

__all__ = ["list_triangles", "orientation_histogram", "vote"]

SKINNY = 0.12  # shortest over longest side below which a triangle says little
AMBIGUOUS = 0.985  # two sides this equal cannot be told apart
CELLS = 200  # cells of the shape grid along each axis


@njit(nogil=True, cache=True, error_model="numpy")
def list_triangles(x, y, shortest, shape, size, angle, turn, corners):
    """List every triangle of the points (x, y).

    Parameters
    ----------
    x, y
        float64 points.
    shortest
        Least length of the longest side.
    shape
        Output float64[triangle, 2]: middle over longest side, shortest over longest.
    size, angle
        Output float64: longest side, and its direction [radian], from the corner opposite the shortest
        side to the corner opposite the middle one.
    turn
        Output int8: +1 or -1, the sense in which the corners follow.
    corners
        Output int32[triangle, 3]: corners opposite the longest, the middle, the shortest side.

    Returns
    -------
    int
        Triangles listed.
    """
    n, count = x.size, 0
    for i in range(n):
        for j in range(i + 1, n):
            dij = (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2
            for k in range(j + 1, n):
                dik = (x[i] - x[k]) ** 2 + (y[i] - y[k]) ** 2
                djk = (x[j] - x[k]) ** 2 + (y[j] - y[k]) ** 2
                # (side, opposite corner) sorted by hand, longest first
                a, pa, b, pb, c, pc = djk, i, dik, j, dij, k
                if a < b:
                    a, pa, b, pb = b, pb, a, pa
                if b < c:
                    b, pb, c, pc = c, pc, b, pb
                if a < b:
                    a, pa, b, pb = b, pb, a, pa
                if not a > shortest * shortest or not c >= SKINNY * SKINNY * a:
                    continue
                if not (b <= AMBIGUOUS * AMBIGUOUS * a and c <= AMBIGUOUS * AMBIGUOUS * b):  # nor NaN
                    continue
                cross = (x[pb] - x[pa]) * (y[pc] - y[pa]) - (y[pb] - y[pa]) * (x[pc] - x[pa])
                shape[count, 0], shape[count, 1] = np.sqrt(b / a), np.sqrt(c / a)
                size[count] = np.sqrt(a)
                angle[count] = np.arctan2(y[pb] - y[pc], x[pb] - x[pc])
                turn[count] = 1 if cross > 0 else -1
                corners[count, 0], corners[count, 1], corners[count, 2] = pa, pb, pc
                count += 1
    return count


@inner
def _grid(shape, n, start, order):
    """Sort triangles into cells of the shape plane (counting sort)."""
    start[:] = 0
    for t in range(n):
        start[int(shape[t, 0] * CELLS) * CELLS + int(shape[t, 1] * CELLS) + 1] += 1
    for c in range(start.size - 1):
        start[c + 1] += start[c]
    fill = start.copy()
    for t in range(n):
        cell = int(shape[t, 0] * CELLS) * CELLS + int(shape[t, 1] * CELLS)
        order[fill[cell]] = t
        fill[cell] += 1


@njit(nogil=True, cache=True, error_model="numpy")
def orientation_histogram(
    shape_a,
    size_a,
    angle_a,
    turn_a,
    shape_b,
    size_b,
    angle_b,
    turn_b,
    tolerance,
    max_log_scale,
    mirror,
    counts,
):
    """Count similar triangles by parity, rotation and scale.

    Parameters
    ----------
    tolerance
        Position error [unit of the points] that sides may differ by.
    max_log_scale
        Largest natural logarithm of the scale ratio b over a, either sign.
    mirror
        Whether mirrored triangles count.
    counts
        Output int64[2, rotation, scale]; parity index 1 is mirrored.

    Returns
    -------
    int32[match, 4]
        Triangle of a, triangle of b, parity, and the flat (rotation, scale) bin of each match.
    """
    n_a, n_b = size_a.size, size_b.size
    start, order = np.zeros(CELLS * CELLS + 1, np.int64), np.empty(n_b, np.int64)
    _grid(shape_b, n_b, start, order)
    n_rotation, n_scale = counts.shape[1], counts.shape[2]
    counts[:] = 0
    matches = np.empty((1 << 14, 4), np.int32)
    found = 0
    for t in range(n_a):
        eps = min(1.5 * tolerance / size_a[t], 1.0 / CELLS)
        row, column = int(shape_a[t, 0] * CELLS), int(shape_a[t, 1] * CELLS)
        for r in range(max(row - 1, 0), min(row + 2, CELLS)):
            low, high = max(column - 1, 0), min(column + 1, CELLS - 1)
            for q in range(start[r * CELLS + low], start[r * CELLS + high + 1]):
                o = order[q]
                if abs(shape_b[o, 0] - shape_a[t, 0]) > eps or abs(shape_b[o, 1] - shape_a[t, 1]) > eps:
                    continue
                log_scale = np.log(size_b[o] / size_a[t])
                if abs(log_scale) > max_log_scale:
                    continue
                parity = 0 if turn_a[t] == turn_b[o] else 1
                if parity == 1 and not mirror:
                    continue
                turn = angle_b[o] - angle_a[t] if parity == 0 else angle_b[o] + angle_a[t]
                turn -= 2 * np.pi * np.floor(turn / (2 * np.pi))
                i = min(int(turn / (2 * np.pi) * n_rotation), n_rotation - 1)
                j = min(int((log_scale + max_log_scale) / (2 * max_log_scale) * n_scale), n_scale - 1)
                counts[parity, i, j] += 1
                if found == matches.shape[0]:
                    larger = np.empty((2 * found, 4), np.int32)
                    for old in range(found):
                        for column_of in range(4):
                            larger[old, column_of] = matches[old, column_of]
                    matches = larger
                matches[found, 0], matches[found, 1] = t, o
                matches[found, 2], matches[found, 3] = parity, i * n_scale + j
                found += 1
    return matches[:found]


@njit(nogil=True, cache=True, error_model="numpy")
def vote(matches, corners_a, corners_b, parity, rotation, scale, n_rotation, n_scale, votes):
    """Add one vote per corner pair of each match within one bin of (rotation, scale) into `votes`."""
    votes[:] = 0
    for m in range(matches.shape[0]):
        if matches[m, 2] != parity:
            continue
        i, j = matches[m, 3] // n_scale, matches[m, 3] % n_scale
        away = abs(i - rotation)
        if min(away, n_rotation - away) > 1 or abs(j - scale) > 1:
            continue
        for c in range(3):
            votes[corners_a[matches[m, 0], c], corners_b[matches[m, 1], c]] += 1
