"""Star profiles: Moffat or Gaussian, with seeing, elongation toward the corners and trailing.

Method: the profile is integrated over each pixel (`kernels.render_stars`) and normalized by its
analytic integral, so that a star's electrons are its rate times the time. Moffat (1969):
``I = F (beta - 1) / (pi alpha2) (1 + r2 / alpha2)**-beta``, ``FWHM = 2 alpha sqrt(2**(1 / beta) - 1)``.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.kernels.render_stars import add_stars, add_texture

__all__ = ["MONO", "Psf", "PsfOptions", "draw_halos", "draw_stars"]

Floats = npt.NDArray[np.float64]

MONO = np.zeros((2, 2), dtype=np.int64)
TABLE = 4096  # relative error of the linear interpolation below 1e-6 in the core
LOST = 1e-4  # fraction of the light outside a star's stamp
HALO_BIN = 8  # pixels per node of the grid on which halos are drawn
HALO_WIDTH = 8.0  # FWHM of a halo in FWHM of the star
MARGIN = 0.02  # electron/s: stamps of bright stars are drawn until their edge is fainter than this


@dataclass(frozen=True, kw_only=True, slots=True)
class PsfOptions(Options):
    """The shape of stars."""

    profile: str = option("moffat", "Radial profile.", choices=("moffat", "gaussian"))
    beta: float = option(4.0, "Moffat exponent: small is more wings.", low=1.5, high=20.0)
    elongation: float = option(0.0, "Radial stretch of stars in the corners.", low=0.0, high=2.0)
    halo: float = option(
        0.0, "Light of a wide halo, as a fraction of the star, added to it.", low=0.0, high=0.2
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Psf:
    """The profile on one frame.

    Attributes
    ----------
    fwhm
        Full width at half maximum on the axis [pixel].
    trail_x, trail_y
        Length of the trail along x and y [pixel].
    options
        Everything that does not change from frame to frame.
    """

    fwhm: float
    trail_x: float = 0.0
    trail_y: float = 0.0
    options: PsfOptions = PsfOptions()


def _width(psf: Psf) -> float:
    """Return alpha (Moffat) or sqrt(2) sigma (Gaussian) [pixel]."""
    if psf.options.profile == "gaussian":
        return psf.fwhm / (2 * float(np.sqrt(np.log(2))))
    return psf.fwhm / (2 * float(np.sqrt(2 ** (1 / psf.options.beta) - 1)))


def _table(options: PsfOptions) -> Floats:
    """Return the profile (1 at the center) over u = 1 / (1 + q)."""
    u = np.linspace(0, 1, TABLE)
    if options.profile == "gaussian":
        with np.errstate(divide="ignore"):
            return np.asarray(np.exp(1 - 1 / u), dtype=np.float64)
    return np.asarray(u**options.beta, dtype=np.float64)


def _reach(options: PsfOptions, peak: Floats) -> Floats:
    """Return the stamp radius in units of the width: LOST of the light, and an invisible edge."""
    if options.profile == "gaussian":
        by_edge = np.log(np.maximum(peak / MARGIN, 1))
        return np.asarray(np.sqrt(np.maximum(np.log(1 / LOST), by_edge)), dtype=np.float64)
    by_light = LOST ** (-1 / (options.beta - 1)) - 1
    by_edge = np.maximum(peak / MARGIN, 1) ** (1 / options.beta) - 1
    return np.asarray(np.sqrt(np.maximum(by_light, by_edge)), dtype=np.float64)


def _ellipses(
    x: Floats, y: Floats, shape: tuple[int, int], width: float, elongation: float
) -> tuple[Floats, Floats]:
    """Return (a, b, c) per star and the stretch of the major axis; it points to the image center."""
    dx, dy = x - (shape[1] - 1) / 2, y - (shape[0] - 1) / 2
    half = 0.5 * np.hypot(*shape)
    stretch = 1 + elongation * (dx**2 + dy**2) / half**2
    angle = np.arctan2(dy, dx)
    c, s = np.cos(angle), np.sin(angle)
    major, minor = 1 / (width * stretch) ** 2, 1 / width**2
    abc = np.stack(
        [major * c * c + minor * s * s, (major - minor) * c * s, major * s * s + minor * c * c], axis=1
    )
    return np.ascontiguousarray(abc), stretch


def _trail(psf: Psf) -> Floats:
    length = float(np.hypot(psf.trail_x, psf.trail_y))
    if length == 0:
        return np.array([[0.0, 0.0, 1.0]])
    nodes, weights = np.polynomial.legendre.leggauss(int(np.ceil(2 * length / psf.fwhm)) + 2)
    return np.stack([nodes * psf.trail_x / 2, nodes * psf.trail_y / 2, weights / 2], axis=1)


def draw_stars(
    plane: npt.NDArray[np.float32],
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    rate: npt.ArrayLike,
    psf: Psf,
    phase: npt.NDArray[np.int64] = MONO,
) -> None:
    """Add stars to `plane` (electron / s, (y, x)) in place.

    Parameters
    ----------
    x, y
        Pixel positions, (star,); stars at NaN are not drawn.
    rate
        (star,) or (star, channel) [electron / s]. Less than `LOST` of it falls outside the stamp.
    phase
        Channel of each of the four phases [y & 1, x & 1].
    """
    px, py = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    light = np.asarray(rate, dtype=np.float64).reshape(px.size, -1)
    reach = 0.5 * max(abs(psf.trail_x), abs(psf.trail_y))
    width, options = _width(psf), psf.options
    area = np.pi * width**2 * (1.0 if options.profile == "gaussian" else 1 / (options.beta - 1))
    far = reach + 60 * width
    seen = (px > -far) & (px < plane.shape[1] + far) & (py > -far) & (py < plane.shape[0] + far)
    px, py, light = px[seen], py[seen], light[seen]
    ellipse, stretch = _ellipses(px, py, plane.shape, width, options.elongation)
    level = light / (area * stretch)[:, None]
    radius = np.minimum(_reach(options, level.max(axis=1, initial=0.0)) * width * stretch, 55 * width)
    core = np.full(px.size, max(3.0, 1.5 * psf.fwhm))
    add_stars(plane, phase, px, py, level, ellipse, radius, core, _table(options), _trail(psf))


def draw_halos(
    plane: npt.NDArray[np.float32],
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    rate: npt.ArrayLike,
    psf: Psf,
    phase: npt.NDArray[np.int64] = MONO,
) -> None:
    """Add the wide halos that optics leave around stars to `plane` in place; arguments as `draw_stars`.

    A halo has no detail: it is drawn on a grid `HALO_BIN` times coarser and interpolated. Its light,
    ``options.halo`` times the star's, comes on top of the star's electrons.
    """
    rows, columns = (size // HALO_BIN + 4 for size in plane.shape)
    light = np.asarray(rate, dtype=np.float64).reshape(np.size(x), -1) * psf.options.halo
    width = HALO_WIDTH * psf.fwhm
    bright = light.max(axis=1, initial=0.0) > MARGIN * width**2  # fainter ones stay below MARGIN per pixel
    grid_x = (np.asarray(x, dtype=np.float64)[bright] + 0.5) / HALO_BIN + 1.0
    grid_y = (np.asarray(y, dtype=np.float64)[bright] + 0.5) / HALO_BIN + 1.0
    wide = Psf(fwhm=width / HALO_BIN, options=PsfOptions(beta=2.2))
    step, shift = 1 / HALO_BIN, 0.5 / HALO_BIN + 1.0
    map_x, map_y = np.zeros(10), np.zeros(10)
    map_x[:2], map_y[0], map_y[2] = (shift, step), shift, step
    for channel in range(light.shape[1]):
        coarse = np.zeros((rows, columns), dtype=np.float32)
        draw_stars(coarse, grid_x, grid_y, light[bright, channel], wide)
        level = np.zeros(light.shape[1])
        level[channel] = 1 / HALO_BIN**2
        add_texture(plane, phase, coarse, level, map_x, map_y)
