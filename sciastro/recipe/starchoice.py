"""Which stars of a catalog are wanted: where they are at an epoch, and within which limits.

Reads arrays of stars as the catalog has them; writes vectors, rows, and positions with grown errors.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.motion import UNKNOWN_PM
from sciastro.core.directions import unit_vectors
from sciastro.core.motion import moved_vectors, places_of
from sciastro.errors import OptionError
from sciastro.remote.columns import Region

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["at_epoch", "brightest_first", "chosen", "magnitude_name", "moved_into", "only_columns"]

Floats: TypeAlias = npt.NDArray[np.float64]


def moved_into(
    places: dict[str, Floats], at: Floats, region: Region, epoch: float | None
) -> tuple[Floats | None, npt.NDArray[np.bool_]]:
    """Return unit vectors (star, 3) at the epoch (None: none is asked for), and which lie in the region."""
    reach = np.sin(np.radians(region.radius) / 2) ** 2
    if epoch is None:  # the haversine formula, exact for small angles as well
        east, north = (np.radians(places[n] - getattr(region, n)) for n in ("ra", "dec"))
        both = np.cos(np.radians(places["dec"])) * np.cos(np.radians(region.dec))
        return None, np.asarray(np.sin(north / 2) ** 2 + both * np.sin(east / 2) ** 2 <= reach)
    years = np.nan_to_num(epoch - at)
    vectors = moved_vectors(places["ra"], places["dec"], places["pm_ra_cosdec"], places["pm_dec"], years)
    vectors /= np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    away = vectors - unit_vectors(region.ra, region.dec)
    return vectors, np.asarray(np.einsum("ij,ij->i", away, away) <= 4 * reach)


def at_epoch(
    columns: dict[str, Floats], at: Floats, vectors: Floats | None, epoch: float | None
) -> dict[str, Floats]:
    """Return positions, their errors, and the epochs that they hold for."""
    if epoch is None or vectors is None:
        return {"epoch": at, "epoch_obs": at}
    known = np.isfinite(columns["pm_ra_cosdec"]) & np.isfinite(columns["pm_dec"]) & np.isfinite(at)
    ra, dec = places_of(vectors)
    out = {
        "ra": np.where(known, ra, columns["ra"]),
        "dec": np.where(known, dec, columns["dec"]),
        "epoch": np.where(np.isfinite(at), epoch, np.nan),
        "epoch_obs": at,
    }
    for axis in ("ra", "dec"):
        motion = np.where(known, columns.get(f"pm_{axis}_err", np.nan), UNKNOWN_PM)
        # An epoch that nobody tells makes the growth unknown, and so the error.
        out[f"{axis}_err"] = np.hypot(columns[f"{axis}_err"], motion * (epoch - at) / 1000)
    return out


def magnitude_name(band: str | None, bands: Sequence[str]) -> str:
    """Return the column that limits count in: the band's own where the catalog has it, else ``mag``."""
    return f"mag_{band}" if band in bands else "mag"


def brightest_first(
    magnitude: Floats,
    limits: tuple[float | None, float | None],
    brightest: int | None,
    rows: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Return those of `rows` that lie within limits, brightest first (unknown magnitudes last)."""
    low, high = limits
    values = magnitude[rows]
    keep = np.ones(len(rows), bool)
    if low is not None:
        keep &= values >= low
    if high is not None:
        keep &= values <= high
    rows, values = rows[keep], values[keep]
    ranked: npt.NDArray[np.int64] = rows[np.argsort(values, kind="stable")][:brightest]
    return ranked


def chosen(
    table: "QTable", limits: tuple[float | None, float | None], band: str | None, brightest: int | None
) -> "QTable":
    """Return a table's stars within limits, brightest first.

    Raises
    ------
    OptionError
        If the table has no such band.
    """
    name = "mag" if band is None or (band == "V" and "mag_V" not in table.colnames) else f"mag_{band}"
    if name not in table.colnames:
        known = [
            one[4:] for one in table.colnames if one.startswith("mag_") and one + "_err" in table.colnames
        ]
        raise OptionError(
            f"is '{band}', and {table.meta['catalog']} has {', '.join(known) or 'no bands'}.",
            where="band", remedy="Choose one of these, or none for V.",
        )  # fmt: skip
    rows = brightest_first(np.asarray(table[name].value), limits, brightest, np.arange(len(table)))
    return table if np.array_equal(rows, np.arange(len(table))) else table[rows]


def only_columns(table: "QTable", columns: Sequence[str] | None) -> "QTable":
    """Return some columns of a table, or all.

    Raises
    ------
    OptionError
        If one is not there.
    """
    if columns is None:
        return table
    unknown = [name for name in columns if name not in table.colnames]
    if unknown:
        raise OptionError(
            f"are not there: {', '.join(unknown)}.",
            where="columns", remedy=f"This catalog has {', '.join(table.colnames)}.",
        )  # fmt: skip
    return table[list(columns)]
