"""Stack on something that moves: shift the maps with it, and take off the frames what stands still.

A comet smears on a stack of the stars, and the stars on a stack of the comet; rejection removes what
crosses a pixel once, not what lingers. So each is subtracted from the frames before the other is stacked:
comet from frames aligned on it, stars from what is left of frames without it, and both once more. Values are
those of normalized frames [electron / s], in which sky and star fluxes agree.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core import transform
from sciastro.core.options import Options, option
from sciastro.integrate.grid import Tile, input_window
from sciastro.integrate.resample import resample, resampler

__all__ = ["Adjust", "CometOptions", "Subtraction", "shifted_maps", "structure"]

Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]

Adjust = Callable[[int, Tile, Plane], None]
"""Changes the samples of a frame (number, tile with its rim, values (y, x)) in place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CometOptions(Options):
    """Stacking on a comet (or an asteroid), with stars and comet both sharp."""

    enabled: bool = option(False, "Also stack on the comet, and put both together.")
    rate: float | None = option(
        None, "Its motion against the stars; none finds it.", unit="arcsec / h", low=0.0, high=1e6
    )
    angle: float | None = option(
        None, "Position angle of the motion, from north through east.", unit="deg", low=-360.0, high=360.0
    )
    first: str = option("", "Where it is on the first frame, as raw pixels X,Y (0-based); empty finds it.")
    last: str = option("", "Where it is on the last frame, as raw pixels X,Y (0-based); empty finds it.")


def shifted_maps(maps: npt.ArrayLike, shifts: npt.ArrayLike) -> Floats:
    """Return canvas-to-frame maps (frame, 2, term) that follow the object.

    Parameters
    ----------
    maps
        Canvas-to-frame maps of the stars.
    shifts
        Where the object is on the canvas at each frame, less where it is in the image: (frame, 2) [pixel].
    """
    pairs = zip(np.asarray(maps, dtype=np.float64), np.asarray(shifts, dtype=np.float64), strict=True)
    return np.stack([transform.substitute(c, 1.0, (float(s[0]), float(s[1]))) for c, s in pairs])


def structure(image: Plane) -> Plane:
    """Return `image` less its sky (the median), NaN where it is missing."""
    return np.asarray(image - np.float32(np.nanmedian(image)), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Subtraction:
    """Takes a model, which lies elsewhere for each frame, off its samples.

    Attributes
    ----------
    model
        float32 (y, x) on the canvas [electron / s], without sky; NaN takes nothing off.
    shifts
        (frame, 2) [pixel]: a sample of canvas pixel X shows ``model(X + shift)``.
    """

    model: Plane
    shifts: Floats

    def __call__(self, frame: int, tile: Tile, values: Plane) -> None:
        """Change `values` (y, x) of `tile` in place."""
        c = transform.substitute(
            transform.identity(), 1.0, (float(self.shifts[frame, 0]), float(self.shifts[frame, 1]))
        )
        shape = (self.model.shape[0], self.model.shape[1])
        window = input_window(c, tile, shape)
        if window is None:
            return
        y0, y1, x0, x1 = window
        part = np.nan_to_num(self.model[y0:y1, x0:x1], nan=0.0)
        nothing = np.zeros(part.shape, np.float32), np.zeros(part.shape, np.uint16)
        out = np.empty(tile.shape, np.float32), np.empty(tile.shape, np.float32)
        bits = np.empty(tile.shape, np.uint16)
        resample((part, *nothing), (y0, x0), c, tile, resampler("lanczos3"), (*out, bits))
        np.subtract(values, out[0], out=values, where=np.isfinite(out[0]))
