"""Match two star lists whose relation is unknown but for a bound on the scale.

Method: all triangles of the brightest stars, compared by their side ratios (Groth 1986, AJ 91, 1244);
similar triangles are counted by rotation and scale, the best bins vote for star pairs (as Valdes et
al. 1995, PASP 107, 1119), the pairs give a similarity, and the similarity is believed only if more
stars coincide than chance would bring together in any of the maps that could have been tried.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.trianglevotes import candidates, similarity
from sciastro.core import transform
from sciastro.core.neighbors import log10_binomial_tail, nearest_within
from sciastro.errors import MatchError

__all__ = ["Match", "NoMatchError", "chance", "match_stars", "closest_pairs", "positions"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

LEVELS = (24, 45, 80)  # stars whose triangles are compared, until a match is beyond doubt
MOST_WORK = 4e11  # product of the cubes of both lengths: triangles times triangles, times 36
VERIFY = 150  # brightest stars that must confirm a map
SHIFTS = 24  # displaced copies of a map that measure chance coincidences
CERTAIN = 20.0  # orders of magnitude below the acceptable chance at which no other map is looked at
NEVER = -300.0  # log10 of probabilities too small to tell apart
GUARD = 1e-3  # least chance of one coincidence that is ever assumed: star lists are never ideal


class NoMatchError(MatchError):
    """Both lists hold stars enough, and no map between them is beyond doubt.

    Parameters
    ----------
    log_false_alarm
        log10 of the probability that the best map is chance; 0 without any.
    """

    def __init__(self, found: str, *, where: str, remedy: str, log_false_alarm: float) -> None:
        super().__init__(found, where=where, remedy=remedy)
        self.log_false_alarm = log_false_alarm


@dataclass(frozen=True, slots=True)
class Match:
    """Stars that two lists have in common.

    Attributes
    ----------
    index_a, index_b
        Entries of the two lists, pair by pair.
    map
        `core.transform` map (2, 3) from a to b [pixel]: a similarity, mirrored if `parity` is -1.
    rms
        Root mean square residual of the pairs about the affine map nearest to it [pixel].
    n
        Number of pairs.
    log_false_alarm
        Upper bound on log10 of the probability that lists without common stars match this well.
    parity
        +1, or -1 where b is mirrored.
    """

    index_a: Indices
    index_b: Indices
    map: Floats
    rms: float
    n: int
    log_false_alarm: float
    parity: int


def match_stars(
    a: npt.NDArray[np.void] | Floats,
    b: npt.NDArray[np.void] | Floats,
    *,
    max_scale: float = 1.12,
    tolerance: float = 3.0,
    allow_mirror: bool = False,
    false_alarm: float = 1e-6,
    depth_ratio: float = 1.0,
    trials: int = 1,
) -> Match:
    """Find the stars that two lists share, whatever shift, rotation and (within bounds) scale.

    Parameters
    ----------
    a, b
        Star lists, brightest first: `STAR_DTYPE` or (n, 2) arrays of x and y [pixel].
    max_scale
        Largest scale ratio between the lists, either way.
    tolerance
        Largest distance [pixel] of a pair from the similarity; must cover distortion.
    allow_mirror
        Whether b may be mirrored.
    false_alarm
        Largest acceptable probability that unrelated lists would match as well (a union bound over
        every similarity that two pairs of stars define; positions in each list independent).
    depth_ratio
        Stars to take from b for one of a when patterns are compared (above 1 where b covers more sky).
    trials
        Lists that the caller tries in search of one match; tightens the bound.

    Returns
    -------
    Match
        One-to-one pairs of all stars, not only the bright ones.

    Raises
    ------
    NoMatchError
        If no map is beyond doubt; a guess is never returned.
    MatchError
        If a list holds fewer than 4 stars.
    """
    pa, pb = positions(a), positions(b)
    if min(len(pa), len(pb)) < 4:
        raise MatchError(
            f"hold {len(pa)} and {len(pb)} stars, and a match beyond doubt needs more than 4.",
            where="star lists",
            remedy="Lower the detection threshold, or use longer exposures.",
        )
    best: tuple[float, Floats, int] | None = None
    sizes = (0, 0)
    for level in LEVELS:
        before, sizes = sizes, _affordable(min(level, len(pa)), min(int(level * depth_ratio), len(pb)))
        if sizes == before:
            break
        for candidate in candidates(pa[: sizes[0]], pb[: sizes[1]], max_scale, tolerance, allow_mirror):
            log_p, refined = _verify(pa, pb, candidate, sizes, tolerance, trials)
            if best is None or log_p < best[0]:
                best = (log_p, refined, candidate[1])
            if best[0] < np.log10(false_alarm) - CERTAIN:
                break
        if best is not None and best[0] < np.log10(false_alarm) - 3:
            break
    if best is None or best[0] > np.log10(false_alarm):
        bound = (
            "no similar pattern"
            if best is None
            else f"the best map could be chance (log10 p <= {best[0]:.1f})"
        )
        raise NoMatchError(
            f"do not match: {bound} among {sizes[0]} and {sizes[1]} bright stars, "
            f"scale within {max_scale:.2f}, tolerance {tolerance:.1f} pixel.",
            where="star lists",
            remedy="Check that both show the same field; allow a larger scale ratio or tolerance.",
            log_false_alarm=0.0 if best is None else best[0],
        )
    return _complete(pa, pb, best[1], best[2], tolerance, best[0])


def _affordable(n_a: int, n_b: int) -> tuple[int, int]:
    """Return the list lengths, shortened alike until comparing all triangles takes under half a second."""
    while n_a**3 * n_b**3 > MOST_WORK:
        n_a, n_b = int(0.95 * n_a), int(0.95 * n_b)
    return n_a, n_b


def positions(stars: npt.NDArray[np.void] | Floats) -> Floats:
    """Return x and y of a star list as float64 (n, 2)."""
    if stars.dtype.names is None:
        return np.ascontiguousarray(stars, dtype=np.float64).reshape(-1, 2)
    named: npt.NDArray[np.void] = stars.view(stars.dtype)
    return np.column_stack([named["x"], named["y"]]).astype(np.float64)


def _apply(coefficients: Floats, points: Floats) -> Floats:
    return np.column_stack(transform.evaluate(coefficients, points[:, 0], points[:, 1]))


def closest_pairs(a: Floats, b: Floats, tolerance: float) -> tuple[Indices, Indices]:
    """Return one-to-one pairs of points (n, 2): each of `a` with its nearest of `b`, which keeps the closest.

    Pairs are less than `tolerance` apart.
    """
    distance, nearest = nearest_within(a, b, tolerance)
    index = np.flatnonzero(np.isfinite(distance))
    order = index[np.argsort(distance[index], kind="stable")]
    _, first = np.unique(nearest[order], return_index=True)
    chosen = np.sort(order[first])
    return chosen, nearest[chosen]


def _verify(
    pa: Floats,
    pb: Floats,
    candidate: tuple[Floats, int],
    sizes: tuple[int, int],
    tolerance: float,
    trials: int,
) -> tuple[float, Floats]:
    """Polish a map on the bright stars; return log10 of the bound on chance, and the map."""
    coefficients, parity = candidate
    a, b = pa[: max(VERIFY, sizes[0])], pb[: max(VERIFY, sizes[1])]
    for _ in range(4):
        i, j = closest_pairs(_apply(coefficients, a), b, tolerance)
        if i.size < 3:
            return 0.0, coefficients
        coefficients = similarity(a[i], b[j], parity)
    n_a, n_b = sizes
    maps = 0.5 * n_a * (n_a - 1) * n_b * (n_b - 1) * trials
    return chance(_apply(coefficients, a), b, tolerance, maps=maps, fixed=2), coefficients


def chance(a: Floats, b: Floats, tolerance: float, *, maps: float, fixed: int) -> float:
    """Return an upper bound on log10 of the probability that so many stars coincide by chance.

    Parameters
    ----------
    a, b
        Points (n, 2) on one grid [pixel].
    tolerance
        Distance of a coincidence [pixel].
    maps
        Number of maps that could have been tried (union bound).
    fixed
        Stars whose coincidence the map itself brought about.

    Notes
    -----
    The chance of one coincidence is the larger of the uniform one, ``n pi tolerance2 / area``, and
    that found when the map is displaced in `SHIFTS` directions, which knows of clusters.
    """
    inside = _within(a, b, tolerance)
    other = _within(b, a, tolerance)
    if inside.sum() > other.sum():
        a, b, inside = b, a, other
    points = a[inside]
    if len(points) <= fixed:
        return 0.0
    hits = int(_coincidences(b, points, tolerance))
    extent = np.ptp(b, axis=0) + 2 * tolerance
    p = len(b) * np.pi * tolerance**2 / float(extent[0] * extent[1])
    angles = 2.399963 * np.arange(SHIFTS)  # golden angle: directions and lengths never align
    lengths = tolerance * (4 + 10 * np.arange(SHIFTS) / SHIFTS)
    shifts = (lengths * np.array([np.cos(angles), np.sin(angles)])).T
    moved = _coincidences(b, points + shifts[:, None], tolerance)
    measured = (float(np.mean(moved)) + float(np.std(moved)) / np.sqrt(SHIFTS)) / len(points)
    p = min(max(p, measured, GUARD), 1.0)
    tail = log10_binomial_tail(hits - fixed - 1, max(len(points) - fixed, 1), p)
    return float(np.clip(tail + np.log10(max(maps, 1.0)), NEVER, 0.0))


def _within(a: Floats, b: Floats, margin: float) -> npt.NDArray[np.bool_]:
    low, high = b.min(axis=0) - margin, b.max(axis=0) + margin
    return np.asarray(np.all((a >= low) & (a <= high), axis=1))


def _coincidences(b: Floats, points: Floats, tolerance: float) -> Floats:
    """Return how many different points of b are nearest to some point of (..., n, 2) within tolerance."""
    _, nearest = nearest_within(points.reshape(-1, 2), b, tolerance)
    found = np.sort(nearest.reshape(points.shape[:-1]), axis=-1)  # without neighbor: the number len(b)
    first = np.ones(found.shape, bool)
    first[..., 1:] = found[..., 1:] != found[..., :-1]
    return np.asarray(np.sum(first & (found < len(b)), axis=-1), dtype=np.float64)


def _complete(
    pa: Floats, pb: Floats, coefficients: Floats, parity: int, tolerance: float, log_p: float
) -> Match:
    """Extend a verified map to all stars, letting it bend as far as the pairs show."""
    local = coefficients
    i, j = closest_pairs(_apply(local, pa), pb, tolerance)
    residual = _apply(local, pa[i]) - pb[j]
    fitted: tuple[int, Indices] | None = None
    for degree in (1, 1, 2, 2):
        if i.size < 4 * transform.n_terms(degree):
            break
        keep = _inliers(residual)
        before, fitted = fitted, (degree, np.stack([i[keep], j[keep]]))
        if before is not None and before[0] == degree and np.array_equal(before[1], fitted[1]):
            continue  # the same pairs would give the same map
        local = transform.fit(pa[i[keep], 0], pa[i[keep], 1], pb[j[keep], 0], pb[j[keep], 1], degree)
        residual = _apply(local, pa[i[keep]]) - pb[j[keep]]
        radius = float(np.clip(6 * np.sqrt(np.mean(residual**2)), 0.7, tolerance))
        i, j = closest_pairs(_apply(local, pa), pb, radius)
        residual = _apply(local, pa[i]) - pb[j]
    rms = float(np.sqrt(np.mean(np.sum(residual**2, axis=1))))
    return Match(i, j, similarity(pa[i], pb[j], parity), rms, int(i.size), log_p, parity)


def _inliers(residual: Floats) -> npt.NDArray[np.bool_]:
    size = np.hypot(residual[:, 0], residual[:, 1])
    return np.asarray(size <= 4 * np.median(size) + 1e-9)
