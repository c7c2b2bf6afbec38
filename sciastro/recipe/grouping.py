"""Frames of a session in groups: lights that share their masters, and what is stacked together.

Reads the `session.Session`; writes groups for masters and products.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from sciastro.io.cards import squash
from sciastro.io.framefacts import FrameFacts
from sciastro.recipe.session import Session, by_time

__all__ = [
    "LightGroup",
    "Product",
    "exposure_key",
    "group_lights",
    "group_products",
    "median_temperature",
    "temperature_bins",
    "temperature_of",
]


TEMPERATURE_SPAN = 3.0
"""Frames of one group differ by at most twice this in sensor temperature [deg C]."""


@dataclass(frozen=True, slots=True)
class LightGroup:
    """Lights that share target, band, exposure, settings, geometry and night.

    Attributes
    ----------
    id
        Short and unique within the session.
    target, band
        As in the products.
    exposure
        [s]; None where no header says.
    temperature
        Median of the sensor [deg C]; None unknown.
    frames
        Sorted by time, then path.
    """

    id: str
    target: str
    band: str
    exposure: float | None
    gain_setting: float | None
    offset: float | None
    temperature: float | None
    binning: tuple[int, int]
    shape: tuple[int, int]
    cfa: str
    instrument: str
    readout_mode: str
    night: date | None
    frames: tuple[FrameFacts, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """One target in one band: the light groups that are integrated together."""

    target: str
    band: str
    groups: tuple[LightGroup, ...]

    @property
    def frames(self) -> tuple[FrameFacts, ...]:
        """All lights, in order of time."""
        return tuple(sorted((frame for group in self.groups for frame in group.frames), key=by_time))


def temperature_of(frame: FrameFacts) -> float | None:
    """Return the sensor temperature [deg C], or the one asked for where no sensor reading is given."""
    return frame.temperature if frame.temperature is not None else frame.set_temperature


def temperature_bins(frames: Iterable[FrameFacts], span: float = TEMPERATURE_SPAN) -> dict[FrameFacts, int]:
    """Return the number of the temperature bin of each frame; bins are at most ``2 * span`` [deg C] wide.

    Bins follow the data: a new one begins where the first frame of the last one is too far away. Frames
    of unknown temperature share bin -1.
    """
    bins: dict[FrameFacts, int] = {}
    start, number = -math.inf, -1
    known = [(temperature_of(frame), frame) for frame in frames]
    for temperature, frame in sorted(
        ((t, f) for t, f in known if t is not None), key=lambda entry: (entry[0], entry[1].name)
    ):
        if temperature > start + 2 * span:
            start, number = temperature, number + 1
        bins[frame] = number
    bins.update({frame: -1 for temperature, frame in known if temperature is None})
    return bins


def exposure_key(exposure: float | None) -> float | None:
    """Return `exposure` to three digits, so that 119.98 s and 120 s are one group."""
    if exposure is None or exposure <= 0:
        return exposure
    return round(exposure, 2 - math.floor(math.log10(exposure)))


def group_lights(session: Session) -> list[LightGroup]:
    """Return the lights in groups that share everything that calibration depends on, and the night.

    Groups are sorted by target, band and time of their first frame.
    """
    lights = sorted(session.of_kind("light"), key=by_time)
    bins = temperature_bins(lights)
    groups: dict[tuple[object, ...], list[FrameFacts]] = {}
    for frame in lights:
        key = (
            squash(frame.target) or frame.target,
            frame.filter,
            exposure_key(frame.exposure),
            frame.gain_setting,
            frame.offset,
            bins[frame],
            frame.binning,
            frame.shape,
            frame.cfa,
            squash(frame.instrument),
            squash(frame.readout_mode),
            frame.row_order,
            frame.calibrated,
            frame.night,
        )
        groups.setdefault(key, []).append(frame)
    made = [_light_group(frames) for frames in groups.values()]
    made.sort(key=lambda group: (squash(group.target), group.band, by_time(group.frames[0])))
    return [replace(group, id=f"L{number}") for number, group in enumerate(made, start=1)]


def _light_group(frames: list[FrameFacts]) -> LightGroup:
    first = frames[0]
    return LightGroup(
        id="",
        target=first.target,
        band=first.filter,
        exposure=exposure_key(first.exposure),
        gain_setting=first.gain_setting,
        offset=first.offset,
        temperature=median_temperature(frames),
        binning=first.binning,
        shape=first.shape,
        cfa=first.cfa,
        instrument=first.instrument,
        readout_mode=first.readout_mode,
        night=first.night,
        frames=tuple(frames),
    )


def median_temperature(frames: Iterable[FrameFacts]) -> float | None:
    """Return the median sensor temperature [deg C] of `frames`, None where all are unknown."""
    known = sorted(t for t in map(temperature_of, frames) if t is not None)
    if not known:
        return None
    half = len(known) // 2
    return known[half] if len(known) % 2 else (known[half - 1] + known[half]) / 2


def group_products(groups: Iterable[LightGroup]) -> list[Product]:
    """Return the light groups by target and band, one entry per product image."""
    made: dict[tuple[str, str], list[LightGroup]] = {}
    for group in groups:
        made.setdefault((squash(group.target) or group.target, group.band), []).append(group)
    return [Product(members[0].target, members[0].band, tuple(members)) for members in made.values()]
