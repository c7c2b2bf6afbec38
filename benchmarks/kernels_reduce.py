"""Time the reduction and calibration kernels on one thread; prints seconds for an 11.7 MP frame.

Run: ``python benchmarks/kernels_reduce.py [megapixels]`` (default 2: times are scaled to 11.7).
"""

import sys
import time

import numpy as np

from sciastro.calibrate.debayer import split_window
from sciastro.kernels import reduce as kernel
from sciastro.kernels import samples
from sciastro.kernels.calibrate import calibrate_window
from sciastro.kernels.masters import combine_counts
from sciastro.kernels.networks import merge_network

FULL = 11.7e6


def best(function, repeats=5):
    function()  # compiles, touches the memory
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        function()
        times.append(time.thread_time() - start)
    return min(times)


def planes(pixels, floats, integers):
    return [np.empty(pixels, np.float32) for _ in range(floats)] + [
        np.empty(pixels, np.uint16) for _ in range(integers)
    ]


def combine_times(pixels):
    rng = np.random.default_rng(0)
    for n in (5, 12, 30, 100):
        p = min(pixels, 60_000_000 // n)
        values = rng.standard_normal((n, p), dtype=np.float32) * 10 + 100
        values.ravel()[rng.integers(0, n * p, p // 100)] += 1000
        variance, weight = np.full((n, p), 100, np.float32), np.ones(n, np.float32)
        for name in ("none", "sigma", "winsorized"):
            args = (
                values,
                variance,
                weight,
                np.empty((0, 0), np.float32),
                merge_network(n),
                kernel.METHODS[name],
                samples.MEAN,
                4.0,
                3.0,
                5,
                True,
            )
            out = [*planes(p, 3, 3), np.empty((0, 0), np.uint8)]
            seconds = best(lambda args=args, out=out: kernel.combine(*args, *out))
            print(f"combine  {name:10s} n = {n:3d}: {seconds / p * FULL:6.2f} s")


def master_times(pixels):
    rng = np.random.default_rng(0)
    for n in (15, 30):
        raw, one = rng.poisson(500, (n, pixels)).astype(np.uint16), np.ones(n, np.float32)
        args = (
            raw,
            np.empty(0, np.float32),
            one,
            one,
            65_535.0,
            500.0,
            0.0,
            merge_network(n),
            kernel.WINSORIZED,
        )
        out = planes(pixels, 3, 3)
        seconds = best(lambda args=args, out=out: combine_counts(*args, 4.0, 3.0, 5, *out))
        print(f"masters  winsorized n = {n:3d}: {seconds / pixels * FULL:6.2f} s")


def frame_times(pixels):
    edge = int(np.sqrt(pixels)) // 2 * 2
    shape, rng = (edge, edge), np.random.default_rng(0)
    raw = rng.integers(500, 3000, shape).astype(np.uint16)
    dark, noise, flat, flat_noise = (np.full(shape, v, np.float32) for v in (500, 2, 1, 1e-5))
    bad, signal, variance = (
        np.zeros(shape, np.uint16),
        np.empty(shape, np.float32),
        np.empty(shape, np.float32),
    )
    quality = np.empty(shape, np.uint16)
    args = (raw, dark, noise, 500.0, flat, flat_noise, bad, 1.2, 3.0, 65_000.0)
    scale = FULL / raw.size
    nothing = np.empty((0, 0), np.float32)
    for name, out in (("with variance", variance), ("signal only", nothing)):
        seconds = best(lambda out=out: calibrate_window(*args, signal, out, quality))
        print(f"calibrate {name}: {seconds * scale:.3f} s")
    for method in ("superpixel", "bilinear", "linear"):
        seconds = best(lambda m=method: split_window(signal, variance, quality, "RGGB", method=m))
        print(f"{method:10s}: {seconds * scale:.3f} s")


if __name__ == "__main__":
    size = int(float(sys.argv[1]) * 1e6) if len(sys.argv) > 1 else 2_000_000
    combine_times(size)
    master_times(size)
    frame_times(size)
