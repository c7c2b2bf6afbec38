"""Stretches: linear data in 0..1 to what a screen shows, each with its parameters and its inverse.

Plain arrays in and out; NaN stays NaN. Two families:

- the midtones transfer function (MTF) with the automatic screen transfer function (STF) of PixInsight,
  channel by channel;
- the arcsinh stretch of Lupton et al. 2004 (PASP 116, 133), one factor for all channels of a pixel, so
  that the ratios of the channels, the color, survive.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import mad_sigma

__all__ = [
    "ArcsinhParameters",
    "StfParameters",
    "apply_arcsinh",
    "apply_stf",
    "arcsinh_beta",
    "autostretch",
    "invert_arcsinh",
    "invert_stf",
    "mtf",
    "mtf_balance",
    "mtf_inverse",
]

Floats = npt.NDArray[np.floating[Any]]
TARGET = 0.25  # where STF puts the median of the sky
SHADOWS = -2.8  # sigma of the sky below its median at which STF puts black
LUMINANCE_WEIGHTS = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709


@dataclass(frozen=True, kw_only=True, slots=True)
class StfParameters:
    """One entry per channel: black point, midtones balance, white point; `inverted` for bright images."""

    shadows: tuple[float, ...]
    midtones: tuple[float, ...]
    highlights: tuple[float, ...]
    inverted: bool = False

    def as_dict(self) -> dict[str, object]:
        """Return plain values for the recipe."""
        return {"kind": "stf", **asdict(self)}


@dataclass(frozen=True, kw_only=True, slots=True)
class ArcsinhParameters:
    """Strength `beta` (0 is no stretch), black point, and the weights of the channels in the intensity."""

    beta: float
    black: float = 0.0
    weights: tuple[float, ...] = LUMINANCE_WEIGHTS

    def as_dict(self) -> dict[str, object]:
        """Return plain values for the recipe."""
        return {"kind": "arcsinh", **asdict(self)}


def mtf(x: npt.ArrayLike, m: float) -> Floats:
    """Return the midtones transfer function ``(m-1) x / ((2m-1) x - m)``.

    Parameters
    ----------
    x
        Values; clipped to 0..1 (the function has a pole outside); NaN stays NaN.
    m
        Midtones balance, 0 < m < 1: the value that becomes 0.5. ``m = 0.5`` changes nothing.
    """
    values = np.clip(_floating(x), 0, 1)
    return np.asarray((m - 1) * values / ((2 * m - 1) * values - m))


def mtf_inverse(y: npt.ArrayLike, m: float) -> Floats:
    """Return x such that ``mtf(x, m) = y``: the same function with ``1 - m``."""
    return mtf(y, 1 - m)


def mtf_balance(x: float, target: float) -> float:
    """Return the balance m with ``mtf(x, m) = target``; it is ``mtf(x, target)`` itself.

    From ``t = (m-1)x / ((2m-1)x - m)`` follows ``m = x (t-1) / (2 t x - t - x)``, the function with
    its arguments' roles exchanged. Kept inside (1e-6, 1 - 1e-6).
    """
    return float(np.clip(float(mtf(x, target)), 1e-6, 1 - 1e-6))


def autostretch(
    image: npt.ArrayLike,
    *,
    linked: bool = True,
    target: float = TARGET,
    shadows: float = SHADOWS,
) -> StfParameters:
    """Return the automatic screen transfer function of an image.

    ``c = clip(median + shadows * 1.4826 MAD, 0, 1)`` and ``m = M(target, median - c)``, with the mean over
    the channels where `linked`. If every median exceeds 0.5 the image is stretched upside down: c is then
    the white point (PixInsight ``DisplayFunction.h``, Siril alike).

    Parameters
    ----------
    image
        (y, x) or (y, x, channel), linear, 0 to 1; NaN is left out.
    linked
        One function for all channels, which keeps the color; otherwise one for each.
    target
        Where the median ends.
    shadows
        Black point, in sigma from the median; negative is below.
    """
    cube = _floating(image)
    cube = cube[:, :, None] if cube.ndim == 2 else cube
    medians, sigmas = [], []
    for channel in np.moveaxis(cube, -1, 0):
        finite = channel[np.isfinite(channel)]
        median = float(np.median(finite)) if finite.size else 0.0
        medians.append(median)
        sigmas.append(mad_sigma(finite, median) if finite.size else 0.0)
    inverted = all(median > 0.5 for median in medians)
    sign = -1 if inverted else 1
    edges = [median + sign * shadows * sigma for median, sigma in zip(medians, sigmas, strict=True)]
    if linked:
        edges, medians = [float(np.mean(edges))] * len(edges), [float(np.mean(medians))] * len(edges)
    edges = [min(1.0, max(0.0, edge)) for edge in edges]
    spans = [sign * (median - edge) for median, edge in zip(medians, edges, strict=True)]
    balance = [mtf_balance(span, target) for span in spans]
    ones, zeros = (1.0,) * len(edges), (0.0,) * len(edges)
    if inverted:
        return StfParameters(
            shadows=zeros, midtones=tuple(1 - m for m in balance), highlights=tuple(edges), inverted=True
        )
    return StfParameters(shadows=tuple(edges), midtones=tuple(balance), highlights=ones)


def apply_stf(image: npt.ArrayLike, parameters: StfParameters) -> Floats:
    """Return ``M(m, (x - shadows) / (highlights - shadows))`` channel by channel, 0 to 1.

    Parameters
    ----------
    image
        (y, x) or (y, x, channel), linear; values outside black and white are clipped; NaN stays NaN.
    """
    return _per_channel(image, parameters, forward=True)


def invert_stf(image: npt.ArrayLike, parameters: StfParameters) -> Floats:
    """Return the linear image whose `apply_stf` is `image` (0 to 1); what was clipped cannot come back."""
    return _per_channel(image, parameters, forward=False)


def _per_channel(image: npt.ArrayLike, parameters: StfParameters, *, forward: bool) -> Floats:
    values = _floating(image)
    flat = values[:, :, None] if values.ndim == 2 else values
    out = np.empty_like(flat)
    triples = zip(parameters.shadows, parameters.midtones, parameters.highlights, strict=True)
    for k, (low, m, high) in enumerate(triples):
        span = max(high - low, 1e-12)
        if forward:
            out[..., k] = mtf((flat[..., k] - low) / span, m)
        else:
            out[..., k] = mtf_inverse(flat[..., k], m) * span + low
    return out.reshape(values.shape)


def arcsinh_beta(level: float, target: float) -> float:
    """Return the strength that carries `level` to `target` (0 < level < target < 1), by bisection.

    ``asinh(beta level) / asinh(beta) = target`` has one root, since the left side grows from `level`
    (beta = 0) to 1.
    """
    if not 0 < level < target < 1:
        return 0.0
    low, high = -7.0, 16.0  # decades of beta
    for _ in range(80):
        middle = 0.5 * (low + high)
        beta = 10.0**middle
        if np.arcsinh(beta * level) / np.arcsinh(beta) < target:
            low = middle
        else:
            high = middle
    return float(10.0 ** (0.5 * (low + high)))


def apply_arcsinh(image: npt.ArrayLike, parameters: ArcsinhParameters) -> Floats:
    """Return the arcsinh stretch: every channel times ``asinh(beta L) / (L asinh beta)``.

    ``L`` is the weighted sum of the channels above black. At ``L = 0`` the factor is ``beta / asinh beta``.
    Values may exceed 1 in strongly colored pixels; they are not clipped, so that the inverse is exact.

    Parameters
    ----------
    image
        (y, x) or (y, x, channel), linear; NaN stays NaN.
    """
    values = _floating(image)
    if parameters.beta <= 0:
        return (values - parameters.black) / (1 - parameters.black)
    shifted = (values - parameters.black) / (1 - parameters.black)
    intensity = _intensity(shifted, parameters)
    beta = parameters.beta
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = np.arcsinh(beta * intensity) / (intensity * np.arcsinh(beta))
    return _scaled(shifted, np.where(intensity > 0, factor, beta / np.arcsinh(beta)), intensity)


def invert_arcsinh(image: npt.ArrayLike, parameters: ArcsinhParameters) -> Floats:
    """Return the linear image whose `apply_arcsinh` is `image`: ``L = sinh(y asinh beta) / beta``."""
    values = _floating(image)
    if parameters.beta <= 0:
        return values * (1 - parameters.black) + parameters.black
    stretched = _intensity(values, parameters)
    beta = parameters.beta
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        factor = np.sinh(stretched * np.arcsinh(beta)) / (beta * stretched)
    linear = _scaled(values, np.where(stretched > 0, factor, np.arcsinh(beta) / beta), stretched)
    return linear * (1 - parameters.black) + parameters.black


def _intensity(image: Floats, parameters: ArcsinhParameters) -> Floats:
    if image.ndim == 2:
        return image
    weights = parameters.weights if image.shape[-1] > 1 else (1.0,)
    return np.asarray(sum(w * image[..., k] for k, w in enumerate(weights)) / sum(weights))


def _scaled(image: Floats, factor: Floats, intensity: Floats) -> Floats:
    factor = np.where(np.isnan(intensity), np.nan, factor).astype(image.dtype)
    return np.asarray(image * (factor if image.ndim == 2 else factor[..., None]))


def _floating(values: npt.ArrayLike) -> Floats:
    array = np.asarray(values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
