"""Find what moves between registered frames: one source on a straight line at constant speed.

Positions are those of detections on one grid (the canvas). A detection is a candidate where other frames,
taken well before or after, show nothing. Two candidates of two frames propose a line; the line that most
frames support wins, and of equal ones the brighter. A least-squares line through its supporters follows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from sciastro.core.neighbors import log10_binomial_tail
from sciastro.core.robust import MAD_TO_SIGMA
from sciastro.errors import MatchError

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

__all__ = ["CurvedTrack", "Detections", "Track", "Way", "chance_lines", "find_track", "line_through"]

Floats = npt.NDArray[np.float64]

WITNESSES = 7  # frames, spread over the time, that tell stars from movers
BRIGHTEST = 60  # candidates of a frame that may propose a line
FEWEST = 3  # frames on a line
SHARE = 0.6  # of the frames that must support it
ROUNDS = 5  # of the robust fit


@dataclass(frozen=True, slots=True)
class Detections:
    """What one frame shows.

    Attributes
    ----------
    time
        Mid-exposure [s], from any origin.
    x, y
        On the common grid [pixel], (source,).
    flux
        In any unit that all frames share, (source,).
    """

    time: float
    x: Floats
    y: Floats
    flux: Floats


class Way(Protocol):
    """Where something is at any time."""

    def at(self, time: float) -> tuple[float, float]:
        """Return x and y [pixel] at `time` [s]."""
        ...


@dataclass(frozen=True, slots=True)
class CurvedTrack:
    """A way that something else knows, such as an ephemeris.

    Attributes
    ----------
    place
        Returns x and y [pixel] at a time [s].
    """

    place: Callable[[float], tuple[float, float]]

    def at(self, time: float) -> tuple[float, float]:
        """Return x and y [pixel] at `time` [s]."""
        return self.place(time)


@dataclass(frozen=True, slots=True)
class Track:
    """A straight line at constant speed.

    Attributes
    ----------
    time
        Mean time of the frames on it [s].
    x, y
        Where it is then [pixel].
    vx, vy
        Speed [pixel / s].
    rms
        Of the frames' distances from it [pixel].
    frames
        Numbers of the frames that show it.
    """

    time: float
    x: float
    y: float
    vx: float
    vy: float
    rms: float
    frames: tuple[int, ...]

    def at(self, time: float) -> tuple[float, float]:
        """Return x and y [pixel] at `time` [s]."""
        return self.x + self.vx * (time - self.time), self.y + self.vy * (time - self.time)


def line_through(times: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike, numbers: Sequence[int]) -> Track:
    """Return the least-squares line through positions [pixel] at `times` [s], outliers left out.

    Raises
    ------
    MatchError
        With fewer than two different times.
    """
    t, px, py = (np.asarray(one, dtype=np.float64) for one in (times, x, y))
    if np.unique(t).size < 2:
        raise MatchError(
            "is known at one time only.", where="the moving object", remedy="Give two frames or a rate."
        )
    keep = np.ones(t.size, dtype=bool)
    for _ in range(ROUNDS):
        middle = float(t[keep].mean())
        matrix = np.stack([np.ones(t.size), t - middle], axis=1)
        (cx, cy) = (np.linalg.lstsq(matrix[keep], one[keep], rcond=None)[0] for one in (px, py))
        off = np.hypot(px - matrix @ cx, py - matrix @ cy)
        spread = max(MAD_TO_SIGMA * float(np.median(off[keep])), 1e-6)
        better = off <= max(3 * spread, 1e-6)
        if better.sum() < FEWEST or np.array_equal(better, keep) or np.unique(t[better]).size < 2:
            break
        keep = better
    return Track(
        time=middle, x=float(cx[0]), y=float(cy[0]), vx=float(cx[1]), vy=float(cy[1]),
        rms=float(np.sqrt(np.mean(off[keep] ** 2))),
        frames=tuple(int(n) for n, kept in zip(numbers, keep, strict=True) if kept),
    )  # fmt: skip


def find_track(
    frames: Sequence[Detections],
    *,
    tolerance: float = 2.0,
    still: float = 3.0,
    fastest: float = np.inf,
    velocity: tuple[float, float] | None = None,
    slack: float = 0.2,
) -> Track:
    """Return the line that most frames support.

    Parameters
    ----------
    frames
        In order of time, three or more.
    tolerance
        Distance from the line within which a frame supports it [pixel].
    still
        A source that other frames show within this distance does not move [pixel].
    fastest
        Speed that no mover exceeds [pixel / s].
    velocity
        Known speed (vx, vy) [pixel / s]; lines whose speed differs by more than `slack` of it are left.
    slack
        See `velocity`.

    Raises
    ------
    MatchError
        If no line is supported by three frames and `SHARE` of all.
    """
    from scipy.spatial import cKDTree

    if len(frames) < FEWEST:
        raise MatchError(
            f"cannot be told from stars in {len(frames)} frames.",
            where="the moving object",
            remedy="Add frames, or say where it is in the first and in the last one.",
        )
    movers = _candidates(frames, still)
    trees = [cKDTree(np.stack([one.x, one.y], axis=1)) if one.x.size else None for one in frames]
    seen = [i for i, one in enumerate(movers) if one.x.size]
    best: tuple[int, float, list[tuple[int, int]]] = (0, 0.0, [])
    third = max(1, len(seen) // 3)
    for a in seen[: min(third, 3)]:
        for b in seen[: -min(third, 3) - 1 : -1]:
            if frames[b].time > frames[a].time:
                best = max(
                    best,
                    _best_line(frames, trees, (movers[a], movers[b]), tolerance, fastest, velocity, slack),
                    key=lambda entry: entry[:2],
                )
    count, _, members = best
    if count < max(FEWEST, SHARE * len(frames)):
        raise MatchError(
            f"was not found: the best line is supported by {count} of {len(frames)} frames.",
            where="the moving object",
            remedy="Say how it moves (rate and angle), or where it is in the first and in the last frame.",
        )
    return line_through(
        [frames[i].time for i, _ in members],
        [frames[i].x[k] for i, k in members],
        [frames[i].y[k] for i, k in members],
        [i for i, _ in members],
    )


def chance_lines(
    frames: Sequence[Detections], track: Track, *, tolerance: float = 2.0, still: float = 3.0
) -> float:
    """Return about how many lines as well supported as `track` chance alone makes of these detections.

    Pairs of candidates of two frames, times the probability (binomial) that as many of the other frames as
    support `track` show anything at all within `tolerance` of a place on the line.

    Parameters
    ----------
    frames, tolerance, still
        What `find_track` was given.
    track
        What it returned, without a known velocity.
    """
    x, y = (np.concatenate([getattr(one, axis) for one in frames]) for axis in "xy")
    area = float(np.ptp(x) * np.ptp(y))
    if not area > 0:
        return 0.0
    shown = np.mean([one.x.size for one in frames])
    by_chance = -np.expm1(-np.pi * tolerance**2 * shown / area)
    proposing = sorted(one.x.size for one in _candidates(frames, still))[-2:]
    as_many = log10_binomial_tail(len(track.frames) - 3, len(frames) - 2, float(by_chance))
    return float(np.prod(proposing) * 10**as_many)


def _candidates(frames: Sequence[Detections], still: float) -> list[Detections]:
    """Return the brightest detections of each frame that fewer than half of its witnesses show.

    Witnesses are the frames farthest in time, where even a slow mover has left its place.
    """
    from scipy.spatial import cKDTree

    order = np.argsort([one.time for one in frames], kind="stable")
    picks = order[np.unique(np.linspace(0, len(frames) - 1, WITNESSES).round().astype(int))]
    trees = {int(i): cKDTree(np.stack([frames[i].x, frames[i].y], axis=1)) for i in picks if frames[i].x.size}
    out = []
    for i, one in enumerate(frames):
        far = sorted(trees, key=lambda number: -abs(frames[number].time - one.time))
        others = [trees[number] for number in far[: (WITNESSES + 1) // 2] if number != i]
        shown = np.zeros(one.x.size)
        for tree in others:
            if one.x.size:
                distance, _ = tree.query(np.stack([one.x, one.y], axis=1), distance_upper_bound=still)
                shown += np.isfinite(distance)
        alone = np.flatnonzero(shown < 0.5 * max(len(others), 1))
        kept = alone[np.argsort(-one.flux[alone], kind="stable")[:BRIGHTEST]]
        out.append(Detections(one.time, one.x[kept], one.y[kept], one.flux[kept]))
    return out


def _best_line(
    frames: Sequence[Detections],
    trees: "Sequence[cKDTree | None]",
    ends: tuple[Detections, Detections],
    tolerance: float,
    fastest: float,
    velocity: tuple[float, float] | None,
    slack: float,
) -> tuple[int, float, list[tuple[int, int]]]:
    """Return support, summed flux and members of the best line through the candidates of two frames."""
    first, last = ends
    span = last.time - first.time
    vx = (last.x[None, :] - first.x[:, None]).ravel() / span
    vy = (last.y[None, :] - first.y[:, None]).ravel() / span
    start = np.repeat(np.arange(first.x.size), last.x.size)
    likely = np.hypot(vx, vy) <= fastest
    if velocity is not None:
        off = np.hypot(vx - velocity[0], vy - velocity[1])
        likely &= off <= slack * float(np.hypot(*velocity)) + tolerance / span
    vx, vy, start = vx[likely], vy[likely], start[likely]
    if start.size == 0:
        return 0, 0.0, []
    support, light = np.zeros(start.size, dtype=np.int64), np.zeros(start.size)
    nearest = np.full((len(frames), start.size), -1)
    for i, tree in enumerate(trees):
        if tree is None:
            continue
        run = frames[i].time - first.time
        places = np.stack([first.x[start] + vx * run, first.y[start] + vy * run], axis=1)
        distance, index = tree.query(places, distance_upper_bound=tolerance)
        near = np.isfinite(distance)
        nearest[i, near] = index[near]
        support += near
        light[near] += frames[i].flux[index[near]]
    top = int(np.lexsort((light, support))[-1])
    members = [(i, int(k)) for i, k in enumerate(nearest[:, top]) if k >= 0]
    return int(support[top]), float(light[top]), members
