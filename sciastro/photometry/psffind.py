"""Stars in what is left of an image after all known ones are subtracted."""

import numpy as np
import numpy.typing as npt

from sciastro.core.correlation import weighted_factor
from sciastro.kernels.psfdetect import filter_peaks, matched_filter
from sciastro.photometry.psffit import FitPlane, StarFit, start_fit
from sciastro.photometry.psfmodel import PsfModel

__all__ = ["find_more", "significance"]

Floats = npt.NDArray[np.float64]

LEAST_SHARE = 0.04  # of subtracted light that may be wrong
CLOSE = 0.6  # fwhm: nearer to a known star nothing new is believed


def significance(plane: FitPlane, model: PsfModel, light: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the S/N of a star on every pixel of the residual; `light` is what was subtracted."""
    half = max(1, round(0.9 * model.fwhm))
    template = model.stamp(np.floor(model.field[0]), np.floor(model.field[1]), half)
    out = np.empty_like(plane.residual)
    share = max(LEAST_SHARE, 2 * model.blur)
    matched_filter(plane.residual, plane.variance, light, share, template.astype(np.float32), out)
    out /= np.float32(weighted_factor(plane.autocorrelation, template))
    return out


def find_more(
    plane: FitPlane, model: PsfModel, stars: StarFit, threshold: float, most: int
) -> tuple[StarFit, int]:
    """Return the stars with those that the residual shows at the end, and how many these are."""
    from scipy.spatial import cKDTree

    light = model.render(plane.residual.shape, stars.x, stars.y, stars.flux)
    snr = significance(plane, model, light)
    x, y, s = filter_peaks(snr, threshold, max(most - stars.size, 0))
    good = np.isfinite(stars.x) & np.isfinite(stars.y)
    if x.size and good.any():
        tree = cKDTree(np.column_stack([stars.x[good], stars.y[good]]))
        distance, _ = tree.query(np.column_stack([x, y]))
        keep = distance > CLOSE * model.fwhm
        x, y, s = x[keep], y[keep], s[keep]
    if not x.size:
        return stars, 0
    order = np.argsort(-s)
    new = start_fit(x[order], y[order], found=int(stars.round.max(initial=0)) + 1)
    new.radius[:] = max(1.5, 1.5 * model.fwhm)
    new.reach[:] = np.ceil(new.radius) + 1
    return stars.joined(new), int(x.size)
