"""The fused pass of a run: every tile of the canvas on the one pool of workers, into arrays of the caller."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.cluster import Cluster
from sciastro.core.lift import run_tasks
from sciastro.core.scratch import lend
from sciastro.integrate.contribution import NO_CONTEXT, context_planes
from sciastro.integrate.drizzle import DrizzleOptions
from sciastro.integrate.fuse import Buffers, ReadWindow, TileResult, integrate_tile
from sciastro.integrate.grid import SAMPLE, SHARE, Tile, plan_tiles
from sciastro.integrate.moving import Adjust
from sciastro.integrate.normalize import Terms
from sciastro.integrate.options import StackOptions
from sciastro.integrate.reject import CAUSES, rim_of
from sciastro.integrate.resample import Planes

__all__ = ["StackArrays", "empty_stack", "stack_windows"]

PLANES = ("image", "variance", "quality", "coverage", "rejected_low", "rejected_high")


@dataclass(frozen=True, slots=True)
class StackArrays:
    """The planes of one band, (y, x); written in place, tile by tile.

    Attributes
    ----------
    image, variance
        float32 [electron / s, electron2 / s2]; NaN is missing.
    quality
        uint16 bits.
    coverage
        float32, effective number of frames.
    rejected_low, rejected_high
        uint16, frames rejected.
    lost
        int64 (frame, cause), samples lost by frame and cause (`integrate.reject.CAUSES`) over the whole
        canvas; set when the pass is done, frames that did not enter are 0.
    causes
        uint16 (cause, y, x), missing samples by cause; (0, 0, 0) without `stack.maps`.
    context
        uint32 (plane, y, x), which frames made each pixel (`integrate.contribution`); empty unless asked for.
    """

    image: npt.NDArray[np.float32]
    variance: npt.NDArray[np.float32]
    quality: npt.NDArray[np.uint16]
    coverage: npt.NDArray[np.float32]
    rejected_low: npt.NDArray[np.uint16]
    rejected_high: npt.NDArray[np.uint16]
    lost: npt.NDArray[np.int64]
    causes: npt.NDArray[np.uint16]
    context: npt.NDArray[np.uint32] = field(default_factory=lambda: NO_CONTEXT)


def empty_stack(
    shape: tuple[int, int], frames: int = 0, *, maps: bool = False, context: bool = False
) -> StackArrays:
    """Return arrays for one band; contents of the planes undefined. `frames` are those of the pass."""
    return StackArrays(
        image=lend(shape, np.float32),
        variance=lend(shape, np.float32),
        quality=lend(shape, np.uint16),
        coverage=lend(shape, np.float32),
        rejected_low=lend(shape, np.uint16),
        rejected_high=lend(shape, np.uint16),
        lost=np.zeros((frames, len(CAUSES)), np.int64),
        causes=lend((len(CAUSES) - 2, *shape) if maps else (0, 0, 0), np.uint16),
        context=lend((context_planes(frames), *shape), np.uint32) if context else NO_CONTEXT,
    )


def stack_windows(
    read_window: ReadWindow,
    maps: npt.NDArray[np.float64],
    frame_shape: tuple[int, int],
    terms: Terms,
    weight: npt.NDArray[np.floating],
    out: StackArrays,
    *,
    options: StackOptions,
    memory_bytes: int,
    workers: int = 2,
    progress: Callable[[float], None] | None = None,
    domains: npt.NDArray[np.float64] | None = None,
    adjust: Adjust | None = None,
    drizzle: DrizzleOptions | None = None,
    cluster: Cluster | None = None,
    feather: float = 0.0,
    correlation: npt.NDArray[np.float64] | None = None,
    other: npt.NDArray[np.float64] | None = None,
    lenience: npt.NDArray[np.floating] | None = None,
) -> float:
    """Integrate one band into `out` and return its noise correlation factor.

    Parameters
    ----------
    read_window
        ``read_window(frame, y0, y1, x0, x1)``: signal [electron], variance [electron2], quality of a
        window, calibrated on the way if need be; called from several threads at once.
    maps
        Canvas-to-frame maps, float64 (frame, 2, terms); a NaN map leaves the frame out.
    frame_shape
        Rows and columns of the frames; the canvas is as large as `out`.
    terms
        Normalization, from `integrate.normalize.terms`.
    weight
        Weight per frame; 0 leaves it out.
    out
        Written in place.
    options
        Resampling, rejection, combination (normalization is in `terms`).
    memory_bytes
        Bound on what this call allocates, for all workers; `out` is the caller's. `read_window` may
        take up to 40 byte per pixel that it returns on top of the result.
    workers
        Threads.
    progress
        Called in this thread after each tile with the share of the canvas that is done, 0 to 1.
    domains
        Canvas boxes (frame, 4) that hold the frames (`integrate.canvas`); None is everywhere.
    adjust
        Changes the normalized samples of each frame before they are compared (`integrate.moving`,
        `integrate.local`).
    drizzle
        How frames are dropped onto the canvas; None, or not enabled, interpolates.
    cluster
        Works the tiles instead of threads; `read_window` must then be picklable, and `memory_bytes` bounds
        each of its processes.
    feather
        Width [pixel of the frame] over which the share of a frame falls to 0 at its edge; 0 is none.
    correlation
        Per frame, noise of large areas over that of uncorrelated pixels; None is 1.
    other
        Factor and offset (frame, 2) to the values in which outliers are looked for
        (`integrate.normalize.between`); None looks in those that are combined.
    lenience
        Per frame, factor of what star cores may deviate (`integrate.seeing`); None is 1.

    Returns
    -------
    float
        Noise of large areas over what uncorrelated pixels of the variance plane would give; NaN
        where no pixel is clean.

    Raises
    ------
    OptionError
        If the memory does not suffice for the smallest tile.
    """
    shape = out.image.shape
    maps = np.asarray(maps, dtype=np.float64)
    used = np.asarray(weight, dtype=np.float64) > 0
    boxes = None if domains is None else np.asarray(domains, dtype=np.float64)[used]
    drops = drizzle is not None and drizzle.enabled
    ways = workers
    if cluster is not None:  # the bound is that of each process; more tiles, so that all have some
        ways = cluster.threads
        memory_bytes = memory_bytes * ways // cluster.threads_per_process
    if feather > 0 and not drops:  # a share beside every sample
        memory_bytes = memory_bytes * SAMPLE // (SAMPLE + SHARE)
    plan = plan_tiles(
        (shape[0], shape[1]),
        maps[used],
        frame_shape,
        memory_bytes,
        ways,
        boxes,
        drops,
        rim_of(options, int(used.sum()), drizzle.spread if drizzle is not None else 1.0),
    )
    tiles = [tile for row in plan for tile in row]
    part = Terms(terms.scale[used], terms.pedestal[used], terms.offset[used])
    numbers = np.flatnonzero(used)
    task = _TileTask(
        read_window, adjust, numbers,
        {"maps": maps[used], "frame_shape": frame_shape, "terms": part, "weight": weight[used],
         "options": options, "domains": boxes, "drizzle": drizzle, "feather": feather,
         "other": None if other is None else other[used],
         "lenience": None if lenience is None else lenience[used],
         "correlation": None if correlation is None else np.asarray(correlation)[used]},
    )  # fmt: skip
    sums = np.zeros((len(tiles), 2))
    order = {tile: number for number, tile in enumerate(tiles)}
    total = shape[0] * shape[1]
    finished = 0

    def work(tile: Tile) -> TileResult:
        done = task(tile)
        _put(done, tile, out)  # here, while it is in the cache; no two tiles share a pixel
        return done

    def report(tile: Tile, done: TileResult) -> None:
        nonlocal finished
        if cluster is not None:
            _put(done, tile, out)
        sums[order[tile]] = done.sums
        if out.lost.size:
            out.lost[numbers] += done.counts
        finished += tile.shape[0] * tile.shape[1]
        if progress is not None:
            progress(finished / total)

    run_tasks(
        work if cluster is None else task, tiles, workers=workers, done=report, cluster=cluster, gather=False
    )
    large, single = sums.sum(axis=0)
    return float(np.sqrt(large / single)) if single > 0 else float("nan")


def _put(done: TileResult, tile: Tile, out: StackArrays) -> None:
    here = (slice(tile.y0, tile.y1), slice(tile.x0, tile.x1))
    for name in PLANES:
        getattr(out, name)[here] = getattr(done, name)
    if out.causes.size:
        out.causes[:, here[0], here[1]] = done.causes
    if out.context.size:
        out.context[:, *here] = done.context


class _TileTask:
    """The stack of one tile, for `run_tasks`: buffers are kept per thread and do not travel."""

    def __init__(
        self, read: ReadWindow, adjust: Adjust | None, numbers: npt.NDArray[np.intp], fixed: dict[str, Any]
    ) -> None:
        self._read, self._adjust, self._numbers, self._fixed = read, adjust, numbers, fixed
        self._local = threading.local()

    def __reduce__(self) -> tuple[object, ...]:
        return _TileTask, (self._read, self._adjust, self._numbers, self._fixed)

    def _window(self, i: int, y0: int, y1: int, x0: int, x1: int) -> Planes:
        return self._read(int(self._numbers[i]), y0, y1, x0, x1)

    def _change(self, i: int, tile: Tile, values: npt.NDArray[np.float32]) -> None:
        if self._adjust is not None:
            self._adjust(int(self._numbers[i]), tile, values)

    def __call__(self, tile: Tile) -> TileResult:
        buffers = getattr(self._local, "buffers", None)
        if buffers is None:
            buffers = self._local.buffers = Buffers()
        change = None if self._adjust is None else self._change
        return integrate_tile(self._window, tile=tile, buffers=buffers, adjust=change, **self._fixed)
