"""The index of star patterns that a blind search looks into: quads of the bright stars of the whole sky.

Method: Lang et al. 2010, AJ 139, 1782. For every size of pattern the catalog is thinned to the brightest
stars of small cells, so that the sky is covered evenly; groups of four of them become codes that do not
change with place, scale and rotation; codes are sorted into cells, so that alike ones are found at once.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.directions import unit_vectors
from sciastro.kernels.quads import SIDES, list_quads, sort_codes
from sciastro.kernels.skycells import sort_cells, thin_out
from sciastro.kernels.triplets import SIDES as SHAPES
from sciastro.kernels.triplets import list_triplets, sort_triplets

__all__ = ["LOWEST", "QuadIndex", "build_index"]

Floats = npt.NDArray[np.float64]

LOWEST, HIGHEST = 0.2, 26.0  # degree: least diameters of the smallest and the largest quads
FINE, PER_FINE = 0.5, 2  # side of a thinning cell over the diameter, and stars kept of each
CROWD, PLENTY = 10, 3  # stars around a place that are combined; times as many quads and uses in a sparse one
SPARSE = 40.0  # stars per square degree below which their combinations are listed more fully
LARGE = 3.0  # degree: least diameter of the quads that wide pictures are compared with
FORMAT = 4  # of the index; a new number makes all anew
TRIPLETS = (0.8, 2.0)  # longest side over the diameter of the smallest quads
ALONE = 15  # stars within the longest side of one, up to which its triangles are listed
PER_STAR = 3  # triangles on average: room for them


@dataclass(frozen=True, slots=True)
class QuadIndex:
    """Quads of the whole sky in the order of their codes, and the thinned stars of every size.

    Attributes
    ----------
    level_low
        (level) least diameter of the quads [degree], also the height of the cells; the largest is sqrt(2)
        times that.
    codes, quads, level_of
        (quad, 4) shapes in 1 / `UNIT`; (quad, 4) stars A, B, C, D; (quad) level.
    slot_start
        (cell + 1) first quad of every cell of the code space.
    xyz
        (star, 3) unit vectors, brightest first.
    first_star, cell_star
        (level + 1) first entry of every level; (entry) stars of the level, cell by cell.
    first_band, bands, first_cell, cell_start
        Cells on the sky, level by level: (level + 1) first entry, first cell of every band, and so on.
    large_codes, large_quads, large_slot_start
        `codes`, `quads` and `slot_start` of the quads of `LARGE` and more alone.
    triplet_codes, triplets, triplet_start
        (triangle, 2) shapes in 1 / `UNIT`, (triangle, 3) stars A, B, C, and (cell + 1) first triangle of
        every cell of shapes, of the places where few stars are around (`kernels.triplets`).
    """

    level_low: Floats
    codes: npt.NDArray[np.int16]
    quads: npt.NDArray[np.int32]
    level_of: npt.NDArray[np.uint8]
    slot_start: npt.NDArray[np.int32]
    first_star: npt.NDArray[np.int64]
    xyz: npt.NDArray[np.float32]
    first_band: npt.NDArray[np.int64]
    bands: npt.NDArray[np.int64]
    first_cell: npt.NDArray[np.int64]
    cell_start: npt.NDArray[np.int32]
    cell_star: npt.NDArray[np.int32]
    large_codes: npt.NDArray[np.int16]
    large_quads: npt.NDArray[np.int32]
    large_slot_start: npt.NDArray[np.int32]
    triplet_codes: npt.NDArray[np.int16]
    triplets: npt.NDArray[np.int32]
    triplet_start: npt.NDArray[np.int32]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything by name, to be stored."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _bands(side: float) -> npt.NDArray[np.int64]:
    """Return the first cell of every band of declination of height `side` [degree]."""
    count = int(np.ceil(180 / side))
    edges = np.minimum(np.abs(-90 + side * np.arange(count)), np.abs(-90 + side * np.arange(1, count + 1)))
    widest = np.where(
        (-90 + side * np.arange(count) < 0) & (-90 + side * np.arange(1, count + 1) > 0), 0.0, edges
    )
    columns = np.maximum(1, (360 * np.cos(np.radians(np.minimum(widest, 90))) / side).astype(np.int64))
    return np.concatenate([[0], np.cumsum(columns)]).astype(np.int64)


def quads_per_place(low: float) -> int:
    """Return how many quads a cell gets: few where there are very many cells."""
    return 5 if low < 0.25 else 10 if low < 0.6 else 6 if low < 1.2 else 10


def _reuse(low: float) -> int:
    """Return how often a star may be used: most for quads of half the smallest frames, which show few."""
    return 16 if 0.25 < low < 0.6 else 8


def _sparse(low: float) -> int:
    """Return below how many stars within 1.1 diameters of a place its quads are listed more fully."""
    return int(min(SPARSE * np.pi * (1.1 * low) ** 2, 25))


def build_index(
    ra: Floats, dec: Floats, mag: Floats, lowest: float = LOWEST, highest: float = HIGHEST
) -> QuadIndex:
    """Return the index of a catalog.

    Parameters
    ----------
    ra, dec
        Positions [degree], ICRS.
    mag
        Magnitudes; NaN counts as faintest.
    lowest, highest
        Bounds of the least diameters [degree].
    """
    order = np.argsort(np.where(np.isfinite(mag), mag, np.inf), kind="stable")
    ra, dec = (np.ascontiguousarray(v[order], dtype=np.float64) for v in (ra, dec))
    lows = lowest * np.sqrt(2) ** np.arange(int(np.floor(2 * np.log2(highest / lowest))) + 1)
    parts: list[dict[str, npt.NDArray[Any]]] = []
    for low in lows:
        parts.append(_level(ra, dec, float(low)))
    level = np.repeat(np.arange(len(lows), dtype=np.uint8), [len(part["codes"]) for part in parts])
    codes, quads = (_taken(parts, name) for name in ("codes", "quads"))
    start = np.zeros(int(np.prod(SIDES)) + 1, np.int32)
    slots = np.empty(len(codes), np.int32)
    sort_codes(codes, start, slots)
    level = level[slots]
    for column in range(4):  # one by one, in their places: hundreds of megabytes less at the peak
        codes[:, column] = codes[:, column][slots]
        quads[:, column] = quads[:, column][slots]
    del slots
    triplets = _triplets(ra, dec, parts[0], lowest)
    large = lows[level] >= LARGE
    before = np.concatenate([[0], np.cumsum(large)]).astype(np.int32)
    return QuadIndex(
        large_codes=codes[large], large_quads=quads[large], large_slot_start=before[start],
        level_low=lows, codes=codes, quads=quads, level_of=level, slot_start=start,
        xyz=unit_vectors(ra, dec).astype(np.float32), first_star=_first(parts, "cell_star"),
        cell_star=_all(parts, "cell_star"), first_band=_first(parts, "bands"),
        bands=_all(parts, "bands"), first_cell=_first(parts, "cell_start"),
        cell_start=_all(parts, "cell_start"), triplet_codes=triplets[0], triplets=triplets[1],
        triplet_start=triplets[2],
    )  # fmt: skip


def _triplets(
    ra: Floats, dec: Floats, level: dict[str, npt.NDArray[Any]], low: float
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the triangles of sparse places, in the order of their shapes, and where each shape begins."""
    rows = np.sort(level["cell_star"])
    ra, dec = ra[rows], dec[rows]
    bands = level["bands"]
    start, star = np.empty(int(bands[-1]) + 1, np.int32), np.empty(rows.size, np.int32)
    sort_cells(ra, dec, low, bands, start, star)
    stars, codes = (
        np.empty((PER_STAR * rows.size, 3), np.int32),
        np.empty((PER_STAR * rows.size, 2), np.int16),
    )
    n = list_triplets(
        ra, dec, unit_vectors(ra, dec), TRIPLETS[0] * low, TRIPLETS[1] * low, ALONE, low, bands, start, star,
        stars, codes,
    )  # fmt: skip
    first, slots = np.empty(SHAPES[0] * SHAPES[1] + 1, np.int32), np.empty(n, np.int32)
    sort_triplets(codes[:n], first, slots)
    return codes[slots], rows.astype(np.int32)[stars[slots]], first


