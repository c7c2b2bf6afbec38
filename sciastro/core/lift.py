"""From plain-array kernels to labeled, possibly lazy arrays. With `core.cluster`, all that knows dask.

Two ways up: `map_pixels` for a kernel that treats every pixel (or chunk) on its own, and `run_tasks`
for explicit work on the one pool of workers: threads here, or a cluster. Nothing else starts threads.
"""

import contextlib
import functools
import itertools
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from sciastro.core.cluster import Cluster
from sciastro.errors import DatasetError

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "ONE_THREAD",
    "beside",
    "chunk_rows",
    "frame_facts",
    "in_order",
    "is_lazy",
    "map_frames",
    "one_owner",
    "processors",
    "reduce_tiles",
    "require_loaded",
    "run_tasks",
    "spare_dask",
]

ONE_THREAD = "OPENBLAS_NUM_THREADS"  # set to 1, it says that libraries start none when they are loaded

T = TypeVar("T")
R = TypeVar("R")


class _DaskIfLoaded:
    """What xarray asks for dask's array type: none exists while nobody has loaded dask."""

    module, available = None, True

    @property
    def type(self) -> tuple[Any, ...]:
        array = getattr(sys.modules.get("dask.array"), "Array", None)
        return () if array is None else (array,)

    @property
    def version(self) -> Any:
        from packaging.version import Version

        return Version(metadata.version("dask"))


def spare_dask() -> None:
    """Keep xarray from loading dask before somebody uses it.

    xarray 2026 loads all of dask.array as soon as a variable is made from numbers, to ask whether they are
    lazy, and dask.base before it writes any: a third of a second that a run on threads does not need. Nothing
    is lazy before dask is loaded; afterwards xarray asks as ever. Another xarray is left alone.
    """
    from xarray.namedarray import pycompat
    from xarray.namedarray import utils as asking

    known = getattr(pycompat, "_cached_duck_array_modules", None)
    asked = getattr(asking, "is_dask_collection", None)
    if not isinstance(known, dict) or asked is None or find_spec("dask") is None:
        return
    if "dask.array" not in sys.modules:
        known.setdefault("dask", _DaskIfLoaded())
    if "dask.base" not in sys.modules and not isinstance(asked, _AskIfLoaded):
        asking.is_dask_collection = _AskIfLoaded(asked)


@dataclass(frozen=True, slots=True)
class _AskIfLoaded:
    """xarray's question whether something is lazy, which is answered by No while nobody has loaded dask."""

    asked: Callable[[object], TypeGuard[Any]]

    def __call__(self, x: object) -> TypeGuard[Any]:
        return "dask.base" in sys.modules and self.asked(x)


def is_lazy(*arrays: "xr.DataArray | xr.Variable") -> bool:
    """Return whether any of `arrays` is a dask collection."""
    return any(getattr(array, "chunks", None) is not None for array in arrays)


def require_loaded(ds: "xr.Dataset", *names: str) -> None:
    """Check that those of the variables `names` that `ds` has are in memory.

    A step that must know a fact before it can plan its work never computes it behind the user's back.

    Raises
    ------
    DatasetError
        Naming the first lazy one, and how to load it.
    """
    for name in names:
        if name in ds.variables and is_lazy(ds[name]):
            raise DatasetError(
                "is lazy, and this step must know it before it can plan.",
                where=f"variable '{name}'",
                remedy=f"Load it first: `ds['{name}'].load()`.",
            )


def chunk_rows(ds: "xr.Dataset", rows: int) -> "xr.Dataset":
    """Return `ds` with its pixel variables in bands of `rows`, one frame per chunk.

    Per-frame coordinates stay in memory: grouping by a lazy coordinate raises in xarray.
    """
    chunked = {
        name: variable.chunk(
            {dim: 1 if dim in ("frame", "band") else (rows if dim == "y" else -1) for dim in variable.dims}
        )
        for name, variable in ds.data_vars.items()
        if {"y", "x"} <= set(variable.dims)
    }
    return ds.assign(chunked)


