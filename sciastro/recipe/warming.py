"""What later stages need is loaded while masters are made: those keep the processors busy, not Python.

Loading tables and the sky's coordinates takes Python half a second, in which nothing else could
begin; the kernels that make masters run without Python. Making and writing masters needs none of it, and who
reads one waits, which matters: two threads that load modules of one library in different order could meet
half-loaded ones. Labeled datasets (xarray, with pandas 100 MB) are loaded when the stacks are measured: a run
whose memory is at its peak has none.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sciastro.core.lift import beside, spare_dask

__all__ = ["LATER", "load_datasets", "load_later", "loading_beside"]

LATER = (
    "scipy.linalg",
    "scipy.special",
    "scipy.ndimage",
    "scipy.sparse.csgraph",
    "scipy.spatial",
    "astropy.wcs",
    "astropy.table",
)


def load_later() -> None:
    """Load the libraries that a run needs after its masters."""
    for name in LATER:
        importlib.import_module(name)


def load_datasets() -> None:
    """Load xarray, and keep it from loading dask."""
    spare_dask()


@contextmanager
def loading_beside(wanted: bool) -> Iterator[Callable[[], None]]:
    """Load them on a thread of its own while the body runs; all are there at its end.

    Gives the function that waits for them, for who needs them before.
    """
    if not wanted:
        yield lambda: None
        return
    with beside() as start:
        loading = start(load_later)
        yield loading.result
        loading.result()
