"""What pixels as wide as stars do to sums over a circle: they take each pixel as flat, and stars are not.

The flux within an aperture then depends on where in its pixel the star lies. Computed for a Moffat profile of
beta 4 at a grid of places; stacks of dithered frames of undersampled stars, simulated, scatter by 0.8 to 1.2
times as much where it matters (widths of 1.3 to 1.6 pixel).
"""

from functools import lru_cache

import numpy as np

from sciastro.kernels.aperture import aperture_sums

__all__ = ["FINE", "pixel_scatter"]

FINE = 5.0  # width of stars [pixel] from which the effect is below 0.15 % at any radius that is tried
PLACES = 10  # along each axis of a pixel
BETA = 4.0


@lru_cache(maxsize=256)
def pixel_scatter(fwhm: float, radius: float) -> float:
    """Return the relative scatter of the flux within `radius` [pixel] by the place of stars in their pixels.

    Parameters
    ----------
    fwhm
        Full width at half maximum on the image [pixel]; 0 is returned from `FINE` on.
    """
    if not 0 < fwhm < FINE:
        return 0.0
    side = 2 * int(np.ceil(radius + 2)) + 1
    shift = (np.arange(PLACES) + 0.5) / PLACES - 0.5
    centers = side * np.arange(PLACES) + side // 2 + shift
    pixel = np.arange(PLACES * side)
    offset = (pixel.reshape(PLACES, side) - centers[:, None]).ravel() ** 2
    alpha2 = fwhm**2 / (4 * (2 ** (1 / BETA) - 1))
    image = ((1 + (offset[:, None] + offset[None]) / alpha2) ** -BETA).astype(np.float32)
    x, y = (grid.ravel() for grid in np.meshgrid(centers, centers))
    nothing = np.zeros(image.shape, np.uint16)
    light = aperture_sums(
        image, np.ones_like(image), nothing.astype(bool), nothing, x, y, radius, np.ones((1, 1))
    )[0]
    return float(light.std() / light.mean())
