"""The canvas, its tiles, and which part of a frame a tile needs.

The canvas is a window of the grid of the reference frame (`integrate.canvas`). Maps are interpolated between
nodes on multiples of `STEP` canvas pixels, wherever a tile begins, so that a pixel gets the same number
whatever the tile plan.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.transform import ORIGIN, SCALE, degree_of
from sciastro.errors import OptionError
from sciastro.kernels.nodes import map_grid

__all__ = [
    "STEP",
    "Tile",
    "evaluate_grid",
    "input_window",
    "moved_window",
    "node_positions",
    "plan_tiles",
    "working_bytes",
]

Floats = npt.NDArray[np.float64]

STEP = 16  # canvas pixels between nodes, within which places are interpolated
EVERYWHERE = np.full(4, np.nan)  # no domain
REACH = 4  # input pixels needed beyond the nodes: 3 for the kernel, 1 for rounding
OVERHEAD = 40  # bytes per tile pixel that do not grow with the number of frames (results, scratch)
SAMPLE = 11  # bytes per tile pixel and frame: signal, variance, quality, mark of rejection
SHARE = 4  # more of them where frames are drizzled: what drops cover
PACKED = 16  # bytes per input pixel that drizzling takes beside `WINDOW`
WINDOW = 60  # bytes per input pixel while one window is read, calibrated and oriented
RIM = 2  # pixels around a tile that the caller may add (`Tile.padded`)
NEARLY_ALL = 0.9  # share of the columns beyond which a window takes all: contiguous rows are twice as fast
LARGEST = 128 << 20  # bytes per worker beyond which larger tiles save next to nothing
ENOUGH = 3 << 17  # pixels of a tile beyond which that holds, however many frames there are
WORTH = 0.8  # of the input pixels: narrower tiles that read no fewer are not worth their split rows
MINIMUM = 16 << 20  # scratch of the combining kernels and small change, per worker


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of the canvas: rows y0 to y1, columns x0 to x1 (ends excluded)."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.y1 - self.y0, self.x1 - self.x0

    def padded(self, pixels: int) -> "Tile":
        """Return the tile with a rim of `pixels` on every side."""
        return Tile(self.y0 - pixels, self.y1 + pixels, self.x0 - pixels, self.x1 + pixels)


def evaluate_grid(
    coefficients: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike, domain: npt.ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """Return the mapped x and y of the grid of all `y` (rows) with all `x` (columns), in pixel.

    Same numbers as `core.transform.evaluate` to rounding, and the same whatever the grid. Beyond a
    `domain` (x0, x1, y0, y1; the canvas box that holds the frame) the map goes on as a straight line from
    the edge of the box: an extrapolated polynomial could fold back into the frame.
    """
    c = np.ascontiguousarray(coefficients, dtype=np.float64)
    columns, rows = (
        np.ascontiguousarray(x, dtype=np.float64).view(),
        np.ascontiguousarray(y, dtype=np.float64).view(),
    )
    columns.flags.writeable = rows.flags.writeable = False  # as some are: the kernel is compiled once
    box = EVERYWHERE if domain is None else np.ascontiguousarray(domain, dtype=np.float64)
    out = np.empty((2, rows.size, columns.size))
    map_grid(c, degree_of(c.shape[1]), columns, rows, box, float(STEP), ORIGIN, SCALE, out)
    return out[0], out[1]


def node_positions(
    coefficients: npt.ArrayLike, tile: Tile, domain: npt.ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """Return frame x and y [pixel] of the nodes of `tile`: canvas multiples of `STEP`, both ends enclosed."""
    x = STEP * np.arange(tile.x0 // STEP, -(-tile.x1 // STEP) + 1)
    y = STEP * np.arange(tile.y0 // STEP, -(-tile.y1 // STEP) + 1)
    return evaluate_grid(coefficients, x, y, domain)


def input_window(
    coefficients: npt.ArrayLike,
    tile: Tile,
    frame_shape: tuple[int, int],
    margin: int = REACH,
    domain: npt.ArrayLike | None = None,
) -> tuple[int, int, int, int] | None:
    """Return the window (y0, y1, x0, x1) of a frame that `tile` needs, or None where they do not meet.

    Parameters
    ----------
    coefficients
        Map from canvas to frame pixels (`core.transform`), float64 (2, terms); NaN meets nothing.
    tile
        Part of the canvas.
    frame_shape
        Rows and columns of the frame; the window is cut to it.
    margin
        Input pixels beyond the outermost position.
    domain
        Canvas box x0, x1, y0, y1 that holds the frame; None is everywhere.
    """
    if domain is not None and not _touches(tile, domain):
        return None
    x, y = (_cut_to_tile(plane, tile) for plane in node_positions(coefficients, tile, domain))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    height, width = frame_shape
    y0, y1 = max(int(np.floor(y.min())) - margin, 0), min(int(np.ceil(y.max())) + margin + 1, height)
    x0, x1 = max(int(np.floor(x.min())) - margin, 0), min(int(np.ceil(x.max())) + margin + 1, width)
    return _window(y0, y1, x0, x1, width)


def moved_window(
    move: tuple[int, int], tile: Tile, frame_shape: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Return the window (y0, y1, x0, x1) under a tile of a frame that lies `move` (rows, columns) further on.

    None where they do not meet. Nothing beyond the tile is needed: see `kernels.shift`.
    """
    height, width = frame_shape
    y0, y1 = max(tile.y0 + move[0], 0), min(tile.y1 + move[0], height)
    return _window(y0, y1, max(tile.x0 + move[1], 0), min(tile.x1 + move[1], width), width)


