"""Combine registered frames, filter by filter, into images with variance, quality and coverage.

Reads ``signal`` [electron], ``variance`` [electron2], ``quality`` (dims frame, y, x) and the `frame`
coordinates ``exposure`` [s] and ``filter``; where present ``weight``, ``use``, ``from_reference``, ``sky``
and ``noise`` [electron / s], ``transparency``, ``frame_correlation`` and ``wcs``. Writes a new dataset with
``image`` [electron / s], ``image_variance``, ``image_quality``, ``coverage``, ``rejected_low``,
``rejected_high`` (dims band, y, x), ``noise_correlation``, ``image_exposure`` [s] and ``n_frames`` (dims
band), and ``noise_autocorrelation`` (band, lag_y, lag_x); with ``context=True`` also ``context`` (band,
plane, y, x).
Method: one resampling to the reference grid (`StackOptions.kernel`; frames that lie on one grid are copied,
unless the kernel smooths or the canvas lies between their pixels), additive and multiplicative normalization,
rejection by number of frames with star cores protected, frame-weighted mean.
"""

from dataclasses import astuple
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.correlation import large_factor
from sciastro.core.history import inherit, record
from sciastro.core.lift import is_lazy, processors, reduce_tiles, require_loaded
from sciastro.core.quality import flag_attributes
from sciastro.core.transform import identity
from sciastro.core.vocabulary import (
    BAND,
    CONTEXT,
    COVERAGE,
    EXPOSURE,
    FILTER,
    FROM_REFERENCE,
    IMAGE,
    IMAGE_EXPOSURE,
    IMAGE_QUALITY,
    IMAGE_VARIANCE,
    N_FRAMES,
    NOISE_AUTOCORRELATION,
    NOISE_CORRELATION,
    QUALITY,
    REJECTED_HIGH,
    REJECTED_LOW,
    SIGNAL,
    VARIANCE,
    WCS,
    labeled,
    require,
)
from sciastro.core.wcs import resampled, text_to_wcs, wcs_to_text
from sciastro.core.windows import windows_of
from sciastro.errors import DatasetError, OptionError
from sciastro.integrate.bands import Group, groups_of, notes_of
from sciastro.integrate.canvas import Canvas, domain_boxes
from sciastro.integrate.contribution import context_planes
from sciastro.integrate.drizzle import DrizzleOptions, dropper, on_canvas
from sciastro.integrate.fuse import fit_for_sparse, integrate_tile, resampler_of
from sciastro.integrate.grid import Tile, plan_tiles
from sciastro.integrate.noise import autocorrelation, sample_canvas, side_by_side
from sciastro.integrate.normalize import Terms, between
from sciastro.integrate.options import StackOptions, median_fwhm, settled, taken
from sciastro.integrate.reject import rim_of
from sciastro.integrate.resample import Planes, is_copied, window_of
from sciastro.integrate.run import empty_stack, stack_windows
from sciastro.integrate.seeing import lenience

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["StackOptions", "reference_wcs", "stack"]

DEFAULTS = StackOptions()
TILE_MEMORY = 256 << 20  # bytes in work at a time, per thread; pixels do not depend on it
MOST_MEMORY, LEAST_MEMORY = 4 << 30, 64 << 20  # of all threads together, and what each has at least
SHIFTED = 0.5  # pixel: frames further apart are not those of one grid; solutions differ by a tenth or two
PLANES = (IMAGE, IMAGE_VARIANCE, IMAGE_QUALITY, COVERAGE, REJECTED_LOW, REJECTED_HIGH)
NAMES = ("image", "variance", "quality", "coverage", "rejected_low", "rejected_high")
DTYPES = (np.float32, np.float32, np.uint16, np.float32, np.uint16, np.uint16)

Floats = npt.NDArray[np.float64]
Window = tuple[int, int, int, int]


