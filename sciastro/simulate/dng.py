"""Write a sensor's mosaic as a DNG raw file, with the tags that a camera or a phone gives it.

One uncompressed strip of 16-bit integers in a little-endian TIFF with an Exif and, where a site is given,
a GPS directory. DNG specification 1.4.0.0 (Adobe, 2012): chapter 3 (TIFF tags), chapter 4 (DNG tags);
TIFF 6.0: section 2 (structure); Exif 2.31: section 4.6.5 (Exif tags, with the OffsetTime tags).
"""

import struct
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sciastro.errors import OptionError

__all__ = ["write_dng"]

ASCII, SHORT, LONG, RATIONAL, BYTE, UNDEFINED, SRATIONAL = 2, 3, 4, 5, 1, 7, 10
CODES = {BYTE: "B", SHORT: "H", LONG: "I"}
CFA, LINEAR = 32803, 34892
COLORS = {"R": 0, "G": 1, "B": 2}
SIZES = {0: 0, 4: 2, 36: 6}

Tag = tuple[int, int, Sequence[float] | str | bytes]
"""Number, type, and values (for the directories that it points to, their offset)."""


def write_dng(
    path: Path,
    mosaic: npt.NDArray[np.uint16],
    *,
    cfa: str,
    exposure: float,
    iso: float,
    time: datetime,
    focal_length: float | None = None,
    focal_length_35mm: float | None = None,
    f_number: float | None = None,
    black_level: float | Sequence[float] = 0.0,
    white_level: int = 65535,
    model: str = "Simulated Phone",
    make: str = "sciastro",
    pixel_size: float | None = None,
    orientation: int = 1,
    active_area: tuple[int, int, int, int] | None = None,
    site: tuple[float, float, float | None] | None = None,
    note: str = "",
) -> Path:
    """Write one raw frame; an existing file is replaced when the new one is whole.

    Parameters
    ----------
    mosaic
        Pixels [adu], uint16, (y, x), top row first.
    cfa
        Colors row by row: four letters (Bayer), 36 (X-Trans), or "" for a sensor without colors. They are
        those of the pixel (0, 0) of the active area, as DNG wants.
    exposure, iso
        [s], and the sensitivity.
    time
        Beginning of the exposure. With a zone, its offset is written as phones do; without one the zone
        stays unknown, as in most cameras.
    focal_length, focal_length_35mm, f_number
        [mm]; [mm] that gives the same view on 43.27 mm of diagonal; f-number.
    black_level
        [adu]; one, or four for the pixels (0, 0), (0, 1), (1, 0), (1, 1) of the active area.
    white_level
        Level [adu] of full pixels.
    pixel_size
        [um]; written as FocalPlaneXResolution, which many cameras and few phones do.
    orientation
        TIFF code of how the picture is to be turned for viewing; the pixels stay as they are.
    active_area
        Top, left, bottom, right of the pixels that see light; None all.
    site
        Latitude (north), longitude (east) [deg], height [m] or None.
    note
        Free text (ImageDescription).

    Raises
    ------
    OptionError
        If the mosaic is not uint16 with two dims, or `cfa` has a wrong length or letter.
    """
    pixels = np.ascontiguousarray(mosaic)
    if pixels.dtype != np.uint16 or pixels.ndim != 2 or pixels.size == 0:
        raise OptionError(
            f"is {pixels.dtype} {pixels.shape}.", where="mosaic", remedy="Give uint16 with two dims."
        )
    if len(cfa) not in SIZES or set(cfa) - set(COLORS):
        raise OptionError(f"is {cfa!r}.", where="cfa", remedy="Give 4 or 36 letters of R, G, B, or none.")
    exif = _exif(time, exposure, iso, focal_length, focal_length_35mm, f_number, pixel_size)
    main = [
        *_structure(pixels.shape, cfa),
        (270, ASCII, note),
        (271, ASCII, make),
        (272, ASCII, model),
        (274, SHORT, [orientation]),
        (305, ASCII, "sciastro simulate"),
        (306, ASCII, time.strftime("%Y:%m:%d %H:%M:%S")),
        (50706, BYTE, [1, 4, 0, 0]),
        (50707, BYTE, [1, 1, 0, 0]),
        (50708, ASCII, f"{make} {model}"),
        *_levels(black_level, white_level),
        (50829, LONG, active_area or (0, 0, *pixels.shape)),
    ]
    head = _file(main, exif, [] if site is None else _gps(site), pixels.nbytes)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(head)
            file.write(pixels.astype("<u2", copy=False).data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _structure(shape: tuple[int, ...], cfa: str) -> list[Tag]:
    rows, columns = shape
    tags: list[Tag] = [
        (254, LONG, [0]),
        (256, LONG, [columns]),
        (257, LONG, [rows]),
        (258, SHORT, [16]),
        (259, SHORT, [1]),
        (262, SHORT, [CFA if cfa else LINEAR]),
        (277, SHORT, [1]),
        (278, LONG, [rows]),
        (279, LONG, [2 * rows * columns]),
        (284, SHORT, [1]),
    ]
    if cfa:
        side = SIZES[len(cfa)]
        tags += [
            (33421, SHORT, [side, side]),
            (33422, BYTE, [COLORS[letter] for letter in cfa]),
            (50710, BYTE, [0, 1, 2]),
            (50711, SHORT, [1]),
            (
                50721,
                SRATIONAL,
                [1, 0, 0, 0, 1, 0, 0, 0, 1],
            ),  # camera colors = XYZ: simulated, never developed
            (50728, RATIONAL, [1, 1, 1]),
            (50778, SHORT, [21]),
        ]
    return tags


def _levels(black: float | Sequence[float], white: int) -> list[Tag]:
    levels = [float(black)] if isinstance(black, int | float) else [float(level) for level in black]
    side = 2 if len(levels) == 4 else 1
    return [(50713, SHORT, [side, side]), (50714, RATIONAL, levels), (50717, LONG, [white])]


def _exif(
    time: datetime,
    exposure: float,
    iso: float,
    focal_length: float | None,
    focal_length_35mm: float | None,
    f_number: float | None,
    pixel_size: float | None,
) -> list[Tag]:
    tags: list[Tag] = [
        (33434, RATIONAL, [exposure]),
        (34855, SHORT if iso < 65536 else LONG, [round(iso)]),
        (36864, UNDEFINED, b"0231"),
        (36867, ASCII, time.strftime("%Y:%m:%d %H:%M:%S")),
        (37521, ASCII, f"{time.microsecond // 1000:03d}"),
    ]
    if time.tzinfo is not None:
        zone = time.strftime("%z")
        tags += [(36881, ASCII, f"{zone[:3]}:{zone[3:5]}")]
    if f_number is not None:
        tags.append((33437, RATIONAL, [f_number]))
    if focal_length is not None:
        tags.append((37386, RATIONAL, [focal_length]))
    if focal_length_35mm is not None:
        tags.append((41989, SHORT, [round(focal_length_35mm)]))
    if pixel_size is not None:
        tags += [(41486, RATIONAL, [1e4 / pixel_size]), (41487, RATIONAL, [1e4 / pixel_size])]
        tags.append((41488, SHORT, [3]))  # per centimeter
    return tags


def _gps(site: tuple[float, float, float | None]) -> list[Tag]:
    latitude, longitude, height = site
    tags: list[Tag] = [
        (0, BYTE, [2, 3, 0, 0]),
        (1, ASCII, "N" if latitude >= 0 else "S"),
        (2, RATIONAL, _sexagesimal(latitude)),
        (3, ASCII, "E" if longitude >= 0 else "W"),
        (4, RATIONAL, _sexagesimal(longitude)),
    ]
    if height is not None:
        tags += [(5, BYTE, [int(height < 0)]), (6, RATIONAL, [abs(height)])]
    return tags


def _sexagesimal(angle: float) -> list[float]:
    whole = int(abs(angle))
    minutes = int(abs(angle) % 1 * 60)
    return [whole, minutes, (abs(angle) - whole - minutes / 60) * 3600]


# ---------------------------------------------------------------------------------------------- TIFF
def _file(main: list[Tag], exif: list[Tag], gps: list[Tag], size: int) -> bytes:
    """Return everything before the pixels: header, three directories and their values."""
    spare = [*main, (273, LONG, [0]), (34665, LONG, [0]), *([(34853, LONG, [0])] if gps else [])]
    where_exif = 8 + len(_directory(spare, 8))
    where_gps = where_exif + len(_directory(exif, where_exif))
    end = where_gps + (len(_directory(gps, where_gps)) if gps else 0)
    if end + size >= 1 << 32:
        raise OptionError("does not fit into a DNG file (4 GiB).", where="mosaic", remedy="Write FITS.")
    full = [*main, (273, LONG, [end]), (34665, LONG, [where_exif])]
    full += [(34853, LONG, [where_gps])] if gps else []
    parts = [struct.pack("<2sHI", b"II", 42, 8), _directory(full, 8), _directory(exif, where_exif)]
    return b"".join([*parts, _directory(gps, where_gps)] if gps else parts)


def _directory(tags: list[Tag], start: int) -> bytes:
    """Return an image file directory that lies at `start`, with the values too long for it behind."""
    entries, tail = [], b""
    after = start + 2 + 12 * len(tags) + 4
    for number, kind, values in sorted(tags, key=lambda tag: tag[0]):
        count, data = _pack(kind, values)
        if len(data) > 4:
            where = struct.pack("<I", after + len(tail))
            tail += data + b"\0" * (len(data) % 2)
        else:
            where = data.ljust(4, b"\0")
        entries.append(struct.pack("<HHI", number, kind, count) + where)
    return struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", 0) + tail


def _pack(kind: int, values: Sequence[float] | str | bytes) -> tuple[int, bytes]:
    """Return the count and the bytes of one tag's values."""
    if isinstance(values, str):
        data = values.encode("ascii", "replace") + b"\0"
        return len(data), data
    if isinstance(values, bytes):
        return len(values), values
    if kind in (RATIONAL, SRATIONAL):
        parts = [Fraction(value).limit_denominator(1_000_000) for value in values]
        code = "I" if kind == RATIONAL else "i"
        return len(parts), b"".join(
            struct.pack(f"<2{code}", part.numerator, part.denominator) for part in parts
        )
    return len(values), struct.pack(f"<{len(values)}{CODES[kind]}", *(int(value) for value in values))
