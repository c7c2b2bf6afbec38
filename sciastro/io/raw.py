"""Read camera raw files through rawpy (LibRaw): the mosaic as integers, and what the camera tells about it.

Nothing is developed: the pixels are those of the sensor, black level included, cropped to the area that
sees light, in the order in which they are stored. The black level is a fact (BLACKLEV); masters of the same
camera hold the same level, so calibration stays exact. Pixels are decoded only to be used: headers are
enough for a probe, once the layout of a camera has been learned from one of its files.
"""

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from sciastro.errors import FileError
from sciastro.io.cards import add_card
from sciastro.io.exif import Exif, dng_black, plain_place, read_exif
from sciastro.io.exifcards import exif_header
from sciastro.io.lastframe import LastFrame
from sciastro.io.plainrows import plain_rows
from sciastro.io.probe import Pixels, Probe, RowSource

__all__ = ["SUFFIXES", "RawReader"]

SUFFIXES = (
    ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".raf", ".rw2", ".orf", ".pef", ".dng",
    ".srw", ".rwl", ".3fr", ".fff", ".iiq", ".erf", ".mrw", ".mef", ".mos", ".kdc", ".dcr",
)  # fmt: skip
LARGEST = 1 << 29
"""Pixels beyond which a size is nonsense, whatever the file says (the largest sensors have 1.5e8)."""
PERIODS = (2, 6)  # pixels after which colors repeat: Bayer, X-Trans
BLACK = 50714  # tag BlackLevel of DNG
OF_THE_LAYOUT = (256, 257, 258, 259, 262, 33421, 33422, 50712, 50713, BLACK, 50717, 50829)
"""Tags that frames of one layout share: sizes, bits, compression, colors, levels, active area."""
REMEDY = "Copy it again from the camera, or delete it."


@dataclass(frozen=True, slots=True)
class _Layout:
    """What LibRaw tells of a camera setting once it has decoded a frame.

    `plain` says that the pixels lie in the file as LibRaw gives them, proven by comparing that frame.
    """

    cfa: str
    black: tuple[float, ...]
    white: float
    plain: bool


class RawReader:
    """Camera raw: Canon, Nikon, Sony, Fuji, Panasonic, Olympus, Pentax, Adobe's DNG and more."""

    name: str = "camera raw"
    suffixes = SUFFIXES

    def __init__(self) -> None:
        self._layouts: dict[tuple[Any, ...], _Layout] = {}
        self._lock = threading.Lock()
        self._last = LastFrame()

    def probe(self, path: Path) -> list[Probe]:
        """Return the one mosaic of `path`.

        Raises
        ------
        FileError
            If rawpy is not installed, or the file is no raw file, is cut off, or holds developed colors.
        """
        with _opened(path) as raw:
            exif = read_exif(path)
            if exif.end > path.stat().st_size:
                raise FileError(
                    f"is cut off: {exif.end - path.stat().st_size} bytes of its pixels are missing.",
                    where=str(path),
                    remedy=REMEDY,
                )
            sizes = raw.sizes
            shape = (int(sizes.height), int(sizes.width))
            if not 0 < shape[0] * shape[1] <= LARGEST or min(shape) < 1:
                raise FileError(f"says it is {shape[1]} x {shape[0]} pixels.", where=str(path), remedy=REMEDY)
            layout = self._layout(raw, exif, path)
            header = exif_header(exif, shape)
            if "DATE-OBS" not in header or "EXPTIME" not in header:
                _add_from_libraw(header, raw)
        add_card(header, "BAYERPAT", layout.cfa, "Colors, row by row as stored")
        add_card(header, "ROWORDER", "TOP-DOWN")
        named = dng_black(exif)
        black = float(np.mean(layout.black)) if named is None else named
        add_card(header, "BLACKLEV", black if black > 0 else None, "[adu] zero light; not subtracted")
        add_card(header, "SATURATE", layout.white, "[adu] white level of the file")
        add_card(header, "TOPMARG", int(sizes.top_margin), "Rows cut off above the visible area")
        add_card(header, "LEFTMARG", int(sizes.left_margin), "Columns cut off left of it")
        plain = _plain(path, header, exif, sizes) if layout.plain else None
        return [plain or Probe(path=path, header=header, shape=shape, dtype=np.dtype(np.uint16))]

    def pixels(self, probe: Probe) -> Pixels:
        """Return the visible mosaic [adu], black level included."""
        if probe.offset is not None:
            return self.open_rows(probe)(0, probe.shape[0])
        return self._decode(probe)

    def _decode(self, probe: Probe) -> Pixels:
        with _opened(probe.path) as raw:
            mosaic = _visible(raw, probe.path)
            if mosaic.shape != probe.shape:
                raise FileError(
                    f"decodes to {mosaic.shape} pixels, and its header says {probe.shape}.",
                    where=str(probe.path),
                    remedy=REMEDY,
                )
            return np.array(mosaic, dtype=probe.dtype, order="C")

    def open_rows(self, probe: Probe) -> RowSource:
        """Return a function that reads bands of rows; packed frames are decoded for the first of them."""
        if probe.offset is None:
            return self._last.rows(probe, self._decode)
        return plain_rows(probe, REMEDY)

    def _layout(self, raw: Any, exif: Exif, path: Path) -> _Layout:
        """Return colors and levels; frames of one camera at one setting share them."""
        changing = set() if dng_black(exif) is None else {BLACK}
        images = tuple(
            tuple((tag, image.get(tag)) for tag in OF_THE_LAYOUT if tag not in changing)
            for image in exif.images
        )
        known = exif.text(271), exif.text(272), exif.number(34855), raw.sizes, images
        with self._lock:
            layout = self._layouts.get(known) if exif.text(272) else None
        if layout is None:
            mosaic = _visible(raw, path)
            layout = _Layout(
                _pattern(raw, mosaic.shape, path),
                tuple(float(level) for level in raw.black_level_per_channel),
                _white(raw),
                _is_plain(mosaic, path, exif, raw.sizes),
            )
            with self._lock:
                self._layouts[known] = layout
        return layout


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file with rawpy; what goes wrong inside becomes a `FileError`."""
    try:
        rawpy = importlib.import_module("rawpy")
    except ImportError as error:
        raise FileError(
            "is a camera raw file, and rawpy, which reads them, is not installed.",
            where=str(path),
            remedy='Install it: pip install "sciastro[raw]".',
        ) from error
    try:
        if path.stat().st_size == 0:
            raise FileError("is empty.", where=str(path), remedy="Copy it again, or delete it.")
        with rawpy.imread(str(path)) as raw:
            yield raw
    except FileNotFoundError as error:
        raise FileError("does not exist.", where=str(path), remedy="Check the path.") from error
    except OSError as error:
        raise FileError(f"cannot be read: {error}.", where=str(path), remedy=REMEDY) from error
    except rawpy.LibRawFileUnsupportedError as error:
        raise FileError(
            "is no camera raw file that LibRaw can read (another camera or compression, or damaged).",
            where=str(path),
            remedy="Convert it to DNG (not linear), update rawpy, or copy it again.",
        ) from error
    except (
        rawpy.LibRawError, rawpy.NotSupportedError, RuntimeError, ValueError, OverflowError, MemoryError,
    ) as error:  # fmt: skip
        said = error.args[0] if error.args else error
        said = said.decode(errors="replace") if isinstance(said, bytes) else said
        raise FileError(
            f"is no whole camera raw file: it cannot be decoded ({said}).", where=str(path), remedy=REMEDY
        ) from error


def _visible(raw: Any, path: Path) -> Pixels:
    """Return a view of the visible mosaic; it dies with `raw`."""
    mosaic: Pixels = raw.raw_image_visible
    if mosaic.ndim == 2:
        return mosaic
    raise FileError(
        f"holds {mosaic.shape[2]} colors per pixel: it is developed already (linear DNG or layered sensor).",
        where=str(path),
        remedy="Give the raw frame that it was made from.",
    )


def _plain(path: Path, header: fits.Header, exif: Exif, sizes: Any) -> Probe | None:
    """Return where the visible pixels of an unpacked mosaic lie, None where it is packed."""
    start = plain_place(exif, (int(sizes.raw_height), int(sizes.raw_width)))
    if start is None:
        return None
    width = int(sizes.raw_width)
    return Probe(
        path=path, header=header, shape=(int(sizes.height), int(sizes.width)), dtype=np.dtype(np.uint16),
        offset=start + 2 * (int(sizes.top_margin) * width + int(sizes.left_margin)),
        stored=np.dtype(f"{exif.order}u2"), row_bytes=2 * width,
    )  # fmt: skip


def _is_plain(mosaic: Pixels, path: Path, exif: Exif, sizes: Any) -> bool:
    """Return whether reading the file's bytes gives what LibRaw has decoded."""
    probe = _plain(path, fits.Header(), exif, sizes)
    return probe is not None and np.array_equal(plain_rows(probe, REMEDY)(0, probe.shape[0]), mosaic)


