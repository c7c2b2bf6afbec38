"""What a catalog of VizieR does not say outright: V and B-V from other bands, errors and epochs of places.

Reads plain columns of one answer (float64 [star], NaN unknown, in the units of `viziertables`); writes
columns of ours. All magnitudes in mag, angles in arcsec, epochs in Julian years.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["COLUMNS_OF", "ROWS_OF", "Floats", "landolt_bands"]

Floats: TypeAlias = npt.NDArray[np.float64]
Rows: TypeAlias = Mapping[str, Floats]

MJD_2000 = 51544.5
YEAR = 365.25


def _tycho(rows: Rows) -> dict[str, Floats]:
    """V and B-V after ESA 1997, vol. 1, sect. 1.3; errors of positions as they have grown by 2000.0."""
    bt, vt = rows["BTmag"], rows["VTmag"]
    e_bt, e_vt = rows["e_BTmag"], rows["e_VTmag"]
    errors = {}
    for ours, error, motion, epoch in (
        ("ra_err", "e_RAmdeg", "e_pmRA", "EpRAm"),
        ("dec_err", "e_DEmdeg", "e_pmDE", "EpDEm"),
    ):
        errors[ours] = np.hypot(rows[error], rows[motion] * (2000.0 - rows[epoch])) / 1000
    return {
        "mag": vt - 0.090 * (bt - vt),
        "mag_err": np.hypot(1.090 * e_vt, 0.090 * e_bt),
        "color": 0.850 * (bt - vt),
        **errors,
    }


def _apass(rows: Rows) -> dict[str, Floats]:
    """V as it is; B-V from B and V. No epoch is given: most of DR9 was observed from 2010 to 2015."""
    return {
        "mag": rows["Vmag"],
        "mag_err": rows["e_Vmag"],
        "color": rows["Bmag"] - rows["Vmag"],
        "epoch": np.full(rows["Vmag"].shape, 2012.5),
    }


def _pan_starrs(rows: Rows) -> dict[str, Floats]:
    """V and B-V after Tonry et al. 2012, ApJ 750, 99, table 6, linear.

    V = r + 0.006 + 0.474 (g-r), 0.012 rms; B = g + 0.213 + 0.587 (g-r), 0.034 rms.
    """
    g, r, e_g, e_r = (rows[name] for name in ("gmag", "rmag", "e_gmag", "e_rmag"))
    v = r + 0.006 + 0.474 * (g - r)
    error = np.sqrt((0.474 * e_g) ** 2 + (0.526 * e_r) ** 2 + 0.012**2)
    return {"mag": v, "mag_err": error, "color": g + 0.213 + 0.587 * (g - r) - v}


def _refcat(rows: Rows) -> dict[str, Floats]:
    return {**_pan_starrs(rows), "bp_rp": rows["BPmag"] - rows["RPmag"]}


def _ps1(rows: Rows) -> dict[str, Floats]:
    return {**_pan_starrs(rows), "epoch": 2000.0 + (rows["Epoch"] - MJD_2000) / YEAR}


def _sdss(rows: Rows) -> dict[str, Floats]:
    """V and B-V after Lupton 2005 (SDSS web pages): V = g - 0.5784 (g-r) - 0.0038, 0.0054 rms.

    B = g + 0.3130 (g-r) + 0.2271, 0.0107 rms.
    """
    g, r, e_g, e_r = (rows[name] for name in ("gpmag", "rpmag", "e_gpmag", "e_rpmag"))
    v = g - 0.5784 * (g - r) - 0.0038
    error = np.sqrt((0.4216 * e_g) ** 2 + (0.5784 * e_r) ** 2 + 0.0054**2)
    return {
        "mag": v,
        "mag_err": error,
        "color": g + 0.3130 * (g - r) + 0.2271 - v,
        "epoch": rows["ObsDate"],
    }


def _standards(v: str, b_v: Callable[[Rows], Floats]) -> Callable[[Rows], dict[str, Floats]]:
    def made(rows: Rows) -> dict[str, Floats]:
        return {"mag": rows[v], "mag_err": rows[f"e_{v}"], "color": b_v(rows)}

    return made


def landolt_bands(rows: Rows, form: str) -> dict[str, tuple[Floats, Floats]]:
    """Return U, B, V, R, I of Landolt's V and colors, with errors.

    Errors add in quadrature, as if V and the colors were measured apart, which makes them upper bounds.

    Parameters
    ----------
    form
        How the columns are called: "{}" or "<{}>".
    """

    def column(name: str) -> tuple[Floats, Floats]:
        called = form.format(name)
        return rows[called], rows[f"e_{called}"]

    def minus(first: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        return first[0] - other[0], np.hypot(first[1], other[1])

    def plus(first: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        return first[0] + other[0], np.hypot(first[1], other[1])

    v = column("Vmag")
    b = plus(v, column("B-V"))
    return {
        "U": plus(b, column("U-B")),
        "B": b,
        "V": v,
        "R": minus(v, column("V-R")),
        "I": minus(v, column("V-I")),
    }


COLUMNS_OF: dict[str, Callable[[Rows], dict[str, Floats]]] = {
    "tycho2": _tycho,
    "apass-dr9": _apass,
    "refcat2": _refcat,
    "ps1": _ps1,
    "sdss16": _sdss,
    "stetson": _standards("Vmag", lambda rows: rows["Bmag"] - rows["Vmag"]),
    "vsx": lambda rows: {"mag": rows["max"]},
    "landolt1992": _standards("Vmag", lambda rows: rows["B-V"]),
    "landolt2009": _standards("Vmag", lambda rows: rows["B-V"]),
    "landolt2013": _standards("<Vmag>", lambda rows: rows["<B-V>"]),
}
"""Name of a catalog -> what makes our columns of its rows."""

ROWS_OF: dict[str, Callable[[Rows], npt.NDArray[np.bool_]]] = {
    "tycho2": lambda rows: np.isfinite(rows["RAmdeg"]) & np.isfinite(rows["DEmdeg"]),  # pflag X
    "ps1": lambda rows: (np.nan_to_num(rows["Qual"]).astype(np.int64) & 3) == 0,  # bits 1, 2: extended
}
"""Name of a catalog -> which rows are kept, where that cannot be asked of the server."""
