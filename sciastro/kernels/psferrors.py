"""Errors and quality of PSF fits: joint covariance with neighbors, correlated noise, sky, goodness of fit."""

import numpy as np

from sciastro.kernels.aperture import correlated_variance
from sciastro.kernels.jit import njit
from sciastro.kernels.psf import field_terms, psf_stamp
from sciastro.kernels.psffit import prepare
from sciastro.kernels.psflinear import cholesky, cholesky_solve, normal_equations, pin, scale_equations

__all__ = ["FIT_COLUMNS", "fit_errors"]

FIT_COLUMNS = (
    "flux_var", "x_var", "y_var", "sky_weight", "chi2", "n_pixels", "qfit", "cfit", "sharpness",
    "sharpness_err", "light", "alone_var",
)  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def _response(row, weight, gradient, cx, cy, half, n, noise_of_profile, h):
    """Fill h[j, i] with how far the noise of each pixel of star 0's disc moves the unknown that `row` solves.

    ``row`` is the row of the inverse of the normal equations. Errors of the profile, ``noise_of_profile``
    times it, enter weights but are no noise of pixels: what they do to fluxes is measured as their scatter.

    Returns
    -------
    whole, level
        Variance by the weights of uncorrelated pixels; response to a change of the sky.
    """
    whole, level = 0.0, 0.0
    size = 2 * half[0] + 1
    for j in range(size):
        for i in range(size):
            h[j, i] = 0.0
            w = weight[0, j, i]
            if w == 0.0:
                continue
            total = 0.0
            yy, xx = cy[0] + j - half[0], cx[0] + i - half[0]
            for m in range(n):
                jj, ii = yy - cy[m] + half[m], xx - cx[m] + half[m]
                if 0 <= jj <= 2 * half[m] and 0 <= ii <= 2 * half[m] and weight[m, jj, ii] > 0.0:
                    for b in range(3):
                        total += row[3 * m + b] * gradient[m, b, jj, ii]
            level += total * w
            whole += total * total * w
            e = noise_of_profile * max(gradient[0, 0, j, i], 0.0)
            h[j, i] = total * w * np.sqrt(max(1.0 / w - e * e, 0.0))
    return whole, level


@njit(nogil=True, cache=True, error_model="numpy")
def _core_bits(quality, x, y, cx, cy, half, reach):
    """Return the quality bits of all pixels within `reach` of x, y."""
    rows, columns = quality.shape
    bits = 0
    for yy in range(max(0, cy - half), min(rows, cy + half + 1)):
        for xx in range(max(0, cx - half), min(columns, cx + half + 1)):
            if (xx - x) ** 2 + (yy - y) ** 2 <= reach * reach:
                bits |= quality[yy, xx]
    return bits


@njit(nogil=True, cache=True, error_model="numpy")
def _goodness(residual, weight, gradient, x, y, cx, cy, half, sky, flux, fitted, alone, out):
    """Fill columns 4 to 9 of a star: chi2, pixels, qfit, cfit, sharpness and its error."""
    chi2, count, absolute, center = 0.0, 0, 0.0, np.nan
    mode, mode_norm, mixed = 0.0, 0.0, 0.0
    for j in range(2 * half + 1):
        for i in range(2 * half + 1):
            w = weight[j, i]
            if w == 0.0:
                continue
            yy, xx = cy + j - half, cx + i - half
            d = residual[yy, xx] - sky
            chi2 += w * d * d
            absolute += abs(d)
            count += 1
            if j == half and i == half:
                center = d
            # d P / d ln(width) = -(2 P + x dP/dx + y dP/dy); slopes here are by the star's place, times F
            g = gradient[1, j, i] * (xx - x) + gradient[2, j, i] * (yy - y) - 2.0 * flux * gradient[0, j, i]
            mode += w * g * d
            mode_norm += w * g * g
            mixed += w * g * gradient[0, j, i]
    out[4] = chi2 / max(count - fitted, 1)
    out[5] = count
    if flux != 0.0:
        out[6] = absolute / abs(flux)
        out[7] = center / flux
    mode_norm -= mixed * mixed / alone  # the part of the mode that a change of flux cannot mimic
    if mode_norm > 0.0 and flux > 0.0:
        out[8] = mode / mode_norm
        out[9] = 1.0 / np.sqrt(mode_norm)


