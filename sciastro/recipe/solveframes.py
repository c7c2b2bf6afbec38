"""Solve a stack of frames: one of them by all means, the others by their registration to it.

The frame with the most and sharpest stars is solved as a single image would be. What every other frame shares
with a solved one is found by star patterns (`astrometry.register`), which needs no catalog; the WCS carried
over is the guess that its own stars then refine. A frame that shows nothing of a solved one, another panel
of a mosaic or the first one of a new field, is solved like the first, and others may follow it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from astropy.wcs import WCS

from sciastro.astrometry.frames import best_reference
from sciastro.astrometry.refine import fit_wcs, start_at_middle
from sciastro.astrometry.register import Registration, register
from sciastro.astrometry.solution import Solution
from sciastro.astrometry.solve import Hint, solve_field
from sciastro.core import transform
from sciastro.errors import MatchError, SolveError
from sciastro.recipe.solvereading import Field
from sciastro.recipe.solving import Question, solve_one, stars_of_sky

__all__ = ["FramePlace", "carried", "solve_frames"]

log = logging.getLogger(__name__)

GRID = 15  # places per axis that carry a WCS from one frame to another
FEWEST = 6  # stars of a frame that can be registered
FIELDS = 4  # solved frames that others are compared with, the latest first


@dataclass(frozen=True, slots=True)
class FramePlace:
    """Where a frame looks.

    Attributes
    ----------
    wcs
        On the grid that its stars are on; None where it is not solved.
    how
        "solved" by itself, "refined" after it was carried over, "carried" where its own stars are too few for
        a fit, "" where it is not solved.
    reason
        Why it is not.
    """

    wcs: WCS | None
    how: str = ""
    reason: SolveError | None = None


def solve_frames(fields: Sequence[Field], questions: Sequence[Question]) -> list[FramePlace]:
    """Return where each frame looks.

    Parameters
    ----------
    fields
        Star lists of the frames, in order of time.
    questions
        What is known of each frame.
    """
    places = [FramePlace(None)] * len(fields)
    known: list[int] = []  # frames that others are compared with
    for k in _best_first(fields):
        place = _by_registration(fields, places, k, known, questions[k])
        if place is None:
            place = _by_itself(fields[k], questions[k], places[known[0]].wcs if known else None)
            if place.wcs is not None:
                known.insert(0, k)
            else:
                log.warning("frame %d: %s", k, place.reason)
        places[k] = place
    return places


def _best_first(fields: Sequence[Field]) -> list[int]:
    """Return the numbers of the frames: the one with the most and sharpest stars, then all in their order."""
    if not fields:
        return []
    first = best_reference([field.stars() for field in fields])
    return [first, *(k for k in range(len(fields)) if k != first)]


def _by_itself(field: Field, question: Question, nearby: WCS | None) -> FramePlace:
    hinted = question.given is not None and question.given != Hint()
    if nearby is not None and not hinted and field.wcs is None:
        field = replace(field, wcs=nearby)
    try:
        return FramePlace(solve_one(field, question).wcs, "solved")
    except SolveError as error:
        return FramePlace(None, reason=error)


def _by_registration(
    fields: Sequence[Field], places: Sequence[FramePlace], k: int, known: Sequence[int], question: Question
) -> FramePlace | None:
    """Return the place that a frame has by its registration to one that is solved; None without any."""
    field = fields[k]
    if len(field.stars()) < FEWEST:
        return None
    for one in known[:FIELDS]:
        wcs = places[one].wcs
        if wcs is None or fields[one].shape != field.shape:
            continue
        try:
            found = register(fields[one].stars(), field.stars(), field.shape)
        except MatchError as error:
            log.info("frame %d: %s", k, error)
            continue
        guess = carried(wcs, found, field.shape)
        solution = _refined(field, guess, question)
        return FramePlace(guess, "carried") if solution is None else FramePlace(solution.wcs, "refined")
    return None


def _refined(field: Field, guess: WCS, question: Question) -> Solution | None:
    """Return the solution of a frame's own stars near a guess; None where they are too few for one."""
    try:
        return solve_field(
            field.stars(), field.shape, stars_at=stars_of_sky(field), hint=Hint(wcs=guess), epoch=field.epoch,
            options=question.options,
        )  # fmt: skip
    except SolveError as error:
        log.info("carried over without a fit of its own: %s", error)
        return None


def carried(wcs: WCS, found: Registration, shape: tuple[int, int]) -> WCS:
    """Return the WCS of a frame from that of its reference, of the same order.

    Parameters
    ----------
    wcs
        Of the reference.
    found
        Its registration, from reference pixels to those of the frame.
    shape
        Rows and columns of both.
    """
    x, y = (
        v.ravel() for v in np.meshgrid(np.linspace(0, shape[1] - 1, GRID), np.linspace(0, shape[0] - 1, GRID))
    )
    there = np.column_stack(transform.evaluate(found.from_reference, x, y))
    ra, dec = wcs.all_pix2world(x, y, 0)
    start = start_at_middle(wcs, shape)
    order = 1 if wcs.sip is None else int(wcs.sip.a_order)
    return fit_wcs(there[:, 0], there[:, 1], ra, dec, start=start, order=order, shape=shape)
