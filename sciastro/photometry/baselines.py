"""Points of a light curve with a planet before its star, and the baselines that may multiply it.

A baseline is a constant and a set of causes (`trends`), linear and integrated out. Nobody knows which causes
are at work, so all sets are kept, each with its marginal likelihood; the prior of its coefficients is one
point's worth of information, centered on their estimate, which makes the marginal likelihood that of the
Bayesian information criterion (Kass & Wasserman 1995, JASA 90, 928): ``exp(-chi2 / 2) n^(-m / 2)``. What is
then told of the transit is averaged over the sets (Hoeting et al. 1999, Stat. Sci. 14, 382), so its errors
hold the choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sciastro.kernels.transit import log_likelihood
from sciastro.photometry.trends import Trends

__all__ = ["Averaged", "Baselines", "Points", "make_baselines"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Points:
    """What is fitted.

    Attributes
    ----------
    time, flux, weight, exposure
        (point) from `zero` [d], relative, 1 / variance, [d].
    steps
        Points at which an exposure is sampled.
    period, zero
        [d] (0: a straight chord); BJD.
    limb, limb_error
        u1 and u2, center and sigma of their prior.
    """

    time: Floats
    flux: Floats
    weight: Floats
    exposure: Floats
    steps: int
    period: float
    zero: float
    limb: tuple[float, float]
    limb_error: float

    def with_errors(self, factor: float) -> "Points":
        """Return the points with errors times `factor`."""
        return replace(self, weight=self.weight / factor**2)

    def likelihood(
        self, shape: Floats, basis: Floats, sets: Bools, prior: Floats
    ) -> tuple[float, Floats, Floats, Floats]:
        """Return ln L over sets of columns, that of each set, chi2 of each, and the transit (point)."""
        each, chi2, transit = np.empty(len(sets)), np.empty(len(sets)), np.empty(self.time.size)
        value = log_likelihood(
            self.time, self.exposure, self.steps, self.flux, self.weight, basis, sets, prior,
            np.asarray(shape, np.float64), self.period, each, chi2, transit,
        )  # fmt: skip
        return float(value), each, chi2, transit

    def transit(self, shape: Floats) -> Floats:
        """Return the transit alone (point); NaN where no orbit has that shape."""
        one = np.ones((self.time.size, 1))
        value, _, _, out = self.likelihood(shape, one, np.ones((1, 1), np.bool_), np.zeros(1))
        return out if np.isfinite(value) else np.full(out.size, np.nan)

    def chi2(self, shape: Floats, basis: Floats) -> float:
        """Return chi2 of a transit with its best baseline, infinite where no orbit has that shape."""
        every = np.ones((1, basis.shape[1]), np.bool_)
        return float(self.likelihood(shape, basis, every, np.zeros(1))[2][0])

    def solved(self, transit: Floats, basis: Floats) -> tuple[Floats, Floats]:
        """Return coefficients and their covariance for a baseline under a transit (point)."""
        root = np.sqrt(self.weight)
        design = basis * (transit * root)[:, None]
        inverse = np.asarray(np.linalg.pinv(design.T @ design, hermitian=True, rcond=1e-12), np.float64)
        return inverse @ (design.T @ (self.flux * root)), inverse


@dataclass(frozen=True, slots=True)
class Averaged:
    """A baseline averaged over sets of causes.

    Attributes
    ----------
    probability
        (set).
    coefficients, errors
        (column) mean over the sets, 0 where a set has none, and error with the scatter between sets.
    baseline
        (point).
    """

    probability: Floats
    coefficients: Floats
    errors: Floats
    baseline: Floats


@dataclass(frozen=True, slots=True)
class Baselines:
    """The sets of causes that are averaged over.

    Attributes
    ----------
    causes
        All that are in any set.
    names
        (set) causes.
    basis, sets, prior
        (point, column) 1 and every cause; (set, column); (set) ln.
    """

    causes: tuple[str, ...]
    names: list[tuple[str, ...]]
    basis: Floats
    sets: Bools
    prior: Floats

    def log_likelihood(self, points: Points, shape: Floats) -> float:
        """Return ln L of a shape, averaged over the sets."""
        return points.likelihood(shape, self.basis, self.sets, self.prior)[0]

    def averaged(self, points: Points, shape: Floats) -> Averaged:
        """Return the baseline under a transit."""
        _, each, _, transit = points.likelihood(shape, self.basis, self.sets, self.prior)
        share = np.exp(each - each.max())
        share /= share.sum()
        m = self.basis.shape[1]
        values, variances = np.zeros((share.size, m)), np.zeros((share.size, m))
        for s in np.flatnonzero(share > 1e-6):
            columns = self.sets[s]
            found, covariance = points.solved(transit, self.basis[:, columns])
            values[s, columns], variances[s, columns] = found, np.diag(covariance)
        mean = share @ values
        spread = share @ (variances + (values - mean) ** 2)
        return Averaged(share, mean, np.sqrt(spread), self.basis @ mean)


def make_baselines(points: Points, trends: Trends, every: Sequence[tuple[str, ...]]) -> Baselines:
    """Return the baselines of sets of causes, with their priors.

    Parameters
    ----------
    points
        With the errors that the marginal likelihoods shall hold.
    """
    causes = tuple(name for name in trends.columns if any(name in names for names in every))
    basis = np.ascontiguousarray(trends.basis(causes))
    owner = np.array(["", *(name for name in causes for _ in range(trends.columns[name].shape[1]))])
    sets = np.array([[one == "" or one in names for one in owner] for names in every], np.bool_)
    n = points.time.size
    prior = np.empty(len(every))
    for s, columns in enumerate(sets):
        # A prior of covariance n A^-1, A that without a transit: what a flat one gives, times its height.
        design = basis[:, columns] * np.sqrt(points.weight)[:, None]
        sign, logdet = np.linalg.slogdet(design.T @ design)
        prior[s] = (0.5 * logdet if sign > 0 else -np.inf) - 0.5 * columns.sum() * np.log(n)
    return Baselines(causes, list(every), basis, sets, prior)
