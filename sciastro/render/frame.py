"""The part of the sky a picture shows: cropping the thinly covered border, filling what is missing."""

import numpy as np
import numpy.typing as npt

__all__ = ["covered", "crop_box", "fill_missing"]

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def covered(planes: Plane, coverage: npt.NDArray[np.floating] | None, share: float) -> Mask:
    """Return where every band has data and at least `share` of its typical coverage.

    Parameters
    ----------
    planes
        (band, y, x); NaN is missing.
    coverage
        Effective number of frames (band, y, x); None asks for data only.
    share
        Of the 90th percentile of the coverage of a band, 0 to 1.
    """
    good = np.isfinite(planes).all(axis=0)
    if coverage is None:
        return np.asarray(good)
    for depth in coverage:
        positive = depth[depth > 0]
        if positive.size:
            good &= depth >= share * float(np.percentile(positive[:: max(1, positive.size // 100_000)], 90))
    return np.asarray(good)


def crop_box(good: Mask, fraction: float) -> tuple[slice, slice]:
    """Return the rows and columns that remain when thinly covered borders are cut away.

    As long as one of the four border lines has less than `fraction` of its pixels covered, the worst of the
    four is dropped. Keeps everything where no part of the image is covered that well.

    Parameters
    ----------
    good
        (y, x), whether a pixel is well covered.
    fraction
        0 keeps the whole image.
    """
    height, width = good.shape
    if not good.any() or fraction <= 0:
        return slice(0, height), slice(0, width)
    # summed-area table: the cover of any line of any box in four look-ups
    table = np.zeros((height + 1, width + 1), np.int64)
    table[1:, 1:] = good.astype(np.int32).cumsum(axis=0).cumsum(axis=1)

    def count(y0: int, y1: int, x0: int, x1: int) -> int:
        return int(table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0])

    y0, y1, x0, x1 = 0, height, 0, width
    while y1 - y0 > 1 and x1 - x0 > 1:
        tall, wide = y1 - y0, x1 - x0
        shares = (
            count(y0, y0 + 1, x0, x1) / wide,
            count(y1 - 1, y1, x0, x1) / wide,
            count(y0, y1, x0, x0 + 1) / tall,
            count(y0, y1, x1 - 1, x1) / tall,
        )
        worst = int(np.argmin(shares))
        if shares[worst] >= fraction:
            return slice(y0, y1), slice(x0, x1)
        y0, y1 = y0 + (worst == 0), y1 - (worst == 1)
        x0, x1 = x0 + (worst == 2), x1 - (worst == 3)
    return slice(0, height), slice(0, width)


def fill_missing(plane: Plane, level: float) -> Plane:
    """Return `plane` with missing pixels filled from their neighborhood, fading to `level` far from data.

    A pyramid of normalized block means: small holes take the mean of what surrounds them, large ones
    end in `level`. For display only.

    Parameters
    ----------
    plane
        (y, x); NaN is missing. Returned as it is where nothing is.
    level
        Value far from any data, usually the sky.
    """
    missing = ~np.isfinite(plane)
    if not missing.any():
        return plane
    if missing.all():
        return np.full_like(plane, level)
    from scipy import ndimage

    out = np.where(missing, np.float32(level), plane).astype(np.float32)
    weight = (~missing).astype(np.float32)
    holes = missing.copy()
    for sigma in (1.5, 6.0, 24.0):
        share = ndimage.gaussian_filter(weight, sigma, mode="nearest", truncate=3.0)
        total = ndimage.gaussian_filter(
            np.where(missing, np.float32(0), plane), sigma, mode="nearest", truncate=3.0
        )
        near = holes & (share > 0.05)
        out[near] = total[near] / share[near]
        holes &= ~near
        if not holes.any():
            break
    return out
