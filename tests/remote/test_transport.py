"""The one place that speaks HTTP: bounded in time and size, encrypted, mirrors in order, clear messages."""

import gzip
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
import requests
from faulty import GOOD, PORTAL, VOTABLE, Fault, FaultyServer, broken_lines

from sciastro.errors import CatalogError
from sciastro.remote.limits import Limits, hastened, in_haste, no_later_than
from sciastro.remote.transport import Answer, Request, Trouble, ask, fetch, session
from sciastro.remote.trouble import shown

QUICK = Limits(connect=5, read=0.4, total=1.6, attempts=2, pause=0.01, max_bytes=100_000)
CALM = Limits(connect=10, read=10, total=60, attempts=2, pause=0.01, max_bytes=100_000)
DOCUMENT = b"<?xml version='1.0'?><VOTABLE version='1.4'>" + b"<!-- made up -->" * 50 + b"</VOTABLE>"
BUDGET = 10.0  # seconds: no request with QUICK limits may take longer, even on a busy machine


def test_an_answer_has_content_kind_and_an_address_without_its_query(server: FaultyServer) -> None:
    at = server.say("/a", Fault(DOCUMENT))
    answer = fetch([at], where="test", request=Request("", params={"q": "a b&c"}), limits=CALM)
    assert answer.content == DOCUMENT
    assert (answer.kind, answer.type, answer.status) == ("votable", VOTABLE, 200)
    assert answer.url == at
    assert server.asked[0].path == "/a?q=a+b%26c"
    assert server.asked[0].headers["User-Agent"].startswith("sciastro/")


@pytest.mark.parametrize("length", ["right", "none", "chunked"])
@pytest.mark.parametrize("packed", [False, True])
def test_bodies_come_whole_however_they_are_sent(server: FaultyServer, length: str, packed: bool) -> None:
    body, headers = (gzip.compress(DOCUMENT), {"Content-Encoding": "gzip"}) if packed else (DOCUMENT, {})
    at = server.say("/a", Fault(body, length=length, headers=headers))
    assert fetch([at], where="test", limits=CALM).content == DOCUMENT


@pytest.mark.parametrize("what", broken_lines(DOCUMENT))
def test_a_broken_line_is_one_clear_error_in_time(server: FaultyServer, what: str) -> None:
    at = server.say("/bad", broken_lines(DOCUMENT)[what])
    started = time.monotonic()
    with pytest.raises(CatalogError) as caught:
        fetch([at], where="the test", limits=QUICK)
    assert time.monotonic() - started < BUDGET
    error = caught.value
    assert error.where == "the test" and error.found.startswith("gave no usable answer: 127.0.0.1")
    assert error.remedy and "\n" not in str(error)


@pytest.mark.parametrize("what", broken_lines(DOCUMENT))
def test_a_mirror_helps_out(server: FaultyServer, what: str) -> None:
    bad, mirror = server.say("/bad", broken_lines(DOCUMENT)[what]), server.say("/good", Fault(DOCUMENT))
    assert fetch([bad, mirror], where="test", limits=QUICK).url == mirror


def test_trouble_that_may_pass_is_tried_again(server: FaultyServer) -> None:
    for fault in (
        Fault(b"", status=503), Fault(b"", status=500), Fault(hangup=True), Fault(DOCUMENT, keep=0.3),
        Fault(b""),
    ):  # fmt: skip
        server.asked.clear()
        at = server.say("/a", fault, Fault(DOCUMENT))
        assert fetch([at], where="test", limits=CALM).content == DOCUMENT
        assert server.count() == 2


def test_trouble_that_will_not_pass_is_not_tried_again(server: FaultyServer) -> None:
    for fault in (
        Fault(b"", status=404),
        Fault(b"", status=401),
        Fault(PORTAL),
        Fault(b"{}", type="text/json"),
    ):
        server.asked.clear()
        at = server.say("/a", fault)
        with pytest.raises(CatalogError):
            fetch([at], where="test", limits=CALM)
        assert server.count() == 1


def test_attempts_are_bounded(server: FaultyServer) -> None:
    at = server.say("/a", Fault(b"", status=503))
    with pytest.raises(CatalogError, match="HTTP 503"):
        fetch([at], where="test", limits=Limits(attempts=4, pause=0.01, total=20))
    assert server.count() == 4


