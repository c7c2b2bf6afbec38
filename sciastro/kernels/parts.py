"""Code that stops half-way: functions that others take in are not optimized and made into machine code.

Numba does both with every function and keeps the result in its cache, where nobody ever runs it, and
optimizes the function again in each kernel that takes it in. This is a sixth of the time that kernels take to
compile. It rests on how Numba works inside (`kernels.known`).
"""

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.typed_passes import AnnotateTypes

__all__ = ["PartCompiler"]


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


class PartCompiler(CompilerBase):
    """Numba's compiler of functions without Python objects, with `_AsPart` before it generates code."""

    def define_pipelines(self) -> list[Any]:
        """Return the passes."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_AsPart, AnnotateTypes)
        passes.finalize()
        return [passes]
