"""The models that a registration may ask for by name, beside the polynomials that it chooses by itself.

A map is exchanged as a polynomial (`core.transform`). What is none is approximated by one over the frame, and
the deviation is measured: a homography by degree 2 to 7 until it is below `GOAL`, a smoothed thin-plate
spline by degree 11 (its deviation is part of the model's name).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.robust import (
    FOLDS,
    RAYLEIGH_MEDIAN,
    Fit,
    clipped_fit,
    coverage,
    extra_scatter,
    needs,
    select_model,
    supported_degree,
)
from sciastro.core import transform

__all__ = ["MODELS", "fit_model"]

Floats = npt.NDArray[np.float64]
Mapping = Callable[[Floats], Floats]  # points (n, 2) to points (n, 2)
Maker = Callable[[Floats, Floats, Floats], Mapping]  # source, target, error: what maps one to the other

MODELS = ("auto", "shift", "similarity", "affine", "homography", "polynomial", "spline")
GOAL = 0.005  # pixel: largest deviation of the polynomial from a homography
TOP = 7  # degree that approximates a homography at most
SPLINE_DEGREE = 11  # of the polynomial that stands for a spline: a bump of 700 pixel is left to 0.04 (median)
SPLINE_STARS = 400  # that carry a spline: its cost grows with their third power
SMOOTHNESS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # tried, times the variance of a star's position
FEWEST = 12  # stars for a homography or a spline


def fit_model(
    model: str,
    source: Floats,
    target: Floats,
    sigma: Floats,
    shape: tuple[int, int],
    *,
    max_degree: int,
    parity: int = 1,
    clip: float = 4.0,
) -> Fit:
    """Return the robust fit of a named model to pairs of stars.

    Parameters
    ----------
    model
        One of `MODELS`. "auto" chooses similarity, affine, homography or polynomial by the residual of stars
        left out of the fit; "polynomial" is as high as `max_degree` and the stars allow.
    source, target, sigma
        Pairs (n, 2) and their error per axis [pixel].
    shape
        Rows and columns of the source frame.
    max_degree, parity, clip
        As of `robust.select_model`.

    Returns
    -------
    Fit
        Of too few stars for the model, the best one that they carry; its ``shortfall`` says so.
    """
    select = partial(select_model, source, target, sigma, shape, parity=parity, clip=clip)
    if model == "shift":
        return _robust(_shift, "shift", source, target, sigma, shape, clip)
    if model == "similarity":
        return select(max_degree=0)
    if model == "affine":
        return select(max_degree=1, min_degree=1)
    if model == "polynomial":
        degree = supported_degree(source, shape, max_degree)
        fit = clipped_fit(source, target, sigma, degree, parity, clip)
        return fit if degree == max_degree else replace(fit, shortfall=_lower(fit, source, shape, max_degree))
    if model in ("homography", "spline") and len(source) >= FEWEST:
        return _robust(_MAKERS[model], model, source, target, sigma, shape, clip)
    best = select(max_degree=max_degree)
    if model != "auto":
        few = f"{model} needs {FEWEST} stars in common with the reference, and {len(source)} were found"
        return replace(best, shortfall=f"{few}; {best.model} is taken instead")
    if best.degree >= 2 and len(source) >= 2 * FEWEST:
        flat = _robust(_homography, "homography", source, target, sigma, shape, clip)
        if flat.keep.sum() >= 0.98 * best.keep.sum() and flat.cross_validated <= best.cross_validated:
            return flat
    return best


def _lower(fit: Fit, source: Floats, shape: tuple[int, int], wanted: int) -> str:
    """Return what a polynomial of the degree `wanted` needs, and what there is."""
    stars, share = needs(wanted)
    return (
        f"polynomial of degree {wanted} needs {stars} stars in common with the reference over "
        f"{100 * share:.0f} % of the frame, and {len(source)} over {100 * coverage(source, shape):.0f} % "
        f"were found; {fit.model} is taken instead"
    )


def _shift(source: Floats, target: Floats, error: Floats) -> Mapping:
    move = np.average(target - source, axis=0, weights=1 / error**2)
    return lambda points: points + move


def _homography(source: Floats, target: Floats, error: Floats) -> Mapping:
    """Return ``(h0 u + h1 v + h2, h3 u + h4 v + h5) / (h6 u + h7 v + 1)``, weighted least squares."""
    from scipy.optimize import least_squares  # slow to load, and hardly any run needs it

    middle, size = source.mean(axis=0), max(float(np.ptp(source)), 1.0)
    p = (source - middle) / size
    affine, *_ = np.linalg.lstsq(
        np.column_stack([p, np.ones(len(p))]) / error[:, None], target / error[:, None]
    )

    def mapped(h: Floats, q: Floats) -> Floats:
        below = 1 + q @ h[6:8]
        return np.column_stack([q @ h[0:2] + h[2], q @ h[3:5] + h[5]]) / below[:, None]

    start = np.array([*affine[:, 0], *affine[:, 1], 0.0, 0.0])
    scale = np.array([size, size, size, size, size, size, 1.0, 1.0])
    found = least_squares(
        lambda h: ((mapped(h, p) - target) / error[:, None]).ravel(), start, x_scale=scale, method="lm"
    )

    def best(points: Floats) -> Floats:
        return np.asarray(mapped(found.x, (points - middle) / size), dtype=np.float64)

    return best


def _spline(source: Floats, target: Floats, error: Floats) -> Mapping:
    """Return a thin-plate spline (Duchon 1977), as smooth as the stars left out of it favor."""
    from scipy.interpolate import RBFInterpolator  # slow to load, and hardly any run needs it

    if len(source) > SPLINE_STARS:
        part = np.unique(np.linspace(0, len(source) - 1, SPLINE_STARS).astype(int))
        source, target, error = source[part], target[part], error[part]
    size = max(float(np.ptp(source)), 1.0)
    p = source / size
    group = np.arange(len(p)) % 5

    def fitted(use: npt.NDArray[np.bool_], smooth: float) -> Mapping:
        made: Mapping = RBFInterpolator(
            p[use],
            target[use],
            smoothing=smooth * error[use] ** 2 + 1e-12,
            kernel="thin_plate_spline",
            degree=1,
        )
        return made

    def crossed(smooth: float) -> float:
        left = [
            np.hypot(*(target[group == k] - fitted(group != k, smooth)(p[group == k])).T) for k in range(5)
        ]
        return float(np.median(np.concatenate(left)))

    best = fitted(np.ones(len(p), bool), min(SMOOTHNESS, key=crossed))
    return lambda points: np.asarray(best(points / size))


_MAKERS: dict[str, Maker] = {"homography": _homography, "spline": _spline}


def _robust(
    maker: Maker,
    name: str,
    source: Floats,
    target: Floats,
    sigma: Floats,
    shape: tuple[int, int],
    clip: float,
) -> Fit:
    """Fit, clip, fit again; then approximate by a polynomial over the frame."""
    keep = np.ones(len(source), bool)
    for _ in range(6):
        error = sigma[keep]
        mapping = maker(source[keep], target[keep], error)
        size = np.hypot(*(target - mapping(source)).T)
        scatter = extra_scatter(size[keep], error)
        whole = np.hypot(sigma, scatter)
        typical = max(float(np.median(size[keep] / whole[keep])) / RAYLEIGH_MEDIAN, 0.5)
        now = size / whole <= clip * typical
        if np.array_equal(now, keep) or now.sum() < FEWEST:
            break
        keep = now
    coefficients, degree, off = _polynomial(mapping, name, shape)
    rms = float(np.sqrt(np.mean(size[keep] ** 2)))
    crossed = _crossed(maker, source[keep], target[keep], sigma[keep])
    told = name if name != "spline" else f"spline (as degree {degree}, within {off:.3f} pixel)"
    return Fit(coefficients, told, degree, keep, rms, scatter, crossed)


def _polynomial(mapping: Mapping, name: str, shape: tuple[int, int]) -> tuple[Floats, int, float]:
    def function(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        out = mapping(np.column_stack([x, y]))
        return out[:, 0], out[:, 1]

    degrees = {"shift": (1,), "homography": tuple(range(2, TOP + 1))}.get(name, (SPLINE_DEGREE,))
    for degree in degrees:
        coefficients, off = transform.compose_fit(function, shape[1], shape[0], degree)
        if off < GOAL:
            break
    return coefficients, degree, off


def _crossed(maker: Maker, source: Floats, target: Floats, error: Floats) -> float:
    """Return the weighted rms residual of stars that the fit has not seen."""
    folds = min(FOLDS, len(source))
    group, left = np.arange(len(source)) % folds, np.empty_like(target)
    for k in range(folds):
        out = group == k
        left[out] = target[out] - maker(source[~out], target[~out], error[~out])(source[out])
    weight = 1 / error**2
    return float(np.sqrt(np.sum(weight * np.sum(left**2, axis=1)) / np.sum(weight)))
