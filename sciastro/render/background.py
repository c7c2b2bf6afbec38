"""Model the smooth sky of a finished image, so that the picture can do without its gradients.

Reads ``image`` (electron / s; dims band, y, x). Writes ``background_model`` in the same unit and dims;
``image`` is not touched: only `render.compose` subtracts the model, no measurement ever sees it.

Method: medians of a grid of boxes, stars clipped away; boxes that stand above a robust smooth surface are
taken for objects and left out together with their surroundings, where the test is made on smoothed residuals
so that faint wings are seen; polynomials of degree 0 to 4 and thin-plate splines of several stiffnesses
compete in a cross-validation that leaves out whole *blocks* about a sixth of the field wide. A model is
thus judged by how it bridges a hole the size of an object, which is what it will be used for, and the
simplest one within one standard error of the best wins. It is evaluated on a coarse grid and interpolated.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core import vocabulary as v
from sciastro.core.history import record
from sciastro.core.lift import map_frames
from sciastro.core.options import Options, option
from sciastro.core.robust import MAD_TO_SIGMA
from sciastro.core.vocabulary import IMAGE, labeled, require
from sciastro.render.surface import Surface, choose_surface, polynomial_surface

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["BACKGROUND_MODEL", "BackgroundOptions", "Sky", "fit_sky", "flatten"]

BACKGROUND_MODEL = "background_model"
Plane = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
SMOOTH = 3.0  # a sky that predicts itself across holes to this many times the noise of a box is a smooth sky
SPARSE = 0.3  # share of boxes that must be sky before a gradient is believed
MAX_SAMPLE_PIXELS = 4096  # of one box; more do not make its median better than its neighbors' scatter


@dataclass(frozen=True, kw_only=True, slots=True)
class BackgroundOptions(Options):
    """How the smooth sky of a picture is modeled."""

    model: str = option(
        "auto",
        "Family of surfaces; 'auto' lets cross-validation choose, 'none' is a constant.",
        choices=("auto", "polynomial", "spline", "none"),
    )
    samples: int = option(32, "Boxes along the longer side of the image.", low=8, high=128)
    max_degree: int = option(4, "Highest polynomial degree that may compete.", low=1, high=5)
    tolerance: float = option(
        2.5, "Boxes this far above the local sky are objects.", unit="sigma", low=0.5, high=10.0
    )
    grow: int = option(1, "Boxes around an object that are left out with it.", low=0, high=5)


DEFAULTS = BackgroundOptions()


@dataclass(frozen=True, slots=True, eq=False)
class Sky:
    """A fitted sky: the model plane, the surface behind it, and the boxes it rests on.

    Attributes
    ----------
    model
        float32 (y, x) [unit of the image], finite everywhere; NaN throughout if the image has no pixel.
    surface
        What won the cross-validation; None where there were no samples.
    x, y, level, used
        Centers of the boxes [pixel], their medians, and whether they count as sky.
    """

    model: Plane
    surface: Surface | None
    x: Floats
    y: Floats
    level: Floats
    used: Mask


def flatten(ds: "xr.Dataset", *, options: BackgroundOptions = DEFAULTS) -> "xr.Dataset":
    """Return `ds` with the smooth sky of every band as ``background_model``.

    Parameters
    ----------
    ds
        ``image`` [electron / s, (band, y, x)]; NaN is missing. Not modified; lazy stays lazy.
    options
        See `BackgroundOptions`.

    Returns
    -------
    Dataset
        With ``background_model`` [electron / s, (band, y, x)], finite wherever a band has any pixel.

    Raises
    ------
    DatasetError
        If ``image`` is missing or has other dims or units.
    """
    require(ds, IMAGE)

    def one(plane: npt.NDArray[np.floating], row: int) -> tuple[Plane]:
        return (fit_sky(plane, options=options).model,)

    (model,) = map_frames(one, ds["image"], dtypes=(np.float32,), whole_plane=True)
    written = ds.assign({BACKGROUND_MODEL: labeled(v.BACKGROUND_MODEL, model)})
    return record(written, "render.background", options)


def fit_sky(plane: npt.ArrayLike, *, options: BackgroundOptions = DEFAULTS) -> Sky:
    """Fit the smooth sky of one image.

    Parameters
    ----------
    plane
        (y, x), any unit; NaN is missing.
    options
        See `BackgroundOptions`.
    """
    image = np.asarray(plane, dtype=np.float32)
    grid_x, grid_y, level, width = _sample(image, options.samples)
    known = np.isfinite(level)
    if not known.any():
        empty = np.full(image.shape, np.nan, np.float32)
        return Sky(empty, None, grid_x.ravel(), grid_y.ravel(), level.ravel(), known.ravel())
    scale = float(max(image.shape))
    x, y = (grid_x - image.shape[1] / 2) / scale, (grid_y - image.shape[0] / 2) / scale
    used = _sky_boxes(x, y, level, options)
    trusted = (
        used.sum() > SPARSE * known.sum()
    )  # else the picture is all nebula: no shape of a sky to be seen
    degree = options.max_degree if trusted and options.model in ("auto", "polynomial") else 0
    surface = choose_surface(
        x[used],
        y[used],
        level[used],
        max_degree=degree,
        splines=trusted and options.model in ("auto", "spline"),
        noise=_neighbor_noise(level),
    )
    model = _evaluate(surface, image.shape, scale, width)
    return Sky(model, surface, grid_x.ravel(), grid_y.ravel(), level.ravel(), used.ravel())


def _sample(image: Plane, samples: int) -> tuple[Floats, Floats, Floats, float]:
    """Return centers x, y and the star-clipped median of every box as 2-D grids, and the box width."""
    height, width = image.shape
    box = max(1.0, max(height, width) / samples)
    rows, columns = max(1, round(height / box)), max(1, round(width / box))
    y_edges = np.linspace(0, height, rows + 1).astype(int)
    x_edges = np.linspace(0, width, columns + 1).astype(int)
    level = np.full((rows, columns), np.nan)
    for i in range(rows):
        for j in range(columns):
            level[i, j] = box_level(image[y_edges[i] : y_edges[i + 1], x_edges[j] : x_edges[j + 1]])
    x = 0.5 * (x_edges[:-1] + x_edges[1:] - 1)
    y = 0.5 * (y_edges[:-1] + y_edges[1:] - 1)
    grid_x, grid_y = np.meshgrid(x, y)
    return grid_x.astype(np.float64), grid_y.astype(np.float64), level, box


def box_level(box: Plane) -> float:
    """Return the median of `box` after clipping what lies 2.5 sigma above it; NaN if under a third is known.

    The clip has only an upper side, as stars have; on pure noise it lowers the median by a hundredth of
    a sigma or so, the same everywhere, which a picture does not notice.
    """
    step = max(1, int(np.sqrt(box.size / MAX_SAMPLE_PIXELS)))
    thin = box[::step, ::step]
    values = thin[np.isfinite(thin)]
    if values.size == 0 or values.size * 3 < thin.size:
        return float("nan")
    for _ in range(4):
        median = np.median(values)
        below = values[values <= median]
        sigma = MAD_TO_SIGMA * float(np.median(median - below))  # from the side without stars
        kept = values[values <= median + 2.5 * sigma]
        if kept.size == values.size or kept.size < 4:
            break
        values = kept
    return float(np.median(values))


def _sky_boxes(x: Floats, y: Floats, level: Floats, options: BackgroundOptions) -> Mask:
    """Return which boxes are sky.

    A surface of degree 2 cannot climb an object, so what stands above it is one, unless it leaves out a large
    part of the image: then a surface of degree 4 is tried, and its verdict stands if the boxes that it keeps
    predict each other across holes (a city's glow does, a nebula does not).
    """
    noise = _neighbor_noise(level)
    stiff = _without_objects(x, y, level, noise, 2, 3.0, options)
    known = np.isfinite(level)
    if stiff.sum() > 0.7 * known.sum():
        return stiff
    loose = _without_objects(x, y, level, noise, 4, 12.0, options)
    if loose.sum() > 1.3 * stiff.sum():
        test = choose_surface(x[loose], y[loose], level[loose], max_degree=options.max_degree, splines=True)
        swing = float(np.ptp(level[loose]))
        if test.error < max(SMOOTH * noise, 0.1 * swing):
            return loose
    return stiff


def _without_objects(
    x: Floats, y: Floats, level: Floats, noise: float, degree: int, cap: float, options: BackgroundOptions
) -> Mask:
    from scipy import ndimage

    known = np.isfinite(level)
    used = previous = known
    for round_ in range(12):
        surface = polynomial_surface(
            x[used], y[used], level[used], degree if degree > 2 else 1 + (round_ > 1)
        )
        residual = np.where(known, level - surface(x, y), np.nan)
        limit = options.tolerance * max(noise, min(_lower_spread(residual[used]), cap * noise))
        objects = ndimage.binary_opening(
            _smooth(residual, known) > 0.45 * limit
        )  # a 3 x 3 mean has 1/3 of the noise
        objects |= residual > limit
        if options.grow:
            objects = ndimage.binary_dilation(objects, iterations=options.grow)
        used = known & ~objects
        if used.sum() < max(12, known.sum() // 8):  # objects everywhere: the darkest boxes must do
            return np.asarray(known & (level <= np.nanquantile(level, 0.25)))
        if round_ > 2 and np.array_equal(used, previous):
            break
        previous = used
    return np.asarray(used)


def _neighbor_noise(level: Floats) -> float:
    """Return the scatter of a box level from second differences, blind to gradients; tiny but never 0."""
    second = [
        (level[:, 1:-1] - 0.5 * (level[:, 2:] + level[:, :-2])).ravel(),
        (level[1:-1] - 0.5 * (level[2:] + level[:-2])).ravel(),
    ]
    values = np.concatenate(second)
    values = values[np.isfinite(values)]
    floor = 1e-6 * float(np.nanmax(np.abs(level))) + 1e-12
    if values.size < 4:
        return floor
    return max(floor, float(MAD_TO_SIGMA * np.median(np.abs(values)) / np.sqrt(1.5)))


def _lower_spread(residual: Floats) -> float:
    """Return the scatter of `residual` from its lower half, where no object lies."""
    values = residual[np.isfinite(residual)]
    median = np.median(values)
    return float(MAD_TO_SIGMA * np.median(median - values[values <= median]))


def _smooth(residual: Floats, known: Mask) -> Floats:
    from scipy import ndimage

    total = ndimage.uniform_filter(np.where(known, residual, 0.0), 3, mode="constant")
    share = ndimage.uniform_filter(known.astype(np.float64), 3, mode="constant")
    return np.asarray(total / np.maximum(share, 1e-9))


def _evaluate(surface: Surface, shape: tuple[int, int], scale: float, box: float) -> Plane:
    """Evaluate on nodes about half a box apart and interpolate with cubic splines, row by row."""
    from scipy.interpolate import RectBivariateSpline

    nodes = [np.linspace(0, n - 1, int(np.clip(np.ceil(2 * n / box), 4, 129))) for n in shape]
    x, y = np.meshgrid((nodes[1] - shape[1] / 2) / scale, (nodes[0] - shape[0] / 2) / scale)
    coarse = surface(x, y)
    if min(shape) < 4:
        x, y = np.meshgrid(
            (np.arange(shape[1]) - shape[1] / 2) / scale, (np.arange(shape[0]) - shape[0] / 2) / scale
        )
        return surface(x, y).astype(np.float32)
    spline = RectBivariateSpline(nodes[0], nodes[1], coarse)
    out = np.empty(shape, np.float32)
    columns = np.arange(shape[1], dtype=np.float64)
    for first in range(0, shape[0], 256):
        rows = np.arange(first, min(first + 256, shape[0]), dtype=np.float64)
        out[first : first + rows.size] = spline(rows, columns)
    return out
