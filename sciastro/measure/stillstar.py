"""A star that stands still under something that moves slowly: found, and taken out of its place and light.

Model: on frame k, ``s_k (F P(x_k) + f P(c_k)) + sky_k``: the mover's trailed profile at
``x_k = x0 + v (t_k - t0)`` and the profile of a star that does not move at ``c``, both of the widths of
`trailfit`. Eight numbers for all frames (place, speed, light of the mover; place and light of the star) and
one sky per frame, by damped least squares (Marquardt 1963, J. SIAM 11, 431). Whether there is a star is told
by how much chi2 falls against the same fit without one, in units of chi2 per degree of freedom.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sciastro.measure.profile import FWHM_PER_SIGMA
from sciastro.measure.trailfit import Stamp, profile_slopes

__all__ = ["Parted", "part_from_star"]

Floats = npt.NDArray[np.float64]

ROUNDS = 30  # at most; see `SETTLED`
DAMPING = 1e-3  # of the first step (Levenberg-Marquardt)
ALONG = (-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6)  # of the way: where a star is looked for first
ACROSS = (-0.5, 0.0, 0.5)  # of the width of a star
STARTS = 3  # of these that are followed
SETTLED = 0.01  # of chi2: a round that brings less is the last


@dataclass(frozen=True, slots=True)
class Parted:
    """A mover apart from the star beneath it.

    Attributes
    ----------
    gain
        By how much chi2 falls by the star (3 degrees of freedom), over chi2 per degree of freedom.
    offset, drift
        Of the mover from the place and speed that were expected, at the time zero (2,), (2,).
    covariance
        Of offset and drift (4, 4), with all that is not known of the star.
    light, light_err
        Of the mover, in the unit that `scales` define.
    star
        Light of the star, same unit.
    chi2
        Per degree of freedom.
    """

    gain: float
    offset: Floats
    drift: Floats
    covariance: Floats
    light: float
    light_err: float
    star: float
    chi2: float


@dataclass(frozen=True, slots=True)
class _Frames:
    """What the fit takes: stamps, expected places [pixel], Jacobians, scales, times, ways since time zero."""

    stamps: Sequence[Stamp]
    still: Sequence[Stamp]
    places: Floats
    jacobians: Floats
    scales: Floats
    times: Floats
    ways: Floats
    weights: Sequence[Floats]


def part_from_star(
    stamps: Sequence[Stamp],
    places: Sequence[tuple[float, float]],
    jacobians: Sequence[Floats],
    scales: Sequence[float],
    times: npt.ArrayLike,
    speed: tuple[float, float],
) -> Parted | None:
    """Return the mover as it is beside the most likely star beneath its way; None where no fit holds.

    Parameters
    ----------
    stamps, places, jacobians, scales
        As `trailfit.fit_together` takes them.
    times
        Of the frames, from the time zero.
    speed
        Expected, in the plane that all frames share, per unit of time.
    """
    t = np.asarray(times, dtype=np.float64)
    frames = _Frames(
        stamps, [replace(one, trail=(0.0, 0.0)) for one in stamps], np.asarray(places, np.float64),
        np.asarray(jacobians, np.float64), np.asarray(scales, np.float64), t, np.outer(t, speed),
        [np.full(one.values.size, one.noise**-2) for one in stamps],
    )  # fmt: skip
    light = _first_light(frames)
    if light <= 0:
        return None
    alone = np.array([0.0, 0.0, 0.0, 0.0, light])
    for _ in range(2):  # the noise of the light itself, from the fit before
        frames = replace(frames, weights=_weights(frames, alone))
        found = _settle(frames, alone)
        if found is None:
            return None
        alone = found[0]
    best: tuple[Floats, float, Floats] | None = None
    for start in _starts(frames, alone):
        found = _settle(frames, start)
        if found is not None and found[0][4] > 0 and found[0][7] > 0 and (best is None or found[1] < best[1]):
            best = found
    plain = _normal(frames, alone)[2]
    count = sum(one.values.size - 1 for one in stamps)
    if best is None:
        return None
    values, square, normal = best
    chi2 = square / max(count - 8, 1)
    if not np.isfinite(normal).all() or np.linalg.cond(_scaled(normal)) > 1e14:
        return None
    inverse = np.linalg.inv(normal)
    return Parted(
        gain=float((plain - square) / max(chi2, 1e-12)), offset=values[:2], drift=values[2:4],
        covariance=np.asarray(inverse[:4, :4]), light=float(values[4]),
        light_err=float(np.sqrt(inverse[4, 4])), star=float(values[7]), chi2=float(chi2),
    )  # fmt: skip


def _first_light(frames: _Frames) -> float:
    top = bottom = 0.0
    for k, stamp in enumerate(frames.stamps):
        shape = profile_slopes(stamp, *frames.places[k])[0] * frames.scales[k]
        shape = shape - shape.mean()
        top, bottom = top + float(shape @ stamp.values), bottom + float(shape @ shape)
    return top / max(bottom, 1e-300)


def _weights(frames: _Frames, values: Floats) -> list[Floats]:
    out = []
    for k, stamp in enumerate(frames.stamps):
        x, y = frames.places[k] + frames.jacobians[k] @ (values[:2] + values[2:4] * frames.times[k])
        light = values[4] * frames.scales[k] * profile_slopes(stamp, x, y)[0]
        out.append(1 / (stamp.noise**2 + np.maximum(light, 0)))
    return out


def _design(frames: _Frames, k: int, values: Floats) -> tuple[Floats, Floats]:
    """Return the model of a frame without its sky (n,), and its slopes by all numbers (n, 5 or 8)."""
    jacobian, scale, time = frames.jacobians[k], frames.scales[k], frames.times[k]
    x, y = frames.places[k] + jacobian @ (values[:2] + values[2:4] * time)
    shape, px, py = profile_slopes(frames.stamps[k], x, y)
    by_place = np.stack([px, py], axis=1) @ jacobian * (values[4] * scale)
    model, columns = values[4] * scale * shape, [by_place, by_place * time, scale * shape[:, None]]
    if values.size > 5:
        x, y = frames.places[k] + jacobian @ (values[5:7] - frames.ways[k])
        shape, px, py = profile_slopes(frames.still[k], x, y)
        columns += [np.stack([px, py], axis=1) @ jacobian * (values[7] * scale), scale * shape[:, None]]
        model = model + values[7] * scale * shape
    return model, np.concatenate(columns, axis=1)


def _normal(frames: _Frames, values: Floats) -> tuple[Floats, Floats, float]:
    """Return normal matrix, right side, chi2; the sky of each frame goes out by its weighted mean."""
    n = values.size
    normal, right, square = np.zeros((n, n)), np.zeros(n), 0.0
    for k, stamp in enumerate(frames.stamps):
        weight = frames.weights[k]
        model, matrix = _design(frames, k, values)
        rest = stamp.values - model
        rest = rest - float(weight @ rest / weight.sum())
        matrix = matrix - (weight @ matrix) / weight.sum()
        weighted = matrix * weight[:, None]
        normal += weighted.T @ matrix
        right += weighted.T @ rest
        square += float(weight @ rest**2)
    return normal, right, square


def _settle(frames: _Frames, start: Floats) -> tuple[Floats, float, Floats] | None:
    """Return numbers, chi2 and normal matrix where chi2 falls no more; None where it runs away."""
    values, damping = start, DAMPING
    normal, right, square = _normal(frames, values)
    reach = 2 * FWHM_PER_SIGMA * float(np.median([one.sigma for one in frames.stamps]))
    pixel = float(np.sqrt(abs(np.linalg.det(np.mean(frames.jacobians, axis=0)))))
    for _ in range(ROUNDS):
        size = np.sqrt(np.maximum(np.diag(normal), 1e-300))
        scaled = normal / np.outer(size, size)
        move = np.linalg.solve(scaled + damping * np.eye(size.size), right / size) / size
        if not np.isfinite(move).all():
            return None
        after = values + move
        again = _normal(frames, after)
        if again[2] > square or after[4] <= 0:
            damping *= 8
            if damping > 1e6:
                break
            continue
        gained, values, damping = square - again[2], after, max(damping / 8, 1e-9)
        normal, right, square = again
        if float(np.hypot(*values[:2])) * pixel > reach:
            return None
        if gained < SETTLED:
            break
    return values, square, normal


def _starts(frames: _Frames, alone: Floats) -> list[Floats]:
    """Return where a star brings most, judged beside small changes of all that is fitted already."""
    normal, _, _ = _normal(frames, alone)
    width = FWHM_PER_SIGMA * float(np.median([one.sigma for one in frames.stamps]))
    scale = float(np.sqrt(abs(np.linalg.det(np.mean(frames.jacobians, axis=0)))))  # pixel / arcsec
    way = frames.ways[np.argmax(frames.times)] - frames.ways[np.argmin(frames.times)]
    middle = (frames.ways.max(axis=0) + frames.ways.min(axis=0)) / 2
    length = max(float(np.hypot(*way)), 1e-12)
    side = np.array([-way[1], way[0]]) / length * width / scale
    found = []
    for a in ALONG:
        for b in ACROSS:
            at = middle + a * way + b * side
            full = np.concatenate([alone, at, [0.0]])
            # With no light yet, the slope by light is the profile itself, and those by place are zero.
            big, right, _ = _normal(frames, full)
            keep = [0, 1, 2, 3, 4, 7]
            part, side_part = big[np.ix_(keep, keep)], right[keep]
            try:
                inside = np.linalg.solve(normal, part[:5, 5])
            except np.linalg.LinAlgError:  # nothing is told apart there
                continue
            left = float(part[5, 5] - part[:5, 5] @ inside)
            lift = float(side_part[5] - side_part[:5] @ inside)
            if left > 1e-6 * part[5, 5] and lift > 0:
                light = min(lift / left, 2 * alone[4])
                found.append((lift**2 / left, np.concatenate([alone, at, [light]])))
    found.sort(key=lambda one: -one[0])
    return [start for _, start in found[:STARTS]]


def _scaled(normal: Floats) -> Floats:
    size = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    return np.asarray(normal / np.outer(size, size))
