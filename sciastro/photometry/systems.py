"""Which catalog magnitude calibrates which filter: a table of bands and published transformations.

A catalog that carries the band itself (``mag_<band>``) always wins. Otherwise Gaia's or Pan-STARRS' own bands
lead to it by a published polynomial (`transformations`), else the magnitude is a line in B-V from Johnson V.
Each is valid over a stated range of color and has a stated scatter, which goes into the error.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.photometry.transformations import column as _column
from sciastro.photometry.transformations import from_catalog, is_pan_starrs, relation_of

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["BANDS", "SYSTEMS", "BandSystem", "CatalogMagnitude", "band_system", "catalog_magnitudes"]

Floats = npt.NDArray[np.float64]

_JESTER = "Jester et al. 2005, AJ 130, 873, table 1"
_LANDOLT = "line fitted to the standards of Landolt 1992 (AJ 104, 340) and successors"


@dataclass(frozen=True, kw_only=True, slots=True)
class BandSystem:
    """How a band's magnitude follows from Johnson V and B-V: ``V + offset + slope * (B-V)``.

    Attributes
    ----------
    name
        Photometric system and band.
    offset, slope
        [mag], [1].
    scatter
        Of single stars about the line [mag].
    colors
        Range of B-V that the line is valid in [mag]; an absent color is allowed where `slope` is 0.
    citation
        Where the line is from; empty where nothing is transformed.
    approximate
        The filter only resembles the system (luminance, color filters); the color term takes the rest.
    """

    name: str
    offset: float = 0.0
    slope: float = 0.0
    scatter: float = 0.0
    colors: tuple[float, float] = (-0.4, 2.0)
    citation: str = ""
    approximate: bool = False


_V = BandSystem(name="Johnson V")
_LIKE_V = BandSystem(name="Johnson V", approximate=True)
_B = BandSystem(name="Johnson B", slope=1.0)
_R = BandSystem(
    name="Cousins R", offset=-0.021, slope=-0.556, scatter=0.03, colors=(-0.3, 1.3), citation=_LANDOLT
)
_I = BandSystem(
    name="Cousins I", offset=-0.049, slope=-1.073, scatter=0.07, colors=(-0.3, 1.3), citation=_LANDOLT
)

BANDS: dict[str, BandSystem] = {
    "V": _V,
    "L": _LIKE_V,
    "Clear": _LIKE_V,
    "G": _LIKE_V,
    "B": BandSystem(name="Johnson B", slope=1.0, approximate=True),
    "R": BandSystem(
        name="Cousins R",
        offset=_R.offset,
        slope=_R.slope,
        scatter=_R.scatter,
        colors=_R.colors,
        citation=_LANDOLT,
        approximate=True,
    ),
    "Bj": _B,
    "Rc": _R,
    "Ic": _I,
    "I": _I,
    "g": BandSystem(
        name="SDSS g", offset=-0.12, slope=0.60, scatter=0.02, colors=(-0.3, 1.4), citation=_JESTER
    ),
    "r": BandSystem(
        name="SDSS r", offset=0.11, slope=-0.42, scatter=0.03, colors=(-0.3, 1.4), citation=_JESTER
    ),
}
"""Canonical filter name -> system; narrow bands, u, i, z and U do not follow from V and B-V."""

_ALIASES = {
    "lum": "L", "luminance": "L", "uvir": "L", "ircut": "L", "uvircut": "L", "uv/ir": "L", "uv/ircut": "L",
    "clear": "Clear", "c": "Clear", "none": "Clear", "": "Clear",
    "red": "R", "green": "G", "blue": "B", "tr": "R", "tg": "G", "tb": "B",
    "g'": "g", "r'": "r", "i'": "i", "u'": "u", "z'": "z",
    "sdssg": "g", "sdssr": "r", "sdssi": "i", "sloang": "g", "sloanr": "r", "sloani": "i",
    "johnsonv": "V", "johnsonb": "Bj", "bessellv": "V", "bessellb": "Bj", "bessellr": "Rc", "besselli": "Ic",
    "cousinsr": "Rc", "cousinsi": "Ic", "rc": "Rc", "ic": "Ic",
}  # fmt: skip

_OWN = {"i": "SDSS i", "z": "SDSS z", "u": "SDSS u", "y": "Pan-STARRS y", "U": "Johnson U", "BP": "Gaia BP",
        "RP": "Gaia RP", "BT": "Tycho BT", "VT": "Tycho VT"}  # fmt: skip
"""Systems of filters that V and B-V say nothing about."""

SYSTEMS = {
    "Johnson U": "U", "Johnson B": "B", "Johnson V": "V", "Cousins R": "R", "Cousins I": "I",
    **{f"SDSS {band}": band for band in "ugriz"}, **{f"Pan-STARRS {band}": band for band in "grizy"},
    "Gaia G": "G", "Gaia BP": "BP", "Gaia RP": "RP", "Tycho BT": "BT", "Tycho VT": "VT",
}  # fmt: skip
"""Every system that may be asked for -> the catalog column ``mag_<band>`` that holds it."""

# How catalogs name the column. A green filter is no Gaia G: it goes by V.
_COLUMN = {"Bj": "B", "Rc": "R", "Ic": "I", "L": "V", "Clear": "V", "G": "V"}


def _canonical(band: str) -> str:
    text = band.strip()
    if text in BANDS:
        return text
    key = "".join(char for char in text.lower() if char not in " _-")
    return _ALIASES.get(key, text)


def band_system(band: str) -> BandSystem | None:
    """Return the system of a filter name, or None where V and B-V say nothing about it."""
    return BANDS.get(_canonical(band))


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogMagnitude:
    """Magnitudes of catalog stars in the system of one band.

    Attributes
    ----------
    mag, mag_err, color
        float64 (star) [mag]; NaN unknown or outside the validity of the transformation; an unknown error is 0
        (the fitted scatter then takes it).
    system, color_name, note
        Names for the record; `note` says what was transformed and how well.
    outside
        (star) the color is known, but beyond the validity; empty where nothing was transformed.
    """

    mag: Floats
    mag_err: Floats
    color: Floats
    system: str
    color_name: str
    note: str
    outside: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))


def catalog_magnitudes(catalog: "Table", band: str, system: str = "") -> CatalogMagnitude | None:
    """Return the magnitudes that calibrate `band`, or None where the catalog has none for it.

    Parameters
    ----------
    catalog
        ``mag`` (Johnson V [mag]), ``mag_err``, ``color`` (B-V [mag]) and possibly ``mag_<band>`` and
        ``mag_<band>_err``; 99 and more is unknown.
    band
        Filter name; case counts (G is not g).
    system
        One of `SYSTEMS` to calibrate to; empty takes the one that the filter is named for.
    """
    if system:
        return _in_system(catalog, band, system)
    canonical = _canonical(band)
    name = _COLUMN.get(canonical, canonical)
    if f"mag_{name}" in catalog.colnames:
        return _own(catalog, name, _system_of(catalog, canonical, name))
    line = BANDS.get(canonical)
    target = line.name if line is not None else _OWN.get(canonical, "")
    if line is None or "mag_BP" in catalog.colnames or is_pan_starrs(catalog):
        found = _related(catalog, target)
        if found is not None:
            rough = "the filter only resembles this band" if line is not None and line.approximate else ""
            return replace(found, note="; ".join(text for text in (found.note, rough) if text))
    return None if line is None else _by_line(catalog, line)


def _in_system(catalog: "Table", band: str, system: str) -> CatalogMagnitude | None:
    """Return magnitudes of a system that was asked for; `band` is only for the words."""
    name = SYSTEMS.get(system)
    if name is None:
        return None
    found = None
    if f"mag_{name}" in catalog.colnames and _system_of(catalog, name, name) == system:
        found = _own(catalog, name, system)
    if found is None and system == "Johnson V" and "mag" in catalog.colnames and _is_v(catalog):
        found = _by_line(catalog, _V)
    if found is None:
        line = next((one for one in BANDS.values() if one.name == system and not one.approximate), None)
        found = _of_more_stars(_related(catalog, system), None if line is None else _by_line(catalog, line))
    return None if found is None else replace(found, note=f"filter {band} to {system}; {found.note}")


def _of_more_stars(
    first: CatalogMagnitude | None, second: CatalogMagnitude | None
) -> CatalogMagnitude | None:
    """Return the first, unless less than half as many stars have a magnitude by it as by the second.

    Gaia's bands are better known than lines in B-V; but the embedded catalog has them of bright stars only.
    """
    if first is None or second is None:
        return second if first is None else first
    known = [int(np.isfinite(one.mag).sum()) for one in (first, second)]
    return first if 2 * known[0] >= known[1] else second


def _system_of(catalog: "Table", canonical: str, name: str) -> str:
    """Return the system that a column ``mag_<name>`` is in."""
    if name in "grizy" and is_pan_starrs(catalog):
        return f"Pan-STARRS {name}"
    if canonical in BANDS and name != "G":
        return BANDS[canonical].name
    return _OWN.get(name, "Gaia G" if name == "G" else name)


def _own(catalog: "Table", name: str, system: str) -> CatalogMagnitude:
    color, color_name = _own_color(catalog, name)
    return CatalogMagnitude(
        mag=_column(catalog, f"mag_{name}"),
        mag_err=np.nan_to_num(_column(catalog, f"mag_{name}_err")),
        color=color,
        system=system,
        color_name=color_name,
        note=f"column mag_{name} of the catalog",
    )


def _related(catalog: "Table", system: str) -> CatalogMagnitude | None:
    """Return magnitudes by a published polynomial in Gaia's or Pan-STARRS' bands."""
    relation = relation_of(catalog, system)
    if relation is None:
        return None
    found = from_catalog(catalog, relation)
    left = f"{int(found.outside.sum())} stars beyond it are left out" if found.outside.any() else ""
    return CatalogMagnitude(
        mag=found.mag,
        mag_err=np.nan_to_num(found.mag_err),
        color=found.color,
        system=system,
        color_name=relation.color_name,
        note="; ".join(text for text in (relation.words(), left) if text),
        outside=found.outside,
    )


def _by_line(catalog: "Table", line: BandSystem) -> CatalogMagnitude | None:
    if "mag" in catalog.colnames and _is_v(catalog):
        v, color, note = _johnson_v(catalog)
        found = _transformed(line, v, _column(catalog, "mag_err"), color)
        return replace(found, note="; ".join(text for text in (note, found.note) if text))
    if "mag_g" in catalog.colnames and "mag_r" in catalog.colnames:
        return _from_sdss(catalog, line)
    return None


def _is_v(catalog: "Table") -> bool:
    system = catalog.meta.get("system")
    return system is None or str(system) in {"V", "VT", "mag"} or "Johnson V" in str(system)


def _johnson_v(catalog: "Table") -> tuple[Floats, Floats, str]:
    """Return V, B-V and what was done: V = VT - 0.090 (BT-VT) where ``mag`` is Tycho's VT."""
    v, color = _column(catalog, "mag"), _column(catalog, "color")
    if str(catalog.meta.get("system")) != "VT":
        return v, color, ""
    # ESA 1997, vol. 1, sect. 1.3, with BT-VT = (B-V) / 0.850; NaN without a color.
    return v - 0.090 / 0.850 * color, color, "V from VT and B-V (ESA 1997, vol. 1, sect. 1.3)"


