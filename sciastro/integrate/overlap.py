"""What frames that overlap must differ by: one least-squares fit of all of them at once.

Model: ``level[k] = scene[node[k]] + correction of frame[k] + noise`` with a free scene at every node, so
that nothing of the sky is ever fitted away: only *differences* between frames at the same place count. The
correction is a polynomial of low degree per frame. The scene is eliminated, the rest is solved by conjugate
gradients; time and memory grow with the number of samples. With one constant per frame and logarithms of
star fluxes as levels it gives gains (`gains`).

What no difference can tell is left alone: a gradient common to all frames stays (a weak pull of every slope
toward zero picks the smallest corrections), and groups of frames that do not touch each keep their own zero.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import mad_sigma

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

__all__ = ["Fitted", "Samples", "fit_corrections", "gains", "polynomial"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

ROUNDS, SOFT = 6, 2  # rounds of down-weighting what does not fit; of these without throwing anything away
TAIL, WILD = 2.5, 6.0  # sigma beyond which a sample counts less (Huber), and beyond which it does not count
TOLERANCE, MOST_STEPS = 1e-8, 500  # of conjugate gradients: relative residual, iterations
DENSE, CHUNK = 3000, 512  # unknowns up to which the normal matrix is factorized; nodes added to it at a time
FAINT = 0.01  # relative error of a star's flux below which precision does not raise its weight


@dataclass(frozen=True, slots=True)
class Samples:
    """Levels of frames at common places.

    Attributes
    ----------
    frame, node
        Number of the frame and of the place, (sample,).
    u, v
        Position within the frame, about -1 to 1, (sample,).
    level
        What was measured, (sample,); finite.
    weight
        Statistical weight up to a common factor, (sample,).
    frames, nodes
        How many there are.
    """

    frame: Indices
    node: Indices
    u: Floats
    v: Floats
    level: Floats
    weight: Floats
    frames: int
    nodes: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """Corrections of all frames.

    Attributes
    ----------
    coefficients
        (frame, term) of `polynomial`, unit of the levels.
    group
        Frames of one number overlap, directly or through others, (frame,).
    scatter
        Robust scatter of the samples about the fit, unit of the levels; NaN without overlap.
    """

    coefficients: Floats
    group: Indices
    scatter: float


def polynomial(u: npt.ArrayLike, v: npt.ArrayLike, degree: int) -> Floats:
    """Return the terms 1; u, v; u2, uv, v2 up to `degree`, (..., term)."""
    u, v = np.asarray(u, dtype=np.float64), np.asarray(v, dtype=np.float64)
    return np.stack([u ** (n - j) * v**j for n in range(degree + 1) for j in range(n + 1)], axis=-1)


def fit_corrections(
    samples: Samples, *, degree: int = 1, merit: npt.ArrayLike | None = None, anchor: int | None = None
) -> Fitted:
    """Return what has to be subtracted from each frame so that all agree where they overlap.

    Parameters
    ----------
    samples
        Levels; places seen by one frame only tell nothing.
    degree
        0: a constant per frame; 1: a plane; 2: a quadratic surface.
    merit
        Per frame; the best of a group keeps its mean level. None: the first of each.
    anchor
        The frame that keeps its mean level, if it is in the group.
    """
    n = samples.frames
    group = _groups(samples)
    terms = polynomial(samples.u, samples.v, degree)
    coefficients = np.zeros((n, terms.shape[1]))
    shared = _shared(samples)
    if not shared.any():
        return Fitted(coefficients, group, float("nan"))
    few = _only(samples, shared)
    pull = _pull(samples, terms, degree)
    basis, weight = terms[shared], few.weight.copy()
    count = np.bincount(few.node, minlength=few.nodes)[few.node]
    spread = np.sqrt(count / (count - 1))  # each sample is part of the mean it is compared with
    left = spread * _leftover(few, few.level, weight)
    least = 1e-3 * float(pull[np.isfinite(pull)].max(initial=0.0)) * float(np.sqrt(few.weight.mean()))
    sigma = max(mad_sigma(left * np.sqrt(few.weight), 0.0), least)
    condition = _factorized(few, basis, weight, _ridge(sigma, pull))
    for number in range(ROUNDS):
        coefficients = _solve(few, basis, weight, _ridge(sigma, pull), condition, coefficients)
        left = spread * _leftover(few, few.level - (basis * coefficients[few.frame]).sum(axis=1), weight)
        size = np.abs(left) * np.sqrt(few.weight)
        sigma = max(mad_sigma(size, 0.0), least)
        size /= max(sigma, 1e-300)
        weight = few.weight * np.where(size > TAIL, TAIL / np.maximum(size, TAIL), 1.0)
        if number >= SOFT:
            weight[size > WILD] = 0.0
    coefficients[:, 0] -= _zero(samples, terms, coefficients, group, merit, anchor)
    return Fitted(coefficients, group, mad_sigma(left, 0.0))


def _groups(samples: Samples) -> Indices:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = samples.frames
    links = coo_array(
        (np.ones(samples.frame.size, np.int8), (samples.frame, n + samples.node)),
        shape=(n + samples.nodes, n + samples.nodes),
    )
    _, label = connected_components(links, directed=False)
    return np.asarray(np.unique(label[:n], return_inverse=True)[1], dtype=np.intp)


def _shared(samples: Samples) -> npt.NDArray[np.bool_]:
    count = np.bincount(samples.node, minlength=samples.nodes)
    return np.asarray(count[samples.node] > 1)


def _only(samples: Samples, keep: npt.NDArray[np.bool_]) -> Samples:
    return replace(
        samples,
        frame=samples.frame[keep], node=samples.node[keep], u=samples.u[keep], v=samples.v[keep],
        level=samples.level[keep], weight=samples.weight[keep],
    )  # fmt: skip


def _pull(samples: Samples, terms: Floats, degree: int) -> Floats:
    """Return the expected size of each term, from the frames' own shape: what pulls slopes toward 0."""
    size = np.zeros(terms.shape[1])
    if degree == 0:
        return size
    own = []
    order = np.argsort(samples.frame, kind="stable")
    ends = np.searchsorted(samples.frame[order], np.arange(samples.frames + 1))
    for begin, end in pairwise(ends):
        mine = order[begin:end]
        if mine.size > terms.shape[1]:
            own.append(np.linalg.lstsq(terms[mine], samples.level[mine], rcond=None)[0])
    size[1:] = 2 * np.sqrt(np.median(np.square(own), axis=0))[1:].max() if own else np.inf
    size[3:] /= 2
    return size


