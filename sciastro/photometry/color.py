"""Color calibration: the factor per band that makes a white reference gray, with its covariance.

Each star says what its light should be in each band (`colormodel`); how far the assumed response is bent to
the data is left to stars that take no part (`colorstages`).

Gains are for the picture only; nothing measured is multiplied by them.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sciastro.photometry.colormatrix import solve_matrix, srgb_of
from sciastro.photometry.colormodel import MODEL_ERRORS, method_of, problem_of, white_reference
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.photometry.colorresult import ColorCalibration, ColorFit
from sciastro.photometry.colorstages import Choice, Problem, choose
from sciastro.photometry.colorstars import ColorStars, colored
from sciastro.photometry.response import Response
from sciastro.photometry.spectra import Spectrum

__all__ = ["color_gains", "solve_gains"]

Floats = npt.NDArray[np.float64]

MATRIX_SNR, MATRIX_COLORS = 30.0, 0.5  # least S/N of stars in each band and spread of BP-RP [mag]

_DEFAULTS = ColorOptions()


def color_gains(
    flux: npt.ArrayLike,
    flux_err: npt.ArrayLike,
    b_v: npt.ArrayLike,
    *,
    options: ColorOptions = _DEFAULTS,
) -> tuple[ColorCalibration | None, str]:
    """Return the gains of red, green and blue from stars of known B-V, nothing being known of the camera.

    Parameters
    ----------
    flux, flux_err
        (star, 3), red, green and blue [electron / s]; NaN or not positive is left out.
    b_v
        (star) [mag]; NaN is left out.

    Returns
    -------
    calibration, reason
        None and why, where the stars are too few; else the calibration and an empty text.
    """
    found, reason = solve_gains(ColorStars.of(flux, flux_err, b_v=b_v), options=options)
    return (found.calibration if found is not None else None), reason


def solve_gains(
    stars: ColorStars,
    *,
    bands: Sequence[str] = ("R", "G", "B"),
    response: Response | None = None,
    white: Spectrum | float | None = None,
    common: Sequence[float] = (),
    options: ColorOptions = _DEFAULTS,
) -> tuple[ColorFit | None, str]:
    """Return the gains that make `white` equally bright in every band.

    Parameters
    ----------
    bands
        Names of the columns of the fluxes; ratios are to the second of three, the first of two.
    response
        Of the camera, in the order of `bands`; without it only *empirical* and *blackbody* are possible.
    white
        Spectrum, or B-V [mag] of a star; `options.white` without it.
    common
        By band, the relative error that all its fluxes share (aperture corrections); none without it.

    Returns
    -------
    fit, reason
        None and why, where the stars are too few; else the fit and an empty text.

    Raises
    ------
    OptionError
        For a white reference that is unknown or does not cover the bands.
    """
    white = white_reference(options.white) if white is None else white
    reference = 1 if len(bands) > 2 else 0
    method, why = method_of(stars, response, len(bands), options)
    if not method:
        return None, why
    usable = stars.sound() & colored(stars, method)
    n = int(usable.sum())
    if n < options.min_stars:
        what = {"spectra": "a spectrum", "locus": "a color that the model is told for"}.get(method, "B-V")
        return (
            None,
            f"{n} stars have {what} and a sound flux in {_count(len(bands))} bands (color.least_snr), and a "
            f"calibration needs {options.min_stars}",
        )
    problem = problem_of(stars.part(usable), method, response, white, reference, options)
    choice = choose(
        problem,
        fixed="line" if method == "empirical" else "scalar" if method == "blackbody" else _fixed(options),
        kappa=options.kappa,
    )
    shared = np.asarray(common, dtype=np.float64) if len(common) else np.zeros(len(bands))
    calibration = _calibration(choice, problem, method, tuple(bands), white, shared)
    if options.matrix == "auto":
        calibration = _with_matrix(calibration, problem, stars.part(usable), choice.fit.used)
    return ColorFit(
        calibration=calibration, star=np.flatnonzero(usable), residuals=1.0857 * choice.fit.residuals,
        used=choice.fit.used, color=problem.color,
    ), ""  # fmt: skip


def _with_matrix(
    calibration: ColorCalibration, problem: Problem, stars: ColorStars, used: npt.NDArray[np.bool_]
) -> ColorCalibration:
    """Return the calibration with the matrix that left-out stars ask for, if they do."""
    if problem.photons is None or problem.white_photons is None or len(calibration.bands) != 3:
        return replace(calibration, note=_and(calibration.note, "a matrix needs spectra and three bands"))
    # Noise of colors would be taken for a reason to blend the channels: bright stars only, of many colors.
    sharp = np.all(stars.flux > MATRIX_SNR * stars.flux_err, axis=1)
    bright = np.flatnonzero(used & sharp)
    hue = problem.color[bright]
    wide = len(hue) > 1 and float(np.ptp(np.percentile(hue, [5, 95]))) >= MATRIX_COLORS
    target = srgb_of(problem.photons[bright], problem.white_photons)
    found = solve_matrix(stars.flux[bright], np.array(calibration.gains), target) if wide else None
    if found is None:
        few = "too few bright stars of different colors for a matrix"
        return replace(calibration, note=_and(calibration.note, few))
    told = "" if found.matrix is not None else "left-out stars are not foretold better by a matrix"
    return replace(
        calibration, matrix=found.matrix, matrix_scores=(found.before, found.after),
        note=_and(calibration.note, told),
    )  # fmt: skip


def _and(*texts: str) -> str:
    return "; ".join(text for text in texts if text)


def _count(n: int) -> str:
    return {2: "two", 3: "three", 4: "four"}.get(n, str(n))


def _fixed(options: ColorOptions) -> str:
    return "" if options.stage == "auto" else options.stage


def _calibration(
    choice: Choice,
    problem: Problem,
    method: str,
    bands: tuple[str, ...],
    white: Spectrum | float,
    shared: Floats,
) -> ColorCalibration:
    m, fit = problem.measured.shape[1], choice.fit
    log_gain = np.insert(-fit.coefficients[:m], problem.reference, 0.0)  # every other term is 0 for white
    others = [band for band in range(len(bands)) if band != problem.reference]
    spread = np.zeros((len(bands), len(bands)))
    spread[np.ix_(others, others)] = (
        choice.covariance + np.diag(shared[others] ** 2) + shared[problem.reference] ** 2
    )
    gains = np.exp(log_gain)
    covariance = np.outer(gains, gains) * spread
    sloped = choice.stage in ("line", "curve")
    return ColorCalibration(
        bands=bands,
        gains=tuple(float(gain) for gain in gains),
        errors=tuple(float(error) for error in np.sqrt(np.diag(covariance))),
        covariance=tuple(tuple(float(value) for value in row) for row in covariance),
        slopes=tuple(float(one) for one in fit.coefficients[m : 2 * m]) if sloped else (float("nan"),) * m,
        scatter=tuple(float(one) for one in np.sqrt(np.diag(fit.scatter))),
        n_stars=int(fit.used.sum()),
        n_left_out=int((~fit.used).sum()),
        white=problem.white_color,
        white_name=f"B-V = {white:g}" if isinstance(white, float) else white.name,
        method=method,
        stage=choice.stage,
        color_name="B-V" if method in ("empirical", "blackbody") else "BP-RP",
        scores={name: value for name, value in choice.scores.items() if np.isfinite(value)},
        model_error=MODEL_ERRORS[method],
        chi2=fit.chi2,
        note=choice.note,
    )
