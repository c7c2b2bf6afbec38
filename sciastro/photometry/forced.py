"""Forced photometry: what light is there at given positions, whether or not anything is seen.

Reads an image, its variance and quality and positions [pixel], which are not changed. Writes one row per
position, in their order, none left out: flux with error where pixels allow it, no magnitude where there is
too little light, NaN and a flag where nothing can be told.
Method: that of `photometry.aperture` (exact circle, clipped sky, double-sum errors, curve of growth), with
radii and sky annulus that the caller gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.errors import DatasetError, OptionError
from sciastro.photometry.errorterms import Relative
from sciastro.photometry.flags import flag_meanings
from sciastro.photometry.fluxes import (
    Aperture,
    add_apertures,
    aperture_of,
    fluxes,
    less_own_light,
    mark_neighbors,
)
from sciastro.photometry.growth import pick_bright
from sciastro.photometry.neighbors import Others, beta_of
from sciastro.photometry.plane import Plane, Profile, SkyLevels, check_planes, make_plane

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["ForcedOptions", "as_places", "forced_photometry"]

Floats = npt.NDArray[np.float64]

_NOBODY = (np.empty(0), np.empty(0))
_NO_MORE = Relative()


@dataclass(frozen=True, kw_only=True, slots=True)
class ForcedOptions(Options):
    """How light at given positions is summed."""

    sky_inner: float = option(4.5, "Inner radius of the sky annulus.", unit="fwhm", low=0.5, high=50.0)
    sky_outer: float = option(8.0, "Outer radius of the sky annulus.", unit="fwhm", low=1.0, high=100.0)
    sky_kappa: float = option(
        3.5, "Clipping of the sky's pixels about their median.", unit="sigma", low=1.5, high=10.0
    )
    min_sky_pixels: int = option(50, "Below this many free pixels, sources are let into the sky.", low=3)
    total_radius: float = option(
        4.0, "Radius that counts as all the light of a star.", unit="fwhm", low=1.0, high=20.0
    )
    growth_snr: float = option(50.0, "Least S/N of stars for the aperture correction.", low=5.0)
    growth_stars: int = option(80, "Most stars for the aperture correction.", low=3, high=1000)
    least_snr: float = option(5.0, "Below this S/N there is a flux and no magnitude.", low=0.0)
    crowded_share: float = option(
        0.05, "Flux of neighbors over the source's own that counts as crowded.", low=0.0, high=10.0
    )
    correct: bool = option(True, "Whether fluxes are corrected to all the light by the stars' growth.")
    optimal: bool = option(False, "Whether pixels are weighted by the profile of a star (Naylor 1998).")


DEFAULTS = ForcedOptions()


def forced_photometry(
    image: npt.NDArray[Any],
    variance: npt.NDArray[Any],
    quality: npt.NDArray[Any],
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    radius: float | Sequence[float],
    fwhm: float,
    stars: tuple[npt.ArrayLike, npt.ArrayLike] = _NOBODY,
    correlation: float = 1.0,
    autocorrelation: Floats | None = None,
    relative: Relative = _NO_MORE,
    terms: bool = False,
    unit: str = "electron / s",
    options: ForcedOptions = DEFAULTS,
) -> "QTable":
    """Measure the light at positions.

    Parameters
    ----------
    image, variance
        (y, x), in `unit` and its square; NaN is missing.
    quality
        uint16 (y, x), bits of `Quality`.
    x, y
        Positions [pixel], 0 is the center of the first pixel. NaN, and places off the image, get a row too.
    radius
        Of the aperture [pixel]; of several the first is that of ``flux``, the next one that of ``flux_2``.
    fwhm
        Full width at half maximum of stars [pixel]; sky and growth radii are multiples of it.
    stars
        x and y of the stars of the image: kept out of the sky, told apart as neighbors, and what the
        aperture correction is from. Without any, fluxes are those within the aperture.
    correlation, autocorrelation
        Noise of large areas over that of uncorrelated pixels; correlation by offset. As for
        `aperture.measure_sources`.
    relative
        Errors that grow with the flux: scintillation and flat fields.
    terms
        Whether every term of the errors is a column, see `errorterms.TERMS`.
    unit
        Of the image.
    options
        Sky annulus, growth, limits.

    Returns
    -------
    QTable
        ``id`` (from 1), ``x``, ``y``, ``x_err``, ``y_err`` [pixel; errors NaN: positions are given],
        ``flux``, ``flux_err``, ``mag_inst``, ``mag_inst_err``, ``snr``, ``fwhm`` [pixel, NaN], ``flags``,
        ``sky``, ``sky_err``, ``n_sky``, ``area``. ``meta``: ``apertures``, ``aperture_radius``,
        ``aperture_correction`` and its ``_err`` and ``_scatter``, ``fwhm``, ``noise_correlation``,
        ``flag_meanings``.

    Raises
    ------
    DatasetError
        If the planes, or `x` and `y`, differ in shape.
    OptionError
        If a radius, or `fwhm`, is not a positive number.
    """
    from astropy import units as u
    from astropy.table import QTable, Table

    xs, ys = as_places(x, y)
    radii = _radii(radius, fwhm, options)
    check_planes(image, variance, quality)
    at_x, at_y = _near(xs, ys, image.shape)
    star_x, star_y = (np.asarray(one, dtype=np.float64) for one in stars)
    plane = make_plane(
        image, variance, quality, np.concatenate([star_x, at_x]), np.concatenate([star_y, at_y]),
        fwhm=fwhm, noise_correlation=correlation, autocorrelation=autocorrelation,
    )  # fmt: skip
    apertures = _apertures(plane, star_x, star_y, radii, fwhm, options)
    sky = _clean(plane, at_x, at_y, _sky(plane, at_x, at_y, fwhm, options), apertures[0], fwhm, options)
    table = Table()
    table["id"] = np.arange(1, len(xs) + 1, dtype=np.int32)
    unknown = np.full(len(xs), np.nan)
    for name, values in (("x", at_x), ("y", at_y), ("x_err", unknown), ("y_err", unknown)):
        table[name] = values * u.pix
    add_apertures(
        table, plane, sky, apertures, relative, fwhm=fwhm, least_snr=options.least_snr, unit=u.Unit(unit),
        terms=terms,
    )  # fmt: skip
    table["x"], table["y"] = xs * u.pix, ys * u.pix
    _flag(table, plane, (at_x, at_y), (star_x, star_y), apertures[0], fwhm, options)
    table["fwhm"] = unknown * u.pix
    table["sky"], table["sky_err"] = sky.level * u.Unit(unit), sky.err * u.Unit(unit)
    table["n_sky"] = sky.count.astype(np.int32)
    table.meta |= _meta(apertures[0], plane, fwhm, options)
    return QTable(table)


def as_places(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return x and y as float64, (position,).

    Raises
    ------
    DatasetError
        If they differ in shape.
    """
    xs, ys = (np.atleast_1d(np.asarray(one, dtype=np.float64)) for one in (x, y))
    if xs.shape != ys.shape or xs.ndim != 1:
        raise DatasetError(
            f"have shapes {xs.shape} and {ys.shape}.", where="x and y", remedy="Give one y for every x."
        )
    return xs, ys


