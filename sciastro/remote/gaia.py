"""Gaia DR3 over TAP: explicit ADQL to several archives in turn, one checked table back.

Reads a region and a depth; writes a star table (`columns.star_table`) at epoch 2016.0.
Method: the query lists its columns, has a TOP of its own (one row more than is wanted, so that a cut shows),
an ICRS center as it was given, and an order that has no ties. Small ones run within the request, others as
jobs. An archive that lacks columns that we can do without is asked for those that it has. V and B-V follow
from G and BP-RP as in the embedded catalog, so that both give the same zero points.
"""

import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciastro.errors import CatalogError
from sciastro.remote.columns import Depth, Region, star_table
from sciastro.remote.counts import expected_stars
from sciastro.remote.limits import DEFAULTS, Limits, refuse_offline
from sciastro.remote.tap import Query, ask_tap, columns_of
from sciastro.remote.transport import repeated
from sciastro.remote.trouble import Trouble, outage, shown
from sciastro.remote.votable import ServerError, VOTable

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["ARCHIVES", "GaiaDR3", "gaia_adql", "gaia_to_b_v", "gaia_to_v"]

Floats: TypeAlias = npt.NDArray[np.float64]

ARCHIVES = (
    "https://gea.esac.esa.int/tap-server/tap",
    "https://gaia.ari.uni-heidelberg.de/tap",
    "https://gaia.aip.de/tap",
)
"""ESA, and two of the partner data centers that hold the same table under the same name; in order."""

ADDRESSES = "SCIASTRO_GAIA_TAP"  # environment: other addresses, with spaces between them
TABLE = "gaiadr3.gaia_source"
NEEDED: Mapping[str, str] = {
    "source_id": "", "ra": "deg", "dec": "deg", "ref_epoch": "yr",
    "pmra": "mas / yr", "pmdec": "mas / yr", "parallax": "mas",
    "phot_g_mean_mag": "mag", "phot_bp_mean_mag": "mag", "phot_rp_mean_mag": "mag",
}  # fmt: skip
WELCOME: Mapping[str, str] = {
    "ra_error": "mas", "dec_error": "mas", "pmra_error": "mas / yr", "pmdec_error": "mas / yr",
    "parallax_error": "mas", "phot_g_mean_flux_over_error": "", "phot_bp_mean_flux_over_error": "",
    "phot_rp_mean_flux_over_error": "",
}  # fmt: skip
ROWS = 300_000  # stars of one answer, about 50 MB
SYNC_ROWS = 20_000  # more are a job of their own
JOB_TIME = 3  # times `Limits.total`: archives let jobs wait for each other
V_SCATTER = 0.030  # mag; Riello et al. 2021, table C.2
B_V = (0.77683074, 1.25545715, 0.2936243, -0.4349766, -0.6214091, 0.23841541, 0.28363099, -0.14082242)
"""B-V as a polynomial in (BP-RP - 0.95) / 1.25: the one of the embedded catalog (catalogs/build_stars.py),
fitted to Hipparcos; sigma 0.04 mag."""


def gaia_to_v(g: Floats, bp_rp: Floats) -> Floats:
    """Return Johnson V [mag]; Riello et al. 2021 (A&A 649, A3), table C.2, for -0.5 < BP-RP < 5, else NaN."""
    v = g + 0.02704 - 0.01424 * bp_rp + 0.2156 * bp_rp**2 - 0.01426 * bp_rp**3
    return np.asarray(np.where((bp_rp > -0.5) & (bp_rp < 5.0), v, np.nan))


def gaia_to_b_v(bp_rp: Floats) -> Floats:
    """Return Johnson B-V [mag] for -0.3 < BP-RP < 2.2, else NaN."""
    color = np.polynomial.polynomial.polyval((bp_rp - 0.95) / 1.25, np.array(B_V))
    return np.asarray(np.where((bp_rp > -0.3) & (bp_rp < 2.2), color, np.nan))


def gaia_adql(region: Region, depth: Depth, rows: int, columns: Sequence[str]) -> str:
    """Return the query for a region: `rows` + 1 rows, so that an answer that was cut can be told.

    Numbers have digits enough for a microarcsecond, and no exponent (not every parser takes one).
    """
    circle = f"CIRCLE('ICRS', {region.ra:.10f}, {region.dec:.10f}, {region.radius:.10f})"
    bright = "" if depth.faintest is None else f" AND phot_g_mean_mag <= {depth.faintest:.4f}"
    return (
        f"SELECT TOP {rows + 1} {', '.join(columns)} FROM {TABLE} "
        f"WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), {circle}){bright} "
        "ORDER BY phot_g_mean_mag, source_id"
    )