def stack(
    frames: "xr.Dataset",
    *,
    options: StackOptions = DEFAULTS,
    canvas: Canvas | None = None,
    drizzle: DrizzleOptions | None = None,
    workers: int | None = None,
) -> "xr.Dataset":
    """Combine registered frames, filter by filter, with outlier rejection.

    Parameters
    ----------
    frames
        ``signal`` [electron], ``variance`` [electron2] and ``quality``, dims (frame, y, x);
        ``exposure`` [s] and ``filter`` on `frame`, in memory. ``weight`` (0 or NaN leaves the frame out)
        and ``use``, all alike where absent; ``from_reference`` (the frames share one grid where absent; a NaN
        map leaves the frame out), ``sky`` and ``transparency`` (not normalized where absent), ``noise`` and
        ``fwhm`` (all alike where absent), ``sparse`` (such frames are resampled to the nearest pixel, or
        drizzled). Not modified.
    options
        Resampling, normalization, rejection and combination.
    canvas
        Grid of the stack (`integrate.canvas`); None is that of the reference frame.
    drizzle
        How frames are dropped onto a finer copy of the canvas; None, or not enabled, interpolates.
    workers
        Threads, for pixels in memory or in files that `sciastro.open` opened (dask's scheduler works lazy
        ones); None is one per processor. Pixels do not depend on it. Memory of the tiles, up to
        128 MB per thread, waits for the next call; `core.scratch.release` gives it back.

    Returns
    -------
    Dataset
        A new one on (band, y, x), see the module. Missing pixels are NaN with NO_DATA and
        DO_NOT_USE; lazy pixels give lazy images with the same numbers.

    Raises
    ------
    DatasetError
        If a variable is missing or has the wrong dims or unit, or no frame, or fewer than
        ``min_frames`` of a band, are usable; if frames without ``from_reference`` tell by their ``wcs`` that
        they are not on one grid; or for a scale of all pixels, which only a run measures.
    OptionError
        If `workers` is no number from 1 on, or `options` are no `StackOptions`.
    """
    import xarray as xr

    if workers is not None and not (isinstance(workers, int | np.integer) and workers >= 1):
        raise OptionError(f"is {workers!r}.", where="workers", remedy="Give 1 or more, or None.")
    if not isinstance(options, StackOptions):
        raise OptionError(
            f"is {options!r}.", where="options", remedy="Give options such as StackOptions(reject='esd')."
        )
    require(frames, SIGNAL, VARIANCE, QUALITY, EXPOSURE, FILTER)
    require_loaded(frames, "wcs")
    if 0 in (frames.sizes["y"], frames.sizes["x"]):
        raise DatasetError(
            "hold no pixels.", where="the frames", remedy="Select at least one row and column."
        )
    asked, changed = options, dict[str, str]()
    if drizzle is None or not drizzle.enabled:
        options, changed = fit_for_sparse(options, frames)
    groups, left_out = groups_of(frames, options)
    shape = (frames.sizes["y"], frames.sizes["x"])
    canvas = Canvas(shape) if canvas is None else canvas
    copied = FROM_REFERENCE.name not in frames.variables  # they lie on one grid
    if copied:
        _require_one_grid(frames)
        copied = is_copied(canvas.map(identity()), resampler_of(options))
    if not copied:
        options = settled(options, median_fwhm(np.concatenate([group.fwhm for group in groups])))
    if drizzle is not None and drizzle.scale is not None:
        canvas = canvas.times(drizzle.scale)
    workers = processors() if workers is None else workers
    results = [_one_band(frames, group, shape, canvas, options, drizzle, workers) for group in groups]
    out = xr.Dataset(
        {spec.name: labeled(spec, _stacked([r[i] for r in results])) for i, spec in enumerate(PLANES)}
    )
    out["image_quality"].attrs.update(flag_attributes())
    tied = [_autocorrelation(group, shape, canvas, options, drizzle) for group in groups]
    # The sums know nothing of the uneven shares of drops, nor of samples that stand alone.
    if (drizzle is not None and drizzle.enabled) or changed:
        large: Any = np.array([large_factor(one) for one in tied])
    else:
        large = _stacked([r[-1] for r in results])
    out = out.assign(
        noise_correlation=labeled(NOISE_CORRELATION, large),
        noise_autocorrelation=labeled(NOISE_AUTOCORRELATION, side_by_side(tied)),
        image_exposure=labeled(IMAGE_EXPOSURE, np.array([group.exposure for group in groups])),
        n_frames=labeled(N_FRAMES, np.array([group.members.size for group in groups], dtype=np.int64)),
    )
    if options.context:
        out = out.assign(context=labeled(CONTEXT, _contexts([r[len(PLANES) : -1] for r in results])))
    out = out.assign_coords(band=labeled(BAND, np.array([group.name for group in groups], dtype=np.str_)))
    wcs = _canvas_wcs(frames, canvas)
    if wcs:
        out = out.assign_coords(wcs=xr.Variable((), wcs, {"long_name": "WCS of the image grid."}))
    notes = notes_of(groups, left_out, options) | changed
    if drizzle is None or not drizzle.enabled:
        notes = ({"kernel": "none, samples are copied"} if copied else taken(asked, options)) | notes
    return record(inherit(out, frames), "integrate.stack", asked, **notes)


