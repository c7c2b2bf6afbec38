"""Which frames made each pixel of a stack: one bit per frame, 32 to a plane, as in the drizzle package."""

import numpy as np
import numpy.typing as npt

__all__ = ["NO_CONTEXT", "PER_PLANE", "context_of", "context_planes", "made_by"]

Bits = npt.NDArray[np.uint32]

PER_PLANE = 32  # frames: bits of an integer
NO_CONTEXT = np.empty((0, 0, 0), np.uint32)


def context_planes(frames: int) -> int:
    """Return how many planes hold a bit per frame."""
    return -(-frames // PER_PLANE)


def context_of(
    values: npt.NDArray[np.float32], marks: npt.NDArray[np.uint8], numbers: npt.ArrayLike, frames: int
) -> Bits:
    """Return the bits (plane, y, x) of the frames whose sample is there and was not rejected.

    Parameters
    ----------
    values
        Samples (frame, y, x); NaN is missing.
    marks
        Not 0 where a sample was rejected (frame, y, x).
    numbers
        Which frame of the stack each of them is; bit ``number % 32`` of plane ``number // 32``.
    frames
        Frames of the stack.
    """
    out = np.zeros((context_planes(frames), *values.shape[1:]), np.uint32)
    for k, number in enumerate(np.asarray(numbers, dtype=np.intp)):
        plane, bit = divmod(int(number), PER_PLANE)
        out[plane] |= (np.isfinite(values[k]) & (marks[k] == 0)).astype(np.uint32) << np.uint32(bit)
    return out


def made_by(context: npt.NDArray[np.integer], frame: int) -> npt.NDArray[np.bool_]:
    """Return where `frame` is among those that made the pixel, bool (y, x), from (plane, y, x)."""
    plane, bit = divmod(frame, PER_PLANE)
    return np.asarray((context[plane] >> context.dtype.type(bit)) & 1 != 0)
