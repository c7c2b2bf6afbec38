"""Where a wide field lies on the sky, without a hint: angles between its bright stars against the whole sky.

The camera model gives true angles (`drifting`). Pairs of bright stars with the angle of a pair of the catalog
suggest a rotation; it is believed where far more bright stars fall on catalog stars than chance would bring.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.lens import Lens
from sciastro.astrometry.plane import project

if TYPE_CHECKING:
    from astropy.wcs import WCS
    from scipy.spatial import cKDTree

__all__ = ["Place", "find_place", "picture_wcs"]

Floats = npt.NDArray[np.float64]

BRIGHT = 36  # stars of the picture that must lie on catalog stars
PAIRED = 14  # brightest of them whose angles are compared
CATALOG = 500  # brightest stars of the sky
NEAR = 0.3  # degrees: what counts as the same place
ANGLE = 0.15  # degrees: what counts as the same angle
SHORTEST, LONGEST = 8.0, 80.0  # degrees between the stars of a pair
SURE = -9.0  # log10 of the probability that is beyond doubt, over all rotations tried
BATCH = 4000  # rotations that are tested at a time: bounds the memory, changes no result


@dataclass(frozen=True, slots=True)
class Place:
    """How a picture lies on the sky.

    Attributes
    ----------
    rotation
        3 x 3, from equatorial axes to those of the picture; its determinant is -1 where mirrored.
    n
        Bright stars on catalog stars.
    log_false_alarm
        log10 of the probability that it is chance.
    """

    rotation: Floats
    n: int
    log_false_alarm: float


def find_place(directions: Floats, light: Floats, sky: Floats) -> Place | None:
    """Return the rotation of a picture, None where none is beyond doubt.

    Parameters
    ----------
    directions
        (star, 3) in the axes of the picture.
    light
        Of each star.
    sky
        (star, 3) catalog stars in equatorial axes, brightest first.
    """
    from scipy.spatial import cKDTree
    from scipy.special import bdtrc

    order = np.argsort(-light, kind="stable")[:BRIGHT]
    seen, sky = directions[order], sky[:CATALOG]
    if len(seen) < 8 or len(sky) < 8:
        return None
    first, second, angle = _pairs(sky)
    by_angle = np.argsort(angle)
    first, second, angle = first[by_angle], second[by_angle], angle[by_angle]
    tree = cKDTree(sky)
    best: Place | None = None
    tried = 0
    for a, b, apart in zip(*_pairs(seen[:PAIRED]), strict=True):
        low, high = np.searchsorted(angle, [apart - ANGLE, apart + ANGLE])
        i = np.concatenate([first[low:high], second[low:high]])
        j = np.concatenate([second[low:high], first[low:high]])
        for sign in (1.0, -1.0):
            tried += i.size
            mirror = np.array([1.0, sign, 1.0])
            found = _most(seen * mirror, seen[a] * mirror, seen[b] * mirror, sky, i, j, tree)
            if found is None:
                continue
            n, rotation = found
            chance = len(sky) * np.pi * np.deg2rad(NEAR) ** 2 / (4 * np.pi)
            log_p = float(np.log10(max(bdtrc(n - 3, len(seen) - 2, chance) * max(tried, 1), 1e-300)))
            if best is None or log_p < best.log_false_alarm:
                best = Place(_polished(seen, mirror[:, None] * rotation, sky, tree), n, log_p)
        if best is not None and best.log_false_alarm < SURE and tried > 2:
            return best
    return best if best is not None and best.log_false_alarm < SURE else None


def _pairs(stars: Floats) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Floats]:
    """Return the pairs of stars neither close nor far apart, brightest first, and their angle [deg]."""
    a, b = np.triu_indices(len(stars), 1)
    angle = np.rad2deg(2 * np.arcsin(np.clip(np.linalg.norm(stars[a] - stars[b], axis=1) / 2, 0, 1)))
    keep = (angle > SHORTEST) & (angle < LONGEST)
    a, b, angle = a[keep], b[keep], angle[keep]
    order = np.argsort(a + b, kind="stable")
    return a[order], b[order], angle[order]


def _frames(a: Floats, b: Floats) -> Floats:
    """Return the axes (n, 3, 3; rows) that two directions define: a, across both, and what completes them."""
    across = np.cross(a, b)
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    return np.stack([a, across, np.cross(a, across)], axis=-2)


def _most(
    seen: Floats, a: Floats, b: Floats, sky: Floats, i: npt.NDArray[np.intp], j: npt.NDArray[np.intp],
    tree: "cKDTree",
) -> tuple[int, Floats] | None:  # fmt: skip
    """Return how many stars the best of the suggested rotations explains, and the rotation sky -> picture."""
    if i.size == 0:
        return None
    reach = 2 * np.sin(np.deg2rad(NEAR) / 2)
    own = _frames(a[None], b[None])[0]
    best: tuple[int, Floats] | None = None
    for start in range(0, i.size, BATCH):
        part = slice(start, start + BATCH)
        to_sky = _frames(sky[i[part]], sky[j[part]]).transpose(0, 2, 1) @ own  # picture -> sky
        there = np.einsum("nij,kj->nki", to_sky, seen)
        near, _ = tree.query(there.reshape(-1, 3), distance_upper_bound=reach)
        count = (near.reshape(len(to_sky), -1) < reach).sum(axis=1)
        top = int(np.argmax(count))
        if best is None or count[top] > best[0]:
            best = int(count[top]), to_sky[top].T
    return best


def _polished(seen: Floats, rotation: Floats, sky: Floats, tree: "cKDTree") -> Floats:
    """Return the least-squares rotation (mirrored if the first one is) of the stars that coincide."""
    near, index = tree.query(seen @ rotation, distance_upper_bound=2 * np.sin(np.deg2rad(NEAR) / 2))
    hit = np.isfinite(near)
    u, _, vt = np.linalg.svd(seen[hit].T @ sky[index[hit]])
    sign = np.sign(np.linalg.det(rotation))
    return np.asarray(u @ np.diag([1, 1, sign * np.linalg.det(u @ vt)]) @ vt)


def picture_wcs(rotation: Floats, picture: Lens, shape: tuple[int, int], flat: str = "TAN") -> "WCS":
    """Return the exact WCS of an undistorted picture (`lens.plane_to_sky`) of known rotation."""
    from astropy.wcs import WCS

    axis = rotation.T @ np.array([0.0, 0.0, 1.0])
    ra0, dec0 = np.rad2deg(np.arctan2(axis[1], axis[0])) % 360, np.rad2deg(np.arcsin(axis[2]))
    step = 1e-4
    ends = np.array([[step, 0, 1.0], [0, step, 1.0]])
    there = (ends / np.linalg.norm(ends, axis=1, keepdims=True)) @ rotation
    plane = project(
        np.rad2deg(np.arctan2(there[:, 1], there[:, 0])), np.rad2deg(np.arcsin(there[:, 2])), ra0, dec0
    )
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"RA---{flat}", f"DEC--{flat}"]
    wcs.wcs.crval = [float(ra0), float(dec0)]
    wcs.wcs.crpix = [picture.x + 1, picture.y + 1]
    wcs.wcs.cd = plane.T / step / picture.focal
    wcs.wcs.cunit, wcs.wcs.radesys = ["deg", "deg"], "ICRS"
    wcs.pixel_shape = (shape[1], shape[0])
    wcs.wcs.set()
    return wcs
