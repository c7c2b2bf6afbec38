"""Drop the pixels of a frame onto a finer grid (Fruchter & Hook 2002) with variance and quality.

Every input pixel is shrunk to a drop of side `pixfrac`; an output pixel takes the mean of the drops that
rain on it, weighted by the area that each shares with it. Done from the output side: an output pixel is a
parallelogram on the frame (maps are affine between nodes), and its overlap with the drops, which are squares
there, is the same area as that of the mapped drops with the square output pixel. So no map is inverted, and
an output pixel does not depend on the tile in which it is made.

Where the four edges of drops that can cut a pixel pass from side to side of it, all overlaps have a closed
form (`_square_row`, vectorized along the row); other pixels, few for small rotations, are done one by one
(`_pixel`). Both are exact.
"""

import numpy as np
from numba import njit

__all__ = ["POINT", "SQUARE", "TURBO", "drizzle", "overlap"]

SQUARE, TURBO, POINT = 0, 1, 2
TIE = 1 << 30  # a point on the border of two pixels belongs to one: positions are rounded to 1 / TIE

NO_DATA_EDGE = np.uint16((1 << 13) | (1 << 9))
NO_DATA = np.uint16(1 << 13)
DO_NOT_USE = np.uint16(1)
CLEAR = np.uint16(0)
F0, F1, HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)
NAN = np.float32(np.nan)


@njit(nogil=True, cache=True, error_model="numpy")
def _under_edge(x0, y0, x1, y1, side):
    """Return the area between an edge and the lower border of the box 0..side, 0..side, signed by dx."""
    a, b = min(max(x0, 0.0), side), min(max(x1, 0.0), side)
    if a == b:
        return 0.0
    slope = (y1 - y0) / (x1 - x0)
    ya, yb = y0 + slope * (a - x0), y0 + slope * (b - x0)
    if ya <= 0.0 and yb <= 0.0:
        return 0.0
    if ya >= side and yb >= side:
        return side * (b - a)
    if 0.0 <= ya <= side and 0.0 <= yb <= side:
        return 0.5 * (ya + yb) * (b - a)
    # Integral over y of the height cut to 0..side, from ya to yb.
    low, high = min(max(ya, 0.0), side), min(max(yb, 0.0), side)
    total = 0.5 * (high * high - low * low) + side * (max(yb - side, 0.0) - max(ya - side, 0.0))
    return total * (b - a) / (yb - ya)


@njit(nogil=True, cache=True, error_model="numpy")
def overlap(cx, cy, exx, exy, eyx, eyy, side):
    """Return the share of a parallelogram that lies in a square, exactly.

    Parameters
    ----------
    cx, cy
        Center of the parallelogram, from the center of the square.
    exx, exy, eyx, eyy
        Its sides (exx, eyx) and (exy, eyy).
    side
        Of the square.
    """
    x, y = cx + 0.5 * side, cy + 0.5 * side  # from the lower left corner
    ax, ay, bx, by = 0.5 * (exx + exy), 0.5 * (eyx + eyy), 0.5 * (exx - exy), 0.5 * (eyx - eyy)
    area = _under_edge(x - ax, y - ay, x + bx, y + by, side)
    area += _under_edge(x + bx, y + by, x + ax, y + ay, side)
    area += _under_edge(x + ax, y + ay, x - bx, y - by, side)
    area += _under_edge(x - bx, y - by, x - ax, y - ay, side)
    return min(max(-area / (exx * eyy - exy * eyx), 0.0), 1.0)


@njit(nogil=True, cache=True, error_model="numpy")
def _shared(offset, drop):
    """Return the length that an interval of length `drop` at `offset` shares with -1/2..1/2."""
    return max(min(0.5, offset + 0.5 * drop) - max(-0.5, offset - 0.5 * drop), 0.0)


@njit(nogil=True, cache=True, error_model="numpy")
def _weight(kernel, fx, fy, exx, exy, eyx, eyy, pixfrac):
    """Return the overlap of a drop with an output pixel, whose center is (`fx`, `fy`) from the drop's."""
    if kernel == SQUARE:
        return overlap(fx, fy, exx, exy, eyx, eyy, pixfrac)
    area = exx * eyy - exy * eyx
    u, v = -(eyy * fx - exy * fy) / area, -(exx * fy - eyx * fx) / area  # drop's center on the canvas
    if kernel == TURBO:
        drop = pixfrac / np.sqrt(area)
        return _shared(u, drop) * _shared(v, drop)
    u, v = np.floor((u + 0.5) * TIE + 0.5), np.floor((v + 0.5) * TIE + 0.5)
    return 1.0 if 0 <= u < TIE and 0 <= v < TIE else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _reach(kernel, ex, ey, pixfrac):
    """Return how far from a pixel's center drops may lie along one axis of the frame [pixel]."""
    if kernel == SQUARE:
        return 0.5 * (abs(ex) + abs(ey) + pixfrac)
    drop = 0.0 if kernel == POINT else pixfrac / np.sqrt(ex * ex + ey * ey) * 1.5
    return 0.5 * (abs(ex) + abs(ey)) * (1.0 + drop)


