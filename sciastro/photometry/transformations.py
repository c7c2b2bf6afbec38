"""Magnitudes of one photometric system from those of another, by published polynomials in a color.

Gaia DR3 to Johnson-Cousins, SDSS and Tycho: Gaia DR3 documentation, section 5.5.1 (Carrasco and Bellazzini),
tables 5.7 to 5.10, of which most are table C.1 and C.2 of Riello et al. 2021 (A&A 649, A3). Pan-STARRS1 to
Johnson-Cousins and SDSS: Tonry et al. 2012 (ApJ 750, 99), table 6. Outside the colors that a polynomial was
made for there is no magnitude (NaN), never an extrapolation; the scatter about it goes into the error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.tables import as_table, numbers_if_there
from sciastro.errors import OptionError

if TYPE_CHECKING:
    from astropy.table import QTable, Table

__all__ = ["GAIA_DR3", "PAN_STARRS", "Relation", "Transformed", "relation_of", "transform", "transform_table"]

Floats = npt.NDArray[np.float64]

_GAIA = "Gaia DR3 documentation 5.5.1; Riello et al. 2021, A&A 649, A3"
_TONRY = "Tonry et al. 2012, ApJ 750, 99, table 6"


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    """``system = base + sign * sum_k coefficients[k] * color^k``, with color = color[0] - color[1].

    Attributes
    ----------
    system
        What it gives: "Johnson V".
    base, color
        Catalog bands that it starts from: ``mag_<band>``.
    coefficients
        As published, constant first [mag].
    sign
        -1 where base minus system is what was published (Gaia), +1 where system minus base was.
    colors
        Where it may be used [mag]: the published range, cut where the publication says that it holds for M
        giants only beyond, since a color does not tell a giant from a dwarf.
    published
        The range as published; NaN where the publication gives none.
    scatter
        Of stars about the polynomial, as published [mag].
    citation
        Where it is from.
    """

    system: str
    base: str
    color: tuple[str, str]
    coefficients: tuple[float, ...]
    sign: int
    colors: tuple[float, float]
    published: tuple[float, float]
    scatter: float
    citation: str

    @property
    def color_name(self) -> str:
        """Return the color's name, such as "BP-RP"."""
        return "-".join(self.color)

    def words(self) -> str:
        """Return one line for headers and reports."""
        low, high = self.colors
        return (
            f"{self.system} from {self.base} and {self.color_name} ({low:g} to {high:g} mag), "
            f"scatter {self.scatter:g} mag; {self.citation}"
        )


def _gaia(
    system: str, coefficients: tuple[float, ...], published: tuple[float, float], scatter: float,
    giants: float = np.inf,
) -> Relation:  # fmt: skip
    return Relation(
        system=system, base="G", color=("BP", "RP"), coefficients=coefficients, sign=-1,
        colors=(published[0], min(published[1], giants)), published=published, scatter=scatter,
        citation=_GAIA,
    )  # fmt: skip


def _tonry(system: str, base: str, coefficients: tuple[float, float, float], scatter: float) -> Relation:
    # The paper gives no range; here it is where the quadratic and the linear form of table 6 agree within
    # their scatter.
    return Relation(
        system=system, base=base, color=("g", "r"), coefficients=coefficients, sign=1, colors=(-0.35, 1.2),
        published=(np.nan, np.nan), scatter=scatter, citation=_TONRY,
    )  # fmt: skip


