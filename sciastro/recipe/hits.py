"""Cosmic rays of single frames (optional): found in pass 1, remembered by position, masked in pass 2."""

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.cosmic import CosmicOptions, clean_cosmics
from sciastro.core.quality import Quality

__all__ = ["find_hits", "mark_hits"]

Plane = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]


def find_hits(
    signal: Plane, quality: Bits, sky: float, noise: float, cfa: str, options: CosmicOptions
) -> npt.NDArray[np.int64]:
    """Return the flat indices of pixels hit by cosmic rays; none where the step is not enabled.

    Parameters
    ----------
    signal, quality
        Calibrated frame (y, x) [electron], bits.
    sky, noise
        Background level and its 1-sigma noise [electron]; with the shot noise of what stands above the
        sky they make the variance that the search works with.
    cfa
        Color filter array, empty for mono.
    """
    if not options.enabled:
        return np.empty(0, np.int64)
    variance = np.float32(noise**2) + np.maximum(signal - np.float32(sky), np.float32(0))
    _, _, bits = clean_cosmics(signal, variance, quality, cfa=cfa, options=options)
    return np.flatnonzero(bits & int(Quality.COSMIC_RAY)).astype(np.int64)


def mark_hits(quality: Bits, y0: int, x0: int, hits: npt.NDArray[np.int64], width: int) -> None:
    """Set COSMIC_RAY in a window of a frame, in place.

    Parameters
    ----------
    quality
        Window (rows, columns) that begins at row `y0`, column `x0` of the frame.
    hits
        Flat indices in the whole frame.
    width
        Columns of the whole frame.
    """
    y, x = hits // width - y0, hits % width - x0
    inside = (y >= 0) & (y < quality.shape[0]) & (x >= 0) & (x < quality.shape[1])
    quality[y[inside], x[inside]] |= np.uint16(Quality.COSMIC_RAY)
