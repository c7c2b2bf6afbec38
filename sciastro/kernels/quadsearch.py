"""Quads of an image against those of the sky: alike ones propose a place, all stars weigh it."""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.quads import MOST_ALIKE, alike, quad_code, variant_of
from sciastro.kernels.skycells import stars_around
from sciastro.kernels.tangent import away, axes_at, frame_middle, on_plane, place_of

__all__ = [
    "AT_LEAST",
    "CLOSE",
    "FIRST",
    "MOST_FEW",
    "WIDEST",
    "find_places",
    "predicted",
]

SHALLOW = 0.2  # cosine of 78 degrees: stars farther from where the plane touches are not predicted
WIDEST = 80.0  # degree: radius in which catalog stars are looked for
FEWEST = 5  # catalog stars on the frame, and pairs of a fit
PROMISING = 4.0  # ln of the odds from which a place is fitted to its supporters
TUNINGS = 2  # such fits
TIGHT = (1.0, 2.5)  # pixel: error of a star after that; the better one, at the price of the choice
MOST_FEW = 14  # catalog stars on the frame of a sparse place: too few for the odds to reach the goal
AT_LEAST = 6  # of them, half, and so many at least, are then among
FIRST, CLOSE = 16, 6.0  # the brightest image stars, within so many pixels: the index knows no proper motions


@inner
def _log_odds(ix, iy, n_image, rx, ry, n_ref, area, cx, cy, quad, sigma, share, bail, skip):
    """Return ln of the odds, for against chance, that the image stars are the predicted ones.

    Lang et al. 2010, section 2.3: every star is either a catalog star near its prediction or a distractor,
    against a uniform background; the error grows with the distance from the quad that made the prediction.
    """
    odds, best = 0.0, 0.0
    for i in range(n_image):
        if i == skip[0] or i == skip[1] or i == skip[2] or i == skip[3]:
            continue
        r2 = ((ix[i] - cx) ** 2 + (iy[i] - cy) ** 2) / (quad * quad)
        s2 = sigma * sigma * (1.0 + r2)
        d2 = 1e30
        for j in range(n_ref):
            d = (rx[j] - ix[i]) ** 2 + (ry[j] - iy[i]) ** 2
            if d < d2:
                d2 = d
        gain = share
        if d2 < 25.0 * s2:
            gain += (1.0 - share) / n_ref * area / (2.0 * np.pi * s2) * np.exp(-0.5 * d2 / s2)
        odds += np.log(gain)
        if odds > best:
            best = odds
        if odds < bail:
            break
    return best


@inner
def predicted(near, found, xyz, axes, mirror, width, height, ar, ai, zr, zi, wr, wi, rx, ry, gx, gy):
    """Write the plane [degree] and image [pixel] places of catalog stars on the frame; return how many."""
    inv = 1.0 / (ar * ar + ai * ai)
    n_ref = 0
    for p in range(found):
        u, v, depth = on_plane(xyz, near[p], axes)
        if depth < SHALLOW:
            continue
        tx = zr + inv * (ar * (u - wr) + ai * (v - wi))
        ty = mirror * (zi + inv * (ar * (v - wi) - ai * (u - wr)))
        if tx < 0 or ty < 0 or tx > width - 1 or ty > height - 1:
            continue
        gx[n_ref], gy[n_ref], rx[n_ref], ry[n_ref] = u, v, tx, ty
        n_ref += 1
    return n_ref


@inner
def _nearly_all(x, y, n, rx, ry, n_ref):
    """Return whether half of few predicted stars, and `AT_LEAST`, are among the brightest of the image."""
    count = 0.0
    for j in range(n_ref):
        for i in range(min(n, FIRST)):
            if (rx[j] - x[i]) ** 2 + (ry[j] - y[i]) ** 2 < CLOSE * CLOSE:
                count += 1.0
                break
    return count >= AT_LEAST and 2 * count >= n_ref


