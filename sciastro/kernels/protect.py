"""Give rejected samples back where the image has structure: star cores must not lose light.

Seeing and sub-pixel shifts change star profiles from frame to frame by much more than the noise, so
that a rule that knows only the samples of one pixel takes a good frame for an outlier. Next to a
star the neighbors tell: a deviation that is small against the change of the image from pixel to
pixel is no outlier. This is the gradient term of drizzle's cosmic-ray test, with the range of the
neighborhood in place of the gradient, which vanishes on top of a star.
"""

import numpy as np

from sciastro.kernels.jit import njit
from sciastro.kernels.order import median
from sciastro.kernels.samples import (
    HIGH,
    LOW,
    median_factor,
)

__all__ = ["protect"]

F0, F1 = np.float32(0.0), np.float32(1.0)


@njit(nogil=True, cache=True, error_model="numpy")
def protect(
    values,
    variance,
    weight,
    share,
    slack_share,
    lenience,
    kappa_low,
    kappa_high,
    use_median,
    reach,
    image,
    image_variance,
    coverage,
    rejected_low,
    rejected_high,
    marks,
):
    """Combine again where samples were rejected on structure, by a rule that knows of the structure.

    A sample x of variance V is kept when ``-(slack + kappa_low sqrt(V)) <= x - image <= slack +
    kappa_high sqrt(V)``; slack is `slack_share` times the range of `image` within `reach` pixels, for each
    frame times its `lenience`.
    Only pixels with a rejected sample, and with a slack above three sigma of a typical sample, are
    touched.

    Parameters
    ----------
    values, variance : float32[frame, y, x]
        Samples; NaN, or a variance that is not positive, is missing.
    weight : float32[frame]
        Frame weights; 0 is missing.
    share : float32[frame, y, x]
        Factor of the weight of a sample, 0 is missing; shape (0, 0, 0): 1 everywhere.
    slack_share, kappa_low, kappa_high : float
        See above.
    lenience : float32[frame]
        See above; 1 for frames whose stars are about as wide as those of the image.
    use_median : bool
        Median of the kept samples instead of their weighted mean.
    reach : int
        Pixels along each axis; 2 (5 x 5 pixels) where the image has the pixels of the frames.
    image, image_variance, coverage : float32[y, x]
    rejected_low, rejected_high : uint16[y, x]
        Results of `reduce.combine`; updated.
    marks : uint8[frame, y, x] or uint8[0, 0, 0]
        `LOW` or `HIGH` of rejected samples; updated.
    """
    n, height, width = values.shape
    before, shared, marking = image.copy(), share.size > 0, marks.size > 0
    kept = np.empty(n, np.float32)
    for y in range(height):
        for x in range(width):
            if rejected_low[y, x] == 0 and rejected_high[y, x] == 0:
                continue
            lowest, highest = np.float32(np.inf), np.float32(-np.inf)
            for j in range(max(y - reach, 0), min(y + reach + 1, height)):
                for i in range(max(x - reach, 0), min(x + reach + 1, width)):
                    if before[j, i] < lowest:
                        lowest = before[j, i]
                    if before[j, i] > highest:
                        highest = before[j, i]
            slack = slack_share * (highest - lowest)
            if not slack > 3.0 * np.sqrt(image_variance[y, x] * coverage[y, x]):
                continue
            center = before[y, x]
            total, norm, square, noise = 0.0, 0.0, 0.0, 0.0
            low, high, count = 0, 0, np.int64(0)
            for f in range(n):
                v, s = values[f, y, x], variance[f, y, x]
                part = share[f, y, x] if shared else F1
                if marking:
                    marks[f, y, x] = 0
                if not (weight[f] > F0 and s > F0 and abs(v) < np.inf and part > F0):
                    continue
                d, room = v - center, slack * lenience[f]
                if d < -(room + kappa_low * np.sqrt(s)):
                    low += 1
                    if marking:
                        marks[f, y, x] = LOW
                elif d > room + kappa_high * np.sqrt(s):
                    high += 1
                    if marking:
                        marks[f, y, x] = HIGH
                else:
                    w = 1.0 if use_median else weight[f] * part
                    kept[count] = v
                    count += 1
                    total += w * d
                    norm += w
                    square += w * w
                    noise += w * w * s
            if count == 0:
                continue
            image[y, x] = center + total / norm
            image_variance[y, x] = noise / (norm * norm)
            coverage[y, x] = norm * norm / square
            rejected_low[y, x], rejected_high[y, x] = low, high
            if use_median:
                image[y, x] = median(kept, count)
                image_variance[y, x] *= median_factor(count)
