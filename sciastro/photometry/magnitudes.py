"""From fluxes to magnitudes of a system, row by row: errors in common, limits for what is too faint.

What a row owes to the zero point (its covariance at the row's color and place) is told beside its own error.
A source below a stated S/N has no magnitude, but the limit that it is fainter than.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.references import surface_brightness
from sciastro.photometry.steps import own_snr
from sciastro.photometry.zeropoint import ZeroPoint

if TYPE_CHECKING:
    from astropy.table import QTable, Table

__all__ = ["LimitOptions", "add_brightness", "add_limits", "calibrate_table", "upper_limits"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitOptions(Options):
    """When a source has a limit instead of a magnitude."""

    least_snr: float = option(5.0, "S/N below which there is no magnitude.", low=0.0, high=100.0)
    sigma: float = option(3.0, "Significance of the limit, one-sided.", unit="sigma", low=0.5, high=20.0)


_DEFAULTS = LimitOptions()


def upper_limits(
    flux: npt.ArrayLike, flux_err: npt.ArrayLike, zeropoint: npt.ArrayLike, *, sigma: float = 3.0
) -> Floats:
    """Return the magnitude that a source is fainter than: ``Z - 2.5 log10(max(F, 0) + sigma F_err)``.

    The true flux is below ``F + sigma F_err`` with the one-sided chance of `sigma` (3: 99.87 %); a negative
    measured flux counts as 0, so that a low draw of the noise does not make the limit too deep.

    Parameters
    ----------
    flux, flux_err
        [electron / s]; NaN gives NaN.
    zeropoint
        Magnitude of 1 electron / s, of each row.
    """
    light, err = np.asarray(flux, dtype=np.float64), np.asarray(flux_err, dtype=np.float64)
    most = np.maximum(light, 0.0) + sigma * err
    with np.errstate(divide="ignore", invalid="ignore"):
        limit = np.asarray(zeropoint) - 2.5 * np.log10(most)
    return np.asarray(np.where(most > 0, limit, np.nan))


def add_limits(table: "Table", zeropoint: ZeroPoint, *, options: LimitOptions = _DEFAULTS) -> "Table":
    """Return a published table (`sources.source_table`) with limits, and with the errors all rows share.

    Returns
    -------
    Table
        With ``mag_zp_err`` [mag, standard error of the zero point at the row's color and place: common to
        rows alike], ``color_assumed`` [mag, the color that the color term took] and ``mag_limit`` [mag, for
        S/N by noise alone below ``least_snr``, where ``mag`` and ``mag_err`` are then NaN; flag FAINT]. Flag
        COLOR_BEYOND where the color is outside the colors of the calibration stars and a color term was
        fitted.
    """
    from astropy import units as u

    out = table.copy()
    hue, x, y, flux, err = (
        np.asarray(out[name].value, dtype=np.float64) for name in ("color", "x", "y", "flux", "flux_err")
    )
    mass = np.asarray(out["airmass"]) if "airmass" in out.colnames else np.nan
    zero, common = zeropoint.at(zeropoint.design(hue, x, y, mass))
    faint = np.isfinite(flux) & np.isfinite(err) & ~(own_snr(out) >= options.least_snr)
    limit = np.where(faint, upper_limits(flux, err, zero, sigma=options.sigma), np.nan)
    for name in ("mag", "mag_err"):
        out[name] = np.where(faint, np.nan, out[name].value) * u.mag
    out["mag_zp_err"] = common * u.mag
    out["color_assumed"] = np.where(np.isfinite(hue), hue, zeropoint.color_reference) * u.mag
    out["mag_limit"] = limit * u.mag
    flags = np.asarray(out["flags"]) | np.where(faint, np.uint32(SourceFlag.FAINT), np.uint32(0))
    low, high = zeropoint.color_range
    if zeropoint.color_term and np.isfinite(low):
        beyond = np.isfinite(hue) & ((hue < low) | (hue > high))
        flags = flags | np.where(beyond, np.uint32(SourceFlag.COLOR_BEYOND), np.uint32(0))
    out["flags"] = flags
    for name, text in (
        ("mag_zp_err", "Standard error of the zero point at this color and place, shared by rows"),
        ("color_assumed", f"Color {zeropoint.color_name} that the magnitude was made with"),
        (
            "mag_limit",
            f"Fainter than this at {options.sigma:g} sigma (one-sided); for S/N below {options.least_snr:g}",
        ),
    ):
        out[name].info.description = text
    out["mag"].info.description = table["mag"].info.description
    out["mag_err"].info.description = table["mag_err"].info.description
    out["flags"].info.description = table["flags"].info.description
    out.meta |= {"limit_sigma": options.sigma, "limit_snr": options.least_snr}
    return out


def add_brightness(table: "Table", zeropoint: ZeroPoint | None, pixel_scale: float) -> "Table":
    """Return a published table with surface brightnesses [mag / arcsec2].

    ``sky_brightness``: of the local sky, as far as the image still has it. ``mean_brightness``: of the source
    within its aperture, sky taken off. NaN where they are not positive, or without zero point or scale.

    Parameters
    ----------
    pixel_scale
        [arcsec]; NaN unknown.
    """
    from astropy import units as u

    out = table.copy()
    unit = u.mag / u.arcsec**2
    nothing = np.full(len(out), np.nan)
    sky, mean = nothing, nothing
    if zeropoint is not None and np.isfinite(pixel_scale):
        sky = surface_brightness(out["sky"].value, zeropoint.mag, pixel_scale)
        correction = float(out.meta.get("aperture_correction", 1.0))
        inside = np.asarray(out["flux"].value, dtype=np.float64) / correction
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = surface_brightness(inside / np.asarray(out["area"].value), zeropoint.mag, pixel_scale)
    out["sky_brightness"], out["mean_brightness"] = sky * unit, mean * unit
    out["sky_brightness"].info.description = "Surface brightness of the local sky"
    out["mean_brightness"].info.description = "Mean surface brightness of the source within the aperture"
    return out


def calibrate_table(
    table: "QTable",
    zeropoint: ZeroPoint,
    *,
    color: npt.ArrayLike | None = None,
    airmass: npt.ArrayLike | None = None,
    options: LimitOptions = _DEFAULTS,
) -> "QTable":
    """Return a table of fluxes with magnitudes in the system of `zeropoint`.

    Parameters
    ----------
    table
        ``flux``, ``flux_err`` [electron / s], and where there ``x``, ``y`` [pixel], ``color`` [mag],
        ``airmass``, ``flags``. Not modified.
    color, airmass
        Instead of those columns; NaN unknown.

    Returns
    -------
    QTable
        With ``mag``, ``mag_err`` (of the flux), ``mag_zp_err``, ``color_assumed``, ``mag_limit`` and
        ``flags``, as `add_limits` tells, and ``meta["zeropoint"]``.
    """
    from astropy import units as u
    from astropy.table import QTable

    out = QTable(table)
    n = len(out)

    def values(name: str, given: npt.ArrayLike | None) -> Floats:
        if given is None and name not in out.colnames:
            return np.full(n, np.nan)
        found = out[name] if given is None else given
        plain = np.ma.filled(np.ma.asarray(getattr(found, "value", found), dtype=np.float64), np.nan)
        return np.asarray(np.broadcast_to(plain, n), dtype=np.float64)

    flux, err = values("flux", None), values("flux_err", None)
    hue, mass = values("color", color), values("airmass", airmass)
    zero, _ = zeropoint.at(zeropoint.design(hue, values("x", None), values("y", None), mass))
    with np.errstate(divide="ignore", invalid="ignore"):
        out["mag"] = (
            np.where(flux > 0, zero - 2.5 * np.log10(np.where(flux > 0, flux, np.nan)), np.nan) * u.mag
        )
        out["mag_err"] = np.where(flux > 0, 2.5 / np.log(10) * err / flux, np.nan) * u.mag
    out["color"], out["airmass"] = hue * u.mag, mass
    for name in ("x", "y"):
        if name not in out.colnames:
            out[name] = np.full(n, np.nan) * u.pix
    if "flags" not in out.colnames:
        out["flags"] = np.zeros(n, np.uint32)
    out["mag"].info.description = f"Magnitude, {zeropoint.system or 'system of the catalog'}"
    out = QTable(add_limits(out, zeropoint, options=options))
    out.meta |= {"mag_system": zeropoint.system, "zeropoint": zeropoint.as_dict()}
    return out
