"""Bundle adjustment: one lens, one rotation per frame and one direction per star from where stars were seen.

Robust least squares by Levenberg and Marquardt. The directions of the stars are eliminated (Schur complement,
as in Triggs et al. 2000, LNCS 1883, 298), so that what is solved has 8 + 3 unknowns per frame whatever the
number of stars. The reference frame's rotation stays the identity.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.lens import Lens, projected, rotation_of
from sciastro.astrometry.robust import RAYLEIGH_MEDIAN

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Bundle", "Sightings", "adjust", "turn_frame"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

ITERATIONS = 60  # at most
STEP = 1e-6  # of numerical derivatives: relative for the lens, radians for directions
HUBER = 2.5  # robust sigmas beyond which a sighting counts less
PRIOR = np.array([0.5, 0.04, 0.04, 0.3, 0.3, 0.2, 0.02, 0.02])  # log f; center in widths; terms: 1 sigma


@dataclass(frozen=True, slots=True)
class Sightings:
    """Which star was seen where: frame and star numbers, x and y and their error [pixel]."""

    frame: Indices
    star: Indices
    xy: Floats
    sigma: Floats


@dataclass(frozen=True, slots=True)
class Bundle:
    """The adjusted camera.

    Attributes
    ----------
    lens
        Common to all frames.
    rotations
        (frame, 3, 3), from the axes of the reference frame to those of each frame.
    directions
        (star, 3), unit, in the axes of the reference frame.
    rms
        Of the residuals, length, of sightings that were not held for wrong [pixel].
    """

    lens: Lens
    rotations: Floats
    directions: Floats
    rms: float


def adjust(
    seen: Sightings, start: Bundle, reference: int, shape: tuple[int, int], *, iterations: int = ITERATIONS
) -> Bundle:
    """Return the bundle that fits the sightings best, from a start nearby.

    Parameters
    ----------
    seen
        Every star at least twice, every frame with three stars or more.
    start
        Lens, rotations and directions to begin with; the lens is held to it by `PRIOR`.
    reference
        Number of the frame whose rotation is the identity.
    shape
        Rows and columns of the frames.
    """
    vector, kind = start.lens.as_vector(), start.lens.kind
    rotations, directions = start.rotations.copy(), start.directions.copy()
    prior = PRIOR * np.array([1, shape[1], shape[1], 1, 1, 1, 1, 1])
    anchor, damping = vector.copy(), 1e-3
    left = _residuals(vector, kind, rotations, directions, seen)
    weight = _weights(left, seen.sigma)
    cost = _cost(left, weight, vector, anchor, prior)
    for _ in range(iterations):
        blocks = _blocks(vector, kind, rotations, directions, seen, left, weight)
        improved = False
        for _ in range(8):
            step = _solved(blocks, (vector - anchor) / prior**2, 1 / prior**2, damping, reference)
            trial = (
                vector + step[0],
                rotation_of(step[1]) @ rotations,
                _moved(directions, step[2]),
            )
            now = _residuals(trial[0], kind, trial[1], trial[2], seen)
            trial_cost = _cost(now, weight, trial[0], anchor, prior)
            if np.isfinite(trial_cost) and trial_cost < cost:
                improved = True
                break
            damping *= 8
        if not improved:
            break
        gain = 1 - trial_cost / cost
        vector, rotations, directions = trial
        left, damping = now, max(damping / 10, 1e-12)
        weight = _weights(left, seen.sigma)
        cost = _cost(left, weight, vector, anchor, prior)
        if gain < 1e-7:
            break
    good = np.hypot(*left.T) < 4 * _scale(left) * 1.5
    rms = float(np.sqrt(np.mean(np.sum(left[good] ** 2, axis=1)))) if good.any() else float("nan")
    return Bundle(Lens.from_vector(vector, kind), rotations, directions, rms)


def turn_frame(lens: Lens, rotation: Floats, directions: Floats, xy: Floats, sigma: Floats) -> Floats:
    """Return the rotation of one frame that brings known directions (n, 3) onto positions (n, 2)."""
    vector = lens.as_vector()
    for _ in range(12):
        v = directions @ rotation.T
        left = xy - projected(vector, lens.kind, v)
        weight = _weights(left, sigma)[:, None]
        jacobian = _turning(_by_direction(vector, lens.kind, v), v) * weight[:, :, None]
        known = np.isfinite(left).all(axis=1) & np.isfinite(jacobian).all(axis=(1, 2))
        a, b = jacobian[known].reshape(-1, 3), (left * weight)[known].ravel()
        step, *_ = np.linalg.lstsq(a, b, rcond=None)
        rotation = rotation_of(np.asarray(step, dtype=np.float64))[0] @ rotation
        if np.linalg.norm(step) < 1e-10:
            break
    return rotation


def _residuals(vector: Floats, kind: str, rotations: Floats, directions: Floats, seen: Sightings) -> Floats:
    v = np.einsum("nij,nj->ni", rotations[seen.frame], directions[seen.star])
    return np.asarray(seen.xy - projected(vector, kind, v))


def _scale(left: Floats) -> float:
    """Return the error per axis that the residuals show: their median length, of a Rayleigh law."""
    return max(float(np.nanmedian(np.hypot(*left.T))) / RAYLEIGH_MEDIAN, 1e-4)


def _weights(left: Floats, sigma: Floats) -> Floats:
    """Return the square roots of the robust weights (Huber) [1 / pixel]; 0 where nothing is known."""
    error = np.hypot(sigma, _scale(left))
    size = np.hypot(*left.T) / error
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.where(size > HUBER, np.sqrt(HUBER / size), 1.0) / error
    return np.where(np.isfinite(size), root, 0.0)


def _cost(left: Floats, weight: Floats, vector: Floats, anchor: Floats, prior: Floats) -> float:
    inside = weight > 0
    if not np.isfinite(left[inside]).all():
        return float("inf")
    return float(
        np.sum((left[inside] * weight[inside, None]) ** 2) + np.sum(((vector - anchor) / prior) ** 2)
    )


def _by_direction(vector: Floats, kind: str, v: Floats) -> Floats:
    """Return d(x, y) / d(X, Y, Z), (n, 2, 3)."""
    columns = []
    for axis in range(3):
        shift = np.zeros(3)
        shift[axis] = STEP
        up, down = projected(vector, kind, v + shift), projected(vector, kind, v - shift)
        columns.append((up - down) / (2 * STEP))
    return np.stack(columns, axis=-1)


def _turning(by_direction: Floats, v: Floats) -> Floats:
    """Return d(x, y) / d(rotation vector) of a turn of the camera's axes, (n, 2, 3)."""
    cross = np.zeros((len(v), 3, 3))  # d(w x v) / dw
    cross[:, 0, 1], cross[:, 0, 2] = v[:, 2], -v[:, 1]
    cross[:, 1, 0], cross[:, 1, 2] = -v[:, 2], v[:, 0]
    cross[:, 2, 0], cross[:, 2, 1] = v[:, 1], -v[:, 0]
    return np.asarray(by_direction @ cross)


