"""Directions on the sky as unit vectors."""

import numpy as np
import numpy.typing as npt

__all__ = ["unit_vectors"]


def unit_vectors(ra: npt.ArrayLike, dec: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return unit vectors (..., 3) of directions [deg]; NaN for those that are unknown."""
    a, d = np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64))
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)
