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

from sciastro.calibrate.flatcheck import (
    UNKNOWN,
    FlatCheck,
    MasterOptions,
    ceiling_of,
    check_flats,
    refuse_bad_flats,
)
from sciastro.calibrate.masternoise import noise_model
from sciastro.calibrate.planes import plane_level
from sciastro.calibrate.sampling import FillRows, ReadRows, Sample, fills, take_sample, trimmed_mean
from sciastro.core.cfa import period, phase_slices
from sciastro.core.lift import run_tasks
from sciastro.core.quality import Quality
from sciastro.core.scratch import lend
from sciastro.errors import DatasetError
from sciastro.kernels import reduce as kernel
from sciastro.kernels.masters import combine_counts
from sciastro.kernels.networks import merge_network

__all__ = [
    "FlatCheck",
    "Master",
    "MasterOptions",
    "ReadRows",
    "check_flats",
    "combine_master",
    "sample_frames",
]

Floats = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]
NOTHING = np.empty(0, np.float32)
COMPILED = tuple(np.dtype(code) for code in ("=u2", "=i2", "=i4", "=f4", "u1"))


DEFAULTS = MasterOptions()
THIN = 5  # rows and columns of which one is looked at for the ratio of scatter to model
STACK_BYTES = 7 << 20  # of the raw rows of a band: they stay in the cache, and their memory in the process