def _require_one_grid(frames: "xr.Dataset") -> None:
    """Check that the WCS of frames without `from_reference` does not tell that their grids differ.

    Raises
    ------
    DatasetError
        If a corner of one lies further than `SHIFTED` pixels from where the first one has it.
    """
    from astropy.wcs import NoConvergence

    if WCS.name not in frames.variables or frames[WCS.name].dims != ("frame",):
        return
    texts = [str(text) for text in frames[WCS.name].values]
    first = next((text for text in texts if text), "")
    right, top = frames.sizes["x"] - 1.0, frames.sizes["y"] - 1.0
    corners = (np.array([0.0, right, 0.0, right]), np.array([0.0, 0.0, top, top]))
    for i, text in enumerate(texts):
        if text in (first, ""):
            continue
        sky = text_to_wcs(text).all_pix2world(*corners, 0)
        try:
            there = text_to_wcs(first).all_world2pix(*sky, 0)
        except NoConvergence:  # that far off
            there = (corners[0] + np.inf, corners[1])
        moved = np.hypot(there[0] - corners[0], there[1] - corners[1]).max()
        if not moved <= SHIFTED:
            far = f"{moved:.1f} pixels" if np.isfinite(moved) else "far"
            raise DatasetError(
                f"frame {i} lies {far} from where the first one lies, by its WCS.",
                where="the frames",
                remedy="Register them first (`sciastro.register`), or open registered ones "
                "(`sciastro reduce --keep registered`).",
            )


def _canvas_wcs(frames: "xr.Dataset", canvas: Canvas) -> str:
    """Return the WCS of the canvas: its own, or that of the reference frame moved along; "" unknown."""
    if canvas.wcs is not None:
        return wcs_to_text(canvas.wcs)
    text = reference_wcs(frames)
    if not text or (canvas.origin == (0.0, 0.0) and canvas.scale == 1.0):
        return text
    wcs = resampled(text_to_wcs(text), canvas.origin, canvas.scale)
    wcs.pixel_shape = (canvas.shape[1], canvas.shape[0])
    return wcs_to_text(wcs)


def _stacked(parts: list[Any]) -> Any:
    """Stack planes or numbers of all bands, numpy or dask as they are; one band is not copied."""
    import xarray as xr

    if len(parts) == 1:
        return parts[0][None]
    return xr.concat([xr.DataArray(part, dims=("y", "x")[: part.ndim]) for part in parts], "band").data


def _contexts(bands: list[tuple[Any, ...]]) -> Any:
    """Return the planes of all bands (band, plane, y, x), the shorter ones with empty planes."""
    import xarray as xr

    most = max(len(planes) for planes in bands)
    filled = [[*planes, *[planes[0] * 0] * (most - len(planes))] for planes in bands]
    parts = [xr.DataArray(_stacked(planes), dims=("plane", "y", "x")) for planes in filled]
    return xr.concat(parts, "band").data


def _correlation(sums: Any) -> Any:
    large, single = sums[0], sums[1]
    return np.sqrt(large / np.where(single > 0, single, np.nan))


