"""Fit point spread functions to overlapping stars, group by group, on the residual of all stars.

The image minus the models of all stars is kept at hand. A group takes one Gauss-Newton step against it, its
members at once, and the residual follows; sweep after sweep the fluxes, positions and the light of neighbors
settle. What every star must fulfill in the end does not depend on the groups: the residual over the disc
about it, times the weights, is orthogonal to its profile and to the slopes of its profile.
"""

import numpy as np
from numba import njit

from sciastro.kernels.psf import add_models, field_terms, psf_stamp

__all__ = ["cholesky", "cholesky_solve", "fit_groups", "pair_sums", "prepare"]

DAMPING = 1e-3  # of the diagonal: stars that coincide share their light
DARKEST = 3.0  # sigma: no flux is fainter
STEEP = 4.0  # sigma: how far a pixel's deviation may pull its variance along


@njit(nogil=True, cache=True, error_model="numpy")
def cholesky(a, n):
    """Replace the lower triangle of a[:n, :n] by its Cholesky factor; False where it is not positive."""
    for i in range(n):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            if i == j:
                if not total > 0.0:
                    return False
                a[i, i] = np.sqrt(total)
            else:
                a[i, j] = total / a[j, j]
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def cholesky_solve(a, n, b):
    """Solve in place for the vector `b` with the factor in `a`."""
    for i in range(n):
        for k in range(i):
            b[i] -= a[i, k] * b[k]
        b[i] /= a[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            b[i] -= a[k, i] * b[k]
        b[i] /= a[i, i]


@njit(nogil=True, cache=True, error_model="numpy")
def prepare(residual, variance, shot, blur, x0, y0, half, radius, fx, fy, sky, flux, gradient, weight):
    """Fill the weights of a star's pixels and scale its slopes by its flux; return the light they see.

    Parameters
    ----------
    residual, variance
        float32[row, column]; a variance of 0 marks pixels that must not enter.
    shot
        How much of a pixel's noise its own variance carries [1 / unit of variance over flux]: it is taken
        out again, as weights that follow the noise make fluxes low.
    blur
        Relative error of the profile per pixel, which adds to the variance of bright stars.
    x0, y0, half, radius, fx, fy
        Middle pixel, half side of the square, radius of the disc [pixel], place of the star in the pixel.
    sky, flux
        Of the star.
    gradient
        float64[3, side, side]: profile and slopes, the slopes times the flux on return.
    weight
        float64[side, side], inverse variances, 0 where nothing enters.

    Returns
    -------
    float
        Share of the profile in the disc that usable pixels hold.
    """
    rows, columns = residual.shape
    seen, all_light = 0.0, 0.0
    for j in range(2 * half + 1):
        row = y0 + j - half
        dy = j - half - fy
        for i in range(2 * half + 1):
            column = x0 + i - half
            dx = i - half - fx
            weight[j, i] = 0.0
            gradient[1, j, i] *= flux
            gradient[2, j, i] *= flux
            if dx * dx + dy * dy > radius * radius:
                continue
            p = max(gradient[0, j, i], 0.0)
            all_light += p
            if row < 0 or row >= rows or column < 0 or column >= columns:
                continue
            v = variance[row, column]
            if not v > 0.0:
                continue
            seen += p
            d = residual[row, column] - sky
            limit = STEEP * np.sqrt(v)
            v2 = v - shot * min(max(d, -limit), limit)
            v2 = max(v2, 0.2 * v)
            e = blur * flux * p
            weight[j, i] = 1.0 / (v2 + e * e)
    return seen / all_light if all_light > 0.0 else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def pair_sums(g1, w1, x1, y1, h1, g2, w2, x2, y2, h2, out):
    """Fill out[3, 3] with the sums of products of two stars' gradients over the pixels of both discs."""
    out[:] = 0.0
    for row in range(max(y1 - h1, y2 - h2), min(y1 + h1, y2 + h2) + 1):
        j1, j2 = row - y1 + h1, row - y2 + h2
        for column in range(max(x1 - h1, x2 - h2), min(x1 + h1, x2 + h2) + 1):
            i1, i2 = column - x1 + h1, column - x2 + h2
            w = w1[j1, i1]
            if w == 0.0 or w2[j2, i2] == 0.0:
                continue
            for a in range(3):
                c = w * g1[a, j1, i1]
                for b in range(3):
                    out[a, b] += c * g2[b, j2, i2]


@njit(nogil=True, cache=True, error_model="numpy")
def misfit(residual, weight, cx, cy, half, sky, stars):
    """Return chi2 over the discs of a group's stars; pixels of two discs count twice."""
    total = 0.0
    for m in range(stars.size):
        level = sky[stars[m]]
        for j in range(2 * half[m] + 1):
            for i in range(2 * half[m] + 1):
                w = weight[m, j, i]
                if w > 0.0:
                    d = residual[cy[m] + j - half[m], cx[m] + i - half[m]] - level
                    total += w * d * d
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def fit_groups(
    residual, variance, shot, blur, tables, field, step,
    x, y, flux, sky, radius, reach, loose, start, member, home_x, home_y, tether, step_x, step_y, clamp,
    largest_step, damping, moved, light,
):  # fmt: skip
    """Take one Gauss-Newton step for each group, in place.

    Parameters
    ----------
    residual
        float32[row, column], image minus the models of all stars; follows.
    variance, shot, blur
        As in `prepare`.
    tables, field, step
        The PSF, see `kernels.psf`.
    x, y, flux, sky
        float64[star]; follow, but the sky.
    radius, reach
        float64[star] of the disc that is fit and of the model [pixel].
    loose
        uint8[star]: 0 nothing is fit, 1 the flux, 2 the position too.
    start, member
        int64: group k has the stars ``member[start[k]:start[k + 1]]``.
    home_x, home_y, tether
        float64[star]: where a star came from, and how far from there it may be (1 sigma of a prior) [pixel].
    step_x, step_y, clamp
        float64[star]: last step, and the largest that the next may be [pixel]; follow. A star that turns
        back is held tighter, as in ALLSTAR (Stetson 1987).
    largest_step
        Upper limit of `clamp` [pixel].
    damping
        float64[group], added to the diagonal (Levenberg-Marquardt); follows: a step that makes the fit worse
        is taken back and the next is shorter.
    moved, light
        float64[star]: the step, in units of the errors; share of the profile seen.
    """
    most = 1
    for k in range(start.size - 1):
        most = max(most, start[k + 1] - start[k])
    side = 1
    for s in member:
        side = max(side, 2 * int(np.ceil(radius[s])) + 1)
    n_nodes = tables.shape[1]
    work, terms = np.empty((n_nodes, n_nodes)), np.empty(tables.shape[0])
    gradient, weight = np.empty((most, 3, side, side)), np.empty((most, side, side))
    normal, rhs = np.zeros((3 * most, 3 * most)), np.zeros(3 * most)
    diagonal, scale, pair = np.zeros(3 * most), np.zeros(3 * most), np.empty((3, 3))
    cx, cy, half = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    old_x, old_y, old_f = np.empty(most), np.empty(most), np.empty(most)
    one_x, one_y, one_f, one_r = np.empty(2), np.empty(2), np.empty(2), np.empty(2)
    for k in range(start.size - 1):
        n = start[k + 1] - start[k]
        for m in range(n):
            s = member[start[k] + m]
            cx[m], cy[m] = int(np.floor(x[s] + 0.5)), int(np.floor(y[s] + 0.5))
            half[m] = int(np.ceil(radius[s]))
            fx, fy = x[s] - cx[m], y[s] - cy[m]
            field_terms(x[s], y[s], field, terms)
            psf_stamp(tables, terms, step, fx, fy, half[m], True, work, gradient[m])
            light[s] = prepare(
                residual, variance, shot, blur, cx[m], cy[m], half[m], radius[s], fx, fy, sky[s], flux[s],
                gradient[m], weight[m],
            )  # fmt: skip
            for a in range(3):
                total = 0.0
                for j in range(2 * half[m] + 1):
                    for i in range(2 * half[m] + 1):
                        w = weight[m, j, i]
                        if w > 0.0:
                            d = residual[cy[m] + j - half[m], cx[m] + i - half[m]] - sky[s]
                            total += w * gradient[m, a, j, i] * d
                rhs[3 * m + a] = total
        for m in range(n):
            for q in range(m + 1):
                pair_sums(
                    gradient[m],
                    weight[m],
                    cx[m],
                    cy[m],
                    half[m],
                    gradient[q],
                    weight[q],
                    cx[q],
                    cy[q],
                    half[q],
                    pair,
                )
                for a in range(3):
                    for b in range(3):
                        normal[3 * m + a, 3 * q + b] = pair[a, b]
        for m in range(n):
            s = member[start[k] + m]
            for a in range(3):
                r = 3 * m + a
                fixed = loose[s] == 0 or (a > 0 and loose[s] < 2) or not normal[r, r] > 0.0
                if fixed:
                    for q in range(3 * n):
                        if q <= r:
                            normal[r, q] = 0.0
                        else:
                            normal[q, r] = 0.0
                    normal[r, r], rhs[r] = 1.0, 0.0
                    diagonal[r] = 0.0
                else:
                    diagonal[r] = normal[r, r]
                    normal[r, r] *= 1.0 + damping[k]
                    if a > 0:
                        pull = 1.0 / (tether[s] * tether[s])
                        normal[r, r] += pull
                        rhs[r] += pull * (home_x[s] - x[s] if a == 1 else home_y[s] - y[s])
        for r in range(3 * n):  # fluxes and positions are of very different size
            scale[r] = 1.0 / np.sqrt(normal[r, r])
        for r in range(3 * n):
            rhs[r] *= scale[r]
            for q in range(r + 1):
                normal[r, q] *= scale[r] * scale[q]
        if not cholesky(normal, 3 * n):
            for m in range(n):
                moved[member[start[k] + m]] = np.inf
            continue
        before = misfit(residual, weight, cx, cy, half, sky, member[start[k] : start[k + 1]])
        cholesky_solve(normal, 3 * n, rhs)
        for r in range(3 * n):
            rhs[r] = rhs[r] * scale[r] if np.isfinite(rhs[r]) else 0.0
        for m in range(n):
            s = member[start[k] + m]
            old_x[m], old_y[m], old_f[m] = x[s], y[s], flux[s]
            one_x[0], one_y[0], one_f[0] = x[s], y[s], flux[s]
            if loose[s] == 2:
                dx, dy, df = rhs[3 * m + 1], rhs[3 * m + 2], rhs[3 * m]
                if dx * step_x[s] + dy * step_y[s] < 0.0:
                    clamp[s] *= 0.5
                else:
                    clamp[s] = min(1.5 * clamp[s], largest_step)
                size = np.hypot(dx, dy)
                short = min(1.0, clamp[s] / size) if size > 0.0 else 1.0
                step_x[s], step_y[s] = short * dx, short * dy
                x[s] += step_x[s]
                y[s] += step_y[s]
                if flux[s] > 0.0:  # with a place that is wrong by far the step means little
                    df = min(max(df, -0.84 * flux[s]), 4.0 * flux[s])
                flux[s] += df
            else:
                flux[s] += rhs[3 * m]
            if diagonal[3 * m] > 0.0:  # two stars must not cancel each other: below 0 by noise, no more
                flux[s] = max(flux[s], -DARKEST / np.sqrt(diagonal[3 * m]))
            one_x[1], one_y[1], one_f[1] = x[s], y[s], -flux[s]
            one_r[0] = one_r[1] = reach[s]
            if one_f[0] != flux[s] or one_x[0] != x[s] or one_y[0] != y[s]:
                add_models(residual, tables, field, step, one_x, one_y, one_f, one_r)
            change = abs(flux[s] - one_f[0]) * np.sqrt(diagonal[3 * m])
            change = max(change, abs(x[s] - one_x[0]) * np.sqrt(diagonal[3 * m + 1]))
            moved[s] = max(change, abs(y[s] - one_y[0]) * np.sqrt(diagonal[3 * m + 2]))
        after = misfit(residual, weight, cx, cy, half, sky, member[start[k] : start[k + 1]])
        if after <= 1.02 * before + 2.0:
            damping[k] = max(0.2 * damping[k], DAMPING)
            continue
        damping[k] = min(10.0 * damping[k], 1e6)
        for m in range(n):
            s = member[start[k] + m]
            one_x[0], one_y[0], one_f[0] = x[s], y[s], flux[s]
            one_x[1], one_y[1], one_f[1] = old_x[m], old_y[m], -old_f[m]
            one_r[0] = one_r[1] = reach[s]
            if one_f[0] != old_f[m] or one_x[0] != old_x[m] or one_y[0] != old_y[m]:
                add_models(residual, tables, field, step, one_x, one_y, one_f, one_r)
            x[s], y[s], flux[s] = old_x[m], old_y[m], old_f[m]
            step_x[s], step_y[s] = 0.0, 0.0
            moved[s] = max(moved[s], 1.0)
