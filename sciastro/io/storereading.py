"""Read a ``frames.h5`` (`io.store`): its groups lazily, its texts, and where its raw pixels lie."""

from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from sciastro.errors import FileError
from sciastro.io.rawblock import RawBlock
from sciastro.io.rollback import reading

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["groups", "open_group", "open_raw", "root_text"]


def open_raw(path: Path, group: str) -> RawBlock:
    """Return where the raw pixels of `group` lie.

    Raises
    ------
    FileError
        If the file is not a store, or its pixels are not contiguous.
    """
    try:
        with reading(path) as file:
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
    with reading(path) as file:
        return sorted(name for name in file if isinstance(file[name], h5py.Group) and "raw" in file[name])


def root_text(path: Path, name: str) -> str:
    """Return a text attribute of the file, "" where it has none or is no HDF5 file."""
    try:
        with reading(path) as file:
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
