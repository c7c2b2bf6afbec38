"""Turn color mosaics into frames of one color each.

Reads ``signal`` [electron], ``variance`` [electron2] and ``quality`` (dims frame, y, x) and the `frame`
coordinates ``cfa`` and ``filter``. Makes a new dataset with three frames (red, green, blue) for each: the
same variables, ``filter`` naming the color, ``cfa`` empty, all other frame coordinates repeated.
Method: "superpixel" makes one pixel of each color from each 2 x 2 cell, without interpolation, so that the
variance is exact; "bilinear" keeps the grid and correlates neighbors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciastro.core.history import inherit, record
from sciastro.core.lift import map_frames, require_loaded
from sciastro.core.options import Options, option
from sciastro.core.quality import flag_attributes
from sciastro.core.vocabulary import CFA, FILTER, QUALITY, SIGNAL, VARIANCE, labeled, require
from sciastro.errors import DatasetError
from sciastro.kernels import debayer as kernel

__all__ = ["COLORS", "DebayerOptions", "band_name", "debayer", "phase_codes", "phase_offset", "split_window"]

COLORS = ("R", "G", "B")
OPEN = ("", "OSC", "L", "Clear", "RGB")
NO_PLANES = np.empty((0, 0, 0), np.float32)

Floats = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True, slots=True)
class DebayerOptions(Options):
    """How a color mosaic is split."""

    method: str = option(
        "superpixel",
        "superpixel: half the size, nothing interpolated; bilinear: full size, smoothed.",
        choices=("superpixel", "bilinear"),
    )


DEFAULTS = DebayerOptions()


def phase_codes(cfa: str) -> npt.NDArray[np.int8]:
    """Return the color (0 R, 1 G, 2 B) of the four phases of `cfa`, such as "RGGB", as stored.

    Raises
    ------
    DatasetError
        If the array is not one of RGGB, BGGR, GRBG, GBRG.
    """
    if cfa not in ("RGGB", "BGGR", "GRBG", "GBRG"):
        raise DatasetError(
            f"is {cfa!r}, and RGGB, BGGR, GRBG and GBRG can be debayered.",
            where="color filter array",
            remedy="Set the pattern of the camera, or treat the frames as monochrome.",
        )
    return np.array([COLORS.index(letter) for letter in cfa], np.int8)


def band_name(filter_name: str, color: str) -> str:
    """Return the name of a color's band: "R"; "Duo_R" when a filter that selects light was in the way."""
    return color if filter_name in OPEN else f"{filter_name}_{color}"


