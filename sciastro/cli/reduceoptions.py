"""What `sciastro reduce` takes, beside the options that commands share; nothing heavy is loaded for them."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sciastro.cli.arguments import catalog_name, there_as_file, there_as_folder

__all__ = [
    "Add",
    "Bunit",
    "Distortion",
    "DryRun",
    "FieldDec",
    "FieldRa",
    "FieldScale",
    "JsonLog",
    "Keep",
    "Library",
    "LibraryAdd",
    "Out",
    "Raw",
    "RecipeFile",
    "Resume",
    "Scheduler",
    "Session",
    "Settings",
    "Stars",
    "Until",
    "Workers",
]

# The help shows them in these groups.
_run = partial(typer.Option, rich_help_panel="How far")
_master = partial(typer.Option, rich_help_panel="Masters")
_field = partial(typer.Option, rich_help_panel="Where the field is")
_product = partial(typer.Option, rich_help_panel="Products")

Session = Annotated[
    Path,
    typer.Argument(
        metavar="SESSION",
        help="Folder of raw frames, scanned recursively.",
        callback=there_as_folder,
        readable=False,
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for every product; made if it is not there.")]
Until = Annotated[
    str,
    _run(
        help="Stop after this stage: ingest, masters, calibrate, register, integrate, photometry, render "
        "or report."
    ),
]
Resume = Annotated[bool, _run("--resume", help="Go on where a stopped run of the same recipe ended.")]
Add = Annotated[
    bool,
    _run(
        "--add",
        help="Add the frames of SESSION to the stacks that an earlier run left in OUT, without reading "
        "the old frames again; the recipe in OUT holds.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="STEP.OPTION=VALUE",
        help="Change one option, for instance stack.high=2.5; repeatable. `sciastro config` lists them.",
    ),
]
RecipeFile = Annotated[
    Path | None, typer.Option(help="A recipe.toml to follow.", callback=there_as_file, readable=False)
]
Raw = Annotated[
    str,
    _run(
        metavar="copy|link",
        help="copy keeps raw pixels in frames.h5; link leaves them in SESSION, which saves as much disk.",
    ),
]
Library = Annotated[
    Path | None,
    _master(
        help="Folder of finished masters that serve as well.",
        callback=there_as_folder,
        readable=False,
    ),
]
LibraryAdd = Annotated[
    bool, _master("--library-add", help="Copy the masters that are made into the library.")
]
Stars = Annotated[
    str | None,
    _field(
        metavar="NAME|FILE",
        help="Stars for the WCS and the zero point: your own file (CSV, ECSV, FITS, VOTable), or "
        "a catalog that is fetched once and kept: gaia-dr3, apass-dr9, refcat2, ps1, ...",
        callback=catalog_name,
    ),
]
FieldRa = Annotated[
    float | None, _field(help="Right ascension of the field in degrees, where headers are silent.")
]
FieldDec = Annotated[float | None, _field(help="Declination of the field in degrees.")]
FieldScale = Annotated[
    float | None, _field(help="Pixel scale in arcsec per pixel, where headers are silent.")
]
Distortion = Annotated[
    str | None,
    _product(metavar="sip|tpv", help="Form of distortion in the products; TPV for SCAMP and SWarp."),
]
Bunit = Annotated[
    str | None,
    _product(
        metavar="Jy|nJy|erg|erg-hz",
        help="Also write each calibrated image in a physical unit (erg: per angstrom).",
    ),
]
Keep = Annotated[
    str,
    _product(
        help="Also write intermediate frames (calibrated, registered), or the products as XISF (xisf); "
        "several with commas."
    ),
]
Workers = Annotated[int, typer.Option(help="Threads; 0 takes one per processor.", min=0)]
Scheduler = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="Let the workers of a dask.distributed scheduler do the work, such as tcp://host:8786. They "
        "must see SESSION and OUT under the same paths; --memory then holds for each worker.",
    ),
]
DryRun = Annotated[bool, _run("--dry-run", help="Show the plan and write nothing.")]
JsonLog = Annotated[bool, typer.Option("--json-log", help="Log as JSON lines to standard error.")]
