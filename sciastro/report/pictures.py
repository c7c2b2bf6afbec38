"""Pictures inside the page: the renders, and maps of coverage, noise and masters, as data URIs.

The only readers of ``display`` besides `io.raster`. Nothing is larger than 1600 pixels here; the full size
lies beside the page.
"""

import base64
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

from sciastro.io.raster import encode_jpeg, read_raster, thumbnail

__all__ = ["Picture", "map_picture", "picture_from_array", "picture_from_file"]

MAX_SIDE = 1600
MAP_SIDE = 480


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """An image to be shown: a data URI with its size [pixel], title, caption and the file behind it.

    A map also has the values [unit] at the two ends of its color bar and the colors between.
    """

    title: str
    uri: str
    width: int
    height: int
    caption: str = ""
    path: str = ""
    low: float | None = None
    high: float | None = None
    unit: str = ""
    colors: tuple[str, ...] = ()


def picture_from_array(
    display: npt.ArrayLike,
    *,
    title: str,
    caption: str = "",
    path: str = "",
    size: int = MAX_SIDE,
    quality: int = 88,
) -> Picture:
    """Return a picture from a ``display`` array (y, x, channel), row 0 on top.

    Parameters
    ----------
    path
        File of the full-size picture, relative to the page; becomes a link.
    size
        Longest side inside the page [pixel].
    quality
        Of the JPEG, 1 to 95.

    Raises
    ------
    OutputError
        If `display` is no picture.
    """
    small = thumbnail(display, size)
    uri = "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(small, quality=quality)).decode("ascii")
    return Picture(
        title=title, uri=uri, width=small.shape[1], height=small.shape[0], caption=caption, path=path
    )


def picture_from_file(
    file: Path | str, *, title: str, caption: str = "", path: str = "", size: int = MAX_SIDE
) -> Picture:
    """Return a picture from a PNG, JPEG or TIFF file; see `picture_from_array`.

    Raises
    ------
    FileError
        If it cannot be read.
    """
    return picture_from_array(read_raster(file), title=title, caption=caption, path=path, size=size)


def map_picture(
    plane: npt.ArrayLike,
    *,
    title: str,
    caption: str = "",
    unit: str = "",
    colormap: str = "viridis",
    limits: tuple[float, float] | None = None,
    size: int = MAP_SIDE,
) -> Picture | None:
    """Return a map of any plane (coverage, noise, a master) in false colors with its scale.

    Parameters
    ----------
    plane
        (y, x), y upward as in FITS viewers; NaN is missing and becomes gray; None is returned if all is.
    unit
        Of the values.
    colormap
        A name that matplotlib knows.
    limits
        Values at the ends of the color bar; by default the 0.5 and 99.5 percentiles.
    size
        Longest side [pixel]; larger planes are averaged in blocks.
    """
    small = block_mean(np.asarray(plane, dtype=np.float32), size)
    finite = small[np.isfinite(small)]
    if finite.size == 0:
        return None
    low, high = (float(v) for v in (limits or np.percentile(finite, [0.5, 99.5])))
    span = high - low if high > low else 1.0
    table = mpl.colormaps[colormap]
    colored = np.asarray(table(np.clip((small - low) / span, 0, 1))[:, :, :3], dtype=np.float32)
    colored[~np.isfinite(small)] = 0.5
    made = picture_from_array(colored[::-1], title=title, caption=caption, size=size, quality=85)
    stops = tuple(mpl.colors.to_hex(table(v)) for v in np.linspace(0, 1, 9))
    return Picture(
        title=title, uri=made.uri, width=made.width, height=made.height, caption=caption, low=low, high=high,
        unit=unit, colors=stops,
    )  # fmt: skip


def block_mean(plane: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
    """Return `plane` (y, x) averaged in square blocks, its longer side at most `size`; NaN is left out."""
    step = -(-max(plane.shape) // size)
    if step <= 1:
        return plane
    rows, columns = -(-plane.shape[0] // step), -(-plane.shape[1] // step)
    padded = np.full((rows * step, columns * step), np.nan, np.float32)
    padded[: plane.shape[0], : plane.shape[1]] = plane
    blocks = padded.reshape(rows, step, columns, step)
    known = np.isfinite(blocks)
    total = np.where(known, blocks, 0).sum(axis=(1, 3), dtype=np.float64)
    count = known.sum(axis=(1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
