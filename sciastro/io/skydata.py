"""Names in the sky, offline: deep-sky objects, named stars, constellations; the tables of ``catalogs/sky``.

Reads tab-separated text (``manifest.toml`` beside it says what the columns are, where they are from and under
which license). `find` knows the names that people type: "M 13", "ngc6205", "Hercules Globular Cluster",
"Caldwell 14", "alpha Lyr", "61 Cyg", "HIP 91262", "Vega".
"""

import difflib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import cos, nan, radians
from typing import Any

from sciastro.errors import CatalogError
from sciastro.io.reference import catalog_root

__all__ = [
    "NamedStar",
    "SkyObject",
    "constellation_lines",
    "constellation_names",
    "find",
    "named_stars",
    "regions",
    "sky_info",
    "sky_objects",
]

EPOCH = 2016.0
LETTERS = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta",
    "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "ο": "omicron",
    "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "υ": "upsilon", "φ": "phi", "χ": "chi", "ψ": "psi",
    "ω": "omega",
}  # fmt: skip
SHORT = {
    "alf": "alpha", "bet": "beta", "gam": "gamma", "del": "delta", "eps": "epsilon", "zet": "zeta",
    "tet": "theta", "the": "theta", "iot": "iota", "kap": "kappa", "lam": "lambda", "ksi": "xi",
    "omi": "omicron", "sig": "sigma", "ups": "upsilon", "ome": "omega",
}  # fmt: skip
CATALOGS = {
    "messier": "m", "caldwell": "c", "melotte": "mel", "collinder": "cr", "barnard": "b", "sharpless": "sh",
    "harvard": "h", "hickson": "hcg",
}  # fmt: skip
TYPES = {
    "G": "galaxy", "GPair": "galaxy pair", "GTrpl": "galaxy triplet", "GGroup": "galaxy group",
    "GCl": "globular cluster", "OCl": "open cluster", "*Ass": "association", "Cl+N": "cluster with nebula",
    "PN": "planetary nebula", "HII": "emission nebula", "EmN": "emission nebula", "Neb": "nebula",
    "RfN": "reflection nebula", "DrkN": "dark nebula", "SNR": "supernova remnant", "Nova": "nova",
    "*": "star", "**": "double star", "Other": "other",
}  # fmt: skip
"""Code of OpenNGC to a word."""


@dataclass(frozen=True, slots=True)
class SkyObject:
    """A deep-sky object; NaN is unknown.

    Attributes
    ----------
    name, type
        As cataloged ("NGC 6205"); code, a key of `TYPES`.
    ra, dec
        ICRS [deg].
    major, minor
        Whole axes [arcmin].
    pa
        Position angle of the major axis, north through east [deg].
    mag
        V, else B [mag].
    messier
        Number in Messier's list, 0 for none.
    common, others
        Names that people use; further designations.
    """

    name: str
    type: str
    ra: float
    dec: float
    major: float
    minor: float
    pa: float
    mag: float
    messier: int
    common: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def label(self) -> str:
        """Return the short name for a picture: Messier's number, else the name."""
        return f"M {self.messier}" if self.messier else self.name

    def radius(self) -> float:
        """Return half of the major axis [deg]; 0 where nobody measured it."""
        return self.major / 120 if self.major > 0 else 0.0


@dataclass(frozen=True, slots=True)
class NamedStar:
    """A star with a name, a letter or a number in its constellation; ICRS at epoch 2016.

    Attributes
    ----------
    hip
        Number in the Hipparcos catalog.
    name
        Of the IAU Working Group on Star Names, "" for none.
    bayer, flamsteed
        Greek letter, number; "" for none.
    constellation
        Three letters.
    ra, dec, pm_ra, pm_dec
        [deg], [mas / yr] (the first times cos(dec)).
    mag
        V.
    """

    hip: int
    name: str
    bayer: str
    flamsteed: str
    constellation: str
    ra: float
    dec: float
    pm_ra: float
    pm_dec: float
    mag: float

    @property
    def designation(self) -> str:
        """Return "α Lyr" or "61 Cyg"; "" for a star without."""
        first = self.bayer or self.flamsteed
        return f"{first} {self.constellation}" if first and self.constellation else ""

    @property
    def label(self) -> str:
        """Return the name, else the designation, else the Hipparcos number."""
        return self.name or self.designation or f"HIP {self.hip}"

    def at(self, year: float) -> tuple[float, float]:
        """Return RA and Dec [deg] at an epoch."""
        span = (year - EPOCH) / 3.6e6
        return (self.ra + self.pm_ra * span / cos(radians(self.dec))) % 360, self.dec + self.pm_dec * span


def _rows(name: str) -> Iterator[list[str]]:
    path = catalog_root() / "sky" / name
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(
            f"cannot be read ({error}).", where=str(path), remedy="Install sciastro again."
        ) from error
    return (line.split("\t") for line in lines[1:] if line)


