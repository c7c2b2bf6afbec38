"""Which lights may be the reference of their set, and the epoch of a set."""

from collections.abc import Sequence

import numpy as np

from sciastro.core import timescales
from sciastro.recipe.lights import Light

__all__ = ["choose_reference", "julian_year"]


def julian_year(lights: Sequence[Light]) -> float | None:
    """Return the mean epoch of `lights` as a Julian year, None where no header has a date."""
    stamps = [light.facts.time.timestamp() for light in lights if light.facts.time is not None]
    if not stamps:
        return None
    return timescales.julian_year(float(np.mean(stamps)))


def choose_reference(members: Sequence[Light]) -> list[Light]:
    """Return the lights that may be the reference, best first: many stars, sharp, round."""
    good = [
        light
        for light in members
        if light.measured is not None and light.measured.n_stars > 0 and not light.reason
    ]

    def merit(light: Light) -> float:
        measured = light.measures
        trailed = 0.2 if measured.elongation > 1.3 else 1.0
        return trailed * measured.n_stars / max(measured.fwhm, 0.5) ** 2

    return sorted(good, key=merit, reverse=True)
