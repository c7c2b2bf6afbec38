"""What a solution says of the optics and of the view: which way is north, distortion, pixel scale, tilt.

All of it is taken from pixel-to-sky positions over the frame, whatever form the WCS has.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.plane import offset, offsets, project
from sciastro.core import transform
from sciastro.core.tables import column_numbers
from sciastro.core.wcs import center, pixel_scale

if TYPE_CHECKING:
    from astropy.table import QTable
    from astropy.wcs import WCS

__all__ = ["Compass", "FieldMaps", "Tilt", "compass", "field_maps", "rms_by", "tilt_of"]

Floats = npt.NDArray[np.float64]

NODES = 17  # of the longer side of the maps
WORDS = ("up", "upper right", "right", "lower right", "down", "lower left", "left", "upper left")
FEWEST = 30  # stars that a tilt is taken from
RADIAN = 206264.806  # arcsec


@dataclass(frozen=True, slots=True)
class Compass:
    """Directions as the image is shown.

    Attributes
    ----------
    north, east
        Angle clockwise from up [deg, -180 to 180] in the middle of the image.
    mirrored
        Whether east lies clockwise of north, which is not so on the sky.
    """

    north: float
    east: float
    mirrored: bool

    def sentence(self) -> str:
        """Return in words which way north and east are."""
        seen = "mirrored: east is clockwise from north" if self.mirrored else "as seen on the sky"
        step = round(self.north / 45.0)
        turn = self.north - 45.0 * step
        beside = round((self.east - turn) / 45.0)
        way = "clockwise" if turn > 0 else "counterclockwise"
        both = "" if abs(turn) < 0.05 else f", both turned {abs(turn):.1f} deg {way}"
        return f"North is {WORDS[step % 8]} and east is {WORDS[beside % 8]}{both}; the view is {seen}."


def compass(wcs: "WCS", shape: tuple[int, int], *, top_down: bool = False) -> Compass:
    """Return which way north and east are in the middle of an image.

    Parameters
    ----------
    shape
        Rows and columns.
    top_down
        Whether the image is shown with its first row on top; FITS images have it at the bottom.
    """
    ra, dec = center(wcs, shape)
    step = 2 * pixel_scale(wcs) / 3600
    away = [offset(ra, dec, *by) for by in ((0.0, step), (step, 0.0))]
    x, y = wcs.all_world2pix([ra, *(p[0] for p in away)], [dec, *(p[1] for p in away)], 0, quiet=True)
    up = -1.0 if top_down else 1.0
    north, east = (float(np.rad2deg(np.arctan2(x[k] - x[0], up * (y[k] - y[0])))) for k in (1, 2))
    return Compass(north, east, (east - north) % 360 < 180)


@dataclass(frozen=True, slots=True)
class FieldMaps:
    """Maps over the frame, all (row, column) of a coarse grid.

    Attributes
    ----------
    x, y
        Pixel positions of the nodes.
    dx, dy
        Where distortion puts a star, minus where the best plain projection does [pixel].
    scale
        Local pixel scale: root of the area of a pixel on the sky [arcsec].
    """

    x: Floats
    y: Floats
    dx: Floats
    dy: Floats
    scale: Floats


def field_maps(wcs: "WCS", shape: tuple[int, int]) -> FieldMaps:
    """Return distortion and pixel scale over a frame of `shape` (rows, columns)."""
    longest = max(shape)
    nodes = [max(3, round(NODES * size / longest)) for size in shape]
    x, y = np.meshgrid(np.linspace(0, shape[1] - 1, nodes[1]), np.linspace(0, shape[0] - 1, nodes[0]))
    flat_x, flat_y = x.ravel(), y.ravel()
    ra0, dec0 = center(wcs, shape)
    ra, dec = wcs.all_pix2world(flat_x, flat_y, 0)
    plane = project(ra, dec, ra0, dec0)
    back = transform.fit(plane[:, 0] * 1000, plane[:, 1] * 1000, flat_x, flat_y, 1)
    straight = np.column_stack(transform.evaluate(back, plane[:, 0] * 1000, plane[:, 1] * 1000))
    here, right, above = (
        wcs.all_pix2world(flat_x + a, flat_y + b, 0) for a, b in ((-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5))
    )
    e1, n1 = offsets(*here, *right)
    e2, n2 = offsets(*here, *above)
    scale = np.sqrt(np.abs(e1 * n2 - e2 * n1)) * 3600
    dx, dy = flat_x - straight[:, 0], flat_y - straight[:, 1]
    return FieldMaps(x, y, dx.reshape(x.shape), dy.reshape(x.shape), scale.reshape(x.shape))


@dataclass(frozen=True, slots=True)
class Tilt:
    """How far the detector's normal points from the direction of its middle.

    Attributes
    ----------
    x, y
        Tilt toward +x and +y [deg]: positive where stars lie farther apart on that side.
    error
        One sigma of either [deg].
    gradient
        Relative change of the pixel scale from edge to edge along the steepest direction.
    """

    x: float
    y: float
    error: float
    gradient: float

    @property
    def angle(self) -> float:
        """Size of the tilt [deg]."""
        return float(np.hypot(self.x, self.y))

    def sentence(self) -> str:
        """Return in words how tilted the detector is."""
        if self.angle < 3 * self.error:
            return f"No tilt is seen: {self.angle:.2g} deg with an error of {self.error:.2g} deg."
        angle = float(np.rad2deg(np.arctan2(self.x, self.y)))
        return (
            f"The detector is tilted by {self.angle:.2g} deg with an error of {self.error:.2g} deg, "
            f"{angle:.0f} deg clockwise from +y (or its axis lies beside the middle, which looks "
            f"the same): the scale changes by {100 * self.gradient:.2g} % across."
        )


def tilt_of(table: "QTable", wcs: "WCS", shape: tuple[int, int]) -> Tilt | None:
    """Return the tilt that matched stars show; None for fewer than 30 stars.

    A detector whose normal is off by a small angle t shows ``p (1 + t . p / f)`` in the place of p (f: focal
    length). A cubic distortion about another point d than the middle, ``2 (d . p) p + r2 d``, looks alike but
    is not the same, and is fitted along. A tilt and an optical axis beside the middle are one here.

    Parameters
    ----------
    table
        ``x``, ``y``, ``ra``, ``dec``, ``sigma``, ``used`` (`Solution.matched`).
    """
    used = np.asarray(table["used"], dtype=bool)
    if used.sum() < FEWEST:
        return None
    px, py, ra, dec, sigma = (column_numbers(table, name)[used] for name in ("x", "y", "ra", "dec", "error"))
    half = np.array([shape[1] - 1, shape[0] - 1]) / 2
    reach = float(np.hypot(*half))
    plane = project(ra, dec, *center(wcs, shape)) * 1000
    linear = transform.fit(plane[:, 0], plane[:, 1], px, py, 1, 1 / sigma)
    x, y = ((v - h) / reach for v, h in zip(transform.evaluate(linear, *plane.T), half, strict=True))
    zero, r2 = np.zeros_like(x), x * x + y * y
    along = [x * x, x * y, r2 * x, 3 * x * x + y * y, 2 * x * y, np.ones_like(x), x, y, zero, zero, zero]
    down = [x * y, y * y, r2 * y, 2 * x * y, x * x + 3 * y * y, zero, zero, zero, np.ones_like(x), x, y]
    weight = np.concatenate([1 / sigma, 1 / sigma])
    design = np.column_stack([np.concatenate(pair) for pair in zip(along, down, strict=True)])
    target = np.concatenate([px - half[0], py - half[1]]) / reach
    solution, *_ = np.linalg.lstsq(design * weight[:, None], target * weight, rcond=None)
    left = (target - design @ solution) * weight
    variance = np.sum(left**2) / max(left.size - design.shape[1], 1)
    normal = np.linalg.pinv((design * weight[:, None]).T @ (design * weight[:, None]))
    focal = RADIAN / pixel_scale(wcs) / reach  # in half diagonals
    error = float(np.rad2deg(focal * np.sqrt(variance * 0.5 * (normal[0, 0] + normal[1, 1]))))
    t = np.rad2deg(solution[:2] * focal)
    steepest = 2 * 1.5 * float(np.hypot(*solution[:2]))  # area grows by 3 t . p, its root by 1.5
    return Tilt(float(t[0]), float(t[1]), error, steepest)


def rms_by(
    values: Floats, length: Floats, *, most: int = 6, least: int = 15
) -> list[tuple[float, int, float]]:
    """Return the middle, number and root mean square length of bins of `values` with as many stars in each.

    Parameters
    ----------
    values
        Magnitude, color or radius (n,); NaN is left out.
    length
        Of the residuals (n,).
    most, least
        Bins, and stars per bin.
    """
    known = np.flatnonzero(np.isfinite(values) & np.isfinite(length))
    if not known.size:
        return []
    order = known[np.argsort(values[known], kind="stable")]
    parts = np.array_split(order, int(np.clip(known.size // least, 1, most)))
    return [
        (float(np.median(values[part])), int(part.size), float(np.sqrt(np.mean(length[part] ** 2))))
        for part in parts
    ]
