"""Noise-free frames of coarse samples, stacked."""

import math

import numpy as np


def sampled_stack(cfa, color, fwhm, shifts, n=10, spacing=14, seed=1, clamp=math.inf):
    """Return a stack of noise-free frames of one color by superpixels, and the places of its stars."""
    from sciastro.calibrate.debayer import NO_VARIANCE, phase_offset, split_window
    from sciastro.core import transform
    from sciastro.core.cfa import cell_center, cell_side
    from sciastro.integrate.grid import Tile
    from sciastro.integrate.resample import resample, resampler
    from sciastro.simulate.psf import Psf, draw_stars

    rng, side = np.random.default_rng(seed), cell_side(cfa)
    size = n * spacing
    grid = np.arange(n) * spacing + spacing / 2
    x, y = (v.ravel() + rng.uniform(-1, 1, n * n) for v in np.meshgrid(grid, grid))
    corner, total = cell_center(cfa) if cfa else (0.0, 0.0), np.zeros((size, size))
    off = phase_offset(cfa, color) if cfa else (0.0, 0.0)
    for dx, dy in shifts:
        raw = np.zeros(((size + 1) * side,) * 2, np.float32)
        places = (x + dx) * side + corner[0], (y + dy) * side + corner[1]
        draw_stars(raw, *places, np.full(x.size, 1e6), Psf(fwhm=fwhm * side))
        plane = raw
        if cfa:
            split = split_window(raw, NO_VARIANCE, np.zeros(raw.shape, np.uint16), cfa)
            plane = split[0]["RGB".index(color)]
        plane = np.ascontiguousarray(plane[:size, :size])
        c = transform.identity(1).copy()
        c[:, 0] += dx - off[0], dy - off[1]
        out = tuple(np.empty((size, size), t) for t in (np.float32, np.float32, np.uint16))
        given = (plane, np.ones_like(plane), np.zeros(plane.shape, np.uint16))
        resample(given, (0, 0), c, Tile(0, size, 0, size), resampler("lanczos3", clamp=clamp), out)
        total += np.nan_to_num(out[0])
    image = total / len(shifts) + rng.normal(0, 3.0, total.shape)
    inside = (np.abs(x - size / 2) < size / 2 - 20) & (np.abs(y - size / 2) < size / 2 - 20)
    return image.astype(np.float32), x[inside], y[inside]
