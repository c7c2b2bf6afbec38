"""The zero point: what a star of 1 electron / s has as a magnitude, with its error.

Model: ``m_cat = m_inst + Z + C (color - color_reference)``. Errors of both magnitudes and an intrinsic
scatter weigh the stars; outliers are clipped (`robust.fit_linear`). The color term is fitted only where
the stars can tell it, and is otherwise 0 and said to be. Fewer than three stars give no zero point.
"""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.photometry.robust import LinearFit, fit_linear

__all__ = ["ZeroPoint", "ZeroPointOptions", "fit_zeropoint"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class ZeroPointOptions(Options):
    """How the zero point is fitted."""

    kappa: float = option(3.5, "Clipping threshold.", unit="sigma", low=1.5, high=10.0)
    min_stars: int = option(3, "Fewest stars that make a zero point.", low=3, high=1000)
    min_color_stars: int = option(12, "Fewest stars that make a color term.", low=4, high=10000)
    min_color_range: float = option(
        0.5, "Least spread of colors (5 to 95 %) for a color term.", unit="mag", low=0.05, high=5.0
    )
    match_radius: float | None = option(
        None,
        "Largest distance to a catalog star; none takes 1.5 pixels or 1.5 arcsec.",
        unit="arcsec",
        low=0.01,
    )
    least_snr: float = option(10.0, "Least S/N of a star that calibrates.", low=3.0)
    color_reference: float | None = option(
        None,
        "Color that the zero point holds for; none takes the stars' mean.",
        unit="mag",
        low=-2.0,
        high=6.0,
    )


_DEFAULTS = ZeroPointOptions()


@dataclass(frozen=True, kw_only=True, slots=True)
class ZeroPoint:
    """A fitted zero point.

    Attributes
    ----------
    mag, err
        Magnitude of 1 electron / s for a star of `color_reference`, and its standard error [mag].
    color_term, color_term_err
        Coefficient of the catalog color [1]; 0 and NaN where it was not fitted.
    covariance
        ((Z, Z), (Z, C)), ((C, Z), (C, C)); zeros for a color term that was not fitted.
    scatter
        From star to star beyond the quoted errors [mag].
    rms
        Robust scatter of the residuals of the stars used [mag].
    chi2
        Reduced, with the quoted errors alone; NaN where errors are unknown.
    n_stars, n_rejected
        Stars used and clipped.
    system, catalog, color_name
        Names for the record.
    color_reference
        [mag]; NaN where no star has a color.
    note
        Why there is no color term, how the catalog magnitude was made.
    used
        bool, per star that was given to the fit: whether it entered.
    """

    mag: float
    err: float
    color_term: float
    color_term_err: float
    covariance: tuple[tuple[float, float], tuple[float, float]]
    scatter: float
    rms: float
    chi2: float
    n_stars: int
    n_rejected: int
    system: str
    catalog: str
    color_name: str
    color_reference: float
    note: str
    used: npt.NDArray[np.bool_] = field(repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a header, a table's meta or a summary."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "used"}


def fit_zeropoint(
    mag_inst: npt.ArrayLike,
    mag_inst_err: npt.ArrayLike,
    mag_cat: npt.ArrayLike,
    mag_cat_err: npt.ArrayLike,
    color: npt.ArrayLike,
    *,
    system: str = "",
    catalog: str = "",
    color_name: str = "B-V",
    note: str = "",
    options: ZeroPointOptions = ZeroPointOptions(),
) -> tuple[ZeroPoint | None, str]:
    """Fit the zero point of matched stars.

    Parameters
    ----------
    mag_inst, mag_inst_err
        Instrumental magnitudes, -2.5 log10 of electron / s, and their errors [mag].
    mag_cat, mag_cat_err
        Catalog magnitudes in `system` and their errors [mag]; an unknown error may be 0 or NaN.
    color
        Catalog color [mag]; NaN unknown. A star without color serves only where no color term is fitted.

    Returns
    -------
    zeropoint, reason
        None and why, where the stars are too few; else the zero point and an empty text.
    """
    inst, inst_err, cat, cat_err, hue = (
        np.asarray(values, dtype=np.float64)
        for values in (mag_inst, mag_inst_err, mag_cat, mag_cat_err, color)
    )
    good = np.isfinite(inst) & np.isfinite(inst_err) & np.isfinite(cat)
    if good.sum() < options.min_stars:
        return (
            None,
            f"{int(good.sum())} matched stars have usable magnitudes; a zero point needs {options.min_stars}",
        )
    y, err = (cat - inst)[good], np.hypot(inst_err, np.nan_to_num(cat_err))[good]
    hue = hue[good]
    colored = np.isfinite(hue)
    refusal = _refuse_color(hue[colored], options)
    reference = _reference(hue, err, options)
    if refusal:
        fit = fit_linear(np.ones((len(y), 1)), y, err, kappa=options.kappa)
        residual = y - fit.coefficients[0]
    else:
        y, err = y[colored], err[colored]
        design = np.column_stack([np.ones(len(y)), hue[colored] - reference])
        fit = fit_linear(design, y, err, kappa=options.kappa)
        residual = y - design @ fit.coefficients
    if fit.used.sum() < options.min_stars:
        return None, f"only {int(fit.used.sum())} of {len(y)} stars agree with each other"
    notes = "; ".join(text for text in (note, refusal) if text)
    names = {"system": system, "catalog": catalog, "color_name": color_name, "note": notes}
    used = np.zeros(good.size, dtype=np.bool_)
    used[np.flatnonzero(good)[slice(None) if refusal else colored][fit.used]] = True
    return _zeropoint(fit, residual, reference, names, used), ""


def _refuse_color(hue: Floats, options: ZeroPointOptions) -> str:
    """Return why these colors cannot fix a color term, or an empty text."""
    if len(hue) < options.min_color_stars:
        return f"no color term: {len(hue)} stars have colors, {options.min_color_stars} are needed"
    spread = float(np.ptp(np.percentile(hue, [5, 95])))
    if spread < options.min_color_range:
        return f"no color term: colors span {spread:.2f} mag, {options.min_color_range} are needed"
    return ""


def _reference(hue: Floats, err: Floats, options: ZeroPointOptions) -> float:
    if options.color_reference is not None:
        return options.color_reference
    colored = np.isfinite(hue)
    if not colored.any():
        return float("nan")
    # A floor of 0.02 mag keeps one very bright star from being the reference.
    return float(np.average(hue[colored], weights=1 / (err[colored] ** 2 + 0.02**2)))


def _zeropoint(
    fit: LinearFit, residual: Floats, reference: float, names: dict[str, str], used: npt.NDArray[np.bool_]
) -> ZeroPoint:
    covariance = np.zeros((2, 2))
    terms = len(fit.coefficients)
    covariance[:terms, :terms] = fit.covariance
    kept = residual[fit.used]
    return ZeroPoint(
        mag=float(fit.coefficients[0]),
        err=float(np.sqrt(covariance[0, 0])),
        color_term=float(fit.coefficients[1]) if terms == 2 else 0.0,
        color_term_err=float(np.sqrt(covariance[1, 1])) if terms == 2 else float("nan"),
        covariance=(
            (float(covariance[0, 0]), float(covariance[0, 1])),
            (float(covariance[1, 0]), float(covariance[1, 1])),
        ),
        scatter=fit.scatter,
        rms=float(1.4826 * np.median(np.abs(kept - np.median(kept)))),
        chi2=fit.chi2,
        n_stars=int(fit.used.sum()),
        n_rejected=int((~fit.used).sum()),
        color_reference=reference,
        used=used,
        **names,
    )
