"""How likely points are as a transit times a linear baseline, where noise may remember what it was.

A point's noise is white, plus a process of variance r whose correlation falls as ``exp(-|dt| / tau)``
(Ornstein and Uhlenbeck; a real term of Foreman-Mackey et al. 2017, AJ 154, 220). The process is a state of
one number, so Kalman's filter (1960) turns any column into one of white noise of variance 1 in one pass, and
tells the determinant of the covariance.
"""

import numpy as np

from sciastro.kernels.jit import njit

__all__ = ["filter_gains", "log_likelihood", "whiten"]

TOGETHER = 2  # transits: the fastest of 1, 2, 4 and 8 (their matrices fit the first cache)
NOTHING = 45.0  # ln of a probability that adds nothing to a sum of doubles: less than 1e-19 of the largest


@njit(nogil=True, cache=True, error_model="numpy")
def filter_gains(time, variance, red, tau, keep, gain, root):
    """Fill what `whiten` needs, which does not depend on what is whitened; return ln det of the covariance.

    Parameters
    ----------
    time, variance
        float64[n] in order [d], of the white noise.
    red, tau
        Variance of the process, 0 or more; its time [d], above 0.
    keep, gain, root
        Output float64[n]: what is left of the state since the point before; how much of what is new the
        state takes; 1 over the standard deviation of what is new.
    """
    total, spread = 0.0, red
    for i in range(time.size):
        keep[i] = np.exp(-(time[i] - time[i - 1]) / tau) if i > 0 else 0.0
        spread = keep[i] * keep[i] * spread + red * (1.0 - keep[i] * keep[i])
        new = spread + variance[i]
        gain[i] = spread / new
        root[i] = 1.0 / np.sqrt(new)
        spread *= 1.0 - gain[i]
        total += np.log(new)
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def whiten(keep, gain, root, columns, out):
    """Fill float64[n, q] `out` with `columns` such that noise of the covariance is white, of variance 1."""
    n, q = columns.shape
    state = np.zeros(q)
    for i in range(n):
        for k in range(q):
            state[k] *= keep[i]
            new = columns[i, k] - state[k]
            state[k] += gain[i] * new
            out[i, k] = new * root[i]


@njit(nogil=True, cache=True, error_model="numpy")
def _normal_matrices(light, flux, basis, keep, gain, innovation, full):
    """Fill float64[m + 1, m + 1, lane] `full`: the lower half, the flux last.

    A lane is a transit in a kind of noise: `light, keep, gain, innovation` are float64[n, lane].
    """
    n, m = basis.shape
    lanes = light.shape[1]
    state, new = np.zeros((m + 1, lanes)), np.empty((m + 1, lanes))
    full[:] = 0.0
    for i in range(n):
        for j in range(m + 1):
            for g in range(lanes):
                before = state[j, g] * keep[i, g]
                value = (flux[i] if j == m else light[i, g] * basis[i, j]) - before
                state[j, g] = before + gain[i, g] * value
                new[j, g] = value * innovation[i, g]
        for j in range(m + 1):
            for k in range(j + 1):
                for g in range(lanes):
                    full[j, k, g] += new[j, g] * new[k, g]


@njit(nogil=True, cache=True, error_model="numpy")
def _add_rows(full, column, done, size, root, half, explained, logdet):
    """Add rows `done` to `size` to Cholesky's root of the columns `column` (row, row, lane).

    `half` (row, lane) is the forward half of the solution, which is all that chi2 needs: `explained` and
    `logdet` (row + 1, lane) are what so many columns take from chi2, and ln det; infinite where they are not
    determined, and so for all that begin with these columns.
    """
    m, lanes = full.shape[0] - 1, full.shape[2]
    total = np.empty(lanes)
    for j in range(done, size):
        row = column[j]
        for k in range(j + 1):
            for g in range(lanes):
                total[g] = full[row, column[k], g]
            for q in range(k):
                for g in range(lanes):
                    total[g] -= root[j, q, g] * root[k, q, g]
            if k < j:
                for g in range(lanes):
                    root[j, k, g] = total[g] / root[k, k, g]
        for g in range(lanes):
            if not total[g] > 1e-12 * full[row, row, g]:
                total[g] = np.inf
            root[j, j, g] = np.sqrt(total[g])
            logdet[j + 1, g] = logdet[j, g] + np.log(total[g])
            half[j, g] = full[m, row, g]
        for q in range(j):
            for g in range(lanes):
                half[j, g] -= root[j, q, g] * half[q, g]
        for g in range(lanes):
            half[j, g] /= root[j, j, g]
            explained[j + 1, g] = explained[j, g] + half[j, g] * half[j, g]


