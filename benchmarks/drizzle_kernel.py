"""Time per input pixel of drizzling one frame, beside the package `drizzle` and a Lanczos-3 warp.

    python benchmarks/drizzle_kernel.py [--size 1500] [--repeat 5]

One thread, processor time, medians; the same frame, map, scale and drop for everybody. The peer takes float64
pixel maps and returns image, weight, variance and quality as ours does.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from sciastro.core.transform import identity
from sciastro.integrate.drizzle import DrizzleOptions, drop, dropper
from sciastro.integrate.grid import Tile
from sciastro.integrate.resample import resample, resampler


def timed(work: Callable[[], object], repeat: int) -> float:
    """Return the median processor time of `work` [s], after one call that compiles."""
    work()
    times = []
    for _ in range(repeat):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return float(np.median(times))


def main() -> None:
    """Print one line per rotation, scale and drop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1500)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    n = arguments.size
    rng = np.random.default_rng(0)
    planes = (
        rng.normal(100, 10, (n, n)).astype("f4"),
        np.full((n, n), 100, "f4"),
        np.where(rng.random((n, n)) < 1e-3, 1, 0).astype("u2"),
    )
    try:
        from drizzle.resample import Drizzle
    except ImportError:
        Drizzle = None
    print("angle scale pixfrac | ours  package  warp  [ns per input pixel] | package / ours")
    for angle in (0.05, 0.3, 2.0, 20.0):
        for scale, pixfrac in ((1.0, 1.0), (2.0, 0.8), (2.0, 0.5), (3.0, 0.6)):
            report(planes, angle, scale, pixfrac, arguments.repeat, Drizzle)


def report(planes: tuple, angle: float, scale: float, pixfrac: float, repeat: int, peer: type | None) -> None:  # type: ignore[type-arg]
    """Time one case and print it."""
    t, c = np.radians(angle), identity()
    turn = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    n = planes[0].shape[0]
    side = int(0.6 * n)
    c[:, 1:] = 1000 / scale * turn
    middle = np.array([n / 2, n / 2])
    c[:, 0] = middle - turn @ [side / 2, side / 2] + (0.137, 0.29)
    out_side = int(side * scale)
    tile = Tile(0, out_side, 0, out_side)
    out = tuple(np.empty(tile.shape, kind) for kind in ("f4", "f4", "u2"))
    share = np.empty(tile.shape, "f4")
    # The part of the frame that the output needs, for everybody.
    reach = int(side / 2 * (abs(np.cos(t)) + abs(np.sin(t)))) + 8
    y0 = x0 = int(n / 2) - reach
    part = tuple(np.ascontiguousarray(plane[y0 : y0 + 2 * reach, x0 : x0 + 2 * reach]) for plane in planes)
    how = dropper(DrizzleOptions(scale=scale, pixfrac=pixfrac))
    pixels = side * side
    ours = timed(lambda: drop(part, (y0, x0), c, tile, how, out, share), repeat) / pixels * 1e9  # type: ignore[arg-type]
    # The warp on the same canvas: Lanczos weights of every output pixel.
    warp = timed(lambda: resample(part, (y0, x0), c, tile, resampler(), out), repeat) / pixels * 1e9  # type: ignore[arg-type]
    theirs = float("nan")
    if peer is not None:
        y, x = np.mgrid[y0 : y0 + 2 * reach, x0 : x0 + 2 * reach]
        back = np.linalg.inv(c[:, 1:] / 1000)
        pixmap = np.einsum("ij,jyx->yxi", back, np.stack([x - c[0, 0], y - c[1, 0]]))
        good = (part[2] == 0).astype("f4")
        bits = part[2].astype("u4")

        def drizzle() -> None:
            one = peer(kernel="square", out_shape=tile.shape)
            one.add_image(
                part[0], exptime=1.0, pixmap=pixmap, pixfrac=pixfrac, weight_map=good, data2=part[1],
                dq=bits, iscale=1 / scale**2, pixel_scale_ratio=1 / scale,
            )  # fmt: skip

        theirs = timed(drizzle, repeat) / pixels * 1e9
    print(
        f"{angle:5.2f} {scale:5.1f} {pixfrac:7.2f} | {ours:5.1f} {theirs:7.1f} {warp:6.1f} | "
        f"{theirs / ours:5.2f}"
    )


if __name__ == "__main__":
    main()
