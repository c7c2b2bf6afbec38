"""Calibrated windows of the lights of a band, and their maps, for the stack and whoever looks as it does."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.debayer import noise_of, phase_offset
from sciastro.core import transform
from sciastro.integrate.correlated import resampled_noise
from sciastro.kernels.warp import warp_table
from sciastro.recipe.calibrating import Calibrator
from sciastro.recipe.lights import Light

__all__ = ["WindowReader", "maps_of", "shared_noise"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WindowReader:
    """Calibrated windows of a band's lights by number; travels to the workers of a cluster."""

    lights: list[Light]
    band: str
    calibrator: Calibrator
    raised: tuple[float, ...]
    mosaic: bool

    def __call__(
        self, i: int, y0: int, y1: int, x0: int, x1: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.uint16]]:
        """Return signal [electron], variance [electron2] and quality of a window of light `i`."""
        window = self.calibrator.mosaic_window if self.mosaic else self.calibrator.window
        signal, variance, quality = window(self.lights[i], self.band, y0, y1, x0, x1)
        if self.raised[i] != 1.0:
            variance *= np.float32(self.raised[i])
        return signal, variance, quality


def shared_noise(
    lights: list[Light], band: str, calibrator: Calibrator, kernel: str
) -> tuple[Floats, Floats]:
    """Return per frame what raises the variance of resampled pixels, and the correlation left beside it.

    The pixels of interpolated mosaics share noise; all others are independent: 1 and 1.
    """
    table = warp_table(kernel)  # type: ignore[no-untyped-call]
    known: dict[str, tuple[float, float]] = {"": (1.0, 1.0)}
    for cfa in {light.facts.cfa for light in lights if light.facts.cfa}:
        known[cfa] = resampled_noise(noise_of(cfa, band[-1], calibrator.debayer_method), table)
    found = np.array([known[light.facts.cfa] for light in lights])
    return found[:, 0], found[:, 1]


def maps_of(lights: list[Light], band: str, calibrator: Calibrator, *, mosaic: bool) -> Floats:
    """Return reference-to-frame maps; the planes of a mosaic lie a quarter of a superpixel off its center.

    With `mosaic` they lead to raw pixels.
    """
    maps = [light.from_reference for light in lights if light.from_reference is not None]
    degree = max(transform.degree_of(one.shape[1]) for one in maps)
    out = np.stack([transform.pad(one, degree) for one in maps])
    for i, light in enumerate(lights):
        if mosaic:
            out[i] = calibrator.to_raw(light, out[i])
        elif light.facts.cfa:
            out[i, :, 0] -= phase_offset(light.facts.cfa, band[-1], calibrator.debayer_method)
    return out
