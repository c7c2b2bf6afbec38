"""Facts that tell a trailed frame from a good one.

A trailed frame has stars elongated along one direction; noise and optics elongate them along many.
Each star's shape is the two-component ellipticity ``e = (1 - q2) / (1 + q2) * (cos 2 theta, sin 2 theta)``
with q2 the squared axis ratio; its median over the stars cancels unless there is a common direction.
"""

from dataclasses import dataclass

import numpy as np

from sciastro.core.robust import MAD_TO_SIGMA
from sciastro.core.stars import StarArray

__all__ = ["Shape", "common_shape"]


@dataclass(frozen=True, slots=True)
class Shape:
    """Common elongation of the stars of a frame.

    Attributes
    ----------
    elongation
        Major over minor axis of the common shape; 1 round, NaN without stars.
    orientation
        Direction of elongation [radian], from +x toward +y, -pi/2 to pi/2; NaN without stars.
    significance
        Length of the median ellipticity over its standard error; NaN below 5 stars.
    """

    elongation: float
    orientation: float
    significance: float

    @property
    def trailed(self) -> bool:
        """Whether stars are drawn out by 30 % or more along one direction beyond doubt."""
        return self.elongation > 1.3 and self.significance > 5


def common_shape(stars: StarArray) -> Shape:
    """Return the shape that the stars have in common.

    Parameters
    ----------
    stars
        `STAR_DTYPE`, unsaturated. The bright half (all above S/N 20) counts; noise elongates faint stars
        in random directions, which cancels, at the price of a larger error.
    """
    if not stars.size:
        return Shape(float("nan"), float("nan"), float("nan"))
    q2 = 1 - stars["eccentricity"].astype(np.float64) ** 2
    size = (1 - q2) / (1 + q2)
    parts = np.array([size * np.cos(2 * stars["theta"]), size * np.sin(2 * stars["theta"])])
    bright = stars["snr"] >= min(20.0, float(np.median(stars["snr"])))
    parts = parts[:, bright]
    middle = np.median(parts, axis=1)
    length = float(np.hypot(*middle))
    spread = MAD_TO_SIGMA * np.median(np.abs(parts - middle[:, None]), axis=1)
    error = 1.2533 * float(np.hypot(*spread)) / np.sqrt(2 * parts.shape[1])
    significance = float(length / max(error, 1e-6)) if parts.shape[1] >= 5 else float("nan")
    ratio = float(np.sqrt((1 + length) / max(1 - length, 1e-6)))
    return Shape(ratio, float(0.5 * np.arctan2(middle[1], middle[0])), significance)
