"""The camera: from a rate of electrons to the integers in the file.

``electrons = Poisson(light * throughput * time + dark * time)``, clipped at the full well;
``adu = round(electrons / gain + offset + structure + read noise)``, clipped at the converter's range.
A `Sensor` holds the planes that stay the same from frame to frame. Arrays are in the order in which the
file stores them. The area of pixels that distortion changes is left out of light and flats alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from sciastro.core.options import Options, option
from sciastro.errors import OptionError

__all__ = [
    "CFA_PATTERNS",
    "XTRANS",
    "CameraOptions",
    "Sensor",
    "add_by_channel",
    "bias",
    "dark",
    "dark_rate_at",
    "expose",
    "flat",
    "make_sensor",
    "phase_of",
    "saturation_adu",
    "stored_cfa",
    "throughput",
]

Plane = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint16]

XTRANS = "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"
CFA_PATTERNS = ("", "RGGB", "GRBG", "GBRG", "BGGR", XTRANS)
_CHANNEL = {"R": 0, "G": 1, "B": 2}
DOUBLING = 6.3  # degC for twice the dark current, typical of silicon near room temperature


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraOptions(Options):
    """The sensor and its electronics."""

    name: str = option("Simulated 1600 Pro", "Name in the header.")
    rows: int = option(1000, "Height.", unit="pixel", low=8, high=20000)
    columns: int = option(1500, "Width.", unit="pixel", low=8, high=20000)
    pixel_size: float = option(3.8, "Pixel size.", unit="um", low=0.5, high=50.0)
    cfa: str = option("", "Color filter array, top row first; empty for mono.", choices=CFA_PATTERNS)
    gain: float = option(0.78, "Conversion gain.", unit="electron / adu", low=0.001, high=1000.0)
    gain_setting: int = option(100, "The program's gain setting.", low=0)
    offset_setting: int = option(30, "The program's offset setting.", low=0)
    read_noise: float = option(3.0, "Read noise.", unit="electron", low=0.0, high=1000.0)
    offset: float = option(500.0, "Bias level.", unit="adu", low=0.0, high=60000.0)
    column_noise: float = option(1.5, "Scatter of the fixed offsets of columns.", unit="adu", low=0.0)
    row_noise: float = option(0.0, "Scatter of row offsets, new in each frame.", unit="adu", low=0.0)
    dark_current: float = option(0.02, "Dark current at 0 degC.", unit="electron / s", low=0.0)
    temperature: float = option(-10.0, "Sensor temperature.", unit="deg_C", low=-100.0, high=60.0)
    hot_pixels: float = option(4e-4, "Fraction of hot pixels.", low=0.0, high=0.5)
    hot_rate: float = option(6.0, "Mean dark current of hot pixels at 0 degC.", unit="electron / s", low=0.0)
    dead_pixels: float = option(5e-5, "Fraction of pixels that hardly respond.", low=0.0, high=0.5)
    glow: float = option(0.15, "Amplifier glow in the corner at 0 degC.", unit="electron / s", low=0.0)
    prnu: float = option(0.006, "Scatter of pixel response.", low=0.0, high=0.3)
    vignetting: float = option(0.22, "Light lost in the corners.", low=0.0, high=0.95)
    dust: int = option(6, "Dust shadows per filter.", low=0, high=1000)
    full_well: float = option(50000.0, "Electrons at which a pixel is full.", unit="electron", low=100.0)
    bits: int = option(16, "Bits of the converter; fewer are stored shifted up to 16.", low=8, high=16)
    cosmic_rays: float = option(0.02, "Cosmic rays.", unit="1 / s / cm2", low=0.0)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns


@dataclass(frozen=True, kw_only=True, slots=True)
class Sensor:
    """The planes of one camera, (y, x).

    Attributes
    ----------
    structure
        Bias level and columns [adu].
    dark
        Dark current with hot pixels [electron / s] at the working temperature.
    glow
        Amplifier glow [electron / s].
    response
        Relative pixel response (PRNU, dead pixels) [1].
    hot, dead
        Where the defects are.
    """

    options: CameraOptions
    seed: int
    structure: Plane
    dark: Plane
    glow: Plane
    response: Plane
    hot: npt.NDArray[np.bool_]
    dead: npt.NDArray[np.bool_]


def dark_rate_at(temperature: float) -> float:
    """Return the dark current relative to 0 degC: twice as much every 6.3 degC."""
    return float(2 ** (temperature / DOUBLING))


def make_sensor(options: CameraOptions, seed: int) -> Sensor:
    """Return the camera that `options` and `seed` describe; always the same one."""
    rng = np.random.default_rng([seed, 1])
    rows, columns = options.shape
    n = rows * columns
    structure = options.offset + options.column_noise * rng.standard_normal(columns)
    cold = dark_rate_at(options.temperature)
    current = options.dark_current * rng.gamma(9.0, 1 / 9.0, n)
    hot = np.zeros(n, dtype=bool)
    hot[rng.choice(n, round(options.hot_pixels * n), replace=False)] = True
    current[hot] += options.hot_rate * rng.exponential(1.0, int(hot.sum()))
    response = 1 + options.prnu * rng.standard_normal(n)
    dead = np.zeros(n, dtype=bool)
    dead[rng.choice(n, round(options.dead_pixels * n), replace=False)] = True
    response[dead] *= rng.uniform(0.0, 0.4, int(dead.sum()))
    yy, xx = np.arange(rows)[:, None] / rows, np.arange(columns)[None, :] / columns
    glow = (
        options.glow
        * cold
        * (np.exp(-9 * np.hypot(1 - xx, 0.45 - yy)) + 0.4 * np.exp(-16 * np.hypot(1 - xx, 1 - yy)))
    )
    return Sensor(
        options=options,
        seed=seed,
        structure=np.broadcast_to(structure, (rows, columns)).astype(np.float32),
        dark=(current * cold).reshape(rows, columns).astype(np.float32),
        glow=glow.astype(np.float32),
        response=np.maximum(response, 0).reshape(rows, columns).astype(np.float32),
        hot=hot.reshape(rows, columns),
        dead=dead.reshape(rows, columns),
    )


def throughput(sensor: Sensor, band: str) -> Plane:
    """Return vignetting, dust and pixel response for light through `band`, (y, x), 1 without losses."""
    options = sensor.options
    rows, columns = options.shape
    # A name's letters seed the dust of its filter: independent of which other filters there are.
    rng = np.random.default_rng([sensor.seed, 2, *band.encode()])
    half = 0.5 * np.hypot(rows, columns)
    y, x = np.arange(rows, dtype=np.float32)[:, None], np.arange(columns, dtype=np.float32)[None, :]
    x0, y0 = (columns - 1) / 2 + 0.02 * columns, (rows - 1) / 2 - 0.015 * rows
    far = 0.5 * np.hypot(rows * 1.03, columns * 1.04)
    light = 1 - options.vignetting * (((x - x0) ** 2 + (y - y0) ** 2) / far**2) ** 1.2
    for _ in range(options.dust):
        cx, cy = rng.uniform(0, columns), rng.uniform(0, rows)
        size, depth = rng.uniform(0.012, 0.03) * half, rng.uniform(0.02, 0.06)
        near = (
            slice(max(0, int(cy - 2 * size)), max(0, int(cy + 2 * size) + 1)),
            slice(max(0, int(cx - 2 * size)), max(0, int(cx + 2 * size) + 1)),
        )
        r = np.hypot(x[:, near[1]] - cx, y[near[0]] - cy) / size
        # The shadow of a mote far from focus: a soft-edged disk with the hole of a central obstruction.
        light[near] *= 1 - depth * expit((1 - r) * 12) * (1 - 0.7 * expit((0.35 - r) * 16))
    return np.asarray(light * sensor.response, dtype=np.float32)


def stored_cfa(options: CameraOptions, row_order: str) -> str:
    """Return the filter array in the order in which the file stores it, [y, x] phases.

    ``options.cfa`` names the top rows of the sensor; a program that writes bottom-up stores them last.
    """
    pattern = options.cfa
    if not pattern or row_order != "BOTTOM-UP":
        return pattern
    side = math.isqrt(len(pattern))
    stored = [side * ((options.rows - 1 - row) % side) for row in range(side)]
    return "".join(pattern[start : start + side] for start in stored)


def phase_of(cfa: str) -> npt.NDArray[np.int64]:
    """Return the channel (0 red, 1 green, 2 blue) of each phase of the array, [y, x]; all 0 for mono."""
    if not cfa:
        return np.zeros((2, 2), dtype=np.int64)
    side = math.isqrt(len(cfa))
    return np.array([_CHANNEL[letter] for letter in cfa], dtype=np.int64).reshape(side, side)


def add_by_channel(
    plane: Plane, light: Plane, rates: Sequence[float] | npt.NDArray[np.float64], phase: npt.NDArray[np.int64]
) -> None:
    """Add `light` to `plane` in place, each pixel times the rate of the channel that `phase_of` gives it.

    `plane` (y, x) and `rates` (channel,) [electron / s]; `light` (y, x) is what a pixel gets of a rate of 1.
    """
    rows, columns = phase.shape
    for j in range(rows):
        for i in range(columns):
            plane[j::rows, i::columns] += light[j::rows, i::columns] * np.float32(rates[phase[j, i]])


def saturation_adu(options: CameraOptions) -> float:
    """Return the level at which pixels stop following the light [adu]: full well or converter."""
    step = 2 ** (16 - options.bits)
    return float(min(options.full_well / options.gain + options.offset, 65536 - step))


def _read_out(sensor: Sensor, electrons: npt.NDArray[np.float64], rng: np.random.Generator) -> Image:
    options = sensor.options
    np.minimum(electrons, options.full_well, out=electrons)
    if options.read_noise > 0:
        noise = rng.standard_normal(electrons.shape, dtype=np.float32)
        noise *= options.read_noise
        electrons += noise
    electrons /= options.gain
    electrons += sensor.structure
    if options.row_noise > 0:
        electrons += options.row_noise * rng.standard_normal((electrons.shape[0], 1))
    step = 2 ** (16 - options.bits)
    if step > 1:
        electrons /= step
    np.rint(electrons, out=electrons)
    np.clip(electrons, 0, 2**options.bits - 1, out=electrons)
    return (electrons * step).astype(np.uint16) if step > 1 else electrons.astype(np.uint16)


def expose(
    sensor: Sensor,
    light: Plane | float,
    exposure: float,
    rng: np.random.Generator,
    *,
    hits: npt.NDArray[np.float32] | None = None,
) -> Image:
    """Return one frame [adu, uint16].

    Parameters
    ----------
    light
        Rate of photo-electrons after all losses [electron / s], (y, x) or one number.
    exposure
        Time [s].
    hits
        Electrons that cosmic rays have left, (y, x); None for none.

    Raises
    ------
    OptionError
        For a negative exposure, or light of another shape than the sensor.
    """
    if not exposure >= 0:
        raise OptionError(f"is {exposure} s.", where="exposure", remedy="Give a time of 0 s or more.")
    if np.ndim(light) != 0 and np.shape(light) != sensor.options.shape:
        raise OptionError(
            f"has shape {np.shape(light)}.",
            where="light",
            remedy=f"The sensor has shape {sensor.options.shape}.",
        )
    expected = np.asarray((sensor.dark + sensor.glow + light) * np.float64(exposure), dtype=np.float64)
    electrons = rng.poisson(expected).astype(np.float64) if exposure > 0 else np.zeros(sensor.options.shape)
    if hits is not None:
        electrons += hits
    return _read_out(sensor, electrons, rng)


def bias(sensor: Sensor, rng: np.random.Generator) -> Image:
    """Return a frame of no exposure."""
    return expose(sensor, 0.0, 0.0, rng)


def dark(sensor: Sensor, exposure: float, rng: np.random.Generator) -> Image:
    """Return a frame with the shutter closed (a dark-flat is one of the flat's exposure)."""
    return expose(sensor, 0.0, exposure, rng)


def flat(
    sensor: Sensor,
    transmission: Plane,
    level: float,
    exposure: float,
    rng: np.random.Generator,
    cfa: str = "",
) -> Image:
    """Return a flat whose unvignetted middle reaches `level` of saturation above the bias.

    Parameters
    ----------
    transmission
        From `throughput`.
    cfa
        Filter array as stored; the panel is greener than it is red or blue.
    """
    options = sensor.options
    full = (saturation_adu(options) - options.offset) * options.gain
    light = transmission * np.float32(level * full / exposure)
    if cfa:
        panel = np.array([0.62, 1.0, 0.74], dtype=np.float32)[phase_of(cfa)]
        light = (
            light
            * np.tile(panel, (light.shape[0] // panel.shape[0] + 1, light.shape[1] // panel.shape[1] + 1))[
                : light.shape[0], : light.shape[1]
            ]
        )
    return expose(sensor, light, exposure, rng)
