"""Fuse one tile of the canvas: read, warp, normalize, reject and combine every frame's part in one go.

No calibrated or registered intermediate is kept. Values are rates [electron / s] on the reference
frame's scale: ``y = (x - pedestal) * scale * area + offset`` (`integrate.normalize`). The default
rejection goes by the number of frames (`options.chosen`). Where the image has structure, samples within
a share of the local range of the image are put back (`kernels.protect`): seeing makes star cores vary
far beyond the noise, and rejecting them would take light from stars. Measured for a seeing of 2.6 to
3.6 pixel: 8 frames lose 2 % of the flux of stars without, less than 0.01 % with (tests).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.lift import require_loaded
from sciastro.core.quality import Quality
from sciastro.core.scratch import lend
from sciastro.core.vocabulary import SPARSE, require
from sciastro.integrate.contribution import context_planes
from sciastro.integrate.drizzle import DrizzleOptions, drop, dropper
from sciastro.integrate.grid import Tile, node_positions
from sciastro.integrate.local import edge_share
from sciastro.integrate.moving import Adjust
from sciastro.integrate.normalize import Terms
from sciastro.integrate.options import ResampleOptions, Resampling, StackOptions, settled
from sciastro.integrate.reject import CAUSES, NO_SHARE, TileResult, reject_tile, rim_of
from sciastro.integrate.resample import Planes, Resampler, resample, resampler, window_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Buffers", "ReadWindow", "TileResult", "fit_for_sparse", "integrate_tile", "resampler_of"]


ReadWindow = Callable[[int, int, int, int, int], Planes]

OUTSIDE = int(Quality.NO_DATA | Quality.EDGE | Quality.DO_NOT_USE)


@dataclass(slots=True)
class Buffers:
    """Memory for the samples of a tile, kept from one tile to the next by one thread."""

    values: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    variance: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    quality: npt.NDArray[np.uint16] = field(default_factory=lambda: np.empty(0, np.uint16))
    share: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    marks: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))

    def take(self, frames: int, shape: tuple[int, int]) -> Planes:
        """Return signal, variance and quality buffers (frame, y, x); contents are left over."""
        size = frames * shape[0] * shape[1]
        if self.values.size < size:
            self.values = lend((size,), np.float32)
            self.variance = lend((size,), np.float32)
            self.quality = lend((size,), np.uint16)
        full = (frames, *shape)
        return (
            self.values[:size].reshape(full),
            self.variance[:size].reshape(full),
            self.quality[:size].reshape(full),
        )

    def take_share(self, frames: int, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Return a buffer (frame, y, x) for what drops cover of each pixel; contents are left over."""
        size = frames * shape[0] * shape[1]
        if self.share.size < size:
            self.share = lend((size,), np.float32)
        return self.share[:size].reshape((frames, *shape))

    def take_marks(self, frames: int, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """Return a buffer (frame, y, x) for the marks of rejected samples; contents are left over."""
        size = frames * shape[0] * shape[1]
        if self.marks.size < size:
            self.marks = lend((size,), np.uint8)
        return self.marks[:size].reshape((frames, *shape))


def resampler_of(options: ResampleOptions) -> Resampler:
    """Return the interpolation that `options` ask for; of stars that nobody has measured where it is auto."""
    options = settled(options, np.nan)
    rings = options.kernel in ("lanczos3", "mitchell")
    clamp = options.clamp if rings and options.clamp is not None else np.inf
    return resampler(
        options.kernel,
        clamp=clamp,
        max_excluded=options.max_excluded,
        holds_flux=options.pixels_hold == "flux",
    )


def fit_for_sparse(options: Resampling, frames: "xr.Dataset") -> tuple[Resampling, dict[str, str]]:
    """Return the options that `frames` can be resampled with, and what the history says of a change.

    The samples of sparse frames have no neighbors of their own: any interpolation would leave nothing.
    """
    if SPARSE.name not in frames.variables or options.kernel == "nearest":
        return options, {}
    require(frames, SPARSE)
    require_loaded(frames, SPARSE.name)
    if not frames[SPARSE.name].values.any():
        return options, {}
    why = f"nearest instead of {options.kernel}: samples of a split mosaic have no neighbors to interpolate"
    return replace(options, kernel="nearest"), {"kernel": why}


def integrate_tile(
    read_window: ReadWindow,
    maps: npt.NDArray[np.float64],
    frame_shape: tuple[int, int],
    terms: Terms,
    weight: npt.NDArray[np.floating],
    tile: Tile,
    options: StackOptions,
    buffers: Buffers | None = None,
    correlation: npt.NDArray[np.floating] | None = None,
    domains: npt.NDArray[np.float64] | None = None,
    drizzle: DrizzleOptions | None = None,
    adjust: Adjust | None = None,
    feather: float = 0.0,
    other: npt.NDArray[np.float64] | None = None,
    lenience: npt.NDArray[np.floating] | None = None,
) -> TileResult:
    """Return the stack of every frame's part of `tile`; only frames that meet it take memory and time.

    Parameters
    ----------
    read_window
        ``read_window(frame, y0, y1, x0, x1)`` gives signal [electron], variance [electron2] and
        quality of that part of a frame; NaN is missing.
    maps
        Canvas-to-frame maps, float64 (frame, 2, terms); a NaN map leaves the frame out.
    frame_shape
        Rows and columns of the frames.
    terms
        Scale, pedestal and offset per frame.
    weight
        Weight per frame, 0 or more.
    tile
        Part of the canvas; its corner on a multiple of `grid.STEP`.
    options
        Interpolation, rejection, combination.
    buffers
        Kept by the calling thread; None takes fresh memory.
    correlation
        Per frame, noise of large areas over that of uncorrelated pixels (frames that were resampled
        before); None is 1.
    domains
        Canvas boxes (frame, 4) that hold the frames (`integrate.canvas`); None is everywhere.
    drizzle
        How frames are dropped onto the canvas; None, or not enabled, interpolates.
    adjust
        Changes the normalized samples of each frame before they are compared (`integrate.moving`,
        `integrate.local`).
    feather
        Width [pixel of the frame] over which the share of a frame falls to 0 at its edge; 0 is none.
    other
        Factor and offset (frame, 2) to the values in which outliers are looked for (`reject.reject_tile`).
    lenience
        Per frame, factor of what star cores may deviate (`integrate.seeing`); None is 1.
    """
    weights = np.asarray(weight, dtype=np.float32)
    used = np.flatnonzero(weights > 0)
    drops, spread = None, 1.0
    if drizzle is not None and drizzle.enabled:
        drops, spread = dropper(drizzle, holds_flux=options.pixels_hold == "flux"), drizzle.spread
    rim = rim_of(options, len(used), spread)
    tile = tile.padded(rim)
    buffers = Buffers() if buffers is None else buffers
    how = resampler_of(options)
    boxes = [None if domains is None else domains[i] for i in range(len(maps))]
    found = [
        (int(i), window_of(maps[i], tile, frame_shape, how if drops is None else None, boxes[i]))
        for i in used
    ]
    met = [(i, window) for i, window in found if window is not None]
    sums = np.zeros(2)
    if not met:
        return _empty(tile, rim, sums, len(maps), len(used), options)
    planes = buffers.take(len(met), tile.shape)
    shared = drops is not None or feather > 0
    share = buffers.take_share(len(met), tile.shape) if shared else NO_SHARE
    for k, (i, window) in enumerate(met):
        out = (planes[0][k], planes[1][k], planes[2][k])
        place = (read_window(i, *window), (window[0], window[2]), maps[i], tile)
        change = {"scale": terms.scale[i], "pedestal": terms.pedestal[i], "offset": terms.offset[i]}
        if drops is None:
            frame_sums = resample(*place, how, out, rim=rim, domain=boxes[i], **change)
        else:
            frame_sums = drop(*place, drops, out, share[k], rim=rim, domain=boxes[i], **change)
        if correlation is not None:
            frame_sums[0] *= float(correlation[i]) ** 2
        sums += float(weights[i]) ** 2 * frame_sums[:2]
        if adjust is not None:
            adjust(i, tile, out[0])
        if feather > 0:
            x, y = node_positions(maps[i], tile, boxes[i])
            edge_share(x, y, tile, frame_shape, feather, share[k], times=drops is not None)
    members = np.array([i for i, _ in met])
    done = reject_tile(
        planes, weights[members], options, sums=sums, share=share, frames=len(used),
        numbers=np.searchsorted(used, members),
        other=None if other is None else other[members],
        lenience=None if lenience is None else lenience[members],
        marks=buffers.take_marks(len(met), tile.shape), spread=spread,
    )  # fmt: skip
    done = replace(done, counts=_of_all(done.counts, members, len(maps), done.image.size))
    if len(met) < len(used):  # what the frames that do not meet the tile say of its empty pixels
        done.quality[np.isnan(done.image)] |= np.uint16(OUTSIDE)
    return done


def _of_all(
    counts: npt.NDArray[np.int64], members: npt.NDArray[np.intp], frames: int, pixels: int
) -> npt.NDArray[np.int64]:
    """Return the counts of all frames; a frame that does not meet the tile has all its samples outside."""
    out = np.zeros((frames, len(CAUSES)), np.int64)
    out[:, CAUSES.index("outside")] = pixels
    out[members] = counts
    return out


def _empty(
    tile: Tile, rim: int, sums: npt.NDArray[np.float64], frames: int, used: int, options: StackOptions
) -> TileResult:
    """Return a tile (given with its rim) that no frame meets."""
    rows, columns = tile.shape
    shape = (rows - 2 * rim, columns - 2 * rim)
    return TileResult(
        image=np.full(shape, np.nan, np.float32),
        variance=np.full(shape, np.nan, np.float32),
        quality=np.full(shape, OUTSIDE, np.uint16),
        coverage=np.zeros(shape, np.float32),
        rejected_low=np.zeros(shape, np.uint16),
        rejected_high=np.zeros(shape, np.uint16),
        sums=sums,
        counts=_of_all(
            np.empty((0, len(CAUSES)), np.int64), np.empty(0, np.intp), frames, shape[0] * shape[1]
        ),
        causes=np.zeros((len(CAUSES) - 2, *shape) if options.maps else (0, 0, 0), np.uint16),
        context=np.zeros((context_planes(used) if options.context else 0, *shape), np.uint32),
    )