def map_frames(
    function: Callable[..., tuple[np.ndarray, ...]],
    *arrays: "xr.DataArray",
    dtypes: Sequence[Any],
    per_frame: Sequence[np.ndarray] = (),
    whole_plane: bool = False,
) -> tuple[Any, ...]:
    """Apply ``function(*planes, *scalars, row) -> planes`` to every frame; lazy input stays lazy.

    Parameters
    ----------
    function
        Called with one (rows, x) array per entry of `arrays` (dims (frame, y, x), or (y, x) for a
        plane that all frames share), then the frame's entry of each of `per_frame`, then the
        number of the first row. Returns one (rows, x) array per entry of `dtypes`.
    arrays
        Labeled inputs; the first one sets frames and chunks.
    dtypes
        Dtype of each result.
    per_frame
        Arrays of length frame, kept in memory.
    whole_plane
        The function needs all rows of a frame at once.

    Returns
    -------
    tuple
        Arrays (frame, y, x), numpy or dask as the input was.
    """
    lead = arrays[0]
    if not is_lazy(*arrays):
        out = tuple(np.empty(lead.shape, dtype) for dtype in dtypes)
        planes = [np.asarray(array.data) for array in arrays]
        for i in range(lead.shape[0]):
            results = function(
                *(plane[i] if plane.ndim == 3 else plane for plane in planes),
                *(item[i] for item in per_frame),
                0,
            )
            for target, result in zip(out, results, strict=True):
                target[i] = result
        return out
    return _map_lazy(function, arrays, dtypes, per_frame, whole_plane)


def _map_lazy(
    function: Callable[..., tuple[np.ndarray, ...]],
    arrays: "Sequence[xr.DataArray]",
    dtypes: Sequence[Any],
    per_frame: Sequence[np.ndarray],
    whole_plane: bool,
) -> tuple[Any, ...]:
    import dask.array as da
    from dask import delayed

    lead = arrays[0]
    rows = (lead.shape[1],) if whole_plane else (lead.chunks[1] if lead.chunks else (lead.shape[1],))
    edges = np.concatenate([[0], np.cumsum(rows)])
    task = delayed(function, nout=len(dtypes), pure=True)
    columns: list[list[list[Any]]] = [[] for _ in dtypes]
    width = lead.shape[2]
    for i in range(lead.shape[0]):
        parts: list[list[Any]] = [[] for _ in dtypes]
        for first, last in itertools.pairwise(edges):
            window = [
                array.data[i, first:last] if array.ndim == 3 else array.data[first:last] for array in arrays
            ]
            results = task(*window, *(item[i] for item in per_frame), int(first))
            for part, result, dtype in zip(parts, results, dtypes, strict=True):
                part.append(da.from_delayed(result, (int(last - first), width), dtype))
        for column, part in zip(columns, parts, strict=True):
            column.append(da.concatenate(part, axis=0))
    return tuple(da.stack(column, axis=0) for column in columns)


def frame_facts(function: Callable[..., np.ndarray], *arrays: "xr.DataArray", count: int) -> Any:
    """Apply ``function(*planes) -> numbers`` to every frame, lazily if the input is lazy.

    Parameters
    ----------
    function
        Called with one whole (y, x) plane per entry of `arrays`; returns `count` numbers.
    arrays
        Labeled inputs, dims (frame, y, x).
    count
        Numbers per frame.

    Returns
    -------
    array
        float64 (frame, count), numpy or dask as the input was.
    """
    n_frames = arrays[0].shape[0]
    if not is_lazy(*arrays):
        rows = [function(*(np.asarray(array.data[i]) for array in arrays)) for i in range(n_frames)]
        return np.array(rows, dtype=np.float64).reshape(n_frames, count)
    import dask.array as da
    from dask import delayed

    task = delayed(function, pure=True)
    parts = [
        da.from_delayed(task(*(array.data[i] for array in arrays)), (count,), np.float64)
        for i in range(n_frames)
    ]
    return da.stack(parts, axis=0)


