"""The tables of header dialects (dialects.toml, filters.toml, names.toml), loaded once and read-only."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from sciastro.io.cards import Cards, squash

__all__ = ["Dialects", "Keyword", "Traits", "canonical_filter", "dialects", "is_open", "traits_of"]


@dataclass(frozen=True, slots=True)
class Keyword:
    """One spelling of a fact, and the factor to its unit."""

    key: str
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Dialects:
    """The tables in the form in which they are looked up.

    Attributes
    ----------
    keywords
        Spellings of each fact, best first.
    kinds
        Squashed word to kind of frame.
    name_kinds, generic, catalogs, cameras, filter_letters
        What folder and file names say.
    filters_exact, filters_words
        Spelling to canonical filter.
    table
        Everything else, as in the file.
    """

    keywords: Mapping[str, tuple[Keyword, ...]]
    kinds: Mapping[str, str]
    name_kinds: Mapping[str, str]
    generic: frozenset[str]
    catalogs: frozenset[str]
    cameras: frozenset[str]
    filter_letters: frozenset[str]
    filters_exact: Mapping[str, str]
    filters_words: Mapping[str, str]
    filters_open: frozenset[str]
    filters_noise: re.Pattern[str]
    table: Mapping[str, Any]


def _load(name: str) -> dict[str, Any]:
    return tomllib.loads(files("sciastro.io").joinpath(name).read_text(encoding="utf-8"))


def _keyword(entry: str | Mapping[str, Any]) -> Keyword:
    return (
        Keyword(entry)
        if isinstance(entry, str)
        else Keyword(str(entry["key"]), float(entry.get("factor", 1.0)))
    )


def _reverse(table: Mapping[str, list[str]]) -> Mapping[str, str]:
    return MappingProxyType({word: name for name, words in table.items() for word in words})


def _kinds(table: Mapping[str, list[str]]) -> Mapping[str, str]:
    """Return word to kind, with the masters of every kind added."""
    words = dict(_reverse(table))
    for word, kind in list(words.items()):
        if not kind.startswith("master"):
            words.setdefault(f"master{word}", f"master-{kind}")
            words.setdefault(f"{word}master", f"master-{kind}")
    return MappingProxyType(words)


@cache
def dialects() -> Dialects:
    """Return the tables."""
    table, filters, names = _load("dialects.toml"), _load("filters.toml"), _load("names.toml")
    makers = sorted(filters["makers"], key=len, reverse=True)
    noise = rf"{filters['width']}|\b(?:{'|'.join(re.escape(word) for word in makers)})\b"
    return Dialects(
        keywords=MappingProxyType(
            {fact: tuple(_keyword(entry) for entry in entries) for fact, entries in table["keywords"].items()}
        ),
        kinds=_kinds(table["kinds"]),
        name_kinds=_reverse(names["kinds"]),
        generic=frozenset(names["generic"]["words"]),
        catalogs=frozenset(names["catalogs"]["words"]),
        cameras=frozenset(names["cameras"]["prefixes"]),
        filter_letters=frozenset(names["filters"]["letters"]),
        filters_exact=_reverse({entry["name"]: entry["exact"] for entry in filters["filter"]}),
        filters_words=_reverse({entry["name"]: entry["words"] for entry in filters["filter"]}),
        filters_open=frozenset(filters["open"]),
        filters_noise=re.compile(noise, re.IGNORECASE),
        table=MappingProxyType(table),
    )


def canonical_filter(text: str) -> tuple[str, bool]:
    """Return the canonical name of the filter `text` and whether it is a known one.

    A name that stands in no table is returned as it is, without control characters and doubled blanks.
    """
    known = _known_filter(text)
    return (known, True) if known else (text, False)


def _known_filter(text: str) -> str:
    tables = dialects()
    bare = tables.filters_noise.sub(" ", text.replace("_", " ").replace("-", " "))
    for candidate in (text.strip(), " ".join(bare.split())):
        name = tables.filters_exact.get(candidate) or tables.filters_words.get(squash(candidate))
        if name:
            return name
    return tables.filters_words.get(squash(text), "")


def is_open(name: str) -> bool:
    """Return whether the filter `name` lets all colors through."""
    return name in dialects().filters_open


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of the program that wrote a file; "" and None mean that no table says."""

    program: str = ""
    gain: str = ""
    pedestal: str = ""
    longitude: str = ""
    unit_float: bool = False
    saturation: float | None = None


def traits_of(cards: Cards) -> Traits:
    """Return the traits of the programs that `cards` name; of several the first in the table decides."""
    tables = dialects()
    said = " | ".join(cards.text(word.key) for word in tables.keywords["program"]).casefold()
    notes = " | ".join(cards.notes).casefold()
    found: dict[str, Any] = {}
    for entry in tables.table["program"]:
        text = f"{said} | {notes}" if entry.get("notes") else said
        if any(word in text for word in entry["contains"]):
            found.setdefault("program", entry["name"])
            for trait in ("gain", "pedestal", "longitude", "unit_float", "saturation"):
                if trait in entry:
                    found.setdefault(trait, entry[trait])
    return Traits(**found)
