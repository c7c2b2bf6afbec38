"""Which noise the target's light curve has, as other stars on the same frames tell it."""

import numpy as np
import numpy.typing as npt

from sciastro.photometry.baselines import Points, evidence_of_noise, trend_variance
from sciastro.photometry.comparison import SPOILED, is_variable
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.lightcurve import Curves
from sciastro.photometry.missing import median_of
from sciastro.photometry.noisekinds import UNKNOWN_NOISE, NoiseKinds, learn_noise
from sciastro.photometry.transit import causes_to_try
from sciastro.photometry.trends import make_trends
from sciastro.recipe.lightcurveframes import FieldSeries
from sciastro.recipe.lightcurveverdicts import spikes

__all__ = ["causes_of", "nights_of", "noise_of_field", "witnesses"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FEWEST = 12  # points of a star: as many as a transit needs
MOST = 60  # stars: shares are then known to 6 per cent at worst (binomial)
FAINTER, BRIGHTER = 0.25, 5.0  # than the target: their errors are of the same kind
SPOILED_SHARE = 0.05  # of the points of a star


def noise_of_field(
    series: FieldSeries, curves: Curves, times: tuple[Floats, Floats], use: Bools
) -> NoiseKinds:
    """Return how often noise is of which kind among stars like the target.

    Parameters
    ----------
    times
        (frame) BJD_TDB of the target [d], its airmass; NaN unknown.
    use
        (frame) points of the target that count.
    """
    night, rows, sizes = nights_of(times[0]), [], []
    for i in witnesses(series, curves, use):
        some = use & np.isfinite(curves.flux[i]) & np.isfinite(curves.err[i])
        some &= ~spikes(curves.flux[i], curves.err[i], some)
        if some.sum() < FEWEST:
            continue
        trends = make_trends(causes_of(series, *times, star=i), some, night).take(some)
        time, n = times[0][some], int(some.sum())
        points = Points(
            time - np.floor(time.mean()), curves.flux[i][some], curves.err[i][some], np.zeros(n), 1, 0.0, 0.0,
            (0.0, 0.0),
        )  # fmt: skip
        every = causes_to_try(trends, "auto")
        if every:
            rows.append(evidence_of_noise(points, trends, every))
            sizes.append(trend_variance(points, trends.basis(max(every, key=len))))
    return learn_noise(np.array(rows), trends=np.array(sizes)) if rows else UNKNOWN_NOISE


def witnesses(series: FieldSeries, curves: Curves, use: Bools) -> list[int]:
    """Return the unspoiled, constant stars that are about as bright as the target, the most alike first.

    Parameters
    ----------
    use
        (frame) points of the target that count.
    """
    k = curves.aperture
    bad = (series.flags[k] & np.uint32(SPOILED | int(SourceFlag.CROWDED))) != 0
    known = np.isfinite(curves.flux) & np.isfinite(curves.err)
    enough = known[:, use].mean(axis=1) > 1 - SPOILED_SHARE
    with np.errstate(invalid="ignore", divide="ignore"):
        light = median_of(np.where(known[:, use], series.flux[k][:, use].astype(np.float64), np.nan), axis=1)
        away = np.log(np.maximum(light, 1e-30) / max(float(light[0]), 1e-30))
        fit = enough & (bad[:, use].mean(axis=1) < SPOILED_SHARE) & (light > 0)
        fit &= (away > np.log(FAINTER)) & (away < np.log(BRIGHTER))
    fit[0] = False
    order = np.argsort(np.abs(away), kind="stable")
    good = [int(i) for i in order if fit[i] and not is_variable(curves.chosen.reasons.get(int(i), ""))]
    return good[:MOST]


def nights_of(bjd: Floats) -> npt.NDArray[np.int64]:
    """Return the number of the night of each frame (frame,): a gap of six hours ends one; `bjd` [d]."""
    out = np.zeros(bjd.size, np.int64)
    known = np.flatnonzero(np.isfinite(bjd))
    out[known] = np.cumsum(np.append(0, np.diff(bjd[known]) > 0.25)) if known.size else 0
    return out


def causes_of(series: FieldSeries, bjd: Floats, mass: Floats, star: int = 0) -> dict[str, Floats]:
    """Return what a star's baseline may depend on, by name (frame)."""
    return {
        "airmass": mass, "fwhm": series.fwhm, "x": series.x[star], "y": series.y[star], "sky": series.level,
        "time": _within_nights(bjd),
    }  # fmt: skip


def _within_nights(bjd: Floats) -> Floats:
    """Return times from the middle of each night [d]: what differs between nights is the cause "night"."""
    out, night = bjd.copy(), nights_of(bjd)
    for number in np.unique(night[np.isfinite(bjd)]):
        mine = (night == number) & np.isfinite(bjd)
        out[mine] -= bjd[mine].mean()
    return out
