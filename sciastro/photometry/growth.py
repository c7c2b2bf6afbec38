"""The curve of growth: how much light falls outside the aperture, from bright stars that stand alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.quality import Quality
from sciastro.core.robust import mad_sigma
from sciastro.photometry.neighbors import light_of_neighbors
from sciastro.photometry.plane import ApertureSums, Plane, SkyLevels
from sciastro.photometry.shrinkage import shrunken_quadratic

__all__ = ["Growth", "contamination", "crowding", "flux_ratio", "growth", "pick_bright", "spread_beyond"]

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
        (radius,) flux within `total` over flux within the radius; standard error of the mean; relative
        scatter of profiles from star to star beyond noise. NaN where no star could tell.
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
    light = np.nan_to_num(np.maximum(flux, 0.0))
    return np.asarray(light_of_neighbors(x, y, light, reach) > share * light)


def contamination(x: Floats, y: Floats, flux: Floats, radius: float, fwhm: float) -> Floats:
    """Return the neighbors' light in each source's aperture over the source's own.

    A neighbor counts in full where its center lies half a `fwhm` inside the `radius`, by half on the rim, and
    not at all half a `fwhm` outside. Infinite beside neighbors for a source without light of its own.
    """
    light = np.nan_to_num(np.maximum(flux, 0.0))
    rim = radius + fwhm / 2
    near = light_of_neighbors(x, y, light, rim, lambda distance: np.clip((rim - distance) / fwhm, 0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(near > 0, near / light, 0.0))


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
    xs, ys, chosen = x[stars], y[stars], sky.at(stars)
    full = plane.sums(xs, ys, total)
    rows = []
    for radius in radii:
        part = plane.sums(xs, ys, radius)
        ratio, err = flux_ratio(full, part, chosen)
        # How much profiles differ shows within twice the radius; further out it is neighbors that differ.
        near, near_err = flux_ratio(plane.sums(xs, ys, 2 * radius), part, chosen)
        good = np.isfinite(ratio) & np.isfinite(near) & (ratio > 0)
        if good.sum() < 3:
            rows.append((np.nan, np.nan, np.nan))
            continue
        light = part.total[good] - part.area[good] * chosen.level[good]
        middle = np.zeros(int(good.sum()))
        fit = shrunken_quadratic(middle, middle, ratio[good], err[good], light, even=True)
        close = shrunken_quadratic(middle, middle, near[good], near_err[good], light, even=True)
        rows.append((fit.mean, fit.err, close.scatter))
    correction, err, scatter = np.array(rows, dtype=np.float64).T
    # Farther out less light is left that can differ: what rises there is chance, and neighbors.
    scatter = np.fmin.accumulate(scatter)
    return Growth(
        radius=radii, correction=correction, err=err, scatter=scatter, total=float(total), n_stars=len(stars)
    )


def flux_ratio(outer: ApertureSums, inner: ApertureSums, sky: SkyLevels) -> tuple[Floats, Floats]:
    """Return the flux in the outer over that in the inner aperture, and its error; NaN without light."""
    flux = inner.total - inner.area * sky.level
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(flux > 0, (outer.total - outer.area * sky.level) / flux, np.nan)
        # The light inside is common to both: only the ring between the radii, and its sky, adds noise.
        ring = np.maximum(outer.variance - inner.variance, 0.0)
        beyond = outer.area - ratio * inner.area
        noise = ring + (ratio - 1) ** 2 * inner.variance + (beyond * sky.err) ** 2
        return ratio, np.sqrt(noise) / flux


def spread_beyond(ratio: Floats, err: Floats) -> float:
    """Return the relative scatter of ratios (n,) beyond their errors, by a median: few neighbors spoil it."""
    center = float(np.median(ratio))
    mad = mad_sigma(ratio, center)
    return float(np.sqrt(max(mad**2 - float(np.median(err**2)), 0.0))) / center
