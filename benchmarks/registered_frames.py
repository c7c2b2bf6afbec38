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


def combine_bands(planes, options, rows, workers):
    """Return image, variance, quality of frames on one grid: bands of rows on threads, buffers kept."""
    n, height, width = planes[0].shape
    rim, weights = rim_of(options, n), np.ones(n, np.float32)
    image, spread, bits = (np.empty((height, width), kind) for kind in ("f4", "f4", "u2"))
    edge = 2 * rim

    def strip(first):
        size = n, rows + edge, width + edge
        buffers, marks = [np.zeros(size, plane.dtype) for plane in planes], np.empty(size, np.uint8)
        for y in range(first * rows, height, rows * workers):
            y0, y1 = max(y - rim, 0), min(y + rows + rim, height)
            for buffer, plane in zip(buffers, planes, strict=True):
                for i in range(n):  # as `resample` does: frame by frame into the tile
                    target = buffer[i, rim - (y - y0) : rim + y1 - y, rim:-rim]
                    if isinstance(plane, np.ndarray):
                        target[:] = plane[i, y0:y1]
                    else:
                        plane.fill(target, i, y0, y1)
            done = reject_tile(tuple(buffers), weights, options, sums=np.zeros(2), marks=marks)
            here = slice(y, min(y + rows, height))
            part = slice(0, here.stop - here.start)
            image[here], spread[here], bits[here] = done.image[part], done.variance[part], done.quality[part]

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(strip, range(workers)))
    return image, spread, bits


def timed(function, repeats):
    """Return the medians of wall and CPU seconds (all threads), and the last result."""
    walls, cpus, result = [], [], None
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = function()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return float(np.median(walls)), float(np.median(cpus)), result
