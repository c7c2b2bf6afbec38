"""Pulls and biases of fluxes against the truth, cell by cell: which method, which image, which S/N.

    python benchmarks/flux_pulls.py                                  # every cell, a few fields each
    python benchmarks/flux_pulls.py aperture-frame psf-crowd --fields 12

A cell is a way to measure fluxes (aperture, optimal, found, psf, forced psf) on a kind of image (single
frame, stack, drizzled stack, crowd) made by the helpers of ``tests/photometry``: raw counts, calibration,
stacking, photometry. Counted are stars that no flag tells to be spoiled. Per cell and range of true S/N:
number of stars, mean, standard deviation and robust deviation of (flux - truth) / error with their own
standard errors, share beyond 4; then the bias above S/N 50 [%], its standard error from field to field, and
what is told for the normalization that is common to all stars of an image.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "photometry")]
import psf_fields as fields  # noqa: E402
import test_psf_truth as psf  # noqa: E402
import truth_pulls as chain  # noqa: E402
from star_fields import as_stars  # noqa: E402

from sciastro.core.robust import mad_sigma  # noqa: E402
from sciastro.integrate.drizzle import DrizzleOptions  # noqa: E402
from sciastro.measure.stars import DetectOptions, measure_plane  # noqa: E402
from sciastro.photometry.psfforced import psf_at  # noqa: E402

RANGES = ((5, 15), (15, 50), (50, 150), (150, np.inf))
DROPS = DrizzleOptions(scale=2.0, pixfrac=0.8)


@dataclass
class Field:
    """Of the unflagged stars of one image: pull, S/N, relative deviation; error common to all of them."""

    pull: np.ndarray
    snr: np.ndarray
    off: np.ndarray
    common: float


def by_aperture(sky, seed, low=5.0, **how):
    """Measure one field by apertures."""
    found = chain.pulls(sky, [seed], **how)
    good = found.chosen(low, spoiled=chain.SPOILED)
    return Field(found.pull[good], found.snr[good], found.deviation[good], float(found.common[0]))


def by_psf(result, table, truth):
    """Compare the fluxes of a PSF fit with `truth`."""
    found = psf.Found()
    found.add(result, table, truth)
    pull, snr, off, clean, _ = found.parts[0].T
    good = clean > 0
    return Field(pull[good], snr[good], off[good], float(np.nan_to_num(result.model.normalization_err)))


def psf_of_frame(seed):
    x, y, flux = fields.lattice(seed, faint=2.9, spacing=24)
    result = psf.fit(fields.expose(x, y, flux, psf.SHAPE, seed), fields.stars_at(x, y, seed))
    return by_psf(result, result.table[: x.size], flux)


def psf_of_stack(seed, **more):
    sky = chain.Sky(frames=5, spacing=34, **more)
    rng = np.random.default_rng(seed)
    x, y, flux = chain.places(rng, sky)
    image, variance, quality, kernel, px, py, widths = chain.planes(rng, sky, x, y, flux)
    fwhm = measure_plane(image, quality, gain_noise=variance, options=DetectOptions(), coarse=False).fwhm
    stars = as_stars(px + rng.normal(0, 0.1, px.size), py + rng.normal(0, 0.1, px.size), fwhm)
    result = psf.fit((image, variance, quality), stars, fwhm=fwhm, autocorrelation=kernel)
    truth = flux / sky.seconds * chain.enclosed(result.model.total_radius, widths, sky.beta)
    return by_psf(result, result.table[: px.size], truth)


def psf_of_crowd(seed, forced=False):
    x, y, flux = fields.crowd(seed, 360, 420)
    image, variance, quality = fields.expose(x, y, flux, psf.SHAPE, seed)
    result = psf.fit((image, variance, quality), fields.stars_at(x, y, seed))
    if not forced:
        return by_psf(result, result.table[: x.size], flux)
    half = slice(0, x.size // 2)
    again = psf_at(
        result, image, variance, quality, x[half], y[half], sky_map=fields.sky_map, tell=fields.quiet
    )
    return by_psf(result, again.table, flux[half])


def psf_of_found(seed, number):
    x, y, flux = fields.at_random(seed, number=number)
    planes = fields.expose(x, y, flux, (300, 300), seed, elongation=0.0)
    seen = measure_plane(planes[0], planes[2], gain_noise=planes[1], options=DetectOptions())
    result = psf.fit(planes, seen.stars, fwhm=seen.fwhm)
    rows, light = fields.sources_of(x, y, flux, result.table)
    return by_psf(result, result.table[rows], light)


ALONE = {"spacing": 44}
FRAME, STACK = chain.Sky(**ALONE), chain.Sky(frames=5, **ALONE)
DRIZZLE = chain.Sky(frames=5, size=450, drizzle=DROPS, **ALONE)
CROWD = chain.Sky(spacing=0, stars=250)
CROWD_STACK = chain.Sky(spacing=0, stars=250, frames=5)
CELLS = {
    "aperture-frame": lambda seed: by_aperture(FRAME, seed),
    "aperture-stack": lambda seed: by_aperture(STACK, seed),
    "aperture-drizzle": lambda seed: by_aperture(DRIZZLE, seed),
    "aperture-crowd": lambda seed: by_aperture(CROWD, seed),
    "aperture-crowd-stack": lambda seed: by_aperture(CROWD_STACK, seed),
    "found-frame": lambda seed: by_aperture(FRAME, seed, 10.0, forced=False),
    "found-stack": lambda seed: by_aperture(STACK, seed, 10.0, forced=False),
    "found-drizzle": lambda seed: by_aperture(DRIZZLE, seed, 10.0, forced=False),
    "found-crowd": lambda seed: by_aperture(CROWD, seed, 10.0, forced=False),
    "optimal-frame": lambda seed: by_aperture(FRAME, seed, radius=2.0, optimal=True),
    "optimal-stack": lambda seed: by_aperture(STACK, seed, radius=2.0, optimal=True),
    "psf-frame": psf_of_frame,
    "psf-stack": psf_of_stack,
    "psf-drizzle": lambda seed: psf_of_stack(seed, size=330, drizzle=DROPS),
    "psf-crowd": psf_of_crowd,
    "psf-forced-crowd": lambda seed: psf_of_crowd(seed, forced=True),
    "psf-found-0.028": lambda seed: psf_of_found(seed, 250),
    "psf-found-0.057": lambda seed: psf_of_found(seed, 500),
    "psf-found-0.095": lambda seed: psf_of_found(seed, 840),
}


def row(title, pull):
    """Return one line of the table."""
    n = pull.size
    if n < 10:
        return f"  {title:10s} {n:5d}"
    robust = mad_sigma(pull)
    far, unit = 100 * np.mean(np.abs(pull) > 4), 1 / np.sqrt(n)
    return (
        f"  {title:10s} {n:5d}  mean {pull.mean():+.3f} +- {unit:.3f}  std {pull.std():.3f} +- "
        f"{unit / np.sqrt(2):.3f}  robust {robust:.3f} +- {1.17 * unit:.3f}  beyond 4 {far:.2f} %"
    )


def bias(one):
    """Return the mean deviation above S/N 50 [%], weighted by S/N up to 300."""
    bright = one.snr > 50
    return 100 * np.average(one.off[bright], weights=np.minimum(one.snr[bright], 300) ** 2)


def tell(name, found):
    """Print a cell."""
    pull, snr = (np.concatenate([getattr(one, key) for one in found]) for key in ("pull", "snr"))
    print(f"{name}: {len(found)} images")
    print(row("all", pull))
    for low, high in RANGES:
        print(row(f"{low}-{high}", pull[(snr >= low) & (snr < high)]))
    each = np.array([bias(one) for one in found])
    err = each.std(ddof=1) / np.sqrt(len(each)) if len(each) > 1 else np.nan
    told = 100 * np.sqrt(np.mean([one.common**2 for one in found]))
    rms = np.sqrt(np.mean(each**2))
    print(
        f"  bias above S/N 50: {each.mean():+.3f} +- {err:.3f} %; rms of images {rms:.3f}, told {told:.3f} %",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", nargs="*", metavar="CELL", help=", ".join(CELLS))
    parser.add_argument("--fields", type=int, default=4)
    parser.add_argument("--first", type=int, default=300)
    asked = parser.parse_args()
    for name in asked.cells or CELLS:
        tell(name, [CELLS[name](asked.first + k) for k in range(asked.fields)])


if __name__ == "__main__":
    main()
