"""The image of a band and that of a new night, averaged on the old canvas.

The new frames are combined on the old canvas, and both images are then averaged by the weight that each
pixel has. A frame's weight is one number w, so of the frames that survive at a pixel the
sum of weights is about ``N = coverage * sum(w^2) / sum(w)``, exact for equal weights, and where none is
rejected; then::

    image = (N1 I1 + N2 I2) / (N1 + N2),    variance = (N1^2 V1 + N2^2 V2) / (N1 + N2)^2

An N that is a little off costs a second-order share of depth and no bias: both images are unbiased.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.debayer import DebayerOptions
from sciastro.errors import FileError
from sciastro.integrate.canvas import Canvas
from sciastro.integrate.contribution import NO_CONTEXT
from sciastro.integrate.drizzle import DrizzleOptions
from sciastro.integrate.grid import Tile
from sciastro.integrate.moving import Adjust
from sciastro.integrate.noise import side_by_side
from sciastro.integrate.normalize import Terms
from sciastro.integrate.options import StackOptions
from sciastro.integrate.run import StackArrays, empty_stack
from sciastro.io.reader import open_rows, probe
from sciastro.recipe.calibrating import Calibrator
from sciastro.recipe.canvases import canvas_of
from sciastro.recipe.context import Context
from sciastro.recipe.growing import added
from sciastro.recipe.kept import KeptBand, KeptSet
from sciastro.recipe.lights import Light, StackSet
from sciastro.recipe.plan import Recipe
from sciastro.recipe.stacked import Stacked
from sciastro.recipe.stacking import stack_band
from sciastro.recipe.stacknoise import lattice_of

__all__ = ["grow_band"]

FEW = 6  # added frames below which each is also compared with the old image
KAPPA = 5.0  # sigma beyond which a sample then does not belong to it
ROWS = 256  # at a time, when two images are merged
NEIGHBORS = 5  # pixels along a side in which the range of the old image is taken, as in kernels.protect


def grow_band(
    members: StackSet, old: KeptSet, band: str, calibrator: Calibrator, recipe: Recipe, context: Context
) -> Stacked | None:
    """Integrate the new frames of a band and merge them with its old image."""
    kept = old.bands.get(band)
    if kept is None:
        return stack_band(added(members), band, calibrator, recipe, context)

    def compared(lights: list[Light], terms: Terms) -> Adjust | None:
        fine = recipe.of(DrizzleOptions).scale not in (None, 1.0)
        if len(lights) >= FEW or fine:
            return None
        return _Compared(kept.path, lights, band, terms, recipe.of(StackOptions).protect)

    new = stack_band(
        added(members), band, calibrator, recipe, context, reference=kept.reference, adjust=compared
    )
    return _merged(new, kept, members, band, recipe, canvas_of(members, calibrator, recipe))


# -------------------------------------------------------------------------------------------- compare
class _Compared:
    """Takes out samples that do not belong to the old image: satellites, cosmic rays.

    Noise is that of the sample (its sky, and shot noise of the image above the sky) and the old variance.
    Samples within the local range of the image stay, as in `kernels.protect`.
    """

    def __init__(self, path: Path, lights: list[Light], band: str, terms: Terms, protect: float) -> None:
        self._path, self._terms, self._protect = path, terms, protect
        self._noise = [light.measures.noise[band] for light in lights]
        self._open()

    def _open(self) -> None:
        planes = _planes(self._path)
        self._image, self._error = planes["SCI"], planes["ERR"]

    def __reduce__(self) -> tuple[object, ...]:
        return _revived, (self._path, self._terms, self._protect, self._noise)

    def __call__(self, i: int, tile: Tile, values: npt.NDArray[np.float32]) -> None:
        from scipy.ndimage import maximum_filter, minimum_filter

        height, width = self._image.shape
        y0, y1, x0, x1 = max(tile.y0, 0), min(tile.y1, height), max(tile.x0, 0), min(tile.x1, width)
        image, error = (plane.rows(y0, y1)[:, x0:x1] for plane in (self._image, self._error))
        scale = float(self._terms.scale[i])
        shot = np.maximum(image - self._terms.offset[i], 0) * scale
        sigma = np.sqrt((self._noise[i] * scale) ** 2 + shot + error**2)
        known = np.nan_to_num(image)
        local = maximum_filter(known, NEIGHBORS) - minimum_filter(known, NEIGHBORS)
        part = values[y0 - tile.y0 : y1 - tile.y0, x0 - tile.x0 : x1 - tile.x0]
        part[np.abs(part - image) > np.maximum(KAPPA * sigma, self._protect * local)] = np.nan


def _revived(path: Path, terms: Terms, protect: float, noise: list[float]) -> _Compared:
    one = _Compared.__new__(_Compared)
    one._path, one._terms, one._protect, one._noise = path, terms, protect, noise
    one._open()
    return one


@dataclass(frozen=True, slots=True)
class _Plane:
    shape: tuple[int, int]
    rows: Any


def _planes(path: Path) -> dict[str, _Plane]:
    return {str(one.header["EXTNAME"]): _Plane(one.shape, open_rows(one)) for one in probe(path)}


# ---------------------------------------------------------------------------------------------- merge
def _merged(
    new: Stacked | None, kept: KeptBand, members: StackSet, band: str, recipe: Recipe, canvas: Canvas
) -> Stacked:
    planes = _planes(kept.path)
    shape = planes["SCI"].shape
    out = new.arrays if new is not None else empty_stack(shape)
    if out.image.shape != shape:
        raise FileError(
            f"has {shape} pixels, and the canvas {out.image.shape}.", where=str(kept.path),
            remedy="Reduce both nights together.",
        )  # fmt: skip
    lights = [] if new is None else new.lights
    mine, theirs = _mean_weight(lights, band), _mean_weight(kept.lights, band)
    share = recipe.of(StackOptions).flag_share
    for first in range(0, shape[0], ROWS):
        here = slice(first, min(first + ROWS, shape[0]))
        old = [planes[name].rows(here.start, here.stop) for name in ("SCI", "ERR", "DQ", "COVERAGE")]
        if new is None:
            out.image[here], out.variance[here] = old[0], old[1] ** 2
            out.quality[here], out.coverage[here] = old[2], old[3]
            out.rejected_low[here], out.rejected_high[here] = 0, 0
        else:
            _merge(out, here, old, theirs, mine, share)
    noise, tied = kept.correlation, kept.autocorrelation
    if new is not None:
        noise, tied = _correlations(kept, new, planes["ERR"], band)
    method = kept.method if new is None else f"{kept.method.partition(' + ')[0]} + added nights"
    return Stacked(
        target=members.target, stem=members.stem, band=band, file=members.files[band],
        # Which old frames made a pixel, and what was rejected of them, is not kept.
        arrays=replace(out, context=NO_CONTEXT, causes=np.empty((0, 0, 0), np.uint16)),
        lights=[*kept.lights, *lights], noise_correlation=noise, autocorrelation=tied,
        method=method, reference=kept.reference,
        canvas=canvas if new is None else new.canvas,
        lattice=lattice_of(
            members.cfa, band[-1], recipe.of(DebayerOptions).method,
            drizzled=recipe.of(DrizzleOptions).enabled,
        ),
    )  # fmt: skip


def _mean_weight(lights: Sequence[Light], band: str) -> float:
    """Return sum(w^2) / sum(w): times the effective number of frames it is the sum of weights."""
    weights = np.array([light.weights[band] for light in lights])
    return float((weights**2).sum() / weights.sum()) if weights.size else 0.0


def _merge(
    out: StackArrays, here: slice, old: Sequence[npt.NDArray[Any]], theirs: float, mine: float, share: float
) -> None:
    """Average rows of two images by their sums of weights, into `out`, which holds the second."""
    a, b = old[0], out.image[here]
    # Sums of weights; a pixel without a value has none.
    n_a = np.where(np.isfinite(a), theirs * old[3].astype(np.float64), 0.0)
    n_b = np.where(np.isfinite(b), mine * out.coverage[here].astype(np.float64), 0.0)
    total = n_a + n_b
    with np.errstate(invalid="ignore", divide="ignore"):
        f_a, f_b = n_a / total, n_b / total
        squares = total**2 / (n_a * theirs + n_b * mine)
    image = np.where(n_a > 0, f_a * np.nan_to_num(a), 0.0) + np.where(n_b > 0, f_b * np.nan_to_num(b), 0.0)
    variance = np.where(n_a > 0, f_a**2 * old[1].astype(np.float64) ** 2, 0.0)
    variance += np.where(n_b > 0, f_b**2 * out.variance[here], 0.0)
    bits_a, bits_b = old[2].astype(np.uint16), out.quality[here]
    bits = bits_a & bits_b
    bits |= np.where((f_a > share) | (total == 0), bits_a, 0).astype(np.uint16)
    bits |= np.where((f_b > share) | (total == 0), bits_b, 0).astype(np.uint16)
    bits = np.where(n_a == 0, bits_b, np.where(n_b == 0, bits_a, bits))
    missing = total == 0
    out.image[here], out.variance[here] = (np.where(missing, np.nan, one) for one in (image, variance))
    out.coverage[here], out.quality[here] = (
        np.where(missing, 0.0, squares),
        np.where(missing, bits_a | bits_b, bits),
    )


def _correlations(
    kept: KeptBand, new: Stacked, error: _Plane, band: str
) -> tuple[float, npt.NDArray[np.float64]]:
    """Return noise correlation and autocorrelation of both images, each by its share of the variance."""
    middle = error.shape[0] // 2
    level = float(np.nanmedian(error.rows(middle, min(middle + 64, error.shape[0])))) ** 2
    sums = [sum(light.weights[band] for light in lights) for lights in (kept.lights, new.lights)]
    a, b = sums[0] ** 2 * level, sums[1] ** 2 * float(np.nanmedian(new.arrays.variance))
    if not a + b > 0:
        return kept.correlation, kept.autocorrelation
    a, b = a / (a + b), b / (a + b)
    tied = side_by_side([kept.autocorrelation, new.autocorrelation])
    squared = a * kept.correlation**2 + b * new.noise_correlation**2
    return round(float(np.sqrt(squared)), 3), a * tied[0] + b * tied[1]
