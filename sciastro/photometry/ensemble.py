"""The zero point of every frame from all comparison stars at once, and how stable each star is.

Reads magnitudes of stars in frames with their variances; writes one zero point per frame with covariance,
and one excess scatter per star. Method: weighted least squares of ``m_ij = M_i + Z_j`` (Honeycutt 1992, PASP
104, 435) with weights ``1 / (sigma_ij^2 + s_i^2)``, where ``s_i`` is what a star scatters beyond its noise
about the zero points of all others (the idea of Broeg et al. 2005, AN 326, 134). A star that fails in a frame
is missing there and nowhere else; no frame is lost by it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.errors import MatchError

__all__ = ["Ensemble", "excess_of", "solve_ensemble"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ROUNDS = 30
SETTLED = 1e-3  # relative change of excess variances at which the rounds end
OUTLIER = 5.0  # sigma, of a single measurement
NEPER = 2.5 / np.log(10)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Solution of ``m_ij = M_i + Z_j``.

    Attributes
    ----------
    mag
        (star) M [mag]; the weighted mean of Z is zero.
    zero, zero_err
        (frame) Z and its standard error [mag]; NaN where no star of the ensemble was measured.
    covariance
        (star, star) of M [mag2].
    weight
        (star, frame) of each measurement; 0 where it is not used.
    excess
        (star) variance beyond the noise [mag2], 0 or more; NaN where a star cannot tell.
    frame_excess
        (frame) variance that stars of a frame share no more [mag2] (patchy cloud); 0 where there is none.
    residual, alone
        (star, frame) residual; residual about the zero point of all others, with its expected variance
        without excess in `alone_variance` [mag], [mag2].
    """

    mag: Floats
    zero: Floats
    zero_err: Floats
    covariance: Floats
    weight: Floats
    excess: Floats
    frame_excess: Floats
    residual: Floats
    alone: Floats
    alone_variance: Floats

    @property
    def n_stars(self) -> npt.NDArray[np.int64]:
        """Number of stars in every frame."""
        return np.asarray((self.weight > 0).sum(axis=0), np.int64)


def solve_ensemble(mag: Floats, variance: Floats, *, fixed: Floats | None = None) -> Ensemble:
    """Solve for the zero point of every frame.

    Parameters
    ----------
    mag, variance
        (star, frame) [mag], [mag2]; NaN is missing.
    fixed
        (star) excess variances that are known [mag2]; None measures them.

    Raises
    ------
    MatchError
        If there is no star, or groups of frames share no star with each other.
    """
    good = np.isfinite(mag) & np.isfinite(variance) & (variance > 0)
    if not good.any():
        raise MatchError(
            "has no comparison star with a single measurement.", where="ensemble",
            remedy="Give other comparison stars (--comp), or a wider field.",
        )  # fmt: skip
    _connected(good)
    excess = np.zeros(mag.shape[0]) if fixed is None else np.asarray(fixed, np.float64).copy()
    extra = np.zeros(mag.shape[1])
    found = _linear(mag, variance, good, excess, extra)
    for _ in range(ROUNDS):
        before = excess.copy()
        good = good & ~_outliers(found, variance, excess, extra, good)
        if fixed is None:
            excess = excess_of(np.where(good, found.alone, np.nan), found.alone_variance)
        extra = _frame_excess(found, variance, excess, good)
        found = _linear(mag, variance, good, excess, extra)
        scale = np.nanmax(np.append(np.nan_to_num(excess), 1e-12))
        if np.nanmax(np.abs(np.nan_to_num(excess - before))) <= SETTLED * scale:
            break
    return found


