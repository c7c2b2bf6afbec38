"""How VizieR is asked and understood: the form of the ASU protocol, and what its answers must be.

Reads a table, columns, a region and conditions; writes the form to post. The same form goes to every mirror.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.remote.columns import Region
from sciastro.remote.derived import Floats
from sciastro.remote.trouble import Trouble
from sciastro.remote.votable import VOTable

__all__ = [
    "MIRRORS",
    "asu_form",
    "check_places",
    "is_whole",
    "mirrors",
    "nothing_there",
    "numbers",
    "texts",
]

MIRRORS = (
    "https://vizier.cds.unistra.fr/viz-bin/votable",  # Strasbourg, the original
    "https://vizier.cfa.harvard.edu/viz-bin/votable",  # Cambridge, Massachusetts
    "https://vizier.nao.ac.jp/viz-bin/votable",  # Tokyo
)
ASTRAY = 0.05  # deg beyond the region that a star may lie (epochs, FK5 centers, rounding)


def mirrors() -> tuple[str, ...]:
    """Return VizieR's addresses, in order: ``$SCIASTRO_VIZIER`` (with spaces or commas), else `MIRRORS`."""
    return tuple(os.environ.get("SCIASTRO_VIZIER", "").replace(",", " ").split()) or MIRRORS


def asu_form(
    table: str, columns: Sequence[str], region: Region, most: int, conditions: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Return what is posted to VizieR for the rows of a table in a circle.

    Parameters
    ----------
    columns
        VizieR's names; those that begin with an underscore are worked out by VizieR.
    most
        Rows that are wanted at most.
    conditions
        VizieR's name of a column -> its condition, such as "<=12".
    """
    computed = [name for name in columns if name.startswith("_")]
    return (
        ("-source", table),
        ("-c", f"{region.ra:.8f} {region.dec:+.8f}"),
        ("-c.eq", "J2000"),
        ("-c.rd", f"{min(region.radius, 180.0):.6f}"),
        ("-out", ",".join(name for name in columns if name not in computed)),
        *((("-out.add", ",".join(computed)),) if computed else ()),
        ("-out.max", str(most)),
        ("-out.meta", "huUD"),
        ("-oc.form", "d"),
        *conditions.items(),
    )


def is_whole(read: VOTable, most: int) -> bool:
    """Return whether all rows are there: no word of a cut, fewer than `most`, as many as VizieR counted."""
    count = read.infos.get("matches", "").strip()  # VizieR ends with the number of matching records
    rows = len(read.table)
    return not read.overflow and rows < most and not (count.isdigit() and int(count) > rows)


def nothing_there(content: bytes, table: str) -> bool:
    """Return whether the answer names the catalog, holds no table and reports no error: no star is there."""
    if re.search(rb"<(\w+:)?TABLE[\s>]", content):
        return False
    catalog = re.escape(table.rsplit("/", 1)[0].encode())
    named = re.search(rb"<(\w+:)?RESOURCE[^>]*\bname=[\"']" + catalog + rb"(/[^\"']*)?[\"']", content)
    wrong = re.search(rb"<(\w+:)?INFO[^>]*(name=[\"']Error[\"']|value=[\"']ERROR[\"'])", content)
    whole = re.search(rb"</(\w+:)?VOTABLE>\s*$", content)
    return bool(named and whole and not wrong)


def numbers(column: Any, unit: str) -> Floats:
    """Return float64 in `unit`, NaN where null; `read_votable` has seen that the unit converts."""
    from astropy import units as u

    own = column.unit
    plain = np.ma.asarray(getattr(column, "value", column))
    values = np.array(np.ma.filled(plain.astype(np.float64), np.nan), dtype=np.float64)
    return values if own is None or not unit else values * float(own.to(u.Unit(unit)))


def texts(column: Any, space: str) -> npt.NDArray[np.str_]:
    """Return text, empty where null, `space` for white space within."""
    plain = np.ma.filled(np.ma.asarray(column).astype(object), "")
    found = [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in plain]
    return np.array([space.join(one.split()) for one in found], dtype=np.str_)


def check_places(ra: Floats, dec: Floats, region: Region) -> None:
    """Refuse stars without a place, or where none was asked for: the server has not understood.

    Raises
    ------
    Trouble
        If one does.
    """
    if not np.all(np.isfinite(ra) & (np.abs(dec) <= 90)):
        raise Trouble("sends stars without a place on the sky")
    with np.errstate(invalid="ignore"):
        a, d, a0, d0 = np.radians(ra), np.radians(dec), np.radians(region.ra), np.radians(region.dec)
        half = np.sin((d - d0) / 2) ** 2 + np.cos(d) * np.cos(d0) * np.sin((a - a0) / 2) ** 2
        apart = np.degrees(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1))))
    if np.any(apart > region.radius + ASTRAY):
        raise Trouble(f"sends stars up to {np.nanmax(apart):.3g} deg away, where none was asked for")
