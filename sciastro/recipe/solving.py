"""Solve files: any image in, its place on the sky out; cheap ways first, one time for all of them."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from astropy.table import QTable

from sciastro.astrometry.blind import solve_blind
from sciastro.astrometry.blindplaces import Where
from sciastro.astrometry.onelens import BENT
from sciastro.astrometry.sky import within
from sciastro.astrometry.solution import Solution
from sciastro.astrometry.solve import DEFAULTS, Hint, SolveOptions, solve_field
from sciastro.astrometry.twice import brighter_image
from sciastro.core.wcs import footprint_radius
from sciastro.errors import SciastroError, SolveError
from sciastro.io.paths import closed_file
from sciastro.io.reference import cone
from sciastro.recipe.catalogs import EMBEDDED
from sciastro.recipe.deepcatalog import DeepCatalog, deepened
from sciastro.recipe.deephint import near_in_deep
from sciastro.recipe.engines import OURS, ask_engine, chosen_engines
from sciastro.recipe.lensing import with_lens
from sciastro.recipe.skyindex import sky_index
from sciastro.recipe.solveanswer import Answer, answer_of, file_wcs
from sciastro.recipe.solved import Solved, View
from sciastro.recipe.solvehints import Before, before_hint, bounds, contradictions, hint_of, with_size
from sciastro.recipe.solvereading import Field, Read, read_field
from sciastro.recipe.solvewriting import Writing, check_place, once, write_solution

__all__ = ["TIERS", "Answer", "Question", "Tier", "solve_files", "solve_one", "stars_of_sky", "whole_sky"]

log = logging.getLogger(__name__)

WIDTHS = (None, 2.5, 5.0)  # pixel: of the stars; None measures it, the others where that goes wrong
DEEPEST = 3000  # catalog stars per field
BOUNDED = 0.15  # of the time, for what the user's bounds hold; they may be wrong
IN_PLACE = Writing()
LATE = "The time was over before a lens could be fitted to this wide picture: give more (--seconds)."


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What the user knows: center, radius [deg], scale [arcsec / pixel]; time allowed [s]; whom to ask.

    `catalog` names deeper stars, for the last fit (`recipe.deepcatalog`) and for small fields near a hint
    (`recipe.deephint`); `before` is the frame solved before.
    """

    ra: float | None = None
    dec: float | None = None
    scale: float | None = None
    radius: float = 5.0
    seconds: float = 60.0
    blind: bool = False
    write: bool = True
    writing: Writing = IN_PLACE
    engine: str | None = None
    given: Hint | None = None
    options: SolveOptions = DEFAULTS
    catalog: str | None = None
    before: Before | None = None


# A way to solve: (field, question, time.monotonic at which to give up) -> Solution; None where it does not
# apply; raises SolveError where it finds nothing.
Tier = Callable[[Field, Question, float], Solution | None]


def solve_files(
    paths: Sequence[Path],
    question: Question,
    *,
    solved: list[Solved] | None = None,
    read: Read = read_field,
    since: float | None = None,
) -> Iterator[Answer]:
    """Yield where each file looks; a file that cannot be read or solved has its reason.

    What a page of the solutions needs is appended to `solved`. `read` may have begun before, at
    `time.monotonic` = `since`, from which the seconds of the first answer are counted.
    """
    deep = DeepCatalog(question.catalog) if question.catalog not in (None, EMBEDDED) else None
    taken: dict[Path, Path] = {}
    for path in paths:
        start, notes = time.monotonic() if since is None else since, list[str]()
        since = None
        try:
            if question.write:
                once(check_place(path, question.writing), path, taken)
            field = read(path)
            solution = solve_one(field, question)
            question = replace(question, before=Before(solution, field.shape, field.step))
            notes += [*solution.notes, *contradictions(field, question, solution)]
            if deep is not None:
                solution = deepened(
                    solution, field.stars(), field.shape, deep,
                    epoch=field.epoch, options=question.options, warn=notes.append,
                )  # fmt: skip
            written = ""
            if question.write:
                written = str(write_solution(path, field, solution, question.writing, notes.append))
        except (SciastroError, PermissionError) as error:
            reason = _reason(error, path)
            if solved is not None:
                solved.append(Solved(path.name, None, reason=reason))
            yield Answer(str(path), solved=False, reason=reason, seconds=time.monotonic() - start)
            continue
        if solved is not None:
            view = View(file_wcs(solution, field), field.file_shape, field.top_down)
            solved.append(Solved(path.name, solution, view))
        yield answer_of(
            path, field, solution, seconds=time.monotonic() - start, written=written, note=" ".join(notes)
        )