@dataclass(frozen=True, kw_only=True, slots=True)
class Master:
    """A master frame.

    Attributes
    ----------
    kind
        As given: "bias", "dark", "dark-flat" or "flat".
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
        Mean of measured over modeled sample variance: 1 if the noise model holds.
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
    sample: Sample | None = None,
) -> Master:
    """Combine calibration frames into a master, band of rows by band of rows.

    Parameters
    ----------
    kind
        "flat" is normalized; anything else ("bias", "dark", "dark-flat") is not.
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
    sample
        From `sample_frames` with the same arguments, where the caller has one; else it is taken here.

    Returns
    -------
    Master

    Raises
    ------
    DatasetError
        Without any frame, or if a bias or dark has no finite pixel.
    MatchError
        If a flat is saturated or black; the message names each with its level.
    """
    if not readers:
        raise DatasetError("has no frames.", where=f"master {kind}", remedy="Add frames of this kind.")
    flat = kind == "flat"
    if sample is None:
        sample = sample_frames(
            kind, readers, shape, subtract=subtract, cfa=cfa, saturation=saturation, workers=workers
        )
    values = sample.values
    parts = phase_slices(cfa if flat and options.equalize else "")
    if flat:
        refuse_bad_flats(sample, options, saturation, subtract is None)
        levels = _flat_levels(sample, parts, workers)
        scales = levels.mean(axis=1, keepdims=True) / levels
    else:
        if sample.counts is None and not np.isfinite(values).any():
            raise DatasetError(
                "cannot be made: its frames hold no numbers.",
                where=f"master {kind}",
                remedy="Take these frames out, or save them again.",
            )
        levels = np.full((1, len(readers)), sample.median())
        scales = np.ones_like(levels)
    models = [
        noise_model(values[(slice(None), *part)], scale, level, kind, gain, read_noise, workers)
        for part, scale, level in zip(parts, scales, levels.mean(axis=1), strict=True)
    ]
    work = _Work(
        kind, list(readers), shape, options, subtract, parts, scales, models, levels, flat, saturation
    )
    planes = _Planes.empty(shape)
    bands = _bands(shape, len(readers), memory_bytes, workers, _even(cfa))
    done = [0]

    def tell(band: tuple[int, int], _: object) -> None:
        done[0] += band[1] - band[0]
        if progress is not None:
            progress(done[0], shape[0])

    counts = run_tasks(lambda band: _combine_band(work, planes, *band), bands, workers=workers, done=tell)
    low, high = (sum(count[side] for count in counts) for side in (0, 1))
    return _finish(work, planes, subtract_variance, (low, high), bands, workers)


def _even(cfa: str) -> int:
    """Return what bands of rows begin on a multiple of, so that they keep the phases of the mosaic."""
    return 6 if period(cfa) == 6 else 2


def sample_frames(
    kind: str,
    readers: Sequence[ReadRows],
    shape: tuple[int, int],
    *,
    subtract: Floats | None = None,
    cfa: str = "",
    saturation: float = 65_535.0,
    workers: int = 2,
) -> Sample:
    """Look at some bands of every frame; `check_flats` and `combine_master` can share what is seen.

    Parameters
    ----------
    kind, readers, shape, subtract, cfa, saturation, workers
        As for `combine_master`.
    """
    return take_sample(
        readers, shape, subtract=subtract, ceiling=ceiling_of(saturation), period=_even(cfa),
        means=kind == "flat", workers=workers,
    )  # fmt: skip


def _flat_levels(
    sample: Sample, parts: Sequence[tuple[slice, slice]], workers: int
) -> npt.NDArray[np.float64]:
    """Return the level of every phase and flat (phase, frame) [adu]."""
    if len(parts) == 1:
        return sample.means[None]
    return np.array(
        run_tasks(lambda part: [trimmed_mean(frame[part]) for frame in sample.values], parts, workers=workers)
    )


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
    ratio: Floats  # every `THIN`-th row and column

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> "_Planes":
        thin = (-(-shape[0] // THIN), -(-shape[1] // THIN))
        return cls(np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(thin, np.float32))


def _bands(
    shape: tuple[int, int], n_frames: int, memory_bytes: int, workers: int, even: int = 2
) -> list[tuple[int, int]]:
    per_row = shape[1] * (4 * n_frames + 40)  # the raw rows (and their copy by phase) and the results
    rows = int(memory_bytes / max(1, workers + 1) / per_row) // even * even
    rows = min(rows, max(STACK_BYTES // (2 * n_frames * shape[1]) // even, 1) * even)
    rows = int(np.clip(rows, even, max(even, -(-shape[0] // (4 * max(1, workers))) // even * even + even)))
    return [(y, min(y + rows, shape[0])) for y in range(0, shape[0], rows)]


def _combine_band(work: _Work, planes: _Planes, y0: int, y1: int) -> tuple[int, int]:
    """Combine rows y0 to y1 - 1 into `planes`; return the numbers of samples rejected below and above."""
    stack = _read_band(work.readers, y0, y1, work.shape[1])
    if stack.dtype not in COMPILED:
        stack = stack.astype(np.float32)
    minus = None if work.subtract is None else work.subtract[y0:y1]
    ratio, low, high = np.empty(stack.shape[1:], np.float32), 0, 0
    for k, part in enumerate(work.parts):
        below, above = _combine_part(work, planes, stack, minus, k, np.s_[y0:y1], part, ratio)
        low, high = low + below, high + above
    planes.ratio[-(-y0 // THIN) : -(-y1 // THIN)] = ratio[-y0 % THIN :: THIN, ::THIN]
    return low, high


def _read_band(readers: Sequence[ReadRows], y0: int, y1: int, width: int) -> npt.NDArray[np.generic]:
    """Return rows y0 to y1 - 1 of every frame, (frame, y, x), in the dtype that all share, else float32."""
    bands: list[FillRows | npt.NDArray[np.generic]] = [
        read if fills(read) else np.asarray(read(y0, y1)) for read in readers
    ]
    dtypes = {band.dtype for band in bands}
    dtype = dtypes.pop() if len(dtypes) == 1 else np.dtype(np.float32)
    stack = lend((len(readers), y1 - y0, width), dtype)
    for band, target in zip(bands, stack, strict=True):
        if isinstance(band, np.ndarray):
            target[...] = band
        elif band.dtype == dtype:
            band.into(y0, y1, target)
        else:
            target[...] = band(y0, y1)
    return stack


def _combine_part(
    work: _Work,
    planes: _Planes,
    stack: npt.NDArray[np.generic],
    minus: Floats | None,
    k: int,
    rows: slice,
    part: tuple[slice, slice],
    ratio: Floats,
) -> tuple[int, int]:
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
    whole = len(work.parts) == 1  # straight into the planes
    out = [plane[rows].reshape(-1) for plane in (planes.image, planes.variance)] if whole else []
    out += [np.empty(raw.shape[1], np.float32) for _ in range(3 - len(out))]
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
        image += np.float32(work.levels[k].mean())
    if not whole:
        planes.image[rows][part], planes.variance[rows][part] = image, variance
    thin = np.s_[-rows.start % THIN :: THIN, ::THIN] if whole else np.s_[:, :]  # the others are thinned later
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio[part][thin] = scatter[thin] / (variance[thin] * kept[thin])
    return int(low.sum(dtype=np.int64)), int(high.sum(dtype=np.int64))


def _finish_band(
    work: _Work,
    planes: _Planes,
    quality: Bits,
    levels: Sequence[float],
    subtract_variance: Floats | None,
    rows: slice,
) -> None:
    """Normalize flats by their levels, add the variance of what was subtracted, mark missing pixels."""
    image, variance = planes.image[rows], planes.variance[rows]
    added = None if subtract_variance is None else subtract_variance[rows]
    if work.flat:
        for k, (part, level) in enumerate(zip(work.parts, levels, strict=True)):
            image[part] /= np.float32(level)
            variance[part] /= np.float32(level**2)
            if added is not None:
                share = float(len(work.readers) / np.sum(1 / work.scales[k]))  # sum(w s) / sum(w), w = 1 / s
                variance[part] += added[part] * np.float32((share / level) ** 2)
    elif added is not None:
        variance += added
    missing = ~np.isfinite(image)
    if missing.any():
        quality[rows][missing] = Quality.NO_DATA | Quality.DO_NOT_USE
    np.sqrt(variance, out=variance)  # rounded as a file's ERR has it: who reads that has these numbers
    np.square(variance, out=variance)


def _thinned(plane: Floats) -> Floats:
    step = max(1, int(np.sqrt(plane.size / 400_000)))
    return plane[::step, ::step]


def _finish(
    work: _Work,
    planes: _Planes,
    subtract_variance: Floats | None,
    rejected: tuple[int, int],
    bands: Sequence[tuple[int, int]],
    workers: int,
) -> Master:
    image, variance = planes.image, planes.variance
    n, levels = len(work.readers), [plane_level(image)]
    if work.flat:
        levels = [trimmed_mean(_thinned(image[part])) for part in work.parts]
    quality = np.zeros(image.shape, np.uint16)
    run_tasks(
        lambda band: _finish_band(work, planes, quality, levels, subtract_variance, np.s_[band[0] : band[1]]),
        bands,
        workers=workers,
        gather=False,
    )
    ratio = planes.ratio
    samples = float(n * image.size)
    return Master(
        kind=work.kind,
        image=image,
        variance=variance,
        quality=quality,
        n_frames=n,
        level=float(np.mean(levels)),
        phase_levels=tuple(levels),
        noise=float(np.sqrt(np.mean([model[2] ** 2 for model in work.models]))),
        shot=float(np.mean([model[1] for model in work.models])),
        scatter_ratio=float(np.nanmean(ratio)) if n > 1 and np.isfinite(ratio).any() else float("nan"),
        rejected_low=float(rejected[0] / samples),
        rejected_high=float(rejected[1] / samples),
    )
