"""What a light curve needs to know beside pixels: site, scintillation, places, known variables."""

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.timing import Site
from sciastro.errors import CatalogError
from sciastro.photometry.comparison import KNOWN
from sciastro.photometry.scintillation import scintillation_variance
from sciastro.recipe.catalogs import cone
from sciastro.recipe.lightcurvedata import LightCurveRequest
from sciastro.recipe.lightcurveframes import FieldSeries
from sciastro.remote.limits import in_haste
from sciastro.remote.limits import offline as switched_off

__all__ = ["field_radius", "known_variables", "offsets_of", "scintillation_of", "site_of"]

Floats = npt.NDArray[np.float64]

MATCH = 5.0  # arcsec within which a star is the catalog's


def site_of(series: FieldSeries, request: LightCurveRequest) -> tuple[Site | None, list[str]]:
    """Return the place of the telescope, None where it is unknown, and notes."""
    if request.site is not None:
        return request.site, []
    sites = {one.site for one in series.frames if one.site is not None}
    near = {(round(one[0], 1), round(one[1], 1)) for one in sites}
    if len(near) == 1:
        latitude, longitude, height = sorted(sites)[0]
        return Site(latitude, longitude, height if np.isfinite(height) else None), []
    what = "headers name no site" if not near else f"headers name {len(near)} sites"
    return None, [
        f"{what}: times are those of light at the geocenter, up to 21.3 ms off, and airmass is unknown "
        "(--site LATITUDE,LONGITUDE,HEIGHT)"
    ]


def scintillation_of(
    series: FieldSeries, request: LightCurveRequest, site: Site | None, mass: Floats
) -> tuple[Floats, list[str]]:
    """Return the relative variance of scintillation (frame,), 0 where it is unknown, and notes.

    `mass` is the airmass (frame,), NaN where it is unknown.
    """
    n = len(series.frames)
    diameters = [one.telescope for one in series.frames if one.telescope > 0]
    diameter = request.telescope or (float(np.median(diameters)) if diameters else float("nan"))
    if not diameter > 0 or site is None:
        lacks = "the telescope's diameter (--telescope)" if site is not None else "the site"
        return np.zeros(n), [
            f"scintillation is not in the errors by itself: nobody knows {lacks}; what it adds is measured "
            "on comparison stars"
        ]
    exposure = np.array([one.exposure if one.exposure > 0 else np.nan for one in series.frames])
    found = scintillation_variance(exposure, mass, diameter, site.height or 0.0)
    return np.nan_to_num(found), []


def offsets_of(series: FieldSeries) -> Floats:
    """Return places of stars from the target [deg]."""
    ra = (series.ra - series.ra[0] + 180) % 360 - 180
    return np.column_stack([ra * np.cos(np.radians(series.dec[0])), series.dec - series.dec[0]])


def field_radius(series: FieldSeries) -> float:
    """Return how far stars are from the target, at most 10 [deg]."""
    return min(float(np.max(np.hypot(*offsets_of(series).T))) + MATCH / 3600, 10.0)


def known_variables(series: FieldSeries, request: LightCurveRequest) -> tuple[dict[int, str], list[str]]:
    """Return known variables (index to reason), and notes."""
    try:
        with in_haste():
            table = cone(
                (float(series.ra[0]), float(series.dec[0])), field_radius(series), catalog="vsx",
                fallback=False, offline=request.offline or None,
            )  # fmt: skip
    except CatalogError as error:
        alone = "variable stars are told by their own scatter alone"
        if request.offline or switched_off():
            return {}, [f"VSX is not asked, since the network is switched off, and {alone}"]
        why = error.found.rstrip(".")
        return {}, [f"VSX could not be asked ({why}): {alone}; --offline does not ask"]
    ra, dec = (np.asarray(table[name].value, np.float64) for name in ("ra", "dec"))
    out: dict[int, str] = {}
    for a, d, name in zip(ra, dec, table["id"], strict=True):
        dx = ((series.ra - a + 180) % 360 - 180) * np.cos(np.radians(d))
        near = np.flatnonzero(np.hypot(dx, series.dec - d) < max(MATCH, 1.5 * series.scale) / 3600)
        out |= {int(i): f"{KNOWN} ({name}, VSX)" for i in near if i != 0}
    return out, []
