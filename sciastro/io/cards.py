"""Values of header cards, read without ever failing: numbers, texts, angles, times in all usual spellings."""

import math
import re
import warnings
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

__all__ = ["Cards", "add_card", "clean", "parse_angle", "parse_date", "parse_number", "squash", "to_datetime"]

NUMBER = re.compile(r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eEdD][+-]?\d+)?$")
LEADING_NUMBER = re.compile(r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eEdD][+-]?\d+)?(?=\s*[a-zA-Z\[(°%]|$)")
SEXAGESIMAL = re.compile(
    r"^(?P<sign>[+-]?)\s*(?P<a>\d{1,3})\s*[:\shdHD°º]\s*(?P<b>\d{1,2}(?:[.,]\d+)?)\s*"
    r"(?:[:\smM'′’]\s*(?P<c>\d{1,2}(?:[.,]\d*)?)?\s*[sS\"″”']*)?\s*(?P<side>[NSEWnsew]?)$"
)
SIXTY = re.compile(r"(:\d\d:)60(?=\D|$)")  # a leap second, or rounded badly
OLD_DATE = re.compile(r"^(\d{1,2})/(\d{1,2})/(\d{2}|\d{4})$")
CLOCK = re.compile(r"^(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?$")
MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)
JD_OF_MJD_ZERO = 2400000.5


def clean(text: str) -> str:
    """Return `text` without control characters, white space collapsed."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def squash(text: str) -> str:
    """Return `text` in lower case, letters and digits only: the form in which words are compared."""
    return "".join(char for char in text.casefold() if char.isalnum())


class Cards:
    """The cards of a header by keyword; the first of duplicates counts, and damaged ones never raise."""

    def __init__(self, header: fits.Header) -> None:
        self._cards: dict[str, fits.Card] = {}
        self.repeated: dict[str, list[fits.Card]] = {}
        notes = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            for card in header.cards:
                key = card.keyword
                if key in {"COMMENT", "HISTORY", ""}:
                    notes.append(str(_value(card) or ""))
                elif key in self._cards:
                    self.repeated.setdefault(key, [self._cards[key]]).append(card)
                else:
                    self._cards[key] = card
        self.notes = tuple(notes)

    def __contains__(self, key: str) -> bool:
        """Return whether the keyword is there at all."""
        return key in self._cards

    def value(self, key: str) -> Any:
        """Return the value as FITS has it (text, int, float, bool), None where missing or unreadable."""
        card = self._cards.get(key)
        return None if card is None else _value(card)

    def text(self, key: str) -> str:
        """Return the value as cleaned text, "" where missing."""
        value = self.value(key)
        return "" if value is None else clean(str(value))

    def number(self, key: str) -> float | None:
        """Return the value as a finite number (also from text such as '120.00' or '9,78E-03'), else None."""
        value = self.value(key)
        if value is None or isinstance(value, bool | complex):
            return None
        if isinstance(value, int | float):
            return float(value) if math.isfinite(value) else None
        return parse_number(str(value))

    def comment(self, key: str) -> str:
        """Return the comment in lower case, "" where there is none."""
        card = self._cards.get(key)
        if card is None:
            return ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AstropyWarning)
                return str(card.comment or "").casefold()
        except (fits.VerifyError, ValueError):
            return _image(card).partition(" /")[2].strip().casefold()

    def first(self, keys: Iterable[str]) -> str:
        """Return the first of `keys` that has a value, "" where none has."""
        return next((key for key in keys if self.text(key)), "")

    def disagreements(self, keys: Iterable[str]) -> list[str]:
        """Return those of `keys` that stand several times with different values."""
        return [
            key
            for key in keys
            if key in self.repeated and len({str(_value(card)).strip() for card in self.repeated[key]}) > 1
        ]


def _value(card: fits.Card) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            value = card.value
    except (fits.VerifyError, ValueError, TypeError):
        value = _image(card)[9:].partition(" /")[0].strip().strip("'").strip()
    return None if value is None or isinstance(value, fits.card.Undefined) else value


def _image(card: fits.Card) -> str:
    """Return the 80 characters of a damaged card."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        return str(card.image)


def parse_number(text: str) -> float | None:
    """Return the number that `text` is, or begins with before a unit; a decimal comma is understood."""
    text = text.strip()
    match = NUMBER.match(text) or LEADING_NUMBER.match(text)
    if match is None:
        return None
    number = float(match.group(0).replace(",", ".").replace("D", "E").replace("d", "e"))
    return number if math.isfinite(number) else None


def parse_angle(text: str) -> tuple[float, bool] | None:
    """Return an angle and whether it was written in sexagesimal; the unit of the first number is kept.

    A trailing S or W makes it negative. None where it is no angle.
    """
    text = text.strip()
    if NUMBER.match(text):
        number = parse_number(text)
        return None if number is None else (number, False)
    match = SEXAGESIMAL.match(text)
    if match is None:
        side = text[-1:].upper()
        number = parse_number(text[:-1].rstrip(" °º")) if side in {"N", "S", "E", "W"} else None
        return None if number is None else (-abs(number) if side in {"S", "W"} else number, False)
    minutes = float(match["b"].replace(",", "."))
    seconds = float((match["c"] or "0").replace(",", "."))
    if minutes >= 60 or seconds >= 60.0001:
        return None
    angle = int(match["a"]) + minutes / 60 + seconds / 3600
    negative = match["sign"] == "-" or match["side"].upper() in {"S", "W"}
    return (-angle if negative else angle), True


def parse_date(text: str, clock: str = "") -> tuple[datetime, bool] | None:
    """Return a date in UTC and whether it has a time of day; None where `text` is no date.

    Parameters
    ----------
    text
        ISO 8601, with a zone ("-0700", "Z") or without (then UTC), any number of digits of a second;
        or the old FITS style dd/mm/yy, where 50 to 99 means 19yy. Second 60 is the first of the next minute.
    clock
        Time of day (hh:mm:ss.s), used where `text` has none.
    """
    text = text.strip().rstrip("Z").strip()
    old = OLD_DATE.match(text)
    try:
        if old is not None:
            day, month, year = (int(part) for part in old.groups())
            if year < 100:
                year += 1900 if year >= 50 else 2000
            moment, timed = datetime(year, month, day, tzinfo=UTC), False
        else:
            text, sixty = SIXTY.subn(r"\g<1>59", text)
            moment = datetime.fromisoformat(text.replace(" ", "T") if "T" not in text else text)
            moment += timedelta(seconds=sixty)
            timed = "T" in text or " " in text
    except (ValueError, OverflowError):
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if timed:
        return moment, True
    daytime = CLOCK.match(clock.strip())
    if daytime is None:
        return moment, False
    hours, minutes, seconds = int(daytime[1]), int(daytime[2]), float(daytime[3] or 0)
    if hours > 24 or minutes > 59 or seconds >= 61:
        return moment, False
    return moment + timedelta(hours=hours, minutes=minutes, seconds=seconds), True


def to_datetime(number: float, scale: str) -> datetime | None:
    """Return the date of a (modified) Julian day number, None where it is out of the calendar."""
    days = number - JD_OF_MJD_ZERO if scale == "jd" else number
    try:
        return MJD_ZERO + timedelta(days=days)
    except OverflowError:
        return None


def add_card(header: fits.Header, key: str, value: str | float | None, comment: str = "") -> None:
    """Add a card, where there is something to say; texts become ASCII of at most 68 characters."""
    if value is None or value == "" or (isinstance(value, float) and not math.isfinite(value)):
        return
    if isinstance(value, str):
        value = clean(value.encode("ascii", "replace").decode())[:68].rstrip()
        comment = comment[: max(65 - len(value), 0)]
    header.append(fits.Card(key, value, comment[:46].rstrip()), end=True)