@njit(nogil=True, cache=True, error_model="numpy")
def _pixel(packed, quality, x0, y0, kernel, cx, cy, exx, exy, eyx, eyy, pixfrac):
    """Return sum(a), sum(a x), sum(a2 V), sum(a V), quality bits and clean flag of one output pixel."""
    height, width = quality.shape
    reach_x, reach_y = _reach(kernel, exx, exy, pixfrac), _reach(kernel, eyy, eyx, pixfrac)
    share, total, noise, level = 0.0, 0.0, 0.0, 0.0
    bits, causes, clean = CLEAR, CLEAR, True
    for row in range(int(np.ceil(cy - reach_y)), int(np.floor(cy + reach_y)) + 1):
        for column in range(int(np.ceil(cx - reach_x)), int(np.floor(cx + reach_x)) + 1):
            a = _weight(kernel, cx - column, cy - row, exx, exy, eyx, eyy, pixfrac)
            if not a > 0.0:
                continue
            j, i = row - y0, column - x0
            if not (0 <= j < height and 0 <= i < width):
                clean = False
                causes |= NO_DATA_EDGE
            elif not packed[j, i, 2] > F0:
                clean = False
                causes |= quality[j, i]
            else:
                share += a
                total += a * packed[j, i, 0]
                noise += a * a * packed[j, i, 1]
                level += a * packed[j, i, 1]
                bits |= quality[j, i]
    if share > 0.0:
        return share, total, noise, level, bits, clean
    return share, total, noise, level, (causes if causes != CLEAR else NO_DATA) | DO_NOT_USE, False


@njit(nogil=True, cache=True, error_model="numpy")
def _pack(signal, variance, quality, exclude, packed):
    """Write signal, variance and 1 of usable pixels, zeros for the others; return the OR of all bits."""
    found = CLEAR
    for r in range(signal.shape[0]):
        s, v, q, out = signal[r], variance[r], quality[r], packed[r]
        for p in range(s.shape[0]):
            # s - s and v - v are 0 for finite numbers, NaN otherwise.
            fine = (s[p] - s[p] == F0) & (v[p] - v[p] == F0) & (v[p] >= F0) & ((q[p] & exclude) == 0)
            out[p, 0], out[p, 1], out[p, 2] = s[p] if fine else F0, v[p] if fine else F0, F1 if fine else F0
            found |= q[p]
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def _corner(s, t, cut_s, cut_t, m, n, half_m, half_n, k):
    """Return the share of a unit pixel below two lines that run straight across."""
    u, v = k * (s - m * t) + HALF, k * (t - n * s) + HALF
    both = u * v + half_m * v * v + half_n * u * u
    a, b = min(max(s + HALF, F0), F1), min(max(t + HALF, F0), F1)
    return both if cut_s & cut_t else a * b


@njit(nogil=True, cache=True, error_model="numpy")
def _square_row(fx, fy, exx, exy, eyx, eyy, pixfrac, n, a00, a10, a01, a11, again):
    """Overlaps of `n` pixels with the four drops around their centers (`fx`, `fy` from the lower left one).

    In coordinates s, t of the pixel (-1/2 to 1/2), the border x = r of a drop is the line
    ``s = (r - fx) / exx - m t``, the border y = r is ``t = (r - fy) / eyy - n s``. Where both cross the pixel
    from side to side and meet at (s0, t0), the part of the pixel below both is
    ``S T + m T2 / 2 + n S2 / 2`` with S = s0 + 1/2, T = t0 + 1/2. `again` marks pixels where a border cuts
    off a corner only, or where another drop reaches in.
    """
    m, mm = np.float32(exy / exx), np.float32(abs(exy / exx) / 2)
    q, qq = np.float32(eyx / eyy), np.float32(abs(eyx / eyy) / 2)
    k = np.float32(1.0 / (1.0 - (exy / exx) * (eyx / eyy)))
    half_m, half_q = HALF * m, HALF * q
    ix, iy = np.float32(1.0 / exx), np.float32(1.0 / eyy)
    h, far = np.float32(0.5 * pixfrac), np.float32(1.0 + 0.5 * pixfrac)
    near = np.float32(1.0 - 0.5 * pixfrac)
    for p in range(n):
        x, y = fx[p], fy[p]
        sr, sl, tr, tl = (h - x) * ix, (x - near) * ix, (h - y) * iy, (y - near) * iy
        dr, dl, er, el = abs(abs(sr) - HALF), abs(abs(sl) - HALF), abs(abs(tr) - HALF), abs(abs(tl) - HALF)
        outer = (
            ((x + h) * ix >= HALF + mm) & ((far - x) * ix >= HALF + mm)
            & ((y + h) * iy >= HALF + qq) & ((far - y) * iy >= HALF + qq)
        )  # fmt: skip
        fine = (dr >= mm) & (dl >= mm) & (er >= qq) & (el >= qq) & outer
        again[p] = 0 if fine else 1
        cr, cl, kr, kl = abs(sr) < HALF, abs(sl) < HALF, abs(tr) < HALF, abs(tl) < HALF
        a00[p] = _corner(sr, tr, cr, kr, m, q, half_m, half_q, k)
        a10[p] = _corner(sl, tr, cl, kr, -m, -q, -half_m, -half_q, k)
        a01[p] = _corner(sr, tl, cr, kl, -m, -q, -half_m, -half_q, k)
        a11[p] = _corner(sl, tl, cl, kl, m, q, half_m, half_q, k)


