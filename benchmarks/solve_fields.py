"""Random places of the sky as star lists, narrow and wide, and a large frame with a hint (see solve.py)."""

import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits

from sciastro.astrometry.blind import solve_blind
from sciastro.astrometry.lens import Lens, rotation_of
from sciastro.astrometry.plane import separation
from sciastro.core.directions import unit_vectors
from sciastro.core.stars import STAR_DTYPE
from sciastro.core.wcs import tan_wcs
from sciastro.errors import SolveError
from sciastro.io.reference import cone
from sciastro.recipe.skyindex import sky_index
from sciastro.recipe.solvereading import read_field
from sciastro.recipe.solving import Question, solve_one

SHAPE = (2000, 3000)
EPOCH = 2026.0
LIMIT = 11.6  # magnitude where the embedded catalog ends
SLOPE = 0.32  # of log10 of the counts per magnitude
BARREL = 0.10  # of the distance from the axis, at the corner: at most


def star_list(rng, degrees, *, distorted=True):
    """Return the stars of a random field as an image shows them, its center, and how many are catalogued.

    `degrees` is the longer side. Error 0.4 pixel and 0.4 arcsec; 8 % of the stars are lost, 3 % are hot
    pixels as bright as any star; stars too faint for the catalog follow its counts.
    """
    turn = rotation_of(rng.normal(0, 2, (1, 3)))[0]
    if rng.random() < 0.5:
        turn = np.diag([-1.0, 1.0, 1.0]) @ turn
    axis = turn[2]
    ra0, dec0 = np.degrees(np.arctan2(axis[1], axis[0])) % 360, np.degrees(np.arcsin(axis[2]))
    focal = SHAPE[1] / 2 / np.tan(np.radians(degrees / 2))
    corner = np.hypot(*SHAPE) / 2 / focal
    bend = rng.uniform(-BARREL, BARREL) if distorted and degrees >= 20 else 0.0
    lens = Lens(focal, (SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2, (bend / corner**2, 0.0, 0.0))
    deep = LIMIT if degrees < 3 else LIMIT - 3 * np.log10(degrees / 3) / 0.6
    reach = min(np.degrees(np.arctan(corner)) * 1.25, 80.0)
    table = cone(ra0, dec0, reach, epoch=EPOCH, mag_limit=deep)
    ra, dec, mag = (np.asarray(getattr(table[c], "value", table[c])) for c in ("ra", "dec", "mag"))
    seen = unit_vectors(ra, dec) @ turn.T
    spot = lens.project(seen)
    with np.errstate(invalid="ignore"):
        inside = (seen[:, 2] > np.cos(np.radians(reach))) & np.all(
            (spot > 0) & (spot < np.array([SHAPE[1], SHAPE[0]]) - 1), axis=1
        )
    spot, mag = spot[inside], mag[inside]
    real = len(mag)
    faint = min(int(max(real, 8) * (10 ** (SLOPE * 3) - 1)), 3000)
    fainter = deep + np.log10(1 + rng.random(faint) * (10 ** (SLOPE * 3) - 1)) / SLOPE
    hot = int(0.03 * real) + 2
    error = np.hypot(0.4, 0.4 / (degrees * 3600 / SHAPE[1]))
    x = np.r_[spot[:, 0], rng.uniform(0, SHAPE[1], faint + hot)]
    y = np.r_[spot[:, 1], rng.uniform(0, SHAPE[0], faint + hot)]
    m = np.r_[mag + rng.normal(0, 0.25, real), fainter, rng.uniform(deep - 4, deep, hot)]
    keep = np.flatnonzero(rng.random(m.size) > 0.08)
    keep = keep[np.argsort(m[keep])][:3000]
    out = np.zeros(keep.size, STAR_DTYPE)
    out["x"], out["y"] = (v[keep] + rng.normal(0, error, keep.size) for v in (x, y))
    out["flux"] = 10 ** (-0.4 * (m[keep] - 20))
    out["flux_err"], out["peak"] = out["flux"] / 100, out["flux"] / 10
    out["x_err"] = out["y_err"] = 0.3
    out["fwhm"], out["snr"] = 3.0, 100.0
    return out, (ra0, dec0), real, bend


def random_fields(count, degrees, seconds=60.0, seed=3, show=True):
    """Print how many random fields are solved, how well, and how fast."""
    rng = np.random.default_rng(seed)
    index = sky_index()
    rows = []
    for number in range(count):
        stars, (ra, dec), real, bend = star_list(rng, degrees)
        start = time.process_time()
        why, error = "", np.nan
        try:
            found = solve_blind(
                [lambda stars=stars: stars], SHAPE, index=index, epoch=EPOCH,
                stars_at=lambda a, d, r: cone(a, d, min(r, 90.0), epoch=EPOCH, brightest=3000),
                until=time.monotonic() + seconds,
            )  # fmt: skip
            a, d = found.wcs.all_pix2world((SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2, 0)
            error = float(separation(*(np.array([float(v)]) for v in (a, d, ra, dec)))[0]) / degrees
        except SolveError as failure:
            why = str(failure)
        rows.append((real, time.process_time() - start, error, bend))
        if show and (why or error > 0.01):
            print(
                f"field {number}: RA {ra:.1f} Dec {dec:+.1f}, {real} catalog stars, bend {bend:+.2f}, "
                f"{rows[-1][1]:.1f} s, error {error:.2g} of the field {why[:230]}",
                flush=True,
            )
    real, cpu, error, _ = np.array(rows).T
    good = error < 0.01
    print(f"{degrees} degrees: {good.sum()} of {count} solved, {(error >= 0.01).sum()} wrong; catalog stars "
          f"{real.min():.0f} to {real.max():.0f}; CPU median {np.median(cpu):.2f}, "
          f"95 % {np.quantile(cpu, 0.95):.1f} s; "
          f"error of the center, median {np.nanmedian(error) * degrees * 3600:.2f} arcsec")  # fmt: skip
    for low, high in ((0, 8), (8, 10), (10, 15), (15, 10**9)):
        some = (real >= low) & (real < high)
        if some.any() and degrees < 3:
            print(f"  {low} to {high - 1} catalog stars: {good[some].sum()} of {some.sum()}")


def large_field(path, shape=(4000, 6000), scale=1.6):
    """Write a frame of 24 megapixels with some 8,000 stars, those of the catalog about RA 83, Dec 21 too."""
    rng = np.random.default_rng(0)
    wcs = tan_wcs(83.0, 21.0, scale, shape, angle=33.0)
    table = cone(83.0, 21.0, 1.9, epoch=EPOCH)
    x, y = wcs.all_world2pix(table["ra"].value, table["dec"].value, 0)
    faint = 6000
    x, y = np.r_[x, rng.uniform(0, shape[1], faint)], np.r_[y, rng.uniform(0, shape[0], faint)]
    mag = np.r_[np.asarray(table["mag"].value), rng.uniform(12, 17, faint)]
    image = rng.normal(800, 12, shape).astype(np.float32)
    rows, columns = np.mgrid[-10:11, -10:11]
    for a, b, m in zip(x, y, mag, strict=True):
        i, j = round(float(b)), round(float(a))
        if 10 < i < shape[0] - 11 and 10 < j < shape[1] - 11:
            spot = np.exp(-((columns + j - a) ** 2 + (rows + i - b) ** 2) / (2 * 1.4**2))
            image[i - 10 : i + 11, j - 10 : j + 11] += 8000 * 10 ** (-0.4 * (m - 12)) * spot
    fits.PrimaryHDU(np.clip(np.round(image), 0, 65535).astype(np.uint16)).writeto(path)


def hinted(scale=1.6):
    """Print what a frame of 24 megapixels costs with a hint: CPU seconds of the steps, the second time."""
    with tempfile.TemporaryDirectory() as room:
        path = Path(room) / "large.fits"
        large_field(path, scale=scale)
        known = Question(ra=83.05, dec=20.95, scale=scale * 1.02)
        for turn in ("first", "second"):
            clock = [time.process_time()]
            field = read_field(path)
            clock.append(time.process_time())
            count = len(field.stars())
            clock.append(time.process_time())
            found = solve_one(field, known)
            clock.append(time.process_time())
            steps = np.diff(clock)
            print(f"{turn} time: read {steps[0]:.2f}, {count} stars found {steps[1]:.2f}, solved by "
                  f"{found.n_stars} stars {steps[2]:.2f}; together {steps.sum():.2f} s of CPU")  # fmt: skip
