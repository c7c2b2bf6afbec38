"""Options that commands share, and checks of what the user types; nothing heavy is loaded for them."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

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
    "there",
    "there_as_file",
    "there_as_folder",
]

_color = partial(typer.Option, rich_help_panel="Colors")  # where the help shows them

Offline = Annotated[
    bool, typer.Option("--offline", help="Ask nothing over the network; kept catalogs still serve.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as one line of JSON.")]
Memory = Annotated[str, typer.Option(help="Bound on peak memory.")]
WhiteReference = Annotated[
    str | None,
    _color(
        metavar="NAME|B-V|FILE",
        help="What shall look white: G2V, spiral, Vega, flat, the B-V of a star, or a file with a spectrum.",
    ),
]
Sensor = Annotated[
    str | None,
    _color(metavar="NAME|FILE", help="Response of the sensor: cmos, ccd, bayer, or a file (FILE#COLUMN)."),
]
Filters = Annotated[
    str | None,
    _color(
        metavar="CURVES",
        help="Curves of filters: dichroic, or R=FILE,G=FILE#COLUMN,Ha=656.3/7; others lie before all bands.",
    ),
]
ApplyColor = Annotated[
    bool,
    _color("--apply-color", help="Also write the products times their gains, as PRODUCT_color.fits."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars, no closing words.")]


class _NotThere(typer.BadParameter):
    """A path that is not there: the command is right, and what it names can be mended."""

    exit_code = 3


def _checked(value: Any, is_there: Callable[[Path], bool], kind: str) -> Any:
    """Return paths as they are given, one or several or none."""
    for path in value if isinstance(value, list | tuple) else [value]:
        if path is not None and not is_there(path):
            how = f"is no {kind}" if os.path.lexists(path) else "does not exist"
            raise _NotThere(f"'{path}' {how}. Check the path.")
        if path is not None and not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
            raise _NotThere(f"'{path}' may not be read: permission denied. Check its permissions.")
    return value


def there(value: Any) -> Any:
    """Return paths of files or folders that are there; who names another one ends with exit code 3."""
    return _checked(value, os.path.exists, "file or folder that may be read")


def there_as_file(value: Any) -> Any:
    """Return the path of a file; see `there`."""
    return _checked(value, os.path.isfile, "file")


def there_as_folder(value: Any) -> Any:
    """Return the path of a folder; see `there`."""
    return _checked(value, os.path.isdir, "folder")


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
        raise _NotThere(f"'{value}' does not exist, and is no catalog that is known.")
    return value
