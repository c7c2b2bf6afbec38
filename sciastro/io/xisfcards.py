"""What the header of an XISF file says, as FITS cards: keywords, properties, colors, coordinates."""

import math
import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from astropy.io import fits

from sciastro.io.cards import add_card, clean, parse_number

__all__ = ["PROPERTIES", "flip_wcs", "header_of"]

KEYWORD = re.compile(r"^[A-Z0-9_-]{1,8}$")
STRUCTURE = re.compile(
    r"^(SIMPLE|BITPIX|NAXIS\d*|EXTEND|BZERO|BSCALE|BLANK|PCOUNT|GCOUNT|XTENSION|CHECKSUM|DATASUM|END|ROWORDER)$"
)
MOST_KEYWORDS = 5000
PROPERTIES = {
    "Instrument:ExposureTime": ("EXPTIME", 1.0),
    "Instrument:Camera:Name": ("INSTRUME", ""),
    "Instrument:Camera:ISOSpeed": ("ISO", 1.0),
    "Instrument:Camera:Gain": ("EGAIN", 1.0),
    "Instrument:Camera:ReadoutNoise": ("RDNOISE", 1.0),
    "Instrument:Camera:XBinning": ("XBINNING", 1.0),
    "Instrument:Camera:YBinning": ("YBINNING", 1.0),
    "Instrument:Sensor:Temperature": ("CCD-TEMP", 1.0),
    "Instrument:Sensor:TargetTemperature": ("SET-TEMP", 1.0),
    "Instrument:Sensor:XPixelSize": ("XPIXSZ", 1.0),
    "Instrument:Telescope:Name": ("TELESCOP", ""),
    "Instrument:Telescope:FocalLength": ("FOCALLEN", 1000.0),
    "Instrument:Telescope:Aperture": ("APTDIA", 1000.0),
    "Instrument:Filter:Name": ("FILTER", ""),
    "Observation:Object:Name": ("OBJECT", ""),
    "Observation:Time:Start": ("DATE-OBS", ""),
    "Observation:Time:End": ("DATE-END", ""),
    "Observation:Center:RA": ("RA", 1.0),
    "Observation:Center:Dec": ("DEC", 1.0),
    "Observation:Location:Latitude": ("SITELAT", 1.0),
    "Observation:Location:Longitude": ("SITELONG", 1.0),
    "Observation:Location:Elevation": ("SITEELEV", 1.0),
    "XISF:CreatorApplication": ("SWCREATE", ""),
}
"""Properties of section 12 of the specification, the card that says the same, and the factor to its unit."""


def header_of(
    element: ET.Element, program: Sequence[ET.Element], shape: tuple[int, int], attributes: dict[str, str]
) -> fits.Header:
    """Return the cards of one image.

    Parameters
    ----------
    element
        Its ``Image`` element.
    program
        The ``Metadata`` elements of the file.
    shape
        Rows and columns.
    attributes
        Of the element.
    """
    header = fits.Header()
    header["NAXIS1"], header["NAXIS2"] = shape[1], shape[0]
    for keyword in [child for child in element if child.tag.endswith("FITSKeyword")][:MOST_KEYWORDS]:
        _add_keyword(header, keyword)
    flip_wcs(header, shape[0])
    for parent in (element, *program):
        for child in parent:
            if child.tag.endswith("Property"):
                _add_property(header, child)
    if "imageType" in attributes and "IMAGETYP" not in header:
        add_card(header, "IMAGETYP", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", attributes["imageType"]))
    for child in element:
        if child.tag.endswith("ColorFilterArray"):
            pattern = child.get("pattern", "").upper()
            if len(pattern) in (4, 36):
                header["BAYERPAT"] = pattern
                header.remove("XBAYROFF", ignore_missing=True)
                header.remove("YBAYROFF", ignore_missing=True)
    header["ROWORDER"] = "TOP-DOWN"
    return header


def _add_keyword(header: fits.Header, keyword: ET.Element) -> None:
    """Add a FITSKeyword; what is no keyword of FITS is left out."""
    name = keyword.get("name", "").strip().upper()
    value, comment = keyword.get("value", "").strip(), _ascii(keyword.get("comment", ""))
    if not KEYWORD.match(name) or STRUCTURE.match(name):
        return
    if name in ("COMMENT", "HISTORY"):
        text = keyword.get("comment", "") or value  # not squeezed: a line may go on in the next one
        printable = "".join(char if " " <= char <= "~" else "?" for char in text)
        header.append(fits.Card(name, printable[:72]), end=True)
        return
    add_card(header, name, _value(value), comment)


def _value(text: str) -> str | float | int | bool | None:
    if text.startswith("'"):
        return _ascii(text.strip("'").replace("''", "'")).rstrip()
    if text in ("T", "F"):
        return text == "T"
    number = parse_number(text)
    if number is None or not re.fullmatch(r"[-+0-9.eEdD]+", text):
        return _ascii(text)
    return int(number) if re.fullmatch(r"[-+]?\d{1,18}", text) else number


def _ascii(text: str) -> str:
    return clean(text.encode("ascii", "replace").decode())


def _add_property(header: fits.Header, element: ET.Element) -> None:
    """Add what a property says where no keyword has said it."""
    key, factor = PROPERTIES.get(element.get("id", ""), ("", ""))
    if not key or key in header:
        return
    text = (element.get("value") or element.text or "").strip()
    if isinstance(factor, float):
        number = parse_number(text)
        if number is not None and math.isfinite(number * factor):
            add_card(header, key, number * factor, element.get("id", ""))
    elif text:
        add_card(header, key, _ascii(text), element.get("id", ""))


def flip_wcs(header: fits.Header, rows: int) -> None:
    """Turn the world coordinates from rows counted from the bottom to rows from the top, or back, in place.

    With y' = rows + 1 - y: CRPIX2, the second column of the matrix, and the odd powers of y in SIP change
    (Shupe et al. 2005: u' = u + A(u, v), v' = v + B(u, v)).
    """
    if "CRPIX2" not in header or "CRVAL2" not in header:
        return
    reference = header["CRPIX2"]
    if isinstance(reference, str | bool):
        return
    header["CRPIX2"] = rows + 1 - reference
    matrix = [key for key in ("CD1_2", "CD2_2", "PC1_2", "PC2_2") if key in header]
    if any(key.startswith("PC") for key in matrix) or "PC1_1" in header:
        matrix += [] if "PC2_2" in matrix else ["PC2_2"]
        header.setdefault("PC2_2", 1.0)
    elif "CDELT2" in header and "CD2_2" not in header and "CD1_1" not in header:
        matrix.append("CDELT2")
    for key in matrix:
        _negate(header, key)
    for key in list(header):
        match = re.match(r"^(AP?|BP?)_(\d+)_(\d+)$", key)
        if match is not None and (int(match[3]) + match[1].startswith("B")) % 2:
            _negate(header, key)


def _negate(header: fits.Header, key: str) -> None:
    value = header[key]
    if isinstance(value, int | float) and not isinstance(value, bool):
        header[key] = -value
