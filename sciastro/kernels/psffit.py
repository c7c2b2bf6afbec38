"""Fit point spread functions to overlapping stars, group by group, on the residual of all stars.

The image minus the models of all stars is kept at hand. A group takes one Gauss-Newton step against it, its
members at once, and the residual follows; sweep after sweep the fluxes, positions and the light of neighbors
settle. What every star must fulfill in the end does not depend on the groups: the residual over the disc
about it, times the weights, is orthogonal to its profile and to the slopes of its profile.
"""

import numpy as np

from sciastro.kernels.jit import njit
from sciastro.kernels.psf import add_models, field_terms, psf_stamp
from sciastro.kernels.psflinear import cholesky, cholesky_solve, normal_equations, pin, scale_equations

__all__ = ["fit_groups", "prepare"]

DAMPING = 1e-3  # of the diagonal: stars that coincide share their light
DARKEST = 3.0  # sigma: no flux is fainter
STEEP = 4.0  # sigma: how far a pixel's deviation may pull its variance along


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
def right_side(residual, weight, gradient, x0, y0, half, sky, out):
    """Fill out[3] with the sums of weighted residual times a star's profile and slopes."""
    for a in range(3):
        total = 0.0
        for j in range(2 * half + 1):
            for i in range(2 * half + 1):
                w = weight[j, i]
                if w > 0.0:
                    total += w * gradient[a, j, i] * (residual[y0 + j - half, x0 + i - half] - sky)
        out[a] = total


@njit(nogil=True, cache=True, error_model="numpy")
def condition(normal, rhs, diagonal, stars, loose, damping, x, y, home_x, home_y, tether):
    """Pin what is not fit, damp the rest, and pull places to where they came from, all in place."""
    n = 3 * stars.size
    for m in range(stars.size):
        s = stars[m]
        for a in range(3):
            r = 3 * m + a
            if loose[s] == 0 or (a > 0 and loose[s] < 2) or not normal[r, r] > 0.0:
                pin(normal, r, n)
                rhs[r], diagonal[r] = 0.0, 0.0
                continue
            diagonal[r] = normal[r, r]
            normal[r, r] *= 1.0 + damping
            if a > 0:
                pull = 1.0 / (tether[s] * tether[s])
                normal[r, r] += pull
                rhs[r] += pull * (home_x[s] - x[s] if a == 1 else home_y[s] - y[s])


@njit(nogil=True, cache=True, error_model="numpy")
def take_step(s, df, dx, dy, x, y, flux, loose, step_x, step_y, clamp, largest_step, least):
    """Move star `s`, not farther than its clamp, not fainter than `least`."""
    if loose[s] == 2:
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
    flux[s] = max(flux[s] + df, least)


@njit(nogil=True, cache=True, error_model="numpy")
def redraw(residual, tables, field, step, old, new, reach, twice):
    """Put a star's old model (x, y, flux) back into the residual and take its new one off."""
    if old[0] == new[0] and old[1] == new[1] and old[2] == new[2]:
        return
    twice[0, 0], twice[1, 0], twice[2, 0] = old[0], old[1], old[2]
    twice[0, 1], twice[1, 1], twice[2, 1] = new[0], new[1], -new[2]
    twice[3, :] = reach
    add_models(residual, tables, field, step, twice[0], twice[1], twice[2], twice[3])


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
    # Long, as a call of an inner part would copy the description of every array (7 words each) each time.
    most, side = 1, 1
    for k in range(start.size - 1):
        most = max(most, start[k + 1] - start[k])
    for s in member:
        side = max(side, 2 * int(np.ceil(radius[s])) + 1)
    n_nodes = tables.shape[1]
    work, terms = np.empty((n_nodes, n_nodes)), np.empty(tables.shape[0])
    gradient, weight = np.empty((most, 3, side, side)), np.empty((most, side, side))
    normal, rhs = np.zeros((3 * most, 3 * most)), np.zeros(3 * most)
    diagonal, scale = np.zeros(3 * most), np.zeros(3 * most)
    cx, cy, half = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    old, new, twice = np.empty((most, 3)), np.empty(3), np.empty((4, 2))
    for k in range(start.size - 1):
        stars = member[start[k] : start[k + 1]]
        n = stars.size
        for m in range(n):
            s = stars[m]
            cx[m], cy[m] = int(np.floor(x[s] + 0.5)), int(np.floor(y[s] + 0.5))
            half[m] = int(np.ceil(radius[s]))
            fx, fy = x[s] - cx[m], y[s] - cy[m]
            field_terms(x[s], y[s], field, terms)
            psf_stamp(tables, terms, step, fx, fy, half[m], True, work, gradient[m])
            light[s] = prepare(
                residual, variance, shot, blur, cx[m], cy[m], half[m], radius[s], fx, fy, sky[s], flux[s],
                gradient[m], weight[m],
            )  # fmt: skip
            right_side(
                residual, weight[m], gradient[m], cx[m], cy[m], half[m], sky[s], rhs[3 * m : 3 * m + 3]
            )
        normal_equations(gradient, weight, cx, cy, half, n, normal)
        condition(normal, rhs, diagonal, stars, loose, damping[k], x, y, home_x, home_y, tether)
        scale_equations(normal, 3 * n, scale)
        for r in range(3 * n):
            rhs[r] *= scale[r]
        if not cholesky(normal, 3 * n):
            for m in range(n):
                moved[stars[m]] = np.inf
            continue
        before = misfit(residual, weight, cx, cy, half, sky, stars)
        cholesky_solve(normal, 3 * n, rhs)
        for m in range(n):
            s = stars[m]
            for r in range(3 * m, 3 * m + 3):
                rhs[r] = rhs[r] * scale[r] if np.isfinite(rhs[r]) else 0.0
            old[m, 0], old[m, 1], old[m, 2] = x[s], y[s], flux[s]
            least = -np.inf
            if diagonal[3 * m] > 0.0:  # two stars must not cancel each other: below 0 by noise, no more
                least = -DARKEST / np.sqrt(diagonal[3 * m])
            take_step(
                s, rhs[3 * m], rhs[3 * m + 1], rhs[3 * m + 2], x, y, flux, loose, step_x, step_y, clamp,
                largest_step, least,
            )  # fmt: skip
            new[0], new[1], new[2] = x[s], y[s], flux[s]
            redraw(residual, tables, field, step, old[m], new, reach[s], twice)
            change = abs(flux[s] - old[m, 2]) * np.sqrt(diagonal[3 * m])
            change = max(change, abs(x[s] - old[m, 0]) * np.sqrt(diagonal[3 * m + 1]))
            moved[s] = max(change, abs(y[s] - old[m, 1]) * np.sqrt(diagonal[3 * m + 2]))
        after = misfit(residual, weight, cx, cy, half, sky, stars)
        if after <= 1.02 * before + 2.0:
            damping[k] = max(0.2 * damping[k], DAMPING)
            continue
        damping[k] = min(10.0 * damping[k], 1e6)
        for m in range(n):  # worse than before: take it back
            s = stars[m]
            new[0], new[1], new[2] = x[s], y[s], flux[s]
            redraw(residual, tables, field, step, new, old[m], reach[s], twice)
            x[s], y[s], flux[s] = old[m, 0], old[m, 1], old[m, 2]
            step_x[s], step_y[s] = 0.0, 0.0
            moved[s] = max(moved[s], 1.0)
