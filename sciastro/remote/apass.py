"""APASS DR10: over TAP at GAVO, a service made for programs; the AAVSO's own download by place after it.

Reads a region; writes the QTable of `columns.star_table`.
Method: the AAVSO's form (``apass_dr10_download.pl``: ra, dec, radius [deg], ``outtype=1``) answers with CSV,
which has no mark of its end: an answer counts only if HTTP itself told its length, every line has as many
cells as the first, the last one is ended, every cell is a number or NA, and every star lies where it was
asked for. GAVO's ``apass.dr10`` (dc.g-vo.org) is asked by explicit ADQL for those of `TAP_COLUMNS` that its
own schema lists. Columns of the CSV and of the table are those that public programs read; neither service
documents them.
"""

import csv
import io
import os
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciastro.errors import CatalogError
from sciastro.remote.asu import check_places, numbers
from sciastro.remote.columns import Depth, Region, star_table
from sciastro.remote.counts import expected_stars
from sciastro.remote.limits import DEFAULTS, Limits, refuse_offline
from sciastro.remote.tap import Query, ask_tap, columns_of
from sciastro.remote.transport import looked_at, repeated
from sciastro.remote.trouble import Trouble, excerpt, outage, shown
from sciastro.remote.wire import Answer, Request, send

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["ADDRESSES", "MOST_DEGREES", "ApassDR10", "read_csv"]

Floats: TypeAlias = npt.NDArray[np.float64]
Rows: TypeAlias = dict[str, Floats]

ADDRESSES = (
    "https://dc.g-vo.org/tap",  # GAVO, Heidelberg: an address that ends in /tap is asked by ADQL
    "https://www.aavso.org/cgi-bin/apass_dr10_download.pl",  # the original; a form for people, not programs
)
PLACES = "SCIASTRO_APASS"  # environment: other addresses, with spaces between them
MOST_DEGREES = 15.0  # radius; what programs give as the limit of the AAVSO's form
MOST = 500_000  # rows of one answer over TAP
TABLE = "apass.dr10"
BRIGHTEST, FAINTEST = -30.0, 50.0  # beyond: 99.999 and its like
BANDS = ("B", "V", "u", "g", "r", "i", "z", "Y")
NEEDED = ("B", "V", "g", "r", "i")  # without which an answer is none

# Band -> what the CSV calls its magnitude and its error, without brackets and in small letters.
CSV_BANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "B": (("johnson_b",), ("berr", "b_err")), "V": (("johnson_v",), ("verr", "v_err")),
    "u": (("sloan_u",), ("suerr", "uerr", "u_err")), "g": (("sloan_g",), ("sgerr", "gerr", "g_err")),
    "r": (("sloan_r",), ("srerr", "rerr", "r_err")), "i": (("sloan_i",), ("sierr", "ierr", "i_err")),
    "z": (("sloan_z", "z_s", "sloan_zs"), ("szerr", "zserr", "zerr", "z_err")),
    "Y": (("panstarrs_y", "pan-starrs_y", "johnson_y", "y"), ("yerr", "y_err")),
}  # fmt: skip
CSV_PLACES = {"ra": ("radeg",), "dec": ("decdeg",), "ra_err": ("raerr",), "dec_err": ("decerr",)}
TAP_COLUMNS = {f"mag_{band.lower()}": "mag" for band in BANDS} | {
    f"err_mag_{band.lower()}": "mag" for band in BANDS
}


