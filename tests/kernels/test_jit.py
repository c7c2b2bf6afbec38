"""Kernels come from Numba's cache without what Numba compiles with, and compile where they are not there."""

import importlib
import os
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
from numba.core.caching import FunctionCache
from numba.core.registry import CPUDispatcher

from sciastro import kernels
from sciastro.kernels import jit
from sciastro.kernels.known import numba_is_known

pytestmark = pytest.mark.skipif(not numba_is_known(), reason="another Numba goes its own way")

CODE = """
import sys, numpy as np
from sciastro.kernels.order import select
print(select(np.array([5.0, 1.0, 9.0]), 3, 1), sum(select.stats.cache_misses.values()),
      "numba.np.arraymath" in sys.modules, "scipy.linalg" in sys.modules)
"""


def run(cache):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.split()


def test_what_is_compiled_is_loaded_with_little_and_what_is_not_is_compiled(tmp_path):
    assert run(tmp_path) == ["5.0", "1", "True", "False"]  # compiled, without SciPy's linear algebra
    assert run(tmp_path) == ["5.0", "0", "False", "False"]


MEANWHILE = (
    """
import importlib.machinery, sys, threading
class Meanwhile:
    def find_spec(self, name, path=None, target=None):
        if name != "numba.np.arraymath":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (elsewhere(), execute(module))
        return spec
def elsewhere():
    other = threading.Thread(target=load)
    other.start()
    other.join()
def load():
    from scipy.linalg import cython_blas, interpolative, lstsq
    found.append((hasattr(cython_blas, "__pyx_capi__"), float(lstsq([[2.0]], [6.0])[0][0])))
found = []
sys.meta_path.insert(0, Meanwhile())
"""
    + CODE
    + """
import numba, scipy.linalg.cython_blas as blas
product = numba.njit(lambda a: a @ a)(np.eye(3) * 2.0)
print(*found, type(blas).__name__, "dgemm" in blas.__pyx_capi__, product[1, 1])
"""
)


def test_linear_algebra_that_another_thread_loads_while_a_kernel_is_compiled_is_whole(tmp_path):
    """A first run compiles a kernel while SciPy is loaded beside the masters: one in a few crashed."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", MEANWHILE],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[1] == "(True, 3.0) module True 4.0"


def test_all_kernels_have_that_cache():
    found = {}
    for module in pkgutil.iter_modules(kernels.__path__, "sciastro.kernels."):
        for name, one in vars(importlib.import_module(module.name)).items():
            if isinstance(one, CPUDispatcher) and one.targetoptions.get("cache", True):
                found[f"{one.py_func.__module__}.{name}"] = one._cache
    kept = {name: cache for name, cache in found.items() if isinstance(cache, FunctionCache)}
    assert len(kept) > 60
    assert not [name for name, cache in kept.items() if not isinstance(cache, jit._LeanCache)]


def test_other_versions_of_numba_go_their_own_way(monkeypatch):
    monkeypatch.setattr(jit, "numba_is_known", lambda: False)

    @jit.njit(cache=True)
    def twice(x):
        return x + x

    assert not isinstance(twice._cache, jit._LeanCache)
    assert twice(np.float64(2.5)) == 5.0


def test_what_is_not_cached_has_no_cache():
    @jit.njit(error_model="numpy")
    def twice(x):
        return x + x

    assert not isinstance(twice._cache, jit._LeanCache) and twice(3) == 6
