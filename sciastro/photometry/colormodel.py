"""What the colors of stars should be: by which method, and the equations that it gives.

*spectra*: measured spectra (Gaia XP, a library) through the response of the camera; *locus*: the mean
spectrum of stars of that BP-RP or B-V; *blackbody*: a black body of temperature T(B-V) at nominal band
centers; *empirical*: nothing is assumed, a line in B-V is fitted. Errors of the catalog's colors enter star
by star, by how far they move what is expected.
"""

import numpy as np
import numpy.typing as npt

from sciastro.errors import OptionError
from sciastro.photometry.bandpass import load
from sciastro.photometry.blackbody import blackbody_ratio
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.photometry.colorstages import Problem
from sciastro.photometry.colorstars import ColorStars, colored, locus_color, photons_of_stars
from sciastro.photometry.locus import COLORS, bp_rp_from, color_of, locus_photons, locus_spectrum
from sciastro.photometry.response import Response, photons_of
from sciastro.photometry.spectra import Spectrum, white_spectrum

__all__ = ["MODEL_ERRORS", "method_of", "problem_of", "white_reference"]

Floats = npt.NDArray[np.float64]

_STEP = 0.02  # [mag] over which slopes in color are taken
_CENTERS = ("center_red", "center_green", "center_blue")

MODEL_ERRORS = {"spectra": 0.005, "locus": 0.010, "empirical": 0.010, "blackbody": 0.05}
"""What a method itself may be off in a gain [1]: not in `ColorCalibration.covariance`."""


def white_reference(white: str) -> Spectrum | float:
    """Return a white reference by name as a spectrum; a number is the B-V [mag] of a star on the locus.

    Raises
    ------
    OptionError
        For an unknown name or a color that no star has.
    """
    try:
        b_v = float(white or "G2V")
    except ValueError:
        return white_spectrum(white or "G2V")
    if not -0.3 <= b_v <= 1.5:
        raise OptionError(
            f"is {white}.", where="white reference", remedy="A B-V lies between -0.3 and 1.5 mag."
        )
    return b_v


def method_of(
    stars: ColorStars, response: Response | None, bands: int, options: ColorOptions
) -> tuple[str, str]:
    """Return the method and, where there is none, why."""
    chosen = options.method
    if chosen in ("spectra", "locus") and response is None:
        return "", f"color.method={chosen} needs the curves of the bands (color.filters, color.sensor)"
    if chosen == "spectra" and stars.photons is None:
        return "", "no star has a measured spectrum (color.spectra names the file)"
    if chosen == "blackbody" and bands != 3:
        return "", "color.method=blackbody needs three bands"
    if chosen != "auto":
        return chosen, ""
    sound = stars.sound()
    if response is not None:
        enough = max(options.min_stars, 8)
        if stars.photons is not None and (sound & np.isfinite(stars.photons).all(axis=1)).sum() >= enough:
            return "spectra", ""
        return "locus", ""
    hue = stars.b_v[sound & colored(stars, "empirical")]
    wide = len(hue) > 1 and float(np.ptp(np.percentile(hue, [5, 95]))) >= options.min_color_range
    return ("empirical" if (wide and len(hue) >= options.min_line_stars) or bands != 3 else "blackbody"), ""


def _log_ratios(stars: ColorStars, reference: int) -> tuple[Floats, Floats]:
    """Return ln ratios (star, ratio) and their covariances (star, ratio, ratio)."""
    log, relative = np.log(stars.flux), (stars.flux_err / stars.flux) ** 2
    others = [band for band in range(log.shape[1]) if band != reference]
    covariance = relative[:, others, None] * np.eye(len(others)) + relative[:, [reference], None]
    return log[:, others] - log[:, [reference]], covariance


def problem_of(
    stars: ColorStars,
    method: str,
    response: Response | None,
    white: Spectrum | float,
    reference: int,
    options: ColorOptions,
) -> Problem:
    """Return what is fitted for stars that are sound and `colored`; `reference` is the band of the ratios."""
    measured, error = _log_ratios(stars, reference)
    error = error + _by_color(stars, method, response, reference, options)
    if method in ("empirical", "blackbody"):
        white_color = (
            white if isinstance(white, float) else color_of(white, load("bessell_B"), load("bessell_V"))
        )
        expected = np.zeros_like(measured)
        if method == "blackbody":
            expected = _blackbody(stars.b_v, options) - _blackbody(white_color, options)
        return Problem(
            measured=measured, error=error, color=stars.b_v, white_color=white_color, expected=expected,
            reference=reference,
        )  # fmt: skip
    spectrum = locus_spectrum(float(bp_rp_from(white))) if isinstance(white, float) else white
    return Problem(
        measured=measured, error=error, color=locus_color(stars),
        white_color=color_of(spectrum, load("gaia_BP"), load("gaia_RP")), photons=photons_of_stars(stars),
        white_photons=photons_of(spectrum, response), response=response, reference=reference,
    )  # fmt: skip


def _blackbody(b_v: npt.ArrayLike, options: ColorOptions) -> Floats:
    """Return ln of red and blue over green at the nominal centers, (star, 2)."""
    red, green, blue = (getattr(options, name) for name in _CENTERS)
    return np.stack([blackbody_ratio(b_v, center, green) for center in (red, blue)], axis=-1)


def _by_color(
    stars: ColorStars, method: str, response: Response | None, reference: int, options: ColorOptions
) -> Floats:
    """Return the covariance of ln ratios (star, ratio, ratio) by the errors of the catalog's colors."""
    bands = stars.flux.shape[1]
    slope = np.zeros((len(stars.flux), bands - 1))
    if method in ("empirical", "blackbody"):
        if bands == 3:  # how much a ratio turns with B-V is like a black body's
            slope = _blackbody(stars.b_v + _STEP, options) - _blackbody(stars.b_v - _STEP, options)
        err = np.nan_to_num(stars.b_v_err)
    elif response is not None:
        hue = locus_color(stars)
        low, high = np.clip(hue - _STEP, *COLORS), np.clip(hue + _STEP, *COLORS)
        light = response.log_light(locus_photons(high)) - response.log_light(locus_photons(low))
        inside = high > low  # beyond the locus nothing tells how light turns with color; spectra need not
        light *= np.where(inside, 2 * _STEP / np.where(inside, high - low, 1.0), 0.0)[:, None]
        slope = np.delete(light, reference, axis=1) - light[:, [reference]]
        err = np.nan_to_num(np.where(np.isfinite(stars.bp_rp), stars.bp_rp_err, _turned(stars)))
        if stars.photons is not None:
            err = np.where(np.isfinite(stars.photons).all(axis=1), 0.0, err)
    move = np.nan_to_num(slope) / (2 * _STEP) * err[:, None]
    return np.asarray(move[:, :, None] * move[:, None, :])


def _turned(stars: ColorStars) -> Floats:
    """Return the errors of B-V as errors of BP-RP [mag]."""
    ends = bp_rp_from(stars.b_v + _STEP) - bp_rp_from(stars.b_v - _STEP)
    return np.asarray(ends / (2 * _STEP) * stars.b_v_err)
