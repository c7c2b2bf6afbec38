"""Satellites, aircraft and meteors: straight trails across a frame, found on the frame alone.

Method: light in bins of 8 x 8 pixels with single pixels clipped (stars count little), bins above their
surroundings vote for lines (Hough transform), and a line is believed only if the median light *along* each
of its pieces, which no star can raise, stands out from its sides in one straight row.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.core.quality import UNUSABLE
from sciastro.core.robust import MAD_TO_SIGMA
from sciastro.kernels.trails import bin_residual, cross_profiles, hough, mark_trails
from sciastro.measure.background import Background, quality_plane

__all__ = ["TrailOptions", "find_trails", "no_trails"]

Floats = npt.NDArray[np.float64]

BIN = 8  # pixel
CLIP = 6.0  # sigma at which single pixels count
SURROUNDINGS = 9  # bins
LEAST_CONTRAST = 3.0  # of a lit bin
MOST_VOTERS = 12_000  # lit bins: of more every second (third, ...) votes, so that the time is bounded
CANDIDATES = 6  # lines per image that are looked at closely
REACH = 30  # pixels beside a line that are looked at
CORE = 11  # pixels beside a line where the trail may lie
PIECE = 48  # length of one piece [pixel], so that 12 to 40 make a line
FEWEST = 6  # pieces that must show a trail
BESIDE = (-12.0, 12.0, -22.0, 22.0)  # where companions of a trail are looked for [pixel]
ALONG_AXIS = np.deg2rad(0.1)  # within which a line is taken for one that the camera makes


@dataclass(frozen=True, kw_only=True, slots=True)
class TrailOptions(Options):
    """How satellite trails are found on single frames."""

    find: bool = option(True, "Look for trails and leave their pixels out of the stack.")
    votes: float = option(
        7.0, "Significance of a line among bins, before it is looked at.", unit="sigma", low=4.0
    )
    contrast: float = option(
        4.0, "Significance of the median light along a piece of a trail.", unit="sigma", low=3.0
    )
    length: float = option(
        0.3, "Least length, as a share of the shorter side of the frame.", low=0.05, high=1.0
    )
    most: int = option(4, "More trails than this are star trails, and none is masked.", low=1, high=50)


DEFAULTS = TrailOptions()


def no_trails() -> Floats:
    """Return the trails of a frame that has none."""
    return np.empty((0, 5))


def find_trails(
    image: npt.NDArray[np.floating],
    quality: npt.NDArray[np.integer] | None,
    sky: Background,
    options: TrailOptions = DEFAULTS,
) -> Floats:
    """Return the straight trails of a frame.

    Parameters
    ----------
    image
        (y, x), any linear unit; NaN is missing.
    quality
        Bits of `Quality` (y, x), or None. DO_NOT_USE and NO_DATA pixels do not count.
    sky
        Of this image (`measure.background`).
    options
        Thresholds.

    Returns
    -------
    ndarray
        float64 (trail, 5): both ends x0, y0, x1, y1 and half the width [pixel]. Lines within 0.1 degree
        of rows and columns are left to the camera that makes them.
    """
    if not options.find or min(image.shape) < 16 * BIN:
        return no_trails()
    pixels = np.ascontiguousarray(image, dtype=np.float32)
    lit = _lit_bins(pixels, quality, sky)
    found: list[Floats] = []
    for _ in range(options.most + 1):
        trail = _best_line(pixels, lit, sky.rms, options)
        if trail is None:
            return np.array(found).reshape(-1, 5)
        for one in (trail, *_companions(pixels, trail, sky.rms, options)):
            found.append(one)
            lit &= ~_near(lit.shape, one)
    return no_trails()


def _companions(
    image: npt.NDArray[np.float32], trail: Floats, rms: float, options: TrailOptions
) -> list[Floats]:
    """Return the trails close beside one, as the lights of an aircraft make them: bins are too coarse."""
    found: list[Floats] = []
    hidden, around = image.copy(), [trail]
    while around and len(found) < options.most:
        one = around.pop()
        plane = np.zeros(image.shape, np.uint16)
        mark_trails(plane, 0, 0, one[None], np.uint16(1))
        hidden[plane > 0] = np.nan
        along = (one[2:4] - one[:2]) / np.hypot(*(one[2:4] - one[:2]))
        normal = np.tile([-along[1], along[0]], 2)
        for away in BESIDE:
            near = _believed(hidden, one[:4] + away * normal, rms, options)
            if near is not None and all(_apart(near[:4], other[:4]) > 3 for other in (trail, *found)):
                found.append(near)
                around.append(near)
    return found


def _lit_bins(
    image: npt.NDArray[np.float32], quality: npt.NDArray[np.integer] | None, sky: Background
) -> npt.NDArray[np.bool_]:
    """Return which bins are brighter than their surroundings."""
    from scipy import ndimage

    bins = np.empty((image.shape[0] // BIN, image.shape[1] // BIN), np.float32)
    bin_residual(
        image, quality_plane(quality), np.uint16(UNUSABLE), sky.level_mesh, sky.rms_mesh, BIN, CLIP, bins
    )
    np.clip(bins, -3 * CLIP, 3 * CLIP, out=bins)
    contrast = bins - ndimage.uniform_filter(bins, SURROUNDINGS, mode="nearest")
    bright = contrast > LEAST_CONTRAST
    if np.count_nonzero(bright) < 0.2 * bright.size - 1:  # the percentile is lower then
        return np.asarray(bright)
    return np.asarray(contrast > max(LEAST_CONTRAST, float(np.percentile(contrast, 80))))


def _best_line(
    image: npt.NDArray[np.float32], lit: npt.NDArray[np.bool_], rms: float, options: TrailOptions
) -> Floats | None:
    for line in _candidates(lit, options):
        trail = _believed(image, line, rms, options)
        if trail is not None:
            return trail
    return None


def _candidates(lit: npt.NDArray[np.bool_], options: TrailOptions) -> list[Floats]:
    """Return the lines (x0, y0, x1, y1) [pixel] on which far more bins are lit than elsewhere, best first."""
    y, x = (axis.astype(np.float32) for axis in np.nonzero(lit))
    share = float(lit.mean())
    if x.size > MOST_VOTERS:
        step = -(-x.size // MOST_VOTERS)
        x, y, share = x[::step], y[::step], share / step
    rows, columns = lit.shape
    diagonal = float(np.hypot(rows, columns))
    angles = np.linspace(0, np.pi, int(2.1 * diagonal), endpoint=False)
    angles = angles[~_along_axis(angles)]
    cosine, sine = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    shift = int(np.ceil(diagonal)) + 1
    votes = np.zeros((angles.size, 2 * shift + 1), np.int32)
    hough(x, y, cosine, sine, np.float32(shift), votes)
    least = max(8.0, 0.6 * options.length * min(rows, columns) * (share if share < lit.mean() else 1.0))
    which, offset = np.divmod(np.flatnonzero(votes >= least), votes.shape[1])
    ends = _chords(angles[which], (offset - shift).astype(np.float64), rows, columns)
    length = np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1])
    expected = share * length
    score = (votes[which, offset] - expected) / np.sqrt(expected * (1 - share) + 4)
    lines: list[Floats] = []
    for k in np.argsort(-score, kind="stable"):
        if score[k] < options.votes or len(lines) == CANDIDATES:
            break
        if all(_apart(ends[k], other) > 6 for other in lines):
            lines.append(ends[k])
    return [(line + 0.5) * BIN - 0.5 for line in lines]


def _apart(one: Floats, other: Floats) -> float:
    """Return how far the ends of a line lie from another line at most."""
    dx, dy = other[2] - other[0], other[3] - other[1]
    length = float(np.hypot(dx, dy))
    if length == 0:
        return float("inf")
    away = [abs((one[i] - other[0]) * dy - (one[i + 1] - other[1]) * dx) / length for i in (0, 2)]
    return float(max(away))


def _chords(angle: Floats, rho: Floats, rows: int, columns: int) -> Floats:
    """Return where lines enter and leave the rectangle, (line, 4); all the same point where they miss it."""
    c, s = np.cos(angle), np.sin(angle)
    low, high = np.full(angle.size, -np.inf), np.full(angle.size, np.inf)
    for start, direction, size in ((rho * c, -s, columns), (rho * s, c, rows)):
        with np.errstate(divide="ignore", invalid="ignore"):
            one, two = (0 - start) / direction, (size - 1 - start) / direction
        low, high = np.maximum(low, np.minimum(one, two)), np.minimum(high, np.maximum(one, two))
    high = np.maximum(low, high)
    return np.stack([rho * c - low * s, rho * s + low * c, rho * c - high * s, rho * s + high * c], axis=1)


def _believed(
    image: npt.NDArray[np.float32], line: Floats, rms: float, options: TrailOptions
) -> Floats | None:
    """Return the trail on a line, measured to a fraction of a pixel; None where there is none."""
    from scipy import ndimage

    length = float(np.hypot(line[2] - line[0], line[3] - line[1]))
    pieces = int(np.clip(length / PIECE, 12, 40))
    profile = np.empty((pieces, 2 * REACH + 1), np.float32)
    cross_profiles(image, *line, REACH, 128, profile)
    offset = np.arange(-REACH, REACH + 1)
    sides = np.abs(offset) > CORE + 3
    left, right = sides & (offset < 0), sides & (offset > 0)
    known = np.minimum(*(np.isfinite(profile[:, part]).sum(axis=1) for part in (left, right))) >= 10
    if known.sum() < FEWEST:
        return None
    profile = profile[known]
    level = np.nanmedian(profile[:, sides], axis=1, keepdims=True)
    noise = MAD_TO_SIGMA * np.nanmedian(np.abs(profile[:, sides] - level), axis=1)
    noise = np.maximum(noise, 0.5 * float(np.median(noise)))
    rest = np.nan_to_num(profile - level)
    soft = ndimage.uniform_filter1d(rest, 3, axis=1)
    core = np.abs(offset) <= CORE
    best = np.argmax(soft[:, core], axis=1)
    seen = soft[:, core].max(axis=1) > options.contrast * noise
    place = np.flatnonzero(known)
    slope, start, on = _straight(place, offset[core][best].astype(np.float64), seen)
    run = _longest_run(place[on])
    if run is None or on.sum() < FEWEST:
        return None
    if (run[1] - run[0] + 1) * length / pieces < options.length * min(image.shape):
        return None
    stacked = np.zeros(2 * REACH + 1)
    for k in np.flatnonzero(on):
        stacked += np.roll(rest[k], -round(start + slope * place[k])) / on.sum()
    tilt = np.polyfit(offset[sides], stacked[sides], 1)[0]  # of nebula: one side would never be faint
    step = abs(float(stacked[left].mean() - stacked[right].mean()))
    stacked -= tilt * offset
    faint = np.flatnonzero(stacked[REACH:] < 0.25 * rms), np.flatnonzero(stacked[REACH::-1] < 0.25 * rms)
    half = max(int(side[0]) if side.size else REACH for side in faint) + 1.5
    if step > 0.5 * max(float(stacked[REACH]), rms):
        return None  # the edge of something: of a nebula, of a badly behaved corner of the sensor
    if half > 0.7 * REACH and (stacked > 0.5 * stacked[REACH]).sum() > CORE:
        return None  # as wide as a filament or a galaxy's edge
    trail = _ends(line, slope, start, run, half, pieces)
    angle = np.arctan2(trail[3] - trail[1], trail[2] - trail[0])
    return None if _along_axis(angle) else trail


def _straight(
    place: npt.NDArray[np.intp], offset: Floats, seen: npt.NDArray[np.bool_]
) -> tuple[float, float, npt.NDArray[np.bool_]]:
    """Return the straight line ``offset = start + slope * place`` of most pieces, and which are on it."""
    where = np.flatnonzero(seen)
    best = (0.0, 0.0, np.zeros(place.size, bool))
    for i in where:
        for j in where[where > i + 4]:
            slope = (offset[j] - offset[i]) / (place[j] - place[i])
            start = offset[i] - slope * place[i]
            on = seen & (np.abs(offset - start - slope * place) < 1.6)
            if on.sum() > best[2].sum():
                best = (float(slope), float(start), on)
    on = best[2]
    if on.sum() >= 3:
        slope, start = np.polyfit(place[on], offset[on], 1)
        return float(slope), float(start), on
    return best


def _longest_run(place: npt.NDArray[np.intp]) -> tuple[int, int] | None:
    """Return first and last piece of the longest row of pieces; two in a row may be missing."""
    if place.size == 0:
        return None
    runs = np.split(place, np.flatnonzero(np.diff(place) > 3) + 1)
    longest = max(runs, key=lambda run: run[-1] - run[0])
    if longest.size < 0.6 * (longest[-1] - longest[0] + 1):
        return None
    return int(longest[0]), int(longest[-1])


def _along_axis(angle: Floats | float) -> npt.NDArray[np.bool_]:
    """Return whether directions [radian] are those of rows or columns."""
    return np.asarray(np.abs((angle + np.pi / 4) % (np.pi / 2) - np.pi / 4) < ALONG_AXIS)


def _ends(line: Floats, slope: float, start: float, run: tuple[int, int], half: float, pieces: int) -> Floats:
    """Return x0, y0, x1, y1 and half width of the pieces `run`, one piece longer at both ends."""
    along = (line[2:] - line[:2]) / pieces
    normal = np.array([-along[1], along[0]]) / np.hypot(*along)
    points = []
    for piece, middle in ((run[0] - 1, -0.5), (run[1] + 1, 0.5)):
        # Beyond the chord's last pieces the trail goes on to the edge and across the corner.
        at = piece + middle + (middle * 4 if not 2 < piece < pieces - 3 else 0)
        points.append(line[:2] + (at + 0.5) * along + (start + slope * at) * normal)
    return np.array([*points[0], *points[1], half])


def _near(shape: tuple[int, int], trail: Floats) -> npt.NDArray[np.bool_]:
    """Return which bins lie on a trail."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    x0, y0, x1, y1 = (trail[:4] + 0.5) / BIN - 0.5
    away = np.abs((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / np.hypot(x1 - x0, y1 - y0)
    return np.asarray(away < trail[4] / BIN + 1.5)
