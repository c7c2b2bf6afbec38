"""Match sources to catalog stars, each to at most one, and leave out what a neighbor could spoil."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from astropy.table import Table

from sciastro.core.directions import unit_vectors
from sciastro.core.tables import column_numbers, numbers_if_there

__all__ = ["Matches", "match_catalog"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Matches:
    """Pairs of rows.

    Attributes
    ----------
    source, star
        int64 (pair), rows of the two tables; every row at most once.
    distance
        float64 (pair) [arcsec].
    lonely
        bool (pair), no second source or comparable star nearby: fit for calibration.
    """

    source: npt.NDArray[np.int64]
    star: npt.NDArray[np.int64]
    distance: Floats
    lonely: npt.NDArray[np.bool_]


def _vectors(table: "Table") -> Floats:
    return unit_vectors(column_numbers(table, "ra"), column_numbers(table, "dec"))


def match_catalog(
    sources: "Table", catalog: "Table", radius: float, *, reach: float = 2.0, faint: float = 3.0
) -> Matches:
    """Match each source with the nearest catalog star whose nearest source it is.

    Parameters
    ----------
    sources, catalog
        ``ra``, ``dec`` [deg], ICRS at the same epoch; NaN never matches. ``mag`` of the catalog, where it
        has one, decides whether a second star is bright enough to matter.
    radius
        Largest distance of a match [arcsec].
    reach
        A second source or star within this many radii makes a match not lonely.
    faint
        A second catalog star that is this much fainter does not count [mag].
    """
    from scipy.spatial import cKDTree

    there, here = _vectors(catalog), _vectors(sources)
    star_rows = np.flatnonzero(np.isfinite(there).all(axis=-1))
    source_rows = np.flatnonzero(np.isfinite(here).all(axis=-1))
    if len(star_rows) == 0 or len(source_rows) == 0:
        empty = np.empty(0, np.int64)
        return Matches(source=empty, star=empty.copy(), distance=np.empty(0), lonely=np.empty(0, bool))
    stars, points = cKDTree(there[star_rows]), cKDTree(here[source_rows])
    chord = 2 * np.sin(np.deg2rad(radius / 3600) / 2)
    distance, star = stars.query(here[source_rows], distance_upper_bound=chord)
    _, back = points.query(there[star_rows], distance_upper_bound=chord)
    near = np.flatnonzero(np.isfinite(distance))
    mutual = near[back[star[near]] == near]
    around = reach * chord
    alone = np.array(
        [len(found) == 1 for found in points.query_ball_point(here[source_rows][mutual], around)], bool
    )
    mag = numbers_if_there(catalog, "mag")[star_rows]
    for k, found in enumerate(stars.query_ball_point(here[source_rows][mutual], around)):
        own = star[mutual[k]]
        rivals = [s for s in found if s != own and not mag[s] > mag[own] + faint]
        alone[k] &= not rivals
    return Matches(
        source=source_rows[mutual].astype(np.int64),
        star=star_rows[star[mutual]].astype(np.int64),
        distance=np.rad2deg(2 * np.arcsin(distance[mutual] / 2)) * 3600,
        lonely=alone,
    )
