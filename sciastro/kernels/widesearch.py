"""Quads of a wide picture against those of the sky: on the sphere, through a lens that is only guessed.

The picture's points come in a plane that is meant to be stereographic, which keeps the shape of small quads
wherever they lie. The scale where a quad is gives the focal length: ``L = F + rho^2 / (4 F)`` [pixel per
radian] at `rho` from the axis, since ``r = 2 F tan(theta / 2)``.
"""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.quads import MOST_ALIKE, alike, quad_code, variant_of
from sciastro.kernels.tangent import axes_at

__all__ = ["find_wide"]

FEWEST = 8  # catalog stars on the frame
RELATIVE = 0.012  # error of a place over its distance from the quad, for stars of the quad off by that
CURVED = 0.02  # error over the square of the distance, in half diagonals: the lens is only guessed
BAIL = -15.0  # ln of the odds below which a place is given up: one in three million


@inner
def _stereographic(xyz, k, axes):
    """Return a star in the stereographic plane about the direction axes[2] as (-east) + i north [rad]."""
    depth = axes[2, 0] * xyz[k, 0] + axes[2, 1] * xyz[k, 1] + axes[2, 2] * xyz[k, 2]
    east = axes[0, 0] * xyz[k, 0] + axes[0, 1] * xyz[k, 1]
    north = axes[1, 0] * xyz[k, 0] + axes[1, 1] * xyz[k, 1] + axes[1, 2] * xyz[k, 2]
    return complex(-east, north) * (2.0 / (1.0 + depth)), depth


@inner
def _predicted(xyz, sky, axes, focal, a, alpha, beta, bend, half_width, half_height, radius, predicted):
    """Write where the first `sky` stars are in the picture's plane, if on the frame; return how many are."""
    n_ref = 0
    reach = np.cos(min(4.0 * np.arctan(1.1 * radius / (2.0 * focal)), 3.0))
    for k in range(sky):
        star, depth = _stereographic(xyz, k, axes)
        if depth < reach or depth < -0.5:
            continue
        half = 0.5 * np.conj(alpha) * (star - beta)
        w = 2.0 * focal * (half + a) / (1.0 - np.conj(a) * half)
        square = abs(w) ** 2 / (radius * radius)
        if square > 1.5:
            continue
        back = 1.0 + bend * square  # the plane is bent: undo it roughly to see what is on the frame
        back = 1.0 + bend * square / (back * back)
        if abs(w.real) > half_width * back or abs(w.imag) > half_height * back:
            continue
        predicted[n_ref] = w
        n_ref += 1
    return n_ref


@inner
def _log_odds(z, n, mine, predicted, n_ref, area, middle, quad, radius, sigma, share):
    """Return ln of the odds as `quadsearch` does, for errors that grow as a lens that is guessed makes them.

    The stars of the quad, `mine`, whose agreement is no evidence, do not count.
    """
    odds, best = 0.0, 0.0
    for i in range(n):
        if i == mine[0] or i == mine[1] or i == mine[2] or i == mine[3]:
            continue
        far = abs(z[i] - middle)
        s2 = sigma * sigma + (RELATIVE * max(far, quad)) ** 2 + (CURVED * far * far / radius) ** 2
        d2 = 1e30
        for j in range(n_ref):
            d = (predicted[j].real - z[i].real) ** 2 + (predicted[j].imag - z[i].imag) ** 2
            d2 = min(d, d2)
        gain = share
        if d2 < 25.0 * s2:
            gain += (1.0 - share) / n_ref * area / (2.0 * np.pi * s2) * np.exp(-0.5 * d2 / s2)
        odds += np.log(gain)
        best = max(best, odds)
        if odds < BAIL:
            break
    return best


