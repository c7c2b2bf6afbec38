"""A zero point that differs over the field: Legendre polynomials of position, of the degree that holds.

The degree is found by cross-validation: stars are left out in ten parts, predicted by the fit of the others,
and a higher degree is taken only where its predictions are better by more than the standard error of the
gain. Every polynomial has the mean 0 over the stars, so the zero point stays that of their mean.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sciastro.photometry.robust import fit_linear

__all__ = ["MOST", "PARTS", "STARS_PER_TERM", "Field", "better_of", "degree_of_field", "field_of"]

Floats = npt.NDArray[np.float64]

PARTS = 10  # into which the stars are split to predict those left out
STARS_PER_TERM = 8  # stars per number of the fit; below, no higher degree is tried
MOST = 3  # highest degree
_PROOF = 1.0  # standard errors by which a higher degree must predict better
_LARGEST = 9.0  # square of a normalized residual beyond which a star tells no more (3 sigma)


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """Where the stars are.

    Attributes
    ----------
    center, half
        Middle and half sizes of the image [pixel].
    low, high
        Range of the scaled positions that stars cover; beyond, the value at the border counts.
    means
        Of each term over the stars, taken off; empty before they are known.
    """

    center: tuple[float, float]
    half: tuple[float, float]
    low: tuple[float, float]
    high: tuple[float, float]
    means: tuple[float, ...] = ()

    def terms(self, x: npt.ArrayLike, y: npt.ArrayLike, degree: int) -> Floats:
        """Return ``P_i(u) P_j(v)``, 0 < i + j <= degree, (position, term); NaN positions give NaN."""
        u, v = (
            np.clip((np.asarray(at, dtype=np.float64) - middle) / half, low, high)
            for at, middle, half, low, high in zip(
                (x, y), self.center, self.half, self.low, self.high, strict=True
            )
        )
        columns = [np.empty((u.size, 0))]
        for i, j in powers(degree):
            of_u, of_v = (
                np.polynomial.legendre.legval(at.ravel(), np.eye(degree + 1)[k]) for at, k in ((u, i), (v, j))
            )
            columns.append((of_u * of_v)[:, None])
        found = np.concatenate(columns, axis=1)
        return found - np.array(self.means[: found.shape[1]]) if self.means else found


def powers(degree: int) -> list[tuple[int, int]]:
    """Return the pairs (i, j) of the terms, in their order."""
    return [(total - j, j) for total in range(1, degree + 1) for j in range(total + 1)]


def field_of(x: npt.ArrayLike, y: npt.ArrayLike, shape: tuple[int, int] | None = None) -> Field:
    """Return the field of stars at (x, y) [pixel], on an image of `shape` (rows, columns) where known."""
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if shape is not None:
        ends = [(0.0, shape[1] - 1.0), (0.0, shape[0] - 1.0)]
    else:
        ends = [(float(np.nanmin(at)), float(np.nanmax(at))) for at in (xs, ys)]
    center = ((ends[0][0] + ends[0][1]) / 2, (ends[1][0] + ends[1][1]) / 2)
    half = (max((ends[0][1] - ends[0][0]) / 2, 1.0), max((ends[1][1] - ends[1][0]) / 2, 1.0))
    scaled = [(at - c) / h for at, c, h in zip((xs, ys), center, half, strict=True)]
    low, high = (
        (float(np.nanmin(scaled[0])), float(np.nanmin(scaled[1]))),
        (
            float(np.nanmax(scaled[0])),
            float(np.nanmax(scaled[1])),
        ),
    )
    plain = Field(center=center, half=half, low=low, high=high)
    return replace(plain, means=tuple(float(mean) for mean in np.nanmean(plain.terms(xs, ys, MOST), axis=0)))


def degree_of_field(
    design: Floats, terms: Floats, y: Floats, err: Floats, *, most: int, kappa: float, seed: int = 1
) -> tuple[int, str]:
    """Return the degree that predicts left-out stars best, and why.

    Parameters
    ----------
    design
        (star, term) of the model without field terms.
    terms
        (star, field term) of degree `most`.
    y, err
        (star,) data and standard errors.
    most
        Highest degree that may be tried.
    kappa
        Clipping threshold of the fits.
    seed
        Of the division into parts.
    """
    n = len(y)
    counts = [len(powers(degree)) for degree in range(most + 1)]
    allowed = [d for d in range(most + 1) if n >= STARS_PER_TERM * (design.shape[1] + counts[d])]
    if len(allowed) < 2:
        return 0, f"{n} stars cannot show how the zero point changes over the field"
    full = np.column_stack([design, terms[:, : counts[allowed[-1]]]])
    models = [full[:, : design.shape[1] + counts[d]] for d in allowed]
    best, worth, _ = better_of(models, y, err, kappa=kappa, seed=seed)
    if best == 0:
        return 0, "the zero point is the same over the field, as far as left-out stars show"
    return (
        allowed[best],
        f"left-out stars are predicted {100 * worth:.0f} % better (chi-square, {PARTS} parts)",
    )


def better_of(
    models: list[Floats], y: Floats, err: Floats, *, kappa: float, seed: int = 1
) -> tuple[int, float, Floats]:
    """Return which model predicts left-out samples best, a larger one only by more than the gain's error.

    Parameters
    ----------
    models
        Designs (sample, term), each with the terms of the one before and more.
    y, err
        (sample,) data and standard errors.
    kappa
        Clipping threshold of the fits.
    seed
        Of the division into parts.

    Returns
    -------
    best, worth, losses
        Its number, the share of the first model's loss that it saves, and the squared normalized residuals
        of left-out samples (model, sample).
    """
    n = len(y)
    part = np.random.default_rng(seed).permutation(n) % PARTS
    fit = fit_linear(models[-1], y, err, kappa=kappa)  # its outliers do not teach, and its scatter weighs
    variance = err**2 + fit.scatter**2 + 1e-12
    losses = np.array([_left_out(model, y, variance, part, fit.used) for model in models])
    best = 0
    for k in range(1, len(models)):
        gain = losses[best] - losses[k]
        if float(gain.mean()) > _PROOF * float(np.std(gain, ddof=1)) / np.sqrt(n):
            best = k
    return best, float(1 - losses[best].sum() / losses[0].sum()), losses


def _left_out(
    design: Floats, y: Floats, variance: Floats, part: npt.NDArray[np.int64], sound: npt.NDArray[np.bool_]
) -> Floats:
    """Return the squared normalized residual of every star, predicted by the sound stars of other parts."""
    scaled, target = design / np.sqrt(variance)[:, None], y / np.sqrt(variance)
    loss = np.empty(len(y))
    for k in range(PARTS):
        out, teach = part == k, (part != k) & sound
        coefficients = np.linalg.lstsq(scaled[teach], target[teach], rcond=None)[0]
        loss[out] = (target[out] - scaled[out] @ coefficients) ** 2
    return np.minimum(loss, _LARGEST)