def _radii(radius: float | Sequence[float], fwhm: float, options: ForcedOptions) -> list[float]:
    radii = [float(one) for one in np.atleast_1d(np.asarray(radius, dtype=np.float64))]
    if not radii or any(not (np.isfinite(one) and one > 0) for one in radii):
        raise OptionError(f"is {radius} pixel.", where="radius", remedy="Give numbers above 0.")
    if not (np.isfinite(fwhm) and fwhm > 0):
        raise OptionError(
            f"is {fwhm} pixel.", where="fwhm", remedy="Give the width of stars; detect stars first."
        )
    if options.sky_outer <= options.sky_inner:
        raise OptionError(
            f"ends at {options.sky_outer} and begins at {options.sky_inner} fwhm.", where="sky annulus",
            remedy="Make `sky_outer` larger than `sky_inner`.",
        )  # fmt: skip
    return radii


def _near(x: Floats, y: Floats, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return positions with those that are no numbers or far off the image as just outside of it, or NaN."""
    known = np.isfinite(x) & np.isfinite(y)
    at_x, at_y = np.where(known, x, np.nan), np.where(known, y, np.nan)
    with np.errstate(invalid="ignore"):
        return np.clip(at_x, -1e6, shape[1] + 1e6), np.clip(at_y, -1e6, shape[0] + 1e6)


def _sky(plane: Plane, x: Floats, y: Floats, fwhm: float, options: ForcedOptions) -> SkyLevels:
    return plane.sky(
        x, y, options.sky_inner * fwhm, options.sky_outer * fwhm, options.sky_kappa, options.min_sky_pixels
    )


def _clean(
    plane: Plane, x: Floats, y: Floats, sky: SkyLevels, aperture: Aperture, fwhm: float,
    options: ForcedOptions,
) -> SkyLevels:  # fmt: skip
    """Return the sky without the wings of the very stars that it is for, where their profile is known."""
    if aperture.growth is None or aperture.profile is not None or not len(x):
        return sky
    correction = aperture.correction(x, y)
    if not np.isfinite(correction).any():  # no place is on the image
        return sky
    beta = beta_of(float(np.nanmedian(correction)), aperture.radius, aperture.total, fwhm)
    ring = (options.sky_inner * fwhm, options.sky_outer * fwhm)
    return less_own_light(
        sky, plane.sums(x, y, aperture.radius), correction, ring, (aperture.total, float(fwhm), beta)
    )


def _apertures(
    plane: Plane, x: Floats, y: Floats, radii: Sequence[float], fwhm: float, options: ForcedOptions
) -> list[Aperture]:
    """Return the apertures with their corrections from the stars of the image."""
    profiles = [Profile(float(fwhm)) if options.optimal else None, *[None] * (len(radii) - 1)]
    if not options.correct or len(x) < 3:
        return [
            Aperture(radius=one, profile=profile, total=one)
            for one, profile in zip(radii, profiles, strict=True)
        ]
    sky = _sky(plane, x, y, fwhm, options)
    first = plane.sums(x, y, 1.5 * fwhm)
    flux = first.total - first.area * sky.level
    snr = flux / np.sqrt(first.variance + (first.area * sky.err) ** 2)
    total, bright = float("nan"), np.empty(0, np.intp)
    for share in (1.0, 0.75, 0.6, 0.45):
        total = share * options.total_radius * fwhm
        bright = pick_bright(
            plane, x, y, flux, snr, reach=total, least_snr=options.growth_snr, most=options.growth_stars
        )
        if len(bright) >= 5:
            break
    if len(bright) >= 3:  # once more, now that the stars' wings are known
        plain = aperture_of(plane, x, y, sky, bright, radii[0], total)
        sky = _clean(plane, x, y, sky, plain, fwhm, options)
    others = Others(x=x, y=y, flux=flux, within=1.5 * fwhm, fwhm=float(fwhm))
    return [
        aperture_of(plane, x, y, sky, bright, one, total, profile, others)
        for one, profile in zip(radii, profiles, strict=True)
    ]


def _flag(
    table: Any, plane: Plane, at: tuple[Floats, Floats],
    stars: tuple[Floats, Floats], aperture: Aperture, fwhm: float, options: ForcedOptions,
) -> None:  # fmt: skip
    """Mark positions beside stars of the image, or beside each other, whose light is in the aperture."""
    n = len(at[0])
    flux = np.asarray(table["flux"].value, dtype=np.float64)
    own = np.empty(0)
    if len(stars[0]):
        own = fluxes(plane, *stars, _sky(plane, *stars, fwhm, options), aperture, Relative(), 0.0).flux
    x, y = np.concatenate([at[0], stars[0]]), np.concatenate([at[1], stars[1]])
    # A star of the image that lies on a position is the same light, not a neighbor.
    keep = np.ones(len(x), dtype=bool)
    if n and len(stars[0]):
        keep[n:] = ~_beside(at, stars, 0.5 * fwhm)
    light = np.concatenate([flux, own])[keep]
    mark_neighbors(table, x[keep], y[keep], light, aperture, fwhm, share=options.crowded_share)


def _beside(at: tuple[Floats, Floats], stars: tuple[Floats, Floats], reach: float) -> npt.NDArray[np.bool_]:
    """Return which stars lie within `reach` [pixel] of one of the positions."""
    from scipy.spatial import cKDTree

    good = np.isfinite(at[0]) & np.isfinite(at[1])
    seen = np.isfinite(stars[0]) & np.isfinite(stars[1])
    out = np.zeros(len(stars[0]), dtype=bool)
    if good.any() and seen.any():
        distance, _ = cKDTree(np.column_stack([at[0][good], at[1][good]])).query(
            np.column_stack([stars[0][seen], stars[1][seen]])
        )
        out[seen] = distance < reach
    return out


def _meta(aperture: Aperture, plane: Plane, fwhm: float, options: ForcedOptions) -> dict[str, Any]:
    growth = aperture.growth
    middle = 1.0
    if growth is not None:
        middle = float(growth.at(np.array([growth.center[0]]), np.array([growth.center[1]]))[0])
    return {
        "aperture_radius": aperture.radius,
        "total_radius": aperture.total,
        "aperture_correction": middle,
        "aperture_correction_err": growth.err if growth is not None else float("nan"),
        "aperture_correction_scatter": growth.scatter if growth is not None else 0.0,
        "n_growth_stars": growth.n_stars if growth is not None else 0,
        "fwhm": float(fwhm),
        "sky_inner": float(options.sky_inner * fwhm),
        "sky_outer": float(options.sky_outer * fwhm),
        "noise_correlation": plane.correlation,
        "flag_meanings": flag_meanings(),
    }
