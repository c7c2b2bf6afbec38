"""Ask nova.astrometry.net where a star list lies: HTTPS only, private, bounded in time, taken up again later.

Reads a `PlateQuery` (positions only: no pixel of the image leaves this computer) and the user's key; writes
the WCS that the service found. The package `astrometry-net-client` speaks the service's language; its HTTP
goes through `bridge`, since on its own it talks plain HTTP, waits for ever, and logs the key it sends.
"""

import json
import logging
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from sciastro.core.platequery import PlateQuery
from sciastro.core.wcs import celestial_from_header
from sciastro.errors import SolveError
from sciastro.remote.limits import OFF, Limits, offline
from sciastro.remote.trouble import excerpt, shown
from sciastro.remote.wire import LOGIN, LOOPBACK, title_of

if TYPE_CHECKING:
    import requests
    from astropy.wcs import WCS

__all__ = ["KEY_NAME", "NOVA", "Memory", "ask_nova"]

log = logging.getLogger(__name__)
T = TypeVar("T")

NOVA = "https://nova.astrometry.net"
KEY_NAME = "ASTROMETRY_NET_API_KEY"
WHERE = "nova.astrometry.net"
MOST_STARS = 500  # the brightest, that are sent
FIRST, SLOWEST = 2.0, 10.0  # pauses between looks at a job [s]
OLDEST = 7 * 86400.0  # seconds after which a submission is not taken up again
LARGEST = 20_000_000  # bytes of an answer
LATER = "Try again later; the same command takes the job up again. Or use --engine sciastro, which is local."
PRIVATE = {"publicly_visible": "n", "allow_modifications": "n", "allow_commercial_use": "n"}


class Memory(Protocol):
    """Keeps small notes between runs."""

    def recall(self, name: str) -> dict[str, Any] | None:
        """Return what was kept under `name`, None where nothing was."""

    def keep(self, name: str, note: dict[str, Any]) -> None:
        """Keep `note` in place of an older one."""

    def forget(self, name: str) -> None:
        """Forget it."""


def ask_nova(
    query: PlateQuery, *, key: str | None, until: float, memory: Memory | None = None, url: str = NOVA
) -> "WCS":
    """Return the WCS that the service finds for a star list.

    Parameters
    ----------
    query
        Stars and bounds. Their positions, the shape, and the bounds are all that is sent; the submission is
        private, and neither its change nor its commercial use is allowed.
    key
        The user's API key; sent to `url` alone, encrypted. A server on this machine is never told it.
    until
        `time.monotonic` at which to give up.
    memory
        Where the number of the submission is kept, so that a later call takes the same job up.
    url
        The service: https://, or http://127.0.0.1 for one of one's own.

    Raises
    ------
    SolveError
        If there is no key, no network, no sensible answer, no solution, or no time left. The message never
        holds the key.
    """
    if offline():
        raise SolveError(
            OFF,
            where=WHERE,
            remedy="Switch it on, or use another --engine.",
        )
    own = urlsplit(url).hostname in LOOPBACK
    if not key and not own:
        raise SolveError(
            "needs an API key, and there is none.",
            where=WHERE,
            remedy=f"Get one at {NOVA}/api_help and put it into the environment as {KEY_NAME}, or into the "
            "configuration file as key under [nova].",
        )
    link = _Link(url.rstrip("/"), "local" if own else str(key), until)
    name = f"nova-{query.digest()}"
    try:
        job = _earlier(link, memory, name)
        if job is None:
            submission = link.upload(query)
            if memory is not None:
                memory.keep(name, {"submission": submission, "time": time.time(), "url": link.base})
            job = _job(link, submission)
        _wait(link, f"job {job}", lambda: _done(link, job))
        wcs = _wait(link, f"the WCS of job {job}", lambda: link.wcs(job))
    except _Failed as error:  # a final answer; what is asked again is a new job
        if memory is not None:
            memory.forget(name)
        raise SolveError(error.found, where=WHERE, remedy=error.remedy) from error
    if memory is not None:
        memory.forget(name)
    return wcs


class _Failed(SolveError):
    """The service has given its last word on a submission."""


