"""The same run in the workers of a dask.distributed cluster: same bytes, whatever happens to a worker."""

import os
import pickle
import signal
import socket
import threading
import time

import pytest
from small_nights import reduce, science

from sciastro.core.cluster import Cluster, connect
from sciastro.core.lift import run_tasks
from sciastro.errors import ClusterError, FileError, SciastroError

distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def workers():
    """Three worker processes with a thread each, behind a scheduler with an address."""
    with distributed.LocalCluster(
        n_workers=3, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=0
    ) as cluster:
        yield cluster


@pytest.fixture
def address(workers):
    return workers.scheduler_address


@pytest.fixture
def cluster(address):
    one = connect(address)
    yield one
    one.close()


def pids(cluster):
    return list(cluster._client.run(os.getpid).values())


def left_over(cluster):
    """Return the number of tasks that the scheduler still knows, a moment later."""

    def count(dask_scheduler):
        return len(dask_scheduler.tasks)

    for _ in range(50):
        if not cluster._client.run_on_scheduler(count):
            return 0
        time.sleep(0.1)
    return cluster._client.run_on_scheduler(count)


class Square:
    def __call__(self, item):
        if item == "bad":
            raise FileError("is bad.", where="item", remedy="Take it out.")
        return item * item


class Deadly:
    """Kills its process the first time, or each time."""

    def __init__(self, mark, always=False):
        self.mark, self.always = mark, always

    def __call__(self, item):
        if item == 3 and (self.always or not self.mark.exists()):
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item + 1


class Sleep:
    def __call__(self, item):
        time.sleep(item)


def test_results_come_in_the_order_of_the_items(cluster):
    seen = []
    got = run_tasks(Square(), range(20), done=lambda i, r: seen.append((i, r)), cluster=cluster)
    assert got == [i * i for i in range(20)]
    assert sorted(seen) == [(i, i * i) for i in range(20)]


def test_no_more_tasks_in_flight_than_the_bound(cluster):
    taken, ended, most = [], [], []

    def source():
        for i in range(30):
            taken.append(i)
            most.append(len(taken) - len(ended))
            yield i

    assert (
        run_tasks(Square(), source(), done=lambda i, _: ended.append(i), cluster=cluster, gather=False) == []
    )
    assert len(ended) == 30 and max(most) <= 2 * cluster.threads


def test_an_error_of_a_task_comes_home_and_nothing_goes_on(cluster):
    with pytest.raises(FileError, match=r"item: is bad\. Take it out\."):
        run_tasks(Square(), [1, "bad", *range(100)], cluster=cluster)
    assert left_over(cluster) == 0


def test_a_killed_worker_costs_nothing_but_time(cluster, tmp_path):
    assert run_tasks(Deadly(tmp_path / "mark"), range(8), cluster=cluster) == list(range(1, 9))
    assert (tmp_path / "mark").exists()


@pytest.mark.slow
def test_a_task_that_kills_every_worker_is_an_error(address, tmp_path):
    cluster = connect(address)
    with pytest.raises(
        ClusterError, match=r"lost every worker that took one of its tasks.*--memory.*--resume"
    ):
        run_tasks(Deadly(tmp_path / "mark", always=True), range(8), cluster=cluster)
    cluster.close()


def test_nobody_answers(monkeypatch):
    import dask

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ClusterError, match=r"does not answer.*dask scheduler"),
    ):
        connect(f"tcp://127.0.0.1:{port}")
    with pytest.raises(ClusterError, match="does not answer"):
        connect("nonsense://here")


def test_without_certificates_there_is_no_encrypted_connection():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tls://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ClusterError, match=r"no encrypted connection .*TLS.*ca-file"):
            connect(address)


def test_the_cause_is_told(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("garbled\nand more")

    monkeypatch.setattr(distributed, "Client", refuse)
    monkeypatch.setattr("sciastro.core.cluster._knock", lambda address: None)
    with pytest.raises(ClusterError, match=r"not as a dask scheduler does \(garbled\)"):
        connect("tcp://127.0.0.1:8786")


def test_no_worker_joins():
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(ClusterError, match=r"has had no worker for 1 s.*dask worker"),
    ):
        connect(empty.scheduler_address, patience=1.0)


def test_other_versions_are_refused(cluster, monkeypatch):
    monkeypatch.setattr("sciastro.core.cluster.package_version", lambda: "0.0.1")
    with pytest.raises(ClusterError, match=r"runs sciastro .* and the client 0\.0\.1"):
        run_tasks(Square(), range(3), cluster=cluster)


def test_an_interrupt_leaves_nothing_behind(cluster):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
    threading.Timer(1.0, signal.raise_signal, (signal.SIGINT,)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_tasks(Sleep(), [30.0] * 50, cluster=cluster)
    finally:
        signal.signal(signal.SIGINT, before)
    assert left_over(cluster) == 0


def test_errors_travel():
    error = pickle.loads(pickle.dumps(FileError("is bad.", where="x", remedy="Mend it.")))
    assert isinstance(error, SciastroError) and str(error) == "x: is bad. Mend it."


@pytest.mark.slow
def test_same_bytes_as_one_process(good_night, good_run, address, tmp_path):
    run = reduce(good_night, tmp_path / "out", "--scheduler", address, until="photometry")
    assert run.code == 0, run.told
    assert science(run.out) == science(good_run.out)
    mine, theirs = ([*r.summary["frames"], *r.summary["products"]] for r in (run, good_run))
    assert mine == theirs


@pytest.mark.parametrize("stage", ["masters", "pass 1", "pass 2"])
@pytest.mark.slow
def test_a_worker_killed_in_a_run(good_night, good_run, address, tmp_path, monkeypatch, stage):
    """SIGKILL to a worker after the first task of a stage: the scheduler gives its tasks to others."""
    original, calls = Cluster.run, []
    number = {"masters": 2, "pass 1": 3, "pass 2": 4}[stage]

    def deadly(self, function, items, done=None, **options):
        calls.append(function)

        def then(item, result):
            if len(calls) == number and not killed:
                killed.append(pids(self)[0])
                os.kill(killed[0], signal.SIGKILL)
            if done is not None:
                done(item, result)

        return original(self, function, items, then, **options)

    killed = []
    monkeypatch.setattr(Cluster, "run", deadly)
    run = reduce(good_night, tmp_path / "out", "--scheduler", address, until="photometry")
    assert killed and run.code == 0, run.told
    assert science(run.out) == science(good_run.out)
