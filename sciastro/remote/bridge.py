"""A session of the `requests` package that sends through `wire`: other packages' HTTP within our bounds.

Reads prepared requests; writes `requests.Response` objects. No retries here: those packages post jobs.
"""

import io
import time
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import BaseAdapter
from requests.exceptions import ConnectionError as NoConnection

from sciastro.errors import CatalogError
from sciastro.remote.limits import Limits, refuse_offline
from sciastro.remote.trouble import Trouble, shown
from sciastro.remote.wire import Answer, Request, send, user_agent

__all__ = ["bridged_session"]

EVERY_STATE = frozenset(range(100, 600))


class _Body(io.BytesIO):
    """A body that is read already, with the way of reading that callers of `urllib3` expect."""

    def read(self, amt: int | None = -1, decode_content: bool | None = None, **_: Any) -> bytes:
        """Return up to `amt` bytes; they are decoded already."""
        return super().read(amt)


class _Adapter(BaseAdapter):
    """Sends what `requests` has prepared; the time-out of a call is bounded by `limits.total`."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        self.deadline = time.monotonic() + limits.total

    def send(  # type: ignore[override]
        self, request: Any, stream: bool = False, timeout: Any = None, **_: Any
    ) -> requests.Response:
        """Return the response; whatever fails is a `ConnectionError` with our words."""
        del stream, timeout  # bodies are read whole, within our own bounds
        try:
            refuse_offline(shown(request.url))
            body = request.body.encode() if isinstance(request.body, str) else request.body
            if body is not None and not isinstance(body, bytes):
                body = body.read()
            asked = Request(
                request.url,
                body=body,
                headers=dict(request.headers),
                method=request.method,
                allowed=EVERY_STATE,
                redirects=0,  # `requests` follows them itself, one by one, through here
            )
            answer = send(asked, limits=self.limits, seconds=self.deadline - time.monotonic())
        except Trouble as error:
            raise NoConnection(
                f"{shown(request.url)} {error.found}. {error.remedy}".strip(), request=request
            ) from error
        except CatalogError as error:
            raise NoConnection(str(error), request=request) from error
        return _response(answer, request)

    def close(self) -> None:
        """Do nothing: no connection is kept."""


def _response(answer: Answer, request: Any) -> requests.Response:
    response = requests.Response()
    response.status_code = answer.status
    response.headers.update({k: v for k, v in answer.headers.items() if k != "content-encoding"})
    response.url = answer.location
    response.request = request
    response.encoding = requests.utils.get_encoding_from_headers(response.headers)
    response.raw = _Body(answer.content)
    response._content = answer.content  # read whole already
    response._content_consumed = True
    return response


def bridged_session(limits: Limits) -> requests.Session:
    """Return a session that speaks only through `wire`; `limits.total` bounds all its requests together."""
    made = requests.Session()
    made.trust_env = False  # no passwords from .netrc
    for prefix in ("https://", "http://"):
        made.mount(prefix, _Adapter(limits))
    headers: Mapping[str, str] = {"User-Agent": user_agent()}
    made.headers.update(headers)
    return made
