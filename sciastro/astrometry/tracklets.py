"""Sightings of single frames linked to tracks of even motion, with how many of them chance makes.

Two sightings of frames near each other in time, no farther apart than the fastest motion allows and about
equally bright, propose a line; it is followed from frame to frame, nearest in time first, and refitted with
each sighting that lies within its errors. How often lines meet sightings by chance is measured on the same
sightings with every frame shifted at random: real ones are lost there, chance stays. It decides how many
sightings a track must have. Kubica et al. 2007 (Icarus 189, 151) link tracklets in the same spirit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.evenmotion import Motion, fit_motion
from sciastro.astrometry.sightings import Sightings
from sciastro.core.options import Options, option

__all__ = ["LinkOptions", "Linked", "Track", "link"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

GATE = 3.7  # sigma within which a sighting belongs to a line: 99.9 % of true ones in two dimensions
WIDEST = 3.0  # widths of a star that the gate may be wide: beyond, a line knows too little
GAPS = 4  # frames apart that two proposing sightings may be
BRIGHTER = 2.5  # times that sightings of one object may differ in light, beside their noise
LEVELS = (
    0.0,
    5.0,
    8.0,
)  # signal over noise from which sightings are linked, with as many as each level needs
MOST = 150_000  # lines proposed per level
WIDER = 4.0  # gates within which chance is measured, which is so the better known
SHUFFLES, TRIALS = 20, 4000  # random shifts tried until as many lines and frames have been
LEAST = 1.5  # widths of a star that a linked track moves; slower ones are chains
UNLIKELY = 1e-4  # chance of a chi2 as large as a track may have


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkOptions(Options):
    """How sightings become tracks."""

    fastest: float = option(20.0, "Fastest motion looked for.", unit="arcsec / min", low=0.001, high=1e5)
    false_tracks: float = option(0.1, "False tracks that chance may make in a night.", low=1e-6, high=100.0)
    least_frames: int = option(3, "Fewest frames of a track.", low=3, high=10_000)


@dataclass(frozen=True, slots=True)
class Track:
    """Sightings on one line: their numbers, the motion, and the false tracks expected of as many."""

    members: Indices
    motion: Motion
    expected_false: float


@dataclass(frozen=True, slots=True)
class Linked:
    """Tracks of a night.

    Attributes
    ----------
    tracks
        Best first.
    expected_false
        False ones among them, in all.
    needed
        By level of signal over noise, how many sightings a track needs.
    bounded
        Whether only the brightest sightings could be linked, to keep the time.
    """

    tracks: tuple[Track, ...]
    expected_false: float
    needed: dict[float, int] = field(default_factory=dict)
    bounded: bool = False


def link(seen: Sightings, width: float, area: Floats, options: LinkOptions, seed: int = 1) -> Linked:
    """Return the tracks among sightings that nothing stationary accounts for.

    Parameters
    ----------
    seen
        From `sightings`, what stands still taken out.
    width
        Of a star [arcsec].
    area
        Box of the plane that frames cover: x0, x1, y0, y1 [arcsec].
    seed
        Of the random shifts.
    """
    free = np.ones(seen.x.size, bool)
    tracks: list[Track] = []
    needed: dict[float, int] = {}
    expected, bounded = 0.0, False
    rng = np.random.default_rng(seed)
    for level in LEVELS[::-1]:
        here = np.flatnonzero(free & (seen.snr >= level))
        if np.unique(seen.frame[here]).size < options.least_frames:
            continue
        some, cut = _brightest(seen.take(here), options, width)
        here, bounded = here[some], bounded or cut
        part = seen.take(here)
        lines, _ = _follow(part, width, options)
        chance = _chance(part, width, area, options, rng)
        need, wrong = _needed(lines.shape[0], chance, part, options)
        needed[level] = need
        picked = _pick(part, lines, need, width)
        expected += wrong if need <= np.unique(part.frame).size else 0.0
        for members, motion in picked:
            free[here[members]] = False
            wrong_here = _tail(lines.shape[0], chance, np.unique(part.frame).size, members.size)
            tracks.append(Track(here[members], motion, wrong_here))
    tracks.sort(key=lambda one: (-one.members.size, one.motion.chi2))
    return Linked(tuple(tracks), expected, needed, bounded)


def _brightest(seen: Sightings, options: LinkOptions, width: float) -> tuple[Indices, bool]:
    """Return the sightings that can be linked in bounded time, brightest of each frame first."""
    order = np.lexsort((-seen.snr, seen.frame))
    rank = np.empty(order.size, np.intp)
    first = np.searchsorted(seen.frame[order], seen.frame[order])
    rank[order] = np.arange(order.size) - first
    most = int(rank.max(initial=0)) + 1
    while most > 8 and _proposals(seen.take(rank < most), options, width) > MOST:
        most = int(0.8 * most)
    kept = np.flatnonzero(rank < most)
    return kept, kept.size < seen.x.size


def _pairs(seen: Sightings) -> list[tuple[Indices, Indices]]:
    """Return the sightings of all pairs of frames that are near each other in time."""
    frames = np.unique(seen.frame)
    members = [np.flatnonzero(seen.frame == n) for n in frames]
    order = np.argsort([seen.time[m[0]] for m in members], kind="stable")
    out = []
    for i, a in enumerate(order):
        for b in order[i + 1 : i + 1 + GAPS]:
            if seen.time[members[b][0]] > seen.time[members[a][0]]:
                out.append((members[a], members[b]))
    return out


def _proposals(seen: Sightings, options: LinkOptions, width: float) -> int:
    from scipy.spatial import cKDTree

    total = 0
    for a, b in _pairs(seen):
        reach = options.fastest * (seen.time[b[0]] - seen.time[a[0]]) + 0.5 * width
        total += int(cKDTree(seen.points[a]).count_neighbors(cKDTree(seen.points[b]), reach))
    return total


def _proposed(seen: Sightings, options: LinkOptions, width: float) -> Indices:
    """Return the pairs of sightings that propose a line (n, 2)."""
    from scipy.spatial import cKDTree

    noise = seen.flux / np.maximum(seen.snr, 1e-3)
    parts = [np.empty((0, 2), np.intp)]
    for a, b in _pairs(seen):
        reach = options.fastest * (seen.time[b[0]] - seen.time[a[0]]) + 0.5 * width
        near = cKDTree(seen.points[a]).query_ball_tree(cKDTree(seen.points[b]), reach)
        first = np.repeat(a, [len(one) for one in near])
        second = b[np.array([j for one in near for j in one], dtype=np.intp)]
        low, high = (
            np.minimum(seen.flux[first], seen.flux[second]),
            np.maximum(seen.flux[first], seen.flux[second]),
        )
        alike = high < BRIGHTER * low + 3 * np.hypot(noise[first], noise[second])
        parts.append(np.stack([first[alike], second[alike]], axis=1))
    return np.concatenate(parts)


def _follow(
    seen: Sightings, width: float, options: LinkOptions, shift: Floats | None = None
) -> tuple[Indices, int]:
    """Follow every proposed line.

    Parameters
    ----------
    shift
        Other places for all sightings (n, 2) [arcsec], where lines that stay as proposed look for them: what
        is near is so by chance.

    Returns
    -------
    met
        The sighting of each frame that it meets (-1: none): (line, frame).
    near
        How often, in all, one lay within `WIDER` gates.
    """
    from scipy.spatial import cKDTree

    frames = np.unique(seen.frame)
    pairs = _proposed(seen, options, width)
    column = np.searchsorted(frames, seen.frame)
    met, close = np.full((len(pairs), frames.size), -1, np.intp), 0
    if not len(pairs):
        return met, 0
    rows = np.arange(len(pairs))
    for k in range(2):
        met[rows, column[pairs[:, k]]] = pairs[:, k]
    origin = 0.5 * (seen.time[pairs[:, 0]] + seen.time[pairs[:, 1]])
    sums = np.zeros((7, len(pairs)))  # w, w t, w t2, w x, w x t, w y, w y t
    light = 0.5 * (seen.flux[pairs[:, 0]] + seen.flux[pairs[:, 1]])
    for k in range(2):
        _add(sums, rows, pairs[:, k], seen, origin)
    members = [np.flatnonzero(seen.frame == n) for n in frames]
    points = seen.points if shift is None else shift
    trees = [cKDTree(points[m]) for m in members]
    moments = np.array([seen.time[m[0]] for m in members])
    noise = seen.flux / np.maximum(seen.snr, 1e-3)
    steps = np.argsort(np.abs(moments[None] - origin[:, None]), axis=1, kind="stable")
    for step in range(frames.size):
        for f in range(frames.size):
            now = rows[(steps[:, step] == f) & (met[:, f] < 0)]
            if not now.size:
                continue
            x, y, variance = _predicted(sums[:, now], moments[f] - origin[now])
            apart, index = trees[f].query(np.stack([x, y], axis=1))
            hit = members[f][index]
            gate = np.minimum(GATE * np.sqrt(variance + seen.err[hit] ** 2), WIDEST * width)
            low, high = np.minimum(light[now], seen.flux[hit]), np.maximum(light[now], seen.flux[hit])
            alike = high < BRIGHTER * low + 3 * noise[hit]
            close += int((alike & (apart < WIDER * gate)).sum())
            if shift is not None:
                continue
            good = (apart < gate) & alike
            met[now[good], f] = hit[good]
            _add(sums, now[good], hit[good], seen, origin)
    return met, close


def _add(sums: Floats, rows: Indices, hit: Indices, seen: Sightings, origin: Floats) -> None:
    run, weight = seen.time[hit] - origin[rows], 1 / seen.err[hit] ** 2
    x, y = seen.x[hit], seen.y[hit]
    for k, term in enumerate((np.ones(run.size), run, run**2, x, x * run, y, y * run)):
        sums[k, rows] += weight * term


def _predicted(sums: Floats, run: Floats) -> tuple[Floats, Floats, Floats]:
    """Return place and its variance along each axis, `run` after the origin of each line."""
    w, t, tt, x, xt, y, yt = sums
    det = w * tt - t**2
    vx, vy = (w * xt - t * x) / det, (w * yt - t * y) / det
    x0, y0 = (tt * x - t * xt) / det, (tt * y - t * yt) / det
    return x0 + vx * run, y0 + vy * run, (tt - 2 * t * run + w * run**2) / det


def _chance(
    seen: Sightings, width: float, area: Floats, options: LinkOptions, rng: np.random.Generator
) -> float:
    """Return the chance that a line meets a sighting on a frame, from frames shifted at random."""
    frames = np.unique(seen.frame)
    low, size = area[[0, 2]], area[[1, 3]] - area[[0, 2]]
    trials, close = 0, 0
    for _ in range(SHUFFLES):
        shift = rng.random((int(frames.max(initial=0)) + 1, 2)) * size
        lines, near = _follow(seen, width, options, (seen.points - low + shift[seen.frame]) % size + low)
        trials, close = trials + len(lines) * max(frames.size - 2, 1), close + near
        if trials > TRIALS:
            break
    share = min((close + 0.5) / (trials + 1.0), 0.99)
    return float(-np.log1p(-share) / WIDER**2)


def _tail(lines: int, chance: float, frames: int, count: int) -> float:
    """Return how many of `lines` are expected to have `count` sightings or more by chance."""
    from scipy.stats import binom

    return float(lines * binom.sf(count - 3, max(frames - 2, 1), min(chance, 1.0)))


def _needed(lines: int, chance: float, seen: Sightings, options: LinkOptions) -> tuple[int, float]:
    """Return how many sightings a track needs, and the false tracks that leaves."""
    frames = np.unique(seen.frame).size
    for count in range(options.least_frames, frames + 1):
        wrong = _tail(lines, chance, frames, count)
        if wrong <= options.false_tracks / len(LEVELS):
            return count, wrong
    return frames + 1, 0.0


def _pick(seen: Sightings, lines: Indices, need: int, width: float) -> Sequence[tuple[Indices, Motion]]:
    """Return the tracks that share no sighting, those with most sightings first."""
    from scipy.stats import chi2

    count = (lines >= 0).sum(axis=1)
    rows = np.unique(lines[count >= need], axis=0)
    fits = []
    for row in rows:
        members = row[row >= 0]
        motion = fit_motion(seen.time[members], seen.x[members], seen.y[members], seen.err[members])
        if motion is None:
            continue
        way = float(np.hypot(motion.vx, motion.vy)) * float(np.ptp(seen.time[members]))
        if way > LEAST * width and motion.chi2 < chi2.isf(UNLIKELY, max(motion.dof, 1)):
            fits.append((members, motion))
    fits.sort(key=lambda one: (-one[0].size, one[1].chi2 / max(one[1].dof, 1)))
    used = np.zeros(seen.x.size, bool)
    out = []
    for members, motion in fits:
        if not used[members].any():
            used[members] = True
            out.append((members, motion))
    return out
