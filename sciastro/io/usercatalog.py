"""Read a star catalog that the user brings: CSV, ECSV, FITS, VOTable, or a VizieR text table.

Reads a table whose columns go by any of the usual names, and writes the same columns as `reference.cone`,
plus ``mag_<band>`` and ``mag_<band>_err`` for every magnitude column found.
Method: names are looked up in the alias tables below; numbers that stand for "missing" become NaN.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciastro.errors import CatalogError
from sciastro.io.foreigntables import DEC, RA, angle_column, first_column, number_column, read_any

if TYPE_CHECKING:
    from astropy import units as u
    from astropy.table import QTable, Table

__all__ = ["IDS", "read_user_catalog"]

Floats: TypeAlias = npt.NDArray[np.float64]

# Lower case, best first; a leading underscore is dropped before the look-up.
RA_ERR = ("ra_err", "ra_error", "e_ra_icrs", "e_raj2000", "e_ra", "raerr", 'raerr(")', "sigma_ra")
DEC_ERR = (
    "dec_err",
    "dec_error",
    "e_de_icrs",
    "e_dec_icrs",
    "e_dej2000",
    "e_decj2000",
    "e_dec",
    "e_de",
    "decerr",
    'decerr(")',
)
PM_RA = ("pmra", "pm_ra", "pm_ra_cosdec", "pmra_cosdec", "mu_ra", "ra_mas_per_year")
PM_DEC = ("pmdec", "pmde", "pm_dec", "mu_dec", "dec_mas_per_year")
PM_RA_ERR = ("pmra_error", "pm_ra_err", "e_pmra", "e_pm_ra", "pmra_err", "pmraerr")
PM_DEC_ERR = ("pmdec_error", "pm_dec_err", "e_pmde", "e_pmdec", "pmdec_err", "pmdecerr")
PARALLAX = ("parallax", "plx")
PARALLAX_ERR = ("parallax_error", "parallax_err", "e_plx", "e_parallax")
IDS = (
    "designation", "source_id", "gaia", "id", "name", "star_id", "main_id", "simbadname",
    "daophotid", "identifier", "2mass", "tyc", "hip", "objid", "number",
)  # fmt: skip
EPOCH = ("ref_epoch", "epoch", "epoch_year")
COLOR = ("b-v", "b_v", "bv", "color", "bmv")
V_LIKE = ("V", "VT", "mag", "G", "g", "r", "R")  # which band serves as `mag` when none is asked for
BANDS = "BP|RP|BT|VT|HP|Hp|Ks|[ugrizyUBVRIJHKGLCT]"
_MAGNITUDE = (
    re.compile(rf"^(?P<band>{BANDS})'?$"),
    re.compile(rf"^(?P<band>{BANDS})'?_?(?:mag|MAG|Mag|magnitude)$"),
    re.compile(rf"^(?:mag|MAG|Mag|m)_(?P<band>{BANDS})'?$"),
    re.compile(r"^phot_(?P<band>g|bp|rp)_mean_mag$"),
    re.compile(r"^(?:Johnson|Cousins|Sloan)_(?P<band>[uUBVRIgriz])(?: \((?P<code>[A-Z]+)\))?$"),  # APASS
    re.compile(r"^(?P<band>mag|MAG|Mag|magnitude)$"),
)
_BRIGHT, _FAINT = -30.0, 90.0  # beyond: 99.999, -99, -999, 9999, -32.768 (a scaled integer's null)


def read_user_catalog(path: str | Path, *, band: str | None = None) -> "QTable":
    """Return a user's star catalog with the columns of `cone`.

    Parameters
    ----------
    path
        CSV, ECSV, FITS or VOTable file, or a VizieR text table. Positions in degrees, or sexagesimal
        strings (right ascension in hours), or in the unit that the column names.
    band
        Which magnitude becomes ``mag``, as in ``mag_<band>``; None takes the most V-like.

    Returns
    -------
    QTable
        ``id, ra, dec`` [deg], ``ra_err, dec_err`` [arcsec], ``pm_ra_cosdec, pm_dec``, ``pm_ra_err,
        pm_dec_err`` [mas / yr], ``parallax, parallax_err`` [mas],
        ``mag, mag_err, color`` [mag], and ``mag_<band>``, ``mag_<band>_err`` per band, sorted by ``mag``;
        NaN where unknown. ``color`` is B-V. ``meta``: system (the band), catalog (file name),
        epoch (Julian year, or None), license.

    Raises
    ------
    CatalogError
        If the file is missing or unreadable, has no rows or no positions, positions out of range, or
        not the band asked for.
    """
    from astropy import units as u
    from astropy.table import QTable

    path = Path(path)
    table = read_any(path)
    names = {name.lower().lstrip("_"): name for name in reversed(table.colnames)}
    ra, dec = _places(table, names, path)
    magnitudes = _magnitudes(table)
    yearly = u.mas / u.yr
    columns: dict[str, Any] = {
        "id": _identifiers(table, names),
        "ra": ra % 360 * u.deg,
        "dec": dec * u.deg,
        "ra_err": _scaled(table, first_column(names, RA_ERR), u.arcsec, _small_unit(table)) * u.arcsec,
        "dec_err": _scaled(table, first_column(names, DEC_ERR), u.arcsec, _small_unit(table)) * u.arcsec,
        "pm_ra_cosdec": _scaled(table, first_column(names, PM_RA), yearly, yearly) * yearly,
        "pm_dec": _scaled(table, first_column(names, PM_DEC), yearly, yearly) * yearly,
        "pm_ra_err": _scaled(table, first_column(names, PM_RA_ERR), yearly, yearly) * yearly,
        "pm_dec_err": _scaled(table, first_column(names, PM_DEC_ERR), yearly, yearly) * yearly,
        "parallax": _scaled(table, first_column(names, PARALLAX), u.mas, u.mas) * u.mas,
        "parallax_err": _scaled(table, first_column(names, PARALLAX_ERR), u.mas, u.mas) * u.mas,
    }
    chosen = _choose(magnitudes, band, path)
    missing = np.full(len(table), np.nan)
    value, error = magnitudes.get(chosen, (missing, missing))
    columns |= {
        "mag": value * u.mag,
        "mag_err": error * u.mag,
        "color": _color(table, names, magnitudes) * u.mag,
    }
    for name, (value, error) in magnitudes.items():
        if name != "mag":
            columns |= {f"mag_{name}": value * u.mag, f"mag_{name}_err": error * u.mag}
    meta = {
        "system": chosen or None,
        "catalog": path.name,
        "epoch": _epoch(table, names),
        "license": "the user's own",
    }
    out = QTable(columns, meta=meta)
    return out[np.argsort(out["mag"].value, kind="stable")]


def _places(table: "Table", names: dict[str, str], path: Path) -> tuple[Floats, Floats]:
    """Return right ascension and declination [deg], within their ranges."""
    ra_name, dec_name = first_column(names, RA), first_column(names, DEC)
    if ra_name is None or dec_name is None:
        raise CatalogError(
            f"has no columns for right ascension and declination among {', '.join(table.colnames)}.",
            where=str(path),
            remedy="Name them 'ra' and 'dec' (degrees, or sexagesimal text).",
        )
    if len(table) == 0:
        raise CatalogError("has no rows.", where=str(path), remedy="Give a catalog with at least one star.")
    ra, dec = angle_column(table, ra_name, path, hours=True), angle_column(table, dec_name, path, hours=False)
    _check_range(ra, dec, path)
    return ra, dec


def _check_range(ra: Floats, dec: Floats, path: Path) -> None:
    bad = ~(np.isfinite(ra) & np.isfinite(dec)) | (np.abs(dec) > 90) | (ra < -180) | (ra > 360)
    if np.any(bad):
        row = int(np.argmax(bad))
        raise CatalogError(
            f"has {int(bad.sum())} positions out of range or missing, the first in row {row} "
            f"(ra {ra[row]}, dec {dec[row]}).",
            where=str(path),
            remedy="Give right ascension from 0 to 360 and declination from -90 to 90 degrees in every row.",
        )


def _magnitudes(table: "Table") -> dict[str, tuple[Floats, Floats]]:
    """Return value and error per band [mag], in the order of the file; the first column of a band wins."""
    out: dict[str, tuple[Floats, Floats]] = {}
    for name in table.colnames:
        found = next((m for m in (p.match(name) for p in _MAGNITUDE) if m), None)
        if found is None or table[name].dtype.kind == "b":
            continue
        label = found["band"]
        if name.startswith("phot_"):
            label = label.upper()
        label = "mag" if label.lower() in ("mag", "magnitude") else label
        error_name = _error_name(table.colnames, name, found["band"], found.groupdict().get("code"))
        value, error = number_column(table, name), number_column(table, error_name)
        value = np.where(np.isfinite(value) & (value > _BRIGHT) & (value < _FAINT), value, np.nan)
        no_error = ~np.isfinite(error) | (error <= 0) | (error >= 9)
        zeros = value == 0
        if error_name is not None or zeros.sum() > 1:  # 0 without an error, or again and again, is a null
            value = np.where(zeros & no_error, np.nan, value)
        error = np.where(no_error | np.isnan(value), np.nan, error)
        if np.any(np.isfinite(value)):
            out.setdefault(label, (value, error))
    return out


def _error_name(names: list[str], column: str, band: str, code: str | None = None) -> str | None:
    """Return the column with the error of `column`; the same letter case before any case."""
    wanted = [f"{code}err"] if code else []
    for stem in (column, band, f"{band}mag", f"mag_{band}"):
        wanted += [f"e_{stem}", f"{stem}_err", f"{stem}_error", f"{stem}err", f"{stem}Err", f"{stem}Error"]
        wanted += [f"{stem}error", f"sigma_{stem}", f"err_{stem}", f"sig_{stem}", f"d{stem}"]
    return next((w for w in wanted if w in names), None)


def _choose(magnitudes: dict[str, tuple[Floats, Floats]], band: str | None, path: Path) -> str:
    if band is not None and band not in magnitudes:
        raise CatalogError(
            f"has no magnitudes in band '{band}', only in: {', '.join(magnitudes) or 'none'}.",
            where=str(path),
            remedy="Choose one of these bands.",
        )
    return band or next((b for b in V_LIKE if b in magnitudes), next(iter(magnitudes), ""))


def _color(table: "Table", names: dict[str, str], magnitudes: dict[str, tuple[Floats, Floats]]) -> Floats:
    """Return B-V [mag]: as given, or from B and V, or 0.850 (BT - VT) (ESA 1997, vol. 1, sect. 1.3)."""
    given = number_column(table, first_column(names, COLOR))
    if np.any(np.isfinite(given)):
        return np.where(np.abs(given) < 9, given, np.nan)
    for blue, red, factor in (("B", "V", 1.0), ("BT", "VT", 0.850)):
        if blue in magnitudes and red in magnitudes:
            return np.asarray(factor * (magnitudes[blue][0] - magnitudes[red][0]), dtype=np.float64)
    return given


def _scaled(table: "Table", name: str | None, unit: "u.UnitBase", default: "u.UnitBase") -> Floats:
    """Return a column in `unit`; a column without a unit is in `default`."""
    from astropy import units as u

    own = table[name].unit if name is not None else None
    try:
        factor = (own or default).to(unit)
    except (u.UnitConversionError, AttributeError):
        factor = default.to(unit)
    return np.asarray(number_column(table, name) * factor, dtype=np.float64)


def _small_unit(table: "Table") -> "u.UnitBase":
    """Return the unit of position errors without one: mas in Gaia's tables, else arcsec."""
    from astropy import units as u

    return u.mas if "solution_id" in table.colnames or "phot_g_mean_mag" in table.colnames else u.arcsec


def _identifiers(table: "Table", names: dict[str, str]) -> npt.NDArray[np.str_]:
    name = first_column(names, IDS)
    if name is None:
        return np.array([str(k + 1) for k in range(len(table))], dtype=np.str_)
    texts = [x.decode() if isinstance(x, bytes) else str(x) for x in table[name]]
    return np.array([x.strip() for x in texts], dtype=np.str_)


def _epoch(table: "Table", names: dict[str, str]) -> float | None:
    """Return the one Julian year of all positions, or None if the table does not say or they differ."""
    values = number_column(table, first_column(names, EPOCH))
    same = np.all(np.isfinite(values)) and np.all(values == values[0]) and 1800 < values[0] < 2200
    return float(values[0]) if same else None
