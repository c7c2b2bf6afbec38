"""Rows of pixels that lie in a file as they are: one way for every format that stores them unpacked."""

import numpy as np

from sciastro.errors import FileError
from sciastro.io.probe import Pixels, Placed, Probe, RowSource

__all__ = ["check_rows", "plain_rows"]


def check_rows(probe: Placed, first: int, last: int) -> None:
    """Check that an image has the rows ``first <= y < last``.

    Raises
    ------
    IndexError
        If it has not: a bug of the caller.
    """
    if not 0 <= first <= last <= probe.shape[0]:
        raise IndexError(f"rows {first}:{last} of an image with {probe.shape[0]} rows")


def plain_rows(probe: Probe, remedy: str) -> RowSource:
    """Return a function that reads bands of rows by position; it keeps no file open.

    Parameters
    ----------
    probe
        With `offset` and `stored`, and `row_bytes` where rows have margins; no scaling is applied.
    remedy
        What a user can do about a file that cannot be read.

    Raises
    ------
    ValueError
        If the pixels of `probe` do not lie in the file as they are: a bug of the caller. The function itself
        raises a `FileError` for a file that cannot be read, or ends too early.
    """
    start, stored = probe.offset, probe.stored
    if start is None or stored is None:
        raise ValueError(f"the pixels of {probe.path} are packed")
    width = probe.shape[1]
    stride = probe.row_bytes // stored.itemsize if probe.row_bytes else width

    def rows(first: int, last: int) -> Pixels:
        check_rows(probe, first, last)
        if first == last:
            return np.empty((0, width), probe.dtype)
        count = (last - first - 1) * stride + width
        try:
            got = np.fromfile(probe.path, stored, count, offset=start + first * stride * stored.itemsize)
        except OSError as error:
            raise FileError(f"cannot be read: {error}.", where=str(probe.path), remedy=remedy) from error
        if got.size != count:
            raise FileError("ended while its pixels were read.", where=str(probe.path), remedy=remedy)
        if stride == width:
            return got.reshape(last - first, width).astype(probe.dtype, copy=False)
        steps = (stride * stored.itemsize, stored.itemsize)
        return np.lib.stride_tricks.as_strided(got, (last - first, width), steps).astype(probe.dtype)

    return rows
