"""Stack on something that moves: shift the maps with it, and take off the frames what stands still.

A comet smears on a stack of the stars, and the stars on a stack of the comet; rejection removes what
crosses a pixel once, not what lingers. So each is subtracted from the frames before the other is stacked:
comet from frames aligned on it, stars from what is left of frames without it, and both once more. Values are
those of normalized frames [electron / s], in which sky and star fluxes agree.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core import transform
from sciastro.core.options import Options, option
from sciastro.core.robust import mad_sigma
from sciastro.integrate.grid import Tile, input_window
from sciastro.integrate.resample import resample, resampler

__all__ = ["Adjust", "CometOptions", "Subtraction", "around", "shifted_maps", "smoothed", "structure"]

Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]

BLOCK = 16  # pixels along a block whose median shows the glow of a comet
GLOW = 3.0  # sigma above the sky from which a block belongs to it
GROWN = 3  # blocks around it that belong to it too
FINE = 4  # pixels along a block whose median passes a glow and stops the trails of stars
NEAR = 15.0  # pixels about the head of a comet that keep their full detail

Adjust = Callable[[int, Tile, Plane], None]
"""Changes the samples of a frame (number, tile with its rim, values (y, x)) in place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CometOptions(Options):
    """Stacking on a comet (or an asteroid), with stars and comet both sharp."""

    enabled: bool = option(False, "Also stack on the comet, and put both together.")
    rate: float | None = option(
        None, "Its motion against the stars; none finds it.", unit="arcsec / h", low=0.0, high=1e6
    )
    angle: float | None = option(
        None, "Position angle of the motion, from north through east.", unit="deg", low=-360.0, high=360.0
    )
    first: str = option(
        "", "Where it is on the first frame in time, as raw pixels X,Y (0-based); empty finds it."
    )
    last: str = option(
        "", "Where it is on the last frame in time, as raw pixels X,Y (0-based); empty finds it."
    )
    ephemeris: str = option(
        "", "File with its places on the sky (table, JPL Horizons or MPC text); empty: none."
    )


def shifted_maps(maps: npt.ArrayLike, shifts: npt.ArrayLike) -> Floats:
    """Return canvas-to-frame maps (frame, 2, term) that follow the object.

    Parameters
    ----------
    maps
        Canvas-to-frame maps of the stars.
    shifts
        Where the object is on the canvas at each frame, less where it is in the image: (frame, 2) [pixel].
    """
    pairs = zip(np.asarray(maps, dtype=np.float64), np.asarray(shifts, dtype=np.float64), strict=True)
    return np.stack([transform.substitute(c, 1.0, (float(s[0]), float(s[1]))) for c, s in pairs])


def structure(image: Plane) -> Plane:
    """Return `image` less its sky (the median), NaN where it is missing."""
    return np.asarray(image - np.float32(np.nanmedian(image)), dtype=np.float32)


