"""How functions are compiled that only kernels call.

Each of them is compiled on its own before the kernel that takes it in. Numba would make machine code of each
and keep it in its cache, which nobody ever runs: the kernel holds a copy. Here they stop at intermediate
code, which is optimized once, in the kernel, and there is no way in for Python or C.

Rules: such a function does not raise (it has no environment of Python objects). Who gives it a number that
begins as a literal gives it a type of its own, and the function is compiled twice, once for nothing:
``start = np.int64(0)``, not ``start = 0``.
"""

from collections.abc import Callable
from typing import Any, NoReturn

from numba import njit
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import AnnotateTypes

__all__ = ["inner"]


class _NoEnvironment:
    """What holds Python objects for compiled code: here nothing."""

    def set_env(self, env_name: str, env: object) -> None:
        """Forget `env`."""


class _Part(JITCodeLibrary):
    """Code that is taken in by others: neither optimized by itself nor made into machine code."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True

    @property
    def codegen(self) -> _NoEnvironment:
        return _NoEnvironment()

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0


@register_pass(mutates_CFG=False, analysis_only=False)
class _AsPart(LoweringPass):
    """Puts the code that is about to be generated into a `_Part`."""

    _name = "sciastro_as_part"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        state.library = _Part(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return True


class _PartCompiler(CompilerBase):
    """Numba's compiler of functions without Python objects, with `_AsPart` before it generates code."""

    def define_pipelines(self) -> list[Any]:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_AsPart, AnnotateTypes)
        passes.finalize()
        return [passes]


class _Inner(CPUDispatcher):
    """A function that only kernels call."""

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError(f"{self.py_func.__name__} is compiled into kernels and cannot be called from Python.")


_compile = njit(
    nogil=True,
    error_model="numpy",
    no_cpython_wrapper=True,
    no_cfunc_wrapper=True,
    pipeline_class=_PartCompiler,
)


def inner(function: Callable[..., Any]) -> Any:
    """Return `function` as one that only kernels call."""
    compiled = _compile(function)
    if isinstance(compiled, CPUDispatcher):  # not with NUMBA_DISABLE_JIT
        compiled.__class__ = _Inner
    return compiled
