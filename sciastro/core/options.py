"""Frozen options: each field carries its default, its meaning, its unit and its range.

One declaration feeds the check at construction, ``--set step.option=value``, the recipe file and
the help text.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from sciastro.errors import OptionError

__all__ = ["Options", "chosen_from", "describe", "option"]


def option(
    default: Any,
    meaning: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare a field of an `Options` class.

    Parameters
    ----------
    default
        Value when nobody asks for another; must be immutable.
    meaning
        One sentence for help and documentation.
    unit
        Unit of the number, as astropy spells it.
    low, high
        Inclusive range of a number.
    choices
        Allowed texts.
    """
    return field(
        default=default,
        metadata={"meaning": meaning, "unit": unit, "low": low, "high": high, "choices": choices},
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Base of every step's options; checks types and ranges when made."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises
        ------
        OptionError
            Where a value has the wrong type, or is out of its range or choices.
        """
        hints = typing.get_type_hints(type(self))
        for item in dataclasses.fields(self):
            value = _checked(getattr(self, item.name), item, hints[item.name], type(self).__name__)
            object.__setattr__(self, item.name, value)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Make the options from a recipe table or from ``--set`` texts.

        Raises
        ------
        OptionError
            For a key that is not an option; the message lists the known ones.
        """
        known = [item.name for item in dataclasses.fields(cls)]
        for key in values:
            if key not in known:
                raise OptionError(
                    f"has no option '{key}'.",
                    where=cls.__name__,
                    remedy=f"Known options: {', '.join(known)}.",
                )
        return cls(**dict(values))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a recipe, a header or a history entry."""
        return dataclasses.asdict(self)


def _checked(value: Any, item: dataclasses.Field[Any], hint: Any, owner: str) -> Any:
    where = f"{owner}.{item.name}"
    value = _converted(value, hint, where)
    if value is None:
        return None
    meta = item.metadata
    low, high, choices = meta.get("low"), meta.get("high"), meta.get("choices", ())
    if choices and value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices if choice != "")
        raise OptionError(f"is {value!r}.", where=where, remedy=f"Allowed values are {allowed}.")
    if isinstance(value, int | float) and not isinstance(value, bool):
        unit = f" {meta['unit']}" if meta.get("unit") else ""
        if not (low is None or value >= low) or not (high is None or value <= high):
            bounds = f"{'-inf' if low is None else low} to {'inf' if high is None else high}{unit}"
            raise OptionError(f"is {value}{unit}.", where=where, remedy=f"Choose a value from {bounds}.")
    return value


def _converted(value: Any, hint: Any, where: str) -> Any:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None or (isinstance(value, str) and value.lower() == "none" and type(None) in kinds):
        if type(None) in kinds:
            return None
        raise OptionError("is None.", where=where, remedy="Give a value.")
    converted: Any
    for kind in kinds:
        if kind is bool:
            converted = _as_bool(value)
        elif kind in (int, float):
            converted = _as_number(value, kind)
        elif kind is str:
            converted = value if isinstance(value, str) else None
        else:
            converted = value if kind is not type(None) and isinstance(value, kind) else None
        if converted is not None:
            return converted
    words = {float: "a number", int: "a whole number", bool: "yes or no", str: "a text", type(None): "none"}
    names = " or ".join(words.get(kind, getattr(kind, "__name__", str(kind))) for kind in kinds)
    raise OptionError(f"is {value!r}.", where=where, remedy=f"Give {names}.")


def _as_bool(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    return words.get(value.lower()) if isinstance(value, str) else None


def _as_number(value: Any, kind: type) -> Any:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if math.isnan(number):
        return None
    if kind is int:
        return int(number) if number.is_integer() else None
    return number


def chosen_from(text: str, known: Iterable[str], where: str) -> tuple[str, ...]:
    """Return the words of a text such as "ecsv,csv", in lower case, each once.

    Parameters
    ----------
    known
        Words that may be in it.
    where
        How the user spelled the option, for the error.

    Raises
    ------
    OptionError
        For a word that is not known.
    """
    allowed = tuple(known)
    chosen = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    for one in chosen:
        if one not in allowed:
            raise OptionError(f"is '{one}'.", where=where, remedy=f"Choose from {', '.join(allowed)}.")
    return chosen


def describe(options: type[Options]) -> list[dict[str, Any]]:
    """Return one mapping per option (name, type, default, meaning, unit, low, high, choices)."""
    hints = typing.get_type_hints(options)
    rows = []
    for item in dataclasses.fields(options):
        kind = hints[item.name]
        name = kind.__name__ if isinstance(kind, type) else str(kind)
        rows.append({"name": item.name, "type": name, "default": item.default, **item.metadata})
    return rows
