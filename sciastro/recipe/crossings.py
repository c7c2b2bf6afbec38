"""Say of every frame which satellites crossed it, and how many pixels that costs."""

from collections.abc import Sequence

import numpy as np

from sciastro.kernels.trails import mark_trails
from sciastro.recipe.lights import Light

__all__ = ["name_crossings"]


def name_crossings(lights: Sequence[Light]) -> None:
    """Add the trails that were found to the reason of each light; `use` stays as it is."""
    for light in lights:
        if light.measured is None or not light.measured.trails.size:
            continue
        plane = np.zeros(light.facts.shape, np.uint16)
        pixels = mark_trails(plane, 0, 0, light.measured.trails, np.uint16(1))
        number = len(light.measured.trails)
        what = "a satellite" if number == 1 else f"{number} satellites"
        text = f"crossed by {what} ({pixels} pixels masked)"
        light.reason = f"{light.reason}; {text}" if light.reason else text
