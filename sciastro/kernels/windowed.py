"""Measure stars by Gaussian-windowed moments: position, shape, flux, and the errors of each.

Every star is cut out once, with missing pixels replaced by their mirror image about the peak.
"""

import numpy as np

from sciastro.kernels.background import rejected
from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.order import select

__all__ = ["COLUMNS", "NARROW", "WIDE", "measure_stars"]

# Columns of the table that `measure_stars` fills.
COLUMNS = (
    "x", "y", "x_err", "y_err", "flux", "flux_err", "peak", "cxx", "cyy", "cxy", "snr", "sharpness",
    "sky", "good", "wide",
)  # fmt: skip

SETTLED, UNSETTLED, LOST = 0, 1, 2  # ends of the search for a centroid
NARROW, WIDE = 1.3, 1.7  # windows of the second moments, in widths of the point spread function


@inner
def _mesh_at(padded, y, x, iy, wy, ix, wx):
    """Return the interpolated mesh at one pixel (clamped to the image)."""
    y, x = min(max(y, 0), iy.size - 1), min(max(x, 0), ix.size - 1)
    total = 0.0
    for b in range(4):
        line = 0.0
        for a in range(4):
            line += wx[a, x] * padded[iy[y] + b, ix[x] + a]
        total += wy[b, y] * line
    return total


