"""Which catalogs can be asked over the network, by name.

Reads a name as the user types it; writes a `columns.Source`. Nothing is asked here.
"""

import difflib
import importlib
from collections.abc import Callable

from sciastro.errors import OptionError
from sciastro.remote.columns import Source

__all__ = ["source_of", "source_names"]

Make = Callable[[], Source]


def _sources() -> dict[str, Make]:
    from sciastro.remote.gaia import GaiaDR3

    found: dict[str, Make] = {"gaia-dr3": GaiaDR3}
    try:
        vizier = importlib.import_module("sciastro.remote.vizier")
    except ModuleNotFoundError:
        return found
    return found | dict(vizier.SOURCES)


def source_names() -> tuple[str, ...]:
    """Return the names of all catalogs that can be fetched."""
    return tuple(_sources())


def source_of(name: str) -> Source:
    """Return the catalog of a name; case, spaces, dots and underscores do not count.

    Raises
    ------
    OptionError
        If there is none; the message lists those that there are.
    """
    makers = _sources()
    plain = {_plain(known): known for known in makers}
    known = plain.get(_plain(name))
    if known is None:
        near = difflib.get_close_matches(_plain(name), plain, n=1)
        guess = f" Did you mean '{plain[near[0]]}'?" if near else ""
        raise OptionError(
            f"is '{name}', which is neither a known catalog nor a file.{guess}",
            where="catalog",
            remedy=f"Choose from embedded, {', '.join(makers)}, or name a file.",
        )
    return makers[known]()


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())
