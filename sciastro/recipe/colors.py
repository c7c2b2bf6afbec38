"""A mosaic in pass 1: the light of its cells, where stars are found, and sky and noise of each color."""

import math

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.debayer import phase_offset
from sciastro.core.cfa import COLORS, cell_center, cell_side
from sciastro.kernels.mosaic import add_centered
from sciastro.measure.background import background
from sciastro.measure.stars import PlaneMeasure

__all__ = ["averaged", "light_of_cells", "sky_of_colors", "stars_to_raw", "trails_to_raw"]

Plane = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]


def light_of_cells(planes: Plane, bits: Bits, cfa: str) -> tuple[Plane, Bits]:
    """Return the light of each cell of a mosaic, where stars are found.

    Red and blue samples of a Bayer cell lie a quarter of a cell off its center, on opposite sides: their
    plain sum would move a star by up to a quarter of a cell with its color, and back after a meridian
    flip. Each is first interpolated to the center (3/4 and 1/4 along each axis); the two greens are
    centered together, and so is every color of an X-Trans cell.

    Parameters
    ----------
    planes, bits
        (3, rows, columns) [electron]: the means over the samples of each color, and their bits.
    cfa
        Pattern as stored.

    Returns
    -------
    light, bits
        (rows, columns) of cells [electron]: the sum over the samples of a cell, and all bits of the cell.
    """
    light, every = np.empty(planes.shape[1:], np.float32), np.empty(planes.shape[1:], np.uint16)
    numbers = np.array([cfa.count(color) for color in COLORS]) * cell_side(cfa) ** 2 / len(cfa)
    offsets = np.array([phase_offset(cfa, color) for color in COLORS])
    add_centered(planes, bits, numbers.astype(np.float32), offsets.astype(np.float32), light, every)
    return light, every


def sky_of_colors(
    planes: Plane, bits: Bits, bands: tuple[str, ...]
) -> tuple[dict[str, float], dict[str, float], dict[str, Plane]]:
    """Return sky, noise and sky mesh of each band [electron]; its last letter names its color of `planes`."""
    sky, noise, meshes = {}, {}, {}
    for band in bands:
        number = COLORS.index(band[-1])
        mesh = background(planes[number], bits[number])
        sky[band], noise[band], meshes[band] = mesh.level, mesh.rms, mesh.coarse()
    return sky, noise, meshes


def averaged(cfa: str, band: str) -> float:
    """Return the noise of a raw pixel over that of a color of a cell, which averages its samples."""
    return math.sqrt(cfa.count(band[-1]) * cell_side(cfa) ** 2 / len(cfa)) if cfa else 1.0


def trails_to_raw(trails: npt.NDArray[np.float64], cfa: str) -> npt.NDArray[np.float64]:
    """Return trails seen on cells as they lie on raw pixels: x = side X + center of the first cell.

    `trails` (n, 5) [cell]: x and y of one end, of the other, and half the width.
    """
    x, y = cell_center(cfa)
    return np.asarray(cell_side(cfa) * trails + np.array([x, y, x, y, cell_side(cfa) / 2]))


def stars_to_raw(found: PlaneMeasure, cfa: str) -> None:
    """Move stars from cells to raw pixels, in place: x = side X + center of the first cell."""
    side, center = cell_side(cfa), cell_center(cfa)
    for name, first in zip(("x", "y"), center, strict=True):
        found.stars[name] = side * found.stars[name] + first
    for name in ("x_err", "y_err", "fwhm"):
        found.stars[name] *= side
