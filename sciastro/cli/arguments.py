"""Options that commands share, and checks of what the user types; nothing heavy is loaded for them."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Memory", "Offline", "catalog_name"]

Offline = Annotated[
    bool, typer.Option("--offline", help="Ask nothing over the network; kept catalogs still serve.")
]
Memory = Annotated[str, typer.Option(help="Bound on peak memory.")]


def catalog_name(value: str | None) -> str | None:
    """Return the name of a catalog, or of a file that exists, as the user gives it."""
    if value is None or Path(value).is_file():
        return value
    from sciastro.errors import SciastroError
    from sciastro.recipe.catalogs import EMBEDDED, is_remote

    try:
        known = value == EMBEDDED or is_remote(value)
    except SciastroError as error:
        raise typer.BadParameter(f"{error.found} {error.remedy}") from error
    if not known:
        raise typer.BadParameter(f"File '{value}' does not exist.")
    return value
