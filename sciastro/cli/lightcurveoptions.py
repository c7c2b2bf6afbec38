"""What `sciastro lightcurve` takes, by what it is about; nothing heavy is loaded for it."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sciastro.cli.arguments import catalog_name

__all__ = [
    "Binning",
    "Camera",
    "Comp",
    "Detrend",
    "Export",
    "FieldDec",
    "FieldRa",
    "FieldScale",
    "Filter",
    "Inclination",
    "InclinationError",
    "LimbDarkening",
    "MidTransit",
    "Name",
    "Obscode",
    "Out",
    "OrbitSize",
    "OrbitSizeError",
    "Period",
    "Planet",
    "Radii",
    "Seconds",
    "Session",
    "Site",
    "System",
    "Target",
    "Telescope",
    "Temperature",
    "Transit",
    "Workers",
    "ZeropointCatalog",
]

# The help shows them in these groups.
_stars = partial(typer.Option, rich_help_panel="Stars and apertures")
_magnitude = partial(typer.Option, rich_help_panel="Magnitudes")
_transit = partial(typer.Option, rich_help_panel="Transit")
_header = partial(typer.Option, rich_help_panel="What headers do not say")
_export = partial(typer.Option, rich_help_panel="Exports")

Session = Annotated[
    Path,
    typer.Argument(
        metavar="SESSION",
        help="Folder of raw frames of one or several nights, or of a finished run.",
        readable=False,
    ),
]
Target = Annotated[
    str, typer.Option("--target", metavar="NAME|'RA DEC'", help="The star: a name, or its place.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the products.")]
Workers = Annotated[int, typer.Option(help="Threads; 0: one per processor.", min=0)]

# --- stars ----------------------------------------------------------------------------------------------

Comp = Annotated[
    list[str] | None,
    _stars(
        "--comp",
        metavar="NAME|'RA DEC'",
        help="A comparison star, taken as it is; may be repeated. None: they are chosen.",
    ),
]
Radii = Annotated[str, _stars(metavar="R[,R...]", help="Aperture radii that are tried, in FWHM.")]
Filter = Annotated[str | None, _stars("--filter", help="Filter; else that of most frames.")]

# --- magnitudes -----------------------------------------------------------------------------------------

ZeropointCatalog = Annotated[
    str,
    _magnitude(
        metavar="NAME|FILE",
        help="Catalog of magnitudes: embedded, gaia-dr3, refcat2 ...",
        callback=catalog_name,
    ),
]
System = Annotated[
    str, _magnitude(metavar="SYSTEM", help="Of the magnitudes: 'Johnson V', 'Cousins R', 'SDSS r' ...")
]

# --- transit --------------------------------------------------------------------------------------------

Transit = Annotated[
    str, _transit(metavar="auto|yes|no", help="Fit a transit; auto: where the data ask for it.")
]
Period = Annotated[float | None, _transit(help="Orbital period in days.")]
MidTransit = Annotated[float | None, _transit(help="A mid-transit time, BJD (TDB).")]
OrbitSize = Annotated[
    float | None, _transit(help="a / Rs of a circular orbit, where known, beside --period: a Gaussian prior.")
]
OrbitSizeError = Annotated[float | None, _transit(help="Standard error of --a-rs; else 5 % of it.")]
Inclination = Annotated[
    float | None,
    _transit(help="Of the orbit in degrees, where known, beside --period: a Gaussian prior."),
]
InclinationError = Annotated[
    float | None, _transit(help="Standard error of --inclination in degrees; else 1.")
]
LimbDarkening = Annotated[
    str,
    _transit(
        metavar="auto|U1,U2",
        help="Quadratic limb darkening, center of its prior; auto: by filter and star.",
    ),
]
Temperature = Annotated[
    float | None, _transit(help="Of the star in K, for its limb darkening; else by its color.")
]
Seconds = Annotated[
    float, _transit(help="A safety: most time for drawing from the posterior, per aperture.", min=1.0)
]
Detrend = Annotated[
    str,
    _transit(
        metavar="auto|none|NAMES",
        help="Causes of a transit's baseline: airmass,fwhm,x,y,sky,time,night; auto: all sets, averaged.",
    ),
]

# --- what headers do not say ------------------------------------------------------------------------------

Site = Annotated[str | None, _header(metavar="LATITUDE,LONGITUDE[,HEIGHT]", help="Where headers are silent.")]
Telescope = Annotated[float | None, _header(help="Diameter in meters, for scintillation.", min=0.001)]
FieldRa = Annotated[float | None, _header(help="Of the field, degrees, where headers are silent.")]
FieldDec = Annotated[float | None, _header(help="Of the field, degrees.")]
FieldScale = Annotated[float | None, _header(help="Of the field, arcsec per pixel.")]

# --- exports --------------------------------------------------------------------------------------------

Export = Annotated[str, _export(metavar="F[,F...]", help="aavso, exoplanet, etd, csv, parquet, votable.")]
Name = Annotated[str, _export(help="What to call the star in products and exports.")]
Obscode = Annotated[str, _export(help="AAVSO code of the observer, for exports.")]
Planet = Annotated[str, _export(help="Name of the planet, for --export exoplanet.")]
Binning = Annotated[str, _export(help="Such as 1x1, where headers are silent.")]
Camera = Annotated[str, _export(metavar="CCD|DSLR", help="For exports; CMOS counts as CCD.")]
