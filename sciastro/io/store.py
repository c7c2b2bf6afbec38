"""``frames.h5``: the session as one netCDF-4/HDF5 file that any tool opens.

Layout: one group per detector geometry (``lights_0``, ...) with ``raw`` (frame, y, x) as read and
the per-frame facts as coordinates; one group per master (``masters/<id>``). Pixels lie contiguously,
so a frame, and a band of rows of a frame, is one read; they are written and read with positioned
system calls at the offset that HDF5 tells, without its global lock and without mapping pages into
the process.

Crash safety. Space for all pixels is allocated before the first one is written, so writing pixels
changes no HDF5 metadata: a crash leaves a valid file. Everything else goes through `updating`
(`io.rollback`), which restores the old state after one.
"""

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5netcdf
import h5py
import numpy as np

from sciastro.core.quality import flag_attributes
from sciastro.core.vocabulary import RAW, VariableSpec
from sciastro.errors import OutputError
from sciastro.io.paths import output_error
from sciastro.io.rawblock import RawBlock, descriptor_of
from sciastro.io.rollback import journal_of, recover, updating
from sciastro.io.storereading import groups, open_group, open_raw, root_text

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "RawBlock",
    "StoreGroup",
    "create",
    "groups",
    "open_group",
    "open_raw",
    "recover",
    "root_text",
    "updating",
    "write_columns",
    "write_facts",
    "write_planes",
]

SCHEMA = 1
TIME_UNIT, NO_TIME = "microseconds since 1970-01-01", np.iinfo(np.int64).min


@dataclass(frozen=True, kw_only=True)
class StoreGroup:
    """What to allocate for one detector geometry.

    Attributes
    ----------
    name
        HDF5 group.
    shape
        Frames, rows, columns.
    dtype
        Of the pixels as read.
    facts
        Per-frame coordinates (dim `frame` only): a dataset, or plain columns under the words that they mean,
        which spare a run that begins loading xarray.
    linked
        Make no room for pixels: they stay in the files they came in (`io.linked`).
    """

    name: str
    shape: tuple[int, int, int]
    dtype: np.dtype
    facts: "xr.Dataset | dict[VariableSpec, np.ndarray]"
    linked: bool = False


def create(path: Path, layout: Sequence[StoreGroup], attrs: Mapping[str, str]) -> None:
    """Write a new store with space for all pixels; the old file is replaced at the end, not before.

    Parameters
    ----------
    path
        The ``frames.h5`` to make.
    layout
        Groups to allocate.
    attrs
        Texts for the root group.

    Raises
    ------
    OutputError
        If the file cannot be written, or the disk has not room for the pixels.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        layout = list(layout)
        copied = [group for group in layout if not group.linked]
        needed = sum(int(np.prod(group.shape)) * group.dtype.itemsize for group in copied)
        free = os.statvfs(path.parent).f_bavail * os.statvfs(path.parent).f_frsize
        if needed > free:
            raise OutputError(
                f"needs {needed / 1e6:,.1f} MB and the disk has {free / 1e6:,.1f} MB free.",
                where=str(path),
                remedy="Free some space, choose another --out, or leave raw pixels in place: --raw link.",
            )
        with h5netcdf.File(temporary, "w") as file:
            file.attrs.update({"Conventions": "CF-1.10", "sciastro_schema": SCHEMA, **attrs})
            for group in layout:
                _allocate(file, group)
                if isinstance(group.facts, dict):
                    _write_columns(file[group.name], group.facts)
        for group in layout:
            if not isinstance(group.facts, dict):
                _write_facts(temporary, group.name, group.facts)
        _reserve(temporary, copied)
        temporary.replace(path)
        journal_of(path).unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:  # HDF5 tells a full disk by either
        raise output_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def _allocate(file: h5netcdf.File, group: StoreGroup) -> None:
    target = file.create_group(group.name)
    target.dimensions = dict(zip(RAW.dims, group.shape, strict=True))
    if group.linked:
        return
    raw = target.create_variable("raw", RAW.dims, group.dtype)
    raw.attrs.update({"units": RAW.unit, "long_name": RAW.meaning})
    if group.shape[0]:
        raw[-1, -1, -1] = 0  # makes HDF5 give the contiguous block its place in the file


def _write_columns(
    target: h5netcdf.Group,
    columns: Mapping[VariableSpec, np.ndarray],
    details: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Write `columns` as xarray would write the same coordinates of a dataset."""
    for spec, column in columns.items():
        attrs = {"long_name": spec.meaning} | ({"units": spec.unit} if spec.unit else {})
        for name, size in zip(spec.dims, column.shape, strict=True):
            if name not in target.dimensions:
                target.dimensions[name] = size
        data, dtype, fill = column, column.dtype, np.nan if column.dtype.kind == "f" else None
        if dtype.kind == "M":
            data, dtype, fill = column.astype("M8[us]").view(np.int64), np.dtype(np.int64), NO_TIME
            attrs |= {"units": TIME_UNIT, "calendar": "proleptic_gregorian", "scale": "utc"}
        elif dtype.kind == "b":
            data, dtype = column.astype(np.int8), np.dtype(np.int8)
            attrs |= {"dtype": "bool"}
        elif dtype.kind == "O":
            dtype = h5py.string_dtype()
        variable = target.create_variable(spec.name, spec.dims, dtype, data=data, fillvalue=fill)
        if fill is not None:
            variable.attrs["_FillValue"] = np.asarray([fill], dtype)
        variable.attrs.update(attrs | dict((details or {}).get(spec.name, {})))
    target.attrs["coordinates"] = " ".join(sorted(spec.name for spec in columns))


