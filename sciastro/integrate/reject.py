"""From the samples of a tile to its stack: reject outliers along the frames, average, carry the quality.

Where the image has structure, samples within a share of the local range of the image are put back
(`kernels.protect`): seeing makes star cores vary far beyond the noise, and rejecting them would take
light from stars.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.quality import Quality
from sciastro.integrate.contribution import NO_CONTEXT, context_of
from sciastro.integrate.options import StackOptions
from sciastro.kernels import streaks
from sciastro.kernels.consensus import consensus
from sciastro.kernels.growth import AROUND, average_again, grow_marks
from sciastro.kernels.networks import merge_network
from sciastro.kernels.noisemodel import average_marked, mark_outliers, middle_image
from sciastro.kernels.protect import protect
from sciastro.kernels.reduce import (
    METHODS,
    combine,
)
from sciastro.kernels.rules import RULES, combine_by_rule, scatter_ratio
from sciastro.kernels.samples import (
    HIGH,
    LOW,
    MEAN,
    MEDIAN,
)

__all__ = ["CAUSES", "NO_SHARE", "TileResult", "reject_tile", "rim_of"]

Floats = npt.NDArray[np.float32]
Marks = npt.NDArray[np.uint8]
Result = tuple[npt.NDArray[Any], ...]  # image, variance, coverage, rejected low and high, present; (y, x)
Planes = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.uint16]]

RIM = 2  # pixels of the frames around one that protection of structure looks at
BEYOND = 2  # pixels that rules which look at neighbors themselves add to that
MISSING = np.uint16(Quality.NO_DATA | Quality.DO_NOT_USE)
# What became of samples: rejected here, or missing before, by what the frame says of them.
CAUSES = ("rejected_low", "rejected_high", "trail", "cosmic_ray", "defect", "outside")
GROUPS = np.array(
    [
        Quality.TRAIL,
        Quality.COSMIC_RAY,
        Quality.SATURATED | Quality.DEAD | Quality.HOT | Quality.LOW_FLAT | Quality.INTERPOLATED,
    ],
    np.uint16,
)
# Sigma about the median within which nothing is rejected, of rules whose thresholds are no such sigma.
SIGMAS = {"linearfit": (3.0, 3.0), "percentile": (4.0, 3.0)}
SECOND_PASS = (
    0.7 / 1.2,
    0.8,
)  # of the noise rule beside a hit: gradient term and sigma over the first pass's
NOTHING = np.empty(0, np.float32)
NO_SHARE = np.empty((0, 0, 0), np.float32)  # every sample counts with the weight of its frame


@dataclass(frozen=True, slots=True)
class TileResult:
    """One tile of the stack.

    Attributes
    ----------
    image, variance
        float32 (y, x) [electron / s, electron2 / s2]; NaN is missing.
    quality
        uint16 (y, x), bits of `Quality`.
    coverage
        float32 (y, x), effective number of frames; 0 is missing.
    rejected_low, rejected_high
        uint16 (y, x), frames rejected.
    counts
        int64 (frame, cause), samples lost by frame and cause (`CAUSES`).
    causes
        uint16 (cause, y, x), missing samples by the causes from the third on; (0, 0, 0) without `maps`.
    sums
        float64 (2,): weighted variance of large areas and of single pixels (`noise_correlation`).
    context
        uint32 (plane, y, x), which frames made each pixel (`integrate.contribution`); empty unless asked for.
    """

    image: npt.NDArray[np.float32]
    variance: npt.NDArray[np.float32]
    quality: npt.NDArray[np.uint16]
    coverage: npt.NDArray[np.float32]
    rejected_low: npt.NDArray[np.uint16]
    rejected_high: npt.NDArray[np.uint16]
    sums: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    causes: npt.NDArray[np.uint16]
    context: npt.NDArray[np.uint32] = field(default_factory=lambda: NO_CONTEXT)


def _reach(spread: float) -> int:
    """Return how many pixels of the image `RIM` pixels of the frames are."""
    return int(np.ceil(RIM * spread))


def rim_of(options: StackOptions, frames: int, spread: float = 1.0) -> int:
    """Return how many pixels around a tile the rejection of `frames` frames looks at.

    `spread` as for `reject_tile`.
    """
    grow = max(options.grow_low, options.grow_high)
    rule = BEYOND if options.thresholds(frames)[0] in ("noise", "averaged") else 0
    return _reach(spread) + rule + (AROUND + grow if grow else 0) + (streaks.REACH if options.streaks else 0)


def reject_tile(
    planes: Planes,
    weights: npt.NDArray[np.float32],
    options: StackOptions,
    *,
    sums: npt.NDArray[np.float64],
    share: npt.NDArray[np.float32] = NO_SHARE,
    frames: int | None = None,
    numbers: Sequence[int] | npt.NDArray[np.intp] | None = None,
    other: npt.NDArray[np.float64] | None = None,
    lenience: npt.NDArray[np.floating] | None = None,
    marks: Marks | None = None,
    spread: float = 1.0,
) -> TileResult:
    """Return the stack of the samples of a tile, without its rim.

    Parameters
    ----------
    planes
        Values and variance float32, quality uint16 (frame, y, x), `rim_of` pixels wider than the tile on
        every side. A sample is missing where its value is not finite or its variance not positive.
    weights
        Per frame; 0 is missing.
    options
        Rejection and combination.
    sums
        Passed on in the result.
    share
        Factor of the weight of each sample (frame, y, x), 0 is missing; shape (0, 0, 0): 1 everywhere.
    frames
        Frames of the whole stack, by which the rule is chosen; None are those given.
    numbers
        Which of them those given are; None: the first ones.
    other
        Factor and offset (frame, 2) that bring the values to another normalization, in which outliers are
        looked for; None looks in the values as they are. The values given are what is combined.
    lenience
        Per frame, factor of what star cores may deviate (`integrate.seeing`); None is 1.
    marks
        Memory of the caller for the marks of rejected samples, uint8 (frame, y, x), overwritten; None takes
        fresh memory.
    spread
        Pixels of the image per pixel of the frames, 1 at least: on a finer grid the image changes less from
        pixel to pixel, and a sample as much as before.
    """
    n, rows, columns = planes[0].shape
    if frames is None:
        frames = int((weights > 0).sum())
    samples = _Samples(*planes[:2], weights, share)
    if other is not None:
        _change(samples, other[:, 0], other[:, 1])
    if marks is None:
        marks = np.zeros(planes[0].shape, np.uint8)
    else:
        marks.fill(0)
    result = _rejected(samples, marks, options, frames, spread)
    method, below, above = options.thresholds(frames)
    if method not in ("none", "minmax") and options.protect > 0:
        low, high = SIGMAS.get(method, (below, above))
        allowed = np.ones(n) if lenience is None else lenience
        protect(
            *samples.cube, options.protect, np.asarray(allowed, np.float32), low, high,
            options.combine == "median", _reach(spread), *result[:5], marks,
        )  # fmt: skip
    if options.grow_low or options.grow_high or options.streaks:
        touched = np.zeros((rows, columns), np.uint8)
        if options.streaks:
            streaks.mark_streaks(
                *samples.cube, result[0], spread * options.edge, options.streaks, marks, touched
            )
        grow_marks(marks, LOW, options.grow_low, touched)
        grow_marks(marks, HIGH, options.grow_high, touched)
        average_again(*samples.cube, marks, touched, options.combine == "median", *result[:5])
    if other is not None:
        _change(samples, 1 / other[:, 0], -other[:, 1] / other[:, 0])
        average_marked(
            *samples.flat, marks.reshape(n, -1), result[0].ravel(), options.combine == "median",
            *(plane.ravel() for plane in result),
        )  # fmt: skip
    image, variance, coverage, low_count, high_count, present = result
    rim = rim_of(options, frames, spread)
    inner = (slice(rim, rows - rim), slice(rim, columns - rim))
    quality = np.empty(image[inner].shape, np.uint16)
    counts = np.zeros((n, len(CAUSES)), np.int64)
    causes = np.zeros((len(GROUPS) + 1, *quality.shape) if options.maps else (0, 0, 0), np.uint16)
    consensus(
        *planes[:2], np.ascontiguousarray(planes[2]), weights, share, marks, present, rim,
        np.float32(options.flag_share), low_count, high_count, np.float32(options.outlier_share),
        np.uint16(Quality.OUTLIER), MISSING, GROUPS,
        quality, counts, causes,
    )  # fmt: skip
    context = NO_CONTEXT
    if options.context:
        every = (slice(None), *inner)
        known = range(n) if numbers is None else numbers
        context = context_of(planes[0][every], marks[every], known, max(frames, n))
    return TileResult(
        image=image[inner], variance=variance[inner], quality=quality, coverage=coverage[inner],
        rejected_low=low_count[inner], rejected_high=high_count[inner], sums=sums, counts=counts,
        causes=causes, context=context,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Samples:
    """Values, variance and share (frame, y, x) and weight (frame,) of the samples of a tile."""

    values: Floats
    variance: Floats
    weights: Floats
    share: Floats

    @property
    def cube(self) -> tuple[Floats, Floats, Floats, Floats]:
        return self.values, self.variance, self.weights, self.share

    @property
    def flat(self) -> tuple[Floats, Floats, Floats, Floats]:
        n = len(self.values)
        share = self.share.reshape(n, -1) if self.share.size else self.share.reshape(0, 0)
        return self.values.reshape(n, -1), self.variance.reshape(n, -1), self.weights, share


def _change(samples: _Samples, factor: npt.NDArray[np.float64], offset: npt.NDArray[np.float64]) -> None:
    """Write ``value * factor + offset`` per frame in place; the variance takes the factor's square."""
    for i, (a, b) in enumerate(zip(factor, offset, strict=True)):
        samples.values[i] *= np.float32(a)
        samples.values[i] += np.float32(b)
        samples.variance[i] *= np.float32(a * a)


