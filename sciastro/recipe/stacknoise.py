"""The noise of a stack beyond that of its frames: what pixels share, and what masters add without dither."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.correct import Planes
from sciastro.calibrate.debayer import COLORS, noise_of
from sciastro.core.cfa import cell_side, pattern_of
from sciastro.integrate.coherence import coherence
from sciastro.integrate.correlated import widened
from sciastro.integrate.drizzle import DrizzleOptions, Dropper, dropper
from sciastro.integrate.fuse import resampler_of
from sciastro.integrate.noise import ALL, Sampled, autocorrelation, sample_canvas
from sciastro.integrate.normalize import Terms
from sciastro.integrate.options import StackOptions
from sciastro.integrate.resample import Resampler
from sciastro.integrate.run import StackArrays
from sciastro.integrate.shared import SharedNoise, add_shared, shared_noise
from sciastro.recipe.calibrating import Calibrator
from sciastro.recipe.lights import Light

__all__ = ["Predicted", "StackNoise", "lattice_of", "master_noise", "noise_of_stack", "predict_noise"]

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StackNoise:
    """What a stack's variance plane does not tell.

    Attributes
    ----------
    autocorrelation
        Correlation of pixels by offset (2 K + 1, 2 K + 1).
    empty
        Share of pixels that some frame shows and that hold nothing.
    coherence
        `integrate.coherence.coherence` of the frames.
    """

    autocorrelation: Floats
    empty: float
    coherence: Floats


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the frames and masters alone tell of the noise of their stack.

    Attributes
    ----------
    autocorrelation, coherence
        As in `StackNoise`.
    shared
        What masters add to the variance.
    places
        Rows and columns of pixels of the canvas that some frame shows.
    """

    autocorrelation: Floats
    shared: SharedNoise
    coherence: Floats
    places: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


def lattice_of(cfa: str, color: str, method: str, *, drizzled: bool) -> str:
    """Return which of `measure.phase.LATTICES` samples a color; "" where none describes it."""
    if not cfa:
        return "full"
    if method != "superpixel" or drizzled:
        return ""
    if cell_side(cfa) == 3:
        return "five" if color == "G" else "two"
    return "full" if color == "G" else "quarter"


def predict_noise(
    lights: Sequence[Light],
    band: str,
    calibrator: Calibrator,
    maps: Floats,
    boxes: Floats,
    shape: tuple[int, int],
    weights: Floats,
    terms: Terms,
    options: StackOptions,
    drizzle: DrizzleOptions,
) -> Predicted:
    """Return what can be told of a stack's noise before there is a stack; see `noise_of_stack`.

    Parameters
    ----------
    maps, boxes
        Canvas-to-frame maps and the boxes of the canvas that hold the frames.
    shape
        Rows and columns of the canvas.
    weights, terms
        Per light.
    """
    flux = options.pixels_hold == "flux"
    cfa = lights[0].facts.cfa
    mosaic = bool(cfa) and drizzle.enabled
    frame_shape = lights[0].facts.shape if mosaic else calibrator.grid_shape(lights[0])
    dropped = pattern_of(cfa) == COLORS.index(band[-1]) if mosaic else ALL
    sampled = sample_canvas(maps, shape, frame_shape, boxes)
    noise = np.array([light.measures.noise[band] for light in lights])
    how = dropper(drizzle, holds_flux=flux) if drizzle.enabled else resampler_of(options)
    tied = autocorrelation(sampled, (weights * terms.scale * noise) ** 2, how, dropped=dropped)
    if cfa and not drizzle.enabled:
        tied = widened(tied, noise_of(cfa, band[-1], calibrator.debayer_method))
    shared = master_noise(lights, band, calibrator, sampled, shape, weights, terms, how, dropped)
    seen = np.isfinite(sampled.x).any(axis=1)
    places = sampled.v[seen].astype(np.intp), sampled.u[seen].astype(np.intp)
    return Predicted(tied, shared, coherence(sampled, weights * terms.scale), places)


