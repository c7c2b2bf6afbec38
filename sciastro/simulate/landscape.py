"""A landscape at the lower edge that stays with the camera: a ridge, its texture, a few lamps."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sciastro.simulate.psf import Psf, draw_stars

__all__ = ["add_landscape", "cover"]

Floats = npt.NDArray[np.float64]

DARK = 0.25  # light of the ground, of the sky's
LAMPS = 25  # lit places on the ground
BRIGHTEST = 400.0  # light of a lamp, in that of a pixel of sky


def cover(shape: tuple[int, int], share: float, *, top_down: bool, seed: int) -> npt.NDArray[np.bool_]:
    """Return where the landscape hides the sky, (y, x), `share` of the height on average."""
    rows, columns = shape
    rng = np.random.default_rng([seed, 31])
    x = np.arange(columns) / columns
    ridge = np.zeros(columns)
    for k in range(1, 40):  # rough like mountains: amplitudes fall as 1 / k**1.5
        ridge += rng.normal() * k**-1.5 * np.sin(2 * np.pi * (k * 0.5 * x + rng.random()))
    height = share * rows * (1 + 0.35 * (ridge - ridge.mean()) / max(float(np.std(ridge)), 1e-9))
    from_below = np.arange(rows)[::-1] if top_down else np.arange(rows)
    return np.asarray(from_below[:, None] < np.clip(height, 0, rows)[None, :])


def add_landscape(
    plane: npt.NDArray[np.float32],
    share: float,
    levels: Sequence[float],
    phase: npt.NDArray[np.int64],
    psf: Psf,
    *,
    top_down: bool,
    seed: int,
) -> None:
    """Put the landscape in front of the sky, in place.

    Parameters
    ----------
    plane
        Light [electron / s], (y, x).
    share
        Of the picture's height that it covers.
    levels
        Light of the sky per channel [electron / s / pixel].
    phase
        Channel of the four phases [y & 1, x & 1].
    psf
        Of the lamps.
    top_down
        Whether the first row is the upper edge.
    seed
        The same landscape for the same seed.
    """
    where = cover((plane.shape[0], plane.shape[1]), share, top_down=top_down, seed=seed)
    rng = np.random.default_rng([seed, 32])
    coarse = rng.uniform(0.3, 1.7, (plane.shape[0] // 8 + 1, plane.shape[1] // 8 + 1))
    texture = np.kron(coarse, np.ones((8, 8)))[: plane.shape[0], : plane.shape[1]]
    ground = np.zeros_like(plane)
    high, wide = phase.shape
    for j in range(high):
        for i in range(wide):
            ground[j::high, i::wide] = DARK * levels[phase[j, i]] * texture[j::high, i::wide]
    rows, columns = np.nonzero(where)
    if rows.size:
        chosen = rng.choice(rows.size, min(LAMPS, rows.size), replace=False)
        light = BRIGHTEST * np.asarray(levels)[None, :] * rng.uniform(0.05, 1.0, (chosen.size, 1))
        warm = np.array([1.6, 1.0, 0.5]) if len(levels) == 3 else np.ones(len(levels))
        draw_stars(ground, columns[chosen] * 1.0, rows[chosen] * 1.0, light * warm, psf, phase)
    plane[where] = ground[where]
