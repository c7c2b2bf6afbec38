"""Stars of one plane: where they are, how bright, how wide, how round.

Method: matched filter (a Gaussian of the frame's own width) over the sky-subtracted plane, local
maxima, then per star the Gaussian-windowed centroid and moments of SExtractor (Bertin & Arnouts
1996), with a window that widens from 1.2 to 1.6 sigma as the star outshines the sky, so that the
position errors stay near the photon limit at every brightness.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.neighbors import close_pairs
from sciastro.core.options import Options, option
from sciastro.core.quality import Quality
from sciastro.core.stars import STAR_DTYPE, StarArray, empty_stars
from sciastro.errors import DatasetError
from sciastro.kernels.detect import find_peaks
from sciastro.kernels.windowed import COLUMNS, measure_stars
from sciastro.measure.background import (
    Background,
    BackgroundOptions,
    background,
    quality_masks,
    quality_plane,
)
from sciastro.measure.phase import phase_error
from sciastro.measure.profile import FWHM_PER_SIGMA, half_width_factor
from sciastro.measure.saturated import merge_saturated
from sciastro.measure.trailing import Shape, common_shape

__all__ = ["DetectOptions", "PlaneMeasure", "measure_plane"]

Floats = npt.NDArray[np.float64]

FIRST_FWHM = 3.0  # kernel of the first look [pixel]
LOOK_ROWS = 0.18  # share of the rows of the first look
LOOK_STARS = 150  # stars that set the width of the frame
LADDER = (2.0, 3.0, 4.5, 6.5, 9.0, 13.0)  # widths tried where few stars tell theirs [pixel]
ENOUGH = 25  # stars below which the first look takes the whole frame
ROUNDS = 5  # of measuring again under another width
SAME = 0.004  # relative: of a width that is off by less, the flux in the aperture is off by under 0.1 %
CONVERGED = 0.06  # relative change of the width at which the first look ends
COARSE = 2.0  # pixel, FWHM: what coarse pixels do is tabulated (`measure.phase`) by widths of the first look
REMAIN = 0.8  # share of the stars that must be stars under another window
LONG, TRAILS, TRAILED = 0.9, 0.2, 0.1  # eccentricity; shares of long and of round ones that tell trails
COLUMN = {name: i for i, name in enumerate(COLUMNS)}


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectOptions(Options):
    """How stars are found and measured on one plane."""

    threshold: float = option(5.0, "Least significance of a star.", unit="sigma", low=2.0, high=1000.0)
    fwhm: float | None = option(None, "Width of stars; none measures it.", unit="pixel", low=1.0, high=50.0)
    max_stars: int = option(4000, "Brightest stars kept.", low=1, high=1_000_000)
    aperture: float = option(1.5, "Radius of the flux aperture over the FWHM.", low=0.5, high=10.0)
    sharpness: float = option(
        0.45,
        "Neighbors of the peak, over those of a centered star, below which it is a hot pixel.",
        low=0.0,
        high=1.0,
    )
    box: int = option(64, "Side of a background tile.", unit="pixel", low=8, high=1024)


DEFAULTS = DetectOptions()


@dataclass(frozen=True, slots=True)
class PlaneMeasure:
    """What one plane shows.

    Attributes
    ----------
    stars
        `STAR_DTYPE`, brightest first, saturated ones last.
    fwhm
        Median full width at half maximum [pixel], weighted by S/N squared up to 100; NaN without stars.
    eccentricity
        Median eccentricity, weighted alike; NaN without stars.
    sky, noise
        Median background and its 1-sigma noise per pixel [electron].
    n_stars
        Stars at `threshold` or above, saturated ones included.
    shape
        Common elongation and its direction (trailed frames).
    background
        The mesh that was subtracted.
    """

    stars: StarArray
    fwhm: float
    eccentricity: float
    sky: float
    noise: float
    n_stars: int
    shape: Shape
    background: Background


@dataclass(frozen=True, slots=True)
class _Plane:
    """One plane in the form the kernels take."""

    image: npt.NDArray[np.float32]
    quality: npt.NDArray[np.uint16]
    variance: npt.NDArray[np.float32]
    masks: npt.NDArray[np.uint16]
    level: npt.NDArray[np.float32]
    rms: npt.NDArray[np.float32]
    tables: tuple[
        npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.float32]
    ]


def measure_plane(
    image: npt.NDArray[np.floating],
    quality: npt.NDArray[np.integer] | None = None,
    *,
    gain_noise: npt.NDArray[np.floating] | None = None,
    options: DetectOptions = DEFAULTS,
    coarse: bool = True,
) -> PlaneMeasure:
    """Find and measure the stars of one plane.

    Parameters
    ----------
    image
        (y, x) [electron]; NaN is missing.
    quality
        Bits of `Quality` (y, x) or None. Forbidden pixels do not enter; SATURATED ones mark their star.
    gain_noise
        Variance (y, x) [electron2], or None for the noise of the background mesh plus the shot noise of
        the signal.
    options
        Thresholds and sizes.
    coarse
        Whether position errors hold what the coarse pixels of one frame add (`measure.phase`); for a stack,
        which averages over dithers, the caller adds it.

    Returns
    -------
    PlaneMeasure
        Star list and frame facts. Without any star: an empty list and NaN widths, never an error.

    Raises
    ------
    DatasetError
        If the plane has no usable pixel, or shapes differ.
    """
    pixels = np.ascontiguousarray(image, dtype=np.float32)
    if gain_noise is not None and gain_noise.shape != pixels.shape:
        raise DatasetError(
            f"has shape {gain_noise.shape}, and the image {pixels.shape}.",
            where="variance",
            remedy="Pass its own plane.",
        )
    sky = background(pixels, quality, BackgroundOptions(box=options.box))
    level, rms = sky.padded()
    power = (
        np.zeros((1, 1), np.float32)
        if gain_noise is None
        else np.ascontiguousarray(gain_noise, dtype=np.float32)
    )
    plane = _Plane(pixels, quality_plane(quality), power, quality_masks(), level, rms, sky.tables())
    fwhm = options.fwhm if options.fwhm is not None else _first_look(plane, options)
    peak_x, peak_y, _ = _peaks(
        plane, fwhm, options.threshold, 0, pixels.shape[0], limit=int(1.3 * options.max_stars) + 50
    )
    x, y, least = merge_saturated(plane.quality, peak_x, peak_y, fwhm)
    table, bits = _measured(plane, x, y, least, fwhm, options)
    stars = _as_stars(table, bits)
    believed = _believed(stars, table, plane, fwhm, options)
    stars["fwhm"] *= _wings(stars[believed], table[believed])
    stars = stars[believed]
    for name in ("x_err", "y_err") if coarse else ():
        stars[name] = np.hypot(stars[name], phase_error(_typical(stars)))
    stars = _ordered(_in_own_width(plane, stars, fwhm, options), fwhm)[: options.max_stars]
    clean, weight = _clean(stars, fwhm)
    return PlaneMeasure(
        stars=stars,
        fwhm=_weighted_median(clean["fwhm"], weight),
        eccentricity=_weighted_median(clean["eccentricity"], weight),
        sky=sky.level,
        noise=sky.rms,
        n_stars=int(stars.size),
        shape=common_shape(clean),
        background=sky,
    )


def _clean(stars: StarArray, fwhm: float) -> tuple[StarArray, npt.NDArray[np.floating]]:
    """Return the stars that tell the frame's width, and their weights."""
    clean = _alone(stars[(stars["quality"] & int(Quality.SATURATED)) == 0], fwhm)
    return clean, np.minimum(clean["snr"], 100.0) ** 2


