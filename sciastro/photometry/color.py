"""Color calibration: the factor per band that makes a white reference gray, with its covariance.

Each star says what its light should be in each band by its spectrum through the response of the camera.
Where the spectrum is from: *spectra*, measured ones (Gaia XP, a library); *locus*, the mean spectrum of
stars of its BP-RP or B-V; *blackbody*, a black body of temperature T(B-V) (Ballesteros 2012, EPL 97,
34008) at nominal band centers; *empirical*: nothing is assumed, a robust line of the flux ratios against
B-V is read off at the white reference. How far the assumed response is bent to the data is left to stars
that take no part (`colorstages`).

Gains are for the picture only; nothing measured is multiplied by them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.errors import OptionError
from sciastro.photometry.bandpass import load
from sciastro.photometry.colormatrix import solve_matrix, srgb_of
from sciastro.photometry.colorstages import STAGES, Choice, Problem, choose
from sciastro.photometry.locus import bp_rp_from, color_of, locus_photons, locus_spectrum
from sciastro.photometry.response import Response, photons_of
from sciastro.photometry.spectra import Spectrum, white_spectrum

__all__ = [
    "ColorCalibration",
    "ColorFit",
    "ColorOptions",
    "ColorStars",
    "blackbody_ratio",
    "color_gains",
    "solve_gains",
    "temperature",
    "white_reference",
]

Floats = npt.NDArray[np.float64]

_HC_OVER_K = 1.438776877e7  # nm K
_CENTERS = ("center_red", "center_green", "center_blue")

MATRIX_SNR, MATRIX_COLORS = 30.0, 0.5  # least S/N of stars in each band and spread of BP-RP [mag]

MODEL_ERRORS = {"spectra": 0.005, "locus": 0.010, "empirical": 0.010, "blackbody": 0.05}
"""What a method itself may be off in a gain [1]: not in `ColorCalibration.covariance`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorOptions(Options):
    """How colors are calibrated."""

    method: str = option(
        "auto",
        "What a star's light should be: measured spectra, the mean spectrum of its color, a black body, "
        "or no "
        "assumption but a line in B-V; auto takes the first that the stars and curves allow.",
        choices=("auto", "spectra", "locus", "empirical", "blackbody"),
    )
    white: str = option(
        "",
        "What shall look white: G2V (the Sun; also where this is empty), spiral (average galaxy), Vega, flat "
        "(photons), the B-V of a star, or a file with a spectrum.",
    )
    sensor: str = option(
        "",
        "Response of the sensor: cmos, ccd, a file, or for color sensors bayer or a file with three "
        "bands; empty "
        "takes a generic one.",
    )
    filters: str = option(
        "",
        "Curves of the filters: dichroic, or BAND=NAME, BAND=FILE, BAND=CENTER/WIDTH [nm], separated by "
        "commas; "
        "a name or file without a band lies before all (a UV/IR cut, a light pollution filter).",
    )
    spectra: str = option(
        "", "File of star spectra by Gaia DR3 source: XP continuous (needs the extra gaiaxp) or sampled."
    )
    narrow_width: float = option(
        5.0, "Width of narrow bands that no curve is told for.", unit="nm", low=0.1, high=100.0
    )
    atmosphere: bool = option(True, "Count the color of the air where airmass is known.")
    stage: str = option(
        "auto",
        "How far the response is bent to the data: scalar (one factor), line or curve in color, response "
        "(piecewise linear); auto lets left-out stars decide.",
        choices=("auto", *STAGES),
    )
    narrow_picture: bool = option(
        False, "Use the gains of narrow bands in pictures, too: stars gray, lines as strong as they are."
    )
    matrix: str = option(
        "off",
        "A 3 x 3 matrix to sRGB colors on top of the gains: off, or auto, which takes it only if left-out "
        "stars "
        "are foretold better.",
        choices=("off", "auto"),
    )
    apply: bool = option(
        False, "Also write the products times their gains, as PRODUCT_color.fits; the science files stay."
    )
    center_red: float = option(635.0, "Center of the red band.", unit="nm", low=300.0, high=1100.0)
    center_green: float = option(530.0, "Center of the green band.", unit="nm", low=300.0, high=1100.0)
    center_blue: float = option(455.0, "Center of the blue band.", unit="nm", low=300.0, high=1100.0)
    min_stars: int = option(3, "Fewest stars that make a calibration.", low=3, high=1000)
    min_line_stars: int = option(10, "Fewest stars for a line in B-V.", low=4, high=1000)
    min_color_range: float = option(
        0.4, "Least spread of B-V (5 to 95 %) for a line.", unit="mag", low=0.05, high=3.0
    )
    kappa: float = option(3.5, "Clipping threshold.", unit="sigma", low=1.5, high=10.0)
    match_radius: float | None = option(
        None,
        "Largest distance to a catalog star; none takes 1.5 pixels or 1.5 arcsec.",
        unit="arcsec",
        low=0.01,
    )
    least_snr: float = option(10.0, "Least S/N of a star in each band.", low=3.0)


