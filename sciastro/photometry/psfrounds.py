"""Rounds of PSF photometry on all stars of an image: fit, hold what is too faint, drop what is none."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from sciastro.photometry.psffit import (
    FitPlane,
    StarFit,
    errors_of,
    measure_sky,
    put,
    set_reach,
    sweep,
)
from sciastro.photometry.psfmodel import PsfModel
from sciastro.photometry.psfoptions import PsfOptions
from sciastro.photometry.psfstructure import Structure, knots

__all__ = ["SkyMap", "Tell", "begin", "refit", "resmoothed", "swap", "weeded", "without_suspects"]

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Tell = Callable[[str], None]
SkyMap = Callable[[Singles, npt.NDArray[np.uint16]], Singles]
"""Image and quality (y, x) to the sky level at every pixel."""

SUSPECT, SUSPECT_REACH = 0.03, 2.5  # of a PSF star's light, within so many widths


def begin(plane: FitPlane, model: PsfModel, fit: StarFit, options: PsfOptions) -> None:
    """Give all stars a first flux, and a first sky once their light is gone."""
    set_reach(plane, model, fit, options)
    sweep(plane, model, fit, options, sweeps=2, hold=True)
    put(plane, model, fit, 1.0)
    set_reach(plane, model, fit, options)
    put(plane, model, fit, -1.0)
    sweep(plane, model, fit, options, sweeps=3)
    measure_sky(plane, model, fit, options)


def refit(
    plane: FitPlane, model: PsfModel, fit: StarFit, options: PsfOptions, tell: Tell | None, *,
    sky: bool = True,
) -> None:  # fmt: skip
    """Fit all stars until they rest, with the sky of the residual where `sky` says so."""
    fresh = fit.flux == 0
    if fresh.any():  # stars without light have no position to fit yet
        sweep(plane, model, fit, options, sweeps=2, hold=True)
    sweep(plane, model, fit, options, sweeps=6, tell=tell)
    _hold_faint(plane, model, fit, options)
    put(plane, model, fit, 1.0)
    set_reach(plane, model, fit, options)
    put(plane, model, fit, -1.0)
    if sky:
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


def swap(plane: FitPlane, old: PsfModel, new: PsfModel, fit: StarFit, options: PsfOptions) -> None:
    """Draw all stars with a new PSF."""
    put(plane, old, fit, 1.0)
    set_reach(plane, new, fit, options)
    put(plane, new, fit, -1.0)


def resmoothed(plane: FitPlane, smooth: Singles, sky_map: SkyMap, quality: npt.NDArray[np.uint16]) -> Singles:
    """Take the smooth sky off again that shows once the stars are gone; return all that was taken, (y, x)."""
    rest = np.where(plane.variance > 0, plane.residual, np.float32(np.nan))
    more = sky_map(rest, quality)
    plane.residual -= more
    return smooth + more


def without_suspects(plane: FitPlane, model: PsfModel, fit: StarFit, chosen: npt.NDArray[np.intp]) -> StarFit:
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


def weeded(
    plane: FitPlane, model: PsfModel, fit: StarFit, options: PsfOptions, structure: Structure | None = None
) -> StarFit:
    """Drop stars of the residual that turned out too faint, fell onto a brighter one, or are a nebula's."""
    from scipy.spatial import cKDTree

    columns, _ = errors_of(plane, model, fit, options)
    with np.errstate(invalid="ignore", divide="ignore"):
        snr = fit.flux / np.sqrt(columns["flux_var"])
    drop = (fit.round > 0) & ~(snr >= 0.8 * options.threshold)
    if structure is not None and structure.any:
        drop |= (fit.round > 0) & knots(structure, fit.x, fit.y, columns)
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
    refit(plane, model, kept, options, None, sky=False)  # a few faint stars less change no ring
    return kept
