"""The canvas of a stack: which part of the sky it covers, and how its pixels lie on the reference grid.

A canvas is a window of the reference grid, or a finer copy of one: its pixel (X, Y) lies at
``x = (X - (scale - 1) / 2) / scale + origin_x`` on the reference grid, and likewise for y. Four extents:
the reference frame; the union of all frames; the largest rectangle that all of them cover; or whichever of
the first two the drift of the set asks for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core import transform
from sciastro.core.options import Options, option
from sciastro.core.wcs import resampled
from sciastro.errors import DatasetError

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = [
    "EVERYWHERE",
    "Canvas",
    "CanvasOptions",
    "choose_canvas",
    "domain_box",
    "domain_boxes",
    "outside_shares",
]

Floats = npt.NDArray[np.float64]
Shape = tuple[int, int]

BORDER = 33  # positions per side of a frame that its box is found from
CELLS = 256  # cells along the longer side on which the common area is looked for
EVERYWHERE = (-np.inf, np.inf, -np.inf, np.inf)


@dataclass(frozen=True, kw_only=True, slots=True)
class CanvasOptions(Options):
    """Which part of the sky a stack covers."""

    extent: str = option(
        "auto",
        "Area of a stack: the reference frame, the union of all frames, what all have in common, or auto: "
        "the union where frames drift or turn out of the reference frame.",
        choices=("auto", "reference", "union", "common"),
    )
    drift: float = option(
        0.1, "Mean share of the frames outside of the reference frame from which auto takes the union.",
        low=0.0, high=1.0,
    )  # fmt: skip
    largest: float = option(
        40.0, "Largest union, in areas of the reference frame; frames beyond are left out.", low=1.0, high=1e4
    )


DEFAULTS = CanvasOptions()


@dataclass(frozen=True, slots=True)
class Canvas:
    """The grid of a stack.

    Attributes
    ----------
    shape
        Rows and columns.
    origin
        x and y on the reference grid of the corner pixel, counted in reference pixels.
    scale
        Canvas pixels per reference pixel.
    wcs
        Of the canvas; None unknown.
    extent, reason
        What was chosen ("reference", "union", "common"), and why.
    """

    shape: Shape
    origin: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    wcs: "WCS | None" = None
    extent: str = "reference"
    reason: str = ""

    def map(self, from_reference: npt.ArrayLike) -> Floats:
        """Return a canvas-to-frame map (2, term) from a reference-to-frame map."""
        return transform.substitute(from_reference, 1 / self.scale, self._shift())

    def _shift(self) -> tuple[float, float]:
        half = (self.scale - 1) / (2 * self.scale)
        return self.origin[0] - half, self.origin[1] - half

    def maps(self, from_reference: npt.ArrayLike) -> Floats:
        """Return the maps (frame, 2, term) of many frames."""
        return np.stack([self.map(one) for one in np.asarray(from_reference, dtype=np.float64)])

    def boxes(self, domains: npt.ArrayLike) -> Floats:
        """Return boxes (frame, 4) of the reference grid in canvas pixels."""
        shift = self._shift()
        ends = np.array([shift[0], shift[0], shift[1], shift[1]])
        return np.asarray((np.asarray(domains, dtype=np.float64) - ends) * self.scale)

    def from_reference(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return the canvas position of a position on the reference grid [pixel]."""
        shift = self._shift()
        return (np.asarray(x) - shift[0]) * self.scale, (np.asarray(y) - shift[1]) * self.scale

    def times(self, scale: float) -> "Canvas":
        """Return the same area with `scale` times as many pixels along each axis."""
        if scale == 1.0:
            return self
        wcs = None if self.wcs is None else resampled(self.wcs, scale=scale)
        shape = (round(self.shape[0] * scale), round(self.shape[1] * scale))
        return replace(self, shape=shape, scale=self.scale * scale, wcs=wcs)

    def as_dict(self) -> dict[str, object]:
        """Return what a summary says of it."""
        return {
            "extent": self.extent, "reason": self.reason, "shape": list(self.shape),
            "origin_px": list(self.origin), "scale": self.scale,
        }  # fmt: skip


