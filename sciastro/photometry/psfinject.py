"""Artificial stars: put into the real pixels with the measured PSF and noise, and measured as all others are.

What comes back tells how complete the table is, and whether fluxes and their errors hold, crowding included.
Stars are put on a jittered lattice, wide enough that they do not crowd one another, round after round.
"""

import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.core.quality import Quality
from sciastro.core.robust import mad_sigma
from sciastro.core.stars import StarArray
from sciastro.errors import DatasetError
from sciastro.photometry.psffit import FitPlane, StarFit
from sciastro.photometry.psflocal import fluxes_of, known_stars, measure_near
from sciastro.photometry.psfmodel import PsfModel
from sciastro.photometry.psfphotometry import (
    PsfOptions,
    PsfResult,
    SkyMap,
    no_sky,
    plane_of,
    psf_photometry,
)
from sciastro.photometry.psftable import Fluxes

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["Field", "InjectOptions", "Injection", "add_stars", "inject_stars", "limit_of"]

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Find = Callable[[Singles, Singles, npt.NDArray[np.uint16]], StarArray]
"""Image, variance and quality to what is detected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InjectOptions(Options):
    """Which stars are put in, and what counts as found."""

    number: int = option(1000, "Artificial stars.", low=1, high=1_000_000)
    seed: int = option(1, "Seed of places, fluxes and noise.", low=0)
    faintest: float = option(2.0, "S/N of the faintest.", low=0.1)
    brightest: float | None = option(None, "S/N of the brightest; none takes that of the stars.", low=1.0)
    spacing: float = option(8.0, "Between artificial stars of one round.", unit="fwhm", low=4.0, high=1000.0)
    radius: float = option(
        0.6, "A star nearer than this is the artificial one.", unit="fwhm", low=0.1, high=3.0
    )
    tolerance: float = option(
        0.75, "And not brighter or fainter than it by more than this, or another star was found.", unit="mag",
        low=0.05, high=5.0,
    )  # fmt: skip
    width: float = option(0.5, "Of the bins.", unit="mag", low=0.05, high=5.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """An image and how it is measured.

    Attributes
    ----------
    image, variance, quality
        As in `psf_photometry`.
    find
        Detects stars as for the table itself.
    sky_map, autocorrelation, noise_correlation
        As in `psf_photometry`.
    """

    image: npt.NDArray[Any]
    variance: npt.NDArray[Any]
    quality: npt.NDArray[Any]
    find: Find
    sky_map: SkyMap = no_sky
    autocorrelation: Floats | None = None
    noise_correlation: float = 1.0


@dataclass(frozen=True, slots=True)
class Injection:
    """What came of the artificial stars.

    Attributes
    ----------
    stars
        One row per artificial star: x, y, flux as put in and as measured, errors, found or not.
    bins
        One row per bin of magnitude: completeness, bias, scatter, errors, false detections.
    """

    stars: "Table"
    bins: "Table"


def add_stars(
    field: Field, model: PsfModel, x: Floats, y: Floats, flux: Floats, per_electron: float,
    rng: np.random.Generator,
) -> tuple[Singles, Singles]:  # fmt: skip
    """Return image and variance with stars and the noise of their light.

    Parameters
    ----------
    per_electron
        Variance over light of the image's unit: 1 / exposure for electron / s of one frame.
    """
    light = model.render((field.image.shape[0], field.image.shape[1]), x, y, flux)
    power = per_electron * np.maximum(light, 0)
    noise = rng.standard_normal(light.shape)
    if field.autocorrelation is not None and np.isfinite(field.autocorrelation).all():
        noise = _colored(noise, field.autocorrelation)
    image = field.image + light + (np.sqrt(power) * noise).astype(np.float32)
    return image.astype(np.float32), (field.variance + power).astype(np.float32)


def _colored(noise: Floats, autocorrelation: Floats) -> Floats:
    """Return noise of unit variance with the given correlation between pixels."""
    k = autocorrelation.shape[0] // 2
    kernel = np.zeros(noise.shape)
    if 2 * k + 1 > min(noise.shape):
        return noise
    kernel[: 2 * k + 1, : 2 * k + 1] = autocorrelation
    kernel = np.roll(kernel, (-k, -k), axis=(0, 1))
    power = np.maximum(np.fft.rfft2(kernel).real, 0)
    return np.asarray(np.fft.irfft2(np.fft.rfft2(noise) * np.sqrt(power), s=noise.shape))


def shot_noise(variance: Singles, image: Singles) -> float:
    """Return variance over light, from bright pixels: the slope of one over the other."""
    step = max(1, image.size // 2_000_000)
    v, i = variance.ravel()[::step].astype(np.float64), image.ravel()[::step].astype(np.float64)
    good = np.isfinite(v) & np.isfinite(i) & (v > 0)
    if good.sum() < 100:
        return 0.0
    v, i = v[good], i[good]
    level, noise = float(np.median(i)), float(np.median(v))
    bright = (i - level) > 5 * np.sqrt(noise)
    if bright.sum() < 20:
        return 0.0
    return max(float(np.median((v[bright] - noise) / (i[bright] - level))), 0.0)


def inject_stars(
    field: Field,
    first: PsfResult,
    *,
    options: InjectOptions | None = None,
    fit: PsfOptions | None = None,
    tell: Callable[[str], None] = log.info,
) -> Injection:
    """Put artificial stars in, measure the image about them as always, and compare.

    Parameters
    ----------
    first
        Of `psf_photometry` of the image itself. What is detected in its residual turned upside down is false.

    Returns
    -------
    Injection
        Reproducible: the same pixels and options give the same stars.

    Raises
    ------
    DatasetError
        If the image is too small for one star, or nothing tells its noise.
    """
    options, fit = options or InjectOptions(), fit or PsfOptions()
    rng = np.random.default_rng(options.seed)
    model, table = first.model, first.table
    image, variance = np.asarray(field.image, np.float32), np.asarray(field.variance, np.float32)
    unit_err = _faint_error(variance, model, field)
    brightest = options.brightest or _brightest(table, unit_err)
    flux = unit_err * np.exp(
        rng.uniform(np.log(options.faintest), np.log(max(brightest, 2 * options.faintest)), options.number)
    )
    per_electron = shot_noise(variance, image)
    rows: list[tuple[Any, ...]] = []
    before = _before(field, first)
    number = 0
    while number < options.number:
        x, y = _lattice(field, model, options, rng)
        x, y = x[: options.number - number], y[: options.number - number]
        light = flux[number : number + x.size]
        number += x.size
        again, power = add_stars(
            replace(field, image=image, variance=variance), model, x, y, light, per_electron, rng
        )
        found = _measured(field, before, again, power, x, y, fit)
        rows += _matched(found, x, y, light, model, options)
        tell(f"artificial stars: {number} of {options.number}")
    stars = _star_table(rows)
    bins = _bins(stars, _false(field, first, fit), options)
    for one in (stars, bins):
        one.meta |= {
            "seed": options.seed, "number": options.number, "radius_pixel": options.radius * model.fwhm,
            "tolerance_mag": options.tolerance, "limit_90": limit_of(bins, 0.9),
            "limit_50": limit_of(bins, 0.5),
        }  # fmt: skip
    return Injection(stars, bins)


def _faint_error(variance: Singles, model: PsfModel, field: Field) -> float:
    """Return the error of the flux of a faint star that is alone."""
    good = variance[np.isfinite(variance) & (variance > 0)]
    if not good.size:
        raise DatasetError(
            "has no positive value.", where="variance", remedy="Give the variance of the image."
        )
    half = max(1, round(1.5 * model.fwhm))
    stamp = model.stamp(np.floor(model.field[0]), np.floor(model.field[1]), half)
    return float(np.sqrt(np.median(good) / np.sum(stamp**2)) * max(field.noise_correlation, 0.5))


def _brightest(table: "Table", unit_err: float) -> float:
    flux, flags = np.asarray(table["flux"].value), np.asarray(table["flags"])
    good = np.isfinite(flux) & (flags & int(Quality.SATURATED) == 0)
    return float(np.percentile(flux[good], 99.5) / unit_err) if good.sum() > 10 else 200.0


def _lattice(
    field: Field, model: PsfModel, options: InjectOptions, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return places on usable pixels, far from one another, in random order."""
    rows, columns = field.image.shape
    pitch = options.spacing * model.fwhm
    edge = model.fwhm
    ny, nx = max(1, int((rows - 2 * edge) / pitch)), max(1, int((columns - 2 * edge) / pitch))
    if rows < 4 * edge or columns < 4 * edge:
        raise DatasetError(
            f"has {rows} x {columns} pixels, and stars are {model.fwhm:.1f} wide.", where="image",
            remedy="Artificial stars need a larger image.",
        )  # fmt: skip
    free_y, free_x = (rows - 1 - 2 * edge) / ny, (columns - 1 - 2 * edge) / nx
    j, i = (axis.ravel() for axis in np.mgrid[0:ny, 0:nx])
    wander = 0.25  # of the pitch: two are never nearer than half of it
    y = edge + (j + 0.5 + rng.uniform(-wander, wander, j.size)) * free_y
    x = edge + (i + 0.5 + rng.uniform(-wander, wander, i.size)) * free_x
    near = np.rint(y).astype(int), np.rint(x).astype(int)
    usable = np.isfinite(field.image[near]) & (np.asarray(field.variance)[near] > 0)
    if not usable.any():
        raise DatasetError("has no usable pixel.", where="image", remedy="Check its quality bits.")
    order = rng.permutation(np.flatnonzero(usable))
    return x[order], y[order]