def test_nothing_is_asked_beyond_a_time_that_is_set_from_outside(server: FaultyServer) -> None:
    silent, good = server.say("/silent", Fault(DOCUMENT, silence=30)), server.say("/good", Fault(DOCUMENT))
    begin = time.monotonic()
    with (
        no_later_than(begin + 0.3),
        no_later_than(begin + 100),  # an inner block allows no more
        pytest.raises(CatalogError, match=r"had no time left.*; .*had no time left"),
    ):
        fetch([silent, good], where="test", limits=CALM)
    assert time.monotonic() - begin < BUDGET
    assert fetch([good], where="test", limits=CALM).content == DOCUMENT


def test_what_is_only_good_to_know_is_asked_in_haste(server: FaultyServer) -> None:
    at = server.say("/a", Fault(b"", status=503))
    with in_haste(), pytest.raises(CatalogError, match="HTTP 503"):
        fetch([at], where="test", limits=Limits(attempts=4, pause=0.01, total=20))
    assert server.count() == 1
    with in_haste():
        assert hastened(Limits()).connect == 5
        assert hastened(Limits(connect=1)).connect == 1
    assert hastened(Limits()) == Limits()


def test_a_server_that_asks_for_more_patience_than_there_is_is_left(server: FaultyServer) -> None:
    at = server.say("/a", Fault(b"", status=503, headers={"Retry-After": "3600"}))
    with pytest.raises(CatalogError, match="HTTP 503"):
        fetch([at], where="test", limits=Limits(total=600))
    assert server.count() == 1


def test_what_the_caller_refuses_is_not_returned(server: FaultyServer) -> None:
    def picky(answer: Answer) -> bytes:
        if b"fresh" not in answer.content:
            raise CatalogError("is stale.", where="here", remedy="Bake again.")
        return answer.content

    bad, good = server.say("/bad", Fault(DOCUMENT)), server.say("/good", Fault(DOCUMENT + b"<!-- fresh -->"))
    assert ask([bad, good], picky, where="test", limits=CALM).endswith(b"fresh -->")
    with pytest.raises(CatalogError, match=r"127.0.0.1:\d+ is stale\. Bake again\."):
        ask([bad], picky, where="test", limits=CALM)


def test_every_server_is_named_with_what_it_did(server: FaultyServer) -> None:
    a, b = server.say("/a", Fault(b"", status=503)), server.say("/b", Fault(PORTAL))
    with pytest.raises(CatalogError) as caught:
        fetch([a, b, "https://nowhere.invalid/x"], where="test", limits=CALM)
    text = str(caught.value)
    assert "HTTP 503" in text and "Hotel Aurora" in text and "nowhere.invalid cannot be found" in text
    assert text.index("503") < text.index("Hotel") < text.index("nowhere")


@pytest.mark.parametrize(
    "address",
    ["http://example.com/tap", "http://localhost.example/x", "ftp://example.com/x", "file:///etc/passwd",
     "tap", "http://127.0.0.1.example.com/x", "https:///x", "http://[::1"],
)  # fmt: skip
def test_only_encrypted_addresses_are_asked(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)
    with pytest.raises(CatalogError, match=r"not encrypted|cannot be read"):
        fetch([address], where="test", limits=QUICK)


def test_redirects_are_followed_a_few_times(server: FaultyServer) -> None:
    server.say("/end", Fault(DOCUMENT))
    at = server.say("/start", Fault(b"moved", status=302, headers={"Location": "/end"}))
    answer = fetch([at], where="test", request=Request("", form={"a": "1"}), limits=CALM)
    assert answer.url == server.url("/end")
    assert [one.method for one in server.asked] == ["POST", "GET"]
    loop = server.say("/loop", Fault(b"moved", status=302, headers={"Location": "/loop"}))
    with pytest.raises(CatalogError, match="HTTP 302"):
        fetch([loop], where="test", limits=CALM)
    assert server.count("/loop") == 6


def test_keys_are_not_handed_on_to_other_hosts(server: FaultyServer) -> None:
    with FaultyServer() as other:
        other.say("/", Fault(DOCUMENT))
        at = server.say("/a", Fault(b"", status=307, headers={"Location": other.url("/b")}))
        request = Request("", form={"apikey": "secret"}, headers={"Authorization": "Bearer secret"})
        fetch([at], where="test", request=request, limits=CALM)
        assert server.asked[0].headers["Authorization"] == "Bearer secret"
        assert "Authorization" not in other.asked[0].headers
        assert b"secret" not in other.asked[0].body


