"""Bring frames to the reference frame's transparency and sky.

``y = (x - sky_i) / t_i + sky_ref``: t from flux ratios of matched stars, never from the sky's noise
or level (a scale from sky noise mixes transparency with sky brightness, and a ratio of levels means
nothing near zero). Reads ``exposure``, ``sky`` and ``transparency`` (frame); writes nothing: the
terms are applied during resampling.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.core.quality import FLUX_UNKNOWN
from sciastro.core.robust import mad_sigma
from sciastro.core.stars import StarArray
from sciastro.errors import DatasetError

__all__ = ["NormalizeOptions", "Terms", "between", "flux_ratio", "terms", "transparency"]

Floats = npt.NDArray[np.float64]
FEW = 3  # matched stars below which a ratio is not trusted


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalizeOptions(Options):
    """What is made equal between the frames."""

    mode: str = option(
        "both",
        "Sky level (additive), star fluxes (multiplicative), both, or none.",
        choices=("additive", "multiplicative", "both", "none"),
    )


@dataclass(frozen=True, slots=True)
class Terms:
    """Per frame, ``rate = (electrons - pedestal) * scale + offset``.

    Attributes
    ----------
    scale
        1 / (transparency * exposure) [1 / s].
    pedestal
        Sky of the frame [electron].
    offset
        Sky of the reference frame [electron / s].
    """

    scale: Floats
    pedestal: Floats
    offset: Floats


def terms(
    exposure: npt.ArrayLike,
    sky: npt.ArrayLike | None,
    transparency: npt.ArrayLike | None,
    *,
    reference: int = 0,
    options: NormalizeOptions | None = None,
) -> Terms:
    """Return the terms of every frame.

    Parameters
    ----------
    exposure
        Exposure times [s], (frame,).
    sky
        Median sky rates [electron / s], (frame,); None skips the sky, NaN leaves that frame's sky.
    transparency
        Star flux rates on any common scale, (frame,); divided by that of `reference`. None or NaN counts
        as 1.
    reference
        Frame whose sky level and transparency the stack gets.
    options
        Mode.

    Raises
    ------
    DatasetError
        Where an exposure or a transparency is not positive.
    """
    options = NormalizeOptions() if options is None else options
    seconds = np.asarray(exposure, dtype=np.float64)
    n = seconds.size
    if not np.all(good := (seconds > 0) & np.isfinite(seconds)):
        raise DatasetError(
            f"holds {seconds[~good][0]}.",
            where="coordinate 'exposure'",
            remedy="Give the exposure times, all above 0 s.",
        )
    t = np.ones(n) if transparency is None else np.asarray(transparency, dtype=np.float64).copy()
    t[np.isnan(t)] = 1.0
    if options.mode not in ("multiplicative", "both"):
        t = np.ones(n)
    t = t / t[reference] if t[reference] > 0 else t
    if not np.all(t > 0):
        raise DatasetError(
            f"holds {t[~(t > 0)][0]}.",
            where="coordinate 'transparency'",
            remedy="Leave frames without stars out (`integrate.grade`).",
        )
    pedestal, offset = np.zeros(n), np.zeros(n)
    if options.mode in ("additive", "both") and sky is not None:
        level = np.asarray(sky, dtype=np.float64)
        known = np.isfinite(level)
        middle = float(np.median(level[known])) if known.any() else 0.0
        base = float(level[reference]) if known[reference] else middle
        pedestal[known] = level[known] * seconds[known]
        offset[known] = base
    return Terms(1 / (t * seconds), pedestal, offset)


def between(first: Terms, second: Terms, area: float = 1.0) -> Floats:
    """Return factor and offset (frame, 2) that bring values of `first` to those of `second`.

    Parameters
    ----------
    first, second
        Two normalizations of the same frames.
    area
        Frame pixels per canvas pixel; near enough for looking for outliers, where the two take different
        pedestals and the grids are distorted.
    """
    factor = second.scale / first.scale
    moved = (first.pedestal - second.pedestal) * second.scale * area
    return np.stack([factor, second.offset - first.offset * factor + moved], axis=-1)


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    running = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(running, 0.5 * running[-1])])


def flux_ratio(
    flux: npt.ArrayLike, flux_err: npt.ArrayLike, reference_flux: npt.ArrayLike, reference_err: npt.ArrayLike
) -> tuple[float, float, int]:
    """Return the robust ratio of star fluxes, its standard error, and the number of stars used.

    Weighted median of the ratios, each weighted by 1 / its relative error (floored at 1 %, so that a
    few bright stars do not decide alone), after dropping those beyond 4 robust sigma.

    Parameters
    ----------
    flux, reference_flux
        Matched stars' fluxes in the frame and in the reference (same unit), (star,); NaN is missing.
    flux_err, reference_err
        Their errors.

    Returns
    -------
    ratio, error, used
        NaN, NaN and the count where fewer than 3 stars are usable.
    """
    f, e = np.asarray(flux, dtype=np.float64), np.asarray(flux_err, dtype=np.float64)
    r, s = np.asarray(reference_flux, dtype=np.float64), np.asarray(reference_err, dtype=np.float64)
    good = (f > 0) & (r > 0) & (e >= 0) & (s >= 0)
    f, e, r, s = f[good], e[good], r[good], s[good]
    if f.size < FEW:
        return float("nan"), float("nan"), int(f.size)
    logs = np.log(f / r)
    weights = 1 / np.maximum(np.hypot(e / f, s / r), 0.01)
    for _ in range(5):
        center = _weighted_median(logs, weights)
        spread = max(mad_sigma(logs, center), 1e-3)
        keep = np.abs(logs - center) <= 4 * spread
        if keep.all() or keep.sum() < FEW:
            break
        logs, weights = logs[keep], weights[keep]
    effective = weights.sum() ** 2 / (weights**2).sum()
    ratio = float(np.exp(center))
    # Standard error of a median of normal samples: sqrt(pi / 2) sigma / sqrt(n).
    return ratio, ratio * 1.2533 * spread / float(np.sqrt(effective)), int(logs.size)


def transparency(
    stars: StarArray, matched: npt.ArrayLike, reference_stars: StarArray, reference_matched: npt.ArrayLike,
    exposure: float, reference_exposure: float,
) -> tuple[float, float, int]:  # fmt: skip
    """Return star flux rates of a frame over those of the reference: ratio, error, stars used.

    Parameters
    ----------
    stars, reference_stars
        `core.stars` lists of the frame and the reference.
    matched, reference_matched
        Indices of the same stars in both, equal length.
    exposure, reference_exposure
        Exposure times [s].
    """
    a = stars[np.asarray(matched, dtype=np.intp)]
    b = reference_stars[np.asarray(reference_matched, dtype=np.intp)]
    fine = ((a["quality"] | b["quality"]) & FLUX_UNKNOWN) == 0
    a, b = a[fine], b[fine]
    ratio, error, used = flux_ratio(a["flux"], a["flux_err"], b["flux"], b["flux_err"])
    factor = reference_exposure / exposure
    return ratio * factor, error * factor, used
