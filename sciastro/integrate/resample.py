"""Bring a window of one frame onto a tile of the canvas, turned so that the kernel runs along rows.

A frame that is moved by whole pixels (registered already, or the reference) is copied (`kernels.shift`): its
samples are those of the frame, and each carries its own quality bits alone.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sciastro.core.quality import Quality
from sciastro.core.transform import ORIGIN, SCALE
from sciastro.integrate.grid import STEP, Tile, evaluate_grid, input_window, moved_window, node_positions
from sciastro.kernels.shift import shift
from sciastro.kernels.twopass import CELL, padded_table, two_pass
from sciastro.kernels.warp import warp, warp_table

__all__ = [
    "EXCLUDED",
    "WHOLE",
    "Planes",
    "Resampler",
    "is_copied",
    "resample",
    "resampler",
    "turned",
    "window_of",
]

LITTLE_TURN = 0.0023  # slope up to which the two-pass kernel vectorizes (`kernels.twopass_nodes.LITTLE`)
LOOKED_AT = 4000.0  # canvas pixel
WHOLE = 1e-5  # pixel from a whole number that are rounding: phases are a hundred times as far apart

Planes = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.uint16]]

EXCLUDED = (
    Quality.DO_NOT_USE
    | Quality.NO_DATA
    | Quality.HOT
    | Quality.DEAD
    | Quality.LOW_FLAT
    | Quality.COSMIC_RAY
    | Quality.TRAIL
)


@dataclass(frozen=True, slots=True)
class Resampler:
    """What `resample` needs to know about the interpolation.

    Attributes
    ----------
    table
        Weights by sub-pixel phase, from `kernels.warp.warp_table`.
    exclude
        Input pixels with any of these `Quality` bits are not used.
    max_excluded
        Largest share of absolute weight that may be missing under an output pixel.
    clamp
        Undershoot allowed, as a share of the local range; infinity allows any.
    holds_flux
        Whether pixels hold flux (multiply by the area ratio) or surface brightness.
    flat_table
        The same weights for `kernels.twopass`.
    """

    table: npt.NDArray[np.float32]
    exclude: int
    max_excluded: float
    clamp: float
    holds_flux: bool
    flat_table: npt.NDArray[np.float32]

    @property
    def keeps_samples(self) -> bool:
        """Whether a sample that lies on a pixel stays as it is (all kernels but those that smooth)."""
        return bool(np.array_equal(self.table[0], (0, 0, 1, 0, 0, 0)))


def resampler(
    kernel: str = "lanczos3",
    *,
    clamp: float = np.inf,
    max_excluded: float = 0.1,
    holds_flux: bool = True,
    exclude: int = int(EXCLUDED),
) -> Resampler:
    """Return the `Resampler` of a kernel name ("lanczos3", "mitchell", "bilinear", "nearest")."""
    table: npt.NDArray[np.float32] = warp_table(kernel)  # type: ignore[no-untyped-call]
    return Resampler(table, exclude, max_excluded, clamp, holds_flux, padded_table(table))


def window_of(
    coefficients: npt.ArrayLike,
    tile: Tile,
    frame_shape: tuple[int, int],
    how: Resampler | None,
    domain: npt.ArrayLike | None = None,
) -> tuple[int, int, int, int] | None:
    """Return the window (y0, y1, x0, x1) of a frame that `resample` needs for `tile`; None: they do not meet.

    Parameters are those of `grid.input_window`, whose answer it is where something is interpolated, or
    dropped (`how` is None).
    """
    whole = None if how is None else _whole_pixels(coefficients, how)
    if whole is None:
        return input_window(coefficients, tile, frame_shape, domain=domain)
    return moved_window(whole, tile, frame_shape)


def is_copied(coefficients: npt.ArrayLike, how: Resampler) -> bool:
    """Return whether a map (`core.transform`) moves by whole pixels and samples stay as they are."""
    return _whole_pixels(coefficients, how) is not None


def _whole_pixels(coefficients: npt.ArrayLike, how: Resampler) -> tuple[int, int] | None:
    """Return rows and columns by which a map moves samples that stay as they are, or None if it does more."""
    if not how.keeps_samples:
        return None
    array = np.ascontiguousarray(coefficients, dtype=np.float64)
    return _move_of(array.tobytes(), array.shape[1])


@lru_cache(maxsize=4096)  # asked twice per frame and tile
def _move_of(data: bytes, terms: int) -> tuple[int, int] | None:
    c = np.frombuffer(data).reshape(2, terms)
    moved = c[:, 0] - ORIGIN
    if not np.isfinite(c).all() or (np.abs(moved - np.round(moved)) > WHOLE).any():
        return None
    rest = c.copy()
    rest[:, 0] = 0
    rest[0, 1] -= SCALE
    rest[1, 2] -= SCALE
    return None if (np.abs(rest) > WHOLE * SCALE / LOOKED_AT).any() else (round(moved[1]), round(moved[0]))


def hardly_turns(coefficients: npt.ArrayLike) -> bool:
    """Return whether a map (`core.transform`) is fit for the two-pass kernel, tile or no tile.

    Looked at where frames of any size have pixels, so that all tiles of a frame get the same answer.
    """
    array = np.ascontiguousarray(coefficients, dtype=np.float64)
    return _hardly_turns(array.tobytes(), array.shape[1])


@lru_cache(maxsize=4096)  # asked once per frame and tile
def _hardly_turns(data: bytes, terms: int) -> bool:
    coefficients = np.frombuffer(data).reshape(2, terms).copy()  # a read-only one would compile anew
    corners = np.array([0.0, LOOKED_AT])
    x, y = evaluate_grid(coefficients, np.append(corners, corners + STEP), np.append(corners, corners + STEP))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return False
    xu, yu = (plane[:2, 2:] - plane[:2, :2] for plane in (x, y))
    xv, yv = (plane[2:, :2] - plane[:2, :2] for plane in (x, y))
    if abs(xv[0, 0]) > abs(xu[0, 0]):  # a quarter turn, see `turned`
        xu, yu, xv, yv = yv, xv, yu, xu
    along, across = np.abs(np.abs(xu) - STEP).max(), max(np.abs(xv).max(), np.abs(yu).max())
    stretch = np.abs(np.abs(yv) - STEP).max()
    return bool(max(along, across) <= LITTLE_TURN * STEP and stretch <= 0.2 * STEP)


def turned(
    planes: Planes, origin: tuple[int, int], x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[Planes, tuple[int, int], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Transpose or mirror the window so that frame x and y grow with canvas x and y.

    Mirrored about pixel 0, so that positions change sign exactly.
    """
    signal, variance, quality = planes
    y0, x0 = origin
    if abs(x[-1, 0] - x[0, 0]) / x.shape[0] > abs(x[0, -1] - x[0, 0]) / x.shape[1]:
        signal, variance, quality, x, y, y0, x0 = signal.T, variance.T, quality.T, y, x, x0, y0
    if x[0, -1] < x[0, 0]:
        signal, variance, quality = signal[:, ::-1], variance[:, ::-1], quality[:, ::-1]
        x, x0 = -x, -(x0 + signal.shape[1] - 1)
    if y[-1, 0] < y[0, 0]:
        signal, variance, quality = signal[::-1], variance[::-1], quality[::-1]
        y, y0 = -y, -(y0 + signal.shape[0] - 1)
    upright = _native((signal, variance, quality))
    return upright, (y0, x0), np.ascontiguousarray(x), np.ascontiguousarray(y)


