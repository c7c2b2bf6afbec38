"""Numba's answers to one question are remembered while kernels compile.

For every operation of a function Numba looks through all forms that it may have, dozens for a sum of two
numbers, and does so anew for the next sum of two such numbers: a seventh of the time that kernels take to
compile. The answers depend on the operation, the types and, for division, on what a zero gives.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

from numba import types
from numba.core.targetconfig import ConfigStack
from numba.core.types.functions import BaseFunction

from sciastro.kernels.known import numba_is_known

__all__ = ["remembering"]

PLAIN = (
    types.Number,
    types.Boolean,
    types.NoneType,
    types.Array,
    types.Literal,
    types.SliceType,
    types.BaseTuple,
)


@contextlib.contextmanager
def remembering() -> Iterator[None]:
    """Remember inside the block what builtin functions return for which types (`kernels.known`)."""
    if not numba_is_known():
        yield
        return
    before = BaseFunction.get_call_type
    BaseFunction.get_call_type = _remember(before)
    try:
        yield
    finally:
        BaseFunction.get_call_type = before


def _remember(ask: Any) -> Any:
    known: dict[Any, tuple[Any, Any]] = {}

    @functools.wraps(ask)
    def get_call_type(self: Any, context: Any, args: Any, kws: Any) -> Any:
        if kws or type(self) is not types.Function or not all(isinstance(kind, PLAIN) for kind in args):
            return ask(self, context, args, kws)
        flags = ConfigStack.top_or_none()
        # A literal equals nothing but itself, yet its class tells it from what it is a literal of.
        key = (self, context, args, tuple(map(type, args)), flags and flags.error_model)
        if key in known:
            signature, implementation = known[key]
            self._impl_keys[signature.args] = implementation
            return signature
        signature = ask(self, context, args, kws)
        known[key] = signature, self.get_impl_key(signature)
        return signature

    return get_call_type
