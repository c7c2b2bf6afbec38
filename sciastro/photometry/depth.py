"""How faint an image reaches: the scatter of apertures on blank sky."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.correlation import aperture_factor
from sciastro.core.options import Options, option
from sciastro.core.robust import MAD_TO_SIGMA
from sciastro.photometry.aperture import ApertureOptions
from sciastro.photometry.plane import Plane, make_plane

__all__ = ["Depth", "DepthOptions", "depth"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthOptions(Options):
    """How the depth is measured."""

    apertures: int = option(600, "Blank apertures that are tried.", low=20, high=100000)
    least: int = option(30, "Fewer free ones than this fall back to the variance plane.", low=10)
    significance: float = option(5.0, "Significance of the limit.", unit="sigma", low=1.0, high=20.0)
    seed: int = option(1, "Seed of the random positions.", low=0)


_DEFAULTS = DepthOptions()
_APERTURES = ApertureOptions()


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """Limit for point sources.

    Attributes
    ----------
    mag
        Limiting magnitude; NaN without a zero point.
    flux
        Limiting flux, corrected to all the light [electron / s].
    sigma
        Noise of one aperture, sky included [electron / s].
    ratio
        `sigma` over what variance plane and noise correlation predict; NaN where too few are free.
    n_apertures
        Blank apertures used; 0 where `sigma` comes from the variance plane.
    """

    mag: float
    flux: float
    sigma: float
    ratio: float
    n_apertures: int


def depth(
    image: npt.NDArray[Any],
    variance: npt.NDArray[Any],
    quality: npt.NDArray[Any],
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    fwhm: float,
    aperture_radius: float,
    aperture_correction: float = 1.0,
    noise_correlation: float = 1.0,
    autocorrelation: npt.NDArray[np.float64] | None = None,
    zeropoint: float = float("nan"),
    apertures: ApertureOptions = _APERTURES,
    options: DepthOptions = _DEFAULTS,
) -> Depth:
    """Return the faintest point source of a stated significance.

    Parameters
    ----------
    image, variance, quality
        As for `aperture.measure_sources`.
    x, y
        Positions of all detected sources [pixel]; apertures keep clear of their light.
    fwhm, aperture_radius
        [pixel].
    aperture_correction
        All the light over that within the aperture.
    noise_correlation, autocorrelation
        As for `aperture.measure_sources`.
    zeropoint
        Magnitude of 1 electron / s.
    apertures
        With which sources are measured: the sky of blank apertures is taken in the same annulus.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    plane = make_plane(
        image, variance, quality, xs, ys, fwhm=fwhm, noise_correlation=noise_correlation,
        autocorrelation=autocorrelation,
    )  # fmt: skip
    rows, columns = plane.image.shape
    generator = np.random.default_rng(options.seed)
    at_x = generator.uniform(0, columns - 1, 4 * options.apertures)
    at_y = generator.uniform(0, rows - 1, 4 * options.apertures)
    # An aperture is free when its sum over the "not sky" mask is zero: the mask plays the image.
    blocked = type(plane)(
        image=plane.avoid.astype(np.float32),
        variance=np.zeros_like(plane.variance),
        quality=np.zeros_like(plane.quality),
        missing=np.zeros_like(plane.missing),
        avoid=plane.avoid,
        autocorrelation=np.ones((1, 1)),
        correlation=1.0,
    ).sums(at_x, at_y, aperture_radius)
    whole = (blocked.total == 0) & (blocked.lost == 0) & (blocked.moved == 0)
    if whole.sum() < options.least:  # holes everywhere: apertures that are filled up as those of sources are
        whole = _only_holes(plane, at_x, at_y, aperture_radius)
    free = np.flatnonzero(whole)[: options.apertures]
    sky = plane.sky(
        at_x[free], at_y[free], apertures.sky_inner * fwhm, apertures.sky_outer * fwhm,
        apertures.sky_kappa, apertures.min_sky_pixels,
    )  # fmt: skip
    sums = plane.sums(at_x[free], at_y[free], aperture_radius)
    flux = sums.total - sums.area * sky.level
    predicted = np.sqrt(sums.variance + (sums.area * sky.err) ** 2)
    good = np.isfinite(flux) & np.isfinite(predicted)
    n, ratio = int(good.sum()), float("nan")
    if n >= options.least:
        # Scale by the local prediction, so that uneven coverage does not look like heavy tails.
        ratio = float(MAD_TO_SIGMA * np.median(np.abs(flux[good] / predicted[good])))
        sigma = ratio * float(np.median(predicted[good]))
    else:
        tied = aperture_factor(plane.autocorrelation, aperture_radius)
        n, sigma = 0, _from_variance(plane.variance, plane.missing, aperture_radius, tied)
    limit = options.significance * sigma * aperture_correction
    mag = zeropoint - 2.5 * np.log10(limit) if limit > 0 else float("nan")
    return Depth(mag=float(mag), flux=float(limit), sigma=float(sigma), ratio=ratio, n_apertures=n)


def _only_holes(plane: Plane, x: Floats, y: Floats, radius: float) -> npt.NDArray[np.bool_]:
    """Return which apertures hold no light of sources, and no hole that its mirror image cannot fill."""
    light = (plane.avoid & ~plane.missing).astype(np.float32)
    sums = replace(plane, image=light, variance=np.zeros_like(plane.variance)).sums(x, y, radius)
    return np.asarray((sums.total == 0) & (sums.lost == 0))


def _from_variance(
    variance: npt.NDArray[np.float32], missing: npt.NDArray[np.bool_], radius: float, correlation: float
) -> float:
    if missing.all():
        return float("nan")
    # Sums add variances, so their mean counts where coverage is uneven; a rim of few frames counts as four.
    known = variance[~missing]
    middle = float(np.median(known))
    return float(correlation * radius * np.sqrt(np.pi * float(np.mean(np.minimum(known, 4 * middle)))))
