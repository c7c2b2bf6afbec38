"""Words and numbers for people: what a header says, made harmless; what a number says, made short.

Nothing here escapes HTML: the templates do that for every value (autoescape). Here control characters go,
lengths are bounded, and missing numbers become a dash.
"""

import math
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

__all__ = [
    "DASH",
    "PRIME",
    "angle",
    "clean",
    "duration",
    "get_number",
    "href",
    "indented",
    "memory",
    "number",
    "plus_minus",
    "sexagesimal",
]

DASH = "\N{EM DASH}"
PRIME = "\N{DOUBLE PRIME}"
MAX_LENGTH = 400
INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(value: object, limit: int = MAX_LENGTH) -> str:
    """Return any value as one line of visible text: control, format and private characters become blanks."""
    return "" if value is None else _short(" ".join(_visible(str(value)).split()), limit)


def indented(line: str, limit: int = 500) -> str:
    """Return one line of prepared text as `clean` does, but with its blanks (its columns) kept."""
    return _short(_visible(line).rstrip(), limit)


def _visible(text: str) -> str:
    return "".join(" " if unicodedata.category(c) in INVISIBLE else c for c in text)


def _short(line: str, limit: int) -> str:
    return line if len(line) <= limit else line[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def get_number(row: Mapping[str, Any] | None, *keys: str) -> float | None:
    """Return the finite number at ``row[key][key]...``, None where there is none."""
    value: Any = row
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def number(value: float | None, digits: int = 2, unit: str = "") -> str:
    """Return `value` with `digits` decimals and its unit; a dash where it is missing."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:.{digits}f}" if value == 0 or 1e-4 < abs(value) < 1e7 else f"{value:.{digits}e}"
    if text.startswith("-"):
        text = "\N{MINUS SIGN}" + text[1:]
    return f"{text}\N{NO-BREAK SPACE}{unit}" if unit else text


def plus_minus(value: float | None, error: float | None, digits: int = 3) -> str:
    """Return "value ± error"; only the value where the error is missing."""
    if value is None or error is None:
        return number(value, digits)
    return f"{number(value, digits)} \N{PLUS-MINUS SIGN} {number(error, digits)}"


def duration(seconds: float | None) -> str:
    """Return a length of time: "42 s", "3.5 min", "2 h 10 min"; a dash where it is missing."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 and seconds % 1 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if seconds < 600:
        return f"{seconds / 60:.1f} min"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def memory(size: float | None) -> str:
    """Return a number of bytes in MB or GB."""
    if size is None or not math.isfinite(size):
        return DASH
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def sexagesimal(ra: float | None, dec: float | None) -> str:
    """Return a sky position [deg] as "12h50m53.1s +41°07′14″"; a dash where it is missing."""
    if ra is None or dec is None or not (math.isfinite(ra) and math.isfinite(dec)):
        return DASH
    tenths = round((ra % 360) / 15 * 36000) % 864000
    seconds = round(abs(dec) * 3600)
    sign = "\N{MINUS SIGN}" if dec < 0 else "+"
    right = f"{tenths // 36000:02d}h{tenths // 600 % 60:02d}m{tenths % 600 / 10:04.1f}s"
    degrees, minutes = f"{seconds // 3600:02d}°", f"{seconds // 60 % 60:02d}\N{PRIME}"
    return f"{right} {sign}{degrees}{minutes}{seconds % 60:02d}\N{DOUBLE PRIME}"


def href(path: object) -> str:
    """Return a product's path, relative to the page, as a link that cannot leave its folder; "" if it would.

    Every character but letters, digits and ``/-_.~`` is percent-encoded, so no scheme survives; what looks
    like one (a colon in the first part) is no link at all.
    """
    text = str(path).replace("\\", "/")
    parts = text.split("/")
    if (
        not text
        or text.startswith("/")
        or ":" in parts[0]
        or ".." in parts
        or any(unicodedata.category(c) == "Cs" for c in text)
    ):
        return ""
    return quote(text, safe="/")


def angle(arcsec: float, digits: int) -> str:
    """Return an angle [arcsec] in words: in seconds of arc, above 60 of them in minutes with one digit."""
    return number(arcsec, digits) + PRIME if arcsec <= 60 else number(arcsec / 60, 1, "arcmin")
