"""The sky: real stars, invented faint ones, a nebula, and the light of the night.

Star tables have columns ``ra``, ``dec`` [deg, at their place on the date], ``mag`` (V) and ``color``
(B-V) [mag] and ``invented`` (bool).
"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.table import QTable

from sciastro.core.options import Options, option
from sciastro.errors import CatalogError
from sciastro.kernels.render_stars import add_texture
from sciastro.simulate.bands import BANDS, Telescope, surface_rate
from sciastro.simulate.nebula import SHAPES, Nebula, texture_map
from sciastro.simulate.optics import Geometry, centered, pixel_to_sky, sky_to_pixel

__all__ = ["SkyOptions", "add_nebula", "all_stars", "real_stars", "sky_plane", "sky_rate"]

Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class SkyOptions(Options):
    """What is above the telescope."""

    brightness: float = option(20.8, "Sky brightness in V.", unit="mag / arcsec2", low=10.0, high=23.0)
    color: float = option(0.9, "B-V of the sky: bluer under the moon.", unit="mag", low=-1.0, high=3.0)
    gradient: float = option(0.15, "Change of the sky from center to corner, relative.", low=0.0, high=0.9)
    gradient_angle: float = option(120.0, "Position angle toward the brighter sky.", unit="deg")
    drift: float = option(0.03, "Change of the sky per hour, relative.", low=-0.5, high=2.0)
    complete_to: float = option(
        10.8, "V to which the given stars are complete.", unit="mag", low=0.0, high=22.0
    )
    faintest: float = option(17.0, "V of the faintest invented stars.", unit="mag", low=0.0, high=25.0)
    count_slope: float = option(0.32, "Growth of star counts.", unit="dex / mag", low=0.05, high=0.6)
    least_density: float = option(40.0, "Fewest stars brighter than `complete_to`.", unit="1 / deg2", low=0.0)
    most_invented: int = option(6000, "Bound on the number of invented stars.", low=0)
    nebula: str = option("none", "Invented nebula around the target.", choices=SHAPES)
    nebula_diameter: float = option(0.8, "Size of the nebula.", unit="deg", low=0.01, high=20.0)
    nebula_emission: float = option(
        20.0, "Its brightest red light.", unit="mag / arcsec2", low=10.0, high=30.0
    )
    nebula_reflection: float = option(
        21.5, "Its brightest blue light.", unit="mag / arcsec2", low=10.0, high=30.0
    )


def real_stars(table: QTable) -> QTable:
    """Return the columns that the simulator needs of a catalog table, plain degrees and magnitudes.

    Raises
    ------
    CatalogError
        If a column is missing.
    """
    units = {"ra": u.deg, "dec": u.deg, "mag": u.mag, "color": u.mag}
    out = QTable()
    for name, unit in units.items():
        if name not in table.colnames:
            raise CatalogError(
                f"has no column '{name}'.",
                where="star table",
                remedy="Give ra, dec [deg], mag (V) and color (B-V).",
            )
        column = table[name]
        values = (
            column.to_value(unit)
            if isinstance(column, u.Quantity)
            else np.ma.filled(np.ma.asarray(column, dtype=float), np.nan)
        )
        out[name] = np.asarray(values, dtype=np.float64)
    usable = np.isfinite(out["ra"]) & np.isfinite(out["dec"]) & np.isfinite(out["mag"])
    out = out[usable]
    out["invented"] = np.zeros(len(out), dtype=bool)
    return out


def all_stars(real: QTable, ra: float, dec: float, radius: float, options: SkyOptions, seed: int) -> QTable:
    """Return real and invented stars within `radius` [deg] of (`ra`, `dec`), brightest first.

    Counts below ``complete_to`` continue those of the given stars with ``count_slope``; given stars that
    are fainter than that are kept, and invented ones fill the rest, magnitude by magnitude.
    """
    rng = np.random.default_rng([seed, 11])
    area = np.pi * radius**2
    start = options.complete_to
    bright = max(float(np.sum(real["mag"] < start)), options.least_density * area)
    edges = np.arange(start, options.faintest + 0.25, 0.25)
    expected = np.diff(bright * 10 ** (options.count_slope * (edges - start)))
    have, _ = np.histogram(real["mag"], bins=edges)
    wanted = rng.poisson(np.maximum(expected - have, 0))
    total = np.minimum(np.cumsum(wanted), options.most_invented)
    wanted = np.diff(total, prepend=0)
    mag = np.repeat(edges[:-1], wanted) + 0.25 * rng.random(int(wanted.sum()))
    n = mag.size
    r, angle = radius * np.sqrt(rng.random(n)), 2 * np.pi * rng.random(n)
    plane = centered(ra, dec, 1.0, (1, 1))
    x, y = 3600 * r * np.cos(angle), 3600 * r * np.sin(angle)
    star_ra, star_dec = pixel_to_sky(plane, x, y)
    giants = rng.random(n) < 0.35  # two humps, as in the field: main sequence and red giants
    color = np.where(giants, rng.normal(1.15, 0.22, n), rng.normal(0.58, 0.20, n)).clip(-0.25, 2.2)
    columns = {"ra": star_ra, "dec": star_dec, "mag": mag, "color": color, "invented": np.ones(n, dtype=bool)}
    merged = {name: np.concatenate([np.asarray(real[name]), columns[name]]) for name in columns}
    order = np.argsort(merged["mag"], kind="stable")
    return QTable({name: values[order] for name, values in merged.items()})


def sky_rate(band: str, options: SkyOptions, telescope: Telescope, scale: float) -> float:
    """Return the sky's light on the axis [electron / s / pixel]."""
    return surface_rate(band, options.brightness, options.color, telescope, scale)


