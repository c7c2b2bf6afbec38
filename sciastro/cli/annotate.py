"""``sciastro annotate``: what is in images, by name."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["annotate"]


def annotate(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="FITS, TIFF, picture, camera raw.", readable=False)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Picture to write; NAME_annotated.png if not told.")
    ] = None,
    objects: Annotated[
        str,
        typer.Option(
            help="What to show: deepsky, stars, figures, boundaries, or names such as 'M 13, NGC 6207'."
        ),
    ] = "",
    grid: Annotated[bool, typer.Option(help="Lines of right ascension and declination.")] = True,
    size: Annotated[int, typer.Option(help="Longest side of the picture.", min=200, max=20000)] = 2400,
    solve: Annotated[
        bool, typer.Option("--solve", help="Solve, whatever the file says of its place.")
    ] = False,
    ra: Annotated[float | None, typer.Option(help="Rough center, in degrees.", min=0.0, max=360.0)] = None,
    dec: Annotated[float | None, typer.Option(help="Rough center, in degrees.", min=-90.0, max=90.0)] = None,
    scale: Annotated[float | None, typer.Option(help="Pixel scale, in arcsec.", min=0.01)] = None,
    seconds: Annotated[float, typer.Option(help="Time for solving.", min=1.0)] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON with all that is there.")] = False,
) -> None:
    """Name what is in an image: a picture with outlines, names and a grid, and a table beside it."""
    from sciastro.cli.common import console, guarded
    from sciastro.errors import UsageError
    from sciastro.recipe.annotating import Wish, annotate_file
    from sciastro.recipe.solving import Question

    with guarded():
        if (ra is None) != (dec is None):
            raise UsageError("go together.", where="--ra and --dec", remedy="Give both, or none.")
        wish = Wish(
            objects=tuple(name.strip() for name in objects.split(",") if name.strip()), grid=grid, size=size,
            solve=solve, question=Question(ra=ra, dec=dec, scale=scale, seconds=seconds, write=False),
        )  # fmt: skip
        done = annotate_file(file, output, wish)
        if as_json:
            console.tell(done.as_json())
            return
        things = done.content
        console.tell(
            f"{done.path}: {things.meta['constellation']}, {len(things)} objects and stars; {done.picture}, "
            f"{done.table}"
        )
        for row in things[:12]:
            extra = f" ({row['common']})" if row["common"] and row["common"] != row["name"] else ""
            text = f"  {row['name']}{extra}: {row['type']}, x {row['x'].value:.0f}, y {row['y'].value:.0f}"
            console.tell(text)