def test_no_secret_is_logged_or_told(server: FaultyServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    port = server.url().rsplit(":", 1)[1]
    server.say("/a", Fault(b"", status=500))
    request = Request(
        "", params={"apikey": "secret"}, form={"session": "secret"}, headers={"Authorization": "secret"}
    )
    for address in (f"http://user:secret@127.0.0.1:{port}/a?key=secret", server.url("/a#secret")):
        with pytest.raises(CatalogError) as caught:
            fetch([address], where="test", request=request, limits=CALM)
        assert "secret" not in str(caught.value)
    assert "secret" not in caplog.text and "HTTP 500" in caplog.text
    assert shown("https://u:p@h.example:8443/a/b?k=v#f") == "https://h.example:8443/a/b"


@pytest.mark.parametrize("value", ["1", "yes", "true"])
def test_the_switch_forbids_every_request(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("SCIASTRO_OFFLINE", value)
    at = server.say("/a", Fault(DOCUMENT))
    with pytest.raises(CatalogError, match=r"test: was not asked: .*SCIASTRO_OFFLINE.* embedded catalog"):
        fetch([at], where="test")
    with pytest.raises(requests.exceptions.ConnectionError, match="SCIASTRO_OFFLINE"):
        session().get(at)
    assert not server.asked
    monkeypatch.setenv("SCIASTRO_OFFLINE", "0")
    assert fetch([at], where="test").content == DOCUMENT


def test_a_name_server_that_hangs_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)
    over = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        over.wait(20)
        raise socket.gaierror("never")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    started = time.monotonic()
    with pytest.raises(CatalogError, match=r"slow\.example did not finish within"):
        fetch(["https://slow.example/x"], where="test", limits=QUICK)
    assert time.monotonic() - started < BUDGET
    over.set()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
def test_a_certificate_that_nobody_signed_is_refused(tmp_path: Path, server: FaultyServer) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    server.say("/a", Fault(DOCUMENT))
    with pytest.raises(CatalogError, match=r"certificate that is not trusted .* Log in to the network"):
        fetch([server.url("/a").replace("http:", "https:")], where="test", limits=QUICK)
    assert not server.asked


def test_other_packages_sessions_keep_to_the_bounds(server: FaultyServer) -> None:
    at = server.say("/a", Fault(DOCUMENT, headers={"X-Told": "yes"}))
    response = session(CALM).post(at, data={"QUERY": "x"})
    assert (response.status_code, response.content, response.headers["x-told"]) == (200, DOCUMENT, "yes")
    assert server.asked[0].form == {"QUERY": "x"}
    server.say("/a", Fault(b"no", status=404, type="text/plain"))
    assert session(CALM).get(at).status_code == 404
    for what in ("silent", "cut off, length told", "endless"):
        server.say("/a", broken_lines(DOCUMENT)[what])
        with pytest.raises(requests.exceptions.ConnectionError, match=r"127\.0\.0\.1"):
            session(QUICK).get(at)
    for address in ("http://example.com/x", "https://nowhere.invalid/"):
        with pytest.raises(requests.exceptions.ConnectionError):
            session(QUICK).get(address)
    server.say("/a", Fault(b"", status=302, headers={"Location": "http://example.com/login"}))
    with pytest.raises(requests.exceptions.ConnectionError, match="not encrypted"):
        session(QUICK).get(at)


def test_what_is_found_in_the_middle_of_a_body_is_judged_by_its_beginning(server: FaultyServer) -> None:
    for body, kind in (
        (b"\xef\xbb\xbf <?xml version='1.0'?>\n<!-- x --><VOTABLE/>", "votable"),
        (b"<ns0:VOTABLE xmlns:ns0='x'/>", "votable"),
        (b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC 'x'><html/>", "html"),
        (b"<!-- VOTABLE --><html><body/></html>", "html"),
        (b"<script>location='/login'</script>", "html"),
        (b"SIMPLE  =                    T", "fits"),
        (b'{"a": 1}', "json"),
        (b"  ", "empty"),
        (b"plain words", "other"),
    ):
        at = server.say("/a", Fault(body))
        try:
            got = fetch([at], where="test", kinds=frozenset({kind}), limits=CALM).kind  # type: ignore[arg-type]
        except CatalogError as error:
            assert kind == "empty" and "sends nothing" in str(error)
        else:
            assert got == kind


def test_trouble_and_good_answers_are_different_things() -> None:
    assert GOOD.status == 200 and Trouble("x").retry is False
