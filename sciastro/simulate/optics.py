"""From the sky to the focal plane: gnomonic projection, rotation, parity, radial distortion.

A `Geometry` is exact and closed: positions of stars are computed from it, never from a fitted WCS.
Ideal pixel offsets (u, v) from the optical axis become pixels by
``x = axis_x + u (1 + k r2)``, ``y = axis_y + v (1 + k r2)``, ``r2 = u2 + v2``.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS, Sip

from sciastro.core.wcs import tan_wcs

__all__ = [
    "Geometry",
    "centered",
    "distortion_constant",
    "frame_wcs",
    "pixel_to_sky",
    "pointed",
    "sky_to_pixel",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """How one frame lies on the sky.

    Attributes
    ----------
    ra, dec
        Sky position on the optical axis [deg], ICRS.
    scale
        Pixel scale on the axis [arcsec / pixel].
    angle
        Position angle of +y, north through east [deg].
    parity
        +1 for the sky as seen with y up, -1 mirrored (as stored by programs that write top-down).
    axis_x, axis_y
        Pixel on the optical axis.
    distortion
        k of the radial term [1 / pixel2]; positive is pincushion.
    shape
        Rows and columns.
    """

    ra: float
    dec: float
    scale: float
    angle: float
    parity: int
    axis_x: float
    axis_y: float
    distortion: float
    shape: tuple[int, int]


def distortion_constant(shape: tuple[int, int], at_corner: float) -> float:
    """Return k [1 / pixel2] that moves the corners of an image of `shape` by `at_corner` pixels."""
    half = 0.5 * float(np.hypot(shape[0] - 1, shape[1] - 1))
    return at_corner / half**3 if at_corner != 0 else 0.0


def centered(
    ra: float,
    dec: float,
    scale: float,
    shape: tuple[int, int],
    *,
    angle: float = 0.0,
    parity: int = 1,
    at_corner: float = 0.0,
) -> Geometry:
    """Return the geometry with (`ra`, `dec`) [deg] in the middle of the image and the axis there.

    Parameters
    ----------
    at_corner
        Radial displacement of the corners [pixel].
    """
    return Geometry(
        ra=ra % 360,
        dec=dec,
        scale=scale,
        angle=angle,
        parity=parity,
        axis_x=(shape[1] - 1) / 2,
        axis_y=(shape[0] - 1) / 2,
        distortion=distortion_constant(shape, at_corner),
        shape=shape,
    )


def pointed(base: Geometry, dx: float, dy: float) -> Geometry:
    """Return `base` pointed elsewhere, so that what was on the axis lands (`dx`, `dy`) pixels off it.

    The position angle is kept as a number: near the poles, where north turns fast, the landing place is
    off by the dither times that turn (a few thousandths of a pixel at 60 degrees).
    """
    ra, dec = _deproject(base, np.array([-dx]), np.array([-dy]))
    return replace(base, ra=float(ra[0]), dec=float(dec[0]))


def _matrix(geometry: Geometry) -> Floats:
    """Return d(xi, eta) / d(u, v) [deg / pixel], as `core.wcs.tan_wcs` has it."""
    c, s = np.cos(np.deg2rad(geometry.angle)), np.sin(np.deg2rad(geometry.angle))
    cd = np.array([[-geometry.parity * c, s], [geometry.parity * s, c]]) * (geometry.scale / 3600)
    return np.asarray(cd, dtype=np.float64)


def sky_to_pixel(geometry: Geometry, ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return exact pixel positions of `ra`, `dec` [deg]; NaN behind the sky's horizon of the projection."""
    d_ra = np.deg2rad(np.asarray(ra, dtype=np.float64) - geometry.ra)
    d, d0 = np.deg2rad(np.asarray(dec, dtype=np.float64)), np.deg2rad(geometry.dec)
    depth = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(d_ra)
    with np.errstate(divide="ignore", invalid="ignore"):
        xi = np.cos(d) * np.sin(d_ra) / depth
        eta = (np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(d_ra)) / depth
    xi, eta = (np.where(depth > 1e-6, np.rad2deg(value), np.nan) for value in (xi, eta))
    inverse = np.linalg.inv(_matrix(geometry))
    u = inverse[0, 0] * xi + inverse[0, 1] * eta
    v = inverse[1, 0] * xi + inverse[1, 1] * eta
    stretch = 1 + geometry.distortion * (u**2 + v**2)
    return geometry.axis_x + u * stretch, geometry.axis_y + v * stretch


def _deproject(geometry: Geometry, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    cd = _matrix(geometry)
    xi, eta = np.deg2rad(cd[0, 0] * u + cd[0, 1] * v), np.deg2rad(cd[1, 0] * u + cd[1, 1] * v)
    d0 = np.deg2rad(geometry.dec)
    below = np.cos(d0) - eta * np.sin(d0)
    ra = geometry.ra + np.rad2deg(np.arctan2(xi, below))
    dec = np.rad2deg(np.arctan2(np.sin(d0) + eta * np.cos(d0), np.hypot(xi, below)))
    return np.asarray(ra % 360, dtype=np.float64), np.asarray(dec, dtype=np.float64)


def pixel_to_sky(geometry: Geometry, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return `ra`, `dec` [deg] of pixel positions; the distortion is inverted by Newton's method."""
    u = np.asarray(x, dtype=np.float64) - geometry.axis_x
    v = np.asarray(y, dtype=np.float64) - geometry.axis_y
    distorted = np.hypot(u, v)
    r, k = distorted.copy(), geometry.distortion
    for _ in range(8):  # converges to rounding in 3 or 4 steps for any usable lens
        r = r - (r * (1 + k * r * r) - distorted) / (1 + 3 * k * r * r)
    shrink = 1 / (1 + k * r * r)
    return _deproject(geometry, u * shrink, v * shrink)


def frame_wcs(geometry: Geometry) -> WCS:
    """Return the TAN-SIP WCS of `geometry`.

    The forward SIP polynomial is the series ``r = d (1 - k d2 + 3 k2 d4 - 12 k3 d6 + ...)`` of the
    inverse distortion, cut after the seventh power of d: the next term is 55 k4 d9, 1e-5 pixel for a
    corner displacement of 4 pixels in 1000.
    """
    wcs = tan_wcs(
        geometry.ra,
        geometry.dec,
        geometry.scale,
        geometry.shape,
        angle=geometry.angle,
        parity=geometry.parity,
    )
    wcs.wcs.crpix = [geometry.axis_x + 1, geometry.axis_y + 1]
    k = geometry.distortion
    if k != 0:
        a, ap = np.zeros((8, 8)), np.zeros((4, 4))
        a[3, 0] = a[1, 2] = -k
        a[5, 0] = a[1, 4] = 3 * k * k
        a[3, 2] = 6 * k * k
        a[7, 0] = a[1, 6] = -12 * k**3
        a[5, 2] = a[3, 4] = -36 * k**3
        ap[3, 0] = ap[1, 2] = k
        wcs.sip = Sip(a, a.T.copy(), ap, ap.T.copy(), wcs.wcs.crpix)
        wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.wcs.set()
    return wcs
