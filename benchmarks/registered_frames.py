"""Made-up registered frames, and bands of them for `integrate.reject`; shared by two benchmarks."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sciastro.integrate.reject import reject_tile, rim_of

SKY = 400.0


def make_frames(frames, shape, hits=1e-3):
    """Return values, variance (float32) and quality (uint16): distinct noise per frame, stars, hits."""
    rng = np.random.default_rng(1)
    stars = np.zeros(shape, np.float32)
    y, x = np.mgrid[-7:8, -7:8]
    spot = np.exp(-(x**2 + y**2) / (2 * 1.4**2)).astype(np.float32)
    number = shape[0] * shape[1] // 10_000
    places = rng.integers(8, np.array(shape) - 8, (number, 2))
    for (row, column), height in zip(places, 50 * rng.pareto(1.2, number) + 50, strict=True):
        stars[row - 7 : row + 8, column - 7 : column + 8] += spot * np.float32(min(height, 3e4))
    values, variance = np.empty((frames, *shape), np.float32), np.empty((frames, *shape), np.float32)
    quality = np.zeros((frames, *shape), np.uint16)
    for i in range(frames):
        rng.standard_normal(out=values[i], dtype=np.float32)
        mean = stars + np.float32(SKY)
        values[i] = values[i] * np.sqrt(mean) + mean
        at = rng.integers(0, values[i].size, int(hits * values[i].size))
        values[i].ravel()[at] += 600
        quality[i].ravel()[at[::50]] = 4
        np.maximum(values[i], 1, out=variance[i])
    return values, variance, quality


def combine_bands(planes, options, rows, workers, columns=1040):
    """Return image, variance, quality of frames on one grid: tiles on threads, buffers kept."""
    n, height, width = planes[0].shape
    rim, weights = rim_of(options, n), np.ones(n, np.float32)
    image, spread, bits = (np.empty((height, width), kind) for kind in ("f4", "f4", "u2"))
    edge, columns = 2 * rim, min(columns, width)
    tiles = [(y, x) for y in range(0, height, rows) for x in range(0, width, columns)]

    def strip(first):
        size = n, rows + edge, columns + edge
        buffers, marks = [np.zeros(size, plane.dtype) for plane in planes], np.empty(size, np.uint8)
        for y, x in tiles[first::workers]:
            fill(buffers, planes, (y - rim, x - rim))
            done = reject_tile(tuple(buffers), weights, options, sums=np.zeros(2), marks=marks)
            here = slice(y, min(y + rows, height)), slice(x, min(x + columns, width))
            part = slice(0, here[0].stop - y), slice(0, here[1].stop - x)
            image[here], spread[here], bits[here] = done.image[part], done.variance[part], done.quality[part]

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(strip, range(workers)))
    return image, spread, bits


def fill(buffers, planes, corner):
    """Copy what lies at `corner` of the frames, frame by frame as `resample` does; beyond them is nothing."""
    (n, rows, columns), (_, height, width) = buffers[0].shape, planes[0].shape
    y0, x0 = (max(start, 0) for start in corner)
    y1, x1 = min(corner[0] + rows, height), min(corner[1] + columns, width)
    there = slice(y0 - corner[0], y1 - corner[0]), slice(x0 - corner[1], x1 - corner[1])
    for buffer, plane in zip(buffers, planes, strict=True):
        if (y1 - y0, x1 - x0) != (rows, columns):
            buffer[:] = 0
        for i in range(n):
            if isinstance(plane, np.ndarray):
                buffer[i, *there] = plane[i, y0:y1, x0:x1]
            else:
                plane.fill(buffer[i, *there], i, slice(y0, y1), slice(x0, x1))


def timed(function, repeats):
    """Return the medians of wall and CPU seconds (all threads), and the last result."""
    walls, cpus, result = [], [], None
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = function()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return float(np.median(walls)), float(np.median(cpus)), result
