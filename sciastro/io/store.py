"""``frames.h5``: the session as one netCDF-4/HDF5 file that any tool opens.

Layout: one group per detector geometry (``lights_0``, ...) with ``raw`` (frame, y, x) as read and
the per-frame facts as coordinates; one group per master (``masters/<id>``). Pixels lie contiguously,
so a frame, and a band of rows of a frame, is one read; they are written and read with positioned
system calls at the offset that HDF5 tells, without its global lock and without mapping pages into
the process.

Crash safety. Space for all pixels is allocated before the first one is written, so writing pixels
changes no HDF5 metadata: a crash leaves a valid file. Everything else goes through `updating`, which
first saves all bytes that are not pixels into a rollback journal beside the file; whoever opens the
file next restores the old state if the journal is still there.
"""

import contextlib
import errno
import json
import mmap
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5netcdf
import h5py
import numpy as np

from sciastro.core.quality import flag_attributes
from sciastro.core.vocabulary import RAW, VariableSpec
from sciastro.errors import FileError, OutputError
from sciastro.io.paths import output_error
from sciastro.io.placing import put

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

LARGE = 1 << 16  # bytes; a contiguous dataset above this is pixels, which the journal leaves out
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


@dataclass(frozen=True)
class RawBlock:
    """Pixels of one group, read and written by position.

    Attributes
    ----------
    path
        The HDF5 file.
    offset
        First byte of the pixels.
    shape, dtype
        Frames, rows, columns and dtype (native byte order).
    """

    path: Path
    offset: int
    shape: tuple[int, int, int]
    dtype: np.dtype

    def rows(self, frame: int, first: int, last: int) -> np.ndarray:
        """Return rows `first` to `last` (exclusive) of `frame`, shape (rows, x)."""
        _, height, width = self.shape
        out = np.empty((last - first, width), self.dtype)
        start = self.offset + (frame * height + first) * width * self.dtype.itemsize
        view = _bytes_of(out)
        with _descriptor(self.path, os.O_RDONLY) as descriptor:
            done = 0
            while done < len(view):
                count = os.preadv(descriptor, [view[done:]], start + done)
                if count == 0:
                    raise FileError(
                        "ends before its pixels do.",
                        where=str(self.path),
                        remedy="Run again without --resume.",
                    )
                done += count
        return out

    def write(self, frame: int, pixels: np.ndarray, *, once: bool = False) -> None:
        """Write all pixels of `frame`; `pixels` must have the block's shape and dtype.

        `once`: nobody will read them soon, so that the system need not keep them in its memory.
        """
        if pixels.shape != self.shape[1:] or pixels.dtype != self.dtype:
            raise FileError(
                f"has {pixels.shape} {pixels.dtype}, and the store holds {self.shape[1:]} {self.dtype}.",
                where=f"frame {frame}",
                remedy="This frame belongs into another group.",
            )
        start = self.offset + frame * int(np.prod(self.shape[1:])) * self.dtype.itemsize
        try:
            with _descriptor(self.path, os.O_WRONLY) as descriptor:
                put(descriptor, start, _bytes_of(np.ascontiguousarray(pixels)), once=once)
        except OSError as error:
            raise output_error(error, self.path) from error


def _bytes_of(array: np.ndarray) -> memoryview:
    """Return the memory of a contiguous `array`, writable where the array is."""
    return memoryview(array.reshape(-1).view(np.uint8).data)


