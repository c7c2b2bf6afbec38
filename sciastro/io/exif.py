"""Read the tags of camera raw files: TIFF directories, wherever a maker has put them.

Most raw formats are TIFF files (DNG, CR2, NEF, NRW, ARW, PEF; ORF and RW2 with a number of their own);
Fuji's RAF keeps its tags in an embedded JPEG, Canon's CR3 in boxes of an ISO media file. Only the tags
that tell facts are read; every offset, count and depth is checked, since a file may say anything.
TIFF 6.0: section 2; Exif 2.31: 4.5.2 (JPEG), 4.6; ISO/IEC 14496-12: 4.2 (boxes).
"""

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

__all__ = ["Exif", "Value", "dng_black", "plain_place", "read_exif"]

Value = str | bytes | tuple[float, ...]

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}
MAGIC = {b"II*\0", b"MM\0*", b"IIU\0", b"IIRO", b"IIRS", b"MMOR"}
SUB_DIRECTORIES, EXIF, GPS = 330, 34665, 34853
STRIPS, STRIP_BYTES, TILES, TILE_BYTES = 273, 279, 324, 325
WANTED = frozenset(
    {254, 256, 257, 258, 259, 262, 270, 271, 272, 274, 277, 278, 282, 296, 305, 306}
    | {STRIPS, STRIP_BYTES, TILES, TILE_BYTES, SUB_DIRECTORIES, EXIF, GPS}
    | {33421, 33422, 33434, 33437, 34855, 36867, 36880, 36881, 37386, 37521, 37888}
    | {41486, 41487, 41488, 41989, 50706, 50708, 50712, 50713, 50714, 50715, 50716, 50717, 50829, 34866}
    | {0, 1, 2, 3, 4, 5, 6, 7, 29}
)
NOWHERE = (1 << 32) - 1  # RW2 files write this for the place of their pixels
MOST_DIRECTORIES, MOST_ENTRIES = 64, 4096  # that are read: damaged files may name any number
MOST_BYTES, MOST_IN_ALL = 1 << 20, 4 << 20  # of one value, and of all of a block, which may overlap
CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
"""Name of the box of a CR3 file that holds the TIFF blocks CMT1 (image), CMT2 (Exif), CMT4 (GPS)."""


@dataclass(slots=True)
class Exif:
    """The tags of a file, by number.

    Attributes
    ----------
    main, photo, gps
        Tags of the first image, of the exposure (Exif) and of the place; texts as str, numbers as tuples.
    images
        The tags of every image in the file, the first one included, with the pixels' places.
    end
        Where the pixels of the largest image end, as the tags say; 0 unknown.
    order
        Byte order of the file, "<" or ">".
    """

    main: dict[int, Value] = field(default_factory=dict)
    photo: dict[int, Value] = field(default_factory=dict)
    gps: dict[int, Value] = field(default_factory=dict)
    images: list[dict[int, Value]] = field(default_factory=list)
    end: int = 0
    order: str = "<"

    def text(self, tag: int) -> str:
        """Return a text of the exposure or the first image, "" where it is missing."""
        value = self.photo.get(tag, self.main.get(tag, ""))
        return value if isinstance(value, str) else ""

    def numbers(self, tag: int, tags: Mapping[int, Value] | None = None) -> tuple[float, ...]:
        """Return the numbers of a tag, () where it is missing or no number."""
        value = self.photo.get(tag, self.main.get(tag)) if tags is None else tags.get(tag)
        return value if isinstance(value, tuple) else ()

    def number(self, tag: int, tags: Mapping[int, Value] | None = None) -> float | None:
        """Return the first number of a tag, None where there is none that is finite."""
        first = next(iter(self.numbers(tag, tags)), math.nan)
        return first if math.isfinite(first) else None


