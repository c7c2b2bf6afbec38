"""Read XISF images: PixInsight's format, also written by N.I.N.A., Siril and others.

A header in XML tells of images whose pixels lie in blocks behind it. Rows are stored top first, and FITS
keywords in the header describe the picture as FITS would store it, bottom row first: the world coordinates
among them are turned to the rows as stored. XISF 1.0 specification (Pleiades Astrophoto, 2017): section 9
(header), 11.5 (Image), 11.7 (ColorFilterArray), 11.9 (FITSKeyword), 11.1 (Property), 12 (its names).
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from astropy.io import fits

from sciastro.errors import FileError
from sciastro.io.lastframe import LastFrame
from sciastro.io.plainrows import plain_rows
from sciastro.io.probe import Pixels, Probe, RowSource
from sciastro.io.xisfblocks import COPY, Block, parse_block, read_block
from sciastro.io.xisfcards import header_of

__all__ = ["XisfImage", "XisfReader", "read_images"]

SIGNATURE = b"XISF0100"
FORMATS = {
    "UInt8": "u1", "UInt16": "u2", "UInt32": "u4", "UInt64": "u8", "Float32": "f4", "Float64": "f8",
}  # fmt: skip
LARGEST_HEADER = 1 << 26
LARGEST = 1 << 30
"""Samples beyond which a geometry is nonsense."""
NAMESPACE = re.compile(r"^\{[^}]*\}")


@dataclass(frozen=True, slots=True)
class XisfImage:
    """One image of a file, before its pixels are read.

    Attributes
    ----------
    number
        From 0, in the order of the file.
    shape
        Channels, rows, columns.
    dtype
        As stored, with its byte order.
    planar
        Whether the channels are stored one after the other (and not pixel by pixel).
    bounds
        Values of black and white; None for integers, whose range is that of their type.
    header
        FITS keywords, properties and attributes as cards.
    block
        Where the pixels are.
    """

    number: int
    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    planar: bool
    bounds: tuple[float, float] | None
    header: fits.Header
    block: Block


def read_images(path: Path) -> list[XisfImage]:
    """Return the images of a file without their pixels.

    Raises
    ------
    FileError
        If it is no whole XISF file, or its header is not what the standard allows.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(16)
            if size == 0:
                raise FileError("is empty.", where=str(path), remedy="Copy it again, or delete it.")
            if head[:8] != SIGNATURE:
                raise FileError(
                    "is not an XISF file, whatever its name says.",
                    where=str(path),
                    remedy="Delete it, or rename it to what it is.",
                )
            length = struct.unpack("<I", head[8:12])[0] if len(head) == 16 else 0
            if not 0 < length <= min(LARGEST_HEADER, size - 16):
                raise FileError("is cut off within its header.", where=str(path), remedy=COPY)
            text = file.read(length)
    except FileNotFoundError as error:
        raise FileError("does not exist.", where=str(path), remedy="Check the path.") from error
    except OSError as error:
        raise FileError(f"cannot be read: {error}.", where=str(path), remedy=COPY) from error
    root = _parsed(text, path)
    elements = [element for element in root if _name(element) == "Image"]
    if not elements:
        raise FileError("holds no image.", where=str(path), remedy="Give a file with an image in it.")
    program = [element for element in root if _name(element) == "Metadata"]
    return [_image(number, element, program, path, size) for number, element in enumerate(elements)]


def _parsed(text: bytes, path: Path) -> ET.Element:
    """Parse the header; document types and entities, which XISF has no use for, are refused."""
    try:
        plain = text.rstrip(b"\0").decode("utf-8")
        if "<!DOCTYPE" in plain or "<!ENTITY" in plain:
            raise FileError("declares a document type in its header.", where=str(path), remedy=COPY)
        root = ET.fromstring(plain.encode("utf-8"), parser=ET.XMLParser(encoding="utf-8"))
    except (UnicodeDecodeError, ET.ParseError, ValueError) as error:
        raise FileError(f"has a header that is no XML ({error}).", where=str(path), remedy=COPY) from error
    if _name(root) != "xisf":
        raise FileError(f"has a header of '{_name(root)[:40]}'.", where=str(path), remedy=COPY)
    return root


def _name(element: ET.Element) -> str:
    return NAMESPACE.sub("", element.tag)


