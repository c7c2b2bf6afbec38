"""``sciastro catalog``: the star catalog that comes with the package, and those that are fetched and kept."""

from pathlib import Path
from typing import Annotated

import typer

from sciastro.cli.arguments import there_as_file

__all__ = ["catalog"]

ACTIONS = ("status", "fetch", "clear", "verify")


def catalog(
    action: Annotated[
        str | None,
        typer.Argument(metavar="status|fetch|clear|verify", help="What to do with kept catalogs."),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="REGION",
            help="What to fetch: RA DEC RADIUS in degrees, an object's name, an image with world "
            "coordinates, or a folder of frames.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--catalog",
            metavar="NAME",
            help="embedded, gaia-dr3 (what fetch takes if you do not say), tycho2, refcat2, ps1, ...",
        ),
    ] = None,
    ra: Annotated[float | None, typer.Option(help="Center of a cone, in degrees.")] = None,
    dec: Annotated[float | None, typer.Option(help="Center of a cone, in degrees.")] = None,
    radius: Annotated[
        float | None, typer.Option(help="Radius in degrees; 0.5 if nothing tells.", min=0.0, max=180.0)
    ] = None,
    brightest: Annotated[int, typer.Option(help="Show at most this many stars.", min=1)] = 20,
    faintest: Annotated[
        float | None, typer.Option(help="Fetch or show stars to this magnitude; all if you do not say.")
    ] = None,
    epoch: Annotated[float | None, typer.Option(help="Julian year to move the stars to.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Look into your own catalog instead.", callback=there_as_file, readable=False),
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check the data against their digests.")] = False,
    damaged: Annotated[bool, typer.Option("--damaged", help="Clear only what verify tells of.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Fetch nothing; what is kept still serves.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The status as JSON.")] = False,
) -> None:
    """Describe the embedded star catalog, list stars of a cone (--ra --dec), or look after kept catalogs.

    status tells what is kept; fetch brings a region here, to be used offline; clear removes it; verify checks
    every file.
    """
    from sciastro.cli.common import console, guarded, offline_if
    from sciastro.errors import UsageError

    with guarded(), offline_if(offline):
        if action is None and not verify:
            from sciastro.recipe.inspection import catalog_lines

            lines = catalog_lines(
                ra=ra, dec=dec, radius=0.5 if radius is None else radius, brightest=brightest, epoch=epoch,
                file=file, catalog=name, faintest=faintest,
            )  # fmt: skip
        else:
            from sciastro.recipe import catalogkeeping as keeping

            chosen = action or "verify"
            if chosen not in ACTIONS:
                raise UsageError(
                    f"is '{chosen}'.", where="sciastro catalog", remedy=f"Choose from {', '.join(ACTIONS)}."
                )
            if region and chosen != "fetch":
                raise UsageError(f"takes no region ('{region[0]}').", where=f"sciastro catalog {chosen}")
            if chosen == "status" and as_json:
                import json

                typer.echo(json.dumps(keeping.status_rows(), indent=1))
                return
            if chosen == "status":
                lines = keeping.status_lines()
            elif chosen == "verify":
                lines = keeping.verify_lines()
            elif chosen == "clear":
                lines = keeping.clear_lines(name, damaged=damaged)
            else:
                lines = keeping.fetch_lines(
                    region or [], catalog=name or "gaia-dr3", radius=radius, faintest=faintest
                )
        for line in lines:
            console.tell(line)
