"""How kernels are compiled, and taken from Numba's cache with little loaded.

Before it looks into its cache, Numba loads and sorts all that it may compile with: a tenth of a second of
every start. Machine code that is there needs none of it, only the runtime that hands out memory. This rests
on how Numba works inside (`kernels.known`).
"""

import importlib
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.registry import CPUDispatcher
from numba.core.runtime import rtsys

from sciastro.kernels.known import numba_is_known

__all__ = ["njit"]

BLAS = "scipy.linalg.cython_blas"
TAKING = threading.Lock()  # looking whether it is there, and taking it away, are two steps


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return what `numba.njit` does with these options; what is kept in its cache is taken from it so."""

    def compiled(function: Callable[..., Any]) -> Any:
        kernel = numba.njit(**options)(function)
        if isinstance(kernel, CPUDispatcher) and options.get("cache") and numba_is_known():
            kernel._cache = _LeanCache(function)  # it is none with NUMBA_DISABLE_JIT
        return kernel

    return compiled


class _LeanCache(FunctionCache):
    """Numba's cache of one function, asked before there is anything to compile with."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what was compiled for `sig`, or None, when all is loaded that compiling it needs."""
        rtsys.initialize(target_context)  # kernels make arrays
        with self._guard_against_spurious_io_errors():
            found = self._load_overload(sig, target_context)
            if found is not None:
                return found
        _spare_blas()
        return super().load_overload(sig, target_context)


class _StandIn(ModuleType):
    """A module that is only said to be there; who wants something of it gets it of the real one.

    Another thread may load SciPy's linear algebra meanwhile, as a run does beside its masters, and that is
    linked to this module.
    """

    def __getattr__(self, name: str) -> Any:
        """Load the real module in this one's place."""
        if name.startswith("__") and name != "__pyx_capi__":  # what importing asks of any module
            raise AttributeError(name)
        _take_away(self)
        return getattr(importlib.import_module(self.__name__), name)


def _take_away(stand_in: ModuleType) -> None:
    with TAKING:
        if sys.modules.get(stand_in.__name__) is stand_in:
            del sys.modules[stand_in.__name__]


def _spare_blas() -> None:
    """Load Numba's array functions without SciPy's linear algebra, which no kernel here calls.

    Numba asks whether there is a BLAS by importing it: 0.12 s of every start. It is there, SciPy being
    required; a kernel that calls it, of whomever, makes Numba import it then.
    """
    if "numba.np.arraymath" in sys.modules:
        return
    stand_in = _StandIn(BLAS)
    if sys.modules.setdefault(BLAS, stand_in) is not stand_in:
        return
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        _take_away(stand_in)
