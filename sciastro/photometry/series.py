"""One frame of a time series: the light of many stars in many apertures at given places.

Reads a calibrated frame [electron] with its noise, and the places of stars in it. Writes flux, variance and
flags by aperture and star. Method: exact circles and clipped annuli (`plane`); nothing is corrected to all
the light of a star, since a light curve compares stars of one frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.core.quality import Quality
from sciastro.errors import OptionError
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.growth import contamination
from sciastro.photometry.plane import make_plane

__all__ = [
    "MANY_SIGMA",
    "SeriesOptions",
    "StarsOfFrame",
    "measure_frame",
    "noise_of_light",
    "shift_of",
    "tried_radii",
]

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float32]

MANY_SIGMA = 3.5  # of the clipping of sky pixels
FEWEST = 30  # sky pixels
RADIUS = (0.1, 30.0)  # fwhm, of apertures


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesOptions(Options):
    """Which apertures are tried, and where the sky is taken."""

    radii: str = option(
        "0.8,1.0,1.2,1.5,1.8,2.2,2.7,3.3", "Aperture radii that are tried, with commas.", unit="fwhm"
    )
    sky_inner: float = option(5.0, "Inner radius of the sky annulus.", unit="fwhm", low=1.0, high=30.0)
    sky_outer: float = option(9.0, "Outer radius of the sky annulus.", unit="fwhm", low=1.5, high=60.0)
    crowded_share: float = option(
        0.05, "Flux of neighbors over the star's own that counts as crowded.", low=0.0, high=10.0
    )


def tried_radii(text: str) -> list[float]:
    """Return the aperture radii [fwhm] of a text with commas.

    Raises
    ------
    OptionError
        If one is no number, or out of range, or there is none.
    """
    low, high = RADIUS
    try:
        radii = [float(part) for part in text.split(",")]
    except ValueError:
        radii = []
    if not radii or not all(low <= one <= high for one in radii):
        raise OptionError(
            f"is {text!r}.", where="--radii",
            remedy=f"Give radii in FWHM from {low:g} to {high:g} with commas, such as 1,1.5,2.",
        )  # fmt: skip
    return radii


@dataclass(frozen=True, slots=True)
class StarsOfFrame:
    """Stars of one frame; NaN where a star has no flux (out of the frame, missing pixels).

    Attributes
    ----------
    flux, variance
        (aperture, star) [electron], [electron2]: noise of pixels and of the sky level.
    flags
        (aperture, star) bits of `SourceFlag` and `Quality`.
    sky, sky_err
        (star) [electron / pixel].
    area
        (aperture, star) [pixel].
    """

    flux: Floats
    variance: Floats
    flags: npt.NDArray[np.uint32]
    sky: Floats
    sky_err: Floats
    area: Floats


def noise_of_light(signal: Pixels, level: Pixels, noise: Pixels | float) -> Pixels:
    """Return the variance of pixels: that of the sky, and the shot noise of the light above it [electron2].

    Parameters
    ----------
    signal, level
        Pixels and sky [electron].
    noise
        Standard deviation of a sky pixel [electron].
    """
    square = np.square(np.asarray(noise, np.float32))
    # Light below the sky counts too: cutting it off would make every sky pixel 0.4 sigma too bright.
    return np.asarray(np.maximum(square + (signal - level), np.float32(0.1) * square), np.float32)


def shift_of(x: Floats, y: Floats, seen_x: Floats, seen_y: Floats, reach: float) -> tuple[float, float, int]:
    """Return how far stars were seen from where they should be [pixel], and by how many stars.

    The median over stars with one counterpart within `reach`; none: (0, 0, 0).

    Parameters
    ----------
    x, y
        (star,) where stars should be [pixel]; NaN is passed over.
    seen_x, seen_y
        (source,) what was seen [pixel].
    reach
        [pixel]
    """
    from scipy.spatial import cKDTree

    good = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not good.size or not seen_x.size:
        return 0.0, 0.0, 0
    tree = cKDTree(np.column_stack([seen_x, seen_y]))
    distance, number = tree.query(np.column_stack([x[good], y[good]]), distance_upper_bound=reach)
    found = np.isfinite(distance)
    if found.sum() < 3:
        return 0.0, 0.0, 0
    dx = seen_x[number[found]] - x[good][found]
    dy = seen_y[number[found]] - y[good][found]
    return float(np.median(dx)), float(np.median(dy)), int(found.sum())


def measure_frame(
    signal: Pixels,
    variance: Pixels,
    quality: npt.NDArray[np.uint16],
    x: Floats,
    y: Floats,
    *,
    radii: Sequence[float],
    fwhm: float,
    options: SeriesOptions,
) -> StarsOfFrame:
    """Measure stars of one frame in several apertures.

    Parameters
    ----------
    signal, variance, quality
        (y, x) [electron], [electron2], bits; NaN is missing.
    x, y
        (star) [pixel]; NaN has no place in the frame.
    radii
        Aperture radii [pixel].
    fwhm
        Of stars [pixel], for the annulus and for which neighbors count.
    """
    plane = make_plane(signal, variance, quality, x, y, fwhm=fwhm, noise_correlation=1.0)
    sky = plane.sky(x, y, options.sky_inner * fwhm, options.sky_outer * fwhm, MANY_SIGMA, FEWEST)
    shape = (len(radii), x.size)
    flux, noise, area = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    flags = np.zeros(shape, np.uint32)
    for k, radius in enumerate(radii):
        sums = plane.sums(x, y, float(radius))
        usable = (sums.lost == 0) & np.isfinite(sky.level)
        flux[k] = np.where(usable, sums.total - sums.area * sky.level, np.nan)
        noise[k] = np.where(usable, sums.variance + (sums.area * sky.err) ** 2, np.nan)
        area[k] = sums.area
        bits = sums.bits.astype(np.uint32)
        bits[~usable] |= np.uint32(SourceFlag.CUT)
        bits[sums.moved > 0] |= np.uint32(SourceFlag.MIRRORED)
        bits[sky.poor] |= np.uint32(SourceFlag.POOR_SKY)
        near = contamination(x, y, flux[k], float(radius), fwhm)
        bits[near > options.crowded_share] |= np.uint32(SourceFlag.CROWDED)
        flags[k] = bits
    flags[:, ~(np.isfinite(x) & np.isfinite(y))] |= np.uint32(SourceFlag.CUT)
    outside = ~((x >= 0) & (x <= signal.shape[1] - 1) & (y >= 0) & (y <= signal.shape[0] - 1))
    flags[:, outside] |= np.uint32(int(Quality.NO_DATA))
    return StarsOfFrame(flux, noise, flags, sky.level, sky.err, area)
