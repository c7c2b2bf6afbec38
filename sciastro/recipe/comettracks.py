"""Where a comet is on each frame: found by its motion, or given by hand."""

import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.movers import Detections, Track, chance_lines, find_track, line_through
from sciastro.core import transform
from sciastro.core.cfa import cell_center
from sciastro.errors import MatchError, OptionError
from sciastro.integrate.moving import CometOptions
from sciastro.integrate.options import StackOptions
from sciastro.recipe.lights import Light, StackSet
from sciastro.recipe.stacked import Stacked

if TYPE_CHECKING:
    from astropy.wcs import WCS


__all__ = ["ends_track", "found_track", "given_places", "time_of"]

CHANCE = 1.0  # lines by chance, from which on a track is doubted
log = logging.getLogger(__name__)
Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]
Pass = Callable[[StackOptions, bool, Plane | None, int], Stacked | None]


def given_places(members: StackSet, options: CometOptions) -> list[tuple[Light, tuple[float, float]]]:
    """Return the first and the last frame with the places that the user gives there, if any.

    Raises
    ------
    OptionError
        If one is given without the other, or a place lies off the frame.
    """
    texts = {"first": options.first, "last": options.last}
    given = {name: _pixels(text, name) for name, text in texts.items()}
    if (given["first"] is None) != (given["last"] is None):
        raise OptionError(
            "is given without the other.", where="comet.first or comet.last", remedy="Give both, or none."
        )
    ordered = sorted((one for one in members.lights if one.facts.time is not None), key=time_of)
    if given["first"] is None or len(ordered) < 2:
        return []
    places = []
    for name, light in (("first", ordered[0]), ("last", ordered[-1])):
        rows, columns = light.facts.shape
        place = given[name]
        if place is None or not (0 <= place[0] < columns and 0 <= place[1] < rows):
            raise OptionError(
                f"is {texts[name]}, outside of {light.name}.",
                where=f"comet.{name}",
                remedy=f"Give raw pixels from 0,0 to {columns - 1},{rows - 1}.",
            )
        places.append((light, place))
    return places


def ends_track(members: StackSet, options: CometOptions, step: int) -> Track | None:
    """Return the line through the places that the user gives on the first and on the last frame, if any.

    Raises
    ------
    MatchError
        If one of the two frames could not be registered.
    """
    given = given_places(members, options)
    if not given:
        return None
    places = []
    for light, place in given:
        if light.from_reference is None:
            raise MatchError(
                f"is given on {light.name}, which could not be registered.",
                remedy="Take that frame out, or give rate and angle.",
            )
        x, y = _on_reference(light, np.array([place]), step)
        places.append((time_of(light), float(x[0]), float(y[0])))
    times, x_places, y_places = zip(*places, strict=True)
    return line_through(times, x_places, y_places, (0, 1))


def found_track(
    lights: list[Light], wcs: "WCS | None", options: CometOptions, warn: Callable[[str], None]
) -> Track:
    """Return the track of the one source among the detections that moves evenly.

    `warn` is told where chance may have made it.

    Raises
    ------
    MatchError
        If fewer than two frames have a time, or nothing or several sources move evenly.
    """
    if len(lights) < 2:
        raise MatchError("cannot be followed: fewer than two frames have a time.", remedy="Check DATE-OBS.")
    ordered = sorted(lights, key=time_of)
    frames = [_detections(light) for light in ordered]
    velocity = _velocity(wcs, options)
    try:
        track = find_track(frames, velocity=velocity)
    except MatchError:
        if velocity is None:
            raise
        # Rate and angle suffice to follow it; where exactly it is does not matter.
        return Track(frames[0].time, 0.0, 0.0, *velocity, float("nan"), ())
    if velocity is None and (chance := chance_lines(frames, track)) > CHANCE:
        warn(
            f"what is taken for the comet is seen on {len(track.frames)} of {len(frames)} frames, and chance "
            f"makes about {chance:.0f} such lines: look at the picture of the comet alone. Give more frames, "
            "or comet.rate and comet.angle, or its place on the first and the last one."
        )
    return track


def time_of(light: Light) -> float:
    """Return mid-exposure as seconds; only for lights that have a time."""
    return light.facts.time.timestamp() if light.facts.time is not None else float("nan")


def _pixels(text: str, name: str) -> tuple[float, float] | None:
    """Return the X,Y of an option.

    Raises
    ------
    OptionError
        If it is not two finite numbers.
    """
    if not text.strip():
        return None
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise OptionError(
            f"is {text!r}.", where=f"comet.{name}", remedy="Write raw pixels as X,Y, such as 1204.5,880."
        )
    return x, y


def _on_reference(light: Light, raw: Floats, step: int) -> tuple[Floats, Floats]:
    """Return positions (n, 2) of raw pixels of a frame on the reference grid."""
    first = cell_center(light.facts.cfa) if step > 1 else (0.0, 0.0)  # the stack grid's first pixel
    grid = (raw - np.array(first)) / step
    return _inverted(light, grid[:, 0], grid[:, 1])


def _inverted(light: Light, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    if light.from_reference is None:
        raise RuntimeError(f"{light.name} is not registered")
    return transform.invert(light.from_reference, x, y)


def _detections(light: Light) -> Detections:
    stars = light.measures.stars
    x, y = _inverted(light, stars["x"].astype(np.float64), stars["y"].astype(np.float64))
    known = np.isfinite(x) & np.isfinite(y)
    return Detections(time_of(light), x[known], y[known], stars["flux"].astype(np.float64)[known])


def _velocity(wcs: "WCS | None", options: CometOptions) -> tuple[float, float] | None:
    """Return the given motion on the reference grid [pixel / s]; None where it is not given.

    Raises
    ------
    OptionError
        If only one of rate and angle is given.
    MatchError
        Without world coordinates.
    """
    import astropy.units as u
    from astropy.coordinates import SkyCoord

    if options.rate is None and options.angle is None:
        return None
    if options.rate is None or options.angle is None:
        raise OptionError(
            "is given without the other.", where="comet.rate or comet.angle", remedy="Give both, or none."
        )
    if wcs is None:
        raise MatchError(
            "has a rate on the sky, and the frames have no world coordinates.",
            remedy="Give comet.first and comet.last instead, or --ra, --dec and --scale.",
        )
    width, height = wcs.pixel_shape or (1000, 1000)
    here = wcs.pixel_to_world(width / 2, height / 2)
    there = here.directional_offset_by(options.angle * u.deg, options.rate * u.arcsec)
    x, y = (np.asarray(one, dtype=np.float64) for one in wcs.world_to_pixel(SkyCoord([here, there])))
    return float(x[1] - x[0]) / 3600, float(y[1] - y[0]) / 3600
