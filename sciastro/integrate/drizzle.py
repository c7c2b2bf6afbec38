"""Drizzle: drop the pixels of a frame onto a tile of the canvas instead of interpolating between them.

Same numbers in and out as `integrate.resample`, and one plane more: the share of each canvas pixel that the
drops of the frame cover. A sample then weighs ``frame weight * share`` in rejection and mean, which is the
weighting of Fruchter & Hook (2002). Bad pixels are not dropped; other frames fill
their place, where the dither allows.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.integrate.canvas import Canvas
from sciastro.integrate.grid import STEP, Tile, node_positions
from sciastro.integrate.normalize import Terms
from sciastro.integrate.resample import EXCLUDED, Planes, turned
from sciastro.kernels.drizzle import POINT, SQUARE, TURBO, drizzle

__all__ = ["DrizzleOptions", "Dropper", "drop", "dropper", "on_canvas"]

KERNELS = {"square": SQUARE, "turbo": TURBO, "point": POINT}


@dataclass(frozen=True, kw_only=True, slots=True)
class DrizzleOptions(Options):
    """Whether and how frames are drizzled onto the canvas."""

    scale: float | None = option(
        None,
        "Pixels of the image per pixel of the sensor along each axis; setting it drizzles.",
        low=0.5,
        high=5.0,
    )
    pixfrac: float = option(
        0.8,
        "Side of a drop (1: the whole pixel; smaller is sharper and needs more dither).",
        unit="pixel",
        low=0.05,
        high=1.0,
    )
    kernel: str = option(
        "square",
        "Shape of a drop: the pixel itself, exactly; a square along the image's axes; its center.",
        choices=("square", "turbo", "point"),
    )

    @property
    def enabled(self) -> bool:
        """Whether frames are drizzled."""
        return self.scale is not None

    @property
    def spread(self) -> float:
        """Pixels of the image from one pixel of the sensor to the next, 1 at least."""
        return max(self.scale or 1.0, 1.0)

    @property
    def text(self) -> str:
        """What a summary says."""
        size = "" if self.kernel == "point" else f" of {self.pixfrac:g} px"
        return f"drizzle {self.scale or 1:g}x, {self.kernel} drops{size}"


@dataclass(frozen=True, slots=True)
class Dropper:
    """What `drop` needs to know.

    Attributes
    ----------
    kernel
        `kernels.drizzle.SQUARE`, `TURBO` or `POINT`.
    pixfrac
        Side of a drop [input pixel].
    holds_flux
        Whether pixels hold flux (multiply by the area ratio) or surface brightness.
    exclude
        Input pixels with any of these `Quality` bits are not dropped.
    """

    kernel: int
    pixfrac: float
    holds_flux: bool = True
    exclude: int = int(EXCLUDED)


def dropper(options: DrizzleOptions, *, holds_flux: bool = True) -> Dropper:
    """Return the `Dropper` of `options`."""
    return Dropper(KERNELS[options.kernel], options.pixfrac, holds_flux)


def on_canvas(terms: Terms, canvas: Canvas, *, holds_flux: bool = True, cell: int = 1) -> Terms:
    """Return `terms` whose sky level is per pixel of `canvas`.

    Parameters
    ----------
    terms
        Per pixel of the frames.
    canvas
        Grid of the stack.
    holds_flux
        Whether pixels hold flux; surface brightness is the same per pixel of any size.
    cell
        Pixels of the frames along a pixel of the reference grid.
    """
    if canvas.scale == cell or not holds_flux:
        return terms
    return replace(terms, offset=terms.offset * (cell / canvas.scale) ** 2)


def drop(
    planes: Planes,
    origin: tuple[int, int],
    coefficients: npt.ArrayLike,
    tile: Tile,
    how: Dropper,
    out: Planes,
    share: npt.NDArray[np.float32],
    *,
    scale: float = 1.0,
    pedestal: float = 0.0,
    offset: float = 0.0,
    rim: int = 0,
    domain: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Write ``(mean of the drops - pedestal) * scale * area + offset`` on the grid of `tile` into `out`.

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
        Kernel and size of the drops.
    out
        Signal, variance, quality of the tile, C-contiguous; written. NaN is missing.
    share
        float32 (y, x), written: covered share of each pixel of the tile, 0 is missing.
    rim
        Border of the tile that the returned sums leave out.
    domain
        Canvas box x0, x1, y0, y1 that holds the frame; None is everywhere.
    scale, pedestal, offset
        Linear change of the values; the variance takes ``(scale * area)**2``.

    Returns
    -------
    ndarray
        float64 (3,): variance of large areas and of single pixels, both of sums of share times value, and
        number of the pixels that they come from (`kernels.drizzle`).
    """
    x, y = node_positions(coefficients, tile, domain)
    planes, corner, x, y = turned(planes, origin, x, y)
    sums = np.zeros(3)
    drizzle(
        *planes, *corner, x, y, STEP, tile.y0 % STEP, tile.x0 % STEP, rim,
        how.kernel, how.pixfrac, np.uint16(how.exclude), how.holds_flux,
        np.float32(scale), np.float32(pedestal), np.float32(offset), *out, share, sums,
    )  # fmt: skip
    return sums
