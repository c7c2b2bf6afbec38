"""How functions are compiled that only kernels call.

Each of them is compiled on its own before the kernel that takes it in. What nobody calls from Python needs no
way in for Python or C, and those are a fifth of the time that all kernels take to compile.

A second rule of the same kind: who gives such a function a number that begins as a literal gives it a type of
its own, and the function is compiled twice, once for nothing: ``start = np.int64(0)``, not ``start = 0``.
"""

from numba import njit

__all__ = ["inner"]

inner = njit(nogil=True, cache=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Decorator of functions that only kernels call."""
