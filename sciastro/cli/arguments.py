"""Options that commands share, and checks of what the user types; nothing heavy is loaded for them."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "ApplyColor",
    "AsJson",
    "Filters",
    "Memory",
    "Offline",
    "Quiet",
    "Sensor",
    "WhiteReference",
    "catalog_name",
]

Offline = Annotated[
    bool, typer.Option("--offline", help="Ask nothing over the network; kept catalogs still serve.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as one line of JSON.")]
Memory = Annotated[str, typer.Option(help="Bound on peak memory.")]
WhiteReference = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|B-V|FILE",
        help="What shall look white: G2V, spiral, Vega, flat, the B-V of a star, or a file with a spectrum.",
    ),
]
Sensor = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE", help="Response of the sensor: cmos, ccd, bayer, or a file (FILE#COLUMN)."
    ),
]
Filters = Annotated[
    str | None,
    typer.Option(
        metavar="CURVES",
        help="Curves of filters: dichroic, or R=FILE,G=FILE#COLUMN,Ha=656.3/7; others lie before all bands.",
    ),
]
ApplyColor = Annotated[
    bool,
    typer.Option("--apply-color", help="Also write the products times their gains, as PRODUCT_color.fits."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars, no closing words.")]


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