def _reserve(path: Path, layout: Sequence[StoreGroup]) -> None:
    """Ask the file system for the blocks now, so that a full disk shows here and not half-way.

    Where neither the system (macOS) nor the file system can promise space, the check of free space must do.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    for group in layout:
        block = open_raw(path, group.name)
        length = int(np.prod(group.shape)) * group.dtype.itemsize
        if length == 0:
            continue
        with descriptor_of(path, os.O_RDWR) as descriptor:
            try:
                os.posix_fallocate(descriptor, block.offset, length)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # cannot promise space
                    raise


def _write_facts(path: Path, group: str, facts: "xr.Dataset") -> None:
    from xarray.backends import H5NetCDFStore

    encoding = {
        name: {
            "units": TIME_UNIT,
            "dtype": "int64",
            "_FillValue": NO_TIME,
        }
        for name, variable in facts.variables.items()
        if variable.dtype.kind == "M"
    }
    # What `to_netcdf` does, without asking dask for its scheduler, for which it loads all of distributed.
    target = H5NetCDFStore.open(str(path), mode="a", group=group, lock=False)
    try:
        facts.dump_to_store(target, encoding=encoding)
    finally:
        target.close()


def write_facts(path: Path, group: str, facts: "xr.Dataset") -> None:
    """Add or replace per-frame coordinates and attributes of `group`, all or nothing.

    Raises
    ------
    OutputError
        If the disk is full or the file not writable; the old state stays.
    """
    with updating(path):
        _delete(path, [f"{group}/{name}" for name in facts.variables])
        _write_facts(path, group, facts)


def write_columns(
    path: Path,
    group: str,
    columns: Mapping[VariableSpec, np.ndarray],
    attrs: Mapping[str, str],
    details: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Do what `write_facts` does, with plain columns and texts; a third of the time.

    `details` holds further attributes of columns, by name.

    Raises
    ------
    OutputError
        If the disk is full or the file not writable; the old state stays.
    """
    with updating(path):
        _delete(path, [f"{group}/{spec.name}" for spec in columns])
        with h5netcdf.File(path, "a") as file:
            _write_columns(file[group], columns, details)
            file[group].attrs.update(attrs)


def write_planes(
    path: Path, group: str, planes: Mapping[str, tuple[np.ndarray, str]], attrs: Mapping[str, str]
) -> None:
    """Write two-dimensional planes (for instance a master) as a group, all or nothing.

    Parameters
    ----------
    planes
        Name to (array (y, x), unit).
    """
    with updating(path):
        _delete(path, [group])
        with h5netcdf.File(path, "a") as file:
            _add_planes(file, group, planes, attrs)


def _delete(path: Path, names: Sequence[str]) -> None:
    """Remove names in a session of its own: HDF5 then cannot reuse space that a rollback may need."""
    with h5py.File(path, "r+") as file:
        for name in names:
            if name in file:
                del file[name]


def _add_planes(
    file: h5netcdf.File, group: str, planes: Mapping[str, tuple[np.ndarray, str]], attrs: Mapping[str, str]
) -> None:
    target = file.create_group(group)
    height, width = next(iter(planes.values()))[0].shape
    target.dimensions = {"y": height, "x": width}
    for name, (data, unit) in planes.items():
        # At once: pixels that wait for the end of the file would meet a full disk where HDF5 cannot tell it.
        # Zeros everywhere need no room: they are what HDF5 reads where nothing was written.
        content = None if data.strides == (0, 0) and not data.flat[0] else data
        variable = target.create_variable(name, ("y", "x"), data.dtype, data=content)
        variable.attrs["units"] = unit
        if name == "quality":
            variable.attrs.update(flag_attributes())
    target.attrs.update(dict(attrs))
