"""Designations of minor planets and comets, as people write them and as the Minor Planet Center packs them.

The packed form takes 12 columns: number (5, or 4 and the letter of a comet's orbit) and provisional
designation (7). Formats: minorplanetcenter.net, "Packed Provisional and Permanent Designations" and its
extension of 2023 (an underscore and base 62 from the 15,501st object of a half-month on; a tilde and base 62
from number 620,000 on). Observers' own names of unidentified objects stand in columns 6 to 12.
"""

import re
from dataclasses import dataclass

from sciastro.errors import OptionError

__all__ = ["Designation", "pack", "parse_designation", "unpack"]

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ORDER = "ABCDEFGHJKLMNOPQRSTUVWXYZ"  # the 25 letters that count objects of a half-month
TILDE = 620_000  # first number that is packed with a tilde
LAST = TILDE + 62**4 - 1
CYCLES = 620  # cycles that the classic form has room for: 15,500 objects
HALF = "A-HJ-Y"

NUMBERED = re.compile(r"(?:([1-9]\d{0,7})|\(([1-9]\d{0,7})\))$")
SQUEEZED = re.compile(r"\d{4}[A-Z]{2}\d*$|\d+[PDI]-?.*$", re.IGNORECASE)  # no name of an observer: a slip
NUMBERED_COMET = re.compile(r"([1-9]\d{0,3})([PDI])(?:-([A-Z]{1,2}))?$")
PLANET = re.compile(rf"(\d{{4}}) ([{HALF}])([A-HJ-Z])([1-9]\d*)?$")
OLD_PLANET = re.compile(rf"A([89]\d\d) ([{HALF}])([A-HJ-Z])$")
SURVEY = re.compile(r"([1-9]\d{3}) (P-L|T-[123])$")
COMET = re.compile(rf"([ACDPXI])/(\d{{4}}) ([{HALF}])([A-HJ-Z])?([1-9]\d*)?(?:-([A-Z]))?$")
TEMPORARY = re.compile(r"[-A-Za-z0-9_]{1,8}$")
SAMPLE = "433, 2023 AB12, 4101 T-3, C/2023 A3, 12P, 73P-C, or a name of your own of 1 to 8 letters and digits"


@dataclass(frozen=True, slots=True)
class Designation:
    """What an object is called; at least one of the three is given.

    Attributes
    ----------
    permanent
        Number of a minor planet ("433"), or of a comet with its letter ("12P", "73P-C", "3I").
    provisional
        "2023 AB12", "A904 OA" (before 1925), "4101 T-3", "C/2023 A3", "C/2014 UN271", "D/1993 F2-B".
    temporary
        The observer's own name (ADES: trkSub).
    """

    permanent: str = ""
    provisional: str = ""
    temporary: str = ""

    @property
    def comet(self) -> bool:
        """Whether it is written in a comet's columns."""
        return self.permanent[-1:].isalpha() or "-" in self.permanent or "/" in self.provisional

    def __str__(self) -> str:
        """Return it as people write it."""
        if self.permanent and self.provisional:
            return f"{self.permanent} = {self.provisional}"
        return self.permanent or self.provisional or self.temporary


def _bad(text: str, why: str = "is no designation", where: str = "designation") -> OptionError:
    return OptionError(f"{why}: {text!r}.", where=where, remedy=f"Write it like {SAMPLE}.")


def parse_designation(text: str) -> Designation:
    """Return the designation that `text` is.

    Raises
    ------
    OptionError
        If it is none, or none that exists (a half-month I, a year to come, a number beyond the scheme).
    """
    plain = " ".join(text.split())
    if (m := NUMBERED.match(plain)) is not None:
        number = m[1] or m[2]
        if int(number) > LAST:
            raise _bad(plain, f"is beyond {LAST}, the last number that can be packed")
        return Designation(permanent=number)
    if NUMBERED_COMET.match(plain):
        return Designation(permanent=plain)
    if (m := OLD_PLANET.match(plain)) is not None or SURVEY.match(plain):
        return Designation(provisional=plain)
    if (m := PLANET.match(plain)) is not None:
        year = int(m[1])
        if not 1800 <= year <= 2099:
            raise _bad(plain, "has a year that cannot be packed")
        if year < 1925:
            if m[4]:
                raise _bad(plain, "has a count, which designations before 1925 have not")
            plain = f"A{plain[1:]}"
        _check_cycle(plain, year, m[3], int(m[4] or 0))
        return Designation(provisional=plain)
    if (m := COMET.match(plain)) is not None and (m[4] or m[5]):
        _check_comet(plain, m)
        return Designation(provisional=plain)
    if TEMPORARY.match(plain) and not plain.isdigit() and not SQUEEZED.match(plain):
        return Designation(temporary=plain)
    raise _bad(text)


