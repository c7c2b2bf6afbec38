"""How far the core of a star may deviate in a frame whose seeing is not that of the stack.

A star of flux F has its peak at about ``F / fwhm^2``: in a frame twice as sharp as the stack it is four
times as high, which no rule that compares samples can tell from a cosmic ray. `kernels.protect` lets samples
deviate by the range of the 5 x 5 neighborhood of the image; a star of the stack's width w shows
``1 - 2^-(32 / w^2)`` of its peak there (a Gaussian, from the middle to a corner). So frames whose stars have
another width are allowed the difference of the peaks over that share, by half as much again for profiles
that are no Gaussians.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["lenience"]

SPARE = 1.5  # times what the difference in width alone explains


def lenience(fwhm: npt.ArrayLike, scale: float = 1.0) -> npt.NDArray[np.float64]:
    """Return, per frame, the factor by which star cores may deviate more than usual.

    Parameters
    ----------
    fwhm
        Of stars on each frame [frame pixel]; NaN unknown.
    scale
        Pixels of the image per pixel of the frame.

    Returns
    -------
    ndarray
        1 for frames about as sharp as the median frame, and where widths are unknown.
    """
    width = np.asarray(fwhm, dtype=np.float64) * scale
    known = np.isfinite(width) & (width > 0)
    if not known.any():
        return np.ones(width.shape)
    typical = float(np.median(width[known]))
    shown = 1 - 2.0 ** (-32 / typical**2)
    excess = np.where(known, np.abs((typical / np.where(known, width, typical)) ** 2 - 1), 0.0)
    return np.asarray(np.maximum(SPARE * excess / shown, 1.0))
