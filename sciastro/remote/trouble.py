"""What goes wrong between us and one server, and the one message that all of it becomes.

Reads the troubles of every mirror; writes one `CatalogError`: what was found, where, what to do.
"""

import re
from urllib.parse import urlsplit

from sciastro.errors import CatalogError

__all__ = ["LOGIN", "Trouble", "excerpt", "outage", "shown"]

LOGIN = "Log in to the network in a web browser, or check the proxy, and try again."
LATER = "Try again later; the embedded catalog needs no network."
LONGEST = 200  # characters of a server's own words that a message quotes


class Trouble(Exception):
    """One server gave no usable answer; another may, and so may the same one later.

    Parameters
    ----------
    found
        What it did, as the predicate of a sentence without a full stop ("answers with HTTP 503").
    remedy
        What the user can do, where that is not just to wait.
    retry
        Whether the same server may well answer the next time.
    wait
        Seconds that the server asks us to wait before that.
    """

    def __init__(self, found: str, *, remedy: str = "", retry: bool = False, wait: float = 0.0) -> None:
        super().__init__(found)
        self.found = found
        self.remedy = remedy
        self.retry = retry
        self.wait = wait


def shown(address: str) -> str:
    """Return what a log or a message may show of an address: no user, no password, no query, no fragment."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that cannot be read"
    return f"{parts.scheme}://{host}{port}{parts.path}"


def excerpt(text: str) -> str:
    """Return a server's words on one line, printable, and short."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


def outage(where: str, troubles: list[tuple[str, Trouble]]) -> CatalogError:
    """Return the one error that tells what every server did.

    Parameters
    ----------
    where
        What was asked for, such as "VizieR II/336/apass9".
    troubles
        Address and last trouble of each server that was asked, in order.
    """
    parts = [f"{_host(address)} {trouble.found}" for address, trouble in troubles]
    remedies = list(dict.fromkeys(trouble.remedy for _, trouble in troubles if trouble.remedy))
    found = f"gave no usable answer: {'; '.join(parts)}." if parts else "has no server to ask."
    return CatalogError(re.sub(r"\.{2}$", ".", found), where=where, remedy=" ".join(remedies) or LATER)


def _host(address: str) -> str:
    return urlsplit(shown(address)).netloc or "an address that cannot be read"
