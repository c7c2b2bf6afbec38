"""Ask a TAP server: ADQL in, one checked table out, at once or as a job that never outlives its budget.

Reads the address of a server and ADQL; writes a `VOTable`.
Method: IVOA TAP 1.1 with UWS jobs over `wire.send`. A job is created, started, watched, fetched and deleted;
one that stays PENDING, or is not done in time, is aborted and deleted. Nothing here knows any catalog.
"""

import contextlib
import logging
import re
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from sciastro.remote.limits import Limits
from sciastro.remote.trouble import Trouble, excerpt, shown
from sciastro.remote.votable import Columns, ServerError, VOTable, read_votable
from sciastro.remote.wire import LOGIN, Answer, Request, send, title_of

__all__ = ["Query", "ask_tap", "columns_of"]

log = logging.getLogger(__name__)

PENDING = 20.0  # seconds that a started job may stay PENDING
FIRST, SLOWEST = 0.2, 5.0  # pauses between looks at a job [s]
FAREWELL = 5.0  # seconds for aborting and deleting a job
EXPLAINED = frozenset({400, 403, 404, 500, 503})  # HTTP states whose bodies say why
JOB = re.compile(r"[A-Za-z0-9._~:-]{1,200}")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\"/+-]*")
PHASES = frozenset(
    {
        "PENDING",
        "QUEUED",
        "EXECUTING",
        "COMPLETED",
        "ERROR",
        "ABORTED",
        "HELD",
        "SUSPENDED",
        "ARCHIVED",
        "UNKNOWN",
    }
)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of a TAP server.

    Attributes
    ----------
    adql
        The query, with its own TOP and a list of columns.
    rows
        Most rows that are wanted (sent as MAXREC too, so that no default of the server counts).
    needed, welcome
        Columns of the answer and their units, as in `read_votable`.
    job
        Run as a job, rather than within one request.
    """

    adql: str
    rows: int
    needed: Columns
    welcome: Columns
    job: bool = False

    @property
    def form(self) -> dict[str, str]:
        """The parameters of TAP."""
        return {
            "REQUEST": "doQuery", "LANG": "ADQL", "FORMAT": "votable", "MAXREC": str(self.rows),
            "QUERY": self.adql,
        }  # fmt: skip


def ask_tap(server: str, query: Query, *, limits: Limits, until: float) -> VOTable:
    """Return the answer of one server.

    Parameters
    ----------
    server
        Address of the TAP service, without ``/sync``.
    query
        What is asked.
    limits
        Bounds of one request.
    until
        `time.monotonic` by which everything must be done.

    Raises
    ------
    ServerError
        If the server refuses the query, with its words.
    Trouble
        If it does not answer, answers something else, or not in time.
    """
    base = server.rstrip("/")
    if not query.job:
        answer = _send(Request(f"{base}/sync", form=query.form, allowed=EXPLAINED), limits, until)
        return _table(answer, query)
    return _as_job(base, query, limits, until)


def columns_of(server: str, table: str, *, limits: Limits, until: float) -> frozenset[str]:
    """Return the names (lower case) of a table's columns, as the server's own schema lists them.

    Raises
    ------
    Trouble
        If the server does not say.
    """
    if not NAME.fullmatch(table) or "'" in table:
        raise ValueError(table)
    names = f"'{table}', '{table.rpartition('.')[2]}'"
    query = Query(
        f"SELECT column_name FROM tap_schema.columns WHERE table_name IN ({names})",
        5000, {"column_name": "*"}, {},
    )  # fmt: skip
    found = ask_tap(server, query, limits=limits, until=until).table["column_name"]
    return frozenset(
        (x.decode("ascii", "replace") if isinstance(x, bytes) else str(x)).strip('"').lower() for x in found
    )


def _send(request: Request, limits: Limits, until: float) -> Answer:
    return send(request, limits=limits, seconds=until - time.monotonic())


def _table(answer: Answer, query: Query) -> VOTable:
    """Return the table of an answer; errors come as VOTables too, with any HTTP state."""
    if answer.kind != "votable":
        raise _strange(answer)
    table = read_votable(answer.content, query.needed, query.welcome)
    if answer.status >= 400:
        raise Trouble(f"answers with HTTP {answer.status} and a table", retry=answer.status >= 500)
    return table


def _strange(answer: Answer) -> Trouble:
    state = f" with HTTP {answer.status}" if answer.status >= 400 else ""
    retry = answer.status in {500, 503}
    if answer.kind == "html":
        title = title_of(answer.content)
        return Trouble(
            f"sends a web page{f' titled {title!r}' if title else ''}{state} instead of a table",
            remedy=LOGIN, retry=retry,
        )  # fmt: skip
    if answer.kind == "empty":
        return Trouble(f"sends nothing{state}", retry=True)
    words = excerpt(re.sub(r"<[^>]*>", " ", answer.content[:20_000].decode("utf-8", "replace")))
    return Trouble(f"sends no VOTable{state} ({words})", retry=retry)


def _as_job(base: str, query: Query, limits: Limits, until: float) -> VOTable:
    request = Request(f"{base}/async", form=query.form, allowed=EXPLAINED | {303}, redirects=0)
    created = _send(request, limits, until)
    job = f"{base}/async/{_job_name(created)}"
    done = False
    try:
        _post(job, {"PHASE": "RUN"}, limits, until)
        phase = _watched(job, limits, until)
        if phase == "COMPLETED":
            done = True
            return _table(_send(Request(f"{job}/results/result", allowed=EXPLAINED), limits, until), query)
        if phase == "ERROR":
            done = True
            raise _refused(job, query, limits, until)
        raise Trouble(f"ended the job in the phase {phase}", retry=True)
    finally:
        _farewell(job, limits, abort=not done)


def _job_name(created: Answer) -> str:
    """Return the last part of the job's address; the rest of it is ours, whatever host the server names."""
    location = created.headers.get("location", "")
    if created.status != 303 or not location:
        raise ServerError(_strange(created).found) if created.status == 400 else _strange(created)
    name = urlsplit(location).path.rstrip("/").rpartition("/")[2]
    if not JOB.fullmatch(name) or set(name) <= {"."}:
        raise Trouble(f"names a job that cannot be asked for ('{excerpt(name)}')")
    return name


