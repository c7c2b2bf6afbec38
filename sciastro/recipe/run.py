"""The whole way: scan, match, masters, pass 1, solve and register, pass 2, photometry, picture, report."""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sciastro.astrometry.movers import Track
from sciastro.astrometry.solve import Solution
from sciastro.core.cluster import connect
from sciastro.core.history import package_version
from sciastro.core.lift import one_owner
from sciastro.errors import MatchError, SciastroError
from sciastro.integrate.grade import GradeOptions
from sciastro.integrate.moving import CometOptions
from sciastro.integrate.run import empty_stack
from sciastro.io.lock import locked
from sciastro.io.paths import REASONS, atomic_path, output_error, sweep
from sciastro.io.xisfproducts import copy_as_xisf
from sciastro.recipe.aligning import SkyHint, grade_set, julian_year, register_set, solve_set
from sciastro.recipe.calibrating import Calibrator
from sciastro.recipe.comets import find_comet, stack_comet, write_comet
from sciastro.recipe.context import Context, Progress, Silent, hand_back_arrays, parse_memory
from sciastro.recipe.crossings import name_crossings
from sciastro.recipe.detector import Detector
from sciastro.recipe.doctor import diagnose
from sciastro.recipe.drifting import register_camera
from sciastro.recipe.finishing import Finished, measure_set, write_band
from sciastro.recipe.growing import (
    Growth,
    added,
    begin_growth,
    forget_maps,
    grade_added,
    grow_band,
    solve_again,
)
from sciastro.recipe.journal import Journal, fingerprint
from sciastro.recipe.keeping import create_store, keep_frames, linked_blocks, store_facts, store_masters
from sciastro.recipe.kept import KeptSet, forget_stars, load_stacks, save_stacks
from sciastro.recipe.library import add_to_library, only_used, with_library
from sciastro.recipe.lights import Light, StackSet, lights_of, stack_sets
from sciastro.recipe.making import MasterBank, make_masters, match_of_made
from sciastro.recipe.matching import MasterPlan, MatchOptions, plan_masters
from sciastro.recipe.measuring import measure_lights
from sciastro.recipe.panels import register_mosaic
from sciastro.recipe.plan import Recipe, recipe_text
from sciastro.recipe.quality import write_quality
from sciastro.recipe.request import UNTIL, RunRequest
from sciastro.recipe.residuals import write_residuals
from sciastro.recipe.rows import frame_rows, master_rows
from sciastro.recipe.session import ScanOptions, Session, scan
from sciastro.recipe.stacking import Stacked, place_canvas, stack_band
from sciastro.recipe.summary import Summary

__all__ = ["RunRequest", "describe_run", "examine", "reduce_session"]

log = logging.getLogger(__name__)


def examine(session: Path, recipe: Recipe) -> Iterator[str]:
    """Yield what a good colleague would say of a session: frames, matches and reasons, what is missing."""
    found = scan(session, options=recipe.of(ScanOptions))
    plan = plan_masters(found, recipe.of(MatchOptions))
    yield from diagnose(found, plan).lines()


def describe_run(request: RunRequest) -> Iterator[str]:
    """Yield what a run would do, without writing anything."""
    request.check()
    found = scan(request.session, leave=request.out, options=request.recipe.of(ScanOptions))
    plan = plan_masters(found, request.recipe.of(MatchOptions))
    yield from diagnose(found, plan).lines()
    yield ""
    yield f"Would write to {request.out}, until {request.until}:"
    for master in plan.masters:
        yield f"  masters/{master.id}.fits from {len(master.frames)} frames"
    for members in stack_sets(lights_of(plan)):
        for band in members.bands:
            lights = members.of_band(band)
            seconds = sum(light.facts.exposure or 0.0 for light in lights)
            yield f"  products/{members.files[band]}.fits from {len(lights)} frames, {seconds:.0f} s"


@dataclass
class _Run:
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

    def old(self, members: StackSet) -> KeptSet | None:
        """Return the stacks that `members` adds to."""
        return self.growth.of(members) if self.growth is not None else None

    @property
    def recipe(self) -> Recipe:
        return self.request.recipe

    @property
    def calibrator(self) -> Calibrator:
        if self.tools is None:
            raise RuntimeError("pass 1 comes first")
        return self.tools

    @property
    def store(self) -> Path:
        return self.context.numbered("frames.h5")

    def goes_on(self, stage: str) -> bool:
        return UNTIL.index(self.request.until) >= UNTIL.index(stage)


