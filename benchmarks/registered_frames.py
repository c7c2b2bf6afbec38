"""Made-up registered frames, as arrays and as a dataset; shared by two benchmarks."""

import time

import numpy as np
import xarray as xr

from sciastro.core import vocabulary as v
from sciastro.core.vocabulary import labeled

SKY, SECONDS = 400.0, 60.0


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


def dataset(planes):
    """Return frames on one grid as `sciastro.stack` takes them."""
    n = len(planes[0])
    specs = (v.SIGNAL, v.VARIANCE, v.QUALITY)
    ds = xr.Dataset({spec.name: labeled(spec, plane) for spec, plane in zip(specs, planes, strict=True)})
    return ds.assign_coords(
        exposure=labeled(v.EXPOSURE, np.full(n, SECONDS)), filter=labeled(v.FILTER, np.array(["L"] * n))
    )


def timed(function, repeats):
    """Return the medians of wall and CPU seconds (all threads), and the last result."""
    walls, cpus, result = [], [], None
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = function()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return float(np.median(walls)), float(np.median(cpus)), result