def _all(parts: list[dict[str, npt.NDArray[Any]]], name: str) -> npt.NDArray[Any]:
    return np.concatenate([part[name] for part in parts])


def _taken(parts: list[dict[str, npt.NDArray[Any]]], name: str) -> npt.NDArray[Any]:
    """Return all of one name, which the parts let go of at once: together they are half the memory."""
    values = [part.pop(name) for part in parts]
    out = np.empty((sum(map(len, values)), *values[0].shape[1:]), values[0].dtype)
    end = len(out)
    while values:
        last = values.pop()
        out[end - len(last) : end] = last
        end -= len(last)
    return out


def _first(parts: list[dict[str, npt.NDArray[Any]]], name: str) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum([len(part[name]) for part in parts])]).astype(np.int64)


def _level(ra: Floats, dec: Floats, low: float) -> dict[str, npt.NDArray[Any]]:
    """Return stars, cells and quads of one size."""
    keep = np.zeros(ra.size, np.bool_)
    thin_out(ra, dec, FINE * low, _bands(FINE * low), PER_FINE, keep)
    rows = np.flatnonzero(keep).astype(np.int32)
    ra, dec = ra[rows], dec[rows]
    bands = _bands(low)
    start, star = np.empty(int(bands[-1]) + 1, np.int32), np.empty(rows.size, np.int32)
    sort_cells(ra, dec, low, bands, start, star)
    most = quads_per_place(low)
    room = int(min(PLENTY * most * bands[-1], 20 * ra.size))
    quads, codes = np.empty((room, 4), np.int32), np.empty((room, 4), np.int16)
    n = list_quads(
        ra,
        dec,
        unit_vectors(ra, dec),
        low,
        low,
        bands,
        start,
        star,
        most,
        CROWD,
        _reuse(low),
        _sparse(low),
        PLENTY,
        quads,
        codes,
    )
    return {
        "bands": bands, "cell_start": start, "cell_star": rows[star], "quads": rows[quads[:n]],
        "codes": codes[:n],
    }  # fmt: skip
