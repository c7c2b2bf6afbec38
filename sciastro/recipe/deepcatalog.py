"""A deeper catalog for the last fit and the zero points, asked for by name and given up once it fails.

Reads what the user named ("gaia-dr3"); writes star tables, and one warning where the embedded catalog had to
take its place. Patterns are sought in the embedded catalog first (`recipe.deephint` has small fields), so an
outage costs depth and little else.
"""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sciastro.astrometry.solution import Solution
from sciastro.astrometry.solve import Hint, SolveOptions, solve_field
from sciastro.core.stars import StarArray
from sciastro.core.wcs import center, footprint_radius
from sciastro.errors import SolveError
from sciastro.recipe.catalogs import CatalogWarning, cone, is_remote
from sciastro.recipe.lensing import with_lens

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["DeepCatalog", "deepened"]

log = logging.getLogger(__name__)

FEWEST, MOST = 1000, 20_000  # catalog stars of a fit
PER_STAR = 3  # catalog stars for one of the image: it may be sensitive to other colors


@dataclass(slots=True)
class DeepCatalog:
    """A catalog by name, or a file, for fields whose place is known.

    Attributes
    ----------
    name
        What the user named.
    failed
        What was said when it could not be had; from then on the embedded catalog serves.
    """

    name: str
    failed: str = field(default="")

    def stars(
        self,
        ra: float,
        dec: float,
        radius: float,
        *,
        epoch: float | None,
        brightest: int,
        warn: Callable[[str], None],
    ) -> "QTable":
        """Return the brightest stars of a field [deg] at an epoch; `warn` hears of an outage, once."""
        remote = is_remote(self.name)
        name = "embedded" if self.failed and remote else self.name
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", CatalogWarning)
            found = cone((ra, dec), radius, catalog=name, epoch=epoch, brightest=brightest)
        for one in told:
            if issubclass(one.category, CatalogWarning):
                self.failed = str(one.message)
                warn(self.failed)
        for note in found.meta.get("notes", []):
            warn(note)
        return found


def deepened(
    solution: Solution,
    stars: StarArray,
    shape: tuple[int, int],
    catalog: DeepCatalog,
    *,
    epoch: float | None,
    options: SolveOptions,
    warn: Callable[[str], None],
) -> Solution:
    """Return a solution fitted again to the stars of a deeper catalog; the old one where that fails.

    Parameters
    ----------
    solution
        Where the image looks.
    stars, shape
        Of the image, as it was solved.
    catalog
        Whom to ask.
    epoch
        Julian year of the image; None leaves the stars where the catalog has them.
    options
        Of the fit.
    warn
        Hears why there is no deeper fit.
    """
    wide = 1.1 * footprint_radius(solution.wcs, shape)
    most = min(max(PER_STAR * len(stars), FEWEST), MOST)
    table = catalog.stars(
        *center(solution.wcs, shape), min(wide, 180.0), epoch=epoch, brightest=most, warn=warn
    )
    if table.meta.get("fallback"):
        return solution
    try:
        found = solve_field(
            stars, shape, stars_at=lambda ra, dec, radius: table, hint=Hint(wcs=solution.wcs),
            epoch=epoch or 2016.0, options=options,
        )  # fmt: skip
        found = with_lens(stars, shape, found, lambda ra, dec, radius: table)
    except SolveError as error:
        warn(f"no better fit to {table.meta['catalog']} ({len(table)} stars): {error}")
        return solution
    log.info("fitted again to %d stars of %s", found.n_stars, found.catalog)
    return replace(
        found,
        method=solution.method,
        log_false_alarm=min(found.log_false_alarm, solution.log_false_alarm),
        attempts=(*solution.attempts, *found.attempts),
    )