class GaiaDR3:
    """Gaia DR3 as a `columns.Source`.

    Parameters
    ----------
    archives
        Addresses of TAP services; None takes those of the environment variable SCIASTRO_GAIA_TAP, else
        `ARCHIVES`.
    limits
        Bounds of time and size; `Limits.total` is for one region, and a job has three times that.
    rows
        Most stars of one answer.
    """

    name = "gaia-dr3"
    title = "Gaia DR3 (gaiadr3.gaia_source)"
    bands: tuple[str, ...] = ("G", "BP", "RP")
    band = "G"
    system = "Johnson V, B-V (from Gaia G, BP-RP)"
    license = "CC BY-SA 3.0 IGO (ESA/Gaia/DPAC)"
    citation = (
        "Gaia Collaboration, Vallenari et al. 2023, A&A 674, A1; "
        "Gaia Collaboration, Prusti et al. 2016, A&A 595, A1. "
        "This work has made use of data from the European Space Agency (ESA) mission Gaia, processed by the "
        "Gaia Data Processing and Analysis Consortium (DPAC)."
    )
    epoch: float | None = 2016.0
    order = 6
    version = 1

    def __init__(
        self, archives: Sequence[str] | None = None, *, limits: Limits = DEFAULTS, rows: int = ROWS
    ) -> None:
        chosen = archives if archives is not None else os.environ.get(ADDRESSES, "").split()
        self.archives = tuple(chosen) or ARCHIVES
        self.limits = limits
        self.rows = rows
        self._columns: dict[str, tuple[str, ...]] = {}  # of archives that have not all of them

    @staticmethod
    def expected(region: Region, depth: Depth) -> float:
        """Return about how many stars a region has."""
        return expected_stars(region, depth.faintest)

    def tile(self, region: Region, depth: Depth) -> "QTable":
        """Return every star of a region down to G = `Depth.faintest`, at epoch 2016.0.

        Raises
        ------
        CatalogError
            If no archive gives a whole and sensible answer in time, or the network is switched off.
        """
        refuse_offline(self.title)
        job = self.expected(region, depth) > SYNC_ROWS
        until = time.monotonic() + self.limits.total * (JOB_TIME if job else 1)
        troubles: list[tuple[str, Trouble]] = []
        for k, archive in enumerate(self.archives):
            share = (until - time.monotonic()) / (len(self.archives) - k)
            try:
                return self._asked(archive, region, depth, job, time.monotonic() + share)
            except Trouble as trouble:
                troubles.append((archive, trouble))
            except CatalogError as error:
                troubles.append((archive, Trouble(error.found.rstrip("."), remedy=error.remedy)))
        raise outage(self.title, troubles)

    def _asked(self, archive: str, region: Region, depth: Depth, job: bool, until: float) -> "QTable":
        columns = self._columns.get(archive, (*NEEDED, *WELCOME))

        def ask(names: tuple[str, ...]) -> VOTable:
            welcome = {name: WELCOME[name] for name in names if name in WELCOME}
            adql = gaia_adql(region, depth, self.rows, names)
            query = Query(adql, self.rows + 1, NEEDED, welcome, job)
            return repeated(
                lambda: ask_tap(archive, query, limits=self.limits, until=until), self.limits, until
            )

        try:
            answer = ask(columns)
        except ServerError:  # does it lack a column? Only then is another question worth asking
            there = columns_of(archive, TABLE, limits=self.limits, until=until)
            fewer = tuple(name for name in columns if name in NEEDED or name in there)
            if fewer == columns or not set(NEEDED) <= there:
                raise
            answer = ask(fewer)
            self._columns[archive] = columns = fewer
        query = gaia_adql(region, depth, self.rows, columns)
        return self._stars(answer, archive, query)

    def _stars(self, answer: VOTable, archive: str, query: str) -> "QTable":
        """Return the answer in the columns that all catalogs have."""
        table = answer.table
        ids = np.ma.asarray(table["source_id"])
        if ids.dtype.kind not in "iu" or np.ma.is_masked(ids):
            raise Trouble(f"sends source_id as {ids.dtype} or null; it must be a 64-bit integer")
        plain = {name: _floats(table, name) for name in (*NEEDED, *WELCOME) if name != "source_id"}
        g, bp, rp = (plain[f"phot_{band}_mean_mag"] for band in ("g", "bp", "rp"))
        errors = {
            band: 2.5 / np.log(10) / plain[f"phot_{band}_mean_flux_over_error"] for band in ("g", "bp", "rp")
        }
        color = bp - rp
        v = gaia_to_v(g, color)
        columns: dict[str, Any] = {
            "ra": plain["ra"], "dec": plain["dec"],
            "ra_err": plain["ra_error"] / 1000, "dec_err": plain["dec_error"] / 1000,
            "pm_ra_cosdec": plain["pmra"], "pm_dec": plain["pmdec"],
            "pm_ra_err": plain["pmra_error"], "pm_dec_err": plain["pmdec_error"],
            "parallax": plain["parallax"], "parallax_err": plain["parallax_error"],
            "epoch": plain["ref_epoch"], "mag": v,
            "mag_err": np.where(np.isfinite(v), np.hypot(np.nan_to_num(errors["g"]), V_SCATTER), np.nan),
            "color": gaia_to_b_v(color), "g_mag": g, "bp_rp": color,
        }  # fmt: skip
        lacking = sorted(set(WELCOME) - set(table.colnames))
        meta: dict[str, Any] = {
            "catalog": self.title, "query": query, "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "license": self.license, "citation": self.citation, "system": self.system, "epoch": self.epoch,
            "complete": not answer.overflow and len(table) <= self.rows, "server": shown(archive),
        }  # fmt: skip
        if lacking:
            meta["lacking"] = lacking  # columns that this archive does not have: unknown errors
        names: npt.NDArray[np.str_] = np.strings.add("Gaia DR3 ", np.asarray(ids).astype(np.str_))
        return star_table(
            names,
            columns,
            {"G": (g, errors["g"]), "BP": (bp, errors["bp"]), "RP": (rp, errors["rp"])},
            meta=meta,
        )


def _floats(table: Any, name: str) -> Floats:
    """Return a column as float64, NaN where null, or absent."""
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    column = np.ma.asarray(table[name])
    return np.asarray(np.ma.filled(column.astype(np.float64), np.nan))
