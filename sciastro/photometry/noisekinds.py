"""Which kinds of noise a light curve may have, and how often stars of the same field have each.

A kind is white noise plus a process that remembers (`kernels.likelihood`): its time, and its deviation over
what white noise leaves of an average over twice that time. How often each kind is there is learned from other
stars on the same frames, whose light was constant: the shares that make all of their light curves together
most likely (nonparametric maximum likelihood, Laird 1978, JASA 73, 805; by expectation maximization, Dempster
et al. 1977), held by `HOLD` stars' worth of a broad prior. So nights without red noise have errors that know
of none, and nights with it, errors that hold it, whatever the target's own few points say.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from sciastro.kernels.likelihood import filter_gains, whiten

__all__ = ["UNKNOWN_NOISE", "Filters", "NoiseKinds", "learn_noise", "make_filters"]

Floats = npt.NDArray[np.float64]

MINUTES = (8.0, 30.0, 120.0)  # min: by 4, from a few frames to half a night
RATIOS = (0.7, 1.4, 2.8, 5.6, 11.0)  # by 2: from what adds 20 % to an average's error to a night of clouds
WHITE = 0.5  # share of the broad prior that is white: nobody knows
HOLD = 2.0  # stars: pulls of t0 and depth with 5 neighbors 1.02, 0.93, with 53 0.98, 0.93 (HAT-P-32's night)
ROUNDS = 200  # of expectation maximization: shares of a field of 40 stars are then known to 1e-5
TREND = 0.03  # where no star tells: drift over a field without flats, color and airmass, are 1 to 3 %


@dataclass(frozen=True, slots=True)
class NoiseKinds:
    """Kinds of noise; the first is white.

    Attributes
    ----------
    minutes, ratio
        (kind) time of the process [min]; its deviation over that of an average of the white noise over twice
        this time.
    share
        (kind) how often it is there.
    n_stars
        Stars that `share` is learned from.
    trend
        Deviation of what all causes together do to a star, relative to its light; no single one is taken to
        do more (a Gaussian about 0 of this deviation).
    """

    minutes: Floats
    ratio: Floats
    share: Floats
    n_stars: int = 0
    trend: float = TREND


def _broad() -> NoiseKinds:
    minutes, ratio = np.array([(1.0, 0.0), *product(MINUTES, RATIOS)]).T
    red = (1 - WHITE) / (minutes.size - 1)
    return NoiseKinds(minutes, ratio, np.append(WHITE, np.full(minutes.size - 1, red)))


UNKNOWN_NOISE = _broad()
"""What is taken where no star tells: half of the light curves have white noise."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What makes each kind of noise white at given times: (kind, point), as `kernels.likelihood` has them.

    Attributes
    ----------
    logdet
        (kind) ln det of the covariance.
    deviation
        (kind) of the process, unit of the errors.
    """

    keep: Floats
    gain: Floats
    root: Floats
    logdet: Floats
    deviation: Floats

    def whitened(self, kind: int, columns: Floats) -> Floats:
        """Return columns (point, column) whose noise of that kind has become white, of variance 1."""
        out = np.empty_like(columns)
        whiten(self.keep[kind], self.gain[kind], self.root[kind], np.ascontiguousarray(columns), out)
        return out


def make_filters(time: Floats, err: Floats, kinds: NoiseKinds = UNKNOWN_NOISE) -> Filters:
    """Return the filters of points.

    Parameters
    ----------
    time, err
        (point) in order [d]; white errors.
    """
    shape = kinds.minutes.size, time.size
    keep, gain, root = np.empty(shape), np.empty(shape), np.empty(shape)
    step = float(np.median(np.diff(time))) if time.size > 1 else 1.0
    tau = kinds.minutes / 1440
    averaged = np.maximum(2 * tau / max(step, 1e-9), 1.0)
    deviation = kinds.ratio * float(np.median(err)) / np.sqrt(averaged)
    logdet = np.empty(shape[0])
    variance = np.ascontiguousarray(err**2)
    for g in range(shape[0]):
        logdet[g] = filter_gains(time, variance, deviation[g] ** 2, tau[g], keep[g], gain[g], root[g])
    return Filters(keep, gain, root, logdet, deviation)


def learn_noise(
    evidence: Floats, kinds: NoiseKinds = UNKNOWN_NOISE, *, trends: Floats | None = None
) -> NoiseKinds:
    """Return the kinds with the shares that other stars tell.

    Parameters
    ----------
    evidence
        (star, kind) ln of the marginal likelihood of each star's light curve.
    kinds
        With the shares that are taken without a star.
    trends
        (star) variance of each star's trends, relative to its light squared; None: nothing is learned of it.
    """
    if not len(evidence):
        return kinds
    share = kinds.share
    relative = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    for _ in range(ROUNDS):
        each = relative * share
        each /= each.sum(axis=1, keepdims=True)
        share = (each.sum(axis=0) + HOLD * kinds.share) / (len(evidence) + HOLD)
    trend = kinds.trend
    if trends is not None:  # the mean holds stars of large trends, of which the target may be one
        trend = float(np.sqrt((np.sum(trends) + HOLD * trend**2) / (len(trends) + HOLD)))
    return NoiseKinds(kinds.minutes, kinds.ratio, share, len(evidence), trend)
