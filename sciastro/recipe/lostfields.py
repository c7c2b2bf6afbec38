"""A field that nobody tells the place of, or tells wrongly: looked for over the whole sky, offline, bounded.

Reads the stars that pass 1 has measured; writes nothing. It is tried after the hints of headers and options,
on the frame with the best stars, and costs a run at most `SolveOptions.blind_seconds` (and the making of the
index of star patterns, once for a user).
"""

import time
from typing import TYPE_CHECKING

from sciastro.core.wcs import center, pixel_scale
from sciastro.errors import SolveError

if TYPE_CHECKING:
    from astropy.table import QTable

    from sciastro.astrometry.solution import Solution
    from sciastro.astrometry.solve import SolveOptions
    from sciastro.core.stars import StarArray
    from sciastro.recipe.context import Context

__all__ = ["solve_lost"]

FEWEST = 8  # stars of a frame that may be looked for over the whole sky


def solve_lost(
    stars: "StarArray",
    shape: tuple[int, int],
    *,
    stem: str,
    why: str,
    epoch: float | None,
    catalog: "QTable | None",
    options: "SolveOptions",
    context: "Context",
) -> "Solution":
    """Find a field by its stars alone, and say so.

    Parameters
    ----------
    stars, shape
        Of the frame that stands for its set, on the stack grid.
    stem
        Name of the set, for the warning.
    why
        Why the hints did not do.
    epoch, catalog, options
        As for `solve_field`; the catalog's stars verify the place, the index is that of the embedded one.
    context
        Shows the making of the index, and gets the warning.

    Raises
    ------
    SolveError
        If nothing is beyond doubt within the time, the search is switched off, or there are too few stars.
    """
    left = options.blind_seconds - context.searched
    if left <= 0 or len(stars) < FEWEST:
        raise SolveError(why)
    from dataclasses import replace

    # Numba and the index: rarely needed.
    from sciastro.core.scratch import release
    from sciastro.recipe import skyindex
    from sciastro.recipe.context import resident_memory, return_free_memory
    from sciastro.recipe.solvereading import from_stars
    from sciastro.recipe.solving import Question, whole_sky

    release()  # the index counts as memory of the process while it is searched
    return_free_memory()
    kept = skyindex.sky_index_is_kept()
    needed = resident_memory() + skyindex.SEARCHING_BYTES if kept else skyindex.MAKING_BYTES
    if context.memory < needed:
        doing = "searching for it by its stars alone" if kept else "making the index of star patterns, once,"
        raise SolveError(
            f"{why.rstrip('.')}; and {doing} takes {needed / 1e9:.1f} GB of memory, of which "
            f"{context.memory / 1e9:.1f} are allowed.",
            remedy="Run `sciastro solve` on one of its frames, or allow more memory.",
        )
    if not kept:
        context.progress.start("index", 1)
        skyindex.sky_index()
        context.progress.finish("index")
    skyindex.sky_index()  # its making and compiling are not of the time of the search
    field = replace(from_stars(stars, shape), year=epoch, catalog=catalog)
    begin = time.monotonic()
    try:
        found = whole_sky(field, Question(options=options), begin + left)
    except SolveError as error:
        took = time.monotonic() - begin
        text = f"{why.rstrip('.')}; and by its stars alone, in {took:.0f} s: {error.found}"
        raise SolveError(text, remedy=error.remedy) from error
    finally:
        context.searched += time.monotonic() - begin
        skyindex.forget_sky_index()
    if found is None:
        raise SolveError(why)
    ra, dec = center(found.wcs, shape)
    context.warn(
        f"{stem}: found by its stars alone, at RA {ra:.4f}, Dec {dec:+.4f} deg, "
        f"{pixel_scale(found.wcs):.3f} arcsec / pixel of the stack, since {why}"
    )
    return found
