"""The stretch of a whole picture: parameters from its brightness, then a function for blocks of rows.

Input is the balanced linear picture scaled to 0..1 (black to white); output is what the screen shows, not yet
inside the gamut. The parameters come back as plain values for the recipe.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import mad_sigma
from sciastro.render.color import mean_light, pixel_noise, strongest
from sciastro.render.stretch import (
    ArcsinhParameters,
    StfParameters,
    apply_arcsinh,
    apply_stf,
    arcsinh_beta,
    autostretch,
    mtf_balance,
)

__all__ = ["Look", "brightness_stf", "choose_stretch"]

Plane = npt.NDArray[np.float32]
Stretch = Callable[[Plane], Plane]


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """Which stretch, and how: see the options of the same names in `render.compose.ComposeOptions`."""

    stretch: str
    linked: bool
    target: float
    shadows: float
    star_color: float


def choose_stretch(
    cube: Plane, base: Plane, pedestal: np.float32, span: np.float32, look: Look
) -> tuple[Stretch, dict[str, Any]]:
    """Return a function that stretches blocks of the scaled picture, and its parameters.

    Parameters
    ----------
    cube
        (y, x, channel), linear, sky at 0; only an unlinked stretch looks at it.
    base
        (y, x), brightness scaled to 0..1, with the noise of the unsmoothed picture: smoothing must not invite
        more stretch.
    pedestal, span
        Scaled values are ``(cube + pedestal) / span``.
    look
        What is asked for.
    """
    if look.stretch == "arcsinh":
        return _arcsinh(base, look)
    if not look.linked:
        own = autostretch(
            np.clip((cube + pedestal) / span, 0, 1), linked=False, target=look.target, shadows=look.shadows
        )
        return lambda block: np.asarray(apply_stf(block, own), dtype=np.float32), own.as_dict()
    one = brightness_stf(base, target=look.target, shadows=look.shadows)
    if cube.shape[2] == 1:
        return lambda block: np.asarray(apply_stf(block, one), dtype=np.float32), one.as_dict()
    linked = StfParameters(shadows=one.shadows * 3, midtones=one.midtones * 3, highlights=one.highlights * 3)
    return lambda block: _linked(block, one, linked, look), linked.as_dict()


def brightness_stf(base: Plane, *, target: float, shadows: float) -> StfParameters:
    """Return the screen transfer function of a brightness plane (0..1, no NaN).

    That of `autostretch` where the sky is mostly noise. Where most of the picture is nebula or galaxy its MAD
    is not noise, and the black point of the automatic function would lie far below the darkest pixel: black
    then rises to just under the darkest part.
    """
    median = float(np.median(base))
    spread = mad_sigma(base, median)
    black = median + shadows * spread
    noise = pixel_noise(base)
    if spread > 2 * noise:
        from scipy import ndimage

        dark = float(np.percentile(ndimage.uniform_filter(base, 9, mode="nearest")[::4, ::4], 0.2))
        black = max(black, min(dark, median) + shadows * noise)
    black = min(max(black, 0.0), 1.0)
    balance = mtf_balance(median - black, target)
    return StfParameters(shadows=(black,), midtones=(balance,), highlights=(1.0,))


def _linked(block: Plane, one: StfParameters, linked: StfParameters, look: Look) -> Plane:
    out = apply_stf(block, linked)
    light = mean_light(block)[:, :, None]
    bright = apply_stf(np.clip(light, 0, 1), one)
    # The linked stretch bleaches bright pixels; carry their brightness with their linear color instead.
    above = np.clip(block - np.float32(one.shadows[0]), 0, None)
    color = bright * above / np.maximum(mean_light(above)[:, :, None], np.float32(1e-9))
    # A color whose strongest channel leaves the screen would end as white: give up brightness for half of it.
    color /= np.sqrt(np.maximum(strongest(color)[:, :, None], np.float32(1)))
    t = np.clip((bright - look.target) / (0.9 - look.target), 0, 1)
    mix = (look.star_color * t * t * (3 - 2 * t)).astype(np.float32)
    out = out + mix * (color - out)
    # The brightest cores have often lost their color to saturation, flagged or not: they end in white.
    core = np.clip(2 * light - 1, 0, 1)
    return np.asarray(out + core * (bright - out), dtype=np.float32)


def _arcsinh(base: Plane, look: Look) -> tuple[Stretch, dict[str, Any]]:
    black = brightness_stf(base, target=look.target, shadows=look.shadows).shadows[0]
    level = (float(np.median(base)) - black) / (1 - black)
    parameters = ArcsinhParameters(
        beta=arcsinh_beta(max(level, 1e-9), look.target), black=black, weights=(1.0, 1.0, 1.0)
    )

    def stretch(block: Plane) -> Plane:
        return np.asarray(apply_arcsinh(np.clip(block, black, None), parameters), dtype=np.float32)

    return stretch, parameters.as_dict()
