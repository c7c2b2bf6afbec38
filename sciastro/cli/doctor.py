"""``sciastro doctor``: what is there, which master each light gets and why, what is missing."""

from pathlib import Path
from typing import Annotated

import typer

from sciastro.cli.arguments import there_as_folder

__all__ = ["doctor"]


def doctor(
    session: Annotated[
        Path,
        typer.Argument(
            metavar="SESSION",
            help="Folder of raw frames, scanned recursively.",
            callback=there_as_folder,
            readable=False,
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="STEP.OPTION=VALUE",
            help="Change one option, for instance match.temperature_tolerance=2.",
        ),
    ] = None,
) -> None:
    """Look at SESSION like a good colleague: frames, matches with reasons, and what is missing."""
    from sciastro.cli.common import console, guarded
    from sciastro.recipe.plan import load_recipe
    from sciastro.recipe.run import examine

    with guarded():
        for line in examine(session, load_recipe(None, set_ or [])):
            console.tell(line)
