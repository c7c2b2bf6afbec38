"""``sciastro select``: try a selection of frames on a finished run, without stacking again."""

from pathlib import Path
from typing import Annotated

import typer

from sciastro.cli.arguments import there_as_folder

__all__ = ["select"]


def select(
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="Folder of a finished run.", callback=there_as_folder, readable=False
        ),
    ],
    expression: Annotated[
        str,
        typer.Argument(
            metavar="EXPRESSION",
            help="Such as 'fwhm < 1.3*median(fwhm) and eccentricity < 0.6', or 'best 80 % by fwhm'.",
        ),
    ],
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="FILE", help="Draw it, too: a picture that ends in .png, .svg or .pdf."
        ),
    ] = None,
) -> None:
    """Show which frames EXPRESSION would keep, with the numbers; the run is not changed."""
    from sciastro.cli.common import console, guarded
    from sciastro.recipe.quality import selection_lines

    with guarded():
        for line in selection_lines(out, expression, plot):
            console.tell(line)
        hint = expression.replace("'", '"')
        console.tell(f"To stack like this: sciastro reduce SESSION -o OUT --set 'grade.select={hint}'")