@dataclass(frozen=True, slots=True)
class _Before:
    """An image as it was measured without artificial stars."""

    first: PsfResult
    known: StarFit
    counted: Fluxes


def _before(field: Field, first: PsfResult) -> _Before:
    return _Before(first, known_stars(first.table), fluxes_of(first.table))


def _plane(field: Field, residual: Singles, variance: npt.NDArray[Any]) -> FitPlane:
    quality = np.ascontiguousarray(field.quality, np.uint16)
    return plane_of(residual, variance, quality, field.autocorrelation, field.noise_correlation)


def _measured(
    field: Field, before: _Before, image: Singles, variance: Singles, x: Floats, y: Floats, fit: PsfOptions
) -> "Table":
    """Return what is found about places that alone have changed."""
    added = image - np.asarray(field.image, np.float32)
    plane = _plane(field, before.first.residual + added, variance)
    detected = field.find(image, variance, plane.quality)
    return measure_near(
        plane, before.first.model, before.known, before.counted, detected, x, y, fit,
        structure=before.first.structure,
    )  # fmt: skip


def _matched(
    found: "Table", x: Floats, y: Floats, flux: Floats, model: PsfModel, options: InjectOptions
) -> list[tuple[Any, ...]]:
    from scipy.spatial import cKDTree

    values = {
        name: np.asarray(found[name], dtype=np.float64) for name in ("x", "y", "flux", "flux_err", "chi2")
    }
    flags = np.asarray(found["flags"])
    good = np.flatnonzero(np.isfinite(values["x"]) & np.isfinite(values["y"]) & np.isfinite(values["flux"]))
    rows: list[tuple[Any, ...]] = []
    tree = cKDTree(np.column_stack([values["x"][good], values["y"][good]])) if good.size else None
    for a, b, f in zip(x, y, flux, strict=True):
        best = -1
        if tree is not None:
            near = good[tree.query_ball_point((a, b), options.radius * model.fwhm)]
            with np.errstate(invalid="ignore", divide="ignore"):
                off = np.abs(2.5 * np.log10(np.maximum(values["flux"][near], 1e-300) / f))
            near = near[off < options.tolerance]
            if near.size:
                best = int(near[np.argmin(np.hypot(values["x"][near] - a, values["y"][near] - b))])
        if best < 0:
            rows.append((a, b, f, np.nan, np.nan, np.nan, np.nan, np.nan, 0, False))
        else:
            rows.append((a, b, f, *(float(values[name][best]) for name in values), int(flags[best]), True))
    return rows


