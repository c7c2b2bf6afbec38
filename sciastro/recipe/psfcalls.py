"""PSF photometry by one call: a file, a dataset or arrays in, a table out."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciastro.recipe.photometry import PhotometryOptions, measure_target, targets_of
from sciastro.recipe.photometryimages import Given
from sciastro.recipe.photometryplaces import gather
from sciastro.recipe.photometrypsf import PsfRequest, PsfWork

if TYPE_CHECKING:
    import xarray as xr
    from astropy.table import QTable

__all__ = ["measure_by_psf"]


def _quiet(text: str) -> None:
    """Tell nothing."""


def measure_by_psf(
    image: "xr.Dataset | str | Path | Any",
    positions: Any = None,
    *,
    variance: Any = None,
    quality: Any = None,
    wcs: Any = None,
    unit: str = "electron / s",
    band: str | None = None,
    given: Given | None = None,
    options: PhotometryOptions | None = None,
    psf: PsfRequest | None = None,
) -> "QTable | list[QTable]":
    """Measure the stars of an image, or the light at positions, by the point spread function.

    Parameters
    ----------
    image, positions, variance, quality, wcs, unit, band, given, options
        As `photometry.aperture_photometry` takes them; options of apertures have no meaning.
    psf
        The PSF to use, its order, searches of the residual.

    Returns
    -------
    QTable or list of QTable
        One per image; columns of `photometry.sources.COLUMNS` and `photometry.psftable.COLUMNS`.

    Raises
    ------
    SciastroError
        If the image or the positions cannot be used; the message says how to mend it.
    """
    given = given or Given()
    places = gather(positions)
    tables = []
    for target in targets_of(
        image, variance, quality, wcs=wcs, unit=unit, given=replace(given, band=band or given.band)
    ):
        work = PsfWork(psf or PsfRequest(), _quiet)
        measured = measure_target(target, places, options=options or PhotometryOptions(), psf=work)
        tables.append(measured.table)
    return tables[0] if len(tables) == 1 else tables