GAIA_DR3: Mapping[str, Relation] = MappingProxyType(
    {
        one.system: one
        for one in (
            _gaia("Johnson B", (0.01448, -0.6874, -0.3604, 0.06718, -0.006061), (-0.5, 4.0), 0.0633, 1.75),
            _gaia("Johnson V", (-0.02704, 0.01424, -0.2156, 0.01426), (-0.5, 5.0), 0.03017),
            _gaia("Cousins R", (-0.02275, 0.3961, -0.1243, -0.01396, 0.003775), (0.0, 4.0), 0.03167, 2.0),
            _gaia("Cousins I", (0.01753, 0.76, -0.0991), (-0.5, 4.5), 0.03765),
            _gaia("SDSS g", (0.2199, -0.6365, -0.1548, 0.0064), (0.3, 3.0), 0.0745, 2.0),
            _gaia("SDSS r", (-0.09837, 0.08592, 0.1907, -0.1701, 0.02263), (0.0, 3.0), 0.03776, 2.0),
            _gaia("SDSS i", (-0.293, 0.6404, -0.09609, -0.002104), (0.5, 2.0), 0.04092),
            _gaia("Tycho VT", (-0.01077, -0.0682, -0.2387, 0.02342), (-0.35, 4.0), 0.05350),
            _gaia("Tycho BT", (-0.004288, -0.8547, 0.1244, -0.9085, 0.4843, -0.06814), (-0.3, 3.0), 0.07063),
        )
    }
)
"""System -> polynomial in BP-RP. SDSS z is left out: its polynomial is 0.05 mag off from ATLAS-REFCAT2."""

