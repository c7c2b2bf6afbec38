"""What a run will do with a session, foreseen from headers alone: formats, colors, panels, lenses, comets.

The same functions decide as in a run (`stack_sets`, `find_panels`), so that the doctor cannot promise
another thing; what only pixels tell (whether a camera follows the sky) is said as what will be looked for.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.plane import project, separation
from sciastro.calibrate.debayer import DebayerOptions
from sciastro.core.cfa import cell_side
from sciastro.core.directions import unit_vectors
from sciastro.integrate.canvas import CanvasOptions
from sciastro.integrate.drizzle import DrizzleOptions
from sciastro.integrate.moving import CometOptions
from sciastro.integrate.options import StackOptions
from sciastro.io.filenames import stem
from sciastro.io.framefacts import FrameFacts
from sciastro.recipe.diagnosis import Issue, Section
from sciastro.recipe.drifting import WIDE
from sciastro.recipe.lights import Light, StackSet, lights_of, stack_sets
from sciastro.recipe.masterplan import MasterPlan
from sciastro.recipe.panels import find_panels
from sciastro.recipe.plan import Recipe
from sciastro.recipe.session import Session
from sciastro.recipe.targets import field_of

__all__ = ["foreseen", "formats", "is_wide", "panel_issues"]

Floats = npt.NDArray[np.float64]

COMET = re.compile(r"\b[CPDX]/?\s?\d{4}\s?[A-Z]{1,2}\d|\b\d{1,3}P\b|comet|komet", re.IGNORECASE)
"""Names of comets: C/2023 A3, 12P/Pons-Brooks, "comet"."""
SIDEREAL = 15.041  # degrees per hour


def formats(session: Session) -> Section:
    """Return what kinds of files there are, with the number of files and of frames."""
    files = {frame.path: frame.of for frame in session.frames}
    count: Counter[str] = Counter(_suffix(path) for path in files)
    frames: Counter[str] = Counter()
    for path, number in files.items():
        frames[_suffix(path)] += max(number, 1)
    rows = tuple((name, str(number), str(frames[name])) for name, number in count.most_common())
    plain = len(rows) == 1 and rows[0][1] == rows[0][2] and rows[0][0].startswith((".fit", ".fts"))
    return Section("Files", ("format", "files", "frames"), () if plain else rows)


def _suffix(path: str) -> str:
    """Return all that follows the stem of a file name (".fits.fz")."""
    name = PurePath(path).name
    return name[len(stem(PurePath(name))) :].lower()


def foreseen(plan: MasterPlan, recipe: Recipe) -> Section:
    """Return, set by set, what a run with `recipe` will do beyond calibrating, registering and stacking."""
    rows = []
    for members in stack_sets(lights_of(plan)):
        name = members.stem
        for what, how in _of_set(members, recipe):
            rows.append((name, what, how))
            name = ""
    return Section("How it would be reduced", ("images", "", ""), tuple(rows))


def panel_issues(plan: MasterPlan, recipe: Recipe | None = None) -> Iterator[Issue]:
    """Yield a note for each mosaic, in case that it is none; a warning where it is too large to be one."""
    for members in stack_sets(lights_of(plan)):
        lights = _live(members)
        panels = find_panels(lights, None)
        if len(panels) > 1:
            beyond = _beyond(lights, recipe)
            yield Issue(
                "mosaic",
                "warning" if beyond else "note",
                f"The lights of {members.target} point to {len(panels)} places (up to "
                f"{_apart(lights):.2f} deg apart) and {beyond or 'will be joined to one mosaic.'}",
                "If they are different targets, give them different OBJECT names.",
            )


def _beyond(lights: Sequence[Light], recipe: Recipe | None) -> str:
    """Return why `lights` will not all be on one canvas; "" if they will."""
    largest = (CanvasOptions() if recipe is None else recipe.of(CanvasOptions)).largest
    area = _area(lights)
    if area <= largest:
        return ""
    size = f"as large as {math.ceil(area)} frames" if math.isfinite(area) else "of more than half the sky"
    return f"are too far apart: a canvas {size} is beyond canvas.largest={largest:g}; some will be left out."


def _live(members: StackSet) -> list[Light]:
    return [light for light in members.lights if not light.reason]


def _of_set(members: StackSet, recipe: Recipe) -> Iterator[tuple[str, str]]:
    yield "frames", _frames(members, recipe)
    if members.cfa:
        yield "color sensor", _color(members, recipe)
    lights = _live(members)
    panels = find_panels(lights, None)
    if len(panels) > 1:
        each = ", ".join(str(len(panel)) for panel in panels)
        beyond = _beyond(lights, recipe)
        share = f"but they {beyond}" if beyond else "and all share one canvas."
        yield (
            "mosaic",
            f"{len(panels)} panels ({each} lights), up to {_apart(lights):.2f} deg apart; each is solved, "
            f"leveled to its neighbors, {share}",
        )
    yield from _sky(members)
    yield from _comet(members, recipe)
    scale = recipe.of(DrizzleOptions).scale
    if scale not in (None, 1.0):
        yield "drizzle", f"onto pixels {scale:g} times finer than those of the frames."


def _frames(members: StackSet, recipe: Recipe) -> str:
    numbers = [len(members.of_band(band)) for band in members.bands]
    each = ", ".join(f"{band} {number}" for band, number in zip(members.bands, numbers, strict=True))
    options = recipe.of(StackOptions)
    rules = sorted({options.thresholds(number)[0] for number in numbers})
    told = " and ".join(rules)
    return f"{each}; outliers are told by stack.reject={told}."


def _color(members: StackSet, recipe: Recipe) -> str:
    side, (rows, columns) = cell_side(members.cfa), members.lights[0].facts.shape
    method = recipe.of(DebayerOptions).method
    name = "X-Trans" if side == 3 else members.cfa
    if method == "superpixel":
        return (
            f"{name} mosaic, one pixel of each color per {side} x {side} raw pixels: images of "
            f"{columns // side} x {rows // side}. debayer.method=linear gives the full size."
        )
    return f"{name} mosaic, split by debayer.method={method}: images of the full size."


def is_wide(facts: FrameFacts) -> bool:
    """Return whether the whole sky is searched for the field of a frame: it is wider than a telescope's."""
    return _diagonal(facts) >= WIDE


