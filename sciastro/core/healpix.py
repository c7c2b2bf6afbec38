"""Equal-area tiles of the sky: HEALPix in the nested order, as far as a cache of catalogs needs it.

Reads directions [deg] and numbers of tiles; writes numbers of tiles and directions.
Method: Górski et al. 2005, ApJ 622, 759. Order k cuts the sphere into 12 * 4**k tiles of equal area; tile t
of order k consists of the tiles 4 t .. 4 t + 3 of order k + 1, which makes the search for the tiles of a cone
a descent of a tree. Own code of 100 lines: the package would be one more dependency for three functions.
"""

from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sciastro.core.directions import unit_vectors

__all__ = [
    "MAX_ORDER",
    "bounding_cone",
    "tile_centers",
    "tile_of",
    "tile_radius",
    "tiles_in_cone",
]

Floats: TypeAlias = npt.NDArray[np.float64]
Tiles: TypeAlias = npt.NDArray[np.int64]

MAX_ORDER = 24  # 0.01 arcsec; numbers stay far below 2**63
FINER = 3  # orders below the tiles in which the edge of a cone is followed
_RING = np.array([2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4])  # of a base tile's southernmost corner, in sides
_LONGITUDE = np.array([1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7])  # of that corner, in eighths of a turn
_SPREAD = (
    (16, 0x0000FFFF0000FFFF),
    (8, 0x00FF00FF00FF00FF),
    (4, 0x0F0F0F0F0F0F0F0F),
    (2, 0x3333333333333333),
    (1, 0x5555555555555555),
)


def _spread(bits: Tiles) -> Tiles:
    """Return integers with a zero between any two of their lower 32 bits."""
    for shift, mask in _SPREAD:
        bits = (bits | (bits << shift)) & mask
    return bits


def _squeeze(bits: Tiles) -> Tiles:
    """Return every second bit, together: the inverse of `_spread`."""
    bits = bits & 0x5555555555555555
    for shift, mask in zip((1, 2, 4, 8, 16), (*(m for _, m in _SPREAD[3::-1]), 0xFFFFFFFF), strict=True):
        bits = (bits | (bits >> shift)) & mask
    return bits


def tile_of(ra: npt.ArrayLike, dec: npt.ArrayLike, order: int) -> Tiles:
    """Return the tile int64 (star,) that each direction [deg] lies in."""
    side = 1 << order
    d = np.radians(np.asarray(dec, np.float64))
    turn = np.mod(np.asarray(ra, np.float64), 360.0) / 90.0 % 4.0
    z = np.sin(d)
    # The belt between the tropics |z| = 2/3: lines of equal tile number rise and fall with the longitude.
    up, down = side * (0.5 + turn), side * z * 0.75
    rising, falling = np.floor(up - down).astype(np.int64), np.floor(up + down).astype(np.int64)
    a, b = rising >> order, falling >> order
    face = np.where(a == b, (a & 3) | 4, np.where(a < b, a & 3, (b & 3) + 8))
    x, y = falling & (side - 1), side - (rising & (side - 1)) - 1
    # The caps: 1 - |z| = cos(dec)**2 / (1 + |z|), which keeps its digits at the pole.
    quarter = np.minimum(turn.astype(np.int64), 3)
    within = turn - quarter
    reach = side * np.sqrt(3.0 / (1.0 + np.abs(z))) * np.cos(d)
    east = np.minimum((within * reach).astype(np.int64), side - 1)
    west = np.minimum(((1.0 - within) * reach).astype(np.int64), side - 1)
    cap, north = np.abs(z) > 2 / 3, z > 0
    face = np.where(cap, np.where(north, quarter, quarter + 8), face)
    x = np.where(cap, np.where(north, side - west - 1, east), x)
    y = np.where(cap, np.where(north, side - east - 1, west), y)
    tiles: Tiles = (face << (2 * order)) + _spread(x) + (_spread(y) << 1)
    return tiles