def domain_box(
    from_reference: npt.ArrayLike, frame_shape: Shape, near: tuple[float, float] | None = None
) -> Floats:
    """Return the box x0, x1, y0, y1 [pixel] of the reference grid that holds a frame.

    Parameters
    ----------
    from_reference
        Reference-to-frame map (`core.transform`).
    frame_shape
        Rows and columns of the frame.
    near
        A reference position on the frame, where the map is well determined; None looks for one.

    Returns
    -------
    ndarray
        NaN for a NaN map; infinite where the map cannot be inverted along the frame's border.
    """
    c = np.asarray(from_reference, dtype=np.float64)
    if not np.isfinite(c).all():
        return np.full(4, np.nan)
    x, y = _border(frame_shape)
    middle = ((frame_shape[1] - 1) / 2, (frame_shape[0] - 1) / 2)
    for start in (near if near is not None else _center(c, frame_shape), middle):
        u, v = transform.invert(c, x, y, near=start)
        if np.isfinite(u).all() and np.isfinite(v).all():
            return np.array([u.min(), u.max(), v.min(), v.max()])
    return np.array(EVERYWHERE)


def _center(c: Floats, frame_shape: Shape) -> tuple[float, float] | None:
    """Return the reference position of the frame's middle, None where it is not found."""
    middle = np.array([(frame_shape[1] - 1) / 2]), np.array([(frame_shape[0] - 1) / 2])
    u, v = transform.invert(c, *middle)
    return (float(u[0]), float(v[0])) if np.isfinite(u[0]) else None


def _border(shape: Shape) -> tuple[Floats, Floats]:
    """Return positions around the outer edge of the outer pixels."""
    t = np.linspace(-0.5, shape[1] - 0.5, BORDER), np.linspace(-0.5, shape[0] - 0.5, BORDER)
    low, right, bottom = np.full(BORDER, -0.5), shape[1] - 0.5, shape[0] - 0.5
    x = np.concatenate([t[0], t[0], low, np.full(BORDER, right)])
    y = np.concatenate([low, np.full(BORDER, bottom), t[1], t[1]])
    return x, y


def domain_boxes(maps: npt.ArrayLike, frame_shape: Shape) -> Floats:
    """Return the boxes (frame, 4) of many maps."""
    return np.stack([domain_box(one, frame_shape) for one in np.asarray(maps, dtype=np.float64)])


def choose_canvas(
    maps: Sequence[npt.ArrayLike],
    frame_shape: Shape,
    reference_shape: Shape,
    *,
    options: CanvasOptions = DEFAULTS,
    wcs: "WCS | None" = None,
    domains: npt.ArrayLike | None = None,
) -> tuple[Canvas, dict[int, str]]:
    """Return the canvas of a set, and why frames were refused.

    Parameters
    ----------
    maps
        Reference-to-frame maps of the frames that enter.
    frame_shape
        Rows and columns of the frames.
    reference_shape
        Rows and columns of the reference grid.
    options
        Extent, and its bounds.
    wcs
        Of the reference grid.
    domains
        Boxes of the frames on the reference grid; None finds them from the maps.

    Returns
    -------
    canvas, refused
        Frame number to the reason why it is not on the canvas.

    Raises
    ------
    DatasetError
        For the common area of frames that have none.
    """
    boxes = (
        np.stack([domain_box(c, frame_shape) for c in maps]).reshape(-1, 4)
        if domains is None
        else np.asarray(domains, dtype=np.float64)
    )
    extent, reason = options.extent, "as asked for"
    if extent == "auto":
        outside = outside_shares(maps, frame_shape, reference_shape)
        drift = float(np.nanmean(outside)) if len(outside) else 0.0
        extent = "union" if drift > options.drift else "reference"
        reason = f"{100 * drift:.1f} % of the frames' area lies outside of the reference frame"
    whole = Canvas(reference_shape, wcs=wcs, extent="reference", reason=reason)
    if extent == "reference" or not len(boxes):
        return whole, {}
    if extent == "union":
        box, refused = _union(boxes, reference_shape, options.largest)
    else:
        box, refused = _common(maps, boxes, frame_shape), {}
    return _window(box, wcs, extent, reason), refused


def _window(box: Floats, wcs: "WCS | None", extent: str, reason: str) -> Canvas:
    """Return the canvas of whole reference pixels that touch a box."""
    x0, x1 = int(np.floor(box[0] + 0.5 + 1e-6)), int(np.ceil(box[1] - 0.5 - 1e-6))
    y0, y1 = int(np.floor(box[2] + 0.5 + 1e-6)), int(np.ceil(box[3] - 0.5 - 1e-6))
    moved = None if wcs is None else resampled(wcs, origin=(x0, y0))
    shape = (y1 - y0 + 1, x1 - x0 + 1)
    if moved is not None:
        moved.pixel_shape = (shape[1], shape[0])
    return Canvas(shape, (float(x0), float(y0)), 1.0, moved, extent, reason)


