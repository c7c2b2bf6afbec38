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

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit

__all__ = ["POINT", "SQUARE", "TURBO", "drizzle", "drop_reach", "drop_weight", "overlap"]

SQUARE, TURBO, POINT = 0, 1, 2
TIE = 1 << 30  # a point on the border of two pixels belongs to one: positions are rounded to 1 / TIE

# Planes of the scratch of a run of pixels, at constant offsets so that loops vectorize.
WIDE = 64  # most output pixels between nodes
FX, FY, A00, A10, A01, A11, SHARE, VALUE, LEVEL, NOISE, WHOLE, AGAIN, OUTER = range(0, 13 * WIDE, WIDE)
PLANES = 13

NO_DATA_EDGE = np.uint16((1 << 13) | (1 << 9))
NO_DATA = np.uint16(1 << 13)
DO_NOT_USE = np.uint16(1)
CLEAR = np.uint16(0)
F0, F1, HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)
NAN = np.float32(np.nan)


@inner
def _under_edge(x0, y0, x1, side, slope, inverse):
    """Return the area between an edge and the lower border of the box 0..side, 0..side, signed by dx.

    The edge goes from (x0, y0) to x1; `slope` is its dy / dx and `inverse` dx / dy; an infinite one is not
    used.
    """
    a, b = min(max(x0, 0.0), side), min(max(x1, 0.0), side)
    if a == b:
        return 0.0
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
    return total * inverse


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
    row, across = eyx / exx, exx / eyx  # slopes of the edges along rows, and along columns
    column, down = eyy / exy, exy / eyy
    area = _under_edge(x - ax, y - ay, x + bx, side, row, across)
    area += _under_edge(x + bx, y + by, x + ax, side, column, down)
    area += _under_edge(x + ax, y + ay, x - bx, side, row, across)
    area += _under_edge(x - bx, y - by, x - ax, side, column, down)
    return min(max(-area / (exx * eyy - exy * eyx), 0.0), 1.0)


@inner
def _shared(offset, drop):
    """Return the length that an interval of length `drop` at `offset` shares with -1/2..1/2."""
    return max(min(0.5, offset + 0.5 * drop) - max(-0.5, offset - 0.5 * drop), 0.0)


@inner
def drop_weight(kernel, fx, fy, exx, exy, eyx, eyy, pixfrac):
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


@inner
def drop_reach(kernel, ex, ey, pixfrac):
    """Return how far from a pixel's center drops may lie along one axis of the frame [pixel]."""
    if kernel == SQUARE:
        return 0.5 * (abs(ex) + abs(ey) + pixfrac)
    drop = 0.0 if kernel == POINT else pixfrac / np.sqrt(ex * ex + ey * ey) * 1.5
    return 0.5 * (abs(ex) + abs(ey)) * (1.0 + drop)


@inner
def _pixel(packed, quality, x0, y0, kernel, cx, cy, exx, exy, eyx, eyy, pixfrac):
    """Return sum(a), sum(a x), sum(a2 V), sum(a V), quality bits and clean flag of one output pixel."""
    height, width = quality.shape
    reach_x, reach_y = drop_reach(kernel, exx, exy, pixfrac), drop_reach(kernel, eyy, eyx, pixfrac)
    share, total, noise, level = 0.0, 0.0, 0.0, 0.0
    bits, causes, clean = CLEAR, CLEAR, True
    for row in range(int(np.ceil(cy - reach_y)), int(np.floor(cy + reach_y)) + 1):
        for column in range(int(np.ceil(cx - reach_x)), int(np.floor(cx + reach_x)) + 1):
            a = drop_weight(kernel, cx - column, cy - row, exx, exy, eyx, eyy, pixfrac)
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


@inner
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


@inner
def _corner(s, t, cut_s, cut_t, m, n, half_m, half_n, k):
    """Return the share of a unit pixel below two lines that run straight across."""
    u, v = k * (s - m * t) + HALF, k * (t - n * s) + HALF
    both = u * v + half_m * v * v + half_n * u * u
    a, b = min(max(s + HALF, F0), F1), min(max(t + HALF, F0), F1)
    return both if cut_s & cut_t else a * b


