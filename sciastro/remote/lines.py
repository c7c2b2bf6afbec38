"""Connections to one server: encrypted, with one wait for the connection and another for the data.

Reads an address; writes an opener of the standard library that follows no redirects, and says in plain words
why there is no answer.
"""

import functools
import http.client
import socket
import ssl
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from sciastro.remote.limits import Limits
from sciastro.remote.trouble import LOGIN, Trouble, excerpt

__all__ = ["LOOPBACK", "no_answer", "opener_for", "refuse_unsafe"]

LOOPBACK = frozenset({"127.0.0.1", "::1"})  # plain HTTP is allowed to this machine only


def refuse_unsafe(address: str, *, loopback: bool) -> None:
    """Refuse what is not HTTPS, but for this machine's own address.

    Raises
    ------
    Trouble
        If it is not.
    """
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError as error:
        raise Trouble("has an address that cannot be read") from error
    if parts.scheme == "https" and host:
        return
    if not (loopback and parts.scheme == "http" and host in LOOPBACK):
        raise Trouble("has an address that is not encrypted", remedy="Use an https:// address.")


def no_answer(error: Exception, limits: Limits) -> Trouble:
    """Return why there is no answer at all."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        why = f"shows a certificate that is not trusted ({excerpt(reason.verify_message)})"
        return Trouble(why, remedy=LOGIN)
    if isinstance(reason, socket.gaierror):
        return Trouble("cannot be found (its name is unknown here)", remedy="Check the network connection.")
    if isinstance(reason, TimeoutError):
        if reason is error:
            return Trouble(f"is silent (nothing came within {limits.read:g} s)", retry=True)
        return Trouble(f"cannot be reached within {limits.connect:g} s", retry=True)
    if isinstance(reason, ConnectionRefusedError):
        return Trouble("refuses the connection", retry=True)
    if isinstance(reason, http.client.RemoteDisconnected):
        return Trouble("closes the connection without an answer", retry=True)
    if isinstance(reason, http.client.HTTPException):
        return Trouble("does not speak HTTP", retry=True)
    return Trouble(f"cannot be reached ({excerpt(str(reason)) or type(reason).__name__})", retry=True)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to `_exchange`, which looks at where they lead."""

    def redirect_request(self, *_: Any) -> None:
        return None


@functools.lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def opener_for(address: str, limits: Limits) -> urllib.request.OpenerDirector:
    """Return what opens an address: through the user's proxies, but for this machine's own."""
    own = urlsplit(address).hostname in LOOPBACK
    proxies = urllib.request.ProxyHandler({} if own else None)  # a proxy is not asked for this machine
    return urllib.request.build_opener(proxies, _Plain(limits), _Secure(limits), _NoRedirects())


def _connected(kind: type[http.client.HTTPConnection], silence: float, *args: Any, **options: Any) -> Any:
    """Return a connection of that kind that waits `silence` seconds for data, once it is there."""

    class Waiting(kind):  # type: ignore[misc, valid-type]
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(silence)

    return Waiting(*args, **options)


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.silence = limits.read

    def http_open(self, req: urllib.request.Request) -> Any:
        make: Any = functools.partial(_connected, http.client.HTTPConnection, self.silence)
        return self.do_open(make, req)


class _Secure(urllib.request.HTTPSHandler):
    def __init__(self, limits: Limits) -> None:
        super().__init__(context=_trust())
        self.silence = limits.read

    def https_open(self, req: urllib.request.Request) -> Any:
        make: Any = functools.partial(_connected, http.client.HTTPSConnection, self.silence)
        return self.do_open(make, req, context=_trust())
