"""Frames of packed files, unpacked once to the work folder, for masters whose frames do not fit into memory.

A master is combined band by band; a camera raw, a gzip file or a compressed XISF can only be unpacked whole,
and would be unpacked again for each band.
"""

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sciastro.errors import FileError
from sciastro.io.paths import safe_name
from sciastro.recipe.context import Context

__all__ = ["scratch", "unpack"]

log = logging.getLogger(__name__)

Pixels = npt.NDArray[np.generic]
Rows = Callable[[int, int], Pixels]


@contextmanager
def scratch(context: Context, name: str) -> Iterator[Path]:
    """Yield a folder (not made yet) for unpacked frames; it is removed when the block ends."""
    folder = context.work / f"unpacked-{safe_name(name)}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unpack(whole: Pixels, name: str, folder: Path) -> Rows | None:
    """Write the pixels of a frame into `folder`, and return a reader of its rows.

    Parameters
    ----------
    whole
        All rows, as stored, (y, x).
    name
        Of the frame, unique within the folder.

    Returns
    -------
    Rows or None
        None where the disk does not take it; the caller then reads the file again.
    """
    file = folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.pixels"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        np.ascontiguousarray(whole).tofile(file)
    except OSError as error:
        log.info("%s is not kept unpacked: %s", name, error)
        with suppress(OSError):  # what is in the way is not ours
            file.unlink(missing_ok=True)
        return None
    width, dtype = whole.shape[1], whole.dtype

    def rows(first: int, last: int) -> Pixels:
        count = (last - first) * width
        try:
            got = np.fromfile(file, dtype, count, offset=first * width * dtype.itemsize)
        except OSError as error:
            raise FileError(f"cannot be read again: {error}.", where=name, remedy="Run again.") from error
        if got.size != count:
            raise FileError("was changed while the run was on.", where=name, remedy="Run again.")
        return got.reshape(last - first, width)

    return rows