def _leftover(few: Samples, level: Floats, weight: Floats) -> Floats:
    """Return `level` minus its weighted mean over the frames at each node."""
    norm = np.bincount(few.node, weight, few.nodes)
    total = np.bincount(few.node, weight * level, few.nodes)
    scene = np.divide(total, norm, out=np.zeros(few.nodes), where=norm > 0)
    return level - scene[few.node]


def _ridge(sigma: float, pull: Floats) -> Floats:
    """Return what holds slopes small: one of the expected size costs as much as a sample one sigma off."""
    return np.divide(sigma**2, pull**2, out=np.zeros(pull.size), where=pull > 0)


def _factorized(few: Samples, basis: Floats, weight: Floats, ridge: Floats) -> "LinearOperator":
    """Return an approximate inverse of the normal matrix: exact for these weights where it is small enough.

    The scene eliminated, the normal matrix is ``sum w b b' - sum over nodes a a' / w`` with the summed rows a
    of a node.
    """
    from scipy.linalg import cho_factor, cho_solve
    from scipy.sparse.linalg import LinearOperator

    n, terms = few.frames, basis.shape[1]
    size = n * terms
    blocks = np.zeros((n, terms, terms))
    for j in range(terms):
        for k in range(terms):
            blocks[:, j, k] = np.bincount(few.frame, weight * basis[:, j] * basis[:, k], n)
    blocks += np.diag(ridge)
    if size > DENSE:
        scale = np.maximum(blocks[:, range(terms), range(terms)].ravel(), 1e-300)
        return LinearOperator((size, size), matvec=lambda x: np.ravel(x) / scale, dtype=np.float64)
    square = np.zeros((n, terms, n, terms))
    square[range(n), :, range(n), :] = blocks
    matrix = square.reshape(size, size)
    order = np.argsort(few.node, kind="stable")
    ends = np.searchsorted(few.node[order], np.arange(0, few.nodes + CHUNK, CHUNK))
    for number, (begin, end) in enumerate(pairwise(ends)):
        mine = order[begin:end]
        rows = np.zeros((CHUNK, n, terms))
        node = few.node[mine] - number * CHUNK
        np.add.at(rows, (node, few.frame[mine]), weight[mine, None] * basis[mine])
        norm = np.bincount(node, weight[mine], CHUNK)
        flat = rows.reshape(CHUNK, size) / np.sqrt(np.maximum(norm, 1e-300))[:, None]
        matrix -= flat.T @ flat
    matrix[range(size), range(size)] += 1e-9 * float(np.trace(matrix)) / size  # the free zero of each group
    factor = cho_factor(matrix)
    return LinearOperator((size, size), matvec=lambda x: cho_solve(factor, np.ravel(x)), dtype=np.float64)


