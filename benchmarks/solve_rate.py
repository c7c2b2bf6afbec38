"""How many fields of 1 degree the embedded catalog solves from a hint, at random places of the whole sky.

    python benchmarks/solve_rate.py [--fields 150]

Each image holds the catalog stars of its field, moved by 0.4 arcsec (what unknown proper motions may do by
2026), 8 % of them missing, and four times as many others that no catalog knows; the hint is 3 arcmin and up
to 3 % in scale off, the rotation unknown.
"""

import argparse

import numpy as np

from sciastro.astrometry.solve import Hint, solve_field
from sciastro.core.stars import STAR_DTYPE
from sciastro.core.wcs import tan_wcs
from sciastro.errors import SolveError
from sciastro.io.reference import cone

SIZE = 2000
SCALE = 3600 / SIZE
EPOCH = 2026.0


def image(rng, ra, dec):
    """Return a star list of the field, and how many of its stars the catalog has."""
    wcs = tan_wcs(ra, dec, SCALE, (SIZE, SIZE), angle=rng.uniform(-180, 180))
    stars = cone(ra, dec, 0.75, epoch=EPOCH)
    x, y = wcs.all_world2pix(stars["ra"].value, stars["dec"].value, 0)
    inside = (x > 0) & (x < SIZE) & (y > 0) & (y < SIZE)
    real, others = int(inside.sum()), 4 * max(int(inside.sum()), 20)
    x = np.r_[x[inside] + rng.normal(0, 0.4 / SCALE, real), rng.uniform(0, SIZE, others)]
    y = np.r_[y[inside] + rng.normal(0, 0.4 / SCALE, real), rng.uniform(0, SIZE, others)]
    mag = np.r_[
        np.asarray(stars["mag"].value)[inside] + rng.normal(0, 0.15, real), rng.uniform(11, 15, others)
    ]
    keep = np.flatnonzero(rng.random(mag.size) > 0.08)
    keep = keep[np.argsort(mag[keep])]
    out = np.zeros(keep.size, STAR_DTYPE)
    out["x"], out["y"], out["flux"] = x[keep], y[keep], 10 ** (-0.4 * (mag[keep] - 20))
    out["flux_err"], out["peak"] = out["flux"] / 100, out["flux"] / 10
    out["x_err"] = out["y_err"] = 0.05
    out["fwhm"], out["snr"] = 3.0, 100.0
    return out, real


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fields", type=int, default=150)
    fields = parser.parse_args().fields
    rng = np.random.default_rng(3)
    counts, errors, unsolved = [], [], []
    for _ in range(fields):
        ra, dec = rng.uniform(0, 360), np.degrees(np.arcsin(rng.uniform(-1, 1)))
        stars, real = image(rng, ra, dec)
        counts.append(real)
        cosine = np.cos(np.radians(dec))
        off = rng.normal(0, 0.05, 2)
        hint = Hint(ra=ra + off[0] / cosine, dec=dec + off[1], scale=SCALE * rng.uniform(0.97, 1.03))
        try:
            found = solve_field(
                stars,
                (SIZE, SIZE),
                stars_at=lambda a, d, r: cone(a, d, r, epoch=EPOCH, brightest=3000),
                hint=hint,
                epoch=EPOCH,
            )
        except SolveError:
            unsolved.append((round(ra, 1), round(dec, 1), real))
            continue
        a, d = found.wcs.all_pix2world(SIZE / 2 - 0.5, SIZE / 2 - 0.5, 0)
        errors.append(float(np.hypot((a - ra) * cosine, d - dec)) * 3600)
    print(f"{fields} fields, {min(counts)} to {max(counts)} catalog stars (median {np.median(counts):.0f})")
    print(f"solved {len(errors)}, of these {sum(e > 5 for e in errors)} wrong by more than 5 arcsec")
    print(f"error of the center: median {np.median(errors):.2f}, largest {max(errors):.2f} arcsec")
    print(f"not solved: {unsolved}")


if __name__ == "__main__":
    main()
