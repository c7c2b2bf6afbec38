"""``sciastro inspect``: what one file or folder says of itself, in our words."""

from pathlib import Path
from typing import Annotated

import typer

from sciastro.cli.arguments import there

__all__ = ["inspect"]


def inspect(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Raw frames of any format, products, a frames.h5, or folders.",
            callback=there,
            readable=False,
        ),
    ],
    header: Annotated[bool, typer.Option("--header", help="Show the raw header as well.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="One JSON line per file.")] = False,
) -> None:
    """Show what a file says of itself and where each fact comes from."""
    from sciastro.cli.common import console, error_console, guarded
    from sciastro.errors import SciastroError
    from sciastro.recipe.inspection import inspect_path

    with guarded():
        failed = 0
        for path in paths:
            try:
                for line in inspect_path(path, header=header, as_json=json_):
                    console.tell(line)
            except SciastroError as error:
                error_console.tell(f"sciastro: {error}", style="red")
                failed = error.exit_code
        raise typer.Exit(failed)
