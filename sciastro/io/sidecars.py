"""Text files that capture programs write beside a video: what SharpCap and FireCapture say of its frames.

SharpCap: ``clip.CameraSettings.txt`` with lines ``Exposure=10.0000ms``. FireCapture: ``clip.txt`` with lines
``Shutter=10.00ms``. Names and units vary with the version; a line that is not understood is passed over.
"""

import re
from pathlib import Path

from astropy.io import fits

from sciastro.io.cards import add_card, clean, parse_number, squash

__all__ = ["capture_settings"]

LARGEST = 1 << 20
ENDS = (".CameraSettings.txt", ".txt", "_settings.txt")
LINE = re.compile(r"^\s*([^=:\[]{1,40}?)\s*[=:]\s*(.{0,200}?)\s*$")
SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6}
NUMBER = re.compile(r"^([+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?)\s*([a-zA-Zµμ]*)")
NAMES = {
    "gain": ("GAIN", "The camera's setting"),
    "offset": ("OFFSET", "The camera's setting"),
    "blacklevel": ("OFFSET", "The camera's setting"),
    "brightness": ("OFFSET", "The camera's setting"),
    "temperature": ("CCD-TEMP", "[deg C]"),
    "sensortemp": ("CCD-TEMP", "[deg C]"),
    "sensortemperature": ("CCD-TEMP", "[deg C]"),
    "focallength": ("FOCALLEN", "[mm]"),
    "filter": ("FILTER", ""),
    "camera": ("INSTRUME", "Camera"),
    "profile": ("OBJECT", ""),
    "object": ("OBJECT", ""),
}
TEXTS = ("FILTER", "INSTRUME", "OBJECT")


def capture_settings(path: Path) -> fits.Header:
    """Return what the settings file beside the video `path` says, as cards; empty where there is none."""
    header = fits.Header()
    for end in ENDS:
        beside = path.with_name(path.stem + end)
        try:
            if not beside.is_file() or beside.stat().st_size > LARGEST:
                continue
            text = beside.read_bytes().decode("utf-8", "replace")
        except OSError:  # a note that cannot be read is no reason to leave the video out
            continue
        for line in text.splitlines()[:2000]:
            _add(header, line)
        if len(header):
            add_card(header, "SWCREATE", "FireCapture" if "firecapture" in text.casefold() else "SharpCap")
            return header
    return header


def _add(header: fits.Header, line: str) -> None:
    match = LINE.match(line)
    if match is None:
        return
    name, value = squash(match[1]), match[2]
    if name in ("exposure", "shutter", "exposurems", "exposures"):
        seconds = _seconds(value, "ms" if name == "exposurems" else "s")
        if seconds is not None and seconds > 0 and "EXPTIME" not in header:
            add_card(header, "EXPTIME", seconds, "[s]")
        return
    key, comment = NAMES.get(name, ("", ""))
    if not key or key in header:
        return
    if key in TEXTS:
        add_card(header, key, clean(value.encode("ascii", "replace").decode()), comment)
        return
    found = NUMBER.match(value)
    if found is not None:
        add_card(header, key, parse_number(found[1]), comment)


def _seconds(text: str, unit: str) -> float | None:
    match = NUMBER.match(text)
    number = parse_number(match[1]) if match is not None else None
    factor = SECONDS.get((match[2] or unit).casefold()) if match is not None else None
    return None if number is None or factor is None else number * factor
