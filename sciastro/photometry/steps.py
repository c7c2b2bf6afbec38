"""Photometry as pure steps on an integrated dataset.

`measure_bands` reads ``image``, ``image_variance`` and ``image_quality`` (dims band, y, x) and gives a table
per band. `calibrate_photometry` writes ``zeropoint`` [mag], ``zeropoint_err`` [mag], ``color_term`` [1] and
``zeropoint_covariance``, all on `band` (colors: `colorsteps`). NaN where the stars do not suffice, with the
reason in the variable's ``details`` attribute (JSON).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core import vocabulary as v
from sciastro.core.history import record
from sciastro.core.quality import Quality
from sciastro.core.stars import StarArray
from sciastro.core.vocabulary import labeled, require
from sciastro.core.wcs import text_to_wcs
from sciastro.photometry.aperture import ApertureOptions, measure_sources
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.matching import Matches, match_catalog
from sciastro.photometry.sources import add_positions, source_table
from sciastro.photometry.systems import SYSTEMS, CatalogMagnitude, catalog_magnitudes
from sciastro.photometry.zeropoint import ZeroPoint, ZeroPointOptions, fit_zeropoint

if TYPE_CHECKING:
    import xarray as xr
    from astropy.table import Table

__all__ = [
    "SPOILED",
    "BandCalibration",
    "calibrate_bands",
    "calibrate_photometry",
    "measure_bands",
    "json_text",
    "match_sources",
    "noise_of",
    "own_snr",
    "published",
    "wcs_of",
]

_DEFAULT_APERTURE = ApertureOptions()
_DEFAULT_ZEROPOINT = ZeroPointOptions()

SPOILED = int(
    Quality.SATURATED
    | Quality.DO_NOT_USE
    | Quality.NO_DATA
    | Quality.TRAIL
    | SourceFlag.CUT
    | SourceFlag.MIRRORED
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BandCalibration:
    """What the catalog says about the sources of one band.

    Attributes
    ----------
    zeropoint, reason
        None and why, or the zero point and an empty text.
    matches
        Pairs of rows of the source table and the catalog.
    source, star
        int64, the rows of both that were given to the fit; `ZeroPoint.used` says which entered.
    truth
        Magnitudes and colors of the catalog that it was fitted to; None where it comes from elsewhere.
    """

    zeropoint: ZeroPoint | None
    reason: str
    matches: Matches | None
    source: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    star: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    truth: CatalogMagnitude | None = None


def measure_bands(
    ds: "xr.Dataset",
    stars: Mapping[str, StarArray],
    fwhm: Mapping[str, float],
    *,
    flux_scatter: Mapping[str, float] = MappingProxyType({}),
    options: ApertureOptions = _DEFAULT_APERTURE,
) -> "dict[str, Table]":
    """Measure the stars of every band of an integrated dataset.

    Parameters
    ----------
    ds
        ``image``, ``image_variance``, ``image_quality`` (band, y, x); where present, ``noise_correlation``
        (band), ``noise_autocorrelation`` (band, lag_y, lag_x) and the scalar coordinate ``wcs``. Computes the
        planes of one band at a time.
    flux_scatter
        Band -> relative scatter of fluxes beyond noise (`aperture.measure_sources`); 0 where absent.

    Returns
    -------
    dict
        Band -> table of `aperture.measure_sources`, with ``ra``, ``dec`` where there is a WCS.
    """
    require(ds, v.IMAGE, v.IMAGE_VARIANCE, v.IMAGE_QUALITY, v.BAND)
    wcs = wcs_of(ds)
    tables = {}
    for k, band in enumerate(str(name) for name in ds["band"].values):
        if band not in stars:
            continue
        table = measure_sources(
            ds["image"].isel(band=k).values,
            ds["image_variance"].isel(band=k).values,
            ds["image_quality"].isel(band=k).values,
            stars[band],
            fwhm=float(fwhm[band]),
            **noise_of(ds, k),
            flux_scatter=flux_scatter.get(band, 0.0),
            options=options,
        )
        table.meta |= {"band": band, "shape": list(ds["image"].shape[1:])}
        tables[band] = add_positions(table, wcs) if wcs is not None else table
    return tables


def noise_of(ds: "xr.Dataset", k: int) -> dict[str, Any]:
    """Return how the noise of pixels of band number `k` hangs together, as measurers take it."""
    known = "noise_correlation" in ds.variables
    return {
        "noise_correlation": float(ds["noise_correlation"].values[k]) if known else 1.0,
        "autocorrelation": ds[name].values[k] if (name := "noise_autocorrelation") in ds.variables else None,
    }


def wcs_of(ds: "xr.Dataset") -> Any:
    """Return the world coordinates of an integrated dataset, or None."""
    text = str(ds["wcs"].values) if "wcs" in ds.variables and ds["wcs"].ndim == 0 else ""
    return text_to_wcs(text) if text else None


def match_sources(table: "Table", catalog: "Table", radius: float | None) -> Matches:
    """Return pairs of sources and catalog stars within `radius` [arcsec]; none is 1.5 pixels or arcsec."""
    if radius is None:
        radius = 1.5 * max(1.0, float(table.meta.get("pixel_scale", 1.0)))
    return match_catalog(table, catalog, radius)


def calibrate_bands(
    sources: "Mapping[str, Table]", catalog: "Table", *, options: ZeroPointOptions = _DEFAULT_ZEROPOINT
) -> dict[str, BandCalibration]:
    """Fit the zero point of every band.

    Parameters
    ----------
    sources
        Band -> table of `measure_bands` with positions.
    catalog
        Stars at the epoch of the image: ``ra``, ``dec`` [deg], ``mag``, ``mag_err``, ``color`` [mag], or the
        bands themselves as ``mag_<band>``.
    """
    return {band: _calibrate(band, table, catalog, options) for band, table in sources.items()}


def _calibrate(band: str, table: "Table", catalog: "Table", options: ZeroPointOptions) -> BandCalibration:
    if "ra" not in table.colnames:
        return BandCalibration(zeropoint=None, reason="the image has no world coordinates", matches=None)
    matches = match_sources(table, catalog, options.match_radius)
    truth = catalog_magnitudes(catalog, band, options.system)
    if truth is None:
        reason = f"the catalog has no magnitude for filter {band!r}"
        if options.system:
            reason = f"the catalog does not lead to {options.system!r}; known are {', '.join(SYSTEMS)}"
        return BandCalibration(zeropoint=None, reason=reason, matches=matches)
    rows, stars = _calibrators(table, matches, options)
    if not len(rows):
        return BandCalibration(zeropoint=None, reason=_lost(table, matches), matches=matches)
    zeropoint, reason = fit_zeropoint(
        table["mag_inst"].value[rows],
        table["mag_inst_err"].value[rows],
        truth.mag[stars],
        truth.mag_err[stars],
        truth.color[stars],
        x=table["x"].value[rows],
        y=table["y"].value[rows],
        shape=table.meta.get("shape"),
        airmass=table.meta.get("airmass"),
        system=truth.system,
        catalog=str(catalog.meta.get("catalog", "")),
        color_name=truth.color_name,
        note=truth.note,
        options=options,
    )
    return BandCalibration(
        zeropoint=zeropoint, reason=reason, matches=matches, source=rows, star=stars, truth=truth
    )


def _calibrators(
    table: "Table", matches: Matches, options: ZeroPointOptions
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the matched rows that are fit to calibrate; crowded ones only where too few others are left."""
    flags, snr = np.asarray(table["flags"]), own_snr(table)
    sound = flags[matches.source] & SPOILED == 0
    bright = sound & (snr[matches.source] >= options.least_snr)
    sound = bright if bright.sum() >= options.min_stars else sound
    alone = sound & matches.lonely & (flags[matches.source] & int(SourceFlag.CROWDED) == 0)
    keep = alone if alone.sum() >= max(options.min_stars, 5) else sound
    return matches.source[keep], matches.star[keep]


