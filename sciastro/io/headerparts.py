"""The parts of a header that take more than one card: site, pointing, scale, colors, pedestal."""

import math
import re
from dataclasses import dataclass, field
from typing import Any

from astropy.io import fits

from sciastro.core.wcs import celestial_from_header, center, pixel_scale
from sciastro.io.cards import Cards, parse_angle, squash
from sciastro.io.dialects import Traits, dialects

__all__ = [
    "Notes",
    "bayer_pattern",
    "read_cfa",
    "read_pedestal",
    "read_pointing",
    "read_scale",
    "read_site",
    "read_wcs",
]

ARCSEC_PER_RADIAN = 206264.806
SCALE_RANGE = (0.01, 3600.0)
"""Pixel scales [arcsec / pixel] that make sense; outside, the WCS or the card is a placeholder."""


@dataclass(slots=True)
class Notes:
    """Collects, while a header is read, where facts came from and what did not fit."""

    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def add(self, problem: str) -> None:
        """Note a problem."""
        self.problems.append(problem)

    def unique(self) -> tuple[str, ...]:
        """Return the problems, each once, in order."""
        return tuple(dict.fromkeys(self.problems))


def _words(fact: str) -> list[str]:
    return [word.key for word in dialects().keywords[fact]]


# --------------------------------------------------------------------------------------------- site
def read_site(cards: Cards, notes: Notes, traits: Traits) -> tuple[float, float, float | None] | None:
    """Return latitude (north), longitude (east) [deg] and height [m]; None where one angle is unknown."""
    latitude = _site_angle(cards, notes, "latitude", 90.0)
    longitude = _site_angle(cards, notes, "longitude", 360.0)
    if latitude is None or longitude is None:
        return _geocentric(cards, notes)
    if latitude[0] == 0 and longitude[0] == 0:
        return None
    notes.origins["site"] = f"{latitude[1]}, {longitude[1]}"
    east = longitude[0]
    if traits.longitude == "west" and east > 0:
        east = -east
        notes.origins["site"] += f" (west positive in files of {traits.program})"
    east = (east + 180) % 360 - 180
    height = next((cards.number(key) for key in _words("height") if cards.number(key) is not None), None)
    return latitude[0], east, height


def _site_angle(cards: Cards, notes: Notes, fact: str, limit: float) -> tuple[float, str] | None:
    for key in _words(fact):
        text = cards.text(key)
        if not text:
            continue
        parsed = parse_angle(text)
        if parsed is None or abs(parsed[0]) > limit:
            notes.add(f"{key} = '{text}' is no {fact}")
            continue
        return parsed[0], key
    return None


def _geocentric(cards: Cards, notes: Notes) -> tuple[float, float, float | None] | None:
    xyz = [cards.number(f"OBSGEO-{axis}") for axis in "XYZ"]
    if any(value is None for value in xyz) or not math.isclose(
        math.sqrt(sum((value or 0.0) ** 2 for value in xyz)), 6.37e6, rel_tol=0.01
    ):
        return None
    from astropy import units as u
    from astropy.coordinates import EarthLocation

    place = EarthLocation.from_geocentric(*xyz, unit=u.m).geodetic
    notes.origins["site"] = "OBSGEO-X, OBSGEO-Y, OBSGEO-Z"
    return float(place.lat.deg), float(place.lon.deg), float(place.height.value)


# ----------------------------------------------------------------------------------------- pointing
def read_pointing(cards: Cards, notes: Notes) -> tuple[float, float] | None:
    """Return RA and Dec [deg] of the telescope, None where the header does not say (or says exactly 0, 0)."""
    for entry in dialects().table["pointing"]:
        if not (cards.text(entry["ra"]) and cards.text(entry["dec"])):
            continue
        if "needs" in entry and not cards.text(entry["needs"][0]).startswith(entry["needs"][1]):
            continue
        where = f"{entry['ra']}, {entry['dec']}"
        ra, dec = parse_angle(cards.text(entry["ra"])), parse_angle(cards.text(entry["dec"]))
        if ra is None or dec is None:
            notes.add(
                f"{where} = '{cards.text(entry['ra'])}', '{cards.text(entry['dec'])}' are no coordinates"
            )
            continue
        degrees = ra[0] * _ra_factor(cards, entry, ra)
        if ra[0] == 0 and dec[0] == 0:
            notes.add(f"{where} are exactly zero, so the mount was not connected")
            continue
        if not (-1e-6 <= degrees < 360.0001 and abs(dec[0]) <= 90):
            notes.add(f"{where} = {ra[0]:g}, {dec[0]:g} is not on the sky")
            continue
        notes.origins["pointing"] = where
        return degrees % 360, dec[0]
    return None


