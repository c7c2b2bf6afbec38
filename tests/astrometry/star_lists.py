"""Star lists and skies with known maps between them."""

import numpy as np
from astropy import units as u
from astropy.table import QTable

from sciastro.astrometry.plane import deproject, separation
from sciastro.core.stars import STAR_DTYPE


def as_stars(points, sigma, flux=None, fwhm=3.0):
    stars = np.zeros(len(points), STAR_DTYPE)
    stars["x"], stars["y"] = points[:, 0], points[:, 1]
    stars["x_err"] = stars["y_err"] = sigma
    stars["flux"] = np.arange(len(points), 0, -1) if flux is None else flux
    stars["fwhm"] = fwhm
    return stars


def distort(points, shape, at_corner):
    """Move points radially, by `at_corner` pixel at the corners, as the cube of the radius."""
    middle = np.array([shape[1] - 1, shape[0] - 1]) / 2
    offset = points - middle
    r = np.hypot(*offset.T) / np.hypot(*middle)
    return middle + offset * (1 + at_corner / np.hypot(*middle) * r**2)[:, None]


def two_lists(
    seed, n=1000, shape=(2822, 4144), rotation=None, scale=1.0, shift=30.0, kept=0.8, noise=0.1,
    distortion=2.5, mirror=1, brightness=0.3,
):  # fmt: skip
    """Return two lists (n, 2), brightest first, the names of their entries, and the true map of points.

    Each star is in each list with probability `kept`; brightness differs by `brightness` (natural log).
    """
    rng = np.random.default_rng(seed)
    turn = rng.uniform(0, 2 * np.pi) if rotation is None else rotation
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle, move = np.array([shape[1] - 1, shape[0] - 1]) / 2, rng.uniform(-shift, shift, 2)

    def true_map(points):
        # both frames see the sky through the same distorted optics: undo approximately, move, distort
        flat = 2 * points - distort(points, shape, distortion)
        return distort(((flat - middle) * [1, mirror]) @ matrix.T + middle + move, shape, distortion)

    a = rng.uniform(0, 1, (n, 2)) * [shape[1] - 1, shape[0] - 1]
    flux = rng.pareto(1.0, n) + 1
    b = true_map(a)
    orders = []
    for points in (a, b):
        seen = (rng.uniform(size=n) < kept) & np.all(
            (points > 0) & (points < [shape[1] - 1, shape[0] - 1]), axis=1
        )
        order = np.argsort(-flux * np.exp(rng.normal(0, brightness, n)))
        orders.append(order[seen[order]])
    ia, ib = orders
    return (
        a[ia] + rng.normal(0, noise, (ia.size, 2)),
        b[ib] + rng.normal(0, noise, (ib.size, 2)),
        ia,
        ib,
        true_map,
    )


def random_sky(seed, ra, dec, n, radius):
    """Return ra, dec, mag of `n` stars within `radius` [deg], with the counts of a real field (10**0.4 m)."""
    rng = np.random.default_rng(seed)
    r, t = radius * np.sqrt(rng.uniform(size=n)), rng.uniform(0, 2 * np.pi, n)
    right, up = deproject(np.column_stack([r * np.cos(t), r * np.sin(t)]), ra, dec)
    return right, up, 16 - 2.5 * np.log10(1 + rng.pareto(1.0, n))


def catalog_of(ra, dec, mag, name="test"):
    """Return a `stars_at` over fixed stars."""

    def stars_at(right, up, radius):
        near = separation(ra, dec, right, up) < radius
        names = np.array([f"S{i}" for i in np.flatnonzero(near)])
        columns = {"id": names, "ra": ra[near] * u.deg, "dec": dec[near] * u.deg, "mag": mag[near]}
        return QTable(columns, meta={"catalog": name})

    return stars_at


def observe(wcs, shape, ra, dec, mag, seed, distortion=2.5, noise=0.08, kept=0.8, fake=0.3):
    """Return the star list of an image, distorted, incomplete and with false stars."""
    rng = np.random.default_rng(seed)
    some = rng.uniform(size=ra.size) < kept
    points = distort(np.column_stack(wcs.wcs_world2pix(ra[some], dec[some], 0)), shape, distortion)
    bright = mag[some] + rng.normal(0, 0.3, some.sum())
    on = np.all((points > 0) & (points < [shape[1] - 1, shape[0] - 1]), axis=1)
    points, bright = points[on], bright[on]
    n = int(fake * len(points))
    points = np.concatenate([points, rng.uniform(0, 1, (n, 2)) * [shape[1], shape[0]]])
    bright = np.concatenate([bright, 16 - 2.5 * np.log10(1 + rng.pareto(1.0, n))])
    order = np.argsort(bright)
    points = points[order] + rng.normal(0, noise, points.shape)
    return as_stars(points, noise, 10 ** (-0.4 * (bright[order] - 25)))
