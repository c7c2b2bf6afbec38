"""How many asteroids of simulated nights are found, by brightness and speed, and how many tracks are false.

    python benchmarks/movers.py FOLDER [NIGHTS]

Each night has 12 frames of 512 x 640 pixels with 60 asteroids of S/N 3 to 60 and 0.05 to 5 pixel per frame,
and is reduced, searched, and compared with the truth; half as many nights have none. Prints completeness by
S/N of the best fit to a single frame (from the truth) and speed, the scatter of the pulls, the false tracks
with what was expected, and the time of the search.
"""

import shutil
import sys
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from sciastro.cli import app
from sciastro.recipe.movers import find_movers, time_of
from sciastro.recipe.simulated import night_plan, write_night
from sciastro.simulate.bands import star_rates
from sciastro.simulate.night import asteroids_of
from sciastro.simulate.plan import middle_of, schedule
from sciastro.simulate.truth import Truth

PLAN = {
    "telescope.focal_length": 150.0, "telescope.aperture": 60.0, "seeing": 12.9, "flip": False,
    "sky.least_density": 100.0, "sky.faintest": 14.5, "lights": 12, "biases": 3, "darks": 3, "bands": "R",
    "exposure": 60.0, "camera.rows": 512, "camera.columns": 640,
}  # fmt: skip
SNR = (3.0, 5.0, 8.0, 15.0, 60.0)
SPEED = (0.05, 0.15, 0.5, 1.5, 5.0)


def night(folder: Path, seed: int, count: int) -> Path:
    """Simulate and reduce a night; return the folder of products."""
    step = 65 / 60  # min
    scale = 5.225
    some = {
        "asteroids.count": count, "asteroids.bright": 12.9, "asteroids.faint": 16.3, "asteroids.margin": 0.05,
        "asteroids.slow": SPEED[0] * scale / step, "asteroids.fast": SPEED[-1] * scale / step, "seed": seed,
    }  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)
    write_night(night_plan("tiny", {**PLAN, **some}), folder / "night")
    done = CliRunner().invoke(
        app, ["reduce", str(folder / "night"), "-o", str(folder / "out"), "--until", "photometry"]
    )
    if done.exit_code not in (0, 4):
        raise SystemExit(done.output)
    return folder / "out"


def true_snr(truth: Truth, mag: float, noise: float, fwhm: float, trail: float) -> float:
    """Return S/N of the best fit on a frame: flux over the noise within the effective area of the profile."""
    spec = next(one for one in schedule(truth.plan) if one.kind == "light")
    rate = star_rates(("R",), [mag], [truth.plan.asteroids.color], truth.plan.telescope)[0, 0]
    flux = rate * spec.exposure * spec.transparency * 0.8
    sigma = fwhm / 2.3548
    area = 4 * np.pi * sigma**2 + 2 * np.sqrt(np.pi) * sigma * trail
    return float(flux / np.sqrt(noise**2 * area + flux))


def main() -> None:
    """Print the tables."""
    folder, nights = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 4
    seen, pulls, false, expected, seconds = [], [], 0, 0.0, []
    empty_false, empty_expected = 0, 0.0
    for seed in range(1, nights + 1):
        out = night(folder / f"{seed}", seed, 60)
        start = time.process_time()
        (found,) = find_movers(out, tell=lambda text: None)
        seconds.append(time.process_time() - start)
        truth = Truth.load(folder / f"{seed}" / "night")
        one, taken = found.field, set()
        noise = float(np.median([look.noise for look in one.looks]))
        fwhm = float(np.median([look.fwhm for look in one.looks]))
        for true in asteroids_of(truth.plan):
            trail = true.rate * one.frames[0].exposure / 60 / one.scale
            snr = true_snr(truth, true.mag, noise, fwhm, trail)
            speed = true.rate * 65 / 60 / one.scale
            hit = None
            for k, mover in enumerate(found.movers):
                offs = []
                for place in mover.good:
                    when = datetime.fromtimestamp(one.frames[place.frame].time, UTC)
                    x, y = one.plane(*true.at(middle_of(truth.plan), when))
                    offs.append(((place.x - x[0]), (place.y - y[0]), place.err, place.snr))
                off = np.array(offs)
                if np.median(np.hypot(off[:, 0], off[:, 1])) < 1.2 * fwhm * one.scale:
                    hit = k
                    pulls += [(p[0] / p[2], p[1] / p[2], p[3], 0) for p in off]
                    if mover.together is not None:
                        when = time_of(one, mover.motion.time)
                        x, y = one.plane(*true.at(middle_of(truth.plan), when))
                        err = np.sqrt(np.trace(mover.together.covariance) / 2)
                        o = mover.together.offset
                        pulls.append(
                            ((mover.motion.x + o[0] - x[0]) / err, (mover.motion.y + o[1] - y[0]) / err, 0, 1)
                        )
                    break
            if hit is not None:
                taken.add(hit)
            seen.append((snr, speed, hit is not None))
        false += len(found.movers) - len(taken)
        expected += found.expected_false
        for k, mover in enumerate(found.movers):
            if k not in taken:
                rate = np.hypot(mover.motion.vx, mover.motion.vy) * 65 / 60 / one.scale
                print(
                    "false:",
                    seed,
                    len(mover.good),
                    mover.slow,
                    f"{rate:.2f} px/frame",
                    [round(p.snr) for p in mover.good],
                )
    for seed in range(101, 101 + nights // 2):
        (found,) = find_movers(night(folder / f"{seed}", seed, 0), tell=lambda text: None)
        empty_false, empty_expected = empty_false + len(found.movers), empty_expected + found.expected_false
    every = np.array(seen)
    print("S/N \\ pixel per frame  " + "".join(f"{a:>6.2f}-{b:<6.2f}" for a, b in pairwise(SPEED)))
    for a, b in pairwise(SNR):
        row = f"{a:>5.0f} - {b:<5.0f}            "
        for c, d in pairwise(SPEED):
            some = every[(every[:, 0] >= a) & (every[:, 0] < b) & (every[:, 1] >= c) & (every[:, 1] < d)]
            row += f"  {int(some[:, 2].sum()):>3}/{len(some):<3}    "
        print(row)
    p = np.array(pulls)
    for name, which in (
        ("single frames, S/N < 8", (p[:, 3] == 0) & (p[:, 2] < 8)),
        ("single frames, S/N > 8", (p[:, 3] == 0) & (p[:, 2] >= 8)),
        ("together", p[:, 3] == 1),
    ):
        some = p[which, :2]
        if len(some):
            robust = 1.4826 * np.median(np.abs(some))
            print(f"pulls, {name}: n {len(some)}, sigma {some.std():.2f}, robust {robust:.2f}", end="")
            print(f", mean {some.mean():+.2f}")
    print(f"false tracks: {false} in {nights} nights with asteroids (expected {expected:.2f}),", end=" ")
    print(f"{empty_false} in {nights // 2} without (expected {empty_expected:.2f})")
    print(f"search: {np.mean(seconds):.1f} s of processor per night")


if __name__ == "__main__":
    main()
