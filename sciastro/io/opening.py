"""`sciastro.open`: one door to every file of ours, and to raw frames, as a labeled lazy dataset."""

from pathlib import Path

import xarray as xr

from sciastro.io import accessor  # noqa: F401 - registers ds.sky
from sciastro.io.store import open_group

__all__ = ["open"]


def open(path: str | Path, group: str | None = None) -> xr.Dataset:
    """Open a ``frames.h5``, a product, a master or a raw frame as a labeled dataset.

    Parameters
    ----------
    path
        The file.
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
    """
    target = Path(path)
    if target.suffix.lower() in (".h5", ".hdf5", ".nc"):
        return open_group(target, group)
    from sciastro.io.backend import SciastroBackend

    return xr.open_dataset(target, engine=SciastroBackend)
