"""Look at a few rows of every flat: saturated, black, too bright, too dim, or good."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.errors import FileError
from sciastro.io.framefacts import FrameFacts
from sciastro.io.reader import open_rows, probe
from sciastro.recipe.session import Session

__all__ = ["FlatLevel", "ReadRows", "flat_levels", "read_rows_of"]

ReadRows = Callable[[FrameFacts, int, int], npt.NDArray[np.generic]]
"""``read_rows(frame, first, last)`` returns the rows ``first <= y < last`` [as stored]."""

BANDS = 9
"""Bands of two rows that are looked at: 18 rows, both rows of a color array in each."""

GOOD = (0.3, 0.6)
"""Range of a good level, as a fraction of full scale."""

ALWAYS_SATURATED = 0.95  # of full scale: the median of the rows
PILED_UP = 0.005  # of the pixels at the highest value: the converter or the well ends there
BLACK = 0.005  # of full scale over the bias: no light fell in


@dataclass(frozen=True, slots=True)
class FlatLevel:
    """What a few rows of a flat say.

    Attributes
    ----------
    frame
        The flat.
    level
        Median [adu]; NaN where nothing could be read.
    fraction
        Level over full scale.
    verdict
        "good", "low", "high", "saturated", "black" or "unreadable".
    """

    frame: FrameFacts
    level: float
    fraction: float
    verdict: str

    @property
    def usable(self) -> bool:
        """Whether a master flat may be made of it."""
        return self.verdict in {"good", "low", "high"}


def read_rows_of(session: Session) -> ReadRows:
    """Return a function that reads rows of the session's frames from their files."""

    def read_rows(frame: FrameFacts, first: int, last: int) -> npt.NDArray[np.generic]:
        images = probe(session.path(frame))
        return open_rows(next(image for image in images if image.hdu == frame.hdu))(first, last)

    return read_rows


def full_scale(frame: FrameFacts) -> float:
    """Return the highest value that a pixel of `frame` can have [as stored]."""
    if frame.saturation is not None:
        return frame.saturation / frame.adu_per_unit
    dtype = np.dtype(frame.dtype)
    if dtype.kind in "iu" and dtype.itemsize <= 2:
        return float(np.iinfo(dtype).max)
    return 65535.0 / frame.adu_per_unit


def _sample(frame: FrameFacts, read_rows: ReadRows) -> npt.NDArray[np.float64]:
    rows = frame.shape[0]
    starts = np.unique(np.linspace(0, max(rows - 2, 0), BANDS).astype(int) // 2 * 2)
    bands = [
        np.asarray(read_rows(frame, int(start), min(int(start) + 2, rows)), np.float64) for start in starts
    ]
    values = np.concatenate([band.ravel() for band in bands])
    return np.asarray(values[np.isfinite(values)], np.float64)


def flat_levels(
    flats: Iterable[FrameFacts], read_rows: ReadRows, *, zero_frames: Sequence[FrameFacts] = ()
) -> tuple[FlatLevel, ...]:
    """Return the level of each of `flats`.

    Parameters
    ----------
    flats
        The frames to look at.
    read_rows
        Reads rows of a frame.
    zero_frames
        Bias or dark-flat frames; the first three that can be read and have the flat's size tell the level of
        zero light, without which only a flat near 0 counts as black.
    """
    zeros = {
        shape: _zero_level(zero_frames, shape, read_rows) for shape in {frame.shape for frame in zero_frames}
    }
    return tuple(_level(frame, read_rows, zeros.get(frame.shape, 0.0)) for frame in flats)


def _zero_level(frames: Sequence[FrameFacts], shape: tuple[int, int], read_rows: ReadRows) -> float:
    levels = []
    for frame in [frame for frame in frames if frame.shape == shape][:3]:
        try:
            values = _sample(frame, read_rows)
        except FileError:  # the master's own reading reports it
            continue
        if values.size:
            levels.append(float(np.median(values)))
    return float(np.median(levels)) if levels else 0.0


def _level(frame: FrameFacts, read_rows: ReadRows, zero: float) -> FlatLevel:
    try:
        values = _sample(frame, read_rows)
    except FileError:
        return FlatLevel(frame, float("nan"), float("nan"), "unreadable")
    if not values.size:
        return FlatLevel(frame, float("nan"), float("nan"), "unreadable")
    scale, level, top = full_scale(frame), float(np.median(values)), float(values.max())
    fraction = level / scale
    piled = float(np.mean(values >= top)) > PILED_UP and top > 0.2 * scale and top > np.percentile(values, 5)
    if level >= ALWAYS_SATURATED * scale or piled:
        verdict = "saturated"
    elif level - zero < BLACK * scale:
        verdict = "black"
    else:
        verdict = "low" if fraction < GOOD[0] else "high" if fraction > GOOD[1] else "good"
    return FlatLevel(frame, level, fraction, verdict)
