"""From Gaussian-windowed moments to the half width of real stars.

Seeing makes stars with wings (Moffat 1969, A&A 3, 455), whose moments say 10 to 25 % more than the
width at half maximum. How much grows with the window, so two windows tell the shape of the wings:
a Gaussian measures the same in both.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sciastro.kernels.windowed import NARROW, WIDE

__all__ = ["FWHM_PER_SIGMA", "half_width_factor"]

Floats = npt.NDArray[np.float64]

FWHM_PER_SIGMA = 2.3548200450309493  # of a Gaussian, 2 sqrt(2 ln 2)
# of the Moffat profiles that are tabled; those between are interpolated
BETAS = (2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 5.0, 6.5, 9.0, 14.0, 30.0)


def half_width_factor(ratio: float) -> float:
    """Return the FWHM at half maximum over that of the Gaussian with the same windowed moments.

    Parameters
    ----------
    ratio
        Width under the wide window over the width under the narrow one; 1 or less is a Gaussian,
        NaN (no stars) gives 1.
    """
    if not ratio > 1:
        return 1.0
    ratios, factors = _moffat_table()
    return float(np.interp(ratio, ratios, factors))


@lru_cache(maxsize=1)
def _moffat_table() -> tuple[Floats, Floats]:
    """Return ratio and factor of Moffat profiles, from Gaussian to beta = 2."""
    rows = [(1.0, 1.0), *(_moffat(beta) for beta in reversed(BETAS))]
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows])


def _moffat(beta: float) -> tuple[float, float]:
    half = np.sqrt(2 ** (1 / beta) - 1)  # radius of half maximum for a core radius of 1
    sigma = half * 2 / FWHM_PER_SIGMA
    for _ in range(60):  # the width that its own window returns: what `measure_stars` settles on
        before, sigma = sigma, _width(beta, NARROW * sigma)
        if abs(sigma - before) < 1e-13 * sigma:
            break
    return _width(beta, WIDE * sigma) / sigma, 2 * half / (FWHM_PER_SIGMA * sigma)


def _width(beta: float, window: float) -> float:
    r = np.linspace(0, 8 * window, 4000)
    weighted = (1 + r**2) ** -beta * np.exp(-0.5 * (r / window) ** 2)
    moment = 0.5 * np.sum(r**3 * weighted) / np.sum(r * weighted)
    return float((1 / moment - 1 / window**2) ** -0.5)
