"""A picture of each mover: its frames side by side, centered on its motion, and all of them together."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import mad_sigma
from sciastro.io.paths import atomic_path, safe_name
from sciastro.recipe.moverfit import planes_of
from sciastro.recipe.moverplaces import Mover
from sciastro.recipe.movers import Found

__all__ = ["write_strips"]

Floats = npt.NDArray[np.float64]

HALF = 16  # pixel around the mover on a strip
MOST = 12  # frames of a strip
ZOOM = 4  # times that pixels of a strip are enlarged


def write_strips(out: Path, night: Found) -> list[Path]:
    """Write a picture of each mover: its frames, centered on its motion, and their mean and median.

    North is not turned up: the pixels are those of the frames. Returns the paths.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    from PIL import Image

    one = night.field
    shown = {mover.name: _shown(mover) for mover in night.movers}
    cuts: dict[str, dict[int, Floats]] = {mover.name: {} for mover in night.movers}
    for i, look in planes_of(one):
        if look.planes is None:
            continue
        image = np.where(look.planes[1], np.nan, look.planes[0]) / look.frame.exposure
        for mover in night.movers:
            x, y = mover.motion.at((look.frame.time - one.frames[0].time) / 60)
            ra, dec = one.sky(x + look.shift[0], y + look.shift[1])
            u, v = look.frame.to_pixel(look.wcs, ra, dec)
            if -HALF < u[0] < look.shape[1] + HALF and -HALF < v[0] < look.shape[0] + HALF:
                cuts[mover.name][i] = _cut(image, float(u[0]), float(v[0]))
    paths = []
    for mover in night.movers:
        night_of = "" if one.store.stem == "frames" else f"{one.store.stem.removeprefix('frames-')}_"
        stem = safe_name(f"{one.target}_{night_of}{mover.name}")
        path = out / "renders" / f"{stem}.png"
        picture = _strip([cuts[mover.name][i] for i in sorted(cuts[mover.name])], shown[mover.name])
        with atomic_path(path) as part:
            Image.fromarray(picture).save(part, format="png")
        paths.append(path)
    return paths


def _shown(mover: Mover) -> int:
    return min(len(mover.places), MOST)


def _cut(image: Floats, x: float, y: float) -> Floats:
    """Return the square around a place, moved by less than a pixel so that it is central."""
    size = 2 * HALF + 1
    out = np.full((size, size), np.nan)
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - x0, y - y0
    padded = np.full((size + 1, size + 1), np.nan)
    rows = slice(max(0, y0 - HALF), min(image.shape[0], y0 + HALF + 2))
    columns = slice(max(0, x0 - HALF), min(image.shape[1], x0 + HALF + 2))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return out
    padded[
        rows.start - y0 + HALF : rows.stop - y0 + HALF, columns.start - x0 + HALF : columns.stop - x0 + HALF
    ] = image[rows, columns]
    top = (1 - fx) * padded[:-1, :-1] + fx * padded[:-1, 1:]
    low = (1 - fx) * padded[1:, :-1] + fx * padded[1:, 1:]
    return np.asarray((1 - fy) * top + fy * low)


def _strip(cuts: Sequence[Floats], most: int) -> npt.NDArray[np.uint8]:
    """Return the cut-outs in a row with their mean and median at the end, as 8-bit gray."""
    if not cuts:
        return np.zeros((ZOOM * (2 * HALF + 1), ZOOM * (2 * HALF + 1)), np.uint8)
    pick = np.unique(np.linspace(0, len(cuts) - 1, max(most, 1)).round().astype(int))
    level = [one - np.nanmedian(one) if np.isfinite(one).any() else one for one in cuts]
    cube = np.array(level)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all-NaN pixels stay NaN
        mean, median = np.nanmean(cube, axis=0), np.nanmedian(cube, axis=0)
    tiles = [_gray(level[i]) for i in pick] + [_gray(mean), _gray(median)]
    gap = np.full((tiles[0].shape[0], 2), 90, np.uint8)
    row: list[npt.NDArray[np.uint8]] = []
    for k, tile in enumerate(tiles):
        row += ([gap] if k else []) + ([gap] if k == len(pick) else []) + [tile]
    return np.concatenate(row, axis=1)


def _gray(tile: Floats) -> npt.NDArray[np.uint8]:
    """Return a tile from 2 sigma below its sky to 10 above, or to its core, enlarged."""
    known = tile[np.isfinite(tile)]
    if not known.size:
        return np.zeros((ZOOM * tile.shape[0], ZOOM * tile.shape[1]), np.uint8)
    sky = float(np.median(known))
    sigma = max(mad_sigma(known, sky), 1e-9)
    core = tile[HALF - 2 : HALF + 3, HALF - 2 : HALF + 3]
    top = max(10 * sigma, float(np.nanmax(core)) - sky if np.isfinite(core).any() else 0.0)
    scaled = np.clip((np.nan_to_num(tile, nan=sky - 2 * sigma) - sky + 2 * sigma) / (top + 2 * sigma), 0, 1)
    gray = np.kron((255 * np.sqrt(scaled)).astype(np.uint8), np.ones((ZOOM, ZOOM), np.uint8))
    middle = ZOOM * HALF + ZOOM // 2
    for edge in (slice(0, 2 * ZOOM), slice(-2 * ZOOM, None)):  # marks that point to the middle
        gray[edge, middle], gray[middle, edge] = 255, 255
    return np.asarray(gray, dtype=np.uint8)