_DEFAULTS = ColorOptions()


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorCalibration:
    """Gains of bands, the second of three (green) being 1.

    Attributes
    ----------
    bands
        Names, in the order of the gains.
    gains, errors
        Factors to multiply the bands with, and their standard errors.
    covariance
        (band, band), of the gains; errors of the method itself (`model_error`) are not in it.
    slopes
        Change of ln of each ratio per magnitude of `color_name`; NaN where no slope was fitted.
    scatter
        Of single stars in ln of each ratio, beyond their errors.
    n_stars, n_left_out
        Stars used and stars clipped.
    white, white_name
        Color of what becomes gray [mag], and its name.
    method, stage
        How expected light was found, and how far the response was bent.
    color_name
        "BP-RP" or "B-V".
    scores
        Stage -> rms of the colors of left-out stars [mag]; empty where none was asked.
    model_error
        Typical error of a gain by the method itself [1].
    chi2
        Of the stars used by their errors alone, per degree of freedom.
    matrix
        3 x 3, on top of the gains; None unless asked for and left-out stars prefer it.
    matrix_scores
        rms of left-out stars' sRGB colors [mag] without and with it; None where it was not tried.
    note
        What else there is to say.
    """

    bands: tuple[str, ...] = ("R", "G", "B")
    gains: tuple[float, ...]
    errors: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    slopes: tuple[float, ...]
    scatter: tuple[float, ...]
    n_stars: int
    n_left_out: int = 0
    white: float
    white_name: str = ""
    method: str
    stage: str = "scalar"
    color_name: str = "B-V"
    scores: dict[str, float] = field(default_factory=dict)
    model_error: float = 0.0
    chi2: float = float("nan")
    matrix: tuple[tuple[float, ...], ...] | None = None
    matrix_scores: tuple[float, float] | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a recipe or a report."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ColorStars:
    """Stars that calibrate: fluxes in all bands, colors, and spectra where they are measured.

    Attributes
    ----------
    flux, flux_err
        (star, band) [electron / s]; NaN or not positive is left out.
    b_v, bp_rp
        (star) [mag]; NaN unknown.
    photons
        (star, wavelength) at `locus.WAVELENGTHS`, relative; rows of NaN without a measured spectrum; None
        for none.
    """

    flux: Floats
    flux_err: Floats
    b_v: Floats
    bp_rp: Floats
    photons: Floats | None = None

    @classmethod
    def of(
        cls,
        flux: npt.ArrayLike,
        flux_err: npt.ArrayLike,
        *,
        b_v: npt.ArrayLike | None = None,
        bp_rp: npt.ArrayLike | None = None,
        photons: npt.ArrayLike | None = None,
    ) -> "ColorStars":
        """Return them as float64, unknown colors as NaN."""
        rate = np.asarray(flux, dtype=np.float64)
        none = np.full(len(rate), np.nan)
        return cls(
            flux=rate,
            flux_err=np.asarray(flux_err, dtype=np.float64),
            b_v=none if b_v is None else np.asarray(b_v, dtype=np.float64),
            bp_rp=none if bp_rp is None else np.asarray(bp_rp, dtype=np.float64),
            photons=None if photons is None else np.asarray(photons, dtype=np.float64),
        )

    def sound(self) -> npt.NDArray[np.bool_]:
        """Return which stars have positive fluxes and errors in every band."""
        with np.errstate(invalid="ignore"):
            return np.asarray(
                (self.flux > 0).all(axis=1)
                & np.isfinite(self.flux_err).all(axis=1)
                & (self.flux_err > 0).all(axis=1)
            )

    def part(self, keep: npt.NDArray[np.bool_]) -> "ColorStars":
        """Return some of the stars."""
        photons = self.photons[keep] if self.photons is not None else None
        return ColorStars(
            flux=self.flux[keep], flux_err=self.flux_err[keep], b_v=self.b_v[keep], bp_rp=self.bp_rp[keep],
            photons=photons,
        )  # fmt: skip


def temperature(b_v: npt.ArrayLike) -> Floats:
    """Return the effective temperature [K] of B-V [mag] (Ballesteros 2012, EPL 97, 34008)."""
    color = np.asarray(b_v, dtype=np.float64)
    return np.asarray(4600 * (1 / (0.92 * color + 1.7) + 1 / (0.92 * color + 0.62)))


