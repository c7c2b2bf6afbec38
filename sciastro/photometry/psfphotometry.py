"""PSF photometry of one image: learn the PSF, fit all stars, look again in what is left.

Reads an image [electron / s], its variance and quality, and positions of stars. Gives a table on the scale of
aperture photometry, the PSF and the residual image. Rounds: fit, learn from the cleaned pixels, fit again;
then a search of the residual for stars that others hid, and all once more.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.correlation import large_factor, plane_correlation
from sciastro.core.options import option
from sciastro.core.stars import StarArray
from sciastro.errors import DatasetError
from sciastro.photometry.plane import check_planes
from sciastro.photometry.psfbuild import choose_order, cut_out, fit_analytic, improve, pixel_blur, sound_stars
from sciastro.photometry.psffind import find_more
from sciastro.photometry.psffit import (
    FitOptions,
    FitPlane,
    StarFit,
    errors_of,
    fit_plane,
    measure_sky,
    put,
    set_reach,
    start_fit,
    sweep,
)
from sciastro.photometry.psfmodel import PsfModel, moffat_model
from sciastro.photometry.psfstars import choose_stars, normalized
from sciastro.photometry.psftable import fit_table

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["PsfOptions", "PsfResult", "SkyMap", "psf_photometry"]

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Tell = Callable[[str], None]
SkyMap = Callable[[Singles, npt.NDArray[np.uint16]], Singles]
"""Image and quality (y, x) to the sky level at every pixel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PsfOptions(FitOptions):
    """How the PSF is learned and stars are found."""

    order: int = option(3, "Highest polynomial of the PSF over the field.", low=0, high=3)
    psf_stars: int = option(150, "Most stars that the PSF is learned from.", low=1, high=2000)
    psf_snr: float = option(60.0, "S/N of stars that the PSF is learned from.", low=5.0)
    rounds: int = option(3, "Times that the PSF is improved.", low=1, high=10)
    searches: int = option(2, "Times that the residual is searched for more stars.", low=0, high=10)
    threshold: float = option(5.0, "Least S/N of stars found there.", unit="sigma", low=2.0, high=100.0)
    max_stars: int = option(200_000, "Most stars.", low=1, high=5_000_000)
    total_radius: float = option(
        4.0, "Radius that counts as all the light of a star.", unit="fwhm", low=1.5, high=10.0
    )
    least_snr: float = option(5.0, "Below this S/N a star has a flux and no magnitude.", low=0.0)
    fixed: bool = option(False, "Keep the positions that the stars came with.")
    unseen: bool = option(
        True,
        "Count in errors what companions do that nothing shows; not where the list of stars is complete.",
    )


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
    """

    table: "Table"
    model: PsfModel
    residual: Singles
    sky: Singles


SUSPECT, SUSPECT_REACH = 0.03, 2.5  # of a PSF star's light, within so many widths
MOST_BLUR = 0.05  # beyond it, pixels far from the center would decide (DAOPHOT, too, takes 5 %)


def no_sky(image: Singles, quality: npt.NDArray[np.uint16]) -> Singles:
    """Return a sky of zero: the annuli about the stars tell all of it."""
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
    if autocorrelation is None or not np.isfinite(autocorrelation).all():
        autocorrelation = plane_correlation(noise_correlation)
    factor = large_factor(autocorrelation)
    smooth = sky_map(pixels, bits)
    plane = fit_plane(
        pixels - smooth, variance, bits, autocorrelation=autocorrelation,
        correlation=factor if factor > 0 else 1.0,
    )  # fmt: skip
    fit = start_fit(stars["x"], stars["y"], pinned=options.fixed if pinned is None else pinned)
    given = model
    if model is None:
        model = _first_model(plane, fit, fwhm, options, tell)
    else:
        _begin(plane, model, fit, options)
    smooth = _resmoothed(plane, smooth, sky_map, bits)
    chosen = np.empty(0, np.intp)
    for k in range(options.searches + 1):
        rounds = options.rounds if k == min(1, options.searches) else 1
        if given is None and k >= min(1, options.searches):
            if 0 < k < options.searches:
                fit = _without_suspects(plane, model, fit, chosen)
            model, chosen = _learn(plane, model, fit, options, rounds, tell)
        _refit(plane, model, fit, options, tell if fit.size > 5000 else None)
        if k == options.searches:
            break
        fit, count = find_more(plane, model, fit, options.threshold, options.max_stars)
        tell(f"search {k + 1} of the residual: {count} more stars, {fit.size} in all")
        if count:
            _refit(plane, model, fit, options, tell if fit.size > 5000 else None)
            fit = _weeded(plane, model, fit, options)
        smooth = _resmoothed(plane, smooth, sky_map, bits)
        if not count and given is not None:
            break
    if given is None and model.kind != "assumed":
        tied = normalized(plane, model, fit, chosen, options.total_radius * model.fwhm, options)
        fit.flux *= model.tables[0].sum() / tied.tables[0].sum()
        model = tied
    columns, under = errors_of(plane, model, fit, options)
    table = fit_table(plane, model, fit, columns, under, options.least_snr, unseen=options.unseen)
    residual = np.where(np.isfinite(pixels), plane.residual, np.float32(np.nan)).astype(np.float32)
    return PsfResult(table, model, residual, smooth)


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


def _begin(plane: FitPlane, model: PsfModel, fit: StarFit, options: PsfOptions) -> None:
    """Give all stars a first flux, and a first sky once their light is gone."""
    set_reach(plane, model, fit, options)
    sweep(plane, model, fit, options, sweeps=2, hold=True)
    put(plane, model, fit, 1.0)
    set_reach(plane, model, fit, options)
    put(plane, model, fit, -1.0)
    sweep(plane, model, fit, options, sweeps=3)
    measure_sky(plane, model, fit, options)


def _refit(plane: FitPlane, model: PsfModel, fit: StarFit, options: PsfOptions, tell: Tell | None) -> None:
    """Fit all stars until they rest, with the sky of the residual."""
    fresh = fit.flux == 0
    if fresh.any():  # stars without light have no position to fit yet
        sweep(plane, model, fit, options, sweeps=2, hold=True)
    sweep(plane, model, fit, options, sweeps=6, tell=tell)
    _hold_faint(plane, model, fit, options)
    put(plane, model, fit, 1.0)
    set_reach(plane, model, fit, options)
    put(plane, model, fit, -1.0)
    measure_sky(plane, model, fit, options)
    sweep(plane, model, fit, options, tell=tell)


def _hold_faint(plane: FitPlane, model: PsfModel, fit: StarFit, options: PsfOptions) -> None:
    """Send stars that are too faint or ran away back to where they came from and hold them; free others."""
    columns, _ = errors_of(plane, model, fit, options)
    with np.errstate(invalid="ignore", divide="ignore"):
        snr = fit.flux / np.sqrt(columns["alone_var"])
        away = np.hypot(fit.x - fit.start_x, fit.y - fit.start_y)
    faint = ~(snr >= options.free_snr)
    fit.loose[(fit.loose == 1) & ~fit.pinned & ~faint & (away == 0) & np.isfinite(fit.x)] = 2
    back = (fit.loose == 2) & (faint | (away > 1.5 * model.fwhm))
    if not back.any():
        return
    put(plane, model, fit, 1.0)
    fit.x[back], fit.y[back] = fit.start_x[back], fit.start_y[back]
    fit.loose[back] = 1
    put(plane, model, fit, -1.0)


def _swap(plane: FitPlane, old: PsfModel, new: PsfModel, fit: StarFit, options: PsfOptions) -> None:
    put(plane, old, fit, 1.0)
    set_reach(plane, new, fit, options)
    put(plane, new, fit, -1.0)


def _resmoothed(
    plane: FitPlane, smooth: Singles, sky_map: SkyMap, quality: npt.NDArray[np.uint16]
) -> Singles:
    """Take the smooth sky off again that shows once the stars are gone."""
    rest = np.where(plane.variance > 0, plane.residual, np.float32(np.nan))
    more = sky_map(rest, quality)
    plane.residual -= more
    return smooth + more


def _first_model(plane: FitPlane, fit: StarFit, fwhm: float, options: PsfOptions, tell: Tell) -> PsfModel:
    """Return an analytic PSF, all stars fit with it."""
    radius = 1.15 * options.total_radius * fwhm
    model = moffat_model(plane.residual.shape, fwhm, radius=radius, inside=options.total_radius * fwhm)
    _begin(plane, model, fit, options)
    chosen = _choose(plane, model, fit, options)
    if chosen.size == 0:
        tell("no star is fit to tell the PSF: a round Moffat of the measured width is used")
        return model
    everything = model.render(plane.residual.shape, fit.x, fit.y, fit.flux)
    cut = cut_out(plane, model, fit, chosen, everything)
    analytic = fit_analytic(model, cut, options.total_radius * fwhm)
    analytic = replace(
        analytic, note="", blur=min(pixel_blur(analytic, cut), MOST_BLUR),
        stars=np.column_stack([fit.x[chosen], fit.y[chosen]]),
    )  # fmt: skip
    _swap(plane, model, analytic, fit, options)
    sweep(plane, analytic, fit, options, sweeps=4)
    return analytic


def _choose(plane: FitPlane, model: PsfModel, fit: StarFit, options: PsfOptions) -> npt.NDArray[np.intp]:
    columns, bits = errors_of(plane, model, fit, options)
    return choose_stars(plane, model, fit, columns, bits, least_snr=options.psf_snr, most=options.psf_stars)


def _learn(
    plane: FitPlane, model: PsfModel, fit: StarFit, options: PsfOptions, rounds: int, tell: Tell
) -> tuple[PsfModel, npt.NDArray[np.intp]]:
    """Return the improved PSF and its stars, all stars fit with it."""
    chosen = _choose(plane, model, fit, options)
    if chosen.size < 5:
        if model.kind == "moffat":
            note = (
                f"{chosen.size} PSF stars are too few for tables (5 needed): an elliptical Moffat fit to them"
            )
            model = replace(model, note=note, n_stars=int(chosen.size))
            tell(note)
        return model, chosen
    inside = options.total_radius * model.fwhm
    order = -1
    for k in range(rounds):
        everything = model.render(plane.residual.shape, fit.x, fit.y, fit.flux)
        cut = cut_out(plane, model, fit, chosen, everything)
        if order < 0:
            order = choose_order(model, cut, options.order, inside) if k < rounds else model.order
        made = improve(model, cut, order, inside)
        sound = sound_stars(made, cut)
        if sound.sum() >= 5 and not sound.all():  # doubles, galaxies, hits
            chosen, cut = chosen[sound], cut.take(sound)
            made = improve(model, cut, order, inside)
        made = replace(
            made, blur=min(pixel_blur(made, cut), MOST_BLUR), n_stars=int(chosen.size),
            stars=np.column_stack([fit.x[chosen], fit.y[chosen]]),
        )  # fmt: skip
        _swap(plane, model, made, fit, options)
        model = made
        sweep(plane, model, fit, options, sweeps=3)
        measure_sky(plane, model, fit, options)
        if k == 0:
            chosen = _choose(plane, model, fit, options) if rounds > 1 else chosen
            chosen = chosen if chosen.size >= 5 else _choose(plane, model, fit, options)
    tell(
        f"PSF from {chosen.size} stars, order {order} over the field, FWHM {model.fwhm:.2f} pixel, "
        f"profile good to {100 * model.blur:.1f} % per pixel"
    )
    return replace(model, note=_order_note(order, options)), chosen


def _order_note(order: int, options: PsfOptions) -> str:
    if order >= options.order:
        return ""
    return f"order {order} over the field: more terms are not carried by the stars, or are not needed"


def _without_suspects(
    plane: FitPlane, model: PsfModel, fit: StarFit, chosen: npt.NDArray[np.intp]
) -> StarFit:
    """Take faint companions of PSF stars out again: what is real is found once more with a better PSF."""
    from scipy.spatial import cKDTree

    later = np.flatnonzero((fit.round > 0) & np.isfinite(fit.x))
    if not later.size or not chosen.size:
        return fit
    tree = cKDTree(np.column_stack([fit.x[chosen], fit.y[chosen]]))
    distance, index = tree.query(np.column_stack([fit.x[later], fit.y[later]]))
    faint = (distance < SUSPECT_REACH * model.fwhm) & (fit.flux[later] < SUSPECT * fit.flux[chosen[index]])
    if not faint.any():
        return fit
    gone = later[faint]
    put(plane, model, fit.take(gone), 1.0)
    keep = np.ones(fit.size, bool)
    keep[gone] = False
    return fit.take(np.flatnonzero(keep))


def _weeded(plane: FitPlane, model: PsfModel, fit: StarFit, options: PsfOptions) -> StarFit:
    """Drop stars of the residual that turned out too faint, or fell onto a brighter one."""
    from scipy.spatial import cKDTree

    columns, _ = errors_of(plane, model, fit, options)
    with np.errstate(invalid="ignore", divide="ignore"):
        snr = fit.flux / np.sqrt(columns["flux_var"])
    drop = (fit.round > 0) & ~(snr >= 0.8 * options.threshold)
    good = np.flatnonzero(np.isfinite(fit.x) & np.isfinite(fit.y))
    pairs = cKDTree(np.column_stack([fit.x[good], fit.y[good]])).query_pairs(
        0.45 * model.fwhm, output_type="ndarray"
    )
    for a, b in good[pairs]:
        fainter, other = (a, b) if fit.flux[a] < fit.flux[b] else (b, a)
        victim = fainter if fit.round[fainter] > 0 else other
        if fit.round[victim] > 0:
            drop[victim] = True
    if not drop.any():
        return fit
    put(plane, model, fit.take(np.flatnonzero(drop)), 1.0)
    kept = fit.take(np.flatnonzero(~drop))
    _refit(plane, model, kept, options, None)
    return kept