def _solve(
    few: Samples, basis: Floats, weight: Floats, ridge: Floats, condition: "LinearOperator", start: Floats
) -> Floats:
    from scipy.sparse.linalg import LinearOperator, cg

    n, terms = few.frames, basis.shape[1]

    def gathered(values: Floats) -> Floats:
        columns = [np.bincount(few.frame, values * basis[:, k], n) for k in range(terms)]
        return np.stack(columns, axis=1)

    def normal(flat: Floats) -> Floats:
        c = flat.reshape(n, terms)
        left = _leftover(few, (basis * c[few.frame]).sum(axis=1), weight)
        return np.asarray((gathered(weight * left) + ridge * c).ravel())

    right = gathered(weight * _leftover(few, few.level, weight)).ravel()
    size = n * terms
    operator = LinearOperator((size, size), matvec=normal, dtype=np.float64)
    found, _ = cg(operator, right, start.ravel(), rtol=TOLERANCE, maxiter=MOST_STEPS, M=condition)
    return np.asarray(found).reshape(n, terms)


def _zero(
    samples: Samples, terms: Floats, coefficients: Floats, group: Indices, merit: npt.ArrayLike | None,
    anchor: int | None,
) -> Floats:  # fmt: skip
    """Return per frame the constant that leaves the mean level of its group's best frame as it is."""
    n = samples.frames
    value = (terms * coefficients[samples.frame]).sum(axis=1)
    count = np.maximum(np.bincount(samples.frame, minlength=n), 1)
    mean = np.bincount(samples.frame, value, n) / count
    best = np.ones(n) if merit is None else np.asarray(merit, dtype=np.float64)
    out = np.zeros(n)
    for number in np.unique(group):
        members = np.flatnonzero(group == number)
        chosen = anchor if anchor is not None and anchor in members else members[np.argmax(best[members])]
        out[members] = mean[chosen]
    return out


def gains(
    frame: npt.ArrayLike, star: npt.ArrayLike, flux: npt.ArrayLike, error: npt.ArrayLike, frames: int,
    *, anchor: int | None = None, merit: npt.ArrayLike | None = None,
) -> tuple[Floats, Indices]:  # fmt: skip
    """Return the relative sensitivity of frames from the stars that they have in common.

    Parameters
    ----------
    frame, star
        Which frame saw which star, (sample,).
    flux, error
        Rate of the star and its error, any common unit, (sample,); what is not above 0 is skipped.
    frames
        How many frames there are.
    anchor, merit
        As for `fit_corrections`: the frame whose sensitivity is 1.

    Returns
    -------
    gain, group
        (frame,); 1 for the best frame of each group, and so for a frame that has no star in common with any
        other. Gains of different groups cannot be compared.
    """
    flux, error = np.asarray(flux, dtype=np.float64), np.asarray(error, dtype=np.float64)
    good = (flux > 0) & (error >= 0) & np.isfinite(flux) & np.isfinite(error)
    f, s = np.asarray(frame, dtype=np.intp)[good], np.asarray(star, dtype=np.intp)[good]
    relative = np.maximum(error[good] / flux[good], FAINT)
    zero = np.zeros(f.size)
    nodes = int(s.max(initial=-1)) + 1
    fitted = fit_corrections(
        Samples(f, s, zero, zero, np.log(flux[good]), 1 / relative**2, frames, nodes),
        degree=0, merit=merit, anchor=anchor,
    )  # fmt: skip
    return np.exp(fitted.coefficients[:, 0]), fitted.group