def noise_of_stack(band: str, predicted: Predicted, out: StackArrays) -> StackNoise:
    """Return what the variance plane does not tell, after adding to it what masters share.

    Parameters
    ----------
    predicted
        From `predict_noise`.
    out
        The stack; its variance is changed in place.
    """
    rise = add_shared(out.image, out.variance, predicted.shared)
    log.info("%s: noise that frames share through their masters adds %.1f %% of variance", band, 100 * rise)
    pixels = out.image[predicted.places]
    empty = float(np.isnan(pixels).mean()) if pixels.size else 0.0
    return StackNoise(predicted.autocorrelation, empty, predicted.coherence)


def master_noise(
    lights: Sequence[Light],
    band: str,
    calibrator: Calibrator,
    sampled: Sampled,
    shape: tuple[int, int],
    weights: Floats,
    terms: Terms,
    how: Resampler | Dropper,
    dropped: npt.NDArray[np.bool_] = ALL,
) -> SharedNoise:
    """Return the noise that the masters of `lights` leave in their stack beyond each frame's own variance.

    Parameters
    ----------
    sampled, shape
        Pixels of the canvas and its shape.
    weights, terms
        Per light.
    how
        Interpolation or drops.
    dropped
        Pixels of the color that is drizzled.
    """
    zero, flat = np.zeros_like(sampled.x), np.zeros_like(sampled.x)
    zeros = _number([(one.match.dark, one.match.bias) for one in lights], (None, None))
    flats = _number([one.match.flat for one in lights], None)
    seen: dict[object, list[int]] = {}
    for i, light in enumerate(lights):
        match = light.match
        seen.setdefault((match.dark, match.dark_scale, match.bias, match.flat), []).append(i)
    for members in seen.values():
        first = lights[members[0]]
        parts = [calibrator.planes(first)] if dropped.size > 1 else calibrator.parts_of(first, band)
        for i in members:
            noise = _looked_up(parts, sampled.x[:, i], sampled.y[:, i])
            area = sampled.area[:, i] if how.holds_flux else 1.0
            zero[:, i] = noise[0] * lights[i].measures.gain * terms.scale[i] * area
            flat[:, i] = noise[1]
    return shared_noise(sampled, shape, weights, (zero, zeros), (flat, flats), how, dropped)


def _number(names: Sequence[object], none: object) -> npt.NDArray[np.int64]:
    """Return a number per distinct name, -1 for `none`."""
    order = {name: k for k, name in enumerate(dict.fromkeys(names))}
    return np.array([-1 if name == none else order[name] for name in names], dtype=np.int64)


def _looked_up(parts: Sequence[Planes], x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return noise of the dark over the flat [adu], and of the flat over itself [1], at frame positions."""
    good = np.isfinite(x)
    zero, flat = np.zeros((2, x.size))
    for part in parts:
        level: Floats | float = 1.0
        if part.flat is not None:
            level = _at(part.flat, x[good], y[good])
            if part.flat_variance is not None:
                flat[good] += _at(part.flat_variance, x[good], y[good]) / level**2
        if part.dark_variance is not None:
            zero[good] += _at(part.dark_variance, x[good], y[good]) / level**2
    # The mean of as many raw pixels; a missing pixel of a master is in no frame.
    return (
        np.sqrt(np.nan_to_num(zero, posinf=0.0)) / len(parts),
        np.sqrt(np.nan_to_num(flat, posinf=0.0)) / len(parts),
    )


def _at(plane: npt.NDArray[np.float32], x: Floats, y: Floats) -> Floats:
    row = np.clip(np.rint(y), 0, plane.shape[0] - 1).astype(np.intp)
    column = np.clip(np.rint(x), 0, plane.shape[1] - 1).astype(np.intp)
    return plane[row, column].astype(np.float64)