def _number(text: str) -> float:
    return float(text) if text else nan


@lru_cache(maxsize=1)
def sky_objects() -> tuple[SkyObject, ...]:
    """Return all deep-sky objects of the table."""
    out = []
    for name, kind, ra, dec, major, minor, pa, b, v, messier, common, others in _rows("objects.tsv"):
        mag = _number(v or b)
        out.append(
            SkyObject(
                name, kind, float(ra), float(dec), _number(major), _number(minor), _number(pa), mag,
                int(messier or 0), tuple(common.split("|")) if common else (),
                tuple(others.split("|")) if others else (),
            )
        )  # fmt: skip
    return tuple(out)


@lru_cache(maxsize=1)
def named_stars() -> tuple[NamedStar, ...]:
    """Return all stars with a name or a designation, and those at the ends of constellation lines."""
    return tuple(
        NamedStar(int(row[0]), *row[1:5], *(_number(text) for text in row[5:]))  # type: ignore[arg-type]
        for row in _rows("stars.tsv")
    )


@lru_cache(maxsize=1)
def constellation_lines() -> tuple[tuple[str, int, int], ...]:
    """Return the lines of the constellations: three letters, HIP and HIP."""
    return tuple((where, int(a), int(b)) for where, a, b in _rows("lines.tsv"))


@lru_cache(maxsize=1)
def constellation_names() -> dict[str, str]:
    """Return the Latin names of the 88 constellations by their three letters."""
    return {short: name for short, name, _ in _rows("constellations.tsv")}


@lru_cache(maxsize=1)
def regions() -> tuple[tuple[float, float, float, str], ...]:
    """Return Roman's table: RA from, to [h], lowest Dec [deg] in B1875, name; the first that fits counts."""
    return tuple((float(a), float(b), float(c), name) for a, b, c, name in _rows("regions.tsv"))


# ------------------------------------------------------------------------------------------- names
def find(name: str) -> SkyObject | NamedStar:
    """Return the object or star of that name, however it is spelled.

    Raises
    ------
    CatalogError
        If there is none; the message names similar ones. Planets, comets and variable stars are not here.
    """
    key = _key(name)
    found = _names().get(key)
    if found is None:
        near = difflib.get_close_matches(key, _names(), n=3, cutoff=0.75) if key else []
        names = "; similar: " + ", ".join(dict.fromkeys(_names()[one].label for one in near)) if near else ""
        raise CatalogError(
            f"is not in the embedded tables of deep-sky objects and stars{names}.",
            where=f"'{name}'",
            remedy="Give another of its names, or RA and Dec in degrees.",
        )
    return found


def _key(name: str) -> str:
    """Return what two spellings of a name have in common: lower case, no blanks, no leading zeros."""
    text = name.strip()
    text = re.sub("[αβγδεζηθικλμνξοπρστυφχψω]", lambda m: LETTERS[m[0]], text.casefold().replace("ς", "σ"))
    text = re.sub(r"^sh ?2 ?-", "sh2-", text.replace("sharpless 2-", "sh2-"))
    words = re.findall(r"[^\W\d_]+|\d+", text)
    words = [word.lstrip("0") or "0" if word.isdigit() else word for word in words]
    if words and words[0] in CATALOGS and len(words) > 1 and words[1].isdigit():
        words[0] = CATALOGS[words[0]]
    if len(words) > 1 and words[0] in SHORT:
        words[0] = SHORT[words[0]]
    return "-".join(words) if words and words[0] in ("sh", "eso") else "".join(words)


@lru_cache(maxsize=1)
def _names() -> dict[str, SkyObject | NamedStar]:
    out: dict[str, SkyObject | NamedStar] = {}
    full = {short: (name, genitive) for short, name, genitive in _rows("constellations.tsv")}
    for star in named_stars():
        for spelling in _spellings(star, full):
            out.setdefault(_key(spelling), star)
    objects = sky_objects()
    for one in objects:
        out[_key(one.name)] = one
    for one in objects:
        spellings = (*one.common, *one.others, *((f"M {one.messier}",) if one.messier else ()))
        for spelling in spellings:
            out.setdefault(_key(spelling), one)
    for other, main in _rows("again.tsv"):
        if (target := out.get(_key(main))) is not None:
            out.setdefault(_key(other), target)
    return out


def _spellings(star: NamedStar, full: dict[str, tuple[str, str]]) -> Iterator[str]:
    yield f"HIP {star.hip}"
    if star.name:
        yield star.name
    for first in (star.bayer, star.flamsteed):
        if first and star.constellation:
            yield f"{first} {star.constellation}"
            yield from (f"{first} {name}" for name in full[star.constellation])


def sky_info() -> dict[str, Any]:
    """Return what the manifest of the tables says: sources, licenses, columns, checksums."""
    return tomllib.loads((catalog_root() / "sky" / "manifest.toml").read_text(encoding="utf-8"))