def _in_own_width(plane: _Plane, stars: StarArray, fwhm: float, options: DetectOptions) -> StarArray:
    """Return the stars with flux and shape under windows of their own width, where the filter's was another.

    The first look knows the width to some percent, and where few stars tell theirs much less well. Widths are
    then biased by the window, and the flux in an aperture of 1.5 widths is off by another part in each frame,
    which the comparison of frames takes for clouds. A window under which fewer stars remain stars is not
    theirs (a cluster, a galaxy), and is not taken.
    """
    if options.fwhm is not None:
        return stars
    known = np.flatnonzero((stars["quality"] & int(Quality.SATURATED)) == 0)
    bright = known[np.argsort(-stars["snr"][known], kind="stable")][:LOOK_STARS]  # their widths decide
    seen, used = stars[bright], fwhm
    for _ in range(ROUNDS):
        clean, weight = _clean(seen, used)
        width = _weighted_median(clean["fwhm"], weight)
        if not abs(width / used - 1) > SAME:
            break
        again, good = _under(plane, stars[bright], float(np.clip(width, 1.0, 50.0)), options)
        if good.sum() < REMAIN * seen.size:
            break
        seen, used = again[good], float(np.clip(width, 1.0, 50.0))
    if used != fwhm:
        again, good = _under(plane, stars[known], used, options)
        fine = used >= COARSE or abs(used / fwhm - 1) > CONVERGED
        for name in ("flux", "flux_err", *(("fwhm", "eccentricity", "theta") if fine else ())):
            stars[name][known[good]] = again[name][good]
    return stars


