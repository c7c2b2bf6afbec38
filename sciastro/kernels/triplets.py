"""Triangles of sparse places of the sky: listed over the whole sky, and compared with those of an image."""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.quads import UNIT
from sciastro.kernels.quadsearch import AT_LEAST, CLOSE, FIRST, MOST_FEW, WIDEST, predicted
from sciastro.kernels.skycells import stars_around
from sciastro.kernels.tangent import away, axes_at, frame_middle, on_plane, place_of, places_about

__all__ = ["CELL", "SIDES", "find_triplets", "list_triplets", "sort_triplets"]

CELL = 0.01  # side of a cell of the shapes
SIDES = (52, 182)  # cells along x from 0 to 0.5 and y from -0.9 to 0.9
LOW = -0.91
AMBIGUOUS = 0.985  # two sides this equal cannot be told apart
FLAT = 0.05  # height over longest side below which a triangle says little
SPARE = 3  # stars of nine cells beyond `crowd`: a quick look, before they are counted in a circle
LOOSE = 12.0  # pixel: of a star from where three others put it


@inner
def _triangle(px, py, code, corner):
    """Write the shape of three points and their order A, B, C; return the lengths of the two longest sides.

    A and B are the farthest two; C in the frame where A is (0, 0) and B (1, 0), so that x_C <= 0.5.
    """
    best, second, c = 0.0, 0.0, 0
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        d = (px[i] - px[j]) ** 2 + (py[i] - py[j]) ** 2
        if d > best:
            second, best, c = best, d, k
        elif d > second:
            second = d
    if best <= 0.0:
        return 0.0, 0.0
    a, b = (c + 1) % 3, (c + 2) % 3
    ux, uy = (px[b] - px[a]) / best, (py[b] - py[a]) / best
    x = (px[c] - px[a]) * ux + (py[c] - py[a]) * uy
    y = (py[c] - py[a]) * ux - (px[c] - px[a]) * uy
    if x > 0.5:
        x, y, a, b = 1.0 - x, -y, b, a
    code[0], code[1] = x, y
    corner[0], corner[1], corner[2] = a, b, c
    return np.sqrt(best), np.sqrt(second)


@inner
def _nearby(ra, dec, side, bands, start):
    """Return about how many stars the cell of a star and its neighbors hold."""
    total = 0
    middle = min(max(int((dec + 90.0) / side), 0), bands.size - 2)
    for band in range(max(middle - 1, 0), min(middle + 2, bands.size - 1)):
        columns = bands[band + 1] - bands[band]
        column = min(int((ra % 360.0) / 360.0 * columns), columns - 1)
        low, high = bands[band] + max(column - 1, 0), bands[band] + min(column + 1, columns - 1)
        total += start[high + 1] - start[low]
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def list_triplets(ra, dec, xyz, shortest, longest, crowd, side, bands, start, order, stars, codes):
    """List the triangles of all stars that have few others around.

    Parameters
    ----------
    ra, dec, xyz
        float64 [degree] and unit vectors [star, 3], brightest first.
    shortest, longest
        Bounds of the longest side [degree].
    crowd
        Stars within `longest`, from which on a star has too many neighbors.
    side, bands, start, order
        Cells (`skycells.sort_cells`).
    stars, codes
        Output int32[triangle, 3]: stars A, B, C; int16[triangle, 2]: shape in 1 / `UNIT`.

    Returns
    -------
    int
        Triangles listed, at most the length of `stars`.
    """
    near = np.empty(4096, np.int32)
    qx, qy = np.empty(crowd + 1), np.empty(crowd + 1)
    px, py, code, corner = np.empty(3), np.empty(3), np.empty(2), np.empty(3, np.int64)
    pick = np.empty(3, np.int64)
    count = 0
    for k in range(ra.size):
        if _nearby(ra[k], dec[k], side, bands, start) > crowd + SPARE:
            continue
        n = stars_around(ra[k], dec[k], longest, xyz, side, bands, start, order, near)
        if n < 3 or n > crowd:
            continue
        places_about(ra[k], dec[k], ra, dec, near, n, qx, qy)
        for j in range(n):
            if near[j] <= k:
                continue
            for i in range(j):
                if near[i] <= k:
                    continue  # each triangle once: with its brightest star
                px[0], px[1], px[2] = 0.0, qx[j], qx[i]
                py[0], py[1], py[2] = 0.0, qy[j], qy[i]
                pick[0], pick[1], pick[2] = k, near[j], near[i]
                length, second = _triangle(px, py, code, corner)
                if length < shortest or length > longest or second > AMBIGUOUS * length:
                    continue
                if abs(code[1]) < FLAT or count >= stars.shape[0]:
                    continue
                for m in range(3):
                    stars[count, m] = pick[corner[m]]
                codes[count, 0], codes[count, 1] = np.round(code[0] * UNIT), np.round(code[1] * UNIT)
                count += 1
    return count


