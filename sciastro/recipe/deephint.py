"""Fields near a hint that the embedded catalog has too few stars for: patterns sought in a deeper one.

Reads the stars of an image, a hint, and the catalog that the user named; writes a `Solution`.
Method: the circle that the hint allows is fetched once, as deep as the image: as many stars per square degree
as it shows. `solve_field` then does with them what it does with the embedded ones.
"""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sciastro.astrometry.search import reach_of
from sciastro.astrometry.sky import Hint, within
from sciastro.astrometry.solution import Solution
from sciastro.astrometry.solve import SolveOptions, pointing_of, solve_field
from sciastro.core.wcs import center, footprint_radius, pixel_scale
from sciastro.errors import SolveError
from sciastro.recipe.deepcatalog import DeepCatalog
from sciastro.recipe.solvereading import Field
from sciastro.remote.limits import no_later_than

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["near_in_deep"]

log = logging.getLogger(__name__)

SHARE = 0.5  # of the time that is left
DEEPER = 1.5  # catalog stars for one of the image: it may be sensitive to other colors
FEWEST, MOST = 100, 50_000  # stars of the circle
WIDEST = 2.0  # degrees: larger fields have 200 stars and more of the embedded catalog, and want many tiles


def near_in_deep(
    field: Field, hint: Hint, catalog: DeepCatalog, options: SolveOptions, before: SolveError, until: float
) -> Solution:
    """Return the solution near a hint by the stars of a deeper catalog.

    Parameters
    ----------
    field, hint, options
        As for `solve_field`.
    catalog
        What the user named.
    before
        Why the embedded catalog did not do.
    until
        `time.monotonic` at which to stop; some of the time is left for the whole sky.

    Raises
    ------
    SolveError
        `before`, with what the deeper catalog says where it could be had.
    """
    now = time.monotonic()
    stars_at = _stars_at(field, hint, catalog, now + SHARE * (until - now))
    if stars_at is None:
        raise before
    try:
        return solve_field(
            field.stars(), field.shape, stars_at=stars_at, hint=hint, epoch=field.epoch, options=options
        )
    except SolveError as error:
        found = f"{before.found.rstrip('.')}; with {catalog.name}: {error.found}"
        raise SolveError(found, where=before.where, remedy=error.remedy) from error


def _stars_at(
    field: Field, hint: Hint, catalog: DeepCatalog, until: float
) -> "Callable[[float, float, float], QTable] | None":
    """Return the catalog around a hint.

    None where the hint tells no circle, the field is no small one, or the catalog cannot be had.
    """
    pointing = pointing_of(hint, field.shape)
    if pointing is None:
        return None
    radius = reach_of(pointing, field.shape)
    if hint.wcs is not None:
        radius = max(radius, 1.2 * footprint_radius(hint.wcs, field.shape))
    if radius > 90:
        return None
    size = (pixel_scale(hint.wcs) if hint.scale is None and hint.wcs is not None else pointing.scale) / 3600
    if min(field.shape) * size > WIDEST:
        return None
    dense = len(field.stars()) / (field.shape[0] * field.shape[1] * size**2)
    most = int(np.clip(DEEPER * dense * np.pi * radius**2, FEWEST, MOST))
    ra, dec = (pointing.ra, pointing.dec) if hint.wcs is None else center(hint.wcs, field.shape)
    with no_later_than(until):
        table = catalog.stars(ra, dec, radius, epoch=field.epoch, brightest=most, warn=log.warning)
    if table.meta.get("fallback"):
        return None
    log.info("%d stars of %s within %.2f deg of the hint", len(table), catalog.name, radius)

    def stars_at(ra: float, dec: float, radius: float) -> "QTable":
        if time.monotonic() > until:  # asked for every place that is tried
            raise SolveError(
                "the time for it was over", remedy="Give more time (--seconds), or a better place."
            )
        return within(table, ra, dec, radius)

    return stars_at
