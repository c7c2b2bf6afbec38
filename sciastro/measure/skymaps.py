"""The smooth sky of an image as photometry asks for it: a function of pixels and quality bits."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from sciastro.measure.background import BackgroundOptions, background

__all__ = ["sky_mapper"]

Singles = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]

TILE = 16.0  # fwhm
SMALLEST, LARGEST, UNKNOWN = 32, 256, 64  # pixel


def sky_mapper(fwhm: float) -> Callable[[Singles, Bits], Singles]:
    """Return a function from image and quality (y, x) to the sky at every pixel, by tiles of 16 `fwhm`."""
    box = int(np.clip(TILE * fwhm if np.isfinite(fwhm) else UNKNOWN, SMALLEST, LARGEST))

    def sky_map(image: Singles, quality: Bits) -> Singles:
        return background(image, quality, BackgroundOptions(box=box)).level_map()

    return sky_map
