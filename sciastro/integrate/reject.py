"""From the samples of a tile to its stack: reject outliers along the frames, average, carry the quality.

Where the image has structure, samples within a share of the local range of the image are put back
(`kernels.protect`): seeing makes star cores vary far beyond the noise, and rejecting them would take
light from stars.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.quality import Quality
from sciastro.integrate.options import StackOptions
from sciastro.kernels.consensus import consensus
from sciastro.kernels.networks import merge_network
from sciastro.kernels.protect import protect
from sciastro.kernels.reduce import MEAN, MEDIAN, METHODS, combine

__all__ = ["NO_SHARE", "RIM", "TileResult", "reject_tile"]

Planes = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.uint16]]

RIM = 2  # pixels of the neighbors that protection of structure looks at
MISSING = np.uint16(Quality.NO_DATA | Quality.DO_NOT_USE)
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
    sums
        float64 (2,): weighted variance of large areas and of single pixels (`noise_correlation`).
    """

    image: npt.NDArray[np.float32]
    variance: npt.NDArray[np.float32]
    quality: npt.NDArray[np.uint16]
    coverage: npt.NDArray[np.float32]
    rejected_low: npt.NDArray[np.uint16]
    rejected_high: npt.NDArray[np.uint16]
    sums: npt.NDArray[np.float64]


def reject_tile(
    planes: Planes,
    weights: npt.NDArray[np.float32],
    options: StackOptions,
    *,
    sums: npt.NDArray[np.float64],
    share: npt.NDArray[np.float32] = NO_SHARE,
    frames: int | None = None,
) -> TileResult:
    """Return the stack of the samples of a tile, without its rim.

    Parameters
    ----------
    planes
        Values and variance float32, quality uint16 (frame, y, x), `RIM` pixels wider than the tile on
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
    """
    n, rows, columns = planes[0].shape
    flat = [plane.reshape(n, rows * columns) for plane in planes]
    shares = share.reshape(n, rows * columns) if share.size else share.reshape(0, 0)
    image, variance, coverage = np.empty((3, rows * columns), np.float32)
    low, high, quality = np.empty((3, rows * columns), np.uint16)
    method, below, above = options.thresholds(int((weights > 0).sum()) if frames is None else frames)
    how = MEDIAN if options.combine == "median" else MEAN
    combine(
        flat[0], flat[1], weights, shares, merge_network(n), METHODS[method], how, below, above,
        options.max_iterations, image, variance, coverage, low, high,
    )  # fmt: skip
    shape = (rows, columns)
    if method in ("winsorized", "sigma") and options.protect > 0:
        protect(
            planes[0], planes[1], weights, share, options.protect, below, above,
            options.combine == "median",
            *(plane.reshape(shape) for plane in (image, variance, coverage, low, high)),
        )  # fmt: skip
    consensus(
        flat[0], flat[2], weights, shares, np.float32(options.flag_share), low, high,
        np.float32(options.outlier_share), np.uint16(Quality.OUTLIER), MISSING, quality,
    )  # fmt: skip
    inner = (slice(RIM, rows - RIM), slice(RIM, columns - RIM))
    return TileResult(
        image=image.reshape(shape)[inner],
        variance=variance.reshape(shape)[inner],
        quality=quality.reshape(shape)[inner],
        coverage=coverage.reshape(shape)[inner],
        rejected_low=low.reshape(shape)[inner],
        rejected_high=high.reshape(shape)[inner],
        sums=sums,
    )
