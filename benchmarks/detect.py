"""Time background, detection and registration on one 11.7 MP frame, beside sep.

Run with ``python benchmarks/detect.py``. Times are processor seconds of one thread, the best of
`ROUNDS`, after one run that compiles. Where the two differ by design: sep extracts connected
areas above a threshold on the unfiltered or 3 x 3 filtered image and measures isophotes; sciastro
finds peaks of a matched filter and measures windowed moments, fluxes and errors of each star.
"""

import time

import numpy as np

from sciastro.astrometry.register import register
from sciastro.measure.background import background
from sciastro.measure.stars import measure_plane

SHAPE, STARS, FWHM, ROUNDS = (2822, 4144), 3000, 3.2, 5


def field(seed: int, move: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Return one simulated frame [electron]."""
    rng = np.random.default_rng(7)
    xy = rng.uniform(0, 1, (STARS, 2)) * [SHAPE[1] - 1, SHAPE[0] - 1] + move
    flux = 10 ** (2.5 + 3.5 * rng.uniform(size=STARS) ** 2)
    image = np.full(SHAPE, 200.0)
    sigma, reach = FWHM / 2.3548, 9
    for (x, y), f in zip(xy, flux, strict=True):
        i, j = round(x), round(y)
        u, v = (
            np.arange(max(i - reach, 0), min(i + reach, SHAPE[1])),
            np.arange(max(j - reach, 0), min(j + reach, SHAPE[0])),
        )
        gx, gy = (np.exp(-0.5 * ((w - c) / sigma) ** 2) for w, c in ((u, x), (v, y)))
        if u.size and v.size:
            image[v[0] : v[-1] + 1, u[0] : u[-1] + 1] += f * gy[:, None] * gx / (2 * np.pi * sigma**2)
    noise = np.random.default_rng(seed)
    return (noise.poisson(image) + noise.normal(0, 3, SHAPE)).astype(np.float32)


def best(function, *args):
    """Return the result and the best processor time of `ROUNDS` calls, after one to warm up."""
    function(*args)
    times = []
    for _ in range(ROUNDS):
        start = time.thread_time()
        result = function(*args)
        times.append(time.thread_time() - start)
    return result, min(times)


def with_sep(image: np.ndarray):
    """Return sep's objects: background, extraction and windowed positions."""
    import sep

    sky = sep.Background(image)
    flat = image - sky.back()
    found = sep.extract(flat, 5, err=sky.rms())
    sep.winpos(flat, found["x"], found["y"], np.full(len(found), FWHM / 2.3548))
    return found


def main() -> None:
    """Print the table."""
    image, other = field(1), field(2, (14.3, -21.7))
    quality = np.zeros(SHAPE, np.uint16)
    _, sky_time = best(background, image, quality)
    found, plane_time = best(measure_plane, image, quality)
    print(f"sciastro background            {sky_time:6.3f} s")
    print(
        f"sciastro measure_plane         {plane_time:6.3f} s  {found.n_stars} stars, FWHM {found.fwhm:.2f} px"
    )
    moved = measure_plane(other, quality)
    for n in (300, 1000, 3000):
        fit, match_time = best(register, found.stars[:n], moved.stars[:n], SHAPE)
        print(f"register, {n:5d} stars          {match_time:6.3f} s  {fit.n} pairs, {fit.rms:.3f} px")
    try:
        objects, sep_time = best(with_sep, image)
    except ImportError:
        print("sep is not installed: pip install sep")
        return
    print(f"sep background+extract+winpos  {sep_time:6.3f} s  {len(objects)} objects")


if __name__ == "__main__":
    main()
