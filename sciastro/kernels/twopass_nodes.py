"""Where a frame's rows and an output row's pixels lie between nodes, for `kernels.twopass`."""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.warp import PHASES, TAPS

__all__ = [
    "BLOCK",
    "CELL",
    "CLEAN",
    "CLEAR",
    "DIRTY",
    "DROPPED",
    "HIGH",
    "HS",
    "HV",
    "LOW",
    "ONE",
    "OUTSIDE",
    "SHARE",
    "USED",
    "areas_of",
    "is_smooth",
    "padded_table",
    "pixel_nodes",
    "position_of",
    "row_nodes_at",
    "run_of",
    "span_of_rows",
    "weights_of",
]

CELL = 16  # canvas pixels between nodes
BLOCK = 256  # columns done together: their interpolated rows stay in the second-level cache
LITTLE = 40  # phases; weights are interpolated up to here: wrong by 40**2 / 8 / PHASES**2 w'' = 0.0006
ONE, SHARE = np.float32(1.0), np.float32(1.0 / CELL)
CLEAR = np.uint16(0)
HS, HV, LOW, HIGH, USED, DROPPED = range(6)  # planes of interpolated rows
CLEAN, DIRTY, OUTSIDE = np.uint8(0), np.uint8(1), np.uint8(3)  # a cell of a row; OUTSIDE is not filled in


def padded_table(table: np.ndarray) -> np.ndarray:
    """Return a table (phase, tap) of `kernels.warp.warp_table` as `two_pass` wants it: flat, 8 per phase."""
    out = np.zeros((PHASES, 8), np.float32)
    out[:, :TAPS] = table
    return out.ravel()


@inner
def _cross(nodes_x, nodes_y, y, i, k):
    """Return where output column node `i` crosses input row `y` [pixel]; node row `k` is where to look."""
    last = nodes_y.shape[0] - 2
    while k < last and nodes_y[k + 1, i] <= y:
        k += 1
    while k > 0 and nodes_y[k, i] > y:
        k -= 1
    t = (y - nodes_y[k, i]) / (nodes_y[k + 1, i] - nodes_y[k, i])
    return nodes_x[k, i] + t * (nodes_x[k + 1, i] - nodes_x[k, i]), k


@inner
def _fixed(position, window):
    """Return a frame position in 1 / PHASES pixel of the window; rounded first: the same for every window."""
    position = min(max(position, -1e6), 1e6)
    return np.int32(np.int64(np.floor(position * PHASES + 0.5)) - window * PHASES)


@inner
def row_nodes_at(nodes_x, nodes_y, y, first, count, window_x0, near, out):
    """Write where column nodes cross input row `y`; `near` remembers the node rows."""
    k = min(near[first], nodes_y.shape[0] - 2)
    while k < nodes_y.shape[0] - 2 and nodes_y[k + 1, first] <= y:
        k += 1
    near[first] = k
    x0, x1 = nodes_x[k, first : first + count], nodes_x[k + 1, first : first + count]
    y0, y1 = nodes_y[k, first : first + count], nodes_y[k + 1, first : first + count]
    between = True
    for i in range(count):
        between &= (y0[i] <= y) & (y < y1[i])
    if between:  # nearly always: no search, and the loop vectorizes
        for i in range(count):
            x = x0[i] + (y - y0[i]) / (y1[i] - y0[i]) * (x1[i] - x0[i])
            out[i] = _fixed(x, window_x0)
        return
    for i in range(count):
        x, near[first + i] = _cross(nodes_x, nodes_y, y, first + i, near[first + i])
        out[i] = _fixed(x, window_x0)


@inner
def pixel_nodes(nodes_y, row, first, count, window_y0, out):
    """Write the input y of the nodes of an output row; `row` counts from the node row that encloses it."""
    j = row // CELL + 1  # the nodes begin one row early
    t = (row - (j - 1) * CELL) / CELL
    for i in range(first, first + count):
        out[i - first] = _fixed(nodes_y[j, i] + t * (nodes_y[j + 1, i] - nodes_y[j, i]), window_y0)


