"""One integrated band with all that later stages ask of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.wcs import parity
from sciastro.integrate.canvas import Canvas
from sciastro.integrate.run import StackArrays
from sciastro.recipe.lights import Light

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["Stacked"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stacked:
    """One integrated band.

    Attributes
    ----------
    target, stem, band
        What it shows, and the start of its set's file names.
    file
        The start of its own file names.
    arrays
        Image, variance, quality, coverage, rejected counts.
    lights
        Frames that entered.
    noise_correlation
        Noise of large areas over what uncorrelated pixels would give.
    autocorrelation
        Correlation of the noise of two pixels by their offset in y and x (2 K + 1, 2 K + 1).
    canvas
        Its grid, with the world coordinates where solved.
    method
        Rejection that was used, with its thresholds.
    reference
        The frame whose sky level and transparency it has.
    coherence
        How far its frames sample the sky at the same places (`integrate.coherence`); None unknown.
    lattice
        How they sample it (`measure.phase.LATTICES`); "" where that needs no care.
    nearest
        Whether samples went to the nearest pixel, whole.
    empty
        Share of the pixels that its frames show and that hold nothing.
    """

    target: str
    stem: str
    band: str
    file: str
    arrays: StackArrays
    lights: list[Light]
    noise_correlation: float
    autocorrelation: Floats
    canvas: Canvas
    method: str
    reference: Light | None = None
    coherence: Floats | None = None
    lattice: str = ""
    nearest: bool = False
    empty: float = 0.0

    @property
    def wcs(self) -> "WCS | None":
        """World coordinates of the canvas; None unsolved."""
        return self.canvas.wcs

    @property
    def top_down(self) -> bool:
        """Whether the first row is on top: as the frames say, else so that the sky is not mirrored."""
        order = self.lights[0].facts.row_order if self.lights else ""
        if order:
            return order == "TOP-DOWN"
        return self.wcs is not None and parity(self.wcs) == -1

    @property
    def exposure(self) -> float:
        """Summed exposure [s]."""
        return float(sum(light.facts.exposure or 0.0 for light in self.lights))