def solve_one(field: Field, question: Question) -> Solution:
    """Try what the file and the user say, then the whole sky, with one time for all.

    Raises
    ------
    SolveError
        Where no way gives a solution beyond doubt; the reason of the last one, which looked farthest, and of
        several engines that of each.
    """
    until = time.monotonic() + question.seconds
    names = chosen_engines(question.engine)
    problems: dict[str, SolveError] = {}  # of each engine the last one
    for number, name in enumerate(names):
        now = time.monotonic()
        end = now + (until - now) / (len(names) - number)  # an even share of what is left
        for tier in TIERS if name == OURS else (_other(name),):
            try:
                found = tier(field, question, end)
            except SolveError as error:
                log.info("%s: %s", getattr(tier, "__name__", tier), error)
                problems[name] = error
                continue
            if found is not None:
                return _finished(field, question, found, until)
    if not problems:
        raise SolveError("nothing could be tried.", remedy="Give a center and a scale.")
    last = problems[next(reversed(problems))]
    if names == (OURS,):
        raise with_size(last, field, question)
    if len(names) == 1:
        raise last
    said = (f"{one.where}: {one.found}" if one.where else one.found for one in problems.values())
    raise SolveError(" ".join(said), where="no engine solves it", remedy=last.remedy)


def _finished(field: Field, question: Question, found: Solution, until: float) -> Solution:
    """Return a solution after what is looked at when a place is known: a second image of it, a lens."""
    stars_at = stars_of_sky(field)
    if found.method == "blind":
        found = brighter_image(field.stars(), field.shape, found, stars_at=stars_at, options=question.options)
    if time.monotonic() < until:
        return replace(with_lens(field.stars(), field.shape, found, stars_at), notes=found.notes)
    if footprint_radius(found.wcs, field.shape) < BENT:  # takes seconds
        return found
    return replace(found, notes=(*found.notes, LATE))


def _other(name: str) -> Tier:
    """Return the way of asking another engine."""

    def other_engine(field: Field, question: Question, until: float) -> Solution | None:
        where, stars_at = bounds(field, question) or Where(), stars_of_sky(field)
        if question.catalog not in (None, EMBEDDED):  # they may see deeper than ours
            stars_at = _deep_stars(DeepCatalog(str(question.catalog)), field)
        return ask_engine(name, field, where, stars_at=stars_at, until=until)

    return other_engine


def _reason(error: SciastroError | PermissionError, path: Path) -> str:
    """Return why a file is not solved; what was found in the pixels was found in the file."""
    if isinstance(error, PermissionError):
        return str(closed_file(error))
    return f"{path}: {error.found} {error.remedy}" if error.where == "image" else str(error)


def _deep_stars(deep: DeepCatalog, field: Field) -> Callable[[float, float, float], QTable]:
    def stars_at(ra: float, dec: float, radius: float) -> QTable:
        return deep.stars(ra, dec, min(radius, 90.0), epoch=field.epoch, brightest=DEEPEST, warn=log.warning)

    return stars_at


def stars_of_sky(field: Field) -> Callable[[float, float, float], QTable]:
    """Return the catalog of a field: (ra, dec, radius) [deg] -> table at the epoch of the image."""

    def stars_at(ra: float, dec: float, radius: float) -> QTable:
        if field.catalog is not None:
            return within(field.catalog, ra, dec, radius)
        return cone(ra, dec, min(radius, 90.0), epoch=field.epoch, brightest=DEEPEST)

    return stars_at


def near_hint(field: Field, question: Question, until: float) -> Solution | None:
    """Solve near what the user or the header says."""
    hint = hint_of(field, question)
    if hint is None:
        return None
    return _near(field, question, hint, until)


def _near(field: Field, question: Question, hint: Hint, until: float) -> Solution:
    """Solve near a hint by the embedded catalog, then by the deeper one that the user named."""
    try:
        return solve_field(
            field.stars(), field.shape, stars_at=stars_of_sky(field), hint=hint, epoch=field.epoch,
            options=question.options,
        )  # fmt: skip
    except SolveError as error:
        if question.catalog in (None, EMBEDDED):
            raise
        deep = DeepCatalog(str(question.catalog))
        return near_in_deep(field, hint, deep, question.options, error, until)


def as_before(field: Field, question: Question, until: float) -> Solution | None:
    """Solve near where the file before looked, with its scale and parity."""
    hint = before_hint(field, question.before)
    if hint is None:
        return None
    return replace(_near(field, question, hint, until), method="previous")


def whole_sky(field: Field, question: Question, until: float) -> Solution | None:
    """Solve with the star patterns of the whole sky; first within what the user says, in part of the time.

    What making the index and compiling takes, once for a user, is not of the time of a solve.
    """
    begin = time.monotonic()
    sky_index()
    until += time.monotonic() - begin
    limited = bounds(field, question)
    if limited is not None:
        now = time.monotonic()
        try:
            return _patterns(field, question, limited, now + BOUNDED * (until - now))
        except SolveError as error:
            log.info("nothing within the bounds given: %s", error)
    return _patterns(field, question, Where(), until)


def _patterns(field: Field, question: Question, where: Where, until: float) -> Solution:
    return solve_blind(
        [partial(field.stars, width) for width in WIDTHS], field.shape, index=sky_index(),
        stars_at=stars_of_sky(field), epoch=field.epoch, where=where, until=until, options=question.options,
    )  # fmt: skip


TIERS: tuple[Tier, ...] = (near_hint, as_before, whole_sky)
