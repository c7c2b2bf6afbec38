"""Turn color mosaics into frames of one color each.

Reads ``signal`` [electron], ``variance`` [electron2] and ``quality`` (dims frame, y, x) and the `frame`
coordinates ``cfa`` and ``filter``. Makes a new dataset with three frames (red, green, blue) for each: the
same variables, ``filter`` naming the color, ``cfa`` empty, all other frame coordinates repeated.
Methods: "superpixel" makes one pixel of each color from each cell (2 x 2, of X-Trans 3 x 3), without
interpolation; "bilinear" and "linear" (`calibrate.interpolation`) keep the grid and correlate neighbors
(`noise_of`); "split" keeps the samples of each color where they are and interpolates nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.interpolation import interpolation, radius_of
from sciastro.core.cfa import COLORS, cell_origin, cell_side, pattern_of, period, rolled
from sciastro.core.history import inherit, record
from sciastro.core.lift import map_frames, require_loaded
from sciastro.core.options import Options, option
from sciastro.core.quality import flag_attributes
from sciastro.core.vocabulary import CFA, FILTER, QUALITY, SIGNAL, SPARSE, VARIANCE, labeled, require
from sciastro.errors import DatasetError
from sciastro.kernels import debayer as kernel
from sciastro.kernels import mosaic
from sciastro.kernels.interpolate import interpolate

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "COLORS",
    "DebayerOptions",
    "band_name",
    "debayer",
    "noise_of",
    "phase_offset",
    "reach_of",
    "split_window",
]

OPEN = ("", "OSC", "L", "Clear", "RGB")
NO_PLANES, NO_VARIANCE = np.empty((0, 0, 0), np.float32), np.empty((0, 0), np.float32)

Floats = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True, slots=True)
class DebayerOptions(Options):
    """How a color mosaic is split."""

    method: str = option(
        "superpixel",
        "superpixel: one pixel per cell, nothing interpolated; bilinear: full size, each color from its own "
        "samples; linear: full size, from the samples of all colors, sharper; split: full size, only the "
        "pixels of each color, the others missing (stack them with stack.kernel=nearest, or drizzle).",
        choices=("superpixel", "bilinear", "linear", "split"),
    )


DEFAULTS = DebayerOptions()


def band_name(filter_name: str, color: str) -> str:
    """Return the name of a color's band: "R"; "Duo_R" when a filter that selects light was in the way."""
    return color if filter_name in OPEN else f"{filter_name}_{color}"


def phase_offset(cfa: str, color: str, method: str = "superpixel") -> tuple[float, float]:
    """Return where the light of a color plane's pixel (0, 0) was measured, in pixels of that plane: (dx, dy).

    A superpixel is centered on its cell, at mosaic position (0.5, 0.5), and is two mosaic pixels wide.
    The sample at phase column p sits at mosaic x = p, which is (p - 0.5) / 2 = p / 2 - 0.25 superpixels
    from the center. The two greens lie on a diagonal of the cell: their mean is centered, offset 0, and so
    is every color of an X-Trans cell. Full-size planes stand on the mosaic's own grid: no offset. A
    centroid x in a plane is at x + dx on the common grid of cells.

    Parameters
    ----------
    cfa
        Pattern as stored, such as "RGGB".
    color
        "R", "G" or "B".
    method
        As in `DebayerOptions`.
    """
    codes = pattern_of(cfa)
    if method != "superpixel" or cell_side(cfa) == 3:
        return 0.0, 0.0
    y, x = np.nonzero(codes == COLORS.index(color))
    return float(np.mean(x) / 2 - 0.25), float(np.mean(y) / 2 - 0.25)


def reach_of(method: str, cfa: str) -> int:
    """Return how many pixels around its own a full-size method looks at; 0 for superpixel and split."""
    if method in ("superpixel", "split"):
        return 0
    return radius_of(cfa, method)


