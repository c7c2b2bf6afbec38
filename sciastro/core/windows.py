"""Windows of planes (frame, y, x): views of arrays, or rows read straight from the files behind a variable.

xarray reads such a window too, at a fifth of a millisecond each beside the pixels, which thousands of windows
pay. Where its wrappers are not known, or only part of a file is meant, it is asked after all.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from sciastro.core.scratch import Scratch

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["RowsOfFrames", "rows_of_frames", "windows_of"]

Pixels = npt.NDArray[Any]


class RowsOfFrames(Protocol):
    """Pixels (frame, y, x) in files."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def rows_into(self, frame: int, first: int, last: int, out: Pixels) -> None:
        """Write the rows ``first <= y < last`` of a frame to `out` (rows, columns), of this dtype."""


def rows_of_frames(variable: "xr.Variable") -> RowsOfFrames | None:
    """Return what reads the rows of `variable` from files; None: it is in memory, or xarray must be asked."""
    data: Any = getattr(variable, "_data", None)
    while type(data).__name__ in ("CopyOnWriteArray", "MemoryCachedArray"):
        data = data.array
    key = getattr(getattr(data, "key", None), "tuple", None)
    source: Any = getattr(data, "array", None)
    if key is None or not hasattr(source, "rows_into") or len(key) != 3:
        return None
    whole = all(
        isinstance(one, slice) and one.indices(size) == (0, size, 1)
        for one, size in zip(key, source.shape, strict=True)
    )
    return source if whole else None


def windows_of(
    cubes: "Sequence[xr.DataArray]", members: npt.NDArray[np.intp]
) -> Callable[[int, int, int, int, int], tuple[Pixels, ...]]:
    """Return a function that gives windows of frames, for several threads at once.

    Parameters
    ----------
    cubes
        Labeled pixels (frame, y, x), not of dask.
    members
        Which frame is called 0, 1, ...

    Returns
    -------
    callable
        ``windows(i, y0, y1, x0, x1)``: that window of each of `cubes` (rows, columns), to be read only. What
        comes from files is overwritten by the next call in the same thread.
    """
    scratch, ways = Scratch(), [_way(cube.variable) for cube in cubes]

    def windows(i: int, y0: int, y1: int, x0: int, x1: int) -> tuple[Pixels, ...]:
        frame, out = int(members[i]), []
        for k, way in enumerate(ways):
            if isinstance(way, np.ndarray):
                out.append(way[frame, y0:y1, x0:x1])
            elif callable(way):
                out.append(way(frame, slice(y0, y1), slice(x0, x1)))
            else:
                room = scratch.take(str(k), (y1 - y0, way.shape[2]), way.dtype)
                way.rows_into(frame, y0, y1, room)
                out.append(room[:, x0:x1])
        return tuple(out)

    return windows


def _way(variable: "xr.Variable") -> Any:
    data = getattr(variable, "_data", None)
    if isinstance(data, np.ndarray):
        return data
    source = rows_of_frames(variable)
    return source if source is not None else lambda *key: variable[key].values
