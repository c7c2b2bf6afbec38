"""The whole way: scan, match, masters, pass 1, solve and register, pass 2, photometry, picture, report."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sciastro.core.cluster import connect
from sciastro.core.lift import one_owner, processors
from sciastro.core.scratch import release
from sciastro.errors import SciastroError
from sciastro.io.lock import LOCK, locked
from sciastro.io.paths import REASONS, output_error
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.recipe import stages
from sciastro.recipe.beginning import Run, begin, refresh_rows
from sciastro.recipe.colorcurves import check_color
from sciastro.recipe.compiling import compiling_ahead
from sciastro.recipe.context import Context, Progress, Silent, hand_back_arrays, parse_memory
from sciastro.recipe.doctor import diagnose
from sciastro.recipe.growing import forget_maps
from sciastro.recipe.keepingstacks import save_stacks
from sciastro.recipe.leftovers import State, name_leftovers, products_now
from sciastro.recipe.lights import lights_of, stack_sets
from sciastro.recipe.masterplan import MatchOptions
from sciastro.recipe.matching import plan_masters
from sciastro.recipe.plan import Recipe
from sciastro.recipe.request import LOG, RunRequest
from sciastro.recipe.session import ScanOptions, scan
from sciastro.recipe.summary import Summary

__all__ = ["RunRequest", "describe_run", "examine", "reduce_session"]

log = logging.getLogger(__name__)


def examine(session: Path, recipe: Recipe) -> Iterator[str]:
    """Yield what a good colleague would say of a session: frames, matches and reasons, what is missing."""
    found = scan(session, options=recipe.of(ScanOptions))
    plan = plan_masters(found, recipe.of(MatchOptions))
    yield from diagnose(found, plan, recipe=recipe).lines()


def describe_run(request: RunRequest) -> Iterator[str]:
    """Yield what a run would do, without writing anything."""
    request.check()
    found = scan(request.session, leave=request.out, options=request.recipe.of(ScanOptions))
    plan = plan_masters(found, request.recipe.of(MatchOptions))
    yield from diagnose(found, plan, recipe=request.recipe).lines()
    yield ""
    yield f"Would write to {request.out}, until {request.until}:"
    for master in plan.masters:
        yield f"  masters/{master.id}.fits from {len(master.frames)} frames"
    for members in stack_sets(lights_of(plan)):
        for band in members.bands:
            lights = members.of_band(band)
            seconds = sum(light.facts.exposure or 0.0 for light in lights)
            yield f"  products/{members.files[band]}.fits from {len(lights)} frames, {seconds:.0f} s"


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
        For data the user can mend. Once there are frames to work on, ``summary.json`` then has status
        "failed" and the reason; a run that is refused before leaves its folder as it was.
    """
    if request.scheduler:  # its workers have working directories of their own
        request = replace(request, session=request.session.resolve(), out=request.out.resolve())
    hand_back_arrays()
    workers = request.workers or processors()
    summary = Summary(until=request.until if request.until != "report" else None)
    with request.new_out() as out:
        context = Context(
            out=out, workers=workers, memory=parse_memory(request.memory), progress=progress or Silent()
        )
        try:
            with locked(out), _compiling(request, context):
                _guarded(request, context, summary)
        finally:
            release()
    return summary.as_dict(context)


def _compiling(request: RunRequest, context: Context) -> contextlib.AbstractContextManager[None]:
    """Return what gives this run helpers that compile; with a cluster, its workers compile."""
    if request.scheduler or request.until in ("ingest", "masters"):
        return contextlib.nullcontext()
    return compiling_ahead("calibrate", request.until, workers=context.workers, memory=context.memory)


def _guarded(request: RunRequest, context: Context, summary: Summary) -> None:
    try:
        check_color(request.recipe.of(ColorOptions))
        before = {} if request.add else products_now(context.out)
        with one_owner(), _cluster_of(request, context):
            _go(begin(request, context, summary), before)
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
    if not context.begun:  # the caller tells the reason; a log would go with the rest
        _leave_nothing(context.out)
        return
    if request.add:  # what is there still stands
        log.error("%s", reason)
        return
    summary.status, summary.error = "failed", reason
    try:
        summary.write(context)
    except SciastroError as error:  # the folder itself may be what failed; the first error is the one to tell
        log.warning("%s", error)


def _leave_nothing(out: Path) -> None:
    """Take away the lock and the log where a run that is refused has left nothing else; it holds the lock."""
    with contextlib.suppress(OSError):
        left = list(out.iterdir())
        if {path.name for path in left} <= {LOCK, LOG}:
            for path in left:
                path.unlink()


def _go(run: Run, before: State) -> None:
    order = (
        ("masters", stages.masters),
        ("calibrate", stages.pass_one),
        ("register", stages.place),
        ("integrate", stages.integrate),
        ("photometry", stages.photometry),
        ("render", stages.render),
    )
    try:
        for name, work in order:
            if run.goes_on(name):
                work(run)
                refresh_rows(run)
    except BaseException:  # an interrupt, too, must end the writing of masters; all is raised again
        stages.leave_masters(run)
        raise
    wanted = sum(len(members.bands) for members in run.sets) if run.goes_on("integrate") else 0
    run.summary.settle(wanted)
    name_leftovers(before, run.context)
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
