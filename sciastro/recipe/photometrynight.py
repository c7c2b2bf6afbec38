"""Extinction of a night from the light of catalog stars on every frame of a run."""

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sciastro.astrometry.airmass import airmass
from sciastro.photometry.extinction import Night, fit_extinction
from sciastro.photometry.matching import match_catalog
from sciastro.photometry.steps import SPOILED
from sciastro.photometry.systems import catalog_magnitudes
from sciastro.photometry.zeropoint import ZeroPointOptions
from sciastro.recipe.catalogs import CatalogWarning, cone
from sciastro.recipe.photometryzero import SYSTEM, epoch_at

if TYPE_CHECKING:
    from astropy.table import QTable

    from sciastro.recipe.photometry import PhotometryOptions

__all__ = ["NightRow", "night_of"]

LEAST_SNR = 10.0  # of a star on a frame, for the extinction of the night
NO_STAR = "no catalog star is sound on any frame; measure stars of a catalog, too (--catalog embedded)"
RADIUS = 3.0  # arcsec: positions are those of a catalog or of the stack


@dataclass(frozen=True, kw_only=True, slots=True)
class NightRow:
    """What the frames of one band tell together.

    Attributes
    ----------
    night
        None where there is none.
    reason
        Why there is no night, or no extinction; empty where there is.
    """

    night: Night | None
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a summary."""
        if self.night is None:
            return {"extinction": None, "reason": self.reason}
        zero = self.night.zeropoint
        known = math.isfinite(zero.extinction)
        return {
            "extinction": zero.extinction if known else None, "extinction_err": zero.extinction_err,
            "zeropoint": zero.brief(), "above_atmosphere": list(self.night.above),
            "frame_scatter": self.night.scatter, "n_frames": int(self.night.frames["use"].sum()),
            "n_left_out": int((~self.night.frames["use"]).sum()), "reason": self.reason,
            "second_order": zero.second_order, "second_order_err": zero.second_order_err,
            "second_order_reason": self.night.second_reason,
        }  # fmt: skip


def night_of(
    table: "QTable", band: str, site: tuple[float, float, float | None] | None, options: "PhotometryOptions"
) -> NightRow:
    """Fit the extinction of a night to a long table of fluxes.

    Parameters
    ----------
    table
        Of `photometryframes.frame_tables`: the same positions on every frame.
    band
        Filter.
    site
        Latitude, longitude [deg], height [m]; None unknown.
    options
        Catalog, system, and an extinction where the night tells none.
    """
    from astropy.table import QTable

    ra, dec = (np.asarray(table[name].value, dtype=np.float64) for name in ("ra", "dec"))
    known = np.isfinite(ra) & np.isfinite(dec)
    if not known.any():
        return NightRow(night=None, reason="no position is known")
    rows = np.asarray(table["id"])
    _, first = np.unique(rows[known], return_index=True)
    places = QTable({"ra": table["ra"][known][first], "dec": table["dec"][known][first]})
    catalog = _catalog(places, options, epoch_at(str(table["time"][0])))
    found = catalog_magnitudes(catalog, band, options.system)
    if found is None:
        return NightRow(night=None, reason=f"the catalog has no magnitude for filter {band!r}")
    matches = match_catalog(places, catalog, RADIUS)
    keep = matches.lonely if matches.lonely.sum() >= 5 else np.ones(len(matches.source), bool)
    star_of = np.unique(rows[known])
    facts = {int(star_of[s]): int(c) for s, c in zip(matches.source[keep], matches.star[keep], strict=True)}
    star = np.array([facts.get(int(row), -1) for row in rows])
    flux, err = (np.asarray(table[name].value, dtype=np.float64) for name in ("flux", "flux_err"))
    with np.errstate(invalid="ignore"):
        sound = (np.asarray(table["flags"]) & SPOILED == 0) & (flux > LEAST_SNR * err)
    use = known & (star >= 0) & sound
    if not use.any():
        return NightRow(night=None, reason=NO_STAR)
    mass = _airmasses(ra[use], dec[use], np.asarray(table["time"])[use], site)
    chosen = star[use]
    night, reason = fit_extinction(
        QTable(
            {
                "frame": np.asarray(table["frame"])[use], "star": rows[use], "airmass": mass,
                "mag_inst": table["mag_inst"][use], "mag_inst_err": table["mag_inst_err"][use],
                "mag_cat": found.mag[chosen], "mag_cat_err": found.mag_err[chosen],
                "color": found.color[chosen],
            }
        ),
        system=found.system, catalog=str(catalog.meta.get("catalog", "")), color_name=found.color_name,
        note=found.note, zeropoint=ZeroPointOptions(extinction=options.extinction),
    )  # fmt: skip
    return NightRow(night=night, reason=reason or (night.reason if night is not None else ""))


def _catalog(places: "QTable", options: "PhotometryOptions", epoch: float | None) -> "QTable":
    """Return the catalog stars over all positions, at an epoch (Julian year)."""
    from astropy.coordinates import SkyCoord

    at = SkyCoord(places["ra"], places["dec"])
    vector = at.cartesian.xyz.value.mean(axis=1)
    vector /= np.linalg.norm(vector)
    ra, dec = np.rad2deg(np.arctan2(vector[1], vector[0])) % 360, np.rad2deg(np.arcsin(vector[2]))
    radius = float(at.separation(SkyCoord(ra, dec, unit="deg")).deg.max())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CatalogWarning)  # told with the zero point of the stack
        return cone(
            (ra, dec), max(1.05 * radius, 0.02), catalog=options.zeropoint_catalog, epoch=epoch,
            brightest=SYSTEM,
        )  # fmt: skip


def _airmasses(ra: Any, dec: Any, time: Any, site: tuple[float, float, float | None] | None) -> Any:
    """Return the airmass of every measurement; NaN where place or time is unknown."""
    if site is None:
        return np.full(len(ra), np.nan)
    texts = np.asarray(time).astype(str)
    when = np.array([text[:26] or "NaT" for text in texts], dtype="datetime64[us]")
    return np.asarray(airmass(ra, dec, site[0], site[1], when), dtype=np.float64)
