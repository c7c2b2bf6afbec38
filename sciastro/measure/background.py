"""Sky level and noise of an image on a mesh of tiles, smooth enough to subtract.

Method: per tile, iterated 3-sigma clipping about the median and the mode estimate of SExtractor
(Bertin & Arnouts 1996, A&AS 117, 393); tiles without sky are filled from their neighbors, the mesh
is median-filtered against stars and small objects, and interpolated by Catmull-Rom cubics.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.core.quality import UNUSABLE, Quality
from sciastro.core.robust import MAD_TO_SIGMA
from sciastro.errors import DatasetError
from sciastro.kernels.background import interpolate_rows, interpolation_table, tile_statistics

__all__ = ["Background", "BackgroundOptions", "background", "quality_masks", "quality_plane"]

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class BackgroundOptions(Options):
    """How the sky under the stars is estimated."""

    box: int = option(64, "Side of a tile.", unit="pixel", low=8, high=1024)
    kappa: float = option(3.0, "Clipping threshold, in sigma of the tile.", low=1.5, high=10.0)
    passes: int = option(12, "Most clipping passes.", low=1, high=50)
    filter: int = option(
        3, "Side of the median filter over the mesh; 1 leaves it as measured.", unit="tile", low=1, high=15
    )
    estimator: str = option("mode", "Level of a clipped tile.", choices=("mode", "median"))
    min_used: float = option(
        0.3, "Smallest share of usable pixels that makes a tile count.", low=0.0, high=1.0
    )


DEFAULTS = BackgroundOptions()


@dataclass(frozen=True, slots=True)
class Background:
    """Sky level and noise mesh of one image.

    Attributes
    ----------
    level_mesh, rms_mesh
        float64[tile_y, tile_x], unit of the image; no NaN.
    used
        Share of each tile's pixels that entered (before the mesh was filled), 0 to 1.
    box
        Nominal side of a tile [pixel].
    shape
        Rows and columns of the image.
    level, rms
        Median of the meshes over tiles that had sky, unit of the image.
    """

    level_mesh: Floats
    rms_mesh: Floats
    used: Floats
    box: int
    shape: tuple[int, int]
    level: float
    rms: float

    def tables(self) -> tuple[npt.NDArray[np.int64], Singles, npt.NDArray[np.int64], Singles]:
        """Return node index and weights along y and x, as the kernels take them."""
        iy, wy = _table(self.shape[0], self.level_mesh.shape[0])
        ix, wx = _table(self.shape[1], self.level_mesh.shape[1])
        return iy, wy, ix, wx

    def padded(self) -> tuple[Singles, Singles]:
        """Return level and noise mesh with two extrapolated nodes on each side, float32."""
        floor = max(0.25 * float(self.rms_mesh.min()), 1e-6 * abs(self.level), 1e-30)
        return _pad(self.level_mesh), np.maximum(_pad(self.rms_mesh), np.float32(floor))

    def level_map(self) -> Singles:
        """Return the sky level, float32[y, x]."""
        return self._full(self.padded()[0])

    def rms_map(self) -> Singles:
        """Return the sky noise per pixel (1 sigma), float32[y, x]."""
        return self._full(self.padded()[1])

    def coarse(self, largest: int = 64) -> Singles:
        """Return the level on at most `largest` equal tiles along each axis, float32[tile_y, tile_x]."""
        mesh = self.level_mesh
        for axis in (0, 1):
            number = mesh.shape[axis]
            if number > largest:  # means over equal parts, by differences of the running sum
                total = np.insert(np.cumsum(mesh, axis=axis), 0, 0.0, axis=axis)
                t = np.linspace(0, number, largest + 1)
                cell = np.minimum(t.astype(np.intp), number - 1)
                share = (t - cell).reshape((-1, 1) if axis == 0 else (1, -1))
                low, high = (np.take(total, cell + k, axis=axis) for k in (0, 1))
                mesh = np.diff(low + share * (high - low), axis=axis) * (largest / number)
        return mesh.astype(np.float32)

    def _full(self, mesh: Singles) -> Singles:
        out = np.empty(self.shape, np.float32)
        interpolate_rows(mesh, 0, *self.tables(), out)
        return out


def quality_plane(quality: npt.NDArray[np.integer] | None) -> npt.NDArray[np.uint16]:
    """Return `quality` as the kernels take it: uint16[y, x], or uint16[1, 1] for none."""
    if quality is None:
        return np.zeros((1, 1), np.uint16)
    return np.ascontiguousarray(quality, dtype=np.uint16)


def quality_masks() -> npt.NDArray[np.uint16]:
    """Return the bits that forbid a pixel, those that forbid it unless repaired, and the repaired bit."""
    unless = Quality.HOT | Quality.DEAD | Quality.COSMIC_RAY | Quality.LOW_FLAT
    return np.array([int(UNUSABLE), int(unless), int(Quality.INTERPOLATED)], dtype=np.uint16)


def background(
    image: npt.NDArray[np.floating],
    quality: npt.NDArray[np.integer] | None = None,
    options: BackgroundOptions = DEFAULTS,
) -> Background:
    """Estimate the sky level and its noise.

    Parameters
    ----------
    image
        (y, x), any linear unit; NaN is missing.
    quality
        Bits of `Quality` (y, x). DO_NOT_USE and NO_DATA pixels are skipped, and HOT, DEAD, COSMIC_RAY
        and LOW_FLAT ones unless INTERPOLATED.
    options
        Tile size, clipping, filtering.

    Returns
    -------
    Background
        Meshes without NaN: empty tiles are filled from their neighbors.

    Raises
    ------
    DatasetError
        If the image is not two-dimensional, differs from `quality` in shape, or has no usable pixel.
    """
    pixels = np.ascontiguousarray(image, dtype=np.float32)
    _check(pixels, quality)
    edges_y, edges_x = _edges(pixels.shape[0], options.box), _edges(pixels.shape[1], options.box)
    tiles = (edges_y.size - 1, edges_x.size - 1)
    level, rms, used = np.empty(tiles), np.empty(tiles), np.empty(tiles)
    tile_statistics(
        pixels, quality_plane(quality), quality_masks(), edges_y, edges_x, options.kappa,
        _clipped_sigma(options.kappa), options.passes, options.estimator == "mode", level, rms, used,
    )  # fmt: skip
    known = np.isfinite(level) & np.isfinite(rms)
    if not known.any():
        raise DatasetError(
            "has no usable pixel.", where="image", remedy="Look at the frame; every pixel is NaN or flagged."
        )
    empty = ~known | (used < options.min_used)
    if empty.all():
        empty = ~known
    level, rms = _filled(level, empty), _filled(rms, empty)
    if options.filter > 1:
        level, rms = (
            _filtered(level, rms, options.filter),
            _median_filter(rms, options.filter, "edge"),
        )
    return Background(
        level_mesh=level,
        rms_mesh=rms,
        used=used,
        box=options.box,
        shape=(pixels.shape[0], pixels.shape[1]),
        level=float(np.median(level[~empty])),
        rms=float(np.median(rms[~empty])),
    )


def _check(image: Singles, quality: npt.NDArray[np.integer] | None) -> None:
    if image.ndim != 2 or image.size == 0:
        raise DatasetError(f"has shape {image.shape}.", where="image", remedy="Pass one plane (y, x).")
    if quality is not None and quality.shape != image.shape:
        raise DatasetError(
            f"has shape {quality.shape}, and the image {image.shape}.",
            where="quality",
            remedy="Pass its own plane.",
        )


def _edges(n_pixels: int, box: int) -> npt.NDArray[np.int64]:
    n_tiles = max(1, round(n_pixels / box))
    return np.array([(i * n_pixels) // n_tiles for i in range(n_tiles + 1)], dtype=np.int64)


def _clipped_sigma(kappa: float) -> float:
    """Return the standard deviation of a unit Gaussian cut at +-kappa."""
    density = np.exp(-0.5 * kappa**2) / np.sqrt(2 * np.pi)
    return float(np.sqrt(1 - 2 * kappa * density / math.erf(kappa / np.sqrt(2))))


def _filled(mesh: Floats, empty: npt.NDArray[np.bool_]) -> Floats:
    """Return the mesh with empty tiles replaced by the mean of their known neighbors, ring by ring."""
    if not empty.any():
        return mesh
    from scipy import ndimage  # slow to load, and hardly any frame needs it

    values, known = np.where(empty, 0.0, mesh), (~empty).astype(float)
    kernel = np.array([[0.5, 1.0, 0.5], [1.0, 0.0, 1.0], [0.5, 1.0, 0.5]])
    while not known.all():
        total = ndimage.convolve(values, kernel, mode="constant")
        count = ndimage.convolve(known, kernel, mode="constant")
        new = (known == 0) & (count > 0)
        values[new], known[new] = total[new] / count[new], 1.0
    return values


def _filtered(level: Floats, rms: Floats, size: int) -> Floats:
    """Return the level mesh median-filtered, but only where a tile sticks out of its neighbors.

    A tile within its own sampling error of the median keeps its value, so that a smooth gradient is
    not turned into steps; one that differs more than the neighbors scatter takes the median.
    """
    median = _median_filter(level, size, "reflect" if min(level.shape) > 1 else "edge")
    spread = MAD_TO_SIGMA * _median_filter(np.abs(level - median), 2 * size - 1, "edge")
    return np.where(np.abs(level - median) > 2 * spread + 0.02 * rms, median, level)


def _median_filter(mesh: Floats, size: int, mode: Literal["edge", "reflect"]) -> Floats:
    """Return the upper median of the `size` x `size` neighbors; as SciPy's, which takes long to load."""
    before = size // 2
    padded = np.pad(mesh, (before, size - 1 - before), mode=mode)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size)).reshape(*mesh.shape, -1)
    middle = size * size // 2
    return np.asarray(np.partition(windows, middle, axis=-1)[..., middle])


def _table(n_pixels: int, n_tiles: int) -> tuple[npt.NDArray[np.int64], Singles]:
    index, weight = np.empty(n_pixels, np.int64), np.empty((4, n_pixels), np.float32)
    interpolation_table(n_pixels, n_tiles, index, weight)
    return index, weight


def _pad(mesh: Floats) -> Singles:
    """Return the mesh with two linearly extrapolated nodes on each side."""
    for axis in (0, 1):
        width = [(2, 2) if a == axis else (0, 0) for a in (0, 1)]
        kind = "reflect" if mesh.shape[axis] > 2 else "edge"
        if kind == "reflect":
            mesh = np.pad(mesh, width, mode="reflect", reflect_type="odd")
        else:
            mesh = np.pad(mesh, width, mode="edge")
    return np.ascontiguousarray(mesh, dtype=np.float32)
