"""What a light curve leaves behind: ``lightcurve`` as .h5, .ecsv and .png, and ``summary.json``."""

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.history import package_version
from sciastro.io.paths import atomic_path
from sciastro.io.tables import write_table
from sciastro.photometry.comparison import SPOILED
from sciastro.photometry.ensemble import NEPER
from sciastro.photometry.flags import flag_meanings
from sciastro.photometry.periodogram import Periodogram
from sciastro.photometry.variability import INDICES, variability
from sciastro.recipe.lightcurvedata import LightCurve
from sciastro.recipe.lightcurvesummary import (
    comparison_rows,
    detrending,
    level_of,
    standard_magnitude,
    summary_of,
)
from sciastro.recipe.lightcurveverdicts import FAINT

if TYPE_CHECKING:
    import xarray as xr
    from astropy.table import QTable

__all__ = [
    "COLUMNS",
    "FAINT",
    "dataset_of",
    "magnitudes",
    "reference_magnitude",
    "summary_of",
    "table_of",
    "write_light_curve",
]

Floats = npt.NDArray[np.float64]

COLUMNS = {
    "time_bjd_tdb": ("d", "Barycentric Julian date (TDB) of the middle of the exposure"),
    "flux_rel": ("", "Flux over that of the comparison stars, 1 at the median, or out of transit"),
    "flux_rel_err": ("", "Standard error: pixels, sky, scintillation, zero point, scatter of like stars"),
    "mag": ("mag", "-2.5 log10 flux_rel + mag_reference; NaN below 3 sigma"),
    "mag_err": ("mag", "Standard error of mag, without that of mag_reference"),
    "airmass": ("", "Airmass of the target"),
    "fwhm": ("pix", "Median full width at half maximum of the stars of the frame"),
    "sky": ("electron / pix", "Sky beside the target"),
    "x": ("pix", "Column of the target; 0 is the center of the first pixel"),
    "y": ("pix", "Row of the target"),
    "flags": ("", "Bits of the target, see flag_meanings"),
    "use": ("", "Whether the point counts"),
    "reason": ("", "Why it does not"),
    "flux_detrended": ("", "flux_rel over the baseline that was fitted with the transit"),
    "baseline": ("", "The baseline"),
    "model": ("", "The transit alone; NaN where there is none"),
    "mag_standard": ("mag", "Magnitude in the system of mag_standard_system; NaN where there is none"),
    "night_err": ("", "Standard error of the level of a night, common to its points and not in flux_rel_err"),
    "exposure": ("s", "Exposure time"),
    "time_utc": ("", "Middle of the exposure, UTC"),
    "frame": ("", "File"),
}
"""Columns of ``lightcurve.ecsv``: unit and meaning."""


