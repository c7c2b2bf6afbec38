"""Similarities that the triangles of two lists suggest: alike ones vote for rotation, scale and pairs."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sciastro.core import transform
from sciastro.kernels.triangles import list_triangles, orientation_histogram, vote

__all__ = ["candidates", "similarity"]

Floats = npt.NDArray[np.float64]

ROTATIONS, SCALE_STEP = 120, 0.02  # bins of a full turn (3 degrees); width of a bin of ln scale
PEAKS = 4  # bins of rotation and scale followed up per level


def similarity(a: Floats, b: Floats, parity: int = 1, weight: Floats | None = None) -> Floats:
    """Return the least-squares similarity a -> b as a `core.transform` map (2, 3); points are (n, 2)."""
    w = np.ones(len(a)) if weight is None else weight
    za, zb = a[:, 0] + 1j * parity * a[:, 1], b[:, 0] + 1j * b[:, 1]
    mean_a, mean_b = (w * za).sum() / w.sum(), (w * zb).sum() / w.sum()
    da, db = za - mean_a, zb - mean_b
    alpha = (w * np.conj(da) * db).sum() / max((w * np.abs(da) ** 2).sum(), 1e-300)
    beta = mean_b - alpha * mean_a
    return _as_map(alpha, beta, parity)


def _as_map(alpha: complex, beta: complex, parity: int) -> Floats:
    s = transform.SCALE
    return np.array(
        [
            [beta.real, alpha.real * s, -parity * alpha.imag * s],
            [beta.imag, alpha.imag * s, parity * alpha.real * s],
        ]
    )


def candidates(
    a: Floats, b: Floats, max_scale: float, tolerance: float, mirror: bool
) -> Iterator[tuple[Floats, int]]:
    """Yield up to `PEAKS` similarities (map, parity) that the triangles of two short lists suggest."""
    lists = [_triangles(p, 8 * tolerance) for p in (a, b)]
    (shape_a, size_a, angle_a, turn_a, corner_a), (shape_b, size_b, angle_b, turn_b, corner_b) = lists
    if not size_a.size or not size_b.size:
        return
    reach = float(np.log(max_scale)) + 0.01
    n_scale = max(3, int(np.ceil(2 * reach / SCALE_STEP)))
    counts = np.empty((2, ROTATIONS, n_scale), np.int64)
    matches = orientation_histogram(
        shape_a, size_a, angle_a, turn_a, shape_b, size_b, angle_b, turn_b, tolerance, reach, mirror, counts
    )
    votes = np.empty((len(a), len(b)), np.int64)
    for parity, rotation, scale in _peaks(counts):
        vote(matches, corner_a, corner_b, parity, rotation, scale, ROTATIONS, n_scale, votes)
        sign = 1 - 2 * parity
        fitted = _from_votes(a, b, votes, sign, tolerance, max_scale)
        if fitted is not None:
            yield fitted, sign


def _triangles(
    points: Floats, shortest: float
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.int8], npt.NDArray[np.int32]]:
    n = len(points)
    room = n * (n - 1) * (n - 2) // 6
    shape, size, angle = np.empty((room, 2)), np.empty(room), np.empty(room)
    turn, corners = np.empty(room, np.int8), np.empty((room, 3), np.int32)
    x, y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
    count = list_triangles(x, y, shortest, shape, size, angle, turn, corners)
    return shape[:count], size[:count], angle[:count], turn[:count], corners[:count]


def _peaks(counts: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return (parity, rotation, scale) of the fullest 3 x 3 neighborhoods, apart from each other."""
    sums = counts + np.roll(counts, 1, axis=1) + np.roll(counts, -1, axis=1)
    padded = np.pad(sums, ((0, 0), (0, 0), (1, 1)))
    sums = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    peaks = []
    for _ in range(PEAKS):
        where = np.unravel_index(int(np.argmax(sums)), sums.shape)
        parity, rotation, scale = int(where[0]), int(where[1]), int(where[2])
        if sums[parity, rotation, scale] < 1:
            break
        peaks.append((parity, rotation, scale))
        for r in range(rotation - 2, rotation + 3):
            sums[parity, r % ROTATIONS, max(scale - 2, 0) : scale + 3] = 0
    return peaks


def _from_votes(
    a: Floats, b: Floats, votes: npt.NDArray[np.int64], parity: int, tolerance: float, max_scale: float
) -> Floats | None:
    """Return the similarity that most voted pairs agree on: all pairs of pairs are tried."""
    order = np.argsort(-votes, axis=None)[:60]
    i, j = np.unravel_index(order, votes.shape)
    strong = votes[i, j] > 0
    i, j = i[strong], j[strong]
    if i.size < 3:
        return None
    weight = votes[i, j].astype(np.float64)
    za, zb = a[i, 0] + 1j * parity * a[i, 1], b[j, 0] + 1j * b[j, 1]
    p, q = np.triu_indices(i.size, 1)
    apart = (i[p] != i[q]) & (j[p] != j[q]) & (np.abs(za[p] - za[q]) > 8 * tolerance)
    p, q = p[apart], q[apart]
    if not p.size:
        return None
    alpha = (zb[p] - zb[q]) / (za[p] - za[q])
    sane = np.abs(np.log(np.abs(alpha) + 1e-300)) <= np.log(max_scale) + 0.02
    p, q, alpha = p[sane], q[sane], alpha[sane]
    if not p.size:
        return None
    beta = zb[p] - alpha * za[p]
    near = np.abs(alpha[:, None] * za + beta[:, None] - zb) < tolerance
    best = int(np.argmax(near @ weight))
    chosen = near[best]
    if len(set(i[chosen].tolist())) < 3:
        return _as_map(complex(alpha[best]), complex(beta[best]), parity)
    return similarity(a[i[chosen]], b[j[chosen]], parity, weight[chosen])