@njit(nogil=True, cache=True, error_model="numpy")
def _of_sets(full, sets, prior, freedom, each, chi2):
    """Fill float64[s, lane] `each` and `chi2` of every set of columns; lanes of one transit are `prior`'s."""
    m, lanes = full.shape[0] - 1, full.shape[2]
    root, half, column = np.empty((m, m, lanes)), np.empty((m, lanes)), np.full(m, -1, np.int64)
    explained, logdet = np.zeros((m + 1, lanes)), np.zeros((m + 1, lanes))
    done = 0  # rows of the root that the next set may share with the one before
    for s in range(sets.shape[0]):
        size, same = 0, True
        for j in range(m):
            if sets[s, j]:
                if same and not (size < done and column[size] == j):
                    same, done = False, size
                column[size] = j
                size += 1
        done = min(done, size)
        _add_rows(full, column, done, size, root, half, explained, logdet)
        done = size
        for g in range(lanes):
            chi2[s, g], each[s, g] = np.inf, -np.inf
            known = prior[g % prior.shape[0], s]
            if np.isfinite(known) and np.isfinite(logdet[size, g]):
                chi2[s, g] = max(full[m, m, g] - explained[size, g], 1e-300)
                each[s, g] = known - 0.5 * freedom[s] * np.log(chi2[s, g]) - 0.5 * logdet[size, g]


@njit(nogil=True, cache=True, error_model="numpy")
def _log_of_sum(each):
    """Return ln of the sum of the exponentials of float64[g, s]."""
    top, total = -np.inf, 0.0
    for g in range(each.shape[0]):
        for s in range(each.shape[1]):
            top = max(top, each[g, s])
    if not np.isfinite(top):
        return -np.inf
    for g in range(each.shape[0]):
        for s in range(each.shape[1]):
            if each[g, s] > top - NOTHING:
                total += np.exp(each[g, s] - top)
    return top + np.log(total)


@njit(nogil=True, cache=True, error_model="numpy")
def log_likelihood(
    transits, flux, basis, ridge, keep, gain, innovation, sets, prior, freedom, each, chi2, out
):
    """Fill `out` with ln of the likelihoods of transits, averaged over kinds of noise and sets of columns.

    ``flux = transit * (basis @ c)``, with noise of the covariance ``s^2 C``. For every kind and set, c and
    the scale s (prior 1 / s) are integrated out: with A the normal matrix of the whitened design and c its
    solution, ``ln L = -f / 2 ln chi2(c) - ln det A / 2 + prior``, f the degrees of freedom, up to a constant
    that all share. `TOGETHER` transits in all kinds of noise are counted side by side, as processors do.

    Parameters
    ----------
    transits
        float64[w, n]; where the first point is NaN the likelihood is 0.
    flux
        float64[n].
    basis, ridge
        float64[n, m]; float64[m] 1 / variance of what each coefficient may be about 0, which chi2 then holds;
        0 anything.
    keep, gain, innovation
        float64[g, n] of each kind of noise: what `filter_gains` fills; the last is its `root`.
    sets
        bool[s, m] columns of each set; those that begin alike should follow each other, for speed.
    prior
        float64[g, s] what is added to ln L; -inf leaves a pair out.
    freedom
        float64[s].
    each, chi2
        Output float64[w, g, s]: ln L of each pair, -inf where it is left out or its baseline not determined,
        and its chi2, infinite there.
    out
        Output float64[w], ln of the sum over pairs.
    """
    walkers, (kinds, n) = transits.shape[0], keep.shape
    m, together = basis.shape[1], min(TOGETHER, walkers)
    lanes = together * kinds
    full, light = np.empty((m + 1, m + 1, lanes)), np.empty((n, lanes))
    gains = np.empty((3, n, lanes))
    for g in range(lanes):
        gains[0, :, g], gains[1, :, g] = keep[g % kinds], gain[g % kinds]
        gains[2, :, g] = innovation[g % kinds]
    some, rest = np.empty((sets.shape[0], lanes)), np.empty((sets.shape[0], lanes))
    for begin in range(0, walkers, together):
        first = min(begin, walkers - together)  # the last ones may be done twice
        for g in range(lanes):
            light[:, g] = transits[first + g // kinds]
        _normal_matrices(light, flux, basis, gains[0], gains[1], gains[2], full)
        for j in range(m):
            full[j, j] += ridge[j]
        _of_sets(full, sets, prior, freedom, some, rest)
        for k in range(together):
            lane = slice(k * kinds, (k + 1) * kinds)
            each[first + k], chi2[first + k] = some[:, lane].T, rest[:, lane].T
            out[first + k] = _log_of_sum(each[first + k])