@inner
def is_smooth(qa, qb, rise):
    """Return whether the weights between two nodes are interpolated; `rise` is a whole cell, or 0."""
    change = qb - qa - rise
    after = (qa & (PHASES - 1)) + change
    return -LITTLE <= change <= LITTLE and 0 <= after < PHASES


@inner
def position_of(qa, qb, inside):
    """Return the position of a pixel between two nodes; exact where they are a whole cell apart."""
    return qa + (((qb - qa) * np.int32(inside) + np.int32(CELL // 2)) >> 4)


@inner
def weights_of(table, qa, qb, rise, inside, weights):
    """Write the six weights of one pixel between two nodes and return the input pixel below its position."""
    if is_smooth(qa, qb, rise):
        a = qa & (PHASES - 1)
        b, t = a + (qb - qa - rise), np.float32(inside) * SHARE
        for k in range(TAPS):
            wa = table[8 * a + k]
            weights[k] = wa + (table[8 * b + k] - wa) * t
        return (qa >> 10) + (inside if rise else 0)
    q = position_of(qa, qb, inside)
    for k in range(TAPS):
        weights[k] = table[8 * (q & (PHASES - 1)) + k]
    return q >> 10


@inner
def run_of(q, k, cells, offset, start, n, rise):
    """Return where the run that begins at pixel `start` of cell `k` ends: pixel, cell, and if one phase.

    A run falls on consecutive input columns (`rise` a whole cell) or on one input row (`rise` 0).
    """
    begin = k * CELL - offset
    if not is_smooth(q[k], q[k + 1], rise):
        stop = min(begin + CELL, n)
        step = 1 if rise else 0
        first = position_of(q[k], q[k + 1], start - begin) >> 10
        p = start + 1
        while p < stop and (position_of(q[k], q[k + 1], p - begin) >> 10) == first + (p - start) * step:
            p += 1
        return p, (k + 1 if p == stop else k), False
    level = q[k + 1] - q[k] == rise
    e = k + 1
    while e < cells:
        flat = q[e + 1] - q[e] == rise
        if flat != level or not is_smooth(q[e], q[e + 1], rise):
            break
        if (q[e] >> 10) != (q[k] >> 10) + (e - k) * (rise >> 10):
            break
        if level and (q[e] & (PHASES - 1)) != (q[k] & (PHASES - 1)):
            break
        e += 1
    return min(e * CELL - offset, n), e, level


@inner
def span_of_rows(nodes_y, skip_y, r, rows, first, count, window_y0, q):
    """Return the first and last input row that a block of output rows needs."""
    low, high = np.int32(1 << 30), np.int32(-(1 << 30))
    for edge in (r, r + rows - 1):
        pixel_nodes(nodes_y, edge + skip_y, first, count, window_y0, q)
        for i in range(count):
            low, high = min(low, q[i]), max(high, q[i])
    return (low >> 10) - 2, (high >> 10) + 3


@inner
def areas_of(nodes_x, nodes_y, holds_flux):
    """Return the Jacobian of the map in the middle of every cell; 1 for surface brightness."""
    area = np.ones((nodes_x.shape[0] - 1, nodes_x.shape[1] - 1), np.float32)
    for j in range(area.shape[0] if holds_flux else 0):
        for i in range(area.shape[1]):
            xu = nodes_x[j, i + 1] - nodes_x[j, i] + nodes_x[j + 1, i + 1] - nodes_x[j + 1, i]
            yu = nodes_y[j, i + 1] - nodes_y[j, i] + nodes_y[j + 1, i + 1] - nodes_y[j + 1, i]
            xv = nodes_x[j + 1, i] - nodes_x[j, i] + nodes_x[j + 1, i + 1] - nodes_x[j, i + 1]
            yv = nodes_y[j + 1, i] - nodes_y[j, i] + nodes_y[j + 1, i + 1] - nodes_y[j, i + 1]
            area[j, i] = abs(xu * yv - xv * yu) / (4 * CELL * CELL)
    return area