def _star_table(rows: list[tuple[Any, ...]]) -> "Table":
    from astropy import units as u
    from astropy.table import Table

    names = ("x_in", "y_in", "flux_in", "x", "y", "flux", "flux_err", "chi2", "flags", "found")
    table = Table(rows=rows, names=names, dtype=["f8"] * 8 + ["u4", "?"])
    rate = u.electron / u.s
    for name in ("x_in", "y_in", "x", "y"):
        table[name].unit = u.pix
    for name in ("flux_in", "flux", "flux_err"):
        table[name].unit = rate
    table["mag_inst_in"] = -2.5 * np.log10(np.asarray(table["flux_in"])) * u.mag
    return table


def _false(field: Field, first: PsfResult, fit: PsfOptions) -> Floats:
    """Return the fluxes of what is detected in the residual turned upside down."""
    residual, quality = first.residual, np.asarray(field.quality, np.uint16)
    image = np.where(np.isfinite(residual), -residual, np.float32(np.nan)).astype(np.float32)
    variance = np.asarray(field.variance, np.float32)
    table = psf_photometry(
        image, variance, quality, field.find(image, variance, quality), fwhm=first.model.fwhm,
        noise_correlation=field.noise_correlation, autocorrelation=field.autocorrelation,
        sky_map=field.sky_map, model=first.model, options=fit, tell=lambda text: None,
    ).table  # fmt: skip
    flux, snr = np.asarray(table["flux"].value), np.asarray(table["snr"])
    return np.asarray(flux[np.isfinite(flux) & (flux > 0) & (snr >= fit.least_snr)])