def _ra_factor(cards: Cards, entry: dict[str, Any], ra: tuple[float, bool]) -> float:
    """Return degrees per unit of RA: sexagesimal is hours, numbers as comment or table say."""
    if ra[1]:
        return 15.0
    comment = cards.comment(entry["ra"])
    for unit in dialects().table["unit_by_comment"]:
        if unit["fact"] == "ra" and any(text in comment for text in unit["contains"]):
            return float(unit["factor"])
    return 15.0 if entry["number"] == "hour" and abs(ra[0]) < 24 and "deg" not in comment else 1.0


def read_wcs(
    header: fits.Header, cards: Cards, notes: Notes, shape: tuple[int, int]
) -> tuple[tuple[float, float] | None, float | None]:
    """Return center [deg] and scale [arcsec / pixel] of a usable celestial WCS, or None twice."""
    scaled = any(cards.number(key) for key in ("CD1_1", "CD1_2", "CDELT1"))
    if not scaled or not cards.text("CTYPE1") or cards.number("CRVAL1") is None:
        return None, None
    if cards.text("CTYPE1").startswith("LAG"):  # the noise plane of our products: lags, no sky
        return None, None
    lean = header
    if isinstance(cards.value("CRVAL1"), str):  # PixInsight's text values
        lean = _numeric_wcs(cards)
    elif (cards.number("NAXIS") or 2) > 2:  # one plane of a cube
        lean = header.copy()
        lean["NAXIS"] = 2
        for axis in range(3, 10):
            lean.remove(f"NAXIS{axis}", ignore_missing=True)
    wcs = celestial_from_header(lean)
    if wcs is None:
        notes.add(f"has a WCS ({cards.text('CTYPE1')}) that cannot be used")
        return None, None
    scale = pixel_scale(wcs)
    if not SCALE_RANGE[0] <= scale <= SCALE_RANGE[1]:
        notes.add(f"has a WCS with {scale:.3g} arcsec per pixel; it is ignored")
        return None, None
    try:
        ra, dec = center(wcs, shape)
    except (ValueError, RuntimeError):  # astropy's NoConvergence is a RuntimeError
        notes.add("has a WCS that cannot be evaluated at the image center")
        return None, None
    if not (math.isfinite(ra) and math.isfinite(dec)):
        notes.add("has a WCS that gives no sky position at the image center")
        return None, None
    notes.origins["pointing"] = "WCS"
    return (ra, dec), scale


def _numeric_wcs(cards: Cards) -> fits.Header:
    header = fits.Header()
    for axis in (1, 2):
        header[f"CTYPE{axis}"] = cards.text(f"CTYPE{axis}")
        names = [f"CRPIX{axis}", f"CRVAL{axis}", f"CD{axis}_1", f"CD{axis}_2", f"CDELT{axis}"]
        for key in names:
            number = cards.number(key)
            if number is not None and not (key.startswith("CDELT") and "CD1_1" in cards):
                header[key] = number
    return header


def read_scale(
    cards: Cards, notes: Notes, binning: tuple[int, int], wcs_scale: float | None
) -> tuple[float | None, float | None, float | None]:
    """Return pixel size [um, binned], focal length [mm] and scale [arcsec / pixel]."""
    pixel = _positive(cards, "pixel_size", 0.5, 200.0)
    if pixel is None:
        bare = _positive(cards, "pixel_size_unbinned", 0.5, 200.0)
        pixel = None if bare is None else bare * binning[0]
    focal = _positive(cards, "focal_length", 0.5, 1e5)
    if focal is not None and any("[m]" in cards.comment(key) for key in _words("focal_length")):
        focal *= 1000.0
    if wcs_scale is not None:
        notes.origins["scale"] = "WCS"
        return pixel, focal, wcs_scale
    if pixel is not None and focal is not None:
        derived = ARCSEC_PER_RADIAN * pixel * 1e-3 / focal
        if SCALE_RANGE[0] <= derived <= SCALE_RANGE[1]:
            notes.origins["scale"] = "pixel size and focal length"
            return pixel, focal, derived
    for key in _words("scale"):
        value = cards.number(key)
        if value is not None and SCALE_RANGE[0] <= value <= SCALE_RANGE[1]:
            notes.origins["scale"] = key
            return pixel, focal, value
    return pixel, focal, None


