"""The stages of a run, in their order: each takes what the earlier ones left and adds its own."""

import logging
from dataclasses import replace
from typing import Any

from sciastro.astrometry.movers import Way
from sciastro.astrometry.solve import Solution
from sciastro.core.lift import beside
from sciastro.errors import MatchError
from sciastro.integrate.moving import CometOptions
from sciastro.integrate.options import StackOptions
from sciastro.integrate.run import empty_stack
from sciastro.integrate.select import NOT_SELECTED
from sciastro.io.xisfproducts import copy_as_xisf
from sciastro.recipe.aligning import register_set
from sciastro.recipe.bandproducts import write_band
from sciastro.recipe.beginning import Run
from sciastro.recipe.calibrating import Calibrator
from sciastro.recipe.canvases import place_canvas
from sciastro.recipe.comets import find_comet, stack_comet, write_comet
from sciastro.recipe.crossings import name_crossings
from sciastro.recipe.detector import Detector
from sciastro.recipe.drifting import register_camera
from sciastro.recipe.finishing import Finished, measure_set
from sciastro.recipe.grading import grade_set
from sciastro.recipe.growing import added, grade_added, solve_again
from sciastro.recipe.growingbands import grow_band
from sciastro.recipe.keeping import keep_frames, linked_blocks, originals_of, store_masters
from sciastro.recipe.keepingstacks import forget_stars
from sciastro.recipe.library import add_to_library
from sciastro.recipe.lights import StackSet
from sciastro.recipe.making import make_masters
from sciastro.recipe.masterbank import MasterBank, match_of_made
from sciastro.recipe.measuring import measure_lights
from sciastro.recipe.noting import MANY, Registered, noting
from sciastro.recipe.panels import register_mosaic
from sciastro.recipe.quality import write_quality
from sciastro.recipe.readying import prepare_memory
from sciastro.recipe.residuals import write_residuals
from sciastro.recipe.rows import master_rows
from sciastro.recipe.setreference import julian_year
from sciastro.recipe.setsolving import solve_set
from sciastro.recipe.stacked import Stacked
from sciastro.recipe.stacking import stack_band
from sciastro.recipe.warming import loading_beside

__all__ = ["integrate", "leave_masters", "masters", "pass_one", "photometry", "place", "render"]

log = logging.getLogger(__name__)


def masters(run: Run) -> None:
    """Make the masters, keep them in the store, and tell the lights which of them they get."""
    total = sum(len(spec.frames) for spec in run.plan.masters)
    with run.context.stage("masters", total), loading_beside(run.goes_on("calibrate")) as ready:
        run.bank = make_masters(run.session, run.plan, run.recipe, run.context, run.journal, ready)
        for light in run.lights:
            light.match = match_of_made(light.match, run.bank)
        run.summary.masters = master_rows(run.plan, run.bank)
        if run.growth is not None:
            run.summary.masters = [*run.growth.master_rows, *run.summary.masters]
        if not (run.goes_on("calibrate") and run.lights) or run.context.cluster is not None:
            _settle_masters(run, run.bank)  # else the last ones are written while pass 1 begins


def _settle_masters(run: Run, bank: MasterBank) -> None:
    """Wait for the files of masters; bring what is missing into the store and the library."""
    bank.settle()
    store_masters(run.store, bank)
    if run.request.library is not None and run.request.library_add:
        add_to_library(run.request.library, run.plan.masters, bank)


def leave_masters(run: Run) -> None:
    """Wait for masters that are still being written when the run ends early with an error to tell."""
    if run.bank is None:
        return
    try:
        run.bank.settle()
    except Exception as error:  # whatever it is, the first error is the one to tell
        log.warning("a master was not written: %s: %s", type(error).__name__, error, exc_info=True)


def pass_one(run: Run) -> None:
    """Calibrate and measure every light, frame by frame."""
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
        root, linked = run.session.root, run.request.raw == "link"
        blocks = linked_blocks(run.lights, root) if linked else None
        originals = None if linked else originals_of(run.lights, root, run.store)
        run.tools = Calibrator(
            run.store, root, run.bank, detector, run.recipe, run.context, blocks, originals
        )
        measure_lights(
            run.lights, run.session.root, run.calibrator, detector, run.recipe, run.context, run.journal
        )
        _settle_masters(run, run.bank)
    if all(light.measured is None for light in run.lights):
        reasons = sorted({light.reason for light in run.lights})
        raise MatchError(
            f"has no light frame that can be used: {'; '.join(reasons[:3])}.", where=str(run.request.session),
            remedy="See summary.json for each frame.",
        )  # fmt: skip


