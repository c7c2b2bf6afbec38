"""PNG of 16 bits per channel in color, which Pillow neither writes nor reads whole."""

import io
import struct
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from sciastro.errors import OutputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PNG_SIGNATURE", "keyword_of", "png16", "read_png16"]

Display = npt.NDArray[np.float32]
Picture: TypeAlias = "npt.ArrayLike | xr.Dataset"  # an array, or the dataset of `render.compose`

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def keyword_of(key: str) -> str:
    """Return `key` as PNG allows it: 1 to 79 printable Latin-1 characters without outer blanks.

    Raises
    ------
    OutputError
        If nothing of it is left.
    """
    clean = "".join(c for c in key if 32 <= ord(c) < 127 or 161 <= ord(c) < 256).strip()[:79]
    if not clean:
        raise OutputError(
            f"is {key!r}.", where="PNG text keyword", remedy="Use 1 to 79 printable characters."
        )
    return clean


def png16(levels: npt.NDArray[np.uint16], text: Mapping[str, str]) -> bytes:
    """Return a 16-bit PNG (pillow cannot write 16-bit color): W3C PNG, filter Up on every row."""
    height, width, channels = levels.shape
    rows = levels.astype(">u2").reshape(height, -1).view(np.uint8)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2  # Up: the byte minus the one above it, modulo 256
    filtered[0, 1:] = rows[0]
    filtered[1:, 1:] = rows[1:] - rows[:-1]
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 0, 0, 0, 0)
    parts = [PNG_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"sRGB", b"\x00")]
    parts += [
        _chunk(b"iTXt", keyword_of(key).encode("latin-1") + b"\x00\x00\x00\x00\x00" + value.encode("utf-8"))
        for key, value in text.items()
    ]
    parts += [_chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6)), _chunk(b"IEND", b"")]
    return b"".join(parts)


def read_png16(data: bytes) -> npt.NDArray[np.uint16]:
    """Return a 16-bit color PNG.

    PNG filters work byte by byte against the same byte of the pixel to the left, so byte k of all pixels is
    itself a filtered 8-bit gray image; pillow, which has no 16-bit color, decodes each of those exactly.

    Raises
    ------
    ValueError
        If it is interlaced.
    """
    width, height, _, kind, _, _, interlace = struct.unpack(">IIBBBBB", data[16:29])
    if interlace:
        raise ValueError("interlaced 16-bit color PNG")
    position, packed = 8, b""
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        if data[position + 4 : position + 8] == b"IDAT":
            packed += data[position + 8 : position + 8 + length]
        position += 12 + length
    step = 2 * (3 if kind == 2 else 4)
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + step * width)
    out = np.empty((height, width, step), np.uint8)
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    for k in range(step):
        lane = np.concatenate([rows[:, :1], rows[:, 1 + k :: step]], axis=1)
        plane = (
            PNG_SIGNATURE + header + _chunk(b"IDAT", zlib.compress(lane.tobytes(), 1)) + _chunk(b"IEND", b"")
        )
        with Image.open(io.BytesIO(plane)) as image:
            out[:, :, k] = np.asarray(image)
    return out.view(">u2").astype(np.uint16)
