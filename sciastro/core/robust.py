"""Scatter that outliers do not widen."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MAD_TO_SIGMA", "mad_sigma"]

MAD_TO_SIGMA = 1.4826  # sigma of a Gaussian over its median absolute deviation, 1 / 0.67449


def mad_sigma(values: npt.NDArray[Any], center: float | None = None) -> float:
    """Return the standard deviation of a Gaussian with the median absolute deviation of `values`.

    Parameters
    ----------
    values
        Any shape, in any unit; NaN makes the result NaN.
    center
        What they deviate from; None is their median.
    """
    middle = np.median(values) if center is None else center
    return MAD_TO_SIGMA * float(np.median(np.abs(values - middle)))
