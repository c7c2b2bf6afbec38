"""How functions are compiled that only kernels call.

Each of them is compiled on its own before the kernel that takes it in. What nobody calls from Python needs no
way in for Python or C, and those are a fifth of the time that all kernels take to compile.

A second rule of the same kind: who gives such a function a number that begins as a literal gives it a type of
its own, and the function is compiled twice, once for nothing: ``start = np.int64(0)``, not ``start = 0``.
"""

from collections.abc import Callable
from typing import Any, NoReturn

from numba import njit
from numba.core.registry import CPUDispatcher

__all__ = ["inner"]


class _Inner(CPUDispatcher):
    """A function without a way in from Python; without this class, a call would end the process."""

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError(f"{self.py_func.__name__} is compiled into kernels and cannot be called from Python.")


_compile = njit(nogil=True, cache=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


def inner(function: Callable[..., Any]) -> Any:
    """Return `function` as one that only kernels call."""
    compiled = _compile(function)
    if isinstance(compiled, CPUDispatcher):  # not with NUMBA_DISABLE_JIT
        compiled.__class__ = _Inner
    return compiled
