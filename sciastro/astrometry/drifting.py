"""Register a set that drifts or turns across its frames: one camera model from tracks of stars, no catalog.

Frames far apart share few stars, and a wide lens bends the way from one to the other. So neighbors in time
are matched and linked to tracks (`tracks`); a lens, a rotation per frame and a direction per star are
adjusted to them (`bundle`); every source is matched again with what the model predicts; and each frame's map
is taken from the undistorted picture of the reference frame to the frame (`lens.frame_map`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.bundle import Bundle, Sightings, adjust, turn_frame
from sciastro.astrometry.lens import FISHEYE, Lens, frame_map, sky_to_plane
from sciastro.astrometry.match import mutual_pairs, positions
from sciastro.astrometry.register import RegisterOptions, star_errors
from sciastro.astrometry.tracks import Mask, fixed_sources, link_neighbors, tracks_of
from sciastro.core.stars import StarArray
from sciastro.errors import MatchError

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["CameraModel", "Placed", "register_drifting"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

ADJUSTED = 500  # stars that the lens is adjusted to, spread over the frame
CELLS = (8, 10)  # rows and columns of the grid they are spread over
GUESSES = (0.65, 1.0, 1.6, 3.0, 8.0)  # focal lengths that are tried, in frame widths
WIDE = 100.0  # degrees of diagonal beyond which the picture is stereographic
REACH = 2.5  # pixel: first radius of guided matching
LEAST_TRACK = 3  # sightings of a star that the lens is adjusted to
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
    return _matched_again(lists, fixed, bundle, linked, (frame, node, track), xy, shape, reference)


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
        rotations[i] = _kabsch(total[seen.star[here]], rays[here])
        enter(i)
    rotations[~np.isfinite(rotations[:, 0, 0])] = np.eye(3)
    total[~known] = rays[np.unique(seen.star, return_index=True)[1]][~known]
    return Bundle(lens, rotations, total / np.linalg.norm(total, axis=1, keepdims=True), float("nan"))


def _kabsch(source: Floats, target: Floats) -> Floats:
    """Return the rotation that takes directions `source` to `target` best (Kabsch 1976)."""
    u, _, vt = np.linalg.svd(target.T @ (source / np.linalg.norm(source, axis=1, keepdims=True)))
    return np.asarray(u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt)


def _matched_again(
    lists: Sequence[StarArray],
    fixed: list[Mask],
    bundle: Bundle,
    linked: Mask,
    tracks: tuple[Indices, Indices, Indices],
    xy: Floats,
    shape: tuple[int, int],
    reference: int,
) -> CameraModel:
    """Match every source with what the model predicts, place the frames that were not linked, measure."""
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
        a, entry = mutual_pairs(there[inside], xy, radius)
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