class ApassDR10:
    """APASS DR10 as a `columns.Source`.

    Parameters
    ----------
    addresses
        Of TAP services (ending in ``/tap``) and of forms like the AAVSO's, in order; None takes those of the
        environment variable SCIASTRO_APASS, else `ADDRESSES`.
    limits
        Bounds of time, attempts and size; `Limits.total` is for one region.
    most
        Rows that are asked for at most, over TAP.
    """

    name = "apass-dr10"
    title = "APASS DR10 (AAVSO)"
    bands: tuple[str, ...] = BANDS
    band = "V"
    system = "Johnson V"
    license = (
        "AAVSO: free for research, with this credit: made possible through the use of the AAVSO Photometric "
        "All-Sky Survey (APASS), funded by the Robert Martin Ayers Sciences Fund and NSF AST-1412587"
    )
    citation = "Henden et al. 2018, AAS Meeting 232, 223.06 (APASS DR10)"
    epoch: float | None = None
    order = 5
    version = 1

    def __init__(
        self, addresses: Sequence[str] | None = None, *, limits: Limits = DEFAULTS, most: int = MOST
    ) -> None:
        chosen = addresses if addresses is not None else os.environ.get(PLACES, "").replace(",", " ").split()
        self.addresses = tuple(chosen) or ADDRESSES
        self.limits = limits
        self.most = most
        self.answered = ""
        self._there: dict[str, frozenset[str]] = {}  # TAP service -> columns of its table

    @staticmethod
    def expected(region: Region, depth: Depth) -> float:
        """Return about how many stars a region has."""
        return expected_stars(region, 17.0 if depth.faintest is None else min(depth.faintest, 17.0))

    def tile(self, region: Region, depth: Depth) -> "QTable":
        """Return every star of a region; see `columns.Source.tile`.

        The AAVSO's form knows no limit of magnitude: it always sends all stars. The service that answered
        last is asked first the next time.

        Raises
        ------
        CatalogError
            If the radius is beyond `MOST_DEGREES`, no service gives a whole and sensible answer in time, or
            the network is switched off.
        """
        where = f"{self.title} within {region.radius:.4g} deg of RA {region.ra:.5f}, Dec {region.dec:+.5f}"
        refuse_offline(where)
        if region.radius > MOST_DEGREES:
            raise CatalogError(
                f"has a radius of {region.radius:g} deg; the AAVSO gives up to {MOST_DEGREES:g}.",
                where=self.title,
                remedy="Ask for smaller regions.",
            )
        until, troubles = time.monotonic() + self.limits.total, list[tuple[str, Trouble]]()
        for k, one in enumerate(sorted(self.addresses, key=lambda one: shown(one) != self.answered)):
            share = (until - time.monotonic()) / (len(self.addresses) - k)
            try:
                table = self._asked(one, region, depth, where, time.monotonic() + share)
            except Trouble as trouble:
                troubles.append((one, trouble))
            except CatalogError as error:
                troubles.append((one, Trouble(error.found.rstrip("."), remedy=error.remedy)))
            else:
                self.answered = shown(one)
                return table
        raise outage(where, troubles)

    def _asked(self, address: str, region: Region, depth: Depth, where: str, until: float) -> "QTable":
        meta: dict[str, Any] = {
            "catalog": self.title, "license": self.license, "citation": self.citation, "system": self.system,
            "epoch": self.epoch, "server": shown(address), "query": f"{where}, all stars", "complete": True,
        }  # fmt: skip
        if _ends(address, "/tap"):
            rows = self._by_tap(address, region, depth, meta, until)
        else:
            form = (
                ("ra", f"{region.ra:.8f}"), ("dec", f"{region.dec:.8f}"),
                ("radius", f"{region.radius:.6f}"), ("outtype", "1"),
            )  # fmt: skip
            rows = repeated(lambda: self._by_form(address, form, until), self.limits, until)
        return self._stars(rows, region, meta)

    def _by_form(self, address: str, form: tuple[tuple[str, str], ...], until: float) -> Rows:
        request = Request(address, form=form)
        answer = send(request, limits=self.limits, seconds=until - time.monotonic())
        return read_csv(_whole(looked_at(answer, frozenset({"other"}))))

    def _by_tap(self, address: str, region: Region, depth: Depth, meta: dict[str, Any], until: float) -> Rows:
        if address not in self._there:
            self._there[address] = repeated(
                lambda: columns_of(address, TABLE, limits=self.limits, until=until), self.limits, until
            )
        there = self._there[address]
        needed = {"ra": "deg", "dec": "deg"} | {f"mag_{band.lower()}": "mag" for band in NEEDED}
        if missing := sorted(set(needed) - there):
            raise Trouble(f"has no columns {', '.join(missing)} in {TABLE}")
        welcome = {name: unit for name, unit in TAP_COLUMNS.items() if name in there and name not in needed}
        circle = f"CIRCLE('ICRS', {region.ra:.10f}, {region.dec:.10f}, {region.radius:.10f})"
        bright = "" if depth.faintest is None else f" AND mag_v <= {depth.faintest:.4f}"
        adql = (
            f"SELECT TOP {self.most + 1} {', '.join((*needed, *welcome))} FROM {TABLE} "
            f"WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), {circle}){bright}"
        )
        query = Query(adql, self.most + 1, needed, welcome)
        read = repeated(lambda: ask_tap(address, query, limits=self.limits, until=until), self.limits, until)
        meta["query"] = adql
        meta["complete"] = not read.overflow and len(read.table) <= self.most
        names = {"ra": "ra", "dec": "dec"}
        names |= {band: f"mag_{band.lower()}" for band in BANDS}
        names |= {f"{band}_err": f"err_mag_{band.lower()}" for band in BANDS}
        units = needed | welcome
        return {
            ours: numbers(read.table[theirs], units[theirs])
            for ours, theirs in names.items()
            if theirs in read.table.colnames
        }

    def _stars(self, rows: Rows, region: Region, meta: dict[str, Any]) -> "QTable":
        ra, dec = rows["ra"], rows["dec"]
        check_places(ra, dec, region)
        bands = {band: (_magnitude(rows.get(band)), _error(rows.get(f"{band}_err"))) for band in BANDS}
        wanted = ("ra_err", "dec_err", *(name for band in BANDS for name in (band, f"{band}_err")))
        if lacking := [name for name in wanted if name not in rows]:
            meta["lacking"] = lacking
        columns: dict[str, Any] = {
            "ra": ra % 360, "dec": dec, "ra_err": _error(rows.get("ra_err")),
            "dec_err": _error(rows.get("dec_err")), "mag": bands["V"][0], "mag_err": bands["V"][1],
            "color": bands["B"][0] - bands["V"][0],
            "epoch": np.full(ra.shape, 2012.5),  # none is given; as for DR9, most of whose images DR10 has
        }  # fmt: skip
        names = [f"APASS DR10 {a:.6f}{d:+.6f}" for a, d in zip(columns["ra"], dec, strict=True)]
        return star_table(names, columns, bands, meta=meta)


