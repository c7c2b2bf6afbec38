"""Tasks on a dask.distributed cluster: what `core.lift.run_tasks` uses when a run has a scheduler's address.

A task function is sent once per call and revived once per process; an item travels with each task, so items
should be small. Tasks must be pure or write the same bytes each time: a task whose worker died runs again on
another. The number of tasks in flight is bounded, so that neither the client nor the scheduler gathers
results without end. The file system is shared: client and workers see the same paths.
"""

import functools
import itertools
import logging
import pickle
import platform
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from typing import Any, TypeVar
from urllib.parse import urlsplit

from threadpoolctl import threadpool_limits

from sciastro.core.history import package_version
from sciastro.errors import ClusterError

__all__ = ["Cluster", "connect"]

T = TypeVar("T")
R = TypeVar("R")

log = logging.getLogger(__name__)

AHEAD = 2  # tasks in flight per thread of a worker: one runs, one waits
LOOK = 2.0  # seconds between looks at the workers while nothing finishes
PATIENCE = 300.0  # seconds that a run waits for a worker, at the start or when all are gone
ANSWER = 5.0  # seconds that a scheduler has to answer
SCHEMES = ("tcp", "tls", "ws", "wss", "ucx", "inproc")
ENCRYPTED = ("tls", "wss")
KEPT = 2  # functions that a worker process keeps revived
START = "Start one with `dask scheduler`, and workers with `dask worker ADDRESS`."


def connect(address: str, *, patience: float = PATIENCE) -> "Cluster":
    """Return the cluster behind a scheduler, with at least one worker.

    Parameters
    ----------
    address
        Such as "tcp://host:8786", or "tls://host:8786" with the certificates of the user's dask settings.
    patience
        Longest wait for a worker [s].

    Raises
    ------
    ClusterError
        If `distributed` is not installed, nobody answers, or no worker joins.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterError(
            "needs dask.distributed, which is not installed.",
            where="--scheduler",
            remedy='Install it: pip install "sciastro[distributed]".',
        ) from error
    _knock(address)
    try:
        client = Client(address, set_as_default=False, timeout=ANSWER)
    except (OSError, TimeoutError, ValueError, TypeError, EOFError, MemoryError) as error:
        raise _no_scheduler(address, error) from error
    return Cluster(client, address, patience)


def _no_scheduler(address: str, error: BaseException) -> ClusterError:
    """Return what is told of an address where something listens that is no scheduler for us."""
    if urlsplit(address).scheme in ENCRYPTED:
        return ClusterError(
            f"answers, but no encrypted connection comes about ({_first_line(error)}).",
            where=f"scheduler {address}",
            remedy="Name the certificates in your dask settings, as for the scheduler: "
            "distributed.comm.tls.ca-file, .client.cert and .client.key.",
        )
    return ClusterError(
        f"answers, but not as a dask scheduler does ({_first_line(error)}).",
        where=f"scheduler {address}",
        remedy=f"Give the address that `dask scheduler` prints. {START}",
    )


def _knock(address: str) -> None:
    """Raise soon where no scheduler listens at `address`, instead of waiting for one to come.

    A scheduler speaks first; some other service that waits for a word would keep the client waiting too.
    """
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme not in SCHEMES:
        raise ClusterError(
            f"does not answer: {parts.scheme} is no way to a dask scheduler.",
            where=f"scheduler {address}",
            remedy=f"Give the address that it prints, such as tcp://host:8786. {START}",
        )
    if parts.scheme not in ("tcp", "tls") or parts.hostname is None or parts.port is None:
        return
    try:
        with socket.create_connection((parts.hostname, parts.port), timeout=ANSWER) as line:
            silent = parts.scheme == "tcp" and not line.recv(1)
    except OSError as error:
        raise ClusterError(
            f"does not answer ({error.strerror or f'nothing within {ANSWER:g} s'}).",
            where=f"scheduler {address}",
            remedy=f"Check host and port. {START}",
        ) from error
    if silent:
        raise ClusterError("hangs up.", where=f"scheduler {address}", remedy=f"Check host and port. {START}")


class Cluster:
    """A connection to a scheduler.

    Parameters
    ----------
    client
        Of dask.distributed; this object closes it.
    address
        For messages.
    patience
        Longest time without any worker [s].
    """

    def __init__(self, client: Any, address: str, patience: float = PATIENCE) -> None:
        self._client, self._address, self._patience = client, address, patience
        try:
            client.wait_for_workers(1, timeout=patience)
        except TimeoutError as error:
            self.close()
            raise self._no_workers() from error

    def close(self) -> None:
        """Leave the cluster; its workers go on for others."""
        self._client.close()

    @property
    def threads(self) -> int:
        """Threads of all workers together, now."""
        return max(int(sum(self._client.nthreads().values())), 1)

    @property
    def threads_per_process(self) -> int:
        """Threads of the worker that has most; they share the memory of one process."""
        return int(max(self._client.nthreads().values(), default=1))

    def run(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        done: Callable[[T, R], None] | None = None,
        *,
        gather: bool = True,
    ) -> list[R]:
        """Run ``function(item)`` for every item; see `core.lift.run_tasks`.

        Raises
        ------
        ClusterError
            If a task took its workers down more often than the scheduler allows, all workers are gone for too
            long, the scheduler is lost, or a worker has another version of sciastro.
        """
        token = uuid.uuid4().hex
        state = pickle.dumps((versions(), function))
        shared = self._client.submit(_carried, state, key=f"sciastro-state-{token}", pure=False)
        waiting: dict[Any, tuple[int, T]] = {}
        results: dict[int, R] = {}
        source = enumerate(items)
        try:
            while True:
                room = AHEAD * self.threads - len(waiting)
                for number, item in itertools.islice(source, max(room, 0)):
                    future = self._client.submit(
                        _call, shared, token, item, key=f"sciastro-{token}-{number}", pure=False
                    )
                    waiting[future] = (number, item)
                if not waiting:
                    break
                for future in self._finished(list(waiting)):
                    number, item = waiting[future]
                    result = self._result(future)
                    del waiting[future]
                    future.release()
                    if done is not None:
                        done(item, result)
                    if gather:
                        results[number] = result
        finally:  # also for an interrupt: nothing of this call goes on
            self._drop([*waiting, shared], token)
        return [results[number] for number in sorted(results)]

    def _finished(self, futures: list[Any]) -> list[Any]:
        """Return the futures that have ended, at least one."""
        from distributed import wait

        without = time.monotonic()
        while True:
            try:
                with self._client.as_current():
                    return list(wait(futures, timeout=LOOK, return_when="FIRST_COMPLETED").done)
            except TimeoutError:
                if self._client.status != "running":
                    raise self._lost() from None
                if self._client.nthreads():
                    without = time.monotonic()
                elif time.monotonic() - without > self._patience:
                    raise self._no_workers() from None
            except CancelledError as error:
                raise self._lost() from error

    def _result(self, future: Any) -> Any:
        from distributed import KilledWorker

        try:
            return future.result()
        except KilledWorker as error:
            raise ClusterError(
                f"lost every worker that took one of its tasks, the last one {error.last_worker.address}.",
                where=f"scheduler {self._address}",
                remedy="Workers that run out of memory are killed: give them more, or lower --memory; their "
                "logs tell. Then run the same command with --resume.",
            ) from error
        except ImportError as error:
            raise ClusterError(
                f"has a worker that cannot run sciastro ({_first_line(error)}).",
                where=f"scheduler {self._address}",
                remedy=f"Install sciastro {package_version()} for every worker.",
            ) from error
        except CancelledError as error:
            raise self._lost() from error

    def _drop(self, futures: list[Any], token: str) -> None:
        if self._client.status != "running":
            return
        self._client.cancel(futures, force=True)
        for future in futures:
            future.release()
        self._client.run(_forget, token, on_error="ignore")

    def _lost(self) -> ClusterError:
        return ClusterError(
            "is lost: the connection broke, or somebody stopped it.",
            where=f"scheduler {self._address}",
            remedy="Start it again, then run the same command with --resume.",
        )

    def _no_workers(self) -> ClusterError:
        return ClusterError(
            f"has had no worker for {self._patience:.0f} s.",
            where=f"scheduler {self._address}",
            remedy=f"Start workers: `dask worker {self._address}`. Then run the same command with --resume.",
        )


def versions() -> tuple[str, str]:
    """Return the versions that client and workers must share: of sciastro, and of Python (3.x)."""
    return package_version(), ".".join(platform.python_version_tuple()[:2])


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


# ------------------------------------------------------------------------------------- in the workers
def _carried(state: bytes) -> bytes:
    """Hold a function's bytes on the cluster; a lost copy is made again from the task itself."""
    return state