def _earlier(link: "_Link", memory: Memory | None, name: str) -> int | None:
    """Return the job of an earlier call for the same stars, None where there is none that still counts."""
    note = memory.recall(name) if memory is not None else None
    if note is None or note.get("url") != link.base or not isinstance(note.get("submission"), int):
        return None
    made = note.get("time")
    if not isinstance(made, int | float) or not 0 <= time.time() - made < OLDEST:
        return None
    log.info("%s: submission %d is taken up again", WHERE, note["submission"])
    try:
        return _job(link, note["submission"])
    except _Gone:
        return None


def _job(link: "_Link", submission: int) -> int:
    """Wait until a submission has a job, and return it."""
    return _wait(link, f"submission {submission}", lambda: _job_of(link, submission))


def _wait(link: "_Link", what: str, look: Callable[[], T | None]) -> T:
    """Return what `look` finds, which is asked ever less often."""
    pause = FIRST
    while True:
        try:
            found = look()
        except _Passing as error:
            if time.monotonic() + pause > link.until:
                raise
            log.info("%s", error)
            found = None  # it may be there the next time
        if found is not None:
            return found
        left = link.until - time.monotonic()
        if left <= 0:
            raise SolveError(f"is still at work on {what}, and the time is over.", where=WHERE, remedy=LATER)
        time.sleep(min(pause, left))
        pause = min(1.5 * pause, SLOWEST)


def _job_of(link: "_Link", submission: int) -> int | None:
    """Return the job of a submission, None before there is one."""
    told = link.told(f"/api/submissions/{submission}")
    words = told.get("error_message")
    if words:
        raise _Failed(f"cannot use the star list ({link.clean(words)}).", remedy="Use another --engine.")
    jobs = told.get("jobs")
    if not isinstance(jobs, list):
        raise link.nonsense(f"submission {submission}")
    return next((one for one in jobs if isinstance(one, int)), None)


def _done(link: "_Link", job: int) -> int | None:
    state = link.told(f"/api/jobs/{job}").get("status")
    if state == "success":
        return job
    if state == "failure":
        raise _Failed(
            f"did not solve it (job {job}).",
            remedy="Give a rough center and scale (--ra, --dec, --scale), or a longer exposure.",
        )
    return None


class _Passing(SolveError):
    """May be over the next time."""


class _Gone(SolveError):
    """Is not there (any more)."""


class _Quiet(logging.Filter):
    """Drops what the client logs of its requests: they hold the key."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record may be logged."""
        return record.levelno > logging.DEBUG


