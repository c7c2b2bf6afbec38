"""Which measures of a frame an expression may name, and the short form "best 80 % by fwhm".

An expression is checked where options are made, so that a slip of the pen fails before hours of work.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sciastro.core.expression import Expression, parse
from sciastro.errors import OptionError

__all__ = ["MEASURES", "NOT_SELECTED", "Measure", "selection", "weighting"]

NOT_SELECTED = "not selected"
"""How the reason of a frame begins that the user's selection leaves out."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number per frame.

    Attributes
    ----------
    meaning, unit
        As for a variable of the vocabulary.
    better
        +1 where more is better, -1 where less is, 0 where neither.
    """

    meaning: str
    unit: str
    better: int


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "fwhm": Measure("median full width at half maximum of stars", "pixel", -1),
        "eccentricity": Measure("median eccentricity of stars", "", -1),
        "elongation": Measure("axis ratio common to all stars, 1 round", "", -1),
        "sky": Measure("median background", "electron / s", -1),
        "noise": Measure("background noise (1 sigma) per pixel", "electron / s", -1),
        "n_stars": Measure("stars detected at 5 sigma or more", "", 1),
        "transparency": Measure("star flux rate over that of the reference frame", "", 1),
        "exposure": Measure("exposure time", "s", 1),
        "airmass": Measure("airmass at mid-exposure", "", -1),
        "temperature": Measure("sensor temperature", "deg_C", 0),
        "registration_rms": Measure("residual of the registration", "pixel", -1),
        "hour": Measure("time since the first frame of the group", "h", 0),
        "snr": Measure("signal-to-noise of a faint star over that of the group's best frame", "", 1),
        "psf_signal": Measure("PSF signal weight over that of the group's best frame", "", 1),
        "weight": Measure("weight by `grade.weight`, best frame 1", "", 1),
    }
)

BEST = re.compile(r"best\s+(\d+(?:\.\d+)?)\s*(?:%|percent)(?:\s+(?:by\s+)?(\w+))?", re.IGNORECASE)


def selection(text: str, where: str = "grade.select") -> Expression:
    """Return the checked expression of a selection; "best 80 %" means by weight.

    Raises
    ------
    OptionError
        If it is no expression over `MEASURES`, names a measure of which neither end is the better one, or
        asks for no frame or for more than all.
    """
    short = BEST.fullmatch(text.strip())
    if short is None:
        return parse(text, frozenset(MEASURES), where)
    share, name = short.group(1), (short.group(2) or "weight").lower()
    if name not in MEASURES or not MEASURES[name].better:
        known = ", ".join(key for key, measure in MEASURES.items() if measure.better)
        raise OptionError(f"asks for the best by {name!r}.", where=where, remedy=f"Choose from {known}.")
    if not 0 < float(share) <= 100:
        raise OptionError(
            f"asks for the best {share} %.", where=where, remedy="Give a percentage above 0 and up to 100."
        )
    sign = "-" if MEASURES[name].better > 0 else ""
    return parse(f"rank({sign}{name}) < {share}", frozenset(MEASURES), where)


def weighting(text: str, where: str = "grade.expression") -> Expression:
    """Return the checked expression of a weight; it may name every measure but the weight itself.

    Raises
    ------
    OptionError
        If it is no such expression.
    """
    return parse(text, frozenset(MEASURES) - {"weight"}, where)
