"""Aperture photometry of the sources of one image, with errors that are those we make.

Reads an image [electron / s], its variance and quality and the positions of sources. Writes one table row
per source. Method: exact-overlap circle, local sky from a clipped mean in an annulus without neighbors,
correction to all the light by the curve of growth of bright stars that stand alone. Errors: the full double
sum of the aperture's weights over the variance plane with the correlation that resampling left, plus the
error of the sky under the aperture, plus the star-to-star scatter of the aperture correction.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.core.stars import StarArray
from sciastro.errors import DatasetError
from sciastro.photometry.coarse import pixel_scatter
from sciastro.photometry.flags import SourceFlag, flag_meanings
from sciastro.photometry.growth import Growth, contamination, growth, pick_bright
from sciastro.photometry.growthmap import GrowthMap, growth_map
from sciastro.photometry.plane import ApertureSums, Plane, SkyLevels, make_plane

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["ApertureOptions", "measure_sources"]

Floats = npt.NDArray[np.float64]

_MAG_PER_NEPER = 2.5 / np.log(10)  # sigma_m = 1.0857 sigma_F / F
_GOOD_GROWTH = 0.01  # relative error of the correction beyond which a smaller total radius is tried
_STEPS = np.array([0.7, 0.85, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.3, 2.6, 3.0])  # radii that are tried, in fwhm


@dataclass(frozen=True, kw_only=True, slots=True)
class ApertureOptions(Options):
    """How the light of sources is summed."""

    radius: float | None = option(
        None, "Aperture radius; none picks the one of best median S/N.", unit="fwhm", low=0.5, high=5.0
    )
    total_radius: float = option(
        4.0, "Radius that counts as all the light of a star.", unit="fwhm", low=1.5, high=10.0
    )
    sky_inner: float = option(4.5, "Inner radius of the sky annulus.", unit="fwhm", low=1.0, high=20.0)
    sky_outer: float = option(8.0, "Outer radius of the sky annulus.", unit="fwhm", low=1.5, high=40.0)
    sky_kappa: float = option(
        3.5, "Clipping of the sky's pixels about their median.", unit="sigma", low=1.5, high=10.0
    )
    min_sky_pixels: int = option(50, "Below this many free pixels, sources are let into the sky.", low=3)
    growth_snr: float = option(50.0, "Least S/N of stars for the curve of growth.", low=5.0)
    growth_stars: int = option(80, "Most stars for the curve of growth.", low=3, high=1000)
    least_snr: float = option(5.0, "Below this S/N a source has a flux and no magnitude.", low=0.0)
    crowded_share: float = option(
        0.05, "Flux of neighbors over the source's own that counts as crowded.", low=0.0, high=10.0
    )


DEFAULTS = ApertureOptions()


def measure_sources(
    image: npt.NDArray[Any],
    variance: npt.NDArray[Any],
    quality: npt.NDArray[Any],
    stars: StarArray,
    *,
    fwhm: float,
    noise_correlation: float = 1.0,
    autocorrelation: Floats | None = None,
    flux_scatter: float = 0.0,
    options: ApertureOptions = DEFAULTS,
) -> "Table":
    """Measure every source of an image.

    Parameters
    ----------
    image, variance
        float32 (y, x), electron / s and its square; NaN is missing.
    quality
        uint16 (y, x), bits of `Quality`.
    stars
        `STAR_DTYPE`; only positions, their errors and ``fwhm`` are used. Order is kept.
    fwhm
        Typical full width at half maximum of stars [pixel].
    noise_correlation
        Noise of large areas over that of uncorrelated pixels of `variance`.
    autocorrelation
        Correlation of the noise of two pixels by their offset in y and x (2 K + 1, 2 K + 1), 1 in the middle;
        `noise_correlation` then follows from it. None makes a model of it from `noise_correlation`.
    flux_scatter
        Relative scatter of fluxes that noise does not explain: what coarse samples make of them.

    Returns
    -------
    Table
        ``id`` (from 1), ``x``, ``y`` [pixel], ``x_err``, ``y_err``, ``flux`` [electron / s], ``flux_err``,
        ``mag_inst`` (-2.5 log10 flux; NaN below ``least_snr``), ``mag_inst_err``, ``snr``, ``fwhm`` [pixel],
        ``flags``, ``sky`` [electron / s per pixel], ``sky_err``, ``n_sky``, ``area`` [pixel]. NaN is unknown:
        a source whose missing pixels nothing can replace has no flux. ``meta``: radii [pixel],
        ``aperture_correction`` (at the center of the image), its ``_err`` (common to all rows, not in
        ``flux_err``), ``_scatter`` (in it), ``_terms`` (over the field),
        ``n_growth_stars``, ``noise_correlation``, ``flag_meanings``.

    Raises
    ------
    DatasetError
        If the planes differ in shape or `fwhm` is not a positive number.
    """
    _check(image, variance, quality, fwhm, options)
    x, y = stars["x"].astype(np.float64), stars["y"].astype(np.float64)
    plane = make_plane(
        image, variance, quality, x, y, fwhm=fwhm, noise_correlation=noise_correlation,
        autocorrelation=autocorrelation,
    )  # fmt: skip
    sky = plane.sky(
        x, y, options.sky_inner * fwhm, options.sky_outer * fwhm, options.sky_kappa, options.min_sky_pixels
    )
    curve, bright = _curve(plane, x, y, sky, fwhm, options)
    radius = float(curve.radius[_choose(plane, x, y, sky, curve, fwhm)])
    field = growth_map(plane, x, y, sky, bright, radius, curve.total) if curve.n_stars >= 3 else None
    scatter = max(field.scatter if field is not None else 0.0, pixel_scatter(float(fwhm), radius))
    scatter = float(np.hypot(scatter, flux_scatter))
    table = _table(stars, plane.sums(x, y, radius), sky, field, scatter, options)
    table.meta |= _correction(field, radius, curve.total)
    near = contamination(x, y, table["flux"].value, radius, fwhm)
    table["flags"] |= np.where(near > options.crowded_share, np.uint32(SourceFlag.CROWDED), np.uint32(0))
    table.meta |= {
        "fwhm": float(fwhm),
        "sky_inner": float(options.sky_inner * fwhm),
        "sky_outer": float(options.sky_outer * fwhm),
        "noise_correlation": plane.correlation,
    }
    return table


def _check(
    image: npt.NDArray[Any],
    variance: npt.NDArray[Any],
    quality: npt.NDArray[Any],
    fwhm: float,
    options: ApertureOptions,
) -> None:
    if image.ndim != 2 or variance.shape != image.shape or quality.shape != image.shape:
        raise DatasetError(
            f"has shape {image.shape}, its variance {variance.shape} and its quality {quality.shape}.",
            where="image",
            remedy="Give three planes (y, x) of one shape.",
        )
    if not (np.isfinite(fwhm) and fwhm > 0):
        raise DatasetError(
            f"is {fwhm}.", where="fwhm", remedy="Give the width of stars in pixels; detect stars first."
        )
    if options.sky_outer <= options.sky_inner:
        raise DatasetError(
            f"ends at {options.sky_outer} and begins at {options.sky_inner} fwhm.",
            where="sky annulus",
            remedy="Make `sky_outer` larger than `sky_inner`.",
        )


def _curve(
    plane: Plane, x: Floats, y: Floats, sky: SkyLevels, fwhm: float, options: ApertureOptions
) -> tuple[Growth, npt.NDArray[np.intp]]:
    """Return the curve of growth and its stars, less far out where no stars are alone so far."""
    steps = _STEPS if options.radius is None else np.array([options.radius])
    first = plane.sums(x, y, 1.5 * fwhm)
    flux = first.total - first.area * sky.level
    snr = flux / np.sqrt(first.variance + (first.area * sky.err) ** 2)
    radii = np.maximum(steps * fwhm, 1.5)
    curves = []
    for share in (1.0, 0.75, 0.6, 0.45):
        total = max(share * options.total_radius * fwhm, float(radii[0]))
        picked = pick_bright(
            plane, x, y, flux, snr, reach=total, least_snr=options.growth_snr, most=options.growth_stars
        )
        curve = growth(plane, x, y, sky, picked, radii[radii <= total], total)
        if curve.n_stars >= 5 and _error(curve) < _GOOD_GROWTH:
            return curve, picked
        curves.append((curve, picked))
    found = [entry for entry in curves if entry[0].n_stars >= 3]
    if found:
        return min(found, key=lambda entry: _error(entry[0]))
    return replace(curves[0][0], radius=radii, **_unknown(len(radii))), np.empty(0, np.intp)


def _error(curve: Growth) -> float:
    """Return the median relative error of the corrections."""
    known = np.isfinite(curve.correction)
    return float(np.median(curve.err[known] / curve.correction[known])) if known.any() else float("inf")


def _unknown(n: int) -> dict[str, Any]:
    nothing = np.full(n, np.nan)
    return {"correction": nothing, "err": nothing, "scatter": nothing, "total": float("nan"), "n_stars": 0}


def _choose(plane: Plane, x: Floats, y: Floats, sky: SkyLevels, curve: Growth, fwhm: float) -> int:
    """Return which radius has the best mean log S/N, with profile scatter and neighbors' light as errors."""
    if len(curve.radius) == 1:
        return 0
    if curve.n_stars < 3:  # nothing tells how much light is outside: a wide aperture loses least
        return int(np.argmin(np.abs(curve.radius - 1.6 * fwhm)))
    some = np.arange(0, len(x), max(1, len(x) // 400))
    first = plane.sums(x, y, fwhm)
    light = first.total - first.area * sky.level
    merit = np.full(len(curve.radius), -np.inf)
    for k, radius in enumerate(curve.radius):
        sums = plane.sums(x[some], y[some], float(radius))
        flux = sums.total - sums.area * sky.level[some]
        random = sums.variance + (sums.area * sky.err[some]) ** 2
        foreign = np.minimum(contamination(x, y, light, float(radius), fwhm)[some], 1.0)
        scatter = np.fmax(curve.scatter[k], pixel_scatter(float(fwhm), float(radius)))
        systematic = np.hypot(scatter, foreign) * flux
        snr = flux / np.sqrt(random + systematic**2)
        good = np.isfinite(snr)
        if good.any() and np.isfinite(curve.correction[k]):
            merit[k] = float(np.mean(np.log(np.maximum(snr[good], 1.0))))
    return int(np.argmax(merit))


def _table(
    stars: StarArray,
    sums: ApertureSums,
    sky: SkyLevels,
    field: GrowthMap | None,
    scatter: float,
    options: ApertureOptions,
) -> "Table":
    from astropy import units as u
    from astropy.table import Table

    x, y = stars["x"].astype(np.float64), stars["y"].astype(np.float64)
    correction = field.at(x, y) if field is not None else np.ones(len(stars))
    usable = (sums.lost == 0) & np.isfinite(sky.level)
    flux = np.where(usable, correction * (sums.total - sums.area * sky.level), np.nan)
    random = correction**2 * (sums.variance + (sums.area * sky.err) ** 2)
    err = np.where(usable, np.sqrt(random + (scatter * flux) ** 2), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = flux / err
        bright = flux >= max(options.least_snr, 1e-6) * np.sqrt(random)
        mag = np.where(bright, -2.5 * np.log10(np.where(bright, flux, 1.0)), np.nan)
        mag_err = np.where(bright, _MAG_PER_NEPER / snr, np.nan)
    flags = sums.bits.astype(np.uint32)
    flags[sums.lost > 0] |= np.uint32(SourceFlag.CUT)
    flags[sums.moved > 0] |= np.uint32(SourceFlag.MIRRORED)
    flags[sky.poor] |= np.uint32(SourceFlag.POOR_SKY)
    rate = u.electron / u.s
    table = Table()
    table["id"] = np.arange(1, len(stars) + 1, dtype=np.int32)
    for name in ("x", "y", "x_err", "y_err"):
        table[name] = stars[name].astype(np.float64) * u.pix
    table["flux"], table["flux_err"] = flux * rate, err * rate
    table["mag_inst"], table["mag_inst_err"] = mag * u.mag, mag_err * u.mag
    table["snr"] = snr
    table["fwhm"] = stars["fwhm"].astype(np.float64) * u.pix
    table["flags"] = flags
    table["sky"], table["sky_err"] = sky.level * rate, sky.err * rate
    table["n_sky"] = sky.count.astype(np.int32)
    table["area"] = sums.area * u.pix
    table.meta["flag_meanings"] = flag_meanings()
    return table


def _correction(field: GrowthMap | None, radius: float, total: float) -> dict[str, Any]:
    """Return what the table's meta says about the aperture correction."""
    if field is None:
        return {
            "aperture_radius": radius,
            "total_radius": radius,
            "aperture_correction": 1.0,
            "aperture_correction_err": float("nan"),
            "aperture_correction_scatter": 0.0,
            "aperture_correction_terms": [],
            "n_growth_stars": 0,
            "aperture_correction_note": "fluxes are those within the aperture: fewer than three bright stars "
            "stand alone",
        }
    middle = field.at(np.array([field.center[0]]), np.array([field.center[1]]))
    return {
        "aperture_radius": radius,
        "total_radius": total,
        "aperture_correction": float(middle[0]),
        "aperture_correction_err": field.err,
        "aperture_correction_scatter": field.scatter,
        "aperture_correction_terms": [float(term) for term in field.coefficients],
        "n_growth_stars": field.n_stars,
        "aperture_correction_note": "correction at the center of the image; terms: 1, u, v, u2, uv, v2, "
        "with u, v from the center in half diagonals",
    }