def _post(job: str, form: dict[str, str], limits: Limits, until: float) -> None:
    _send(Request(f"{job}/phase", form=form, allowed=frozenset({303}), redirects=0), limits, until)


def _watched(job: str, limits: Limits, until: float) -> str:
    """Return the phase in which a job ended."""
    started = time.monotonic()
    pause, again = FIRST, False
    while True:
        phase = _phase(job, limits, until)
        if phase in {"COMPLETED", "ERROR", "ABORTED", "ARCHIVED"}:
            return phase
        now = time.monotonic()
        if phase in {"PENDING", "HELD"} and now - started > min(PENDING, (until - started) / 2):
            raise Trouble(f"left the job {phase} for {now - started:.0f} s, so it was given up")
        if phase == "PENDING" and not again and now - started > 1:  # the order to run may have been lost
            again = True
            _post(job, {"PHASE": "RUN"}, limits, until)
        if now + pause >= until:
            raise Trouble(
                f"did not finish the job within {now - started:.0f} s ({phase}), so it was given up"
            )
        time.sleep(pause)
        pause = min(pause * 1.5, SLOWEST)


def _phase(job: str, limits: Limits, until: float) -> str:
    answer = _send(Request(f"{job}/phase"), limits, until)
    phase = answer.content[:40].decode("ascii", "replace").strip().upper()
    if phase not in PHASES:
        raise Trouble(f"says nothing sensible about the job ('{excerpt(phase)}')", retry=True)
    return phase


def _refused(job: str, query: Query, limits: Limits, until: float) -> Trouble:
    """Return what the server says about a job that failed."""
    answer = _send(Request(f"{job}/error", allowed=EXPLAINED), limits, until)
    try:
        _table(answer, query)
    except ServerError as error:
        return error
    except Trouble:
        words = excerpt(re.sub(r"<[^>]*>", " ", answer.content[:20_000].decode("utf-8", "replace")))
        return ServerError(f"refuses: {words or 'it gives no reason'}")
    return Trouble("says that the job failed, and not why")


def _farewell(job: str, limits: Limits, *, abort: bool) -> None:
    """Abort and delete a job; whoever waits for the answer does not hear of it if that fails."""
    until = time.monotonic() + FAREWELL
    seen = frozenset({303, 404})
    if abort:
        with contextlib.suppress(Trouble):
            _post(job, {"PHASE": "ABORT"}, limits, until)
    for method, form in (("DELETE", None), (None, {"ACTION": "DELETE"})):
        try:
            _send(Request(job, form=form, method=method, allowed=seen, redirects=0), limits, until)
        except Trouble as trouble:
            log.info("%s: the job was not deleted: %s", shown(job), trouble.found)
            continue
        return