def write_light_curve(lc: LightCurve) -> dict[str, Any]:
    """Write every product of a light curve; return the content of ``summary.json``.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    from sciastro.report.lightcurves import draw_light_curve

    out = lc.request.out
    write_table(out / "lightcurve.ecsv", table_of(lc))
    with atomic_path(out / "lightcurve.h5") as part:
        dataset_of(lc).to_netcdf(part, engine="h5netcdf")
    with atomic_path(out / "lightcurve.png") as part:
        draw_light_curve(lc, part)
    summary = summary_of(lc)
    with atomic_path(out / "summary.json") as part:
        part.write_text(json.dumps(summary, indent=1, allow_nan=False), encoding="utf-8")
    return summary


# -------------------------------------------------------------------------------------------- table
def reference_magnitude(lc: LightCurve) -> float:
    """Return the magnitude of relative flux 1 against the summed light of the comparison stars."""
    stars = lc.curves.ensemble.mag
    together = -2.5 * math.log10(float(np.nansum(10 ** (-0.4 * stars))))
    return float(lc.curves.mag[0]) - together


def magnitudes(flux: Floats, err: Floats) -> tuple[Floats, Floats]:
    """Return magnitudes and errors [mag] of relative fluxes (frame,); NaN below `FAINT` sigma."""
    with np.errstate(invalid="ignore", divide="ignore"):
        clear = flux > FAINT * err
        mag = np.where(clear, -2.5 * np.log10(np.where(clear, flux, 1.0)), np.nan)
        return mag, np.where(clear, NEPER * err / flux, np.nan)


def table_of(lc: LightCurve) -> "QTable":
    """Return the light curve as ``lightcurve.ecsv`` has it."""
    from astropy import units as u
    from astropy.table import QTable

    level, reference = level_of(lc), reference_magnitude(lc)
    level = level if level > 0 else 1.0
    flux, err = lc.flux / level, lc.err / level
    mag, mag_err = magnitudes(flux, err)
    reference -= 2.5 * math.log10(level)
    columns: dict[str, Any] = {
        "time_bjd_tdb": lc.bjd, "flux_rel": flux, "flux_rel_err": err, "mag": mag + reference,
        "mag_err": mag_err, "airmass": lc.airmass, "fwhm": lc.series.fwhm, "sky": lc.series.sky[0],
        "x": lc.series.x[0], "y": lc.series.y[0], "flags": lc.flags, "use": lc.use,
        "reason": np.array(lc.reason, dtype=np.str_), "flux_detrended": lc.flux / lc.baseline,
        "baseline": lc.baseline / level, "model": lc.model,
        "mag_standard": mag + standard_magnitude(lc) - 2.5 * math.log10(level),
        "night_err": np.full(lc.use.size, lc.offsets.err[0] / level),
        "exposure": np.array([one.exposure for one in lc.series.frames]),
        "time_utc": np.array([str(one) for one in lc.time], dtype=np.str_),
        "frame": np.array([one.name for one in lc.series.frames], dtype=np.str_),
    }  # fmt: skip
    table = QTable()
    for name, (unit, meaning) in COLUMNS.items():
        table[name] = columns[name] * u.Unit(unit) if unit else columns[name]
        table[name].info.description = meaning
    table.meta = {
        "target": lc.target.name, "ra_deg": lc.target.ra, "dec_deg": lc.target.dec, "filter": lc.series.band,
        "time": {**lc.time_meaning}, "mag_system": "differential: against all comparison stars' light",
        "mag_reference": reference,
        "mag_standard_system": lc.level.brief() if lc.level is not None else "none: see notes",
        "aperture": str(lc.series.tried[lc.curves.aperture]),
        "comparison_stars": [star["id"] for star in comparison_rows(lc)],
        "detrending": detrending(lc.transit), "notes": list(lc.notes), "flag_meanings": flag_meanings(),
        "software": f"sciastro {package_version()}",
    }  # fmt: skip
    return table


# ------------------------------------------------------------------------------------------ dataset
def star_names(lc: LightCurve) -> list[str]:
    """Return a name per star: target, C1 ... for comparison stars by weight, S<number> for all others."""
    names = [f"S{i}" for i in range(lc.series.ra.size)]
    names[0] = "target"
    for k, i in enumerate(lc.curves.chosen.stars, start=1):
        names[int(i)] = f"C{k}"
    return names


def dataset_of(lc: LightCurve) -> "xr.Dataset":
    """Return every star in every frame, labeled (star, time)."""
    import xarray as xr

    series, curves = lc.series, lc.curves
    k = curves.aperture
    flags = series.flags[k].copy()
    flags[0] = lc.flags
    mag, mag_err = magnitudes(curves.flux, curves.err)
    good = ((flags & np.uint32(SPOILED)) == 0) & np.isfinite(mag) & lc.use[None, :]
    indices = variability(np.where(good, mag, np.nan), mag_err, lc.bjd)
    both, star, time = ("star", "time"), ("star",), ("time",)
    variables = {
        "flux": (both, series.flux[k], "electron", "Light in the aperture"),
        "flux_err": (both, np.sqrt(series.variance[k]), "electron", "Noise of pixels and sky"),
        "flux_rel": (both, curves.flux, "1", "Relative flux, median 1"),
        "flux_rel_err": (both, curves.err, "1", "Its standard error"),
        "mag": (both, mag + curves.mag[:, None], "mag", "Instrumental magnitude, zero points taken out"),
        "mag_err": (both, mag_err, "mag", "Its standard error"),
        "night_err": (
            star, lc.offsets.err, "1", "Standard error of a night's level, common to its points; relative"
        ),
        **_catalog_variables(lc),
        "bjd_tdb_star": (both, lc.star_bjd, "d", "Barycentric Julian date (TDB) for each star's direction"),
        "flags": (both, flags, "1", "Bits, see flag_meanings"),
        "x": (both, series.x, "pixel", "Column"),
        "y": (both, series.y, "pixel", "Row"),
        "sky": (both, series.sky, "electron / pixel", "Sky beside the star"),
        "zero_point": (time, curves.ensemble.zero, "mag", "Zero point of the frame at the target"),
        "zero_point_err": (time, curves.ensemble.zero_err, "mag", "Its standard error"),
        "n_comparison": (time, curves.ensemble.n_stars, "1", "Comparison stars of the frame"),
        "baseline": (time, lc.baseline, "1", "Baseline of the target"),
        "model": (time, lc.model, "1", "Transit of the target"),
        **{f"index_{name}": (star, indices[name], "1", text) for name, text in INDICES.items()},
        **_powers(lc.periodograms()),
        **{f"error_{name}": (time, v, "1", f"Error by {name}") for name, v in curves.terms.items()},
    }  # fmt: skip

    coordinates = {
        "star": (star, np.array(star_names(lc), dtype=object), "", "Name"),
        "time": (time, lc.time.astype("datetime64[ns]"), "", "Middle of the exposure, UTC"),
        "bjd_tdb": (time, lc.bjd, "d", "Barycentric Julian date (TDB) for the target's direction"),
        "ra": (star, series.ra, "deg", "Right ascension, ICRS"),
        "dec": (star, series.dec, "deg", "Declination, ICRS"),
        "mag_mean": (star, curves.mag, "mag", "Instrumental magnitude of relative flux 1"),
        "comparison": (star, _mask(n_stars=series.ra.size, rows=curves.chosen.stars), "1", "Comparison star"),
        "left_out": (star, _reasons(lc), "", "Why it is no comparison star"),
        "airmass": (time, lc.airmass, "1", "Of the target"),
        "fwhm": (time, series.fwhm, "pixel", "Of the stars"),
        "sky_level": (time, series.level, "electron / pixel", "Median of the frame"),
        "exposure": (time, np.array([one.exposure for one in series.frames]), "s", "Exposure time"),
        "use": (time, lc.use.astype(np.int8), "1", "Whether the frame counts for the target"),
        "reason": (time, np.array(lc.reason, dtype=object), "", "Why it does not"),
        "frame": (time, np.array([one.name for one in series.frames], dtype=object), "", "File"),
        "night": (time, lc.night.astype(np.int32), "1", "Number of the night"),
    }  # fmt: skip
    return xr.Dataset(
        {name: _variable(*entry) for name, entry in variables.items()},
        coords={name: _variable(*entry) for name, entry in coordinates.items()},
        attrs={
            "title": f"Light curves around {lc.target.name}", "source": f"sciastro {package_version()}",
            "summary": json.dumps(summary_of(lc), allow_nan=False), "filter": series.band,
            "flag_meanings": json.dumps(flag_meanings()),
        },
    )  # fmt: skip


def _catalog_variables(lc: LightCurve) -> dict[str, Any]:
    """Return magnitudes of a system per star, where the catalog tells one."""
    if lc.level is None:
        return {}
    name, star = lc.level.zeropoint.system, ("star",)
    return {
        "mag_standard": (
            star, lc.curves.mag + lc.level.offset, "mag", f"{name} magnitude of relative flux 1"
        ),
        "mag_standard_err": (star, lc.level.offset_err, "mag", "Its standard error: zero point and color"),
        "mag_catalog": (star, lc.level.mag, "mag", f"{name} magnitude of the catalog"),
        "color": (star, lc.level.color, "mag", f"{lc.level.zeropoint.color_name} of the catalog"),
    }  # fmt: skip


def _powers(found: list[Periodogram]) -> dict[str, Any]:
    """Return periodograms as variables, each along its own frequencies."""
    out: dict[str, Any] = {}
    for one in found:
        name = "bls" if one.method == "BLS" else "lomb_scargle"
        dim = (f"{name}_frequency",)
        out[dim[0]] = (dim, one.frequency, "1 / d", f"Frequencies of the {one.method} periodogram")
        out[f"{name}_power"] = (dim, one.power, "1", f"{one.method} power of the target")
    return out


def _variable(dims: tuple[str, ...], data: Any, unit: str, meaning: str) -> Any:
    attrs = {"long_name": meaning} | ({"units": unit} if unit else {})
    return dims, data, attrs


def _mask(*, n_stars: int, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int8]:
    out = np.zeros(n_stars, np.int8)
    out[rows] = 1
    return out


def _reasons(lc: LightCurve) -> npt.NDArray[np.object_]:
    return np.array([lc.curves.chosen.reasons.get(i, "") for i in range(lc.series.ra.size)], dtype=object)