@inner
def _slot(x, y):
    return int(x / CELL) * SIDES[1] + int((y - LOW) / CELL)


@njit(nogil=True, cache=True, error_model="numpy")
def sort_triplets(codes, start, order):
    """Sort shapes into their cells: first entry of every cell, and the triangles cell by cell."""
    start[:] = 0
    for k in range(codes.shape[0]):
        start[_slot(codes[k, 0] / UNIT, codes[k, 1] / UNIT) + 1] += 1
    for c in range(start.size - 1):
        start[c + 1] += start[c]
    fill = start.copy()
    for k in range(codes.shape[0]):
        c = _slot(codes[k, 0] / UNIT, codes[k, 1] / UNIT)
        order[fill[c]] = k
        fill[c] += 1


@inner
def _similarity(x, y, u, v, n, fit):
    """Write the least-squares similarity from (x, y) to (u, v): ar, ai, zr, zi, wr, wi."""
    zr = zi = wr = wi = 0.0
    for m in range(n):
        zr, zi, wr, wi = zr + x[m] / n, zi + y[m] / n, wr + u[m] / n, wi + v[m] / n
    ar = ai = size = 0.0
    for m in range(n):
        a, b, c, d = x[m] - zr, y[m] - zi, u[m] - wr, v[m] - wi
        ar += a * c + b * d
        ai += a * d - b * c
        size += a * a + b * b
    fit[0], fit[1], fit[2], fit[3], fit[4], fit[5] = ar / size, ai / size, zr, zi, wr, wi


@inner
def _agreeing(x, y, n, mirror, rx, ry, gx, gy, n_ref, radius, hx, hy, hu, hv):
    """Write image and plane places of the catalog stars with an image star near; return how many."""
    count = 0
    for j in range(n_ref):
        best, of = radius * radius, -1
        for i in range(n):
            d = (rx[j] - x[i]) ** 2 + (ry[j] - y[i]) ** 2
            if d < best:
                best, of = d, i
        if of >= 0:
            hx[count], hy[count], hu[count], hv[count] = x[of], mirror * y[of], gx[j], gy[j]
            count += 1
    return count


@inner
def _placed(
    s, tx, ty, scale_low, scale_high, ra_hint, dec_hint, radius_hint, xyz, mirror, width, height, axes, tu,
    tv, fit, out,
):  # fmt: skip
    """Write the similarity that lays a triangle on that of the stars `s`; return whether it keeps the bounds.

    The plane touches the sky between the two stars that are farthest apart: out[1], out[2] [degree].
    """
    a, b = s[0], s[1]
    out[1], out[2] = place_of(xyz[a, 0] + xyz[b, 0], xyz[a, 1] + xyz[b, 1], xyz[a, 2] + xyz[b, 2])
    axes_at(np.radians(out[1]), np.radians(out[2]), axes)
    for m in range(3):
        tu[m], tv[m], _ = on_plane(xyz, s[m], axes)
    _similarity(tx, ty, tu, tv, 3, fit)
    scale = np.sqrt(fit[0] * fit[0] + fit[1] * fit[1])
    if not (scale_low <= scale <= scale_high):
        return False
    ra_c, dec_c = frame_middle(fit[0], fit[1], fit[2], fit[3], fit[4], fit[5], mirror, width, height, axes)
    return not away(ra_c, dec_c, ra_hint, dec_hint, radius_hint)


@inner
def _supported(x, y, n, mirror, width, height, near, found, xyz, axes, rx, ry, gx, gy, hx, hy, hu, hv, fit):
    """Fit the similarity to all stars that agree with it, twice; return how many do, 0 where too few."""
    good = 0
    for turn in range(3):
        n_ref = predicted(
            near, found, xyz, axes, mirror, width, height, fit[0], fit[1], fit[2], fit[3], fit[4], fit[5],
            rx, ry, gx, gy,
        )  # fmt: skip
        if n_ref < AT_LEAST or n_ref > MOST_FEW:
            return 0
        good = _agreeing(
            x, y, min(n, FIRST), mirror, rx, ry, gx, gy, n_ref, LOOSE if turn == 0 else CLOSE, hx, hy, hu, hv
        )
        if good < AT_LEAST or 2 * good < n_ref:
            return 0
        _similarity(hx, hy, hu, hv, good, fit)
    return good


