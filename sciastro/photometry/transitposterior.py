"""The posterior of a transit's shape, drawn by walkers.

Reads points, baselines, and what is known beforehand of limb darkening and the orbit. Method: mid-transit
time, Rp/Rs, duration and impact parameter (flat priors) and limb darkening are drawn (`sampler`) from the
posterior that is averaged over all sets of causes and kinds of noise (`baselines`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.photometry.baselines import Baselines, Points
from sciastro.photometry.knownorbit import KnownOrbit, departure
from sciastro.photometry.limbdarkening import LimbPrior
from sciastro.photometry.sampler import Draws, sample
from sciastro.photometry.transitoptions import TransitOptions
from sciastro.photometry.transitsearch import BEYOND, EACH, LARGEST

__all__ = ["Posterior", "draw_shapes"]

Floats = npt.NDArray[np.float64]

WALKERS = 8  # per parameter: twice the fewest, so jumps are learned from 150 steps of 48 walkers
SPREAD = (0.002, 0.004, 0.004, 0.1)  # d, -, d, -: of the walkers' start, less than what a night leaves open
TRIES = 20_000  # of starts, of which some are possible unless the shape is far from any that is
PLANET = 0.35  # Rp/Rs: more is no planet before a dwarf; giants before M dwarfs reach 0.28 (TOI-3235 b)


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is drawn from.

    Attributes
    ----------
    data, baselines, limb
        Points, what may multiply their transit, and the prior of limb darkening.
    known
        Of a circular orbit: `a_rs` and `inclination` [deg], each with its standard error.
    largest
        Most that Rp/Rs may be: `PLANET`, or `LARGEST` where the best shape is beyond it.
    """

    data: Points
    baselines: Baselines
    limb: LimbPrior
    known: KnownOrbit
    largest: float = PLANET

    @property
    def free(self) -> int:
        """How many of a shape's parameters are drawn: limb darkening may be held."""
        return 6 if self.limb.free else 4

    def shapes(self, values: Floats) -> Floats:
        """Return whole shapes (draw, 6) of what is drawn (draw, parameter)."""
        if self.free == 6:
            return values
        return np.column_stack([values, np.broadcast_to(self.data.limb, (len(values), 2))])

    def log_probability(self, values: Floats) -> Floats:
        """Return ln of the density (draw) of what is drawn (draw, parameter), -inf where it cannot be."""
        shapes = self.shapes(values)
        t0, k, duration, b, u1, u2 = shapes.T
        low, high = self.data.time[0] - BEYOND, self.data.time[-1] + BEYOND
        can = (low < t0) & (t0 < high) & (duration > 0)
        can &= (k > 0) & (k < self.largest) & (b >= 0) & (b < 1 + k)
        can &= (u1 + u2 <= 1) & (u1 >= 0) & (u1 + 2 * u2 >= 0)  # else the law is no star's (Kipping 2013)
        away = np.abs(self.data.time - t0[:, None]) > duration[:, None] / 2
        outside = away.sum(axis=1)
        can &= (outside >= EACH) & (self.data.time.size - outside >= EACH)
        out = np.full(len(values), -np.inf)
        some = shapes[can]
        if len(some):
            out[can] = self.baselines.log_likelihood(self.data, some) + self._log_prior(some)
        return out

    def _log_prior(self, shapes: Floats) -> Floats:
        out = -departure(self.known, shapes, self.data.period)
        if self.limb.free:
            u1, u2 = shapes[:, 4:].T
            out += self.limb.log(u1, u2)
        return np.where(np.isfinite(out), out, -np.inf)


def draw_shapes(
    data: Points,
    baselines: Baselines,
    shape: Floats,
    limb: LimbPrior,
    known: KnownOrbit,
    options: TransitOptions,
) -> tuple[Draws, Floats] | None:
    """Return draws from the posterior about a shape, and the most probable shape of them.

    None where no shape like it can be: too few points in it or out of it.

    Parameters
    ----------
    options
        Of the walkers.
    """
    rng = np.random.default_rng(options.seed)
    posterior = Posterior(data, baselines, limb, known, PLANET if shape[1] < PLANET else LARGEST)
    spread = np.array([*SPREAD, 0.5 * limb.err1, 0.5 * limb.err2])[: posterior.free]
    tried = shape[: posterior.free] + spread * rng.standard_normal((TRIES, posterior.free))
    tried[:, 3] = np.abs(tried[:, 3])
    n, start = WALKERS * posterior.free, np.empty((0, posterior.free))
    for some in np.array_split(tried, TRIES // (4 * n)):
        start = np.concatenate([start, some[np.isfinite(posterior.log_probability(some))]])
        if len(start) >= n:
            break
    if len(start) < n:
        return None
    draws = sample(
        posterior.log_probability, start[:n], rng=rng, most=options.steps, seconds=options.seconds, even=3
    )
    top = draws.flat[int(np.argmax(draws.log_probability))]
    return draws, posterior.shapes(top[None])[0]
