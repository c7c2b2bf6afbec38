"""Variable stars of the AAVSO's index VSX in a cone, from VizieR (B/vsx/vsx), with type, period and range.

Reads a region; writes a QTable. VSX has no versions: ``meta["date"]`` says when it was asked.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from sciastro.core.checks import finite_number
from sciastro.remote.asu import asu_form, check_places, is_whole, mirrors, nothing_there, numbers, texts
from sciastro.remote.columns import Region
from sciastro.remote.limits import DEFAULTS, Limits
from sciastro.remote.transport import Answer, Request, ask
from sciastro.remote.trouble import shown
from sciastro.remote.votable import read_votable

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["variables"]

TABLE = "B/vsx/vsx"
MOST = 200_000  # rows of one answer; more is told as incomplete
UNITS = {
    "OID": "", "Name": "*", "V": "", "RAJ2000": "deg", "DEJ2000": "deg", "Type": "*",
    "max": "mag", "n_max": "*", "f_min": "*", "min": "mag", "n_min": "*",
    "Epoch": "d", "Period": "d", "Sp": "*",
}  # fmt: skip
LICENSE = "AAVSO and VizieR (CDS, Strasbourg): free for research, with VSX and VizieR cited"
CITATION = "Watson, Henden & Price 2006, SASS 25, 47 (VSX)"


def variables(
    ra: float,
    dec: float,
    radius: float,
    *,
    addresses: tuple[str, ...] | None = None,
    limits: Limits = DEFAULTS,
) -> "QTable":
    """Return the known and suspected variable stars within `radius` of a center.

    Parameters
    ----------
    ra, dec, radius
        ICRS [deg].
    addresses
        VOTable services of VizieR, in order; None: those of `vizier.mirrors`.
    limits
        Bounds of time, attempts and size.

    Returns
    -------
    QTable
        ``id`` (name), ``ra, dec`` [deg], ``type`` (as in the GCVS), ``period`` [d, NaN unknown],
        ``epoch`` (HJD of maximum, or of minimum for eclipsing stars [d, NaN unknown]), ``mag_max, mag_min``
        [mag, brightest and faintest, NaN unknown], ``band_max, band_min`` (their passbands), ``suspected``
        (bool), ``spectral_type``. ``meta``: catalog, query, date, server, license, citation, complete.

    Raises
    ------
    CatalogError
        If the region is none, or no mirror gives a whole and sensible answer.
    OptionError
        If a number is none.
    """
    ra, dec, radius = (
        finite_number(value, where=name, remedy="Give degrees.")
        for name, value in (("ra", ra), ("dec", dec), ("radius", radius))
    )
    region = Region(ra % 360, dec, radius)
    where = f"VSX ({TABLE}) within {radius:.4g} deg of RA {region.ra:.5f}, Dec {dec:+.5f}"
    form = asu_form(TABLE, tuple(UNITS), region, MOST, {"V": "<2"})  # not: constant, or a duplicate
    return ask(
        addresses or mirrors(),
        lambda answer: _made(answer, region, where),
        where=where,
        request=Request("", form=form),
        limits=limits,
    )


def _made(answer: Answer, region: Region, where: str) -> "QTable":
    from astropy import units as u
    from astropy.table import QTable

    meta = {
        "catalog": f"VSX ({TABLE})", "query": f"{where}, V < 2", "server": shown(answer.url),
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "license": LICENSE, "citation": CITATION,
        "complete": True,
    }  # fmt: skip
    rows: dict[str, Any] = {name: np.empty(0, "U1" if unit == "*" else float) for name, unit in UNITS.items()}
    if not nothing_there(answer.content, TABLE):
        read = read_votable(answer.content, UNITS)
        meta["complete"] = is_whole(read, MOST)
        rows = {
            name: texts(read.table[name], " ") if unit == "*" else numbers(read.table[name], unit)
            for name, unit in UNITS.items()
        }
        check_places(rows["RAJ2000"], rows["DEJ2000"], region)
    amplitude = np.char.strip(rows["f_min"].astype(np.str_)) == "("  # then "min" is how much fainter it gets
    faintest = np.where(amplitude, rows["max"] + rows["min"], rows["min"])
    columns = {
        "id": rows["Name"], "ra": rows["RAJ2000"] % 360 * u.deg, "dec": rows["DEJ2000"] * u.deg,
        "type": rows["Type"], "period": rows["Period"] * u.day, "epoch": rows["Epoch"] * u.day,
        "mag_max": rows["max"] * u.mag, "mag_min": faintest * u.mag,
        "band_max": rows["n_max"], "band_min": np.where(amplitude, rows["n_max"], rows["n_min"]),
        "suspected": rows["V"] == 1, "spectral_type": rows["Sp"],
    }  # fmt: skip
    return QTable(columns, meta=meta, copy=False)
