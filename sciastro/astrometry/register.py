"""Register a frame to the reference through the stars that both show.

The map goes from reference pixels to frame pixels, which is the way resampling asks. Method: match
(see `astrometry.match`), then similarity, affine, homography, quadratic, cubic as far as the cross-validated
residual falls, or the model that is asked for (`astrometry.models`); weighted by the position errors,
clipped, and re-matched with the better map.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.match import Match, closest_pairs, match_stars, positions
from sciastro.astrometry.models import fit_model
from sciastro.astrometry.robust import Fit
from sciastro.core import transform
from sciastro.core.options import Options, option
from sciastro.core.stars import StarArray
from sciastro.errors import MatchError

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["RegisterOptions", "Registration", "register", "star_errors"]

Floats = npt.NDArray[np.float64]

ERROR_FLOOR = 0.01  # pixel: no centroid is better than this on real pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisterOptions(Options):
    """How frames are matched to the reference."""

    model: str = option(
        "auto",
        "Map of a frame: auto as bent as the stars prove, and a camera model for sets that drift; or what it "
        "says: a lens common to all frames (distortion), down to a plain shift.",
        choices=(
            "auto", "shift", "similarity", "affine", "homography", "polynomial", "spline", "distortion",
        ),
    )  # fmt: skip
    max_scale: float = option(1.12, "Largest scale ratio between frames.", low=1.0, high=3.0)
    tolerance: float = option(
        3.0, "Largest distance of a pair from the first similarity.", unit="pixel", low=0.3, high=50.0
    )
    max_degree: int = option(3, "Highest degree of the map.", low=1, high=5)
    clip: float = option(4.0, "Pairs beyond this many sigma are left out.", unit="sigma", low=2.0, high=20.0)
    allow_mirror: bool = option(False, "Whether frames may be mirrored.")
    min_stars: int = option(6, "Fewest pairs that make a registration.", low=4, high=1000)
    max_stars: int = option(1500, "Brightest stars of each list that enter.", low=10, high=100_000)
    false_alarm: float = option(
        1e-6, "Largest acceptable probability of a chance match.", low=1e-30, high=1e-2
    )


DEFAULTS = RegisterOptions()


@dataclass(frozen=True, slots=True)
class Registration:
    """How a frame lies on the reference.

    Attributes
    ----------
    from_reference
        `core.transform` map (2, term) from reference to frame pixels.
    rms
        Root mean square length of the residuals of the stars used [pixel].
    error
        Standard error of the map, median over the frame [pixel].
    n
        Stars used.
    degree, model
        Degree and name of the map.
    shortfall
        Why it is not the model that was asked for: stars needed and found; empty if it is.
    scale, rotation
        Frame over reference scale, and rotation [deg] from reference to frame axes, at the middle.
    flipped
        Whether the rotation is nearer to 180 degrees than to 0 (after a meridian flip).
    parity
        -1 where the frame is mirrored.
    log_false_alarm
        Bound on log10 of the probability of a chance match.
    residuals
        One row per pair: ``x``, ``y`` (reference), ``x_frame``, ``y_frame``, ``dx``, ``dy``
        (frame minus map), ``sigma`` [pixel], ``used``, ``index_reference``, ``index_frame``.
    """

    from_reference: Floats
    rms: float
    error: float
    n: int
    degree: int
    model: str
    scale: float
    rotation: float
    flipped: bool
    parity: int
    log_false_alarm: float
    residuals: "QTable"
    shortfall: str = ""


def register(
    reference: StarArray, frame: StarArray, shape: tuple[int, int], options: RegisterOptions = DEFAULTS
) -> Registration:
    """Find the map from reference to frame pixels.

    Parameters
    ----------
    reference, frame
        `STAR_DTYPE`, brightest first.
    shape
        Rows and columns of the reference grid.
    options
        Tolerances and the highest degree.

    Raises
    ------
    MatchError
        Where the star patterns do not match beyond doubt, or too few pairs remain.
    """
    from astropy.table import QTable

    a, b = reference[: options.max_stars], frame[: options.max_stars]
    match = match_stars(
        a, b, max_scale=options.max_scale, tolerance=options.tolerance, allow_mirror=options.allow_mirror,
        false_alarm=options.false_alarm,
    )  # fmt: skip
    pa, pb = positions(a), positions(b)
    i, j, sigma, fit = _refined(pa, pb, star_errors(a), star_errors(b), match, shape, options)
    used = int(fit.keep.sum())
    if used < options.min_stars:
        raise MatchError(
            f"share {used} stars after clipping, and {options.min_stars} are needed.",
            where="star lists",
            remedy="Lower `min_stars`, or leave the frame out.",
        )
    left = pb[j] - np.column_stack(transform.evaluate(fit.coefficients, *pa[i].T))
    table = QTable(
        {
            "x": pa[i, 0], "y": pa[i, 1], "x_frame": pb[j, 0], "y_frame": pb[j, 1],
            "dx": left[:, 0], "dy": left[:, 1], "sigma": sigma, "used": fit.keep,
            "index_reference": i, "index_frame": j,
        }
    )  # fmt: skip
    scale, rotation = _scale_and_rotation(fit.coefficients, shape, match.parity)
    return Registration(
        from_reference=fit.coefficients,
        rms=fit.rms,
        error=_map_error(pa[i[fit.keep]], np.hypot(sigma[fit.keep], fit.scatter), fit, shape),
        n=used,
        degree=fit.degree,
        model=fit.model,
        scale=scale,
        rotation=rotation,
        flipped=abs(rotation) > 90,
        parity=match.parity,
        log_false_alarm=match.log_false_alarm,
        residuals=table,
        shortfall=fit.shortfall,
    )


def star_errors(stars: StarArray) -> Floats:
    """Return the error per axis of each star [pixel]; unknown errors count as 0.3 pixel."""
    if stars.dtype.names is None:
        return np.full(len(stars), 0.1)
    sigma = np.sqrt(0.5 * (stars["x_err"].astype(np.float64) ** 2 + stars["y_err"].astype(np.float64) ** 2))
    return np.where(np.isfinite(sigma) & (sigma > 0), np.hypot(sigma, ERROR_FLOOR), 0.3)


def _refined(
    pa: Floats,
    pb: Floats,
    ea: Floats,
    eb: Floats,
    match: Match,
    shape: tuple[int, int],
    options: RegisterOptions,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Floats, Fit]:
    """Fit, match again with the better map, fit again."""
    i, j = match.index_a, match.index_b
    for attempt in range(2):
        sigma = np.hypot(ea[i], eb[j])
        fit = fit_model(
            "auto" if options.model == "distortion" else options.model, pa[i], pb[j], sigma, shape,
            max_degree=options.max_degree, parity=match.parity, clip=options.clip,
        )  # fmt: skip
        if attempt == 1:
            break
        spread = np.sqrt(np.sum((pb[j] - _mapped(fit, pa[i])) ** 2, axis=1)[fit.keep])
        radius = float(np.clip(6 * np.median(spread), 0.5, options.tolerance))
        again = closest_pairs(_mapped(fit, pa), pb, radius)
        if np.array_equal(i, again[0]) and np.array_equal(j, again[1]):
            break  # the same pairs would give the same fit
        i, j = again
    return i, j, sigma, fit


def _mapped(fit: Fit, points: Floats) -> Floats:
    return np.column_stack(transform.evaluate(fit.coefficients, points[:, 0], points[:, 1]))


def _scale_and_rotation(coefficients: Floats, shape: tuple[int, int], parity: int) -> tuple[float, float]:
    x, y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    fx, fy = transform.evaluate(coefficients, np.array([x, x + 1, x]), np.array([y, y, y + 1]))
    jacobian = np.array([[fx[1] - fx[0], fx[2] - fx[0]], [fy[1] - fy[0], fy[2] - fy[0]]])
    scale = float(np.sqrt(abs(np.linalg.det(jacobian))))
    angle = np.arctan2(jacobian[1, 0] - parity * jacobian[0, 1], jacobian[0, 0] + parity * jacobian[1, 1])
    return scale, float(np.rad2deg(angle))


def _map_error(source: Floats, sigma: Floats, fit: Fit, shape: tuple[int, int]) -> float:
    """Return the median standard error (length) of the map over the frame, from the normal equations."""
    design = transform.design(source[:, 0], source[:, 1], fit.degree) / sigma[:, None]
    x, y = np.meshgrid(np.linspace(0, shape[1] - 1, 7), np.linspace(0, shape[0] - 1, 7))
    grid = transform.design(x.ravel(), y.ravel(), fit.degree)
    covariance = np.linalg.pinv(design.T @ design)
    variance = np.einsum("ij,jk,ik->i", grid, covariance, grid)
    return float(np.sqrt(2 * np.median(np.maximum(variance, 0))))
