"""Circular orbits by the shape of a transit, and how far they are from an orbit that is known."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["KnownOrbit", "departure", "orbit"]

Floats = npt.NDArray[np.float64]
KnownOrbit = dict[str, tuple[float, float]]
"""``a_rs`` and ``inclination`` [deg], or one of them, each with its standard error."""


def orbit(k: Any, duration: Any, b: Any, period: float) -> tuple[Any, Any]:
    """Return a / Rs and inclination [deg] of circular orbits; NaN where b is beyond 1 + k.

    ``a^2 = ((1 + k)^2 - b^2) / sin^2(pi duration / period) + b^2``, ``b = a cos i`` (Winn 2010,
    arXiv:1001.2010, eq. 14, solved for a).

    Parameters
    ----------
    k, duration, b
        Rp / Rs; from first to fourth contact [d]; impact parameter.
    period
        [d]
    """
    a_rs = np.sqrt(((1 + k) ** 2 - b**2) / np.sin(np.pi * duration / period) ** 2 + b**2)
    return a_rs, np.degrees(np.arccos(np.clip(b / a_rs, 0, 1)))


def departure(known: KnownOrbit, shapes: Floats, period: float) -> Floats:
    """Return half of chi2 by which shapes (shape, 6) miss a known orbit; NaN where no orbit is so.

    Minus it is added to ln of the flat priors of the shape, as a measurement by others is: no Jacobian.
    """
    out = np.zeros(len(shapes))
    if not known:
        return out
    with np.errstate(invalid="ignore", divide="ignore"):
        a_rs, inclination = orbit(shapes[:, 1], shapes[:, 2], shapes[:, 3], period)
        for name, found in (("a_rs", a_rs), ("inclination", inclination)):
            value, err = known.get(name, (0.0, np.inf))
            out += 0.5 * ((found - value) / err) ** 2
    return out
