"""TAP servers that go wrong: at once, and at every step of a job; no job outlives its budget."""

import time

import pytest
from canned import gaia
from faulty import Fault, FaultyServer, broken_lines, wrong_contents

from sciastro.remote.gaia import NEEDED, WELCOME
from sciastro.remote.limits import Limits
from sciastro.remote.tap import Query, ask_tap
from sciastro.remote.trouble import Trouble
from sciastro.remote.votable import ServerError, VOTable

QUICK = Limits(connect=5, read=0.5, total=2, attempts=2, pause=0.01, max_bytes=1_000_000)
CALM = Limits(connect=5, read=10, total=30, attempts=2, pause=0.01)
BUDGET = 20.0  # seconds
COLUMNS = ", ".join((*NEEDED, *WELCOME))
TEXT = "text/plain"


def ask(server: FaultyServer, *, job: bool = False, seconds: float = 2.0) -> VOTable:
    query = Query(f"SELECT TOP 100 {COLUMNS} FROM gaiadr3.gaia_source", 100, NEEDED, WELCOME, job)
    return ask_tap(server.url("/tap"), query, limits=CALM if job else QUICK, until=time.monotonic() + seconds)


def job(server: FaultyServer, *phases: str, result: Fault | None = None) -> None:
    """Script a job that goes through these phases."""
    server.say("/tap/async", Fault(b"", status=303, headers={"Location": server.url("/tap/async/j1")}))
    server.say("/tap/async/j1", Fault(b"", status=303, headers={"Location": server.url("/tap/async")}))
    server.say(
        "/tap/async/j1/phase", Fault(b"", status=303), *(Fault(one.encode(), type=TEXT) for one in phases)
    )
    server.say("/tap/async/j1/results/result", result or Fault(gaia(5)))
    server.say("/tap/async/j1/error", Fault(wrong_contents(gaia(5))["an error, HTTP 200"].body))


def deleted(server: FaultyServer) -> bool:
    return any(one.method == "DELETE" and one.path == "/tap/async/j1" for one in server.asked)


def test_an_answer_at_once(server: FaultyServer) -> None:
    server.say("/tap/sync", Fault(gaia(5)))
    got = ask(server, seconds=20)
    assert len(got.table) == 5 and not got.overflow
    assert got.table["source_id"][4] == 3017264300000000004  # all 19 digits
    assert server.asked[0].form["MAXREC"] == "100"


def test_a_cut_answer_says_so(server: FaultyServer) -> None:
    server.say("/tap/sync", Fault(gaia(5, status="OVERFLOW")))
    assert ask(server).overflow


@pytest.mark.parametrize("what", [*wrong_contents(gaia(5)), *broken_lines(gaia(5))])
def test_no_bad_answer_becomes_a_table(server: FaultyServer, what: str) -> None:
    server.say("/tap/sync", (wrong_contents(gaia(5)) | broken_lines(gaia(5)))[what])
    started = time.monotonic()
    with pytest.raises(Trouble) as caught:
        ask(server, seconds=1.0)
    assert time.monotonic() - started < BUDGET
    assert caught.value.found


def test_a_refused_query_is_told_in_the_servers_words(server: FaultyServer) -> None:
    for what in ("an error, HTTP 200", "an error, HTTP 400"):
        server.say("/tap/sync", wrong_contents(gaia(5))[what])
        with pytest.raises(ServerError, match='unknown column "nonsense"'):
            ask(server)


def test_a_job_runs_is_fetched_and_deleted(server: FaultyServer) -> None:
    job(server, "QUEUED", "EXECUTING", "COMPLETED")
    assert len(ask(server, job=True, seconds=10).table) == 5
    assert deleted(server)
    asked = [(one.method, one.path.removeprefix("/tap/async")) for one in server.asked]
    assert asked[:2] == [("POST", ""), ("POST", "/j1/phase")]


@pytest.mark.parametrize("phase", ["PENDING", "QUEUED", "EXECUTING", "HELD"])
def test_a_job_that_never_ends_is_given_up_and_deleted(server: FaultyServer, phase: str) -> None:
    job(server, phase)
    started = time.monotonic()
    with pytest.raises(Trouble, match=phase):
        ask(server, job=True, seconds=1.5)
    assert time.monotonic() - started < BUDGET
    assert deleted(server)
    assert any(one.form.get("PHASE") == "ABORT" for one in server.asked)


def test_a_job_that_fails_tells_why(server: FaultyServer) -> None:
    job(server, "EXECUTING", "ERROR")
    with pytest.raises(ServerError, match="unknown column"):
        ask(server, job=True, seconds=10)
    assert deleted(server)


@pytest.mark.parametrize(
    "what", ["cut off, length told", "login page", "other units", "an error, HTTP 200", "500"]
)
def test_a_bad_result_of_a_job_is_no_table(server: FaultyServer, what: str) -> None:
    job(server, "COMPLETED", result=(wrong_contents(gaia(5)) | broken_lines(gaia(5)))[what])
    with pytest.raises(Trouble):
        ask(server, job=True, seconds=10)
    assert deleted(server)


@pytest.mark.parametrize(
    "where", ["http://evil.example/steal/j1", "/tap/async/j1", "https://evil.example/j1?x=y"]
)
def test_a_job_is_looked_for_where_it_was_made(server: FaultyServer, where: str) -> None:
    job(server, "COMPLETED")
    server.say("/tap/async", Fault(b"", status=303, headers={"Location": where}))
    assert len(ask(server, job=True, seconds=10).table) == 5


@pytest.mark.parametrize(
    "answer",
    [Fault(b"", status=303), Fault(b"", status=303, headers={"Location": "/tap/async/.."}), Fault(gaia(1)),
     Fault(b"no", status=500, type=TEXT), Fault(hangup=True)],
)  # fmt: skip
def test_a_job_that_is_not_made_is_trouble(server: FaultyServer, answer: Fault) -> None:
    server.say("/tap/async", answer)
    with pytest.raises(Trouble):
        ask(server, job=True)


def test_nonsense_instead_of_a_phase_is_trouble(server: FaultyServer) -> None:
    job(server, "<html>login</html>")
    with pytest.raises(Trouble, match="nothing sensible"):
        ask(server, job=True)