def _native(planes: Planes) -> Planes:
    """Return the planes as the kernels take them."""
    signal, variance, quality = planes
    return (
        np.ascontiguousarray(signal, dtype=np.float32),
        np.ascontiguousarray(variance, dtype=np.float32),
        np.ascontiguousarray(quality, dtype=np.uint16),
    )


def resample(
    planes: Planes,
    origin: tuple[int, int],
    coefficients: npt.ArrayLike,
    tile: Tile,
    how: Resampler,
    out: Planes,
    *,
    scale: float = 1.0,
    pedestal: float = 0.0,
    offset: float = 0.0,
    rim: int = 0,
    domain: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Write ``(frame - pedestal) * scale * area + offset`` on the grid of `tile` into `out`.

    Parameters
    ----------
    planes
        Signal, variance, quality (y, x) of the window; NaN is missing.
    origin
        Frame row and column of its first pixel.
    coefficients
        Map from canvas to frame pixels (`core.transform`), finite.
    tile
        Part of the canvas.
    how
        Interpolation.
    out
        Signal, variance, quality of the tile, C-contiguous; written. NaN is missing.
    rim
        Border of the tile that the returned sums leave out.
    domain
        Canvas box x0, x1, y0, y1 that holds the frame; None is everywhere.
    scale, pedestal, offset
        Linear change of the values; the variance takes ``(scale * area)**2``.

    Returns
    -------
    ndarray
        float64 (3,): ``sum(scale**2 area V_in)``, ``sum(V_out)`` and number of the clean pixels
        (`kernels.warp`).
    """
    sums = np.zeros(3)
    whole = _whole_pixels(coefficients, how)
    if whole is not None:
        shift(
            *_native(planes), tile.y0 + whole[0] - origin[0], tile.x0 + whole[1] - origin[1], rim,
            np.uint16(how.exclude), np.float32(scale), np.float32(pedestal), np.float32(offset), *out, sums,
        )  # fmt: skip
        return sums
    two = STEP == CELL and hardly_turns(coefficients)
    around = Tile(tile.y0 - STEP, tile.y1 + STEP, tile.x0, tile.x1) if two else tile
    x, y = node_positions(coefficients, around, domain)
    upright, corner, x, y = turned(planes, origin, x, y)
    kernel, table, cell = (two_pass, how.flat_table, ()) if two else (warp, how.table, (STEP,))
    kernel(
        *upright,
        *corner,
        x,
        y,
        *cell,
        tile.y0 % STEP,
        tile.x0 % STEP,
        rim,
        table,
        np.uint16(how.exclude),
        np.float32(how.max_excluded),
        np.float32(how.clamp),
        how.holds_flux,
        np.float32(scale),
        np.float32(pedestal),
        np.float32(offset),
        *out,
        sums,
    )
    return sums
