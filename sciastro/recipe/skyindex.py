"""The index of star patterns of the embedded catalog: made once, kept in the cache of the user."""

import hashlib
import logging
from dataclasses import fields
from functools import lru_cache

from sciastro.astrometry import quads
from sciastro.astrometry.blind import compiled
from sciastro.astrometry.blindwide import forget_large
from sciastro.astrometry.quads import QuadIndex, build_index
from sciastro.errors import OutputError
from sciastro.io.reference import catalog_info, star_positions
from sciastro.io.usercache import keep_arrays, kept_arrays

__all__ = ["MAKING_BYTES", "SEARCHING_BYTES", "forget_sky_index", "sky_index", "sky_index_is_kept"]

MAKING_BYTES = 1_600_000_000  # what the process takes while it makes the index; measured 1.50
SEARCHING_BYTES = 450_000_000  # what it takes on top while the index is searched

log = logging.getLogger(__name__)


def _name() -> str:
    """Return a name that changes with the catalog and with the way the index is made."""
    files = catalog_info()["files"]
    marks = [files[f"stars/{column}.npy"]["sha256"] for column in ("ra", "dec", "v")]
    made = hashlib.sha256("".join([*marks, str(quads.FORMAT)]).encode()).hexdigest()[:12]
    return f"quads-{made}"


def sky_index_is_kept() -> bool:
    """Return whether the index is there already, so that nobody has to wait for it."""
    return kept_arrays(_name(), tuple(field.name for field in fields(QuadIndex))) is not None


@lru_cache(maxsize=1)
def sky_index() -> QuadIndex:
    """Return the index, ready to be searched; the first call ever takes about 15 s and 300 MB of disk.

    Every kernel that searches it is compiled then, too. Where the cache cannot be written the index lives in
    memory, and the log says so.
    """
    names = tuple(field.name for field in fields(QuadIndex))
    kept = kept_arrays(_name(), names)
    if kept is None:
        log.warning("building the index of star patterns: about 15 s, once")
        index = build_index(*star_positions())
        try:
            keep_arrays(_name(), index.arrays())
        except OutputError as error:
            log.warning("%s", error)
            for array in index.arrays().values():
                array.flags.writeable = False  # one signature of the kernels, mapped or not
            return compiled(index)
        kept = kept_arrays(_name(), names)
        if kept is None:
            return compiled(index)
    return compiled(QuadIndex(**kept))


def forget_sky_index() -> None:
    """Let go of the index, whose pages count as memory of the process; the next call maps it again."""
    sky_index.cache_clear()
    forget_large()