def _under(
    plane: _Plane, stars: StarArray, fwhm: float, options: DetectOptions
) -> tuple[StarArray, npt.NDArray[np.bool_]]:
    """Return stars as measured under a window of `fwhm` [pixel], and which of them are stars there."""
    table, bits = _measured(plane, stars["x"], stars["y"], np.zeros(stars.size), fwhm, options)
    again = _as_stars(table, bits)
    good = _believed(again, table, plane, fwhm, options)
    again["fwhm"] *= _wings(again[good], table[good])
    return again, good


def _wings(stars: StarArray, table: Floats) -> float:
    """Return the factor from moments to half maximum, from stars bright enough to show their wings."""
    use = (stars["snr"] >= 30) & ((stars["quality"] & int(Quality.SATURATED)) == 0)
    if use.sum() < 5:
        return 1.0
    narrow = stars["fwhm"][use] / FWHM_PER_SIGMA
    return half_width_factor(float(np.median(table[use, COLUMN["wide"]] / narrow)))


def _alone(stars: StarArray, fwhm: float) -> StarArray:
    """Return the stars without another within 3.5 widths (it broadens moments); all if under 20 remain."""
    if stars.size < 2:
        return stars
    alone = np.ones(stars.size, bool)
    alone[np.concatenate(close_pairs(np.column_stack([stars["x"], stars["y"]]), 3.5 * fwhm))] = False
    return stars[alone] if alone.sum() >= 20 else stars


def _weighted_median(values: npt.NDArray[np.floating], weight: npt.NDArray[np.floating]) -> float:
    """Return the weighted median; NaN for none. A cut in S/N instead of weights would favor broad noise."""
    if not values.size:
        return float("nan")
    order = np.argsort(values)
    total = np.cumsum(weight[order], dtype=np.float64)
    return float(values[order[np.searchsorted(total, 0.5 * total[-1])]])


