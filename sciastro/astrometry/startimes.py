"""Barycentric times of many stars in the same frames: each direction has its own light time.

The light time of a direction n is ``r . n / c``, linear in n, so three of `timing.light_travel_time`, along
the axes, give that of every star; r is the place of the observer from the barycenter.
"""

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.timing import Site, light_travel_time
from sciastro.core.directions import unit_vectors
from sciastro.core.timescales import DAY

__all__ = ["star_times"]

Floats = npt.NDArray[np.float64]


def star_times(time: npt.ArrayLike, bjd: Floats, ra: Floats, dec: Floats, site: Site | None = None) -> Floats:
    """Return BJD_TDB (star, time) [d] from that of star 0.

    Parameters
    ----------
    time, bjd
        (time) mid-exposure, UTC; BJD_TDB for the direction of star 0 [d].
    ra, dec
        (star) ICRS [deg].
    site
        That `bjd` was made with.
    """
    axes = np.column_stack([light_travel_time(time, a, d, site) for a, d in ((0, 0), (90, 0), (0, 90))])
    n = unit_vectors(ra, dec)
    return np.asarray(bjd[None, :] + (n - n[:1]) @ axes.T / DAY)
