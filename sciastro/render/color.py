"""Color of a linear picture: sky statistics, white balance, quiet chroma, green removal, gamut.

Plain arrays (y, x, channel), linear and sky-subtracted unless said otherwise; no NaN.
"""

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import MAD_TO_SIGMA, mad_sigma

__all__ = [
    "fit_gamut",
    "mean_light",
    "pixel_noise",
    "quiet_noise",
    "remove_green",
    "saturate",
    "sky_level",
    "star_white",
    "strongest",
]

Plane = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


def sky_level(
    plane: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_] | None = None
) -> tuple[float, float]:
    """Return level and noise (1 sigma) of the sky: the median after clipping the bright side at 2.5 sigma.

    Sigma comes from the dark half alone, which holds no stars. NaN and pixels outside `mask` are left out;
    both results are NaN where nothing remains.
    """
    values = plane[np.isfinite(plane)] if mask is None else plane[mask & np.isfinite(plane)]
    if values.size == 0:
        return float("nan"), float("nan")
    values = values[:: max(1, values.size // 400_000)].astype(np.float64)
    for _ in range(10):
        median = float(np.median(values))
        sigma = MAD_TO_SIGMA * float(np.median(median - values[values <= median]))
        kept = values[values <= median + 2.5 * sigma]
        if kept.size == values.size or kept.size < 16:
            break
        values = kept
    return median, sigma


def mean_light(cube: Plane) -> Plane:
    """Return the mean of the channels (y, x); `ndarray.mean` over a short last axis is ten times slower."""
    total = cube[:, :, 0].copy()
    for k in range(1, cube.shape[2]):
        total += cube[:, :, k]
    return np.asarray(total * np.float32(1 / cube.shape[2]))


def strongest(cube: Plane) -> Plane:
    """Return the largest of the channels (y, x)."""
    top = cube[:, :, 0]
    for k in range(1, cube.shape[2]):
        top = np.maximum(top, cube[:, :, k])
    return top


def pixel_noise(plane: Plane) -> float:
    """Return the noise of a pixel (1 sigma) from second differences along rows, blind to smooth structure.

    Second differences ``a - 2 b + c`` of white noise have a variance of 6; resampled images, whose noise is
    correlated, give less.
    """
    rows = plane[:: max(1, plane.shape[0] // 1000)]
    if rows.shape[1] < 3:
        return sky_level(plane)[1]
    second = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return mad_sigma(second) / float(np.sqrt(6))


def star_white(cube: Plane, noise: npt.ArrayLike) -> Floats:
    """Return the factor per channel that makes the typical bright thing in the picture white.

    Used only where no color calibration exists: the median ratio of the channels over pixels at 10 sigma or
    more in every channel, the brightest 2 % of those (saturated cores) left out; the green channel (or the
    middle one) keeps its factor 1. Ones where fewer than 50 such pixels exist.

    Parameters
    ----------
    cube
        float32 (y, x, channel), less its sky.
    noise
        (channel,), sigma of a pixel.
    """
    sigma = np.asarray(noise, dtype=np.float64)
    bright = np.logical_and.reduce([cube[:, :, k] > 10 * sigma[k] for k in range(cube.shape[2])])
    if int(bright.sum()) < 50:
        return np.ones(cube.shape[2])
    values = cube[bright].astype(np.float64)
    total = values.sum(axis=1)
    values = values[total <= np.quantile(total, 0.98)]
    return np.array([float(np.median(values[:, 1] / values[:, k])) for k in range(values.shape[1])])


def quiet_noise(cube: Plane, *, color: float, light: float, radius: float) -> Plane:
    """Return `cube` with the noise of faint pixels smoothed, their color more than their brightness.

    Where the brightness stands less than about 5 sigma above the sky, the difference of each channel from
    the mean is replaced by its average over `radius` pixels *among such faint pixels only*, so that stars do
    not bleed into the sky, and shrunk toward gray where even the average is lost in noise. The brightness of
    the same pixels is averaged over 0.8 pixel.

    Parameters
    ----------
    cube
        (y, x, channel), linear, sky at 0.
    color, light
        0 leaves color or brightness as it is, 1 is the full effect.
    radius
        Standard deviation of the color average [pixel].
    """
    if color <= 0 and light <= 0:
        return cube
    from scipy import ndimage

    def blur(plane: Plane, sigma: float) -> Plane:
        return np.asarray(ndimage.gaussian_filter(plane, sigma, mode="nearest", truncate=3.0))

    mean = mean_light(cube)
    soft = blur(mean, 1.0)
    bright = _ramp(soft / _noise_of(soft), 3.0, 12.0)  # 1: keeps everything of its own
    faint = 1 - bright
    smooth = mean + np.float32(light) * faint * (blur(mean, 0.8) - mean)
    if cube.shape[2] == 1:
        return np.asarray(smooth[:, :, None], dtype=np.float32)
    share = np.maximum(blur(faint, radius), 1e-4)
    wide = blur(mean, radius)
    trust = 0.35 + 0.65 * _ramp(wide / _noise_of(wide), 2.0, 8.0)
    out = np.empty_like(cube)
    for k in range(cube.shape[2]):
        chroma = cube[:, :, k] - mean
        quiet = bright * chroma + faint * trust * blur(chroma * faint, radius) / share
        out[:, :, k] = smooth + (1 - color) * chroma + color * quiet
    return out


def _noise_of(plane: Plane) -> float:
    return max(sky_level(plane)[1], 1e-12)


def remove_green(cube: Plane, amount: float) -> Plane:
    """Return `cube` with green limited to the mean of red and blue (SCNR average neutral).

    ``G' = min(G, (R + B) / 2)``, mixed in by `amount`. Removes real green light too ([O III], airglow).
    """
    if amount <= 0 or cube.shape[2] != 3:
        return cube
    out = cube.copy()
    green = cube[:, :, 1]
    out[:, :, 1] = green + np.float32(amount) * (
        np.minimum(green, np.float32(0.5) * (cube[:, :, 0] + cube[:, :, 2])) - green
    )
    return out


def saturate(cube: Plane, factor: float) -> Plane:
    """Return a stretched picture (y, x, channel) `factor` times as far from gray, brightness kept."""
    if factor == 1 or cube.shape[2] == 1:
        return cube
    light = mean_light(cube)[:, :, None]
    return np.asarray(light + np.float32(factor) * (cube - light), dtype=np.float32)


def fit_gamut(cube: Plane) -> Plane:
    """Return a stretched picture inside 0..1: colors too strong for the screen move toward gray.

    Unlike clipping each channel this keeps hue and brightness, so that a bright star fades from its color to
    white without a rim.
    """
    if cube.shape[2] == 1:
        return np.clip(cube, 0, 1)
    light = np.clip(mean_light(cube), 0, 1)[:, :, None]
    chroma = cube - light
    high, low = strongest(chroma)[:, :, None], -strongest(-chroma)[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(high > 1e-9, (1 - light) / high, np.float32(1e9))
        floor = np.where(low < -1e-9, light / -low, np.float32(1e9))
    limit = np.minimum(room, floor)
    # soft knee: chroma c in units of the limit becomes c up to 0.7, then tends to 1
    scale = 1 / np.maximum(limit, np.float32(1e-6))
    knee = np.float32(0.7)
    bent = np.where(scale <= knee, scale, 1 - (1 - knee) ** 2 / (np.maximum(scale, knee) + 1 - 2 * knee))
    factor = np.minimum(np.float32(1), bent / np.maximum(scale, np.float32(1e-9)))
    return np.asarray(np.clip(light + chroma * factor, 0, 1), dtype=np.float32)


def _ramp(x: Plane, low: float, high: float) -> Plane:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)
