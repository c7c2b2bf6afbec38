"""Stars on the move: straight motion in space, seen from the Sun, without radial velocity."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["moved_vectors", "places_of"]

Floats: TypeAlias = npt.NDArray[np.float64]

_MAS = 3_600_000.0  # mas in a degree


def moved_vectors(
    ra: Floats, dec: Floats, pm_ra_cosdec: Floats, pm_dec: Floats, years: npt.ArrayLike
) -> Floats:
    """Return where stars are `years` later, as vectors (star, 3) of about unit length.

    Parameters
    ----------
    ra, dec
        (star,), now [deg].
    pm_ra_cosdec, pm_dec
        (star,) [mas / yr]; NaN is unknown, and such a star stays where it is.
    years
        (star,), or one number.
    """
    a, d = np.radians(ra), np.radians(dec)
    east, north = (np.radians(np.nan_to_num(pm) / _MAS) * years for pm in (pm_ra_cosdec, pm_dec))
    sin_ra, cos_ra, sin_dec, cos_dec = np.sin(a), np.cos(a), np.sin(d), np.cos(d)
    # ESA 1997, vol. 1, sect. 1.2.8: u + t * du/dt.
    x = cos_dec * cos_ra - east * sin_ra - north * sin_dec * cos_ra
    y = cos_dec * sin_ra + east * cos_ra - north * sin_dec * sin_ra
    z = sin_dec + north * cos_dec
    return np.stack([x, y, z], axis=-1)


def places_of(vectors: Floats) -> tuple[Floats, Floats]:
    """Return right ascension (0 to 360) and declination [deg] of vectors (star, 3)."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))
