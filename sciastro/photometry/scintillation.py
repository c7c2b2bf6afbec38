"""Scintillation: how much the air makes a star twinkle during an exposure.

Method: Young's approximation (Young 1967, AJ 72, 747) with the coefficient measured for real atmospheres
(Osborn et al. 2015, MNRAS 452, 1707, equation 7):

``sigma2 = 1e-5 C2 D^(-4/3) t^(-1) (sec z)^3 exp(-2 h / H)``

with D [m], t [s], the height h of the site [m] and the scale height H = 8000 m of the air. C is 1 in Young's
formula, which is too low on average: the medians of six observatories (their table 1) lie between 1.30 (La
Palma) and 1.67 (San Pedro Martir), quartiles between 1.02 and 2.14. The default is their mean, 1.53, rounded.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.errors import OptionError

__all__ = ["ScintillationOptions", "scintillation_variance"]

Floats = npt.NDArray[np.float64]

SCALE_HEIGHT = 8000.0  # m, of the air


@dataclass(frozen=True, kw_only=True, slots=True)
class ScintillationOptions(Options):
    """What scintillation is computed from."""

    coefficient: float = option(
        1.5,
        "Strength of the turbulence; 1 is Young (1967), 1.3 to 1.7 large observatories (Osborn et al. 2015).",
        unit="m2/3 s1/2",
        low=0.0,
        high=20.0,
    )


DEFAULTS = ScintillationOptions()


def scintillation_variance(
    exposure: npt.ArrayLike,
    airmass: npt.ArrayLike,
    aperture_diameter: float,
    altitude: float = 0.0,
    *,
    comparisons: npt.ArrayLike = np.inf,
    options: ScintillationOptions = DEFAULTS,
) -> Floats:
    """Return the variance of a star's flux by scintillation, over its flux squared.

    Parameters
    ----------
    exposure
        Seconds that the light was collected; of a stack, all of them.
    airmass
        sec z; NaN gives NaN.
    aperture_diameter
        Of the telescope [m].
    altitude
        Height of the site above sea level [m].
    comparisons
        Number of comparison stars of a differential measurement, which twinkle on their own: the variance
        is that of star and mean of comparisons, ``1 + 1 / n`` times as much. Infinite: the star alone.
    options
        The coefficient.

    Returns
    -------
    ndarray
        Broadcast shape of `exposure`, `airmass` and `comparisons`; NaN where one of them is NaN.

    Raises
    ------
    OptionError
        If the diameter or an exposure is not positive, or the height is none.
    """
    seconds = np.asarray(exposure, dtype=np.float64)
    if not (np.isfinite(aperture_diameter) and aperture_diameter > 0):
        raise OptionError(
            f"is {aperture_diameter} m.", where="aperture of the telescope", remedy="Give meters, above 0."
        )
    if np.any(seconds <= 0):
        raise OptionError(
            f"is {np.nanmin(seconds)} s.", where="exposure", remedy="Give seconds, above 0; NaN is unknown."
        )
    if not np.isfinite(altitude):
        raise OptionError(
            f"is {altitude} m.", where="height of the site", remedy="Give meters; 0 is the sea."
        )
    secant = np.asarray(airmass, dtype=np.float64)
    alone = 1e-5 * options.coefficient**2 * aperture_diameter ** (-4 / 3) / seconds
    alone = alone * secant**3 * np.exp(-2 * altitude / SCALE_HEIGHT)
    return np.asarray(alone * (1 + 1 / np.asarray(comparisons, dtype=np.float64)))