@inner
def _annulus_sky(image, quality, masks, cy, cx, plane, inner, outer, buffer):
    """Return the median of image minus the sky plane in an annulus, and how many pixels entered.

    One clip at 2.5 sigma, with sigma from the 16 % quantile (stars do not touch the faint side), then the
    median again.
    """
    has_quality = quality.shape[0] > 1
    reach = int(np.ceil(outer))
    step = max(1, int(np.sqrt(np.pi * (outer * outer - inner * inner) / 200.0) + 0.5))
    n = np.int64(0)
    for y in range(cy - reach, cy + reach + 1, step):
        if y < 0 or y >= image.shape[0]:
            continue
        for x in range(cx - reach, cx + reach + 1, step):
            if x < 0 or x >= image.shape[1]:
                continue
            r2 = float((y - cy) * (y - cy) + (x - cx) * (x - cx))
            if r2 < inner * inner or r2 > outer * outer:
                continue
            value = image[y, x] - (plane[0] + plane[1] * (x - cx) + plane[2] * (y - cy))
            if not np.isfinite(value):
                continue
            if has_quality and rejected(quality[y, x], masks[0], masks[1], masks[2]):
                continue
            if n < buffer.size:
                buffer[n] = value
                n += 1
    if n < 12:
        return 0.0, 0
    median = select(buffer, n, n // 2)
    faint = select(buffer, n, int(0.1587 * n))  # -1 sigma of a Gaussian
    limit = median + 2.5 * (median - faint)
    kept = np.int64(0)
    for i in range(n):
        if buffer[i] <= limit:
            buffer[kept] = buffer[i]
            kept += 1
    low = median - 2.5 * (median - faint)
    n = np.int64(0)
    for i in range(kept):
        if buffer[i] >= low:
            buffer[n] = buffer[i]
            n += 1
    return select(buffer, n, n // 2), n


@inner
def _fill_stamp(image, quality, masks, variance, cy, cx, plane, sky, noise, stamp, power):
    """Cut out signal and variance about a pixel; return the share of pixels that were there."""
    has_quality, has_variance = quality.shape[0] > 1, variance.shape[0] > 1
    radius = stamp.shape[0] // 2
    good, total = 0, 0
    for j in range(-radius, radius + 1):
        for i in range(-radius, radius + 1):
            value, v = np.nan, noise * noise
            total += 1
            for side in (1, -1):
                y, x = cy + side * j, cx + side * i
                if y < 0 or y >= image.shape[0] or x < 0 or x >= image.shape[1]:
                    continue
                pixel = image[y, x]
                if not np.isfinite(pixel):
                    continue
                if has_quality and rejected(quality[y, x], masks[0], masks[1], masks[2]):
                    continue
                value = pixel - (plane[0] + plane[1] * side * i + plane[2] * side * j) - sky
                v = noise * noise + max(value, 0.0)
                if has_variance and variance[y, x] > 0:
                    v = variance[y, x]
                good += side > 0
                break
            stamp[j + radius, i + radius] = value if np.isfinite(value) else 0.0
            power[j + radius, i + radius] = v
    return good / total


@inner
def _gauss(offset, sigma, radius, out):
    """Write exp(-(i - radius - offset)^2 / 2 sigma^2); return the range where it exceeds about 1e-3."""
    reach = 3.7 * sigma
    first = max(0, int(np.ceil(radius + offset - reach)))
    last = min(2 * radius, int(np.floor(radius + offset + reach)))
    for i in range(first, last + 1):
        d = i - radius - offset
        out[i] = np.exp(-0.5 * d * d / (sigma * sigma))
    return first, last + 1


@inner
def _windowed(stamp, dx, dy, sigma, gx, gy, out):
    """Write sums of w I, w I x, w I y, w I x2, w I y2, w I xy about (dx, dy) under a Gaussian window."""
    radius = stamp.shape[0] // 2
    x0, x1 = _gauss(dx, sigma, radius, gx)
    y0, y1 = _gauss(dy, sigma, radius, gy)
    out[:] = 0.0
    for j in range(y0, y1):
        v = j - radius - dy
        s0, s1, s2 = 0.0, 0.0, 0.0
        for i in range(x0, x1):
            u = i - radius - dx
            wi = gx[i] * stamp[j, i]
            s0 += wi
            s1 += wi * u
            s2 += wi * u * u
        out[0] += gy[j] * s0
        out[1] += gy[j] * s1
        out[2] += gy[j] * s0 * v
        out[3] += gy[j] * s2
        out[4] += gy[j] * s0 * v * v
        out[5] += gy[j] * s1 * v


@inner
def _window_errors(power, dx, dy, sigma, gx, gy):
    """Return sums of w2 V, w2 V x2 and w2 V y2 about (dx, dy)."""
    radius = power.shape[0] // 2
    x0, x1 = _gauss(dx, sigma, radius, gx)
    y0, y1 = _gauss(dy, sigma, radius, gy)
    total, xx, yy = 0.0, 0.0, 0.0
    for j in range(y0, y1):
        v = j - radius - dy
        for i in range(x0, x1):
            u = i - radius - dx
            wv = gx[i] * gx[i] * gy[j] * gy[j] * power[j, i]
            total += wv
            xx += wv * u * u
            yy += wv * v * v
    return total, xx, yy


@inner
def _deconvolve(xx, yy, xy, sigma):
    """Return the star's second moments from windowed ones: C^-1 = M^-1 - W^-1 (product of two Gaussians)."""
    w = 1.0 / (sigma * sigma)
    det = xx * yy - xy * xy
    if not (det > 0 and xx > 0 and yy > 0):
        return np.nan, np.nan, np.nan
    a, b, c = yy / det - w, xx / det - w, -xy / det
    # An axis as long as the window has no inverse: limit it to 5 window widths.
    middle, half = 0.5 * (a + b), np.hypot(0.5 * (a - b), c)
    if middle - half < 0.04 * w:
        low, high = 0.04 * w, max(middle + half, 0.04 * w)
        if half > 0:
            ratio = 0.5 * (high - low) / half
            a, b, c = (
                0.5 * (high + low) + (a - middle) * ratio,
                0.5 * (high + low) + (b - middle) * ratio,
                c * ratio,
            )
        else:
            a, b = low, low
    det = a * b - c * c
    return b / det, a / det, -c / det


@inner
def _aperture(stamp, power, dx, dy, radius_px):
    """Return sum, variance and area over a circle; border pixels are split into 5 x 5."""
    radius = stamp.shape[0] // 2
    total, noise, area = 0.0, 0.0, 0.0
    for j in range(stamp.shape[0]):
        v = j - radius - dy
        if abs(v) > radius_px + 0.5:
            continue
        for i in range(stamp.shape[1]):
            u = i - radius - dx
            d = np.sqrt(u * u + v * v)
            if d > radius_px + 0.7072:
                continue
            share = 1.0
            if d > radius_px - 0.7072:
                inside = 0
                for b in range(5):
                    for a in range(5):
                        p, q = u + 0.2 * (a - 2), v + 0.2 * (b - 2)
                        inside += p * p + q * q <= radius_px * radius_px
                share = inside / 25.0
            total += share * stamp[j, i]
            noise += share * share * power[j, i]
            area += share
    return total, noise, area


@inner
def _core_bits(quality, cy, cx, radius):
    """Return the OR of the bits within `radius` pixels (squared distance)."""
    bits = np.uint16(0)
    if quality.shape[0] <= 1:
        return bits
    reach = int(radius)
    for y in range(max(cy - reach, 0), min(cy + reach + 1, quality.shape[0])):
        for x in range(max(cx - reach, 0), min(cx + reach + 1, quality.shape[1])):
            if (y - cy) * (y - cy) + (x - cx) * (x - cx) <= radius * radius:
                bits |= quality[y, x]
    return bits


@inner
def _sharpness(stamp):
    """Return the brightest pixel near the center, and the mean of its 4 neighbors over it (0: hot pixel)."""
    radius = stamp.shape[0] // 2
    best, bj, bi = -np.inf, radius, radius
    for j in range(radius - 1, radius + 2):
        for i in range(radius - 1, radius + 2):
            if stamp[j, i] > best:
                best, bj, bi = stamp[j, i], j, i
    if not best > 0:
        return best, np.nan
    around = stamp[bj - 1, bi] + stamp[bj + 1, bi] + stamp[bj, bi - 1] + stamp[bj, bi + 1]
    return best, 0.25 * around / best


@njit(nogil=True, cache=True, error_model="numpy")
def _sky_plane(level, cy, cx, iy, wy, ix, wx):
    """Return level, slope along x and slope along y of the sky about a pixel, from 8 pixels to each side."""
    plane = np.empty(3)
    x0, x1 = max(cx - 8, 0), min(cx + 8, ix.size - 1)
    y0, y1 = max(cy - 8, 0), min(cy + 8, iy.size - 1)
    plane[0] = _mesh_at(level, cy, cx, iy, wy, ix, wx)
    rise_x = _mesh_at(level, cy, x1, iy, wy, ix, wx) - _mesh_at(level, cy, x0, iy, wy, ix, wx)
    rise_y = _mesh_at(level, y1, cx, iy, wy, ix, wx) - _mesh_at(level, y0, cx, iy, wy, ix, wx)
    plane[1], plane[2] = rise_x / max(x1 - x0, 1), rise_y / max(y1 - y0, 1)
    return plane


@inner
def _window_width(stamp, power, peak, noise, width):
    """Return the width (sigma, pixel) of the centroid's window, at least one pixel.

    1.2 (sky-limited) to 1.6 widths of the star (photon-limited): within 8 % of the Cramer-Rao bound at
    both ends; a window of exactly the star's width (XWIN) loses a third for bright stars.
    """
    radius = stamp.shape[0] // 2
    dark = power[radius, radius] - max(stamp[radius, radius], 0.0)
    beta = max(peak, 0.0) / max(dark, noise * noise, 1e-30)
    return max(np.sqrt(1.44 + (2.56 - 1.44) * beta / (beta + 4.0)) * width, 1.0)


@inner
def _settle(stamp, dx, dy, window, factor, width, gx, gy, sums):
    """Move (dx, dy) to the windowed centroid; return it with SETTLED, UNSETTLED or LOST."""
    state = UNSETTLED
    for _ in range(30):
        _windowed(stamp, dx, dy, window, gx, gy, sums)
        if not sums[0] > 0:
            break
        step_x, step_y = factor * sums[1] / sums[0], factor * sums[2] / sums[0]
        length = np.hypot(step_x, step_y)
        if length > width:  # far off: go one width at a time
            step_x, step_y = step_x * width / length, step_y * width / length
        dx, dy = dx + step_x, dy + step_y
        if np.hypot(dx, dy) > 2.0 * width + 1.0:
            break
        if length < 2e-4:
            state = SETTLED
            break
    if not sums[0] > 0 or np.hypot(dx, dy) > 2.0 * width + 1.0:
        state = LOST
    return dx, dy, state


@inner
def _moments(stamp, dx, dy, sigma, gx, gy, sums):
    """Return the star's second moments xx, yy, xy, freed of a window of `sigma`; NaN without light."""
    _windowed(stamp, dx, dy, sigma, gx, gy, sums)
    if not sums[0] > 0:
        return np.nan, np.nan, np.nan
    return _deconvolve(sums[3] / sums[0], sums[4] / sums[0], sums[5] / sums[0], sigma)


@inner
def _fetch(image, quality, cy, cx, reach):
    """Touch every line of memory about a pixel, so that the processor waits for all of them at once."""
    y0, y1 = max(cy - reach, 0), min(cy + reach + 1, image.shape[0])
    x0, x1 = max(cx - reach, 0), min(cx + reach + 1, image.shape[1])
    has_quality, touched = quality.shape[0] > 1, 0
    for y in range(y0, y1):
        for x in range(x0, x1, 16):  # 64 bytes
            touched += image[y, x] > 0
        if has_quality:
            for x in range(x0, x1, 32):
                touched += quality[y, x] & 1
    return touched


@njit(nogil=True, cache=True, error_model="numpy")
def measure_stars(
    image,
    quality,
    masks,
    variance,
    level,
    rms,
    iy,
    wy,
    ix,
    wx,
    start_x,
    start_y,
    start_sigma,
    sigma,
    aperture,
    out,
    bits,
):
    """Measure stars at given starting positions.

    Parameters
    ----------
    image, quality, masks, level, rms, iy, wy, ix, wx
        As in `find_peaks`.
    variance
        float32[y, x] [electron2], or float32[1, 1] for none: then sky noise plus shot noise of the signal.
    start_x, start_y
        float64 positions [pixel].
    start_sigma
        float64 per star: least window width [pixel] (wider for saturated stars).
    sigma
        Width of the point spread function [pixel], 1 sigma.
    aperture
        Radius of the flux aperture [pixel].
    out
        Output float64[star, len(COLUMNS)]; `good` is the share of the stamp with data, 0 where the
        centroid left its neighborhood, negative where it did not settle; `cxx`, `cyy`, `cxy` are second
        moments freed of the window [pixel2], `wide` the width (sigma, pixel) under the wider one.
    bits
        Output uint16: quality bits under the core (one FWHM across).

    Returns
    -------
    int
        Of no meaning: whoever returns it cannot leave out reading it.
    """
    touched = 0
    for s in range(start_x.size):
        width = max(sigma, start_sigma[s])
        radius = int(np.ceil(max(3.7 * 1.7 * width, aperture + 1.0))) + 1
        size = 2 * radius + 1
        stamp, power = np.empty((size, size)), np.empty((size, size))
        gx, gy, sums = np.empty(size), np.empty(size), np.empty(6)
        buffer = np.empty(2000)
        cx, cy = int(np.floor(start_x[s] + 0.5)), int(np.floor(start_y[s] + 0.5))
        out[s, :] = np.nan
        out[s, 13] = 0.0
        inner = max(aperture + 1.5 * width, 4.0 * width)
        outer = np.sqrt(inner * inner + 400.0 / np.pi) + width
        touched += _fetch(image, quality, cy, cx, int(np.ceil(outer)))
        plane = _sky_plane(level, cy, cx, iy, wy, ix, wx)
        noise = _mesh_at(rms, cy, cx, iy, wy, ix, wx)
        local, n_sky = _annulus_sky(image, quality, masks, cy, cx, plane, inner, outer, buffer)
        good = _fill_stamp(image, quality, masks, variance, cy, cx, plane, local, noise, stamp, power)
        peak, sharpness = _sharpness(stamp)
        bits[s] = _core_bits(quality, cy, cx, max(1.5, 1.2 * width))
        window = _window_width(stamp, power, peak, noise, width)
        factor = 1.0 + (width / window) ** 2  # a windowed step is short by this, for a Gaussian star
        dx, dy, state = _settle(stamp, start_x[s] - cx, start_y[s] - cy, window, factor, width, gx, gy, sums)
        if state == LOST:
            continue
        cxx, cyy, cxy = _moments(stamp, dx, dy, NARROW * width, gx, gy, sums)
        a, b, c = _moments(stamp, dx, dy, WIDE * width, gx, gy, sums)
        out[s, 14] = np.sqrt(np.sqrt(a * b - c * c))
        _windowed(stamp, dx, dy, window, gx, gy, sums)
        total, exx, eyy = _window_errors(power, dx, dy, window, gx, gy)
        flux, flux_noise, area = _aperture(stamp, power, dx, dy, aperture)
        if n_sky > 0:
            flux_noise += area * area * 1.571 * noise * noise / n_sky
        out[s, 0], out[s, 1] = cx + dx, cy + dy
        out[s, 2], out[s, 3] = factor * np.sqrt(exx) / sums[0], factor * np.sqrt(eyy) / sums[0]
        out[s, 4], out[s, 5], out[s, 6] = flux, np.sqrt(flux_noise), peak
        out[s, 7], out[s, 8], out[s, 9] = cxx, cyy, cxy
        out[s, 10] = sums[0] / np.sqrt(total)
        out[s, 11], out[s, 12] = sharpness, plane[0] + local
        out[s, 13] = good if state == SETTLED else -good
    return touched
