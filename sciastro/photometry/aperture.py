"""Aperture photometry of the sources of one image, with errors that are those we make.

Reads an image [electron / s], its variance and quality and the positions of sources. Writes one table row
per source. Method: exact-overlap circle, local sky from a clipped mean in an annulus without neighbors,
correction to all the light by the curve of growth of bright stars that stand alone. Errors: the full double
sum of the aperture's weights over the variance plane with the correlation that resampling left, plus the
error of the sky under the aperture, plus the star-to-star scatter of the aperture correction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.core.stars import StarArray
from sciastro.errors import DatasetError
from sciastro.photometry.coarse import pixel_scatter
from sciastro.photometry.companions import companion_flags
from sciastro.photometry.errorterms import Relative
from sciastro.photometry.flags import flag_meanings
from sciastro.photometry.fluxes import Aperture, add_apertures, aperture_of, less_own_light, mark_neighbors
from sciastro.photometry.growth import Growth, contamination, growth, pick_bright
from sciastro.photometry.growthmap import GrowthMap, growth_map
from sciastro.photometry.neighbors import Others, beta_of
from sciastro.photometry.plane import Plane, Profile, SkyLevels, check_planes, make_plane

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["ApertureOptions", "measure_sources"]

Floats = npt.NDArray[np.float64]

_GOOD_GROWTH = 0.01  # relative error of the correction beyond which a smaller total radius is tried
# Of ln S/N: a loss of 1 % that another radius is worth. Six crowds of 1.6 pixel: without, two of them take
# 0.9 widths and fluxes are off by 0.18 % (rms); with it by 0.10 %; with 3 % by 0.11 %.
_AS_GOOD = 0.01
_OPTIMAL_RADIUS = 2.0  # where the weights end, in fwhm
_BETAS = (0.0, 4.0, 2.5)  # profiles that are tried: a Gaussian, Moffat profiles
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
    optimal: bool = option(
        False, "Weight pixels by the profile of stars (Naylor 1998); plain apertures then follow."
    )


ONE_NUMBER = (
    "one correction for the whole image: stars are too few, or too crowded, to tell whether they are longer "
    "toward the corners; if they are, fluxes there are low by more than flux_err says"
)

DEFAULTS = ApertureOptions()
NOTHING_ELSE = Relative()


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
    radii: Sequence[float] = (),
    relative: Relative = NOTHING_ELSE,
    terms: bool = False,
    unit: str = "electron / s",
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
    radii
        More apertures [pixel]; their columns are ``flux_2``, ``flux_err_2`` and so on.
    relative
        Errors that grow with the flux: scintillation and flat fields.
    terms
        Whether every term of the errors is a column, see `errorterms.TERMS`.
    unit
        Of the image.

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
    from astropy import units as u

    _check(image, variance, quality, fwhm, options)
    x, y = stars["x"].astype(np.float64), stars["y"].astype(np.float64)
    plane = make_plane(
        image, variance, quality, x, y, fwhm=fwhm, noise_correlation=noise_correlation,
        autocorrelation=autocorrelation,
    )  # fmt: skip
    sky = plane.sky(
        x, y, options.sky_inner * fwhm, options.sky_outer * fwhm, options.sky_kappa, options.min_sky_pixels
    )
    curve, bright, others = _curve(plane, x, y, sky, fwhm, options)
    chosen = _choose(plane, x, y, sky, curve, fwhm)
    radius = float(curve.radius[chosen])
    bright = bright if curve.n_stars >= 3 else np.empty(0, np.intp)
    if len(bright):
        grown = float(curve.correction[int(np.argmin(np.abs(curve.radius - radius)))])
        beta = beta_of(grown, radius, curve.total, fwhm)
        ring = (options.sky_inner * fwhm, options.sky_outer * fwhm)
        sky = less_own_light(
            sky, plane.sums(x, y, radius), np.full(len(x), grown), ring, (curve.total, float(fwhm), beta)
        )
    first = Aperture(radius=radius, total=radius)
    if len(bright):
        growth_of_first = growth_map(plane, x, y, sky, bright, radius, curve.total, others=others)
        if growth_of_first is not None:
            scatter = float(np.fmin(growth_of_first.scatter, curve.scatter[chosen]))
            growth_of_first = replace(growth_of_first, scatter=scatter)
        first = Aperture(radius=radius, growth=growth_of_first, total=curve.total)
    more = [aperture_of(plane, x, y, sky, bright, one, curve.total, others=others) for one in radii]
    apertures = [first, *more]
    if options.optimal:
        apertures.insert(0, _optimal(plane, x, y, sky, bright, curve.total, others))
    relative = replace(relative, coarse=np.hypot(relative.coarse, flux_scatter))
    table = _table(stars, plane, sky, apertures, relative, (options, float(fwhm), u.Unit(unit), terms))
    table.meta |= _correction(apertures[0].growth, apertures[0].radius, apertures[0].total)
    mark_neighbors(
        table, x, y, np.asarray(table["flux"].value), apertures[0], fwhm, share=options.crowded_share
    )
    table["flags"] = np.asarray(table["flags"]) | companion_flags(plane, x, y, sky, bright, others, fwhm)
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
    check_planes(image, variance, quality, fwhm)
    if options.sky_outer <= options.sky_inner:
        raise DatasetError(
            f"ends at {options.sky_outer} and begins at {options.sky_inner} fwhm.",
            where="sky annulus",
            remedy="Make `sky_outer` larger than `sky_inner`.",
        )


def _curve(
    plane: Plane, x: Floats, y: Floats, sky: SkyLevels, fwhm: float, options: ApertureOptions
) -> tuple[Growth, npt.NDArray[np.intp], Others]:
    """Return the curve of growth, less far out where no stars are alone so far; its stars; all neighbors."""
    steps = _STEPS if options.radius is None else np.array([options.radius])
    first = plane.sums(x, y, 1.5 * fwhm)
    flux = first.total - first.area * sky.level
    snr = flux / np.sqrt(first.variance + (first.area * sky.err) ** 2)
    others = Others(x=x, y=y, flux=flux, within=1.5 * fwhm, fwhm=float(fwhm))
    radii = np.maximum(steps * fwhm, 1.5)
    curves = []
    for share in (1.0, 0.75, 0.6, 0.45):
        total = max(share * options.total_radius * fwhm, float(radii[0]))
        picked = pick_bright(
            plane, x, y, flux, snr, reach=total, least_snr=options.growth_snr, most=options.growth_stars
        )
        curve = growth(plane, x, y, sky, picked, radii[radii <= total], total)
        if curve.n_stars >= 5 and _error(curve) < _GOOD_GROWTH:
            return curve, picked, others
        curves.append((curve, picked))
    found = [entry for entry in curves if entry[0].n_stars >= 3]
    if found:
        return (*min(found, key=lambda entry: _error(entry[0])), others)
    return replace(curves[0][0], radius=radii, **_unknown(len(radii))), np.empty(0, np.intp), others


def _error(curve: Growth) -> float:
    """Return the median relative error of the corrections."""
    known = np.isfinite(curve.correction)
    return float(np.median(curve.err[known] / curve.correction[known])) if known.any() else float("inf")


def _unknown(n: int) -> dict[str, Any]:
    nothing = np.full(n, np.nan)
    return {"correction": nothing, "err": nothing, "scatter": nothing, "total": float("nan"), "n_stars": 0}


def _choose(plane: Plane, x: Floats, y: Floats, sky: SkyLevels, curve: Growth, fwhm: float) -> int:
    """Return which radius has the best mean log S/N, with profile scatter and neighbors' light as errors.

    Of radii that are nearly as good (`_AS_GOOD`) the largest: between 0.7 and 1 width the noise of the sky
    hardly changes, while what the correction leaves to the place and the profile of bright stars doubles.
    """
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
    best = merit.max()
    return int(np.flatnonzero(merit >= best - _AS_GOOD)[-1]) if np.isfinite(best) else 0


def _optimal(
    plane: Plane, x: Floats, y: Floats, sky: SkyLevels, bright: npt.NDArray[np.intp], total: float,
    others: Others,
) -> Aperture:  # fmt: skip
    """Return the weights of an optimal extraction: of the profiles tried, the one of best S/N of faint stars.

    The weights are those of stars whose noise is the sky's, for all stars alike, so that the correction to
    all the light holds at every brightness (Naylor 1998, MNRAS 296, 339, section 3).
    """
    radius, scores = _OPTIMAL_RADIUS * others.fwhm, []
    some = np.arange(0, len(x), max(1, len(x) // 400))
    for beta in _BETAS:
        profile = Profile(others.fwhm, beta)
        one = aperture_of(plane, x, y, sky, bright, radius, total, profile, others)
        sums = plane.weighted(x[some], y[some], radius, profile)
        noise = one.correction(x[some], y[some]) * np.sqrt(sums.variance)
        good = np.isfinite(noise) & (noise > 0)
        scores.append((float(np.mean(np.log(noise[good]))) if good.any() else np.inf, one))
    return min(scores, key=lambda entry: entry[0])[1]


def _table(
    stars: StarArray,
    plane: Plane,
    sky: SkyLevels,
    apertures: Sequence[Aperture],
    relative: Relative,
    how: "tuple[ApertureOptions, float, Any, bool]",
) -> "Table":
    from astropy import units as u
    from astropy.table import Table

    options, fwhm, unit, terms = how
    table = Table()
    table["id"] = np.arange(1, len(stars) + 1, dtype=np.int32)
    for name in ("x", "y", "x_err", "y_err"):
        table[name] = stars[name].astype(np.float64) * u.pix
    add_apertures(
        table, plane, sky, apertures, relative, fwhm=fwhm, least_snr=options.least_snr, unit=unit,
        terms=terms,
    )  # fmt: skip
    table["fwhm"] = stars["fwhm"].astype(np.float64) * u.pix
    table["sky"], table["sky_err"] = sky.level * unit, sky.err * unit
    table["n_sky"] = sky.count.astype(np.int32)
    names = ("id", "x", "y", "x_err", "y_err", "flux", "flux_err", "mag_inst", "mag_inst_err", "snr", "fwhm",
             "flags", "sky", "sky_err", "n_sky", "area")  # fmt: skip
    table = table[[*names, *(name for name in table.colnames if name not in names)]]
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
        "with u, v from the center in half diagonals"
        if len(field.coefficients) > 1
        else ONE_NUMBER,
    }
