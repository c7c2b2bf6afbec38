"""A quadratic over the field whose terms are only as large as the stars prove.

Model: ``y = c + t . q(u, v) + noise``, with q the radial term ``u2 + v2``, the tilts ``u``, ``v`` and the
saddles ``u2 - v2``, ``uv``, all with the mean 0 over the stars. Noise has the errors of the stars, a scatter
that is the same for all of them, and one that falls with their light as what faint neighbors add does. Terms
are drawn about 0 with a width that is not known: none, the radial one alone or all, with each of `WIDTHS`,
and each pair of scatters are weighed by how probable they make the data (marginal likelihood of a linear
Gaussian model, flat in ``c``), and the mean over all of them is the answer. No choice is made that one star
could tip, and what the choice leaves open is in the covariance.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import mad_sigma
from sciastro.photometry.onesided import one_sided_middle
from sciastro.photometry.robust import threshold

__all__ = ["FieldShape", "shrunken_quadratic", "terms_of"]

Floats = npt.NDArray[np.float64]

# Of a term over half the diagonal, relative to the constant: stars 35 % longer in corners have 0.08 to 0.12.
WIDTHS = (0.01, 0.03, 0.1)
_SCATTERS = np.concatenate([[0.0], np.geomspace(1e-3, 0.3, 12)])  # relative to the constant
_FOREIGN = np.concatenate([[0.0], np.geomspace(1e-3, 0.5, 9)])  # the same, of a star of median light
_EVERY: tuple[int, ...] = (0, 1, 2, 3, 4)
# Terms that may differ from 0, and how likely beforehand. It hardly matters: with 0.33 each, or 0.9 for none,
# fields of round stars are the same within 0.002 %, corners of stars 35 % longer within 0.03 %.
_GROUPS = (((), 0.6), ((0,), 0.2), (_EVERY, 0.2))
_ROUNDS = 10  # of weighing stars by their residuals, at most
_ABOVE = 8.0  # sigma up to which additions are told; at 4 fluxes of crowds are 0.04 % high, at 8 within 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldShape:
    """Result of `shrunken_quadratic`.

    Attributes
    ----------
    coefficients
        (6,) of 1, u, v, u2, uv, v2, in the unit of the data.
    mean, err
        Mean of the fit over the stars, and its standard error.
    scatter
        Scatter that is the same for all stars, beyond their errors and beyond what falls with their light,
        relative to `mean` (mean over what the data leave open; its mean square is infinite for three stars).
    used
        (star,) True for those that passed the clip.
    even
        Probability that the field has no shape.
    covariance, middle
        (5, 5) of the terms `terms_of`, relative to `mean`, and (5,) their means over the stars: how well the
        shape is known, about where `mean` holds.
    """

    coefficients: Floats
    mean: float
    err: float
    scatter: float
    used: npt.NDArray[np.bool_]
    even: float
    covariance: Floats
    middle: Floats


@dataclass(frozen=True, slots=True)
class _Average:
    """Mean over all models of the terms; covariance of all but the constant; its error.

    Then both variances, the first scatter, and the share of models without terms.
    """

    mean: Floats
    covariance: Floats
    err: float
    variance: Floats
    scatter: float
    even: float


def shrunken_quadratic(
    u: Floats, v: Floats, y: Floats, err: Floats, light: Floats, *, even: bool = False, kappa: float = 2.5,
    additions: bool = False,
) -> FieldShape:  # fmt: skip
    """Fit positive data over the field.

    Parameters
    ----------
    u, v
        (star,) position from the center, in half diagonals of the image.
    y, err
        (star,) data and standard errors, finite; at least three stars.
    light
        (star,) flux, positive: what neighbors add to `y` falls with it.
    even
        Whether only the constant is fitted.
    kappa
        Stars beyond `kappa` times their error and scatters are left out, wider for few. What neighbors add
        lies on one side: at 3 the fluxes of crowded fields are 0.16 % high, at 2.5 0.09 %.
    additions
        Whether the constant is that of stars to which nothing was added (`onesided`); stars up to `_ABOVE`
        then take part.
    """
    kappa = threshold(kappa, len(y) - 1)
    faintness = float(np.median(light)) / light
    design = terms_of(u, v)
    scale = abs(float(np.median(y)))
    off = y / scale - np.sign(float(np.median(y)))
    mad = mad_sigma(off, 0.0)
    used = np.abs(off) <= kappa * np.sqrt((err / scale) ** 2 + mad**2)
    for _ in range(_ROUNDS):
        means = design[used].mean(axis=0)
        found = _averaged(design[used] - means, off[used], err[used] / scale, faintness[used], even)
        rest = off - found.mean[0] - (design - means) @ found.mean[1:]
        again = np.abs(rest) <= kappa * np.sqrt((err / scale) ** 2 + _scatter2(found, faintness))
        if again.sum() < 3 or np.array_equal(again, used):
            break
        used = again
    radial, tilt_u, tilt_v, saddle, cross = scale * found.mean[1:]
    mean, mean_err = scale * (found.mean[0] + np.sign(float(np.median(y)))), scale * found.err
    if additions:
        rest = off - found.mean[0] - (design - means) @ found.mean[1:]
        size = rest / np.sqrt((err / scale) ** 2 + _scatter2(found, faintness))
        some = (size > -kappa) & (size < max(_ABOVE, kappa))
        own, foreign = np.sqrt(found.variance)
        middle = one_sided_middle(
            rest[some], err[some] / scale, faintness[some], (float(own), float(foreign)), found.err
        )
        mean, mean_err = mean + scale * middle.mean, scale * middle.err
    return FieldShape(
        covariance=found.covariance * (scale / mean) ** 2, middle=means,
        coefficients=np.array(
            [mean - scale * float(means @ found.mean[1:]), tilt_u, tilt_v, radial + saddle, cross,
             radial - saddle]
        ),
        mean=float(mean), err=float(mean_err), scatter=found.scatter * scale / abs(mean),
        used=used, even=found.even,
    )  # fmt: skip


def terms_of(u: Floats, v: Floats) -> Floats:
    """Return the radial term, tilts and saddles (position, 5) at positions in half diagonals."""
    return np.stack([u * u + v * v, u, v, u * u - v * v, u * v], axis=-1)


def _scatter2(found: _Average, faintness: Floats) -> Floats:
    return np.asarray(found.variance[0] + found.variance[1] * faintness**2 + 1e-12)


def _averaged(design: Floats, y: Floats, err: Floats, faintness: Floats, even: bool) -> _Average:
    full = np.column_stack([np.ones(len(y)), design])
    own, foreign = (grid.ravel() ** 2 for grid in np.meshgrid(_SCATTERS, _FOREIGN))
    weight = 1 / (err**2 + own[:, None] + foreign[:, None] * faintness**2 + 1e-12)  # (scatters, star)
    normal = np.einsum("ks,si,sj->kij", weight, full, full)
    right = np.einsum("ks,si,s->ki", weight, full, y)
    base = 0.5 * (np.log(weight).sum(axis=1) - weight @ y**2)
    logs, means, spreads, none = [], [], [], []
    for group, prior in _GROUPS[:1] if even else _GROUPS:
        at = np.array([0, *(1 + k for k in group)])
        for width in WIDTHS if group else (1.0,):
            inner = normal[:, at[:, None], at] + np.diag([0.0, *(width**-2.0 for _ in group)])
            inverse = np.linalg.inv(inner)
            found = np.einsum("kij,kj->ki", inverse, right[:, at])
            mean = np.zeros((len(base), 6))
            mean[:, at] = found
            log = base + 0.5 * np.einsum("ki,ki->k", right[:, at], found) - 0.5 * np.linalg.slogdet(inner)[1]
            logs.append(log - len(group) * np.log(width) + np.log(prior / (len(WIDTHS) if group else 1)))
            means.append(mean)
            spread = np.zeros((len(base), 6, 6))
            spread[:, at[:, None], at] = inverse
            spreads.append(spread)
            none.append(np.full(len(base), not group))
    share = np.exp(np.concatenate(logs) - max(float(log.max()) for log in logs))
    share /= share.sum()
    every = np.concatenate(means)
    mean = share @ every
    apart = every - mean
    spread = np.tensordot(share, np.concatenate(spreads), 1) + np.einsum("k,ki,kj->ij", share, apart, apart)
    own, foreign = np.tile(own, len(means)), np.tile(foreign, len(means))
    variance = np.array([share @ own, share @ foreign])
    return _Average(
        mean,
        spread[1:, 1:],
        float(np.sqrt(spread[0, 0])),
        variance,
        float(share @ np.sqrt(own)),
        float(share @ np.concatenate(none)),
    )
