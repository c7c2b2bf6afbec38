"""What kind of frame a header, or failing that a name, tells; its exposure time and its filter."""

from sciastro.io.cards import Cards
from sciastro.io.dialects import canonical_filter, dialects, is_open
from sciastro.io.filenames import NameFacts
from sciastro.io.headerparts import Notes, bayer_pattern
from sciastro.io.headervalues import number_of, plain_word

__all__ = ["note_refused_exposure", "read_exposure", "read_filter", "read_kind"]

LONGEST_EXPOSURE = 1e6  # seconds


def read_kind(cards: Cards, notes: Notes, names: NameFacts, combined: int) -> str:
    """Return the kind of frame: the header first, then cards only combined images have, then names."""
    key = cards.first(word.key for word in dialects().keywords["kind"])
    said = dialects().kinds.get(plain_word(cards.text(key)), "")
    if key and not said and plain_word(cards.text(key)):
        notes.add(f"{key} = '{cards.text(key)}' names no kind of frame that is known")
    if said:
        notes.origins["kind"] = key
        said = _refined(said, notes, names, key)
    if not said:
        entry = next((e for e in dialects().table["kind_by_card"] if e["key"] in cards), None)
        if entry is not None:
            said, notes.origins["kind"] = str(entry["kind"]), entry["key"]
    if not said and names.kind:
        said, notes.origins["kind"] = names.kind, names.kind_from
    if not said:
        notes.origins["kind"] = "default"
        return "unknown"
    if combined > 1 and not said.startswith("master-"):
        notes.add(f"holds {combined} combined exposures, so it is taken as a master {said}")
        return f"master-{said}"
    return said


def _refined(said: str, notes: Notes, names: NameFacts, key: str) -> str:
    """Return the header's kind, made finer by names where they agree, with a problem where they do not."""
    plain = said.removeprefix("master-")
    named = names.kind.removeprefix("master-")
    if not named or named == plain:
        return names.kind if names.kind.startswith("master-") and not said.startswith("master-") else said
    if plain == "dark" and named == "dark-flat":
        notes.origins["kind"] = f"{key} and {names.kind_from}"
        return said.replace("dark", "dark-flat")
    if not (plain == "dark-flat" and named in {"dark", "flat"}):
        notes.add(f"{key} says {plain}, the {names.kind_from} says {named}; the header is believed")
    return said


def read_exposure(
    cards: Cards, notes: Notes, names: NameFacts, kind: str, other: float | None
) -> float | None:
    """Return the exposure time [s]: the header's, the name's, none of a bias, `other`, else the cadence."""
    exposure = number_of(cards, notes, "exposure", low=0.0, high=LONGEST_EXPOSURE)
    if exposure is None and names.exposure is not None:
        notes.origins["exposure"] = "file name"
        return names.exposure
    if exposure is None and kind.endswith("bias"):
        notes.origins["exposure"] = "default"
        return 0.0
    if exposure is None and other is not None:
        notes.origins["exposure"] = "option"
        return other
    step = cards.number("FRAMSTEP")
    if exposure is None and step is not None and step > 0:
        notes.origins["exposure"] = "FRAMSTEP"
        notes.add("names no exposure time; the time from frame to frame is taken, which may be longer")
        return step
    if exposure is None:
        notes.add("names no exposure time")
    elif exposure == 0 and kind.endswith(("light", "flat")):
        notes.add("says an exposure time of 0 s")
        return None if kind.endswith("light") else exposure
    return exposure


def note_refused_exposure(cards: Cards, notes: Notes, hdu: int, kind: str, exposure: float | None) -> None:
    """Note every card of the exposure time that is none, and what is taken instead."""
    taken = notes.origins.get("exposure", "")
    for word in dialects().keywords["exposure"]:
        if word.key == taken and exposure is not None:
            return  # cards behind the one that is believed are not asked
        text, value = cards.text(word.key), cards.number(word.key)
        usable = value is not None and 0 <= value * word.factor <= LONGEST_EXPOSURE
        if not text or (usable and not (value == 0 and kind.endswith("light"))):
            continue
        instead = "the frame has none" if exposure is None else f"{exposure:g} s is taken ({taken})"
        problem = f"{word.key} = {text} (HDU {hdu}) is no exposure time; {instead}"
        notes.add(problem)
        notes.refused.append(problem)


def read_filter(cards: Cards, notes: Notes, names: NameFacts, kind: str, cfa: str) -> tuple[str, str]:
    """Return the filter as written and its canonical name."""
    if kind.endswith(("bias", "dark", "dark-flat")):
        return "", ""
    text, origin = "", "default"
    key = cards.first(word.key for word in dialects().keywords["filter"])
    if key:
        text, origin = cards.text(key), key
    elif names.filter_text:
        text, origin = names.filter_text, "file name"
    name, known = canonical_filter(text) if text else ("Clear", True)
    if text and not known and not origin.endswith("name"):
        notes.origins["filter"] = f"{origin} (unknown name)"
    else:
        notes.origins["filter"] = origin
    return text, "OSC" if cfa and (is_open(name) or bayer_pattern(text)) else name
