"""Color calibration as a pure step on an integrated dataset.

`calibrate_color` writes ``color_gain`` and ``color_gain_err`` [1] on `band`; NaN where the stars do not
suffice, with the reason in the attribute ``details`` (JSON). Nothing that is measured changes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core import vocabulary as v
from sciastro.core.history import record
from sciastro.core.tables import numbers_if_there
from sciastro.core.vocabulary import labeled, require
from sciastro.photometry.color import solve_gains
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.photometry.colorresult import ColorFit
from sciastro.photometry.colorstars import ColorStars
from sciastro.photometry.response import Response
from sciastro.photometry.spectra import Spectrum
from sciastro.photometry.steps import SPOILED, json_text, match_sources, own_snr
from sciastro.photometry.systems import catalog_magnitudes

if TYPE_CHECKING:
    import xarray as xr
    from astropy.table import QTable, Table

__all__ = ["calibrate_color", "color_of_bands", "matched_fluxes"]

_DEFAULT_COLOR = ColorOptions()
_BT_OVER_VT = 1.4  # errors of Tycho-2 at V = 10 to 11.5, where blue light is scarcer


def color_of_bands(
    sources: "Mapping[str, Table]",
    catalog: "Table",
    rgb: tuple[str, ...] = ("R", "G", "B"),
    *,
    response: Response | None = None,
    white: Spectrum | float | None = None,
    photons: npt.NDArray[np.float64] | None = None,
    options: ColorOptions = _DEFAULT_COLOR,
) -> "tuple[ColorFit | None, str, QTable | None]":
    """Return the gains of the bands in `rgb` from catalog stars, and a table of those stars.

    Parameters
    ----------
    sources
        Measured tables by band, as for `matched_fluxes`.
    catalog
        ``id``, ``ra``, ``dec`` [deg] at the epoch of the images, ``mag``, ``color`` [mag, B-V]; NaN unknown.
    rgb
        Bands, in the order of the gains; ratios are to the second of three.
    response
        Of the bands, in their order; without it nothing is assumed but B-V.
    white
        White reference; that of the options without it.
    photons
        (catalog row, wavelength) at `locus.WAVELENGTHS`: measured spectra, rows of NaN without one.

    Returns
    -------
    fit, reason, stars
        None and why, where there are too few; the stars: ``id``, ``ra``, ``dec`` [deg], ``x``, ``y`` [pixel
        of the reference band], ``mag``, ``color`` [mag], ``flux_<band>``, ``flux_<band>_err`` [electron / s],
        ``residual_<band>`` [mag: measured less modeled, of the ratio to the reference band], ``used``.
    """
    if any(band not in sources for band in rgb):
        return None, f"there are no sources in all of {', '.join(rgb)}", None
    if any("ra" not in sources[band].colnames for band in rgb):
        return None, "the image has no world coordinates", None
    flux, err, place = matched_fluxes(sources, catalog, rgb, options)
    stars = ColorStars.of(
        flux, err, b_v=_b_v(catalog), bp_rp=_bp_rp(catalog), b_v_err=_color_err(catalog, "B", "V"),
        bp_rp_err=_color_err(catalog, "BP", "RP"), photons=photons,
    )  # fmt: skip
    common = [_common_error(sources[band]) for band in rgb]
    fit, reason = solve_gains(
        stars, bands=rgb, response=response, white=white, common=common, options=options
    )
    return fit, reason, (_color_table(fit, stars, catalog, place, sources, rgb) if fit is not None else None)


def matched_fluxes(
    sources: "Mapping[str, Table]", catalog: "Table", rgb: tuple[str, ...], options: ColorOptions
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return fluxes and errors of catalog stars (row, band) [electron / s], and places (row, 2) [pixel].

    NaN for stars that were not measured well enough (`ColorOptions.least_snr`, flags); places are of the
    band that ratios are to.

    Parameters
    ----------
    sources
        Measured tables by band: ``ra``, ``dec`` [deg], ``x``, ``y`` [pixel], ``flux``, ``flux_err``
        [electron / s], ``flags``.
    catalog
        ``ra``, ``dec`` [deg] at the epoch of the images.
    rgb
        Bands, in the order of the columns.
    """
    n = len(catalog)
    flux, err, place = np.full((n, len(rgb)), np.nan), np.full((n, len(rgb)), np.nan), np.full((n, 2), np.nan)
    reference = 1 if len(rgb) > 2 else 0
    for k, band in enumerate(rgb):
        table = sources[band]
        matches = match_sources(table, catalog, options.match_radius)
        sound = np.asarray(table["flags"])[matches.source] & SPOILED == 0
        sound &= own_snr(table)[matches.source] >= options.least_snr
        source, star = matches.source[sound], matches.star[sound]
        flux[star, k], err[star, k] = table["flux"].value[source], table["flux_err"].value[source]
        if k == reference:
            place[star] = np.stack([table["x"].value[source], table["y"].value[source]], axis=1)
    return flux, err, place


