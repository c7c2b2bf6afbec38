"""Checks of single values that a caller gives: one sentence with what was found, where, and what to give."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.errors import OptionError

__all__ = ["finite_number", "numbers", "whole_number"]

Floats = npt.NDArray[np.float64]


def finite_number(
    value: Any, *, where: str, remedy: str, low: float = -math.inf, high: float = math.inf
) -> float:
    """Return a number from `low` to `high`.

    Raises
    ------
    OptionError
        If it is none (a text, None, yes or no, NaN, an infinity, an array), or beyond its bounds.
    """
    try:
        number = math.nan if isinstance(value, bool | str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or not low <= number <= high:
        raise OptionError(f"is {value!r}.", where=where, remedy=remedy)
    return number


def whole_number(value: Any, *, where: str, remedy: str, low: int = 0) -> int:
    """Return a whole number of at least `low`.

    Raises
    ------
    OptionError
        If it is none.
    """
    number = finite_number(value, where=where, remedy=remedy, low=low)
    if not number.is_integer():
        raise OptionError(f"is {value!r}.", where=where, remedy=remedy)
    return int(number)


def numbers(value: npt.ArrayLike, *, where: str, remedy: str) -> Floats:
    """Return an array of numbers; NaN is one that is not known.

    Raises
    ------
    OptionError
        If there is something else in it (a text, None), or an infinity.
    """
    try:
        given = np.asarray(value)
        array = np.asarray(given, dtype=np.float64) if given.dtype.kind in "iuf" else None
    except (TypeError, ValueError):
        array = None
    if array is None or np.any(np.isinf(array)):
        raise OptionError(f"is {value!r}.", where=where, remedy=remedy)
    return array
