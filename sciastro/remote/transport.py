"""The one place through which sciastro speaks HTTP: mirrors in order, attempts, pauses, one clear message.

Reads addresses, a query and a function that makes sense of an answer; writes what that function returns.
Method: each mirror is asked up to `Limits.attempts` times where its trouble may pass (no connection, a
broken or damaged answer, HTTP 408, 425, 429, 5xx), with pauses that double; then comes the next one. A mirror
may use an even share of the time that is left, so that a stalled one leaves some for the others. Only an
answer that the caller's own function accepts ends the search; nothing else is ever returned, nor cached.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from sciastro.errors import CatalogError
from sciastro.remote.limits import DEFAULTS, Limits, hastened, offline, refuse_offline
from sciastro.remote.trouble import Trouble, outage
from sciastro.remote.wire import LOGIN, Answer, Kind, Request, send, title_of

if TYPE_CHECKING:
    import requests

__all__ = [
    "Answer",
    "Limits",
    "Request",
    "Trouble",
    "ask",
    "fetch",
    "looked_at",
    "offline",
    "repeated",
    "session",
]

T = TypeVar("T")
LONGEST_WAIT = 30.0  # seconds; a server whose Retry-After asks for more is left alone


def ask(
    mirrors: Sequence[str],
    make: Callable[[Answer], T],
    *,
    where: str,
    request: Request | None = None,
    kinds: frozenset[Kind] = frozenset({"votable"}),
    limits: Limits = DEFAULTS,
) -> T:
    """Return what `make` makes of the first usable answer.

    Parameters
    ----------
    mirrors
        Addresses of the same service, best first: https://, or http://127.0.0.1 for a server of one's own.
    make
        Turns an answer into the result. It raises `Trouble` or `CatalogError` where the content is not what
        was asked for; the next mirror is tried then.
    where
        What is asked for, in the words of the error message: "VizieR II/336/apass9".
    request
        Query, form, headers; its address is replaced by each mirror's in turn.
    kinds
        What the content may be, judged by its first bytes.
    limits
        Bounds of time, attempts and size.

    Raises
    ------
    CatalogError
        If the network is switched off, or no mirror gives a usable answer; the message tells what each did.
    """
    refuse_offline(where)
    base, limits = request or Request(""), hastened(limits)
    deadline = time.monotonic() + limits.total
    troubles: list[tuple[str, Trouble]] = []
    for k, mirror in enumerate(mirrors):
        share = max(deadline - time.monotonic(), 0.0) / (len(mirrors) - k)
        if k and share <= 0:
            troubles.append((mirror, Trouble("was not asked: the time was up")))
            continue
        found, trouble = _one_mirror(replace(base, url=mirror), make, kinds, limits, time.monotonic() + share)
        if trouble is None:
            return found[0]
        troubles.append((mirror, trouble))
    raise outage(where, troubles)


def _one_mirror(
    request: Request, make: Callable[[Answer], T], kinds: frozenset[Kind], limits: Limits, until: float
) -> tuple[list[T], Trouble | None]:
    """Return the result of one mirror in a list, or an empty list and the last trouble."""

    def once() -> T:
        return make(looked_at(send(request, limits=limits, seconds=until - time.monotonic()), kinds))

    try:
        return [repeated(once, limits, until)], None
    except Trouble as trouble:
        return [], trouble
    except CatalogError as error:
        return [], Trouble(error.found.rstrip("."), remedy=error.remedy)


def repeated(once: Callable[[], T], limits: Limits, until: float) -> T:
    """Return the answer of one server, asked again where its trouble may pass.

    Parameters
    ----------
    once
        Asks it.
    until
        `time.monotonic` by which everything must be done.

    Raises
    ------
    Trouble
        The last one.
    """
    for attempt in range(limits.attempts):
        try:
            return once()
        except Trouble as trouble:
            pause = max(limits.pause * 2**attempt, trouble.wait)
            late = trouble.wait > LONGEST_WAIT or time.monotonic() + pause >= until
            if late or not trouble.retry or attempt + 1 >= limits.attempts:
                raise
        time.sleep(pause)
    raise AssertionError("there is at least one attempt")


def looked_at(answer: Answer, kinds: frozenset[Kind]) -> Answer:
    """Return the answer if it is of one of the wanted kinds.

    Raises
    ------
    Trouble
        If not; a web page is what captive portals and maintenance pages look like, and is called so.
    """
    if answer.kind in kinds:
        return answer
    if answer.kind == "empty":
        raise Trouble("sends nothing", retry=True)
    if answer.kind == "html":
        title = title_of(answer.content)
        named = f" titled '{title}'" if title else ""
        raise Trouble(
            f"sends a web page{named} instead of data (a login page of the network, or a notice)",
            remedy=LOGIN,
        )
    wanted = " or ".join(sorted(kinds))
    raise Trouble(f"sends {answer.type or 'something'} ({answer.kind}) where {wanted} was wanted")


def fetch(
    mirrors: Sequence[str],
    *,
    where: str,
    request: Request | None = None,
    kinds: frozenset[Kind] = frozenset({"votable"}),
    limits: Limits = DEFAULTS,
) -> Answer:
    """Return the first answer of the wanted kind; the parameters and errors are those of `ask`."""
    return ask(mirrors, lambda answer: answer, where=where, request=request, kinds=kinds, limits=limits)


def session(limits: Limits = DEFAULTS) -> "requests.Session":
    """Return a session of the `requests` package that sends through here, for pyvo and astroquery.

    Redirects, time-outs, size, encryption and the offline switch are those of this module; a request that
    comes to nothing raises ``requests.exceptions.ConnectionError`` in the caller's package.

    Raises
    ------
    CatalogError
        If the network is switched off.
    """
    from sciastro.remote.bridge import bridged_session

    return bridged_session(limits)
