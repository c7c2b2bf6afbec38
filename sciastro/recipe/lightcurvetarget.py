"""Where the target of a light curve is: a place, or a name that somebody knows."""

from dataclasses import dataclass

from sciastro.errors import CatalogError, OptionError
from sciastro.io.positions import positions_from_text
from sciastro.recipe.catalogs import network_off
from sciastro.recipe.naming import resolve

__all__ = ["Place", "place_of"]


@dataclass(frozen=True, slots=True)
class Place:
    """A place on the sky: name, ra, dec [deg, ICRS], and where it is from."""

    name: str
    ra: float
    dec: float
    source: str

    @property
    def radec(self) -> tuple[float, float]:
        """(ra, dec) [deg]."""
        return self.ra, self.dec


def place_of(text: str, where: str, *, offline: bool = False, name: str = "") -> Place:
    """Return the place that a text tells: "RA DEC" in degrees or sexagesimal, or the name of an object.

    Parameters
    ----------
    where
        Option that the text is from.
    name
        What to call it; "" is the text.

    Raises
    ------
    OptionError
        If it is no place and nobody who may be asked knows the name.
    """
    words = text.strip()
    if not words:
        raise OptionError("is empty.", where=where, remedy="Give a name, or 'RA DEC'.")
    try:
        place = positions_from_text(words)
    except OptionError:
        return _named(words, where, offline=offline, label=name or words)
    return Place(name or words, float(place.ra[0]), float(place.dec[0]), "given")


def _named(name: str, where: str, *, offline: bool, label: str) -> Place:
    online = not network_off(offline or None)
    try:
        found = resolve(name, online=online)
    except CatalogError as error:
        asked = "SIMBAD was asked" if online else "the network is off, so SIMBAD was not asked"
        found_out = error.found.rstrip(".")
        raise OptionError(
            f"is '{name}', which is no place, and no name that is known here: it {found_out} ({asked}).",
            where=where, remedy="Give its place instead: 'RA DEC', in degrees or as 02:04:10.28 +46:41:16.2.",
        ) from error  # fmt: skip
    place = found.coord.icrs
    return Place(label, float(place.ra.deg), float(place.dec.deg), found.source)
