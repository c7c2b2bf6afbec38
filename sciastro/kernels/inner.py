"""How functions are compiled that only kernels call.

Each of them is compiled on its own before the kernel that takes it in. What nobody calls from Python needs no
way in for Python or C, and no machine code of its own: the kernel holds a copy, which is optimized there
(`kernels.parts`).

Rules: such a function does not raise (it has no environment of Python objects). Who gives it a number that
begins as a literal gives it a type of its own, and the function is compiled twice, once for nothing:
``start = np.int64(0)``, not ``start = 0``.
"""

from collections.abc import Callable
from typing import Any, NoReturn

from numba import njit
from numba.core.registry import CPUDispatcher

from sciastro.kernels.known import numba_is_known

__all__ = ["inner"]


class _Inner(CPUDispatcher):
    """A function without a way in from Python; without this class, a call would end the process."""

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError(f"{self.py_func.__name__} is compiled into kernels and cannot be called from Python.")


def _options() -> dict[str, Any]:
    if not numba_is_known():
        return {"cache": True}
    from sciastro.kernels.parts import PartCompiler

    return {"pipeline_class": PartCompiler}


_compile = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, **_options())


def inner(function: Callable[..., Any]) -> Any:
    """Return `function` as one that only kernels call."""
    compiled = _compile(function)
    if isinstance(compiled, CPUDispatcher):  # not with NUMBA_DISABLE_JIT
        compiled.__class__ = _Inner
    return compiled
