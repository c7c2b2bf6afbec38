"""PSF photometry as a step on an integrated dataset: the dataset in, a table per band out.

`measure_psf_bands` reads ``image``, ``image_variance`` and ``image_quality`` (dims band, y, x), where present
``noise_correlation``, ``noise_autocorrelation`` and ``wcs``, and changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from sciastro.core import vocabulary as v
from sciastro.core.options import option
from sciastro.core.stars import StarArray
from sciastro.core.vocabulary import require
from sciastro.photometry.psfmodel import PsfModel
from sciastro.photometry.psfphotometry import PsfOptions, PsfResult, SkyMap, no_sky, psf_photometry
from sciastro.photometry.sources import add_positions
from sciastro.photometry.steps import noise_of, wcs_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PsfStepOptions", "measure_psf_bands"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PsfStepOptions(PsfOptions):
    """Whether and how the sources of a run are measured by their PSF."""

    use: bool = option(False, "Measure the sources of products by their PSF, not by apertures.")


DEFAULTS = PsfOptions()


def measure_psf_bands(
    ds: "xr.Dataset",
    stars: Mapping[str, StarArray],
    fwhm: Mapping[str, float],
    *,
    sky_map: SkyMap = no_sky,
    models: Mapping[str, PsfModel] = MappingProxyType({}),
    options: PsfOptions = DEFAULTS,
) -> dict[str, PsfResult]:
    """Measure the stars of every band of an integrated dataset by their PSF.

    Parameters
    ----------
    ds
        As for `steps.measure_bands`. Computes the planes of one band at a time.
    stars, fwhm
        Band -> what was detected, and the width of stars [pixel]; bands that are not in it are left out.
    sky_map
        Makes the smooth sky of an image; without it the rings about the stars tell all of it.
    models
        Band -> a PSF that is known; others are learned.

    Returns
    -------
    dict
        Band -> table of `psf_photometry` (with ``ra``, ``dec`` where there is a WCS), PSF, residual image and
        sky. Stars that were given come first in the table, in their order.
    """
    require(ds, v.IMAGE, v.IMAGE_VARIANCE, v.IMAGE_QUALITY, v.BAND)
    wcs = wcs_of(ds)
    results = {}
    for k, band in enumerate(str(name) for name in ds["band"].values):
        if band not in stars:
            continue
        image, variance, quality = (
            ds[name].isel(band=k).values for name in ("image", "image_variance", "image_quality")
        )
        result = psf_photometry(
            image, variance, quality, stars[band], fwhm=float(fwhm[band]), **noise_of(ds, k), sky_map=sky_map,
            model=models.get(band), options=options,
        )  # fmt: skip
        table = add_positions(result.table, wcs) if wcs is not None else result.table
        table.meta |= {"band": band, "shape": list(ds["image"].shape[1:])}
        results[band] = replace(result, table=table)
    return results
