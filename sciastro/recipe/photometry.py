"""Photometry of one image: its own sources, or the light at given positions, with magnitudes and errors.

Reads a `photometryimages.Target` and, where asked, positions; gives a `QTable`, one row per source or per
position in their order. Method: `photometry.aperture` and `photometry.forced`; the zero point is that of the
file, else fitted to catalog stars over the image.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciastro.core.options import Options, option
from sciastro.core.wcs import pixel_scale
from sciastro.errors import OptionError
from sciastro.io.positions import Positions
from sciastro.measure.stars import PlaneMeasure
from sciastro.photometry.flags import SourceFlag, flags_text
from sciastro.photometry.systems import SYSTEMS
from sciastro.photometry.zeropoint import ZeroPoint
from sciastro.recipe.photometryimages import Given, Target, from_arrays, from_dataset, read_targets
from sciastro.recipe.photometrylight import (
    doubts_of,
    find_stars,
    light_at,
    light_of_sources,
    mark_shapes,
    relative_of,
)
from sciastro.recipe.photometryplaces import OnImage, gather, on_image
from sciastro.recipe.photometryradii import pixels_of, radii_from
from sciastro.recipe.photometryzero import (
    Zeroed,
    at_positions,
    epoch_of,
    with_limits,
    with_magnitudes,
    zeropoint_of,
)

if TYPE_CHECKING:
    import xarray as xr
    from astropy.table import QTable, Table

    from sciastro.recipe.photometrypsf import PsfWork

__all__ = [
    "Measured",
    "PhotometryOptions",
    "aperture_photometry",
    "epoch_of",
    "measure_target",
    "targets_of",
]

ZEROPOINTS = ("auto", "header", "catalog", "none")


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotometryOptions(Options):
    """What is measured on an image, and how."""

    radius: str = option(
        "", "Aperture radii, such as '4px,2.5arcsec,1.5fwhm', the first for `flux`; empty: of best S/N."
    )
    optimal: bool = option(False, "Weight pixels by the profile of stars (Naylor 1998).")
    sky_inner: float = option(4.5, "Inner radius of the sky annulus.", unit="fwhm", low=0.5, high=50.0)
    sky_outer: float = option(8.0, "Outer radius of the sky annulus.", unit="fwhm", low=1.0, high=100.0)
    correct: bool = option(True, "Whether fluxes are corrected to all the light by the stars' growth.")
    fwhm: float | None = option(None, "Width of stars; none measures it.", unit="pixel", low=0.8, high=100.0)
    threshold: float = option(5.0, "Least significance of a star.", unit="sigma", low=2.0, high=1000.0)
    max_stars: int = option(20_000, "Most stars of an image.", low=1, high=1_000_000)
    error_terms: bool = option(False, "Whether every term of the errors is a column.")
    flag_words: bool = option(False, "Whether flags are a column of words, too.")
    zeropoint: str = option("auto", "Where the zero point is from.", choices=ZEROPOINTS)
    zeropoint_catalog: str = option("embedded", "Catalog that calibrates.")
    system: str = option(
        "", "Photometric system, such as 'Johnson V'; empty goes by filter and catalog.",
        choices=("", *SYSTEMS),
    )  # fmt: skip
    spatial: str = option(
        "auto", "Zero point over the field, where it is fitted.", choices=("none", "auto", "1", "2", "3")
    )
    extinction: float | None = option(
        None, "Extinction per airmass, taken as known.", unit="mag", low=0.0, high=3.0
    )
    limit_snr: float = option(5.0, "S/N below which a source has a limit, no magnitude.", low=0.0, high=100.0)
    limit_sigma: float = option(3.0, "Significance of limits, one-sided.", unit="sigma", low=0.5, high=20.0)
    surface_brightness: bool = option(False, "Whether columns of mag / arcsec2 are given.")
    scintillation: float = option(
        1.5, "Coefficient of scintillation (Osborn et al. 2015); 1 is Young (1967), 0 leaves it out.",
        low=0.0, high=20.0,
    )  # fmt: skip
    flat_noise: float = option(
        0.0, "Relative error of the flat field at the scale of a star.", low=0.0, high=1.0
    )
    flat_pixel_noise: float = option(
        0.0, "Relative error of the flat field from pixel to pixel, beyond the variance plane.", low=0.0,
        high=1.0,
    )  # fmt: skip


@dataclass(kw_only=True)
class Measured:
    """What came of one image.

    Attributes
    ----------
    target, table
        The image, and one row per source or position.
    stars
        What was found on it.
    fwhm
        Of stars [pixel].
    zeropoint
        None where there is none.
    notes
        What the user should know.
    """

    target: Target
    table: "QTable"
    stars: PlaneMeasure
    fwhm: float
    zeropoint: ZeroPoint | None
    notes: list[str] = field(default_factory=list)


DEFAULTS = PhotometryOptions()


def measure_target(
    target: Target,
    positions: Positions | None = None,
    *,
    options: PhotometryOptions = DEFAULTS,
    zeropoint: ZeroPoint | None = None,
    psf: "PsfWork | None" = None,
) -> Measured:
    """Measure the sources of an image, or the light at positions.

    Parameters
    ----------
    target
        The image.
    positions
        None measures what is found on it.
    options
        What and how.
    zeropoint
        Of the image, where the caller knows it.
    psf
        Measures by the PSF instead of apertures.

    Raises
    ------
    OptionError
        If the radii or the positions need what the image does not tell (scale, width of stars, world
        coordinates).
    DatasetError
        If the image has no usable pixel.
    """
    if options.sky_outer <= options.sky_inner:
        raise OptionError(
            f"ends at {options.sky_outer:g} and begins at {options.sky_inner:g} FWHM.", where="sky annulus",
            remedy="Let it end beyond its beginning, such as --sky 4.5,8.",
        )  # fmt: skip
    notes = list(target.notes)
    stars = find_stars(target, options)
    fwhm = options.fwhm or stars.fwhm
    if not math.isfinite(fwhm):
        if positions is not None:
            raise OptionError(
                "shows no star that tells the width of stars.", where=target.name,
                remedy="Give it with --fwhm (pixel).",
            )  # fmt: skip
        notes.append("no star tells the width of stars: 3 pixels are assumed")
    scale = pixel_scale(target.wcs) if target.wcs is not None else target.scale
    radii = pixels_of(radii_from(options.radius or None), fwhm=fwhm, scale=scale, where=target.name)
    relative, more = relative_of(target, options)
    notes += more
    found = (
        psf.table(target, stars, fwhm, relative, options)
        if psf is not None
        else light_of_sources(target, stars, fwhm, radii, relative, options, terms=positions is None)
    )
    notes += doubts_of(found) if psf is None else []
    zeroed = zeropoint_of(target, found, options, zeropoint)
    fit = zeroed.fit
    notes += zeroed.notes + (psf.notes if psf is not None else [])
    if positions is None:
        table = with_magnitudes(found, zeroed)
        if psf is None:
            mark_shapes(table, stars, fwhm)
    else:
        places = on_image(positions, target)
        if psf is not None:
            light = psf.at(target, stars, places)
        else:
            radii = radii or [float(found.meta.get("aperture_radius", 1.5 * fwhm))]
            light = light_at(target, places, stars, fwhm, radii, relative, options)
        table = _named(light, target, positions, places, zeroed)
    table = with_limits(table, fit.zeropoint, scale, options)
    return Measured(
        target=target, table=_dressed(table, target, fwhm, options, notes), stars=stars, fwhm=float(fwhm),
        zeropoint=fit.zeropoint, notes=notes,
    )  # fmt: skip


def _named(table: "Table", target: Target, positions: Positions, places: OnImage, zeroed: Zeroed) -> "Table":
    """Return the published table of the light at places: where on the sky, by the names that were given."""
    from astropy import units as u

    _mark_off(table, places)
    table["ra"], table["dec"] = places.ra * u.deg, places.dec * u.deg
    for name in ("ra_err", "dec_err"):
        table[name] = np.full(len(table), np.nan) * u.arcsec
    table.meta["band"] = target.band
    if target.wcs is not None:
        table.meta["pixel_scale"] = pixel_scale(target.wcs)
    out = at_positions(table, zeroed)
    out["name"] = places.names
    out["name"].info.description = "Name of the position, as given"
    out.meta["positions"] = positions.source
    return out


def _mark_off(table: "Table", places: OnImage) -> None:
    """Tell places beyond the image, which have no pixel, from those that are no places."""
    beyond = places.off & ~np.isfinite(places.x)
    flags = np.asarray(table["flags"])
    flags[beyond] = np.uint32(int(SourceFlag.OFF_IMAGE | SourceFlag.CUT))
    table["flags"] = flags


def _dressed(
    table: "Table", target: Target, fwhm: float, options: PhotometryOptions, notes: Sequence[str]
) -> "QTable":
    """Return the table with flags in words on request, and what belongs to the whole image in its meta."""
    from astropy.table import QTable

    if options.flag_words:
        table["flags_text"] = flags_text(table["flags"])
        table["flags_text"].info.description = "Names of the bits of flags"
    table.meta |= {
        "image": target.name, "target": target.target, "band": target.band, "exposure": target.exposure,
        "time": target.time, "unit": target.unit, "n_frames": target.n_frames, "notes": list(notes),
        "scintillation_coefficient": options.scintillation,
    }  # fmt: skip
    return QTable(table)


def aperture_photometry(
    image: "xr.Dataset | str | Path | Any",
    positions: Any = None,
    *,
    variance: Any = None,
    quality: Any = None,
    wcs: Any = None,
    unit: str = "electron / s",
    radius: Any = None,
    band: str | None = None,
    given: Given | None = None,
    options: PhotometryOptions | None = None,
) -> "QTable | list[QTable]":
    """Measure the sources of an image, or the light at positions, by apertures.

    Parameters
    ----------
    image
        An image file (ours or another's), a dataset of `sciastro.open`, or an array (y, x).
    positions
        None measures what is found. Else a file of positions, "RA DEC", the name of an object, a table with
        ``ra, dec`` or ``x, y`` (astropy's or pandas'), a `SkyCoord`, (ra, dec) [deg], regions of the package
        `regions`, or a list of these: one row for each, in their order.
    variance, quality, wcs, unit
        Of an array: variance in `unit` squared (None makes it from the noise), bits of `Quality`, world
        coordinates, unit of the pixels.
    radius
        Aperture radii: numbers (pixel), quantities, or text such as "4px,2.5arcsec,1.5fwhm"; the first is
        that of ``flux``, the next that of ``flux_2``. None takes that of best S/N.
    band
        Filter, where the image does not say it.
    given
        Gain, exposure, telescope, site, where the image does not say them.
    options
        Everything else.

    Returns
    -------
    QTable or list of QTable
        One per image: a list where the dataset has several bands or frames. Columns as in
        `photometry.sources.COLUMNS`, with units; ``to_pandas()`` after ``to_table()`` or at once.

    Raises
    ------
    SciastroError
        If the image or the positions cannot be used; the message says how to mend it.
    """
    given = given or Given()
    options = options or DEFAULTS
    if radius is not None:
        text = ",".join(f"{value!r}{kind}" for value, kind in radii_from(radius))
        options = replace(options, radius=text)
    places = gather(positions)
    targets = targets_of(
        image, variance, quality, wcs=wcs, unit=unit, given=replace(given, band=band or given.band)
    )
    tables = [measure_target(one, places, options=options).table for one in targets]
    return tables[0] if len(tables) == 1 else tables


def targets_of(
    image: "xr.Dataset | str | Path | Any", variance: Any, quality: Any, *, wcs: Any, unit: str, given: Given
) -> list[Target]:
    """Return the images of a file, a dataset or plain arrays, as `aperture_photometry` takes them."""
    import xarray as xr

    if isinstance(image, xr.Dataset):
        return list(from_dataset(image, given))
    if isinstance(image, str | Path):
        return list(read_targets(Path(image), given))
    return [from_arrays(image, variance, quality, wcs=wcs, unit=unit, given=given)]