def _own_color(catalog: "Table", name: str) -> tuple[Floats, str]:
    if name in ("G", "BP", "RP") and {"mag_BP", "mag_RP"} <= set(catalog.colnames):
        return _column(catalog, "mag_BP") - _column(catalog, "mag_RP"), "BP-RP"
    for first, second in (
        ("g", "r"), ("g", "i"), ("r", "i"), ("i", "z"), ("B", "V"), ("V", "R"), ("V", "I"), ("BT", "VT"),
    ):  # fmt: skip
        columns = f"mag_{first}", f"mag_{second}"
        if name in (first, second) and all(column in catalog.colnames for column in columns):
            return _column(catalog, columns[0]) - _column(catalog, columns[1]), f"{first}-{second}"
    return _column(catalog, "color"), "B-V"


def _from_sdss(catalog: "Table", line: BandSystem) -> CatalogMagnitude:
    """Return V and B-V of a catalog that has only g and r, and `line` on top of them."""
    g, r = _column(catalog, "mag_g"), _column(catalog, "mag_r")
    # Jester et al. 2005, table 1, stars with R-I < 1.15: V = g - 0.59 (g-r) - 0.01, scatter 0.01 mag;
    # B-V = 0.98 (g-r) + 0.22, scatter 0.04 mag.
    scatter = np.hypot(0.01, line.slope * 0.04)
    found = _transformed(
        line, g - 0.59 * (g - r) - 0.01, np.hypot(np.nan_to_num(_column(catalog, "mag_g_err")), scatter),
        0.98 * (g - r) + 0.22,
    )  # fmt: skip
    return replace(
        found, note="; ".join(text for text in (f"V and B-V from g and r ({_JESTER})", found.note) if text)
    )


def _transformed(line: BandSystem, v: Floats, v_err: Floats, color: Floats) -> CatalogMagnitude:
    low, high = line.colors
    mag = v + line.offset
    if line.slope:
        mag = mag + line.slope * np.where((color >= low) & (color <= high), color, np.nan)
    steps = (
        [f"{line.name} = V {line.offset:+.3f} {line.slope:+.3f} (B-V)"] if line.slope or line.offset else []
    )
    steps += [f"scatter {line.scatter} mag; {line.citation}"] if line.citation else []
    steps += ["the filter only resembles this band"] if line.approximate else []
    return CatalogMagnitude(
        mag=mag,
        mag_err=np.hypot(np.nan_to_num(v_err), line.scatter),
        color=color,
        system=line.name,
        color_name="B-V",
        note="; ".join(steps),
    )
