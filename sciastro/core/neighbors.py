"""Near points on a plane by cells, and the binomial tail: what SciPy offers, without 0.25 s of loading it.

A command that solves one frame would spend a sixth of its time on importing ``scipy.spatial``. Points are
sorted into cells as wide as the radius; the neighbors of a point are in three runs of that order.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["close_pairs", "log10_binomial_tail", "mutual_nearest", "nearest_within", "pairs_within"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

MOST = 4_000_000  # candidates that are looked at in one go
FINEST = 2**20  # cells along the longer axis, at most


def pairs_within(a: Floats, b: Floats, radius: float) -> tuple[Indices, Indices, Floats]:
    """Return all pairs of a point of `a` and one of `b` at most `radius` apart, and their distance.

    Parameters
    ----------
    a, b
        (n, 2) and (m, 2); a point with NaN has no neighbor.
    radius
        In the unit of the points.

    Returns
    -------
    i, j, distance
        Rows of `a` in rising order, rows of `b`, and how far they are apart.
    """
    parts = list(_pairs(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64), radius))
    if not parts:
        return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
    i, j, square = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(i, kind="stable")
    return i[order], j[order], np.sqrt(square[order])


def close_pairs(points: Floats, radius: float) -> tuple[Indices, Indices]:
    """Return the pairs (i < j) of points (n, 2) of one list that are at most `radius` apart."""
    i, j, _ = pairs_within(points, points, radius)
    once = i < j
    return i[once], j[once]


def nearest_within(a: Floats, b: Floats, radius: float) -> tuple[Floats, Indices]:
    """Return, for every point of `a` (n, 2), the nearest point of `b` (m, 2) less than `radius` away.

    Returns
    -------
    distance, index
        (n) each; infinite and m where there is none. Of equally near ones the first.
    """
    distance, index = np.full(len(a), np.inf), np.full(len(a), len(b), np.intp)
    i, j, apart = pairs_within(a, b, radius)
    near = np.flatnonzero(apart < radius)
    order = near[np.lexsort((j[near], apart[near], i[near]))]
    rows, first = np.unique(i[order], return_index=True)
    distance[rows], index[rows] = apart[order[first]], j[order[first]]
    return distance, index


def mutual_nearest(a: Floats, b: Floats, radius: float) -> tuple[Indices, Indices]:
    """Return rows of `a` (n, 2) and of `b` (m, 2) that are each other's nearest, less than `radius` apart."""
    distance, j = nearest_within(a, b, radius)
    _, back = nearest_within(b, a, radius)
    i = np.flatnonzero(np.isfinite(distance))
    i = i[back[j[i]] == i]
    return i, j[i]


def _pairs(a: Floats, b: Floats, radius: float) -> Iterator[tuple[Indices, Indices, Floats]]:
    """Yield pairs within `radius` and their squared distance, part by part of `a`."""
    to = np.flatnonzero(np.isfinite(b).all(axis=1))
    if not to.size or not len(a) or not radius >= 0:
        return
    low, high = b[to].min(axis=0), b[to].max(axis=0)
    with np.errstate(invalid="ignore"):
        of = np.flatnonzero(np.all((a >= low - radius) & (a <= high + radius), axis=1))
    side = max(radius, float((high - low).max()) / FINEST, 1e-300)
    columns = int((high[0] - low[0]) / side) + 4  # a cell beyond either edge, for those of `a` outside
    key = _cells(b[to], low, side, columns)
    order = np.argsort(key, kind="stable")
    key, to = key[order], to[order]
    home = _cells(a[of], low, side, columns)
    lows, counts = [], []
    for row in (-1, 0, 1):
        first = np.searchsorted(key, home + (row * columns - 1), side="left")
        lows.append(first)
        counts.append(np.searchsorted(key, home + (row * columns + 1), side="right") - first)
    total = np.cumsum(np.sum(counts, axis=0))
    begin = 0
    while begin < of.size:
        done = total[begin - 1] if begin else 0
        end = max(int(np.searchsorted(total, done + MOST, side="right")), begin + 1)
        for first, count in zip(lows, counts, strict=True):
            n = count[begin:end]
            i = np.repeat(of[begin:end], n)
            starts = np.repeat(first[begin:end] - (np.cumsum(n) - n), n)
            j = to[starts + np.arange(i.size)]
            gone = a[i] - b[j]
            square = gone[:, 0] ** 2 + gone[:, 1] ** 2
            near = square <= radius * radius
            yield i[near], j[near], square[near]
        begin = end


def _cells(points: Floats, low: Floats, side: float, columns: int) -> Indices:
    """Return the number of the cell of every point, row by row; no neighbor of a cell is across an edge."""
    column, row = np.floor((points - low) / side).astype(np.intp).T
    return np.asarray((row + 1) * columns + column + 1)


def log10_binomial_tail(k: int, n: int, p: float) -> float:
    """Return log10 of the chance of more than `k` hits in `n` trials of chance `p` each.

    Exact in logarithms: chances far below the smallest number of a computer keep their size.
    """
    if k < 0 or p >= 1.0:
        return 0.0 if k < n else -np.inf
    if k >= n or p <= 0.0:
        return -np.inf
    hits = np.arange(k + 1, n + 1, dtype=np.float64)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    choose = log_factorial[n] - log_factorial[k + 1 :] - log_factorial[n - k - 1 :: -1]
    terms = choose + hits * np.log(p) + (n - hits) * np.log1p(-p)
    top = float(terms.max())
    return min((top + float(np.log(np.exp(terms - top).sum()))) / float(np.log(10.0)), 0.0)