def _tangents(directions: Floats) -> Floats:
    """Return two unit vectors across each direction, (n, 3, 2)."""
    helper = np.where(np.abs(directions[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    first = np.cross(directions, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack([first, np.cross(directions, first)], axis=-1)


def _moved(directions: Floats, step: Floats) -> Floats:
    out = directions + np.einsum("nij,nj->ni", _tangents(directions), step)
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


def _blocks(
    vector: Floats, kind: str, rotations: Floats, directions: Floats, seen: Sightings, left: Floats,
    weight: Floats,
) -> "tuple[sparse.csr_matrix, sparse.csr_matrix, Floats]":  # fmt: skip
    """Return the weighted Jacobians of camera and stars, and the weighted residuals."""
    from scipy import sparse

    n, frames, stars = len(left), len(rotations), len(directions)
    v = np.einsum("nij,nj->ni", rotations[seen.frame], directions[seen.star])
    by_lens = []
    for k in range(vector.size):
        h = STEP * (1000.0 if k in (1, 2) else 1.0)
        up, down = vector.copy(), vector.copy()
        up[k], down[k] = up[k] + h, down[k] - h
        by_lens.append((projected(up, kind, v) - projected(down, kind, v)) / (2 * h))
    by_direction = _by_direction(vector, kind, v)
    turn = _turning(by_direction, v)
    across = by_direction @ rotations[seen.frame] @ _tangents(directions)[seen.star]
    w = np.repeat(weight, 2)
    rows = np.arange(2 * n)
    camera = sparse.hstack(
        [
            sparse.csr_matrix(_weighted(np.stack(by_lens, axis=-1), w)),
            _placed(_weighted(turn, w), rows, 3 * np.repeat(seen.frame, 2), 3 * frames),
        ],
        format="csr",
    )
    star = _placed(_weighted(across, w), rows, 2 * np.repeat(seen.star, 2), 2 * stars)
    return camera, star, np.nan_to_num(left).ravel() * w


def _weighted(block: Floats, w: Floats) -> Floats:
    return np.nan_to_num(block).reshape(w.size, -1) * w[:, None]


def _placed(block: Floats, rows: Indices, first: Indices, columns: int) -> "sparse.csr_matrix":
    """Return a sparse matrix with each row of `block` from column `first` on."""
    from scipy import sparse

    width = block.shape[1]
    where = first[:, None] + np.arange(width)
    return sparse.csr_matrix(
        (block.ravel(), (np.repeat(rows, width), where.ravel())), shape=(rows.size, columns)
    )


def _solved(
    blocks: "tuple[sparse.csr_matrix, sparse.csr_matrix, Floats]",
    pull: Floats,
    stiffness: Floats,
    damping: float,
    reference: int,
) -> tuple[Floats, Floats, Floats]:
    """Return the steps of lens, rotations (frame, 3) and stars (star, 2)."""
    camera, star, right = blocks
    size = stiffness.size
    a = (camera.T @ camera).toarray()
    b = (camera.T @ star).toarray()
    c = _pairs(star)
    ga, gs = camera.T @ right, star.T @ right
    a[np.arange(size), np.arange(size)] += stiffness
    ga[:size] -= pull
    a[np.diag_indices_from(a)] *= 1 + damping
    c[:, [0, 1], [0, 1]] = c[:, [0, 1], [0, 1]] * (1 + damping) + 1e-12
    inverse = np.linalg.inv(c)
    scaled = (b.reshape(len(a), -1, 2).transpose(1, 0, 2) @ inverse).transpose(1, 0, 2).reshape(len(a), -1)
    reduced, pulled = a - scaled @ b.T, ga - scaled @ gs
    free = np.ones(len(a), bool)
    free[size + 3 * reference : size + 3 * reference + 3] = False
    idle = np.diag(a) <= 0
    free &= ~idle
    step = np.zeros(len(a))
    part = reduced[np.ix_(free, free)]
    step[free] = np.linalg.lstsq(part, pulled[free], rcond=1e-14)[0]
    stars = np.einsum("sij,sj->si", inverse, (gs - b.T @ step).reshape(-1, 2))
    return step[:size], step[size:].reshape(-1, 3), stars


def _pairs(star: "sparse.csr_matrix") -> Floats:
    """Return the 2 x 2 diagonal blocks of star.T @ star."""
    product = (star.T @ star).tocoo()
    out = np.zeros((star.shape[1] // 2, 2, 2))
    same = product.row // 2 == product.col // 2
    np.add.at(out, (product.row[same] // 2, product.row[same] % 2, product.col[same] % 2), product.data[same])
    return out
