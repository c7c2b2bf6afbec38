"""Stars that are left in a residual image: matched filter with the PSF, every pixel by its own variance."""

import numpy as np

from sciastro.kernels.jit import njit

__all__ = ["filter_peaks", "matched_filter"]


@njit(nogil=True, cache=True, error_model="numpy")
def matched_filter(residual, variance, light, share, template, out):
    """Fill float32[row, column] `out` with the S/N of a star on every pixel.

    ``S/N = sum(P r / V) / sqrt(sum(P^2 / V))`` over the template P; pixels of variance 0 do not enter, and
    where they leave less than half of P^2 the S/N is 0. ``light`` float32[row, column] is what was
    subtracted: `share` of it, all pixels alike, is taken as the error of the subtraction.
    """
    rows, columns = residual.shape
    side = template.shape[0]
    half = side // 2
    strength = 0.0
    for j in range(side):
        for i in range(side):
            strength += template[j, i] ** 2
    top = np.empty(columns, np.float32)
    bottom = np.empty(columns, np.float32)
    held = np.empty(columns, np.float32)
    wrong = np.empty(columns, np.float32)
    for y in range(rows):
        top[:], bottom[:], held[:], wrong[:] = 0.0, 0.0, 0.0, 0.0
        for j in range(max(0, half - y), min(side, rows + half - y)):
            row = y + j - half
            for i in range(side):
                p = np.float32(template[j, i])
                shift = i - half
                for x in range(max(0, -shift), min(columns, columns - shift)):
                    v = variance[row, x + shift]
                    w = p / v if v > 0.0 else np.float32(0.0)
                    wrong[x] += w * light[row, x + shift]
                    top[x] += w * residual[row, x + shift]
                    bottom[x] += w * p
                    held[x] += p * p if v > 0.0 else np.float32(0.0)
        for x in range(columns):
            good = held[x] > 0.5 * strength and bottom[x] > 0.0
            e = np.float32(share) * wrong[x]
            out[y, x] = top[x] / np.sqrt(bottom[x] + e * e) if good else np.float32(0.0)


@njit(nogil=True, cache=True, error_model="numpy")
def filter_peaks(snr, threshold, most):
    """Return x, y (parabolic, of the peak of 3 pixels along each axis) and S/N of the local maxima."""
    rows, columns = snr.shape
    x, y, s = np.empty(most), np.empty(most), np.empty(most)
    n = 0
    for j in range(1, rows - 1):
        for i in range(1, columns - 1):
            v = snr[j, i]
            if not v >= threshold:
                continue
            best = True
            for b in range(-1, 2):
                for a in range(-1, 2):
                    later = b > 0 or (b == 0 and a > 0)
                    other = snr[j + b, i + a]
                    if (a != 0 or b != 0) and (other > v or (other == v and not later)):
                        best = False
            if not best or n >= most:
                continue
            cx = 2.0 * v - snr[j, i - 1] - snr[j, i + 1]
            cy = 2.0 * v - snr[j - 1, i] - snr[j + 1, i]
            ax = 0.5 * (snr[j, i + 1] - snr[j, i - 1]) / cx if cx > 0.0 else 0.0
            ay = 0.5 * (snr[j + 1, i] - snr[j - 1, i]) / cy if cy > 0.0 else 0.0
            x[n], y[n] = i + min(max(ax, -0.5), 0.5), j + min(max(ay, -0.5), 0.5)
            s[n] = v
            n += 1
    return x[:n], y[:n], s[:n]
