"""The zero point of an image that is measured, and what follows: magnitudes, limits, shared errors."""

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sciastro.astrometry.airmass import airmass
from sciastro.core.timescales import julian_year
from sciastro.core.wcs import center, footprint_radius
from sciastro.photometry.fieldterm import Field
from sciastro.photometry.magnitudes import LimitOptions, add_brightness, add_limits
from sciastro.photometry.matching import Matches
from sciastro.photometry.sources import source_table
from sciastro.photometry.steps import BandCalibration, calibrate_bands, match_sources, published
from sciastro.photometry.zeropoint import ZeroPoint, ZeroPointOptions, field_names, matrix
from sciastro.recipe.catalogs import CatalogWarning, cone
from sciastro.recipe.photometryimages import Target

if TYPE_CHECKING:
    from astropy.table import QTable, Table

    from sciastro.recipe.photometry import PhotometryOptions

__all__ = [
    "Zeroed",
    "air_of",
    "at_positions",
    "epoch_at",
    "epoch_of",
    "with_limits",
    "with_magnitudes",
    "zeropoint_of",
]

FROM_HEADER = "from the header of the file"
SYSTEM = 20_000  # catalog stars that may calibrate, the brightest


@dataclass(frozen=True, kw_only=True)
class Zeroed:
    """The zero point of an image.

    Attributes
    ----------
    fit
        Zero point, or the reason why there is none.
    stars
        Catalog over the image, for names and colors; None where it was not needed.
    notes
        What the user should know.
    """

    fit: BandCalibration
    stars: "QTable | None" = None
    notes: list[str] = field(default_factory=list)


def zeropoint_of(
    target: Target, found: "Table", options: "PhotometryOptions", known: ZeroPoint | None
) -> Zeroed:
    """Return the zero point of the caller or the file, else of catalog stars.

    Parameters
    ----------
    target, found
        The image, and what was measured on it.
    options
        Where the zero point is from, and how it is fitted.
    known
        The caller's.
    """
    if known is not None:
        return _with_colors(target, found, options, known)
    if options.zeropoint == "none":
        return Zeroed(fit=BandCalibration(zeropoint=None, reason="none was asked for", matches=None))
    other = bool(options.system) and str(target.zeropoint.get("system", "")) != options.system
    if options.zeropoint in ("auto", "header") and target.zeropoint and not other:
        return _with_colors(target, found, options, _from_header(target))
    if options.zeropoint == "header":
        lacks = f"the file names none in {options.system}" if other else "the file names none"
        fit, stars = BandCalibration(zeropoint=None, reason=lacks, matches=None), None
    else:
        fit, stars = _fitted(target, found, options)
    if fit.zeropoint is None:
        return Zeroed(
            fit=fit, stars=stars,
            notes=[*_fallen(stars), f"no zero point: {fit.reason}; magnitudes are instrumental"],
        )  # fmt: skip
    return Zeroed(fit=fit, stars=stars, notes=[*_fallen(stars), *_told(fit.zeropoint, options)])


def _with_colors(target: Target, found: "Table", options: "PhotometryOptions", zero: ZeroPoint) -> Zeroed:
    """Return a zero point that is known, with catalog stars for the colors that its color term asks for."""
    stars = _stars(target, options) if zero.color_term and target.wcs is not None else None
    fit = BandCalibration(zeropoint=zero, reason="", matches=_matches(found, stars))
    return Zeroed(fit=fit, stars=stars, notes=[*_fallen(stars), *_told(zero, options)])


def _from_header(target: Target) -> ZeroPoint:
    facts = dict(target.zeropoint)
    unknown = float("nan")
    err = float(facts.get("err", unknown))
    slope = float(np.nan_to_num(facts.get("color_term_err", 0.0)))
    over_field = {"covariance": ((err**2, 0.0), (0.0, slope**2)), **_field_of_header(facts)}
    return ZeroPoint(
        mag=float(facts["mag"]), err=err, color_term=float(facts.get("color_term", 0.0)),
        color_term_err=float(facts.get("color_term_err", unknown)),
        scatter=float(facts.get("scatter", unknown)),
        rms=unknown, chi2=unknown, n_stars=int(facts.get("n_stars", 0)), n_rejected=0,
        system=str(facts.get("system", "")), catalog=str(facts.get("catalog", "")),
        color_name=str(facts.get("color_name", "")),
        color_reference=float(facts.get("color_reference", unknown)), note=FROM_HEADER,
        err_empirical=float(facts.get("err_empirical", unknown)), kind=str(facts.get("kind", "")),
        extinction=float(facts.get("extinction", unknown)), airmass=float(facts.get("airmass", unknown)),
        used=np.empty(0, bool), **over_field,
    )  # fmt: skip


def _field_of_header(facts: dict[str, Any]) -> dict[str, Any]:
    """Return terms, coefficients and place of a zero point that changes over the field."""
    cards = facts.get("field")
    if not facts.get("spatial") or not cards:
        return {}
    degree = int(facts["spatial"])
    names = field_names(degree)
    try:
        pairs = {
            key: (float(cards[f"ZPF{word}X"]), float(cards[f"ZPF{word}Y"]))
            for key, word in (("center", "CEN"), ("half", "HAL"), ("low", "LOW"), ("high", "HIG"))
        }
        values, means = (
            tuple(float(cards[f"ZPF{letter}{k}"]) for k in range(1, len(names) + 1)) for letter in "CM"
        )
    except KeyError:
        values, pairs, means = (math.nan,), {}, ()
    if not np.isfinite([*values, *means, *(one for pair in pairs.values() for one in pair)]).all():
        return {"spatial_note": "the terms over the field that the header has are damaged, and not applied"}
    count = 2 + len(names)
    covariance = np.zeros((count, count))
    covariance[0, 0] = float(facts.get("err", np.nan)) ** 2
    covariance[1, 1] = float(np.nan_to_num(facts.get("color_term_err", 0.0))) ** 2
    return {
        "spatial": degree, "spatial_note": "from the header of the file; errors of its terms are unknown",
        "terms": ("zeropoint", "color", *names), "place": Field(**pairs, means=means),
        "coefficients": (float(facts["mag"]), float(facts.get("color_term", 0.0)), *values),
        "covariance": matrix(covariance),
    }  # fmt: skip