Window = tuple[int, int, int, int]  # y0, y1, x0, x1; ends excluded


def reduce_tiles(
    function: Callable[[Window, list[tuple[np.ndarray, ...] | None]], tuple[np.ndarray, ...]],
    *arrays: "xr.DataArray",
    tiles: Sequence[Sequence[Window]],
    windows: Callable[[int, Window], Window | None],
    dtypes: Sequence[Any],
    totals: int,
) -> tuple[Any, ...]:
    """Reduce the frame axis tile by tile, each tile from a window of every frame; lazy if the input is lazy.

    Parameters
    ----------
    function
        ``function(tile, inputs) -> (plane, ..., total)``: `inputs` holds, per frame, that frame's
        window of each of `arrays`, or None. Returns a (rows, columns) plane per entry of `dtypes`,
        then a float64 vector of length `totals`.
    arrays
        Labeled inputs (frame, y, x).
    tiles
        Rows of tiles that cover the output without gap or overlap, in order.
    windows
        ``windows(frame, tile)``: the part of a frame that a tile needs, or None.
    dtypes
        Dtype of each plane.
    totals
        Length of the vector that is summed over the tiles.

    Returns
    -------
    tuple
        Planes (y, x), then the sum of the vectors; numpy or dask as the input was.
    """
    frames = range(arrays[0].shape[0])
    if is_lazy(*arrays):
        return _reduce_lazy(function, arrays, tiles, windows, dtypes, totals)
    planes = [np.asarray(array.data) for array in arrays]
    shape = (tiles[-1][-1][1], tiles[-1][-1][3])
    out = tuple(np.empty(shape, dtype) for dtype in dtypes)
    parts = []
    for tile in itertools.chain.from_iterable(tiles):
        needs = [windows(i, tile) for i in frames]
        *results, part = function(
            tile,
            [
                None
                if need is None
                else tuple(plane[i, need[0] : need[1], need[2] : need[3]] for plane in planes)
                for i, need in zip(frames, needs, strict=True)
            ],
        )
        for target, result in zip(out, results, strict=True):
            target[tile[0] : tile[1], tile[2] : tile[3]] = result
        parts.append(part)
    return *out, np.sum(parts, axis=0)


def _reduce_lazy(
    function: Callable[[Window, list[tuple[np.ndarray, ...] | None]], tuple[np.ndarray, ...]],
    arrays: "Sequence[xr.DataArray]",
    tiles: Sequence[Sequence[Window]],
    windows: Callable[[int, Window], Window | None],
    dtypes: Sequence[Any],
    totals: int,
) -> tuple[Any, ...]:
    import dask.array as da
    from dask import delayed

    task = delayed(function, nout=len(dtypes) + 1, pure=False)
    blocks: list[list[list[Any]]] = [[] for _ in dtypes]
    parts = []
    for row in tiles:
        line: list[list[Any]] = [[] for _ in dtypes]
        for tile in row:
            inputs: list[tuple[Any, ...] | None] = []
            for i in range(arrays[0].shape[0]):
                need = windows(i, tile)
                if need is None:
                    inputs.append(None)
                else:
                    inputs.append(
                        tuple(
                            da.asarray(array.data)[i, need[0] : need[1], need[2] : need[3]]
                            for array in arrays
                        )
                    )
            *results, part = task(tile, inputs)
            shape = (tile[1] - tile[0], tile[3] - tile[2])
            for cells, result, dtype in zip(line, results, dtypes, strict=True):
                cells.append(da.from_delayed(result, shape, dtype))
            parts.append(da.from_delayed(part, (totals,), np.float64))
        for block, cells in zip(blocks, line, strict=True):
            block.append(cells)
    return *(da.block(block) for block in blocks), da.stack(parts, axis=0).sum(axis=0)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _limited(workers: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="sciastro")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def one_owner() -> Iterator[None]:
    """Keep the linear-algebra libraries from starting threads of their own inside this context.

    They would compete with our workers: fitting one frame's registration took 0.24 s of processor time with
    two library threads and 0.04 s with one. One thread also gives the same bytes on every machine. Contexts
    may overlap, in one thread or in several: the last that ends gives the libraries back what they had.
    """
    if os.environ.get(ONE_THREAD) != "1":
        import scipy.linalg  # noqa: F401 - only a library that is loaded can be kept from it

    _OWNERS.enter(_libraries("scipy.linalg._flapack" in sys.modules))
    try:
        yield
    finally:
        _OWNERS.leave()


