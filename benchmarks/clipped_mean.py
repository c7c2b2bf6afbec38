"""Clipped mean of many frames with variance and quality: this project, NumPy/bottleneck, ccdproc.

Run ``python benchmarks/clipped_mean.py [--frames 40] [--size 4096] [--workers 2] [--repeats 3]``.
All get the same arrays in memory (float32 values and variance, uint16 quality; 40 x 4096 x 4096 are 6.7 GB:
give fewer frames or a smaller size on a small machine). Each makes one pass of sigma clipping, 4 below and
3 above the median of the samples, and averages the rest:

ours        ``sciastro.stack`` on `--workers` threads: rule sigma, variance, quality bits, coverage, counts of
            rejected samples; nothing protected, one pass, no noise floor
bottleneck  bands of rows on as many threads: bottleneck nanmedian and nanstd, NaN, nanmean; variance of
            the survivors and OR of their quality bits in NumPy
ccdproc     ``ccdproc.combine`` of CCDData, mem_limit 2 GB, sigma clipping about the median; one process;
            no variance from the input errors. `--ccdproc-rows` gives it fewer rows and scales the time,
            since it takes minutes (0 leaves it out)

Prints wall and CPU seconds, medians of `--repeats` runs of each in turn, and ratios.
"""

import argparse
import os
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from registered_frames import SECONDS, dataset, make_frames, timed

import sciastro
from sciastro.integrate.options import StackOptions

LOW, HIGH = 4.0, 3.0


def ours(frames, workers):
    options = StackOptions(reject="sigma", low=LOW, high=HIGH, protect=0, noise_floor=False, max_iterations=1)
    return SECONDS * sciastro.stack(frames, options=options, workers=workers)["image"].values[0]


def by_bottleneck(values, variance, quality, rows, workers):
    import bottleneck as bn

    _, height, width = values.shape
    image, spread = np.empty((2, height, width), np.float32)
    bits = np.empty((height, width), np.uint16)

    def band(y):
        here = slice(y, y + rows)
        x, v = values[:, here].copy(), variance[:, here]
        center, sigma = bn.nanmedian(x, axis=0), bn.nanstd(x, axis=0, ddof=1)
        bad = (x < center - LOW * sigma) | (x > center + HIGH * sigma)
        x[bad] = np.nan
        image[here] = bn.nanmean(x, axis=0)
        kept = (~bad).sum(axis=0)
        spread[here] = np.where(bad, 0, v).sum(axis=0) / kept**2
        bits[here] = np.bitwise_or.reduce(np.where(bad, 0, quality[:, here]), axis=0)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(band, range(0, height, rows)))
    return image


def by_ccdproc(values, variance, rows):
    import ccdproc
    from astropy import units
    from astropy.nddata import CCDData, StdDevUncertainty

    frames = [
        CCDData(x[:rows], unit=units.adu, uncertainty=StdDevUncertainty(np.sqrt(v[:rows])))
        for x, v in zip(values, variance, strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ccdproc.combine(
            frames, method="average", mem_limit=2e9, sigma_clip=True, sigma_clip_low_thresh=LOW,
            sigma_clip_high_thresh=HIGH, sigma_clip_func=np.ma.median, sigma_clip_dev_func=np.ma.std,
        ).data  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rows", type=int, default=64, help="of a band of bottleneck's")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 2))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ccdproc-rows", type=int, default=128)
    asked = parser.parse_args()
    values, variance, quality = make_frames(asked.frames, (asked.size, asked.size))
    planes, rows = (values, variance, quality), min(asked.ccdproc_rows, asked.size)
    frames = dataset(planes)
    ours(frames.isel(y=slice(0, 64)), 1)  # compiles
    runs = {
        "ours": lambda: ours(frames, asked.workers),
        "bottleneck": lambda: by_bottleneck(*planes, asked.rows, asked.workers),
    }
    if rows:
        runs["ccdproc"] = lambda: by_ccdproc(values, variance, rows)
    turns = [{name: timed(run, 1) for name, run in runs.items()} for _ in range(asked.repeats)]
    found = {}
    for name in runs:
        scale = asked.size / rows if name == "ccdproc" else 1.0
        wall, cpu = (scale * float(np.median([turn[name][k] for turn in turns])) for k in (0, 1))
        found[name] = wall, cpu, turns[-1][name][2]
    print(f"{asked.frames} frames of {asked.size} x {asked.size}, {asked.workers} threads\n")
    print("| | wall s | CPU s | wall / ours | CPU / ours | pixels that differ |\n|---|---|---|---|---|---|")
    first = found["ours"]
    for name, (wall, cpu, image) in found.items():
        differ = np.mean(np.abs(image - first[2][: len(image)]) > 1e-3)
        ratios = f"{wall / first[0]:.1f} | {cpu / first[1]:.1f}"
        print(f"| {name} | {wall:.2f} | {cpu:.2f} | {ratios} | {100 * differ:.3f} % |")


if __name__ == "__main__":
    main()
