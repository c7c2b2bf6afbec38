"""Which stars are fit at once: friends of friends, in groups of bounded size."""

import itertools

import numpy as np
import numpy.typing as npt

__all__ = ["groups_of", "neighbors_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def _labels(x: Floats, y: Floats, link: float) -> Ints:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    if x.size < 2:
        return np.zeros(x.size, np.int64)
    pairs = cKDTree(np.column_stack([x, y])).query_pairs(link, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(x.size, x.size))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def groups_of(x: Floats, y: Floats, flux: Floats, link: float, largest: int) -> tuple[Ints, Ints]:
    """Return groups of stars as ``start`` and ``member``, brightest group first.

    A group larger than `largest` is split with ever shorter links, and in the end by place; its parts see one
    another's models through the common residual. Stars without a position are in no group.

    Parameters
    ----------
    x, y, flux
        (star,) [pixel]; any unit.
    link
        Friends are nearer than this [pixel].
    largest
        Most stars at once.
    """
    good = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    done: list[Ints] = []
    waiting = [(good, link)]
    while waiting:
        stars, reach = waiting.pop()
        labels = _labels(x[stars], y[stars], reach)
        order = np.argsort(labels, kind="stable")
        edges = np.flatnonzero(np.diff(labels[order], prepend=-1, append=-1))
        ordered = stars[order]
        for low, high in itertools.pairwise(edges.tolist()):
            part = ordered[low:high]
            if part.size <= largest:
                done.append(part)
            elif reach > 0.3 * link:
                waiting.append((part, 0.85 * reach))
            else:
                along = part[np.argsort(y[part] if np.ptp(y[part]) > np.ptp(x[part]) else x[part])]
                done += np.array_split(along, -(-part.size // largest))
    done = [part for part in done if part.size]
    if not done:
        return np.zeros(1, np.int64), np.empty(0, np.int64)
    member, size = np.concatenate(done), np.array([part.size for part in done])
    first = np.cumsum(size) - size
    order = np.argsort(-np.maximum.reduceat(np.nan_to_num(flux)[member], first), kind="stable")
    size, first = size[order], first[order]
    start = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    rows = np.repeat(first - start[:-1], size) + np.arange(member.size)
    return start, member[rows].astype(np.int64)


def neighbors_of(x: Floats, y: Floats, reach: float, most: int) -> tuple[Ints, Ints]:
    """Return per star the nearest neighbors within `reach` [pixel], at most `most`, as start and indices."""
    from scipy.spatial import cKDTree

    good = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    count = np.zeros(x.size, np.int64)
    if good.size < 2 or most < 1:
        return np.zeros(x.size + 1, np.int64), np.empty(0, np.int64)
    tree = cKDTree(np.column_stack([x[good], y[good]]))
    distance, index = tree.query(
        np.column_stack([x[good], y[good]]), k=min(most + 1, good.size), distance_upper_bound=reach
    )
    found = np.isfinite(distance)
    found &= index != np.arange(good.size)[:, None]
    found &= np.cumsum(found, axis=1) <= most  # at places that coincide a star may not be its own nearest
    count[good] = found.sum(axis=1)
    start = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    return start, good[index[found]].astype(np.int64)
