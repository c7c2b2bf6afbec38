"""The beginning of a run: what is in the folder, what goes with what, what of a stopped run still holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sciastro.astrometry.solve import Solution
from sciastro.integrate.grade import GradeOptions
from sciastro.integrate.moving import CometOptions
from sciastro.io.paths import atomic_path, sweep
from sciastro.io.probe import stamp_of
from sciastro.recipe.calibrating import Calibrator
from sciastro.recipe.comets import check_ends
from sciastro.recipe.context import Context
from sciastro.recipe.finishing import Finished
from sciastro.recipe.growing import (
    Growth,
    begin_growth,
)
from sciastro.recipe.journal import Journal
from sciastro.recipe.keeping import create_store
from sciastro.recipe.kept import KeptSet, KeptStacks, load_stacks
from sciastro.recipe.library import only_used, refused_library, with_library
from sciastro.recipe.lights import Light, StackSet, lights_of, stack_sets
from sciastro.recipe.masterbank import MasterBank
from sciastro.recipe.masterplan import FRAMES_OF, MasterPlan, MatchOptions
from sciastro.recipe.matching import plan_masters
from sciastro.recipe.noting import Registered
from sciastro.recipe.plan import Recipe, recipe_text
from sciastro.recipe.request import UNTIL, RunRequest
from sciastro.recipe.resuming import marks_of, open_journal
from sciastro.recipe.rows import frame_rows
from sciastro.recipe.session import ScanOptions, Session, scan
from sciastro.recipe.setsolving import SkyHint
from sciastro.recipe.stacked import Stacked
from sciastro.recipe.summary import Summary

__all__ = ["Run", "begin", "refresh_rows"]


@dataclass
class Run:
    """Everything that passes from stage to stage of one run."""

    request: RunRequest
    context: Context
    summary: Summary
    session: Session
    plan: MasterPlan
    lights: list[Light]
    sets: list[StackSet]
    journal: Journal
    hint: SkyHint
    bank: MasterBank | None = None
    tools: Calibrator | None = None
    solutions: dict[str, Solution | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    stacked: dict[str, list[Stacked]] = field(default_factory=dict)
    finished: dict[str, list[Finished]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    growth: Growth | None = None
    sources: Session | None = None
    images: dict[str, list[Stacked]] = field(default_factory=dict)
    registered: list[Registered] = field(default_factory=list)
    left: Callable[[], None] | None = None  # what registration left to be written

    def old(self, members: StackSet) -> KeptSet | None:
        """Return the stacks that `members` adds to."""
        return self.growth.of(members) if self.growth is not None else None

    @property
    def recipe(self) -> Recipe:
        """What was asked for."""
        return self.request.recipe

    @property
    def calibrator(self) -> Calibrator:
        """Who calibrates the lights; made by pass 1."""
        if self.tools is None:
            raise RuntimeError("pass 1 comes first")
        return self.tools

    @property
    def store(self) -> Path:
        """The file that holds the frames of this night."""
        return self.context.numbered("frames.h5")

    def goes_on(self, stage: str) -> bool:
        """Whether this run goes as far as `stage`."""
        return UNTIL.index(self.request.until) >= UNTIL.index(stage)


def begin(request: RunRequest, context: Context, summary: Summary) -> Run:
    """Scan, match and take up what a stopped run left; create the store.

    Raises
    ------
    SciastroError
        For a catalog, a library or a folder that cannot be used.
    """
    hint = request.sky_hint  # a catalog that cannot be read should fail before hours of work
    stacks = load_stacks(context.out, request.recipe) if request.add else None
    context.night = stacks.nights + 1 if stacks is not None else 1
    with context.stage("ingest"):
        for folder in (context.out, *(context.out / name for name in ("masters", "products", "renders"))):
            sweep(folder)
        session = scan(request.session, leave=request.out, options=request.recipe.of(ScanOptions))
        sources = session if request.library is None else with_library(session, request.library)
        every = plan_masters(sources, request.recipe.of(MatchOptions))
        plan = only_used(every)
        lights = lights_of(plan)
        sets = stack_sets(lights)
        _name_timeless(lights)
        growth = None
        if stacks is not None:
            growth = begin_growth(stacks, session, lights, context)
            sets = growth.join(sets)
        check_ends(sets, request.recipe)
        marks = marks_of(request.recipe, _inputs(request, sources, stacks))
        context.begun = True
        journal, word = open_journal(context.work, marks, resume=request.resume)
        if word:
            context.warn(word)
        _write_recipe(request, context)
        create_store(
            context.numbered("frames.h5"), lights if growth is None else growth.wanted(lights), session.root,
            mark=marks.masters, resume=journal.resumed, linked=request.raw == "link",
        )  # fmt: skip
    if word := refused_library(every):
        context.warn(word)
    _warn(request, context, session, plan, lights)
    run = Run(
        request, context, summary, session, plan, lights, sets, journal, hint, growth=growth, sources=sources
    )
    refresh_rows(run)
    return run


def _name_timeless(lights: Sequence[Light]) -> None:
    """Leave out the lights without an exposure time."""
    for light in lights:
        if light.facts.exposure is None or not light.facts.exposure > 0:
            light.reason = light.reason or (
                "has no exposure time (EXPTIME or EXPOSURE); without it there is no rate. Add the card."
            )


def _inputs(request: RunRequest, sources: Session, stacks: KeptStacks | None) -> list[object]:
    """Return what the masters and measured frames of this run depend on besides options."""
    stamps = [(frame.name, *stamp_of(sources.path(frame))) for frame in sources.frames]
    return [stamps, sorted(stacks.hashes) if stacks is not None else [], request.raw]


def _warn(
    request: RunRequest, context: Context, session: Session, plan: MasterPlan, lights: Sequence[Light]
) -> None:
    """Say what was left out, what is missing, and which option has no effect."""
    grading = request.recipe.of(GradeOptions)
    if grading.expression and grading.weight != "expression":
        context.warn(
            f"grade.expression is not used, since grade.weight is {grading.weight}; "
            "set grade.weight=expression, or leave it out."
        )
    comet = request.recipe.of(CometOptions)
    if not comet.enabled and (comet.first or comet.last or comet.ephemeris or comet.rate is not None):
        context.warn("The comet's place and motion are not used; set comet.enabled=true, or leave them out.")
    for path, reason in session.skipped:
        context.warn(f"{path}: {reason}")
    for frame in session.frames:
        for refused in frame.refused:
            context.warn(f"{frame.name}: {refused}")
    live = {light.match.group.id for light in lights if not light.reason}
    for item in plan.missing:
        lacking = [group for group in item.groups if group in live]
        if lacking:
            context.warn(f"no {FRAMES_OF[item.kind]} for {_who(lacking, plan)}: {item.cost}")


def _who(groups: Sequence[str], plan: MasterPlan) -> str:
    """Return the lights that `groups` names, by target and filter."""
    if len(groups) == len(plan.matches):
        return "any of the lights"
    named = [match.group for match in plan.matches if match.group.id in groups]
    return ", ".join(dict.fromkeys(f"{group.target} {group.band or 'without filter'}" for group in named))


def _write_recipe(request: RunRequest, context: Context) -> None:
    facts = {
        "ra": request.ra,
        "dec": request.dec,
        "scale": request.scale,
        "catalog": request.catalog and Path(request.catalog).name,
    }
    with atomic_path(context.out / "recipe.toml") as temporary:
        Path(temporary).write_text(recipe_text(request.recipe, facts), encoding="utf-8")


def refresh_rows(run: Run) -> None:
    """Bring the rows of the frames in the summary up to date."""
    run.summary.frames = frame_rows(run.session, run.lights, run.bank)
    if run.growth is not None:
        run.summary.frames = [*run.growth.rows(), *run.summary.frames]
