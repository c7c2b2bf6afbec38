"""Where light that is no star (nebulae, wings, scattered light) makes a residual rougher than its noise.

A filter for stars takes knots and rims of a nebula for stars. How rough the filtered residual is shows in its
scatter, tile by tile: the lower half of its distribution, as unseen stars make the upper one. Where it is
well above the noise, stars are searched for above the mean of their surroundings, and against that scatter.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["ROUGH", "Structure", "knots", "less_surroundings", "structure_of"]

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Filter = Callable[[Singles], Singles]
"""Residual to the S/N of a star on every pixel."""

# Scatter over the noise: 1.0 to 1.4 in crowds to a star in 10 square widths (median over the field, first
# search; 0.98 in the second), 5.9 in the simulated Rosette, 2.5 on the plate of the Horsehead.
ROUGH = 2.0
# Scatter over that of the same less its surroundings, over the skewness of the wings of that (medians over
# rough tiles, first search): Rosette 3.1, Horsehead 1.4; M13 0.6, the densest simulated crowd 0.08.
SMOOTH = 1.0
REGION = 5  # tiles on a side over which that is judged
TILE = 12.0  # fwhm: some 100 independent filters, so the scatter is known to a tenth
AROUND = 2.0  # fwhm: half side of the square that tells the surroundings; 1.5 and 3 leave more false stars
DARK = 0.1  # of the variance: more may the error of subtracted light not add where the scatter is told
DOUBT = 3.0  # sigma of the error of subtracted light that surroundings are guarded against
# Relative excess of the width, less its error, of what is no star there. In the simulated Rosette 574 of 620
# stars of the residual are narrower, 99 of 635 knots; of what was detected first 2039 of 2137 and 47 of 350.
EXTENDED = 0.3
LEAST = 60  # pixels that tell a tile's scatter
LEAST_SKEW = 0.01  # what a tile is taken to have at least: far below 1, that of any noise


@dataclass(frozen=True, slots=True)
class Structure:
    """Scatter of the S/N over 1, by tiles.

    Attributes
    ----------
    raw, flat
        (tile, tile) of the filtered residual, and of the same less its surroundings; at least 1.
    shape
        Rows and columns of the image.
    """

    raw: Floats
    flat: Floats
    shape: tuple[int, int]

    @property
    def any(self) -> bool:
        """Return whether any part of the image is rough."""
        return bool((self.raw > ROUGH).any())

    @property
    def share(self) -> float:
        """Return the share of the image that is rough."""
        return float(np.mean(self.raw > ROUGH))

    def at(self, tiles: Floats, y: Floats, x: Floats) -> Floats:
        """Return a map at places [pixel], by lines between the middles of tiles."""
        from scipy.ndimage import map_coordinates

        places = [
            (np.asarray(axis) + 0.5) * n / size - 0.5
            for axis, n, size in zip((y, x), tiles.shape, self.shape, strict=True)
        ]
        return np.asarray(map_coordinates(tiles, np.broadcast_arrays(*places), order=1, mode="nearest"))

    def rough(self, y: Floats, x: Floats) -> npt.NDArray[np.bool_]:
        """Return which places [pixel] lie where the image is rough."""
        return np.asarray(self.at(self.raw, y, x) > ROUGH)


def knots(structure: Structure, x: Floats, y: Floats, columns: dict[str, Floats]) -> npt.NDArray[np.bool_]:
    """Return which fits [pixel] are wider than stars where the image is rough; `columns` of `errors_of`."""
    with np.errstate(invalid="ignore"):
        wide = columns["sharpness"] - columns["sharpness_err"] > EXTENDED
    return np.asarray(wide & structure.rough(np.nan_to_num(y), np.nan_to_num(x)))


def less_surroundings(
    residual: Singles, variance: Singles, light: Singles, share: float, fwhm: float
) -> Singles:
    """Return the residual less its weighted mean over the square about each pixel.

    Parameters
    ----------
    light, share
        What was subtracted (y, x), and the part of it that may be wrong: such pixels weigh little.
    """
    from scipy.ndimage import uniform_filter

    side = 2 * round(AROUND * fwhm) + 1
    good = variance > 0
    weight = np.where(good, 1 / (np.where(good, variance, 1) + (DOUBT * share * light) ** 2), 0)
    top = uniform_filter((weight * residual).astype(np.float32), side, mode="constant")
    bottom = uniform_filter(weight.astype(np.float32), side, mode="constant")
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(bottom > 0, top / bottom, 0)
    return (residual - mean).astype(np.float32)


def structure_of(
    snr: Singles, residual: Singles, variance: Singles, light: Singles, share: float, fwhm: float,
    seek: Filter, within: Structure | None = None,
) -> Structure:  # fmt: skip
    """Return how rough the residual of an image is.

    Parameters
    ----------
    snr
        `seek` of the residual.
    within
        Of an earlier search: what was not rough there is not now.
    """
    dark = (variance > 0) & ((share * light) ** 2 < DARK * variance)
    shape = (snr.shape[0], snr.shape[1])
    raw, _ = _scatter(snr, dark, fwhm)
    if within is not None:
        y, x = ((np.arange(n) + 0.5) * size / n for n, size in zip(raw.shape, shape, strict=True))
        raw = np.minimum(raw, within.at(within.raw, y[:, None], x[None]))
    if not (raw > ROUGH).any():
        return Structure(np.ones_like(raw), np.ones_like(raw), shape)
    flat, skew = _scatter(seek(less_surroundings(residual, variance, light, share, fwhm)), dark, fwhm)
    if within is None:
        raw = np.where(_nebulous(raw, flat, skew), raw, 1.0)
    return Structure(raw, flat, shape)


def _nebulous(raw: Floats, flat: Floats, skew: Floats) -> npt.NDArray[np.bool_]:
    """Return where what is rough is no crowd of unseen stars: smooth over a few widths, and not skew.

    Both are told by the median of the rough tiles about each.
    """
    from scipy.ndimage import generic_filter

    score, rough = np.full(raw.shape, np.nan), raw > ROUGH
    score[rough] = raw[rough] / flat[rough] / np.maximum(skew[rough], LEAST_SKEW)  # blank tiles have none

    def typical(values: Floats) -> float:
        known = values[np.isfinite(values)]
        return float(np.median(known)) if known.size else 0.0

    return np.asarray(generic_filter(score, typical, size=REGION, mode="constant", cval=np.nan) > SMOOTH)


def _scatter(snr: Singles, dark: npt.NDArray[np.bool_], fwhm: float) -> tuple[Floats, Floats]:
    """Return median less lower quantile of every tile, at least 1, and the skewness of its wings.

    Both are 1 where too few pixels tell. Skewness is how far the upper 2.3 % begin from the median, over how
    far the lower end.
    """
    edges = [np.linspace(0, size, max(1, round(size / (TILE * fwhm))) + 1).astype(int) for size in snr.shape]
    shape = (edges[0].size - 1, edges[1].size - 1)
    out, skew = np.ones(shape), np.ones(shape)
    for j in range(shape[0]):
        for i in range(shape[1]):
            tile = np.s_[edges[0][j] : edges[0][j + 1], edges[1][i] : edges[1][i + 1]]
            values = snr[tile][dark[tile]]
            if values.size >= LEAST:
                lowest, low, middle, high = np.percentile(values, (2.275, 15.865, 50, 97.725))
                out[j, i] = max(middle - low, 1.0)
                skew[j, i] = (high - middle) / max(middle - lowest, 1.0)
    return out, skew
