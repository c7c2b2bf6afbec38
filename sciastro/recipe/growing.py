"""Add a night to finished stacks: the old frames are not read again.

New frames are registered to the old reference, brought to its sky and transparency, and weighed together with
what is remembered of the old ones; `growingbands` combines them and averages both images.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sciastro.astrometry.solve import Solution
from sciastro.core.lift import run_tasks
from sciastro.core.wcs import center, pixel_scale
from sciastro.errors import FileError, MatchError
from sciastro.integrate.grade import GradeOptions, grade_facts
from sciastro.io.paths import unlike
from sciastro.io.reader import sha256
from sciastro.recipe.context import Context
from sciastro.recipe.grading import settle_uses, transparencies
from sciastro.recipe.kept import KeptSet, KeptStacks
from sciastro.recipe.lights import Light, StackSet, bands_of
from sciastro.recipe.plan import Recipe
from sciastro.recipe.quality import group_facts
from sciastro.recipe.session import Session
from sciastro.recipe.setreference import choose_reference
from sciastro.recipe.setsolving import SkyHint, solve_set

__all__ = ["Growth", "added", "begin_growth", "forget_maps", "grade_added", "solve_again"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """The old stacks of a run that adds a night.

    Attributes
    ----------
    stacks
        What is kept of them.
    frame_rows, master_rows
        Of the old ``summary.json``.
    refused
        New frames that are in already.
    """

    stacks: KeptStacks
    refused: frozenset[str]
    frame_rows: list[dict[str, Any]]
    master_rows: list[dict[str, Any]]

    def wanted(self, lights: Sequence[Light]) -> list[Light]:
        """Return the lights that are not in yet."""
        return [light for light in lights if light.name not in self.refused]

    def of(self, members: StackSet) -> KeptSet | None:
        """Return the old set that `members` continues."""
        return next((one for one in self.stacks.sets if one.members.stem == members.stem), None)

    def rows(self) -> list[dict[str, Any]]:
        """Return the old frames' rows, with the weights that they have now."""
        lights = {light.name: light for one in self.stacks.sets for light in one.members.lights}
        return [
            row | {"weight": lights[row["path"]].weight} if row["path"] in lights else row
            for row in self.frame_rows
        ]

    def join(self, sets: Sequence[StackSet]) -> list[StackSet]:
        """Return all sets of the run: old ones with their new frames, and new ones under free names."""
        stems = {one.members.stem.casefold() for one in self.stacks.sets}
        files = {file.casefold() for one in self.stacks.sets for file in one.members.files.values()}
        joined = {one.members.stem: one.members for one in self.stacks.sets}
        fresh = []
        for members in sets:
            old = self.stacks.like(members)
            if old is None:
                members.stem = unlike(members.stem, stems)
                members.files = {band: unlike(file, files) for band, file in members.files.items()}
                fresh.append(members)
                continue
            whole = joined[old.members.stem]
            names = {b: f for b, f in members.files.items() if b not in whole.files}
            whole.files |= {band: unlike(file, files) for band, file in names.items()}
            whole.bands = list(dict.fromkeys([*whole.bands, *members.bands]))
            whole.lights = [*whole.lights, *members.lights]
        return [*joined.values(), *fresh]


def begin_growth(stacks: KeptStacks, session: Session, lights: Sequence[Light], context: Context) -> Growth:
    """Prepare to add `lights`; those whose files are in already get that as their reason.

    Raises
    ------
    MatchError
        If none is left.
    FileError
        If the summary of the old run cannot be read.
    """
    names = {frame.name for frame in session.frames}

    def free(name: str) -> str:
        return f"night-{stacks.nights}/{name}" if name in names else name

    for one in stacks.sets:
        everyone = {id(light): light for light in (*one.members.lights, *_special(one))}
        for light in everyone.values():
            if free(light.name) != light.name:
                light.facts = replace(light.facts, path=f"night-{stacks.nights}/{light.facts.path}")
    paths = list(dict.fromkeys(session.path(light.facts) for light in lights))
    hashes = dict(zip(paths, run_tasks(sha256, paths, workers=context.workers), strict=True))
    refused = set()
    for light in lights:
        known = stacks.hashes.get(hashes[session.path(light.facts)])
        if known is not None:
            light.reason = f"is in the stack already, as {known}; nothing is added twice"
            refused.add(light.name)
    if lights and all(light.reason for light in lights):
        raise MatchError(
            f"holds no light that can be added: {lights[0].name} {lights[0].reason}.",
            where=str(session.root), remedy="The stacks stay as they are.",
        )  # fmt: skip
    told = stacks.folder / "summary.json"
    try:
        summary = json.loads(told.read_text(encoding="utf-8"))
        rows = [row | {"path": free(row["path"])} for row in summary["frames"]]
        masters = list(summary["masters"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(
            f"cannot be read ({error}).", where=str(told), remedy="Reduce both nights together."
        ) from error
    return Growth(stacks=stacks, refused=frozenset(refused), frame_rows=rows, master_rows=masters)


def _special(one: KeptSet) -> Iterator[Light]:
    if one.members.reference is not None:
        yield one.members.reference
    for band in one.bands.values():
        yield from (band.base, band.reference)


def forget_maps(growth: Growth, out: Path) -> None:
    """Remove what tells of the frames of the first night only: which made a pixel, what was rejected."""
    for one in growth.stacks.sets:
        for file in one.members.files.values():
            for kind in ("rejection", "context"):
                (out / "products" / f"{file}_{kind}.fits").unlink(missing_ok=True)


def added(members: StackSet) -> StackSet:
    """Return the part of a set that is new."""
    return replace(members, lights=[light for light in members.lights if not light.kept])


def solve_again(
    members: StackSet, hint: SkyHint, recipe: Recipe, context: Context, root: Path, step: int
) -> tuple[Solution | None, str]:
    """Solve the old reference from its stars, near where it is known to be; the canvas keeps its WCS."""
    canvas, reference = members.canvas, members.reference
    if canvas is None or canvas.wcs is None or reference is None:
        return None, "the stack has no world coordinates"
    ra, dec = center(canvas.wcs, canvas.shape)
    near = replace(hint, ra=ra, dec=dec, scale=pixel_scale(canvas.wcs) * canvas.scale / step)
    return solve_set(replace(members, lights=[reference]), near, recipe, context, root, step)


def grade_added(members: StackSet, old: KeptSet, recipe: Recipe, context: Context) -> None:
    """Weigh the new frames on one scale with the old ones, which stay in; see `grading.grade_set`."""
    fit = [light for light in added(members).lights if light.from_reference is not None and not light.reason]
    reasons: dict[str, str] = {}
    for band in members.bands:
        new = [light for light in fit if band in bands_of(light.facts)]
        kept = old.bands.get(band)
        if kept is not None:
            members.bases[band] = kept.base
        if not new:
            continue
        base = members.bases.setdefault(band, choose_reference(new)[0])
        transparencies(new, base)
        before = [] if kept is None else kept.lights
        if kept is not None:
            for light in new:
                light.transparency *= base.transparency
        facts = group_facts([*before, *new], band, members.target)
        graded = grade_facts(facts, options=recipe.of(GradeOptions))
        weight, reason = graded.weight, graded.reason
        for i, light in enumerate(new, start=len(before)):
            light.weights[band] = float(weight[i])
            reasons[light.name] = reasons.get(light.name) or reason[i]
        ratios = [weight[i] / light.weights[band] for i, light in enumerate(before) if weight[i] > 0]
        factor = float(np.median(ratios)) if ratios else 1.0
        for light in before:
            light.weights[band] *= factor
    settle_uses(fit, reasons, context)