def _diagonal(facts: FrameFacts) -> float:
    """Return the diagonal of the field [deg], 0 where the scale is unknown."""
    return 0.0 if facts.scale is None else facts.scale * math.hypot(*facts.shape) / 3600


def _sky(members: StackSet) -> Iterator[tuple[str, str]]:
    facts = members.lights[0].facts
    field, wide = _diagonal(facts), is_wide(facts)
    if wide:
        hours = _hours(members.lights)
        turn = f" In {60 * hours:.0f} min the sky turns by {SIDEREAL * hours:.1f} deg." if hours > 0 else ""
        yield (
            "wide field",
            f"{field:.0f} deg across: whether the camera stands still (a tripod) is seen from the stars. If "
            f"so, lens and turn are modeled, and all frames go onto one undistorted picture.{turn}",
        )
    if facts.pointing is not None and facts.scale is not None:
        yield "position", "from the pointing of the headers, then from the stars."
    elif facts.pointing is None and wide:
        yield "position", "looked for on the whole sky, since headers do not tell it."
    else:
        lacks = [
            word
            for word, value in (("--ra --dec", facts.pointing), ("--scale", facts.scale))
            if value is None
        ]
        yield (
            "position",
            f"looked for on the whole sky, since headers do not tell it; {' and '.join(lacks)} would make it "
            "quick and sure.",
        )


def _comet(members: StackSet, recipe: Recipe) -> Iterator[tuple[str, str]]:
    if recipe.of(CometOptions).enabled:
        yield "comet", "is followed: stars and comet both sharp, and each alone."
    elif COMET.search(members.target):
        yield (
            "comet",
            "by its name. As it is, stars are sharp and the comet is smeared or rejected; "
            "--set comet.enabled=true makes both sharp.",
        )


def _hours(lights: Sequence[Light]) -> float:
    times = [light.facts.time.timestamp() for light in lights if light.facts.time is not None]
    return (max(times) - min(times)) / 3600 if times else 0.0


def _apart(lights: Sequence[Light]) -> float:
    """Return the largest distance between two pointings [deg]."""
    ra, dec = _pointings(lights)
    return max(float(separation(*one, ra, dec).max()) for one in zip(ra, dec, strict=True))


def _area(lights: Sequence[Light]) -> float:
    """Return the area of a plane picture of all `lights`, north up [frames]; infinite if there is none."""
    ra, dec = _pointings(lights)
    first = lights[0].facts
    height, width = np.array(first.shape) * field_of(first) / max(first.shape)
    x, y, z = unit_vectors(ra, dec).mean(axis=0)
    middle = np.rad2deg([math.atan2(y, x), math.atan2(z, math.hypot(x, y))])
    across, up = np.ptp(project(ra, dec, *middle), axis=0)
    area = float((across + width) * (up + height) / (width * height))
    return area if math.isfinite(area) else math.inf


def _pointings(lights: Sequence[Light]) -> tuple[Floats, Floats]:
    """Return ra and dec [deg] of all places; those of a dither, alike to 0.001 deg, are one."""
    told = [light.facts.pointing for light in lights if light.facts.pointing is not None]
    ra, dec = np.unique(np.round(told, 3), axis=0).T
    return ra, dec