def _bins(stars: "Table", false: Floats, options: InjectOptions) -> "Table":
    from astropy import units as u
    from astropy.table import Table

    mag = np.asarray(stars["mag_inst_in"])
    found = np.asarray(stars["found"])
    first = np.floor(mag.min() / options.width) * options.width
    edges = np.arange(first, mag.max() + options.width, options.width)
    rows = []
    wrong = -2.5 * np.log10(false)
    for low, high in itertools.pairwise(edges):
        here = (mag >= low) & (mag < high)
        n, seen = int(here.sum()), here & found
        k = int(seen.sum())
        share = k / n if n else np.nan
        # Wilson's interval has a width where all or none are found.
        err = np.sqrt(share * (1 - share) / n + 0.25 / n**2) / (1 + 1 / n) if n else np.nan
        count = int(((wrong >= low) & (wrong < high)).sum())
        rows.append((0.5 * (low + high), n, k, share, err, *_quality(stars[seen]), count))
    names = (
        "mag_inst", "n", "n_found", "completeness", "completeness_err", "bias", "bias_err", "scatter",
        "error", "pull_mean", "pull_std", "false",
    )  # fmt: skip
    table = Table(rows=rows, names=names, dtype=["f8", "i4", "i4", *["f8"] * 8, "i4"])
    table["mag_inst"].unit = u.mag
    meanings = {
        "mag_inst": "Middle of the bin, -2.5 log10(flux put in)", "n": "Artificial stars",
        "n_found": "Of these found", "completeness": "n_found / n",
        "completeness_err": "Binomial error (Wilson)", "bias": "Median of flux / flux put in - 1",
        "bias_err": "Its standard error", "scatter": "1.4826 median absolute deviation of flux / flux put in",
        "error": "Median of flux_err / flux put in", "pull_mean": "Mean of (flux - put in) / flux_err",
        "pull_std": "Standard deviation of that, clipped at 5",
        "false": "Detections in the residual turned upside down",
    }  # fmt: skip
    for name, meaning in meanings.items():
        table[name].info.description = meaning
    return table


def _quality(stars: "Table") -> tuple[float, ...]:
    if len(stars) < 3:
        return (float("nan"),) * 6
    truth = np.asarray(stars["flux_in"].value)
    flux, err = np.asarray(stars["flux"].value), np.asarray(stars["flux_err"].value)
    ratio, pull = flux / truth - 1, (flux - truth) / err
    bias = float(np.median(ratio))
    scatter = mad_sigma(ratio, bias)
    core = pull[np.abs(pull) < 5]
    return (
        bias, 1.2533 * scatter / np.sqrt(len(stars)), scatter, float(np.median(err / truth)),
        float(core.mean()) if core.size else np.nan, float(core.std()) if core.size else np.nan,
    )  # fmt: skip


def limit_of(bins: "Table", share: float) -> float:
    """Return the instrumental magnitude to which at least `share` of the stars are found; NaN unknown."""
    known = np.asarray(bins["n"]) > 0
    mag, complete = np.asarray(bins["mag_inst"])[known], np.asarray(bins["completeness"])[known]
    below = np.flatnonzero(complete < share)
    if not below.size or below[0] == 0:
        return float("nan")
    k = int(below[0])
    high, low = complete[k - 1], complete[k]
    return float(mag[k - 1] + (high - share) / (high - low) * (mag[k] - mag[k - 1]))