def _positive(cards: Cards, fact: str, low: float, high: float) -> float | None:
    values = [cards.number(key) for key in _words(fact)]
    return next((value for value in values if value is not None and low <= value <= high), None)


# ------------------------------------------------------------------------------------------- colors
def read_cfa(
    cards: Cards, notes: Notes, shape: tuple[int, int], kind: str, instrument: str, otherwise: str = ""
) -> tuple[str, str]:
    """Return the colors as stored ("" for mono) and the order of rows; `dialects.toml` explains.

    `otherwise` are the stored colors of frames that name none.
    """
    order = _row_order(cards, notes)
    if kind == "master-light":
        return "", order
    key = cards.first(_words("cfa"))
    if not key and bayer_pattern(cards.text("FILTER")):
        key = "FILTER"
    text = bayer_pattern(cards.text(key))
    if key and squash(cards.text(key)) in dialects().table["cfa"]["mono"]:
        return "", order
    if key:
        origin = key
    elif otherwise:
        notes.origins["cfa"] = "option"
        return otherwise, order
    else:
        table = dialects().table["color_camera"]
        entry = next((e for e in table if re.search(e["instrument"], instrument, re.IGNORECASE)), None)
        if entry is None:
            return "", order
        text, origin = str(entry["cfa"]), "camera table"
        notes.add(f"names no Bayer pattern; {text} is assumed, as cameras of this model ({instrument}) have")
    if not text:
        notes.add(f"{key} = '{cards.text(key)}' is no Bayer pattern; the frame is taken as mono")
        return "", order
    notes.origins["cfa"] = origin
    return _stored_pattern(cards, text, order, shape[0]), order


def bayer_pattern(text: str) -> str:
    """Return the color filter array that `text` spells row by row, "" where it is none.

    Four letters are a Bayer pattern ("RG/GB" is "RGGB"), 36 one of six rows of six (X-Trans).
    """
    letters = squash(text).upper()
    if len(letters) == 36 and set(letters) == set("RGB"):
        return letters
    return letters if letters in {"RGGB", "BGGR", "GRBG", "GBRG"} else ""


def _row_order(cards: Cards, notes: Notes) -> str:
    table = dialects().table["row_order"]
    key = cards.first(_words("row_order"))
    word = squash(cards.text(key))
    if word in table["top_down"]:
        return "TOP-DOWN"
    if word in table["bottom_up"]:
        return "BOTTOM-UP"
    if word:
        notes.add(f"{key} = '{cards.text(key)}' is no order of rows")
    return ""


def _stored_pattern(cards: Cards, pattern: str, order: str, rows: int) -> str:
    """Return the colors of the stored pixels row by row: (0, 0), (0, 1), ...

    Stored (y, x) has the color of the pattern's row ``y + YBAYROFF`` (in BOTTOM-UP files
    ``rows - 1 - y + YBAYROFF``) and column ``x + XBAYROFF``, modulo its period of 2 or 6.
    """
    period = math.isqrt(len(pattern))
    dx = int(next((cards.number(key) for key in _words("cfa_x") if cards.number(key) is not None), 0) or 0)
    dy = int(next((cards.number(key) for key in _words("cfa_y") if cards.number(key) is not None), 0) or 0)
    colors = []
    for y in range(period):
        top = rows - 1 - y if order == "BOTTOM-UP" else y
        row = period * ((top + dy) % period)
        colors += [pattern[row + (x + dx) % period] for x in range(period)]
    return "".join(colors)


# ----------------------------------------------------------------------------------------- pedestal
def read_pedestal(cards: Cards, notes: Notes, traits: Traits) -> float:
    """Return the level [adu] to be subtracted.

    SBFITSEXT (MaxIm DL, TheSky): "add this value to get zero-based pixels", so -500 stands for a level of
    +500. PixInsight: the level itself. Where no table decides, a negative value is of the first kind.
    """
    key = cards.first(_words("pedestal"))
    value = cards.number(key) if key else None
    if not value:
        return 0.0
    convention = traits.pedestal
    if not convention and (cards.text("SBSTDVER") or "to add" in cards.comment(key)):
        convention = "add"
    notes.origins["pedestal"] = key
    if value < 0 or convention == "add":
        return -value
    if not convention:
        notes.add(f"{key} = {value:g}, without a word on its sign; it is taken as a level to subtract")
    return value
