"""The curve of growth: how much light falls outside the aperture, from bright stars that stand alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.quality import Quality
from sciastro.photometry.plane import Plane, SkyLevels
from sciastro.photometry.robust import fit_linear

__all__ = ["Growth", "crowding", "growth", "pick_bright"]

Floats = npt.NDArray[np.float64]

_SPOILED = int(
    Quality.SATURATED | Quality.DO_NOT_USE | Quality.NO_DATA | Quality.EDGE | Quality.TRAIL | Quality.DEAD
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """Aperture corrections at several radii.

    Attributes
    ----------
    radius
        (radius,) [pixel].
    correction, err, scatter
        (radius,) flux within `total` over flux within the radius; standard error of the mean; scatter from
        star to star beyond noise. NaN where no star could tell.
    total
        Radius that counts as all the light [pixel]; NaN where no star could tell.
    n_stars
        Stars used.
    """

    radius: Floats
    correction: Floats
    err: Floats
    scatter: Floats
    total: float
    n_stars: int


def crowding(x: Floats, y: Floats, flux: Floats, reach: float, share: float) -> npt.NDArray[np.bool_]:
    """Return which sources have neighbors within `reach` [pixel] with more than `share` of their flux."""
    from scipy.spatial import cKDTree

    out = np.zeros(len(x), dtype=bool)
    good = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if len(good) < 2:
        return out
    pairs = cKDTree(np.column_stack([x[good], y[good]])).query_pairs(reach, output_type="ndarray")
    if len(pairs) == 0:
        return out
    i, j = good[pairs[:, 0]], good[pairs[:, 1]]
    light = np.nan_to_num(np.maximum(flux, 0.0))
    near = np.bincount(i, light[j], len(x)) + np.bincount(j, light[i], len(x))
    touched = np.bincount(np.concatenate([i, j]), minlength=len(x)) > 0
    out[:] = touched & (near > share * light)
    return out


def pick_bright(
    plane: Plane,
    x: Floats,
    y: Floats,
    flux: Floats,
    snr: Floats,
    *,
    reach: float,
    least_snr: float,
    most: int,
) -> npt.NDArray[np.intp]:
    """Return the brightest sources (indices) that are unspoiled and alone out to `reach` [pixel]."""
    alone = ~crowding(x, y, flux, 1.5 * reach, 0.01)
    rows, columns = plane.image.shape
    inside = (x > reach) & (x < columns - 1 - reach) & (y > reach) & (y < rows - 1 - reach)
    order = np.argsort(-np.nan_to_num(flux), kind="stable")
    picked = order[(alone & inside & (snr > least_snr))[order]][: 3 * most]
    wide = plane.sums(x[picked], y[picked], reach)
    clean = (wide.bits & _SPOILED == 0) & (wide.moved == 0) & (wide.lost == 0)
    return np.asarray(picked[clean][:most])


def growth(
    plane: Plane,
    x: Floats,
    y: Floats,
    sky: SkyLevels,
    stars: npt.NDArray[np.intp],
    radii: Floats,
    total: float,
) -> Growth:
    """Measure the curve of growth.

    Parameters
    ----------
    plane, x, y, sky
        Image, positions [pixel] and sky of all sources.
    stars
        Indices of those to use, see `pick_bright`; fewer than three tell nothing.
    radii
        Aperture radii [pixel].
    total
        The radius [pixel] that counts as all the light.
    """
    nothing = np.full(len(radii), np.nan)
    if len(stars) < 3:
        return Growth(
            radius=radii, correction=nothing, err=nothing, scatter=nothing, total=float("nan"), n_stars=0
        )
    xs, ys = x[stars], y[stars]
    level, level_err = sky.level[stars], sky.err[stars]
    full = plane.sums(xs, ys, total)
    all_flux = full.total - full.area * level
    rows = []
    for radius in radii:
        part = plane.sums(xs, ys, radius)
        flux = part.total - part.area * level
        ratio = all_flux / flux
        # The light inside is common to both: only the ring between the radii, and its sky, adds noise.
        ring = np.maximum(full.variance - part.variance, 0.0)
        beyond = full.area - ratio * part.area
        noise = ring + (ratio - 1) ** 2 * part.variance + (beyond * level_err) ** 2
        err = np.sqrt(noise) / flux
        good = np.isfinite(ratio) & np.isfinite(err) & (flux > 0) & (all_flux > 0)
        if good.sum() < 3:
            rows.append((np.nan, np.nan, np.nan))
            continue
        fit = fit_linear(np.ones((int(good.sum()), 1)), ratio[good], err[good], kappa=3.0)
        rows.append((float(fit.coefficients[0]), float(np.sqrt(fit.covariance[0, 0])), fit.scatter))
    correction, err, scatter = np.array(rows, dtype=np.float64).T
    return Growth(
        radius=radii, correction=correction, err=err, scatter=scatter, total=float(total), n_stars=len(stars)
    )
