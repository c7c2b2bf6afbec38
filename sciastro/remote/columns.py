"""What every catalog answers with: one set of columns and units, and the form of a source that is asked.

Reads plain arrays in any order; writes a QTable with the columns of `COLUMNS`, then ``mag_<band>`` and
``mag_<band>_err`` for each band that the catalog has.
Method: a column that a catalog lacks is NaN; a masked value is NaN; an unknown unit is an error.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from sciastro.errors import CatalogError, RegionError

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["COLUMNS", "Depth", "META", "Region", "Source", "star_table"]

Floats: TypeAlias = npt.NDArray[np.float64]

COLUMNS: dict[str, str] = {
    "ra": "deg",  # ICRS, at `epoch`
    "dec": "deg",
    "ra_err": "arcsec",  # on the sky: times cos(dec)
    "dec_err": "arcsec",
    "pm_ra_cosdec": "mas / yr",
    "pm_dec": "mas / yr",
    "pm_ra_err": "mas / yr",
    "pm_dec_err": "mas / yr",
    "parallax": "mas",
    "parallax_err": "mas",
    "epoch": "yr",  # Julian year that this star's ra, dec and their errors hold for
    "epoch_obs": "yr",  # Julian year that the catalog has it at
    "mag": "mag",  # in meta["system"]: Johnson V wherever it can be had
    "mag_err": "mag",
    "color": "mag",  # B-V
    "g_mag": "mag",  # Gaia G
    "bp_rp": "mag",  # Gaia
}
"""Columns of every table after ``id``, and their units; float64, NaN where unknown."""

META = ("catalog", "query", "date", "license", "citation", "system", "epoch", "complete")
"""Keys of every table's ``meta``: name of the catalog, what was asked for, UTC day and time of the answer,
terms of use, whom to cite, system of ``mag``, Julian year of the positions (None: they differ), and whether
every star is there that was asked for."""


@dataclass(frozen=True, slots=True)
class Region:
    """A circle on the sky, ICRS [deg].

    Raises
    ------
    RegionError
        If it is none.
    """

    ra: float
    dec: float
    radius: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        numbers = (self.ra, self.dec, self.radius)
        if not all(math.isfinite(x) for x in numbers) or abs(self.dec) > 90 or not 0 < self.radius <= 180:
            raise RegionError(
                f"is ra={self.ra}, dec={self.dec}, radius={self.radius}.",
                where="cone",
                remedy="Give degrees: dec from -90 to 90, radius above 0 and up to 180.",
            )


@dataclass(frozen=True, slots=True)
class Depth:
    """How faint to go.

    Attributes
    ----------
    faintest
        Faintest magnitude in the source's own `Source.band` that must be there; None: all.
    """

    faintest: float | None = None


@runtime_checkable
class Source(Protocol):
    """A catalog behind a network.

    Attributes
    ----------
    name
        What the user says: "gaia-dr3", "tycho2".
    title
        What a person reads: "Gaia DR3 (gaiadr3.gaia_source)".
    bands
        Bands it has magnitudes in, as in ``mag_<band>``.
    band
        The band that `Depth.faintest` counts in.
    system
        Of ``mag``, as in ``meta["system"]``.
    license, citation
        Terms of use; whom to cite.
    epoch
        Julian year of its positions; None where they differ from star to star.
    order
        HEALPix order of the tiles it is fetched and kept in (7: 0.46 deg, 6: 0.92 deg, 5: 1.8 deg).
    version
        Changes with whatever changes the columns of a tile (so that older tiles are fetched again).
    """

    name: str
    title: str
    bands: tuple[str, ...]
    band: str
    system: str
    license: str
    citation: str
    epoch: float | None
    order: int
    version: int

    def tile(self, region: Region, depth: Depth) -> "QTable":
        """Return every star of a region, made with `star_table`, at the catalog's own epochs.

        Stars outside the region do no harm. ``meta["complete"]`` is False where the server cut the answer.

        Raises
        ------
        CatalogError
            If no server gave a whole and sensible answer; a part of one is never returned as a whole.
        """
        ...


def star_table(
    names: npt.ArrayLike,
    columns: Mapping[str, Any],
    bands: Mapping[str, tuple[Any, Any]],
    *,
    meta: Mapping[str, Any],
) -> "QTable":
    """Return stars in the columns that every source has.

    Parameters
    ----------
    names
        Names (star,), such as "Gaia DR3 4472832130942575872".
    columns
        Some of `COLUMNS`: plain arrays in the unit given there, or Quantities, or masked; ``ra`` and
        ``dec`` must be there.
    bands
        Magnitude and error [mag] per band, each an array, or None where unknown.
    meta
        Some of `META`; ``date`` is now where it is not given, ``complete`` True.

    Raises
    ------
    CatalogError
        If a position is missing or no place on the sky, lengths differ, or a column is not known.
    """
    from astropy import units as u
    from astropy.table import QTable

    where = str(meta.get("catalog", "star table"))
    ids = np.asarray(names).astype(np.str_) if np.size(names) else np.array([], dtype="U1")
    unknown = set(columns) - set(COLUMNS)
    if unknown:
        raise CatalogError(
            f"has unknown columns: {', '.join(sorted(unknown))}.",
            where=where,
            remedy="This is a bug: report it.",
        )
    table: dict[str, Any] = {"id": ids}
    for name, unit in COLUMNS.items():
        table[name] = u.Quantity(_plain(columns.get(name), ids.size, unit, name, where), unit, copy=False)
    if "epoch_obs" not in columns:
        table["epoch_obs"] = table["epoch"].copy()
    for band, (value, error) in bands.items():
        for name, given in ((f"mag_{band}", value), (f"mag_{band}_err", error)):
            table[name] = u.Quantity(_plain(given, ids.size, "mag", name, where), u.mag, copy=False)
    _check_places(table["ra"].value, table["dec"].value, where)
    told = {key: meta.get(key) for key in META}
    told["date"] = meta.get("date") or datetime.now(UTC).isoformat(timespec="seconds")
    told["complete"] = bool(meta.get("complete", True))
    return QTable(table, meta={**meta, **told}, copy=False)


def _plain(given: Any, count: int, unit: str, name: str, where: str) -> Floats:
    """Return float64 (star,) in `unit`, NaN where masked or absent."""
    from astropy import units as u

    if given is None:
        return np.full(count, np.nan)
    own = getattr(given, "unit", None)
    plain = getattr(given, "value", given)
    if type(plain) is not np.ndarray or plain.dtype != np.float64:
        plain = np.ma.filled(np.ma.asarray(plain).astype(np.float64), np.nan)
    values: Floats = plain
    if values.shape != (count,):
        raise CatalogError(
            f"has {values.size} values of '{name}' for {count} stars.",
            where=where,
            remedy="This is a bug: report it.",
        )
    if own is None or str(own) == "":
        return values
    try:
        return np.asarray(values * u.Unit(own).to(u.Unit(unit)), dtype=np.float64)
    except (u.UnitConversionError, ValueError, TypeError) as error:
        raise CatalogError(
            f"has '{name}' in '{own}', which is no {unit}.",
            where=where,
            remedy="The server's table is not what it used to be: report it.",
        ) from error


def _check_places(ra: Floats, dec: Floats, where: str) -> None:
    bad = ~(np.isfinite(ra) & np.isfinite(dec)) | (np.abs(dec) > 90) | (ra < 0) | (ra > 360)
    if np.any(bad):
        row = int(np.argmax(bad))
        raise CatalogError(
            f"has {int(bad.sum())} positions missing or out of range, the first in row {row} "
            f"(ra {ra[row]}, dec {dec[row]}).",
            where=where,
            remedy="The answer is not used; try again later, or use the embedded catalog.",
        )
