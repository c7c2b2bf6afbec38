"""What a plate solver that is not ours is asked: star positions, and what is known of the place."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sciastro.errors import SolveError

__all__ = ["PlateQuery"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlateQuery:
    """Stars of an image, brightest first, and what bounds the search.

    Attributes
    ----------
    x, y
        (star) [pixel]; the center of the first pixel is (0, 0).
    flux
        (star) any unit.
    shape
        Rows and columns.
    scale_low, scale_high
        Bounds of the pixel scale [arcsec / pixel], None unknown.
    ra, dec, radius
        Circle that holds the center of the image [deg, ICRS], None unknown.
    """

    x: Floats
    y: Floats
    flux: Floats
    shape: tuple[int, int]
    scale_low: float | None = None
    scale_high: float | None = None
    ra: float | None = None
    dec: float | None = None
    radius: float | None = None

    def __post_init__(self) -> None:
        """Refuse what nobody can solve."""
        if len(self.x) < 4:
            raise SolveError(
                f"holds {len(self.x)} stars, and a pattern needs four.",
                where="star list",
                remedy="Lower the detection threshold, or solve a longer exposure.",
            )

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the scale's bounds [arcsec / pixel], wide ones where nothing is known."""
        width = self.shape[1]
        low = 0.1 * 3600 / width if self.scale_low is None else self.scale_low
        high = 180 * 3600 / width if self.scale_high is None else self.scale_high
        return low, high

    def brightest(self, most: int) -> "PlateQuery":
        """Return the query with at most that many stars."""
        return replace(self, x=self.x[:most], y=self.y[:most], flux=self.flux[:most])

    def digest(self) -> str:
        """Return a name of this very question: stars to 0.001 pixel, shape and bounds."""
        made = hashlib.sha256()
        made.update(np.round(np.stack([self.x, self.y]), 3).tobytes())
        made.update(repr((self.shape, self.bounds, self.ra, self.dec, self.radius)).encode())
        return made.hexdigest()[:24]
