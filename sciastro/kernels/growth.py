"""Large-scale rejection: extended rejected structures of a frame grow, single hits do not.

A satellite or an aircraft is wider than the core that exceeds the threshold; what is left of its wings
survives in every pixel beside it. A rejected sample belongs to a large structure where at least `FEWEST`
of the 15 x 15 samples around it were rejected on the same side: a hit of 3 x 3 pixels is none, a straight
trail of one pixel is. Samples within `reach` of a large structure are rejected with it.
"""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.order import median
from sciastro.kernels.samples import HIGH, LOW, median_factor

__all__ = ["AROUND", "average_again", "grow_marks"]

AROUND = 7  # pixels on each side of a sample in which its company is counted
FEWEST = 12  # rejected samples in its company that make a large structure
GROWN = np.uint8(4)  # bit of samples that were rejected for their company
F0, F1 = np.float32(0.0), np.float32(1.0)


@inner
def _company(marks, side, sums):
    """Write the summed-area table of the marks of one side, int32 (y + 1, x + 1); return their number."""
    rows, columns = marks.shape
    sums[0] = 0
    for y in range(rows):
        before, row, target, total = sums[y], marks[y], sums[y + 1], 0
        target[0] = 0
        for x in range(columns):
            total += 1 if row[x] == side else 0
            target[x + 1] = before[x + 1] + total
    return sums[rows, columns]


@njit(nogil=True, cache=True, error_model="numpy")
def grow_marks(marks, side, reach, touched):
    """Mark the samples within `reach` [pixel] of a large structure with ``side | GROWN``.

    Parameters
    ----------
    marks : uint8[frame, y, x]
        Updated. Samples that are rejected already, on whichever side, keep their mark.
    side : uint8
        `LOW` or `HIGH` of `kernels.samples`.
    reach : int
        0 does nothing.
    touched : uint8[y, x]
        1 is written where a sample of any frame was marked.
    """
    n, rows, columns = marks.shape
    sums = np.empty((rows + 1, columns + 1), np.int32)
    if reach < 1:
        return
    for f in range(n):
        if _company(marks[f], side, sums) < FEWEST:
            continue
        mark = marks[f]
        for y in range(rows):
            top, bottom = max(y - AROUND, 0), min(y + AROUND + 1, rows)
            for x in range(columns):
                if mark[y, x] != side:
                    continue
                left, right = max(x - AROUND, 0), min(x + AROUND + 1, columns)
                number = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
                if number < FEWEST:
                    continue
                for j in range(max(y - reach, 0), min(y + reach + 1, rows)):
                    for i in range(max(x - reach, 0), min(x + reach + 1, columns)):
                        near = (j - y) * (j - y) + (i - x) * (i - x) <= reach * reach
                        if near and mark[j, i] == 0:
                            mark[j, i] = side | GROWN
                            touched[j, i] = 1


@njit(nogil=True, cache=True, error_model="numpy")
def average_again(
    values, variance, weight, share, marks, touched, use_median, image, image_variance, coverage, low, high
):
    """Average the touched pixels again without their marked samples; marks become `LOW` or `HIGH`.

    Where no sample would be left the grown marks are dropped. Marks of missing samples are dropped too.

    Parameters
    ----------
    values, variance : float32[frame, y, x]
    weight : float32[frame]
    share : float32[frame, y, x] or float32[0, 0, 0]
        As in `kernels.reduce.combine`.
    marks : uint8[frame, y, x]
        Updated.
    touched : uint8[y, x]
    use_median : bool
    image, image_variance, coverage : float32[y, x]
    low, high : uint16[y, x]
        Updated.
    """
    n, rows, columns = values.shape
    kept, shared = np.empty(n, np.float32), share.size > 0
    for y in range(rows):
        for x in range(columns):
            if not touched[y, x]:
                continue
            left = 0
            for f in range(n):
                part = share[f, y, x] if shared else F1
                there = (
                    weight[f] > F0 and variance[f, y, x] > F0 and abs(values[f, y, x]) < np.inf and part > F0
                )
                if not there:
                    marks[f, y, x] = 0
                left += 1 if there and marks[f, y, x] == 0 else 0
            center = image[y, x]
            total, norm, square, noise = 0.0, 0.0, 0.0, 0.0
            below, above, count = 0, 0, 0
            for f in range(n):
                if left == 0 and marks[f, y, x] & GROWN:
                    marks[f, y, x] = 0
                marks[f, y, x] &= ~GROWN
                below += 1 if marks[f, y, x] == LOW else 0
                above += 1 if marks[f, y, x] == HIGH else 0
                part = share[f, y, x] if shared else F1
                v, s = values[f, y, x], variance[f, y, x]
                there = weight[f] > F0 and s > F0 and abs(v) < np.inf and part > F0
                if not there or marks[f, y, x]:
                    continue
                w = 1.0 if use_median else weight[f] * part
                kept[count] = v
                count += 1
                total += w * (v - center)
                norm += w
                square += w * w
                noise += w * w * s
            if count == 0:
                continue
            low[y, x], high[y, x] = below, above
            image[y, x] = center + total / norm
            image_variance[y, x] = noise / (norm * norm)
            coverage[y, x] = norm * norm / square
            if use_median:
                image[y, x] = median(kept, count)
                image_variance[y, x] *= median_factor(count)
