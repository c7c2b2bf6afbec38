"""Weights of frames: inverse variances, and what other programs use instead.

`source_snr` (default) is optimal for faint stars, `sky_variance` for faint extended light; both are inverse
variances *after* normalization to equal star fluxes. The others are for who wants them: `noise` ignores
transparency, `fwhm` and `stars` know nothing of noise. None gives a frame weight 0 by formula: subtracting
the worst frame's value, as some programs do, throws that frame away unseen.

A stack is one sum, ``sum w_i I_i``, and a star in it has one profile ``P = sum w_i P_i / sum w_i``. The S/N
of its optimally extracted flux is ``sqrt(integral P^2) / noise`` (Naylor 1998, MNRAS 296, 339). Where that is
largest, ``w_i`` is proportional to ``t_i^2 / noise_i^2`` times ``integral P_i P``, for Gaussian profiles
``1 / (FWHM_i^2 + FWHM^2)`` with the FWHM of P. About the middle that falls as ``1 / FWHM_i``, which needs
nothing of the other frames and is what `source_snr` takes: 0.2 % below the best weights at most for FWHM that
differ by a factor of 3. ``1 / FWHM_i^2`` is right for fluxes that are measured frame by frame and averaged;
for a stack it loses up to 3 %, and adds noise to the sky.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from sciastro.core.quality import FLUX_UNKNOWN
from sciastro.core.stars import StarArray
from sciastro.errors import OptionError
from sciastro.integrate.select import weighting

__all__ = ["LEAST", "WEIGHTS", "filled", "group_measures", "hours_since_first", "psf_signal", "weights"]

Floats = npt.NDArray[np.float64]

WEIGHTS = (
    "source_snr", "sky_variance", "psf_signal", "noise", "fwhm", "stars", "exposure", "equal", "expression"
)  # fmt: skip
LEAST = 1e-4  # weight of a frame that is used, over that of the best
TENTH = 2.0281  # full width at a tenth over that at half maximum of a Moffat profile with beta = 4


def filled(values: Floats) -> Floats:
    """Return `values`, unknown ones as the median of the known (1 where nothing is known)."""
    known = values[np.isfinite(values)]
    return np.where(np.isfinite(values), values, np.median(known) if known.size else 1.0)


def hours_since_first(times: npt.NDArray[np.generic]) -> Floats:
    """Return the time since the first of `times` (datetime64) [h]; NaN where unknown."""
    moments = times.astype("datetime64[ms]")
    known = ~np.isnat(moments)
    hours = np.full(moments.size, np.nan)
    if known.any():
        hours[known] = (moments[known] - moments[known].min()) / np.timedelta64(3_600_000, "ms")
    return hours


def psf_signal(stars: StarArray, seconds: float, noise: float) -> float:
    """Return the PSF signal weight of a frame, up to a factor common to all frames.

    ``F_T F_M / noise**2`` with the summed flux F_T of the stars and the sum F_M of their flux per area of
    the full width at a tenth of maximum. PixInsight has ``F_T F_M / (noise M)`` with M the median depth of
    pixels below the large-scale background, which for Gaussian noise is 0.6745 noise; where M differs, it
    answers to gradients. PixInsight fits Moffat profiles of beta 4; we take the fluxes and widths of our
    stars, and the area from their FWHM by that profile.

    Parameters
    ----------
    stars
        `core.stars` list; saturated and unusable ones are skipped.
    seconds
        Exposure time [s].
    noise
        Of the background [electron / s].

    Returns
    -------
    float
        [1]; NaN without a usable star.
    """
    fine = stars[((stars["quality"] & FLUX_UNKNOWN) == 0) & (stars["flux"] > 0) & (stars["fwhm"] > 0)]
    if fine.size == 0 or not noise > 0 or not seconds > 0:
        return float("nan")
    rate = fine["flux"].astype(np.float64) / seconds
    area = np.pi / 4 * (TENTH * fine["fwhm"].astype(np.float64)) ** 2
    return float(rate.sum() * (rate / area).sum() / noise**2)


def _variance(facts: Mapping[str, Floats], kind: str) -> Floats:
    """Return the variance by which frames are weighted, up to a common factor."""
    noise, fwhm, t = (filled(facts[name]) for name in ("noise", "fwhm", "transparency"))
    if kind == "noise":
        return noise**2
    return (noise / t) ** 2 * fwhm if kind == "source_snr" else (noise / t) ** 2


def _snr(facts: Mapping[str, Floats]) -> Floats:
    """Return the S/N of a faint star on each frame alone, up to a common factor."""
    noise, fwhm, t = (filled(facts[name]) for name in ("noise", "fwhm", "transparency"))
    return np.sqrt(_inverse((noise * fwhm / t) ** 2))


def _inverse(variance: Floats) -> Floats:
    return np.where(variance > 0, 1 / np.where(variance > 0, variance, 1.0), 1.0)


def _relative(values: Floats, among: npt.NDArray[np.bool_]) -> Floats:
    known = values[among & np.isfinite(values)]
    best = float(known.max()) if known.size else 1.0
    return values / best if best > 0 else values


def group_measures(facts: Mapping[str, Floats], among: npt.NDArray[np.bool_]) -> dict[str, Floats]:
    """Return the measures of a group that expressions may name, but the weight.

    Parameters
    ----------
    facts
        Measures per frame, NaN unknown.
    among
        Frames among which the best one is looked for.
    """
    return {
        **facts,
        "snr": _relative(np.where(np.isfinite(facts["noise"]), _snr(facts), np.nan), among),
        "psf_signal": _relative(facts["psf_signal"], among),
    }


def weights(
    measures: Mapping[str, Floats], kind: str, expression: str, among: npt.NDArray[np.bool_]
) -> Floats:
    """Return weights, the best frame of `among` 1, none below 1e-4.

    Parameters
    ----------
    measures
        From `group_measures`; an unknown transparency, width, ... counts as the group's median.
    kind
        One of `WEIGHTS`.
    expression
        For "expression".
    among
        Frames fit for use.

    Raises
    ------
    OptionError
        If the expression gives no positive number for any frame.
    """
    raw = _raw(measures, kind, expression, among)
    scaled = _relative(raw, among)
    if not (scaled[among] > 0).any() and among.any():
        raise OptionError(
            f"is {expression!r}, which is above 0 for no frame.",
            where="grade.expression",
            remedy="Write an expression that is larger for better frames.",
        )
    return np.maximum(np.nan_to_num(scaled, nan=LEAST, posinf=1.0), LEAST)


def _raw(measures: Mapping[str, Floats], kind: str, expression: str, among: npt.NDArray[np.bool_]) -> Floats:
    if kind == "equal":
        return np.ones_like(measures["noise"])
    if kind == "expression":
        values = np.asarray(weighting(expression).numbers(measures, among), dtype=np.float64)
        return np.where(np.isfinite(values), values, np.nan)  # unknown: the least, whatever the others' unit
    if kind == "exposure":
        return np.nan_to_num(measures["exposure"])
    if kind == "stars":
        return filled(measures["n_stars"])
    if kind == "psf_signal":
        return filled(measures["psf_signal"])
    if kind == "fwhm":
        return _inverse(filled(measures["fwhm"]) ** 2)
    return _inverse(_variance(measures, kind))
