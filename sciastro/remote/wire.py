"""One request to one server: sent, bounded in time and size, unpacked, looked at; an answer or a `Trouble`.

Reads a URL (and a form to post); writes an `Answer`. Method: the standard library's HTTP client, in a thread
of its own that is left behind when the time is up, so that no name server, no trickle of headers and no
stalled proxy can hold a caller longer than it asked for.
"""

import contextlib
import http.client
import logging
import math
import re
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlencode, urljoin, urlsplit

from sciastro.core.history import package_version
from sciastro.remote.limits import Limits, seconds_left
from sciastro.remote.lines import LOOPBACK, no_answer, opener_for, refuse_unsafe
from sciastro.remote.trouble import LOGIN, Trouble, excerpt, shown

__all__ = ["LOGIN", "LOOPBACK", "Answer", "Kind", "Request", "send", "title_of", "user_agent"]

log = logging.getLogger(__name__)

Kind = Literal["empty", "html", "votable", "xml", "json", "fits", "gzip", "other"]

CHUNK = 1 << 16
REDIRECTS = 5  # that are followed
MOVED = frozenset({301, 302, 303, 307, 308})
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # HTTP states that may be over the next time
TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said.

    Attributes
    ----------
    content
        The body, decompressed.
    status
        The HTTP state, 200 to 299 (or what `Request.allowed` adds).
    type
        Media type that the server names, lower case, without parameters.
    kind
        What the content is, judged by its first bytes and not by `type`.
    url
        Address that answered at last, without its query.
    location
        Full address that answered at last; it is never logged.
    headers
        As sent, names in lower case.
    """

    content: bytes
    status: int
    type: str
    kind: Kind
    url: str
    location: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: an address, values for its query, a form or a body to post.

    Attributes
    ----------
    allowed
        HTTP states other than 2xx whose answers are wanted (a TAP server explains errors in a 400).
    """

    url: str
    params: Mapping[str, str] | tuple[tuple[str, str], ...] | None = None
    form: Mapping[str, str] | tuple[tuple[str, str], ...] | None = None
    body: bytes | None = None
    headers: Mapping[str, str] | None = None
    method: str | None = None
    allowed: frozenset[int] = frozenset()
    redirects: int = REDIRECTS


def user_agent() -> str:
    """Return the name and version that servers see."""
    return f"sciastro/{package_version()}"


def send(request: Request, *, limits: Limits, seconds: float) -> Answer:
    """Return the answer of one server, asked once.

    Parameters
    ----------
    request
        What is asked.
    limits
        Bounds of waiting and size.
    seconds
        Longest time for everything, within `limits.no_later_than`.

    Raises
    ------
    Trouble
        Whatever goes wrong: no connection, silence, time, size, state, damage, an address that is not safe.
    """
    refuse_unsafe(request.url, loopback=True)
    if seconds_left(math.inf) <= 0:
        raise Trouble("had no time left to answer")
    seconds = max(seconds_left(seconds), 0.0)
    deadline = time.monotonic() + seconds
    results: list[Answer | BaseException] = []
    given_up, done = threading.Event(), threading.Event()

    def work() -> None:
        try:
            results.append(_exchange(request, limits, deadline, given_up))
        except BaseException as error:  # noqa: BLE001 (it is raised again where somebody waits for it)
            results.append(error)
        finally:
            done.set()

    threading.Thread(target=work, name="sciastro-request", daemon=True).start()
    try:
        done.wait(seconds + 0.05)
    finally:
        given_up.set()  # also on Ctrl-C: whoever is behind closes the connection
    if not results:
        raise Trouble(f"did not finish within {seconds:.3g} s", retry=True)
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]


def _exchange(request: Request, limits: Limits, deadline: float, given_up: threading.Event) -> Answer:
    started, address, hops = time.monotonic(), _addressed(request), 0
    try:
        while True:
            with contextlib.closing(_open(address, request, limits)) as response:
                onward = response.headers.get("Location") if response.status in MOVED else None
                if onward is None or hops >= request.redirects:
                    content = _read(response, limits, deadline, given_up)
                    answer = _answer(response, _unpacked(content, response, limits), request)
                    break
                address, request = _onward(address, request, int(response.status), onward)
            hops += 1
    except Trouble as trouble:
        log.info("%s: %s", shown(address), trouble.found)
        raise
    took = time.monotonic() - started
    log.info("%s: HTTP %d, %d bytes, %.2f s", answer.url, answer.status, len(answer.content), took)
    return answer


def _addressed(request: Request) -> str:
    if not request.params:
        return request.url
    return f"{request.url}{'&' if '?' in request.url else '?'}{urlencode(request.params)}"


def _open(address: str, request: Request, limits: Limits) -> Any:
    body = urlencode(request.form).encode() if request.form is not None else request.body
    headers = {"User-Agent": user_agent(), "Accept-Encoding": "gzip", **(request.headers or {})}
    try:
        asked = urllib.request.Request(address, data=body, headers=headers, method=request.method)
        return opener_for(address, limits).open(asked, timeout=limits.connect)
    except urllib.error.HTTPError as error:  # an answer too, with its own words
        return error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise no_answer(error, limits) from error


