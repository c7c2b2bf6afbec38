"""What `sciastro lightcurve` takes; nothing heavy is loaded for it."""

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
    "LimbDarkening",
    "MidTransit",
    "Name",
    "Obscode",
    "Out",
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

Session = Annotated[
    Path,
    typer.Argument(
        metavar="SESSION", help="Folder of raw frames of one or several nights, or of a finished run."
    ),
]
Target = Annotated[
    str, typer.Option("--target", metavar="NAME|'RA DEC'", help="The star: a name, or its place.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the products.")]
Comp = Annotated[
    list[str] | None,
    typer.Option(
        "--comp",
        metavar="NAME|'RA DEC'",
        help="A comparison star, taken as it is; may be repeated. None: they are chosen.",
    ),
]
Name = Annotated[str, typer.Option(help="What to call the star in products and exports.")]
Filter = Annotated[str | None, typer.Option("--filter", help="Filter; else that of most frames.")]
ZeropointCatalog = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="Catalog of magnitudes: embedded, gaia-dr3, refcat2 ...",
        callback=catalog_name,
    ),
]
System = Annotated[
    str, typer.Option(metavar="SYSTEM", help="Of the magnitudes: 'Johnson V', 'Cousins R', 'SDSS r' ...")
]
Transit = Annotated[
    str, typer.Option(metavar="auto|yes|no", help="Fit a transit; auto: where the data ask for it.")
]
Period = Annotated[float | None, typer.Option(help="Orbital period in days.")]
MidTransit = Annotated[float | None, typer.Option(help="A mid-transit time, BJD (TDB).")]
LimbDarkening = Annotated[
    str,
    typer.Option(
        metavar="auto|U1,U2",
        help="Quadratic limb darkening, center of its prior; auto: by filter and star.",
    ),
]
Temperature = Annotated[
    float | None, typer.Option(help="Of the star in K, for its limb darkening; else by its color.")
]
Seconds = Annotated[
    float, typer.Option(help="Most time for drawing from the posterior, per aperture.", min=1.0)
]
Detrend = Annotated[
    str,
    typer.Option(
        metavar="auto|none|NAMES",
        help="Causes of a transit's baseline: airmass,fwhm,x,y,sky,time,night; auto: all sets, averaged.",
    ),
]
Radii = Annotated[str, typer.Option(metavar="R[,R...]", help="Aperture radii that are tried, in FWHM.")]
Export = Annotated[
    str, typer.Option(metavar="F[,F...]", help="aavso, exoplanet, etd, csv, parquet, votable.")
]
Obscode = Annotated[str, typer.Option(help="AAVSO code of the observer, for exports.")]
Planet = Annotated[str, typer.Option(help="Name of the planet, for --export exoplanet.")]
Binning = Annotated[str, typer.Option(help="Such as 1x1, where headers are silent.")]
Camera = Annotated[str, typer.Option(metavar="CCD|DSLR", help="For exports; CMOS counts as CCD.")]
Site = Annotated[
    str | None, typer.Option(metavar="LATITUDE,LONGITUDE[,HEIGHT]", help="Where headers are silent.")
]
Telescope = Annotated[float | None, typer.Option(help="Diameter in meters, for scintillation.", min=0.001)]
FieldRa = Annotated[float | None, typer.Option(help="Of the field, degrees, where headers are silent.")]
FieldDec = Annotated[float | None, typer.Option(help="Of the field, degrees.")]
FieldScale = Annotated[float | None, typer.Option(help="Of the field, arcsec per pixel.")]
Workers = Annotated[int, typer.Option(help="Threads; 0: one per processor.", min=0)]