@njit(nogil=True, cache=True, error_model="numpy")
def find_triplets(
    x, y, first, mirror, width, height, tolerance, scale_low, scale_high, ra_hint, dec_hint, radius_hint,
    codes, stars, slot_start, xyz, side, bands, start, order, out,
):  # fmt: skip
    """Compare every triangle of the image with those of sparse places, from triangle `first` on.

    Parameters
    ----------
    x, y
        float64 image stars [pixel], brightest first; all are combined.
    mirror, width, height, tolerance, scale_low, ..., radius_hint
        As for `quadsearch.find_places`.
    codes, stars, slot_start
        Triangles in the order of their shapes.
    xyz, side, bands, start, order
        Stars and their cells.
    out
        Output float64[14] as that of `find_places`; 9 counts the triangles compared.

    Returns
    -------
    int
        The image triangle that has found a place, -1 without one.
    """
    n = x.size
    px, py, code, corner = np.empty(3), np.empty(3), np.empty(2), np.empty(3, np.int64)
    tx, ty, tu, tv = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    rx, ry, near = np.empty(4000), np.empty(4000), np.empty(4000, np.int32)
    gx, gy, fit, axes = np.empty(4000), np.empty(4000), np.empty(6), np.empty((3, 3))
    hx, hy, hu, hv = np.empty(MOST_FEW), np.empty(MOST_FEW), np.empty(MOST_FEW), np.empty(MOST_FEW)
    reach = 0.5 * np.sqrt(width * width + height * height)
    number = -1
    for k in range(2, n):
        for j in range(1, k):
            for i in range(j):
                number += 1
                if number < first:
                    continue
                px[0], px[1], px[2] = x[i], x[j], x[k]
                py[0], py[1], py[2] = mirror * y[i], mirror * y[j], mirror * y[k]
                length, _ = _triangle(px, py, code, corner)
                if length <= 0.0 or abs(code[1]) < FLAT:
                    continue
                for swapped in range(2):
                    cx, cy = code[0], code[1]
                    a, b = corner[0], corner[1]
                    if swapped:
                        if cx < 0.5 - tolerance:
                            continue
                        cx, cy, a, b = 1.0 - cx, -cy, b, a
                    tx[0], tx[1], tx[2] = px[a], px[b], px[corner[2]]
                    ty[0], ty[1], ty[2] = py[a], py[b], py[corner[2]]
                    x0 = max(int((cx - tolerance) / CELL), 0)
                    x1 = min(int((cx + tolerance) / CELL), SIDES[0] - 1)
                    y0 = max(int((cy - tolerance - LOW) / CELL), 0)
                    y1 = min(int((cy + tolerance - LOW) / CELL), SIDES[1] - 1)
                    for c in range(x0, x1 + 1):
                        for p in range(slot_start[c * SIDES[1] + y0], slot_start[c * SIDES[1] + y1 + 1]):
                            e0, e1 = codes[p, 0] / UNIT - cx, codes[p, 1] / UNIT - cy
                            if e0 * e0 + e1 * e1 > tolerance * tolerance:
                                continue
                            out[9] += 1
                            if not _placed(
                                stars[p], tx, ty, scale_low, scale_high, ra_hint, dec_hint, radius_hint, xyz,
                                mirror, width, height, axes, tu, tv, fit, out,
                            ):  # fmt: skip
                                continue
                            ra_c, dec_c = frame_middle(
                                fit[0], fit[1], fit[2], fit[3], fit[4], fit[5], mirror, width, height, axes
                            )
                            around = min(reach * np.sqrt(fit[0] * fit[0] + fit[1] * fit[1]), WIDEST)
                            found = stars_around(ra_c, dec_c, around, xyz, side, bands, start, order, near)
                            good = _supported(
                                x, y, n, mirror, width, height, near, found, xyz, axes, rx, ry, gx, gy, hx,
                                hy, hu, hv, fit,
                            )  # fmt: skip
                            if good > 0:
                                out[0], out[3], out[4], out[5], out[6] = good, fit[0], fit[1], fit[2], fit[3]
                                out[11], out[12], out[13] = fit[4], fit[5], 1.0
                                return number
    return -1