def _rejected(samples: _Samples, marks: Marks, options: StackOptions, frames: int, spread: float) -> Result:
    """Reject by the rule of `options` and average; writes `marks`."""
    shape = samples.values.shape[1:]
    kinds = (np.float32, np.float32, np.float32, np.uint16, np.uint16, np.uint16)
    result: Result = tuple(np.empty(shape, kind) for kind in kinds)
    method, low, high = options.thresholds(frames)
    if method == "noise":
        _by_noise(samples, marks, spread * options.edge, (low, high), options.combine == "median", result)
        return result
    n = len(marks)
    how = MEDIAN if options.combine == "median" else MEAN
    network, out = merge_network(n), (*(plane.ravel() for plane in result), marks.reshape(n, -1))
    if method in METHODS:
        combine(
            *samples.flat, network, METHODS[method], how, low, high, options.max_iterations,
            options.noise_floor, *out,
        )  # fmt: skip
    else:
        sigma = _averaged_noise(samples) if method == "averaged" else NOTHING
        combine_by_rule(
            *samples.flat, network, RULES[method], how, low, high, *SIGMAS.get(method, (low, high)),
            sigma.ravel(), critical_values(n, options.esd_alpha), options.esd_share, options.max_iterations,
            options.noise_floor, *out,
        )  # fmt: skip
    return result