def outside_shares(maps: Sequence[npt.ArrayLike], frame_shape: Shape, reference_shape: Shape) -> Floats:
    """Return the share of each frame's area that lies outside of the reference frame; NaN unknown.

    Both areas are near equal, so it is found from a grid of the reference frame that falls off the frame.
    """
    x, y = np.meshgrid(np.linspace(0, reference_shape[1] - 1, 41), np.linspace(0, reference_shape[0] - 1, 41))
    out = []
    for c in maps:
        fx, fy = transform.evaluate(c, x, y)
        inside = (fx > -0.5) & (fx < frame_shape[1] - 0.5) & (fy > -0.5) & (fy < frame_shape[0] - 0.5)
        out.append(1.0 - float(inside.mean()) if np.isfinite(fx).all() else np.nan)
    return np.array(out)


def _union(boxes: Floats, reference_shape: Shape, largest: float) -> tuple[Floats, dict[int, str]]:
    """Return the box of all frames but those that would make it larger than `largest` reference frames."""
    refused: dict[int, str] = {}
    finite = np.isfinite(boxes).all(axis=1)
    for i in np.flatnonzero(~finite):
        refused[int(i)] = "its map cannot be inverted over the frame, so its place on the canvas is not known"
    limit = largest * reference_shape[0] * reference_shape[1]
    centers = np.column_stack([boxes[:, :2].mean(axis=1), boxes[:, 2:].mean(axis=1)])
    middle = np.median(centers[finite], axis=0) if finite.any() else np.zeros(2)
    order = np.argsort(np.where(finite, np.hypot(*(centers - middle).T), np.inf), kind="stable")
    box: Floats | None = None
    for i in order[: int(finite.sum())]:
        grown = boxes[i] if box is None else _hull(box, boxes[i])
        width, height = grown[1] - grown[0], grown[3] - grown[2]
        if width * height > limit and box is not None:
            refused[int(i)] = (
                f"would make the canvas {width:.0f} x {height:.0f} pixel, beyond {largest:g} reference "
                "frames (canvas.largest); its registration may be wrong"
            )
            continue
        box = grown
    if box is None:
        return np.array([-0.5, reference_shape[1] - 0.5, -0.5, reference_shape[0] - 0.5]), refused
    return box, refused


def _hull(a: Floats, b: Floats) -> Floats:
    return np.array([min(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), max(a[3], b[3])])


def _common(maps: Sequence[npt.ArrayLike], boxes: Floats, frame_shape: Shape) -> Floats:
    """Return the largest rectangle of grid cells that every frame covers."""
    inner = np.array([boxes[:, 0].max(), boxes[:, 1].min(), boxes[:, 2].max(), boxes[:, 3].min()])
    if not np.isfinite(inner).all() or inner[0] >= inner[1] or inner[2] >= inner[3]:
        raise _nothing_common()
    cell = max(inner[1] - inner[0], inner[3] - inner[2]) / CELLS
    x = np.arange(inner[0], inner[1] + 1e-9, cell)
    y = np.arange(inner[2], inner[3] + 1e-9, cell)
    seen = np.ones((y.size, x.size), bool)
    for c in maps:
        fx, fy = transform.evaluate(c, *np.meshgrid(x, y))
        slack = 1e-3
        seen &= (fx >= -0.5 - slack) & (fx <= frame_shape[1] - 0.5 + slack)
        seen &= (fy >= -0.5 - slack) & (fy <= frame_shape[0] - 0.5 + slack)
    cells = seen[1:, 1:] & seen[:-1, 1:] & seen[1:, :-1] & seen[:-1, :-1]
    top, bottom, left, right = _largest_rectangle(cells)
    if bottom <= top or right <= left:
        raise _nothing_common()
    # Whole pixels inside: `_window` takes those that touch, so half a pixel is cut on every side.
    return np.array([x[left] + 0.5, x[right] - 0.5, y[top] + 0.5, y[bottom] - 0.5])


def _nothing_common() -> DatasetError:
    return DatasetError(
        "have no area that all of them cover.",
        where="the frames of the set",
        remedy="Use `canvas.extent=union`, or leave out the frames that lie apart.",
    )


def _largest_rectangle(cells: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return top, bottom, left, right (ends excluded) of the largest rectangle of true cells (histograms)."""
    best, area = (0, 0, 0, 0), 0
    height = np.zeros(cells.shape[1] + 1, int)
    for row in range(cells.shape[0]):
        height[:-1] = np.where(cells[row], height[:-1] + 1, 0)
        stack: list[int] = []
        for column in range(height.size):
            while stack and height[stack[-1]] >= height[column]:
                tall = int(height[stack.pop()])
                left = stack[-1] + 1 if stack else 0
                if tall * (column - left) > area:
                    area, best = tall * (column - left), (row + 1 - tall, row + 1, left, column)
            stack.append(column)
    return best