def split_window(
    signal: Floats,
    variance: Floats,
    quality: Bits,
    cfa: str,
    y0: int = 0,
    x0: int = 0,
    *,
    method: str = "superpixel",
    colors: Sequence[int] = (0, 1, 2),
) -> tuple[Floats, Floats, Bits]:
    """Split a window of a calibrated mosaic.

    Parameters
    ----------
    signal, variance, quality
        (rows, columns) [electron], [electron2], bits. Variance may be empty: then none is made.
    cfa
        Pattern as stored, of the whole frame.
    y0, x0
        Pixel of the frame at which the window begins. A superpixel window that begins within a cell loses
        the rows and columns up to the next one: on a Bayer sensor its first cell is
        ((y0 + 1) // 2, (x0 + 1) // 2).
    method
        As in `DebayerOptions`. The outermost pixels of full-size planes lack neighbors beyond the window.
    colors
        Which to make, of 0 red, 1 green, 2 blue; "superpixel" makes all at once.

    Returns
    -------
    signal, variance, quality
        (color, rows, columns): of `colors`; superpixels: the whole cells of the window. Missing is NaN plus
        a bit.
    """
    signal = np.ascontiguousarray(signal, dtype=np.float32)
    variance = np.ascontiguousarray(variance, dtype=np.float32)
    quality = np.ascontiguousarray(quality, dtype=np.uint16)
    side, rows, columns = cell_side(cfa), *signal.shape
    skip_y, skip_x = ((origin - at) % side for origin, at in zip(cell_origin(cfa), (y0, x0), strict=True))
    if method == "superpixel":
        rows, columns = (rows - skip_y) // side, (columns - skip_x) // side
    shape = (3, max(rows, 0), max(columns, 0))
    out, bits = np.empty(shape, np.float32), np.empty(shape, np.uint16)
    noise = np.empty(shape, np.float32) if variance.size else NO_PLANES
    codes = rolled(cfa, y0, x0)
    if method == "superpixel" and side == 3:
        mosaic.cells(signal, variance, quality, codes, side, skip_y, skip_x, out, noise, bits)
    elif method == "superpixel":
        flat = np.ascontiguousarray(pattern_of(cfa)).ravel()
        kernel.superpixel(signal, variance, quality, flat, y0 % 2, x0 % 2, out, noise, bits)
    else:
        return _separate(signal, variance, quality, cfa, (y0, x0), method, colors)
    chosen = list(colors)
    if len(chosen) == 3:
        return out, noise, bits
    return out[chosen], noise[chosen] if noise.size else noise, bits[chosen]


def _separate(
    signal: Floats, variance: Floats, quality: Bits, cfa: str, corner: tuple[int, int], method: str,
    colors: Sequence[int],
) -> tuple[Floats, Floats, Bits]:  # fmt: skip
    """Return full-size planes of `colors`, one after the other."""
    shape = (len(colors), *signal.shape)
    out, bits = np.empty(shape, np.float32), np.empty(shape, np.uint16)
    noise = np.empty(shape, np.float32) if variance.size else NO_PLANES
    for number, color in enumerate(colors):
        own = noise[number] if variance.size else variance
        if method == "split":
            codes = rolled(cfa, *corner)
            mosaic.keep_color(signal, variance, quality, codes, color, out[number], own, bits[number])
            continue
        radius, side = radius_of(cfa, method), period(cfa)
        weights, near = (
            np.ascontiguousarray(
                np.roll(table[:, :, color], (-(corner[0] % side), -(corner[1] % side)), (0, 1))
            )
            for table in interpolation(cfa, method)
        )
        given = (
            np.pad(signal, radius, constant_values=np.nan),
            np.pad(variance, radius, constant_values=np.nan) if variance.size else variance,
            np.pad(quality, radius),
        )
        interpolate(*given, weights, near, out[number], own, bits[number])
    return out, noise, bits


