"""Level the frames of a band against each other: gradients, panels of a mosaic, local normalization.

The backgrounds that pass 1 measured on a coarse grid of each frame are enough; no pixel is read again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core import transform
from sciastro.integrate.canvas import Canvas
from sciastro.integrate.local import LevelOptions, Surfaces, fit_splines, surfaces_of_function
from sciastro.integrate.normalize import Terms
from sciastro.integrate.overlap import Fitted, Samples, fit_corrections, polynomial
from sciastro.recipe.context import Context
from sciastro.recipe.lights import Light

__all__ = ["Leveled", "level_band"]

Floats = npt.NDArray[np.float64]

DEGREES = {"plane": 1, "quadratic": 2, "local": 1}
MANY = 24  # tiles along a frame from which there is one node of the common grid per tile, else two
FEATHER = 0.1  # of the shorter side of a frame, in a mosaic
FINEST = 8  # pixels between nodes at least


@dataclass(frozen=True, slots=True)
class Leveled:
    """How the frames of a band are leveled.

    Attributes
    ----------
    surfaces
        What to subtract; None for nothing.
    feather
        Width [pixel] over which a frame fades at its edge.
    method
        In words, empty for nothing.
    """

    surfaces: Surfaces | None
    feather: float
    method: str


def level_band(
    lights: Sequence[Light],
    band: str,
    maps: Floats,
    canvas: Canvas,
    terms: Terms,
    weights: Floats,
    frame_shape: tuple[int, int],
    options: LevelOptions,
    context: Context,
) -> Leveled:
    """Find what has to be subtracted from each frame of a band.

    Parameters
    ----------
    maps
        Canvas-to-frame maps (frame, 2, term).
    terms
        Normalization of the frames; what is left of differences after it is leveled here.
    weights
        Per frame; the best frame of each connected group keeps its level.
    frame_shape
        Rows and columns of the frames' grid.
    """
    mosaic = len({light.panel for light in lights}) > 1
    kind = options.surface if options.surface != "auto" else ("plane" if mosaic else "none")
    feather = options.feather
    if feather is None:
        feather = FEATHER * min(frame_shape) if mosaic else 0.0
    known = all(light.measured is not None and band in light.measured.meshes for light in lights)
    if kind == "none" or len(lights) < 2 or not known:
        return Leveled(None, feather, f"feathered over {feather:.0f} pixel" if feather else "")
    meshes = [light.measures.meshes[band] for light in lights]
    grids = [
        _on_canvas(mesh, maps[i], canvas, frame_shape, light, terms, i)
        for i, (mesh, light) in enumerate(zip(meshes, lights, strict=True))
    ]
    boxes = np.array([grid.box for grid in grids])
    samples = _samples(grids, boxes)
    fitted = fit_corrections(samples, degree=DEGREES[kind], merit=weights, anchor=int(np.argmax(weights)))
    _tell_apart(fitted, lights, band, context)
    if kind == "local":
        surfaces = _local(fitted, samples, grids, boxes, weights, options)
    else:
        surfaces = _polynomials(fitted.coefficients, boxes, DEGREES[kind])
    text = f"{kind} surfaces leveled over overlaps (scatter {fitted.scatter:.2g} electron / s)"
    return Leveled(surfaces, feather, text + (f", feathered over {feather:.0f} pixel" if feather else ""))


@dataclass(frozen=True, slots=True)
class _Grid:
    """Normalized background of a frame at nodes of the common grid."""

    x: Floats
    y: Floats
    column: npt.NDArray[np.intp]
    row: npt.NDArray[np.intp]
    level: Floats
    box: Floats


def _on_canvas(
    mesh: npt.NDArray[np.float32], c: Floats, canvas: Canvas, frame_shape: tuple[int, int], light: Light,
    terms: Terms, i: int,
) -> _Grid:  # fmt: skip
    """Return a frame's background as its resampled pixels would show it, at the nodes that it covers."""
    per_tile = 1 if max(mesh.shape) > MANY else 2
    step = max(FINEST, round(canvas.scale * frame_shape[1] / mesh.shape[1] / per_tile))
    whole = np.array([[0.0, canvas.shape[1] - 1, 0.0, canvas.shape[0] - 1]])
    box = whole[0] if light.domain is None else canvas.boxes(light.domain[None])[0]
    box = np.where(np.isfinite(box), box, whole[0])
    columns = np.arange(int(np.ceil(box[0] / step)), int(box[1] // step) + 1)
    rows = np.arange(int(np.ceil(box[2] / step)), int(box[3] // step) + 1)
    column, row = (plane.ravel() for plane in np.meshgrid(columns, rows))
    x, y = column * float(step), row * float(step)
    fx, fy = transform.evaluate(c, x, y)
    inside = (fx >= 0) & (fx <= frame_shape[1] - 1) & (fy >= 0) & (fy <= frame_shape[0] - 1)
    x, y, fx, fy = (np.asarray(one[inside], dtype=np.float64) for one in (x, y, fx, fy))
    column, row = column[inside], row[inside]
    level = _between_tiles(mesh, fx, fy, frame_shape)
    area = np.abs(np.linalg.det(transform.jacobian(c, x, y))) if x.size else np.empty(0)
    rate = (level - terms.pedestal[i]) * terms.scale[i] * area + terms.offset[i]
    return _Grid(x, y, column, row, rate, box)


def _between_tiles(mesh: npt.NDArray[np.float32], x: Floats, y: Floats, shape: tuple[int, int]) -> Floats:
    """Return the mesh between the centers of its tiles, going on straight at the edges."""
    from scipy import ndimage

    padded = mesh.astype(np.float64)
    for axis in (0, 1):
        width = [(1, 1) if k == axis else (0, 0) for k in (0, 1)]
        if mesh.shape[axis] > 1:
            padded = np.pad(padded, width, mode="reflect", reflect_type="odd")
        else:
            padded = np.pad(padded, width, mode="edge")
    ty = (y + 0.5) / shape[0] * mesh.shape[0] + 0.5
    tx = (x + 0.5) / shape[1] * mesh.shape[1] + 0.5
    return np.asarray(ndimage.map_coordinates(padded, [ty, tx], order=1, mode="nearest"))


def _samples(grids: Sequence[_Grid], boxes: Floats) -> Samples:
    frame = np.concatenate([np.full(grid.x.size, i, np.intp) for i, grid in enumerate(grids)])
    row = np.concatenate([grid.row for grid in grids])
    column = np.concatenate([grid.column for grid in grids])
    width = int(column.max(initial=0)) - int(column.min(initial=0)) + 1
    place = row * width + column - column.min(initial=0)
    names, node = np.unique(place, return_inverse=True)
    x = np.concatenate([grid.x for grid in grids])
    y = np.concatenate([grid.y for grid in grids])
    u, v = _local_position(x, y, boxes[frame])
    level = np.concatenate([grid.level for grid in grids])
    return Samples(frame, node.astype(np.intp), u, v, level, np.ones(level.size), len(grids), names.size)


def _local_position(x: Floats, y: Floats, box: Floats) -> tuple[Floats, Floats]:
    """Return positions relative to the middle of a box, in halves of its longer side."""
    half = 0.5 * np.maximum(np.maximum(box[..., 1] - box[..., 0], box[..., 3] - box[..., 2]), 1.0)
    return (x - 0.5 * (box[..., 0] + box[..., 1])) / half, (y - 0.5 * (box[..., 2] + box[..., 3])) / half


def _polynomials(coefficients: Floats, boxes: Floats, degree: int) -> Surfaces:
    t = np.linspace(0, 1, 5)
    values = []
    for c, box in zip(coefficients, boxes, strict=True):
        x, y = np.meshgrid(box[0] + t * (box[1] - box[0]), box[2] + t * (box[3] - box[2]))
        values.append(polynomial(*_local_position(x, y, box), degree) @ c)
    return surfaces_of_function(boxes, np.array(values))


def _tell_apart(fitted: Fitted, lights: Sequence[Light], band: str, context: Context) -> None:
    """Warn of groups of frames that do not touch: their sky levels cannot be compared."""
    number = int(fitted.group.max()) + 1
    if number < 2:
        return
    sizes = [int((fitted.group == k).sum()) for k in range(number)]
    names = [lights[int(np.flatnonzero(fitted.group == k)[0])].name for k in range(number)]
    told = "; ".join(f"{size} with {name}" for size, name in zip(sizes, names, strict=True))
    context.warn(
        f"{band}: {number} groups of frames do not overlap, so each keeps its own sky level ({told})"
    )


def _local(
    fitted: Fitted, samples: Samples, grids: Sequence[_Grid], boxes: Floats, weights: Floats,
    options: LevelOptions,
) -> Surfaces:  # fmt: skip
    """Return planes plus what each frame still differs from the mean of the best frames, as splines."""
    plane = (polynomial(samples.u, samples.v, 1) * fitted.coefficients[samples.frame]).sum(axis=1)
    left = samples.level - plane
    scene = _scene(samples, left, weights, options.best)
    cells = options.cells
    coefficients = np.empty((len(grids), cells + 3, cells + 3))
    ends = np.cumsum([0, *(grid.x.size for grid in grids)])
    for i, grid in enumerate(grids):
        mine = slice(ends[i], ends[i + 1])
        difference = samples.level[mine] - scene[samples.node[mine]]
        coefficients[i] = fit_splines(grid.x, grid.y, difference, boxes[i], cells)
    return Surfaces(boxes, coefficients)


def _scene(samples: Samples, level: Floats, weights: Floats, best: int) -> Floats:
    """Return the mean of the best frames at each node; of all frames where none of those is."""
    order = np.argsort(-np.asarray(weights), kind="stable")
    chosen = np.zeros(samples.frames, dtype=bool)
    chosen[order[:best]] = True
    out = np.zeros(samples.nodes)
    for members in (np.ones(samples.frames, dtype=bool), chosen):
        w = np.asarray(weights)[samples.frame] * members[samples.frame]
        norm = np.bincount(samples.node, w, samples.nodes)
        total = np.bincount(samples.node, w * level, samples.nodes)
        out = np.divide(total, norm, out=out, where=norm > 0)
    return out
