"""Write XISF files that PixInsight opens: planes, FITS keywords, color filter array, checksums.

XISF 1.0 specification, sections 9 (header), 10 (blocks), 11 (elements). Rows are written as they are, so a
raw frame shows as the camera saw it; world coordinates are turned to the bottom-first rows of FITS, which
its keywords mean (see `io.xisfcards.flip_wcs`).
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from sciastro.errors import OptionError
from sciastro.io.paths import atomic_path
from sciastro.io.xisfblocks import CODECS, pack
from sciastro.io.xisfcards import STRUCTURE, flip_wcs

__all__ = ["XisfPlane", "write_planes", "write_xisf"]

FORMATS = {"u1": "UInt8", "u2": "UInt16", "u4": "UInt32", "f4": "Float32", "f8": "Float64"}
ALIGNMENT = 4096  # bytes: a page of memory, so that readers can map blocks
HEAD = 16


@dataclass(frozen=True, slots=True)
class XisfPlane:
    """One image to write.

    Attributes
    ----------
    data
        (y, x), or (channel, y, x) with three channels; uint8, uint16, uint32, float32 or float64. NaN is
        missing and stays NaN.
    header
        Its cards, for rows in the order of `data`.
    name
        Its id: letters, digits and underscores.
    cfa
        Colors row by row ("RGGB", or 36 letters), "" for none.
    """

    data: npt.NDArray[Any]
    header: fits.Header = field(default_factory=fits.Header)
    name: str = "image"
    cfa: str = ""


def write_xisf(
    path: Path,
    planes: Sequence[XisfPlane],
    *,
    compression: str = "zlib",
    created: datetime | None = None,
) -> Path:
    """Write images to a file, which appears under its name when it is whole.

    Parameters
    ----------
    compression
        "zlib", "lz4", "lz4hc", "zstd" (bytes shuffled, checksums in each case) or "" for none.
    created
        Moment that the file is said to be made at; None now.

    Raises
    ------
    OptionError
        For another dtype or number of dims, or an unknown compression.
    FileError
        If the package for that compression is not installed.
    OutputError
        If the file cannot be written.
    """
    with atomic_path(path) as part:
        write_planes(part, planes, compression=compression, created=created)
    return path


def write_planes(
    path: Path, planes: Sequence[XisfPlane], *, compression: str = "zlib", created: datetime | None = None
) -> None:
    """Write images straight to `path`; see `write_xisf`.

    Raises
    ------
    OptionError
        If the compression is not known.
    """
    if compression not in ("", *CODECS):
        raise OptionError(
            f"is {compression!r}.", where="compression", remedy=f"Choose one of {', '.join(CODECS)}, or ''."
        )
    blocks = [_block(plane, compression, str(path)) for plane in planes]
    offsets, length = [0] * len(blocks), 0
    for _ in range(8):  # offsets have digits, and digits move the offsets; two rounds are enough
        text = _document(planes, blocks, offsets, created or datetime.now(UTC))
        start = _aligned(HEAD + len(text))
        moved = []
        for data, _ in blocks:
            moved.append(start)
            start = _aligned(start + len(data))
        if moved == offsets and length == len(text):
            break
        offsets, length = moved, len(text)
    with path.open("wb") as file:
        file.write(b"XISF0100" + struct.pack("<II", len(text), 0) + text)
        for offset, (data, _) in zip(offsets, blocks, strict=True):
            file.write(b"\0" * (offset - file.tell()))
            file.write(data)


def _aligned(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT


def _block(plane: XisfPlane, compression: str, where: str) -> tuple[bytes, str]:
    """Return the bytes to store and the attributes that describe them."""
    code = plane.data.dtype.newbyteorder("=").str[1:]
    if code not in FORMATS or plane.data.ndim not in (2, 3) or plane.data.size == 0:
        raise OptionError(
            f"is {plane.data.dtype} {plane.data.shape}.",
            where=f"plane '{plane.name}'",
            remedy="Give uint8, uint16, uint32, float32 or float64 with dims (y, x) or (channel, y, x).",
        )
    data = np.ascontiguousarray(plane.data, np.dtype(f"<{code}")).tobytes()
    size, item, attributes = len(data), plane.data.dtype.itemsize, ""
    if compression:
        packed = pack(data, compression, item, where)
        if len(packed) < size:  # PixInsight expects compressed blocks to be smaller
            data, name = packed, f"{compression}+sh" if item > 1 else compression
            attributes = f' compression="{name}:{size}{f":{item}" if item > 1 else ""}"'
    digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    return data, f'{attributes} checksum="sha-1:{digest}"'


def _document(
    planes: Sequence[XisfPlane],
    blocks: Sequence[tuple[bytes, str]],
    offsets: Sequence[int],
    created: datetime,
) -> bytes:
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<xisf version="1.0" xmlns="http://www.pixinsight.com/xisf"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        ' xsi:schemaLocation="http://www.pixinsight.com/xisf'
        ' http://pixinsight.com/xisf/xisf-1.0.xsd">',
    ]
    for plane, (data, attributes), offset in zip(planes, blocks, offsets, strict=True):
        lines += _image(plane, f"attachment:{offset}:{len(data)}", attributes)
    stamp = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    lines += [
        "<Metadata>",
        f'<Property id="XISF:CreationTime" type="TimePoint" value="{stamp}"/>',
        '<Property id="XISF:CreatorApplication" type="String">sciastro</Property>',
        f'<Property id="XISF:BlockAlignmentSize" type="UInt16" value="{ALIGNMENT}"/>',
        "</Metadata>",
        "</xisf>",
    ]
    return "\n".join(lines).encode("utf-8")


def _image(plane: XisfPlane, location: str, attributes: str) -> list[str]:
    data = plane.data
    channels, rows, columns = data.shape if data.ndim == 3 else (1, *data.shape)
    sample = FORMATS[data.dtype.newbyteorder("=").str[1:]]
    bounds = ""
    if data.dtype.kind == "f":
        finite = data[np.isfinite(data)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        bounds = f' bounds="{low!r}:{high if high > low else low + 1.0!r}"'
    lines = [
        f'<Image id={quoteattr(plane.name)} geometry="{columns}:{rows}:{channels}" sampleFormat="{sample}"'
        f'{bounds} colorSpace="{"RGB" if channels == 3 else "Gray"}" location="{location}"{attributes}>'
    ]
    header = plane.header.copy()
    flip_wcs(header, rows)
    lines += [_keyword(card) for card in header.cards if not STRUCTURE.match(card.keyword)]
    if plane.cfa:
        side = int(len(plane.cfa) ** 0.5)
        lines.append(f'<ColorFilterArray pattern="{plane.cfa}" width="{side}" height="{side}"/>')
    return [*lines, "</Image>"]


def _keyword(card: fits.Card) -> str:
    if card.keyword in ("HISTORY", "COMMENT", ""):
        name, text = card.keyword or "COMMENT", quoteattr(str(card.value))
        return f'<FITSKeyword name="{name}" value="" comment={text}/>'
    value: object = card.value
    if isinstance(value, bool | np.bool_):
        text = "T" if value else "F"
    elif isinstance(value, str):
        text = "'" + value.replace("'", "''") + "'"
    else:
        text = "" if isinstance(value, fits.card.Undefined) else str(value)
    said = f"value={quoteattr(text)} comment={quoteattr(str(card.comment or ''))}"
    return f"<FITSKeyword name={quoteattr(card.keyword)} {said}/>"