def place(run: Run) -> None:
    """Solve the fields, register and grade the frames, choose the canvas."""
    with run.context.stage("solve", len(run.sets)):
        for members in run.sets:
            step = run.calibrator.step(members.cfa)
            solve = solve_set if run.old(members) is None else solve_again
            solution, reason = solve(members, run.hint, run.recipe, run.context, run.session.root, step)
            run.solutions[members.stem], run.reasons[members.stem] = solution, reason
            run.context.progress.advance("solve")
    with run.context.stage("register", len(run.lights)), beside() as start:
        ready = None
        if run.goes_on("integrate") and len(run.sets) == 1 and run.growth is None:
            ready = start(lambda: prepare_memory(run.sets[0], run.calibrator, run.recipe, run.context))
        for members in run.sets:
            if run.old(members) is None:
                _register(run, members)
            else:
                _register_added(run, members)
            write_residuals(members, run.solutions[members.stem], run.context)
            name_crossings(members.lights)
        write_quality(run.sets, run.context)
        if ready is not None:
            ready.result()  # its error, if any
    run.left = noting(run.registered, run.lights, run.store, run.hint, run.recipe, run.context)
    keeps = bool({"calibrated", "registered"} & set(run.request.keep))
    alone = run.context.cluster is not None or run.context.workers == 1 or len(run.lights) > MANY
    if keeps or alone or not run.goes_on("integrate"):
        _catch_up(run)
    if keeps:
        keep_frames(
            run.request.keep,
            [added(members) for members in run.sets],
            run.calibrator,
            run.recipe,
            run.context,
            adding=run.request.add,
        )
    if not run.recipe.of(CometOptions).enabled:  # a comet is looked for among the stars
        forget_stars(run.sets)


def _catch_up(run: Run) -> None:
    """Do what registration left for later, if it is not done."""
    work, run.left = run.left, None
    if work is not None:
        work()


def _register(run: Run, members: StackSet) -> None:
    """Register and grade a set, and choose its canvas."""
    step, solution = run.calibrator.step(members.cfa), run.solutions[members.stem]
    laid = register_mosaic(members, solution, run.hint, run.recipe, run.context, run.session.root, step)
    if laid is None:
        register_set(members, run.recipe, run.context, step)
        laid = register_camera(members, solution, run.recipe, run.context, step, julian_year(members.lights))
        run.registered.append(Registered(members, step, solution, laid))
    else:
        run.registered.append(Registered(members, step, None, laid))
    run.solutions[members.stem] = laid
    grade_set(members, run.recipe, run.context)
    place_canvas(members, laid.wcs if laid else None, run.calibrator, run.recipe, run.context)


def _register_added(run: Run, members: StackSet) -> None:
    """Register the new frames of a set to its old reference; canvas and old frames stay as they are."""
    step, old = run.calibrator.step(members.cfa), run.old(members)
    new = added(members)
    register_set(new, run.recipe, run.context, step)
    solution = run.solutions[members.stem]
    run.registered.append(Registered(new, step, solution, solution))
    if old is not None:
        grade_added(members, old, run.recipe, run.context)


def integrate(run: Run) -> None:
    """Stack every band of every set."""
    total = 100 * sum(len(members.bands) for members in run.sets)
    with run.context.stage("integrate", total), beside() as start:
        noted = start(lambda: _catch_up(run))
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
        noted.result()
    if not run.goes_on("photometry") and not run.summary.products:
        _nothing(run)


def _stacked(run: Run, members: StackSet, band: str, track: Way | None) -> Stacked | None:
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


def _nothing(run: Run) -> None:
    fewest = run.recipe.of(StackOptions).min_frames
    if fewest > 1 and any(light.weight > 0 for light in run.lights):
        raise MatchError(
            f"gave no image: no band has {fewest} frames that are fit for use.",
            where=str(run.request.session),
            remedy="Add frames, or lower stack.min_frames.",
        )
    reasons = sorted({light.reason for light in run.lights if light.reason})
    remedy = "See summary.json for each frame."
    if any(reason.startswith(NOT_SELECTED) for reason in reasons):
        remedy = f"Loosen grade.select; `sciastro select {run.context.out} 'EXPRESSION'` tries one out."
    raise MatchError(
        f"gave no image: {'; '.join(reasons[:3])}.", where=str(run.request.session), remedy=remedy
    )


def photometry(run: Run) -> None:
    """Measure the stacks and write them with their sources."""
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
    run: Run, stacked: Stacked, finished: Finished | None, solution: Solution | None
) -> dict[str, Any]:
    """Write the products of a band, as XISF too where that is asked for; return its row of the summary."""
    row = write_band(stacked, finished, solution, run.recipe, run.context)
    if "xisf" in run.request.keep:
        copy_as_xisf(run.context.out / row["image"])
    return row


def render(run: Run) -> None:
    """Make the pictures."""
    from sciastro.recipe.rendering import render_set

    with run.context.stage("render", len(run.stacked)):
        for stem, stacked in run.stacked.items():
            if stacked:
                run.summary.renders += render_set(stacked, run.finished[stem], run.recipe, run.context)
            run.context.progress.advance("render")
