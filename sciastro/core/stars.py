"""One star list format for measuring, solving, registering and photometry.

A numpy structured array, brightest first, so that it passes between sibling packages, threads and
files without ceremony.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["STAR_DTYPE", "StarArray", "empty_stars"]

STAR_DTYPE = np.dtype(
    [
        ("x", "f8"),  # pixel, 0-based center of the first pixel
        ("y", "f8"),
        ("x_err", "f4"),  # pixel, 1 sigma
        ("y_err", "f4"),
        ("flux", "f4"),  # electron, sky-subtracted, fixed small aperture or weighted fit
        ("flux_err", "f4"),  # electron
        ("peak", "f4"),  # electron above sky
        ("fwhm", "f4"),  # pixel
        ("eccentricity", "f4"),  # 0 round .. 1 line
        ("theta", "f4"),  # radian, position angle of the major axis from +x toward +y
        ("snr", "f4"),
        ("quality", "u2"),  # OR of Quality bits under the star's core
    ]
)

StarArray = npt.NDArray[np.void]


def empty_stars() -> StarArray:
    """Return a star list without stars."""
    return np.empty(0, dtype=STAR_DTYPE)