@inner
def _square_row(f, exx, exy, eyx, eyy, pixfrac, n):
    """Overlaps of `n` pixels with the four drops around their centers.

    In coordinates s, t of the pixel (-1/2 to 1/2), the border x = r of a drop is the line
    ``s = (r - fx) / exx - m t``, the border y = r is ``t = (r - fy) / eyy - n s``; fx and fy are counted from
    the lower left drop. Where both cross the pixel from side to side and meet at (s0, t0), the part of the
    pixel below both is ``S T + m T2 / 2 + n S2 / 2`` with S = s0 + 1/2, T = t0 + 1/2. AGAIN marks pixels
    where a border cuts off a corner only, or where another drop reaches in; returns whether there are any.
    """
    m, mm = np.float32(exy / exx), np.float32(abs(exy / exx) / 2)
    q, qq = np.float32(eyx / eyy), np.float32(abs(eyx / eyy) / 2)
    k = np.float32(1.0 / (1.0 - (exy / exx) * (eyx / eyy)))
    half_m, half_q = HALF * m, HALF * q
    ix, iy = np.float32(1.0 / exx), np.float32(1.0 / eyy)
    h, far = np.float32(0.5 * pixfrac), np.float32(1.0 + 0.5 * pixfrac)
    near = np.float32(1.0 - 0.5 * pixfrac)
    for p in range(n):
        x, y = f[FX + p], f[FY + p]
        sr, sl, tr, tl = (h - x) * ix, (x - near) * ix, (h - y) * iy, (y - near) * iy
        dr, dl, er, el = abs(abs(sr) - HALF), abs(abs(sl) - HALF), abs(abs(tr) - HALF), abs(abs(tl) - HALF)
        outer = (
            ((x + h) * ix >= HALF + mm) & ((far - x) * ix >= HALF + mm)
            & ((y + h) * iy >= HALF + qq) & ((far - y) * iy >= HALF + qq)
        )  # fmt: skip
        fine = (dr >= mm) & (dl >= mm) & (er >= qq) & (el >= qq) & outer
        f[AGAIN + p] = F0 if fine else F1
        cr, cl, kr, kl = abs(sr) < HALF, abs(sl) < HALF, abs(tr) < HALF, abs(tl) < HALF
        f[A00 + p] = _corner(sr, tr, cr, kr, m, q, half_m, half_q, k)
        f[A10 + p] = _corner(sl, tr, cl, kr, -m, -q, -half_m, -half_q, k)
        f[A01 + p] = _corner(sr, tl, cr, kl, -m, -q, -half_m, -half_q, k)
        f[A11 + p] = _corner(sl, tl, cl, kl, m, q, half_m, half_q, k)
    marked = F0
    for p in range(n):
        marked += f[AGAIN + p]
    return marked > F0


@inner
def _one_by_one(
    packed, quality, x0, y0, kernel, xa, ya, exx, exy, eyx, eyy, pixfrac, f, inside, r, first, n,
    factor, pedestal, offset, out_signal, out_variance, out_quality, out_share,
):  # fmt: skip
    """Do the pixels that are marked AGAIN, for any surroundings; see `_rain`."""
    for p in range(n):
        if not f[AGAIN + p] > F0:
            continue
        share, total, noise, level, bits, clean = _pixel(
            packed, quality, x0, y0, kernel, xa + exx * (p + inside), ya + eyx * (p + inside),
            exx, exy, eyx, eyy, pixfrac,
        )  # fmt: skip
        at = first + p
        out_share[r, at], out_quality[r, at] = share, bits
        f[WHOLE + p] = F1 if clean else F0
        f[LEVEL + p], f[NOISE + p] = level, noise
        if share > 0.0:
            out_signal[r, at] = (np.float32(total / share) - pedestal) * factor + offset
            out_variance[r, at] = np.float32(noise / (share * share)) * factor * factor
        else:
            out_signal[r, at], out_variance[r, at] = NAN, NAN


@inner
def _rain(flat, stride, places, f, n):
    """Sum the four drops around each of `n` pixels; all of them lie in the window.

    `places` are offsets into `flat`, the packed window of `stride` numbers per row, of the lower left drop.
    Writes SHARE, VALUE (sums), LEVEL, NOISE and WHOLE of `f`; return whether any pixel caught nothing.
    """
    one, two, four, up = np.uintp(1), np.uintp(2), np.uintp(4), np.uintp(stride)
    for p in range(n):  # unsigned offsets: no look for negative ones
        e = places[p]
        g = e + up
        i, h = e + four, g + four
        a, b, c, d = f[A00 + p], f[A10 + p], f[A01 + p], f[A11 + p]
        va, vb, vc, vd = a * flat[e + one], b * flat[i + one], c * flat[g + one], d * flat[h + one]
        f[VALUE + p] = a * flat[e] + b * flat[i] + c * flat[g] + d * flat[h]
        f[SHARE + p] = a * flat[e + two] + b * flat[i + two] + c * flat[g + two] + d * flat[h + two]
        f[LEVEL + p] = va + vb + vc + vd
        f[NOISE + p] = a * va + b * vb + c * vc + d * vd
    holes = F0
    for p in range(n):
        all_of_them = f[A00 + p] + f[A10 + p] + f[A01 + p] + f[A11 + p]
        f[WHOLE + p] = F1 if (f[SHARE + p] == all_of_them) & (all_of_them > F0) else F0
        holes += F0 if f[SHARE + p] > F0 else F1
    return holes > F0


