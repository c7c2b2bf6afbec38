"""Saturated stars: many peaks on one plateau are one star."""

import numpy as np
import numpy.typing as npt

from sciastro.core.quality import Quality
from sciastro.kernels.detect import list_flagged
from sciastro.measure.profile import FWHM_PER_SIGMA

__all__ = ["merge_saturated"]

Floats = npt.NDArray[np.float64]

MOST = 300_000  # saturated pixels that are looked at


def merge_saturated(
    quality: npt.NDArray[np.uint16], x: npt.NDArray[np.int32], y: npt.NDArray[np.int32], fwhm: float
) -> tuple[Floats, Floats, Floats]:
    """Replace all peaks on one saturated star by one at the middle of its saturated pixels.

    Parameters
    ----------
    quality
        Bits (y, x), or uint16[1, 1] for none.
    x, y
        Peaks [pixel].
    fwhm
        Of stars [pixel].

    Returns
    -------
    x, y, width
        float64 starts, and the least window width (sigma, pixel) of each; 0 for unsaturated ones.
    """
    xs, ys, least = x.astype(np.float64), y.astype(np.float64), np.zeros(x.size)
    if quality.shape[0] <= 1 or not x.size:
        return xs, ys, least
    rows, columns = _flagged(quality, int(Quality.SATURATED))
    if not rows.size:
        return xs, ys, least
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    points = np.column_stack([columns, rows]).astype(np.float64)
    links = cKDTree(points).query_pairs(1.5, output_type="ndarray")
    graph = coo_array(
        (np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), shape=(len(points), len(points))
    )
    n_blobs, label = connected_components(graph, directed=False)
    count = np.bincount(label, minlength=n_blobs)
    middle = np.column_stack([np.bincount(label, points[:, i]) / count for i in (0, 1)])
    distance, nearest = cKDTree(points).query(np.column_stack([xs, ys]))
    touched = distance <= max(2.0, 0.8 * fwhm)
    blobs = np.unique(label[nearest[touched]])
    sigma = fwhm / FWHM_PER_SIGMA
    width = np.sqrt(sigma**2 + 0.5 * count[blobs] / np.pi)
    return (
        np.concatenate([xs[~touched], middle[blobs, 0]]),
        np.concatenate([ys[~touched], middle[blobs, 1]]),
        np.concatenate([least[~touched], width]),
    )


def _flagged(quality: npt.NDArray[np.uint16], bit: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return rows and columns of pixels with `bit`, at most `MOST` of them."""
    rows, columns = np.empty((2, MOST), np.int64)
    count = list_flagged(quality, np.uint16(bit), rows, columns)
    return rows[:count], columns[:count]
