"""How likely points are as a transit times a linear baseline, where noise may remember what it was.

A point's noise is white, plus a process of variance r whose correlation falls as ``exp(-|dt| / tau)``
(Ornstein and Uhlenbeck; a real term of Foreman-Mackey et al. 2017, AJ 154, 220). The process is a state of
one number, so Kalman's filter (1960) turns any column into one of white noise of variance 1 in one pass, and
tells the determinant of the covariance.
"""

import numpy as np

from sciastro.kernels.jit import njit

__all__ = ["filter_gains", "log_likelihood", "whiten"]


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
def log_likelihood(transit, flux, basis, keep, gain, innovation, sets, prior, freedom, each, chi2):
    """Return ln of the likelihood, averaged over kinds of noise and sets of columns of the baseline.

    ``flux = transit * (basis @ c)``, with noise of the covariance ``s^2 C``. For every kind and set, c and
    the scale s (prior 1 / s) are integrated out: with A the normal matrix of the whitened design and c its
    solution, ``ln L = -f / 2 ln chi2(c) - ln det A / 2 + prior``, f the degrees of freedom, up to a constant
    that all share.

    Parameters
    ----------
    transit, flux
        float64[n].
    basis
        float64[n, m].
    keep, gain, innovation
        float64[g, n] of each kind of noise: what `filter_gains` fills; the last is its `root`.
    sets
        bool[s, m] columns of each set; those that begin alike should follow each other, for speed.
    prior
        float64[g, s] what is added to ln L; -inf leaves a pair out.
    freedom
        float64[s].
    each, chi2
        Output float64[g, s]: ln L of each pair, -inf where it is left out or its baseline not determined,
        and its chi2, infinite there.

    Returns
    -------
    float
        ln of the sum over pairs.
    """
    n, m = basis.shape
    each[:], chi2[:] = -np.inf, np.inf
    state, new, full = np.empty(m + 1), np.empty(m + 1), np.empty((m + 1, m + 1))
    root, half, column = np.empty((m, m)), np.empty(m), np.full(m, -1, np.int64)
    explained, logdet = np.zeros(m + 1), np.zeros(m + 1)
    top = -np.inf
    for g in range(prior.shape[0]):
        state[:], full[:] = 0.0, 0.0
        for i in range(n):  # the normal matrix of the whitened columns; the last one is the flux
            for j in range(m + 1):
                value = flux[i] if j == m else transit[i] * basis[i, j]
                state[j] *= keep[g, i]
                value -= state[j]
                state[j] += gain[g, i] * value
                new[j] = value * innovation[g, i]
            for j in range(m + 1):
                for k in range(m + 1):
                    full[j, k] += new[j] * new[k]
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
            while done < size:  # Cholesky, and the forward half of the solution: chi2 needs no more
                j = done
                row = column[j]
                for k in range(j):
                    total = full[row, column[k]]
                    for q in range(k):
                        total -= root[j, q] * root[k, q]
                    root[j, k] = total / root[k, k]
                total, right = full[row, row], full[row, m]
                for q in range(j):
                    total -= root[j, q] * root[j, q]
                    right -= root[j, q] * half[q]
                if not total > 1e-12 * full[row, row]:
                    break
                root[j, j] = np.sqrt(total)
                half[j] = right / root[j, j]
                explained[j + 1] = explained[j] + half[j] * half[j]
                logdet[j + 1] = logdet[j] + np.log(total)
                done += 1
            if done == size and np.isfinite(prior[g, s]):
                chi2[g, s] = max(full[m, m] - explained[size], 1e-300)
                each[g, s] = prior[g, s] - 0.5 * freedom[s] * np.log(chi2[g, s]) - 0.5 * logdet[size]
                top = max(top, each[g, s])
    if not np.isfinite(top):
        return -np.inf
    total = 0.0
    for g in range(each.shape[0]):
        for s in range(each.shape[1]):
            total += np.exp(each[g, s] - top)
    return top + np.log(total)
