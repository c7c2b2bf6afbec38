"""Second-order extinction: how much more of blue light than of red the air takes within a band.

Reads magnitudes of the same stars in many frames, less the zero points of the frames, and fits for each star
its run with airmass; the runs of stars of different colors differ by ``-k2 (color - reference)``. The term is
taken only where stars that take no part are foretold better by more than the standard error of the gain.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.photometry.fieldterm import better_of
from sciastro.photometry.robust import fit_linear, jackknife

__all__ = ["SecondOrder", "second_order"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_FEWEST_STARS = 16  # seen at several airmasses
_FEWEST_FRAMES = 5  # of a star
_LEAST_COLORS = 0.4  # [mag], 5 to 95 %


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondOrder:
    """Result of `second_order`.

    Attributes
    ----------
    k
        [mag per mag of color per airmass]: a star redder by 1 mag is dimmed by that much more (less where it
        is negative) per airmass; 0 where left-out stars do not ask for it.
    err, err_empirical
        From errors and the scatter of stars; from leaving out stars one by one. 0 where `k` is.
    reference, airmass
        Color and airmass that the term is 0 at.
    n_stars
        Stars used.
    reason
        Why it is taken or not.
    """

    k: float = 0.0
    err: float = 0.0
    err_empirical: float = 0.0
    reference: float = float("nan")
    airmass: float = float("nan")
    n_stars: int = 0
    reason: str = ""

    def of(self, color: Floats, airmass: Floats) -> Floats:
        """Return how much stars are dimmed by it [mag]; 0 where color or airmass is unknown."""
        return np.nan_to_num(self.k * (color - self.reference) * (airmass - self.airmass))


def second_order(
    mag: Floats, err: Floats, star: Integers, airmass: Floats, color: Floats, *, reference: float,
    kappa: float = 3.5,
) -> SecondOrder:  # fmt: skip
    """Fit it to magnitudes that are freed of the zero points of their frames.

    Parameters
    ----------
    mag, err
        (measurement,) magnitude plus the zero point of its frame, its error [mag]; NaN is left out.
    star
        (measurement,) number from 0.
    airmass
        (measurement,).
    color
        (star,) [mag]; NaN unknown: no part in the fit.
    reference
        Color that the term is 0 at [mag].
    kappa
        Clipping threshold.
    """
    good = np.isfinite(mag) & np.isfinite(err) & np.isfinite(airmass) & np.isfinite(color)[star]
    middle = float(np.mean(airmass[good])) if good.any() else float("nan")
    slope, slope_err = _runs(mag[good], err[good], star[good], airmass[good], len(color))
    known = np.isfinite(slope)
    hue, slope, slope_err = color[known] - reference, slope[known], slope_err[known]
    n = int(known.sum())
    spread = float(np.ptp(np.percentile(hue, [5, 95]))) if n else 0.0
    if n < _FEWEST_STARS or spread < _LEAST_COLORS:
        return SecondOrder(
            reference=reference, airmass=middle,
            reason=f"{n} stars over {spread:.2f} mag of color tell no second order of the extinction",
        )  # fmt: skip
    design = np.column_stack([np.ones(n), hue])
    best, worth, _ = better_of([design[:, :1], design], slope, slope_err, kappa=kappa)
    if best == 0:
        return SecondOrder(
            reference=reference, airmass=middle, n_stars=n,
            reason="left-out stars ask for no second order of the extinction",
        )  # fmt: skip
    fit = fit_linear(design, slope, slope_err, kappa=kappa)
    empirical = jackknife(
        design[fit.used], slope[fit.used], slope_err[fit.used] ** 2 + fit.scatter**2 + 1e-18
    )
    return SecondOrder(
        k=float(fit.coefficients[1]), err=float(np.sqrt(fit.covariance[1, 1])),
        err_empirical=float(np.sqrt(empirical[1, 1])), reference=reference, airmass=middle,
        n_stars=int(fit.used.sum()),
        reason=f"left-out stars are foretold {100 * worth:.0f} % better (chi-square) with a second order",
    )  # fmt: skip


def _runs(mag: Floats, err: Floats, star: Integers, airmass: Floats, stars: int) -> tuple[Floats, Floats]:
    """Return each star's slope with airmass and its error; NaN with too few frames.

    Residuals that are larger than the errors say enlarge the error.
    """
    weight = 1 / np.maximum(err, 1e-4) ** 2
    count, norm = np.bincount(star, minlength=stars), np.bincount(star, weight, stars)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = airmass - (np.bincount(star, weight * airmass, stars) / norm)[star]
        y = mag - (np.bincount(star, weight * mag, stars) / norm)[star]
        lever = np.bincount(star, weight * x * x, stars)
        slope = np.bincount(star, weight * x * y, stars) / lever
        chi2 = np.bincount(star, weight * (y - slope[star] * x) ** 2, stars) / np.maximum(count - 2, 1)
    use = (count >= _FEWEST_FRAMES) & (lever > 0)
    found = np.where(use, slope, np.nan)
    return found, np.where(use, np.sqrt(np.maximum(chi2, 1.0) / np.where(use, lever, 1.0)), np.nan)
