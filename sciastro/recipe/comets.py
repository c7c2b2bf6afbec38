"""Comet mode: where the comet is on each frame, and a stack in which stars and comet are both sharp.

The motion comes from the user (rate and angle on the sky, its place on the first and the last frame, or an
ephemeris, along which it may curve), and else from the frames: the one source among the detections that moves
evenly. Three passes follow for a band:

1. frames aligned on the comet, stars clipped: a first image of the comet;
2. frames aligned on the stars, less that comet: the stars alone;
3. frames aligned on the comet, less those stars: the comet alone.

The product holds both, with the comet where it was on the reference frame; stars and comet alone are written
beside it. Stars and comet share frames; `shared_noise_share` says how much of their noise is common.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.movers import Way
from sciastro.astrometry.solve import Solution
from sciastro.core.quality import Quality
from sciastro.errors import MatchError, OptionError
from sciastro.integrate.moving import CometOptions, around, smoothed, structure
from sciastro.integrate.options import StackOptions
from sciastro.integrate.run import StackArrays
from sciastro.io.ephemeris import read_ephemeris
from sciastro.recipe.bandproducts import write_band
from sciastro.recipe.calibrating import Calibrator
from sciastro.recipe.canvases import canvas_of
from sciastro.recipe.comettracks import ends_track, found_track, given_places, time_of
from sciastro.recipe.cometway import way_of
from sciastro.recipe.context import Context
from sciastro.recipe.following import Following
from sciastro.recipe.lights import Light, StackSet
from sciastro.recipe.plan import Recipe
from sciastro.recipe.stacked import Stacked
from sciastro.recipe.stacking import stack_band

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["CometStack", "check_ends", "find_comet", "stack_comet", "write_comet"]

log = logging.getLogger(__name__)

CLEAR = 5.0  # widths of a star that a comet should move

Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CometStack:
    """One band: both together, and each alone."""

    both: Stacked
    stars: Stacked
    comet: Stacked


def find_comet(
    members: StackSet, wcs: "WCS | None", recipe: Recipe, context: Context, step: int
) -> Way | None:
    """Return the comet's way over the reference grid; None where comet mode is off, or it was not found.

    Parameters
    ----------
    wcs
        Of the reference grid; needed where the motion is given as rate and angle.
    step
        Raw pixels per pixel of the stack grid.
    """
    options = recipe.of(CometOptions)
    if not options.enabled:
        return None
    lights = [
        one
        for one in members.lights
        if one.use and one.from_reference is not None and one.facts.time is not None
    ]
    if options.ephemeris:
        return way_of(options.ephemeris, members.stem, [time_of(light) for light in lights], wcs, context)

    def told(words: str) -> None:
        context.warn(f"{members.stem}: {words}")

    try:
        ends = ends_track(members, options, step)
        track = ends if ends is not None else found_track(lights, wcs, options, told)
    except MatchError as error:
        context.warn(
            f"{members.stem}: the comet {error.found} {error.remedy} The stack is of the stars only."
        )
        return None
    speed = float(np.hypot(track.vx, track.vy))
    text = f"{members.stem}: the comet moves {3600 * speed:.2f} pixel / h"
    log.info("%s, seen on %d frames", text, len(track.frames))
    way = speed * float(np.ptp([time_of(light) for light in lights]))
    width = float(np.nanmedian([light.measures.fwhm for light in lights]))
    if way < CLEAR * width:
        context.warn(
            f"{text}, {way:.0f} pixel in all: it hardly leaves its own place, so stars and comet cannot be "
            f"told apart well there. Give frames over a longer time (at least {CLEAR * width:.0f} pixel)."
        )
    return track


def check_ends(sets: Sequence[StackSet], recipe: Recipe) -> None:
    """Check the places of a comet that the user gives, before hours of work.

    Raises
    ------
    OptionError
        If they are no two numbers, or not both given; if an ephemeris does not cover the frames.
    FileError
        If an ephemeris cannot be read.
    """
    options = recipe.of(CometOptions)
    if not options.enabled:
        return
    if options.ephemeris:
        if options.first or options.last or options.rate is not None or options.angle is not None:
            raise OptionError(
                "is given besides its motion or places.", where="comet.ephemeris", remedy="Give one of them."
            )
        times = [
            time_of(light) for members in sets for light in members.lights if light.facts.time is not None
        ]
        read_ephemeris(options.ephemeris).at(times)
        return
    for members in sets:
        given_places(members, options)


def stack_comet(
    members: StackSet, band: str, track: Way, calibrator: Calibrator, recipe: Recipe, context: Context
) -> CometStack | None:
    """Stack a band on comet and stars; None where there are too few frames.

    Parameters
    ----------
    track
        From `find_comet`.
    """
    canvas = canvas_of(members, calibrator, recipe)
    anchor = _anchor(members)
    shifts = _shifts(members, track, anchor, canvas.scale)
    place = canvas.from_reference(*track.at(time_of(anchor)))
    ordinary = recipe.of(StackOptions)
    # Stars are trails in the first pass, which come to a pixel once; cores need no protection yet.
    trails = replace(ordinary, reject="winsorized", low=3.0, high=2.0, protect=0.0, combine="mean")
    plane = 4 * canvas.shape[0] * canvas.shape[1]

    def stacked(options: StackOptions, follow: bool, model: Plane | None, held: int) -> Stacked | None:
        how = Following(shifts=shifts, follow=follow, model=model, beside=held * plane)
        return stack_band(members, band, calibrator, recipe, context, options=options, following=how)

    first = stacked(trails, True, None, 0)
    if first is None:
        return None
    at = (float(place[0]), float(place[1]))
    # Only its smooth light: the trails of stars that are left would come off the stars themselves.
    alone = around(smoothed(structure(first.arrays.image), *at), *at)
    del first
    stars, comet = _apart(stacked, ordinary, alone)
    if stars is None or comet is None:
        return None
    alone = around(structure(comet.arrays.image), *at)
    del stars, comet
    stars, comet = _apart(stacked, ordinary, alone)
    if stars is None or comet is None:
        return None
    moves = np.array([shifts[light.name] for light in comet.lights])
    weights = np.array([light.weights.get(band, 0.0) for light in comet.lights])
    kept = 1 - shared_noise_share(moves, weights)
    comet = replace(comet, arrays=replace(comet.arrays, variance=comet.arrays.variance * np.float32(kept)))
    named = f"{comet.method}, on the comet"
    both = replace(
        stars, arrays=_together(stars.arrays, comet.arrays), method=f"{stars.method}, stars and comet"
    )
    return CometStack(
        both=both,
        stars=replace(stars, file=f"{stars.file}_stars", method=f"{stars.method}, without the comet"),
        comet=replace(comet, file=f"{comet.file}_comet", method=named),
    )


Pass = Callable[[StackOptions, bool, Plane | None, int], Stacked | None]


def _apart(stacked: Pass, options: StackOptions, comet: Plane) -> tuple[Stacked | None, Stacked | None]:
    """Return the stars without the given comet, and the comet without those stars."""
    stars = stacked(options, False, comet, 1)
    if stars is None:
        return None, None
    return stars, stacked(options, True, structure(stars.arrays.image), 6)


def _anchor(members: StackSet) -> Light:
    """Return the frame whose time the image shows: the reference, or one that has a time."""
    timed = [light for light in members.lights if light.facts.time is not None]
    reference = next((light for light in timed if light is members.reference), None)
    return timed[len(timed) // 2] if reference is None else reference


def _shifts(members: StackSet, track: Way, anchor: Light, scale: float) -> dict[str, tuple[float, float]]:
    """Return, by frame, how far the comet is from its place on the anchor [canvas pixel]."""
    timed = [light for light in members.lights if light.facts.time is not None]
    x0, y0 = track.at(time_of(anchor))
    places = {light.name: track.at(time_of(light)) for light in timed}
    return {name: (scale * (x - x0), scale * (y - y0)) for name, (x, y) in places.items()}


def shared_noise_share(shifts: Floats, weights: Floats) -> float:
    """Return which share of the comet's variance is taken off with the stars, since both share frames.

    With the weights w and the shifts s, stars are ``sum w x`` and the comet ``sum w T_s (x - stars)``: its
    variance is that of a mean of frames times ``1 - sum_ij w_i w_j sinc(s_i - s_j)`` for white noise, and the
    sum of both has that of the stars more. Frames paired with themselves are left out: their part, 1 / n,
    is about what trails of stars leave.

    Parameters
    ----------
    shifts
        Of the comet (frame, 2) [canvas pixel].
    weights
        Per frame.
    """
    share = weights / weights.sum()
    apart = shifts[:, None] - shifts[None]
    alike = np.prod(np.sinc(apart), axis=-1)
    both = float(share @ alike @ share) - float(share @ share)
    return float(np.clip(both, 0.0, 1.0))


def _together(stars: StackArrays, comet: StackArrays) -> StackArrays:
    """Return the stars with the comet's structure added; where there is no comet, the stars as they are."""
    light = structure(comet.image)
    known = np.isfinite(light)
    flags = np.where(known, comet.quality & ~np.uint16(Quality.OUTLIER), 0).astype(np.uint16)
    return replace(
        stars,
        image=np.where(known, stars.image + light, stars.image),
        variance=np.where(known, stars.variance + comet.variance, stars.variance),
        quality=stars.quality | flags,
    )


def write_comet(
    stack: CometStack, solution: Solution | None, recipe: Recipe, context: Context
) -> list[dict[str, Any]]:
    """Write stars and comet alone and return their rows of ``summary.json``, which say what they show."""
    rows = []
    for shows, one in (("stars", stack.stars), ("comet", stack.comet)):
        rows.append({**write_band(one, None, solution, recipe, context), "shows": shows})
    return rows
