"""Shapes of four stars: their codes, and listing them over the whole sky."""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.skycells import stars_around
from sciastro.kernels.tangent import places_about

__all__ = ["MOST_ALIKE", "UNIT", "alike", "list_quads", "quad_code", "sort_codes", "variant_of"]

CELL = 0.03  # side of a cell of the code space
SIDES = (34, 60, 34, 60)  # cells along x and y of C and D: x from 0 to 1, y from -0.9 to 0.9
LOW = -0.9
UNIT = 30000.0  # of the integers that codes are stored as
MOST_ALIKE = 20000  # room for the quads that are alike: of 14 million, at most 330 were (distance 0.03)
AMBIGUOUS = 0.985  # two sides this equal cannot be told apart


@inner
def _insertion(values, n):
    """Sort the first n integers."""
    for i in range(1, n):
        v = values[i]
        j = i - 1
        while j >= 0 and values[j] > v:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = v


@njit(nogil=True, cache=True, error_model="numpy")
def quad_code(px, py, code, corner, strict):
    """Write the code of four points and their order A, B, C, D; return the length A B, 0 if it has none.

    A and B are the farthest two; C and D in the frame where A is (0, 0) and B (1, 0), so that
    x_C + x_D <= 1 and x_C <= x_D (Lang et al. 2010, AJ 139, 1782, section 2.1, with another frame).
    """
    best, second, a, b = 0.0, 0.0, 0, 1
    for i in range(4):
        for j in range(i + 1, 4):
            d = (px[i] - px[j]) ** 2 + (py[i] - py[j]) ** 2
            if d > best:
                second, best, a, b = best, d, i, j
            elif d > second:
                second = d
    if best <= 0.0 or (strict and second > AMBIGUOUS * AMBIGUOUS * best):
        return 0.0
    c = 0
    while c in (a, b):
        c += 1
    d = c + 1
    while d in (a, b):
        d += 1
    ux, uy = (px[b] - px[a]) / best, (py[b] - py[a]) / best
    xc = (px[c] - px[a]) * ux + (py[c] - py[a]) * uy
    yc = (py[c] - py[a]) * ux - (px[c] - px[a]) * uy
    xd = (px[d] - px[a]) * ux + (py[d] - py[a]) * uy
    yd = (py[d] - py[a]) * ux - (px[d] - px[a]) * uy
    if xc + xd > 1.0:
        xc, yc, xd, yd = 1.0 - xc, -yc, 1.0 - xd, -yd
        a, b = b, a
    if xc > xd:
        xc, yc, xd, yd = xd, yd, xc, yc
        c, d = d, c
    code[0], code[1], code[2], code[3] = xc, yc, xd, yd
    corner[0], corner[1], corner[2], corner[3] = a, b, c, d
    return np.sqrt(best)


@inner
def variant_of(variant, code, corner, pick, tolerance, query, mine):
    """Write a code as it is where ends (bit 1) or inner stars (bit 2) are swapped, and its stars.

    Returns whether the error `tolerance` may have swapped them; variant 0 is the code itself.
    """
    for m in range(4):
        query[m], mine[m] = code[m], pick[corner[m]]
    if variant & 1:
        if abs(code[0] + code[2] - 1.0) > 2 * tolerance:
            return False
        query[0], query[1], query[2], query[3] = 1.0 - code[2], -code[3], 1.0 - code[0], -code[1]
        mine[0], mine[1], mine[2], mine[3] = mine[1], mine[0], mine[3], mine[2]
    if variant & 2:
        if abs(query[2] - query[0]) > 2 * tolerance:
            return False
        query[0], query[1], query[2], query[3] = query[2], query[3], query[0], query[1]
        mine[2], mine[3] = mine[3], mine[2]
    return True


@inner
def alike(query, tolerance, codes, slot_start, hits):
    """Write the quads whose code is within `tolerance` of `query` to `hits`; return how many fit there."""
    low, high = np.empty(4, np.int64), np.empty(4, np.int64)
    for m in range(4):
        base = LOW if m % 2 else 0.0
        low[m] = max(int(np.floor((query[m] - tolerance - base) / CELL)), 0)
        high[m] = min(int(np.floor((query[m] + tolerance - base) / CELL)), SIDES[m] - 1)
    n = 0
    for c0 in range(low[0], high[0] + 1):
        for c1 in range(low[1], high[1] + 1):
            for c2 in range(low[2], high[2] + 1):
                row = ((c0 * SIDES[1] + c1) * SIDES[2] + c2) * SIDES[3]
                # cells along the last axis lie one behind the other
                for p in range(slot_start[row + low[3]], slot_start[row + max(high[3] + 1, low[3])]):
                    e0, e1 = codes[p, 0] / UNIT - query[0], codes[p, 1] / UNIT - query[1]
                    e2, e3 = codes[p, 2] / UNIT - query[2], codes[p, 3] / UNIT - query[3]
                    near = e0 * e0 + e1 * e1 + e2 * e2 + e3 * e3 <= tolerance * tolerance
                    if near and n < hits.size:
                        hits[n] = p
                        n += 1
    return n


