"""Sky level and noise on a mesh of tiles, and its smooth interpolation back to pixels.

Each tile is reduced to a histogram about a first guess; clipping then costs nothing per pixel.
"""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.order import select

__all__ = [
    "BINS",
    "interpolate_nodes",
    "interpolate_rows",
    "interpolate_span",
    "interpolation_table",
    "rejected",
    "tile_statistics",
]

BINS = 512  # of the histogram of a tile over 2 `REACH`: 1 / 32 sigma wide
SEEDS = 144  # pixels per tile that set the range of the histogram
REACH = 8.0  # half range of the histogram, in sigma of the first guess


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def rejected(bits, never, unless, repaired):
    """Return whether a pixel with `bits` must not be measured.

    Any bit of `never` forbids it; a bit of `unless` does where the pixel was not `repaired`.
    """
    return (bits & never) != 0 or ((bits & unless) != 0 and (bits & repaired) == 0)


@inner
def _sample(image, quality, masks, y0, y1, edges_x, following, samples, counts):
    """Take a sparse sample of every tile of a row of tiles, in the order in which the pixels lie in memory.

    `samples`, float64[tile_x, size], and `counts`, int64[tile_x], are written; `following`, int64[2, tile_x],
    is scratch.
    """
    has_quality = quality.shape[0] > 1
    steps, rows = following[0], following[1]
    for i in range(counts.size):
        step = max(1, int(np.sqrt((y1 - y0) * (edges_x[i + 1] - edges_x[i]) / SEEDS)))
        steps[i], rows[i], counts[i] = step, y0 + step // 2, 0
    for y in range(y0, y1):
        for i in range(counts.size):
            if rows[i] != y:
                continue
            rows[i] += steps[i]
            count = counts[i]
            for x in range(edges_x[i] + steps[i] // 2, edges_x[i + 1], steps[i]):
                value = image[y, x]
                if not np.isfinite(value):
                    continue
                if has_quality and rejected(quality[y, x], masks[0], masks[1], masks[2]):
                    continue
                if count < samples.shape[1]:
                    samples[i, count] = value
                    count += 1
            counts[i] = count


@inner
def _seed(sample, count):
    """Return the median and sigma (from the MAD) of the first `count` values of a sample, which are lost."""
    if count < 8:
        return np.nan, np.nan
    middle, mean = select(sample, count, count // 2), 0.0
    for i in range(count):
        sample[i] = abs(sample[i] - middle)
        mean += sample[i] / count
    spread = select(sample, count, count // 2)
    if spread > 0:
        return middle, 1.4826 * spread
    return middle, 1.2533 * mean  # more than half are equal: coarsely digitized


@inner
def _bin_rows(image, quality, masks, y0, y1, x0, x1, low, scale, bins):
    """Write the bin of every pixel of some rows into `bins`, uint16[row, x]; both loops vectorize.

    `low` and `scale`, float32[x], are those of the pixels' tiles. There are two bins more than those of
    values: for good pixels outside, and for what must not be measured.
    """
    has_quality = quality.shape[0] > 1
    outside, bad, top = np.uint16(BINS), np.uint16(BINS + 1), np.float32(BINS)
    never, unless, repaired = masks[0], masks[1], masks[2]
    lows, scales = low[x0:x1], scale[x0:x1]
    for y in range(y0, y1):
        row, out = image[y, x0:x1], bins[y - y0, x0:x1]
        for x in range(out.size):
            position = (row[x] - lows[x]) * scales[x]
            inside = (position >= np.float32(0.0)) & (position < top)  # False for NaN
            other = outside if abs(position) < np.float32(np.inf) else bad
            out[x] = np.uint16(np.int32(position if inside else np.float32(0.0))) if inside else other
        if has_quality:
            flags = quality[y, x0:x1]
            for x in range(out.size):
                bits = flags[x]
                no = ((bits & never) != 0) | (((bits & unless) != 0) & ((bits & repaired) == 0))
                out[x] = bad if no else out[x]


@inner
def _count(bins, rows, x0, x1, counts, histogram):
    """Count the bins of a tile into `histogram`; return how many are finite and allowed at all.

    `counts`, uint32[4, bin], is scratch: with four of them an increment need not wait for the one before.
    """
    counts[:] = 0
    one, quarter = np.uint32(1), (x1 - x0) // 4
    first, second, third, fourth = counts[0], counts[1], counts[2], counts[3]
    for y in range(rows):
        row = bins[y, x0:x1]
        a, b, c, d = row[:quarter], row[quarter:], row[2 * quarter :], row[3 * quarter :]
        for x in range(quarter):
            first[a[x]] += one
            second[b[x]] += one
            third[c[x]] += one
            fourth[d[x]] += one
        for x in range(quarter, d.size):
            fourth[d[x]] += one
    for b in range(BINS):
        histogram[b] = np.int64(first[b]) + second[b] + third[b] + fourth[b]
    bad = BINS + 1
    return rows * (x1 - x0) - (np.int64(first[bad]) + second[bad] + third[bad] + fourth[bad])


@inner
def _add_up(histogram, sums):
    """Fill `sums`, int64[3, bin + 1]: counts below each bin, and their sums of b and of b squared."""
    sums[:, 0] = 0
    for b in range(histogram.size):
        here = histogram[b]
        sums[0, b + 1] = sums[0, b] + here
        sums[1, b + 1] = sums[1, b] + here * b
        sums[2, b + 1] = sums[2, b] + here * b * b


@inner
def _median_of(histogram, sums, first, last):
    """Return the median, in bins: the sample is spread evenly between the midpoints of filled bins.

    Integer-valued data leave a comb in the histogram; spreading over the gaps undoes their rounding.
    """
    below = sums[0]
    half = 0.5 * (below[last] - below[first])
    low, b = first, last - 1
    while low < b:  # the first bin that reaches one half
        middle = (low + b) // 2
        if below[middle + 1] - below[first] >= half:
            b = middle
        else:
            low = middle + 1
    previous, following = b - 1, b + 1
    while previous >= first and histogram[previous] == 0:
        previous -= 1
    while following < last and histogram[following] == 0:
        following += 1
    left = b - 0.5 * (b - previous) if previous >= first else b - 0.5
    right = b + 0.5 * (following - b) if following < last else b + 0.5
    return left + (right - left) * (half - (below[b] - below[first])) / histogram[b] + 0.5


@inner
def _clip(histogram, sums, kappa, shrink, passes):
    """Return median, mean and sigma of a clipped histogram, in bins (bin `b` spans b to b + 1)."""
    _add_up(histogram, sums)
    first, last = np.int64(0), histogram.size
    median = mean = sigma = np.nan
    for _ in range(passes):
        total = sums[0, last] - sums[0, first]
        if total == 0:
            return np.nan, np.nan, np.nan
        moment, square = sums[1, last] - sums[1, first], sums[2, last] - sums[2, first]
        mean = moment / total
        sigma = np.sqrt(max(square / total - mean * mean, 0.0))
        mean += 0.5
        if first > 0 or last < histogram.size:
            sigma /= shrink
        median = _median_of(histogram, sums, first, last)
        low = max(int(np.floor(median - kappa * sigma)), 0)
        high = min(int(np.ceil(median + kappa * sigma)), histogram.size)
        if (low == first and high == last) or high - low < 3:
            break
        first, last = low, high
    return median, mean, sigma


@njit(nogil=True, cache=True, error_model="numpy")
def tile_statistics(
    image, quality, masks, edges_y, edges_x, kappa, shrink, passes, use_mode, level, rms, used
):
    """Clipped level and noise of every tile.

    Parameters
    ----------
    image
        float32[y, x]; NaN is skipped.
    quality
        uint16[y, x], or uint16[1, 1] for none.
    masks
        uint16[3]: bits that forbid a pixel, bits that forbid it unless repaired, the repaired bit.
    edges_y, edges_x
        int64 tile borders, one more than tiles.
    kappa, shrink, passes
        Clipping in sigma; sigma of a unit Gaussian cut there; most iterations.
    use_mode
        Take 2.5 median - 1.5 mean where the tile is not crowded (mean and median within 0.3 sigma),
        as SExtractor does (Bertin & Arnouts 1996, A&AS 117, 393), else the median.
    level, rms
        Output float64[tile_y, tile_x]; NaN where a tile has too few pixels.
    used
        Output float64[tile_y, tile_x]: share of the tile's pixels that were finite and allowed.
    """
    n_x, width, tallest = edges_x.size - 1, image.shape[1], 0
    for j in range(edges_y.size - 1):
        tallest = max(tallest, edges_y[j + 1] - edges_y[j])
    # Whole rows at a time: tile by tile, waiting for memory took three times as long as all the rest.
    bins, counts = np.empty((tallest, width), np.uint16), np.empty((4, BINS + 2), np.uint32)
    histogram, sums = np.empty(BINS, np.int64), np.empty((3, BINS + 1), np.int64)
    samples, taken = np.empty((n_x, 4 * SEEDS), np.float64), np.empty(n_x, np.int64)
    following, sigmas = np.empty((2, n_x), np.int64), np.empty(n_x, np.float64)
    centers, lows, scales = (
        np.empty(n_x, np.float64),
        np.empty(width, np.float32),
        np.empty(width, np.float32),
    )
    for j in range(edges_y.size - 1):
        y0, y1 = edges_y[j], edges_y[j + 1]
        _sample(image, quality, masks, y0, y1, edges_x, following, samples, taken)
        for i in range(n_x):
            center, sigma = _seed(samples[i], taken[i])
            _set_range(lows, scales, edges_x[i], edges_x[i + 1], center, sigma)
            centers[i], sigmas[i] = center, sigma
        _bin_rows(image, quality, masks, y0, y1, np.int64(0), width, lows, scales, bins)
        for i in range(n_x):
            x0, x1, center, sigma = edges_x[i], edges_x[i + 1], centers[i], sigmas[i]
            level[j, i] = rms[j, i] = np.nan
            used[j, i] = 0.0
            if taken[i] < 8:
                continue
            for attempt in range(3):
                if attempt > 0:
                    _set_range(lows, scales, x0, x1, center, sigma)
                    _bin_rows(image, quality, masks, y0, y1, x0, x1, lows, scales, bins)
                low, scale = _range(center, sigma)
                good = _count(bins, y1 - y0, x0, x1, counts, histogram)
                used[j, i] = good / ((y1 - y0) * (x1 - x0))
                median, mean, spread = _clip(histogram, sums, kappa, shrink, passes)
                center, sigma = low + median / scale, spread / scale
                if attempt == 2 or not (spread < BINS / (2 * REACH) / 4 and spread > 0):
                    break  # else the first guess was four times too wide: once more, finer
            if not np.isfinite(median):
                continue
            level[j, i] = center
            if use_mode and abs(mean - median) < 0.3 * spread:
                level[j, i] = low + (2.5 * median - 1.5 * mean) / scale
            rms[j, i] = sigma


@inner
def _range(center, sigma):
    """Return where the first bin of a tile begins, and bins per unit."""
    if not sigma > 0:
        sigma = max(abs(center) * 1e-6, 1e-6)
    return center - REACH * sigma, BINS / (2 * REACH * sigma)


@inner
def _set_range(lows, scales, x0, x1, center, sigma):
    """Write the range of the tile of columns ``x0 <= x < x1`` for each of its pixels."""
    low, scale = _range(center, sigma)
    for x in range(x0, x1):
        lows[x], scales[x] = np.float32(low), np.float32(scale)


@njit(nogil=True, cache=True, error_model="numpy")
def interpolation_table(n_pixels, n_tiles, index, weight):
    """Fill, per pixel, the first of four mesh nodes (in the mesh padded by 2) and their weights.

    Catmull-Rom cubic through the tile centers: local, continuous in slope, exact for a linear sky.
    `index` is int64[pixel], `weight` float32[4, pixel].
    """
    for p in range(n_pixels):
        position = (p + 0.5) * n_tiles / n_pixels - 0.5
        node = int(np.floor(position))
        t = position - node
        index[p] = node + 1
        weight[0, p] = 0.5 * t * (-1.0 + t * (2.0 - t))
        weight[1, p] = 1.0 + 0.5 * t * t * (3.0 * t - 5.0)
        weight[2, p] = 0.5 * t * (1.0 + t * (4.0 - 3.0 * t))
        weight[3, p] = 0.5 * t * t * (t - 1.0)


@inner
def interpolate_span(padded, y, iy, wy, ix, wx, nodes, out):
    """Write the mesh along pixel row `y` into `out` (float32[x]); `nodes` is float32 scratch."""
    j = iy[y]
    a, b, c, d = wy[0, y], wy[1, y], wy[2, y], wy[3, y]
    for i in range(padded.shape[1]):
        nodes[i] = a * padded[j, i] + b * padded[j + 1, i] + c * padded[j + 2, i] + d * padded[j + 3, i]
    interpolate_nodes(nodes, ix, wx, np.int64(0), out)


@inner
def interpolate_nodes(nodes, ix, wx, first, out):
    """Write `nodes`, float32[node], interpolated along x, into `out`: the pixels from `first` on."""
    start, n = 0, out.size
    while start < n:  # one run of pixels between two tile centers: four constants, a vector loop
        i = ix[first + start]
        stop = start + 1
        while stop < n and ix[first + stop] == i:
            stop += 1
        p, q, r, s = nodes[i], nodes[i + 1], nodes[i + 2], nodes[i + 3]
        a, b = first + start, first + stop
        w0, w1, w2, w3 = wx[0, a:b], wx[1, a:b], wx[2, a:b], wx[3, a:b]
        part = out[start:stop]
        for x in range(stop - start):
            part[x] = p * w0[x] + q * w1[x] + r * w2[x] + s * w3[x]
        start = stop


@njit(nogil=True, cache=True, error_model="numpy")
def interpolate_rows(padded, first_row, iy, wy, ix, wx, out):
    """Write the mesh over rows ``first_row`` onward into `out` (float32[row, x])."""
    nodes = np.empty(padded.shape[1], np.float32)
    for row in range(out.shape[0]):
        interpolate_span(padded, first_row + row, iy, wy, ix, wx, nodes, out[row])
