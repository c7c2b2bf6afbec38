"""An invented nebula: smooth light, filaments and dark lanes, fixed on the sky.

A texture on a gnomonic grid about the target, made of Gaussian random fields with a power-law spectrum
(the spectrum of turbulent gas); filaments are the zero crossings of such a field. Emission (red) and
reflection (blue) light are two textures between 0 and about 1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core import transform
from sciastro.simulate.optics import Geometry, centered, pixel_to_sky, sky_to_pixel

__all__ = ["SHAPES", "Nebula", "make_nebula", "texture_map"]

Plane = npt.NDArray[np.float32]
SHAPES = ("none", "ring", "cloud")


@dataclass(frozen=True, kw_only=True, slots=True)
class Nebula:
    """Two textures on one grid of the sky.

    Attributes
    ----------
    emission, reflection
        Surface brightness, (y, x), peak about 1, exactly 0 at the border.
    grid
        Where the texture lies.
    """

    emission: Plane
    reflection: Plane
    grid: Geometry


def _field(rng: np.random.Generator, size: int, slope: float, largest: float) -> npt.NDArray[np.float64]:
    """Return a random field (mean 0, variance 1), power ``k**-slope`` below wavelength `largest` [texel]."""
    k = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    power = (k**2 + (1 / largest) ** 2) ** (-slope / 4)
    noise = np.fft.rfft2(rng.standard_normal((size, size))) * power
    noise *= np.exp(-0.5 * (k / 0.18) ** 2)  # nothing finer than the bilinear sampling carries
    noise[0, 0] = 0
    out = np.fft.irfft2(noise, s=(size, size))
    return np.asarray(out / out.std(), dtype=np.float64)


def make_nebula(
    shape: str, ra: float, dec: float, diameter: float, *, seed: int, size: int = 768
) -> Nebula | None:
    """Return a nebula of about `diameter` [deg] around (`ra`, `dec`) [deg], or None for "none".

    Parameters
    ----------
    shape
        One of `SHAPES`: "ring" has a cavity swept by the stars in its middle, "cloud" has none.
    """
    if shape == "none":
        return None
    rng = np.random.default_rng([seed, 77])
    span = 1.8 * diameter
    step = np.linspace(-span / 2, span / 2, size)
    warp = _field(rng, size, 3.4, size / 2), _field(rng, size, 3.4, size / 2)
    xx, yy = step[None, :] + 0.10 * diameter * warp[0], step[:, None] + 0.10 * diameter * warp[1]
    r = np.hypot(xx, 1.15 * yy) / (diameter / 2)
    billow = np.exp(0.55 * _field(rng, size, 3.2, size / 3))
    crossing, fine = _field(rng, size, 4.2, size / 3), _field(rng, size, 3.8, size / 6)
    shocked = 1 / (
        1 + np.exp(-2.5 * _field(rng, size, 3.4, size / 3))
    )  # filaments only where gas is swept up
    filaments = shocked * (np.exp(-((crossing / 0.10) ** 2)) + 0.5 * np.exp(-((fine / 0.09) ** 2)))
    lanes = 1 / (1 + np.exp((_field(rng, size, 3.1, size / 5) - 1.35) / 0.15))
    envelope = np.exp(-(((r - 0.62) / 0.30) ** 2)) if shape == "ring" else np.exp(-1.6 * r**2)
    taper = _taper(size)
    emission = envelope * billow * (0.55 + 0.8 * filaments) * (0.25 + 0.75 * lanes)
    reflection = np.exp(-2.6 * r**2) * np.sqrt(billow) * (0.6 + 0.4 * lanes)
    grid = centered(ra, dec, 3600 * span / (size - 1), (size, size))
    return Nebula(emission=_normalized(emission, taper), reflection=_normalized(reflection, taper), grid=grid)


def _taper(size: int) -> npt.NDArray[np.float64]:
    edge = np.sin(np.pi * np.arange(size) / (size - 1)) ** 2
    window = np.minimum(1.0, 4 * edge)
    return np.asarray(window[:, None] * window[None, :], dtype=np.float64)


def _normalized(light: npt.NDArray[np.float64], taper: npt.NDArray[np.float64]) -> Plane:
    light = light * taper
    return np.asarray(light / np.percentile(light, 99.5), dtype=np.float32)


def texture_map(
    geometry: Geometry, nebula: Nebula
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the cubic maps from frame to texture pixels that `kernels.render_stars.add_texture` reads."""

    def across(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[object, object]:
        return sky_to_pixel(nebula.grid, *pixel_to_sky(geometry, x, y))

    rows, columns = geometry.shape
    coefficients, _ = transform.compose_fit(across, columns, rows, 3)
    per_pixel = transform.SCALE ** -np.repeat(np.arange(4.0), np.arange(1, 5))
    scaled = coefficients * per_pixel
    return np.ascontiguousarray(scaled[0]), np.ascontiguousarray(scaled[1])
