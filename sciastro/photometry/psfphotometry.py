"""PSF photometry of one image: learn the PSF, fit all stars, look again in what is left.

Reads an image [electron / s], its variance and quality, and positions of stars. Gives a table on the scale of
aperture photometry, the PSF and the residual image. Rounds: fit with an analytic PSF, search the residual for
stars that others hid; learn the PSF from the cleaned pixels, fit and search again. Tables
that are learned while stars are hidden would take their light into the PSF.
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.correlation import large_factor, plane_correlation
from sciastro.core.stars import StarArray
from sciastro.errors import DatasetError
from sciastro.photometry.plane import check_planes
from sciastro.photometry.psffind import find_more, roughness_of
from sciastro.photometry.psffit import FitPlane, errors_of, fit_plane, start_fit
from sciastro.photometry.psflearning import Seed, first_model, from_seed, learn
from sciastro.photometry.psfmodel import PsfModel
from sciastro.photometry.psfoptions import PsfOptions
from sciastro.photometry.psfrounds import SkyMap, Tell, begin, refit, resmoothed, weeded, without_suspects
from sciastro.photometry.psfstars import normalized, tie_stars
from sciastro.photometry.psfstructure import Structure
from sciastro.photometry.psftable import fit_table

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["PsfOptions", "PsfResult", "Seed", "SkyMap", "no_sky", "plane_of", "psf_photometry"]

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

DEFAULTS = PsfOptions()


@dataclass(frozen=True, slots=True)
class PsfResult:
    """What PSF photometry of an image gives.

    Attributes
    ----------
    table
        One row per star, see `psftable.COLUMNS`.
    model
        The PSF.
    residual
        float32 (y, x), the image less all stars and less the smooth sky, its unit; NaN where missing.
    sky
        float32 (y, x), the smooth sky.
    structure
        Where the last search took the residual for a nebula; None where none was made.
    """

    table: "Table"
    model: PsfModel
    residual: Singles
    sky: Singles
    structure: Structure | None = None


def no_sky(image: Singles, quality: npt.NDArray[np.uint16]) -> Singles:
    """Return a sky (y, x) of zero: the annuli about the stars tell all of it."""
    return np.zeros_like(image)


def psf_photometry(
    image: npt.NDArray[Any],
    variance: npt.NDArray[Any],
    quality: npt.NDArray[Any],
    stars: StarArray,
    *,
    fwhm: float,
    noise_correlation: float = 1.0,
    autocorrelation: Floats | None = None,
    sky_map: SkyMap = no_sky,
    model: PsfModel | None = None,
    seed: Seed | None = None,
    pinned: npt.NDArray[np.bool_] | None = None,
    options: PsfOptions = DEFAULTS,
    tell: Tell = log.info,
) -> PsfResult:
    """Fit the PSF to every star of an image, and to those that only its residual shows.

    Parameters
    ----------
    image, variance
        float32 (y, x), electron / s and its square; NaN is missing.
    quality
        uint16 (y, x), bits of `Quality`. SATURATED pixels are left out: such stars are fit from their wings.
    stars
        `STAR_DTYPE`; only positions are used. Order is kept; more stars come after them.
    fwhm
        Typical full width at half maximum of stars [pixel].
    noise_correlation, autocorrelation
        As in `aperture.measure_sources`.
    sky_map
        Makes the smooth sky of an image.
    model
        A PSF that is known; None learns it.
    seed
        The PSF of a similar image to begin with, where none is known; it saves most of the learning. One that
        does not suit the image is left out.
    pinned
        (star,) which positions are known and kept; None as `options.fixed` says for all.
    tell
        Is told what happens.

    Raises
    ------
    DatasetError
        If the planes differ in shape, nothing is usable, or `fwhm` is not a positive number.
    """
    pixels = _checked(image, variance, quality, fwhm)
    bits = np.ascontiguousarray(quality, np.uint16)
    smooth = sky_map(pixels, bits)
    plane = plane_of(pixels - smooth, variance, bits, autocorrelation, noise_correlation)
    fit = start_fit(stars["x"], stars["y"], pinned=options.fixed if pinned is None else pinned)
    given = model
    seed = seed if seed is not None and seed.suits(pixels.shape, fwhm) else None
    if model is None and seed is not None:
        model = from_seed(plane, fit, seed, fwhm, options)
    elif model is None:
        model = first_model(plane, fit, fwhm, options, tell)
    else:
        begin(plane, model, fit, options)
    smooth = resmoothed(plane, smooth, sky_map, bits)
    chosen = np.empty(0, np.intp)
    structure: Structure | None = None
    for k in range(options.searches + 1):
        taught = min(1, options.searches)  # the first search is made with the analytic PSF
        rounds = options.rounds if k == taught and seed is None else 1
        if given is None and k >= taught:
            if 0 < k < options.searches:
                fit = without_suspects(plane, model, fit, chosen)
            order = -1 if seed is None else seed.model.order
            model, chosen = learn(plane, model, fit, options, rounds, tell, order=order)
        refit(plane, model, fit, options, tell if fit.size > 5000 else None)
        if k == options.searches:
            break
        structure = roughness_of(plane, model, fit, structure)
        fit, count = find_more(plane, model, fit, options.threshold, options.max_stars, structure=structure)
        tell(f"search {k + 1} of the residual: {count} more stars, {fit.size} in all")
        if count:
            refit(plane, model, fit, options, tell if fit.size > 5000 else None)
            fit = weeded(plane, model, fit, options, structure)
        smooth = resmoothed(plane, smooth, sky_map, bits)
        if not count and given is not None:
            break
    if given is None and model.kind != "assumed":
        rows = tie_stars(
            plane, model, fit, *errors_of(plane, model, fit, options), chosen, least_snr=options.psf_snr
        )
        tied = normalized(plane, model, fit, rows, options.total_radius * model.fwhm, options)
        fit.flux *= model.tables[0].sum() / tied.tables[0].sum()
        model = tied
    columns, under = errors_of(plane, model, fit, options)
    table = fit_table(
        plane, model, fit, columns, under, options.least_snr, unseen=options.unseen, structure=structure
    )
    residual = np.where(np.isfinite(pixels), plane.residual, np.float32(np.nan)).astype(np.float32)
    return PsfResult(table, model, residual, smooth, structure)


def plane_of(
    residual: Singles, variance: npt.NDArray[Any], quality: npt.NDArray[np.uint16],
    autocorrelation: Floats | None, noise_correlation: float,
) -> FitPlane:  # fmt: skip
    """Return what is fit: an image less its smooth sky, whose noise is known whole or by one factor.

    Parameters
    ----------
    residual, variance, quality
        (y, x) [electron, electron2, bits].
    autocorrelation
        (2 K + 1, 2 K + 1) of the noise; None, or NaN in it, where only `noise_correlation` is known.
    noise_correlation
        Noise of large areas over that of uncorrelated pixels.
    """
    if autocorrelation is None or not np.isfinite(autocorrelation).all():
        autocorrelation = plane_correlation(noise_correlation)
    factor = large_factor(autocorrelation)
    return fit_plane(
        residual, variance, quality, autocorrelation=autocorrelation,
        correlation=factor if factor > 0 else 1.0,
    )  # fmt: skip


def _checked(
    image: npt.NDArray[Any], variance: npt.NDArray[Any], quality: npt.NDArray[Any], fwhm: float
) -> Singles:
    check_planes(image, variance, quality, fwhm)
    pixels = np.ascontiguousarray(image, dtype=np.float32)
    if not np.isfinite(pixels).any():
        raise DatasetError(
            "holds no finite pixel.", where="image", remedy="Check the frame, or leave it out."
        )
    return pixels
