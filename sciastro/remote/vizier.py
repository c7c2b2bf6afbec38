"""Catalogs of VizieR: one question to its VOTable service, the same at each mirror, its answer as a table.

Reads a region and how faint to go; writes the QTable of `columns.star_table`.
Method: the form of the ASU protocol (``-source``, ``-c``, ``-out``, ...; https://vizier.cds.unistra.fr/doc)
with every column named, an own ``-out.max``, and constraints of `viziertables`. An answer counts only if it
ends where it should, reports no error, has every column in a unit that converts, and lies where it was asked.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.errors import CatalogError
from sciastro.remote.asu import asu_form, check_places, is_whole, mirrors, nothing_there, numbers, texts
from sciastro.remote.columns import Depth, Region, star_table
from sciastro.remote.counts import expected_stars
from sciastro.remote.derived import COLUMNS_OF, ROWS_OF, Floats, landolt_bands
from sciastro.remote.limits import DEFAULTS, Limits
from sciastro.remote.transport import Answer, Request, ask
from sciastro.remote.trouble import shown
from sciastro.remote.viziertables import TABLES, VizierTable
from sciastro.remote.votable import read_votable

if TYPE_CHECKING:
    from astropy.table import QTable, Table

__all__ = ["SOURCES", "VizierSource", "vizier_source"]

MOST = 2_000_000  # rows; a tile of the Milky Way in Pan-STARRS has about 200,000
BRIGHTEST, FAINTEST = -30.0, 50.0  # beyond: 99.999, -9999 and their like


class VizierSource:
    """A catalog of VizieR as a `columns.Source`.

    Parameters
    ----------
    about
        Which one.
    addresses
        VOTable services of VizieR, in order; None: those of `mirrors`.
    limits
        Bounds of time, attempts and size.
    most
        Rows that are asked for at most.
    """

    def __init__(
        self,
        about: VizierTable,
        *,
        addresses: tuple[str, ...] | None = None,
        limits: Limits = DEFAULTS,
        most: int = MOST,
    ) -> None:
        self.about = about
        self.addresses = addresses
        self.limits = limits
        self.most = most
        self.answered = ""
        self.name, self.title, self.band, self.system = about.name, about.title, about.band, about.system
        self.license, self.citation, self.epoch = about.license, about.citation, about.epoch
        self.order, self.version = about.order, about.version
        landolt = about.name.startswith("landolt")
        self.bands: tuple[str, ...] = tuple("UBVRI") if landolt else tuple(about.magnitudes)

    def expected(self, region: Region, depth: Depth) -> float:
        """Return about how many stars a region has."""
        faintest = self.about.like if depth.faintest is None else min(depth.faintest, self.about.like)
        return expected_stars(region, faintest)

    def tile(self, region: Region, depth: Depth) -> "QTable":
        """Return every star of a region; see `columns.Source.tile`.

        The mirror that answered last is asked first the next time: an outage is waited for once.

        Raises
        ------
        CatalogError
            If no mirror gives a whole and sensible answer.
        """
        where = f"{self.title} within {region.radius:.4g} deg of RA {region.ra:.5f}, Dec {region.dec:+.5f}"
        addresses = self.addresses or mirrors()
        table = ask(
            sorted(addresses, key=lambda one: shown(one) != self.answered),
            lambda answer: self._made(answer, region, depth, where),
            where=where,
            request=Request("", form=self._form(region, depth)),
            limits=self.limits,
        )
        self.answered = str(table.meta["server"])
        return table

    def _form(self, region: Region, depth: Depth) -> tuple[tuple[str, str], ...]:
        about = self.about
        conditions = dict(about.cuts)
        if depth.faintest is not None:
            conditions[about.faint] = f"<={depth.faintest:.4f}"
        return asu_form(about.table, tuple(about.units), region, self.most, conditions)

    def _made(self, answer: Answer, region: Region, depth: Depth, where: str) -> "QTable":
        meta: dict[str, Any] = {
            "catalog": self.title,
            "query": f"{where}, {_conditions(self.about, depth)}",
            "license": self.license,
            "citation": self.citation,
            "system": self.system,
            "epoch": self.epoch,
            "server": shown(answer.url),
            "complete": True,
        }
        if nothing_there(answer.content, self.about.table):
            return _empty(self.bands, meta)
        read = read_votable(answer.content, self.about.needed, self.about.welcome)
        meta["complete"] = is_whole(read, self.most)
        if lacking := sorted(set(self.about.welcome) - set(read.table.colnames)):
            meta["lacking"] = lacking  # columns that this mirror does not have: unknown errors or dates
        names, rows = _plain(read.table, self.about)
        check_places(rows[self.about.position[0]], rows[self.about.position[1]], region)
        return star_table(names, self._columns(rows), self._magnitudes(rows), meta=meta)

    def _columns(self, rows: dict[str, Floats]) -> dict[str, Any]:
        about = self.about
        columns: dict[str, Any] = {ours: rows[theirs] for ours, theirs in about.columns.items()}
        columns |= {"ra": rows[about.position[0]] % 360, "dec": rows[about.position[1]]}
        if about.epoch is not None:
            columns["epoch"] = np.full(columns["ra"].shape, about.epoch)
        return columns | COLUMNS_OF[about.name](rows)

    def _magnitudes(self, rows: dict[str, Floats]) -> dict[str, tuple[Any, Any]]:
        if self.about.name.startswith("landolt"):
            return dict(landolt_bands(rows, "<{}>" if self.about.faint.startswith("<") else "{}"))
        return {
            band: (rows[value], rows[error] if error else None)
            for band, (value, error) in self.about.magnitudes.items()
        }


def vizier_source(
    name: str, *, addresses: tuple[str, ...] | None = None, limits: Limits = DEFAULTS
) -> VizierSource:
    """Return the source of that name.

    Raises
    ------
    CatalogError
        If there is none; the message lists them.
    """
    if name not in TABLES:
        more = " APASS DR10 is not at VizieR; `remote.apass` asks the AAVSO for it."
        raise CatalogError(
            "is not a catalog of VizieR that sciastro knows.",
            where=name,
            remedy=f"Known are {', '.join(TABLES)}.{more if 'apass' in name.lower() else ''}",
        )
    return VizierSource(TABLES[name], addresses=addresses, limits=limits)


SOURCES: dict[str, Callable[[], VizierSource]] = {name: partial(vizier_source, name) for name in TABLES}
"""Name of a catalog -> what makes its source."""


def _conditions(about: VizierTable, depth: Depth) -> str:
    told = [f"{column} {condition}" for column, condition in about.cuts.items()]
    told += [] if depth.faintest is None else [f"{about.faint} <= {depth.faintest:g}"]
    return " and ".join(told) or "all stars"


def _empty(bands: tuple[str, ...], meta: dict[str, Any]) -> "QTable":
    nothing = np.empty(0)
    return star_table(
        [], {"ra": nothing, "dec": nothing}, dict.fromkeys(bands, (nothing, nothing)), meta=meta
    )


def _plain(table: "Table", about: VizierTable) -> tuple[npt.NDArray[np.str_], dict[str, Floats]]:
    """Return names and the numeric columns of the rows that are kept, in the units of `about`."""
    unknown = np.full(len(table), np.nan)
    rows = {
        name: numbers(table[name], unit) if name in table.colnames else unknown.copy()
        for name, unit in about.units.items()
        if unit != "*"
    }
    for name, unit in about.units.items():
        if unit == "mag" and not name.startswith("e_") and "-" not in name:
            rows[name][(rows[name] < BRIGHTEST) | (rows[name] > FAINTEST)] = np.nan
        elif name.startswith("e_"):
            rows[name][rows[name] <= 0] = np.nan  # "not known", as APASS writes it
    keep = ROWS_OF[about.name](rows) if about.name in ROWS_OF else np.ones(len(table), dtype=bool)
    rows = {name: values[keep] for name, values in rows.items()}
    if about.number:
        parts = [texts(table[name], "_")[keep] for name in about.number]
    else:
        parts = [
            np.array(
                [f"{ra:.6f}{dec:+.6f}" for ra, dec in zip(*(rows[c] for c in about.position), strict=True)]
            )
        ]
    names = [about.prefix + "-".join(one) for one in zip(*parts, strict=True)]
    return np.array(names, dtype=np.str_) if names else np.array([], dtype="U1"), rows
