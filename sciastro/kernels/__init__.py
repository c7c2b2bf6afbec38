"""Numba kernels: plain arrays in and out; imports numpy and numba only."""

import sys
from types import ModuleType

__all__: list[str] = []

BLAS = "scipy.linalg.cython_blas"


def _spare_blas() -> None:
    """Load Numba's array functions without SciPy's linear algebra, which no kernel here calls.

    Numba asks whether there is a BLAS by importing it: 0.12 s of every start. It is there, SciPy being
    required; a kernel that calls it, of whomever, makes Numba import it then.
    """
    if BLAS in sys.modules or "numba.np.arraymath" in sys.modules:
        return
    stand_in = ModuleType(BLAS)
    sys.modules[BLAS] = stand_in
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        if sys.modules.get(BLAS) is stand_in:
            del sys.modules[BLAS]


_spare_blas()
