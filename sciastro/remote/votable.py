"""Read a VOTable that a server sent, and believe nothing of it that has not been checked.

Reads the bytes of one VOTable; writes an astropy Table (masked where null) of the columns asked for.
Method: the document must end where it should, say no error (``QUERY_STATUS``), and hold one table with every
column that is needed, in units that convert; what it says about being cut (``OVERFLOW``) is told.
"""

import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sciastro.remote.trouble import Trouble, excerpt

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["Columns", "ServerError", "VOTable", "read_votable"]

Columns = Mapping[str, str]
"""Name of a column -> the unit that it must convert to; "" is a number without a unit, "*" anything."""

END = re.compile(rb"</(\w+:)?VOTABLE\s*>(\s|<!--.*?-->)*$", re.DOTALL)

ELSEWHERE = re.compile(
    rb"""<!ENTITY|<[^\s<>"'/=]*STREAM(?=[\s/>])(?:[^>"']|"[^"]*"|'[^']*')*?\shref\s*=""", re.IGNORECASE
)

ALIKE = {"mas.yr-1": "mas / yr", "mas/yr": "mas / yr", "'electron'.s-1": "electron / s", "0.1nm": "Angstrom"}


class ServerError(Trouble):
    """The server understood the question and refused it, in its own words; asking again is no use."""


@dataclass(frozen=True, slots=True)
class VOTable:
    """A table, and whether the server says that it cut it.

    Attributes
    ----------
    table
        The columns asked for that are there; masked where null.
    overflow
        The server's own limit on rows was reached.
    infos
        What the server says about the query (name -> value).
    """

    table: "Table"
    overflow: bool
    infos: dict[str, str]


def read_votable(content: bytes, needed: Columns, welcome: Columns | None = None) -> VOTable:
    """Return the one table of a VOTable.

    Parameters
    ----------
    content
        The document.
    needed, welcome
        Columns that must be there, and that may; others are dropped. Names count as they are, or else in
        any case if no two columns differ in nothing else ("Gmag" and "gmag" do).

    Raises
    ------
    ServerError
        If the document reports an error.
    Trouble
        If it is cut off or damaged, holds no table, lacks a column, has one in another unit, or points to
        another address.
    """
    parsed = _parsed(content)
    infos, status = _infos(parsed)
    if status == "ERROR":
        raise ServerError(f"refuses: {excerpt(infos.get('QUERY_STATUS', '')) or 'it gives no reason'}")
    tables = list(parsed.iter_tables())
    if not tables:
        raise Trouble("sends a VOTable without a table")
    first = tables[0]
    names = [str(field.name) for field in first.fields]
    wanted = {**needed, **(welcome or {})}
    found = {name: one for name in wanted if (one := _called(name, names)) is not None}
    missing = [name for name in needed if name not in found]
    if missing:
        raise Trouble(
            f"sends a table without {', '.join(missing)} (its columns: {excerpt(', '.join(names))})"
        )
    try:
        table = first.to_table(use_names_over_ids=True)[list(found.values())]
    except (ValueError, KeyError) as error:
        raise Trouble(f"sends a table that makes no sense ({excerpt(str(error))})") from error
    for name, one in found.items():
        if name != one:
            table.rename_column(one, name)
    for name in table.colnames:
        _check_unit(table[name], name, wanted[name])
    return VOTable(table, status == "OVERFLOW", infos)


def _called(name: str, names: list[str]) -> str | None:
    """Return what the document calls a column, or None where it has none, or several that could be meant."""
    alike = [one for one in names if one.lower() == name.lower()]
    return name if name in names else (alike[0] if len(alike) == 1 else None)


def _parsed(content: bytes) -> Any:
    from astropy.io.votable import parse
    from astropy.io.votable.exceptions import W30, VOTableSpecError

    if not END.search(content[-2000:]):
        raise Trouble("sends a VOTable that is cut off", retry=True)
    if ELSEWHERE.search(content):
        raise Trouble("sends a VOTable that points to other addresses, which are not asked")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")  # how servers spell units and versions is not the user's concern
        try:
            parsed = parse(io.BytesIO(content), verify="warn", invalid="exception")
        except (VOTableSpecError, ValueError, TypeError, KeyError, IndexError, OSError, EOFError) as error:
            raise Trouble(f"sends a VOTable that is damaged ({excerpt(str(error))})", retry=True) from error
    for one in heard:
        if isinstance(one.message, W30) and "'null'" not in str(one.message):
            raise Trouble(
                f"sends a VOTable with a number that is none ({excerpt(str(one.message))})", retry=True
            )
    return parsed


def _infos(parsed: Any) -> tuple[dict[str, str], str]:
    """Return what the document says about itself, and the gravest ``QUERY_STATUS``."""
    infos: dict[str, str] = {}
    states: list[str] = []
    words: list[str] = []

    def take(items: Any) -> None:
        for info in items:
            name, value = str(info.name or info.ID or ""), str(info.value or "")
            if name.upper() == "QUERY_STATUS":
                states.append(value.upper())
                if value.upper() == "ERROR":
                    words.append(" ".join(str(info.content or "").split()))
            elif name.lower() == "error":  # the form of the older protocols
                states.append("ERROR")
                words.append(" ".join((value or str(info.content or "")).split()))
            else:
                infos[name] = value

    take(parsed.infos)
    for resource in parsed.resources:
        take(resource.infos)
        for table in resource.tables:
            take(table.infos)
    if "ERROR" in states:
        infos["QUERY_STATUS"] = "; ".join(dict.fromkeys(one for one in words if one))
    status = next((state for state in ("ERROR", "OVERFLOW") if state in states), "OK")
    return infos, status


def _check_unit(column: Any, name: str, wanted: str) -> None:
    """Give the column a unit that is understood; refuse one that means something else."""
    from astropy import units as u

    if wanted == "*":
        return
    if column.dtype.kind not in "iuf":
        raise Trouble(f"sends '{name}' as text or flags where numbers were wanted")
    own = column.unit
    if isinstance(own, u.UnrecognizedUnit):
        if str(own) not in ALIKE:
            raise Trouble(f"sends '{name}' in '{excerpt(str(own))}', an unknown unit")
        own = u.Unit(ALIKE[str(own)])
    if own is None or own == u.dimensionless_unscaled:
        column.unit = u.Unit(wanted) if wanted else None  # a server that is silent means the usual unit
        return
    if not own.is_equivalent(u.Unit(wanted)):
        raise Trouble(f"sends '{name}' in '{own}' where '{wanted or 'no unit'}' was wanted")
    column.unit = own
