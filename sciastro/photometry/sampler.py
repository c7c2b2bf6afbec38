"""Draws from a posterior with walkers that learn from each other.

Method: walkers in two halves, each moved by what the other one shows (Foreman-Mackey et al. 2013, PASP 125,
306). A step is a difference of two walkers (ter Braak 2006, Stat. Comput. 16, 239; Nelson et al. 2014, ApJS
210, 11), or one along the line to a third (the snooker of ter Braak & Vrugt 2008, Stat. Comput. 18, 435); and
where a start has been forgotten every second one is a jump to a draw of Student's t that looks like what was
seen until then, which is taken or not by Hastings' ratio (an independence chain, Tierney 1994, Ann. Stat. 22,
1701). What is learned is learned from steps that are thrown away, so the chain is Markov's.
The autocorrelation time is that of Sokal's window (c = 5) averaged over walkers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import numpy as np
import numpy.typing as npt

__all__ = ["LENGTHS", "Draws", "autocorrelation_time", "sample"]

Floats = npt.NDArray[np.float64]
Move = tuple[Floats, Floats]

LENGTHS = 100.0  # autocorrelation times: 4800 draws of 48 walkers, medians to 2 per cent of an error
JUMPS = 0.5  # share of the steps; 0.3, 0.5, 0.7: HAT-P-32 8.8, 6.1, 4.8 steps of memory, a wide b 25, 21, 24
SNOOKER = 0.2  # of the other steps; ter Braak & Vrugt 2008 take 0.1, emcee's example 0.2
WHOLE = 0.1  # of the differences are taken whole, which leads from mode to mode (ter Braak 2006)
OPTIMAL = 2.38  # over sqrt(2 n): the best length of a difference for a Gaussian (ter Braak 2006)
LOOSE = 0.1  # scatter of that length, so that walkers lie on no lattice
FREEDOM = 6.0  # of Student's t: tails wider than a posterior's
GROWTH = 1.1  # of a chain between two looks at it: one each 200 of 20 000 steps costs 25 s, half of drawing
SPAN = (1.2, 2.2)  # lengths of the snooker (ter Braak & Vrugt 2008)


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
        Share of the moves that were taken; 0.2 to 0.6 is well.
    autocorrelation
        (parameter) [steps].
    converged
        Whether the chain is as many autocorrelation times long as was asked for.
    late
        Whether time ended it, so that another run of the same seed may differ.
    """

    chain: Floats
    log_probability: Floats
    acceptance: float
    autocorrelation: Floats
    converged: bool
    late: bool = False

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
    burn: int = 300,
    most: int = 4000,
    check: int = 200,
    lengths: float = LENGTHS,
    seconds: float = float("inf"),
    even: int | None = None,
) -> Draws:
    """Draw from a distribution until the chain is `lengths` autocorrelation times long, or `most` steps.

    Parameters
    ----------
    log_probability
        Takes (walker, parameter), gives (walker); -inf is impossible.
    start
        (walker, parameter), an even number of walkers, at least twice the parameters and 6, all possible.
    burn
        First steps that are thrown away; jumps are learned in the middle and at the end of them, and never
        again: adapted later, they would not leave the distribution as it is.
    most, check, lengths
        Most steps that are kept; every so many (of long chains every tenth part) it is seen whether they are
        `lengths` autocorrelation times.
    seconds
        Most time; the chain then ends, unconverged, at the next check. A safety: it makes chains depend on
        the machine.
    even
        A parameter that is 0 or more, and would be even about 0: jumps are mirrored there.
    """
    began = monotonic()
    half = len(start) // 2
    place, now = start.copy(), log_probability(start)
    chain = np.empty((burn + most, *start.shape))
    values = np.empty(chain.shape[:2])
    jump, taken, length, late, due = None, 0, 0, False, check
    for step in range(burn + most):
        if step and step in (burn // 2, burn):
            jump = _learned(chain[step // 2 : step].reshape(-1, start.shape[1]), even)
        for k in (0, 1):
            mine, others = np.s_[k * half : (k + 1) * half], np.s_[(1 - k) * half : (2 - k) * half]
            trial, odds = _moved(place[mine], place[others], jump, rng)
            value = log_probability(trial)
            yes = np.log(rng.random(half)) < odds + value - now[mine]
            place[mine] = np.where(yes[:, None], trial, place[mine])
            now[mine] = np.where(yes, value, now[mine])
            taken += int(yes.sum()) if step >= burn else 0
        chain[step], values[step] = place, now
        length = step + 1 - burn
        if length >= due:
            due = max(length + check, int(GROWTH * length))
            late = monotonic() - began > seconds
            if late or length > lengths * np.max(autocorrelation_time(chain[burn : step + 1])):
                break
    chain, values = chain[burn : burn + length], values[burn : burn + length]
    times = autocorrelation_time(chain)
    converged = bool(length >= lengths * np.max(times))
    return Draws(chain, values, taken / values.size, times, converged, late and not converged)


@dataclass(frozen=True, slots=True)
class _Jump:
    """Student's t: center, root of its matrix and the inverse of that; parameter that is mirrored at 0."""

    center: Floats
    root: Floats
    inverse: Floats
    even: int | None

    def draws(self, rng: np.random.Generator, n: int) -> Floats:
        wide = np.sqrt(FREEDOM / rng.chisquare(FREEDOM, n))
        out = self.center + (rng.standard_normal((n, self.center.size)) * wide[:, None]) @ self.root.T
        if self.even is not None:
            out[:, self.even] = np.abs(out[:, self.even])
        return np.asarray(out)

    def log(self, x: Floats) -> Floats:
        """Return ln of the density (draw), up to a constant."""
        if self.even is None:
            return self._log(x)
        mirrored = x.copy()
        mirrored[:, self.even] *= -1
        return np.logaddexp(self._log(x), self._log(mirrored))

    def _log(self, x: Floats) -> Floats:
        away = (x - self.center) @ self.inverse.T
        distance = np.sum(away**2, axis=1)
        return np.asarray(-0.5 * (FREEDOM + x.shape[1]) * np.log1p(distance / FREEDOM))


def _learned(seen: Floats, even: int | None) -> _Jump | None:
    """Return the jump that looks like draws (draw, parameter); None where they lie in a plane."""
    try:
        spread = np.asarray(np.cov(seen.T), np.float64)
        root = np.linalg.cholesky(spread * (FREEDOM - 2) / FREEDOM)
        return _Jump(
            seen.mean(axis=0), np.asarray(root, np.float64), np.asarray(np.linalg.inv(root), np.float64), even
        )
    except np.linalg.LinAlgError:
        return None


def _moved(mine: Floats, others: Floats, jump: _Jump | None, rng: np.random.Generator) -> Move:
    """Return where walkers try to go, and ln of Hastings' ratio of the two ways."""
    half = len(mine)
    if jump is not None and rng.random() < JUMPS:
        trial = jump.draws(rng, half)
        return trial, jump.log(mine) - jump.log(trial)
    order = np.argsort(rng.random((half, half)), axis=1)[:, :3]  # three others for each, all different
    first, second, third = (others[order[:, k]] for k in range(3))
    if rng.random() < SNOOKER:
        return _snooker(mine, first - second, third, rng)
    whole = rng.random((half, 1)) < WHOLE
    far = np.where(whole, 1.0, OPTIMAL / np.sqrt(2 * mine.shape[1]))
    far *= 1 + LOOSE * rng.standard_normal((half, 1))
    return mine + far * (first - second), np.zeros(half)


def _snooker(mine: Floats, step: Floats, third: Floats, rng: np.random.Generator) -> Move:
    """Return a move along the line to a third walker, as long as the part of `step` along it."""
    line = mine - third
    before = np.maximum(np.linalg.norm(line, axis=1), 1e-300)
    line /= before[:, None]
    trial = mine + (rng.uniform(*SPAN, len(mine)) * np.sum(step * line, axis=1))[:, None] * line
    after = np.maximum(np.linalg.norm(trial - third, axis=1), 1e-300)
    return trial, (mine.shape[1] - 1) * (np.log(after) - np.log(before))


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