def _peaks(
    plane: _Plane, fwhm: float, threshold: float, first: int, last: int, limit: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the `limit` most significant peaks of some rows, best first."""
    sigma = fwhm / FWHM_PER_SIGMA
    offsets = np.arange(int(np.ceil(2.5 * sigma)) + 1)
    taps = np.exp(-0.5 * (offsets / sigma) ** 2)
    taps = (taps / (2 * taps.sum() - taps[0])).astype(np.float32)
    capacity = max(4 * limit, (last - first) * plane.image.shape[1] // 200, 1000)
    while True:
        x, y, s = np.empty(capacity, np.int32), np.empty(capacity, np.int32), np.empty(capacity, np.float32)
        found = find_peaks(
            plane.image, plane.quality, plane.masks, plane.level, plane.rms, *plane.tables, taps, threshold,
            first, last, x, y, s,
        )  # fmt: skip
        if found <= capacity:
            break
        capacity = found
    best = np.lexsort((x[:found], y[:found], -s[:found]))[:limit]
    return x[best], y[best], s[best]


def _first_look(plane: _Plane, options: DetectOptions) -> float:
    """Return the width of stars [pixel] from three bands of rows (all rows where those hold too few)."""
    rows = plane.image.shape[0]
    height = max(int(rows * LOOK_ROWS / 3), 96)
    starts = [0] if 3 * height >= rows else [int((rows - height) * f) for f in (0.2, 0.5, 0.8)]
    parts = [
        _peaks(plane, FIRST_FWHM, max(options.threshold, 6.0), a, min(a + height, rows), LOOK_STARS)
        for a in starts
    ]
    if sum(part[0].size for part in parts) < 2 * ENOUGH or len(starts) == 1:
        parts = [_peaks(plane, FIRST_FWHM, options.threshold, 0, rows, 2 * LOOK_STARS)]
    x, y, s = (np.concatenate([part[i] for part in parts]) for i in range(3))
    x, y = _isolated(x, y, s)
    fwhm = FIRST_FWHM
    for _ in range(5):
        table, bits = _measured(plane, x, y, np.zeros(x.size), fwhm, options)
        stars = _as_stars(table, bits)
        good = _believed(stars, table, plane, 1.6, options, loose=True) & (
            (bits & int(Quality.SATURATED)) == 0
        )
        if not good.any():
            return fwhm
        good = _but_trails(stars, good)
        before, fwhm = fwhm, float(np.clip(np.median(stars["fwhm"][good]), 1.2, 30.0))
        if abs(fwhm / before - 1) < CONVERGED:
            break
    return fwhm if good.sum() >= ENOUGH else _most_stars(plane, fwhm, options)


def _most_stars(plane: _Plane, fwhm: float, options: DetectOptions) -> float:
    """Return the width, up to the measured one, whose filter finds most peaks of good significance.

    With a handful of stars the measured width may be that of a cluster or a galaxy, which the widening
    window swallows whole; a filter that wide finds next to nothing. One too narrow finds them fainter.
    """
    rows, top = plane.image.shape[0], options.threshold + 7.0

    def merit(width: float) -> float:
        _, _, s = _peaks(plane, width, options.threshold, 0, rows, options.max_stars)
        return float(np.sum((np.minimum(s, top) - options.threshold + 0.5) ** 2))

    widths = [fwhm, *(width for width in LADDER if width < 0.8 * fwhm)]
    return max(widths, key=merit)


def _isolated(x: Floats, y: Floats, s: Floats, apart: float = 6.0) -> tuple[Floats, Floats]:
    """Return the best peaks that have no better one within `apart` pixels, at most `LOOK_STARS`."""
    order = np.argsort(-s, kind="stable")
    x, y = x[order].astype(float), y[order].astype(float)
    keep = np.ones(x.size, bool)
    keep[close_pairs(np.column_stack([x, y]), apart)[1]] = False
    return x[keep][:LOOK_STARS], y[keep][:LOOK_STARS]


def _measured(
    plane: _Plane,
    x: npt.NDArray[np.number],
    y: npt.NDArray[np.number],
    least: Floats,
    fwhm: float,
    options: DetectOptions,
) -> tuple[Floats, npt.NDArray[np.uint16]]:
    out, bits = np.empty((x.size, len(COLUMNS))), np.empty(x.size, np.uint16)
    measure_stars(
        plane.image, plane.quality, plane.masks, plane.variance, plane.level, plane.rms, *plane.tables,
        x.astype(np.float64), y.astype(np.float64), least.astype(np.float64),
        fwhm / FWHM_PER_SIGMA, options.aperture * fwhm, out, bits,
    )  # fmt: skip
    return out, bits


def _as_stars(table: Floats, bits: npt.NDArray[np.uint16]) -> StarArray:
    stars = np.empty(table.shape[0], STAR_DTYPE)
    for name in ("x", "y", "x_err", "y_err", "flux", "flux_err", "peak", "snr"):
        stars[name] = table[:, COLUMN[name]]
    xx, yy, xy = table[:, COLUMN["cxx"]], table[:, COLUMN["cyy"]], table[:, COLUMN["cxy"]]
    middle, half = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
    major, minor = middle + half, np.maximum(middle - half, 1e-6)
    stars["fwhm"] = FWHM_PER_SIGMA * (major * minor) ** 0.25
    stars["eccentricity"] = np.sqrt(np.clip(1 - minor / major, 0, 1))
    stars["theta"] = 0.5 * np.arctan2(2 * xy, xx - yy)
    stars["quality"] = bits
    return stars


def _believed(
    stars: StarArray,
    table: Floats,
    plane: _Plane,
    fwhm: float,
    options: DetectOptions,
    *,
    loose: bool = False,
) -> npt.NDArray[np.bool_]:
    """Return which entries are stars: converged, significant above their surroundings, not a hot pixel."""
    sigma = fwhm / FWHM_PER_SIGMA
    rms = float(np.median(plane.rms))
    with np.errstate(invalid="ignore", divide="ignore"):
        ok = (np.abs(table[:, COLUMN["good"]]) > 0.4) & np.isfinite(stars["fwhm"]) & (stars["peak"] > 0)
        ok &= (stars["snr"] >= options.threshold) & np.isfinite(stars["x_err"]) & (stars["flux"] > 0)
        allowed = options.sharpness * np.exp(-0.5 / sigma**2) - 0.5 * rms / stars["peak"]
        ok &= ~(table[:, COLUMN["sharpness"]] < allowed)
        inside = (stars["x"] > -0.5) & (stars["y"] > -0.5)
        ok &= inside & (stars["x"] < plane.image.shape[1] - 0.5) & (stars["y"] < plane.image.shape[0] - 0.5)
        if loose or ok.sum() < 5:
            return np.asarray(ok)
        saturated = (stars["quality"] & int(Quality.SATURATED)) != 0
        usual = _but_trails(stars, ok & ~saturated)
        typical = np.median(stars["fwhm"][usual]) if usual.any() else fwhm
        spurious = (stars["fwhm"] < 0.6 * typical) & (
            stars["snr"] > 10
        )  # cosmic rays are sharper than the optics
        spurious |= ((stars["fwhm"] > 3.0 * typical) & ~saturated) | (stars["fwhm"] < 0.3 * typical)
    return np.asarray(ok & ~spurious)


def _but_trails(stars: StarArray, good: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return `good` without the peaks along satellites, where those are many: their width is not the stars'.

    Where nearly all are long, the stars themselves trailed.
    """
    long = good & (stars["eccentricity"] > LONG)
    few = long.sum() < TRAILS * good.sum()
    trailed = (good & ~long).sum() < max(5, TRAILED * good.sum())
    return good if few or trailed else good & ~long


def _typical(stars: StarArray) -> float:
    """Return the median width of stars that are not saturated [pixel]; NaN without any."""
    sharp = stars["fwhm"][(stars["quality"] & int(Quality.SATURATED)) == 0]
    return float(np.median(sharp)) if sharp.size else float("nan")


def _ordered(stars: StarArray, fwhm: float) -> StarArray:
    """Return the stars without duplicates, brightest first, saturated ones last."""
    if not stars.size:
        return empty_stars()
    saturated = (stars["quality"] & int(Quality.SATURATED)) != 0
    stars = stars[np.lexsort((stars["x"], -stars["flux"], saturated))]
    keep = np.ones(stars.size, bool)
    keep[close_pairs(np.column_stack([stars["x"], stars["y"]]), 0.7 * fwhm)[1]] = False
    return stars[keep]
