"""The index of star patterns of the embedded catalog: made once, kept in the cache of the user."""

import hashlib
import logging
from dataclasses import fields
from functools import lru_cache

from sciastro.astrometry import quads
from sciastro.astrometry.blind import compiled
from sciastro.astrometry.quads import QuadIndex, build_index
from sciastro.errors import OutputError
from sciastro.io.reference import catalog_info, star_positions
from sciastro.io.usercache import Arrays, keep_arrays, kept_arrays, one_at_a_time

__all__ = ["MAKING_BYTES", "SEARCHING_BYTES", "forget_sky_index", "sky_index", "sky_index_is_kept"]

MAKING_BYTES = 1_400_000_000  # what the process takes while it makes the index; measured 0.95 to 1.2
SEARCHING_BYTES = 500_000_000  # what it takes on top while the index is searched

log = logging.getLogger(__name__)


def _name() -> str:
    """Return a name that changes with the catalog and with the way the index is made."""
    files = catalog_info()["files"]
    marks = [files[f"stars/{column}.npy"]["sha256"] for column in ("ra", "dec", "v")]
    made = hashlib.sha256("".join([*marks, str(quads.FORMAT)]).encode()).hexdigest()[:12]
    return f"quads-{made}"


def sky_index_is_kept() -> bool:
    """Return whether the index is there already, so that nobody has to wait for it."""
    return _kept() is not None


@lru_cache(maxsize=1)
def sky_index() -> QuadIndex:
    """Return the index, ready to be searched; the first call ever takes about 20 s and 480 MB of disk.

    Every kernel that searches it is compiled then, too. Of several processes that need it at once, one makes
    it and the others wait. Where the cache cannot be written the index lives in memory, and the log says so.
    """
    kept = _kept()
    if kept is not None:
        return compiled(QuadIndex(**kept))
    with one_at_a_time(_name()):
        kept = _kept()  # another process may have been faster
        index = _made() if kept is None else QuadIndex(**kept)
    return compiled(index, thoroughly=True)


def _kept() -> Arrays | None:
    return kept_arrays(_name(), tuple(field.name for field in fields(QuadIndex)))


def _made() -> QuadIndex:
    """Return the index after making it; memory-mapped where it can be kept."""
    log.warning("building the index of star patterns: about 20 s, once")
    index = build_index(*star_positions())
    for array in index.arrays().values():
        array.flags.writeable = False  # one signature of the kernels, mapped or not
    try:
        keep_arrays(_name(), index.arrays())
    except OutputError as error:
        log.warning("%s", error)
        return index
    del array, index  # what is mapped below would else count twice
    kept = _kept()
    return build_index(*star_positions()) if kept is None else QuadIndex(**kept)


def forget_sky_index() -> None:
    """Let go of the index, whose pages count as memory of the process; the next call maps it again."""
    sky_index.cache_clear()