@inner
def _weigh_wide(
    q, mine, z, n, half_width, half_height, bend, sigma, share, low, high, quads, xyz, sky, place
):
    """Return ln of the odds of a pair of alike quads; `place` gets focal length, alpha, beta, A and axes."""
    radius = np.sqrt(half_width * half_width + half_height * half_height)
    mx = my = mz = 0.0
    for m in range(4):
        k = quads[q, m]
        mx, my, mz = mx + xyz[k, 0], my + xyz[k, 1], mz + xyz[k, 2]
    norm = np.sqrt(mx * mx + my * my + mz * mz)
    ra, dec = np.arctan2(my, mx), np.arcsin(mz / norm)
    axes = np.empty((3, 3))
    axes_at(ra, dec, axes)
    middle, s_mean = 0j, 0j
    s = np.empty(4, np.complex128)
    for m in range(4):
        s[m], _ = _stereographic(xyz, quads[q, m], axes)
        middle, s_mean = middle + 0.25 * z[mine[m]], s_mean + 0.25 * s[m]
    up, down = 0.0, 0.0
    for m in range(4):
        up += abs(s[m] - s_mean) ** 2
        down += abs(z[mine[m]] - middle) ** 2
    local = np.sqrt(down / up)  # pixel / radian
    rho = abs(middle)
    if local <= rho:
        return 0.0
    focal = 0.5 * (local + np.sqrt(local * local - rho * rho))
    if not (low <= focal <= high):
        return 0.0
    # both about the middle of the quad: a similarity, on the sphere a rotation
    a = middle / (2.0 * focal)
    u = np.empty(4, np.complex128)
    u_mean = 0j
    for m in range(4):
        w = z[mine[m]] / (2.0 * focal)
        u[m] = 2.0 * (w - a) / (1.0 + np.conj(a) * w)
        u_mean += 0.25 * u[m]
    alpha, size = 0j, 0.0
    for m in range(4):
        alpha += (s[m] - s_mean) * np.conj(u[m] - u_mean)
        size += abs(u[m] - u_mean) ** 2
    alpha /= size
    if not (0.85 < abs(alpha) < 1.18):
        return 0.0
    alpha /= abs(alpha)
    beta = s_mean - alpha * u_mean
    predicted = np.empty(sky, np.complex128)
    n_ref = _predicted(
        xyz, sky, axes, focal, a, alpha, beta, bend, half_width, half_height, radius, predicted
    )
    if n_ref < FEWEST:
        return 0.0
    area, quad = 4.0 * half_width * half_height, np.sqrt(down / 4.0)
    best = _log_odds(z, n, mine, predicted, n_ref, area, middle, quad, radius, sigma, share)
    if best > place[0]:
        place[0], place[1] = best, focal
        place[2], place[3], place[4], place[5] = alpha.real, alpha.imag, beta.real, beta.imag
        place[6], place[7], place[8], place[9] = a.real, a.imag, ra, dec
    return best


@njit(nogil=True, cache=True, error_model="numpy")
def find_wide(
    x, y, last, half_width, half_height, bend, tolerance, sigma, share, low, high, codes, quads, slot_start,
    xyz, sky, goal, place,
):  # fmt: skip
    """Compare every quad of picture star `last` and brighter ones with the catalog's; keep the best place.

    Parameters
    ----------
    x, y
        float64 stars in the guessed stereographic plane about the middle of the picture [pixel], brightest
        first; y turned over for a mirrored sky.
    last
        Index of the faintest star of the quads.
    half_width, half_height
        Of the picture [pixel].
    bend
        How the plane was guessed: its radius over that of the picture is 1 + bend at the corner.
    tolerance, sigma, share, goal
        As for `quadsearch.find_places`.
    low, high
        Bounds of the focal length [pixel].
    codes, quads, slot_start
        Large quads of the index, and where each cell of codes begins.
    xyz, sky
        Unit vectors of stars, brightest first, and how many of them may be on the picture.
    place
        Output float64[11]: ln odds, focal length [pixel], alpha and beta (complex), the quad's middle over
        two focal lengths (complex), its RA and Dec [rad]; [10] counts the candidates weighed.

    Returns
    -------
    bool
        Whether the goal was reached.
    """
    n = x.size
    z = x + 1j * y
    px, py, code, corner = np.empty(4), np.empty(4), np.empty(4), np.empty(4, np.int64)
    pick, mine, query = np.empty(4, np.int64), np.empty(4, np.int64), np.empty(4)
    hits = np.empty(MOST_ALIKE, np.int64)
    for k in range(2, last):
        for j in range(1, k):
            for i in range(j):
                pick[0], pick[1], pick[2], pick[3] = i, j, k, last
                for m in range(4):
                    px[m], py[m] = x[pick[m]], y[pick[m]]
                if quad_code(px, py, code, corner, False) <= 0.0:
                    continue
                for variant in range(4):
                    if not variant_of(variant, code, corner, pick, tolerance, query, mine):
                        continue
                    for p in range(alike(query, tolerance, codes, slot_start, hits)):
                        place[10] += 1
                        odds = _weigh_wide(
                            hits[p], mine, z, n, half_width, half_height, bend, sigma, share, low, high,
                            quads, xyz, sky, place,
                        )  # fmt: skip
                        if odds >= goal:
                            return True
    return False