def tile_centers(tiles: npt.ArrayLike, order: int) -> Floats:
    """Return unit vectors (tile, 3) of the centers of tiles."""
    numbers, side = np.asarray(tiles, np.int64), 1 << order
    face, inner = numbers >> (2 * order), numbers & ((1 << (2 * order)) - 1)
    x, y = _squeeze(inner), _squeeze(inner >> 1)
    ring = _RING[face] * side - x - y - 1
    north, south = ring < side, ring > 3 * side
    length = np.where(north, ring, np.where(south, 4 * side - ring, side))  # tiles in a quarter of the ring
    cap = length**2 / (3.0 * side**2)
    belt = np.clip((2 * side - ring) * 2.0 / (3.0 * side), -2 / 3, 2 / 3)
    z = np.where(north, 1 - cap, np.where(south, cap - 1, belt))
    across = np.where(
        north | south, np.sqrt(cap * (2 - cap)), np.sqrt(1 - belt**2)
    )  # cos(dec), exact at poles
    shift = np.where(north | south, 0, (ring - side) & 1)
    column = (_LONGITUDE[face] * length + x - y + 1 + shift) // 2
    column = np.where(column > 4 * side, column - 4 * side, np.where(column < 1, column + 4 * side, column))
    longitude = (column - (shift + 1) * 0.5) * (np.pi / 2 / length)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), z], axis=-1)


@lru_cache(maxsize=32)
def tile_radius(order: int) -> float:
    """Return the largest distance of any point of any tile from the tile's center [deg]."""
    side = 1 << order
    corner = np.array(
        [np.sqrt(5 / 9) * np.cos(np.pi / 4 / side), np.sqrt(5 / 9) * np.sin(np.pi / 4 / side), 2 / 3]
    )
    z = 1 - (1 - 1 / side) ** 2 / 3
    center = np.array([np.sqrt(1 - z * z), 0.0, z])
    return float(np.degrees(2 * np.arcsin(np.linalg.norm(corner - center) / 2))) * (1 + 1e-9)


def _distances(tiles: Tiles, order: int, center: Floats) -> Floats:
    """Return the distances [deg] of tiles' centers from a direction."""
    chord = np.linalg.norm(tile_centers(tiles, order) - center, axis=-1)
    return np.asarray(np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1.0))))


def tiles_in_cone(ra: float, dec: float, radius: float, order: int) -> Tiles:
    """Return the tiles that a cone [deg] touches, sorted; a few may lie a hair outside, none is missing."""
    center = unit_vectors(ra, dec)
    finest = min(order + FINER, MAX_ORDER)
    edge, inside = np.arange(12, dtype=np.int64), [np.array([], np.int64)]
    for level in range(finest + 1):
        far, reach = _distances(edge, level, center), tile_radius(level)
        within = far + reach <= radius
        touched = (far <= radius + reach) & ~within
        inside.append(_at_order(edge[within], level, order))
        if level < finest:
            edge = (4 * edge[touched][:, None] + np.arange(4)).ravel()
        else:
            inside.append(_at_order(edge[touched], level, order))
    return np.unique(np.concatenate(inside))


def _at_order(tiles: Tiles, level: int, order: int) -> Tiles:
    """Return the tiles of `order` that hold, or make up, tiles of `level`."""
    if level >= order:
        return tiles >> (2 * (level - order))
    count = 1 << (2 * (order - level))
    return (tiles[:, None] * count + np.arange(count)).ravel()


def bounding_cone(tiles: npt.ArrayLike, order: int) -> tuple[float, float, float]:
    """Return center and radius [deg] of a circle that holds all of some tiles."""
    numbers = np.asarray(tiles, np.int64)
    finest = min(order + FINER, MAX_ORDER)
    points = tile_centers(_at_order(numbers, order, finest), finest)
    middle = tile_centers(numbers, order).mean(axis=0)
    length = float(np.linalg.norm(middle))
    if length < 1e-3:  # tiles all around: any center does
        return 0.0, 90.0, 180.0
    middle /= length
    chord = float(np.linalg.norm(points - middle, axis=-1).max())
    radius = np.degrees(2 * np.arcsin(min(chord / 2, 1.0))) + tile_radius(finest)
    ra = float(np.degrees(np.arctan2(middle[1], middle[0])) % 360)
    dec = float(np.degrees(np.arctan2(middle[2], np.hypot(middle[0], middle[1]))))
    return ra, dec, min(float(radius), 180.0)
