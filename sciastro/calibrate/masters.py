"""Master bias, dark, dark-flat and flat: bands of rows read straight from the files, rejected, averaged.

Bias and darks are not normalized. Flats are freed of their bias or dark-flat, scaled to one level each
(trimmed mean; per phase of a color mosaic), rejected, averaged with weights proportional to their level
(the best for shot noise) and divided by their own level: the result is about 1.
Variance: a pooled noise model from differences of frames, never a pixel's own few samples (see
`sciastro.kernels.masters`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.planes import plane_level
from sciastro.calibrate.sampling import ReadRows, pair_variance, phases_of, take_sample, trimmed_mean
from sciastro.core.lift import run_tasks
from sciastro.core.options import Options, option
from sciastro.core.quality import Quality
from sciastro.errors import DatasetError, MatchError
from sciastro.kernels import reduce as kernel
from sciastro.kernels.masters import combine_counts
from sciastro.kernels.networks import merge_network

__all__ = ["FlatCheck", "Master", "MasterOptions", "ReadRows", "check_flats", "combine_master"]

Floats = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]
NOTHING = np.empty(0, np.float32)
UNKNOWN = 1e9  # no camera saturates there: the level is not known
COMPILED = tuple(np.dtype(code) for code in ("=u2", "=i2", "=i4", "=f4", "u1"))


@dataclass(frozen=True, kw_only=True, slots=True)
class MasterOptions(Options):
    """How calibration frames are combined."""

    reject: str = option("winsorized", "Rejection rule.", choices=tuple(kernel.METHODS))
    low: float = option(4.0, "Rejection threshold below the center, in the rule's own unit.", low=0.0)
    high: float = option(3.0, "Rejection threshold above the center, in the rule's own unit.", low=0.0)
    max_iterations: int = option(5, "Rejection passes at most.", low=0, high=50)
    max_saturated: float = option(
        0.01, "Fraction of saturated pixels that makes a flat unusable.", low=0.0, high=1.0
    )
    min_flat_level: float = option(
        0.005,
        "Level above bias, as a fraction of saturation, below which a flat is black.",
        low=0.0,
        high=1.0,
    )


DEFAULTS = MasterOptions()


@dataclass(frozen=True, kw_only=True, slots=True)
class Master:
    """A master frame.

    Attributes
    ----------
    kind
        As given: "bias", "dark", "darkflat" or "flat".
    image, variance
        float32 (y, x): [adu] and [adu2], for a flat [1]; NaN where no frame has a sample.
    quality
        uint16 (y, x): NO_DATA and DO_NOT_USE there.
    n_frames
        Frames combined.
    level
        Median of a bias or dark [adu]; mean level of a flat above what was subtracted [adu].
    phase_levels
        Level of each phase of a color mosaic [adu]; one entry for mono.
    noise
        Noise of one sample at that level, measured between frames [adu].
    shot
        Increase of the variance per adu of signal that was used [adu]: 1 / gain.
    scatter_ratio
        Median of measured over modeled sample variance: 1 if the noise model holds.
    rejected_low, rejected_high
        Fraction of the samples rejected.
    """

    kind: str
    image: Floats
    variance: Floats
    quality: Bits
    n_frames: int
    level: float
    phase_levels: tuple[float, ...]
    noise: float
    shot: float
    scatter_ratio: float
    rejected_low: float
    rejected_high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FlatCheck:
    """Whether one flat can be used.

    Attributes
    ----------
    level
        Trimmed mean above what is subtracted [adu].
    saturated
        Fraction of saturated pixels.
    reason
        Why it cannot be used; empty if it can.
    """

    level: float
    saturated: float
    reason: str


def check_flats(
    readers: Sequence[ReadRows],
    shape: tuple[int, int],
    *,
    options: MasterOptions = DEFAULTS,
    subtract: Floats | None = None,
    saturation: float = 65_535.0,
) -> list[FlatCheck]:
    """Look at bands of every flat for saturation and darkness, so that the bad ones can be left out.

    Parameters
    ----------
    readers
        One per frame: ``read(y0, y1)`` returns those rows [adu].
    shape
        Rows and columns.
    options
        Thresholds.
    subtract
        Master bias or dark-flat [adu], or None: then the level includes the bias, and a flat counts as
        black below four times the threshold.
    saturation
        Level at which pixels saturate [adu]; 97 % of it counts. NaN or 1e9 and more: unknown, and only a
        flat without any light above what is subtracted counts as black.
    """
    ceiling = 0.97 * saturation
    sample = take_sample(readers, shape, subtract=subtract, ceiling=ceiling)
    least = _least_level(options, saturation, subtract is None)
    return [
        _checked(trimmed_mean(values), float(top), least, options, saturation)
        for values, top in zip(sample.values, sample.raw_top, strict=True)
    ]


def _least_level(options: MasterOptions, saturation: float, with_bias: bool) -> float:
    if not saturation < UNKNOWN:
        return 0.0
    return options.min_flat_level * saturation * (4 if with_bias else 1)


def _checked(level: float, top: float, least: float, options: MasterOptions, saturation: float) -> FlatCheck:
    reason = ""
    if not np.isfinite(level):
        reason = "holds no numbers"
    elif top > options.max_saturated:
        reason = f"is saturated: {100 * top:.1f} % of its pixels reach 97 % of {saturation:g} adu"
    elif level <= least:
        reason = f"is black: its level is {level:.1f} adu, and {least:.1f} adu is the least"
    return FlatCheck(level=level, saturated=top, reason=reason)


def combine_master(
    kind: str,
    readers: Sequence[ReadRows],
    shape: tuple[int, int],
    *,
    options: MasterOptions = DEFAULTS,
    subtract: Floats | None = None,
    subtract_variance: Floats | None = None,
    cfa: str = "",
    gain: float = float("nan"),
    read_noise: float = float("nan"),
    saturation: float = 65_535.0,
    memory_bytes: int = 500_000_000,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Master:
    """Combine calibration frames into a master, band of rows by band of rows.

    Parameters
    ----------
    kind
        "flat" is normalized; anything else ("bias", "dark", "darkflat") is not.
    readers
        One per frame: ``read(y0, y1)`` returns rows y0..y1-1, (rows, columns) [adu], integer or float, NaN
        missing. Called from several threads.
    shape
        Rows and columns of every frame.
    options
        Rejection.
    subtract, subtract_variance
        Plane to subtract from every frame (the bias or dark-flat of a flat) [adu], and its variance [adu2].
    cfa
        Pattern of a color mosaic: a flat is normalized phase by phase.
    gain, read_noise
        [electron / adu], [electron]; NaN unknown: then learned from the frames.
    saturation
        [adu]; samples of a flat at or above it are missing. NaN or 1e9 and more: unknown.
    memory_bytes
        Bound on the memory of the bands in work.
    workers
        Threads.
    progress
        Called with rows done and rows in total.

    Returns
    -------
    Master

    Raises
    ------
    DatasetError
        Without any frame.
    MatchError
        If a flat is saturated or black; the message names each with its level.
    """
    if not readers:
        raise DatasetError("has no frames.", where=f"master {kind}", remedy="Add frames of this kind.")
    flat = kind == "flat"
    sample = take_sample(readers, shape, subtract=subtract, ceiling=0.97 * saturation)
    values = sample.values
    phases = phases_of(cfa) if flat else []
    parts = [(slice(j, None, 2), slice(i, None, 2)) for j, i in phases] or [
        (slice(0, None, 1), slice(0, None, 1))
    ]
    if flat:
        _refuse_bad_flats(values, sample.raw_top, options, saturation, subtract is None)
        levels = np.array([[trimmed_mean(frame[part]) for frame in values] for part in parts])
        scales = levels.mean(axis=1, keepdims=True) / levels
    else:
        levels = np.full((1, len(readers)), float(np.nanmedian(values)))
        scales = np.ones_like(levels)
    models = [
        _noise_model(values[(slice(None), *part)], scale, level, kind, gain, read_noise)
        for part, scale, level in zip(parts, scales, levels.mean(axis=1), strict=True)
    ]
    work = _Work(
        kind, list(readers), shape, options, subtract, parts, scales, models, levels, flat, saturation
    )
    planes = _Planes.empty(shape)
    bands = _bands(shape, len(readers), memory_bytes, workers)
    done = [0]

    def tell(band: tuple[int, int], _: object) -> None:
        done[0] += band[1] - band[0]
        if progress is not None:
            progress(done[0], shape[0])

    run_tasks(lambda band: _combine_band(work, planes, *band), bands, workers=workers, done=tell)
    return _finish(work, planes, subtract_variance)


@dataclass(frozen=True, slots=True)
class _Work:
    kind: str
    readers: list[ReadRows]
    shape: tuple[int, int]
    options: MasterOptions
    subtract: Floats | None
    parts: list[tuple[slice, slice]]
    scales: npt.NDArray[np.float64]
    models: list[tuple[float, float, float]]
    levels: npt.NDArray[np.float64]
    flat: bool
    saturation: float


@dataclass(frozen=True, slots=True)
class _Planes:
    image: Floats
    variance: Floats
    ratio: Floats
    low: Bits
    high: Bits

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> "_Planes":
        image, variance, ratio = (np.empty(shape, np.float32) for _ in range(3))
        return cls(image, variance, ratio, np.empty(shape, np.uint16), np.empty(shape, np.uint16))


def _refuse_bad_flats(
    values: Floats, tops: npt.NDArray[np.float64], options: MasterOptions, saturation: float, with_bias: bool
) -> None:
    least = _least_level(options, saturation, with_bias)
    checks = [
        _checked(trimmed_mean(v), float(t), least, options, saturation)
        for v, t in zip(values, tops, strict=True)
    ]
    bad = [f"frame {number + 1} {check.reason}" for number, check in enumerate(checks) if check.reason]
    if bad:
        raise MatchError(
            f"cannot be made: {'; '.join(bad)}.",
            where="master flat",
            remedy="Leave these flats out, or take new ones at 30 to 60 % of full scale.",
        )


def _noise_model(
    values: Floats,
    scale: npt.NDArray[np.float64],
    level: float,
    kind: str,
    gain: float,
    read_noise: float,
) -> tuple[float, float, float]:
    """Return read [adu2], shot [adu] and the noise [adu] of one raw sample at the level, from frame pairs."""
    variance, squares, sums = pair_variance(values, scale)
    known_gain, known_read = np.isfinite(gain) and gain > 0, np.isfinite(read_noise)
    if kind == "flat":
        read = 1 / 12 + ((read_noise / gain) ** 2 if known_gain and known_read else 0.0)
        shot = max(variance - squares * read, 0.0) / (sums * level)
        return read, shot, float(np.sqrt(read + shot * level))
    pooled = max(variance / squares, 1 / 12)
    if kind == "bias":  # no light, no dark current: structure is no signal
        return pooled, 0.0, float(np.sqrt(pooled))
    shot = 1 / gain if known_gain else _shot_of_hot_pixels(values, level, pooled)
    # The pooled variance is that of all pixels but the hot ones; the model counts from the level upward.
    excess = np.mean(values, axis=0) - np.float32(level)
    mild = excess < 5 * np.sqrt(pooled)
    above = float(np.mean(np.maximum(excess[mild], 0))) if mild.any() else 0.0
    return max(pooled - shot * above, pooled / 4), shot, float(np.sqrt(pooled))


def _shot_of_hot_pixels(values: Floats, level: float, read: float) -> float:
    """Return how the variance of hot pixels rises per adu above the level; 0 where too few are hot."""
    if len(values) < 3:
        return 0.0
    excess = np.median(values, axis=0) - level
    hot = excess > 20 * np.sqrt(read)
    if np.count_nonzero(hot) < 50:
        return 0.0
    scatter = values[:, hot].var(axis=0, ddof=1, dtype=np.float64)
    return max(float(np.mean(scatter - read) / np.mean(excess[hot])) if scatter.size else 0.0, 0.0)


def _bands(shape: tuple[int, int], n_frames: int, memory_bytes: int, workers: int) -> list[tuple[int, int]]:
    per_row = shape[1] * (4 * n_frames + 40)  # the raw rows (and their copy by phase) and the results
    rows = int(memory_bytes / max(1, workers + 1) / per_row) // 2 * 2
    rows = int(np.clip(rows, 2, max(2, -(-shape[0] // (4 * max(1, workers))) // 2 * 2 + 2)))
    return [(y, min(y + rows, shape[0])) for y in range(0, shape[0], rows)]


def _combine_band(work: _Work, planes: _Planes, y0: int, y1: int) -> None:
    first = np.asarray(work.readers[0](y0, y1))
    stack = np.empty((len(work.readers), *first.shape), first.dtype)
    stack[0] = first
    for number, read in enumerate(work.readers[1:], start=1):
        stack[number] = read(y0, y1)
    if stack.dtype not in COMPILED:
        stack = stack.astype(np.float32)
    minus = None if work.subtract is None else work.subtract[y0:y1]
    for k, part in enumerate(work.parts):
        _combine_part(work, planes, stack, minus, k, np.s_[y0:y1], part)


def _combine_part(
    work: _Work,
    planes: _Planes,
    stack: npt.NDArray[np.generic],
    minus: Floats | None,
    k: int,
    rows: slice,
    part: tuple[slice, slice],
) -> None:
    raw = np.ascontiguousarray(stack[(slice(None), *part)])
    n, height, width = raw.shape
    raw = raw.reshape(n, -1)
    read, shot, _ = work.models[k]
    # Bias and darks: the noise grows from their level upward.
    base = NOTHING if work.flat else np.full(raw.shape[1], work.levels[k].mean(), np.float32)
    if minus is not None:
        taken = np.ascontiguousarray(minus[part], dtype=np.float32).ravel()
        base = taken if work.flat else taken + base
    scale = work.scales[k].astype(np.float32)
    out = [np.empty(raw.shape[1], np.float32) for _ in range(3)]
    bits = [np.empty(raw.shape[1], np.uint16) for _ in range(3)]
    options = work.options
    combine_counts(
        raw,
        base,
        scale,
        (1 / scale).astype(np.float32),
        np.float32(work.saturation * (1 - 1e-6) if work.flat and work.saturation < UNKNOWN else np.inf),
        read,
        shot,
        merge_network(n),
        kernel.METHODS[options.reject],
        options.low,
        options.high,
        options.max_iterations,
        *out,
        *bits,
    )
    image, variance, scatter = (plane.reshape(height, width) for plane in out)
    kept, low, high = (plane.reshape(height, width) for plane in bits)
    if not work.flat:
        image = image + np.float32(work.levels[k].mean())
    planes.image[rows][part], planes.variance[rows][part] = image, variance
    with np.errstate(invalid="ignore", divide="ignore"):
        planes.ratio[rows][part] = scatter / (variance * kept)
    planes.low[rows][part], planes.high[rows][part] = low, high


def _thinned(plane: Floats) -> Floats:
    step = max(1, int(np.sqrt(plane.size / 400_000)))
    return plane[::step, ::step]


def _finish(work: _Work, planes: _Planes, subtract_variance: Floats | None) -> Master:
    image, variance = planes.image, planes.variance
    n, levels = len(work.readers), [plane_level(image)]
    if work.flat:
        levels = [trimmed_mean(_thinned(image[part])) for part in work.parts]
        for k, (part, level) in enumerate(zip(work.parts, levels, strict=True)):
            image[part] /= np.float32(level)
            variance[part] /= np.float32(level**2)
            if subtract_variance is not None:
                share = float(n / np.sum(1 / work.scales[k]))  # weights 1 / scale: sum(w s) / sum(w)
                variance[part] += subtract_variance[part] * np.float32((share / level) ** 2)
    elif subtract_variance is not None:
        variance += subtract_variance
    missing = ~np.isfinite(image)
    ratio = planes.ratio[::5, ::5]
    samples = float(n * image.size)
    return Master(
        kind=work.kind,
        image=image,
        variance=variance,
        quality=np.where(missing, int(Quality.NO_DATA | Quality.DO_NOT_USE), 0).astype(np.uint16),
        n_frames=n,
        level=float(np.mean(levels)),
        phase_levels=tuple(levels),
        noise=float(np.sqrt(np.mean([model[2] ** 2 for model in work.models]))),
        shot=float(np.mean([model[1] for model in work.models])),
        scatter_ratio=float(np.nanmean(ratio)) if n > 1 and np.isfinite(ratio).any() else float("nan"),
        rejected_low=float(planes.low.sum(dtype=np.int64) / samples),
        rejected_high=float(planes.high.sum(dtype=np.int64) / samples),
    )
