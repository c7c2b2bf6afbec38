"""A server that speaks like nova.astrometry.net, on 127.0.0.1, well or badly."""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

PORTAL = b"<!DOCTYPE html><html><head><title>Hotel WiFi</title></head><body>Log in</body></html>"


class FakeNova:
    """What it was asked, and how it behaves.

    `mode`: good, bad-key, portal, redirect, broken (500), cut, drip, hang, failure, endless, forgetful (the
    first session is unknown), flaky (every other look is a 502), gone (submissions are unknown). `body`
    answers the address that ends with `at`, whatever the mode.
    """

    body, at, kind = b"", "", "text/plain"

    def __init__(self, header: bytes, mode: str = "good") -> None:
        self.header, self.mode = header, mode
        self.asked: list[tuple[str, dict]] = []
        self.looks = 0

    @property
    def uploads(self) -> list[dict]:
        return [told for path, told in self.asked if path == "/api/upload"]


def _handler(state: FakeNova) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            told = json.loads(parse_qs(body)["request-json"][0])
            state.asked.append((self.path, told))
            if self.badly():
                return
            if self.path == "/api/login":
                if state.mode == "bad-key":
                    return self.json({"status": "error", "errormessage": f"bad apikey {told['apikey']}"})
                self.json({"status": "success", "session": f"session-{len(state.asked)}", "message": "hello"})
            elif state.mode == "forgetful" and len(state.uploads) == 1:
                words = f'no session with key "{told["session"]}"'
                self.json({"status": "error", "errormessage": words})
            else:
                self.json({"status": "success", "subid": 700 + len(state.uploads), "hash": "x"})

        def do_GET(self):
            state.asked.append((self.path, {}))
            state.looks += 1
            if self.badly():
                return
            if state.mode == "flaky" and state.looks % 2:
                return self.answer(502, b"bad gateway", "text/plain")
            if self.path.startswith("/api/submissions/"):
                if state.mode == "gone" and self.path.endswith("/1"):
                    return self.answer(404, b"<html>not found</html>", "text/html")
                self.json(
                    {
                        "user": 1, "processing_started": "2026-11-26 06:00:00", "processing_finished": "None",
                        "user_images": [5], "images": [6], "job_calibrations": [],
                        "jobs": [42] if state.looks > 1 else [None],
                    }
                )  # fmt: skip
            elif self.path == "/api/jobs/42":
                final = {"failure": "failure", "endless": "solving"}.get(state.mode, "success")
                self.json({"status": final})
            elif self.path == "/wcs_file/42":
                self.answer(200, state.header, "application/fits")
            else:
                self.answer(404, b"", "text/html")

        def badly(self) -> bool:
            if state.at and self.path.endswith(state.at):
                self.answer(200, state.body, state.kind)
            elif state.mode == "portal":
                self.answer(200, PORTAL, "text/html")
            elif state.mode == "redirect":
                self.answer(302, b"", "text/html", Location="https://login.example/")
            elif state.mode == "broken":
                self.answer(500, b"oops", "text/html")
            elif state.mode == "cut":
                self.answer(200, b'{"status": "suc', "text/plain", size=400)
            elif state.mode == "drip":
                self.answer(200, b" " * 100, "text/plain", size=500, pause=0.3)
            elif state.mode == "hang":
                time.sleep(30)
            else:
                return False
            return True

        def json(self, told):
            self.answer(200, json.dumps(told).encode(), "text/plain")

        def answer(self, status, content, kind, size=None, pause=0.0, **more):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content) if size is None else size))
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                for k in range(len(content)) if pause else (None,):
                    self.wfile.write(content if k is None else content[k : k + 1])
                    self.wfile.flush()
                    time.sleep(pause)

    return Handler


@contextlib.contextmanager
def running(state: FakeNova):
    """Yield the address of the server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