def _by_noise(
    samples: _Samples, marks: Marks, edge: float, kappa: tuple[float, float], median: bool, result: Result
) -> None:
    """Reject by the variance plane and average."""
    n = len(marks)
    base, half = np.empty((2, *marks.shape[1:]), np.float32)
    middle_image(*samples.flat, merge_network(n), base.ravel(), half.ravel())
    second = [SECOND_PASS[1] * k for k in kappa]
    mark_outliers(*samples.cube, base, half, edge, *kappa, SECOND_PASS[0] * edge, *second, marks)
    average_marked(
        *samples.flat, marks.reshape(n, -1), base.ravel(), median, *(plane.ravel() for plane in result)
    )


def _averaged_noise(samples: _Samples) -> Floats:
    """Return the noise of a sample: as stated, times the median ratio of scatter to it among 5 x 5 pixels."""
    from scipy import ndimage

    ratio, noise = np.empty((2, *samples.values.shape[1:]), np.float32)
    scatter_ratio(*samples.flat, merge_network(len(samples.values)), ratio.ravel(), noise.ravel())
    around: Floats = ndimage.median_filter(ratio, size=2 * RIM + 1, mode="nearest")
    sigma: Floats = noise * np.sqrt(around)
    return sigma


@lru_cache(maxsize=64)
def critical_values(n: int, alpha: float) -> npt.NDArray[np.float64]:
    """Return the critical values of the generalized ESD test by the number of samples left, 0 to `n`.

    ``(N - 1) t / sqrt(N (N - 2 + t^2))`` with ``t`` the ``1 - alpha / (2 N)`` quantile of Student's t with
    ``N - 2`` degrees of freedom (Rosner 1983): they depend on the samples left alone. Infinite below three.
    """
    from scipy.special import stdtrit

    left = np.arange(3, n + 1, dtype=np.float64)
    t = stdtrit(left - 2, 1 - alpha / (2 * left))
    out = np.full(n + 1, np.inf)
    out[3:] = (left - 1) * t / np.sqrt(left * (left - 2 + t**2))
    out.setflags(write=False)
    return out