@contextlib.contextmanager
def _descriptor(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


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
                f"needs {needed / 1e9:.2f} GB and the disk has {free / 1e9:.2f} GB free.",
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
        _journal(path).unlink(missing_ok=True)
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
        with _descriptor(path, os.O_RDWR) as descriptor:
            try:
                os.posix_fallocate(descriptor, block.offset, length)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # cannot promise space
                    raise


def open_raw(path: Path, group: str) -> RawBlock:
    """Return where the raw pixels of `group` lie.

    Raises
    ------
    FileError
        If the file is not a store, or its pixels are not contiguous.
    """
    try:
        with _reading(path) as file:
            raw = file[group]["raw"]
            offset = raw.id.get_offset()
            shape, dtype = raw.shape, raw.dtype
    except (OSError, KeyError) as error:
        raise FileError(
            f"is not a sciastro store ({error}).", where=str(path), remedy="Run `sciastro reduce` again."
        ) from error
    if offset is None and shape[0]:
        raise FileError(
            "has chunked pixels.", where=f"{path}:{group}/raw", remedy="Run `sciastro reduce` again."
        )
    return RawBlock(path, int(offset or 0), shape, dtype)


def groups(path: Path) -> list[str]:
    """Return the names of the groups that hold raw frames."""
    with _reading(path) as file:
        return sorted(name for name in file if isinstance(file[name], h5py.Group) and "raw" in file[name])


def root_text(path: Path, name: str) -> str:
    """Return a text attribute of the file, "" where it has none or is no HDF5 file."""
    try:
        with _reading(path) as file:
            return str(file.attrs.get(name, ""))
    except OSError:
        return ""


def open_group(path: Path, group: str | None = None, *, rows: int = 256) -> "xr.Dataset":
    """Open one group lazily, in bands of `rows`.

    Parameters
    ----------
    path
        A ``frames.h5``.
    group
        Its name; None takes the only one.
    rows
        Chunk height of ``raw``.

    Returns
    -------
    Dataset
        ``raw`` [adu, (frame, y, x)] lazily; per-frame coordinates in memory.

    Raises
    ------
    FileError
        If the file is no store, or holds several groups and none is named.
    """
    import xarray as xr

    if not path.is_file():
        raise FileError(
            "does not exist.", where=str(path), remedy="Name a frames.h5 that `sciastro reduce` wrote."
        )
    try:
        names = groups(path)
    except OSError as error:
        raise FileError(
            f"is not an HDF5 file ({error}).", where=str(path), remedy="Name a frames.h5."
        ) from error
    if group is None:
        if len(names) != 1:
            raise FileError(
                f"holds {len(names)} groups of frames ({', '.join(names)}).",
                where=str(path),
                remedy="Name one of them as `group`.",
            )
        group = names[0]
    if group not in names and not group.startswith("masters/"):
        raise FileError(f"has no group '{group}'.", where=str(path), remedy=f"It has: {', '.join(names)}.")
    ds = xr.open_dataset(path, engine="h5netcdf", group=group, chunks={"frame": 1, "y": rows, "x": -1})
    facts = [name for name in ds.variables if "y" not in ds[name].dims]
    return ds.assign_coords({name: ds[name].load() for name in facts})


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


def _journal(path: Path) -> Path:
    return path.with_name(f"{path.name}-journal")


_LOCK = threading.RLock()


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[h5py.File]:
    """Open the file to read, after any update by another thread and after undoing one that crashed."""
    with _LOCK:
        recover(path)
        with h5py.File(path, "r") as file:
            yield file


@contextlib.contextmanager
def updating(path: Path) -> Iterator[None]:
    """Change the file inside this context; on any failure, now or by a crash, the old state comes back.

    Raises
    ------
    OutputError
        For a full disk or missing permission.
    """
    with _LOCK:
        recover(path)
        journal = _journal(path)
        try:
            _save(path, journal)
            yield
            _settle(path)
        except BaseException as error:  # an interrupt must leave the old state too; all is raised again
            recover(path)
            if isinstance(error, OSError):
                raise output_error(error, path) from error
            if isinstance(error, RuntimeError) and "errno = " in str(error):  # HDF5 on a full disk
                raise output_error(error, path) from error
            raise
        journal.unlink()


def _save(path: Path, journal: Path) -> None:
    size = path.stat().st_size
    regions = _outside(_pixel_regions(path), size)
    temporary = journal.with_name(f".{journal.name}.new")
    try:
        with temporary.open("wb") as out, path.open("rb") as source:
            head = json.dumps({"size": size, "regions": regions}).encode()
            out.write(len(head).to_bytes(8, "little") + head)
            for start, length in regions:
                source.seek(start)
                out.write(source.read(length))
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(journal)
    finally:
        temporary.unlink(missing_ok=True)


def _settle(path: Path) -> None:
    """Wait until all bytes that are not pixels are on the disk.

    Pixels are left to the operating system, which writes them while the run goes on: waiting for them
    here would halt it for seconds, and no other byte's meaning depends on them.
    """
    page = mmap.ALLOCATIONGRANULARITY
    with path.open("r+b") as file:
        for start, length in _outside(_pixel_regions(path), path.stat().st_size):
            first = start // page * page
            with mmap.mmap(file.fileno(), start + length - first, offset=first) as view:
                view.flush()  # msync: flushes this range alone, and the metadata of the file


def _pixel_regions(path: Path) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []

    def visit(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks is None and item.id.get_storage_size() > LARGE:
            offset = item.id.get_offset()
            if offset is not None:
                found.append((int(offset), int(item.id.get_storage_size())))

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return sorted(found)


def _outside(regions: list[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Return the complement of `regions` in a file of `size` bytes."""
    gaps, position = [], 0
    for start, length in regions:
        if start > position:
            gaps.append((position, start - position))
        position = max(position, start + length)
    if size > position:
        gaps.append((position, size - position))
    return gaps


def recover(path: Path) -> bool:
    """Undo an update that a crash cut short; return whether there was one."""
    journal = _journal(path)
    with _LOCK:  # another thread may be in the midst of an update, whose journal must stay
        if not journal.exists():
            return False
        with journal.open("rb") as source, path.open("r+b") as target:
            head = json.loads(source.read(int.from_bytes(source.read(8), "little")))
            for start, length in head["regions"]:
                target.seek(start)
                target.write(source.read(length))
            target.truncate(head["size"])
            target.flush()
            os.fsync(target.fileno())
        journal.unlink()
        return True
