"""Where sky positions, circles and ellipses lie on an image, whatever its projection, parity and distortion.

Pixel (0, 0) is the center of the first pixel of the array. What is not on the image's side of the sky, or
where a distortion polynomial cannot be inverted, is NaN: a polynomial far outside of the image means nothing.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.plane import separation
from sciastro.core.directions import unit_vectors
from sciastro.core.wcs import center, footprint_radius

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["Ellipse", "Frame", "frame_of"]

Floats = npt.NDArray[np.float64]
STEP = 1.0 / 3600  # deg: of the difference that measures the local axes
WRONG = 0.5  # pixel: a position that does not come back within this is none
HEMISPHERE = ("TAN", "SIN", "TPV", "TNX")  # projections that end 90 degrees from their center
LARGEST, FARTHEST = 89.0, 175.0  # deg from the center of these, and of the others


@dataclass(frozen=True, slots=True)
class Ellipse:
    """Half axes [pixel] and angle [deg] of the first, from +x towards +y of the array."""

    a: float
    b: float
    angle: float


@dataclass(frozen=True, slots=True)
class Frame:
    """An image on the sky.

    Attributes
    ----------
    wcs
        Of its pixels.
    shape
        Rows and columns.
    ra, dec, radius
        Center, and circle that holds every corner [deg].
    """

    wcs: "WCS"
    shape: tuple[int, int]
    ra: float
    dec: float
    radius: float

    def pixels(self, ra: npt.ArrayLike, dec: npt.ArrayLike, margin: float = 1.0) -> tuple[Floats, Floats]:
        """Return x and y of ICRS positions [deg]; NaN for those farther out than `margin` image sizes."""
        ra, dec = np.broadcast_arrays(np.asarray(ra, np.float64), np.asarray(dec, np.float64))
        x, y = np.full(ra.shape, np.nan), np.full(ra.shape, np.nan)
        near = separation(self.ra, self.dec, ra, dec) < min(
            self.radius * (1 + 2 * margin) + 0.1, self._reach()
        )
        if not near.any():
            return x, y
        linear = self.wcs.wcs_world2pix(np.stack([ra[near], dec[near]], axis=-1), 0)
        height, width = self.shape
        inside = (np.abs(linear[:, 0] - width / 2) < (0.6 + margin) * width) & (
            np.abs(linear[:, 1] - height / 2) < (0.6 + margin) * height
        )
        rows = np.flatnonzero(near.ravel())[inside]
        if rows.size:
            x.flat[rows], y.flat[rows] = self._exact(ra.flat[rows], dec.flat[rows])
        return x, y

    def _reach(self) -> float:
        """Return how far from the center the projection goes [deg]."""
        return LARGEST if self.wcs.wcs.ctype[0][5:8] in HEMISPHERE else FARTHEST

    def _exact(self, ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
        world = np.stack([ra, dec], axis=-1)
        if self.wcs.sip is None and self.wcs.cpdis1 is None:
            found = np.asarray(self.wcs.wcs_world2pix(world, 0))
            return found[:, 0], found[:, 1]
        with np.errstate(all="ignore"):
            found = np.asarray(self.wcs.all_world2pix(world, 0, quiet=True, maxiter=40, tolerance=1e-4))
            back = np.asarray(self.wcs.all_pix2world(found, 0))
        scale = self.scale / 3600
        good = separation(ra, dec, back[:, 0], back[:, 1]) < WRONG * scale
        return np.where(good, found[:, 0], np.nan), np.where(good, found[:, 1], np.nan)

    def sky(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return RA and Dec [deg] of pixels."""
        ra, dec = self.wcs.all_pix2world(np.asarray(x, np.float64), np.asarray(y, np.float64), 0)
        return np.asarray(ra), np.asarray(dec)

    @property
    def scale(self) -> float:
        """Return the pixel scale [arcsec / pixel] at the center: the root of a pixel's area."""
        x, y = (self.shape[1] - 1) / 2, (self.shape[0] - 1) / 2
        v = unit_vectors(*self.sky([x, x + 1, x], [y, y, y + 1]))
        area = np.linalg.norm(np.cross(v[1] - v[0], v[2] - v[0]))
        return float(np.degrees(np.sqrt(area)) * 3600)

    def axes(self, ra: float, dec: float) -> Floats:
        """Return the pixel vectors of 1 degree to the east and to the north at a position: columns of (2, 2).

        NaN off the image. At a pole "north" is the direction of the meridian of `ra`.
        """
        side = -1.0 if dec > 0 else 1.0  # step away from the nearer pole
        east = np.radians(STEP)
        d = np.radians(dec)
        # exact great-circle steps: to the east along the circle at right angles to the meridian
        east_dec = np.degrees(np.arcsin(np.sin(d) * np.cos(east)))
        east_ra = ra + np.degrees(np.arctan2(np.sin(east), np.cos(d) * np.cos(east)))
        x, y = self.pixels([ra, east_ra, ra], [dec, east_dec, dec + side * STEP])
        return np.array(
            [[x[1] - x[0], side * (x[2] - x[0])], [y[1] - y[0], side * (y[2] - y[0])]]
        ) / STEP  # fmt: skip

    def ellipse(self, ra: float, dec: float, major: float, minor: float, pa: float) -> Ellipse | None:
        """Return an ellipse on the sky as one on the image; None off the image.

        Parameters
        ----------
        ra, dec
            Center [deg].
        major, minor
            Half axes [deg].
        pa
            Position angle of the first, north through east [deg].
        """
        local = self.axes(ra, dec)
        if not np.isfinite(local).all():
            return None
        angle = np.radians(pa)
        along = np.array([np.sin(angle), np.cos(angle)])  # east, north
        across = np.array([np.cos(angle), -np.sin(angle)])
        # The image of a circle under a linear map is an ellipse: its axes are the singular vectors.
        u, s, _ = np.linalg.svd(np.stack([local @ along * major, local @ across * minor], axis=1))
        return Ellipse(float(s[0]), float(s[1]), float(np.degrees(np.arctan2(u[1, 0], u[0, 0])) % 180))

    def inside(self, x: npt.ArrayLike, y: npt.ArrayLike, margin: float = 0.0) -> npt.NDArray[np.bool_]:
        """Return which pixel positions lie on the image, or at most `margin` pixels outside; NaN is not."""
        x, y = np.asarray(x), np.asarray(y)
        height, width = self.shape
        return np.asarray(
            (x > -0.5 - margin)
            & (x < width - 0.5 + margin)
            & (y > -0.5 - margin)
            & (y < height - 0.5 + margin)
        )


def frame_of(wcs: "WCS", shape: tuple[int, int]) -> Frame:
    """Return the frame of an image of `shape` (rows, columns)."""
    ra, dec = center(wcs, shape)
    radius = footprint_radius(wcs, shape)
    if not np.isfinite(radius):  # the corners of a fisheye are not on the sky
        x, y = np.meshgrid(np.linspace(0, shape[1] - 1, 41), np.linspace(0, shape[0] - 1, 41))
        away = separation(ra, dec, *wcs.all_pix2world(x.ravel(), y.ravel(), 0))
        radius = float(np.nanmax(away))
    return Frame(wcs, shape, ra % 360, dec, radius)
