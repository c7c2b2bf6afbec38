"""``sciastro reduce``: the whole way from a folder of raw frames to science, pictures and a report."""

import typer

from sciastro.cli.arguments import ApplyColor, Filters, Memory, Offline, Quiet, Sensor, WhiteReference
from sciastro.cli.color import color_settings
from sciastro.cli.reduceoptions import (
    Add,
    Bunit,
    Distortion,
    DryRun,
    FieldDec,
    FieldRa,
    FieldScale,
    JsonLog,
    Keep,
    Library,
    LibraryAdd,
    Out,
    Raw,
    RecipeFile,
    Resume,
    Scheduler,
    Session,
    Settings,
    Stars,
    Until,
    Workers,
)

__all__ = ["reduce"]


def reduce(
    session: Session,
    out: Out,
    until: Until = "report",
    resume: Resume = False,
    add: Add = False,
    set_: Settings = None,
    recipe: RecipeFile = None,
    raw: Raw = "copy",
    library: Library = None,
    library_add: LibraryAdd = False,
    catalog: Stars = None,
    offline: Offline = False,
    ra: FieldRa = None,
    dec: FieldDec = None,
    scale: FieldScale = None,
    distortion: Distortion = None,
    bunit: Bunit = None,
    white_reference: WhiteReference = None,
    sensor: Sensor = None,
    filters: Filters = None,
    apply_color: ApplyColor = False,
    keep: Keep = "",
    memory: Memory = "2GB",
    workers: Workers = 0,
    scheduler: Scheduler = "",
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json_log: JsonLog = False,
) -> None:
    """Reduce every raw frame under SESSION; write products, pictures and a report to OUT.

    Exit code 0: all done. 3: data that you can mend (the message says what). 4: done, but frames, products
    or world coordinates are missing that you did not leave out yourself (incomplete in summary.json).
    """
    from sciastro.cli.common import Bars, announce_first_use, console, guarded, json_logging, offline_if
    from sciastro.io.paths import output_errors
    from sciastro.recipe.plan import load_recipe
    from sciastro.recipe.request import LOG
    from sciastro.recipe.run import RunRequest, reduce_session

    form = [] if distortion is None else [f"solve.distortion={distortion.lower()}"]
    form += [] if bunit is None else [f"photometry.units.bunit={bunit}"]
    colors = color_settings(white_reference, sensor, filters, apply_color)
    with guarded(resumable=True), offline_if(offline):
        with output_errors(out):  # even looking may be forbidden
            own = out / "recipe.toml" if add and (out / "recipe.toml").is_file() else None
        request = RunRequest(
            session=session,
            out=out,
            recipe=load_recipe(recipe or own, [*(set_ or []), *form, *colors]),
            until=until,
            resume=resume,
            add=add,
            raw=raw,
            library=library,
            library_add=library_add,
            catalog=catalog,
            ra=ra,
            dec=dec,
            scale=scale,
            keep=tuple(part.strip() for part in keep.split(",") if part.strip()),
            memory=memory,
            workers=workers,
            scheduler=scheduler,
        )
        if dry_run:
            from sciastro.recipe.run import describe_run

            for line in describe_run(request):
                console.tell(line)
            raise typer.Exit(0)
        announce_first_use(quiet=quiet or json_log)
        with (
            request.new_out() as folder,
            json_logging(folder / LOG, to_stderr=json_log),
            Bars(quiet=quiet or json_log) as bars,
        ):
            summary = reduce_session(request, progress=bars)
        if not quiet:
            from sciastro.cli.closing import closing_words

            for line in closing_words(summary, out):
                console.tell(line)
        raise typer.Exit(0 if summary["status"] == "ok" else 4)
