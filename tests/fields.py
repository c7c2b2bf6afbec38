"""Small star fields with truth for the integration tests: Moffat or Gaussian stars on a flat sky."""

import numpy as np
import xarray as xr

from sciastro.core import vocabulary as v
from sciastro.core.transform import identity
from sciastro.integrate.fuse import integrate_tile
from sciastro.integrate.grid import Tile
from sciastro.integrate.normalize import terms
from sciastro.integrate.options import StackOptions
from sciastro.integrate.seeing import lenience

OVER = 5


def profile(dx, dy, fwhm, beta):
    """Moffat profile, or a Gaussian where beta is None."""
    r2 = dy[:, None] ** 2 + dx[None] ** 2
    if beta is None:
        return np.exp(-4 * np.log(2) * r2 / fwhm**2)
    return (1 + 4 * r2 * (2 ** (1 / beta) - 1) / fwhm**2) ** -beta


def star_field(shape, xs, ys, fluxes, fwhm, beta=3.5):
    """Return pixel-integrated stars of unit-normalized stamps."""
    image = np.zeros(shape)
    reach = int(5 * fwhm)
    fine = (np.arange(OVER) + 0.5) / OVER - 0.5
    for x, y, flux in zip(xs, ys, fluxes, strict=True):
        columns, rows = (round(c) + np.arange(-reach, reach + 1) for c in (x, y))
        stamp = profile((columns[:, None] + fine).ravel() - x, (rows[:, None] + fine).ravel() - y, fwhm, beta)
        stamp = stamp.reshape(rows.size, OVER, columns.size, OVER).mean(axis=(1, 3))
        image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += flux * stamp / stamp.sum()
    return image


def aperture(image, x, y, radius):
    """Return the sum over a circle, pixel fractions by subsampling."""
    reach = int(radius) + 2
    columns, rows = (round(c) + np.arange(-reach, reach + 1) for c in (x, y))
    fine = (np.arange(OVER) + 0.5) / OVER - 0.5
    dx, dy = (columns[:, None] + fine).ravel() - x, (rows[:, None] + fine).ravel() - y
    inside = (dy[:, None] ** 2 + dx[None] ** 2 < radius**2).reshape(rows.size, OVER, columns.size, OVER)
    part = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return float((part * inside.mean(axis=(1, 3))).sum())


class Night:
    """Frames with known shifts, seeing, transparency and sky, as (signal, variance, quality) and maps."""

    def __init__(
        self, n, *, seed=0, fwhms=None, side=6, dither=8.0, sky=200.0, t=None, stars=(3e4, 3e5), read=3.0
    ):
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:side, :side]
        self.x = (45 + 46 * x + rng.random((side, side))).ravel()
        self.y = (45 + 46 * y + rng.random((side, side))).ravel()
        self.flux = rng.permutation(np.geomspace(*stars, side * side)) if side else np.empty(0)
        self.shape = (max(side, 4) * 46 + 60, max(side, 4) * 46 + 64)
        self.fwhm = np.full(n, 3.0) if fwhms is None else np.asarray(fwhms)
        self.t = np.ones(n) if t is None else np.asarray(t)
        self.sky = np.broadcast_to(np.asarray(sky, dtype=float), (n,)).copy()
        self.maps, self.frames = np.repeat(identity()[None], n, axis=0), []
        for i in range(n):
            dx, dy = rng.uniform(-dither, dither, 2) if i else (0.0, 0.0)
            self.maps[i, :, 0] += dx, dy
            mean = (
                self.t[i] * star_field(self.shape, self.x + dx, self.y + dy, self.flux, self.fwhm[i])
                + self.sky[i]
            )
            signal = rng.poisson(mean) + rng.normal(0, read, self.shape)
            variance = np.maximum(signal, 0) + read**2
            self.frames.append([signal.astype("f4"), variance.astype("f4"), np.zeros(self.shape, "u2")])

    def read(self, i, y0, y1, x0, x1):
        return tuple(plane[y0:y1, x0:x1] for plane in self.frames[i])

    def terms(self, **options):
        return terms(np.ones(len(self.frames)), self.sky, self.t, **options)

    def stack(self, weight=None, **options):
        n = len(self.frames)
        weight = np.ones(n) if weight is None else weight
        tile = Tile(0, self.shape[0], 0, self.shape[1])
        return integrate_tile(
            self.read, self.maps, self.shape, self.terms(), weight, tile, StackOptions(**options),
            lenience=lenience(self.fwhm),
        )  # fmt: skip

    def fluxes(self, image, radius=7.0):
        return np.array(
            [aperture(image - self.sky[0], x, y, radius) for x, y in zip(self.x, self.y, strict=True)]
        )

    def dataset(self, filters=None):
        n = len(self.frames)
        signal, variance, quality = (np.stack([f[k] for f in self.frames]) for k in range(3))
        ds = xr.Dataset({
            "signal": v.labeled(v.SIGNAL, signal),
            "variance": v.labeled(v.VARIANCE, variance),
            "quality": v.labeled(v.QUALITY, quality),
        })  # fmt: skip
        return ds.assign_coords(
            exposure=v.labeled(v.EXPOSURE, np.ones(n)),
            filter=v.labeled(v.FILTER, np.array(["V"] * n if filters is None else filters)),
            from_reference=v.labeled(v.FROM_REFERENCE, self.maps),
            sky=v.labeled(v.SKY, self.sky),
            transparency=v.labeled(v.TRANSPARENCY, self.t),
        )


def measured_night(n=12, seed=0, **changes):
    """A normal night: seeing 2.6 to 3.6, transparency 0.9 to 1, round stars."""
    rng = np.random.default_rng(seed)
    facts = {
        "fwhm": rng.uniform(2.6, 3.6, n),
        "eccentricity": rng.uniform(0.35, 0.5, n),
        "sky": rng.uniform(4, 6, n),
        "noise": rng.uniform(0.9, 1.1, n),
        "n_stars": rng.integers(280, 340, n),
        "exposure": np.full(n, 60.0),
        "filter": np.array(["V"] * n),
        "transparency": rng.uniform(0.9, 1.0, n),
    }
    for name, entries in changes.items():
        for i, value in entries.items():
            facts[name][i] = value
    specs = {spec.name: spec for spec in v.VARIABLES.values()}
    return xr.Dataset(coords={name: v.labeled(specs[name], values) for name, values in facts.items()})