def around(image: Plane, x: float, y: float) -> Plane:
    """Return `image` within the glow around (x, y) [pixel], 0 elsewhere, with a soft border.

    The glow is what lies above `GLOW` sigma over a sloping sky in the medians of blocks of `BLOCK` pixels
    and hangs together with the block at (x, y), `GROWN` blocks more on every side: trails of stars that are
    left far away in a first image of a comet stay out.
    """
    from scipy import ndimage

    rows, columns = (-(-size // BLOCK) for size in image.shape)
    level, known = _block_medians(image, rows, columns, BLOCK)
    above, spread = _over_the_slope(level, known)
    labels, _ = ndimage.label(above > GLOW * spread, np.ones((3, 3)))
    j, i = min(max(int(y) // BLOCK, 0), rows - 1), min(max(int(x) // BLOCK, 0), columns - 1)
    glow = labels == labels[j, i] if labels[j, i] else np.zeros(labels.shape, bool)
    glow[j, i] = True
    glow = ndimage.binary_dilation(glow, np.ones((3, 3)), iterations=GROWN)
    fine = np.kron(glow, np.ones((BLOCK, BLOCK), np.float32))[: image.shape[0], : image.shape[1]]
    soft = ndimage.uniform_filter(fine, 2 * BLOCK, mode="nearest")
    return np.asarray(image * np.where(soft > 1e-6, soft, 0), dtype=np.float32)


def smoothed(image: Plane, x: float, y: float) -> Plane:
    """Return `image` with only its smooth light, in full detail no farther than `NEAR` pixels from (x, y).

    Medians of blocks of `FINE` pixels, interpolated: a glow passes, trails of stars do not.
    """
    from scipy import ndimage

    rows, columns = (-(-size // FINE) for size in image.shape)
    level, known = _block_medians(image, rows, columns, FINE)
    level = ndimage.median_filter(np.where(known, level, 0.0), 5, mode="nearest")
    v, u = (((np.arange(size) + 0.5) / FINE - 0.5) for size in image.shape)
    wide = ndimage.map_coordinates(level, np.meshgrid(v, u, indexing="ij"), order=1, mode="nearest")
    distance = np.hypot(np.arange(image.shape[0])[:, None] - y, np.arange(image.shape[1])[None, :] - x)
    share = np.clip(2 - distance / NEAR, 0, 1)
    return np.asarray(np.where(share > 0, share * image + (1 - share) * wide, wide), dtype=np.float32)


def _block_medians(image: Plane, rows: int, columns: int, size: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the median of each block of `size` pixels, 0 where it has none, and where it has any."""
    padded = np.full((rows * size, columns * size), np.nan, np.float32)
    padded[: image.shape[0], : image.shape[1]] = image
    blocks = padded.reshape(rows, size, columns, size).transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    known: npt.NDArray[np.bool_] = np.asarray(np.isfinite(blocks).any(axis=2))
    blocks[~known] = 0.0
    return np.nanmedian(blocks, axis=2).astype(np.float64), known


def _over_the_slope(level: Floats, known: npt.NDArray[np.bool_]) -> tuple[Floats, float]:
    """Return `level` less a plane fitted to the sky among it, and the scatter of the sky about it."""
    v, u = np.indices(level.shape)
    matrix = np.stack([np.ones(level.size), u.ravel(), v.ravel()], axis=1)
    above, spread = level, 0.0
    sky: npt.NDArray[np.bool_] = known
    for _ in range(8):
        plane, *_rest = np.linalg.lstsq(matrix[sky.ravel()], level[sky], rcond=None)
        above = level - (matrix @ plane).reshape(level.shape)
        spread = mad_sigma(above[sky], 0.0)
        sky = known & np.asarray(above < 2 * spread)
        if sky.sum() < matrix.shape[1]:
            break
    return above, spread


@dataclass(frozen=True, slots=True)
class Subtraction:
    """Takes a model, which lies elsewhere for each frame, off its samples.

    Attributes
    ----------
    model
        float32 (y, x) on the canvas [electron / s], without sky; NaN takes nothing off.
    shifts
        (frame, 2) [pixel]: a sample of canvas pixel X shows ``model(X + shift)``.
    """

    model: Plane
    shifts: Floats

    def __call__(self, frame: int, tile: Tile, values: Plane) -> None:
        """Change `values` (y, x) of `tile` in place."""
        c = transform.substitute(
            transform.identity(), 1.0, (float(self.shifts[frame, 0]), float(self.shifts[frame, 1]))
        )
        shape = (self.model.shape[0], self.model.shape[1])
        window = input_window(c, tile, shape)
        if window is None:
            return
        y0, y1, x0, x1 = window
        part = np.nan_to_num(self.model[y0:y1, x0:x1], nan=0.0)
        nothing = np.zeros(part.shape, np.float32), np.zeros(part.shape, np.uint16)
        out = np.empty(tile.shape, np.float32), np.empty(tile.shape, np.float32)
        bits = np.empty(tile.shape, np.uint16)
        resample((part, *nothing), (y0, x0), c, tile, resampler("lanczos3"), (*out, bits))
        np.subtract(values, out[0], out=values, where=np.isfinite(out[0]))