@njit(nogil=True, cache=True, error_model="numpy")
def fit_errors(
    residual, variance, shot, blur, tables, field, step,
    x, y, flux, sky, radius, loose, start, neighbor, correlation, out, bits, quality,
):  # fmt: skip
    """Fill float64[star, column] `out` (`FIT_COLUMNS`) and uint16[star] `bits`.

    ``neighbor[start[s]:start[s + 1]]`` are the stars that overlap star s and are fit with it: their
    uncertainty enters. ``correlation`` float64[2 K + 1, 2 K + 1] is that of the noise of two pixels by their
    offset. Other arguments as in `psffit.fit_groups`; nothing else is changed.
    """
    # Long, as a call of an inner part would copy the description of every array (7 words each) each time.
    most, side = 1, 1
    for s in range(x.size):
        most = max(most, start[s + 1] - start[s] + 1)
        side = max(side, 2 * int(np.ceil(radius[s])) + 1)
    n_nodes = tables.shape[1]
    work, terms = np.empty((n_nodes, n_nodes)), np.empty(tables.shape[0])
    gradient, weight = np.empty((most, 3, side, side)), np.empty((most, side, side))
    normal, row, scale = np.zeros((3 * most, 3 * most)), np.zeros(3 * most), np.empty(3 * most)
    cx, cy, half = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    who, h = np.empty(most, np.int64), np.zeros((side, side))
    for s in range(x.size):
        out[s, :] = np.nan
        bits[s] = 0
        if not (np.isfinite(x[s]) and np.isfinite(y[s])):
            continue
        n = 1 + start[s + 1] - start[s]
        who[0] = s
        who[1:n] = neighbor[start[s] : start[s + 1]]
        for m in range(n):
            t = who[m]
            cx[m], cy[m] = int(np.floor(x[t] + 0.5)), int(np.floor(y[t] + 0.5))
            half[m] = int(np.ceil(radius[t]))
            fx, fy = x[t] - cx[m], y[t] - cy[m]
            field_terms(x[t], y[t], field, terms)
            psf_stamp(tables, terms, step, fx, fy, half[m], True, work, gradient[m])
            seen = prepare(
                residual, variance, shot, blur, cx[m], cy[m], half[m], radius[t], fx, fy, sky[t], flux[t],
                gradient[m], weight[m],
            )  # fmt: skip
            if m == 0:
                out[s, 10] = seen
        normal_equations(gradient, weight, cx, cy, half, n, normal)
        alone = normal[0, 0]
        for m in range(n):
            for r in range(3 * m, 3 * m + 3):
                held = loose[who[m]] == 0 or (r > 3 * m and loose[who[m]] < 2)
                if held or not normal[r, r] > 0.0:
                    pin(normal, r, 3 * n)
                else:
                    normal[r, r] *= 1.0 + 1e-6
        if not alone > 0.0:
            continue
        scale_equations(normal, 3 * n, scale)
        if not cholesky(normal, 3 * n):
            continue
        out[s, 11] = 1.0 / alone
        for a in range(3 if loose[s] == 2 else 1):
            row[: 3 * n] = 0.0
            row[a] = scale[a]
            cholesky_solve(normal, 3 * n, row)
            for r in range(3 * n):
                row[r] *= scale[r]
            out[s, a] = row[a]
            whole, level = _response(row, weight, gradient, cx, cy, half, n, blur * flux[s], h)
            if whole > 0.0:
                out[s, a] *= max(correlated_variance(h, 2 * half[0] + 1, correlation) / whole, 0.05)
            if a == 0:
                out[s, 3] = level
        bits[s] = _core_bits(quality, x[s], y[s], cx[0], cy[0], half[0], 0.6 * radius[s])
        fitted = 3 if loose[s] == 2 else loose[s]
        _goodness(
            residual, weight[0], gradient[0], x[s], y[s], cx[0], cy[0], half[0], sky[s], flux[s], fitted,
            alone, out[s],
        )  # fmt: skip
