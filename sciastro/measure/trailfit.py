"""Place and light of something that moved while a frame was exposed: a trailed profile, fitted.

The profile is a Gaussian of the width of the frame's stars, drawn out along the known motion,
``f exp(-v2 / 2 s2) / (sqrt(2 pi) s) (erf((u + L/2) / sqrt2 s) - erf((u - L/2) / sqrt2 s)) / 2L``, with u
along and v across the trail of length L. It is symmetric, so its center is the place at mid-exposure
whatever the real wings are. Weighted least squares give place, light, sky, and their errors; `fit_together`
fits one place to many frames at once, which is what a stack along the motion holds, without resampling any
pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.measure.profile import FWHM_PER_SIGMA

__all__ = ["JointFit", "Stamp", "TrailFit", "cut", "fit_together", "fit_trail", "profile_slopes"]

Floats = npt.NDArray[np.float64]

ROUNDS = 12  # at most
STEP = 1e-3  # pixel: of the numerical derivatives
REACH = 1.6  # widths of a star around the trail that are fitted


@dataclass(frozen=True, slots=True)
class Stamp:
    """The pixels around one place of one frame.

    Attributes
    ----------
    x, y
        Of each pixel (n,) [pixel].
    values
        (n,) [electron].
    noise
        Of the sky in a pixel [electron].
    sigma
        Of the Gaussian of a star [pixel].
    trail
        Motion during the exposure along x and y [pixel].
    """

    x: Floats
    y: Floats
    values: Floats
    noise: float
    sigma: float
    trail: tuple[float, float]


@dataclass(frozen=True, slots=True)
class TrailFit:
    """One place on one frame.

    Attributes
    ----------
    x, y
        Middle of the trail [pixel].
    covariance
        Of both (2, 2) [pixel2].
    flux, flux_err
        [electron].
    chi2
        Per degree of freedom.
    """

    x: float
    y: float
    covariance: Floats
    flux: float
    flux_err: float
    chi2: float


@dataclass(frozen=True, slots=True)
class JointFit:
    """One place on many frames.

    Attributes
    ----------
    offset
        From where it was expected, in the plane that all frames share (2,).
    covariance
        Of it (2, 2).
    flux, flux_err
        On the scale of the first frame [electron / s].
    chi2
        Per degree of freedom.
    """

    offset: Floats
    covariance: Floats
    flux: float
    flux_err: float
    chi2: float


def cut(
    image: npt.NDArray[np.floating],
    x: float,
    y: float,
    noise: float,
    fwhm: float,
    trail: tuple[float, float],
    bad: npt.NDArray[np.bool_] | None = None,
) -> Stamp | None:
    """Return the pixels around a trail; None where too few are good.

    Parameters
    ----------
    image
        (y, x) [electron]; NaN is left out.
    x, y
        Where its middle is expected [pixel].
    noise
        Of the sky [electron].
    fwhm
        Of stars [pixel].
    bad
        Pixels to leave out (y, x).
    """
    length = float(np.hypot(*trail))
    wide = REACH * fwhm
    half = int(np.ceil(wide + length / 2)) + 1
    x0, y0 = round(x), round(y)
    if not (-half <= x0 < image.shape[1] + half and -half <= y0 < image.shape[0] + half):
        return None
    rows = slice(max(0, y0 - half), min(image.shape[0], y0 + half + 1))
    columns = slice(max(0, x0 - half), min(image.shape[1], x0 + half + 1))
    v, u = np.mgrid[rows, columns].astype(np.float64)
    ux, uy = (trail[0] / length, trail[1] / length) if length > 0 else (1.0, 0.0)
    along, across = (u - x) * ux + (v - y) * uy, (v - y) * ux - (u - x) * uy
    beyond = np.maximum(np.abs(along) - length / 2, 0)
    values = np.asarray(image[rows, columns], dtype=np.float64)
    use = (np.hypot(beyond, across) <= wide) & np.isfinite(values)
    if bad is not None:
        use &= ~bad[rows, columns]
    wanted = np.pi * wide**2 + 2 * wide * length
    if use.sum() < 0.6 * wanted:
        return None
    return Stamp(u[use], v[use], values[use], noise, fwhm / FWHM_PER_SIGMA, trail)


def _profile(stamp: Stamp, x: float, y: float) -> Floats:
    """Return the trailed profile of total 1 at every pixel of a stamp."""
    from scipy.special import erf

    length = float(np.hypot(*stamp.trail))
    dx, dy = stamp.x - x, stamp.y - y
    s = stamp.sigma
    if length < 0.05 * s:
        return np.asarray(np.exp(-0.5 * (dx**2 + dy**2) / s**2) / (2 * np.pi * s**2))
    ux, uy = stamp.trail[0] / length, stamp.trail[1] / length
    u, v = dx * ux + dy * uy, dy * ux - dx * uy
    root = np.sqrt(2) * s
    along = (erf((u + length / 2) / root) - erf((u - length / 2) / root)) / (2 * length)
    return np.asarray(np.exp(-0.5 * (v / s) ** 2) / (np.sqrt(2 * np.pi) * s) * along)


def profile_slopes(stamp: Stamp, x: float, y: float) -> tuple[Floats, Floats, Floats]:
    """Return the profile (n,) of total 1 at x, y [pixel], and its derivatives by x and y."""
    px = (_profile(stamp, x + STEP, y) - _profile(stamp, x - STEP, y)) / (2 * STEP)
    py = (_profile(stamp, x, y + STEP) - _profile(stamp, x, y - STEP)) / (2 * STEP)
    return _profile(stamp, x, y), px, py


def fit_trail(stamp: Stamp, x: float, y: float) -> TrailFit | None:
    """Return place and light by least squares from a first guess; None where it runs away.

    The shot noise of the object is that of its model, so that weights do not follow the noise.
    """
    flux, at = 0.0, np.array([x, y])
    limit = 2 * FWHM_PER_SIGMA * stamp.sigma + float(np.hypot(*stamp.trail)) / 2
    normal, chi2 = np.eye(4), float("nan")
    for _ in range(ROUNDS):
        shape, px, py = profile_slopes(stamp, at[0], at[1])
        weight = 1 / (stamp.noise**2 + np.maximum(flux * shape, 0))
        flux, _ = _light(stamp.values, shape, weight)
        weight = 1 / (stamp.noise**2 + np.maximum(flux * shape, 0))
        matrix = np.stack([flux * px, flux * py, shape, np.ones(shape.size)], axis=1)
        normal = (matrix * weight[:, None]).T @ matrix
        level = float(np.sum(weight * (stamp.values - flux * shape)) / np.sum(weight))
        rest = stamp.values - flux * shape - level
        chi2 = float(np.sum(weight * rest**2) / max(rest.size - 4, 1))
        if flux <= 0 or not np.isfinite(normal).all() or np.linalg.cond(normal) > 1e14:
            return None
        move = np.linalg.solve(normal, matrix.T @ (weight * rest))[:2]
        size = float(np.hypot(*move))
        at = at + move * min(1.0, stamp.sigma / max(size, 1e-12))
        if np.hypot(at[0] - x, at[1] - y) > limit:
            return None
        if size < 1e-4:
            break
    inverse: Floats = np.asarray(np.linalg.inv(normal), dtype=np.float64)
    return TrailFit(
        x=float(at[0]), y=float(at[1]), covariance=inverse[:2, :2], flux=flux,
        flux_err=float(np.sqrt(inverse[2, 2])), chi2=chi2,
    )  # fmt: skip


def _light(values: Floats, shape: Floats, weight: Floats) -> tuple[float, float]:
    """Return flux and sky of a profile whose place is known."""
    total, mean = np.sum(weight), np.sum(weight * shape)
    square, cross, level = np.sum(weight * shape**2), np.sum(weight * shape * values), np.sum(weight * values)
    spread = square * total - mean**2
    flux = float((cross * total - mean * level) / spread)
    return flux, float((level - flux * mean) / total)


def fit_together(
    stamps: Sequence[Stamp],
    places: Sequence[tuple[float, float]],
    jacobians: Sequence[Floats],
    scales: Sequence[float],
) -> JointFit | None:
    """Return one offset and one light for all frames; None where it runs away.

    Parameters
    ----------
    places
        Where it is expected on each frame [pixel].
    jacobians
        Per frame (2, 2): how the place [pixel] changes with the offset.
    scales
        Per frame: electrons there for 1 electron / s of the light.
    """
    offset, light = np.zeros(2), 0.0
    limit = 2 * FWHM_PER_SIGMA * float(np.median([one.sigma for one in stamps]))
    normal, chi2 = np.eye(3), float("nan")
    for _ in range(ROUNDS):
        normal, right = np.zeros((3, 3)), np.zeros(3)
        square, count = 0.0, 0
        for stamp, place, jacobian, scale in zip(stamps, places, jacobians, scales, strict=True):
            x, y = np.asarray(place) + jacobian @ offset
            shape, px, py = profile_slopes(stamp, x, y)
            weight = 1 / (stamp.noise**2 + np.maximum(light * scale * shape, 0))
            by_offset = np.stack([px, py], axis=1) @ jacobian * (light * scale)
            matrix = np.column_stack([by_offset, scale * shape])
            # The sky of the frame goes out: what is left of everything is free of its weighted mean.
            mean = (weight @ matrix) / weight.sum()
            rest = stamp.values - light * scale * shape
            rest = rest - float(weight @ rest / weight.sum())
            matrix = matrix - mean
            normal += (matrix * weight[:, None]).T @ matrix
            right += matrix.T @ (weight * rest)
            square += float(np.sum(weight * rest**2))
            count += rest.size - 1
        if light == 0.0:
            light = float(right[2] / normal[2, 2])
            if light <= 0:
                return None
            continue
        if not np.isfinite(normal).all() or np.linalg.cond(normal) > 1e16:
            return None
        move = np.linalg.solve(normal, right)
        chi2 = square / max(count - 3, 1)
        pixels = float(np.hypot(*(np.mean(jacobians, axis=0) @ move[:2])))
        factor = min(1.0, 1.0 / max(pixels, 1e-12))
        offset, light = offset + factor * move[:2], light + factor * float(move[2])
        if light <= 0 or float(np.hypot(*(np.mean(jacobians, axis=0) @ offset))) > limit:
            return None
        if pixels < 1e-4:
            break
    inverse: Floats = np.asarray(np.linalg.inv(normal), dtype=np.float64)
    return JointFit(offset, inverse[:2, :2], light, float(np.sqrt(inverse[2, 2])), chi2)