def _one_band(
    frames: "xr.Dataset",
    group: Group,
    shape: tuple[int, int],
    canvas: Canvas,
    options: StackOptions,
    drizzle: DrizzleOptions | None,
    workers: int,
) -> tuple[Any, ...]:
    maps = canvas.maps(group.maps)
    domains = canvas.boxes(domain_boxes(group.maps, shape))
    flux = options.pixels_hold == "flux"
    spread = drizzle.spread if drizzle is not None else 1.0
    changes, other = on_canvas(group.terms, canvas, holds_flux=flux), None
    if group.reject_terms is not None:
        second = on_canvas(group.reject_terms, canvas, holds_flux=flux)
        other = between(changes, second, 1 / canvas.scale**2 if flux else 1.0)
    how: dict[str, Any] = {
        "other": other,
        "correlation": group.correlation,
        "domains": domains,
        "drizzle": drizzle,
        "lenience": lenience(group.fwhm, canvas.scale / spread),
    }
    cubes = [frames[spec.name] for spec in (SIGNAL, VARIANCE, QUALITY)]
    if not is_lazy(*cubes):
        done = empty_stack(canvas.shape, len(maps), context=options.context)
        windows = windows_of(cubes, group.members)

        def read(i: int, y0: int, y1: int, x0: int, x1: int) -> Planes:
            signal, variance, quality = windows(i, y0, y1, x0, x1)
            return signal, variance, quality

        large = stack_windows(
            read, maps, shape, changes, group.weight, done,
            options=options, memory_bytes=_memory(workers), workers=workers, **how,
        )  # fmt: skip
        return (*(getattr(done, name) for name in NAMES), *done.context, np.float64(large))
    kept = (np.uint32,) * (context_planes(len(maps)) if options.context else 0)
    drops = drizzle is not None and drizzle.enabled
    rim = rim_of(options, len(maps), spread)
    plan = plan_tiles(canvas.shape, maps, shape, _memory(workers), workers, domains, drops, rim)

    resampled_by = None if drops else resampler_of(options)

    def window(i: int, tile: Window) -> Window | None:
        return window_of(maps[i], Tile(*tile).padded(rim), shape, resampled_by, domains[i])

    work = partial(
        _tile, maps=maps, frame_shape=shape, changes=changes, weight=group.weight, options=options, **how
    )
    tiles = [[astuple(tile) for tile in row] for row in plan]
    *planes, sums = reduce_tiles(
        work, *(cube.isel(frame=group.members) for cube in cubes),
        tiles=tiles, windows=window, dtypes=(*DTYPES, *kept), totals=2,
    )  # fmt: skip
    return (*planes, _correlation(sums))


def _memory(workers: int) -> int:
    """Return what tiles in work may take [byte]."""
    return max(min(TILE_MEMORY * workers, MOST_MEMORY), LEAST_MEMORY * workers)


def _autocorrelation(
    group: Group,
    shape: tuple[int, int],
    canvas: Canvas,
    options: StackOptions,
    drizzle: DrizzleOptions | None,
) -> Floats:
    """Return the correlation of the noise of pixels by their offset (2 K + 1, 2 K + 1)."""
    maps, domains = canvas.maps(group.maps), canvas.boxes(domain_boxes(group.maps, shape))
    drops = drizzle is not None and drizzle.enabled
    how = dropper(drizzle) if drizzle is not None and drops else resampler_of(options)
    gain = (group.weight * group.terms.scale * group.noise) ** 2
    return autocorrelation(sample_canvas(maps, canvas.shape, shape, domains), gain, how, group.correlation)


def _tile(
    tile: Window,
    inputs: list[tuple[npt.NDArray[np.generic], ...] | None],
    *,
    maps: Floats,
    frame_shape: tuple[int, int],
    changes: Terms,
    weight: Floats,
    options: StackOptions,
    **how: Any,
) -> tuple[npt.NDArray[np.generic], ...]:
    def read(i: int, *_window: int) -> tuple[npt.NDArray[np.generic], ...]:
        planes = inputs[i]
        if planes is None:
            raise RuntimeError("a window was read that the plan did not ask for")  # a bug, not the user's
        return planes

    done = integrate_tile(
        read,  # type: ignore[arg-type]
        maps,
        frame_shape,
        changes,
        weight,
        Tile(*tile),
        options,
        **how,
    )
    return (*(getattr(done, name) for name in NAMES), *done.context, done.sums)


def reference_wcs(frames: "xr.Dataset") -> str:
    """Return the WCS of the canvas: that of the reference frame, "" where unknown."""
    if "wcs" not in frames.variables or frames["wcs"].dims != ("frame",):
        return ""
    texts = [str(text) for text in frames["wcs"].values]
    if FROM_REFERENCE.name in frames.variables:
        still = identity()
        for text, c in zip(texts, frames[FROM_REFERENCE.name].values, strict=True):
            if text and np.allclose(c[:, :3], still, atol=1e-9) and not np.any(np.abs(c[:, 3:]) > 1e-9):
                return text
        return ""
    return next((text for text in texts if text), "")