def _ends(address: str, end: str) -> bool:
    """Return whether the path of an address ends so."""
    return shown(address).rstrip("/").endswith(end)


def _whole(answer: Answer) -> bytes:
    """Return the text of an answer whose length HTTP told, so that a broken line cannot look like an end."""
    told = answer.headers
    chunked = "chunked" in told.get("transfer-encoding", "").lower()
    packed = "gzip" in told.get("content-encoding", "").lower()
    if not (chunked or packed or told.get("content-length", "").isdigit()):
        raise Trouble("sends a text without its length, whose end cannot be told from a broken line")
    return answer.content


def read_csv(content: bytes) -> Rows:
    """Return places [deg], their errors [arcsec], magnitudes and errors [mag] of the AAVSO's CSV.

    Returns
    -------
    dict
        ``ra``, ``dec``, ``ra_err``, ``dec_err``, ``<band>``, ``<band>_err``: float64 (star,), NaN where NA;
        columns that the text does not have are left out.

    Raises
    ------
    Trouble
        If it is cut off, has other columns, or a cell that is no number.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Trouble("sends bytes that are no text") from error
    if not text.endswith("\n"):
        raise Trouble("sends a table that is cut off", retry=True)
    try:
        lines = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise Trouble(f"sends a table that cannot be read ({error})") from error
    if not lines:
        raise Trouble("sends nothing", retry=True)
    head = [re.sub(r"\(.*", "", cell).strip().lower() for cell in lines[0]]
    found = _columns(head, lines[0])
    short = [number for number, row in enumerate(lines) if len(row) != len(head)]
    if short:
        raise Trouble(f"sends a table whose line {short[0] + 1} is cut off", retry=True)
    return {name: _numbers([row[k] for row in lines[1:]], lines[0][k]) for name, k in found.items()}


def _columns(head: list[str], told: list[str]) -> dict[str, int]:
    """Return which column is what."""
    wanted: dict[str, tuple[str, ...]] = dict(CSV_PLACES)
    for band, (magnitude, error) in CSV_BANDS.items():
        wanted |= {band: magnitude, f"{band}_err": error}
    found = {
        name: next(k for k, cell in enumerate(head) if cell in alike)
        for name, alike in wanted.items()
        if any(cell in alike for cell in head)
    }
    missing = [wanted[name][0] for name in ("ra", "dec", *NEEDED) if name not in found]
    if missing:
        raise Trouble(
            f"sends a table without {', '.join(missing)} (its first line: {excerpt(','.join(told))})"
        )
    return found


def _numbers(cells: list[str], name: str) -> Floats:
    out = np.full(len(cells), np.nan)
    for k, cell in enumerate(cells):
        plain = cell.strip()
        if plain.lower() in {"", "na", "null", "nan"}:
            continue
        try:
            out[k] = float(plain)
        except ValueError as error:
            raise Trouble(f"sends '{excerpt(plain)}' as {excerpt(name)}, which is no number") from error
    return out


def _magnitude(values: Floats | None) -> Any:
    return None if values is None else np.where((values > BRIGHTEST) & (values < FAINTEST), values, np.nan)


def _error(values: Floats | None) -> Any:
    """Return errors; nought and below ("-0": seen once) are unknown."""
    return None if values is None else np.where(values > 0, values, np.nan)
