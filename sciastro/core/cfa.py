"""Color filter arrays: what color each pixel of a mosaic is, and how its pixels group into cells.

A pattern is text, row by row as stored: 4 letters of a Bayer sensor ("RGGB", any order), 36 of an
X-Trans sensor (6 x 6), nothing for mono. A cell holds every color at its center of light: 2 x 2 pixels
of a Bayer sensor, 3 x 3 of X-Trans (five green; two red and two blue on opposite sides of the center).
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sciastro.errors import DatasetError

__all__ = [
    "BAYER",
    "COLORS",
    "XTRANS",
    "cell_center",
    "cell_origin",
    "cell_side",
    "color_plane",
    "neighbors",
    "pattern_of",
    "period",
    "phase_slices",
    "rolled",
]

COLORS = ("R", "G", "B")
BAYER = ("RGGB", "BGGR", "GRBG", "GBRG")
XTRANS = "GBGGRGRGRBGBGBGGRGGRGGBGBGBRGRGRGGBG"  # as most sensors have it
CLOSE = 8  # neighbors of the same color that are looked at

Codes = npt.NDArray[np.int8]


def period(cfa: str) -> int:
    """Return after how many pixels the pattern repeats: 2 (Bayer), 6 (X-Trans), 1 (mono)."""
    return len(pattern_of(cfa)) if cfa else 1


@lru_cache(maxsize=64)
def pattern_of(cfa: str) -> Codes:
    """Return the color (0 R, 1 G, 2 B) of each phase [y, x] of `cfa` as stored; read-only.

    Raises
    ------
    DatasetError
        If it is neither one of RGGB, BGGR, GRBG, GBRG nor an X-Trans array of 36 letters.
    """
    side = 2 if cfa in BAYER else 6
    if cfa not in BAYER and not (len(cfa) == 36 and set(cfa) <= set(COLORS)):
        raise _unknown(cfa)
    out = np.array([COLORS.index(letter) for letter in cfa], np.int8).reshape(side, side)
    if side == 6 and _block_origin(out) is None:
        raise _unknown(cfa)
    out.setflags(write=False)
    return out


def _unknown(cfa: str) -> DatasetError:
    return DatasetError(
        f"is {cfa!r}; RGGB, BGGR, GRBG, GBRG and X-Trans arrays of 36 letters can be debayered.",
        where="color filter array",
        remedy="Set the pattern of the camera, or treat the frames as monochrome.",
    )


def _block_origin(codes: Codes) -> tuple[int, int] | None:
    """Return row and column (0 to 2) at which the 3 x 3 blocks of an X-Trans pattern begin; None without."""
    dy, dx = np.mgrid[-1:2, -1:2]
    for oy, ox in np.ndindex(3, 3):
        blocks = np.roll(codes, (-oy, -ox), (0, 1)).reshape(2, 3, 2, 3).swapaxes(1, 2).reshape(4, 3, 3)
        counts = [[(block == c).sum() for c in range(3)] for block in blocks]
        moments = [[(dy[block == c].sum(), dx[block == c].sum()) for c in range(3)] for block in blocks]
        if np.array_equal(counts, [[2, 5, 2]] * 4) and not np.any(moments):
            return oy, ox
    return None


def cell_side(cfa: str) -> int:
    """Return how many pixels wide and high a cell is: 2 (Bayer), 3 (X-Trans), 1 (mono)."""
    return {0: 1, 4: 2, 36: 3}.get(len(cfa), 1)


@lru_cache(maxsize=64)
def cell_origin(cfa: str) -> tuple[int, int]:
    """Return row and column of the first pixel of cell (0, 0): (0, 0) but for shifted X-Trans arrays."""
    if cell_side(cfa) != 3:
        return 0, 0
    return _block_origin(pattern_of(cfa)) or (0, 0)


def cell_center(cfa: str) -> tuple[float, float]:
    """Return the pixel position (x, y) of the center of cell (0, 0); cell X is centered on ``side X + x``."""
    oy, ox = cell_origin(cfa)
    half = (cell_side(cfa) - 1) / 2
    return ox + half, oy + half


def rolled(cfa: str, y0: int, x0: int) -> Codes:
    """Return the pattern as seen by a window that begins at row `y0`, column `x0` of the frame."""
    codes = pattern_of(cfa)
    side = len(codes)
    return np.ascontiguousarray(np.roll(codes, (-(y0 % side), -(x0 % side)), (0, 1)))


def color_plane(cfa: str, shape: tuple[int, int], y0: int = 0, x0: int = 0) -> Codes:
    """Return the color of every pixel of a window (rows, columns), 0 R, 1 G, 2 B."""
    codes = rolled(cfa, y0, x0)
    repeats = (-(-shape[0] // len(codes)), -(-shape[1] // len(codes)))
    return np.ascontiguousarray(np.tile(codes, repeats)[: shape[0], : shape[1]])


def phase_slices(cfa: str) -> list[tuple[slice, slice]]:
    """Return slices [y, x] of the pixels of each phase of the pattern: 4, 36, or all of a mono frame."""
    step = period(cfa)
    if step == 1:
        return [(slice(None), slice(None))]
    return [(slice(j, None, step), slice(i, None, step)) for j in range(step) for i in range(step)]


@lru_cache(maxsize=64)
def neighbors(cfa: str) -> npt.NDArray[np.int16]:
    """Return where each phase has its nearest pixels of its own color.

    int16 (phase y, phase x, 8, 2): dy, dx.

    Mono: the 8 pixels around. Bayer: the same at twice the distance, for green too (its diagonal neighbors
    are of the other green, which many sensors amplify apart). X-Trans: the 8 nearest, at 1 to 4 pixels.
    """
    if cell_side(cfa) < 3:
        distance = cell_side(cfa)
        around = [
            (dy, dx)
            for dy in (-distance, 0, distance)
            for dx in (-distance, 0, distance)
            if (dy, dx) != (0, 0)
        ]
        return np.array(around, np.int16).reshape(1, 1, CLOSE, 2)
    codes = pattern_of(cfa)
    out = np.empty((6, 6, CLOSE, 2), np.int16)
    reach = sorted(
        ((dy, dx) for dy in range(-4, 5) for dx in range(-4, 5) if (dy, dx) != (0, 0)),
        key=lambda d: (d[0] ** 2 + d[1] ** 2, d),
    )
    for y, x in np.ndindex(6, 6):
        same = [(dy, dx) for dy, dx in reach if codes[(y + dy) % 6, (x + dx) % 6] == codes[y, x]]
        out[y, x] = same[:CLOSE]
    return out