def _pattern(raw: Any, shape: tuple[int, ...], path: Path) -> str:
    """Return the colors of the visible pixels row by row: 4 letters, 36, or "" for a sensor without."""
    if raw.num_colors == 1:
        return ""
    names = raw.color_desc.decode("ascii", "replace")
    colors = raw.raw_colors_visible
    for period in PERIODS:
        cell = colors[:period, :period]
        if cell.shape == (period, period) and np.array_equal(
            np.tile(cell, (4, 4))[: 4 * period, : 4 * period][: shape[0], : shape[1]],
            colors[: 4 * period, : 4 * period],
        ):
            text = "".join(names[number] if number < len(names) else "?" for number in cell.ravel())
            if not set(text) - set("RGB"):
                return text
            raise FileError(
                f"has pixels of the colors {text}; only red, green and blue are understood.",
                where=str(path),
                remedy="Leave the frame out.",
            )
    raise FileError(
        "has a color filter array that repeats neither after 2 nor after 6 pixels.",
        where=str(path),
        remedy="Leave the frame out.",
    )


def _white(raw: Any) -> float:
    levels = [level for level in (raw.camera_white_level_per_channel or []) if level > 0]
    return float(min([*levels, raw.white_level]))


def _add_from_libraw(header: fits.Header, raw: Any) -> None:
    """Add what LibRaw read of the tags, where our own reading found no time or exposure."""
    other = raw.other
    if "EXPTIME" not in header and other.shutter_speed > 0:
        add_card(header, "EXPTIME", float(other.shutter_speed), "[s]")
    if "ISO" not in header and other.iso_speed > 0:
        add_card(header, "ISO", float(other.iso_speed), "Sensitivity: the gain setting")
    if "FOCALLEN" not in header and other.focal_length > 0:
        add_card(header, "FOCALLEN", round(float(other.focal_length), 3), "[mm]")
    if "DATE-OBS" not in header and other.timestamp is not None and other.timestamp.year > 1990:
        clock = other.timestamp.isoformat(timespec="seconds")
        add_card(header, "DATE-LOC", clock, "Start, clock of the camera")
        add_card(header, "DATE-OBS", clock, "Start, clock of the camera")
        add_card(header, "TIMESYS", "LOCAL", "No tag tells the time zone")