def _check_cycle(text: str, year: int, letter: str, cycle: int) -> None:
    if cycle < CYCLES:
        return
    if not 2010 <= year <= 2035 or 25 * (cycle - CYCLES) + ORDER.index(letter) >= 62**4:
        raise _bad(text, "has a count that no packed form has room for")


def _check_comet(text: str, m: "re.Match[str]") -> None:
    year, count = int(m[2]), int(m[5] or 0)
    if not (0 < year <= 2099):
        raise _bad(text, "has a year that cannot be packed")
    if m[4]:
        if m[6]:
            raise _bad(text, "is a fragment of an object with two letters, which has no packed form")
        _check_cycle(text, year, m[4], count)
    elif count >= CYCLES:
        raise _bad(text, "has a count that no packed form has room for")


# --------------------------------------------------------------------------------------------- pack
def pack(designation: Designation) -> str:
    """Return the 12 columns of a designation in an 80-column record.

    Raises
    ------
    OptionError
        If it has no packed form, or an observer's own name could be read as a packed designation.
    """
    given = designation
    if not (given.permanent or given.provisional):
        return f"     {_own_name(given.temporary):<7}"
    if (
        given.permanent
        and given.provisional
        and ("/" in given.provisional) != (not given.permanent.isdigit())
    ):
        raise _bad(str(given), "is a number and a provisional designation of different kinds")
    if given.comet:
        return _pack_comet(given)
    number = _pack_number(int(given.permanent)) if given.permanent else " " * 5
    return f"{number}{_pack_planet(given.provisional) if given.provisional else '':<7}"


def _own_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]{1,7}", name):
        raise OptionError(
            f"is {name!r}, and 80-column records take up to 7 letters and digits.", where="designation",
            remedy="Choose a shorter name without signs, or report in ADES.",
        )  # fmt: skip
    try:
        read = unpack(f"     {name:<7}")
    except OptionError:
        return name
    if read.temporary != name:
        raise OptionError(
            f"is {name!r}, which reads as the packed form of {read}.", where="designation",
            remedy="Choose another name, or give the designation itself.",
        )  # fmt: skip
    return name


def _base62(number: int, digits: int) -> str:
    out = ""
    for _ in range(digits):
        number, rest = divmod(number, 62)
        out = BASE62[rest] + out
    return out


def _number62(text: str) -> int:
    number = 0
    for char in text:
        number = 62 * number + BASE62.index(char)
    return number


def _pack_number(number: int) -> str:
    if number < TILDE:
        return f"{BASE62[number // 10_000]}{number % 10_000:04d}"
    return f"~{_base62(number - TILDE, 4)}"


def _pack_year(year: int) -> str:
    return f"{BASE62[year // 100]}{year % 100:02d}"


def _pack_planet(text: str) -> str:
    if (m := SURVEY.match(text)) is not None:
        return f"{m[2].replace('-', '')}S{m[1]}"
    if (m := OLD_PLANET.match(text)) is not None:
        return f"{_pack_year(1000 + int(m[1]))}{m[2]}00{m[3]}"
    m = PLANET.match(text)
    if m is None:
        raise _bad(text)
    return _pack_cycle(int(m[1]), m[2], m[3], int(m[4] or 0))


def _pack_cycle(year: int, half: str, letter: str, cycle: int) -> str:
    if cycle >= CYCLES:
        return f"_{BASE62[year - 2000]}{half}{_base62(25 * (cycle - CYCLES) + ORDER.index(letter), 4)}"
    return f"{_pack_year(year)}{half}{BASE62[cycle // 10]}{cycle % 10}{letter}"


def _pack_comet(given: Designation) -> str:
    number, letter, fragment = "    ", "", ""
    if given.permanent:
        m = NUMBERED_COMET.match(given.permanent)
        if m is None:
            raise _bad(str(given), "is a number and a provisional designation of different kinds")
        number, letter, fragment = f"{int(m[1]):04d}", m[2], (m[3] or "").lower()
        if not given.provisional:
            return f"{number}{letter}{fragment:>7}"
    m = COMET.match(given.provisional)
    if m is None:
        raise _bad(str(given))
    count, own = int(m[5] or 0), (m[6] or "").lower()
    if given.permanent and own != fragment:
        raise _bad(str(given), "names two different fragments")
    if m[4]:
        return f"{number}{letter or m[1]}{_pack_cycle(int(m[2]), m[3], m[4], count)}"
    return f"{number}{letter or m[1]}{_pack_year(int(m[2]))}{m[3]}{BASE62[count // 10]}{count % 10}{own or 0}"