PAN_STARRS: Mapping[str, Relation] = MappingProxyType(
    {
        one.system: one
        for one in (
            _tonry("Johnson B", "g", (0.212, 0.556, 0.034), 0.032),
            _tonry("Johnson V", "r", (0.005, 0.462, 0.013), 0.012),
            _tonry("Cousins R", "r", (-0.137, -0.108, -0.029), 0.015),
            _tonry("Cousins I", "i", (-0.366, -0.136, -0.018), 0.017),
            _tonry("SDSS g", "g", (0.013, 0.145, 0.019), 0.008),
            _tonry("SDSS r", "r", (-0.001, 0.004, 0.007), 0.004),
            _tonry("SDSS i", "i", (-0.005, 0.011, 0.010), 0.004),
            _tonry("SDSS z", "z", (0.013, -0.039, -0.012), 0.010),
        )
    }
)
"""System -> polynomial in Pan-STARRS g-r."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transformed:
    """Magnitudes in another system, (star).

    Attributes
    ----------
    mag, mag_err
        [mag]; NaN where the color is unknown or outside the range. Errors of the catalog and the scatter of
        the relation, in quadrature; an unknown catalog error counts as 0.
    color
        The color that it used [mag].
    outside
        True where the color is known, but outside the range.
    """

    mag: Floats
    mag_err: Floats
    color: Floats
    outside: npt.NDArray[np.bool_]


def transform(
    relation: Relation,
    base: npt.ArrayLike,
    color: npt.ArrayLike,
    base_err: npt.ArrayLike = 0.0,
    color_err: npt.ArrayLike = 0.0,
) -> Transformed:
    """Return magnitudes by a relation.

    Parameters
    ----------
    relation
        One of `GAIA_DR3` or `PAN_STARRS`.
    base, color
        (star) [mag]; NaN unknown.
    base_err, color_err
        [mag]; NaN counts as 0. They are taken as independent, which overstates the error a little where base
        is one of the color's bands.
    """
    m, c, e, f = np.broadcast_arrays(
        *(np.asarray(values, dtype=np.float64) for values in (base, color, base_err, color_err))
    )
    low, high = relation.colors
    inside = (c >= low) & (c <= high)
    at = np.where(inside, c, np.nan)
    slope = np.polynomial.polynomial.polyval(at, np.polynomial.polynomial.polyder(relation.coefficients))
    mag = m + relation.sign * np.polynomial.polynomial.polyval(at, np.array(relation.coefficients))
    err = np.sqrt(np.nan_to_num(e) ** 2 + (slope * np.nan_to_num(f)) ** 2 + relation.scatter**2)
    return Transformed(
        mag=np.asarray(mag),
        mag_err=np.where(np.isfinite(mag), err, np.nan),
        color=np.array(c),
        outside=np.isfinite(c) & ~inside,
    )


def relation_of(catalog: "Table", system: str) -> Relation | None:
    """Return the relation that leads from the bands of `catalog` to `system`, or None.

    Pan-STARRS relations (smaller scatter) come first, but only for catalogs that say they are in that system
    (ATLAS-REFCAT2, Pan-STARRS): g and r of other catalogs are not Pan-STARRS.
    """
    names = set(catalog.colnames)
    if is_pan_starrs(catalog) and system in PAN_STARRS:
        found = PAN_STARRS[system]
        if {f"mag_{band}" for band in (found.base, *found.color)} <= names:
            return found
    gaia = {"mag_G", "mag_BP", "mag_RP"} <= names or {"g_mag", "bp_rp"} <= names
    return GAIA_DR3.get(system) if gaia else None


def is_pan_starrs(catalog: "Table") -> bool:
    """Return whether g, r, i, z of a catalog are Pan-STARRS magnitudes, by its name in ``meta``."""
    name = str(catalog.meta.get("catalog", "")).lower()
    return "refcat2" in name or "pan-starrs" in name or name.startswith("ps1")


def from_catalog(catalog: "Table", relation: Relation) -> Transformed:
    """Return magnitudes by `relation` from ``mag_<band>``, or from ``g_mag`` and ``bp_rp``."""
    if relation.base == "G" and "mag_BP" not in catalog.colnames:
        return transform(relation, column(catalog, "g_mag"), column(catalog, "bp_rp"))
    first, second = (column(catalog, f"mag_{band}") for band in relation.color)
    errors = [column(catalog, f"mag_{band}_err") for band in (relation.base, *relation.color)]
    return transform(
        relation,
        column(catalog, f"mag_{relation.base}"),
        first - second,
        errors[0],
        np.hypot(*(np.nan_to_num(err) for err in errors[1:])),
    )


def column(catalog: "Table", name: str) -> Floats:
    """Return a column as float64, NaN where it is masked, 90 or more, or not there at all."""
    values = numbers_if_there(catalog, name)
    return np.asarray(np.where(np.abs(values) < 90, values, np.nan), dtype=np.float64)


def transform_table(catalog: "QTable", systems: Sequence[str]) -> "QTable":
    """Return `catalog` with the magnitudes of other systems.

    Parameters
    ----------
    catalog
        As `sciastro.cone` gives it: ``mag_G``, ``mag_BP``, ``mag_RP`` (Gaia DR3), or ``g_mag`` and ``bp_rp``,
        or the bands of Pan-STARRS or ATLAS-REFCAT2 with ``meta["catalog"]`` that names it. Not modified.
    systems
        Names, such as "Johnson V", "Cousins R", "SDSS g", "Tycho VT".

    Returns
    -------
    QTable
        With ``<system>``, ``<system>_err`` [mag, NaN unknown] and ``<system>_outside`` (the color is beyond
        the published range, so there is no magnitude) for each, and ``meta["transformations"]``.

    Raises
    ------
    OptionError
        If a system is unknown, or the catalog has no bands that lead to it.
    """
    from astropy import units as u

    catalog = as_table(catalog, "catalog")
    table = catalog.copy()
    said = dict(table.meta.get("transformations", {}))
    for system in systems:
        relation = relation_of(catalog, system)
        if relation is None:
            raise OptionError(
                f"cannot be had from the columns {', '.join(catalog.colnames)}.",
                where=f"photometric system '{system}'",
                remedy=f"Known from Gaia: {', '.join(GAIA_DR3)}; from Pan-STARRS: {', '.join(PAN_STARRS)}.",
            )
        found = from_catalog(catalog, relation)
        table[system], table[f"{system}_err"] = found.mag * u.mag, found.mag_err * u.mag
        table[f"{system}_outside"] = found.outside
        said[system] = relation.words()
    table.meta["transformations"] = said
    return table
