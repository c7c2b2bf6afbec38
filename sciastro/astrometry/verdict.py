"""Whether so many coincidences as a blind search ends with may be chance: the bound of its false alarms.

A candidate of the search is a pair of alike quads; it brings four coincidences about, others are evidence.
Where positions have nothing to do with each other, each further catalog star falls upon an image star with a
probability that the density of image stars tells; the number of coincidences is binomial. The brightest stars
are compared with the brightest, to several depths and within several radii, and the best of these tests pays
for all of them (Bonferroni). `SPENDING` times the number of candidates then pays for the search.
"""

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.match import NEVER, closest_pairs
from sciastro.core.neighbors import log10_binomial_tail

__all__ = ["SPENDING", "log_chance"]

Floats = npt.NDArray[np.float64]

SPENDING = 16.0  # sum of 1 / k up to nine million candidates
FREE = 4  # coincidences that a quad brings about
DEPTHS = (12, 30, 100, 300)  # brightest stars of both lists
RADII = (1.2, 4.0)  # pixel
FLOOR = 1e-5  # least chance of a coincidence that is ever assumed: star lists are never ideal
AROUND = 4  # neighbors that tell how dense the image stars are at a place
NARROW = 0.02  # of the diagonal: spread of pairs that lie on a line, as along a trail or a bad column


def log_chance(
    there: Floats, seen: Floats, shape: tuple[int, int], order: int = 1, *, least: int = FREE,
    radii: tuple[float, ...] = RADII,
) -> float:  # fmt: skip
    """Return an upper bound on log10 of the probability that one candidate ends as well as this by chance.

    Parameters
    ----------
    there
        Predicted places of the catalog stars on the frame (n, 2) [pixel], brightest first.
    seen
        Image stars (m, 2) [pixel], brightest first.
    shape
        Rows and columns.
    order
        Of the fitted polynomial, whose coefficients are as many coincidences for nothing.
    least
        Coincidences that the candidate itself brings about.
    radii
        Distances of a coincidence [pixel] that are tried.
    """
    free = max(least, (order + 1) * (order + 2) // 2)
    most = max(len(there), len(seen))
    depths = sorted({min(depth, most) for depth in DEPTHS})
    best = 0.0
    for depth in depths:
        for radius in radii:
            best = min(best, _tail(there[:depth], seen[:depth], radius, shape, free))
    return float(max(best + np.log10(len(depths) * len(radii)), NEVER)) if best < 0 else 0.0


def _tail(there: Floats, seen: Floats, radius: float, shape: tuple[int, int], free: int) -> float:
    """Return log10 of the chance of so many coincidences within `radius` pixels."""
    if min(len(there), len(seen)) <= free or len(seen) <= AROUND:
        return 0.0
    i, j = closest_pairs(there, seen, radius)
    if i.size <= free or not _spread(seen[j], shape):
        return 0.0
    apart = np.hypot(*(seen[j][:, None] - seen[None]).transpose(2, 0, 1))
    far = np.partition(apart, AROUND, axis=1)[:, AROUND]  # the first is the star itself
    dense = float(np.mean(np.minimum((AROUND - 1) * radius**2 / np.maximum(far, radius) ** 2, 1.0)))
    p = max(len(seen) * np.pi * radius**2 / (shape[0] * shape[1]), dense, FLOOR)
    return max(log10_binomial_tail(i.size - free - 1, len(there) - free, min(p, 1.0)), NEVER)


def _spread(points: Floats, shape: tuple[int, int]) -> bool:
    """Return whether points lie on the frame as stars do, not along one line."""
    minor = float(np.linalg.eigvalsh(np.cov(points.T))[0])
    return bool(np.sqrt(max(minor, 0.0)) > NARROW * np.hypot(*shape))
