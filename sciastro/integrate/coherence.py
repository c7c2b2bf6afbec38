"""How far the frames of a stack sample the sky at the same places: what dither leaves of coarse samples.

Coarse samples repeat the spectrum of the sky at every multiple of the sampling frequency (aliases). On the
stack, the first alias of a frame has the phase ``exp(2 pi i x)`` of the position x of a stack pixel between
its samples; the stack has the weighted mean of these phases. Its length tells what is left of the errors
that one frame has: 1 without dither, about ``1 / sqrt(n)`` with n frames dithered at random.
"""

import numpy as np
import numpy.typing as npt

from sciastro.integrate.noise import Sampled

__all__ = ["at_random", "coherence"]

Floats = npt.NDArray[np.float64]


def coherence(sampled: Sampled, weight: npt.ArrayLike) -> Floats:
    """Return the length of the mean phase along x, y, and both diagonals (there of half the frequency).

    Parameters
    ----------
    sampled
        Pixels of the canvas as the frames see them (`integrate.noise.sample_canvas`).
    weight
        Of each frame in the stack, times its scale.

    Returns
    -------
    ndarray
        float64 (4,), root mean square over the pixels; 1 where no frame shows any.
    """
    seen = np.isfinite(sampled.x) & np.isfinite(sampled.y)
    share = np.where(seen, np.asarray(weight, dtype=np.float64), 0.0)
    total = share.sum(axis=1)
    x, y = np.where(seen, sampled.x, 0.0), np.where(seen, sampled.y, 0.0)
    if not (total > 0).any():
        return np.ones(4)
    lengths = []
    for turns in (x, y, (x + y) / 2, (x - y) / 2):
        mean = np.sum(share * np.exp(2j * np.pi * turns), axis=1)[total > 0] / total[total > 0]
        lengths.append(np.sqrt(np.mean(np.abs(mean) ** 2)))
    return np.array(lengths)


def at_random(frames: int) -> Floats:
    """Return the coherence that is to be expected of frames dithered at random."""
    return np.full(4, 1 / np.sqrt(max(frames, 1)))
