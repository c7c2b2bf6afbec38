"""Libraries of linear algebra start no threads beside our workers, whenever they are loaded."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
import numpy
from threadpoolctl import threadpool_info
from sciastro.core.lift import one_owner

def threads():
    return {one["filepath"]: one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

with one_owner():
    assert ("scipy.linalg" in sys.modules) is (sys.argv[1] == "early")
    import scipy.linalg
    found = threads()
    with one_owner():
        assert set(threads().values()) == {1}, threads()
assert len(found) >= 1 and set(found.values()) == {1}, found
"""


@pytest.mark.parametrize(("when", "variable"), [("early", "2"), ("late", "1")])
def test_libraries_have_one_thread_whenever_they_are_loaded(when, variable):
    env = dict(os.environ, OPENBLAS_NUM_THREADS=variable)
    done = subprocess.run([sys.executable, "-c", SCRIPT, when], check=False, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


OVERLAPPING = """
import scipy.linalg
from threadpoolctl import threadpool_info
from sciastro.core.lift import one_owner

def threads():
    return {one["filepath"]: one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

before, first, second = threads(), one_owner(), one_owner()
first.__enter__()
second.__enter__()
first.__exit__(None, None, None)
assert set(threads().values()) == {1}, threads()
second.__exit__(None, None, None)
assert threads() == before, (before, threads())
try:
    with one_owner():
        raise ValueError
except ValueError:
    assert threads() == before, (before, threads())
"""


def test_the_first_that_ends_takes_nothing_from_the_others():
    env = dict(os.environ, OPENBLAS_NUM_THREADS="2")
    done = subprocess.run([sys.executable, "-c", OVERLAPPING], check=False, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


WORKER = """
from threadpoolctl import threadpool_info
from sciastro.core import cluster

cluster._one_thread()
import scipy.linalg
found = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
assert found and set(found) == {1}, found
"""


def test_a_worker_of_a_cluster_keeps_to_one_thread_too():
    env = dict(os.environ, OPENBLAS_NUM_THREADS="2")
    done = subprocess.run([sys.executable, "-c", WORKER], check=False, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
