"""Every frame's place in a camera model: its sources matched with where the model puts the stars of a set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.bundle import Bundle, turn_frame
from sciastro.astrometry.lens import Lens, frame_map, sky_to_plane
from sciastro.astrometry.match import closest_pairs, positions
from sciastro.astrometry.register import star_errors
from sciastro.astrometry.tracks import Mask
from sciastro.core.stars import StarArray

if TYPE_CHECKING:
    from astropy.table import QTable


__all__ = ["CameraModel", "FEWEST", "Placed", "matched_again", "rotation_between"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

WIDE = 100.0  # degrees of diagonal beyond which the picture is stereographic
REACH = 2.5  # pixel: first radius of guided matching
FEWEST = 12  # stars that place a frame


@dataclass(frozen=True, slots=True)
class Placed:
    """One frame on the undistorted picture.

    Attributes
    ----------
    from_reference, domain
        Map (2, term) from the picture to the frame, and the box that holds the frame; NaN unplaced.
    rms, approximation
        Residual of the stars, and of the polynomial against the lens [pixel].
    n
        Stars used.
    star, entry
        Numbers of the model's stars, and the entries of the frame's list that are these.
    residuals
        As `register.Registration.residuals`.
    reason
        Why it is not placed; empty if it is.
    """

    from_reference: Floats
    domain: Floats
    rms: float
    approximation: float
    n: int
    star: Indices
    entry: Indices
    residuals: "QTable | None"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CameraModel:
    """What a set of drifting frames tells of its camera.

    Attributes
    ----------
    lens
        Common to all frames.
    picture
        Focal length and axis of the undistorted picture: the lens without its distortion.
    flat
        Projection of the picture, "TAN" or "STG".
    rotations
        (frame, 3, 3), from the axes of the reference frame; NaN unplaced.
    directions
        (star, 3) in the axes of the reference frame.
    light
        Of each star, in the mean over its frames.
    frames
        One `Placed` per frame.
    fixed
        Sources per frame that do not move with the sky.
    rms
        Of all frames [pixel].
    """

    lens: Lens
    picture: Lens
    flat: str
    rotations: Floats
    directions: Floats
    light: Floats
    frames: list[Placed]
    fixed: list[Mask]
    rms: float

    @property
    def placed(self) -> int:
        """Number of frames that are placed."""
        return sum(not one.reason for one in self.frames)

    def as_text(self) -> str:
        """Return the lens in words."""
        k = ", ".join(f"{value:+.4f}" for value in self.lens.radial)
        return (
            f"{self.lens.kind} lens of {self.lens.focal:.1f} pixel, axis at {self.lens.x:.1f}, "
            f"{self.lens.y:.1f}, radial distortion {k}"
        )


def rotation_between(source: Floats, target: Floats) -> Floats:
    """Return the rotation that takes directions `source` to `target` best (Kabsch 1976)."""
    u, _, vt = np.linalg.svd(target.T @ (source / np.linalg.norm(source, axis=1, keepdims=True)))
    return np.asarray(u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt)


def matched_again(
    lists: Sequence[StarArray],
    fixed: list[Mask],
    bundle: Bundle,
    linked: Mask,
    tracks: tuple[Indices, Indices, Indices],
    xy: Floats,
    shape: tuple[int, int],
    reference: int,
) -> CameraModel:
    """Match every source with what the model predicts, place the frames that were not linked, measure.

    Parameters
    ----------
    lists, fixed
        Per frame: its sources, and which of them do not move with the sky.
    bundle
        Lens and turns of the frames that are linked.
    linked
        (frame,), which these are.
    tracks
        Frame, row of `xy` and number of the star of every sighting.
    xy
        (n, 2), places of sources [pixel].
    shape
        Rows and columns.
    reference
        Frame that the picture is drawn on.
    """
    lens = bundle.lens
    frame, node, track = tracks
    usable = linked[frame]
    rays = np.einsum(
        "nji,nj->ni",
        bundle.rotations[frame[usable]],
        lens.unproject(xy[node[usable], 0], xy[node[usable], 1]),
    )
    numbers, star = np.unique(track[usable], return_inverse=True)
    directions = _mean(rays, star, numbers.size)
    rotations = bundle.rotations.copy()
    rotations[~linked] = np.nan
    points = [positions(one) for one in lists]
    error = [star_errors(one) for one in lists]
    pairs: list[tuple[Indices, Indices]] = []
    for attempt in range(2):
        pairs = []
        for i in range(len(lists)):
            free = np.flatnonzero(~fixed[i])
            turn = rotations[i] if np.isfinite(rotations[i]).all() else _between(rotations, i)
            found = _pairs_of(lens, turn, directions, points[i][free], error[i][free], shape)
            if found is None:
                rotations[i] = np.nan
                pairs.append((np.empty(0, np.intp), np.empty(0, np.intp)))
                continue
            rotations[i] = found[0]
            pairs.append((found[1], free[found[2]]))
        if attempt == 0:
            directions = _averaged(lens, rotations, directions, points, pairs)
            turn = rotations[reference]
            if np.isfinite(turn).all():  # the reference frame keeps its axes
                directions = directions @ turn.T
                rotations = rotations @ turn.T
    flat = "TAN" if 2 * np.rad2deg(np.arctan(0.5 * np.hypot(*shape) / lens.focal)) < WIDE else "STG"
    picture = Lens(lens.focal, lens.x, lens.y)
    placed = [
        _placed(lens, picture, flat, rotations[i], directions, points[i], error[i], pairs[i], shape)
        for i in range(len(lists))
    ]
    light = _light(lists, pairs, len(directions))
    good = [one for one in placed if not one.reason]
    total = float(np.sqrt(np.mean([one.rms**2 for one in good]))) if good else float("nan")
    return CameraModel(lens, picture, flat, rotations, directions, light, placed, fixed, total)


def _mean(rays: Floats, star: Indices, count: int) -> Floats:
    out = np.stack([np.bincount(star, rays[:, k], count) for k in range(3)], axis=1)
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12))


def _averaged(
    lens: Lens, rotations: Floats, directions: Floats, points: Sequence[Floats],
    pairs: Sequence[tuple[Indices, Indices]],
) -> Floats:  # fmt: skip
    """Return the directions as the mean of where all frames see the stars; unseen ones stay."""
    rays, numbers = [], []
    for i, (star, entry) in enumerate(pairs):
        if star.size:
            rays.append(lens.unproject(*points[i][entry].T) @ rotations[i])
            numbers.append(star)
    if not rays:
        return directions
    star = np.concatenate(numbers)
    mean = _mean(np.concatenate(rays), star, len(directions))
    seen = np.bincount(star, minlength=len(directions)) > 0
    return np.where(seen[:, None], mean, directions)


def _between(rotations: Floats, i: int) -> Floats:
    """Return the rotation that the placed frames on both sides suggest for frame `i` (even spacing)."""
    from scipy.spatial.transform import Rotation

    known = np.flatnonzero(np.isfinite(rotations[:, 0, 0]))
    if known.size == 0:
        return np.eye(3)
    if known.size == 1:
        return np.asarray(rotations[known[0]])
    at = int(np.clip(np.searchsorted(known, i), 1, known.size - 1))
    a, b = int(known[at - 1]), int(known[at])
    step = Rotation.from_matrix(rotations[b] @ rotations[a].T).as_rotvec() * (i - a) / (b - a)
    return np.asarray(Rotation.from_rotvec(step).as_matrix() @ rotations[a])


def _pairs_of(
    lens: Lens, rotation: Floats, directions: Floats, xy: Floats, sigma: Floats, shape: tuple[int, int]
) -> tuple[Floats, Indices, Indices] | None:
    """Return rotation, stars and entries of a frame as predicted; None where chance would do."""
    if len(xy) < FEWEST:
        return None
    radius = REACH
    star = entry = np.empty(0, np.intp)
    for _ in range(3):
        there = lens.project(directions @ rotation.T)
        inside = np.flatnonzero(
            (there[:, 0] > -1) & (there[:, 0] < shape[1]) & (there[:, 1] > -1) & (there[:, 1] < shape[0])
        )
        if inside.size < FEWEST:
            return None
        a, entry = closest_pairs(there[inside], xy, radius)
        star = inside[a]
        chance = inside.size * len(xy) * np.pi * radius**2 / (shape[0] * shape[1])
        if star.size < FEWEST or star.size < 3 * chance + 6 * np.sqrt(chance):
            return None
        rotation = turn_frame(lens, rotation, directions[star], xy[entry], sigma[entry])
        left = np.hypot(*(xy[entry] - lens.project(directions[star] @ rotation.T)).T)
        radius = float(np.clip(5 * np.median(left), 0.5, radius))
    good = left < radius
    return (rotation, star[good], entry[good]) if good.sum() >= FEWEST else None


def _placed(
    lens: Lens,
    picture: Lens,
    flat: str,
    rotation: Floats,
    directions: Floats,
    xy: Floats,
    sigma: Floats,
    pair: tuple[Indices, Indices],
    shape: tuple[int, int],
) -> Placed:
    from astropy.table import QTable

    star, entry = pair
    nothing = np.full((2, 3), np.nan), np.full(4, np.nan)
    if star.size == 0:
        why = f"fewer than {FEWEST} of its {len(xy)} sources are where the camera model expects stars"
        return Placed(*nothing, float("nan"), float("nan"), 0, star, entry, None, why)
    coefficients, box, left = frame_map(lens, rotation, shape, flat)
    if not np.isfinite(coefficients).all():
        return Placed(
            *nothing, float("nan"), left, 0, star, entry, None, "reaches beyond the undistorted picture"
        )
    there = lens.project(directions[star] @ rotation.T)
    at = sky_to_plane(directions[star], picture, flat)
    gone = xy[entry] - there
    table = QTable(
        {
            "x": at[:, 0], "y": at[:, 1], "x_frame": xy[entry, 0], "y_frame": xy[entry, 1],
            "dx": gone[:, 0], "dy": gone[:, 1], "sigma": sigma[entry], "used": np.ones(star.size, bool),
            "index_reference": star, "index_frame": entry,
        }
    )  # fmt: skip
    rms = float(np.sqrt(np.mean(np.sum(gone**2, axis=1))))
    return Placed(coefficients, box, rms, left, star.size, star, entry, table)


def _light(lists: Sequence[StarArray], pairs: Sequence[tuple[Indices, Indices]], count: int) -> Floats:
    total, number = np.zeros(count), np.zeros(count)
    for stars, (star, entry) in zip(lists, pairs, strict=True):
        if star.size and stars.dtype.names is not None and "flux" in stars.dtype.names:
            np.add.at(total, star, stars["flux"][entry].astype(np.float64))
            np.add.at(number, star, 1.0)
    return np.asarray(total / np.maximum(number, 1.0))
