"""Movers of a finished run: found between its frames, measured on each, told from what the sensor does.

Sightings of every frame that a star of the stack does not account for are linked to tracks of even motion;
sources of the stack whose sightings creep are slow movers. Each is then measured by a fit to the pixels.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.evenmotion import Motion
from sciastro.astrometry.sightings import LEAST, Sightings, beside, settle, slow_chains, stationary
from sciastro.astrometry.tracklets import Linked, LinkOptions, link
from sciastro.core.options import Options, option
from sciastro.errors import FileError
from sciastro.recipe.context import hand_back_arrays
from sciastro.recipe.moverfit import measure_movers, star_errors
from sciastro.recipe.moverplaces import Errors, Guess, Mover
from sciastro.recipe.movingfield import Field, fields_of, look_at

__all__ = ["Found", "MoverOptions", "find_movers", "read_summary", "time_of"]

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

MEMORY = 2 * 10**9  # byte, as `sciastro reduce` takes
FIXED = 0.5  # pixel: what stays so near one pixel of the sensor belongs to it
SAME = 1.5  # widths of a star and ends of the night within which two movers are one
FAR = 8.0  # widths of a star from which a mover hardly shows in the stack
SHARE = 0.5  # of the frames that show what hardly moves
BAD_FIT = 6.0  # chi2 per degree of freedom of a motion that is none


@dataclass(frozen=True, kw_only=True, slots=True)
class MoverOptions(Options):
    """What counts as a mover."""

    threshold: float = option(
        4.0, "Least signal over noise on single frames.", unit="sigma", low=2.5, high=1e3
    )
    fastest: float = option(20.0, "Fastest motion looked for.", unit="arcsec / min", low=0.001, high=1e5)
    false_tracks: float = option(0.1, "False tracks that chance may make in a night.", low=1e-6, high=100.0)
    least_frames: int = option(3, "Fewest frames that show a mover.", low=3, high=10_000)


@dataclass(frozen=True, slots=True)
class Found:
    """Movers of one field and night, brightest first.

    Attributes
    ----------
    expected_false
        Tracks that chance is expected to have made among them.
    needed
        By signal over noise, how many frames a track needed.
    """

    field: Field
    movers: tuple[Mover, ...]
    errors: Errors
    expected_false: float
    needed: dict[float, int]
    sightings: int


CROWD = (
    "A bright nebula, clouds or halos leave so many; they lie on lines, not at random, so more false movers "
    "are made of them than chance tells: look at the picture of each before you trust or report it"
)
"""What the user should know where frames hold more sightings than stars and chance explain."""


def read_summary(out: Path) -> dict[str, Any]:
    """Return ``summary.json`` of a run.

    Raises
    ------
    FileError
        If it is not there or not JSON.
    """
    path = out / "summary.json"
    remedy = "Name the folder that `sciastro reduce -o` wrote."
    if not out.is_dir():
        raise FileError("is no folder.", where=str(out), remedy=remedy)
    if not path.is_file():
        raise FileError("is no summary of a run: there is no such file.", where=str(path), remedy=remedy)
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(summary, dict):
            raise TypeError("not an object")
    except (OSError, ValueError, TypeError) as error:
        raise FileError(f"is no summary of a run ({error}).", where=str(path), remedy=remedy) from error
    return summary


def find_movers(
    out: Path,
    options: MoverOptions | None = None,
    *,
    memory: int = MEMORY,
    tell: Callable[[str], None] = log.info,
) -> list[Found]:
    """Return the movers of every target and night of a finished run.

    Parameters
    ----------
    out
        The folder.
    memory
        Bound on that of this process [byte].
    tell
        Is told what happens, sentence by sentence.

    Raises
    ------
    FileError
        If the folder is no finished run, or its pixels cannot be read.
    MatchError
        If no target has three frames of different times with world coordinates.
    OptionError
        If not even one frame can be looked at within `memory`.
    """
    options = MoverOptions() if options is None else options
    hand_back_arrays()
    found: list[Found] = []
    for one in fields_of(out, read_summary(out)):
        for note in one.notes:
            tell(note)
        before = sum(len(night.movers) for night in found)
        found.append(_find(one, options, before, memory, tell))
    return found


def time_of(one: Field, minutes: float) -> datetime:
    """Return UTC of minutes since the first frame of a field."""
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=one.frames[0].time + 60 * minutes)


def _find(one: Field, options: MoverOptions, before: int, memory: int, tell: Callable[[str], None]) -> Found:
    tell(f"{one.target}: looking at {len(one.frames)} frames")
    raw, beneath = look_at(one, options.threshold, memory)
    width = float(np.nanmedian([look.fwhm * look.frame.side for look in one.looks])) * one.scale
    settled = settle(raw, one.stars, width)
    seen, beneath = settled.apply(raw), settled.apply(beneath)
    for number, shift in settled.shifts.items():
        one.looks[number].shift = shift
    minutes = np.array([(frame.time - one.frames[0].time) / 60 for frame in one.frames])
    chains = slow_chains(seen, one.stars, width, options.false_tracks)
    still = stationary(seen, one.stars, width)
    taken = np.zeros(still.size, bool)  # sightings of what is a mover already
    for chain in chains:
        taken[chain.members] = True
    still |= taken
    rest = joined(seen.take(~still), beneath, seen.take(taken), SAME * width / 2)
    linking = LinkOptions(
        fastest=options.fastest, false_tracks=options.false_tracks, least_frames=options.least_frames
    )
    linked = link(rest, width, _box(one, seen), linking)
    if linked.bounded:
        tell(f"{one.target}: too many sightings to link all in good time; the brightest were. {CROWD}")
    guesses = [
        Guess(
            track.motion,
            _way(track.motion, minutes) < _far(rest.snr[track.members]) * width,
            track.expected_false,
        )
        for track in linked.tracks
    ]
    guesses += [Guess(chain.motion, True, options.false_tracks) for chain in chains]
    errors = star_errors(one) if guesses else Errors()
    movers = [
        mover
        for mover in measure_movers(one, minutes, guesses, errors)
        if _moves(one, mover, minutes, width, tell)
    ]
    movers = _once(movers, minutes, width)
    movers.sort(key=lambda mover: (np.isnan(mover.mag), mover.mag, -len(mover.places)))
    named = tuple(replace(mover, name=f"M{i:03d}") for i, mover in enumerate(movers, before + 1))
    expected = linked.expected_false + (options.false_tracks if chains else 0.0)
    tell(_result(one, named, linked, expected))
    return Found(one, named, errors, expected, linked.needed, rest.x.size)


def _far(snr: Floats) -> float:
    """Return the widths of a star from which what the stack holds of a mover is lost in its noise.

    What is taken off with the stars is one over the way in widths, and pulls at the ends of the way by about
    a quarter of a width of that; the error of a place is about half a width over S/N.
    """
    return float(np.clip(0.7 * np.median(snr), 2.5, FAR))


def _way(motion: Motion, minutes: Floats) -> float:
    """Return how far something moves in the night [arcsec]."""
    return float(np.hypot(motion.vx, motion.vy) * np.ptp(minutes))


def joined(seen: Sightings, beneath: Sightings, taken: Sightings, radius: float) -> Sightings:
    """Return sightings of frames without stars, and those of the frames that they lack.

    Parameters
    ----------
    taken
        What is a mover already.
    """
    new = beneath.take(~beside(beneath, taken, radius))
    more = seen.take(~beside(seen, new, radius))
    both = [np.concatenate([getattr(new, name), getattr(more, name)]) for name in Sightings.__slots__]
    return Sightings(*both)


def _result(one: Field, movers: tuple[Mover, ...], linked: Linked, expected: float) -> str:
    need = min(linked.needed.values(), default=0)
    count = f"{len(movers)} mover{'s' * (len(movers) != 1)}"
    text = f"{one.target}: {count} in {len(one.frames)} frames"
    if need:
        text += f"; tracks needed {need} frames or more, chance makes {expected:.2g} in such a night"
    return text


def _box(one: Field, seen: Sightings) -> Floats:
    """Return x0, x1, y0, y1 of what the frames cover [arcsec]."""
    if not seen.x.size:
        return np.array([0.0, 1.0, 0.0, 1.0])
    edges = []
    for look in one.looks:
        rows, columns = look.shape
        ra, dec = look.frame.to_sky(look.wcs, [0, columns - 1, 0, columns - 1], [0, 0, rows - 1, rows - 1])
        edges.append(np.stack(one.plane(ra, dec), axis=1))
    every = np.concatenate(edges)
    low, high = np.nanmin(every, axis=0), np.nanmax(every, axis=0)
    return np.array([low[0], high[0], low[1], high[1]])


def _moves(one: Field, mover: Mover, minutes: Floats, width: float, tell: Callable[[str], None]) -> bool:
    """Return whether something moves over the sky evenly, and not with the sensor."""
    good = mover.good
    seen = len({place.frame for place in good})
    if seen < (SHARE * len(one.frames) if mover.slow and _way(mover.motion, minutes) < 2 * width else 3):
        return False
    motion = mover.apparent or mover.motion
    if motion.chi2 > BAD_FIT * max(motion.dof, 1):
        return False
    speed = float(np.hypot(motion.vx, motion.vy))
    night = float(np.ptp([minutes[place.frame] for place in good]))
    if speed < 5 * motion.speed_err or speed * night < LEAST * width:
        return False
    grid = np.array(
        [
            (one.looks[p.frame].frame.side * p.pixel[0], one.looks[p.frame].frame.side * p.pixel[1])
            for p in good
        ]
    )
    way = speed * night / one.scale
    if np.all(np.ptp(grid, axis=0) < max(FIXED, 0.25 * way)) and way > 2.0:
        tell(
            f"{one.target}: something stays at pixel {grid[0][0]:.0f}, {grid[0][1]:.0f} of the sensor while "
            "the sky moves; it is no mover"
        )
        return False
    return True


def _once(movers: list[Mover], minutes: Floats, width: float) -> list[Mover]:
    """Return movers without those that are another one found again."""
    ends = np.array([minutes.min(), minutes.max()])
    kept: list[Mover] = []
    for mover in sorted(movers, key=lambda one: -len(one.good)):
        alike = False
        for other in kept:
            a, b = _at(mover.motion, ends), _at(other.motion, ends)
            alike |= bool(np.all(np.hypot(*(a - b)) < SAME * width))
        if not alike:
            kept.append(mover)
    return kept


def _at(motion: Motion, times: Floats) -> Floats:
    return np.stack(motion.at(times))
