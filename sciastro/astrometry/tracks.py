"""Stars from frame to frame: what stays fixed to the pixels, and tracks of what moves.

On a camera that does not follow the sky, hot pixels, lamps and the landscape stay where they are while every
star moves. Neighbors in time are matched among what moves, with maps that may bend, and linked to tracks.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.match import positions
from sciastro.astrometry.register import RegisterOptions, register
from sciastro.core.stars import StarArray
from sciastro.errors import MatchError

__all__ = ["Link", "fixed_sources", "link_neighbors", "tracks_of"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

STILL = 0.7  # pixel: what moves less from frame to frame is the same place
COMPARED = 16  # frames, spread over the set, that tell what is fixed
SHARE = 0.6  # of these in which a fixed source is seen at least
BEYOND = 3  # neighbors that a frame is tried with until one matches

Link = tuple[int, int, Indices, Indices]
"""Two frames, and the entries of their lists that are the same stars."""


def fixed_sources(star_lists: Sequence[StarArray]) -> list[Mask]:
    """Return, per frame, which of its sources most frames show at the same pixel.

    On a set that follows the sky these are the stars; on one that drifts, hot pixels and the landscape.
    """
    from scipy.spatial import cKDTree

    points = [positions(stars) for stars in star_lists]
    known = [i for i, one in enumerate(points) if len(one)]
    chosen = (
        [known[i] for i in np.unique(np.linspace(0, len(known) - 1, COMPARED).astype(int))] if known else []
    )
    trees = {i: cKDTree(points[i]) for i in chosen}
    out = []
    for i, one in enumerate(points):
        others = [j for j in chosen if j != i]
        if not len(one) or not others:
            out.append(np.zeros(len(one), bool))
            continue
        count = sum((trees[j].query(one, distance_upper_bound=STILL)[0] < STILL).astype(int) for j in others)
        out.append(np.asarray(count >= max(SHARE * len(others), 2)))
    return out


def link_neighbors(
    star_lists: Sequence[StarArray], moving: Sequence[Mask], shape: tuple[int, int], options: RegisterOptions
) -> list[Link]:
    """Match each frame with the next that it can be matched with, among the sources that move.

    `moving` holds a mask (n,) of the sources of each frame; `shape` is rows and columns.
    """
    bent = replace(
        options,
        model="polynomial",
        tolerance=max(options.tolerance, 4.0),
        max_degree=max(options.max_degree, 3),
    )
    links: list[Link] = []
    kept = [np.flatnonzero(mask) for mask in moving]
    for i in range(len(star_lists) - 1):
        for j in range(i + 1, min(i + 1 + BEYOND, len(star_lists))):
            if min(kept[i].size, kept[j].size) < options.min_stars:
                continue
            try:
                found = register(star_lists[i][kept[i]], star_lists[j][kept[j]], shape, bent)
            except MatchError:  # the frame after it is tried
                continue
            used = np.asarray(found.residuals["used"], dtype=bool)
            a = np.asarray(found.residuals["index_reference"])[used]
            b = np.asarray(found.residuals["index_frame"])[used]
            links.append((i, j, kept[i][a], kept[j][b]))
            break
    return links


def tracks_of(star_lists: Sequence[StarArray], links: Sequence[Link]) -> tuple[Indices, Indices, Indices]:
    """Return frame, entry and track number of every sighting of linked stars.

    A track that would hold two sources of one frame is dropped.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    sizes = [len(stars) for stars in star_lists]
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
    if not links:
        empty = np.empty(0, np.intp)
        return empty, empty, empty
    a = np.concatenate([first[i] + one for i, _, one, _ in links])
    b = np.concatenate([first[j] + two for _, j, _, two in links])
    graph = coo_matrix((np.ones(a.size), (a, b)), shape=(first[-1], first[-1]))
    _, label = connected_components(graph, directed=False)
    nodes = np.unique(np.concatenate([a, b]))
    frame = (np.searchsorted(first, nodes, side="right") - 1).astype(np.intp)
    _, track = np.unique(label[nodes], return_inverse=True)
    pair = track.astype(np.int64) * len(sizes) + frame
    unique, counts = np.unique(pair, return_counts=True)
    if (counts > 1).any():
        twice = np.unique(unique[counts > 1] // len(sizes))
        good = ~np.isin(track, twice)
        nodes, frame, track = nodes[good], frame[good], np.unique(track[good], return_inverse=True)[1]
    return frame, (nodes - first[frame]).astype(np.intp), track.astype(np.intp)
