"""The noise model of a master, learned from differences of its frames."""

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.sampling import pair_variance

__all__ = ["noise_model"]

Floats = npt.NDArray[np.float32]


def noise_model(
    values: Floats,
    scale: npt.NDArray[np.float64],
    level: float,
    kind: str,
    gain: float,
    read_noise: float,
    workers: int = 1,
) -> tuple[float, float, float]:
    """Return read [adu2], shot [adu] and the noise [adu] of one raw sample at the level, from frame pairs.

    The variance of a raw sample is modeled as read + shot * level, the level counted from the median of a
    bias or dark, from what is subtracted of a flat.

    Parameters
    ----------
    values
        (frame, y, x) sampled pixels [adu], what is subtracted taken off.
    scale
        (frame,) normalization.
    level
        Mean level of the frames [adu].
    kind
        "flat", "bias", or anything else for darks.
    gain, read_noise
        [electron / adu], [electron]; NaN unknown: learned from the frames.
    workers
        Threads.
    """
    variance, squares, sums = pair_variance(values, scale, workers)
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