def read_exif(path: Path) -> Exif:
    """Return the tags of `path`; empty where it holds none that can be read.

    Raises
    ------
    OSError
        If the file cannot be read at all.
    """
    found = Exif()
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(160)
        if head[:4] in MAGIC:
            _Tiff(file, 0, size, found).read()
        elif head[:15] == b"FUJIFILMCCD-RAW" and len(head) >= 108:
            jpeg, length, _, _, mosaic, bytes_ = struct.unpack(">6I", head[84:108])
            found.end = mosaic + bytes_
            _read_jpeg(file, jpeg, min(jpeg + length, size), found)
        elif head[4:8] == b"ftyp":
            _read_boxes(file, size, found)
    return found


class _Tiff:
    """The directories of one TIFF block that lies between `base` and `end` of a file."""

    def __init__(self, file: BinaryIO, base: int, end: int, found: Exif) -> None:
        self.file, self.base, self.end, self.found = file, base, end, found
        self.order = "<"
        self.seen: set[int] = set()
        self.largest = 0
        self.left = MOST_IN_ALL

    def read(self, into: str = "main") -> None:
        """Read the block; `into` says what its first directory describes."""
        head = self._bytes(0, 8)
        if head is None or head[:4] not in MAGIC:
            return
        self.order = self.found.order = "<" if head[:2] == b"II" else ">"
        (first,) = struct.unpack(self.order + "I", head[4:8])
        if into != "main":
            self._directory(first, getattr(self.found, into))
            return
        pending, depth = [first], 0
        while pending and depth < MOST_DIRECTORIES:
            depth += 1
            tags: dict[int, Value] = {}
            following = self._directory(pending.pop(0), tags)
            if not tags:
                continue
            if not self.found.images:
                self.found.main.update(tags)
            self.found.images.append(tags)
            self._note_end(tags)
            self._point(tags)
            pending += [int(where) for where in _ints(tags, SUB_DIRECTORIES)[:16]]
            pending += [following] if following else []

    def _point(self, tags: Mapping[int, Value]) -> None:
        for tag, into in ((EXIF, self.found.photo), (GPS, self.found.gps)):
            where = _ints(tags, tag)
            if where and not into:
                self._directory(where[0], into)

    def _note_end(self, tags: Mapping[int, Value]) -> None:
        for places, sizes in ((STRIPS, STRIP_BYTES), (TILES, TILE_BYTES)):
            parts = list(zip(_ints(tags, places), _ints(tags, sizes), strict=False))
            total = sum(size for _, size in parts)
            if total > self.largest and all(at < NOWHERE for at, _ in parts):
                self.largest = total  # the mosaic; what thumbnails claim is of no interest
                self.found.end = self.base + max(at + size for at, size in parts)

    def _bytes(self, start: int, length: int) -> bytes | None:
        at = self.base + start
        if start < 0 or length < 0 or at + length > self.end:
            return None
        self.file.seek(at)
        data = self.file.read(length)
        return data if len(data) == length else None

    def _directory(self, start: int, into: dict[int, Value]) -> int:
        """Read the directory at `start` into `into`; returns where the next one is, 0 for none."""
        if start in self.seen or start <= 0:
            return 0
        self.seen.add(start)
        head = self._bytes(start, 2)
        if head is None:
            return 0
        (count,) = struct.unpack(self.order + "H", head)
        body = self._bytes(start + 2, 12 * count) if count <= MOST_ENTRIES else None
        if body is None:
            return 0
        for k in range(count):
            tag, kind, number = struct.unpack_from(self.order + "HHI", body, 12 * k)
            if tag in WANTED and tag not in into:
                value = self._value(kind, number, body[12 * k + 8 : 12 * k + 12])
                if value is not None:
                    into[tag] = value
        tail = self._bytes(start + 2 + 12 * count, 4)
        return 0 if tail is None else int(struct.unpack(self.order + "I", tail)[0])

    def _value(self, kind: int, count: int, inline: bytes) -> Value | None:
        size = SIZES.get(kind, 0) * count
        if size == 0 or size > min(MOST_BYTES, self.left):
            return None
        self.left -= size
        if size <= 4:
            data: bytes | None = inline[:size]
        else:
            data = self._bytes(struct.unpack(self.order + "I", inline)[0], size)
        if data is None:
            return None
        if kind == 2:
            return " ".join(data.split(b"\0")[0].decode("utf-8", "replace").split())
        if kind == 7:
            return data
        if kind in (5, 10):
            code = "I" if kind == 5 else "i"
            parts = struct.unpack(f"{self.order}{2 * count}{code}", data)
            pairs = zip(parts[::2], parts[1::2], strict=True)
            return tuple(above / below if below else float("nan") for above, below in pairs)
        return tuple(struct.unpack(f"{self.order}{count}{CODES[kind]}", data))