def reduce_session(request: RunRequest, *, progress: Progress | None = None) -> dict[str, Any]:
    """Run the whole way and return the content of ``summary.json``.

    Parameters
    ----------
    request
        Folders, recipe, bounds.
    progress
        Who shows how far the run is; None shows nothing.

    Raises
    ------
    SciastroError
        For data the user can mend; ``summary.json`` then has status "failed" and the reason.
    """
    if request.scheduler:  # its workers have working directories of their own
        request = replace(request, session=request.session.resolve(), out=request.out.resolve())
    out = request.prepare_out()
    hand_back_arrays()
    workers = request.workers or (os.cpu_count() or 1)
    context = Context(
        out=out, workers=workers, memory=parse_memory(request.memory), progress=progress or Silent()
    )
    summary = Summary(until=request.until if request.until != "report" else None)
    with locked(out):
        _guarded(request, context, summary)
    return summary.as_dict(context)


def _guarded(request: RunRequest, context: Context, summary: Summary) -> None:
    try:
        with one_owner(), _cluster_of(request, context):
            _go(_begin(request, context, summary))
    except SciastroError as error:
        _write_failure(request, summary, context, str(error))
        raise
    except KeyboardInterrupt:
        _write_failure(request, summary, context, "stopped by the user")
        raise
    except OSError as error:
        if error.errno not in REASONS:
            raise
        told = output_error(error, Path(error.filename or context.out))
        _write_failure(request, summary, context, str(told))
        raise told from error


@contextlib.contextmanager
def _cluster_of(request: RunRequest, context: Context) -> Iterator[None]:
    """Give `context` the cluster that was asked for, and leave it in the end."""
    if not request.scheduler:
        yield
        return
    context.cluster = connect(request.scheduler)
    try:
        yield
    finally:
        context.cluster.close()


def _write_failure(request: RunRequest, summary: Summary, context: Context, reason: str) -> None:
    if request.add:  # the old stack and its summary still stand
        log.error("%s", reason)
        return
    summary.status, summary.error = "failed", reason
    try:
        summary.write(context)
    except SciastroError as error:  # the folder itself may be what failed; the first error is the one to tell
        log.warning("%s", error)


def _begin(request: RunRequest, context: Context, summary: Summary) -> _Run:
    hint = request.sky_hint  # a catalog that cannot be read should fail before hours of work
    stacks = load_stacks(context.out, request.recipe) if request.add else None
    context.night = stacks.nights + 1 if stacks is not None else 1
    with context.stage("ingest"):
        for folder in (context.out, *(context.out / name for name in ("masters", "products", "renders"))):
            sweep(folder)
        session = scan(request.session, leave=request.out, options=request.recipe.of(ScanOptions))
        sources = _sources(session, request)
        plan = only_used(plan_masters(sources, request.recipe.of(MatchOptions)))
        lights = lights_of(plan)
        sets = stack_sets(lights)
        for light in lights:
            if light.facts.exposure is None or not light.facts.exposure > 0:
                light.reason = light.reason or (
                    "has no exposure time (EXPTIME or EXPOSURE); without it there is no rate. Add the card."
                )
        growth = None
        if stacks is not None:
            growth = begin_growth(stacks, session, lights, context)
            sets = growth.join(sets)
        stamps = [(frame.name, *_stamp(session.path(frame))) for frame in sources.frames]
        mark = fingerprint(
            package_version(),
            request.recipe.as_dict(),
            stamps,
            request.catalog and (str(request.catalog), *_stamp(request.catalog)),
            request.ra,
            request.dec,
            request.scale,
            sorted(stacks.hashes) if stacks is not None else [],
            request.raw,
        )
        journal = Journal(context.work, mark, resume=request.resume)
        if request.resume and not journal.resumed:
            context.warn("--resume: no stopped run of these frames and options is here; starting anew.")
        _write_recipe(request, context)
        create_store(
            context.numbered("frames.h5"), lights if growth is None else growth.wanted(lights), session.root,
            mark=mark, resume=journal.resumed, linked=request.raw == "link",
        )  # fmt: skip
    grading = request.recipe.of(GradeOptions)
    if grading.expression and grading.weight != "expression":
        context.warn(
            f"grade.expression is not used, since grade.weight is {grading.weight}; "
            "set grade.weight=expression, or leave it out."
        )
    for path, reason in session.skipped:
        context.warn(f"{path}: {reason}")
    live = {light.match.group.id for light in lights if not light.reason}
    for item in plan.missing:
        lacking = [group for group in item.groups if group in live]
        if lacking:
            context.warn(f"no {MISSING.get(item.what, item.what)} for {_who(lacking, plan)}: {item.cost}")
    run = _Run(
        request, context, summary, session, plan, lights, sets, journal, hint, growth=growth, sources=sources
    )
    _refresh_rows(run)
    return run


MISSING = {"zero level": "bias frames", "dark": "darks", "flat": "flats"}