class _Link:
    """The client, its HTTP within our bounds."""

    def __init__(self, base: str, key: str, until: float) -> None:
        from astrometry_net_client import request as client_request
        from astrometry_net_client.session import Session

        from sciastro.remote.bridge import bridged_session

        logger = client_request.log
        if not any(isinstance(one, _Quiet) for one in logger.filters):
            logger.addFilter(_Quiet())
        self.base, self.until, self.key = base, until, key
        left = min(max(until - time.monotonic(), 0.02), 86_000.0)
        wait = min(20.0, left)
        self.http = bridged_session(Limits(connect=wait, read=wait, total=left, max_bytes=LARGEST))
        self.session = Session(api_key=key)
        self.session.login = self._login

    def upload(self, query: PlateQuery) -> int:
        """Send a star list; return the number of its submission."""
        from astrometry_net_client.uploads import SourcesUpload

        few = query.brightest(MOST_STARS)
        stars = {axis: [round(float(v) + 1.0, 3) for v in getattr(few, axis)] for axis in ("x", "y")}
        url = f"{self.base}/api/upload"
        told = self._made(SourcesUpload(self.session, url=url, data=stars, settings=_settings(few)))
        number = told.get("subid")
        if not isinstance(number, int):
            raise self.nonsense("the upload")
        return number

    def _login(self, force: bool = False) -> None:
        """Log in, in place of the client's own way, which sends the key unencrypted."""
        from astrometry_net_client.request import PostRequest

        if self.session.logged_in and not force:
            return
        told = self._made(PostRequest(f"{self.base}/api/login", data={"apikey": self.session.api_key}))
        if not isinstance(told.get("session"), str):
            raise self.nonsense("the login")
        self.session.key, self.session.logged_in = told["session"], True

    def told(self, path: str) -> dict[str, Any]:
        """Return the JSON that an address answers with."""
        from astrometry_net_client.request import Request

        return self._made(Request(f"{self.base}{path}"))

    def wcs(self, job: int) -> "WCS":
        """Return the WCS of a job that is done."""
        answer = self._sent("get", f"{self.base}/wcs_file/{job}", file=True)
        wcs = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AstropyWarning)
                if answer.content.startswith(b"SIMPLE"):
                    wcs = celestial_from_header(fits.Header.fromstring(answer.content.decode("ascii")))
        except (ValueError, OSError, fits.VerifyError) as error:
            raise self.nonsense(f"the WCS of job {job}") from error
        if wcs is None:
            raise self.nonsense(f"the WCS of job {job}")
        return wcs

    def _made(self, request: Any) -> dict[str, Any]:
        """Return what one request of the client tells."""
        from astrometry_net_client import exceptions

        request.method = lambda url, data=None, **_: self._sent("post" if data else "get", url, data)
        try:
            told = request.make()
        except (exceptions.InvalidSessionError, exceptions.NoSessionError):
            raise SolveError("does not keep its own sessions.", where=WHERE, remedy=LATER) from None
        except exceptions.InvalidRequest as error:
            words = self.clean(str(error))
            if "apikey" in words.lower() or "authenticated" in words.lower():
                raise SolveError(
                    "does not accept the API key; it is wrong, or was withdrawn.",
                    where=WHERE,
                    remedy=f"Compare {KEY_NAME} (or the configuration file) with {NOVA}/api_help.",
                ) from None
            raise SolveError(f"refuses: {words}.", where=WHERE, remedy="Use another --engine.") from None
        except exceptions.RequestException:
            raise self.nonsense(shown(request.url)) from None
        if not isinstance(told, dict):
            raise self.nonsense(shown(request.url))
        return told

    def _sent(self, method: str, url: str, data: Any = None, *, file: bool = False) -> "requests.Response":
        """Return an answer that is what it should be: JSON, or any `file`."""
        import requests

        try:
            answer = self.http.request(method, url, data=data, allow_redirects=False)
        except requests.exceptions.RequestException as error:
            raise _Passing(self.clean(str(error)).rstrip(".") + ".", where=WHERE, remedy=LATER) from None
        state, head = answer.status_code, answer.content[:80].lstrip()
        if state >= 500 or state == 429:
            raise _Passing(f"answers with HTTP {state}.", where=WHERE, remedy=LATER)
        if state == 404:
            raise _Gone(f"does not know {shown(url)}.", where=WHERE, remedy=LATER)
        if answer.is_redirect or head[:1] == b"<":
            title = title_of(answer.content)
            page = f"a web page ({title!r})" if title else "a web page"
            raise SolveError(f"answers with {page}, HTTP {state}.", where=WHERE, remedy=LOGIN)
        if state != 200:
            raise SolveError(f"answers with HTTP {state}.", where=WHERE, remedy=LATER)
        if file:
            return answer
        try:
            told = json.loads(answer.content)
        except (ValueError, RecursionError) as error:
            raise self.nonsense(shown(url)) from error
        failed = isinstance(told, dict) and told.get("status") == "error"
        if not isinstance(told, dict) or (failed and not isinstance(told.get("errormessage"), str)):
            raise self.nonsense(shown(url))
        answer.headers["Content-Type"] = "text/plain"  # what the client takes for JSON
        return answer

    def clean(self, words: object) -> str:
        """Return a server's words without our secrets."""
        text = str(words)
        for secret in (self.key, getattr(self.session, "key", None)):
            if secret:
                text = text.replace(secret, "***")
        return excerpt(text)

    def nonsense(self, what: str) -> SolveError:
        """Return the error for an answer that cannot be understood."""
        return SolveError(f"answers something else than {what} should.", where=WHERE, remedy=LATER)


def _settings(query: PlateQuery) -> Any:
    """Return the settings of an upload, checked by the client."""
    from astrometry_net_client import Settings

    low, high = query.bounds
    settings = Settings(
        **PRIVATE, image_width=query.shape[1], image_height=query.shape[0], crpix_center=True,
        tweak_order=2, parity=2,
    )  # fmt: skip
    settings.set_scale_range(float(low), float(high), "arcsecperpix")
    if query.ra is not None and query.dec is not None:
        settings.update(
            {"center_ra": float(query.ra), "center_dec": float(query.dec), "radius": query.radius or 5.0}
        )
    return settings
