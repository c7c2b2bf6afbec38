"""Headers and file names as real capture programs write them: tables, not code.

Each row is (keyword, value, comment, kinds): the value names an entry of `spellings`, or is a constant
after "="; kinds lists the frame kinds that carry it ("*" all; otherwise letters of L light, F flat,
B bias, D dark and dark-flat). Rows whose value is None are left out. Orders and spellings follow
real headers (N.I.N.A. 1.10 and 3, SharpCap, MaxIm DL 5, ZWO's Seestar) and, for ASIAIR and INDI/Ekos,
what is known of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import numpy as np

from sciastro.errors import OptionError

__all__ = ["DIALECTS", "Card", "Dialect", "Value", "header_cards", "sexagesimal", "spellings"]

Value = str | int | float | bool
Card = tuple[str, Value, str]
Row = tuple[str, str, str, str]

KIND_LETTER = {"light": "L", "flat": "F", "bias": "B", "dark": "D", "dark-flat": "D"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """One capture program.

    Attributes
    ----------
    types
        Spelling of the frame kind.
    path
        File name below the session folder, a format string over `spellings`.
    row_order
        ROWORDER as stored; "" where the program writes no such keyword (rows are top-down then).
    rows
        The header.
    """

    types: Mapping[str, str]
    path: str
    row_order: str
    rows: tuple[Row, ...]


def sexagesimal(degrees: float, *, hours: bool = False, separator: str = " ", digits: int = 0) -> str:
    """Return an angle as text: hours (no sign) or signed degrees, minutes, seconds with `digits` decimals."""
    value = (degrees / 15) % 24 if hours else abs(degrees)
    unit = 10**digits
    total = round(value * 3600 * unit)
    if hours:
        total %= 24 * 3600 * unit
    whole, seconds = divmod(total, 60 * unit)
    first, minutes = divmod(whole, 60)
    sign = "" if hours else ("-" if degrees < 0 else "+")
    last = f"{seconds // unit:02d}" + (f".{seconds % unit:0{digits}d}" if digits else "")
    return separator.join([f"{sign}{first:02d}", f"{minutes:02d}", last])


def _times(start: datetime, exposure: float, zone: float) -> dict[str, Value]:
    middle = start + timedelta(seconds=exposure / 2)
    end = start + timedelta(seconds=exposure)
    local = start.astimezone(timezone(timedelta(hours=round(zone))))
    j2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)
    days = (start - j2000).total_seconds() / 86400

    def text(when: datetime, spec: str) -> str:
        return when.replace(tzinfo=None).isoformat(timespec=spec)

    return {
        "date_s": text(start, "seconds"),
        "date_ms": text(start, "milliseconds"),
        "date_us": text(start, "microseconds"),
        "date_100ns": text(start, "microseconds") + "0",
        "mid_ms": text(middle, "milliseconds"),
        "mid_100ns": text(middle, "microseconds") + "0",
        "end_100ns": text(end, "microseconds") + "0",
        "local_ms": text(local, "milliseconds"),
        "jd": 2451545.0 + days,
        "mjd": 51544.5 + days,
        "mjd_mid": 51544.5 + days + exposure / 172800,
        "clock": start.strftime("%H:%M:%S"),
        "stamp_nina": local.strftime("%Y-%m-%d_%H-%M-%S"),
        "stamp_asiair": local.strftime("%Y%m%d-%H%M%S"),
        "stamp_ekos": start.strftime("%Y-%m-%dT%H-%M-%S"),
        "stamp_sharpcap": start.strftime("%H_%M_%S"),
        "night": (local - timedelta(hours=12)).strftime("%Y-%m-%d"),
    }


def spellings(facts: Mapping[str, Value | datetime | None]) -> dict[str, Value | None]:
    """Return every value that the tables name, from plain facts.

    Parameters
    ----------
    facts
        ``start`` (datetime, UTC), ``exposure`` [s], ``kind``, ``band``, ``number``, ``target``, ``ra``,
        ``dec`` [deg], ``altitude``, ``azimuth`` [deg], ``airmass``, ``side``, ``latitude``, ``longitude``
        [deg, east positive], and the plain entries that rows name directly.

    Raises
    ------
    OptionError
        If the start is no time.
    """
    start = facts["start"]
    exposure, longitude = _number(facts["exposure"]), _number(facts["longitude"])
    if not isinstance(start, datetime):
        raise OptionError("is not a time.", where="start", remedy="Give a datetime in UTC.")
    out: dict[str, Value | None] = {
        key: value for key, value in facts.items() if not isinstance(value, datetime)
    }
    out.update(_times(start, exposure, longitude / 15))
    ra, dec, latitude = _number(facts["ra"]), _number(facts["dec"]), _number(facts["latitude"])
    whole = exposure == int(exposure)
    target = str(facts["target"])
    out.update(
        ra_hms=sexagesimal(ra, hours=True),
        ra_hms2=sexagesimal(ra, hours=True, digits=2),
        dec_dms=sexagesimal(dec),
        dec_dms2=sexagesimal(dec, digits=2),
        lat_dms=sexagesimal(latitude),
        long_dms=sexagesimal(longitude),
        exposure_number=int(exposure) if whole else exposure,
        exposure_text=f"{exposure:.2f}",
        exposure_short=f"{exposure:.1f}",
        exposure_g=f"{exposure:g}",
        name="".join(c if c.isalnum() or c in "-+" else "_" for c in target),
        filter_part=f"_{facts['band']}" if facts["band"] else "",
        temperature_text=f"{_number(facts['temperature']):.2f}",
        temperature_short=f"{_number(facts['temperature']):.1f}",
        millisec=round(exposure * 1000),
        type_upper=str(facts["kind"]).upper().replace("-", ""),
        type_title=str(facts["kind"]).title().replace("-", ""),
    )
    return out


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def header_cards(dialect: Dialect, kind: str, values: Mapping[str, Value | None]) -> list[Card]:
    """Return the header of one frame, in order, without the cards that describe the array."""
    letter = KIND_LETTER[kind]
    known = {**values, "type": dialect.types[kind]}
    cards: list[Card] = []
    for key, source, comment, kinds in dialect.rows:
        value = source[1:] if source.startswith("=") else known[source]
        if value is None or not (kinds == "*" or letter in kinds):
            continue
        if isinstance(value, float) and not np.isfinite(value):
            continue
        cards.append((key, value, comment))
    return cards


_TYPES_UPPER = {"light": "LIGHT", "flat": "FLAT", "bias": "BIAS", "dark": "DARK", "dark-flat": "DARKFLAT"}
_TYPES_TITLE = {"light": "Light", "flat": "Flat", "bias": "Bias", "dark": "Dark", "dark-flat": "Dark"}
_TYPES_SHARPCAP = {**_TYPES_TITLE, "dark-flat": "DarkFlat"}
_TYPES_FRAME = {
    "light": "Light Frame",
    "flat": "Flat Field",
    "bias": "Bias Frame",
    "dark": "Dark Frame",
    "dark-flat": "Dark Frame",
}
_TYPES_INDI = {
    "light": "Light Frame",
    "flat": "Flat Frame",
    "bias": "Bias Frame",
    "dark": "Dark Frame",
    "dark-flat": "Dark Frame",
}

NINA = Dialect(
    types=_TYPES_UPPER,
    path="{night}/{type_upper}/{stamp_nina}{filter_part}_{temperature_text}_{exposure_text}s_{number:04d}.fits",
    row_order="TOP-DOWN",
    rows=(
        ("IMAGETYP", "type", "Type of exposure", "*"),
        ("EXPOSURE", "exposure", "[s] Exposure duration", "*"),
        ("EXPTIME", "exposure", "[s] Exposure duration", "*"),
        ("DATE-LOC", "local_ms", "Time of observation (local)", "*"),
        ("DATE-OBS", "date_ms", "Time of observation (UTC)", "*"),
        ("DATE-AVG", "mid_ms", "Averaged midpoint time (UTC)", "*"),
        ("MJD-OBS", "mjd", "[d] Observation start time (UTC)", "*"),
        ("MJD-AVG", "mjd_mid", "[d] Observation midpoint time (UTC)", "*"),
        ("XBINNING", "binning", "X axis binning factor", "*"),
        ("YBINNING", "binning", "Y axis binning factor", "*"),
        ("GAIN", "gain_setting", "Sensor gain", "*"),
        ("OFFSET", "offset_setting", "Sensor gain offset", "*"),
        ("EGAIN", "gain", "[e-/ADU] Electrons per A/D unit", "*"),
        ("XPIXSZ", "pixel_size", "[um] Pixel X axis size", "*"),
        ("YPIXSZ", "pixel_size", "[um] Pixel Y axis size", "*"),
        ("INSTRUME", "camera", "Imaging instrument name", "*"),
        ("SET-TEMP", "temperature", "[degC] CCD temperature setpoint", "*"),
        ("CCD-TEMP", "measured_temperature", "[degC] CCD temperature", "*"),
        ("BAYERPAT", "cfa", "Sensor Bayer pattern", "*"),
        ("XBAYROFF", "bayer_offset", "Bayer pattern X axis offset", "*"),
        ("YBAYROFF", "bayer_offset", "Bayer pattern Y axis offset", "*"),
        ("TELESCOP", "telescope", "Name of telescope", "*"),
        ("FOCALLEN", "focal_length", "[mm] Focal length", "*"),
        ("FOCRATIO", "focal_ratio", "Focal ratio", "*"),
        ("RA", "ra", "[deg] RA of telescope", "L"),
        ("DEC", "dec", "[deg] Declination of telescope", "L"),
        ("CENTALT", "altitude", "[deg] Altitude of telescope", "L"),
        ("CENTAZ", "azimuth", "[deg] Azimuth of telescope", "L"),
        ("AIRMASS", "airmass", "Airmass at frame center (Gueymard 1993)", "L"),
        ("PIERSIDE", "side", "Telescope pointing state", "L"),
        ("SITEELEV", "elevation", "[m] Observation site elevation", "*"),
        ("SITELAT", "latitude", "[deg] Observation site latitude", "*"),
        ("SITELONG", "longitude", "[deg] Observation site longitude", "*"),
        ("FWHEEL", "filter_wheel", "Filter Wheel name", "LF"),
        ("FILTER", "filter", "Active filter name", "LF"),
        ("OBJECT", "target", "Name of the object of interest", "L"),
        ("OBJCTRA", "ra_hms", "[H M S] RA of imaged object", "L"),
        ("OBJCTDEC", "dec_dms", "[D M S] Declination of imaged object", "L"),
        ("ROWORDER", "row_order", "FITS Image Orientation", "*"),
        ("EQUINOX", "equinox", "Equinox of celestial coordinate system", "*"),
        ("SWCREATE", "=N.I.N.A. 3.1.2.9001 (x64)", "Software that created this file", "*"),
    ),
)

SHARPCAP = Dialect(
    types=_TYPES_SHARPCAP,
    path="{night}/{name}/{type_title}{filter_part}/{stamp_sharpcap}_{exposure_g}s_{number:05d}.fits",
    row_order="TOP-DOWN",
    rows=(
        ("BAYERPAT", "cfa", "", "*"),
        ("COLORTYP", "color_type", "", "*"),
        ("XBAYROFF", "bayer_offset", "", "*"),
        ("YBAYROFF", "bayer_offset", "", "*"),
        ("ROWORDER", "row_order", "", "*"),
        ("FRAMETYP", "type", "", "*"),
        ("GAIN", "gain_setting", "", "*"),
        ("BLKLEVEL", "offset_setting", "", "*"),
        ("OBJECT", "target", "", "L"),
        ("FILTER", "filter", "", "LF"),
        ("RA", "ra", "[deg] Telescope right ascension", "L"),
        ("DEC", "dec", "[deg] Telescope declination", "L"),
        ("FOCALLEN", "focal_length", "[mm]", "*"),
        ("SITELAT", "latitude", "", "*"),
        ("SITELONG", "longitude", "", "*"),
        ("SWCREATE", "=SharpCap v4.1.11817.0, 64 bit", "", "*"),
        ("CCD-TEMP", "measured_temperature", "", "*"),
        ("SET-TEMP", "temperature", "", "*"),
        ("YBINNING", "binning", "", "*"),
        ("XBINNING", "binning", "", "*"),
        ("YPIXSZ", "pixel_size", "", "*"),
        ("XPIXSZ", "pixel_size", "", "*"),
        ("EXPTIME", "exposure_number", "", "*"),
        ("DATE-OBS", "date_100ns", "System Clock:Est. Frame Start", "*"),
        ("DATE-AVG", "mid_100ns", "System Clock:Est. Frame Mid Point", "*"),
        ("DATE-END", "end_100ns", "System Clock:Est. Frame End", "*"),
        ("INSTRUME", "camera", "", "*"),
        ("TELESCOP", "telescope", "", "*"),
    ),
)

ASIAIR = Dialect(
    types=_TYPES_TITLE,
    path=(
        "{type_title}/{name}/{type_title}_{name}_{exposure_short}s_Bin{binning}{filter_part}"
        "_gain{gain_setting}_{stamp_asiair}_{temperature_short}C_{number:04d}.fit"
    ),
    row_order="",
    rows=(
        ("CREATOR", "=ZWO ASIAIR Plus", "Capture software", "*"),
        ("PRODUCER", "=ZWO", "Powered by ZWO", "*"),
        ("PROGRAM", "=2.1.3", "The name of the software task that created the", "*"),
        ("XORGSUBF", "origin", "Subframe X position in binned pixels", "*"),
        ("YORGSUBF", "origin", "Subframe Y position in binned pixels", "*"),
        ("FOCALLEN", "focal_length", "Focal length of telescope in mm", "*"),
        ("XBINNING", "binning", "Camera X Bin", "*"),
        ("YBINNING", "binning", "Camera Y Bin", "*"),
        ("CCDXBIN", "binning", "Camera X Bin", "*"),
        ("CCDYBIN", "binning", "Camera Y Bin", "*"),
        ("XPIXSZ", "pixel_size", "pixel size in microns (with binning)", "*"),
        ("YPIXSZ", "pixel_size", "pixel size in microns (with binning)", "*"),
        ("IMAGETYP", "type", "Type of image", "*"),
        ("EXPOSURE", "exposure", "Exposure time in seconds", "*"),
        ("EXPTIME", "exposure", "Exposure time in seconds", "*"),
        ("CCD-TEMP", "measured_temperature", "sensor temperature in C", "*"),
        ("SET-TEMP", "temperature", "setpoint temperature in C", "*"),
        ("RA", "ra", "Object Right Ascension in degrees", "L"),
        ("DEC", "dec", "Object Declination in degrees", "L"),
        ("SITELONG", "longitude", "longitude of the imaging site in degrees", "*"),
        ("SITELAT", "latitude", "latitude of the imaging site in degrees", "*"),
        ("DATE-OBS", "date_us", "Image created time", "*"),
        ("FILTER", "filter", "Filter used when taking image", "LF"),
        ("INSTRUME", "camera", "Camera model", "*"),
        ("BAYERPAT", "cfa", "Bayer pattern", "*"),
        ("ROWORDER", "row_order", "Orientation", "*"),
        ("GAIN", "gain_setting", "Gain Value", "*"),
        ("OFFSET", "offset_setting", "camera offset", "*"),
        ("EGAIN", "gain", "Electronic gain in e-/ADU", "*"),
        ("TELESCOP", "telescope", "Telescope name", "*"),
        ("OBJECT", "target", "name or catalog number of object being imaged", "L"),
    ),
)

EKOS = Dialect(
    types=_TYPES_INDI,
    path="{name}/{type_title}/{filter}/{name}_{type_title}{filter_part}_{exposure_g}_secs_{stamp_ekos}_{number:03d}.fits",
    row_order="TOP-DOWN",
    rows=(
        ("ROWORDER", "row_order", "Row Order", "*"),
        ("INSTRUME", "camera", "CCD Name", "*"),
        ("TELESCOP", "telescope", "Telescope name", "*"),
        ("OBSERVER", "=Unknown", "Observer name", "*"),
        ("OBJECT", "target", "Object name", "L"),
        ("EXPTIME", "exposure", "Total Exposure Time (s)", "*"),
        ("CCD-TEMP", "measured_temperature", "CCD Temperature (Celsius)", "*"),
        ("PIXSIZE1", "pixel_size", "Pixel Size 1 (microns)", "*"),
        ("PIXSIZE2", "pixel_size", "Pixel Size 2 (microns)", "*"),
        ("XBINNING", "binning", "Binning factor in width", "*"),
        ("YBINNING", "binning", "Binning factor in height", "*"),
        ("XPIXSZ", "pixel_size", "X binned pixel size in microns", "*"),
        ("YPIXSZ", "pixel_size", "Y binned pixel size in microns", "*"),
        ("FRAME", "type_title", "Frame Type", "*"),
        ("IMAGETYP", "type", "Frame Type", "*"),
        ("FILTER", "filter", "Filter", "*"),
        ("XBAYROFF", "bayer_offset", "X offset of Bayer array", "*"),
        ("YBAYROFF", "bayer_offset", "Y offset of Bayer array", "*"),
        ("BAYERPAT", "cfa", "Bayer color pattern", "*"),
        ("FOCALLEN", "focal_length", "Focal Length (mm)", "*"),
        ("APTDIA", "aperture", "Telescope diameter (mm)", "*"),
        ("SCALE", "scale", "arcsecs per pixel", "*"),
        ("SITELAT", "latitude", "Latitude of the imaging site in degrees", "*"),
        ("SITELONG", "longitude", "Longitude of the imaging site in degrees", "*"),
        ("AIRMASS", "airmass", "Airmass", "L"),
        ("OBJCTAZ", "azimuth", "Azimuth of center of image in Degrees", "L"),
        ("OBJCTALT", "altitude", "Altitude of center of image in Degrees", "L"),
        ("OBJCTRA", "ra_hms2", "Object J2000 RA in Hours", "L"),
        ("OBJCTDEC", "dec_dms2", "Object J2000 DEC in Degrees", "L"),
        ("RA", "ra", "Object J2000 RA in Degrees", "L"),
        ("DEC", "dec", "Object J2000 DEC in Degrees", "L"),
        ("PIERSIDE", "side_upper", "Telescope pointing", "L"),
        ("EQUINOX", "equinox_int", "Equinox", "*"),
        ("DATE-OBS", "date_ms", "UTC start date of observation", "*"),
        ("GAIN", "gain_setting", "Gain", "*"),
        ("OFFSET", "offset_setting", "Offset", "*"),
        ("COMMENT", "=Generated by INDI", "", "*"),
    ),
)

MAXIM = Dialect(
    types=_TYPES_FRAME,
    path="{type_title}/{name}-{stamp_ekos}-{number:03d}{filter}.fit",
    row_order="",
    rows=(
        ("DATE-OBS", "date_s", "[ISO 8601] UTC date/time of exposure start", "*"),
        ("EXPTIME", "exposure", "[sec] Duration of exposure", "*"),
        ("EXPOSURE", "exposure", "[sec] Duration of exposure", "*"),
        ("SET-TEMP", "temperature", "CCD temperature setpoint in C", "*"),
        ("CCD-TEMP", "measured_temperature", "CCD temperature at start of exposure in C", "*"),
        ("XPIXSZ", "pixel_size", "Pixel Width in microns (after binning)", "*"),
        ("YPIXSZ", "pixel_size", "Pixel Height in microns (after binning)", "*"),
        ("XBINNING", "binning", "Binning level along the X-axis", "*"),
        ("YBINNING", "binning", "Binning level along the Y-axis", "*"),
        ("XORGSUBF", "origin", "Subframe X position in binned pixels", "*"),
        ("YORGSUBF", "origin", "Subframe Y position in binned pixels", "*"),
        ("READOUTM", "readout", "Readout mode of image", "*"),
        ("FILTER", "filter", "Filter name", "LF"),
        ("IMAGETYP", "type", "Type of image", "*"),
        ("EGAIN", "gain", "Electronic gain in e-/ADU", "*"),
        ("BAYERPAT", "cfa", "Bayer color pattern", "*"),
        ("XBAYROFF", "bayer_offset", "X offset of Bayer array", "*"),
        ("YBAYROFF", "bayer_offset", "Y offset of Bayer array", "*"),
        ("ROWORDER", "row_order", "Image orientation", "*"),
        ("SITELAT", "lat_dms", "Latitude of the imaging location", "*"),
        ("SITELONG", "long_dms", "Longitude of the imaging location", "*"),
        ("JD", "jd", "Julian Date at start of exposure", "*"),
        ("FOCALLEN", "focal_length", "Focal length of telescope in mm", "*"),
        ("APTDIA", "aperture", "Aperture diameter of telescope in mm", "*"),
        ("SWCREATE", "=MaxIm DL Version 6.20 190424 0KJR5", "Name of software", "*"),
        ("SBSTDVER", "=SBFITSEXT Version 1.0", "Version of SBFITSEXT standard in effect", "*"),
        ("OBJECT", "target", "Target object name", "L"),
        ("TELESCOP", "telescope", "Telescope name", "*"),
        ("INSTRUME", "camera", "Detector instrument name", "*"),
        ("OBSERVER", "=sciastro simulate", "Observer name", "*"),
        ("FLIPSTAT", "=        ", "", "*"),
        ("CSTRETCH", "=Medium", "Initial display stretch mode", "*"),
        ("PIERSIDE", "side_upper", "", "L"),
        ("AIRMASS", "airmass", "Airmass (multiple of zenithal airmass)", "L"),
        ("OBJCTRA", "ra_hms2", "[hms J2000] Target right ascension", "L"),
        ("OBJCTDEC", "dec_dms2", "[dms +N J2000] Target declination", "L"),
    ),
)

DIALECTS: dict[str, Dialect] = {
    "nina": NINA,
    "sharpcap": SHARPCAP,
    "asiair": ASIAIR,
    "ekos": EKOS,
    "maxim": MAXIM,
}
