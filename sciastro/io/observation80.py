"""Records of 80 columns: the classic form in which positions go to the Minor Planet Center.

Columns (minorplanetcenter.net, "Format for optical astrometric observations"): 1-12 designation,
13 discovery, 14 note 1, 15 note 2, 16-32 date, 33-44 right ascension, 45-56 declination, 57-65 blank,
66-70 magnitude, 71 band, 72-77 blank in new records, 78-80 observatory.
Decimals follow the errors: the last digit is worth
less than the error, so that rounding adds under 5 % to it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np

from sciastro.errors import FileError, OptionError
from sciastro.io.designations import Designation, pack, unpack
from sciastro.io.observations import MODES, ONE_LETTER, Observation, ReportFacts

__all__ = ["Record80", "parse_line80", "report80", "write_line80"]

DAY = 86400
ROUND = 0.87  # of the error that the last digit may be worth: it then adds 1/4 of it, 3 % in quadrature


@dataclass(frozen=True, slots=True, kw_only=True)
class Record80:
    """What one record says, to its own precision."""

    designation: Designation
    discovery: bool
    note1: str
    note2: str
    time: datetime
    ra: float
    dec: float
    mag: float
    band: str
    station: str


def report80(observations: Sequence[Observation], facts: ReportFacts) -> str:
    """Return the header and one record per observation.

    Raises
    ------
    OptionError
        If a fact is missing or impossible, or an observation cannot be written.
    """
    facts.check()
    ratio = f" f/{facts.focal_ratio:.1f}" if facts.focal_ratio is not None else ""
    lines = [
        f"COD {facts.station}",
        *_named("OBS", facts.observers),
        *_named("MEA", facts.measurers),
        f"TEL {facts.aperture:.2f}-m{ratio} {facts.design} + {facts.detector}"[:80],
        f"NET {facts.catalog}",
        *(f"COM {text[:76]}" for text in facts.comments),
        f"NUM {len(observations)}",
        "ACK sciastro",
    ]
    lines += [write_line80(one, facts) for one in observations]
    return "\n".join(lines) + "\n"


def _named(key: str, names: Sequence[str]) -> list[str]:
    """Return header lines of names, no longer than 80 columns."""
    lines, line = [], ""
    for name in names:
        if line and len(f"{key} {line}, {name}") > 80:
            lines.append(f"{key} {line}")
            line = ""
        line = f"{line}, {name}" if line else name
    return [*lines, f"{key} {line}"[:80]]


def write_line80(one: Observation, facts: ReportFacts) -> str:
    """Return an observation as 80 columns.

    Raises
    ------
    OptionError
        If it cannot be written.
    """
    one.check()
    moved = one.rate / 60 * 0.864  # arcsec in 1e-5 day
    date = _date(one.time, 6 if moved > ROUND * min(one.ra_err, one.dec_err) else 5)
    cosine = max(float(np.cos(np.deg2rad(one.dec))), 1e-6)
    ra = _sexagesimal(one.ra / 15, _decimals(one.ra_err / (15 * cosine), 1, 3), 24)
    dec = _sexagesimal(abs(one.dec), _decimals(one.dec_err, 0, 2), None)
    sign = "-" if np.signbit(one.dec) else "+"
    notes = f"{'I' if one.involved else ' '}{MODES[facts.mode]}"
    return (
        f"{pack(one.designation)} {notes}{date:<17}{ra:<12}{sign}{dec:<11}{'':9}"
        f"{_magnitude(one)}{'':6}{facts.station}"
    )


def _decimals(error: float, least: int, most: int) -> int:
    return next((n for n in range(least, most) if 10.0**-n <= ROUND * error), most)


def _date(time: datetime, digits: int) -> str:
    """Return the day with decimals, exactly rounded."""
    start = datetime(time.year, time.month, time.day, tzinfo=UTC)
    microseconds = (time - start) // timedelta(microseconds=1)
    steps = round(Fraction(microseconds * 10**digits, DAY * 10**6))
    if steps == 10**digits:
        start, steps = start + timedelta(days=1), 0
    return f"{start:%Y %m %d}.{steps:0{digits}d}"


def _sexagesimal(value: float, digits: int, turn: int | None) -> str:
    """Return units, minutes and seconds with `digits` decimals, without ever writing 60."""
    unit = 10**digits
    total = round(Fraction(value) * 3600 * unit)
    if turn is not None:
        total %= turn * 3600 * unit
    seconds, fraction = divmod(total, unit)
    minutes, seconds = divmod(seconds, 60)
    units, minutes = divmod(minutes, 60)
    tail = f".{fraction:0{digits}d}" if digits else ""
    return f"{units:02d} {minutes:02d} {seconds:02d}{tail}"


def _magnitude(one: Observation) -> str:
    """Return columns 66 to 71."""
    if not np.isfinite(one.mag) or not one.band:
        return " " * 6
    if not -9.95 < one.mag < 99.9:
        raise OptionError(
            f"is {one.mag}.", where=f"magnitude of {one.designation}", remedy="Report it without."
        )
    digits = 2 if one.mag_err < 0.05 else 1
    return f"{f'{one.mag:{3 + digits}.{digits}f}':<5}{_letter(one.band)}"


def _letter(band: str) -> str:
    return ONE_LETTER.get(band, band if len(band) == 1 else band[1])


# -------------------------------------------------------------------------------------------- parse
_LINE = re.compile(
    r"(?P<id>.{12})(?P<disc>[ *])(?P<note1>.)(?P<note2>.)"
    r"(?P<date>\d{4} \d\d \d\d\.\d{5}[\d ])"
    r"(?P<ra>\d\d \d\d \d\d\.\d[\d ]{2})(?P<dec>[+-]\d\d \d\d \d\d(?:\.\d{1,2})?) *$"
)


def parse_line80(line: str) -> Record80:
    """Return what a record of 80 columns says.

    Raises
    ------
    FileError
        If it is none: the message names the columns.
    """
    text = line.rstrip("\r\n")
    if len(text) != 80:
        raise FileError(f"has {len(text)} columns.", where=repr(text), remedy="A record has 80.")
    m = _LINE.match(text[:56])
    if m is None or text[56:65].strip() or text[71:77].strip():
        raise FileError(
            "is no optical record.", where=repr(text), remedy="See the format of the Minor Planet Center."
        )
    date, ra, dec = m["date"].split(), m["ra"].split(), m["dec"].split()
    fraction = Fraction(f"0.{date[2].partition('.')[2]}")
    start = datetime(int(date[0]), int(date[1]), int(date[2].partition(".")[0]), tzinfo=UTC)
    time = start + timedelta(microseconds=round(fraction * DAY * 10**6))
    hours = int(ra[0]) + int(ra[1]) / 60 + float(ra[2]) / 3600
    degrees = int(dec[0][1:]) + int(dec[1]) / 60 + float(dec[2]) / 3600
    magnitude = text[65:70].strip()
    return Record80(
        designation=unpack(m["id"]), discovery=m["disc"] == "*", note1=m["note1"].strip(), note2=m["note2"],
        time=time, ra=15 * hours, dec=-degrees if dec[0][0] == "-" else degrees,
        mag=float(magnitude) if magnitude else float("nan"), band=text[70].strip(), station=text[77:80],
    )  # fmt: skip
