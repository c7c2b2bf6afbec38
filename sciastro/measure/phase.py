"""The part of a star's position error that does not shrink with its light: the pixels are too coarse.

The windowed centroid of an undersampled star depends on where in its pixel the star lies. Measured on
noise-free stars (Moffat of beta 4, integrated over pixels, any position): the scatter of one coordinate for
the width that is measured. Twice the width takes it from 1/40 to under 1/1000 of a pixel.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["phase_error"]

# Measured full width at half maximum [pixel], and scatter of a coordinate [pixel].
WIDTH = np.array([1.18, 1.40, 1.59, 1.77, 1.96, 2.14])
SCATTER = np.array([0.0267, 0.0150, 0.0053, 0.0018, 0.0006, 0.0002])


def phase_error(fwhm: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the scatter of a coordinate by the position in the pixel [pixel], for stars of `fwhm` [pixel].

    Below the narrowest width measured, its scatter; wider than the widest, 0. NaN gives 0.
    """
    width = np.asarray(fwhm, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        scatter = np.exp(np.interp(width, WIDTH, np.log(SCATTER)))
        return np.where(width <= WIDTH[-1], scatter, 0.0)
