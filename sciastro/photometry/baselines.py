"""Points of a light curve with a planet before its star, and the baselines that may multiply it.

A baseline is a constant and a set of causes (`trends`), linear and integrated out. Nobody knows which causes
are at work, so all sets are kept, each with its marginal likelihood; the prior of its coefficients is one
point's worth of information, centered on their estimate, which makes the marginal likelihood that of the
Bayesian information criterion (Kass & Wasserman 1995, JASA 90, 928): ``exp(-chi2 / 2) n^(-m / 2)``. To chi2
comes what a Gaussian about 0 says of each coefficient, as wide as trends of other stars on the same frames
are (`NoiseKinds.trend`); its height is left out, so that its width does not decide which sets are likely.
Neither does anybody know the noise: all its kinds (`noisekinds`) are kept as well, and the scale of the
errors is integrated out. What is then told of the transit is averaged over sets and kinds (Hoeting et al.
1999, Stat. Sci. 14, 382), so its errors hold the choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sciastro.kernels.likelihood import log_likelihood
from sciastro.kernels.transit import transit_light
from sciastro.photometry.noisekinds import UNKNOWN_NOISE, Filters, NoiseKinds, make_filters
from sciastro.photometry.trends import Trends

__all__ = ["Averaged", "Baselines", "Points", "evidence_of_noise", "make_baselines", "trend_variance"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Points:
    """What is fitted.

    Attributes
    ----------
    time, flux, err, exposure
        (point) from `zero` [d], relative, white errors, [d].
    steps
        Points at which an exposure is sampled.
    period, zero
        [d] (0: a straight chord); BJD.
    limb
        u1 and u2 to begin with.
    """

    time: Floats
    flux: Floats
    err: Floats
    exposure: Floats
    steps: int
    period: float
    zero: float
    limb: tuple[float, float]

    @property
    def weight(self) -> Floats:
        """(point) 1 / variance."""
        return 1 / self.err**2

    def with_errors(self, factor: float) -> "Points":
        """Return the points with errors times `factor`."""
        return replace(self, err=self.err * factor)

    def transit(self, shape: Floats) -> Floats:
        """Return the transit alone (point); NaN where no orbit has that shape."""
        return np.asarray(self.transits(np.asarray(shape, np.float64)[None])[0])

    def transits(self, shapes: Floats) -> Floats:
        """Return the transits alone (shape, point) of shapes (shape, 6); NaN where no orbit is so."""
        out = np.empty((len(shapes), self.time.size))
        shapes = np.ascontiguousarray(shapes, np.float64)
        transit_light(self.time, self.exposure, self.steps, shapes, self.period, out)
        return out

    def chi2(self, shape: Floats, basis: Floats) -> float:
        """Return chi2 of a transit with its best baseline in white noise, infinite where no orbit is so."""
        transit = self.transit(shape)
        if not np.isfinite(transit[0]):
            return float("inf")
        root = 1 / self.err
        none = np.zeros((1, root.size))
        each, chi2 = np.empty((1, 1, 1)), np.empty((1, 1, 1))
        every = np.ones((1, basis.shape[1]), np.bool_)
        log_likelihood(
            transit[None], self.flux, basis, np.zeros(basis.shape[1]), none, none, root[None], every,
            np.zeros((1, 1)), np.ones(1), each, chi2, np.empty(1),
        )  # fmt: skip
        return float(chi2[0, 0, 0])

    def solved(self, transit: Floats, basis: Floats) -> Floats:
        """Return the coefficients of a baseline under a transit (point) in white noise."""
        design = basis * (transit / self.err)[:, None]
        return np.asarray(np.linalg.lstsq(design, self.flux / self.err, rcond=1e-12)[0], np.float64)


@dataclass(frozen=True, slots=True)
class Averaged:
    """A baseline averaged over sets of causes and kinds of noise.

    Attributes
    ----------
    probability, kinds
        (set), (kind).
    coefficients, errors
        (column) mean over the sets, 0 where a set has none, and error with the scatter between sets.
    baseline
        (point).
    """

    probability: Floats
    kinds: Floats
    coefficients: Floats
    errors: Floats
    baseline: Floats


@dataclass(frozen=True, slots=True)
class Baselines:
    """The sets of causes and kinds of noise that are averaged over.

    Attributes
    ----------
    causes
        All that are in any set.
    names
        (set) causes.
    basis, sets
        (point, column) 1 and every cause; (set, column).
    filters
        Of the kinds of noise.
    prior, freedom
        (kind, set) ln; (set).
    ridge
        (column) 1 / variance of a coefficient about 0, by how much stars of the field have of trends.
    """

    causes: tuple[str, ...]
    names: list[tuple[str, ...]]
    basis: Floats
    sets: Bools
    filters: Filters
    prior: Floats
    freedom: Floats
    ridge: Floats

    def likelihood(self, flux: Floats, transit: Floats) -> tuple[float, Floats, Floats]:
        """Return ln L of a transit (point), and by kind and set: ln L, chi2."""
        value, each, chi2 = self._likelihoods(flux, transit[None])
        return float(value[0]), each[0], chi2[0]

    def log_likelihood(self, points: Points, shapes: Floats) -> Floats:
        """Return ln L (shape) of shapes (shape, 6); -inf where no orbit is so."""
        return self._likelihoods(points.flux, points.transits(shapes))[0]

    def _likelihoods(self, flux: Floats, transits: Floats) -> tuple[Floats, Floats, Floats]:
        shape = (len(transits), *self.prior.shape)
        out, each, chi2 = np.empty(len(transits)), np.empty(shape), np.empty(shape)
        log_likelihood(
            transits, flux, self.basis, self.ridge, self.filters.keep, self.filters.gain, self.filters.root,
            self.sets, self.prior, self.freedom, each, chi2, out,
        )  # fmt: skip
        return out, each, chi2

    def averaged(self, points: Points, shape: Floats) -> Averaged:
        """Return the baseline under a transit."""
        transit = points.transit(shape)
        _, each, chi2 = self.likelihood(points.flux, transit)
        share = _shares(each)
        m = self.basis.shape[1]
        mean, square = np.zeros(m), np.zeros(m)
        columns = np.column_stack([self.basis * transit[:, None], points.flux])
        for g in np.flatnonzero(share.max(axis=1) > 1e-6):
            white = self.filters.whitened(int(g), columns)
            full = white[:, :-1].T @ white[:, :-1] + np.diag(self.ridge)
            right = white[:, :-1].T @ white[:, -1]
            for s in np.flatnonzero(share[g] > 1e-6):
                some = np.flatnonzero(self.sets[s])
                inverse = np.linalg.pinv(full[np.ix_(some, some)], hermitian=True, rcond=1e-12)
                found = inverse @ right[some]
                scale = chi2[g, s] / self.freedom[s]
                mean[some] += share[g, s] * found
                square[some] += share[g, s] * (scale * np.diag(inverse) + found**2)
        mean, square = mean / share[share > 1e-6].sum(), square / share[share > 1e-6].sum()
        spread = np.sqrt(np.maximum(square - mean**2, 0.0))
        return Averaged(share.sum(axis=0), share.sum(axis=1), mean, spread, self.basis @ mean)


def _shares(each: Floats) -> Floats:
    share = np.exp(each - each.max())
    return np.asarray(share / share.sum())


def make_baselines(
    points: Points, trends: Trends, every: Sequence[tuple[str, ...]], kinds: NoiseKinds = UNKNOWN_NOISE
) -> Baselines:
    """Return the baselines of sets of causes, with their priors.

    Parameters
    ----------
    points
        With errors that are about right in white noise.
    kinds
        Of noise.
    """
    from scipy.special import gammaln

    causes = tuple(name for name in trends.columns if any(name in names for names in every))
    basis = np.ascontiguousarray(trends.basis(causes))
    owner = np.array(["", *(name for name in causes for _ in range(trends.columns[name].shape[1]))])
    sets = np.array([[one == "" or one in names for one in owner] for names in every], np.bool_)
    order = sorted(range(len(every)), key=lambda s: tuple(np.flatnonzero(sets[s])))  # alike ones together
    sets, every = sets[order], [every[s] for s in order]
    n = points.time.size
    filters = make_filters(points.time, points.err, kinds)
    prior, freedom = np.empty(len(every)), n - sets.sum(axis=1).astype(np.float64)
    for s, columns in enumerate(sets):
        # A prior of covariance n A^-1, A that without a transit: what a flat one gives, times its height.
        design = basis[:, columns] * np.sqrt(points.weight)[:, None]
        sign, logdet = np.linalg.slogdet(design.T @ design)
        prior[s] = (0.5 * logdet if sign > 0 else -np.inf) - 0.5 * columns.sum() * np.log(n)
    prior += gammaln(freedom / 2) + freedom / 2 * np.log(2)  # the scale of the errors is integrated out
    of_kind = np.log(np.maximum(kinds.share, 1e-300)) - filters.logdet / 2
    # A trend that undoes the light of a transit three times as long would fit as well: none is so large.
    ridge = np.full(len(owner), 1 / (kinds.trend * float(np.median(points.flux))) ** 2)
    ridge[0] = 0.0  # the constant may be anything
    total = of_kind[:, None] + prior[None, :]
    return Baselines(causes, list(every), basis, sets, filters, total, freedom, ridge)


def trend_variance(points: Points, basis: Floats) -> float:
    """Return the variance of a constant star's trends over its light squared, its noise taken off, 0 or more.

    Parameters
    ----------
    basis
        (point, column) 1 and all causes.
    """
    n, m = basis.shape
    found = points.solved(np.ones(n), basis)
    residual = points.flux - basis @ found
    noise = float(np.var(residual)) * n / max(n - m, 1) * (m - 1) / n
    size = float(np.var(basis @ found)) - noise
    return float(max(size, 0.0) / np.median(points.flux) ** 2)


def evidence_of_noise(points: Points, trends: Trends, every: Sequence[tuple[str, ...]]) -> Floats:
    """Return ln of the marginal likelihood of each kind of noise (kind), where the star is constant."""
    rough = make_baselines(points, trends, every)
    none = np.ones(points.time.size)
    _, _, chi2 = rough.likelihood(points.flux, none)
    scale = float(np.sqrt(np.min(chi2[0] / rough.freedom)))
    found = make_baselines(points.with_errors(scale), trends, every)
    _, each, _ = found.likelihood(points.flux, none)
    top = each.max(axis=1)
    total = np.log(np.exp(each - top[:, None]).sum(axis=1)) + top
    return np.asarray(total - np.log(UNKNOWN_NOISE.share))
