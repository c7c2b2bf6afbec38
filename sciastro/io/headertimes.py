"""The time of a frame: the middle of its exposure, UTC, from whatever stamps and time scale the header has.

`dialects.toml` lists the stamps and what each marks; this module turns them into UTC (``TIMESYS``: Rots et
al. 2015, A&A 574, A36; a zone in the stamp itself comes first), and finds the middle: of a single exposure
half of its exposure time after the start, of a stack half-way between ``DATE-OBS`` and ``DATE-END``, since
its exposure time is that of its frames alone, or of one of them.
"""

import re
from datetime import datetime, timedelta
from typing import Any

from sciastro.core.timescales import scale_of, to_utc
from sciastro.io.cards import Cards, parse_date, squash, to_datetime
from sciastro.io.dialects import dialects
from sciastro.io.headerparts import Notes

__all__ = ["read_time"]

ZONED = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")
SLACK = 1.5  # seconds that stamps of whole seconds may disagree with an exposure time


def read_time(
    cards: Cards,
    notes: Notes,
    exposure: float | None,
    utc_offset: float | None = None,
    combined: int = 1,
) -> datetime | None:
    """Return the middle of the exposure (UTC), None where no stamp makes sense.

    Parameters
    ----------
    cards, notes
        The header, and where problems and origins go.
    exposure
        [s]; None unknown.
    utc_offset
        Hours that a clock of local time is ahead of UTC.
    combined
        Exposures in the file.
    """
    entries = dialects().table["time"]
    for entry in entries:
        stamp = _read(cards, notes, entry, utc_offset, speak=True)
        if stamp is None:
            continue
        key, marks = entry["key"], _marks(cards, entry["key"], entry["at"])
        notes.origins["time"] = f"{key} ({marks} of the exposure){_converted(cards, key, utc_offset)}"
        if marks == "middle":
            return stamp
        end = _end(cards, notes, stamp, utc_offset) if marks == "start" else None
        if end is not None and (combined > 1 or exposure is None):
            notes.origins["time"] = f"half-way from {key} to DATE-END{_converted(cards, key, utc_offset)}"
            return stamp + (end - stamp) / 2
        _note_middle(cards, notes, exposure, stamp, end, combined)
        half = timedelta(seconds=(exposure or 0.0) / 2)
        return stamp + half if marks == "start" else stamp - half
    if not any("is no date" in problem or "never set" in problem for problem in notes.problems):
        notes.add("names no time of observation")
    return None


def _note_middle(
    cards: Cards, notes: Notes, exposure: float | None, start: datetime, end: datetime | None, combined: int
) -> None:
    """Note what makes the middle uncertain."""
    if exposure is None:
        notes.add("has no exposure time, so its time is not that of mid-exposure")
    elif combined > 1:
        notes.add(f"does not say when the last of its {combined} exposures ended; its time is near the first")
    elif end is not None and (length := (end - start).total_seconds()) < exposure - SLACK:
        notes.add(
            f"DATE-END = '{cards.text('DATE-END')}' is {length:g} s after the start of an exposure of "
            f"{exposure:g} s; start and exposure time are believed"
        )


def _end(cards: Cards, notes: Notes, start: datetime, utc_offset: float | None) -> datetime | None:
    """Return the end of the exposure where DATE-END tells one that is not before the start."""
    end = _read(cards, notes, {"key": "DATE-END"}, utc_offset, speak=False)
    if end is not None and end < start:
        notes.add(f"DATE-END = '{cards.text('DATE-END')}' is before the start; it is not used")
        return None
    return end


def _read(
    cards: Cards, notes: Notes, entry: dict[str, Any], utc_offset: float | None, *, speak: bool
) -> datetime | None:
    """Return what a stamp says, in UTC; None where it is missing or nonsense."""
    key = entry["key"]
    if not cards.text(key):
        return None
    stamp = _stamp(cards, entry)
    problem = _nonsense(stamp, cards.text(key))
    if stamp is None or problem:
        if speak:
            notes.add(f"{key} = '{cards.text(key)}' {problem}")
        return None
    scale = _scale(cards, key)
    if scale == "local":
        if utc_offset is not None:
            stamp -= timedelta(hours=utc_offset)
        elif speak:
            notes.add(
                "names no time zone; the camera's clock is taken as UTC, so times may be off by whole hours"
            )
        return stamp
    if not scale:
        if speak:
            notes.add(f"TIMESYS = '{cards.text('TIMESYS')}' is no time scale that is known; UTC is taken")
        return stamp
    return to_utc(stamp, scale) if scale != "utc" else stamp


def _scale(cards: Cards, key: str) -> str:
    """Return the time scale of a stamp: "local", a value of `SCALES`, or "" where nobody knows the word."""
    said = cards.text("TIMESYS")
    if not said or key.startswith("JD") or ZONED.search(cards.text(key)):
        return "utc"  # JD is no card of the standard, and UTC wherever we have seen it
    return "local" if squash(said) == "local" else scale_of(said)


def _converted(cards: Cards, key: str, utc_offset: float | None) -> str:
    """Return a word on what was done to make the stamp UTC."""
    scale = _scale(cards, key)
    if scale == "local" and utc_offset is not None:
        return f", {utc_offset:+g} h from UTC by option"
    return f", converted from {scale.upper()}" if scale not in ("utc", "local", "") else ""


def _stamp(cards: Cards, entry: dict[str, Any]) -> datetime | None:
    key = entry["key"]
    if "scale" in entry:
        number = cards.number(key)
        return None if number is None or number <= 0 else to_datetime(number, entry["scale"])
    clock = next((cards.text(name) for name in entry.get("clock", []) if ":" in cards.text(name)), "")
    parsed = parse_date(cards.text(key), clock.rpartition("T")[2])
    return parsed[0] if parsed is not None and parsed[1] else None


def _nonsense(stamp: datetime | None, text: str) -> str:
    table = dialects().table["clock"]
    if stamp is None:
        return "is no date with a time" if parse_date(text) else "is no date that can be read"
    if not table["first_year"] <= stamp.year <= table["last_year"]:
        return "is no date of an observation"
    if stamp.date().isoformat() in table["never_set"] and stamp.hour == 0 and stamp.minute == 0:
        return "is the date of a clock that was never set"
    return ""


def _marks(cards: Cards, key: str, default: str) -> str:
    comment = cards.comment(key).replace("-", " ")
    said = next((e["at"] for e in dialects().table["stamp_by_comment"] if e["contains"] in comment), "")
    return str(said or default)
