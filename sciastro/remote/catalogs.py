"""Which catalogs can be asked over the network, by name.

Reads a name as the user types it; writes a `columns.Source`. Nothing is asked here.
"""

import difflib
import os
from functools import lru_cache

from sciastro.errors import OptionError
from sciastro.remote.columns import Source
from sciastro.remote.limits import DEFAULTS, Limits

__all__ = ["ALIASES", "GAIA", "source_names", "source_of"]

GAIA = "gaia-dr3"
APASS = "apass-dr10"
ALIASES = {
    "gaia": GAIA,
    "gaiadr": GAIA,
    "tycho": "tycho2",
    "apass": "apass-dr9",
    "apass9": "apass-dr9",
    "apass10": APASS,
    "refcat": "refcat2",
    "atlasrefcat2": "refcat2",
    "panstarrs": "ps1",
    "sdss": "sdss16",
    "landolt": "landolt2009",
}
"""Shorter names, without spaces and hyphens, and what they stand for."""


def source_names() -> tuple[str, ...]:
    """Return the names of all catalogs that can be fetched."""
    from sciastro.remote.viziertables import TABLES

    return (GAIA, *TABLES, APASS)


def source_of(name: str, *, limits: Limits = DEFAULTS) -> Source:
    """Return the catalog of a name; case, spaces, hyphens, dots and underscores do not count.

    Raises
    ------
    OptionError
        If there is none; the message lists those that there are.
    """
    names = source_names()
    plain = {_plain(known): known for known in names}
    known = plain.get(_plain(name)) or ALIASES.get(_plain(name))
    if known == GAIA:
        return _gaia(os.environ.get("SCIASTRO_GAIA_TAP", ""), limits)
    if known == APASS:
        from sciastro.remote.apass import ApassDR10

        return ApassDR10(limits=limits)
    if known is not None:
        from sciastro.remote.vizier import vizier_source

        return vizier_source(known, limits=limits)
    near = difflib.get_close_matches(_plain(name), plain, n=1)
    guess = f" Did you mean '{plain[near[0]]}'?" if near else ""
    raise OptionError(
        f"is '{name}', which is neither a known catalog nor a file.{guess}",
        where="catalog",
        remedy=f"Choose from embedded, {', '.join(names)}, or name a file.",
    )


@lru_cache(maxsize=4)
def _gaia(addresses: str, limits: Limits) -> Source:
    """Return the same source for the same addresses: it learns which columns an archive has."""
    from sciastro.remote.gaia import GaiaDR3

    return GaiaDR3(addresses.split() or None, limits=limits)


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())
