"""A server on 127.0.0.1 that goes wrong on purpose, alone or between us and a real one.

``FaultyServer().say(path, *faults)`` gives what requests to a path get, one after another, the last for ever;
a fault without a body passes the request on to `upstream` and spoils what comes back.
"""

import gzip
import http.client
import os
import re
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qsl, urlsplit

VOTABLE = "application/x-votable+xml"
PORTAL = (
    b"<!DOCTYPE html>\n<html><head><title>Hotel Aurora Wi-Fi</title></head>"
    b"<body><form action='/login'>Room number <input name='room'></form></body></html>"
)


@dataclass(frozen=True)
class Fault:
    """One answer, good or bad.

    `body` None is upstream's, a function makes it of what was asked. `keep` is the share of the body that is
    sent, then the line is cut; `length` is "right" (of the whole body), "none" (until the line is closed) or
    "chunked". `silence` [s] before the answer, `stall` [s] after the part that was kept, `drip` [s] after
    every 100 bytes.
    """

    body: bytes | Callable[["Asked"], bytes] | None = None
    status: int = 200
    type: str = VOTABLE
    headers: dict[str, str] = field(default_factory=dict)
    keep: float = 1.0
    length: str = "right"
    silence: float = 0.0
    stall: float = 0.0
    drip: float = 0.0
    hangup: bool = False
    swap: tuple[bytes, bytes] | None = None
    endless: bool = False


GOOD = Fault()
TAP = os.environ.get("SCIASTRO_TAP_URL", "http://127.0.0.1:8080/tap").rstrip("/")


