"""Draws from a posterior with walkers that stretch toward each other.

Method: Goodman & Weare 2010 (CAMCoS 5, 65), the stretch move in two halves as in Foreman-Mackey et al. 2013
(PASP 125, 306); the autocorrelation time is that of Sokal's window (c = 5) averaged over walkers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import numpy as np
import numpy.typing as npt

__all__ = ["Draws", "autocorrelation_time", "sample"]

Floats = npt.NDArray[np.float64]

STRETCH = 2.0


@dataclass(frozen=True, slots=True)
class Draws:
    """What the walkers saw after they had forgotten their start.

    Attributes
    ----------
    chain
        (step, walker, parameter).
    log_probability
        (step, walker).
    acceptance
        Share of the moves that were taken; 0.2 to 0.5 is well.
    autocorrelation
        (parameter) [steps].
    converged
        Whether the chain is at least 50 autocorrelation times long.
    """

    chain: Floats
    log_probability: Floats
    acceptance: float
    autocorrelation: Floats
    converged: bool

    @property
    def flat(self) -> Floats:
        """All draws (draw, parameter)."""
        return self.chain.reshape(-1, self.chain.shape[-1])

    @property
    def effective(self) -> float:
        """Number of independent draws, of the parameter that mixes worst."""
        return float(self.chain.shape[0] * self.chain.shape[1] / np.max(self.autocorrelation))


def sample(
    log_probability: Callable[[Floats], Floats],
    start: Floats,
    *,
    rng: np.random.Generator,
    burn: int = 500,
    most: int = 4000,
    check: int = 500,
    lengths: float = 50.0,
    seconds: float = float("inf"),
) -> Draws:
    """Draw from a distribution until the chain is `lengths` autocorrelation times long, or `most` steps.

    Parameters
    ----------
    log_probability
        Takes (walker, parameter), gives (walker); -inf is impossible.
    start
        (walker, parameter), an even number of walkers, at least twice the parameters, all possible.
    burn
        First steps that are thrown away.
    seconds
        Most time; the chain then ends, unconverged, at the next check.
    """
    began = monotonic()
    walkers, n = start.shape
    half = walkers // 2
    place, now = start.copy(), log_probability(start)
    chain, values = np.empty((most, walkers, n)), np.empty((most, walkers))
    taken = 0
    length = 0
    for step in range(-burn, most):
        for k in (0, 1):
            mine, others = np.s_[k * half : (k + 1) * half], np.s_[(1 - k) * half : (2 - k) * half]
            z = ((STRETCH - 1) * rng.random(half) + 1) ** 2 / STRETCH
            partner = place[others][rng.integers(half, size=half)]
            trial = partner + z[:, None] * (place[mine] - partner)
            value = log_probability(trial)
            odds = (n - 1) * np.log(z) + value - now[mine]
            yes = np.log(rng.random(half)) < odds
            place[mine] = np.where(yes[:, None], trial, place[mine])
            now[mine] = np.where(yes, value, now[mine])
            taken += int(yes.sum()) if step >= 0 else 0
        if step < 0:
            continue
        chain[step], values[step] = place, now
        length = step + 1
        if length % check == 0 and (
            length > lengths * np.max(autocorrelation_time(chain[:length])) or monotonic() - began > seconds
        ):
            break
    chain, values = chain[:length], values[:length]
    times = autocorrelation_time(chain)
    return Draws(chain, values, taken / (length * walkers), times, bool(length >= lengths * np.max(times)))


def autocorrelation_time(chain: Floats) -> Floats:
    """Return the integrated autocorrelation time of every parameter [steps], at least 1.

    Parameters
    ----------
    chain
        (step, walker, parameter).
    """
    steps = chain.shape[0]
    size = 1 << (2 * steps - 1).bit_length()
    out = np.ones(chain.shape[2])
    for p in range(chain.shape[2]):
        x = chain[:, :, p] - chain[:, :, p].mean(axis=0)
        power = np.abs(np.fft.rfft(x, size, axis=0)) ** 2
        acf = np.fft.irfft(power, size, axis=0)[:steps]
        if not (acf[0] > 0).all():
            continue
        tau = 2 * np.cumsum((acf / acf[0]).mean(axis=1)) - 1
        window = np.arange(steps) >= 5 * tau
        out[p] = max(float(tau[np.argmax(window)] if window.any() else tau[-1]), 1.0)
    return out
