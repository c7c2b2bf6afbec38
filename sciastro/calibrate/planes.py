"""What one kind of light is calibrated with, and the calibration of a window of it.

`correct_window` is the one inner function behind the labeled step (`calibrate.correct.correct`), the
frame-by-frame pass and the fused tile pass: all three give the same numbers.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.cfa import neighbors
from sciastro.core.quality import Quality
from sciastro.core.scratch import Scratch
from sciastro.errors import DatasetError
from sciastro.kernels.calibrate import calibrate_window, repair_defects

__all__ = ["Planes", "correct_window", "dark_plane", "plane_level", "repair_margin"]

Plane = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]

REPAIRED = np.uint16(Quality.HOT | Quality.DEAD | Quality.LOW_FLAT)
NO_PLANE = np.empty((0, 0), np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Planes:
    """Everything that `correct_window` needs beside the raw pixels.

    Attributes
    ----------
    dark, dark_variance
        What is subtracted, bias included [adu], and its variance [adu2], (y, x); None: the bias level alone.
    bias_level
        Level without light and dark current [adu]; the shot noise counts from here.
    flat, flat_variance
        Flat of level 1 and its variance [1], (y, x); None: no flat.
    defects
        Quality bits that pixels have in every frame, uint16 (y, x); None: no map.
    gain, read_noise
        [electron / adu], [electron].
    saturation
        [adu]; NaN: unknown, nothing is flagged.
    cfa
        Color filter array as stored, such as "RGGB" (see `core.cfa`); empty for mono.
    """

    dark: Plane | None = None
    dark_variance: Plane | None = None
    bias_level: float = 0.0
    flat: Plane | None = None
    flat_variance: Plane | None = None
    defects: Bits | None = None
    gain: float = float("nan")
    read_noise: float = float("nan")
    saturation: float = float("nan")
    cfa: str = ""

    def __post_init__(self) -> None:
        """Check that the planes have one shape and that gain and read noise are known.

        Raises
        ------
        DatasetError
            If not.
        """
        shapes = {item.name: plane.shape for item in dataclasses.fields(self)
                  if isinstance(plane := getattr(self, item.name), np.ndarray)}  # fmt: skip
        if len(set(shapes.values())) > 1:
            found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise DatasetError(
                f"have different shapes: {found}.",
                where="masters",
                remedy="Use masters of the lights' own size.",
            )
        if not (np.isfinite(self.gain) and self.gain > 0):
            raise DatasetError(
                f"is {self.gain}, so counts cannot be turned into electrons.",
                where="gain [electron / adu]",
                remedy="Set `calibrate.correct.gain`, or measure it from two flats and two bias frames.",
            )
        if not (np.isfinite(self.read_noise) and self.read_noise >= 0):
            raise DatasetError(
                f"is {self.read_noise}, so the noise of a pixel is unknown.",
                where="read noise [electron]",
                remedy="Set `calibrate.correct.read_noise`, or measure it from two bias frames.",
            )


def dark_plane(
    dark: Plane | None,
    dark_variance: Plane | None,
    bias: Plane | None = None,
    bias_variance: Plane | None = None,
    *,
    scale: float = 1.0,
) -> tuple[Plane | None, Plane | None, float]:
    """Return what to subtract, D = B + k (dark - B), its variance, and the bias level.

    Parameters
    ----------
    dark, dark_variance, bias, bias_variance
        Masters [adu] and [adu2], (y, x), or None.
    scale
        k: exposure of the light over that of the dark. Other than 1 needs a bias.

    Returns
    -------
    plane, variance, bias_level
        V_D = k^2 V_dark + (1 - k)^2 V_B. The bias level is the median of the bias; without a bias that of
        the dark (then too high by the dark current, which is small); 0 without either.

    Raises
    ------
    DatasetError
        If a dark should be scaled and there is no bias.
    """
    if dark is None:
        return bias, bias_variance, 0.0 if bias is None else plane_level(bias)
    if bias is None:
        if scale != 1.0:
            raise DatasetError(
                f"should be scaled by {scale:g}, and there is no bias to keep out of it.",
                where="master dark",
                remedy="Add bias frames, or darks of the lights' exposure.",
            )
        return dark, dark_variance, plane_level(dark)
    level = plane_level(bias)
    if scale == 1.0:
        return dark, dark_variance, level
    k = np.float32(scale)
    plane = bias + k * (dark - bias)
    variance = None
    if dark_variance is not None:
        variance = k * k * dark_variance
        if bias_variance is not None:
            variance = variance + (1 - k) ** 2 * bias_variance
    return plane, variance, level


def plane_level(plane: Plane) -> float:
    """Return the median of about 2e5 evenly spread pixels (an odd step sees all Bayer phases)."""
    step = max(1, int(np.sqrt(plane.size / 200_000))) | 1
    return float(np.nanmedian(plane[::step, ::step]))


def repair_margin(planes: Planes, *, repair: bool = True) -> int:
    """Return how far its repair looks around a window [pixel]: 0, or 1 (mono), 2 (Bayer), 4 (X-Trans)."""
    if not repair or planes.defects is None:
        return 0
    return int(np.abs(neighbors(planes.cfa)).max())


def correct_window(
    raw: npt.NDArray[np.generic],
    planes: Planes,
    y0: int = 0,
    x0: int = 0,
    *,
    margin: tuple[int, int, int, int] = (0, 0, 0, 0),
    with_variance: bool = True,
    repair: bool = True,
    scratch: Scratch | None = None,
) -> tuple[Plane, Plane, Bits]:
    """Calibrate a window of one raw frame.

    Parameters
    ----------
    raw
        (rows, columns) [adu], any numeric dtype.
    planes
        What to calibrate with, planes of the whole frame.
    y0, x0
        Pixel of the frame at which `raw` begins.
    margin
        Rows at the top and bottom and columns at the left and right of `raw` that are there only for the
        repair to look at; they are not returned. With `repair_margin` on every side that is not
        an edge of the frame, the numbers do not depend on the window.
    with_variance
        Whether the variance is wanted; without it the second array is empty, and the rest is faster.
    repair
        Whether hot, dead and low-flat pixels take the median of their good neighbors (the bits stay).
    scratch
        Where the results are kept until the next window of this thread; None takes fresh memory.

    Returns
    -------
    signal, variance, quality
        float32 [electron], float32 [electron2], uint16, without the margin. Missing is NaN plus a bit.
    """
    height, width = raw.shape
    window = np.s_[y0 : y0 + height, x0 : x0 + width]
    memory = Scratch() if scratch is None else scratch
    signal: Plane = memory.take("signal", (height, width), np.float32)
    quality: Bits = memory.take("quality", (height, width), np.uint16)
    variance: Plane = memory.take("variance", (height, width), np.float32) if with_variance else NO_PLANE
    calibrate_window(
        raw,
        _part(planes.dark, window, planes.bias_level),
        _part(planes.dark_variance if with_variance else None, window, 0.0),
        np.float32(planes.bias_level),
        _part(planes.flat, window, 1.0),
        _part(planes.flat_variance if with_variance else None, window, 0.0),
        np.zeros((1, 1), np.uint16) if planes.defects is None else planes.defects[window],
        np.float32(planes.gain),
        np.float32(planes.read_noise),
        np.float32(planes.saturation),
        signal,
        variance,
        quality,
    )
    top, bottom, left, right = margin
    y1, x1 = height - bottom, width - right
    if repair and planes.defects is not None:
        around = neighbors(planes.cfa)
        repair_defects(signal, variance, quality, REPAIRED, around, y0, x0, top, y1, left, x1)
    inside = np.s_[top:y1, left:x1]
    return signal[inside], variance[inside] if with_variance else variance, quality[inside]


def _part(plane: Plane | None, window: tuple[slice, slice], otherwise: float) -> Plane:
    return np.full((1, 1), otherwise, np.float32) if plane is None else plane[window]
