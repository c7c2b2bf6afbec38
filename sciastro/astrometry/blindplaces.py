"""Places that the star patterns of an image propose, against the index of the whole sky.

Method: Lang et al. 2010, AJ 139, 1782, as `astrometry.blind` uses it.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from sciastro.astrometry.blindwide import Tally
from sciastro.astrometry.quads import QuadIndex
from sciastro.kernels.quadsearch import find_places
from sciastro.kernels.triplets import find_triplets

__all__ = [
    "DEPTHS",
    "GOAL",
    "LOOKS",
    "VOTERS",
    "Looks",
    "Place",
    "Where",
    "places",
    "sparse_places",
    "spread_out",
]

Floats = npt.NDArray[np.float64]

GOAL = float(np.log(1e9))  # odds beyond which a place is refined (Lang et al. 2010, section 2.3)
DEPTHS = (3, 14, 26, 44)  # image stars that are combined to quads (`_rounds`)
VOTERS = 60  # image stars that vote
SHARE = 0.4  # of the image stars that are in no catalog
CELLS = 4  # per axis, from which the stars are taken in turn
TRIPLET_STARS, TRIPLET_ALIKE = 12, 0.004  # image stars of triangles; distance of alike shapes
Looks: TypeAlias = tuple[tuple[float, float], ...]
# Distance of alike codes, error of a star [pixel]. Sharp, plain, bent pictures: the sharper, the fewer
# candidates there are, and the fewer stars it takes to rule out chance.
LOOKS: Looks = ((0.004, 1.5), (0.01, 1.5), (0.025, 4.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    """What is known beforehand.

    Attributes
    ----------
    scale_low, scale_high
        Bounds of the scale [arcsec / pixel].
    ra, dec, radius
        Circle that holds the center of the image [deg]; radius 180 is the whole sky.
    parity
        +1 for the sky as seen, -1 mirrored, None unknown.
    """

    scale_low: float = 0.05
    scale_high: float = 1000.0
    ra: float = 0.0
    dec: float = 0.0
    radius: float = 180.0
    parity: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A place that star patterns propose.

    Attributes
    ----------
    wcs
        TAN about the quad, good near it.
    log_odds
        ln of the odds against chance; of `sparse_places`, how many stars agree (always below `GOAL`).
    weighed
        Candidates that were weighed to find it.
    few
        Whether few catalog stars are on the frame, and half of them or more among the brightest image stars:
        the odds need not be beyond `GOAL` then (`fewstars.log_chance_anywhere`).
    """

    wcs: WCS
    log_odds: float
    weighed: int
    few: bool = False


def spread_out(points: Floats, shape: tuple[int, int], most: int) -> npt.NDArray[np.intp]:
    """Return the rows of `most` points, the brightest of every part of the frame in turn.

    Parameters
    ----------
    points
        (n, 2) x and y [pixel], brightest first.
    """
    scale = CELLS / np.array([shape[1], shape[0]])
    column, row = np.clip((points * scale).astype(np.intp), 0, CELLS - 1).T
    cell = row * CELLS + column
    turn = np.zeros(len(points), np.intp)
    for one in np.unique(cell):
        inside = np.flatnonzero(cell == one)
        turn[inside] = np.arange(inside.size)
    return np.lexsort([np.arange(len(points)), turn])[:most]


def places(
    points: Floats, shape: tuple[int, int], index: QuadIndex, where: Where, *, first: int = DEPTHS[0],
    last: int = DEPTHS[-1], until: float = np.inf, spread: bool = True, tally: Tally | None = None,
    looks: Looks = LOOKS,
) -> Iterator[Place]:  # fmt: skip
    """Yield places whose odds are beyond chance, as the quads grow fainter.

    Parameters
    ----------
    points
        Image stars (n, 2), brightest first [pixel].
    first, last
        The faintest star of a quad is one of these, counted as `spread_out` orders them.
    until
        `time.monotonic` at which to stop.
    spread
        Whether stars are taken from all parts of the frame in turn, which crowds and nebulae need, or the
        brightest first, which fields with few catalog stars need.
    looks
        Distance of alike codes and error of a star [pixel], one pair after the other.
    """
    chosen = points[spread_out(points, shape, VOTERS)] if spread else points[:VOTERS]
    x, y = (np.ascontiguousarray(column) for column in chosen.T)
    signs = (1, -1) if where.parity is None else (where.parity,)
    for tolerance, sigma in looks:
        weighed = 0
        for faintest in range(first, min(len(chosen), last)):
            for sign in signs:
                out = np.zeros(14)
                done = find_places(
                    x, y, faintest, float(sign), float(shape[1]), float(shape[0]), tolerance, sigma, SHARE,
                    where.scale_low / 3600, where.scale_high / 3600, where.ra, where.dec, where.radius,
                    index.level_low, index.level_of, index.codes, index.quads, index.slot_start,
                    index.first_star, index.xyz, index.first_band, index.bands, index.first_cell,
                    index.cell_start, index.cell_star, GOAL, out,
                )  # fmt: skip
                weighed += int(out[9])
                if tally is not None:
                    tally.weighed += int(out[9])
                if done:
                    yield Place(_wcs(out, sign, shape), float(out[0]), weighed, bool(out[13]))
                if time.monotonic() > until:
                    return


def sparse_places(
    points: Floats, shape: tuple[int, int], index: QuadIndex, where: Where, *, until: float = np.inf
) -> Iterator[Place]:
    """Yield places of few catalog stars, most of which are among the brightest of the image.

    Quads are listed of the brightest stars around; where a frame shows six stars, few of them lie on it with
    all four. Triangles are fewer, and can all be listed where stars are few.

    Parameters
    ----------
    points, shape, index, where, until
        As for `places`.
    """
    x, y = (np.ascontiguousarray(column) for column in points[:TRIPLET_STARS].T)
    first, last = index.first_star[0], index.first_star[1]
    cells = slice(index.first_cell[0], index.first_cell[1])
    bands = index.bands[index.first_band[0] : index.first_band[1]]
    for sign in (1, -1) if where.parity is None else (where.parity,):
        number, out = -1, np.zeros(14)
        while time.monotonic() <= until:
            number = find_triplets(
                x, y, number + 1, float(sign), float(shape[1]), float(shape[0]), TRIPLET_ALIKE,
                where.scale_low / 3600, where.scale_high / 3600, where.ra, where.dec, where.radius,
                index.triplet_codes, index.triplets, index.triplet_start, index.xyz,
                float(index.level_low[0]), bands, index.cell_start[cells], index.cell_star[first:last], out,
            )  # fmt: skip
            if number < 0:
                break
            yield Place(_wcs(out, sign, shape), float(out[0]), int(out[9]), few=True)


def _wcs(out: Floats, sign: int, shape: tuple[int, int]) -> WCS:
    """Return the WCS of the similarity that `find_places` wrote: (-east, north) = w + a (z - z0)."""
    ra0, dec0, ar, ai, zr, zi, wr, wi = (*out[1:7], out[11], out[12])
    linear = np.array([[ar, -ai * sign], [ai, ar * sign]])
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit, wcs.wcs.radesys = ["RA---TAN", "DEC--TAN"], ["deg", "deg"], "ICRS"
    wcs.wcs.crval = [ra0, dec0]
    wcs.wcs.crpix = np.linalg.solve(linear, [-wr, -wi]) + [zr, sign * zi] + 1
    wcs.wcs.cd = np.diag([-1.0, 1.0]) @ linear
    wcs.pixel_shape = (shape[1], shape[0])
    wcs.wcs.set()
    return wcs
