"""Errors and quality of PSF fits: joint covariance with neighbors, correlated noise, sky, goodness of fit."""

import numpy as np
from numba import njit

from sciastro.kernels.psf import field_terms, psf_stamp
from sciastro.kernels.psffit import cholesky, cholesky_solve, pair_sums, prepare

__all__ = ["FIT_COLUMNS", "fit_errors"]

FIT_COLUMNS = (
    "flux_var", "x_var", "y_var", "sky_weight", "chi2", "n_pixels", "qfit", "cfit", "sharpness",
    "sharpness_err", "light", "alone_var",
)  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def _sum_correlated(h, side, reach, correlation):
    """Return the variance of a sum of pixels of noise `h`, correlated by offset as `correlation` has it."""
    total = 0.0
    for b in range(reach + 1):
        for a in range(-reach, reach + 1):
            rho = correlation[reach + b, reach + a]
            if (b == 0 and a < 0) or rho == 0.0 or b >= side or abs(a) >= side:
                continue
            shared = 0.0
            for j in range(side - b):
                for i in range(max(0, -a), min(side, side - a)):
                    shared += h[j, i] * h[j + b, i + a]
            total += shared if a == 0 and b == 0 else 2.0 * rho * shared
    return total


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
    rows, columns = residual.shape
    reach = correlation.shape[0] // 2
    most, side = 1, 1
    for s in range(x.size):
        most = max(most, start[s + 1] - start[s] + 1)
        side = max(side, 2 * int(np.ceil(radius[s])) + 1)
    n_nodes = tables.shape[1]
    work, terms = np.empty((n_nodes, n_nodes)), np.empty(tables.shape[0])
    gradient, weight = np.empty((most, 3, side, side)), np.empty((most, side, side))
    normal, row, pair = np.zeros((3 * most, 3 * most)), np.zeros(3 * most), np.empty((3, 3))
    scale = np.empty(3 * most)
    cx, cy, half = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    who, h = np.empty(most, np.int64), np.zeros((side, side))
    for s in range(x.size):
        out[s, :] = np.nan
        bits[s] = 0
        if not (np.isfinite(x[s]) and np.isfinite(y[s])):
            continue
        n = 1 + start[s + 1] - start[s]
        who[0] = s
        for m in range(1, n):
            who[m] = neighbor[start[s] + m - 1]
        share = 0.0
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
            share = seen if m == 0 else share
        out[s, 10] = share
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
        alone = normal[0, 0]
        for m in range(n):
            for a in range(3):
                r = 3 * m + a
                if (a > 0 and loose[who[m]] < 2) or loose[who[m]] == 0 or not normal[r, r] > 0.0:
                    for q in range(3 * n):
                        if q <= r:
                            normal[r, q] = 0.0
                        else:
                            normal[q, r] = 0.0
                    normal[r, r] = 1.0
                else:
                    normal[r, r] *= 1.0 + 1e-6
        if not alone > 0.0:
            continue
        for r in range(3 * n):  # fluxes and positions are of very different size
            scale[r] = 1.0 / np.sqrt(normal[r, r])
        for r in range(3 * n):
            for q in range(r + 1):
                normal[r, q] *= scale[r] * scale[q]
        if not cholesky(normal, 3 * n):
            continue
        out[s, 11] = 1.0 / alone
        size = 2 * half[0] + 1
        for a in range(3):
            if a > 0 and loose[s] < 2:
                continue
            row[: 3 * n] = 0.0
            row[a] = scale[a]
            cholesky_solve(normal, 3 * n, row)
            for r in range(3 * n):
                row[r] *= scale[r]
            formal, sky_weight, whole = row[a], 0.0, 0.0
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
                    sky_weight += total * w
                    whole += total * total * w
                    # Weight of the pixel times its noise; errors of the profile are no noise of pixels: they
                    # enter the weights alone, and what they do to fluxes is measured as their scatter.
                    e = blur * flux[s] * max(gradient[0, 0, j, i], 0.0)
                    h[j, i] = total * w * np.sqrt(max(1.0 / w - e * e, 0.0))
            if whole > 0.0:
                correlated = _sum_correlated(h, size, reach, correlation)
                formal *= max(correlated / whole, 0.05)
            out[s, a] = formal
            if a == 0:
                out[s, 3] = sky_weight
        chi2, count, absolute, mode, mode_norm, mixed, center = 0.0, 0, 0.0, 0.0, 0.0, 0.0, np.nan
        for j in range(size):
            for i in range(size):
                w = weight[0, j, i]
                yy, xx = cy[0] + j - half[0], cx[0] + i - half[0]
                if 0 <= yy < rows and 0 <= xx < columns:
                    near = (xx - x[s]) ** 2 + (yy - y[s]) ** 2
                    if near <= (0.6 * radius[s]) ** 2:
                        bits[s] |= quality[yy, xx]
                if w == 0.0:
                    continue
                d = residual[yy, xx] - sky[s]
                chi2 += w * d * d
                absolute += abs(d)
                count += 1
                if j == half[0] and i == half[0]:
                    center = d
                # d P / d ln(width) = -(2 P + x dP/dx + y dP/dy); slopes here are by the star's place, times F
                g = gradient[0, 1, j, i] * (xx - x[s]) + gradient[0, 2, j, i] * (yy - y[s])
                g -= 2.0 * flux[s] * gradient[0, 0, j, i]
                mode += w * g * d
                mode_norm += w * g * g
                mixed += w * g * gradient[0, 0, j, i]
        fitted = 3 if loose[s] == 2 else loose[s]
        out[s, 4] = chi2 / max(count - fitted, 1)
        out[s, 5] = count
        if flux[s] != 0.0:
            out[s, 6] = absolute / abs(flux[s])
            out[s, 7] = center / flux[s]
        mode_norm -= mixed * mixed / alone  # the part of the mode that a change of flux cannot mimic
        if mode_norm > 0.0 and flux[s] > 0.0:
            out[s, 8] = mode / mode_norm
            out[s, 9] = 1.0 / np.sqrt(mode_norm)
