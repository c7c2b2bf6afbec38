"""Where an object is, how it moves and what it is, by its name: SIMBAD's answer.

Reads a name; writes a `NamedObject`. Method: ADQL to SIMBAD's TAP service (tables ``basic`` and ``ident``),
which understands names in any usual spelling; mirrors in order. Only whoever calls this uses the network.
"""

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sciastro.errors import CatalogError
from sciastro.remote.asu import numbers, texts
from sciastro.remote.limits import Limits
from sciastro.remote.transport import Answer, Request, Trouble, ask
from sciastro.remote.votable import read_votable

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

__all__ = ["SIMBAD", "NamedObject", "resolve"]

SIMBAD = (
    "https://simbad.cds.unistra.fr/simbad/sim-tap/sync",  # Strasbourg, the original
    "https://simbad.harvard.edu/simbad/sim-tap/sync",  # Cambridge, Massachusetts
)
LONGEST = 100  # characters of a name
BRISK = Limits(connect=5.0, read=15.0, total=40.0, attempts=2)  # one row: whoever asks is waiting for it
UNITS = {
    "main_id": "*", "ra": "deg", "dec": "deg", "pmra": "mas / yr", "pmdec": "mas / yr", "plx_value": "mas",
    "rvz_radvel": "km / s", "otype": "*", "galdim_majaxis": "arcmin",
}  # fmt: skip
EXPLAINED = frozenset({400, 500})  # HTTP states whose VOTables say why


@dataclass(frozen=True, slots=True)
class NamedObject:
    """What SIMBAD knows of an object.

    Attributes
    ----------
    name
        SIMBAD's own name of it, "M  13".
    kind
        SIMBAD's type, in its short form: "GlC", "G", "PN", "V*".
    ra, dec
        ICRS, epoch J2000 [deg].
    pm_ra_cosdec, pm_dec
        Proper motion [mas / yr]; NaN unknown.
    parallax
        [mas]; NaN unknown.
    radial_velocity
        [km / s]; NaN unknown.
    size
        Major axis [arcmin]; NaN unknown.
    """

    name: str
    kind: str
    ra: float
    dec: float
    pm_ra_cosdec: float
    pm_dec: float
    parallax: float
    radial_velocity: float
    size: float

    @property
    def coord(self) -> "SkyCoord":
        """Where it is (ICRS, obstime J2000), with its motion where that is known."""
        from astropy import units as u
        from astropy.coordinates import SkyCoord
        from astropy.time import Time

        motion = {}
        if math.isfinite(self.pm_ra_cosdec) and math.isfinite(self.pm_dec):
            motion = {
                "pm_ra_cosdec": self.pm_ra_cosdec * (u.mas / u.yr), "pm_dec": self.pm_dec * (u.mas / u.yr)
            }  # fmt: skip
        return SkyCoord(
            self.ra * u.deg, self.dec * u.deg, frame="icrs", obstime=Time("J2000", scale="tt"), **motion
        )


def resolve(name: str, *, addresses: tuple[str, ...] | None = None, limits: Limits = BRISK) -> NamedObject:
    """Return the object of that name.

    Parameters
    ----------
    name
        As one writes it: "M 13", "NGC7000", "Barnard's star", "V* RR Lyr", "HD 189733".
    addresses
        SIMBAD's TAP services (with ``/sync``), in order; None: ``$SCIASTRO_SIMBAD``, else `SIMBAD`.
    limits
        Bounds of time, attempts and size.

    Raises
    ------
    CatalogError
        If the name is none, SIMBAD does not know it, or no mirror answers.
    """
    plain = " ".join(name.split())
    if not plain or len(plain) > LONGEST or not plain.isprintable():
        raise CatalogError(
            f"is no name of an object ({len(name)} characters).",
            where="resolve",
            remedy=f'Give a name such as "M 13", of at most {LONGEST} characters.',
        )
    columns = ", ".join(f"basic.{column}" for column in UNITS)
    tables = "basic JOIN ident ON ident.oidref = basic.oid"
    quoted = plain.replace("'", "''")
    adql = f"SELECT TOP 2 {columns} FROM {tables} WHERE ident.id = '{quoted}'"
    form = {"REQUEST": "doQuery", "LANG": "ADQL", "FORMAT": "votable", "MAXREC": "2", "QUERY": adql}
    where = f"SIMBAD, '{plain}'"
    found = ask(
        addresses or _servers(),
        _made,
        where=where,
        request=Request("", form=form, allowed=EXPLAINED),
        limits=limits,
    )
    if found is None:
        raise CatalogError(
            "is not known there.",
            where=where,
            remedy="Check the spelling, or give right ascension and declination.",
        )
    return found


def _servers() -> tuple[str, ...]:
    return tuple(os.environ.get("SCIASTRO_SIMBAD", "").replace(",", " ").split()) or SIMBAD


def _made(answer: Answer) -> NamedObject | None:
    """Return the object, or None where there is none of that name or it has no place."""
    table = read_votable(answer.content, UNITS).table
    if len(table) == 0:
        return None
    value = {
        name: texts(table[name], " ")[0] if unit == "*" else float(numbers(table[name], unit)[0])
        for name, unit in UNITS.items()
    }
    ra, dec = float(value["ra"]), float(value["dec"])
    if not (np.isfinite(ra) and np.isfinite(dec)):  # SIMBAD has objects without a place
        return None
    if not (0 <= ra <= 360 and abs(dec) <= 90):
        raise Trouble(f"sends a place that is none (ra {ra:g}, dec {dec:g})")
    return NamedObject(
        name=str(value["main_id"]),
        kind=str(value["otype"]),
        ra=ra,
        dec=dec,
        pm_ra_cosdec=float(value["pmra"]),
        pm_dec=float(value["pmdec"]),
        parallax=float(value["plx_value"]),
        radial_velocity=float(value["rvz_radvel"]),
        size=float(value["galdim_majaxis"]),
    )