@inner
def _bits_row(quality, packed, places, f, r, first, n, out_quality):
    """Write the OR of the quality bits of the drops that fall, or of the causes why none does."""
    width = quality.shape[1]
    for p in range(n):
        place = np.int64(places[p]) // 4
        row, column = place // width, place % width
        bits, causes = CLEAR, CLEAR
        for k in range(4):
            j, i = row + k // 2, column + k % 2
            if f[A00 + k * WIDE + p] > F0:
                if packed[j, i, 2] > F0:
                    bits |= quality[j, i]
                else:
                    causes |= quality[j, i]
        if not f[SHARE + p] > F0:
            bits = (causes if causes else NO_DATA) | DO_NOT_USE
        out_quality[r, first + p] = bits


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
        Output pixels between nodes, at most `WIDE`.
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
    # Long, as a call of an inner part would copy the description of every array (7 words each) each time.
    height, width = out_signal.shape
    h_in, w_in = signal.shape
    size = h_in * w_in * 4
    flat = np.zeros(size + 4 * w_in + 8, np.float32)  # the four drops at offset 0 exist in any window
    packed = flat[:size].reshape((h_in, w_in, 4))
    any_bits = _pack(signal, variance, quality, exclude, packed)
    f, places = np.empty(PLANES * WIDE, np.float32), np.empty(WIDE, np.uintp)
    sum_large, sum_single, count = 0.0, 0.0, 0.0
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
            inside = first + skip_x - i * step
            marked = kernel != SQUARE
            if marked:
                f[AGAIN : AGAIN + n] = F1
            else:
                outside = False
                for p in range(n):
                    x, y = xa + exx * (p + inside), ya + eyx * (p + inside)
                    left, below = np.floor(x), np.floor(y)
                    f[FX + p], f[FY + p] = np.float32(x - left), np.float32(y - below)
                    column, row = np.int64(left) - window_x0, np.int64(below) - window_y0
                    near = (column >= 0) & (column < w_in - 1) & (row >= 0) & (row < h_in - 1)
                    f[OUTER + p] = F0 if near else F1
                    places[p] = np.uintp(4 * (row * w_in + column)) if near else np.uintp(0)
                    outside |= not near
                marked = _square_row(f, exx, exy, eyx, eyy, pixfrac, n)
                if outside:  # a drop beyond the window; decided pixel by pixel, the same for every tile
                    marked = True
                    for p in range(n):
                        f[AGAIN + p] = max(f[AGAIN + p], f[OUTER + p])
                holes = _rain(flat, 4 * w_in, places, f, n)
                for p in range(n):  # 0 / 0 is NaN: nothing falls
                    norm = F1 / f[SHARE + p]
                    out_signal[r, first + p] = (f[VALUE + p] * norm - pedestal) * factor + offset
                    out_variance[r, first + p] = f[NOISE + p] * norm * norm * factor * factor
                    out_share[r, first + p] = f[SHARE + p]
                if any_bits or holes:
                    _bits_row(quality, packed, places, f, r, first, n, out_quality)
                else:
                    for p in range(n):
                        out_quality[r, first + p] = CLEAR
            if marked:
                _one_by_one(
                    packed, quality, window_x0, window_y0, kernel, xa, ya, exx, exy, eyx, eyy, pixfrac, f,
                    inside, r, first, n, factor, pedestal, offset,
                    out_signal, out_variance, out_quality, out_share,
                )  # fmt: skip
            if counted:
                large, single = F0, F0
                for p in range(max(rim - first, 0), min(width - rim - first, n)):
                    large += f[LEVEL + p] * f[WHOLE + p]
                    single += f[NOISE + p] * f[WHOLE + p]
                    count += f[WHOLE + p]
                drop = (pixfrac * pixfrac if kernel != POINT else 1.0) / area
                sum_large += large * drop * factor * factor
                sum_single += single * factor * factor
    sums[0] += sum_large
    sums[1] += sum_single
    sums[2] += count
