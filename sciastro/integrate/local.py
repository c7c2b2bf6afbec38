"""Smooth differences between frames: surfaces that are subtracted from samples before rejection.

A surface is a tensor product of uniform cubic B-splines over the canvas box of its frame: planes and
quadratics are the simplest case, local normalization has more cells. They come from *differences* of the
frames' backgrounds at the same place (`integrate.overlap`), so that light which all frames share is never
touched. A surface is an exact number: the variance of a sample stays what it is.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.core.robust import mad_sigma
from sciastro.integrate.grid import STEP, Tile
from sciastro.integrate.moving import Adjust

__all__ = [
    "LevelOptions",
    "Surfaces",
    "both",
    "edge_share",
    "fit_splines",
    "spline_basis",
    "surfaces_of_function",
]

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

LEAST_SHARE = 1e-3  # at the very edge of a frame: where nothing else is, it still makes the image
ROUGHNESS = 1e-3  # weight of second differences against the samples: fills what no sample tells


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelOptions(Options):
    """How smooth differences between frames (gradients, panels of a mosaic) are leveled."""

    surface: str = option(
        "auto",
        "What is subtracted from each frame so that all agree where they overlap: a plane, a quadratic "
        "surface, a local one about the best frames, or none; auto: planes in a mosaic of panels.",
        choices=("auto", "none", "plane", "quadratic", "local"),
    )
    cells: int = option(4, "Cells of a local surface along each axis of a frame.", low=1, high=16)
    best: int = option(20, "Frames that a local surface takes for the reference, best first.", low=1)
    feather: float | None = option(
        None,
        "Width over which a frame fades at its edge; none: a tenth of its shorter side in a mosaic, else 0.",
        unit="pixel",
        low=0.0,
    )


@dataclass(frozen=True, slots=True)
class Surfaces:
    """What is subtracted from each frame on the canvas [electron / s].

    Attributes
    ----------
    boxes
        x0, x1, y0, y1 on the canvas [pixel], (frame, 4).
    coefficients
        Of the splines, float64 (frame, along y, along x).
    """

    boxes: Floats
    coefficients: Floats

    def __call__(self, frame: int, tile: Tile, values: Singles) -> None:
        """Subtract the surface of a frame from its samples (y, x) over a tile, in place."""
        values -= self.plane(frame, tile)

    def shifted(self, shifts: npt.ArrayLike) -> "Surfaces":
        """Return the surfaces where the canvas of each frame is moved by its shift (frame, 2) [pixel]."""
        return Surfaces(
            self.boxes - np.repeat(np.asarray(shifts, dtype=np.float64), 2, axis=1), self.coefficients
        )

    def plane(self, frame: int, tile: Tile) -> Singles:
        """Return the surface of a frame over a tile, float32 (y, x); constant beyond its box."""
        x0, x1, y0, y1 = self.boxes[frame]
        cells = self.coefficients.shape[1] - 3
        along_x = spline_basis(np.arange(tile.x0, tile.x1), x0, x1, cells)
        along_y = spline_basis(np.arange(tile.y0, tile.y1), y0, y1, cells)
        rows = (along_y @ self.coefficients[frame]).astype(np.float32)
        return np.asarray(rows @ along_x.T.astype(np.float32))


@dataclass(frozen=True, slots=True)
class _Both:
    """One change after the other; travels to other processes."""

    first: Adjust
    second: Adjust

    def __call__(self, frame: int, tile: Tile, values: Singles) -> None:
        """Apply both in place."""
        self.first(frame, tile, values)
        self.second(frame, tile, values)


def both(first: Adjust | None, second: Adjust | None) -> Adjust | None:
    """Return the change of `first`, then `second`; None stands for none."""
    if first is None or second is None:
        return second if first is None else first
    return _Both(first, second)


def spline_basis(x: npt.ArrayLike, low: float, high: float, cells: int) -> Floats:
    """Return the uniform cubic B-splines (position, cells + 3) over `low` to `high` at positions `x`.

    de Boor 1978, A Practical Guide to Splines; positions beyond the ends count as the ends.
    """
    t = np.clip((np.asarray(x, dtype=np.float64) - low) / max(high - low, 1e-9), 0.0, 1.0) * cells
    cell = np.minimum(t.astype(np.intp), cells - 1)
    s = t - cell
    pieces = ((1 - s) ** 3, 3 * s**3 - 6 * s**2 + 4, -3 * s**3 + 3 * s**2 + 3 * s + 1, s**3)
    out = np.zeros((t.size, cells + 3))
    for k, piece in enumerate(pieces):
        out[np.arange(t.size), cell + k] = piece / 6
    return out


def surfaces_of_function(boxes: npt.ArrayLike, values: npt.NDArray[np.floating]) -> Surfaces:
    """Return surfaces through values on a grid over each box; exact for polynomials up to cubic.

    Parameters
    ----------
    boxes
        (frame, 4).
    values
        (frame, n, n), at n >= 4 positions along y and x from one end of the box to the other.
    """
    t = np.linspace(0, 1, values.shape[1])
    inverse = np.linalg.pinv(spline_basis(t, 0, 1, 1))
    return Surfaces(np.asarray(boxes, dtype=np.float64), inverse @ values @ inverse.T)


def fit_splines(
    x: npt.ArrayLike, y: npt.ArrayLike, values: npt.ArrayLike, box: npt.ArrayLike, cells: int
) -> Floats:
    """Return spline coefficients (cells + 3, cells + 3) of a smooth surface through scattered values.

    Second differences of the coefficients are held small: enough to bridge holes, too little to matter
    where there are samples. Three rounds down-weight what does not fit (Huber). Zeros without samples.

    Parameters
    ----------
    x, y
        Positions on the canvas [pixel], (sample,).
    values
        (sample,), in the unit of the surface.
    box
        x0, x1, y0, y1 that the splines span [pixel].
    cells
        Along each axis.
    """
    x0, x1, y0, y1 = np.asarray(box, dtype=np.float64)
    level: Floats = np.asarray(values, dtype=np.float64).ravel()
    k = cells + 3
    if level.size == 0:
        return np.zeros((k, k))
    along_x, along_y = spline_basis(x, x0, x1, cells), spline_basis(y, y0, y1, cells)
    matrix = (along_y[:, :, None] * along_x[:, None, :]).reshape(level.size, k * k)
    bend = np.diff(np.eye(k), 2, axis=0)
    rough = np.kron(bend.T @ bend, np.eye(k)) + np.kron(np.eye(k), bend.T @ bend)
    weight: Floats = np.ones(level.size)
    found: Floats = np.zeros(k * k)
    for _ in range(3):
        normal = matrix.T @ (matrix * weight[:, None])
        ridge = ROUGHNESS * max(float(np.trace(normal)), 1e-300) / (k * k)
        goal = matrix.T @ (weight * level)
        found = np.asarray(np.linalg.lstsq(normal + ridge * rough, goal, rcond=1e-12)[0])
        left = np.abs(level - matrix @ found)
        limit = 2.5 * max(mad_sigma(left, 0.0), 1e-300)
        weight = np.where(left > limit, limit / np.maximum(left, limit), 1.0)
    return found.reshape(k, k)


def edge_share(
    x: Floats, y: Floats, tile: Tile, frame_shape: tuple[int, int], width: float, out: Singles,
    *, times: bool = False,
) -> None:  # fmt: skip
    """Write the share of each sample: 1 inside of a frame, falling smoothly to 0 over `width` at its edge.

    The share is geometry alone, so that unlike a weight by the sample's own variance it cannot bias a mean.

    Parameters
    ----------
    x, y
        Frame positions of the nodes of the tile (`grid.node_positions`).
    tile
        Part of the canvas.
    frame_shape
        Rows and columns of the frame.
    width
        [pixel] of the frame.
    out
        float32 (y, x) of the tile; written.
    times
        Multiply what `out` holds instead.
    """
    height, columns = frame_shape
    inside = np.minimum(np.minimum(x + 0.5, columns - 0.5 - x), np.minimum(y + 0.5, height - 0.5 - y))
    if inside.min() >= width:
        if not times:
            out[...] = 1.0
        return
    t = np.clip(inside / width, 0.0, 1.0)
    share = np.maximum(t * t * (3 - 2 * t), LEAST_SHARE)
    rows = _between(tile.y0, tile.y1, share.shape[0])
    across = _between(tile.x0, tile.x1, share.shape[1])
    full = (rows @ share).astype(np.float32) @ across.T.astype(np.float32)
    out[...] = out * full if times else full


def _between(first: int, last: int, nodes: int) -> Floats:
    """Return the weights (pixel, node) of linear interpolation between nodes on multiples of `STEP`."""
    t = np.arange(first, last) / STEP - first // STEP
    cell = np.minimum(t.astype(np.intp), nodes - 2)
    out = np.zeros((t.size, nodes))
    out[np.arange(t.size), cell] = 1 - (t - cell)
    out[np.arange(t.size), cell + 1] = t - cell
    return out
