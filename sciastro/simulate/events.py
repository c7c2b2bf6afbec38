"""What goes wrong on single frames: clouds, cosmic rays, satellites."""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from sciastro.kernels.render_stars import add_streak

__all__ = ["cloud_plane", "cosmic_rays", "satellite"]

Plane = npt.NDArray[np.float32]


def cloud_plane(rng: np.random.Generator, shape: tuple[int, int], transparency: float) -> Plane:
    """Return the transparency behind patchy cloud, (y, x), with mean `transparency`.

    Extinction in magnitudes is a smooth random field: log-normal transparency, patches of about a
    third of the image.
    """
    nodes = rng.standard_normal((7, 9))
    y, x = np.linspace(1, 4, shape[0]), np.linspace(1, 6, shape[1])
    smooth = map_coordinates(
        nodes, np.meshgrid(y, x, indexing="ij"), order=3, mode="nearest", output=np.float32
    )
    cloud = np.exp(-0.35 * (smooth - smooth.mean()) / max(float(smooth.std()), 1e-6))
    return np.asarray(np.minimum(cloud * (transparency / cloud.mean()), 1.0), dtype=np.float32)


def cosmic_rays(rng: np.random.Generator, shape: tuple[int, int], expected: float) -> tuple[Plane, int]:
    """Return the electrons that cosmic rays leave on the sensor, (y, x), and their number.

    Straight tracks of exponential length (mean 4 pixels, mostly short), about 350 electrons per
    pixel of path with large scatter; single-pixel hits where they arrive head-on.
    """
    hits = np.zeros(shape, dtype=np.float32)
    number = int(rng.poisson(expected))
    for _ in range(number):
        x, y, angle = rng.uniform(0, shape[1]), rng.uniform(0, shape[0]), rng.uniform(0, 2 * np.pi)
        length, density = 1 + rng.exponential(4.0), 350 * rng.lognormal(0.0, 0.7)
        steps = int(np.ceil(4 * length))
        along = np.linspace(0, length, steps)
        i = np.floor(x + along * np.cos(angle)).astype(int)
        j = np.floor(y + along * np.sin(angle)).astype(int)
        inside = (i >= 0) & (j >= 0) & (i < shape[1]) & (j < shape[0])
        deposit = density * length / steps * rng.gamma(3.0, 1 / 3.0, steps)
        np.add.at(hits, (j[inside], i[inside]), deposit[inside])
    return hits, number


def satellite(
    plane: Plane, rng: np.random.Generator, level: float, fwhm: float
) -> tuple[float, float, float, float]:
    """Add the trail of a satellite across the whole image to `plane` in place; return its ends.

    Parameters
    ----------
    level
        Light per pixel of length, in the unit of `plane`.
    fwhm
        Of the stars [pixel].

    Returns
    -------
    tuple
        (x0, y0, x1, y1) [pixel], outside the image.
    """
    rows, columns = plane.shape
    cx, cy = columns * rng.uniform(0.35, 0.65), rows * rng.uniform(0.35, 0.65)
    angle, reach = rng.uniform(0.2, 1.2) * rng.choice([-1.0, 1.0]), float(rows + columns)
    dx, dy = reach * np.cos(angle), reach * np.sin(angle)
    ends = (float(cx - dx), float(cy - dy), float(cx + dx), float(cy + dy))
    add_streak(plane, *ends, fwhm / 2.3548, level)
    return ends
