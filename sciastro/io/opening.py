"""`sciastro.open`: one door to every file of ours, and to raw frames, as a labeled lazy dataset."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciastro.errors import UsageError
from sciastro.io import accessor  # noqa: F401 - registers ds.sky
from sciastro.io.store import open_group

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["open"]


def open(path: str | Path | Iterable[str | Path], group: str | None = None) -> "xr.Dataset":
    """Open a ``frames.h5``, a product, a master or a raw frame as a labeled dataset.

    Parameters
    ----------
    path
        The file. Several files of frames of one size become one dataset, one after the other along `frame`.
    group
        Group of a ``frames.h5`` (``lights_0``, ``masters/<id>``, ...); None takes the only one with frames.

    Returns
    -------
    Dataset
        Pixels lazily, facts in memory, names and units of the vocabulary; accessor ``ds.sky``.

    Raises
    ------
    FileError
        If the file cannot be read as any of these.
    DatasetError
        If several files hold frames that do not belong together, or one comes twice.
    UsageError
        If `path` is no path and no list of them.
    """
    import xarray as xr

    if not isinstance(path, str | Path):
        from sciastro.io.together import together

        return together([open(one, group) for one in _files(path)])
    target = Path(path)
    if target.suffix.lower() in (".h5", ".hdf5", ".nc"):
        return open_group(target, group)
    from sciastro.io.backend import SciastroBackend

    return xr.open_dataset(target, engine=SciastroBackend)


def _files(several: object) -> "list[str | Path]":
    files: list[Any] = list(several) if isinstance(several, Iterable) else [several]
    for one in files:
        if not isinstance(one, str | Path):
            raise UsageError(
                f"is given a {type(one).__name__}, which is no path.",
                where="sciastro.open",
                remedy="Give a path, or a list of paths.",
            )
    return files
