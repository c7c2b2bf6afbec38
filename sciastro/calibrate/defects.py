"""Find hot, dead and badly lit pixels: from the master dark, the master flat, or, without any, one light.

Every rule compares a pixel with its neighbors (of the same color on a mosaic), so that amplifier glow,
vignetting and the colors of a mosaic do not count as defects. On a Bayer sensor those of its phase, 5 x 5
at twice the distance; the phases of an X-Trans sensor lie too far apart for that (6 pixels, farther than a
star is wide): there the 8 nearest pixels of the same color, and darks as if they were monochrome.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from sciastro.core.cfa import cell_side, color_plane, neighbors, phase_slices
from sciastro.core.options import Options, option
from sciastro.core.quality import Quality
from sciastro.core.robust import mad_sigma
from sciastro.kernels.localmedian import count_below, local_median
from sciastro.kernels.networks import merge_network

__all__ = ["DefectOptions", "defects_from_dark", "defects_from_flat", "defects_from_light", "merge_defects"]

Floats = npt.NDArray[np.floating]
Bits = npt.NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True, slots=True)
class DefectOptions(Options):
    """What counts as a defective pixel."""

    hot_sigma: float = option(
        10.0, "A pixel is hot this far above its neighbors in the dark.", unit="sigma", low=3.0, high=1000.0
    )
    dead_fraction: float = option(
        0.5, "A pixel is dead below this fraction of its neighbors in the flat.", low=0.0, high=0.99
    )
    low_flat: float = option(0.1, "Flat at or below which nothing can be divided by.", low=0.0, high=0.9)
    light_sigma: float = option(
        8.0,
        "Threshold of the rule for a single light, in mean absolute deviations (8 of a Gaussian: 6.4 sigma).",
        low=1.0,
        high=1000.0,
    )


DEFAULTS = DefectOptions()


def _filled(plane: Floats) -> npt.NDArray[np.float32]:
    single = np.asarray(plane, dtype=np.float32)
    good = np.isfinite(single)
    if good.all():
        return single
    return np.where(good, single, np.float32(np.median(single[good]) if good.any() else 0.0))


def _bit(where: npt.NDArray[np.bool_], bits: Quality) -> Bits:
    return np.where(where, np.uint16(bits), np.uint16(0))


def _mark(out: Bits, where: npt.NDArray[np.bool_], bits: Quality) -> None:
    """Set `bits` where few pixels want them: without a plane of bits, which takes longer than to look."""
    if where.any():
        out[where] |= np.uint16(bits)


def _median(plane: npt.NDArray[np.float32], *, with_center: bool = True) -> npt.NDArray[np.float32]:
    out = np.empty(plane.shape, np.float32)
    local_median(plane, merge_network(25 if with_center else 24), with_center, out)
    return out


def _some_heights(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return pixels minus their local median, of about 500,000 pixels in evenly spread bands of rows."""
    rows = 8
    bands = max(1, min(round(500_000 / (rows * plane.shape[1])), plane.shape[0] // (rows + 4)))
    if plane.shape[0] <= bands * (rows + 4):
        return (plane - _median(plane)).ravel()
    starts = np.linspace(2, plane.shape[0] - rows - 2, bands).astype(int)
    parts = [plane[start - 2 : start + rows + 2] for start in starts]
    return np.concatenate([(part - _median(part))[2:-2].ravel() for part in parts])


def _median_is_below(plane: npt.NDArray[np.float32], factor: float, shift: float) -> npt.NDArray[np.bool_]:
    """Return where the median of the 5 x 5 pixels about a pixel is at most ``factor * pixel + shift``."""
    count = np.empty(plane.shape, np.uint8)
    count_below(plane, np.float32(factor), np.float32(shift), count)
    return np.asarray(count >= 13)


def defects_from_dark(
    dark: Floats, *, cfa: str = "", noise: float = 0.0, options: DefectOptions = DEFAULTS
) -> Bits:
    """Return HOT where a master dark (or bias) stands out of its neighbors.

    hot: ``D - local median`` (5 x 5) above ``hot_sigma`` times its 1.4826 MAD and above `noise`, each
    phase of a mosaic on its own; not finite: DO_NOT_USE.

    Parameters
    ----------
    dark
        Master (y, x) [adu].
    cfa
        Pattern; empty for mono.
    noise
        Noise of one light's pixel in the dark [adu] (read noise): a pixel that stands out of the master by
        less than this is warm, not hot, and dark subtraction copes with it.
    options
        Threshold.
    """
    out = np.zeros(dark.shape, np.uint16)
    _mark(out, ~np.isfinite(dark), Quality.DO_NOT_USE)
    for part in phase_slices(cfa if cell_side(cfa) < 3 else ""):
        plane = _filled(dark[part])
        some = _some_heights(plane)
        sigma = mad_sigma(some)
        limit = max(options.hot_sigma * max(sigma, 1e-6), noise)
        _mark(out[part], _median_is_below(plane, 1.0, np.nextafter(-limit, -np.inf)), Quality.HOT)
    return out


def defects_from_flat(flat: Floats, *, cfa: str = "", options: DefectOptions = DEFAULTS) -> Bits:
    """Return DEAD and LOW_FLAT pixels of a master flat of level 1.

    dead: below ``dead_fraction`` of the local median (5 x 5, each phase of a mosaic on its own); low: at or
    below ``low_flat``; not finite: LOW_FLAT and DO_NOT_USE.

    Parameters
    ----------
    flat
        Master (y, x) [1].
    cfa
        Pattern; empty for mono.
    options
        Thresholds.
    """
    good = np.isfinite(flat)
    out = np.zeros(flat.shape, np.uint16)
    _mark(out, ~good, Quality.LOW_FLAT | Quality.DO_NOT_USE)
    with np.errstate(invalid="ignore"):
        _mark(out, flat <= options.low_flat, Quality.LOW_FLAT)
    if cell_side(cfa) == 3:
        local = _same_color(_filled(flat), cfa)[1]
        return np.asarray(out | _bit((flat < options.dead_fraction * local) & good, Quality.DEAD))
    for part in phase_slices(cfa):
        plane = _filled(flat[part])
        if options.dead_fraction > 0:
            dead = ~_median_is_below(plane, 1 / options.dead_fraction, 0.0) & good[part]
        else:
            dead = (plane < 0) & good[part]
        _mark(out[part], dead, Quality.DEAD)
    return out


def _same_color(plane: npt.NDArray[np.float32], cfa: str) -> npt.NDArray[np.float32]:
    """Return the least, the median and the greatest of the nearest pixels of the same color, (3, y, x)."""
    table = neighbors(cfa)
    reach, side = int(np.abs(table).max()), len(table)
    wide = np.pad(plane, reach, mode="reflect")
    out = np.empty((3, *plane.shape), np.float32)
    for y, x in np.ndindex(side, side):
        height, width = plane[y::side, x::side].shape
        around = np.stack(
            [
                wide[y + reach + dy :: side, x + reach + dx :: side][:height, :width]
                for dy, dx in table[y, x].tolist()
            ]
        )
        around.sort(axis=0)
        out[0, y::side, x::side], out[2, y::side, x::side] = around[0], around[-1]
        out[1, y::side, x::side] = (around[3] + around[4]) / 2
    return out


def defects_from_light(light: Floats, *, cfa: str = "", options: DefectOptions = DEFAULTS) -> Bits:
    """Return HOT and DEAD pixels of a single light, when there are no darks; stars are protected.

    The rule that PixInsight and Siril share, with m the median and a the mean absolute deviation of the
    plane, m5 the median of the 24 neighbors, a3 the mean of the 8 neighbors: hot if ``x > m + a``,
    ``x > m5 + k a`` and ``a3 < m5 + a / 2`` (the neighbors of a star are bright too); dead if
    ``x < m - k a`` and ``x + k a < m5``. Unlike
    there, m and a are taken per phase of a mosaic, and of the plane without its brightest hundredth. On
    an X-Trans sensor the mosaic is freed of the m of each color first, m5 and a3 are of the neighbors of any
    color, and the pixel must stand out of all its nearest neighbors of the same color too (red nebulae). A
    pixel that is hot in one light only may be a cosmic ray: AND the maps of several.

    Parameters
    ----------
    light
        Raw or calibrated frame (y, x).
    cfa
        Pattern; empty for mono.
    options
        Threshold.
    """
    from scipy.ndimage import uniform_filter

    if cell_side(cfa) == 3:
        return _defects_from_xtrans(_filled(light), cfa, max(1.0, options.light_sigma))
    out = np.zeros(light.shape, np.uint16)
    for part in phase_slices(cfa):
        x = _filled(light[part])
        some = x.ravel()[:: max(1, x.size // 500_000) | 1]
        core = some[some <= np.quantile(some, 0.99)]
        m = float(np.median(core))
        a = max(float(np.mean(np.abs(core - m))), 1e-6)
        k = max(1.0, options.light_sigma)
        bright = x > m + a
        m5 = _median(x, with_center=False)
        a3 = (9 * uniform_filter(x.astype(np.float64), 3, mode="mirror") - x) / 8
        hot = bright & (x > m5 + k * a) & (a3 < m5 + a / 2)
        dead = (x < m - k * a) & (x + k * a < m5)
        out[part] = _bit(hot, Quality.HOT) | _bit(dead, Quality.DEAD)
    return out


def _defects_from_xtrans(light: npt.NDArray[np.float32], cfa: str, k: float) -> Bits:
    from scipy.ndimage import uniform_filter

    color = color_plane(cfa, (light.shape[0], light.shape[1]))
    level, spread = np.empty(3, np.float32), np.empty(3, np.float32)
    for c in range(3):
        some = light[color == c]
        some = some[:: max(1, some.size // 500_000) | 1]
        core = some[some <= np.quantile(some, 0.99)]
        level[c] = np.median(core)
        spread[c] = max(float(np.mean(np.abs(core - level[c]))), 1e-6)
    a, x = spread[color], light - level[color]
    least, _, greatest = _same_color(light, cfa) - level[color]
    m5 = _median(x, with_center=False)
    a3 = (9 * uniform_filter(x.astype(np.float64), 3, mode="mirror") - x) / 8
    hot = (x > a) & (x > m5 + k * a) & (a3 < m5 + a / 2) & (x > greatest + k / 2 * a)
    dead = (x < -k * a) & (x + k * a < m5) & (x + k / 2 * a < least)
    return np.asarray(_bit(hot, Quality.HOT) | _bit(dead, Quality.DEAD))


def merge_defects(*maps: Bits | None) -> Bits | None:
    """Return the OR of the maps that are there; None if there is none."""
    given = [one for one in maps if one is not None]
    if not given:
        return None
    return reduce(np.bitwise_or, given)
