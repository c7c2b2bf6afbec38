"""What `sciastro photometry` takes, by what it is about; nothing heavy is loaded for it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from sciastro.cli.arguments import catalog_name

__all__ = [
    "Airmass",
    "ApertureDiameter",
    "At",
    "Bunit",
    "Catalog",
    "Correct",
    "ErrorTerms",
    "Exposure",
    "Extinction",
    "Faintest",
    "Filter",
    "FlagWords",
    "FlatNoise",
    "FlatPixelNoise",
    "Formats",
    "Frames",
    "Fwhm",
    "Gain",
    "Inject",
    "LimitSigma",
    "Optimal",
    "Out",
    "Psf",
    "PsfModelFile",
    "PsfOrder",
    "Radius",
    "ReadNoise",
    "Regions",
    "Saturation",
    "Scintillation",
    "Searches",
    "Seed",
    "Site",
    "Sky",
    "Spatial",
    "SurfaceBrightness",
    "System",
    "Targets",
    "Threshold",
    "Zeropoint",
    "ZeropointCatalog",
    "as_typed",
]

# The help shows them in these groups.
_where = partial(typer.Option, rich_help_panel="What is measured")
_aperture = partial(typer.Option, rich_help_panel="Apertures")
_psf = partial(typer.Option, rich_help_panel="Point spread function")
_magnitude = partial(typer.Option, rich_help_panel="Magnitudes")
_header = partial(typer.Option, rich_help_panel="What headers do not say")
_table = partial(typer.Option, rich_help_panel="Tables")

Targets = Annotated[
    list[Path],
    typer.Argument(metavar="TARGET...", help="Images, or folders of finished runs.", readable=False),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Folder for the tables; else `photometry` in the run, or here."),
]

# --- where ----------------------------------------------------------------------------------------------

At = Annotated[
    list[str] | None,
    _where(
        metavar="FILE|'RA DEC'|NAME",
        help="Measure there instead of what is found: a table or ds9 region file, a position, an "
        "object; may be repeated.",
    ),
]
Catalog = Annotated[
    str | None,
    _where(
        metavar="NAME|FILE",
        help="Measure at the stars of a catalog: embedded, gaia-dr3, ...",
        callback=catalog_name,
    ),
]
Faintest = Annotated[float | None, _where(help="Faintest star of --catalog, in mag.", min=-30, max=40)]
Frames = Annotated[bool, _where("--frames", help="Measure every frame of the run, too, on its own pixels.")]
Fwhm = Annotated[
    float | None,
    _where(help="Width of stars in pixels, if it is not to be measured.", min=0.8, max=100.0),
]
Threshold = Annotated[float, _where(help="Least significance of a star.", min=2.0, max=1000.0)]

# --- apertures ------------------------------------------------------------------------------------------

Radius = Annotated[
    str,
    _aperture(
        metavar="R[,R...]",
        help="Aperture radii in px, arcsec or fwhm ('4px,2.5arcsec,1.5fwhm'), the first for `flux`; if "
        "you do not say, that of best S/N.",
    ),
]
Sky = Annotated[str | None, _aperture(metavar="INNER,OUTER", help="Sky annulus, in FWHM; else 4.5,8.")]
Optimal = Annotated[bool, _aperture("--optimal", help="Weight pixels by the profile of stars (Naylor 1998).")]
Correct = Annotated[
    bool, _aperture(help="Correct to all the light of a star, or give what is in the aperture.")
]

# --- the PSF --------------------------------------------------------------------------------------------

Psf = Annotated[
    bool,
    _psf(
        "--psf",
        help="Fit the point spread function instead of apertures, for crowded fields: to what is found, or "
        "at given positions. Also writes the PSF and the image without its stars.",
    ),
]
PsfModelFile = Annotated[
    Path | None, _psf(metavar="FILE", help="A PSF that --psf wrote, instead of learning it.")
]
PsfOrder = Annotated[int, _psf(help="Highest polynomial of the PSF over the field.", min=0, max=3)]
Searches = Annotated[int, _psf(help="With --psf: searches of the residual for more stars.", min=0, max=10)]
Inject = Annotated[
    int,
    _psf(
        metavar="N",
        help="With --psf: put N artificial stars in, and tell how many are found and how "
        "true their fluxes are.",
        min=0,
        max=1_000_000,
    ),
]
Seed = Annotated[int, _psf(help="Of the artificial stars.", min=0)]

# --- magnitudes -----------------------------------------------------------------------------------------

Zeropoint = Annotated[
    str, _magnitude(metavar="auto|header|catalog|none", help="Where the zero point is from.")
]
ZeropointCatalog = Annotated[
    str,
    _magnitude(
        metavar="NAME|FILE",
        help="Catalog that calibrates: embedded, gaia-dr3, refcat2, ...",
        callback=catalog_name,
    ),
]
System = Annotated[
    str,
    _magnitude(
        metavar="SYSTEM", help="'Johnson V', 'Cousins R', 'SDSS r', 'Pan-STARRS i', 'Gaia G', 'Tycho VT'."
    ),
]
Spatial = Annotated[
    str, _magnitude(metavar="none|auto|1|2|3", help="Degree of the zero point over the field.")
]
Extinction = Annotated[float | None, _magnitude(help="Magnitudes per airmass, if known.", min=0.0, max=3.0)]
LimitSigma = Annotated[
    float, _magnitude(help="Significance of the limits of what is below S/N 5.", min=0.5, max=20.0)
]
Bunit = Annotated[
    str,
    _magnitude(
        metavar="Jy|nJy|erg|erg-hz", help="Also write our images in a physical unit (erg: per angstrom)."
    ),
]
SurfaceBrightness = Annotated[bool, _magnitude("--surface-brightness", help="Columns of mag / arcsec2.")]

# --- what headers do not say ----------------------------------------------------------------------------

Filter = Annotated[
    str | None, _header("--filter", help="Filter of the images, if their headers do not say it.")
]
Gain = Annotated[float | None, _header(help="Electrons per unit of the image.", min=1e-6, max=1e9)]
ReadNoise = Annotated[float | None, _header(help="In electrons.", min=0.0, max=1e9)]
Saturation = Annotated[
    float | None,
    _header(help="Level at which pixels saturate, in the unit of the image.", min=1e-6),
]
Exposure = Annotated[float | None, _header(help="In seconds.", min=1e-6, max=1e9)]
ApertureDiameter = Annotated[
    float | None, _header(help="Of the telescope in meters, for scintillation.", min=1e-3, max=1e3)
]
Site = Annotated[str | None, _header(help="LATITUDE,LONGITUDE[,HEIGHT], for scintillation.")]
Airmass = Annotated[float | None, _header(help="For scintillation.", min=1.0)]
Scintillation = Annotated[
    float,
    _header(help="Its coefficient: 1.5 (Osborn 2015), 1 (Young 1967), 0 none.", min=0.0, max=20.0),
]
FlatNoise = Annotated[
    float, _header(help="Relative error of the flat at the scale of a star.", min=0.0, max=1.0)
]
FlatPixelNoise = Annotated[
    float, _header(help="The same from pixel to pixel, if ERR lacks it.", min=0.0, max=1.0)
]

# --- tables ---------------------------------------------------------------------------------------------

ErrorTerms = Annotated[bool, _table("--error-terms", help="A column for each term of the errors.")]
FlagWords = Annotated[bool, _table("--flag-words", help="A column of flags in words.")]
Formats = Annotated[str, _table("--format", metavar="F[,F...]", help="ecsv, fits, csv, parquet, votable.")]
Regions = Annotated[bool, _table("--regions", help="Also write ds9 regions.")]


@contextmanager
def as_typed(owners: Sequence[type[Any]], renamed: dict[str, str]) -> Iterator[None]:
    """Say the option that was typed where options of the library are wrong.

    Parameters
    ----------
    owners
        Classes of options that are filled from the command line.
    renamed
        Name of an option of theirs -> that of the command line, where they differ.
    """
    from sciastro.errors import OptionError

    names = {owner.__name__ for owner in owners}
    try:
        yield
    except OptionError as error:
        owner, dot, name = error.where.partition(".")
        if not dot or owner not in names:
            raise
        typed = renamed.get(name, name).replace("_", "-")
        raise OptionError(error.found, where=f"--{typed}", remedy=error.remedy) from error
