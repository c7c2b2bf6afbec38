"""What folder and file names tell about a frame where its header is silent."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath

from sciastro.io.cards import squash
from sciastro.io.dialects import canonical_filter, dialects

__all__ = ["NameFacts", "facts_from_name", "stem"]

IMAGE_SUFFIXES = frozenset(
    {".fits", ".fit", ".fts", ".fz", ".gz", ".bz2", ".xisf", ".ser", ".tif", ".tiff"}
    | {".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".raf", ".rw2", ".orf", ".pef", ".dng"}
    | {".srw", ".rwl", ".3fr", ".fff", ".iiq", ".erf", ".mrw", ".mef", ".mos", ".kdc", ".dcr"}
)
EXPOSURE = re.compile(r"^(?:exp(?:osure)?[-=]?)?(\d+(?:\.\d+)?)(s|sec|secs|seconds|ms)$", re.IGNORECASE)
GAIN = re.compile(r"^gain[-=]?(\d+(?:\.\d+)?)$", re.IGNORECASE)
OFFSET = re.compile(r"^offset[-=]?(\d+(?:\.\d+)?)$", re.IGNORECASE)
TEMPERATURE = re.compile(r"^(?:temp)?([+-]?\d+(?:\.\d+)?)(?:c|degc|°c)$", re.IGNORECASE)
BINNING = re.compile(r"^bin(?:ning)?[-=]?(\d)(?:x(\d))?$|^(\d)x(\d)$", re.IGNORECASE)
DATE = re.compile(
    r"^\d{4}[-.]?\d{2}[-.]?\d{2}(?:[T-]?\d{2}[-:.]?\d{2}[-:.]?\d{2}(?:\.\d+)?)?$|^\d{6}$|^\d{2}[-.:]\d{2}[-.:]\d{2}$"
)
SIZE = re.compile(r"^\d{3,5}x\d{3,5}$")
CATALOG_NUMBER = re.compile(r"^[1-9]\d{0,4}[a-zA-Z]?$")
LETTER_AND_COUNTER = re.compile(r"^([a-z])\d*$", re.IGNORECASE)
STAMP = re.compile(r"^\d{6,}\b")
SEQUENCE = re.compile(r"^[#(]?\d+\)?$")


@dataclass(frozen=True, slots=True)
class NameFacts:
    """What a path says; "" and None where it says nothing. `kind_from` is "file name" or "folder name"."""

    kind: str = ""
    kind_from: str = ""
    filter: str = ""
    filter_text: str = ""
    target: str = ""
    target_from: str = ""
    exposure: float | None = None
    gain: float | None = None
    offset: float | None = None
    temperature: float | None = None
    binning: tuple[int, int] | None = None


def stem(path: PurePath) -> str:
    """Return the name without every image suffix ("a.fit.fz" is "a")."""
    while path.suffix.lower() in IMAGE_SUFFIXES:
        path = path.with_suffix("")
    return path.name


def facts_from_name(path: str) -> NameFacts:
    """Return what the relative path of a frame says.

    Parameters
    ----------
    path
        Path relative to the session folder; deeper folders count more.
    """
    pure = PurePath(path)
    words = _join_catalogs([word for word in re.split(r"[_\s]+", stem(pure)) if word])
    kind, kind_from, used = _kind(words, pure.parts[:-1])
    numbers, rest = _numbers(words[used:])
    text, name, rest = _filter(rest)
    target = _target(rest)
    target_from = "file name" if target else ""
    if not target:
        target = next((folder for folder in reversed(pure.parts[:-1]) if _names_target(folder)), "")
        target_from = "folder name" if target else ""
    return NameFacts(
        kind=kind,
        kind_from=kind_from,
        filter=name,
        filter_text=text,
        target=target,
        target_from=target_from,
        exposure=numbers.get("exposure"),
        gain=numbers.get("gain"),
        offset=numbers.get("offset"),
        temperature=numbers.get("temperature"),
        binning=_binning(words),
    )


def _join_catalogs(words: list[str]) -> list[str]:
    """Return the words with the number after a catalog's name joined to it: "NGC", "6888" is one word."""
    catalogs = dialects().catalogs
    joined: list[str] = []
    for word in words:
        if joined and CATALOG_NUMBER.match(word) and joined[-1].casefold() in catalogs:
            joined[-1] = f"{joined[-1]} {word}"
        else:
            joined.append(word)
    return joined