def dng_black(exif: Exif) -> float | None:
    """Return the mean black level [adu] that a DNG names for its mosaic; None where there is no such one.

    Phones measure it for each frame, and write fractions, which LibRaw rounds.
    """
    for tags in exif.images:
        if tags.get(262) in ((32803,), (34892,)) and not {50715, 50716} & tags.keys():
            levels = exif.numbers(50714, tags)
            if levels and all(math.isfinite(level) for level in levels):
                return sum(levels) / len(levels)
    return None


def plain_place(exif: Exif, shape: tuple[int, int]) -> int | None:
    """Return where a mosaic of `shape` lies as rows of 16-bit integers; None where it is packed."""
    for tags in exif.images:
        plain = (tags.get(259), tags.get(258), tags.get(277, (1,))) == ((1,), (16,), (1,))
        if not plain or tags.get(262) not in ((32803,), (34892,)) or 50712 in tags:
            continue
        if (_ints(tags, 257)[:1], _ints(tags, 256)[:1]) != (shape[:1], shape[1:]):
            continue
        for places, sizes in ((STRIPS, STRIP_BYTES), (TILES, TILE_BYTES)):
            parts = list(zip(_ints(tags, places), _ints(tags, sizes), strict=False))
            joined = all(a[0] + a[1] == b[0] for a, b in pairwise(parts))
            if parts and joined and sum(size for _, size in parts) == 2 * shape[0] * shape[1]:
                return parts[0][0]
    return None


def _ints(tags: Mapping[int, Value], tag: int) -> tuple[int, ...]:
    value = tags.get(tag)  # a rational may be NaN, a float infinite
    whole = isinstance(value, tuple) and all(math.isfinite(one) for one in value)
    return tuple(int(one) for one in value) if whole and isinstance(value, tuple) else ()


# ---------------------------------------------------------------------------------------- containers
def _read_jpeg(file: BinaryIO, start: int, end: int, found: Exif) -> None:
    """Read the Exif segment (APP1) of a JPEG picture."""
    at = start + 2
    for _ in range(32):
        file.seek(at)
        head = file.read(10)
        if at + 10 > end or len(head) < 10 or head[0] != 0xFF or head[1] == 0xDA:
            return
        (length,) = struct.unpack(">H", head[2:4])
        if head[1] == 0xE1 and head[4:10] == b"Exif\0\0":
            mosaic_end = found.end
            _Tiff(file, at + 10, min(at + 2 + length, end), found).read()
            found.end, found.images = mosaic_end, found.images[:1]  # the thumbnail is no mosaic
            return
        at += 2 + length


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield kind, start of the content, its end within the parent, and its end as the box says."""
    at = start
    for _ in range(256):
        file.seek(at)
        head = file.read(16)
        if at + 8 > end or len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head[:8])
        inner = at + 8
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack(">Q", head[8:16])
            inner += 8
        said = end if size == 0 else at + size
        if said < inner:
            return
        yield kind, inner, min(said, end), said
        at = said


def _read_boxes(file: BinaryIO, size: int, found: Exif) -> None:
    """Read the TIFF blocks of a CR3 file."""
    into = {b"CMT1": "main", b"CMT2": "photo", b"CMT4": "gps"}
    for kind, start, end, said in list(_boxes(file, 0, size)):
        found.end = max(found.end, said)
        if kind != b"moov":
            continue
        for inner, first, last, _ in list(_boxes(file, start, end)):
            file.seek(first)
            if inner != b"uuid" or file.read(16) != CANON:
                continue
            for name, begin, stop, _ in list(_boxes(file, first + 16, last)):
                if name in into:
                    pixels_end = found.end
                    _Tiff(file, begin, stop, found).read(into[name])
                    found.end = pixels_end
