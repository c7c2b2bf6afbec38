"""``sciastro reduce``: the whole way from a folder of raw frames to science, pictures and a report."""

from pathlib import Path
from typing import Annotated

import typer

from sciastro.cli.arguments import Memory, Offline, catalog_name
from sciastro.cli.color import APPLY_HELP, FILTERS_HELP, SENSOR_HELP, WHITE_HELP, color_settings

__all__ = ["reduce"]

STEPS_HELP = (
    "Stop after this stage: ingest, masters, calibrate, register, integrate, photometry, render or report."
)


def reduce(
    session: Annotated[
        Path,
        typer.Argument(
            metavar="SESSION", help="Folder of raw frames, scanned recursively.", exists=True, file_okay=False
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for every product; made if it is not there.")
    ],
    until: Annotated[str, typer.Option(help=STEPS_HELP)] = "report",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a stopped run of the same recipe ended.")
    ] = False,
    add: Annotated[
        bool,
        typer.Option(
            "--add",
            help="Add the frames of SESSION to the stacks that an earlier run left in OUT, without reading "
            "the old frames again; the recipe in OUT holds.",
        ),
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="STEP.OPTION=VALUE",
            help="Change one option, for instance stack.high=2.5; repeatable. `sciastro config` lists them.",
        ),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="A recipe.toml to follow.", exists=True, dir_okay=False)
    ] = None,
    raw: Annotated[
        str,
        typer.Option(
            metavar="copy|link",
            help="copy keeps raw pixels in frames.h5; link leaves them in SESSION, which saves as much disk.",
        ),
    ] = "copy",
    library: Annotated[
        Path | None,
        typer.Option(
            help="Folder of finished masters that serve as well.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    library_add: Annotated[
        bool, typer.Option("--library-add", help="Copy the masters that are made into the library.")
    ] = False,
    catalog: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Stars for the WCS and the zero point: your own file (CSV, ECSV, FITS, VOTable), or "
            "a catalog that is fetched once and kept: gaia-dr3, apass-dr9, refcat2, ps1, ...",
            callback=catalog_name,
        ),
    ] = None,
    offline: Offline = False,
    ra: Annotated[
        float | None, typer.Option(help="Right ascension of the field in degrees, where headers are silent.")
    ] = None,
    dec: Annotated[float | None, typer.Option(help="Declination of the field in degrees.")] = None,
    scale: Annotated[
        float | None, typer.Option(help="Pixel scale in arcsec per pixel, where headers are silent.")
    ] = None,
    distortion: Annotated[
        str | None,
        typer.Option(metavar="sip|tpv", help="Form of distortion in the products; TPV for SCAMP and SWarp."),
    ] = None,
    bunit: Annotated[
        str | None,
        typer.Option(
            metavar="Jy|nJy|erg|erg-hz",
            help="Also write each calibrated image in a physical unit (erg: per angstrom).",
        ),
    ] = None,
    white_reference: Annotated[str | None, typer.Option(metavar="NAME|B-V|FILE", help=WHITE_HELP)] = None,
    sensor: Annotated[str | None, typer.Option(metavar="NAME|FILE", help=SENSOR_HELP)] = None,
    filters: Annotated[str | None, typer.Option(metavar="CURVES", help=FILTERS_HELP)] = None,
    apply_color: Annotated[bool, typer.Option("--apply-color", help=APPLY_HELP)] = False,
    keep: Annotated[
        str,
        typer.Option(
            help="Also write intermediate frames (calibrated, registered), or the products as XISF (xisf); "
            "several with commas."
        ),
    ] = "",
    memory: Memory = "2GB",
    workers: Annotated[int, typer.Option(help="Threads; 0 takes one per processor.", min=0)] = 0,
    scheduler: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Let the workers of a dask.distributed scheduler do the work, such as tcp://host:8786. They "
            "must see SESSION and OUT under the same paths; --memory then holds for each worker.",
        ),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars, no closing words.")] = False,
    json_log: Annotated[
        bool, typer.Option("--json-log", help="Log as JSON lines to standard error.")
    ] = False,
) -> None:
    """Reduce every raw frame under SESSION; write products, pictures and a report to OUT.

    Exit code 0: all done. 3: data that you can mend (the message says what). 4: done, but frames, products
    or world coordinates are missing that you did not leave out yourself (incomplete in summary.json).
    """
    from sciastro.cli.common import Bars, announce_first_use, console, guarded, json_logging, offline_if
    from sciastro.io.paths import output_errors
    from sciastro.recipe.plan import load_recipe
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
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(0)
        log_path = request.prepare_out() / "log.jsonl"
        announce_first_use(quiet=quiet or json_log)
        with json_logging(log_path, to_stderr=json_log), Bars(quiet=quiet or json_log) as bars:
            summary = reduce_session(request, progress=bars)
        if not quiet:
            from sciastro.cli.closing import closing_words

            for line in closing_words(summary, out):
                console.print(line, markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(0 if summary["status"] == "ok" else 4)