def tap_runs() -> bool:
    """Return whether a real TAP service answers at `TAP`; something else may listen there."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{TAP}/availability", timeout=5.0) as answer:
            return b"true" in answer.read()
    except (OSError, ValueError):
        return False


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        text = self.body.decode() or urlsplit(self.path).query
        return dict(parse_qsl(text, keep_blank_values=True))


class FaultyServer:
    """A server whose faults are chosen by path; use it in a ``with``."""

    def __init__(self, upstream: str | None = None) -> None:
        self.upstream = upstream
        self.script: dict[str, list[Fault]] = defaultdict(list)
        self.asked: list[Asked] = []
        self.over = threading.Event()
        self.lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def any_method(self) -> None:
                owner.handle(self)

            do_GET = do_POST = do_DELETE = do_HEAD = any_method

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # the other side hangs up: that is what these tests are about

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> "FaultyServer":
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def say(self, path: str, *faults: Fault) -> str:
        """Answer requests to paths that begin so with these faults; return the address."""
        self.script[path] = list(faults)
        return self.url(path)

    def count(self, path: str = "") -> int:
        return sum(one.path.startswith(path) for one in self.asked)

    def _next(self, path: str) -> Fault:
        fitting = [start for start in self.script if path.startswith(start)]
        if not fitting:
            return GOOD if self.upstream else Fault(b"nothing here", status=404, type="text/plain")
        queue = self.script[max(fitting, key=len)]
        return queue.pop(0) if len(queue) > 1 else queue[0]

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        asked = Asked(handler.command, handler.path, dict(handler.headers), body)
        with self.lock:
            self.asked.append(asked)
            fault = self._next(handler.path)
        handler.close_connection = True
        if self.over.wait(fault.silence) or fault.hangup:
            return
        if fault.body is None:
            fault = self._from_upstream(asked, fault)
        if callable(fault.body):
            fault = replace(fault, body=fault.body(asked))
        if fault.swap is not None and fault.body is not None:
            body, count = re.subn(*fault.swap, fault.body)
            assert count or self.upstream, f"nothing to spoil: {fault.swap[0]!r}"
            fault = replace(fault, body=body)
        self._send(handler, fault)

    def _from_upstream(self, asked: Asked, fault: Fault) -> Fault:
        assert self.upstream is not None, asked.path
        parts = urlsplit(self.upstream)
        line = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=30)
        try:
            hidden = {"host", "connection", "accept-encoding"}  # plain, so that it can be spoilt
            kept = {k: v for k, v in asked.headers.items() if k.lower() not in hidden}
            line.request(asked.method, asked.path, asked.body or None, {**kept, "Connection": "close"})
            answer = line.getresponse()
            content = answer.read()
            told = {
                k: v.replace(self.upstream, self.url())
                for k, v in answer.getheaders()
                if k.lower() in {"location", "content-encoding"}
            }
            status = answer.status if fault.status == 200 else fault.status
            return replace(
                fault, body=content, status=status, type=answer.headers.get("Content-Type", ""),
                headers={**told, **fault.headers},
            )  # fmt: skip
        finally:
            line.close()

    def _send(self, handler: BaseHTTPRequestHandler, fault: Fault) -> None:
        body = fault.body or b""
        handler.send_response(fault.status)
        handler.send_header("Content-Type", fault.type)
        for name, value in fault.headers.items():
            handler.send_header(name, value)
        if fault.length == "right":
            handler.send_header("Content-Length", str(len(body)))
        elif fault.length == "chunked":
            handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Connection", "close")
        handler.end_headers()
        kept = body[: int(len(body) * fault.keep)]
        if fault.length == "chunked":
            kept = b"%x\r\n%s\r\n" % (len(kept), kept) + (b"0\r\n\r\n" if fault.keep == 1 else b"")
        step = 100 if fault.drip else max(len(kept), 1)
        for start in range(0, len(kept), step):
            handler.wfile.write(kept[start : start + step])
            handler.wfile.flush()
            if fault.drip and self.over.wait(fault.drip):
                return
        while fault.endless and not self.over.is_set():
            handler.wfile.write(kept)
        if fault.stall:
            handler.wfile.flush()
            self.over.wait(fault.stall)


LONG = 30.0  # seconds: longer than any limit in these tests


def broken_lines(good: bytes) -> dict[str, Fault]:
    """Faults of the line and of the server, which no content check is needed for."""
    return {
        "silent": Fault(good, silence=LONG),
        "stalls half-way": Fault(good, keep=0.5, stall=LONG),
        "drips": Fault(good, drip=0.2),
        "hangs up": Fault(hangup=True),
        "cut off, length told": Fault(good, keep=0.5),
        "cut off, chunked": Fault(good, keep=0.5, length="chunked"),
        "500": Fault(b"oops", status=500, type="text/plain"),
        "503 with a page": Fault(b"<html><title>Maintenance</title></html>", status=503, type="text/html"),
        "endless": Fault(good, length="none", endless=True),
        "too large, told": Fault(good * 400),
        "gzip bomb": Fault(gzip.compress(b" " * 40_000_000, 9), headers={"Content-Encoding": "gzip"}),
    }


def wrong_contents(good: bytes) -> dict[str, Fault]:
    """Answers that look well to HTTP and are not."""
    middle = good.index(b"</TR>") + len(b"</TR>")
    return {
        "cut off, no length": Fault(good, keep=0.7, length="none"),
        "cut off at the end of a row": Fault(good[:middle]),
        "without its last tag": Fault(good[: good.rindex(b"</VOTABLE>")]),
        "login page": Fault(PORTAL, type="text/html; charset=utf-8"),
        "login page called a VOTable": Fault(PORTAL),
        "sent on to plain HTTP": Fault(
            b"", status=302, headers={"Location": "http://portal.example/login?from=catalog"}
        ),
        "empty": Fault(b""),
        "blanks": Fault(b"   \n\n "),
        "JSON": Fault(b'{"error": "no"}', type="application/json"),
        "text": Fault(b"RA DEC\n1 2\n", type="text/plain"),
        "gzip garbage": Fault(b"\x1f\x8b\x08\x00" + good[:200], headers={"Content-Encoding": "gzip"}),
        "gzip cut off": Fault(gzip.compress(good)[:-60], headers={"Content-Encoding": "gzip"}),
        "other columns": Fault(good, swap=(rb'<FIELD([^>]*) name="(\w+)', rb'<FIELD\1 name="other\2')),
        "other units": Fault(good, swap=(rb'unit="[^"]*"', b'unit="kg"')),
        "unknown units": Fault(good, swap=(rb'unit="[^"]*"', b'unit="furlongs per fortnight"')),
        "numbers that are none": Fault(good, swap=(rb"<TD>-?[0-9]+\.[0-9]+</TD>", b"<TD>abc</TD>")),
        "an error, HTTP 200": Fault(ERROR),
        "an error, the older way": Fault(OLD_ERROR),
        "an error, HTTP 400": Fault(ERROR, status=400),
        "no table": Fault(NO_TABLE),
    }


ERROR = b"""<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">
<INFO name="QUERY_STATUS" value="ERROR">Incorrect ADQL query: unknown column "nonsense"</INFO>
</RESOURCE></VOTABLE>"""

# As VizieR sent it in 2026 while its database was away (from the tests of astroquery, shortened).
OLD_ERROR = b"""<?xml version="1.0" encoding="UTF-8"?>
<ns0:VOTABLE xmlns:ns0="http://www.ivoa.net/xml/VOTable/v1.3" version="1.4">
  <ns0:DESCRIPTION>
   VizieR Astronomical Server vizier.cds.unistra.fr
 </ns0:DESCRIPTION>
  <ns0:INFO ID="Error" name="Error" value="The database is not currently reachable." />
  <ns0:INFO name="Error" value=" -- no connection" />
  <ns0:INFO name="QUERY_STATUS" value="ERROR">

 -- no connection
 Report from: stdb_pg,     Status: STDB_ERR
</ns0:INFO>
  <ns0:RESOURCE>
</ns0:RESOURCE>
</ns0:VOTABLE>"""

NO_TABLE = b"""<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE/></VOTABLE>"""


def until(condition: object, seconds: float = 5.0) -> bool:
    """Wait until a function returns something true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False
