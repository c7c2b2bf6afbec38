"""Take a mosaic apart without interpolation: the samples of one color, and cells of X-Trans sensors.

`codes` is the color of each phase of the pattern, int8 (p, p), 0 red, 1 green, 2 blue, rolled so that
[0, 0] is the first pixel of the window (`core.cfa.rolled`).
"""

import numpy as np

from sciastro.kernels.jit import njit

__all__ = ["add_centered", "cells", "keep_color"]

ZERO, ONE, INF, NAN = (np.float32(value) for value in (0.0, 1.0, np.inf, np.nan))
DO_NOT_USE, NO_DATA, CLEAR = np.uint16(1 << 0), np.uint16(1 << 13), np.uint16(0)
FATAL = DO_NOT_USE | NO_DATA


@njit(nogil=True, cache=True, error_model="numpy")
def keep_color(signal, variance, quality, codes, color, out, out_variance, out_quality):
    """Copy the samples of one color; every other pixel is missing.

    Parameters
    ----------
    signal, variance, quality
        float32, float32, uint16 (y, x). Variance may have shape (0, 0): then it is not copied.
    codes
        See the module.
    color
        0 red, 1 green, 2 blue.
    out, out_variance, out_quality
        (y, x), written. Pixels of other colors: NaN, NaN, NO_DATA and DO_NOT_USE (and nothing else: what
        is wrong with the sample of another color does not matter here).
    """
    height, width = signal.shape
    side = codes.shape[0]
    keep = np.empty((side, width), np.bool_)
    for j in range(side):
        for x in range(width):
            keep[j, x] = codes[j, x % side] == color
    for y in range(height):
        own = keep[y % side]
        for x in range(width):
            out[y, x] = signal[y, x] if own[x] else NAN
        for x in range(width):
            out_quality[y, x] = quality[y, x] if own[x] else FATAL
        if variance.size:
            for x in range(width):
                out_variance[y, x] = variance[y, x] if own[x] else NAN


@njit(nogil=True, cache=True, error_model="numpy")
def cells(signal, variance, quality, codes, side, skip_y, skip_x, out, out_variance, out_quality):
    """Make one pixel of each color from every cell of `side` x `side` pixels: the mean of its samples.

    Parameters
    ----------
    signal, variance, quality
        float32, float32, uint16 (y, x). Variance may have shape (0, 0): then it is not computed.
    codes
        See the module.
    side
        3 for X-Trans.
    skip_y, skip_x
        First row and column of the first cell.
    out, out_variance, out_quality
        (3, rows, columns), written. Missing samples, and those of a cell that reaches beyond the window, are
        left out; DO_NOT_USE and NO_DATA remain only where no sample was left.
    """
    height, width = signal.shape
    columns, p = out.shape[2], codes.shape[0]
    number, noise = np.empty((3, columns), np.float32), np.empty((3, columns), np.float32)
    with_variance = variance.size > 0
    for j in range(out.shape[1]):
        out[:, j], out_quality[:, j] = ZERO, CLEAR
        number[:], noise[:] = ZERO, ZERO
        for y in range(side * j + skip_y, min(side * j + skip_y + side, height)):
            for dx in range(side):
                for x in range(dx + skip_x, min(side * columns + skip_x, width), side):
                    i, c = (x - skip_x) // side, codes[y % p, x % p]
                    out_quality[c, j, i] |= quality[y, x]
                    if abs(signal[y, x]) < INF:
                        out[c, j, i] += signal[y, x]
                        number[c, i] += ONE
                        if with_variance:
                            noise[c, i] += variance[y, x]
        for c in range(3):
            for i in range(columns):
                n = number[c, i]
                out[c, j, i] = out[c, j, i] / n if n > ZERO else NAN
                bits = out_quality[c, j, i]
                out_quality[c, j, i] = bits & ~FATAL if n > ZERO else bits | FATAL
                if with_variance:
                    out_variance[c, j, i] = noise[c, i] / (n * n) if n > ZERO else NAN


@njit(nogil=True, cache=True, error_model="numpy")
def add_centered(planes, quality, numbers, offsets, out, out_quality):
    """Add the colors of every cell, each interpolated linearly to the center of the cell.

    Parameters
    ----------
    planes, quality
        float32, uint16 (3, y, x): mean sample of each color, bits.
    numbers
        float32 (3,): samples that each color has in a cell.
    offsets
        float32 (3, 2): where each color was sampled, (dx, dy) from the center of the cell, below 1 [cell].
    out, out_quality
        (y, x), written: the sum over the samples of a cell; the OR of the bits of all colors there.
    """
    height, width = out.shape
    out[:], out_quality[:] = ZERO, CLEAR
    row = np.empty(width + 2, np.float32)
    for c in range(3):
        dx, dy, n = offsets[c, 0], offsets[c, 1], numbers[c]
        step, side = (1 if dy < ZERO else -1), (2 if dx < ZERO else 0)
        far_y, far_x = abs(dy), abs(dx)
        near_y, near_x = n * (ONE - far_y), ONE - far_x
        far_y *= n
        for y in range(height):
            here, there = planes[c, y], planes[c, min(max(y + step, 0), height - 1)]
            for x in range(width):
                row[x + 1] = near_y * here[x] + (far_y * there[x] if far_y > ZERO else ZERO)
            row[0], row[width + 1] = row[1], row[width]
            for x in range(width):
                out[y, x] += near_x * row[x + 1] + (far_x * row[x + side] if far_x > ZERO else ZERO)
            for x in range(width):
                out_quality[y, x] |= quality[c, y, x]
