"""How far a star's level differs from night to night, beyond what the errors of its points allow.

Other seeing lets another share of a neighbor's light into the aperture, another orientation puts the star
on other pixels: all points of a night share that, and it does not average out. Reads relative fluxes of all
stars of a field; writes one more error per star, which the points of a night have in common. Method: night
means of constant stars about the star's own mean, with a variance of ``a^2 + (b c)^2 + (d / f)^2`` beyond
that of the means: a for all alike, b for neighbors (c is their light in the aperture over the star's own),
d for light that does not grow with the star (sky, neighbors too faint to be seen; f is the star's flux over
the target's). The three are those of the greatest restricted likelihood (Patterson & Thompson 1971,
Biometrika 58, 545), with Student's distribution for the stars that vary all the same; a term is there only
where chance makes it in one of twenty fields.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import mad_sigma

__all__ = ["NightOffsets", "night_covariance", "night_offsets"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

ALIKE = np.append(0.0, np.geomspace(3e-4, 0.05, 15))  # tried for a, see above
NEIGHBORS = np.append(0.0, np.geomspace(0.01, 1.0, 12))  # tried for b
FAINT = np.append(0.0, np.geomspace(3e-4, 0.05, 12))  # tried for d
TAIL = 5.0  # degrees of freedom of Student's distribution
BELIEVED = 1.35  # gain of ln L: chi2 of 2.71 for one parameter at its edge, 5 per cent
FEWEST_POINTS, FEWEST_STARS = 3, 8  # of a star in a night; of a night


@dataclass(frozen=True)
class NightOffsets:
    """The scatter of night levels.

    Attributes
    ----------
    err
        (star) of the level of one night, relative; NaN where nothing is known of it.
    alike, neighbors, faint
        a, b, d; NaN where too few stars tell.
    n_stars, n_nights
        That tell them.
    pull, pull_with
        Robust scatter of night means over their errors, without and with this one; NaN.
    """

    err: Floats
    alike: float
    neighbors: float
    faint: float
    n_stars: int
    n_nights: int
    pull: float
    pull_with: float


def night_offsets(
    flux: Floats, err: Floats, night: Numbers, good: Bools, crowding: Floats, brightness: Floats, tell: Bools
) -> NightOffsets:
    """Measure how levels differ between nights.

    Parameters
    ----------
    flux, err
        (star, frame) relative.
    night
        (frame) number.
    good
        (star, frame) measurements that count.
    crowding, brightness
        (star) light of neighbors in the aperture over the star's own; light over the target's. NaN unknown.
    tell
        (star) stars that are constant as far as is known.
    """
    nights = np.unique(night[good.any(axis=0)])
    mean, variance = _means(flux, err, night, good, nights)
    there = np.isfinite(mean)
    known = np.isfinite(crowding) & np.isfinite(brightness) & (brightness > 0)
    rows = np.flatnonzero(tell & known & (there.sum(axis=1) >= 2))
    nothing = float("nan")
    if nights.size < 2 or rows.size < FEWEST_STARS:
        unknown = np.full(len(flux), nothing)
        return NightOffsets(
            unknown, nothing, nothing, nothing, int(rows.size), int(nights.size), nothing, nothing
        )
    m, v = mean[rows], np.where(there[rows], variance[rows], np.inf)
    causes = np.column_stack([np.ones(rows.size), crowding[rows], 1 / brightness[rows]])
    terms = _likeliest(m, v, causes)
    with np.errstate(divide="ignore", invalid="ignore"):
        every = np.column_stack([np.ones(len(flux)), crowding, 1 / brightness])
        extra = np.sqrt((every**2) @ terms**2)
    extra[~known] = np.nan
    a, b, d = (float(one) for one in terms)
    return NightOffsets(
        extra, a, b, d, int(rows.size), int(nights.size), _pull(m, v, np.zeros(rows.size)),
        _pull(m, v, extra[rows]),
    )  # fmt: skip


def night_covariance(err: Floats, night_err: float, night: Numbers) -> Floats:
    """Return the covariance (point, point) of a star's points: their own errors, and that of their nights.

    Parameters
    ----------
    err, night
        (point).
    night_err
        Of the level of a night, unit of `err`; NaN counts as none.
    """
    common = (night[:, None] == night[None, :]) * np.nan_to_num(night_err) ** 2
    return np.asarray(np.diag(err**2) + common)


def _means(flux: Floats, err: Floats, night: Numbers, good: Bools, nights: Numbers) -> tuple[Floats, Floats]:
    """Return weighted means and their variances (star, night); NaN below `FEWEST_POINTS`."""
    ok = good & np.isfinite(flux) & np.isfinite(err) & (err > 0)
    weight = np.where(ok, 1 / np.where(ok, err, 1.0) ** 2, 0.0)
    shape = len(flux), nights.size
    mean, variance = np.full(shape, np.nan), np.full(shape, np.nan)
    for k, number in enumerate(nights):
        mine = night == number
        total = weight[:, mine].sum(axis=1)
        enough = ok[:, mine].sum(axis=1) >= FEWEST_POINTS
        light = (weight * np.where(ok, flux, 0.0))[:, mine].sum(axis=1)
        mean[enough, k], variance[enough, k] = light[enough] / total[enough], 1 / total[enough]
    return mean, variance


def _likeliest(mean: Floats, variance: Floats, causes: Floats) -> Floats:
    """Return a, b, d of the greatest likelihood; those that are not worth it are 0."""
    best, value = np.zeros(3), _log_likelihood(mean, variance, np.zeros(len(mean)))
    grids = (ALIKE, NEIGHBORS, FAINT)
    for used in sorted(product((False, True), repeat=3), key=sum):
        trials = product(*(grid[1:] if one else grid[:1] for one, grid in zip(used, grids, strict=True)))
        tried = np.array(list(trials))
        gain = np.array([_log_likelihood(mean, variance, (causes**2) @ one**2) for one in tried]) - value
        more = max(int(sum(used)) - int(np.count_nonzero(best)), 0)
        if gain.max() > BELIEVED * more and any(used):
            best, value = tried[np.argmax(gain)], value + gain.max()
    return best


def _log_likelihood(mean: Floats, variance: Floats, extra: Floats) -> float:
    """Return ln of the restricted likelihood of night means (star, night), each star's own mean left open."""
    weight = 1 / (variance + extra[:, None])  # 0 where a night has none
    total = weight.sum(axis=1)
    m = np.nan_to_num(mean)
    center = (weight * m).sum(axis=1) / total
    square = (weight * (m - center[:, None]) ** 2).sum(axis=1)
    seen = weight > 0
    freedom = seen.sum(axis=1) - 1
    logdet = -np.log(np.where(seen, weight, 1.0)).sum(axis=1) + np.log(total)
    return float(np.sum(-0.5 * logdet - 0.5 * (TAIL + freedom) * np.log1p(square / TAIL)))


def _pull(mean: Floats, variance: Floats, extra: Floats) -> float:
    """Return the robust scatter of night means about their stars' own over what is expected."""
    weight = 1 / (variance + extra[:, None] ** 2)
    total = weight.sum(axis=1, keepdims=True)
    m = np.nan_to_num(mean)
    rest = m - (weight * m).sum(axis=1, keepdims=True) / total
    seen = weight > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        pull = rest / np.sqrt(1 / weight - 1 / total)
    return mad_sigma(pull[seen], 0.0)
