"""The middle of data that have scatter to both sides and, some of them, an addition to one.

Model: ``rest = c + noise + addition``; noise and addition together are an exponentially modified Gaussian
(Grushka 1972, Anal. Chem. 44, 1733), computed with the scaled complementary error function. Noise is
Gaussian, with the errors of the stars, a scatter that is the same for all of them and one that falls with
their light. An addition is what neighbors that nobody sees leave in a star's aperture: a share of the stars
has one, of exponential distribution, whose mean falls with the star's light. Shares, means and scatters are
not known; the probability of ``c`` is the mean over a grid of them, each weighed by how probable it makes the
data, and half of it is without any addition. Cutting outliers alone leaves the additions that are smaller
than the cut, which all lie on one side.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Middle", "one_sided_middle"]

Floats = npt.NDArray[np.float64]

_SHARES = np.array([0.05, 0.1, 0.2, 0.4, 0.7])  # of stars with an addition
_MEANS = np.geomspace(1e-3, 0.1, 5)  # of additions to a star of median light, relative
# How likely it is beforehand that there are no additions at all; 0.2 and 0.8 change simulated crowds by
# 0.004 %, fields of stars alone by 0.009 and 0.005 %.
_NOTHING = 0.5
_SCATTERS = (0.0, 0.3, 1.0)  # of those that were found with additions in them: what is left without
_GRID = np.linspace(-8.0, 4.0, 41)  # trial values of c, in errors of the plain mean
_FAR = 25.0  # erfcx overflows below minus this; there it is 2 exp(a^2) to all digits


@dataclass(frozen=True, slots=True)
class Middle:
    """Mean of the probability of ``c`` and its standard deviation, both relative."""

    mean: float
    err: float


def one_sided_middle(
    rest: Floats, err: Floats, faintness: Floats, scatter: tuple[float, float], width: float
) -> Middle:
    """Return the middle of `rest` without what was added to some of it.

    Parameters
    ----------
    rest, err
        (star,) data about their plain mean, and standard errors; relative.
    faintness
        (star,) median light over the star's.
    scatter
        Found about the plain mean: the same for all stars; of a star of median light, falling with light.
    width
        Error of the plain mean, positive.

    Returns
    -------
    Middle
        Between 8 `width` below the plain mean and 4 above it. Where nothing was added it is 0.13 to 0.29
        `width` below the plain mean (3 to 30 stars), as small additions are always possible, and the error is
        1.03 to 1.13 `width`.
    """
    from scipy.special import erfcx

    own, foreign = (grid.ravel() ** 2 for grid in np.meshgrid(*(np.multiply(_SCATTERS, s) for s in scatter)))
    sigma = np.sqrt(err**2 + own[:, None] + foreign[:, None] * faintness**2 + 1e-12)[:, None]
    offset = _GRID * width
    z = (rest - offset[:, None]) / sigma  # (scatters, offset, star)
    plain = -0.5 * z * z - np.log(sigma * np.sqrt(2 * np.pi))
    logs = [plain.sum(axis=2) + np.log(_NOTHING)]
    each = np.log((1 - _NOTHING) / (len(_SHARES) * len(_MEANS)))
    for mean in _MEANS:
        tail = mean * faintness
        a = (sigma / tail - z) / np.sqrt(2)
        near = np.log(erfcx(np.maximum(a, -_FAR)))
        added = -0.5 * z * z - np.log(2 * tail) + np.where(a > -_FAR, near, a * a + np.log(2))
        logs += [
            np.logaddexp(np.log1p(-share) + plain, np.log(share) + added).sum(axis=2) + each
            for share in _SHARES
        ]
    log = np.array(logs)
    density = np.exp(log - log.max()).sum(axis=(0, 1))
    density /= density.sum()
    middle = float(density @ offset)
    return Middle(middle, float(np.sqrt(density @ (offset - middle) ** 2)))
