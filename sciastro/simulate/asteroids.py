"""Asteroids: star-like, each on a great circle at its own constant rate, drawn as the trail of its exposure.

Their places, brightnesses and motions come from the seed of the night, so that a plan says everything.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.simulate.bands import Telescope, star_rates
from sciastro.simulate.comet import CometOptions, comet_place
from sciastro.simulate.optics import Geometry, sky_to_pixel
from sciastro.simulate.psf import Psf, draw_stars

__all__ = ["Asteroid", "AsteroidOptions", "add_asteroids", "scatter_asteroids"]

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class AsteroidOptions(Options):
    """Asteroids in the field."""

    count: int = option(0, "How many.", low=0, high=10_000)
    bright: float = option(12.0, "V of the brightest.", unit="mag", low=-5.0, high=30.0)
    faint: float = option(16.0, "V of the faintest; evenly spread between.", unit="mag", low=-5.0, high=30.0)
    slow: float = option(0.1, "Slowest motion.", unit="arcsec / min", low=0.0, high=1e5)
    fast: float = option(5.0, "Fastest; logarithms evenly spread.", unit="arcsec / min", low=1e-4, high=1e5)
    color: float = option(0.75, "B-V.", unit="mag", low=-1.0, high=3.0)
    margin: float = option(0.1, "Share of the field at each edge without any.", low=0.0, high=0.45)


@dataclass(frozen=True, slots=True)
class Asteroid:
    """One of them.

    Attributes
    ----------
    mag
        V [mag].
    rate, angle
        Motion [arcsec / min], position angle [deg].
    ra, dec
        Place in the middle of the lights [deg].
    """

    mag: float
    rate: float
    angle: float
    ra: float
    dec: float

    def at(self, middle: datetime, when: datetime) -> tuple[float, float]:
        """Return ra and dec [deg] at `when`, if (ra, dec) is its place at `middle`."""
        path = CometOptions(rate=60 * self.rate, angle=self.angle)
        return comet_place(path, self.ra, self.dec, middle, when)


def scatter_asteroids(
    options: AsteroidOptions, field: Geometry, rng: np.random.Generator
) -> tuple[Asteroid, ...]:
    """Return the asteroids of a night, spread over `field`."""
    from sciastro.simulate.optics import pixel_to_sky

    n = options.count
    rows, columns = field.shape
    inside = options.margin + (1 - 2 * options.margin) * rng.random((n, 2))
    ra, dec = pixel_to_sky(field, inside[:, 0] * (columns - 1), inside[:, 1] * (rows - 1))
    share = (np.arange(n) + 0.5) / max(n, 1)
    mag = options.bright + (options.faint - options.bright) * share
    slow, fast = max(options.slow, 1e-4), max(options.fast, 1e-4)
    rate = slow * (fast / slow) ** rng.permutation(share)
    angle = 360 * rng.random(n)
    rows_of = zip(mag, rate, angle, ra, dec, strict=True)
    return tuple(Asteroid(*(float(value) for value in row)) for row in rows_of)


def add_asteroids(
    plane: Plane,
    asteroids: tuple[Asteroid, ...],
    color: float,
    times: tuple[datetime, datetime, float],
    geometry: Geometry,
    bands: tuple[str, ...],
    telescope: Telescope,
    psf: Psf,
    phase: npt.NDArray[np.int64],
) -> None:
    """Add the asteroids' light above the air [electron / s] to `plane` in place.

    Parameters
    ----------
    times
        When the places of the asteroids hold, the start of the exposure, and its length [s].
    """
    middle, start, seconds = times
    for one in asteroids:
        ends = [one.at(middle, start + timedelta(seconds=share * seconds)) for share in (0.0, 0.5, 1.0)]
        x, y = sky_to_pixel(geometry, [end[0] for end in ends], [end[1] for end in ends])
        trail = Psf(
            fwhm=psf.fwhm, options=psf.options,
            trail_x=psf.trail_x + float(x[2] - x[0]), trail_y=psf.trail_y + float(y[2] - y[0]),
        )  # fmt: skip
        rates = star_rates(bands, [one.mag], [color], telescope)
        draw_stars(plane, [x[1]], [y[1]], rates, trail, phase)