@inner
def _slot(code):
    """Return the cell of a code, -1 outside."""
    a = int(code[0] / CELL)
    b = int((code[1] - LOW) / CELL)
    c = int(code[2] / CELL)
    d = int((code[3] - LOW) / CELL)
    if a < 0 or b < 0 or c < 0 or d < 0 or code[1] < LOW or code[3] < LOW:
        return -1
    if a >= SIDES[0] or b >= SIDES[1] or c >= SIDES[2] or d >= SIDES[3]:
        return -1
    return ((a * SIDES[1] + b) * SIDES[2] + c) * SIDES[3] + d


@njit(nogil=True, cache=True, error_model="numpy")
def list_quads(
    ra, dec, xyz, low, side, bands, start, order, most, crowd, reuse, sparse, plenty, quads, codes
):
    """List quads of stars over the whole sky, the brightest of every cell, `low` to `low` sqrt(2) wide.

    Parameters
    ----------
    ra, dec, xyz
        float64 [degree] and unit vectors [star, 3] of one level, brightest first.
    low
        Least diameter [degree].
    side, bands, start, order
        Cells (`sort_cells`); one cell is a place that gets quads.
    most
        Quads per cell.
    crowd
        Brightest stars around a cell that are combined.
    reuse
        How often a star may be used.
    sparse, plenty
        Where fewer stars than this lie around a cell, there are so many times as many quads and uses: a
        frame shows few of the stars there, and must hold all four of a quad.
    quads
        Output int32[quad, 4]: stars A, B, C, D.
    codes
        Output int16[quad, 4] in 1 / `UNIT`.

    Returns
    -------
    int
        Quads listed, at most the length of `quads`.
    """
    used = np.zeros(ra.size, np.int16)
    near = np.empty(4096, np.int32)
    px, py, code, corner = np.empty(4), np.empty(4), np.empty(4), np.empty(4, np.int64)
    qx, qy = np.empty(crowd), np.empty(crowd)
    pick = np.empty(4, np.int64)
    count = 0
    for band in range(bands.size - 1):
        dec0 = min(-90.0 + (band + 0.5) * side, 90.0)
        columns = bands[band + 1] - bands[band]
        for column in range(columns):
            ra0 = (column + 0.5) / columns * 360.0
            n = stars_around(ra0, dec0, 1.1 * low, xyz, side, bands, start, order, near)
            if n < 4:
                continue
            _insertion(near, n)
            times = plenty if n < sparse else 1
            n = min(n, crowd)
            places_about(ra0, dec0, ra, dec, near, n, qx, qy)
            made = 0
            for last in range(3, n):
                for k in range(2, last):
                    for j in range(1, k):
                        for i in range(j):
                            if made >= most * times or count >= quads.shape[0]:
                                break
                            pick[0], pick[1], pick[2], pick[3] = i, j, k, last
                            spent = False
                            for m in range(4):
                                px[m], py[m] = qx[pick[m]], qy[pick[m]]
                                spent = spent or used[near[pick[m]]] >= reuse * times
                            if spent:
                                continue
                            length = quad_code(px, py, code, corner, True)
                            if length < low or length >= 1.41421356 * low:
                                continue
                            mx = 0.5 * (px[corner[0]] + px[corner[1]])
                            my = 0.5 * (py[corner[0]] + py[corner[1]])
                            if abs(mx) > 0.5 * side or abs(my) > 0.5 * side or _slot(code) < 0:
                                continue
                            for m in range(4):
                                quads[count, m] = near[pick[corner[m]]]
                                codes[count, m] = np.int16(np.round(code[m] * UNIT))
                                used[near[pick[m]]] += 1
                            count += 1
                            made += 1
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def sort_codes(codes, start, order):
    """Sort codes (1 / `UNIT`) into cells of the code space; `start` int32[cell + 1], `order` int32[quad]."""
    start[:] = 0
    code = np.empty(4)
    for q in range(codes.shape[0]):
        for m in range(4):
            code[m] = codes[q, m] / UNIT
        start[max(_slot(code), 0) + 1] += 1
    for c in range(start.size - 1):
        start[c + 1] += start[c]
    fill = start[:-1].copy()
    for q in range(codes.shape[0]):
        for m in range(4):
            code[m] = codes[q, m] / UNIT
        c = max(_slot(code), 0)  # rounded over the edge: found by nobody
        order[fill[c]] = q
        fill[c] += 1
