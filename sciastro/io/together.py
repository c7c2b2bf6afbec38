"""Frames of many files as one dataset along `frame`, their pixels still in the files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from sciastro.core.vocabulary import FROM_REFERENCE
from sciastro.core.windows import rows_of_frames
from sciastro.errors import DatasetError

__all__ = ["Stacked", "together"]


class Stacked(BackendArray):
    """Planes (frame, y, x) of several datasets one after the other, read window by window; may be pickled."""

    def __init__(self, parts: Sequence[xr.Variable]) -> None:
        self.places = [(part, k) for part in parts for k in range(part.shape[0])]
        self.shape = (len(self.places), *parts[0].shape[1:])
        self.dtype = np.result_type(*(part.dtype for part in parts))

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        """Return the pixels of `key`."""
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def rows_into(self, frame: int, first: int, last: int, out: npt.NDArray[Any]) -> None:
        """Write rows of a frame to `out` (`core.windows.RowsOfFrames`)."""
        part, k = self.places[frame]
        source = rows_of_frames(part)
        if source is not None and source.dtype == out.dtype:
            source.rows_into(k, first, last, out)
        else:
            out[...] = part[k, first:last].values

    def _read(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        number, rows, columns = key
        if not isinstance(number, slice):
            part, k = self.places[int(number)]
            return np.asarray(part[k, rows, columns].values, self.dtype)
        chosen = range(*number.indices(len(self.places)))
        shape = tuple(
            len(range(*index.indices(size)))
            for index, size in zip((rows, columns), self.shape[1:], strict=True)
            if isinstance(index, slice)
        )
        out = np.empty((len(chosen), *shape), self.dtype)
        for n, i in enumerate(chosen):
            part, k = self.places[i]
            out[n] = part[k, rows, columns].values
        return out


def together(frames: Sequence[xr.Dataset]) -> xr.Dataset:
    """Return frames of one size one after the other along `frame`.

    Parameters
    ----------
    frames
        Datasets with the same pixel variables (frame, y, x), opened from files.

    Returns
    -------
    Dataset
        Pixels lazy as theirs are; facts in memory. Of several without ``from_reference``: each file's leads
        from a reference frame of its own.

    Raises
    ------
    DatasetError
        If there are none, a file comes twice, they differ in size, unit or in what they hold, or some files
        tell a fact of their frames that others do not.
    """
    if not frames:
        raise DatasetError(
            "is empty.", where="the list of files", remedy="Check the pattern and the folder it looks in."
        )
    for one in frames:
        if "frame" not in one.dims:
            raise DatasetError(
                "holds no frames.", where=_source(one), remedy="Open frames together, and images one by one."
            )
    _require_once(frames)
    shapes = {(one.sizes.get("y"), one.sizes.get("x")) for one in frames}
    if len(shapes) != 1:
        raise DatasetError(
            f"are no frames of one size: {sorted(map(str, shapes))}.",
            where="the files",
            remedy="Open frames of one camera and binning together.",
        )
    names = list(frames[0].data_vars)
    for one in frames:
        if set(one.data_vars) != set(names):
            raise _mixed(frames[0], one, "hold", names, one.data_vars)
        if set(one.coords) != set(frames[0].coords):
            raise _mixed(frames[0], one, "tell", frames[0].coords, one.coords)
        for name in names:
            _require_one_unit(frames[0], one, str(name))
    facts = xr.concat(
        [one.drop_vars(names) for one in frames], dim="frame", combine_attrs="drop_conflicts",
        data_vars="minimal", coords="minimal", compat="override", join="override",
    )  # fmt: skip
    if len(frames) > 1:
        facts = facts.drop_vars(FROM_REFERENCE.name, errors="ignore")
    return facts.assign({name: _along_frame([one.variables[name] for one in frames]) for name in names})


def _source(one: xr.Dataset) -> str:
    return str(one.encoding.get("source", "a file"))


def _require_once(frames: Sequence[xr.Dataset]) -> None:
    """Check that no file comes twice: a stack would take its noise for independent."""
    seen = set()
    for one in frames:
        source = one.encoding.get("source")
        if source is None:
            continue
        place = Path(source).resolve()
        if place in seen:
            raise DatasetError("comes twice.", where=str(source), remedy="Name every file once.")
        seen.add(place)


def _require_one_unit(first: xr.Dataset, other: xr.Dataset, name: str) -> None:
    ours, theirs = (str(one[name].attrs.get("units", "")) for one in (first, other))
    if ours != theirs:
        raise DatasetError(
            f"hold '{name}' in {ours!r} and {theirs!r}.",
            where=f"{_source(first)} and {_source(other)}",
            remedy="Open frames in one unit together.",
        )


def _mixed(first: xr.Dataset, other: xr.Dataset, verb: str, ours: Any, theirs: Any) -> DatasetError:
    apart = sorted(set(map(str, ours)) ^ set(map(str, theirs)))
    files = [_source(one) for one in (first, other)]
    return DatasetError(
        f"{verb} different things: {', '.join(apart)} only one of them.",
        where=f"{files[0]} and {files[1]}",
        remedy="Open frames that one program wrote in one way together; a run tells less of frames that it "
        "could not use.",
    )


def _along_frame(parts: list[xr.Variable]) -> xr.Variable:
    array = Stacked(parts)
    lazily: Any = indexing  # its classes are not typed; wrapped as `xarray.open_dataset` does
    kept = lazily.MemoryCachedArray(lazily.LazilyIndexedArray(array))
    return xr.Variable(parts[0].dims, lazily.CopyOnWriteArray(kept), parts[0].attrs)
