"""Register a set that drifts or turns across its frames: one camera model from tracks of stars, no catalog.

Frames far apart share few stars, and a wide lens bends the way from one to the other. So neighbors in time
are matched and linked to tracks (`tracks`); a lens, a rotation per frame and a direction per star are
adjusted to them (`bundle`); every source is matched again with what the model predicts; and each frame's map
is taken from the undistorted picture of the reference frame to the frame (`lens.frame_map`).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.bundle import Bundle, Sightings, adjust
from sciastro.astrometry.driftplaces import FEWEST, CameraModel, matched_again, rotation_between
from sciastro.astrometry.lens import FISHEYE, Lens
from sciastro.astrometry.match import positions
from sciastro.astrometry.register import RegisterOptions, star_errors
from sciastro.astrometry.tracks import fixed_sources, link_neighbors, tracks_of
from sciastro.core.stars import StarArray
from sciastro.errors import MatchError

__all__ = ["register_drifting"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

ADJUSTED = 500  # stars that the lens is adjusted to, spread over the frame
CELLS = (8, 10)  # rows and columns of the grid they are spread over
GUESSES = (0.65, 1.0, 1.6, 3.0, 8.0)  # focal lengths that are tried, in frame widths
LEAST_TRACK = 3  # sightings of a star that the lens is adjusted to


def register_drifting(
    star_lists: Sequence[StarArray],
    shape: tuple[int, int],
    reference: int,
    options: RegisterOptions,
    *,
    focal: float | None = None,
) -> CameraModel:
    """Return the camera model of a set and every frame's place in it.

    Parameters
    ----------
    star_lists
        `STAR_DTYPE`, brightest first, in order of time.
    shape
        Rows and columns of the frames.
    reference
        Number of the frame whose axes are those of the picture.
    options
        Of the matching of neighbors.
    focal
        Focal length [pixel] where the headers tell it; None tries several.

    Raises
    ------
    MatchError
        Where neighbors cannot be matched, or the model does not fit.
    """
    lists = [stars[: options.max_stars] for stars in star_lists]
    fixed = fixed_sources(lists)
    links = link_neighbors(lists, [~mask for mask in fixed], shape, options)
    frame, entry, track = tracks_of(lists, links)
    count = np.bincount(track) if track.size else np.empty(0, int)
    if (count >= LEAST_TRACK).sum() < FEWEST:
        raise MatchError(
            f"give {int((count >= LEAST_TRACK).sum())} stars that can be followed over {LEAST_TRACK} frames, "
            f"and {FEWEST} are needed.",
            where="star lists of neighboring frames",
            remedy="Use longer exposures or a lower detection threshold.",
        )
    xy = np.concatenate([positions(one) for one in lists]) if lists else np.empty((0, 2))
    first = np.concatenate([[0], np.cumsum([len(one) for one in lists])])[:-1]
    errors = np.concatenate([star_errors(one) for one in lists])
    node = first[frame] + entry
    chosen = _chosen(frame, xy[node], track, count, shape)
    part = np.isin(track, chosen)
    seen = Sightings(
        frame[part], np.searchsorted(chosen, track[part]).astype(np.intp), xy[node[part]], errors[node[part]]
    )
    bundle = _best(seen, len(lists), len(chosen), reference, shape, focal)
    linked = np.isin(np.arange(len(lists)), seen.frame)
    return matched_again(lists, fixed, bundle, linked, (frame, node, track), xy, shape, reference)


def _chosen(
    frame: Indices, xy: Floats, track: Indices, count: npt.NDArray[np.int64], shape: tuple[int, int]
) -> Indices:
    """Return the tracks that the lens is adjusted to: the longest of each cell of the frame."""
    middle = np.stack([np.bincount(track, xy[:, k]) / np.maximum(count, 1) for k in (0, 1)], axis=1)
    cell = np.clip((middle / np.array(shape[::-1]) * CELLS[::-1]).astype(int), 0, np.array(CELLS[::-1]) - 1)
    number = cell[:, 1] * CELLS[1] + cell[:, 0]
    order = np.lexsort((np.arange(count.size), -count, number))
    order = order[count[order] >= LEAST_TRACK]
    each = max(ADJUSTED // (CELLS[0] * CELLS[1]), 2)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(number[order])) + 1])
    rank = np.arange(order.size) - np.repeat(starts, np.diff(np.append(starts, order.size)))
    chosen = np.sort(order[rank < each])
    # A frame must keep stars enough, even one whose stars are all followed only briefly.
    for i in np.unique(frame):
        here = np.unique(track[(frame == i) & (count[track] >= 2)])
        if np.isin(here, chosen).sum() < FEWEST:
            chosen = np.union1d(chosen, here[np.argsort(-count[here], kind="stable")][: 3 * FEWEST])
    return chosen.astype(np.intp)


def _best(
    seen: Sightings, frames: int, stars: int, reference: int, shape: tuple[int, int], focal: float | None
) -> Bundle:
    """Return the bundle that fits best among the kinds of lens and guesses of the focal length."""
    middle = ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    few = _thinned(seen, stars)
    lenses = [Lens(g, *middle) for g in ([g * shape[1] for g in GUESSES] if focal is None else [focal])]
    if len(lenses) > 1:
        number = int(few.star.max()) + 1
        trials = [
            adjust(few, _start(few, frames, number, reference, lens), reference, shape, iterations=10)
            for lens in lenses
        ]
        lenses = [min(trials, key=lambda one: one.rms).lens]
    best = adjust(seen, _start(seen, frames, stars, reference, lenses[0]), reference, shape)
    if np.hypot(*shape) / 2 / best.lens.focal > np.tan(np.deg2rad(35)):
        lens = Lens(best.lens.focal, best.lens.x, best.lens.y, kind=FISHEYE)
        other = adjust(seen, _start(seen, frames, stars, reference, lens), reference, shape)
        if other.rms < 0.98 * best.rms:
            best = other
    return best


def _thinned(seen: Sightings, stars: int) -> Sightings:
    """Return the sightings of a hundred stars, numbered anew: enough to choose a focal length by."""
    keep = seen.star % max(stars // 100, 1) == 0
    star = np.unique(seen.star[keep], return_inverse=True)[1].astype(np.intp)
    return Sightings(seen.frame[keep], star, seen.xy[keep], seen.sigma[keep])


def _start(seen: Sightings, frames: int, stars: int, reference: int, lens: Lens) -> Bundle:
    """Return rotations chained from frame to frame by the stars they share (Kabsch), and mean directions."""
    rays = lens.unproject(seen.xy[:, 0], seen.xy[:, 1])
    members = [np.flatnonzero(seen.frame == i) for i in range(frames)]
    rotations = np.full((frames, 3, 3), np.nan)
    rotations[reference] = np.eye(3)
    total, known = np.zeros((stars, 3)), np.zeros(stars, bool)

    def enter(i: int) -> None:
        here = members[i]
        np.add.at(total, seen.star[here], rays[here] @ rotations[i])
        known[seen.star[here]] = True

    enter(reference)
    for i in [*range(reference + 1, frames), *range(reference - 1, -1, -1)]:
        here = members[i][known[seen.star[members[i]]]]
        if here.size < 3:
            continue
        rotations[i] = rotation_between(total[seen.star[here]], rays[here])
        enter(i)
    rotations[~np.isfinite(rotations[:, 0, 0])] = np.eye(3)
    total[~known] = rays[np.unique(seen.star, return_index=True)[1]][~known]
    return Bundle(lens, rotations, total / np.linalg.norm(total, axis=1, keepdims=True), float("nan"))