# ------------------------------------------------------------------------------------------- unpack
def unpack(columns: str) -> Designation:
    """Return the designation that 12 columns of a record hold.

    Raises
    ------
    OptionError
        If they hold none.
    """
    if len(columns) != 12 or not columns.strip():
        raise _bad(columns, "is no designation in 12 columns", "packed designation")
    if columns[4] in "ACDPXI" and (columns[:4].isdigit() or not columns[:4].strip()):
        return _unpack_comet(columns)
    number, rest = columns[:5], columns[5:].rstrip()
    permanent = ""
    if number.strip():
        m = re.fullmatch(r"(?:([0-9A-Za-z])(\d{4})|~([0-9A-Za-z]{4}))", number)
        if m is None:
            raise _bad(columns, "has no packed number in columns 1 to 5", "packed designation")
        value = TILDE + _number62(m[3]) if m[3] else 10_000 * BASE62.index(m[1]) + int(m[2])
        if value == 0:
            raise _bad(columns, "has the number 0", "packed designation")
        permanent = str(value)
    provisional = _unpack_planet(rest) if len(rest) == 7 else ""
    if rest and not provisional:
        if permanent or not re.fullmatch(r"[A-Za-z0-9]{1,7}", rest):
            raise _bad(columns, "has no packed designation in columns 6 to 12", "packed designation")
        return Designation(temporary=rest)
    return Designation(permanent=permanent, provisional=provisional)


def _unpack_planet(text: str) -> str:
    """Return the provisional designation that 7 columns are, empty if none."""
    if (m := re.fullmatch(r"(PL|T[123])S(\d{4})", text)) is not None:
        return f"{m[2]} {m[1][0]}-{m[1][1]}"
    if (m := re.fullmatch(rf"_([A-Z])([{HALF}])([0-9A-Za-z]{{4}})", text)) is not None:
        cycle, order = divmod(_number62(m[3]), 25)
        return f"{2000 + BASE62.index(m[1])} {m[2]}{ORDER[order]}{cycle + CYCLES}"
    m = re.fullmatch(rf"([I-K])(\d\d)([{HALF}])([0-9A-Za-z])(\d)([A-HJ-Z])", text)
    if m is None:
        return ""
    year, cycle = 100 * BASE62.index(m[1]) + int(m[2]), 10 * BASE62.index(m[4]) + int(m[5])
    if year < 1925:
        return f"A{year % 1000:03d} {m[3]}{m[6]}" if cycle == 0 else ""
    return f"{year} {m[3]}{m[6]}{cycle or ''}"


def _unpack_comet(columns: str) -> Designation:
    number, letter, rest = columns[:4].strip(), columns[4], columns[5:]
    permanent = f"{int(number)}{letter}" if number else ""
    if permanent and letter not in "PDI":
        raise _bad(columns, "has a number and an orbit that has none", "packed designation")
    if (m := re.fullmatch(r" {5}( [a-z]|[a-z]{2}|  )", rest)) is not None and permanent:
        fragment = m[1].strip().upper()
        return Designation(permanent=f"{permanent}-{fragment}" if fragment else permanent)
    planet = _unpack_planet(rest)
    if planet and not planet.startswith("A") and " " in planet and planet[5].isalpha():
        return Designation(permanent=permanent, provisional=f"{letter}/{planet}")
    m = re.fullmatch(rf"([0-9A-Za-z])(\d\d)([{HALF}])([0-9A-Za-z])(\d)([0a-z])", rest)
    if m is None:
        raise _bad(columns, "has no comet in columns 5 to 12", "packed designation")
    year, count = 100 * BASE62.index(m[1]) + int(m[2]), 10 * BASE62.index(m[4]) + int(m[5])
    fragment = "" if m[6] == "0" else m[6].upper()
    tail = f"-{fragment}" if fragment else ""
    return Designation(
        permanent=f"{permanent}{tail}" if permanent else "",
        provisional=f"{letter}/{year} {m[3]}{count or ''}{tail}",
    )