@inner
def _tuned(
    x, y, n, mirror, width, height, near, found, xyz, axes, rx, ry, gx, gy, fit, quad, sigma, share, mine,
    qx, qy,
):  # fmt: skip
    """Return ln of the odds after the similarity `fit` is fitted to all stars near their prediction.

    The first similarity knows the quad only, and its errors grow away from it; fitted to the quad and its
    supporters they do not, so that the stars can be held to `TIGHT` pixels. The stars of the quad, whose
    agreement is no evidence, count against the place as far as the fit leaves them off. ``fit[6]`` becomes 1
    where few catalog stars are on the frame and nearly all of them on the image.
    """
    fit[6] = 0.0
    loose = sigma * sigma + (0.004 * quad) ** 2
    n_ref = 0
    for turn in range(TUNINGS + 1):
        ar, ai, zr, zi, wr, wi = fit[0], fit[1], fit[2], fit[3], fit[4], fit[5]
        n_ref = predicted(
            near, found, xyz, axes, mirror, width, height, ar, ai, zr, zi, wr, wi, rx, ry, gx, gy
        )
        if n_ref < FEWEST:
            return 0.0
        if turn == TUNINGS:
            break
        count, sx, sy, su, sv = 0.0, 0.0, 0.0, 0.0, 0.0
        sxx, sre, sim = 0.0, 0.0, 0.0
        # sums about the old middle keep their digits
        for i in range(n):
            best, of = 1e30, -1
            for j in range(n_ref):
                d = (rx[j] - x[i]) ** 2 + (ry[j] - y[i]) ** 2
                if d < best:
                    best, of = d, j
            r2 = ((x[i] - zr) ** 2 + (mirror * y[i] - zi) ** 2) / (quad * quad)
            s2 = loose * (1.0 + r2) if turn == 0 else 4.0 * sigma * sigma
            if of < 0 or best > 9.0 * s2:
                continue
            a, b, c, d = x[i] - zr, mirror * y[i] - zi, gx[of] - wr, gy[of] - wi
            count += 1.0
            sx, sy, su, sv = sx + a, sy + b, su + c, sv + d
            sxx += a * a + b * b
            sre += a * c + b * d
            sim += a * d - b * c
        if count < FEWEST:
            return 0.0
        sxx -= (sx * sx + sy * sy) / count
        sre -= (sx * su + sy * sv) / count
        sim -= (sx * sv - sy * su) / count
        fit[0], fit[1] = sre / sxx, sim / sxx
        fit[2], fit[3], fit[4], fit[5] = zr + sx / count, zi + sy / count, wr + su / count, wi + sv / count
    if n_ref <= MOST_FEW and _nearly_all(x, y, n, rx, ry, n_ref):
        fit[6] = 1.0
    inv = 1.0 / (ar * ar + ai * ai)
    best = 0.0
    for width_of in TIGHT:
        s2 = width_of * width_of
        odds = _log_odds(
            x, y, n, rx, ry, n_ref, width * height, zr, mirror * zi, 1e15, width_of, share, -12.0, mine
        ) - np.log(len(TIGHT))  # fmt: skip
        for m in range(4):
            i = mine[m]
            tx = zr + inv * (ar * (qx[m] - wr) + ai * (qy[m] - wi)) - x[i]
            ty = zi + inv * (ar * (qy[m] - wi) - ai * (qx[m] - wr)) - mirror * y[i]
            odds -= 0.5 * (tx * tx + ty * ty) / s2
        best = max(best, odds)
    return best


@inner
def _weigh(
    q, level, mine, x, y, n, mirror, width, height, reach, sigma, share, scale_low, scale_high, ra_hint,
    dec_hint, radius_hint, quads, first_star, xyz, first_band, bands_all, first_cell, level_low, start_all,
    order_all, axes, rx, ry, gx, gy, qx, qy, fit, near, out,
):  # fmt: skip
    """Return ln of the odds of one pair of alike quads, inf at a sparse place; `out` keeps the best."""
    mx = my = mz = 0.0
    for m in range(2):
        k = quads[q, m]
        mx, my, mz = mx + xyz[k, 0], my + xyz[k, 1], mz + xyz[k, 2]
    ra0, dec0 = place_of(mx, my, mz)
    axes_at(np.radians(ra0), np.radians(dec0), axes)
    # least-squares similarity from image (x, mirror y) to the plane (-east, north), as complex numbers
    zr = zi = wr = wi = 0.0
    for m in range(4):
        zr, zi = zr + 0.25 * x[mine[m]], zi + 0.25 * mirror * y[mine[m]]
    for m in range(4):
        qx[m], qy[m], _ = on_plane(xyz, quads[q, m], axes)
        wr, wi = wr + 0.25 * qx[m], wi + 0.25 * qy[m]
    ar = ai = size = 0.0
    for m in range(4):
        ux, uy = x[mine[m]] - zr, mirror * y[mine[m]] - zi
        vx, vy = qx[m] - wr, qy[m] - wi
        ar += ux * vx + uy * vy
        ai += ux * vy - uy * vx
        size += ux * ux + uy * uy
    ar, ai = ar / size, ai / size
    scale = np.sqrt(ar * ar + ai * ai)
    if not (scale_low <= scale <= scale_high):
        return 0.0
    ra_c, dec_c = frame_middle(ar, ai, zr, zi, wr, wi, mirror, width, height, axes)
    if away(ra_c, dec_c, ra_hint, dec_hint, radius_hint):
        return 0.0
    out[9] += 1
    b0, b1 = first_band[level], first_band[level + 1]
    c0, c1 = first_cell[level], first_cell[level + 1]
    found = stars_around(
        ra_c, dec_c, min(reach * scale, WIDEST), xyz, level_low[level], bands_all[b0:b1], start_all[c0:c1],
        order_all[first_star[level] : first_star[level + 1]], near,
    )  # fmt: skip
    n_ref = predicted(near, found, xyz, axes, mirror, width, height, ar, ai, zr, zi, wr, wi, rx, ry, gx, gy)
    if n_ref < FEWEST:
        return 0.0
    quad = np.sqrt(size / 4)
    odds = _log_odds(
        x, y, n, rx, ry, n_ref, width * height, zr, mirror * zi, quad,
        np.sqrt(sigma * sigma + (0.004 * quad) ** 2), share, -12.0, mine,
    )  # fmt: skip
    if odds > PROMISING:
        fit[0], fit[1], fit[2], fit[3], fit[4], fit[5] = ar, ai, zr, zi, wr, wi
        tuned = _tuned(
            x, y, n, mirror, width, height, near, found, xyz, axes, rx, ry, gx, gy, fit, quad, sigma, share,
            mine, qx, qy,
        )  # fmt: skip
        if fit[6] > 0.0:
            out[0], out[1], out[2], out[3], out[4] = tuned, ra0, dec0, fit[0], fit[1]
            out[5], out[6], out[7], out[8] = fit[2], fit[3], level, q
            out[11], out[12], out[13] = fit[4], fit[5], 1.0
            return np.inf
        if tuned > odds:
            odds, ar, ai, zr, zi, wr, wi = tuned, fit[0], fit[1], fit[2], fit[3], fit[4], fit[5]
    if odds > out[0]:
        out[0], out[1], out[2], out[3], out[4] = odds, ra0, dec0, ar, ai
        out[5], out[6], out[7], out[8] = zr, zi, level, q
        out[11] = wr
        out[12] = wi
    return odds


