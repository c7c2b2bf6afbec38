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

from sciastro.core.robust import MAD_TO_SIGMA
from sciastro.errors import MatchError
from sciastro.photometry.missing import median_of

__all__ = ["Ensemble", "excess_of", "linked", "solve_ensemble"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ROUNDS = 30  # at most; see `SETTLED`
SETTLED = 1e-3  # relative change of excess variances at which the rounds end
OUTLIER = 5.0  # sigma, of a single measurement
FREE = 1e-4  # weight of a slope of zero that holds nothing: of 100 mag / deg
NEPER = 2.5 / np.log(10)  # mag per relative change of a flux


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Solution of ``m_ij = M_i + U_i . Z_j``.

    Attributes
    ----------
    mag, mag_err
        (star) M [mag]; the weighted mean of Z is zero. Standard errors against the mean of all stars.
    terms, terms_covariance
        (term, frame), (frame, term, term) Z at the origin of the places, and its slopes where there are any;
        NaN where no star of the ensemble was measured. The covariance holds that of M.
    weight
        (star, frame) of each measurement; 0 where it is not used.
    excess
        (star) variance beyond the noise [mag2], 0 or more; NaN where a star cannot tell.
    frame_excess
        (frame) variance that stars of a frame share no more [mag2] (patchy cloud); 0 where there is none.
    residual, alone
        (star, frame) residual; residual about the solution of all others, with its expected variance
        without the star's own excess in `alone_variance` [mag], [mag2].
    """

    mag: Floats
    mag_err: Floats
    terms: Floats
    terms_covariance: Floats
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

    @property
    def zero(self) -> Floats:
        """(frame) zero point at the origin of the places [mag]."""
        return np.asarray(self.terms[0])

    @property
    def zero_err(self) -> Floats:
        """(frame) its standard error [mag]."""
        return np.asarray(np.sqrt(self.terms_covariance[:, 0, 0]))

    def zero_at(self, place: Floats | None) -> tuple[Floats, Floats]:
        """Return zero points and their variances (place, frame) at places (place, 2); None: the origin."""
        if place is None or self.terms.shape[0] == 1:
            n = 1 if place is None else len(place)
            shape = (n, self.zero.size)
            return (
                np.broadcast_to(self.zero, shape).copy(),
                np.broadcast_to(self.terms_covariance[:, 0, 0], shape).copy(),
            )
        u = _design(len(place), place)
        return u @ self.terms, np.einsum("sp,fpq,sq->sf", u, self.terms_covariance, u)


def _design(n: int, place: Floats | None) -> Floats:
    return np.ones((n, 1)) if place is None else np.column_stack([np.ones(n), place])


def solve_ensemble(
    mag: Floats, variance: Floats, *, place: Floats | None = None, kappa: float = OUTLIER
) -> Ensemble:
    """Solve for the zero point of every frame.

    Parameters
    ----------
    mag, variance
        (star, frame) [mag], [mag2]; NaN is missing.
    place
        (star, 2) on the sky from the target, in any unit: zero points may then slope over the field, frame by
        frame. Slopes are held near zero, by as much as they scatter, where few stars tell them.
    kappa
        Beyond how many sigma a single measurement is an outlier.

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
    u = _design(mag.shape[0], place)
    free = np.append(0.0, np.full(u.shape[1] - 1, FREE))
    excess, extra = np.zeros(mag.shape[0]), np.zeros(mag.shape[1])
    found, hold = _linear(mag, variance, good, excess, extra, u, free), free
    for _ in range(ROUNDS):
        before = excess.copy()
        good = good & ~_outliers(found, excess, good, kappa)
        excess = excess_of(np.where(good, found.alone, np.nan), found.alone_variance)
        extra = _frame_excess(found, variance, excess, good)
        if place is not None:
            hold = _hold(_linear(mag, variance, good, excess, extra, u, free), u, free)
        found = _linear(mag, variance, good, excess, extra, u, hold)
        scale = np.nanmax(np.append(np.nan_to_num(excess), 1e-12))
        if np.nanmax(np.abs(np.nan_to_num(excess - before))) <= SETTLED * scale:
            break
    return found


def _hold(found: Ensemble, u: Floats, hold: Floats) -> Floats:
    """Return the weight with which slopes are held at zero: one over their variance beyond errors.

    A slope that all frames share belongs to the stars; so only what each frame's own stars tell counts.
    """
    out = hold.copy()
    normal = np.einsum("if,ip,iq->fpq", found.weight, u, u)
    ok = found.n_stars >= u.shape[1] + 2
    each = np.full(normal.shape, np.nan)
    each[ok] = np.linalg.inv(normal[ok])
    for k in range(1, u.shape[1]):
        own = each[:, k, k]
        if ok.sum() > 3:
            spread = float(np.var(found.terms[k, ok])) - float(np.median(own[ok]))
            out[k] = 1 / max(spread, 0.05 * float(np.median(own[ok])), 1e-12)
    return out


def linked(good: Bools) -> npt.NDArray[np.int64]:
    """Return a number per frame: frames of one number are linked by shared stars; -1 where none was measured.

    Parameters
    ----------
    good
        (star, frame) whether there is a measurement.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    star, frame = np.nonzero(good)
    n = good.shape[0] + good.shape[1]
    graph = coo_matrix((np.ones(star.size), (star, good.shape[0] + frame)), shape=(n, n))
    _, label = connected_components(graph, directed=False)
    return np.where(good.any(axis=0), label[good.shape[0] :], -1)


def _connected(good: Bools) -> None:
    """Refuse frames that no chain of shared stars connects."""
    label = linked(good)
    groups = np.unique(label[label >= 0])
    if groups.size > 1:
        raise MatchError(
            f"fall into {groups.size} groups that share no comparison star.", where="frames",
            remedy="Choose comparison stars that several groups show, or measure each group by itself.",
        )  # fmt: skip


def _linear(
    mag: Floats, variance: Floats, good: Bools, excess: Floats, extra: Floats, u: Floats, hold: Floats
) -> Ensemble:
    """Solve with known variances; whichever are more, stars or frames, are eliminated."""
    total = variance + np.nan_to_num(excess)[:, None] + extra[None, :]
    weight = np.where(good, 1 / np.where(good, total, 1.0), 0.0)
    m = np.where(good, mag, 0.0)
    seen, used = np.asarray(good.any(axis=0)), np.asarray(good.any(axis=1))
    w = weight.T  # (frame, star)
    normal = (
        np.einsum("fi,ip,iq->fpq", w, u, u, optimize=True)
        + np.diag(hold)
        + np.where(seen, 0, 1)[:, None, None] * np.eye(len(hold))
    )
    inverse = np.linalg.inv(normal)
    if u.shape[1] == 1 and seen.size < used.size:
        star, variances, terms, spread = _by_frames(w, m, seen, used)
    else:
        star, variances, terms, spread = _by_stars(w, m, used, u, inverse)
    of_frame = w.sum(axis=1)
    for k in range(terms.shape[0]):  # the level, and mean slopes, belong to the stars
        level = float(np.average(terms[k, seen], weights=of_frame[seen]))
        terms[k] -= level
        star = star + level * u[:, k]
    star = np.where(used, star, np.nan)
    terms[:, ~seen], spread[~seen] = np.nan, np.nan
    residual = np.where(good, mag - star[:, None] - u @ terms, np.nan)
    leverage = np.einsum("ip,fpq,iq->if", u, inverse, u, optimize=True)  # of the zero point at the star
    rest = 1 - weight * leverage
    alone_ok = good & (rest > 1e-6)
    with np.errstate(divide="ignore", invalid="ignore"):
        alone = np.where(alone_ok, residual / rest, np.nan)
        alone_variance = np.where(alone_ok, variance + extra[None, :] + leverage / rest, np.nan)
        mag_err = np.where(used, np.sqrt(variances), np.nan)
    return Ensemble(star, mag_err, terms, spread, weight, excess, extra, residual, alone, alone_variance)


def _by_stars(
    w: Floats, m: Floats, used: Bools, u: Floats, inverse: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return M, its variances, Z (term, frame) and its covariances; the frames' unknowns are eliminated."""
    stars = w.shape[1]
    hat = np.einsum("fpq,iq,fi->fpi", inverse, u, w, optimize=True)  # Z_j = hat (m_j - M)
    wu = w[:, :, None] * u[None]  # (frame, star, term)
    joined = np.moveaxis(wu, 1, 0).reshape(stars, -1)
    star_normal = np.diag(w.sum(axis=0)) - joined @ hat.reshape(-1, stars)
    fitted = np.einsum("fpi,fi->fp", hat, m.T, optimize=True)
    right = (w * m.T).sum(axis=0) - joined @ fitted.ravel()
    covariance = _inverse((star_normal + star_normal.T) / 2, used)
    star = covariance @ right
    terms = (fitted - hat @ star).T
    spread = inverse + np.einsum("fpk,fqk->fpq", hat @ covariance, hat, optimize=True)
    return star, np.maximum(np.diag(covariance), 0.0), terms, spread


def _by_frames(w: Floats, m: Floats, seen: Bools, used: Bools) -> tuple[Floats, Floats, Floats, Floats]:
    """Return what `_by_stars` does where zero points do not slope; the stars' unknowns are eliminated.

    With g the unit vector of a common level of the stars, ``s g g^T`` is added to their block, so that the
    whole can be inverted (`_inverse`); what that adds to every variance is ``1 / (n s)``.
    """
    n, total = max(int(used.sum()), 1), w.sum(axis=0)
    s = float(total[used].mean())
    one = np.where(used, 1 / np.where(used, total, 1.0), 0.0)
    step = one * used / np.sqrt(n)  # of the stars' block, that of Sherman and Morrison
    share = s / (1 + s * float(step @ used) / np.sqrt(n))
    mixed = one[:, None] * w.T - share * np.outer(step, w @ step)  # the block's inverse times weights
    block = np.diag(np.where(seen, w.sum(axis=1), 1.0)) - w @ mixed
    covariance = np.linalg.inv((block + block.T) / 2)
    of_star, of_frame = (w * m.T).sum(axis=0), (w * m.T).sum(axis=1)
    terms = covariance @ (of_frame - mixed.T @ of_star)
    right = of_star - w.T @ terms
    star = one * right - share * step * float(step @ right)
    variances = one - share * step**2 + np.einsum("if,if->i", mixed @ covariance, mixed) - 1 / (n * s)
    spread = np.diag(covariance) - 1 / (n * s)
    return star, np.maximum(variances, 0.0), terms[None], np.maximum(spread, 0.0)[:, None, None]


def _inverse(normal: Floats, used: Bools) -> Floats:
    """Return the pseudo-inverse of the stars' normal matrix, whose one open direction is a common level.

    With g the unit vector of a common level, ``(N + s g g^T)^-1 = N^+ + g g^T / s``.
    """
    g = used / np.sqrt(max(int(used.sum()), 1))
    scale = float(np.trace(normal)) / max(int(used.sum()), 1) or 1.0
    inner = np.linalg.inv(normal + scale * np.outer(g, g) + np.diag(np.where(used, 0.0, scale)))
    out = inner - np.outer(g, g) / scale
    out[~used] = 0.0
    out[:, ~used] = 0.0
    return np.asarray(out)


def _outliers(found: Ensemble, excess: Floats, good: Bools, kappa: float) -> Bools:
    """Return single measurements far from the rest of their star's."""
    expected = found.alone_variance + np.nan_to_num(excess)[:, None]
    with np.errstate(invalid="ignore"):
        pull = np.abs(found.alone) / np.sqrt(expected)
        # Before excesses are known every measurement of an unstable star would be one: its own scale counts.
        own = MAD_TO_SIGMA * median_of(np.where(good, pull, np.nan), axis=1, keepdims=True)
        return np.asarray(good & (pull > kappa * np.maximum(np.nan_to_num(own, nan=1.0), 1.0)))


def excess_of(residual: Floats, expected: Floats) -> Floats:
    """Return the variance beyond `expected` that makes residuals as large as they are, row by row.

    The root of ``sum r^2 / (v + s) = n - 1`` (one mean was fitted), 0 where the noise is enough (5 per cent
    level); NaN below 3 residuals.

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
    # Chance makes residuals larger in every second star: only what one in twenty shows is believed, or the
    # errors of constant stars would grow by 5 per cent.
    enough = (r2 / v).sum(axis=1) <= freedom + 1.645 * np.sqrt(2 * np.maximum(freedom, 0))
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
        out[rows] = np.nan_to_num(
            excess_of(np.where(good, found.residual, np.nan)[:, rows].T, total[:, rows].T)
        )
    return out