def _image(number: int, element: ET.Element, program: list[ET.Element], path: Path, size: int) -> XisfImage:
    where = f"{path} [image {number}]"
    attributes = dict(element.attrib)
    said = attributes.get("sampleFormat", "")
    if said not in FORMATS:
        raise FileError(
            f"has samples of the type '{said[:40]}', which are no measured light.",
            where=where,
            remedy="Save it as UInt16 or Float32.",
        )
    order = ">" if attributes.get("byteOrder", "little") == "big" else "<"
    shape = _geometry(attributes.get("geometry", ""), where)
    data = next((child for child in element if _name(child) == "Data"), None)
    embedded = attributes.get("location", "").startswith("embedded") and data is not None
    if embedded and data is not None:
        attributes |= data.attrib
        attributes["location"] = f"inline:{data.get('encoding', 'base64')}"
    text = (data.text if embedded and data is not None else element.text) or ""
    block = parse_block(attributes, text, where, size)
    dtype: np.dtype[np.generic] = np.dtype(order + FORMATS[said])
    count = shape[0] * shape[1] * shape[2] * dtype.itemsize
    if block.unpacked != count:
        raise FileError(
            f"holds {block.unpacked} bytes of pixels where its size needs {count}.", where=where, remedy=COPY
        )
    bounds = _bounds(attributes.get("bounds", "")) if dtype.kind == "f" else None
    header = header_of(element, program, shape[1:], attributes)
    if bounds is not None and bounds[0] == 0.0:
        header["XISFMAX"] = (bounds[1], "Value of white (bounds)")
    planar = attributes.get("pixelStorage", "Planar").casefold() != "normal"
    return XisfImage(number, shape, dtype, planar, bounds, header, block)


def _geometry(text: str, where: str) -> tuple[int, int, int]:
    words = text.split(":")
    try:
        columns, rows, channels = (int(word) for word in words)
    except ValueError as error:
        raise FileError(
            f"says the geometry '{text[:40]}', not rows, columns and channels.",
            where=where,
            remedy=COPY,
        ) from error
    if min(columns, rows, channels) < 1 or columns * rows * channels > LARGEST:
        raise FileError(f"says the geometry '{text[:40]}'.", where=where, remedy=COPY)
    return channels, rows, columns


def _bounds(text: str) -> tuple[float, float] | None:
    try:
        low, high = (float(word) for word in text.split(":"))
    except ValueError:
        return None
    return (low, high) if np.isfinite([low, high]).all() and high > low else None


class XisfReader:
    """XISF files with images of one channel; color images are no raw frames."""

    name: str = "XISF"
    suffixes = (".xisf",)

    def __init__(self) -> None:
        self._last = LastFrame()

    def probe(self, path: Path) -> list[Probe]:
        """Return every image of one channel, in file order, without reading pixels.

        Raises
        ------
        FileError
            If the file is no XISF file, is cut off, or holds no image of one channel.
        """
        images = read_images(path)
        mono = [image for image in images if image.shape[0] == 1]
        if not mono:
            raise FileError(
                "holds a color image of several planes, not one raw frame.",
                where=str(path),
                remedy="Give the raw frames (one plane, before debayering or stacking).",
            )
        return [
            Probe(
                path=path,
                header=image.header,
                shape=(image.shape[1], image.shape[2]),
                dtype=image.dtype.newbyteorder("="),
                hdu=image.number,
                offset=None if image.block.codec else image.block.offset,
                stored=image.dtype,
            )
            for image in mono
        ]

    def pixels(self, probe: Probe) -> Pixels:
        """Return all rows as a native array; the checksum, where there is one, is verified."""
        image = _same(probe)
        count = probe.shape[0] * probe.shape[1]
        data = read_block(probe.path, image.block, count * image.dtype.itemsize)
        stored = np.frombuffer(data, image.dtype, count).reshape(probe.shape)
        return stored.astype(probe.dtype, copy=True)

    def open_rows(self, probe: Probe) -> RowSource:
        """Return a function that reads bands of rows; packed images are unpacked for the first of them."""
        if probe.offset is None or probe.stored is None:
            return self._last.rows(probe, self.pixels)
        return plain_rows(probe, COPY)


def _same(probe: Probe) -> XisfImage:
    image = next((one for one in read_images(probe.path) if one.number == probe.hdu), None)
    if image is None or image.shape[1:] != probe.shape:
        raise FileError("has changed since its header was read.", where=str(probe.path), remedy="Run again.")
    return image
