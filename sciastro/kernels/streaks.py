"""Faint extended light of a single frame: trails that show only against the stack, and only together.

A satellite of one sigma per pixel is no outlier anywhere, yet stands in the stack as a line. The mean of the
residuals ``z = (x - image) / sqrt(V)`` over `BOX` pixels does find it: against the mean of a wide box around,
so that a sky that differs from frame to frame does not count. Single residuals count at most `CLIP`, so that
no cosmic ray is a streak, and none counts where the image is so steep that seeing explains it.
"""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.noisemodel import largest_steps
from sciastro.kernels.samples import (
    HIGH,
)

__all__ = ["BOX", "REACH", "mark_streaks"]

BOX = 3  # pixels on each side: means over 7 x 7
WIDE = 15  # and over 31 x 31 around
SPREAD = 2  # what lies so near to a find is rejected with it
REACH = WIDE + SPREAD
CLIP = np.float32(3.0)  # sigma that a single residual counts at most: cosmic rays make no streak
F0 = np.float32(0.0)


@inner
def _tables(values, variance, share, shared, base, step, edge, total, number):
    """Write the summed-area tables (y + 1, x + 1) of the clipped residuals and of the samples that count."""
    rows, columns = values.shape
    total[0], number[0] = 0.0, 0
    for y in range(rows):
        along, count = 0.0, 0
        total[y + 1, 0], number[y + 1, 0] = 0.0, 0
        for x in range(columns):
            v, d = variance[y, x], values[y, x] - base[y, x]
            there = v > F0 and abs(d) < np.inf and (not shared or share[y, x] > F0)
            if there:
                sigma = np.sqrt(v)
                if edge * step[y, x] < sigma:
                    along += min(max(d / sigma, -CLIP), CLIP)
                    count += 1
            total[y + 1, x + 1] = total[y, x + 1] + along
            number[y + 1, x + 1] = number[y, x + 1] + count


@inner
def _in_box(table, y, x, half):
    rows, columns = table.shape
    top, bottom = max(y - half, 0), min(y + half + 1, rows - 1)
    left, right = max(x - half, 0), min(x + half + 1, columns - 1)
    return table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]


@njit(nogil=True, cache=True, error_model="numpy")
def mark_streaks(values, variance, weight, share, base, edge, kappa, marks, touched):
    """Mark with `HIGH` what lies on faint extended light of one frame.

    Parameters
    ----------
    values, variance : float32[frame, y, x]
    weight : float32[frame]
    share : float32[frame, y, x] or float32[0, 0, 0]
        Missing samples as in `kernels.reduce.combine`.
    base : float32[y, x]
        The stack.
    edge : float
        Residuals do not count where so many steps of `base` to the next pixel exceed the noise of a sample.
    kappa : float
        Significance of the mean over 7 x 7 pixels above that over 31 x 31, for pixels that are independent.
    marks : uint8[frame, y, x]
        Updated where a sample has no mark.
    touched : uint8[y, x]
        1 is written where a sample of any frame was marked.
    """
    n, rows, columns = values.shape
    total, number = np.empty((rows + 1, columns + 1)), np.empty((rows + 1, columns + 1), np.int32)
    step, shared = np.empty((rows, columns), np.float32), share.size > 0
    largest_steps(base, step)
    fewest = (2 * BOX + 1) ** 2 // 2
    for i in range(n):
        if not weight[i] > F0:
            continue
        _tables(values[i], variance[i], share[i] if shared else base, shared, base, step, edge, total, number)
        mark = marks[i]
        for y in range(rows):
            for x in range(columns):
                inside = _in_box(number, y, x, BOX)
                if inside < fewest:
                    continue
                light = _in_box(total, y, x, BOX)
                if not light > kappa * np.sqrt(inside):  # most pixels end here
                    continue
                beyond = _in_box(number, y, x, WIDE) - inside
                around = (_in_box(total, y, x, WIDE) - light) / beyond if beyond > 0 else 0.0
                if not light - inside * max(around, 0.0) > kappa * np.sqrt(inside):
                    continue
                for j in range(max(y - SPREAD, 0), min(y + SPREAD + 1, rows)):
                    for k in range(max(x - SPREAD, 0), min(x + SPREAD + 1, columns)):
                        if mark[j, k] == 0:
                            mark[j, k] = HIGH
                            touched[j, k] = 1
