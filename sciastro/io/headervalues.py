"""Texts and numbers of facts by the keywords that the tables of dialects list for them."""

from sciastro.io.cards import Cards, squash
from sciastro.io.dialects import dialects
from sciastro.io.headerparts import Notes

__all__ = ["number_of", "plain_word", "text_of"]


def text_of(cards: Cards, notes: Notes, fact: str) -> str:
    """Return the text of the first keyword of a fact that the header has, "" without one."""
    key = cards.first(word.key for word in dialects().keywords[fact])
    if key:
        notes.origins[fact] = key
    return cards.text(key)


def number_of(
    cards: Cards, notes: Notes, fact: str, *, low: float | None = None, high: float | None = None
) -> float | None:
    """Return the first usable number of a fact; what is out of range is no value."""
    for word in dialects().keywords[fact]:
        if word.key not in cards:
            continue
        value = cards.number(word.key)
        if value is None:
            if cards.text(word.key):
                notes.add(f"{word.key} = '{cards.text(word.key)}' is no number")
            continue
        value *= word.factor
        for unit in dialects().table["unit_by_comment"]:
            if unit["fact"] == fact and any(text in cards.comment(word.key) for text in unit["contains"]):
                value = value * unit.get("factor", 1.0) + unit.get("add", 0.0)
        if (low is not None and value < low) or (high is not None and value > high):
            continue
        notes.origins[fact] = word.key
        return value
    return None


def plain_word(text: str) -> str:
    """Return `text` squashed, "" where it is a word for nothing."""
    plain = squash(text)
    return "" if plain in dialects().table["empty"]["words"] else plain
