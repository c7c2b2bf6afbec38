"""Color calibration from stars of known B-V: the factor per band that makes a white star gray.

Two ways. *empirical*: a robust line of the measured log flux ratios against B-V, read off at the white
reference; needs no knowledge of the camera. *blackbody*: the mean departure from the ratios of black bodies
of temperature T(B-V) (Ballesteros 2012, EPL 97, 34008) at nominal band centers; for few stars. Gains
are for the picture only; nothing measured is multiplied by them.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.photometry.robust import LinearFit, fit_linear

__all__ = ["ColorCalibration", "ColorOptions", "blackbody_ratio", "color_gains", "temperature"]

Floats = npt.NDArray[np.float64]

_HC_OVER_K = 1.438776877e7  # nm K


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorOptions(Options):
    """How colors are calibrated."""

    method: str = option(
        "auto",
        "Line in B-V, black bodies, or the first where the stars allow it.",
        choices=("auto", "empirical", "blackbody"),
    )
    white: float = option(
        0.65, "B-V of what shall look white; 0.65 is a star like the Sun.", unit="mag", low=-0.3, high=1.5
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
    """Gains of red, green and blue.

    Attributes
    ----------
    gains, errors
        Factors to multiply the bands with, green is 1, and their standard errors.
    covariance
        3 x 3, of the gains.
    slopes
        Change of ln(R/G) and ln(B/G) per magnitude of B-V; NaN for the black body method.
    scatter
        Of single stars about the relation in ln(R/G), ln(B/G), beyond their errors.
    n_stars
        Stars used (the smaller number of the two ratios).
    white
        B-V that becomes gray [mag].
    method
        "empirical" or "blackbody".
    """

    gains: tuple[float, float, float]
    errors: tuple[float, float, float]
    covariance: tuple[tuple[float, ...], ...]
    slopes: tuple[float, float]
    scatter: tuple[float, float]
    n_stars: int
    white: float
    method: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a recipe or a report."""
        return asdict(self)


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


def color_gains(
    flux: npt.ArrayLike,
    flux_err: npt.ArrayLike,
    b_v: npt.ArrayLike,
    *,
    options: ColorOptions = ColorOptions(),
) -> tuple[ColorCalibration | None, str]:
    """Return the gains that make a star of ``white`` B-V equally bright in red, green and blue.

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
    rate, err, hue = (np.asarray(values, dtype=np.float64) for values in (flux, flux_err, b_v))
    good = (
        (rate > 0).all(axis=1) & np.isfinite(err).all(axis=1) & np.isfinite(hue) & (hue > -0.4) & (hue < 2.2)
    )
    n = int(good.sum())
    if n < options.min_stars:
        return (
            None,
            f"{n} stars have B-V and a sound flux in three bands (color.least_snr), and a calibration needs "
            f"{options.min_stars}",
        )
    log, relative, hue = np.log(rate[good]), err[good] / rate[good], hue[good]
    method = _method(hue, options)
    fits = [_ratio(log, relative, hue, band, method, options) for band in (0, 2)]
    return _calibration(fits, log, hue, method, options), ""


def _method(hue: Floats, options: ColorOptions) -> str:
    if options.method != "auto":
        return options.method
    wide = float(np.ptp(np.percentile(hue, [5, 95]))) >= options.min_color_range
    return "empirical" if wide and len(hue) >= options.min_line_stars else "blackbody"


def _design(hue: Floats, method: str, options: ColorOptions) -> Floats:
    ones = np.ones(len(hue))
    return np.column_stack([ones, hue - options.white]) if method == "empirical" else ones[:, None]


def _measured(log: Floats, hue: Floats, band: int, method: str, options: ColorOptions) -> Floats:
    """Return ln of band over green, for the black body method less what is expected relative to white."""
    y = log[:, band] - log[:, 1]
    if method == "empirical":
        return y
    center = options.center_red if band == 0 else options.center_blue
    expected = blackbody_ratio(hue, center, options.center_green)
    return np.asarray(y - (expected - blackbody_ratio(options.white, center, options.center_green)))


def _ratio(
    log: Floats, relative: Floats, hue: Floats, band: int, method: str, options: ColorOptions
) -> LinearFit:
    err = np.hypot(relative[:, band], relative[:, 1])
    y = _measured(log, hue, band, method, options)
    return fit_linear(_design(hue, method, options), y, err, kappa=options.kappa)


def _calibration(
    fits: list[LinearFit], log: Floats, hue: Floats, method: str, options: ColorOptions
) -> ColorCalibration:
    red, blue = fits
    # Both ratios share green: the covariance of the two constants, from the residuals of the common stars.
    both = red.used & blue.used
    design = _design(hue, method, options)
    left = [
        _measured(log, hue, band, method, options) - design @ fit.coefficients
        for band, fit in ((0, red), (2, blue))
    ]
    share = float(np.corrcoef(left[0][both], left[1][both])[0, 1]) if both.sum() > 3 else 0.5
    share = share if np.isfinite(share) else 0.0
    sigma = np.array([np.sqrt(red.covariance[0, 0]), 0.0, np.sqrt(blue.covariance[0, 0])])
    correlation = np.array([[1.0, 0.0, share], [0.0, 1.0, 0.0], [share, 0.0, 1.0]])
    gains = np.exp([-red.coefficients[0], 0.0, -blue.coefficients[0]])
    covariance = np.outer(gains * sigma, gains * sigma) * correlation
    line = method == "empirical"
    return ColorCalibration(
        gains=(float(gains[0]), 1.0, float(gains[2])),
        errors=(float(gains[0] * sigma[0]), 0.0, float(gains[2] * sigma[2])),
        covariance=tuple(tuple(float(value) for value in row) for row in covariance),
        slopes=(float(red.coefficients[1]), float(blue.coefficients[1])) if line else (float("nan"),) * 2,
        scatter=(red.scatter, blue.scatter),
        n_stars=int(min(red.used.sum(), blue.used.sum())),
        white=options.white,
        method=method,
    )
