"""How fast frames are warped and stacked, beside plain NumPy and SciPy on the same numbers.

Run ``python benchmarks/integrate.py [frames] [rows] [columns]``. Times are thread or wall seconds, best of 3,
after compiling. The NumPy stack works band of rows by band of rows as a careful user would write it:
winsorized sigma clipping about the median, then the mean; it neither warps nor carries variance.
"""

import sys
import time
import tracemalloc

import numpy as np
from scipy.ndimage import affine_transform

from sciastro.core.transform import identity
from sciastro.integrate.grid import Tile
from sciastro.integrate.normalize import Terms
from sciastro.integrate.options import StackOptions
from sciastro.integrate.resample import resample, resampler
from sciastro.integrate.run import empty_stack, stack_windows

ANGLES = {"shift": 0.0, "rotated 0.4 deg": 0.4, "half turn": 180.0, "rotated 35 deg": 35.0}


def turned(angle, shape, shift=(3.37, -2.81)):
    c = identity()
    t = np.radians(angle)
    a = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    middle = np.array([shape[1] / 2, shape[0] / 2])
    c[:, 1:], c[:, 0] = 1000 * a, middle - a @ middle + shift
    return c


def best(function, clock=time.thread_time, repeat=3):
    times = []
    for _ in range(repeat):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


def one_warp(shape, rng):
    signal = rng.normal(1000, 30, shape).astype(np.float32)
    variance, quality = np.full(shape, 900, np.float32), np.zeros(shape, np.uint16)
    speckled = np.where(rng.random(shape) < 0.002, 1 << 11, 0).astype(np.uint16)
    out = tuple(np.empty(shape, dtype) for dtype in (np.float32, np.float32, np.uint16))
    how, tile = resampler(clamp=0.01), Tile(0, shape[0], 0, shape[1])
    resample((signal, variance, quality), (0, 0), identity(), tile, how, out)
    for name, angle in ANGLES.items():
        c = turned(angle, shape)
        clean = best(lambda c=c: resample((signal, variance, quality), (0, 0), c, tile, how, out))
        dirty = (signal, variance, speckled)
        hot = best(lambda c=c, d=dirty: resample(d, (0, 0), c, tile, how, out))
        print(f"warp with variance and quality, {name:16s} {clean:6.3f} s; 0.2 % hot pixels {hot:6.3f} s")
    cubic = best(lambda: affine_transform(signal, np.eye(2), (-2.81, 3.37), order=3), repeat=1)
    print(f"scipy affine_transform, signal only, cubic spline   {cubic:6.3f} s")


def numpy_stack(planes, rows=64):
    out = np.empty(planes[0].shape, np.float32)
    for y in range(0, out.shape[0], rows):
        band = np.stack([plane[y : y + rows] for plane in planes])
        kept = band.copy()
        for _ in range(3):
            center, sigma = np.nanmedian(kept, axis=0), 0.0
            clipped = kept
            for _ in range(3):
                sigma = 1.134 * np.nanstd(clipped, axis=0) if np.ndim(sigma) else np.nanstd(clipped, axis=0)
                clipped = np.clip(kept, center - 1.5 * sigma, center + 1.5 * sigma)
            kept[(band < center - 4 * sigma) | (band > center + 3 * sigma)] = np.nan
        out[y : y + rows] = np.nanmean(kept, axis=0)
    return out


def stacks(frames, shape, rng):
    distinct = [rng.normal(1000, 30, shape).astype(np.float32) for _ in range(min(frames, 4))]
    planes = [distinct[i % len(distinct)] for i in range(frames)]
    variance, quality = np.full(shape, 900, np.float32), np.zeros(shape, np.uint16)
    maps = np.stack([turned(0.05 * (i % 5), shape, rng.uniform(-20, 20, 2)) for i in range(frames)])

    def read(i, y0, y1, x0, x1):
        window = (slice(y0, y1), slice(x0, x1))
        return planes[i][window], variance[window], quality[window]

    out, unit = empty_stack(shape), Terms(np.ones(frames), np.zeros(frames), np.zeros(frames))

    def fused(workers=2, memory=600 << 20):
        stack_windows(
            read, maps, shape, unit, np.ones(frames), out,
            options=StackOptions(), memory_bytes=memory, workers=workers,
        )  # fmt: skip

    fused()
    for workers in (1, 2):
        took = best(lambda w=workers: fused(w), clock=time.perf_counter, repeat=2)
        print(f"fused pass, {frames} frames, {workers} worker(s): {took:6.2f} s")
    tracemalloc.start()
    fused()
    print(f"peak memory of the fused pass, bound 629 MB: {tracemalloc.get_traced_memory()[1] / 1e6:.0f} MB")
    tracemalloc.stop()
    part = [plane[:256] for plane in planes]
    took = best(lambda: numpy_stack(part), clock=time.perf_counter, repeat=1) * shape[0] / 256
    print(f"NumPy row bands, combination only, signal only: {took:6.1f} s (from 256 rows)")


def main():
    frames, rows, columns = (
        int(text) for text in (sys.argv[1:] + ["30", "2822", "4144"][len(sys.argv) - 1 :])
    )
    rng = np.random.default_rng(1)
    one_warp((rows, columns), rng)
    stacks(frames, (rows, columns), rng)


if __name__ == "__main__":
    main()
