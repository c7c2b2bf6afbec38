"""What crowding does to PSF photometry beyond what is fit: unseen companions, and shapes that give them away.

A companion that is not told apart gives a star that is fit a part of its light: half of it at 0.71 widths,
more within. Nearer than that both are one source, whose light is that of both; farther out its light is an
error. Where a companion is bright, the shape gives it away (`odd_shapes`); what is left is an error that the
counts of the stars that are seen foretell (`confusion`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import mad_sigma

__all__ = ["CONFUSION", "Fluxes", "confusion", "odd_shapes"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MISSED = 5.0  # sigma: companions of which less than that stands out are not found
COUNTED = (5.0, 20.0)  # over the error of a flux: stars that tell how many companions matter
AROUND = 10.0  # fwhm: of the circle that tells where in the field stars are dense
DENSER = 25.0  # most that a place may differ from the field: the core of a cluster
ODD, BOTH = 2.5, 2.2  # sigma of width or of chi2, and of both together
BRIGHT, FAINT = 50.0, 20.0  # S/N above which errors of the PSF show, and below which nothing is told
SIZE_FLOOR = 0.01  # of the width: stars differ by as much


def _companions() -> float:
    """Return the variance by unseen companions over that of the flux, for one star per fwhm^2 and e-fold.

    A companion of flux f at d widths adds ``f W``, W = exp(-2 ln2 d^2) (the fit of a Gaussian of that width
    to the light of another), of which the fit of flux and place leaves ``f sqrt(1 - W^2 (1 + 4 ln2 d^2))``
    standing. Where W is above a half the two are one source, and ``f (1 - W)`` is what lacks. With as many
    stars in every e-fold of flux, the integral over those of which less than `MISSED` sigma stands is
    ``min(W, 1 - W)^2 MISSED^2 / (2 (1 - W^2 (1 + 4 ln2 d^2)))``, and that is taken over the field.
    """
    d = np.linspace(0.05, 2.5, 500)
    weight = np.exp(-2 * np.log(2) * d**2)
    standing = 1 - weight**2 * (1 + 4 * np.log(2) * d**2)
    ring = 2 * np.pi * d * np.minimum(weight, 1 - weight) ** 2 * MISSED**2 / (2 * standing)
    return float(np.sum(0.5 * (ring[1:] + ring[:-1]) * np.diff(d)))


CONFUSION = _companions()


@dataclass(frozen=True, slots=True)
class Fluxes:
    """Places [pixel], fluxes and their errors of stars, (star,); NaN where unknown."""

    x: Floats
    y: Floats
    flux: Floats
    err: Floats

    def known(self) -> npt.NDArray[np.intp]:
        """Return the rows that are whole."""
        finite = np.isfinite(self.x) & np.isfinite(self.y) & np.isfinite(self.flux) & np.isfinite(self.err)
        return np.flatnonzero(finite & (self.err > 0))


def confusion(stars: Fluxes, fwhm: float, shape: tuple[int, int], *, among: Fluxes | None = None) -> Floats:
    """Return the error of each flux by companions that are not seen, in its unit; 0 where nothing is known.

    Parameters
    ----------
    stars
        Whose errors are asked for.
    fwhm
        Of a star [pixel].
    shape
        Rows and columns of the image.
    among
        All stars of the image, by which companions are foretold; None takes `stars`.
    """
    from scipy.spatial import cKDTree

    among = stars if among is None else among
    out = np.zeros(stars.x.size)
    good, seen = stars.known(), among.known()
    seen = seen[among.flux[seen] > COUNTED[0] * among.err[seen]]
    if seen.size < 2:
        return out
    x, y, err = stars.x[good], stars.y[good], stars.err[good]
    area = shape[0] * shape[1] / fwhm**2
    ladder = np.sort(among.flux[seen])
    low, high = (np.searchsorted(ladder, factor * err) for factor in COUNTED)
    per_fold = (high - low) / (np.log(COUNTED[1] / COUNTED[0]) * area)
    tree = cKDTree(np.column_stack([among.x[seen], among.y[seen]]))
    reach = AROUND * fwhm
    near = tree.query_ball_point(np.column_stack([x, y]), reach, return_length=True)
    expected = seen.size * _overlap(x, y, reach, shape) / (shape[0] * shape[1])
    here = np.clip((near + 1.0) / (expected + 1.0), 1 / DENSER, DENSER)
    out[good] = err * np.sqrt(CONFUSION * per_fold * here)
    return out


def _overlap(x: Floats, y: Floats, reach: float, shape: tuple[int, int]) -> Floats:
    """Return the area of the circles about x, y that is on the image, as of the square of the same area."""
    half = 0.5 * np.sqrt(np.pi) * reach
    across = np.minimum(x + half, shape[1] - 0.5) - np.maximum(x - half, -0.5)
    down = np.minimum(y + half, shape[0] - 0.5) - np.maximum(y - half, -0.5)
    return np.asarray(np.maximum(across, 1.0) * np.maximum(down, 1.0))


def odd_shapes(snr: Floats, columns: dict[str, Floats], sound: Flags) -> Flags:
    """Return which stars are wider than the others, or fit worse, or both, beyond what noise does.

    Both are judged against the image's own stars: their median, and what of their scatter the noise does not
    explain (an imperfect PSF shows in bright stars).

    Parameters
    ----------
    snr
        Flux over its error, (star,).
    columns
        Of `psffit.errors_of`.
    sound
        Stars that may set the standard.
    """
    width, width_err = columns["sharpness"], columns["sharpness_err"]
    with np.errstate(invalid="ignore", divide="ignore"):
        told = np.isfinite(width) & (width_err > 0) & np.isfinite(columns["chi2"]) & (snr > 0)
        excess = np.log(np.maximum(columns["chi2"], 1e-6))
        noise = np.sqrt(2 / np.maximum(columns["n_pixels"] - 3, 1))
    odd = np.zeros(snr.size, bool)
    for some in (told & (snr < BRIGHT), told & (snr >= BRIGHT)):
        standard = some & sound & (snr > FAINT / 2)
        if standard.sum() < 10:
            standard = some
        if not standard.any():
            continue
        wide, poor = (
            _deviation(snr, value, err, standard, floor)
            for value, err, floor in ((width, width_err, SIZE_FLOOR), (excess, noise, 0.0))
        )
        with np.errstate(invalid="ignore"):
            odd |= some & (
                (wide > ODD) | (poor > ODD) | (wide + poor > np.sqrt(2) * BOTH) | (wide < -2 * ODD)
            )
    return odd & told


def _deviation(snr: Floats, value: Floats, err: Floats, standard: Flags, floor: float) -> Floats:
    """Return how many sigma each value is off the standard stars of its S/N."""
    off = value - _trend(snr, value, standard)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(off / np.hypot(err, _excess(off, err, standard, floor)))


def _trend(snr: Floats, value: Floats, standard: Flags) -> Floats:
    """Return the running median of the standard stars along S/N: up to six classes, lines between them."""
    order = np.flatnonzero(standard)[np.argsort(snr[standard])]
    parts = np.array_split(order, int(np.clip(order.size // 30, 1, 6)))
    at = np.array([np.median(np.log(snr[part])) for part in parts])
    level = np.array([np.median(value[part]) for part in parts])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.interp(np.log(np.maximum(np.nan_to_num(snr), 1e-3)), at, level))


def _excess(value: Floats, err: Floats, standard: Flags, floor: float) -> float:
    """Return the scatter of the standard stars that their errors do not explain."""
    low, high = floor, max(floor, 2.0)
    if mad_sigma(value[standard] / np.hypot(err[standard], floor), 0.0) <= 1:
        return floor
    for _ in range(40):
        middle = 0.5 * (low + high)
        wide = mad_sigma(value[standard] / np.hypot(err[standard], middle), 0.0) > 1
        low, high = (middle, high) if wide else (low, middle)
    return 0.5 * (low + high)
