"""A 3 x 3 matrix from a camera's balanced colors to sRGB, taken only where left-out stars prefer it.

Target: the linear sRGB of each star's spectrum (CIE 1931 color matching functions in the analytic form of
Wyman, Sloan & Shirley 2013, J. Comput. Graph. Tech. 2(2), 1; sRGB primaries of IEC 61966-2-1), scaled so that
the white reference is (1, 1, 1). Rows of the matrix sum to 1, so that white and the gray of the sky stay.
Stars lie on a line of colors: the six free numbers are held near 0 by a ridge, and nebulae, which stars do
not teach, are left to it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.photometry.locus import WAVELENGTHS

__all__ = ["ColorMatrix", "solve_matrix", "srgb_of"]

Floats = npt.NDArray[np.float64]

RIDGES = (0.03, 0.1, 0.3)  # sigma of a number of the matrix that the prior allows
NOISE = 0.02  # of colors of single stars
FOLDS = 6  # groups left out in turn, each over the whole range of colors
FEWEST = 30  # stars; with fewer there is no matrix
# From XYZ (D65) to linear sRGB, IEC 61966-2-1.
_TO_SRGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorMatrix:
    """Result of `solve_matrix`.

    Attributes
    ----------
    matrix
        3 x 3, rows sum to 1; None where left-out stars do not prefer it to none.
    before, after
        rms of the colors of left-out stars against sRGB [mag], without and with it.
    """

    matrix: tuple[tuple[float, ...], ...] | None
    before: float
    after: float


def _lobe(wavelength: Floats, center: float, left: float, right: float) -> Floats:
    width = np.where(wavelength < center, left, right)
    return np.asarray(np.exp(-0.5 * ((wavelength - center) / width) ** 2))


def srgb_of(photons: Floats, white: Floats) -> Floats:
    """Return linear sRGB of spectra (star, wavelength) in photons, (star, 3); `white` becomes 1, 1, 1."""
    w = np.asarray(WAVELENGTHS)
    x = 1.056 * _lobe(w, 599.8, 37.9, 31.0) + 0.362 * _lobe(w, 442.0, 16.0, 26.7)
    x -= 0.065 * _lobe(w, 501.1, 20.4, 26.2)
    y = 0.821 * _lobe(w, 568.8, 46.9, 40.5) + 0.286 * _lobe(w, 530.9, 16.3, 31.1)
    z = 1.217 * _lobe(w, 437.0, 11.8, 36.0) + 0.681 * _lobe(w, 459.0, 26.0, 13.8)
    weights = (_TO_SRGB @ np.stack([x, y, z])) / w  # energy per photon falls as 1 / wavelength
    return np.asarray((photons @ weights.T) / (weights @ white))


def _design(colors: Floats) -> Floats:
    """Return (star, 3, 6): what each row's two free numbers add to its channel."""
    out = np.zeros((len(colors), 3, 6))
    for row in range(3):
        first, second = (k for k in range(3) if k != row)
        out[:, row, 2 * row] = colors[:, first] - colors[:, row]
        out[:, row, 2 * row + 1] = colors[:, second] - colors[:, row]
    return out


def _fit(colors: Floats, target: Floats, ridge: float) -> Floats:
    design, left = _design(colors), target - colors
    normal = np.einsum("imp,imq->pq", design, design) / NOISE**2 + np.eye(6) / ridge**2
    part = np.linalg.solve(normal, np.einsum("imp,im->p", design, left) / NOISE**2)
    matrix = np.eye(3)
    for row in range(3):
        first, second = (k for k in range(3) if k != row)
        matrix[row, first], matrix[row, second] = part[2 * row], part[2 * row + 1]
        matrix[row, row] -= part[2 * row] + part[2 * row + 1]
    return matrix


def _off(colors: Floats, target: Floats) -> Floats:
    """Return errors of R - G and B - G [mag], (star, 2)."""
    safe = np.maximum(colors, 1e-3)
    log = -2.5 * np.log10(safe / np.maximum(target, 1e-3))
    return np.asarray(log[:, [0, 2]] - log[:, [1]])


def solve_matrix(flux: Floats, gains: Floats, target: Floats) -> ColorMatrix | None:
    """Return the matrix that brings balanced fluxes to `target`; None with fewer than 30 stars.

    Parameters
    ----------
    flux
        (star, 3) [electron / s], positive.
    gains
        (3,).
    target
        (star, 3), from `srgb_of`.
    """
    colors = flux * gains
    colors = 3 * colors / colors.sum(axis=1, keepdims=True)
    target = 3 * target / target.sum(axis=1, keepdims=True)
    n = len(colors)
    if n < FEWEST:
        return None
    fold = np.empty(n, np.int64)
    fold[np.argsort(colors[:, 2] - colors[:, 0], kind="stable")] = np.arange(n) % FOLDS
    losses = {0.0: np.minimum((_off(colors, target) ** 2).sum(axis=1), 0.25)}
    for ridge in RIDGES:
        off = np.empty((n, 2))
        for k in range(FOLDS):
            matrix = _fit(colors[fold != k], target[fold != k], ridge)
            off[fold == k] = _off(colors[fold == k] @ matrix.T, target[fold == k])
        losses[ridge] = np.minimum((off**2).sum(axis=1), 0.25)
    best = min(RIDGES, key=lambda ridge: float(losses[ridge].mean()))
    gain = losses[0.0] - losses[best]
    better = gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(n)
    before, after = (float(np.sqrt(losses[key].mean() / 2)) for key in (0.0, best))
    rows = tuple(tuple(float(v) for v in row) for row in _fit(colors, target, best)) if better else None
    return ColorMatrix(matrix=rows, before=before, after=after)
