"""One image with all that measuring needs: pixels, variance, quality, and where sources are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.correlation import large_factor, plane_correlation
from sciastro.core.quality import Quality, unusable
from sciastro.errors import DatasetError
from sciastro.kernels.aperture import annulus_sky, aperture_sums, profile_sums, stamp_discs

__all__ = [
    "ApertureSums",
    "Plane",
    "Profile",
    "SkyLevels",
    "check_planes",
    "clip_bias",
    "make_plane",
    "source_radii",
]

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float32]

_MOFFAT_BETA = 2.5  # wings of long exposures; sets only how far the light of bright stars is avoided


def check_planes(
    image: npt.NDArray[Any], variance: npt.NDArray[Any], quality: npt.NDArray[Any], fwhm: float | None = None
) -> None:
    """Raise unless three planes (y, x) have one shape, and stars a width [pixel] where one is given.

    Raises
    ------
    DatasetError
        If not.
    """
    if image.ndim != 2 or variance.shape != image.shape or quality.shape != image.shape:
        raise DatasetError(
            f"has shape {image.shape}, its variance {variance.shape} and its quality {quality.shape}.",
            where="image",
            remedy="Give three planes (y, x) of one shape.",
        )
    if fwhm is not None and not (np.isfinite(fwhm) and fwhm > 0):
        raise DatasetError(
            f"is {fwhm}.", where="fwhm", remedy="Give the width of stars in pixels; detect stars first."
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """Weights of an optimal extraction: a Moffat profile, or a Gaussian where `beta` is 0.

    Attributes
    ----------
    fwhm
        Full width at half maximum [pixel].
    beta
        Exponent of the Moffat profile, above 1; 0 is a Gaussian.
    """

    fwhm: float
    beta: float = 0.0

    @property
    def alpha2(self) -> float:
        """Square of the width that `kernels.aperture.profile_sums` takes [pixel2]."""
        if self.beta > 0:
            return self.fwhm**2 / (4 * (2 ** (1 / self.beta) - 1))
        return self.fwhm**2 / (8 * float(np.log(2)))

    def at(self, radius: Floats) -> Floats:
        """Return its height at `radius` [pixel] from the center, for light of 1 in all [1 / pixel2]."""
        r2 = np.square(radius) / self.alpha2
        if self.beta > 0:
            return np.asarray((self.beta - 1) / (np.pi * self.alpha2) * (1 + r2) ** -self.beta)
        return np.asarray(np.exp(-0.5 * r2) / (2 * np.pi * self.alpha2))


@dataclass(frozen=True, kw_only=True, slots=True)
class Plane:
    """Pixels of one band, C-contiguous.

    Attributes
    ----------
    image, variance
        float32 (y, x), electron / s and its square; finite where `missing` is False.
    quality, missing, avoid
        uint16 bits; bool, nothing usable; bool, not sky (missing, saturated or under a source).
    autocorrelation
        Correlation of the noise of two pixels by their offset in y and x (2 K + 1, 2 K + 1).
    correlation
        Noise of large areas over that of uncorrelated pixels.
    """

    image: Pixels
    variance: Pixels
    quality: npt.NDArray[np.uint16]
    missing: npt.NDArray[np.bool_]
    avoid: npt.NDArray[np.bool_]
    autocorrelation: Floats
    correlation: float

    def sums(self, x: Floats, y: Floats, radius: float) -> "ApertureSums":
        """Return the sums in circles of `radius` [pixel] about each position."""
        results = aperture_sums(
            self.image, self.variance, self.missing, self.quality, x, y, float(radius), self.autocorrelation
        )
        return ApertureSums(*results)

    def weighted(self, x: Floats, y: Floats, radius: float, profile: "Profile | None") -> "ApertureSums":
        """Return sums weighted by `profile` within `radius` [pixel], for all its light; None: as `sums`."""
        if profile is None:
            return self.sums(x, y, radius)
        *results, share = profile_sums(
            self.image, self.variance, self.missing, self.quality, x, y, float(radius), self.autocorrelation,
            profile.alpha2, profile.beta,
        )  # fmt: skip
        total, variance, area, moved, lost, bits = results
        with np.errstate(divide="ignore", invalid="ignore"):  # no weight: everything is lost
            return ApertureSums(total / share, variance / share**2, area / share, moved, lost, bits)

    def sky(self, x: Floats, y: Floats, inner: float, outer: float, kappa: float, fewest: int) -> "SkyLevels":
        """Return the sky in annuli; where fewer than `fewest` free pixels are left, sources are let in."""
        widen = clip_bias(kappa)
        level, sigma, count = annulus_sky(self.image, self.avoid, x, y, inner, outer, kappa, widen, 20)
        poor = count < fewest
        if poor.any():
            results = annulus_sky(self.image, self.missing, x[poor], y[poor], inner, outer, kappa, widen, 20)
            level[poor], sigma[poor], count[poor] = results
        err = self.correlation * sigma / np.sqrt(np.maximum(count, 1))  # a mean over a large area
        return SkyLevels(level, err, sigma, count, poor)


@dataclass(frozen=True, slots=True)
class ApertureSums:
    """Per source, float64: sum, its variance, area [pixel], mirrored and lost area, quality bits."""

    total: Floats
    variance: Floats
    area: Floats
    moved: Floats
    lost: Floats
    bits: npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class SkyLevels:
    """Per source: level and its error per pixel, scatter of one pixel, pixels used, fell back."""

    level: Floats
    err: Floats
    sigma: Floats
    count: npt.NDArray[np.int64]
    poor: npt.NDArray[np.bool_]

    def at(self, rows: npt.NDArray[np.intp]) -> "SkyLevels":
        """Return those of the sources `rows`."""
        return SkyLevels(
            self.level[rows], self.err[rows], self.sigma[rows], self.count[rows], self.poor[rows]
        )


def clip_bias(kappa: float) -> float:
    """Return sigma over the standard deviation of a Gaussian cut at `kappa` sigma."""
    from scipy.special import ndtr

    density = np.exp(-(kappa**2) / 2) / np.sqrt(2 * np.pi)
    return float(1 / np.sqrt(1 - 2 * kappa * density / (2 * ndtr(kappa) - 1)))


def source_radii(peak: Floats, noise: float, fwhm: float, *, largest: float = 6.0) -> Floats:
    """Return how far each source's light reaches above half the pixel noise [pixel].

    Parameters
    ----------
    peak
        Height above the sky; NaN (saturated away) counts as very bright.
    noise
        Standard deviation of a sky pixel, in the unit of `peak`.
    fwhm
        Of a star [pixel].
    largest
        Upper limit [fwhm]; the lower one is 1.5.
    """
    core = fwhm / (2 * np.sqrt(2 ** (1 / _MOFFAT_BETA) - 1))
    height = np.where(np.isfinite(peak), np.maximum(peak / (0.5 * noise), 1.0), np.inf)
    reach = core * np.sqrt(height ** (1 / _MOFFAT_BETA) - 1)
    return np.asarray(np.clip(reach, 1.5 * fwhm, largest * fwhm), dtype=np.float64)


def make_plane(
    image: npt.NDArray[Any],
    variance: npt.NDArray[Any],
    quality: npt.NDArray[Any],
    x: Floats,
    y: Floats,
    *,
    fwhm: float,
    noise_correlation: float,
    autocorrelation: Floats | None = None,
) -> Plane:
    """Return the plane of an image with the sources at `x`, `y` [pixel] marked as not sky.

    Where `autocorrelation` is None or NaN, a model of it is made from `noise_correlation`.

    Parameters
    ----------
    image, variance
        (y, x), in any unit and its square; NaN is missing.
    quality
        uint16 (y, x), bits of `Quality`.
    x, y
        (source,) [pixel]; NaN marks nothing.
    fwhm
        Width of stars [pixel].
    noise_correlation
        Noise of large areas over that of uncorrelated pixels.
    """
    image = np.ascontiguousarray(image, dtype=np.float32)
    variance = np.ascontiguousarray(variance, dtype=np.float32)
    quality = np.ascontiguousarray(quality, dtype=np.uint16)
    missing = ~np.isfinite(image) | ~np.isfinite(variance) | (variance < 0) | unusable(quality)
    avoid = missing | ((quality & int(Quality.SATURATED)) != 0)
    if not missing.all():
        step = max(1, image.size // 1_000_000)
        some = ~missing.ravel()[::step]
        level = float(np.median(image.ravel()[::step][some])) if some.any() else float("nan")
        noise = float(np.sqrt(np.median(variance.ravel()[::step][some]))) if some.any() else float("nan")
        column = np.clip(np.rint(np.nan_to_num(x)), 0, image.shape[1] - 1).astype(np.intp)
        row = np.clip(np.rint(np.nan_to_num(y)), 0, image.shape[0] - 1).astype(np.intp)
        peak = np.where(avoid[row, column], np.nan, image[row, column] - level).astype(np.float64)
        stamp_discs(avoid, x, y, source_radii(peak, noise if noise > 0 else 1e-30, fwhm))
    correlation = float(noise_correlation)
    if autocorrelation is None or not np.isfinite(autocorrelation).all():
        autocorrelation = plane_correlation(correlation)
    else:
        correlation = large_factor(autocorrelation)
    return Plane(
        image=image,
        variance=variance,
        quality=quality,
        missing=missing,
        avoid=avoid,
        autocorrelation=np.ascontiguousarray(autocorrelation, dtype=np.float64),
        correlation=correlation if np.isfinite(correlation) and correlation > 0 else 1.0,
    )