def _lost(table: "Table", matches: Matches) -> str:
    """Return why no star can calibrate."""
    if not len(matches.source):
        return "no source is where a catalog star is"
    flags = np.asarray(table["flags"])[matches.source]
    counts = {
        "saturated": int((flags & int(Quality.SATURATED) != 0).sum()),
        "cut by the border or holes": int((flags & int(SourceFlag.CUT | SourceFlag.MIRRORED) != 0).sum()),
    }
    told = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
    return f"none of {len(flags)} matched stars is sound" + (f" ({told})" if told else "")


def own_snr(table: "Table") -> npt.NDArray[np.float64]:
    """Return flux over its photon and sky noise, (source,).

    What grows with the flux (scatter of the aperture correction, coarse pixels, scintillation) is in
    ``flux_err`` too and is the same share for all stars: it tells nothing of which of them are bright.
    """
    flux, err = (np.asarray(table[name].value, dtype=np.float64) for name in ("flux", "flux_err"))
    scatter = float(table.meta.get("relative_scatter", table.meta.get("aperture_correction_scatter", 0.0)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(flux / np.sqrt(np.maximum(err**2 - (scatter * flux) ** 2, (1e-3 * err) ** 2)))


def published(table: "Table", calibration: BandCalibration | None, catalog: "Table | None") -> "Table":
    """Return the published table of one band: magnitudes, catalog names and colors filled in."""
    if calibration is None or catalog is None or calibration.matches is None:
        zeropoint = calibration.zeropoint if calibration is not None else None
        return source_table(table, zeropoint=zeropoint)
    matches = calibration.matches
    names = (
        np.asarray(catalog["id"]).astype(np.str_) if "id" in catalog.colnames else np.full(len(catalog), "")
    )
    catalog_id = np.full(len(table), "", dtype=names.dtype if names.dtype.itemsize else "U1")
    catalog_id[matches.source] = names[matches.star]
    color = np.full(len(table), np.nan)
    truth = calibration.truth or _of_color(catalog, str(table.meta.get("band", "")), calibration.zeropoint)
    if truth is not None:
        color[matches.source] = truth.color[matches.star]
    return source_table(table, zeropoint=calibration.zeropoint, catalog_id=catalog_id, color=color)


def _of_color(catalog: "Table", band: str, zeropoint: ZeroPoint | None) -> CatalogMagnitude | None:
    """Return magnitudes of the catalog with the color that a zero point from elsewhere is for, or None."""
    found = catalog_magnitudes(catalog, band)
    if zeropoint is None or (found is not None and found.color_name == zeropoint.color_name):
        return found
    found = catalog_magnitudes(catalog, band, zeropoint.system) if zeropoint.system in SYSTEMS else None
    return found if found is not None and found.color_name == zeropoint.color_name else None


def calibrate_photometry(
    ds: "xr.Dataset",
    *,
    sources: "Mapping[str, Table]",
    catalog: "Table",
    options: ZeroPointOptions = _DEFAULT_ZEROPOINT,
) -> "xr.Dataset":
    """Return `ds` with the zero point of every band; see `calibrate_bands` for the arguments.

    Returns
    -------
    Dataset
        With ``zeropoint``, ``zeropoint_err`` [mag], ``color_term`` [1] and ``zeropoint_covariance`` (band,
        term, term) on `band`; NaN without a zero point, and for terms that a band has not. Attribute
        ``details`` of ``zeropoint``: JSON, band -> fit, or the reason why there is none.
    """
    require(ds, v.IMAGE, v.BAND)
    fits = calibrate_bands(sources, catalog, options=options)
    return record(_with_zeropoints(ds, fits), "photometry.zeropoint", options)


def _with_zeropoints(ds: "xr.Dataset", fits: Mapping[str, BandCalibration]) -> "xr.Dataset":
    bands = [str(band) for band in ds["band"].values]
    found = [fits[band].zeropoint if band in fits else None for band in bands]
    details = {}
    for band, zeropoint in zip(bands, found, strict=True):
        reason = fits[band].reason if band in fits else "no sources were measured"
        details[band] = zeropoint.as_dict() if zeropoint is not None else {"reason": reason}
    columns = {
        v.ZEROPOINT: [z.mag if z else np.nan for z in found],
        v.ZEROPOINT_ERR: [z.err if z else np.nan for z in found],
        v.COLOR_TERM: [z.color_term if z else np.nan for z in found],
    }
    out = ds.assign(
        {spec.name: labeled(spec, np.array(values, np.float64)) for spec, values in columns.items()}
    )
    out["zeropoint"].attrs["details"] = json_text(details)
    return out.assign(zeropoint_covariance=_covariance(found))


def _covariance(found: Sequence[ZeroPoint | None]) -> "xr.Variable":
    """Return the covariance matrices of all bands over the terms that any of them has."""
    terms = list(dict.fromkeys(name for z in found if z is not None for name in z.terms)) or ["zeropoint"]
    values = np.full((len(found), len(terms), len(terms)), np.nan)
    for k, zero in enumerate(found):
        if zero is not None:
            at = [terms.index(name) for name in zero.terms]
            values[k][np.ix_(at, at)] = zero.covariance
    out = labeled(v.ZEROPOINT_COVARIANCE, values)
    out.attrs["terms"] = " ".join(terms)
    return out


def json_text(value: Any) -> str:
    """Return JSON in which NaN is null."""
    return json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None), sort_keys=True)
