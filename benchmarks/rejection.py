"""What each rejection rule costs and finds: tables in Markdown.

Run ``python benchmarks/rejection.py [--pixels 40000] [--frames 5 10 20 30 100] [--rules winsorized esd]``.
One thread, minutes; numbers are from fixed seeds. Sky of 400 electron, its noise 20; every variance
is that of the sample itself, as in a run. Each rule has its default thresholds; ``--no-noise-floor`` takes
the floor away. For each number of frames:

false    share of samples rejected in pure noise [%]
noise+   noise of the stack above that of the mean [%], by var(stack) = var(mean) + var(stack - mean)
k x s    share of the outliers of s sigma in k frames of a pixel that was rejected [%]
flux     mean and largest change of the flux of stars (FWHM 2.6 to 3.6 pixel from frame to frame) against the
         plain mean of the same frames [%]; the largest holds the noise that rejection adds
ns       CPU time per sample [ns]
"""

import argparse
import time

import numpy as np

from sciastro.integrate.options import RULES, StackOptions
from sciastro.integrate.reject import reject_tile, rim_of

SKY = 400.0
OUTLIERS = [(1, 5), (1, 10), (1, 20), (1, 50), (2, 5), (2, 10), (2, 20), (2, 50), (3, 10), (3, 20), (3, 50)]
RIM = max(rim_of(StackOptions(reject=rule), 20) for rule in RULES)  # pixels around what is combined
SPACING = 5  # pixels between outliers, so that none helps another


def shape_of(pixels):
    edge = max(int(np.sqrt(pixels)) // SPACING * SPACING, 4 * SPACING)
    return edge, edge


def combined(values, options):
    variance = np.maximum(values, 1).astype(np.float32)
    quality = np.zeros(values.shape, np.uint16)
    weights = np.ones(len(values), np.float32)
    spare = RIM - rim_of(options, len(values))  # rules look at rims of their own
    if spare:
        values, variance, quality = (a[:, spare:-spare, spare:-spare] for a in (values, variance, quality))
    start = time.thread_time()
    done = reject_tile((values, variance, quality), weights, options, sums=np.zeros(2))
    return done, time.thread_time() - start


def inner(values):
    return values[..., RIM:-RIM, RIM:-RIM]


def sky(n, shape, seed):
    rng = np.random.default_rng(seed)
    padded = (n, shape[0] + 2 * RIM, shape[1] + 2 * RIM)
    return rng.poisson(SKY, padded).astype(np.float32)


def pure_noise(n, shape, options):
    values = sky(n, shape, n)
    combined(values[:, : 8 * RIM, : 8 * RIM], options)  # compiles
    done, seconds = combined(values, options)
    false = (done.rejected_low.mean(dtype=float) + done.rejected_high.mean(dtype=float)) / n
    change = done.image.astype(float) - inner(values).mean(axis=0, dtype=float)
    added = np.sqrt(1 + n * change.var() / SKY) - 1
    return 100 * false, 100 * added, 1e9 * seconds / values.size


def detection(n, shape, options, hits, sigma):
    values = sky(n, shape, 7 * n + hits)
    part = inner(values)[:hits, SPACING // 2 :: SPACING, SPACING // 2 :: SPACING]
    part += np.random.default_rng(1).poisson(sigma * np.sqrt(SKY), part.shape)
    done, _ = combined(values, options)
    found = done.rejected_high[SPACING // 2 :: SPACING, SPACING // 2 :: SPACING]
    return 100 * np.minimum(found, hits).mean() / hits


def stars(n, seed, cells=8, cell=36):
    """Frames of Moffat stars of 10^4 to 10^6 electron whose seeing changes; positions; all on one grid."""
    rng = np.random.default_rng(seed)
    edge = cells * cell
    y, x = np.mgrid[:cells, :cells] * cell + cell / 2 + rng.uniform(-0.5, 0.5, (2, cells, cells))
    flux = np.geomspace(1e4, 1e6, cells * cells)
    rows, columns = np.mgrid[: edge + 2 * RIM, : edge + 2 * RIM] - RIM
    frames = []
    for fwhm in rng.uniform(2.6, 3.6, n):
        light = np.full(rows.shape, SKY)
        for f, sx, sy in zip(flux, x.ravel(), y.ravel(), strict=True):
            box = (
                slice(int(sy) - 16 + RIM, int(sy) + 17 + RIM),
                slice(int(sx) - 16 + RIM, int(sx) + 17 + RIM),
            )
            r2 = (rows[box] - sy) ** 2 + (columns[box] - sx) ** 2
            profile = (1 + 4 * r2 * (2 ** (1 / 3.5) - 1) / fwhm**2) ** -3.5
            light[box] += f * profile / profile.sum()
        frames.append(rng.poisson(light))
    return np.array(frames, np.float32), x.ravel(), y.ravel()


def flux_change(field, options):
    frames, xs, ys = field
    done, _ = combined(frames, options)
    plain = inner(frames).mean(axis=0, dtype=float)
    rows, columns = np.mgrid[: plain.shape[0], : plain.shape[1]]
    ratio = []
    for x, y in zip(xs, ys, strict=True):
        near = (rows - y) ** 2 + (columns - x) ** 2 < 7**2
        ratio.append((done.image[near] - SKY).sum(dtype=float) / (plain[near] - SKY).sum())
    change = 100 * (np.array(ratio) - 1)
    return change.mean(), change[np.argmax(np.abs(change))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pixels", type=int, default=40_000)
    parser.add_argument("--frames", type=int, nargs="+", default=[5, 10, 20, 30, 100])
    parser.add_argument("--rules", nargs="+", default=[rule for rule in RULES if rule != "auto"])
    parser.add_argument("--no-noise-floor", action="store_true")
    parser.add_argument("--protect", type=float, default=1.0)
    parser.add_argument("--low", type=float, help="instead of each rule's own")
    parser.add_argument("--high", type=float, help="instead of each rule's own")
    asked = parser.parse_args()
    heads = ["rule", "false", "noise+", *(f"{k} x {s}" for k, s in OUTLIERS), "flux", "worst", "ns"]
    for n in asked.frames:
        print(f"\n**{n} frames**\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
        shape, field = shape_of(asked.pixels), stars(n, n)
        for rule in asked.rules:
            options = StackOptions(
                reject=rule, low=asked.low, high=asked.high, noise_floor=not asked.no_noise_floor,
                protect=asked.protect,
            )  # fmt: skip
            false, added, ns = pure_noise(n, shape, options)
            found = [detection(n, shape, options, k, s) if k <= n // 2 else np.nan for k, s in OUTLIERS]
            bias, worst = flux_change(field, options)
            row = [f"{false:.3f}", f"{added:.2f}", *("" if np.isnan(one) else f"{one:.0f}" for one in found)]
            print(
                f"| {rule} | {' | '.join([*row, f'{bias:+.3f}', f'{worst:+.3f}', f'{ns:.1f}'])} |", flush=True
            )


if __name__ == "__main__":
    main()