class _Owners:
    """The contexts of `one_owner` that are open now, and what their libraries had before the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._limits: dict[ThreadpoolController, Any] = {}

    def enter(self, libraries: ThreadpoolController) -> None:
        """Open a context; libraries that are new among those of open ones are kept to one thread."""
        with self._lock:
            if libraries not in self._limits:
                self._limits[libraries] = libraries.limit(limits=1)
            self._open += 1

    def leave(self) -> None:
        """Close a context; with the last, give back what was taken, the latest first."""
        with self._lock:
            self._open -= 1
            while not self._open and self._limits:
                self._limits.popitem()[1].restore_original_limits()


_OWNERS = _Owners()


@functools.cache
def _libraries(_of_scipy: bool) -> ThreadpoolController:
    """Return the libraries that are loaded: looking for them takes 20 ms, so again only when scipy's are."""
    return ThreadpoolController()


@contextlib.contextmanager
def beside() -> Iterator[Callable[[Callable[[], R]], Future[R]]]:
    """Give a function that starts work beside the caller's, one piece after the other, on one more thread.

    For writing what is finished while the next is computed. Leaving the context waits for the piece that
    runs and drops those that have not begun: wait for ``result()`` of what must be done. Exceptions come with
    it, too.
    """
    with _limited(1) as pool:
        yield pool.submit


def in_order(function: Callable[[T], R], items: Iterable[T], *, workers: int = 2) -> Iterator[R]:
    """Yield ``function(item)`` of every item in their order, at most `workers` results ahead.

    For results too large to keep. Exceptions of `function` come where its result would; closing the
    iterator starts no new item.
    """
    ahead: deque[Future[R]] = deque()
    with _limited(workers) as pool:
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def run_tasks(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    workers: int = 2,
    done: Callable[[T, R], None] | None = None,
    cluster: Cluster | None = None,
    gather: bool = True,
) -> list[R]:
    """Run ``function(item)`` for every item on the pool of workers; results in the order of `items`.

    Parameters
    ----------
    function
        Releases the GIL where it counts; its exceptions are raised here, after which no new item starts. On
        a cluster it must be picklable (a frozen dataclass with ``__call__``) and pure, or write the same
        bytes each time: it is sent once, and a call whose worker dies is repeated.
    items
        Taken one by one, at most ``workers + 1`` ahead, so that a lazy iterable stays lazy.
    workers
        Number of threads.
    done
        Called in the calling thread after each item, in order of completion (progress, journaling).
    cluster
        Runs the calls in its workers; `workers` then does not matter.
    gather
        Return the results; False keeps none of them once `done` has seen it, and returns an empty list.
    """
    if cluster is not None:
        return cluster.run(function, items, done, gather=gather)
    results: dict[int, R] = {}
    waiting: dict[Future[R], tuple[int, T]] = {}
    source = enumerate(items)
    with one_owner(), _limited(workers) as pool:
        exhausted = False
        while True:
            while not exhausted and len(waiting) <= workers:
                entry = next(source, None)
                if entry is None:
                    exhausted = True
                    break
                waiting[pool.submit(function, entry[1])] = entry
            if not waiting:
                break
            finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                number, item = waiting.pop(future)
                result = future.result()
                if done is not None:
                    done(item, result)
                if gather:
                    results[number] = result
    return [results[number] for number in sorted(results)]
