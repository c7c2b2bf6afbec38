"""Resample registered frames onto the grid of the reference frame, one by one.

Reads ``signal`` [electron], ``variance`` [electron2], ``quality`` (dims frame, y, x) and ``from_reference``
[pixel]; where present ``sky`` and ``noise`` [electron / s] and ``wcs``. Makes a new dataset with the same
variables on the reference grid: ``from_reference`` moves nothing any more, ``wcs`` is that of the reference,
and ``frame_correlation`` says how much noisier large areas are than the variance of single pixels tells.

A run does not need this: `integrate.stack` resamples on the way. It is for looking at frames, for
photometry of a series on one grid, and for `--keep registered`. Stacking aligned frames gives what stacking
the frames themselves gives (tests), except that quality bits grow by the reach of the kernel twice.
"""

from dataclasses import astuple
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core import transform
from sciastro.core.history import inherit, record
from sciastro.core.lift import reduce_tiles, require_loaded
from sciastro.core.quality import flag_attributes
from sciastro.core.vocabulary import (
    FRAME_CORRELATION,
    FROM_REFERENCE,
    FWHM,
    NOISE,
    QUALITY,
    SIGNAL,
    SKY,
    VARIANCE,
    WCS,
    labeled,
    require,
)
from sciastro.integrate.fuse import OUTSIDE, fit_for_sparse, resampler_of
from sciastro.integrate.grid import Tile, input_window, plan_tiles
from sciastro.integrate.options import AlignOptions, median_fwhm, settled, taken
from sciastro.integrate.resample import Resampler, resample
from sciastro.integrate.stack import reference_wcs
from sciastro.kernels.warp import PHASES

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["NOT_KEPT", "AlignOptions", "align", "effect_of"]

DEFAULTS = AlignOptions()
TILE_MEMORY = 256 << 20  # bytes in work at a time; numbers do not depend on it
SAMPLES = 4096  # output pixels at which a map is looked at
PLANES = (SIGNAL, VARIANCE, QUALITY)
DTYPES = (np.float32, np.float32, np.uint16)

# Measured on the stars of the old grid; the kernel widens stars, so measure again where it matters.
NOT_KEPT = ("fwhm", "eccentricity", "elongation", "n_stars")

Floats = npt.NDArray[np.float64]
Window = tuple[int, int, int, int]


def align(frames: "xr.Dataset", *, options: AlignOptions = DEFAULTS) -> "xr.Dataset":
    """Bring every frame onto the grid of the reference frame.

    Parameters
    ----------
    frames
        ``signal`` [electron], ``variance`` [electron2] and ``quality``, dims (frame, y, x);
        ``from_reference`` [pixel, (frame, axis, term)], in memory. ``sky`` and ``noise`` [electron / s] and
        ``wcs``, ``fwhm`` [pixel] where present. Not modified; lazy pixels stay lazy.
    options
        Interpolation.

    Returns
    -------
    Dataset
        A new one, same dims: ``signal`` times the area of an output pixel on the frame (the Jacobian
        determinant of the map; unless pixels hold surface brightness), its ``variance`` accordingly,
        ``quality`` with the bits of the pixels used. Where a frame does not reach, and all over one with a
        NaN map: NaN with NO_DATA. ``sky`` and ``noise`` follow the pixels; other per-frame coordinates
        are kept, except those measured on stars (`NOT_KEPT`).

    Raises
    ------
    DatasetError
        If a variable is missing or has the wrong dims or unit, or a fact is lazy.
    """
    import xarray as xr

    optional = [spec for spec in (SKY, NOISE, WCS, FWHM) if spec.name in frames.variables]
    require(frames, *PLANES, FROM_REFERENCE, *optional)
    require_loaded(frames, "from_reference", "wcs", "fwhm")
    maps = np.asarray(frames["from_reference"].values, dtype=np.float64)
    asked = options
    options, changed = fit_for_sparse(options, frames)
    if FWHM.name in frames.variables:
        options = settled(options, median_fwhm(frames[FWHM.name].values))
    changed = taken(asked, options) | changed
    how = resampler_of(options)
    out = xr.Dataset(
        {
            spec.name: labeled(spec, data)
            for spec, data in zip(PLANES, _planes(frames, maps, how), strict=True)
        }
    )
    out = out.assign(quality=out["quality"].assign_attrs(flag_attributes()))
    out = out.assign_coords(_coordinates(frames, maps, how))
    return record(inherit(out, frames), "integrate.align", asked, **changed)


