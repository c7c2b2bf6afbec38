"""Read SER videos: every frame of one is a frame of the session.

SER format description version 3 (Heiko Wilkens, Grischa Hahn, 2014): a header of 178 bytes, the frames, and
behind them, where the recorder wrote them, one time stamp per frame in units of 100 ns since the year 1.
Two traps: recorders disagree on what the byte-order flag means, so the pixels themselves decide where they
can; and there is no place for the exposure time, which stands in a text file beside the video, if anywhere.
"""

import struct
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from sciastro.errors import FileError
from sciastro.io.cards import add_card
from sciastro.io.plainrows import plain_rows
from sciastro.io.probe import Pixels, Probe, RowSource, stamp_of
from sciastro.io.sidecars import capture_settings

__all__ = ["SerReader"]

HEAD = 178  # bytes before the first frame
MARK = b"LUCAM-RECORDER"
COLORS = {0: "", 8: "RGGB", 9: "GRBG", 10: "GBRG", 11: "BGGR"}
COMPLEMENTS = {16: "CYYM", 17: "YCMY", 18: "YMCY", 19: "MYYC"}
MOST_FRAMES, LARGEST = 200_000, 1 << 29  # frames (each takes some kB as a header), pixels
EPOCH = datetime(1, 1, 1, tzinfo=UTC)
FIRST_YEAR, LAST_YEAR = 1980, 2200  # of times that are believed
SAMPLED_ROWS = 64  # in the middle of the first frame, that tell the byte order
CLEARLY = 1.5
"""Factor in roughness by which one byte order must beat the other to be believed."""
COPY = "Copy it again from the computer that recorded it."


@dataclass(frozen=True, slots=True)
class _Head:
    color: int
    flag: int
    width: int
    height: int
    depth: int
    count: int
    texts: tuple[str, str, str]
    local: int
    utc: int

    @property
    def itemsize(self) -> int:
        return 2 if self.depth > 8 else 1

    @property
    def frame_bytes(self) -> int:
        return self.width * self.height * self.itemsize


class SerReader:
    """SER videos, monochrome or with a Bayer mosaic, 8 to 16 bits."""

    name: str = "SER"
    suffixes = (".ser",)

    def probe(self, path: Path) -> list[Probe]:
        """Return every frame of the video, in order, without reading their pixels.

        Raises
        ------
        FileError
            If the file is no SER video, is cut off, or holds developed colors.
        """
        try:
            return list(_probes(path, *stamp_of(path)))
        except FileNotFoundError as error:
            raise FileError("does not exist.", where=str(path), remedy="Check the path.") from error
        except OSError as error:
            raise FileError(f"cannot be read: {error}.", where=str(path), remedy=COPY) from error

    def pixels(self, probe: Probe) -> Pixels:
        """Return all rows of one frame."""
        return self.open_rows(probe)(0, probe.shape[0])

    def open_rows(self, probe: Probe) -> RowSource:
        """Return a function that reads bands of rows of one frame; it keeps no file open."""
        return plain_rows(probe, COPY)


@lru_cache(maxsize=16)
def _probes(path: Path, size: int, changed: int) -> tuple[Probe, ...]:
    """Return the frames; kept, since each of them is asked for by its own (`changed` tells a new file)."""
    with path.open("rb") as file:
        head = _head(file.read(HEAD), path, size)
        end = HEAD + head.count * head.frame_bytes
        file.seek(end)
        trailer = file.read(8 * head.count)
        order, top = _byte_order(file, head)
    stamps = _stamps(trailer, head)
    common = _common_cards(head, path, stamps, top)
    stored: np.dtype[Any] = np.dtype(f"{order}u{head.itemsize}")
    first = Probe(
        path=path, header=common, shape=(head.height, head.width), dtype=stored.newbyteorder("="),
        offset=HEAD, stored=stored, sequence=head.count > 1,
    )  # fmt: skip
    made = []
    for number in range(head.count):
        header = common.copy()
        if stamps:
            add_card(header, "DATE-OBS", _text(stamps[number]), "Time stamp of the frame, UTC")
        made.append(replace(first, header=header, hdu=number, offset=HEAD + number * head.frame_bytes))
    return tuple(made)


