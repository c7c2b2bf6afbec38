"""What is known before a field is solved, how it bounds the search, and where it turned out to be wrong."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sciastro.astrometry.blindplaces import Where
from sciastro.astrometry.plane import separation
from sciastro.astrometry.solution import Solution
from sciastro.astrometry.solve import Hint
from sciastro.core.wcs import center, footprint_radius, pixel_scale, resampled
from sciastro.errors import SolveError
from sciastro.recipe.solvereading import Field

if TYPE_CHECKING:
    from sciastro.recipe.solving import Question

__all__ = ["Before", "before_hint", "bounds", "contradictions", "hint_of", "with_given_wcs", "with_size"]

SCALE_ROOM = 1.3  # ratio by which a scale that the user gives may be off
SMALL = 0.4  # degrees: fields that hold too few stars of the embedded catalog
SAME_SCALE = 0.02  # relative: scales of frames of one run


@dataclass(frozen=True, slots=True)
class Before:
    """The frame solved before, on its own grid: what it was, and the size of that grid."""

    solution: Solution
    shape: tuple[int, int]
    step: int


def hint_of(field: Field, question: "Question") -> Hint | None:
    """Return what is known of the place, None where the whole sky must be searched.

    A blind question takes what the user says of it, and nothing of the header.
    """
    given = question.given
    if question.blind:
        field = replace(field, wcs=None, facts=None)
    if given is not None and given.wcs is not None and field.wcs is not None:
        return replace(given, wcs=field.wcs, scale=None if given.scale is None else given.scale * field.step)
    facts = field.facts
    scale = question.scale if question.scale is not None else (facts.scale if facts else None)
    scale = scale * field.step if scale is not None else None
    if question.ra is not None and question.dec is not None and scale is not None:
        return replace(given or Hint(), ra=question.ra, dec=question.dec, scale=scale)
    if field.wcs is not None:
        return Hint(wcs=field.wcs)
    if facts is None or facts.pointing is None or scale is None:
        return None
    return Hint(ra=facts.pointing[0], dec=facts.pointing[1], scale=scale)


def before_hint(field: Field, before: Before | None) -> Hint | None:
    """Return where the frame before looked, if this one has the same grid."""
    if before is None or before.shape != field.shape or before.step != field.step:
        return None
    found = before.solution
    reach = footprint_radius(found.wcs, field.shape)
    return Hint(wcs=found.wcs, radius=reach, parity=found.parity, scale_tolerance=SAME_SCALE)


def bounds(field: Field, question: "Question") -> Where | None:
    """Return the bounds that the user gave, None where there are none; headers bound nothing."""
    where = Where()
    if question.scale is not None:
        scale = question.scale * field.step
        where = replace(where, scale_low=scale / SCALE_ROOM, scale_high=scale * SCALE_ROOM)
    if question.ra is not None and question.dec is not None:
        where = replace(where, ra=question.ra, dec=question.dec, radius=question.radius)
    return None if where == Where() else where


def with_size(error: SolveError, field: Field, question: "Question") -> SolveError:
    """Return the reason of a field that is not solved, with better advice where it is known to be small."""
    hint = hint_of(field, question)
    if hint is None:
        return error
    scale = hint.scale if hint.wcs is None else pixel_scale(hint.wcs)
    width = min(field.shape) * (scale or 0.0) / 3600
    if not 0 < width < SMALL:
        return error
    deeper = "give a deeper one (--catalog gaia-dr3, or a file of your own)"
    if question.catalog not in (None, "embedded"):
        deeper = "check the center, the scale and the --catalog"
    advice = (
        f"If its scale is right, it is {width:.2f} degrees wide, which holds too few stars of the embedded "
        f"catalog: {deeper}, or ask an engine that has a deeper one (--engine)."
    )
    return SolveError(error.found, where=error.where, remedy=advice)


def with_given_wcs(field: Field, question: "Question") -> Field:
    """Return the field with the WCS of the hint in place of its header's."""
    given = question.given.wcs if question.given is not None else None
    if given is None:
        return field
    return replace(field, wcs=resampled(given, scale=1 / field.step) if field.step > 1 else given)


def contradictions(field: Field, question: "Question", solution: Solution) -> list[str]:
    """Return what was said of a field and is not so, one sentence each."""
    where = center(solution.wcs, field.shape)
    room = footprint_radius(solution.wcs, field.shape)
    said = []
    if question.ra is not None and question.dec is not None:
        off = _apart(where, (question.ra, question.dec))
        if off > max(question.radius, room):
            said.append(f"The field is {off:.1f} degrees from the center that was given.")
    elif not question.blind:
        told = center(field.wcs, field.shape) if field.wcs is not None else None
        if told is None and field.facts is not None:
            told = field.facts.pointing
        if told is not None and np.all(np.isfinite(told)) and _apart(where, told) > max(1.0, 2 * room):
            said.append(f"The field is {_apart(where, told):.1f} degrees from where the header says.")
    scale = question.scale
    if scale is not None and abs(np.log(solution.scale / field.step / scale)) > np.log(SCALE_ROOM):
        said.append(
            f"The scale is {solution.scale / field.step:.4g} arcsec / pixel, not {scale:.4g} as was given."
        )
    return said


def _apart(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the distance of two places [deg]."""
    return float(separation(*(np.array([value]) for value in (*a, *b)))[0])
