"""Pictures as files: PNG, JPEG and TIFF out, the same back in; the one wrapper of pillow and tifffile.

Reads ``display`` arrays: (y, x, channel) with one or three channels, 0 to 1, row 0 at the *top* of the
picture (`render.compose` has flipped the sky already), values *sRGB-encoded*. A stretch yields what the
screen should show, so no further gamma is applied and every file says so: an ``sRGB`` chunk in PNG, an
ICC profile in JPEG and TIFF. Every file appears whole or not at all, carries its recipe inside (PNG text
chunk ``sciastro-recipe``, JPEG comment, TIFF description), and `write_recipe` puts it beside it as JSON.
The same array and recipe give the same bytes.
"""

import io
import json
import struct
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from sciastro.core.vocabulary import DISPLAY, require
from sciastro.errors import FileError, OutputError
from sciastro.io.paths import atomic_path
from sciastro.io.png16 import PNG_SIGNATURE, keyword_of, png16, read_png16

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "encode_jpeg",
    "encode_png",
    "read_raster",
    "read_recipe",
    "thumbnail",
    "write_jpeg",
    "write_png",
    "write_recipe",
    "write_tiff16",
]

Display = npt.NDArray[np.float32]
Picture: TypeAlias = "npt.ArrayLike | xr.Dataset"  # an array, or the dataset of `render.compose`
RECIPE_KEY = "sciastro-recipe"
DITHER_SEED = 20260101  # fixed: a rerun must give the same bytes
MAX_JPEG_SIDE = 65500  # libjpeg's limit [pixel]


def write_png(
    path: Path | str,
    display: Picture,
    *,
    bits: int = 8,
    dither: bool = True,
    recipe: Mapping[str, Any] | None = None,
    text: Mapping[str, str] | None = None,
) -> Path:
    """Write a picture as PNG.

    Parameters
    ----------
    path
        File to make; an existing one is replaced in one move.
    display
        (y, x, channel) or (y, x), 0 to 1, sRGB-encoded, row 0 on top, no NaN.
    bits
        8 or 16 per channel.
    dither
        Add a fixed pattern of +-half a level before rounding to 8 bits, so that smooth skies do not show
        steps. 16-bit files are never dithered.
    recipe
        How the picture was made; embedded as JSON and written beside the file (``<name>.json``).
    text
        Further text chunks, such as ``Title``.

    Raises
    ------
    OutputError
        If `display` is no picture, or the file cannot be written.
    """
    data = encode_png(display, bits=bits, dither=dither, recipe=recipe, text=text)
    return _store(Path(path), data, recipe)


def write_jpeg(
    path: Path | str,
    display: Picture,
    *,
    quality: int = 92,
    recipe: Mapping[str, Any] | None = None,
) -> Path:
    """Write a picture as JPEG without color subsampling; arguments as in `write_png`.

    Raises
    ------
    OutputError
        If `display` is no picture, is too large for JPEG, or the file cannot be written.
    """
    return _store(Path(path), encode_jpeg(display, quality=quality, recipe=recipe), recipe)


def write_tiff16(path: Path | str, display: Picture, *, recipe: Mapping[str, Any] | None = None) -> Path:
    """Write a picture as 16-bit deflated TIFF with an sRGB profile; arguments as in `write_png`.

    Raises
    ------
    OutputError
        If `display` is no picture, or the file cannot be written.
    """
    import tifffile

    levels = _levels(checked_display(display), 16, dither=False)
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        levels if levels.shape[2] == 3 else levels[:, :, 0],
        photometric="rgb" if levels.shape[2] == 3 else "minisblack",
        compression="zlib",
        predictor=True,
        software="sciastro",
        description=_recipe_json(recipe),
        metadata=None,
        iccprofile=srgb_profile() if levels.shape[2] == 3 else None,
    )
    return _store(Path(path), buffer.getvalue(), recipe)