def _window(y0: int, y1: int, x0: int, x1: int, width: int) -> tuple[int, int, int, int] | None:
    """Return the window, with all columns of the frame if it has nearly all; None where it is empty."""
    if not (y0 < y1 and x0 < x1):
        return None
    return (y0, y1, 0, width) if x1 - x0 > NEARLY_ALL * width else (y0, y1, x0, x1)


def _touches(tile: Tile, domain: npt.ArrayLike) -> bool:
    """Return whether a tile and a box, with a pixel of slack, have pixels in common."""
    x0, x1, y0, y1 = (float(end) for end in np.asarray(domain))
    return tile.x0 <= x1 + 1 and tile.x1 - 1 >= x0 - 1 and tile.y0 <= y1 + 1 and tile.y1 - 1 >= y0 - 1


def _cut_to_tile(nodes: Floats, tile: Tile) -> Floats:
    """Move the outermost nodes inward to the first and last pixel of `tile`, as the warp interpolates."""
    for first, last in ((tile.y0, tile.y1 - 1), (tile.x0, tile.x1 - 1)):
        begin, end = nodes[0], nodes[-1]
        low, high = (first % STEP) / STEP, (-(last + 1) % STEP + 1) / STEP
        cut = nodes.copy()
        cut[0], cut[-1] = begin + low * (nodes[1] - begin), end + high * (nodes[-2] - end)
        nodes = cut.T
    return nodes


def _window_pixels(
    slopes: Floats, rows: int, columns: int, frame_shape: tuple[int, int]
) -> npt.NDArray[np.float64]:
    slack = 2 * (REACH + RIM) + 4
    heights = np.abs(slopes[:, 1, 0]) * columns + np.abs(slopes[:, 1, 1]) * rows + slack
    widths = np.abs(slopes[:, 0, 0]) * columns + np.abs(slopes[:, 0, 1]) * rows + slack
    widths = np.where(widths > NEARLY_ALL * frame_shape[1], frame_shape[1], widths)
    pixels: Floats = np.minimum(heights, frame_shape[0]) * widths
    return pixels


def _slopes(maps: npt.ArrayLike, shape: tuple[int, int], domains: npt.ArrayLike | None = None) -> Floats:
    """Return d(x, y) / d(u, v) (frame, 2, 2) of each map over its part of the canvas."""
    out = []
    maps = np.asarray(maps, dtype=np.float64)
    whole = np.array([0, shape[1] - 1.0, 0, shape[0] - 1.0])
    boxes = np.broadcast_to(whole, (len(maps), 4)) if domains is None else np.asarray(domains, dtype=float)
    for c, one in zip(maps, boxes, strict=True):
        box = one if np.isfinite(one).all() else whole
        x, y = evaluate_grid(c, box[:2], box[2:])
        span_x, span_y = max(box[1] - box[0], 1.0), max(box[3] - box[2], 1.0)
        out.append(
            [
                [(x[:, 1] - x[:, 0]).mean() / span_x, (x[1] - x[0]).mean() / span_y],
                [(y[:, 1] - y[:, 0]).mean() / span_x, (y[1] - y[0]).mean() / span_y],
            ]
        )
    return np.nan_to_num(np.array(out).reshape(-1, 2, 2))


