"""Black bodies in place of stars: the light of a star of given B-V where nothing is known of the camera."""

import numpy as np
import numpy.typing as npt

from sciastro.photometry.spectra import HC_OVER_K

__all__ = ["blackbody_ratio", "temperature"]

Floats = npt.NDArray[np.float64]


def temperature(b_v: npt.ArrayLike) -> Floats:
    """Return the effective temperature [K] of B-V [mag] (Ballesteros 2012, EPL 97, 34008)."""
    color = np.asarray(b_v, dtype=np.float64)
    return np.asarray(4600 * (1 / (0.92 * color + 1.7) + 1 / (0.92 * color + 0.62)))


def blackbody_ratio(b_v: npt.ArrayLike, wavelength: float, reference: float) -> Floats:
    """Return ln of the photon rate of a black body at `wavelength` over that at `reference` [nm].

    Photons per wavelength: ``1 / (lambda^4 (exp(h c / (lambda k T)) - 1))``.
    """
    heat = temperature(b_v)
    here = -4 * np.log(wavelength) - np.log(np.expm1(HC_OVER_K / (wavelength * heat)))
    there = -4 * np.log(reference) - np.log(np.expm1(HC_OVER_K / (reference * heat)))
    return np.asarray(here - there)
