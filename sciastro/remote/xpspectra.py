"""Gaia DR3's XP spectra of sources by number: from ESA's DataLink service, and where it fails over TAP.

Reads source numbers; writes, per source, fluxes at 336 to 1020 nm (sampled spectra), or its coefficients
(continuous ones, which GaiaXPy decodes). Method: the numbers go out in batches, as a form, as astroquery's
``load_data`` sends them (``DATA_STRUCTURE=RAW``: one row per source, with arrays). What one server does not
have, or cannot give in time, is asked of the next one: the partner data centers Heidelberg and Potsdam hold
the same tables. Only sources that were asked for, with as many numbers as the data model says, come through.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.remote.gaia import ARCHIVES
from sciastro.remote.limits import DEFAULTS, Limits, refuse_offline
from sciastro.remote.tap import Query, ask_tap
from sciastro.remote.transport import repeated
from sciastro.remote.trouble import Trouble, outage, shown
from sciastro.remote.votable import read_votable
from sciastro.remote.wire import Request, send
from sciastro.remote.xptables import CONTINUOUS, continuous_rows, document, numbers, sampled_rows

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = [
    "CITATION",
    "LICENSE",
    "Spectra",
    "continuous",
    "sampled",
    "spectra_kinds",
]

Floats = npt.NDArray[np.float64]

DATALINK = "https://gea.esac.esa.int/data-server/data"
ADDRESSES = "SCIASTRO_GAIA_SPECTRA"  # environment: other addresses; those that end in /tap are TAP services
SERVERS = (DATALINK, *ARCHIVES[1:])
BATCH = {"XP_SAMPLED": 50, "XP_CONTINUOUS": 25}  # sources of one request; ESA takes about 0.25 s for each
ROOM = 120_000  # bytes that one source may take
KINDS_AT_ONCE = 500  # sources of one question which spectra they have
LICENSE = "CC BY-SA 3.0 IGO (ESA/Gaia/DPAC)"
CITATION = "De Angeli et al. 2023, A&A 674, A2; Montegriffo et al. 2023, A&A 674, A3"


@dataclass(slots=True)
class Spectra:
    """What came.

    Attributes
    ----------
    rows
        By source: flux and error (343,) each [W / m2 / nm], or the row of coefficients.
    servers
        That gave them.
    troubles
        Of servers that failed, as one line each; some spectra came all the same.
    """

    rows: dict[int, Any] = field(default_factory=dict)
    servers: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def spectra_kinds(
    sources: Sequence[int], *, archives: Sequence[str] | None = None, limits: Limits = DEFAULTS
) -> dict[int, tuple[bool, bool]]:
    """Return by source whether Gaia DR3 published a sampled and a continuous spectrum.

    Parameters
    ----------
    archives
        Addresses of TAP services; None: those of `gaia`.

    Raises
    ------
    CatalogError
        If no archive tells, or the network is switched off.
    """
    where = "Gaia DR3 (has_xp_sampled, has_xp_continuous)"
    refuse_offline(where)
    servers = tuple(archives or os.environ.get("SCIASTRO_GAIA_TAP", "").split()) or ARCHIVES
    until = time.monotonic() + limits.total
    troubles: list[tuple[str, Trouble]] = []
    for k, server in enumerate(servers):
        share = time.monotonic() + (until - time.monotonic()) / (len(servers) - k)
        try:
            found: dict[int, tuple[bool, bool]] = {}
            for part in _parts(sources, KINDS_AT_ONCE):
                found |= _kinds(server, part, limits, share)
        except Trouble as trouble:
            troubles.append((server, trouble))
        else:
            return found
    raise outage(where, troubles)


def _kinds(server: str, sources: Sequence[int], limits: Limits, until: float) -> dict[int, tuple[bool, bool]]:
    columns = ("source_id", "has_xp_sampled", "has_xp_continuous")
    adql = (
        f"SELECT {', '.join(columns)} FROM gaiadr3.gaia_source "
        f"WHERE source_id IN ({', '.join(str(int(one)) for one in sources)})"
    )
    query = Query(adql, len(sources) + 1, {columns[0]: "", columns[1]: "*", columns[2]: "*"}, {})
    table = repeated(lambda: ask_tap(server, query, limits=limits, until=until), limits, until).table
    flags = [[_true(one) for one in table[name]] for name in columns[1:]]
    return dict(zip(numbers(table, sources), zip(*flags, strict=True), strict=True))


def _true(value: Any) -> bool:
    """Return a flag, however a server writes it; null is none."""
    if np.ma.is_masked(value):
        return False
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return text.strip().lower() in {"true", "t", "1"}


def sampled(
    sources: Sequence[int],
    *,
    servers: Sequence[str] | None = None,
    limits: Limits = DEFAULTS,
    advance: Callable[[int, int], None] | None = None,
) -> Spectra:
    """Return the sampled spectra of sources: flux and error at 336, 338 .. 1020 nm [W / m2 / nm].

    Parameters
    ----------
    sources
        Gaia DR3 source_id.
    servers
        Addresses, in order: of TAP services where they end in ``/tap``, else of DataLink. None: those of the
        environment variable SCIASTRO_GAIA_SPECTRA, else `SERVERS`.
    limits
        Bounds; `Limits.total` is for one batch of 50.
    advance
        Told how many spectra are there, and of how many.

    Raises
    ------
    CatalogError
        If nothing comes from anywhere, or the network is switched off.
    """
    return _fetched("XP_SAMPLED", sources, sampled_rows, servers, limits, advance)


def continuous(
    sources: Sequence[int],
    *,
    servers: Sequence[str] | None = None,
    limits: Limits = DEFAULTS,
    advance: Callable[[int, int], None] | None = None,
) -> Spectra:
    """Return the coefficients of continuous spectra, a mapping of `CONTINUOUS` per source; see `sampled`."""
    return _fetched("XP_CONTINUOUS", sources, continuous_rows, servers, limits, advance)


def _fetched(
    kind: str,
    sources: Sequence[int],
    rows_of: "Callable[[Table, list[int]], dict[int, Any]]",
    servers: Sequence[str] | None,
    limits: Limits,
    advance: Callable[[int, int], None] | None,
) -> Spectra:
    where = f"Gaia DR3 {kind} of {len(sources)} sources"
    refuse_offline(where)
    chosen = tuple(servers or os.environ.get(ADDRESSES, "").split()) or SERVERS
    found, troubles, missing = Spectra(), [], list(dict.fromkeys(int(one) for one in sources))
    total = len(missing)
    for k, server in enumerate(chosen):
        share = limits.total / (len(chosen) - k)
        try:
            for part in _parts(missing, BATCH[kind]):
                rows = _batch(server, kind, part, rows_of, limits, time.monotonic() + share)
                found.rows |= rows
                if rows and shown(server) not in found.servers:
                    found.servers.append(shown(server))
                if advance is not None:
                    advance(len(found.rows), total)
        except Trouble as trouble:
            troubles.append((server, trouble))
            found.troubles.append(f"{shown(server)} {trouble.found}")
        missing = [one for one in missing if one not in found.rows]
        if not missing:
            break
    if total and not found.rows:
        told = {server for server, _ in troubles}
        nothing = [(server, Trouble("has none of them")) for server in chosen if server not in told]
        raise outage(where, [*troubles, *nothing])
    return found


def _parts(sources: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(sources), size):
        yield [int(one) for one in sources[start : start + size]]


def _batch(
    server: str,
    kind: str,
    sources: Sequence[int],
    rows_of: "Callable[[Table, list[int]], dict[int, Any]]",
    limits: Limits,
    until: float,
) -> dict[int, Any]:
    small = replace(limits, max_bytes=min(limits.max_bytes, 1_000_000 + ROOM * len(sources)))
    ask = _by_tap if server.rstrip("/").endswith("/tap") else _by_datalink

    def once() -> dict[int, Any]:
        table = ask(server, kind, sources, small, until)
        return rows_of(table, numbers(table, sources))

    return repeated(once, limits, until)


def _by_tap(server: str, kind: str, sources: Sequence[int], limits: Limits, until: float) -> "Table":
    columns = _columns(kind)
    adql = (
        f"SELECT {', '.join(columns)} FROM gaiadr3.{kind.lower()}_mean_spectrum "
        f"WHERE source_id IN ({', '.join(map(str, sources))})"
    )
    answer = ask_tap(server, Query(adql, len(sources) + 1, columns, {}), limits=limits, until=until)
    return answer.table


def _columns(kind: str) -> Mapping[str, str]:
    return CONTINUOUS if kind == "XP_CONTINUOUS" else {"source_id": "", "flux": "*", "flux_error": "*"}


def _by_datalink(server: str, kind: str, sources: Sequence[int], limits: Limits, until: float) -> "Table":
    form = {
        "RETRIEVAL_TYPE": kind, "RELEASE": "Gaia DR3", "DATA_STRUCTURE": "RAW", "FORMAT": "votable",
        "VALID_DATA": "false", "ID": ",".join(map(str, sources)),
    }  # fmt: skip
    answer = send(Request(server, form=form), limits=limits, seconds=until - time.monotonic())
    return read_votable(document(answer, limits), _columns(kind)).table