def _call(state: bytes, token: str, item: Any) -> Any:
    with _REVIVING:
        function = _revived(token, state)
    return function(item)


_REVIVING = threading.Lock()


@functools.lru_cache(maxsize=KEPT)
def _revived(token: str, state: bytes) -> Callable[[Any], Any]:
    """Return the function of one `Cluster.run`, made once per process."""
    _one_thread()
    where, remedy = f"worker on {platform.node()}", "Install the same versions for client and workers."
    try:
        # From the scheduler that the user named, as the code itself is.
        wanted, function = pickle.loads(state)  # noqa: S301
    except (ImportError, AttributeError) as error:  # what the client sends does not exist here
        raise ClusterError(
            f"cannot run what the client sends ({_first_line(error)}).", where=where, remedy=remedy
        ) from error
    if wanted != versions():
        mine = versions()
        raise ClusterError(
            f"runs sciastro {mine[0]} on Python {mine[1]}, and the client {wanted[0]} on Python {wanted[1]}.",
            where=where,
            remedy=remedy,
        )
    log.debug("revived %s", token)
    return function  # type: ignore[no-any-return]


@functools.cache
def _one_thread() -> threadpool_limits:
    """Keep linear algebra to one thread in this process, as `core.lift.one_owner` does for a local run."""
    import scipy.linalg  # noqa: F401 - only a library that is loaded can be kept from it

    return threadpool_limits(limits=1)


def _forget(token: str) -> None:
    """Drop what this process has revived; the next task revives what it needs."""
    log.debug("forget %s", token)
    with _REVIVING:
        _revived.cache_clear()