def blackbody_ratio(b_v: npt.ArrayLike, wavelength: float, reference: float) -> Floats:
    """Return ln of the photon rate of a black body at `wavelength` over that at `reference` [nm].

    Photons per wavelength: ``1 / (lambda^4 (exp(h c / (lambda k T)) - 1))``.
    """
    heat = temperature(b_v)
    here = -4 * np.log(wavelength) - np.log(np.expm1(_HC_OVER_K / (wavelength * heat)))
    there = -4 * np.log(reference) - np.log(np.expm1(_HC_OVER_K / (reference * heat)))
    return np.asarray(here - there)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ColorFit:
    """A calibration and what it left of each star.

    Attributes
    ----------
    calibration
        The result.
    star
        int64, rows of the stars given that took part.
    residuals
        (star, ratio), measured less modeled ratio to the reference band [mag], of those rows.
    used
        Which of them passed the clip.
    color
        Of those rows [mag].
    """

    calibration: ColorCalibration
    star: npt.NDArray[np.int64]
    residuals: Floats
    used: npt.NDArray[np.bool_]
    color: Floats


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
    method, why = _method(stars, response, len(bands), options)
    if not method:
        return None, why
    usable = stars.sound() & _colored(stars, method)
    n = int(usable.sum())
    if n < options.min_stars:
        what = {"spectra": "a spectrum", "locus": "a color that the model is told for"}.get(method, "B-V")
        return (
            None,
            f"{n} stars have {what} and a sound flux in {_count(len(bands))} bands (color.least_snr), and a "
            f"calibration needs {options.min_stars}",
        )
    problem = _problem(stars.part(usable), method, response, white, reference, options)
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


def _locus_color(stars: ColorStars) -> Floats:
    """Return BP-RP [mag] of each star, from B-V where Gaia's is unknown."""
    own = stars.bp_rp
    if np.isfinite(own).all():
        return own
    return np.asarray(np.where(np.isfinite(own), own, bp_rp_from(stars.b_v)))


def _photons(stars: ColorStars) -> Floats:
    photons = locus_photons(_locus_color(stars))
    if stars.photons is None:
        return photons
    known = np.asarray(np.isfinite(stars.photons).all(axis=1), dtype=np.bool_)
    return np.asarray(np.where(known[:, None], stars.photons, photons))


def _colored(stars: ColorStars, method: str) -> npt.NDArray[np.bool_]:
    if method in ("empirical", "blackbody"):
        with np.errstate(invalid="ignore"):
            return np.asarray((stars.b_v > -0.4) & (stars.b_v < 2.2))
    color = np.isfinite(_locus_color(stars))
    if method == "spectra" and stars.photons is not None:
        return np.asarray(color & np.isfinite(stars.photons).all(axis=1))
    return np.asarray(color & np.isfinite(_photons(stars)).all(axis=1))


def _method(
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
    hue = stars.b_v[sound & _colored(stars, "empirical")]
    wide = len(hue) > 1 and float(np.ptp(np.percentile(hue, [5, 95]))) >= options.min_color_range
    return ("empirical" if (wide and len(hue) >= options.min_line_stars) or bands != 3 else "blackbody"), ""


def _errors(stars: ColorStars, reference: int) -> tuple[Floats, Floats]:
    """Return ln ratios (star, ratio) and their covariances (star, ratio, ratio)."""
    log, relative = np.log(stars.flux), (stars.flux_err / stars.flux) ** 2
    others = [band for band in range(log.shape[1]) if band != reference]
    covariance = relative[:, others, None] * np.eye(len(others)) + relative[:, [reference], None]
    return log[:, others] - log[:, [reference]], covariance


def _problem(
    stars: ColorStars,
    method: str,
    response: Response | None,
    white: Spectrum | float,
    reference: int,
    options: ColorOptions,
) -> Problem:
    measured, error = _errors(stars, reference)
    if method in ("empirical", "blackbody"):
        white_color = (
            white if isinstance(white, float) else color_of(white, load("bessell_B"), load("bessell_V"))
        )
        expected = np.zeros_like(measured)
        if method == "blackbody":
            centers = [getattr(options, name) for name in _CENTERS]
            for row, band in enumerate((0, 2)):
                here = blackbody_ratio(stars.b_v, centers[band], centers[1])
                expected[:, row] = here - blackbody_ratio(white_color, centers[band], centers[1])
        return Problem(
            measured=measured, error=error, color=stars.b_v, white_color=white_color, expected=expected,
            reference=reference,
        )  # fmt: skip
    spectrum = locus_spectrum(float(bp_rp_from(white))) if isinstance(white, float) else white
    return Problem(
        measured=measured, error=error, color=_locus_color(stars),
        white_color=color_of(spectrum, load("gaia_BP"), load("gaia_RP")), photons=_photons(stars),
        white_photons=photons_of(spectrum, response), response=response, reference=reference,
    )  # fmt: skip


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
