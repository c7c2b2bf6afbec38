"""Where an object is, by its name: from the embedded tables, and from SIMBAD if that is asked for.

Reads a name; writes a `Named`. Nothing is asked over the network unless the caller says ``online=True``;
where SIMBAD then does not answer, or does not know the name, the embedded tables do, and say so.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sciastro.errors import CatalogError, OptionError
from sciastro.io.skydata import TYPES, NamedStar, SkyObject, find

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

__all__ = ["Named", "resolve"]


@dataclass(frozen=True, slots=True)
class Named:
    """An object that has a name.

    Attributes
    ----------
    name
        As the source writes it.
    kind
        What it is: SIMBAD's short type ("GlC"), or a word of the embedded tables ("globular cluster").
    coord
        ICRS with `obstime`, and proper motion where that is known.
    source
        "SIMBAD" or "embedded".
    note
        Why it is not from where it was wanted; "" if it is.
    """

    name: str
    kind: str
    coord: "SkyCoord"
    source: str
    note: str = ""


def resolve(name: str, *, online: bool = False) -> Named:
    """Return the object of that name.

    Parameters
    ----------
    name
        "M 13", "NGC7000", "Vega", "61 Cyg"; with `online` whatever SIMBAD knows ("HD 189733").
    online
        Ask SIMBAD first.

    Raises
    ------
    CatalogError
        If nobody who was asked knows it.
    OptionError
        If it is no text.
    """
    if not isinstance(name, str):
        raise OptionError(f"is {name!r}.", where="name", remedy='Give a text, such as "M 13".')
    if not online:
        return _embedded(name, "")
    from sciastro.remote.names import resolve as ask_simbad

    try:
        found = ask_simbad(name)
    except CatalogError as error:
        try:
            return _embedded(name, f"from the embedded tables, because {error.where} {error.found}")
        except CatalogError:
            raise error from None  # what SIMBAD said matters more: it knows many more names
    return Named(found.name, found.kind, found.coord, "SIMBAD")


def _embedded(name: str, note: str) -> Named:
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from astropy.time import Time

    found: SkyObject | NamedStar = find(name)
    if isinstance(found, SkyObject):
        coord = SkyCoord(found.ra * u.deg, found.dec * u.deg, obstime=Time(2000.0, format="jyear"))
        return Named(found.label, TYPES.get(found.type, found.type), coord, "embedded", note)
    coord = SkyCoord(
        found.ra * u.deg,
        found.dec * u.deg,
        pm_ra_cosdec=found.pm_ra * (u.mas / u.yr),
        pm_dec=found.pm_dec * (u.mas / u.yr),
        obstime=Time(2016.0, format="jyear"),
    )
    return Named(found.label, "star", coord, "embedded", note)