def encode_png(
    display: Picture,
    *,
    bits: int = 8,
    dither: bool = True,
    recipe: Mapping[str, Any] | None = None,
    text: Mapping[str, str] | None = None,
) -> bytes:
    """Return the bytes of a PNG file; see `write_png`.

    Raises
    ------
    OutputError
        If `bits` is neither 8 nor 16, or `display` is no picture.
    """
    if bits not in (8, 16):
        raise OutputError(f"was asked for {bits} bits per channel.", where="PNG", remedy="Choose 8 or 16.")
    levels = _levels(checked_display(display), bits, dither=dither)
    chunks = dict(text or {})
    if recipe is not None:
        chunks[RECIPE_KEY] = _recipe_json(recipe)
    if bits == 16:
        return png16(levels, chunks)
    info = PngInfo()
    info.add(b"sRGB", b"\x00")  # rendering intent: perceptual
    for key, value in chunks.items():
        info.add_itxt(keyword_of(key), value)
    buffer = io.BytesIO()
    _image(levels).save(buffer, format="PNG", pnginfo=info, compress_level=6)
    return buffer.getvalue()


def encode_jpeg(display: Picture, *, quality: int = 92, recipe: Mapping[str, Any] | None = None) -> bytes:
    """Return the bytes of a JPEG file; see `write_jpeg`.

    Raises
    ------
    OutputError
        If the picture is larger than JPEG allows, or none.
    """
    levels = _levels(checked_display(display), 8, dither=False)
    if max(levels.shape[:2]) > MAX_JPEG_SIDE:
        raise OutputError(
            f"has {levels.shape[1]} x {levels.shape[0]} pixels.",
            where="JPEG",
            remedy="Write a PNG or a TIFF.",
        )
    buffer = io.BytesIO()
    _image(levels).save(
        buffer,
        format="JPEG",
        quality=quality,
        subsampling=0,
        comment=_recipe_json(recipe).encode("utf-8")[:65000],
        icc_profile=srgb_profile() if levels.shape[2] == 3 else None,
    )
    return buffer.getvalue()


def thumbnail(display: Picture, size: int) -> Display:
    """Return `display` shrunk so that its longer side is at most `size` pixels; never enlarged.

    Raises
    ------
    OutputError
        If `display` is no picture.
    """
    picture = checked_display(display)
    height, width = picture.shape[:2]
    factor = size / max(height, width)
    if factor >= 1:
        return picture
    target = (max(1, round(width * factor)), max(1, round(height * factor)))
    planes = [
        np.asarray(Image.fromarray(plane).resize(target, Image.Resampling.LANCZOS, reducing_gap=3.0))
        for plane in np.ascontiguousarray(np.moveaxis(picture, 2, 0))
    ]
    return np.asarray(np.clip(np.stack(planes, axis=2), 0, 1), dtype=np.float32)