def sky_plane(
    geometry: Geometry, ra: float, dec: float, options: SkyOptions, *, tracking: bool = True
) -> Plane:
    """Return the sky relative to its level at (`ra`, `dec`), (y, x): a slope fixed on the sky.

    Without `tracking` it is fixed to the camera, as airglow is fixed to the horizon.
    """
    if not tracking:
        ra, dec = geometry.ra, geometry.dec
    rows, columns = geometry.shape
    half = 0.5 * float(np.hypot(rows, columns))
    step = half * geometry.scale / 3600
    angle = np.deg2rad(options.gradient_angle)
    away = (
        ra + np.rad2deg(np.arctan2(np.sin(angle) * np.deg2rad(step), np.cos(np.deg2rad(dec)))),
        dec + step * np.cos(angle),
    )
    x, y = sky_to_pixel(geometry, [ra, away[0]], [dec, away[1]])
    gx, gy = (x[1] - x[0]) / half**2 * options.gradient, (y[1] - y[0]) / half**2 * options.gradient
    along_x = 1 + gx * (np.arange(columns) - x[0])
    along_y = gy * (np.arange(rows) - y[0])
    return np.asarray(np.maximum(along_x[None, :] + along_y[:, None], 0.05), dtype=np.float32)


def add_nebula(
    plane: Plane,
    nebula: Nebula | None,
    geometry: Geometry,
    bands: tuple[str, ...],
    options: SkyOptions,
    telescope: Telescope,
    phase: npt.NDArray[np.int64],
) -> None:
    """Add the nebula's light [electron / s] to `plane` in place; `bands` are the channels of `phase`."""
    if nebula is None:
        return
    map_x, map_y = texture_map(geometry, nebula)
    red = surface_rate("R", options.nebula_emission, 0.0, telescope, geometry.scale)
    blue = surface_rate("B", options.nebula_reflection, 0.0, telescope, geometry.scale)
    emission = np.array([red * BANDS[name].emission for name in bands])
    reflection = np.array([blue * BANDS[name].reflection for name in bands])
    add_texture(plane, phase, nebula.emission, emission, map_x, map_y)
    add_texture(plane, phase, nebula.reflection, reflection, map_x, map_y)