@njit(nogil=True, cache=True, error_model="numpy")
def find_places(
    x, y, last, mirror, width, height, tolerance, sigma, share, scale_low, scale_high, ra_hint, dec_hint,
    radius_hint, level_low, level_of, codes, quads, slot_start, first_star, xyz, first_band, bands_all,
    first_cell, start_all, order_all, goal, out,
):  # fmt: skip
    """Compare every quad of image star `last` and brighter ones with the catalog's; keep the best place.

    Parameters
    ----------
    x, y
        float64 image stars [pixel], brightest first.
    last
        Index of the faintest star of the quads.
    mirror
        +1 for the sky as seen, -1 mirrored.
    width, height
        Size of the frame [pixel].
    tolerance
        Distance of alike codes.
    sigma
        Error of a star [pixel].
    share
        Share of image stars that are not in the catalog.
    scale_low, scale_high
        Bounds of the scale [degree / pixel].
    ra_hint, dec_hint, radius_hint
        Where the center lies [degree]; radius 180 for anywhere.
    level_low, level_of, ..., order_all
        The index (`astrometry.quads.QuadIndex`), levels one behind the other.
    goal
        ln of the odds at which the search stops.
    out
        Output float64[14]: ln odds, ra, dec of the quad's middle [degree], the similarity's real and
        imaginary part [degree / pixel], the image point of the middle x, y, level, quad, candidates weighed,
        codes compared, the plane point x, y [degree] that the image point has, and 1 where the place is one
        of few catalog stars, nearly all of which are there.

    Returns
    -------
    bool
        Whether the goal was reached, or nearly all stars of a sparse place are there.
    """
    n = x.size
    px, py, code, corner = np.empty(4), np.empty(4), np.empty(4), np.empty(4, np.int64)
    pick, mine, query = np.empty(4, np.int64), np.empty(4, np.int64), np.empty(4)
    rx, ry, near = np.empty(4000), np.empty(4000), np.empty(4000, np.int32)
    gx, gy, qx, qy, fit = np.empty(4000), np.empty(4000), np.empty(4), np.empty(4), np.empty(7)
    axes, hits = np.empty((3, 3)), np.empty(MOST_ALIKE, np.int64)
    reach = 0.5 * np.sqrt(width * width + height * height)
    for k in range(2, last):
        for j in range(1, k):
            for i in range(j):
                pick[0], pick[1], pick[2], pick[3] = i, j, k, last
                for m in range(4):
                    px[m], py[m] = x[pick[m]], mirror * y[pick[m]]
                length = quad_code(px, py, code, corner, False)
                if length <= 0.0:
                    continue
                for variant in range(4):
                    if not variant_of(variant, code, corner, pick, tolerance, query, mine):
                        continue
                    for h in range(alike(query, tolerance, codes, slot_start, hits)):
                        p = hits[h]
                        out[10] += 1
                        level = level_of[p]
                        scale = level_low[level] / length
                        if scale * 1.45 < scale_low or scale > scale_high:
                            continue
                        found = _weigh(
                            p, level, mine, x, y, n, mirror, width, height, reach, sigma, share, scale_low,
                            scale_high, ra_hint, dec_hint, radius_hint, quads, first_star, xyz, first_band,
                            bands_all, first_cell, level_low, start_all, order_all, axes, rx, ry, gx, gy, qx,
                            qy, fit, near, out,
                        )  # fmt: skip
                        if found >= goal:
                            return True
    return False
