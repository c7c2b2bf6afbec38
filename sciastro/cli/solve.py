"""``sciastro solve``: where images look."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sciastro.cli.arguments import Offline, catalog_name

if TYPE_CHECKING:
    from sciastro.recipe.solveanswer import Answer
    from sciastro.recipe.solved import Solved

__all__ = ["solve"]


def solve(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILES...", help="FITS, TIFF, pictures, camera raw.", readable=False),
    ],
    ra: Annotated[float | None, typer.Option(help="Rough center, in degrees.", min=0.0, max=360.0)] = None,
    dec: Annotated[float | None, typer.Option(help="Rough center, in degrees.", min=-90.0, max=90.0)] = None,
    scale: Annotated[float | None, typer.Option(help="Pixel scale, in arcsec.", min=0.01)] = None,
    radius: Annotated[float, typer.Option(help="How far off it may be, in degrees.", min=0.01)] = 5.0,
    engine: Annotated[
        str | None,
        typer.Option(
            help="Whom to ask: sciastro, tetra3rs, solve-field, astrometry, nova, or auto (ours, then what "
            "is installed here); as config.toml says, else sciastro."
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Time per file.", min=1.0)] = 60.0,
    blind: Annotated[bool, typer.Option("--blind", help="Do not look at what the header says.")] = False,
    write: Annotated[
        bool, typer.Option(help="Write the WCS: into the header of FITS, else into NAME.wcs beside it.")
    ] = True,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write copies there and leave the files as they are."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that other programs made.")
    ] = False,
    distortion: Annotated[
        str, typer.Option(metavar="sip|tpv", help="Form of distortion; TPV for SCAMP and SWarp.")
    ] = "sip",
    catalog: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Stars for the last fit: gaia-dr3 or another catalog (fetched once and kept), or your own "
            "file.",
            callback=catalog_name,
        ),
    ] = None,
    offline: Offline = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Write a page of how good the solutions are, and tables of residuals beside it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON per file.")] = False,
) -> None:
    """Find where images look, with or without hints; a guess is never returned."""
    begin = time.monotonic()
    from sciastro.recipe.solveahead import looked_ahead, taking_turns

    looking = looked_ahead(files[0])  # stars are found while the rest is loaded
    with taking_turns():
        from sciastro.recipe.solvereading import begun

        read = begun(files[0], looking)
        del looking  # and with it the pixels, when they are given away
        from sciastro.cli.common import guarded, offline_if
        from sciastro.io.paths import new_folder
        from sciastro.recipe.solvewriting import Writing
        from sciastro.recipe.solving import Question, solve_files

    unsolved = 0
    with guarded(), offline_if(offline), ExitStack() as folders:
        _check(ra, dec, engine, distortion)
        for folder in (None if report is None else report.parent, output if write else None):
            if folder is not None:
                folders.enter_context(new_folder(folder))
        question = Question(
            ra=ra, dec=dec, scale=scale, radius=radius, seconds=seconds, blind=blind, write=write,
            writing=Writing(folder=output, overwrite=overwrite, distortion=distortion.lower()), engine=engine,
            catalog=catalog,
        )  # fmt: skip
        solved: list[Solved] = []
        pages = solved if report is not None else None
        for answer in solve_files(files, question, solved=pages, read=read, since=begin):
            unsolved += not answer.solved
            text = answer.as_json() if as_json else _sentence(answer)
            typer.echo(text)
        if report is not None:
            from sciastro.recipe.positions import write_solution_page

            write_solution_page(report, solved, title=_title(files))
        if unsolved:
            raise typer.Exit(3 if unsolved == len(files) else 4)


def _check(ra: float | None, dec: float | None, engine: str | None, distortion: str) -> None:
    """Raise where options do not go together or name what does not exist."""
    from sciastro.errors import UsageError
    from sciastro.recipe.engines import chosen_engines

    if (ra is None) != (dec is None):
        raise UsageError("go together.", where="--ra and --dec", remedy="Give both, or none.")
    chosen_engines(engine)
    if distortion.lower() not in ("sip", "tpv"):
        raise UsageError(f"is {distortion!r}.", where="--distortion", remedy="Give sip or tpv.")


def _title(files: list[Path]) -> str:
    return files[0].name if len(files) == 1 else f"{len(files)} images"


def _sentence(answer: "Answer") -> str:
    """Return what is told of one file."""
    if not answer.solved or answer.center_deg is None:
        named = answer.reason.startswith((answer.path, str(Path(answer.path).resolve())))
        return answer.reason if named else f"{answer.path}: {answer.reason}"
    ra, dec = answer.center_deg
    mirrored = ", mirrored" if answer.parity == -1 else ""
    return (
        f"{answer.path}: RA {ra:.5f}, Dec {dec:+.5f} deg, {answer.scale_arcsec_px:.4f} arcsec / pixel, up is "
        f"{answer.rotation_deg:.2f} deg east of north{mirrored}; {answer.n_stars} stars, rms "
        f"{answer.rms_arcsec:.2f} arcsec, {answer.engine}, {answer.seconds:.1f} s"
        + (f" -> {answer.written}" if answer.written and answer.written != answer.path else "")
        + (f" ({answer.note})" if answer.note else "")
    )