def _connected(good: Bools) -> None:
    """Refuse frames that no chain of shared stars connects."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    star, frame = np.nonzero(good)
    n = good.shape[0] + good.shape[1]
    graph = coo_matrix((np.ones(star.size), (star, good.shape[0] + frame)), shape=(n, n))
    _, label = connected_components(graph, directed=False)
    groups = np.unique(label[np.append(star, good.shape[0] + frame)])
    if groups.size > 1:
        raise MatchError(
            f"fall into {groups.size} groups that share no comparison star.", where="frames",
            remedy="Choose comparison stars that several groups show, or measure each group by itself.",
        )  # fmt: skip


def _linear(mag: Floats, variance: Floats, good: Bools, excess: Floats, extra: Floats) -> Ensemble:
    """Solve with known variances; the frames' unknowns are eliminated, stars are few."""
    total = variance + np.nan_to_num(excess)[:, None] + extra[None, :]
    weight = np.where(good, 1 / np.where(good, total, 1.0), 0.0)
    m = np.where(good, mag, 0.0)
    of_frame = weight.sum(axis=0)
    seen = of_frame > 0
    inverse = np.where(seen, 1 / np.where(seen, of_frame, 1.0), 0.0)
    share = weight * inverse  # (star, frame), sums to 1 in every frame
    normal = np.diag(weight.sum(axis=1)) - share @ weight.T
    right = (weight * m).sum(axis=1) - share @ (weight * m).sum(axis=0)
    used = weight.sum(axis=1) > 0
    star_weight = weight.sum(axis=1) / weight.sum()
    # The gauge: sum of weight times M is zero; it fixes the one direction that the data leave open.
    scale = float(np.trace(normal)) or 1.0
    closed = normal + scale * np.outer(star_weight, star_weight) + np.diag(np.where(used, 0.0, scale))
    inner = np.linalg.inv(closed)
    star = inner @ right
    # In the gauge the covariance is that of contrasts: what the gauge itself adds is taken out.
    project = np.eye(star.size) - np.outer(np.ones(star.size), star_weight)
    covariance = project @ np.linalg.pinv(normal, hermitian=True) @ project.T
    zero = np.where(seen, (share * (m - star[:, None])).sum(axis=0), np.nan)
    level = float(np.average(zero[seen], weights=of_frame[seen]))
    star, zero = star + level, zero - level
    star[~used] = np.nan
    zero_variance = inverse + np.einsum("if,ik,kf->f", share, covariance, share)
    residual = np.where(good, mag - star[:, None] - zero[None, :], np.nan)
    rest = np.maximum(of_frame[None, :] - weight, 0.0)
    alone_ok = good & (rest > 1e-9 * of_frame[None, :])
    with np.errstate(divide="ignore", invalid="ignore"):
        alone = np.where(alone_ok, residual * of_frame[None, :] / rest, np.nan)
        alone_variance = np.where(alone_ok, variance + extra[None, :] + 1 / rest, np.nan)
    return Ensemble(
        star, zero, np.where(seen, np.sqrt(zero_variance), np.nan), covariance, weight, excess, extra,
        residual, alone, alone_variance,
    )  # fmt: skip


def _outliers(found: Ensemble, variance: Floats, excess: Floats, extra: Floats, good: Bools) -> Bools:
    """Return single measurements far from the rest of their star's."""
    expected = found.alone_variance + np.nan_to_num(excess)[:, None]
    with np.errstate(invalid="ignore"):
        pull = np.abs(found.alone) / np.sqrt(expected)
        # Before excesses are known every measurement of an unstable star would be one: its own scale counts.
        own = np.nanmedian(np.where(good, pull, np.nan), axis=1, keepdims=True) / 0.6745
        return np.asarray(good & (pull > OUTLIER * np.maximum(np.nan_to_num(own, nan=1.0), 1.0)))


def excess_of(residual: Floats, expected: Floats) -> Floats:
    """Return the variance beyond `expected` that makes residuals as large as they are, row by row.

    The root of ``sum r^2 / (v + s) = n - 1`` (one mean was fitted), 0 where the noise is enough; NaN below 3
    residuals.

    Parameters
    ----------
    residual, expected
        (row, measurement); NaN is missing.
    """
    ok = np.isfinite(residual) & np.isfinite(expected)
    r2, v = np.where(ok, residual**2, 0.0), np.where(ok, expected, 1.0)
    freedom = ok.sum(axis=1) - 1.0
    low, high = np.zeros(freedom.size), 2 * np.max(r2, axis=1, initial=1e-30)
    for _ in range(40):
        middle = (low + high) / 2
        more = (r2 / (v + middle[:, None])).sum(axis=1) > freedom
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    enough = (r2 / v).sum(axis=1) <= freedom
    return np.where(freedom < 2, np.nan, np.where(enough, 0.0, (low + high) / 2))


def _frame_excess(found: Ensemble, variance: Floats, excess: Floats, good: Bools) -> Floats:
    """Return what scatter the stars of a frame show beyond all else, where chance makes it rarely (1e-3)."""
    from scipy.stats import chi2

    total = variance + np.nan_to_num(excess)[:, None]
    square = np.where(good, found.residual**2 / total, 0.0).sum(axis=0)
    freedom = good.sum(axis=0) - 1
    out = np.zeros(square.size)
    limit = chi2.isf(1e-3, np.maximum(freedom, 1))
    rows = np.flatnonzero((freedom >= 3) & (square > limit))
    if rows.size:
        out[rows] = np.nan_to_num(excess_of(np.where(good, found.residual, np.nan)[:, rows].T, total[:, rows].T))
    return out