def _common_error(table: "Table") -> float:
    """Return the relative error that all fluxes of a band share: that of the aperture correction."""
    meta = table.meta
    err, factor = meta.get("aperture_correction_err", np.nan), meta.get("aperture_correction", 1.0)
    value = float(err) / float(factor) if factor else np.nan
    return value if np.isfinite(value) else 0.0


def _b_v(catalog: "Table") -> npt.NDArray[np.float64]:
    truth = catalog_magnitudes(catalog, "V")
    known = truth is not None and truth.color_name == "B-V"
    return truth.color if truth is not None and known else np.full(len(catalog), np.nan)


def _bp_rp(catalog: "Table") -> npt.NDArray[np.float64]:
    """Return Gaia's BP-RP [mag], NaN unknown."""
    if "bp_rp" in catalog.colnames:
        return numbers_if_there(catalog, "bp_rp")
    if "mag_BP" in catalog.colnames and "mag_RP" in catalog.colnames:
        return np.asarray(numbers_if_there(catalog, "mag_BP") - numbers_if_there(catalog, "mag_RP"))
    return np.full(len(catalog), np.nan)


def _color_err(catalog: "Table", first: str, second: str) -> npt.NDArray[np.float64]:
    """Return the error of the color between two bands [mag], NaN unknown.

    Where the catalog has only that of V, the color is of Tycho, as is that of the embedded catalog without
    Gaia: VT and BT are as uncertain as `_BT_OVER_VT` says, and B-V is 0.85 (BT-VT).
    """
    own = "color_err" if first == "B" else "bp_rp_err"
    if own in catalog.colnames:
        return numbers_if_there(catalog, own)
    both = np.hypot(
        numbers_if_there(catalog, f"mag_{first}_err"), numbers_if_there(catalog, f"mag_{second}_err")
    )
    if first != "B" or np.isfinite(both).any():
        return np.asarray(both)
    of_vt = numbers_if_there(catalog, "mag_err") / 1.09
    return np.asarray(0.85 * np.hypot(1.0, _BT_OVER_VT) * of_vt)


def _color_table(
    fit: ColorFit,
    stars: ColorStars,
    catalog: "Table",
    place: npt.NDArray[np.float64],
    sources: "Mapping[str, Table]",
    rgb: tuple[str, ...],
) -> "QTable":
    from astropy import units as u
    from astropy.table import QTable

    row, found = fit.star, fit.calibration
    names = (
        np.asarray(catalog["id"]).astype(np.str_)[row] if "id" in catalog.colnames else row.astype(np.str_)
    )
    columns = {
        "id": names,
        "ra": numbers_if_there(catalog, "ra")[row] * u.deg,
        "dec": numbers_if_there(catalog, "dec")[row] * u.deg,
        "x": place[row, 0] * u.pix,
        "y": place[row, 1] * u.pix,
        "mag": numbers_if_there(catalog, "mag")[row] * u.mag,
        "color": fit.color * u.mag,
    }
    for k, band in enumerate(rgb):
        unit = sources[band]["flux"].unit
        columns[f"flux_{band}"] = stars.flux[row, k] * unit
        columns[f"flux_{band}_err"] = stars.flux_err[row, k] * unit
    reference = 1 if len(rgb) > 2 else 0
    others = [band for k, band in enumerate(rgb) if k != reference]
    for k, band in enumerate(others):
        columns[f"residual_{band}"] = -fit.residuals[:, k] * u.mag
    columns["used"] = fit.used
    meta = {"reference_band": rgb[reference], "color": found.color_name, "method": found.method}
    return QTable(columns, meta=meta)


def calibrate_color(
    ds: "xr.Dataset",
    *,
    sources: "Mapping[str, Table]",
    catalog: "Table",
    rgb: tuple[str, str, str] = ("R", "G", "B"),
    options: ColorOptions = _DEFAULT_COLOR,
) -> "xr.Dataset":
    """Return `ds` with ``color_gain`` and ``color_gain_err`` [1] on `band`; the image itself is not touched.

    NaN for bands that are not in `rgb`, and for all where the stars do not suffice; attribute ``details`` of
    ``color_gain``: JSON, the fit or the reason.

    Parameters
    ----------
    ds
        ``image`` on `band`; lazy stays lazy.
    sources, catalog
        As for `color_of_bands`.
    rgb
        Names of the bands that show red, green and blue.
    """
    require(ds, v.IMAGE, v.BAND)
    fit, reason, _ = color_of_bands(sources, catalog, rgb, options=options)
    found = fit.calibration if fit is not None else None
    gain, err = np.full(ds.sizes["band"], np.nan), np.full(ds.sizes["band"], np.nan)
    if found is not None:
        for k, band in enumerate(str(name) for name in ds["band"].values):
            if band in rgb:
                gain[k], err[k] = found.gains[rgb.index(band)], found.errors[rgb.index(band)]
    out = ds.assign(color_gain=labeled(v.COLOR_GAIN, gain), color_gain_err=labeled(v.COLOR_GAIN_ERR, err))
    out["color_gain"].attrs["details"] = json_text(
        found.as_dict() if found is not None else {"reason": reason}
    )
    return record(out, "photometry.color", options)