def _who(groups: Sequence[str], plan: MasterPlan) -> str:
    """Return the lights that `groups` names, by target and filter."""
    if len(groups) == len(plan.matches):
        return "any of the lights"
    named = [match.group for match in plan.matches if match.group.id in groups]
    return ", ".join(dict.fromkeys(f"{group.target} {group.band or 'without filter'}" for group in named))


def _sources(session: Session, request: RunRequest) -> Session:
    """Return the session with the masters of the user's library."""
    return session if request.library is None else with_library(session, request.library)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _write_recipe(request: RunRequest, context: Context) -> None:
    facts = {
        "ra": request.ra,
        "dec": request.dec,
        "scale": request.scale,
        "catalog": request.catalog and request.catalog.name,
    }
    with atomic_path(context.out / "recipe.toml") as temporary:
        Path(temporary).write_text(recipe_text(request.recipe, facts), encoding="utf-8")


def _refresh_rows(run: _Run) -> None:
    run.summary.frames = frame_rows(run.session, run.lights, run.bank)
    if run.growth is not None:
        run.summary.frames = [*run.growth.rows(), *run.summary.frames]


def _go(run: _Run) -> None:
    stages = (
        ("masters", _masters),
        ("calibrate", _pass_one),
        ("register", _place),
        ("integrate", _integrate),
        ("photometry", _photometry),
        ("render", _render),
    )
    for name, work in stages:
        if run.goes_on(name):
            work(run)
            _refresh_rows(run)
    wanted = sum(len(members.bands) for members in run.sets) if run.goes_on("integrate") else 0
    run.summary.settle(wanted)
    if run.goes_on("report"):
        from sciastro.recipe.reporting import write_report  # matplotlib: not for a run that stops before

        with run.context.stage("report"):
            write_report(
                run.context, run.summary.as_dict(run.context), run.session, run.plan, run.lights, run.sets,
                run.stacked, run.finished, run.solutions, run.recipe, run.notes,
            )  # fmt: skip
    run.summary.write(run.context)
    if run.goes_on("integrate"):
        save_stacks(run.context.out, run.sets, run.images, run.recipe, run.context.night)
        if run.growth is not None:
            forget_maps(run.growth, run.context.out)
        run.journal.close()


def _masters(run: _Run) -> None:
    total = sum(len(spec.frames) for spec in run.plan.masters)
    with run.context.stage("masters", total):
        run.bank = make_masters(run.session, run.plan, run.recipe, run.context, run.journal)
        for light in run.lights:
            light.match = match_of_made(light.match, run.bank)
        run.summary.masters = master_rows(run.plan, run.bank)
        if run.growth is not None:
            run.summary.masters = [*run.growth.master_rows, *run.summary.masters]
        store_masters(run.store, run.bank)
        if run.request.library is not None and run.request.library_add:
            add_to_library(run.request.library, run.plan.masters, run.bank)


def _pass_one(run: _Run) -> None:
    if not run.lights:
        raise MatchError(
            "holds no light frames.", where=str(run.request.session),
            remedy="Masters were made; add lights, or check with `sciastro doctor` what was recognized.",
        )  # fmt: skip
    if run.bank is None:
        raise RuntimeError("masters come first")
    with run.context.stage("calibrate", len(run.lights)):
        detector = Detector(run.sources or run.session, run.lights, run.recipe, run.context)
        run.notes = detector.lines()
        blocks = linked_blocks(run.lights, run.session.root) if run.request.raw == "link" else None
        run.tools = Calibrator(
            run.store, run.session.root, run.bank, detector, run.recipe, run.context, blocks
        )
        measure_lights(
            run.lights, run.session.root, run.calibrator, detector, run.recipe, run.context, run.journal
        )
    if all(light.measured is None for light in run.lights):
        reasons = sorted({light.reason for light in run.lights})
        raise MatchError(
            f"has no light frame that can be used: {'; '.join(reasons[:3])}.", where=str(run.request.session),
            remedy="See summary.json for each frame.",
        )  # fmt: skip


def _place(run: _Run) -> None:
    with run.context.stage("solve", len(run.sets)):
        for members in run.sets:
            step = run.calibrator.step(members.cfa)
            solve = solve_set if run.old(members) is None else solve_again
            solution, reason = solve(members, run.hint, run.recipe, run.context, run.session.root, step)
            run.solutions[members.stem], run.reasons[members.stem] = solution, reason
            run.context.progress.advance("solve")
    with run.context.stage("register", len(run.lights)):
        for members in run.sets:
            if run.old(members) is None:
                _register(run, members)
            else:
                _register_added(run, members)
            write_residuals(members, run.solutions[members.stem], run.context)
            name_crossings(members.lights)
        store_facts(run.store, run.lights, run.recipe)
        write_quality(run.sets, run.context)
    if {"calibrated", "registered"} & set(run.request.keep):
        keep_frames(
            run.request.keep,
            [added(members) for members in run.sets],
            run.calibrator,
            run.recipe,
            run.context,
        )
    if not run.recipe.of(CometOptions).enabled:  # a comet is looked for among the stars
        forget_stars(run.sets)


