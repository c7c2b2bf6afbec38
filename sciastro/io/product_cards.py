"""The cards of what we publish: which frames, when, where, how bright, with which quality bits.

Everything is printable ASCII, numbers are finite (an unknown one has no card), and nothing depends on the
moment of writing, so the same data give the same bytes.
"""

import math
import unicodedata
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from astropy.io import fits

from sciastro.core.history import package_version
from sciastro.core.quality import QUALITY_MEANINGS, Quality

__all__ = [
    "FLUX",
    "FRAME_CARDS",
    "KINDS",
    "NOISE_NAME",
    "ProductFacts",
    "ascii_text",
    "fact_cards",
    "put",
    "quality_cards",
    "quality_from_header",
    "site_cards",
]

NOISE_NAME = "NOISEACF"  # extension with the correlation of the noise
FLUX = "FLUX"  # kind of an image product in a physical unit
KINDS = {"image": "IMAGE", "master": "MASTER", "frame": "FRAME"}

FRAME_CARDS = {
    "sky": ("SKYRATE", "[electron/s] background per pixel"),
    "noise": ("SKYNOISE", "[electron/s] its noise before resampling"),
    "transparency": ("TRANSPAR", "star flux over that of the reference"),
    "weight": ("WEIGHT", "in the stack; 0 is left out"),
    "fwhm": ("FWHM", "[pixel] median of stars"),
    "frame_correlation": ("NCORR", "noise of large areas over uncorrelated"),
}
"""Coordinates (`core.vocabulary`) that files of single frames keep, with keyword and comment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductFacts:
    """What a product says about itself; NaN and "" are unknown and leave no card.

    Attributes
    ----------
    target, band, telescope, instrument, observer
        Names; anything that is not printable ASCII is taken out.
    date_begin, date_average, date_end
        ISO 8601, UTC.
    exposure
        Summed over the frames [s].
    n_frames
        Frames used.
    latitude, longitude, elevation
        Of the site: WGS84 degrees (east positive) and meters.
    noise_correlation
        Noise of large areas over that of uncorrelated pixels.
    fwhm
        Of stars [pixel].
    zeropoint
        As `photometry.zeropoint.ZeroPoint.as_dict` gives it, or None.
    depth
        5-sigma limit for point sources [mag].
    color_gain, color_gain_err
        What this band is multiplied with in a picture.
    history
        Lines of the dataset's history.
    measured
        Of a frame: names of `FRAME_CARDS` -> what a stack must know of it; NaN is unknown.
    extra
        Keyword -> (value, comment), for all else.
    """

    target: str = ""
    band: str = ""
    telescope: str = ""
    instrument: str = ""
    observer: str = ""
    date_begin: str = ""
    date_average: str = ""
    date_end: str = ""
    exposure: float = math.nan
    n_frames: int = 0
    latitude: float = math.nan
    longitude: float = math.nan
    elevation: float = math.nan
    noise_correlation: float = math.nan
    fwhm: float = math.nan
    zeropoint: Mapping[str, Any] | None = None
    depth: float = math.nan
    color_gain: float = math.nan
    color_gain_err: float = math.nan
    history: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)
    extra: Mapping[str, tuple[Any, str]] = field(default_factory=dict)


def ascii_text(text: str, limit: int = 68) -> str:
    """Return `text` as printable ASCII of at most `limit` characters: accents dropped, the rest left out."""
    plain = unicodedata.normalize("NFKD", text)
    kept = "".join(char if 32 <= ord(char) < 127 else (" " if char.isspace() else "") for char in plain)
    return " ".join(kept.split())[:limit]


def put(header: fits.Header, keyword: str, value: Any, comment: str = "") -> None:
    """Set a card, unless `value` is unknown (None, NaN, infinite, or empty text)."""
    if isinstance(value, str):
        value = ascii_text(value)
        while len(value.replace("'", "''")) > 68:  # longer ones would need CONTINUE cards
            value = value[:-1]
    if value is None or value == "" or (isinstance(value, float) and not math.isfinite(value)):
        return
    quoted = value.replace("'", "''") if isinstance(value, str) else ""
    written = len(quoted) + 2 if quoted else len(str(value))
    room = 80 - 10 - max(20, written) - 3
    header[keyword] = (value, ascii_text(comment, max(room, 0)))


def _times(header: fits.Header, facts: ProductFacts) -> None:
    if not (facts.date_begin or facts.date_average):
        return
    put(header, "TIMESYS", "UTC", "time scale of the dates")
    put(header, "DATE-OBS", facts.date_begin, "start of the first exposure")
    put(header, "MJD-OBS", _mjd(facts.date_begin), "[d] modified Julian date of DATE-OBS")
    for keyword, value, comment in (
        ("BEG", facts.date_begin, "start of the first exposure"),
        ("AVG", facts.date_average, "mid-exposure, averaged over the frames"),
        ("END", facts.date_end, "end of the last exposure"),
    ):
        put(header, f"DATE-{keyword}", value, comment)
        put(header, f"MJD-{keyword}", _mjd(value), f"[d] modified Julian date of DATE-{keyword}")
    if facts.date_begin and facts.date_end:
        begin, end = (datetime.fromisoformat(date) for date in (facts.date_begin, facts.date_end))
        put(header, "TELAPSE", (end - begin).total_seconds(), "[s] from DATE-BEG to DATE-END")
    put(header, "TREFPOS", "TOPOCENTER", "the times are those of the observer")


def _mjd(date: str) -> float | None:
    from astropy.time import Time
    from erfa import ErfaWarning

    if not date:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ErfaWarning)  # old plates: before 1960 there was no UTC; its days are
        return round(float(Time(date, format="isot", scale="utc").mjd), 9)


def site_cards(facts: ProductFacts) -> fits.Header:
    """Return the cards of the site. For the primary header only: beside a WCS, wcslib warns about them."""
    header = fits.Header()
    if not (math.isfinite(facts.latitude) and math.isfinite(facts.longitude)):
        return header
    from astropy import units as u  # not before: masters have no site, and are written beside other imports
    from astropy.coordinates import EarthLocation

    height = facts.elevation if math.isfinite(facts.elevation) else 0.0
    at = EarthLocation.from_geodetic(facts.longitude * u.deg, facts.latitude * u.deg, height * u.m)
    for axis, value in zip("XYZ", (at.x, at.y, at.z), strict=True):
        put(
            header,
            f"OBSGEO-{axis}",
            round(float(value.to_value(u.m)), 3),
            "[m] geocentric position of the site",
        )
    put(header, "SITELAT", facts.latitude, "[deg] geodetic latitude (WGS84)")
    put(header, "SITELONG", facts.longitude, "[deg] geodetic longitude, east positive")
    put(header, "SITEELEV", facts.elevation, "[m] height above the ellipsoid")
    return header


def _photometry(header: fits.Header, facts: ProductFacts) -> None:
    fit = facts.zeropoint or {}
    for keyword, name, comment in (
        ("MAGZP", "mag", "[mag] magnitude of 1 electron/s"),
        ("MAGZPERR", "err", "[mag] standard error of MAGZP"),
        ("MAGZPEMP", "err_empirical", "[mag] the same from leaving out stars"),
        ("PHOTSYS", "system", "photometric system of MAGZP"),
        ("MAGTYPE", "kind", "AB or Vega"),
        ("PHOTCAT", "catalog", "catalog of the stars"),
        ("MAGNSTAR", "n_stars", "stars used for MAGZP"),
        ("MAGSCAT", "scatter", "[mag] scatter from star to star beyond errors"),
        ("COLTERM", "color_term", "coefficient of COLNAME - COLREF"),
        ("COLTERR", "color_term_err", "standard error of COLTERM"),
        ("COLNAME", "color_name", "catalog color"),
        ("COLREF", "color_reference", "[mag] color that MAGZP holds for"),
        ("EXTCOEF", "extinction", "[mag] extinction per airmass"),
        ("EXTCERR", "extinction_err", "[mag] standard error of EXTCOEF"),
        ("EXTAIRM", "airmass", "airmass that MAGZP holds at"),
    ):
        put(header, keyword, fit.get(name), comment)
    _field_term(header, fit)
    put(header, "DEPTH5", facts.depth, "[mag] 5-sigma limit for point sources")
    put(header, "COLGAIN", facts.color_gain, "factor of this band in a picture, not applied")
    put(header, "COLGERR", facts.color_gain_err, "standard error of COLGAIN")


def _field_term(header: fits.Header, fit: Mapping[str, Any]) -> None:
    """Write how the zero point changes over the field: Legendre products of scaled positions."""
    place = fit.get("place")
    if not fit.get("spatial") or not place:
        return
    put(header, "ZPDEGREE", fit["spatial"], "degree of the zero point over the field")
    for axis, k in (("X", 0), ("Y", 1)):
        put(header, f"ZPFCEN{axis}", place["center"][k], "[pixel] from 0; u = (x - ZPFCEN) / ZPFHAL")
        put(header, f"ZPFHAL{axis}", place["half"][k], "[pixel]")
        put(header, f"ZPFLOW{axis}", place["low"][k], "least of u or v; beyond, the border counts")
        put(header, f"ZPFHIG{axis}", place["high"][k], "largest of u or v")
    terms = [name for name in fit["terms"] if name not in ("zeropoint", "color", "airmass", "color_airmass")]
    values = dict(zip(fit["terms"], fit["coefficients"], strict=True))
    for k, name in enumerate(terms):
        put(header, f"ZPFC{k + 1}", values[name], f"[mag] of the Legendre product {name}, less ZPFM{k + 1}")
        put(header, f"ZPFM{k + 1}", place["means"][k], f"mean of {name} over the stars")


def fact_cards(facts: ProductFacts) -> fits.Header:
    """Return the cards of `facts`, for the primary header and for SCI."""
    header = fits.Header()
    put(header, "OBJECT", facts.target, "target")
    put(header, "FILTER", facts.band, "band")
    put(header, "TELESCOP", facts.telescope)
    put(header, "INSTRUME", facts.instrument)
    put(header, "OBSERVER", facts.observer)
    put(header, "EXPTIME", facts.exposure, "[s] sum over the frames")
    put(header, "NCOMBINE", facts.n_frames or None, "frames used")
    _times(header, facts)
    put(header, "NCORR", facts.noise_correlation, "noise of large areas over uncorrelated")
    put(header, "FWHM", facts.fwhm, "[pixel] median of stars")
    for name, value in facts.measured.items():
        keyword, comment = FRAME_CARDS[name]
        put(header, keyword, value, comment)
    _photometry(header, facts)
    for keyword, (value, comment) in facts.extra.items():
        put(header, keyword, value, comment)
    put(header, "SOFTWARE", f"sciastro {package_version()}", "what made this file")
    return header


def quality_cards() -> fits.Header:
    """Return one card per quality bit: ``DQBIT<n>`` = name / meaning."""
    header = fits.Header()
    for bit, meaning in QUALITY_MEANINGS.items():
        put(header, f"DQBIT{int(bit).bit_length() - 1}", bit.name, meaning)
    return header


def quality_from_header(header: fits.Header) -> dict[int, int]:
    """Return bit position in the file -> value of our bit of that name, where the two differ.

    The names travel with the data, so a file of another version is still read rightly.
    """
    moved = {}
    for position in range(32):
        name = header.get(f"DQBIT{position}")
        if isinstance(name, str) and name in Quality.__members__ and int(Quality[name]) != 1 << position:
            moved[position] = int(Quality[name])
    return moved