@njit(nogil=True, cache=True, error_model="numpy")
def drizzle(
    signal,
    variance,
    quality,
    window_y0,
    window_x0,
    nodes_x,
    nodes_y,
    step,
    skip_y,
    skip_x,
    rim,
    kernel,
    pixfrac,
    exclude,
    holds_flux,
    scale,
    pedestal,
    offset,
    out_signal,
    out_variance,
    out_quality,
    out_share,
    sums,
):
    """Drop a window of one frame onto a tile: ``out = (sum(a x) / sum(a) - pedestal) * scale * J + offset``.

    Parameters
    ----------
    signal, variance : float32[h, w]
        Window of the frame; NaN (or a negative variance) is missing. What lies outside the window
        counts as outside the frame.
    quality : uint16[h, w]
        Quality bits of the window.
    window_y0, window_x0 : int
        Frame pixel of ``signal[0, 0]``.
    nodes_x, nodes_y : float64[ny, nx]
        Frame position of output pixels ``(j * step - skip_y, i * step - skip_x)``, enclosing all of them;
        finite; frame x must grow along rows and y along columns faster than the other way round.
    step : int
        Output pixels between nodes.
    skip_y, skip_x : int
        Output pixels by which the first node lies before the tile, 0 to ``step - 1``.
    rim : int
        Width of the border of the tile that `sums` leave out.
    kernel : int
        `SQUARE`: the drop is a square on the frame, its overlap exact. `TURBO`: the drop is a square along
        the axes of the output, of the same area. `POINT`: all of a pixel falls at its center.
    pixfrac : float
        Side of the drop [input pixel], above 0 to 1.
    exclude : uint16
        Input pixels with any of these bits are not dropped.
    holds_flux : bool
        J is the Jacobian determinant of the map (pixels hold flux), else 1 (surface brightness).
    scale, pedestal, offset : float32
        Linear change of the values, see above.
    out_signal, out_variance : float32[H, W]
        Written; NaN where nothing falls. ``out_variance = sum(a**2 V) / sum(a)**2 (scale J)**2``.
    out_quality : uint16[H, W]
        Written; OR of the inputs with a > 0; where nothing falls DO_NOT_USE and the bits of the causes.
    out_share : float32[H, W]
        Written; sum(a): the covered share of the output pixel, 0 where nothing falls (for `POINT` the
        number of samples).
    sums : float64[3]
        Added to, over output pixels all of whose drops are there: variance of large areas per pixel
        ``scale**2 J**2 D sum(a V)`` with D the area of a drop in output pixels, that of single pixels
        ``scale**2 J**2 sum(a**2 V)``, and 1. Both are for sums of ``a x``, hence for values where sum(a) is
        even.
    """
    height, width = out_signal.shape
    h_in, w_in = signal.shape
    packed = np.empty((h_in, w_in, 4), np.float32)
    any_bits = _pack(signal, variance, quality, exclude, packed)
    fx, fy = np.empty((2, step), np.float32)
    a00, a10, a01, a11 = np.empty((4, step), np.float32)
    columns, rows = np.empty((2, step), np.int64)
    again = np.ones(step, np.uint8)
    sum_large, sum_single, count = 0.0, 0.0, 0
    for r in range(height):
        j = (r + skip_y) // step
        t = (r + skip_y - j * step) / step
        counted = rim <= r < height - rim
        for i in range(nodes_x.shape[1] - 1):
            first, last = max(i * step - skip_x, 0), min((i + 1) * step - skip_x, width)
            n = last - first
            xa = nodes_x[j, i] + t * (nodes_x[j + 1, i] - nodes_x[j, i])
            xb = nodes_x[j, i + 1] + t * (nodes_x[j + 1, i + 1] - nodes_x[j, i + 1])
            ya = nodes_y[j, i] + t * (nodes_y[j + 1, i] - nodes_y[j, i])
            yb = nodes_y[j, i + 1] + t * (nodes_y[j + 1, i + 1] - nodes_y[j, i + 1])
            # Sides of an output pixel on the frame: along the row, and up in the middle of the cell.
            exx, eyx = (xb - xa) / step, (yb - ya) / step
            exy = 0.5 * (nodes_x[j + 1, i] - nodes_x[j, i] + nodes_x[j + 1, i + 1] - nodes_x[j, i + 1]) / step
            eyy = 0.5 * (nodes_y[j + 1, i] - nodes_y[j, i] + nodes_y[j + 1, i + 1] - nodes_y[j, i + 1]) / step
            area = exx * eyy - exy * eyx
            factor = np.float32(scale * (area if holds_flux else 1.0))
            drop = (pixfrac * pixfrac if kernel != POINT else 1.0) / area
            inside = first + skip_x - i * step
            for p in range(n):
                x, y = xa + exx * (p + inside), ya + eyx * (p + inside)
                left, below = np.floor(x), np.floor(y)
                fx[p], fy[p] = np.float32(x - left), np.float32(y - below)
                columns[p], rows[p] = np.int64(left) - window_x0, np.int64(below) - window_y0
            if kernel == SQUARE:
                _square_row(fx, fy, exx, exy, eyx, eyy, pixfrac, n, a00, a10, a01, a11, again)
            signal_row, variance_row = out_signal[r, first:last], out_variance[r, first:last]
            quality_row, share_row = out_quality[r, first:last], out_share[r, first:last]
            large, single, good = 0.0, 0.0, 0
            for p in range(n):
                column, row = columns[p], rows[p]
                if again[p] or not (0 <= row < h_in - 1 and 0 <= column < w_in - 1):
                    share, total, noise, level, bits, clean = _pixel(
                        packed, quality, window_x0, window_y0, kernel,
                        xa + exx * (p + inside), ya + eyx * (p + inside), exx, exy, eyx, eyy, pixfrac,
                    )  # fmt: skip
                    share_row[p], quality_row[p] = share, bits
                    if share > 0.0:
                        signal_row[p] = (np.float32(total / share) - pedestal) * factor + offset
                        variance_row[p] = np.float32(noise / (share * share)) * factor * factor
                    else:
                        signal_row[p], variance_row[p] = NAN, NAN
                    if clean and counted and rim <= first + p < width - rim:
                        large += level
                        single += noise
                        good += 1
                    continue
                lower, upper = packed[row], packed[row + 1]
                a, b, c, d = a00[p], a10[p], a01[p], a11[p]
                e, f = column, column + 1
                wa, wb, wc, wd = a * lower[e, 2], b * lower[f, 2], c * upper[e, 2], d * upper[f, 2]
                covered = wa + wb + wc + wd
                summed = a * lower[e, 0] + b * lower[f, 0] + c * upper[e, 0] + d * upper[f, 0]
                va, vb, vc, vd = a * lower[e, 1], b * lower[f, 1], c * upper[e, 1], d * upper[f, 1]
                spread = a * va + b * vb + c * vc + d * vd
                share_row[p] = covered
                clean = covered == a + b + c + d
                bits = CLEAR
                if any_bits:
                    bits = quality[row, e] | quality[row, f] | quality[row + 1, e] | quality[row + 1, f]
                    if bits:
                        bits = quality[row, e] if wa > F0 else CLEAR
                        bits |= quality[row, f] if wb > F0 else CLEAR
                        bits |= quality[row + 1, e] if wc > F0 else CLEAR
                        bits |= quality[row + 1, f] if wd > F0 else CLEAR
                if covered > F0:
                    norm = F1 / covered
                    signal_row[p] = (summed * norm - pedestal) * factor + offset
                    variance_row[p] = spread * norm * norm * factor * factor
                else:
                    bits = quality[row, e] if a > F0 else CLEAR
                    bits |= quality[row, f] if b > F0 else CLEAR
                    bits |= quality[row + 1, e] if c > F0 else CLEAR
                    bits |= quality[row + 1, f] if d > F0 else CLEAR
                    bits = (bits if bits else NO_DATA) | DO_NOT_USE
                    signal_row[p], variance_row[p] = NAN, NAN
                quality_row[p] = bits
                if clean and counted and rim <= first + p < width - rim:
                    large += va + vb + vc + vd
                    single += spread
                    good += 1
            sum_large += large * drop * factor * factor
            sum_single += single * factor * factor
            count += good
    sums[0] += sum_large
    sums[1] += sum_single
    sums[2] += count
