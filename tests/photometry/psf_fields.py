"""Simulated fields for PSF photometry: Moffat stars with shot and read noise, their truth beside them."""

import numpy as np
from star_fields import as_stars

from sciastro.core.quality import Quality
from sciastro.measure.background import BackgroundOptions, background
from sciastro.simulate.psf import Psf, PsfOptions, draw_stars

SKY, READ_NOISE = 90.0, 4.0


def quiet(text):
    """Tell nothing."""


def sky_map(image, quality):
    return background(image, quality, BackgroundOptions(box=64)).level_map()


def stars_at(x, y, seed, err=0.1, fwhm=3.2):
    rng = np.random.default_rng(seed + 1000)
    return as_stars(x + rng.normal(0, err, x.size), y + rng.normal(0, err, x.size), fwhm)


def expose(x, y, flux, shape, seed, *, fwhm=3.2, beta=5.0, elongation=0.1, full=1e9, from_counts=True):
    """Return image, variance and quality [electron, 1 s]; variance from the counts, or from the truth."""
    rng = np.random.default_rng(seed)
    light = np.zeros(shape, np.float32)
    draw_stars(light, x, y, flux, Psf(fwhm=fwhm, options=PsfOptions(beta=beta, elongation=elongation)))
    truth = light + SKY
    counts = rng.poisson(truth) + rng.normal(0, READ_NOISE, shape)
    quality = np.zeros(shape, np.uint16)
    quality[counts > full] = int(Quality.SATURATED)
    counts = np.minimum(counts, full)
    variance = (np.maximum(counts, 0) if from_counts else truth) + READ_NOISE**2
    return counts.astype(np.float32), variance.astype(np.float32), quality


def lattice(seed, size=360, spacing=34, faint=2.6, bright=5.4):
    rng = np.random.default_rng(seed)
    line = np.arange(spacing // 2 + 1, size - spacing // 3, spacing, dtype=float)
    x, y = (axis.ravel() for axis in np.meshgrid(line, line))
    x, y = x + rng.uniform(-6, 6, x.size), y + rng.uniform(-6, 6, y.size)
    return x, y, 10 ** rng.uniform(faint, bright, x.size)


def crowd(seed, size=300, number=600, faint=2.9, bright=5.2, apart=0.6, fwhm=3.2):
    """Return x, y, flux of stars at random places, none nearer than `apart` widths."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    x, y = rng.uniform(4, size - 5, (2, number))
    pairs = cKDTree(np.column_stack([x, y])).query_pairs(apart * fwhm, output_type="ndarray")
    keep = np.ones(number, bool)
    keep[pairs[:, 1]] = False
    return x[keep], y[keep], 10 ** rng.uniform(faint, bright, int(keep.sum()))


def at_random(seed, *, size=300, number=500, faint=2.0, bright=5.2):
    """Return x, y, flux of stars anywhere, many too faint to be seen."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(4, size - 5, (2, number))
    return x, y, 10 ** rng.uniform(faint, bright, number)


def robust_std(values):
    return 1.4826 * np.median(np.abs(values - np.median(values)))


def sources_of(x, y, flux, table, fwhm=3.2, one_source=0.71):
    """Return rows of the table that show a star, and the true light of each source.

    The brightest star within 0.6 widths of a row is that row's; a star that no row shows and that is nearer
    than `one_source` widths to one that a row shows is one source with it.
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(np.column_stack([table["x"].value, table["y"].value]))
    row_of: dict[int, int] = {}
    taken: set[int] = set()
    for k in np.argsort(-flux):
        distance, rows = tree.query((x[k], y[k]), k=4, distance_upper_bound=0.6 * fwhm)
        free = [int(r) for r, d in zip(rows, distance, strict=True) if np.isfinite(d) and r not in taken]
        if free:
            row_of[int(k)] = free[0]
            taken.add(free[0])
    heads = np.array(list(row_of))
    light = flux[heads].copy()
    unseen = np.setdiff1d(np.arange(x.size), heads)
    distance, nearest = cKDTree(np.column_stack([x[heads], y[heads]])).query(
        np.column_stack([x[unseen], y[unseen]])
    )
    near = distance < one_source * fwhm
    np.add.at(light, nearest[near], flux[unseen[near]])
    return np.array([row_of[int(k)] for k in heads]), light