def _onward(address: str, request: Request, status: int, onward: str) -> tuple[str, Request]:
    """Return where a redirect leads, and what is asked there; keys are not handed on to other hosts."""
    new = urljoin(address, onward.strip())
    try:
        refuse_unsafe(new, loopback=urlsplit(address).hostname in LOOPBACK)
    except Trouble as trouble:
        raise Trouble(f"sends us on to {shown(new)}, which is not encrypted", remedy=LOGIN) from trouble
    if status not in {307, 308}:  # RFC 9110, section 15.4: what was posted is not posted again
        request = replace(request, form=None, body=None, method=None)
    if urlsplit(new).netloc != urlsplit(address).netloc:
        kept = {
            k: v for k, v in (request.headers or {}).items() if k.lower() not in {"authorization", "cookie"}
        }
        request = replace(request, headers=kept, form=None, body=None, method=None)
    return new, request


def _read(response: Any, limits: Limits, deadline: float, given_up: threading.Event) -> bytes:
    """Return the body as sent, whole."""
    expected = response.headers.get("Content-Length", "")
    wanted = int(expected) if expected.isdigit() else None
    if wanted is not None and wanted > limits.max_bytes:
        raise _too_large(limits)
    parts: list[bytes] = []
    got = 0
    try:
        while chunk := response.read1(CHUNK):
            parts.append(chunk)
            got += len(chunk)
            if got > limits.max_bytes:
                raise _too_large(limits)
            if given_up.is_set() or time.monotonic() > deadline:
                raise Trouble(f"is too slow ({got} bytes in the time there was)", retry=True)
    except TimeoutError as error:
        raise Trouble(f"fell silent after {got} bytes", retry=True) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Trouble(f"broke off after {got} bytes", retry=True) from error
    if wanted is not None and got < wanted:  # the standard library returns short bodies without a word
        raise Trouble(f"broke off after {got} of {wanted} bytes", retry=True)
    return b"".join(parts)


def _too_large(limits: Limits) -> Trouble:
    return Trouble(
        f"sends more than {limits.max_bytes / 1e6:g} MB",
        remedy="Ask for a smaller region, or a brighter limit.",
    )


def _unpacked(content: bytes, response: Any, limits: Limits) -> bytes:
    """Return the body decompressed, at most `limits.max_bytes` of it."""
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding not in {"", "identity", "gzip", "x-gzip"}:
        raise Trouble(f"answers in the coding '{excerpt(coding)}', which was not asked for")
    if not coding.endswith("gzip") and content[:2] != b"\x1f\x8b":
        return content
    parts, rest, size = [], content, 0
    while rest:  # a gzip file may have several members
        unpacker = zlib.decompressobj(31)
        try:
            parts.append(unpacker.decompress(rest, limits.max_bytes - size + 1))
        except zlib.error as error:
            raise Trouble("sends compressed data that are damaged", retry=True) from error
        size += len(parts[-1])
        if size > limits.max_bytes:
            raise _too_large(limits)
        if not unpacker.eof:
            raise Trouble("sends compressed data that are cut off", retry=True)
        rest = unpacker.unused_data
    return b"".join(parts)


def _answer(response: Any, content: bytes, request: Request) -> Answer:
    status, kind = int(response.status), _kind(content)
    fields = {name.lower(): value for name, value in response.headers.items()}
    if not 200 <= status < 300 and status not in request.allowed:
        raise _refusal(status, kind, content, fields)
    location = str(response.url)
    media = fields.get("content-type", "").split(";")[0].strip().lower()
    return Answer(content, status, media, kind, shown(location), location, fields)


def _refusal(status: int, kind: Kind, content: bytes, fields: Mapping[str, str]) -> Trouble:
    words = (
        ""
        if kind == "html"
        else excerpt(re.sub(r"<[^>]*>", " ", content[:20_000].decode("utf-8", "replace")))
    )
    found = f"answers with HTTP {status}" + (f" ({words})" if words else "")
    if status == 511:  # network authentication required
        return Trouble(found, remedy=LOGIN)
    after = fields.get("retry-after", "")
    return Trouble(found, retry=status in PASSING, wait=float(after) if after.isdigit() else 0.0)


def _kind(content: bytes) -> Kind:
    """Return what the content is by its first bytes; a byte order mark and comments do not count."""
    head = content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "empty"
    head = re.sub(rb"<!--.*?-->\s*", b"", head, flags=re.DOTALL)
    if head.startswith((b"<!doctype html", b"<html")) or re.match(
        rb"(<\?xml[^>]*>\s*)?(<!doctype html|<html)", head
    ):
        return "html"
    if re.search(rb"<(\w+:)?votable[\s/>]", head):
        return "votable"
    if head.startswith(b"<"):
        return "html" if re.search(rb"<(head|body|script|meta|title)[\s>]", head) else "xml"
    if head.startswith((b"{", b"[")):
        return "json"
    if head.startswith(b"simple  ="):
        return "fits"
    return "other"


def title_of(content: bytes) -> str:
    """Return the title of a web page, or nothing."""
    found = TITLE.search(content[:20_000].decode("utf-8", "replace"))
    return excerpt(found[1]) if found else ""
