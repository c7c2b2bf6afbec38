"""Magnitudes of a photometric system for a light curve: its comparison stars against a catalog.

Reads instrumental magnitudes with the frames' zero points taken out; writes a zero point with a color term
where the comparison stars tell one (`photometry.zeropoint`), and each star's magnitude. Its error is common
to all frames, so it stands beside the errors of the points, not in them.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.timescales import julian_year
from sciastro.errors import CatalogError, OptionError
from sciastro.photometry.lightcurve import Curves
from sciastro.photometry.matching import match_catalog
from sciastro.photometry.systems import SYSTEMS, CatalogMagnitude, catalog_magnitudes
from sciastro.photometry.zeropoint import ZeroPoint, fit_zeropoint
from sciastro.recipe.catalogs import CatalogWarning, cone
from sciastro.recipe.lightcurvearound import field_radius
from sciastro.recipe.lightcurvedata import LightCurveRequest
from sciastro.recipe.lightcurveframes import FieldSeries

__all__ = ["CatalogLevel", "catalog_level", "check_system"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CatalogLevel:
    """What leads from instrumental magnitudes to a system.

    Attributes
    ----------
    zeropoint
        Of the comparison stars.
    offset, offset_err
        (star) what is added to an instrumental magnitude, and its error [mag]; of a star of unknown color it
        holds how much the colors of the comparison stars differ.
    color
        (star) of the catalog [mag]; NaN unknown, and the zero point's reference is taken then.
    mag, mag_err
        (star) of the catalog itself [mag]; NaN unknown.
    """

    zeropoint: ZeroPoint
    offset: Floats
    offset_err: Floats
    color: Floats
    mag: Floats
    mag_err: Floats

    def brief(self) -> dict[str, Any]:
        """Return what a summary says of it; index 0 is the target."""
        zero = self.zeropoint
        known = math.isfinite(float(self.color[0]))
        return {
            "system": zero.system, "kind": zero.kind, "catalog": zero.catalog, "zero_point": zero.mag,
            "err": float(self.offset_err[0]), "n_stars": zero.n_stars, "scatter": zero.scatter,
            "color_term": zero.color_term, "color_name": zero.color_name,
            "color": float(self.color[0]) if known else zero.color_reference,
            "color_from": "by the catalog" if known else "assumed: that of the mean comparison star",
            "note": zero.note,
        }  # fmt: skip


def check_system(name: str) -> None:
    """Refuse a photometric system that does not exist.

    Raises
    ------
    OptionError
        For such a name.
    """
    if name and name not in SYSTEMS:
        raise OptionError(f"is {name!r}.", where="--system", remedy=f"Choose from {', '.join(SYSTEMS)}.")


def catalog_level(
    series: FieldSeries, curves: Curves, request: LightCurveRequest
) -> tuple[CatalogLevel | None, list[str]]:
    """Return what leads to catalog magnitudes; None and why, where comparison stars have none."""
    from astropy import units as u
    from astropy.table import QTable

    times = [one.time for one in series.frames if math.isfinite(one.time)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CatalogWarning)  # a note tells it
            table = cone(
                (float(series.ra[0]), float(series.dec[0])), field_radius(series), catalog=request.catalog,
                epoch=julian_year(float(np.mean(times))), brightest=20_000,
                offline=request.offline or None,
            )  # fmt: skip
    except CatalogError as error:
        return None, [f"no magnitudes of a system: {error.found.rstrip('.')}"]
    lost = [text] if (text := str(table.meta.get("fallback") or "")) else []
    found = catalog_magnitudes(table, series.band, request.system) if len(table) else None
    if found is None:
        asked = request.system or f"filter {series.band}"
        return None, [*lost, f"no magnitudes of a system: the catalog leads to none for {asked}"]
    places = QTable({"ra": series.ra * u.deg, "dec": series.dec * u.deg})
    matches = match_catalog(places, table, max(1.5, series.scale))
    mag, err, color = (np.full(series.ra.size, np.nan) for _ in range(3))
    for values, whole in ((mag, found.mag), (err, found.mag_err), (color, found.color)):
        values[matches.source] = whole[matches.star]
    level, notes = _fitted(curves, found, (mag, err, color), str(table.meta.get("catalog", "")))
    return level, [*lost, *notes]


def _fitted(
    curves: Curves, found: CatalogMagnitude, stars: tuple[Floats, Floats, Floats], catalog: str
) -> tuple[CatalogLevel | None, list[str]]:
    mag, err, color = stars
    rows = curves.chosen.stars
    own = np.nan_to_num(curves.ensemble.mag_err, nan=0.0)
    zero, reason = fit_zeropoint(
        curves.mag[rows], np.maximum(own, 1e-4), mag[rows], err[rows], color[rows], system=found.system,
        catalog=catalog, color_name=found.color_name, note=found.note,
    )  # fmt: skip
    if zero is None:
        return None, [f"no magnitudes of a system: {reason}"]
    away = np.where(np.isfinite(color), color - zero.color_reference, 0.0)
    away = away if math.isfinite(zero.color_term) else np.zeros_like(away)
    term = zero.color_term if math.isfinite(zero.color_term) else 0.0
    c = np.asarray(zero.covariance, np.float64)
    variance = c[0, 0] + (2 * away * c[0, 1] + away**2 * c[1, 1] if c.shape[0] > 1 else 0.0)
    wide = np.var(color[rows][np.isfinite(color[rows])]) if np.isfinite(color[rows]).any() else 0.0
    variance = variance + np.where(np.isfinite(color), 0.0, term**2 * wide)
    level = CatalogLevel(zero, zero.mag + term * away, np.sqrt(variance), color, mag, err)
    return level, []