def phase_offset(cfa: str, color: str, method: str = "superpixel") -> tuple[float, float]:
    """Return where the light of a color plane's pixel (0, 0) was measured, in pixels of that plane: (dx, dy).

    A superpixel is centered on its cell, at mosaic position (0.5, 0.5), and is two mosaic pixels wide.
    The sample at phase column p sits at mosaic x = p, which is (p - 0.5) / 2 = p / 2 - 0.25 superpixels
    from the center. The two greens lie on a diagonal of the cell: their mean is centered, offset 0.
    Bilinear planes stand on the mosaic's own grid: no offset. A centroid x in a plane is at x + dx on
    the common grid of cells.

    Parameters
    ----------
    cfa
        Pattern as stored, such as "RGGB".
    color
        "R", "G" or "B".
    method
        "superpixel" or "bilinear".
    """
    if method == "bilinear":
        return 0.0, 0.0
    phases = np.flatnonzero(phase_codes(cfa) == COLORS.index(color))
    return float(np.mean(phases % 2) / 2 - 0.25), float(np.mean(phases // 2) / 2 - 0.25)


def split_window(
    signal: Floats,
    variance: Floats,
    quality: Bits,
    cfa: str,
    y0: int = 0,
    x0: int = 0,
    *,
    method: str = "superpixel",
) -> tuple[Floats, Floats, Bits]:
    """Split a window of a calibrated mosaic.

    Parameters
    ----------
    signal, variance, quality
        (rows, columns) [electron], [electron2], bits. Variance may be empty: then none is made.
    cfa
        Pattern as stored, of the whole frame.
    y0, x0
        Pixel of the frame at which the window begins. A superpixel window that begins on an odd row or column
        loses it: its first cell is ((y0 + 1) // 2, (x0 + 1) // 2).
    method
        "superpixel" or "bilinear" (whose outermost pixels lack neighbors beyond the window).

    Returns
    -------
    signal, variance, quality
        (3, rows, columns): red, green, blue. Missing is NaN plus a bit.
    """
    codes, parity_y, parity_x = phase_codes(cfa), y0 % 2, x0 % 2
    height, width = signal.shape
    if method == "superpixel":
        height, width = (height - parity_y) // 2, (width - parity_x) // 2
    shape = (3, max(height, 0), max(width, 0))
    out, bits = np.empty(shape, np.float32), np.empty(shape, np.uint16)
    noise = np.empty(shape, np.float32) if variance.size else NO_PLANES
    split = kernel.superpixel if method == "superpixel" else kernel.bilinear
    split(
        np.ascontiguousarray(signal, dtype=np.float32),
        np.ascontiguousarray(variance, dtype=np.float32),
        np.ascontiguousarray(quality, dtype=np.uint16),
        codes,
        parity_y,
        parity_x,
        out,
        noise,
        bits,
    )
    return out, noise, bits


def debayer(frames: xr.Dataset, *, options: DebayerOptions = DEFAULTS) -> xr.Dataset:
    """Make a red, a green and a blue frame from every frame.

    Parameters
    ----------
    frames
        ``signal`` [electron], ``variance`` [electron2], ``quality``; ``cfa`` (one pattern for all frames) and
        ``filter``. Not modified; lazy stays lazy.
    options
        Superpixel or bilinear.

    Returns
    -------
    Dataset
        A new one with 3 x the frames, in the order R, G, B of the first, then of the second, and so on;
        variables ``signal``, ``variance``, ``quality``. Superpixel planes of an odd-sized mosaic lose the
        last row or column.

    Raises
    ------
    DatasetError
        If a variable is missing, or the frames are not mosaics of one pattern.
    """
    require(frames, SIGNAL, VARIANCE, QUALITY, CFA, FILTER)
    require_loaded(frames, "cfa", "filter")
    patterns = sorted({str(value) for value in frames["cfa"].values})
    if len(patterns) != 1:
        raise DatasetError(
            f"holds different patterns ({', '.join(patterns)}).",
            where="coordinate 'cfa'",
            remedy="Split first.",
        )
    phase_codes(patterns[0])
    planes = [frames[name] for name in ("signal", "variance", "quality")]
    if options.method == "superpixel":
        results = _superpixels(planes, patterns[0])
    else:
        results = _bilinears(planes, patterns[0])
    specs = (SIGNAL, VARIANCE, QUALITY)
    out = xr.Dataset({spec.name: labeled(spec, data) for spec, data in zip(specs, results, strict=True)})
    out = out.assign(quality=out["quality"].assign_attrs(flag_attributes()))
    return record(inherit(out.assign_coords(_coordinates(frames)), frames), "calibrate.debayer", options)


# Facts about the mosaic's grid or measured on it: they would be wrong for a color plane.
OF_THE_MOSAIC = (
    *("wcs", "from_reference", "registration_rms", "registration_stars", "registration_reason"),
    *("fwhm", "eccentricity", "elongation", "sky", "noise", "n_stars", "transparency", "weight"),
    "frame_correlation",
)


def _coordinates(frames: xr.Dataset) -> dict[str, xr.DataArray | xr.Variable]:
    triple = np.repeat(np.arange(frames.sizes["frame"]), 3)
    names = [band_name(str(name), color) for name in frames["filter"].values for color in COLORS]
    kept: dict[str, xr.DataArray | xr.Variable] = {
        str(name): frames[name].variable.isel(frame=triple)
        for name in frames.variables
        if frames[name].dims == ("frame",) and name not in OF_THE_MOSAIC
    }
    kept["filter"] = labeled(FILTER, np.array(names, dtype=str))
    kept["cfa"] = labeled(CFA, np.full(triple.size, "", dtype="U1"))
    return kept


def _interleaved(planes: Sequence[Any]) -> list[Any]:
    """Put nine (frame, y, x) arrays, three colors of three variables, in the order of the new frames."""
    out = []
    for k in range(3):
        colors = [xr.DataArray(plane, dims=("frame", "y", "x")) for plane in planes[3 * k : 3 * k + 3]]
        n = colors[0].sizes["frame"]
        order = np.arange(3 * n).reshape(3, n).T.ravel()
        out.append(xr.concat(colors, dim="frame").isel(frame=order).data)
    return out


DTYPES = (np.float32,) * 6 + (np.uint16,) * 3


def _superpixels(planes: Sequence[xr.DataArray], cfa: str) -> list[Any]:
    height, width = (planes[0].sizes[dim] // 2 * 2 for dim in ("y", "x"))
    phases = [
        plane.isel(y=slice(j, height, 2), x=slice(i, width, 2))
        for plane in planes
        for j in (0, 1)
        for i in (0, 1)
    ]
    return _interleaved(map_frames(partial(_from_phases, cfa=cfa), *phases, dtypes=DTYPES))


def _from_phases(*arrays: Any, cfa: str) -> tuple[npt.NDArray[Any], ...]:
    """Weave the phases of rows of a mosaic together again and split them by color."""
    mosaics = []
    for k, dtype in enumerate((np.float32, np.float32, np.uint16)):
        height, width = arrays[0].shape
        mosaic = np.empty((2 * height, 2 * width), dtype)
        for phase in range(4):
            mosaic[phase // 2 :: 2, phase % 2 :: 2] = arrays[4 * k + phase]
        mosaics.append(mosaic)
    results = split_window(mosaics[0], mosaics[1], mosaics[2], cfa)
    return tuple(result[color] for result in results for color in range(3))


def _bilinears(planes: Sequence[xr.DataArray], cfa: str) -> list[Any]:
    return _interleaved(map_frames(partial(_whole, cfa=cfa), *planes, dtypes=DTYPES, whole_plane=True))


def _whole(signal: Any, variance: Any, quality: Any, row: int, *, cfa: str) -> tuple[npt.NDArray[Any], ...]:
    results = split_window(signal, variance, quality, cfa, method="bilinear")
    return tuple(result[color] for result in results for color in range(3))