def read_raster(path: Path | str) -> Display:
    """Return a PNG, JPEG or TIFF picture as (y, x, channel) float32, 0 to 1, row 0 on top.

    16-bit files keep their 16 bits; an alpha channel is dropped.

    Raises
    ------
    FileError
        If the file is missing, or is not a picture that can be read.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        if data[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
            levels = _read_tiff(data)
        elif data[:8] == PNG_SIGNATURE and data[24:26] in (b"\x10\x02", b"\x10\x06"):
            levels = read_png16(data)
        else:
            levels = _read_pillow(data)
    except Image.DecompressionBombError as error:
        raise FileError(
            f"has more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels.",
            where=str(path),
            remedy="Save it smaller, or as TIFF.",
        ) from error
    except FileNotFoundError as error:
        raise FileError("does not exist.", where=str(path), remedy="Check the path.") from error
    except UnidentifiedImageError as error:
        raise FileError(
            "is no picture, whatever its name says.",
            where=str(path),
            remedy="Give a PNG, JPEG or TIFF file.",
        ) from error
    except (OSError, ValueError, KeyError, struct.error, zlib.error) as error:
        raise FileError(
            f"cannot be read as a picture ({error}).",
            where=str(path),
            remedy="Give a PNG, JPEG or TIFF file.",
        ) from error
    levels = levels[:, :, None] if levels.ndim == 2 else levels
    channels = 3 if levels.shape[2] >= 3 else 1
    return np.asarray(levels[:, :, :channels] / np.float32(np.iinfo(levels.dtype).max), dtype=np.float32)


def read_recipe(path: Path | str) -> dict[str, Any] | None:
    """Return the recipe embedded in a PNG or JPEG picture of ours, None where there is none.

    Raises
    ------
    FileError
        If the file is no picture.
    """
    try:
        with Image.open(path) as image:
            image.load()
            found = image.info.get(RECIPE_KEY) or image.info.get("comment") or ""
    except (OSError, UnidentifiedImageError) as error:
        raise FileError(f"is no picture ({error}).", where=str(path), remedy="Give a PNG or JPEG.") from error
    found = found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)
    try:
        recipe = json.loads(found)
    except json.JSONDecodeError:
        return None
    return recipe if isinstance(recipe, dict) else None


def write_recipe(path: Path | str, recipe: Mapping[str, Any]) -> Path:
    """Write `recipe` as indented JSON beside the picture `path` (``m13.png`` -> ``m13.json``)."""
    beside = Path(path).with_suffix(".json")
    data = json.dumps(recipe, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return _store(beside, data.encode("utf-8"), None)


def checked_display(display: Picture) -> Display:
    """Return `display` as float32 (y, x, channel), or say what is wrong with it.

    Raises
    ------
    OutputError
        If it has the wrong shape, no pixels, or values that are not finite.
    """
    import xarray as xr

    if isinstance(display, xr.Dataset):
        require(display, DISPLAY)
        display = display["display"].values
    picture = np.asarray(display, dtype=np.float32)
    picture = picture[:, :, None] if picture.ndim == 2 else picture
    if picture.ndim != 3 or picture.shape[2] not in (1, 3) or 0 in picture.shape:
        raise OutputError(
            f"has shape {np.shape(display)}.",
            where="picture",
            remedy="Give (y, x) or (y, x, 1 or 3) with pixels.",
        )
    if not np.all(np.isfinite(picture)):
        raise OutputError(
            "holds NaN or infinite values.",
            where="picture",
            remedy="Make it with `render.compose`, which fills them.",
        )
    return picture


@cache
def srgb_profile() -> bytes:
    """Return an sRGB ICC profile whose creation date is fixed, so that files do not depend on the day."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data[24:36] = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    return bytes(data)


def _levels(picture: Display, bits: int, *, dither: bool) -> npt.NDArray[Any]:
    top = np.float32((1 << bits) - 1)
    scaled = np.clip(picture, 0, 1) * top
    if bits == 16:
        return np.asarray(np.rint(scaled), dtype=np.uint16)
    if dither:
        noise = np.random.default_rng(DITHER_SEED).random(scaled.shape[:2], dtype=np.float32)[:, :, None]
        inside = (picture > 0) & (picture < 1)  # pure black and white stay pure
        scaled = np.where(inside, np.floor(scaled + noise), scaled)
    return np.asarray(np.clip(np.rint(scaled), 0, top), dtype=np.uint8)


def _image(levels: npt.NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(levels if levels.shape[2] == 3 else levels[:, :, 0])


def _recipe_json(recipe: Mapping[str, Any] | None) -> str:
    return "" if recipe is None else json.dumps(recipe, sort_keys=True)  # ASCII: every container can hold it


def _store(path: Path, data: bytes, recipe: Mapping[str, Any] | None) -> Path:
    with atomic_path(path) as part:
        part.write_bytes(data)
    if recipe is not None:
        write_recipe(path, recipe)
    return path


def _read_tiff(data: bytes) -> npt.NDArray[Any]:
    import tifffile

    levels = np.asarray(tifffile.imread(io.BytesIO(data)))
    if levels.dtype not in (np.uint8, np.uint16) or levels.ndim not in (2, 3):
        raise ValueError(f"TIFF holds {levels.dtype} with shape {levels.shape}")
    return levels


def _read_pillow(data: bytes) -> npt.NDArray[Any]:
    with Image.open(io.BytesIO(data)) as image:
        if image.mode.startswith("I;16") or image.mode == "I":
            return np.asarray(image).astype(np.uint16)
        return np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