def _touching(
    domains: npt.ArrayLike | None, frames: int, rows: int, columns: int, shape: tuple[int, int]
) -> tuple[int, Floats]:
    """Return the most frames that any tile meets, and how many tiles each frame meets."""
    down, across = -(-shape[0] // rows), -(-shape[1] // columns)
    if domains is None:
        return frames, np.full(frames, float(down * across))
    boxes = np.nan_to_num(np.asarray(domains, dtype=np.float64), nan=-1e9)
    slack = RIM + 2
    x, y = columns * np.arange(across), rows * np.arange(down)
    in_x = (x <= boxes[:, 1:2] + slack) & (x + columns >= boxes[:, 0:1] - slack)
    in_y = (y <= boxes[:, 3:4] + slack) & (y + rows >= boxes[:, 2:3] - slack)
    met = in_y.astype(np.float32).T @ in_x.astype(np.float32)
    return int(met.max(initial=0.0)), (in_x.sum(axis=1) * in_y.sum(axis=1)).astype(np.float64)


def working_bytes(
    maps: npt.ArrayLike,
    rows: int,
    columns: int,
    shape: tuple[int, int],
    frame_shape: tuple[int, int],
    domains: npt.ArrayLike | None = None,
    *,
    drizzled: bool = False,
    rim: int = RIM,
) -> int:
    """Return the memory that one worker needs for a tile of `rows` x `columns` [byte]; see `plan_tiles`."""
    beyond = 2 * (rim - RIM)
    slopes = _slopes(maps, shape, domains)
    most, _ = _touching(domains, len(slopes), rows, columns, shape)
    window = _window_pixels(slopes, rows + beyond, columns + beyond, frame_shape).max(initial=0.0)
    return int(_need((rows + beyond) * (columns + beyond), most, float(window), drizzled)) + MINIMUM


def _need(area: int, frames: int, window: float, drizzled: bool) -> float:
    """Return what a tile of `area` pixels that `frames` meet takes beside `MINIMUM` [byte]."""
    sample, per_input = (SAMPLE + SHARE, WINDOW + PACKED) if drizzled else (SAMPLE, WINDOW)
    return area * (sample * frames + OVERHEAD) + per_input * window


def plan_tiles(
    shape: tuple[int, int],
    maps: npt.ArrayLike,
    frame_shape: tuple[int, int],
    memory_bytes: int,
    workers: int = 1,
    domains: npt.ArrayLike | None = None,
    drizzled: bool = False,
    rim: int = RIM,
) -> list[list[Tile]]:
    """Return rows of tiles that cover the canvas, each worker staying within its part of the memory.

    Among full-width bands and narrower tiles, the plan that reads the fewest input pixels: bands
    for small rotations, near-square tiles for large ones. A tile has room for the frames that meet it.

    Parameters
    ----------
    shape
        Rows and columns of the canvas.
    maps
        Canvas-to-frame maps, float64 (frame, 2, terms).
    frame_shape
        Rows and columns of the frames.
    memory_bytes
        Bound for all workers together, without the output planes.
    workers
        Tiles in work at the same time.
    domains
        Canvas boxes (frame, 4) x0, x1, y0, y1 that hold the frames; None: all are everywhere.
    drizzled
        Whether frames are drizzled, which takes more memory per pixel.
    rim
        Pixels around a tile that the caller adds.

    Raises
    ------
    OptionError
        If not even the smallest tile fits.
    """
    height, width = shape
    beyond = 2 * (rim - RIM)
    sample = SAMPLE + SHARE if drizzled else SAMPLE
    slopes = _slopes(maps, shape, domains)
    largest = max(LARGEST, ENOUGH * (sample * len(slopes) + OVERHEAD))
    budget = min(memory_bytes / workers - MINIMUM, largest)
    most_rows = max(STEP, -(-height // (2 * workers) // STEP) * STEP) if workers > 1 else height
    best: tuple[float, int, int] | None = None
    columns = width
    while True:
        rows = -(-min(most_rows, height) // STEP) * STEP
        while rows >= STEP:
            window = _window_pixels(slopes, rows + beyond, columns + beyond, frame_shape)
            most, tiles = _touching(domains, len(slopes), rows, columns, shape)
            area = (rows + beyond) * (columns + beyond)
            need = _need(area, most, float(window.max(initial=0.0)), drizzled)
            if need <= budget:
                break
            rows = min(rows - STEP, int(rows * budget / need) // STEP * STEP) if budget > 0 else 0
        if rows >= STEP:
            cost = float((window * tiles).sum())
            if best is None or cost < WORTH * best[0]:
                best = (cost, rows, columns)
        if columns <= 4 * STEP:
            break
        columns = max(4 * STEP, -(-columns // 2 // STEP) * STEP)
    if best is None:
        smallest = (STEP, min(4 * STEP, width), shape, frame_shape, domains)
        least = working_bytes(maps, *smallest, drizzled=drizzled, rim=rim) * workers
        asked, needed = memory_bytes / 1e6, least / 1e6
        found = f"is {asked:.0f} MB; {len(slopes)} frames in {workers} threads need {needed:.0f} MB."
        raise OptionError(
            found,
            where="memory",
            remedy="Allow more memory, or use fewer workers.",
        )
    _, rows, columns = best
    return [
        [Tile(y, min(y + rows, height), x, min(x + columns, width)) for x in range(0, width, columns)]
        for y in range(0, height, rows)
    ]
