"""The four phases of a Bayer mosaic, each calibrated as a plane of its own.

A superpixel of red needs a quarter of the raw pixels and one of green half of them: the phases apart,
every raw pixel is calibrated once for the three colors together, contiguous in memory, and none is
taken apart afterwards. The numbers are those of calibrating the mosaic (the same-color neighbors of a
defect are its neighbors in the phase).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.planes import Planes
from sciastro.core.cfa import phase_slices
from sciastro.core.quality import Quality
from sciastro.kernels.debayer import average_pair
from sciastro.kernels.trails import mark_trails
from sciastro.recipe.hits import mark_hits

__all__ = ["apart", "mark_phase", "mean_of_phases", "phase_of"]

Window = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.uint16]]
PLANES = ("dark", "dark_variance", "flat", "flat_variance", "defects")


def apart(planes: Planes) -> tuple[Planes, ...]:
    """Return the planes of each phase, contiguous; of odd-sized frames, the whole cells."""
    out = []
    for k in range(len(phase_slices(planes.cfa))):
        parts: dict[str, Any] = {
            name: phase_of(plane, k) for name in PLANES if (plane := getattr(planes, name)) is not None
        }
        out.append(replace(planes, cfa="", **parts))
    return tuple(out)


def phase_of(plane: npt.NDArray[np.generic], phase: int) -> npt.NDArray[np.generic]:
    """Return the pixels of one phase of a Bayer mosaic, (rows, columns) of whole cells, contiguous."""
    height, width = plane.shape[0] // 2 * 2, plane.shape[1] // 2 * 2
    return np.ascontiguousarray(plane[phase // 2 : height : 2, phase % 2 : width : 2])


def mark_phase(
    quality: npt.NDArray[np.uint16], phase: int, y0: int, x0: int,
    trails: npt.NDArray[np.float64], hits: npt.NDArray[np.int64], width: int,
) -> None:  # fmt: skip
    """Set TRAIL and COSMIC_RAY in a window of a phase that begins at its row `y0`, column `x0`, in place.

    Parameters
    ----------
    quality
        (rows, columns), changed.
    phase
        2 x row + column in the cell.
    y0, x0
        In pixels of the phase.
    trails
        (trail, 5) on raw pixels, see `measure.trails`.
    hits
        Flat indices of raw pixels in rows of `width`.
    """
    down, right = divmod(phase, 2)
    if trails.size:
        moved = (trails - np.array([right, down, right, down, 0.0])) / 2
        mark_trails(quality, y0, x0, moved, np.uint16(Quality.TRAIL))
    if hits.size:
        y, x = np.divmod(hits, width)
        own = (y % 2 == down) & (x % 2 == right)
        mark_hits(quality, y0, x0, y[own] // 2 * width + x[own] // 2, width)


def mean_of_phases(windows: Sequence[Window]) -> Window:
    """Return one window, or the mean of two (greens); the first is changed in place."""
    first = windows[0]
    if len(windows) == 2:
        average_pair(*first, *windows[1])
    return first