def _stars(target: Target, options: "PhotometryOptions") -> "QTable":
    """Return the catalog over an image, at its epoch."""
    assert target.wcs is not None
    shape = (target.image.shape[0], target.image.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CatalogWarning)  # `_fallen` tells it
        return cone(
            center(target.wcs, shape), min(1.05 * footprint_radius(target.wcs, shape), 180.0),
            catalog=options.zeropoint_catalog, epoch=epoch_of(target), brightest=SYSTEM,
        )  # fmt: skip


def _fallen(stars: "QTable | None") -> list[str]:
    """Return what took the place of a catalog that could not be had."""
    lost = stars.meta.get("fallback") if stars is not None else None
    return [str(lost)] if lost else []


def _matches(table: "Table", stars: "QTable | None") -> Matches | None:
    """Return which rows are which stars, within 1.5 pixels or 1.5 arcsec."""
    if stars is None or not len(stars) or not len(table) or "ra" not in table.colnames:
        return None
    return match_sources(table, stars, None)


def _fitted(
    target: Target, found: "Table", options: "PhotometryOptions"
) -> "tuple[BandCalibration, QTable | None]":
    """Return the fit to catalog stars, and these."""
    lacks = ""
    if target.wcs is None:
        lacks = "the image has no world coordinates (run `sciastro solve` on it first)"
    elif not target.band:
        lacks = "the filter is unknown (give --filter)"
    if lacks:
        return BandCalibration(zeropoint=None, reason=lacks, matches=None), None
    stars = _stars(target, options)
    if not len(stars) or not len(found):
        return BandCalibration(zeropoint=None, reason="no catalog star is on the image", matches=None), stars
    found.meta |= {"shape": [int(side) for side in target.image.shape], "airmass": air_of(target)}
    how = ZeroPointOptions(system=options.system, spatial=options.spatial, extinction=options.extinction)
    return calibrate_bands({target.band: found}, stars, options=how)[target.band], stars


def with_magnitudes(found: "Table", zeroed: Zeroed) -> "Table":
    """Return the published table of what was found on an image."""
    if zeroed.fit.matches is None or zeroed.stars is None:
        return source_table(found, zeropoint=zeroed.fit.zeropoint)
    return published(found, zeroed.fit, zeroed.stars)


def at_positions(table: "Table", zeroed: Zeroed) -> "Table":
    """Return the published table of the light at positions; those of catalog stars get their colors."""
    matches = _matches(table, zeroed.stars)
    if matches is None or zeroed.fit.zeropoint is None:
        return source_table(table, zeropoint=zeroed.fit.zeropoint)
    fit = BandCalibration(zeropoint=zeroed.fit.zeropoint, reason="", matches=matches)
    return published(table, fit, zeroed.stars)


def with_limits(
    table: "Table", zero: ZeroPoint | None, scale: float, options: "PhotometryOptions"
) -> "Table":
    """Return the table with limits and shared errors, where there is a zero point."""
    if zero is not None:
        how = LimitOptions(least_snr=options.limit_snr, sigma=options.limit_sigma)
        table = add_limits(table, zero, options=how)
    return add_brightness(table, zero, scale) if options.surface_brightness else table


def _told(zero: ZeroPoint | None, options: "PhotometryOptions") -> list[str]:
    """Return what a zero point that was fitted here assumes."""
    if zero is None:
        return []
    notes = []
    if zero.color_term == 0.0 and not math.isfinite(zero.color_term_err):
        notes.append("magnitudes have no color term: they hold for stars of the mean color")
    if options.extinction is not None and not math.isfinite(zero.extinction):
        notes.append(
            "the extinction that was given is not used: the airmass is unknown, or the zero point given"
        )
    if zero.spatial_note and not zero.spatial and zero.note == FROM_HEADER:
        notes.append(zero.spatial_note)
    if zero.spatial:
        notes.append(f"zero point over the field of degree {zero.spatial}: {zero.spatial_note}")
    return notes


def air_of(target: Target) -> float:
    """Return the airmass of an image: as given, else of its middle at mid-exposure; NaN unknown."""
    if math.isfinite(target.airmass):
        return target.airmass
    if target.site is None or target.wcs is None or not target.time:
        return float("nan")
    ra, dec = center(target.wcs, (target.image.shape[0], target.image.shape[1]))
    try:
        when = np.datetime64(target.time[:26].removesuffix("Z"), "us")
    except ValueError:
        return float("nan")
    return float(np.squeeze(airmass([ra], [dec], target.site[0], target.site[1], [when])))


def epoch_of(target: Target) -> float | None:
    """Return the Julian year of an image; None unknown."""
    return epoch_at(target.time)


def epoch_at(time: str) -> float | None:
    """Return the Julian year of a time in ISO 8601 (UTC); None where it is none."""
    try:
        when = np.datetime64(time[:26].removesuffix("Z"), "s")
    except ValueError:
        return None
    if np.isnat(when):
        return None
    return julian_year(float((when - np.datetime64("1970-01-01")) / np.timedelta64(1, "s")))