def _planes(frames: "xr.Dataset", maps: Floats, how: Resampler) -> list[Any]:
    """Return signal, variance and quality (frame, y, x) on the reference grid."""
    import xarray as xr

    shape = (frames.sizes["y"], frames.sizes["x"])
    plan = plan_tiles(shape, maps, shape, TILE_MEMORY)
    tiles = [[astuple(tile) for tile in row] for row in plan]
    results = []
    for i, coefficients in enumerate(maps):
        arrays = [frames[spec.name].isel(frame=[i]) for spec in PLANES]

        def window(_: int, tile: Window, coefficients: Floats = coefficients) -> Window | None:
            return input_window(coefficients, Tile(*tile), shape)

        work = partial(_tile, coefficients=coefficients, frame_shape=shape, how=how)
        results.append(
            reduce_tiles(work, *arrays, tiles=tiles, windows=window, dtypes=DTYPES, totals=1)[: len(PLANES)]
        )
    return [
        xr.concat([xr.DataArray(one[k], dims=("y", "x")) for one in results], "frame").data
        for k in range(len(PLANES))
    ]


def _tile(
    tile: Window,
    inputs: list[tuple[npt.NDArray[Any], ...] | None],
    *,
    coefficients: Floats,
    frame_shape: tuple[int, int],
    how: Resampler,
) -> tuple[npt.NDArray[Any], ...]:
    place = Tile(*tile)
    out = (
        np.full(place.shape, np.nan, np.float32),
        np.full(place.shape, np.nan, np.float32),
        np.full(place.shape, OUTSIDE, np.uint16),
    )
    window = input_window(coefficients, place, frame_shape)
    (planes,) = inputs
    if window is not None and planes is not None:
        resample((planes[0], planes[1], planes[2]), (window[0], window[2]), coefficients, place, how, out)
    return *out, np.zeros(1)


def _coordinates(
    frames: "xr.Dataset", maps: Floats, how: Resampler
) -> "dict[str, xr.DataArray | xr.Variable]":
    shape = (frames.sizes["y"], frames.sizes["x"])
    known = [bool(np.isfinite(c).all()) for c in maps]
    area, single, correlation = np.array([effect_of(c, shape, shape, how) for c in maps]).T
    still = np.full((len(maps), 2, 3), np.nan)
    still[known] = transform.identity()
    kept: dict[str, xr.DataArray | xr.Variable] = {
        str(name): frames[name].variable
        for name in frames.variables
        if frames[name].dims in (("frame",), ()) and name not in NOT_KEPT
    }
    kept["from_reference"] = labeled(FROM_REFERENCE, still)
    kept["frame_correlation"] = labeled(FRAME_CORRELATION, correlation)
    if "sky" in kept:
        kept["sky"] = labeled(SKY, frames["sky"].data * area)
    if "noise" in kept:
        kept["noise"] = labeled(NOISE, frames["noise"].data * single)
    if "wcs" in kept:
        text = reference_wcs(frames)
        kept["wcs"] = labeled(WCS, np.array([text if one else "" for one in known], dtype=np.str_))
    return kept


def effect_of(
    coefficients: Floats, shape: tuple[int, int], frame_shape: tuple[int, int], how: Resampler
) -> tuple[float, float, float]:
    """Return by how much a map changes a flat sky, its noise per pixel, and the noise of large areas.

    `shape` is that of the grid from which `coefficients` (`core.transform`) lead to a frame of `frame_shape`;
    NaN where they do not meet.

    With weights c and area ratio A, N output pixels rest on N A input pixels of variance V. Where pixels
    hold flux, single ones have ``A**2 sum(c**2) V`` and their sum has ``N A V``: the noise of large areas is
    ``1 / sqrt(A sum(c**2))`` of what uncorrelated pixels would give, here by means over the frame. The same
    holds for surface brightness, where ``A**2`` cancels.
    """
    if not np.isfinite(coefficients).all():
        return float("nan"), float("nan"), float("nan")
    rng = np.random.default_rng(0)  # a regular grid could beat with the phases of a rotated frame
    v, u = rng.integers(0, shape[0], SAMPLES), rng.integers(0, shape[1], SAMPLES)
    x, y = transform.evaluate(coefficients, u, v)
    seen = (x > -0.5) & (x < frame_shape[1] - 0.5) & (y > -0.5) & (y < frame_shape[0] - 0.5)
    if not seen.any():
        return float("nan"), float("nan"), float("nan")
    u, v, x, y = u[seen], v[seen], x[seen], y[seen]
    right, left = (transform.evaluate(coefficients, u + step, v) for step in (0.5, -0.5))
    up, down = (transform.evaluate(coefficients, u, v + step) for step in (0.5, -0.5))
    area = np.abs((right[0] - left[0]) * (up[1] - down[1]) - (up[0] - down[0]) * (right[1] - left[1]))
    power = (how.table.astype(np.float64) ** 2).sum(axis=1)
    squares = power[_phase(x)] * power[_phase(y)]
    factor = area if how.holds_flux else np.ones_like(area)
    mean = float(np.mean(factor**2 * squares))
    large = float(np.mean(factor**2 / area))
    return float(np.mean(factor)), float(np.sqrt(mean)), float(np.sqrt(large / mean))


def _phase(position: Floats) -> npt.NDArray[np.int64]:
    return np.rint(position * PHASES).astype(np.int64) % PHASES