@lru_cache(maxsize=64)
def noise_of(cfa: str, color: str, method: str) -> npt.NDArray[np.float64]:
    """Return the autocorrelation of the noise of a color plane made from samples of equal, independent noise.

    From the response of the method to a single sample, for each phase of the pattern: all are linear.

    Parameters
    ----------
    cfa, color, method
        As in `split_window`.

    Returns
    -------
    ndarray
        Read-only float64 (2 n + 1, 2 n + 1) by lag [pixel of the plane], the mean over the phases of the
        pattern; 1 in the middle. Its sum is the noise of large areas over that of single pixels, squared.
    """
    reach, side = reach_of(method, cfa), period(cfa)
    size = 2 * reach + 1  # of a response; lags reach twice as far
    total = np.zeros((2 * size - 1, 2 * size - 1))
    if reach == 0:
        total[size - 1, size - 1] = 1.0
        total.setflags(write=False)
        return total
    first = side * -(-2 * reach // side)
    blank = np.zeros((2 * first + side, 2 * first + side), np.float32)
    for y, x in np.ndindex(side, side):
        given = blank.copy()
        given[first + y, first + x] = 1.0
        planes = split_window(
            given, NO_VARIANCE, blank.astype(np.uint16), cfa, method=method, colors=[COLORS.index(color)]
        )
        around = np.s_[first + y - reach : first + y + reach + 1, first + x - reach : first + x + reach + 1]
        response = planes[0][0][around].astype(np.float64)
        spectrum = np.fft.rfft2(response, total.shape)
        total += np.fft.fftshift(np.fft.irfft2(np.abs(spectrum) ** 2, total.shape))
    total /= total[size - 1, size - 1]
    total.setflags(write=False)  # kept, and handed to everybody who asks
    return total


def debayer(frames: "xr.Dataset", *, options: DebayerOptions = DEFAULTS) -> "xr.Dataset":
    """Make a red, a green and a blue frame from every frame.

    Parameters
    ----------
    frames
        ``signal`` [electron], ``variance`` [electron2], ``quality``; ``cfa`` (one pattern for all frames) and
        ``filter``. Not modified; lazy stays lazy.
    options
        Method.

    Returns
    -------
    Dataset
        A new one with 3 x the frames, in the order R, G, B of the first, then of the second, and so on;
        variables ``signal``, ``variance``, ``quality``, and the coordinate ``sparse``: true after "split", so
        that resampling takes samples to the nearest pixel, since they have no neighbors. Superpixel planes
        of an odd-sized mosaic lose the last row or column.

    Raises
    ------
    DatasetError
        If a variable is missing, or the frames are not mosaics of one pattern.
    """
    import xarray as xr

    require(frames, SIGNAL, VARIANCE, QUALITY, CFA, FILTER)
    require_loaded(frames, "cfa", "filter")
    patterns = sorted({str(value) for value in frames["cfa"].values})
    if len(patterns) != 1:
        raise DatasetError(
            f"holds different patterns ({', '.join(patterns)}).",
            where="coordinate 'cfa'",
            remedy="Split first.",
        )
    pattern_of(patterns[0])
    planes = [frames[name] for name in ("signal", "variance", "quality")]
    if options.method == "superpixel":
        results = _superpixels(planes, patterns[0])
    else:
        results = _full_size(planes, patterns[0], options.method)
    specs = (SIGNAL, VARIANCE, QUALITY)
    out = xr.Dataset({spec.name: labeled(spec, data) for spec, data in zip(specs, results, strict=True)})
    out = out.assign(quality=out["quality"].assign_attrs(flag_attributes()))
    coordinates = _coordinates(frames, sparse=options.method == "split")
    return record(inherit(out.assign_coords(coordinates), frames), "calibrate.debayer", options)


# Facts about the mosaic's grid or measured on it: they would be wrong for a color plane.
OF_THE_MOSAIC = (
    *("wcs", "from_reference", "registration_rms", "registration_stars", "registration_reason"),
    *("fwhm", "eccentricity", "elongation", "sky", "noise", "n_stars", "transparency", "weight"),
    "frame_correlation",
)


def _coordinates(frames: "xr.Dataset", *, sparse: bool) -> "dict[str, xr.DataArray | xr.Variable]":
    triple = np.repeat(np.arange(frames.sizes["frame"]), 3)
    names = [band_name(str(name), color) for name in frames["filter"].values for color in COLORS]
    kept: dict[str, xr.DataArray | xr.Variable] = {
        str(name): frames[name].variable.isel(frame=triple)
        for name in frames.variables
        if frames[name].dims == ("frame",) and name not in OF_THE_MOSAIC
    }
    kept["filter"] = labeled(FILTER, np.array(names, dtype=str))
    kept["cfa"] = labeled(CFA, np.full(triple.size, "", dtype="U1"))
    kept["sparse"] = labeled(SPARSE, np.full(triple.size, sparse))
    return kept


def _interleaved(planes: Sequence[Any]) -> list[Any]:
    """Put nine (frame, y, x) arrays, three colors of three variables, in the order of the new frames."""
    import xarray as xr

    out = []
    for k in range(3):
        colors = [xr.DataArray(plane, dims=("frame", "y", "x")) for plane in planes[3 * k : 3 * k + 3]]
        n = colors[0].sizes["frame"]
        order = np.arange(3 * n).reshape(3, n).T.ravel()
        out.append(xr.concat(colors, dim="frame").isel(frame=order).data)
    return out


DTYPES = (np.float32,) * 6 + (np.uint16,) * 3


def _superpixels(planes: "Sequence[xr.DataArray]", cfa: str) -> list[Any]:
    side, origin = cell_side(cfa), cell_origin(cfa)
    lengths = [(planes[0].sizes[dim] - at) // side * side for dim, at in zip("yx", origin, strict=True)]
    phases = [
        plane.isel(y=slice(j, origin[0] + lengths[0], side), x=slice(i, origin[1] + lengths[1], side))
        for plane in planes
        for j in range(origin[0], origin[0] + side)
        for i in range(origin[1], origin[1] + side)
    ]
    return _interleaved(map_frames(partial(_from_phases, cfa=cfa), *phases, dtypes=DTYPES))


def _from_phases(*arrays: Any, cfa: str) -> tuple[npt.NDArray[Any], ...]:
    """Weave the phases of rows of cells together again and split them by color; the last is the first row."""
    *parts, row = arrays
    side, mosaics = cell_side(cfa), []
    for k, dtype in enumerate((np.float32, np.float32, np.uint16)):
        height, width = parts[0].shape
        woven = np.empty((side * height, side * width), dtype)
        for phase in range(side * side):
            woven[phase // side :: side, phase % side :: side] = parts[side * side * k + phase]
        mosaics.append(woven)
    y0, x0 = cell_origin(cfa)
    results = split_window(mosaics[0], mosaics[1], mosaics[2], cfa, y0 + side * int(row), x0)
    return tuple(result[color] for result in results for color in range(3))


def _full_size(planes: "Sequence[xr.DataArray]", cfa: str, method: str) -> list[Any]:
    whole = partial(_whole, cfa=cfa, method=method)
    return _interleaved(map_frames(whole, *planes, dtypes=DTYPES, whole_plane=method != "split"))


def _whole(
    signal: Any, variance: Any, quality: Any, row: int, *, cfa: str, method: str
) -> tuple[npt.NDArray[Any], ...]:
    results = split_window(signal, variance, quality, cfa, int(row), method=method)
    return tuple(result[color] for result in results for color in range(3))