def _head(raw: bytes, path: Path, size: int) -> _Head:
    if size == 0:
        raise FileError("is empty.", where=str(path), remedy="Copy it again, or delete it.")
    if not raw.startswith(MARK) or len(raw) < HEAD:
        raise FileError(
            "is not a SER video, whatever its name says.",
            where=str(path),
            remedy="Delete it, or rename it to what it is.",
        )
    _, color, flag, width, height, depth, count = struct.unpack_from("<7i", raw, 14)
    texts = [raw[at : at + 40].split(b"\0")[0].decode("ascii", "replace").strip() for at in (42, 82, 122)]
    local, utc = struct.unpack_from("<2q", raw, 162)
    head = _Head(color, flag, width, height, depth, count, (texts[0], texts[1], texts[2]), local, utc)
    if color in (100, 101):
        raise FileError(
            "holds developed colors (RGB), not the pixels of a sensor.",
            where=str(path),
            remedy="Record RAW or mono video.",
        )
    if color in COMPLEMENTS or color not in COLORS:
        raise FileError(
            f"has pixels of the colors {COMPLEMENTS.get(color, f'number {color}')}; only mono and mosaics of "
            "red, green and blue are understood.",
            where=str(path),
            remedy="Leave the video out.",
        )
    if not (0 < width * height <= LARGEST and min(width, height) > 0 and 1 <= depth <= 16):
        raise FileError(
            f"says it is {width} x {height} pixels of {depth} bits.", where=str(path), remedy=COPY
        )
    if not 0 < count <= MOST_FRAMES:
        raise FileError(f"says that it holds {count} frames.", where=str(path), remedy=COPY)
    whole = (size - HEAD) // head.frame_bytes
    if whole < count:
        raise FileError(
            f"is cut off: {whole} of its {count} frames are whole.",
            where=str(path),
            remedy=f"{COPY} A recording that broke off can be mended by its recorder or by a SER editor.",
        )
    return head


def _byte_order(file: Any, head: _Head) -> tuple[str, int]:
    """Return the byte order of 16-bit pixels and the largest value of the first frame's middle rows.

    The flag is called LittleEndian, but many recorders write 0 for little-endian data. The wrong order makes
    noise of the low bytes: where one order gives a much smoother picture, or the other gives values beyond
    the depth that the header names, that decides; else 0 means little-endian, as most recorders have it.
    """
    rows = min(SAMPLED_ROWS, head.height)
    file.seek(HEAD + (head.height - rows) // 2 * head.width * head.itemsize)
    data = file.read(rows * head.width * head.itemsize)
    if head.itemsize == 1:
        return "<", int(np.frombuffer(data, np.uint8).max(initial=0))
    little = np.frombuffer(data, "<u2").reshape(rows, head.width).astype(np.int64)
    big = little.astype(np.uint16).byteswap().astype(np.int64)
    largest, roughness = [int(one.max()) for one in (little, big)], [_roughness(one) for one in (little, big)]
    fits_depth = [value < 1 << head.depth for value in largest]
    if fits_depth[0] != fits_depth[1]:
        choice = 0 if fits_depth[0] else 1
    elif max(roughness) > CLEARLY * min(roughness):
        choice = int(np.argmin(roughness))
    else:
        choice = 1 if head.flag else 0
    return "<>"[choice], largest[choice]


def _roughness(rows: Any) -> float:
    """Return the mean step between pixels of the same color, of the level."""
    if rows.shape[1] < 4:
        return 1.0
    return float(np.abs(rows[:, 2:] - rows[:, :-2]).mean() / max(float(rows.mean()), 1.0)) + 1e-9


def _stamps(trailer: bytes, head: _Head) -> list[datetime]:
    """Return the time stamps; [] where there are none, or none that make sense."""
    if len(trailer) < 8 * head.count:
        return []
    ticks = np.frombuffer(trailer, "<i8", head.count)
    low, high = (datetime(year, 1, 1, tzinfo=UTC) for year in (FIRST_YEAR, LAST_YEAR))
    limits = [int((limit - EPOCH).total_seconds()) * 10**7 for limit in (low, high)]
    if ticks.min() < limits[0] or ticks.max() > limits[1]:
        return []
    return [EPOCH + timedelta(microseconds=int(tick) // 10) for tick in ticks]


def _text(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")


def _common_cards(head: _Head, path: Path, stamps: list[datetime], top: int) -> fits.Header:
    header = capture_settings(path)
    for key, text, comment in zip(
        ("OBSERVER", "INSTRUME", "TELESCOP"), head.texts, ("", "Camera", "Telescope"), strict=True
    ):
        if key not in header:
            add_card(header, key, text.encode("ascii", "replace").decode(), comment)
    if "EXPTIME" not in header and len(stamps) > 2:
        steps = sorted((b - a).total_seconds() for a, b in pairwise(stamps))
        step = steps[len(steps) // 2]
        if step > 0:
            add_card(header, "FRAMSTEP", step, "[s] from frame to frame: the exposure is not longer")
    start = EPOCH + timedelta(microseconds=head.utc // 10) if 0 < head.utc < 7 * 10**17 else None
    if not stamps and start is not None and FIRST_YEAR <= start.year < LAST_YEAR:
        add_card(header, "DATE-OBS", _text(start), "Start of the recording, UTC")
    add_card(header, "BAYERPAT", COLORS[head.color], "Colors, row by row as stored")
    add_card(header, "ROWORDER", "TOP-DOWN")
    full = (1 << head.depth) - 1
    if top > full:  # bits moved to the upper end of 16
        full = 65535
    add_card(header, "SATURATE", float(full), "[adu] of the bits that are used")
    return header
