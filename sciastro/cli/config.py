"""``sciastro config``: every option of every step, its default, unit, range and meaning."""

from pathlib import Path
from typing import Annotated

import typer

from sciastro.cli.arguments import there_as_file

__all__ = ["config"]


def config(
    step: Annotated[str | None, typer.Argument(help="Show only this step, for instance stack.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="STEP.OPTION=VALUE", help="Change one option first.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="A recipe.toml to start from.", callback=there_as_file, readable=False)
    ] = None,
    toml: Annotated[
        bool, typer.Option("--toml", help="Print as a recipe.toml, ready for `reduce --recipe`.")
    ] = False,
) -> None:
    """List the options that `--set` and recipe.toml take."""
    from sciastro.cli.common import console, guarded
    from sciastro.recipe.plan import describe_steps, load_recipe, recipe_text

    with guarded():
        chosen = load_recipe(recipe, set_ or [])
        if toml:
            typer.echo(recipe_text(chosen), nl=False)
            return
        for line in describe_steps(chosen, step):
            console.tell(line)