def _kind(words: list[str], folders: tuple[str, ...]) -> tuple[str, str, int]:
    """Return the kind, where it was found, and how many leading words of the file name it took."""
    table = dialects().name_kinds
    start = 1 if words and SEQUENCE.match(words[0]) else 0
    for count in (3, 2, 1):
        kind = table.get(_squash_kind("".join(words[start : start + count])))
        if kind and len(words) >= start + count:
            return kind, "file name", start + count
    for part in re.split(r"-", words[start])[:2] if len(words) > start else []:
        if kind := table.get(squash(part)):
            return kind, "file name", start
    for folder in reversed(folders):
        if kind := table.get(_squash_kind(folder)) or _kind_of_folder(folder):
            return kind, "folder name", start
    return "", "", start


def _squash_kind(text: str) -> str:
    return re.sub(r"\d+$", "", squash(text))


def _kind_of_folder(folder: str) -> str:
    """Return the kind that one word, or two neighboring words, of a folder name stand for.

    A singular beside a word of its own ("Dark Shark") is rather the name of a target.
    """
    table = dialects().name_kinds
    words = [word for word in re.split(r"[^A-Za-z0-9]+", folder) if word]
    pairs = ["".join(pair) for pair in pairwise(words)]
    found = next((squash(text) for text in [*pairs, *words] if squash(text) in table), "")
    if not found:
        return ""
    foreign = [
        word for word in words if word.isalpha() and squash(word) not in found and not _is_general(word)
    ]
    return "" if foreign and not found.endswith("s") else table[found]


def _is_general(word: str) -> bool:
    return squash(word) in dialects().generic or canonical_filter(word)[1]


def _numbers(words: list[str]) -> tuple[dict[str, float], list[str]]:
    """Return the numbers with units, and the words that are none of them."""
    found: dict[str, float] = {}
    rest = []
    for word in words:
        if match := EXPOSURE.match(word):
            found.setdefault("exposure", float(match[1]) * (1e-3 if match[2].lower() == "ms" else 1.0))
        elif match := GAIN.match(word):
            found.setdefault("gain", float(match[1]))
        elif match := OFFSET.match(word):
            found.setdefault("offset", float(match[1]))
        elif match := TEMPERATURE.match(word):
            found.setdefault("temperature", float(match[1]))
        elif not BINNING.match(word) and not SIZE.match(word):
            rest.append(word)
    return found, rest


def _binning(words: list[str]) -> tuple[int, int] | None:
    for word in words:
        if match := BINNING.match(word):
            x = int(match[1] or match[3])
            return x, int(match[2] or match[4] or x)
    return None


def _filter(words: list[str]) -> tuple[str, str, list[str]]:
    """Return the filter as written, its canonical name, and the other words."""
    letters = dialects().filter_letters
    spans = [(i, i + 2) for i in range(len(words) - 1)] + [(i, i + 1) for i in range(len(words))]
    for first, last in spans:
        text = "_".join(words[first:last])
        name, known = canonical_filter(text)
        if known and (len(squash(text)) > 1 or text in letters) and text not in {"IC", "no", "No", "NO"}:
            return text, name, words[:first] + words[last:]
    return "", "", words


def _target(words: list[str]) -> str:
    """Return what is left of a file name once dates, counters and general words are gone."""
    words = [word for word in words if not DATE.match(word)]
    while words and SEQUENCE.match(words[-1]):
        words = words[:-1]
    while len(words) > 1 and SEQUENCE.match(words[0]):
        words = words[1:]
    kept = [word for word in words if squash(word) not in dialects().generic and not _of_a_camera(word)]
    text = " ".join(kept)
    text = re.sub(r"[-#.]?\d{8,}$", "", text)  # a date glued to the name
    counter = LETTER_AND_COUNTER.match(text)
    if counter is not None and (counter[1].casefold() not in dialects().catalogs or len(text) == 1):
        return ""
    return text if any(char.isalpha() for char in text) else ""


def _of_a_camera(word: str) -> bool:
    """Return whether a camera or a phone has made the word: DSC01234, 213005123.RAW-01.COVER."""
    return bool(STAMP.match(word)) or re.sub(r"\d+$", "", squash(word)) in dialects().cameras


def _names_target(folder: str) -> bool:
    plain = squash(folder)
    return (
        any(char.isalpha() for char in plain)
        and plain not in dialects().generic
        and re.sub(r"\d+$", "", plain) not in dialects().generic
        and not _kind_of_folder(folder)
        and not canonical_filter(folder)[1]
        and EXPOSURE.match(folder) is None
        and TEMPERATURE.match(folder) is None
    )
