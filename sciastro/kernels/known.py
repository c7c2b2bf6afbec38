"""With which versions of Numba its inner workings may be used, to compile with less work."""

import numba

__all__ = ["numba_is_known"]

OLDEST, NEWEST = (0, 61), (0, 68)


def numba_is_known() -> bool:
    """Return whether this is a version with which that was tried; with others Numba's own way is gone."""
    version = tuple(int(part) for part in numba.__version__.split(".")[:2])
    return OLDEST <= version <= NEWEST
