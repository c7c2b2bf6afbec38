"""A comet: a nucleus, a coma that fades outward as 1 / r, and a tail, moving against the stars.

The coma is that of a steady outflow (surface brightness falls as 1 / r from the nucleus), cut off
exponentially at its size; the tail points one way and fades along it. It moves along a great circle at
a constant rate, and is drawn where it is in the middle of each exposure.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.simulate.bands import Telescope, star_rates
from sciastro.simulate.camera import add_by_channel
from sciastro.simulate.optics import Geometry, centered, pixel_to_sky, sky_to_pixel
from sciastro.simulate.psf import Psf, draw_stars

__all__ = ["CometOptions", "add_comet", "comet_place"]

Plane = npt.NDArray[np.float32]

SOFT = 0.5  # pixel: the 1 / r law is blunt inside


@dataclass(frozen=True, kw_only=True, slots=True)
class CometOptions(Options):
    """A comet in the field."""

    present: bool = option(False, "Whether there is one.")
    mag: float = option(9.0, "Total V of coma and tail.", unit="mag", low=-5.0, high=20.0)
    nucleus: float = option(12.5, "V of the star-like nucleus.", unit="mag", low=-5.0, high=25.0)
    color: float = option(0.7, "B-V.", unit="mag", low=-1.0, high=3.0)
    coma: float = option(60.0, "Size of the coma.", unit="arcsec", low=0.1, high=36000.0)
    tail: float = option(400.0, "Length of the tail.", unit="arcsec", low=0.1, high=36000.0)
    tail_angle: float = option(60.0, "Position angle of the tail.", unit="deg", low=-360.0, high=360.0)
    tail_share: float = option(0.35, "Part of the light that is in the tail.", low=0.0, high=1.0)
    rate: float = option(120.0, "Motion against the stars.", unit="arcsec / h", low=0.0, high=36000.0)
    curve: float = option(
        0.0,
        "Acceleration to the left of the motion as seen on the sky.",
        unit="arcsec / h2",
        low=-1e5,
        high=1e5,
    )
    angle: float = option(250.0, "Position angle of the motion.", unit="deg", low=-360.0, high=360.0)


def comet_place(
    options: CometOptions, ra: float, dec: float, middle: datetime, when: datetime
) -> tuple[float, float]:
    """Return where the comet is at `when`: ra, dec [deg].

    Parameters
    ----------
    ra, dec
        Where it is at `middle` [deg].
    """
    hours = (when - middle).total_seconds() / 3600
    run, side = options.rate * hours, options.curve * hours**2 / 2
    angle = np.deg2rad(options.angle)
    to_ra, to_dec = pixel_to_sky(
        centered(ra, dec, 1.0, (1, 1)),
        np.array([-run * np.sin(angle) - side * np.cos(angle)]),
        np.array([run * np.cos(angle) - side * np.sin(angle)]),
    )
    return float(to_ra[0]), float(to_dec[0])


def add_comet(
    plane: Plane,
    options: CometOptions,
    place: tuple[float, float],
    geometry: Geometry,
    bands: tuple[str, ...],
    telescope: Telescope,
    psf: Psf,
    phase: npt.NDArray[np.int64],
) -> None:
    """Add the comet's light above the air [electron / s] to `plane` in place.

    Parameters
    ----------
    place
        Where it is: ra, dec [deg].
    bands
        Channels of `phase`, which names the channel of each pixel [y % rows, x % columns].
    """
    x, y = (float(one[0]) for one in sky_to_pixel(geometry, [place[0]], [place[1]]))
    draw_stars(plane, [x], [y], star_rates(bands, [options.nucleus], [options.color], telescope), psf, phase)
    toward = comet_place(_along_tail(options), *place, _EPOCH, _LATER)
    tail_x, tail_y = (float(one[0]) for one in sky_to_pixel(geometry, [toward[0]], [toward[1]]))
    length = max(np.hypot(tail_x - x, tail_y - y), 1e-9)
    light = _profile(
        plane.shape, x, y, ((tail_x - x) / length, (tail_y - y) / length), options, geometry.scale
    )
    rates = star_rates(bands, [options.mag], [options.color], telescope)[0]
    add_by_channel(plane, light, rates, phase)


_EPOCH, _LATER = datetime(2000, 1, 1, 0), datetime(2000, 1, 1, 1)


def _along_tail(options: CometOptions) -> CometOptions:
    return CometOptions(rate=60.0, angle=options.tail_angle)


def _profile(
    shape: tuple[int, ...],
    x: float,
    y: float,
    along: tuple[float, float],
    options: CometOptions,
    scale: float,
) -> Plane:
    """Return coma and tail of total light 1 (were the plane large enough), (y, x)."""
    v, u = np.arange(shape[0], dtype=np.float32)[:, None] - y, np.arange(shape[1], dtype=np.float32) - x
    coma, tail = options.coma / scale, options.tail / scale
    r = np.hypot(np.hypot(u, v), SOFT)
    # The integral of exp(-r / a) / r over the plane, r being at least s, is 2 pi a exp(-s / a).
    light = (1 - options.tail_share) * np.exp((SOFT - r) / coma) / (2 * np.pi * coma * r)
    down = u * along[0] + v * along[1]
    across = u * along[1] - v * along[0]
    width = coma / 3 + 0.15 * np.maximum(down, 0)
    fan = np.exp(-0.5 * (across / width) ** 2) / (np.sqrt(2 * np.pi) * width)
    light += options.tail_share * fan * np.exp(-np.maximum(down, 0) / tail) / tail * (down > 0)
    return np.asarray(light, dtype=np.float32)
