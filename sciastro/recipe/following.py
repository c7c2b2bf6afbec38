"""Stacks of what moves: frames aligned on the object, or the object taken off the frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.integrate.moving import Subtraction
from sciastro.recipe.lights import Light

__all__ = ["Following"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Following:
    """How a pass deals with something that moves.

    Attributes
    ----------
    shifts
        Frame name to how far the object is from its place in the image [canvas pixel]; frames that are not
        named do not enter.
    follow
        Whether frames are aligned on the object, else on the stars.
    model
        What is taken off the frames first [electron / s]: the stars where the pass follows the object, else
        the object; None takes nothing off.
    beside
        Memory that models and earlier passes hold [byte].
    """

    shifts: Mapping[str, tuple[float, float]]
    follow: bool
    model: npt.NDArray[np.float32] | None = None
    beside: int = 0

    def of(self, lights: Sequence[Light]) -> Floats:
        """Return the shifts (frame, 2) of `lights`."""
        return np.array([self.shifts[light.name] for light in lights])

    def change(self, lights: Sequence[Light]) -> Subtraction | None:
        """Return what is done to the samples of `lights`."""
        if self.model is None:
            return None
        return Subtraction(self.model, self.of(lights) * (1 if self.follow else -1))
