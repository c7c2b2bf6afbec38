"""Residuals per star, with the error that was expected and the error that was found.

Formal errors are too small nearly everywhere (Rubin Observatory, SITCOMTN-180): they know of photons, not of
seeing, blends and pixels. Beside them stands what stars of the same brightness scatter by, corrected for what
the fit has taken up: with leverage h, a residual is sqrt(1 - h) of the error (Hoaglin & Welsch 1978, The
American Statistician 32, 17).
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.robust import RAYLEIGH_MEDIAN
from sciastro.core import transform
from sciastro.core.tables import column_numbers

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["DESCRIPTIONS", "agreement", "described", "empirical_errors", "leverage", "magnitude_bins"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

PER_BIN = 25  # fewest stars that a bin of magnitude has where there are enough
MOST_BINS = 8  # of magnitude: what a figure can show
LEAST_FREE = 0.05  # of a star's error that the fit leaves, at least: it divides

DESCRIPTIONS = {
    "index": "Row in the star list of the image",
    "id": "Name in the catalog",
    "x": "Measured column; the first pixel's center is 0",
    "y": "Measured row",
    "ra": "Right ascension in the catalog, at the epoch of the image, ICRS",
    "dec": "Declination in the catalog, at the epoch of the image, ICRS",
    "mag": "Magnitude in the catalog",
    "color": "Color index in the catalog",
    "x_fit": "Column of the catalog position by the fitted WCS",
    "y_fit": "Row of the catalog position by the fitted WCS",
    "dx": "Measured minus fitted column",
    "dy": "Measured minus fitted row",
    "d_ra": "Measured minus catalog right ascension, times cos(dec)",
    "d_dec": "Measured minus catalog declination",
    "radius": "Distance from the middle of the image",
    "sigma": "Formal error per axis: of the measurement and of the catalog",
    "sigma_sky": "Formal error per axis, on the sky",
    "error": "Empirical error per axis: scatter of stars as bright, corrected for the fit",
    "error_sky": "Empirical error per axis, on the sky",
    "leverage": "Share of its error that a star imprints on the fit there",
    "used": "Whether the star entered the fit",
}


def described(table: "QTable") -> "QTable":
    """Return the table, each column with its description."""
    for name in table.colnames:
        table[name].info.description = DESCRIPTIONS[name]
    return table


def leverage(points: Floats, sigma: Floats, keep: Mask, order: int) -> Floats:
    """Return the leverage of each star (n,) on a polynomial of `order`; of those left out, of their place.

    Parameters
    ----------
    points
        (n, 2) [pixel].
    sigma
        (n,) error per axis [pixel].
    keep
        (n,) stars of the fit.
    """
    matrix = transform.design(points[:, 0], points[:, 1], order) / sigma[:, None]
    norm = np.sqrt(np.sum(matrix[keep] ** 2, axis=0))
    matrix = matrix / np.where(norm > 0, norm, 1.0)
    r: Floats = np.asarray(np.linalg.qr(matrix[keep], mode="r"), dtype=np.float64)
    try:
        q = np.linalg.solve(r.T, matrix.T)
    except np.linalg.LinAlgError:  # as many stars as terms, or on a line: the fit takes up everything
        return np.ones(len(points))
    return np.asarray(np.clip(np.sum(q**2, axis=0), 0.0, None))


def magnitude_bins(mag: Floats, keep: Mask) -> list[Indices]:
    """Return the stars of each bin of magnitude, as many in each; those without magnitude (NaN) come last.

    `mag` and `keep` are (n,); only stars to `keep` are in the bins, as rows.
    """
    known = np.flatnonzero(keep & np.isfinite(mag))
    unknown = np.flatnonzero(keep & ~np.isfinite(mag))
    count = int(np.clip(known.size // PER_BIN, 1, MOST_BINS))
    bins = [part for part in np.array_split(known[np.argsort(mag[known], kind="stable")], count) if part.size]
    return [*bins, unknown] if unknown.size else bins


def empirical_errors(residual: Floats, share: Floats, mag: Floats, keep: Mask) -> Floats:
    """Return the error per axis that each star shows, of stars as bright, in the unit of `residual`.

    Parameters
    ----------
    residual
        (n, 2).
    share
        (n,) leverage.
    mag
        (n,) magnitude; NaN unknown.
    keep
        (n,) stars of the fit; the others get what stars as bright have.

    Returns
    -------
    array
        (n,): between the middles of bins, interpolated in magnitude; the median length of a residual is 1.177
        errors per axis (Rayleigh).
    """
    length = np.hypot(*residual.T) / np.sqrt(np.clip(1 - share, LEAST_FREE, 1.0))
    out = np.full(len(length), np.nan)
    places, values = [], []
    for part in magnitude_bins(mag, keep):
        found = float(np.median(length[part])) / RAYLEIGH_MEDIAN
        if np.isfinite(mag[part]).all():
            places.append(float(np.median(mag[part])))
            values.append(found)
        else:
            out[~np.isfinite(mag)] = found
    known = np.isfinite(mag)
    if places:
        out[known] = np.interp(mag[known], places, values)
    out[~np.isfinite(out)] = float(np.median(length[keep])) / RAYLEIGH_MEDIAN if keep.any() else np.nan
    return out


def agreement(table: "QTable") -> list[tuple[float, int, float, float]]:
    """Return magnitude, stars, formal and empirical error per axis [pixel] of each bin of magnitude."""
    mag, keep = column_numbers(table, "mag"), np.asarray(table["used"], dtype=bool)
    formal, share = column_numbers(table, "sigma"), column_numbers(table, "leverage")
    length = np.hypot(column_numbers(table, "dx"), column_numbers(table, "dy")) / np.sqrt(
        np.clip(1 - share, LEAST_FREE, 1.0)
    )
    rows = []
    for part in magnitude_bins(mag, keep):
        # Of a mixture of errors: the ratio of each residual to its own error, times the typical error.
        ratio = float(np.median(length[part] / formal[part])) / RAYLEIGH_MEDIAN
        typical = float(np.median(formal[part]))
        rows.append((float(np.median(mag[part])), int(part.size), typical, ratio * typical))
    return rows