def _register(run: _Run, members: StackSet) -> None:
    """Register and grade a set, and choose its canvas."""
    step, solution = run.calibrator.step(members.cfa), run.solutions[members.stem]
    laid = register_mosaic(members, solution, run.hint, run.recipe, run.context, run.session.root, step)
    if laid is None:
        register_set(members, solution, run.recipe, run.context, step)
        laid = register_camera(members, solution, run.recipe, run.context, step, julian_year(members.lights))
    run.solutions[members.stem] = laid
    grade_set(members, run.recipe, run.context)
    place_canvas(members, laid.wcs if laid else None, run.calibrator, run.recipe, run.context)


def _register_added(run: _Run, members: StackSet) -> None:
    """Register the new frames of a set to its old reference; canvas and old frames stay as they are."""
    step, old = run.calibrator.step(members.cfa), run.old(members)
    register_set(added(members), run.solutions[members.stem], run.recipe, run.context, step)
    if old is not None:
        grade_added(members, old, run.recipe, run.context)


def _integrate(run: _Run) -> None:
    with run.context.stage("integrate", 100 * sum(len(members.bands) for members in run.sets)):
        for members in run.sets:
            solution = run.solutions[members.stem]
            stacked: list[Stacked] = []
            track = None
            if run.old(members) is None:
                track = find_comet(
                    members, solution.wcs if solution else None, run.recipe, run.context,
                    run.calibrator.step(members.cfa),
                )  # fmt: skip
            for band in members.bands:
                one = _stacked(run, members, band, track)
                if one is None:
                    run.context.warn(
                        f"{members.stem} {band}: too few frames are fit for use, so there is no image."
                    )
                    continue
                stacked.append(one)
                bare = replace(one, arrays=empty_stack((0, 0)))
                run.images.setdefault(members.stem, []).append(bare)
                if not run.goes_on("photometry"):
                    run.summary.products.append(_product(run, one, None, solution))
            if run.goes_on("photometry"):
                run.stacked[members.stem] = stacked
    if not run.goes_on("photometry") and not run.summary.products:
        _nothing(run)


def _stacked(run: _Run, members: StackSet, band: str, track: Track | None) -> Stacked | None:
    """Stack a band on the stars, and on a comet where there is one, which has products of its own."""
    old = run.old(members)
    if old is not None:
        return grow_band(members, old, band, run.calibrator, run.recipe, run.context)
    if track is None:
        return stack_band(members, band, run.calibrator, run.recipe, run.context)
    found = stack_comet(members, band, track, run.calibrator, run.recipe, run.context)
    if found is None:
        return None
    run.summary.products += write_comet(found, run.solutions[members.stem], run.recipe, run.context)
    return found.both


def _nothing(run: _Run) -> None:
    reasons = sorted({light.reason for light in run.lights if light.reason})
    raise MatchError(
        f"gave no image: {'; '.join(reasons[:3])}.",
        where=str(run.request.session),
        remedy="See summary.json for each frame.",
    )


def _photometry(run: _Run) -> None:
    if not any(run.stacked.values()):
        _nothing(run)
    with run.context.stage("photometry", sum(len(stacked) for stacked in run.stacked.values())):
        for stem, stacked in run.stacked.items():
            if not stacked:
                continue
            finished, _ = measure_set(stacked, run.hint, run.recipe, run.context)
            run.finished[stem] = finished
            for one, result in zip(stacked, finished, strict=True):
                run.summary.products.append(_product(run, one, result, run.solutions[stem]))


def _product(
    run: _Run, stacked: Stacked, finished: Finished | None, solution: Solution | None
) -> dict[str, Any]:
    """Write the products of a band, as XISF too where that is asked for; return its row of the summary."""
    row = write_band(stacked, finished, solution, run.recipe, run.context)
    if "xisf" in run.request.keep:
        copy_as_xisf(run.context.out / row["image"])
    return row


def _render(run: _Run) -> None:
    from sciastro.recipe.rendering import render_set

    with run.context.stage("render", len(run.stacked)):
        for stem, stacked in run.stacked.items():
            if stacked:
                run.summary.renders += render_set(stacked, run.finished[stem], run.recipe, run.context)
            run.context.progress.advance("render")
