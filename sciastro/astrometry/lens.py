"""A camera and its lens: from directions to pixels and back, with the distortion of wide lenses.

A direction (X, Y, Z) in the camera's axes, Z along the optical axis, becomes a point of the ideal image,
``(a, b) = (X, Y) / Z`` for a rectilinear lens or ``(X, Y) theta / sin(theta)`` for a fisheye (equidistant),
and this a pixel through radial and tangential terms (Brown 1966, Photogrammetric Engineering 32, 444):
``x = cx + f (a (1 + k1 r2 + k2 r4 + k3 r6) + 2 p1 a b + p2 (r2 + 2 a2))``, ``y`` with a and b, p1 and p2
exchanged. Rotations are 3 x 3 matrices from the axes of the sky to those of the camera.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core import transform

__all__ = [
    "FISHEYE",
    "RECTILINEAR",
    "Lens",
    "frame_map",
    "monotone",
    "plane_to_sky",
    "projected",
    "rotation_of",
    "sky_to_plane",
]

Floats = npt.NDArray[np.float64]

RECTILINEAR, FISHEYE = "rectilinear", "fisheye"
UNDONE = 40  # fixed-point steps that undo the distortion: each gains a digit even at 20 % of distortion
DEGREES = (3, 5, 7, 9, 11)  # of the polynomials that a map is approximated by, in turn
GOAL = 0.004  # pixel: largest deviation of the polynomial


@dataclass(frozen=True, slots=True)
class Lens:
    """What all frames of one camera share.

    Attributes
    ----------
    focal
        Focal length [pixel].
    x, y
        Pixel on the optical axis.
    radial
        k1, k2, k3.
    tangential
        p1, p2.
    kind
        "rectilinear" or "fisheye".
    """

    focal: float
    x: float
    y: float
    radial: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tangential: tuple[float, float] = (0.0, 0.0)
    kind: str = RECTILINEAR

    def as_vector(self) -> Floats:
        """Return log(f), cx, cy, k1, k2, k3, p1, p2."""
        return np.array([np.log(self.focal), self.x, self.y, *self.radial, *self.tangential])

    @classmethod
    def from_vector(cls, values: Floats, kind: str) -> "Lens":
        """Return the lens of `as_vector`."""
        v = [float(value) for value in values]
        return cls(float(np.exp(v[0])), v[1], v[2], (v[3], v[4], v[5]), (v[6], v[7]), kind)

    def project(self, directions: Floats) -> Floats:
        """Return pixels (n, 2) of directions (n, 3); NaN behind the camera."""
        return projected(self.as_vector(), self.kind, directions)

    def unproject(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Floats:
        """Return unit directions (n, 3) of pixels."""
        ideal = np.column_stack([np.ravel(x) - self.x, np.ravel(y) - self.y]) / self.focal
        a, b = ideal.T.copy()
        for _ in range(UNDONE):
            stretch, da, db = _distortion(a, b, np.array([*self.radial, *self.tangential]))
            a, b = (ideal[:, 0] - da) / stretch, (ideal[:, 1] - db) / stretch
        if self.kind == RECTILINEAR:
            out = np.column_stack([a, b, np.ones_like(a)])
        else:
            theta = np.hypot(a, b)
            sine = np.sinc(theta / np.pi)
            out = np.column_stack([a * sine, b * sine, np.cos(theta)])
        return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


def _distortion(a: Floats, b: Floats, terms: Floats) -> tuple[Floats, Floats, Floats]:
    r2 = a * a + b * b
    k1, k2, k3, p1, p2 = terms
    stretch = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return stretch, 2 * p1 * a * b + p2 * (r2 + 2 * a * a), 2 * p2 * a * b + p1 * (r2 + 2 * b * b)


def projected(vector: Floats, kind: str, directions: Floats) -> Floats:
    """Return where a lens (`Lens.as_vector`) shows directions (n, 3), (n, 2) [pixel]; NaN behind it."""
    depth = directions[:, 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        if kind == RECTILINEAR:
            scale = np.where(depth > 0.02, 1 / depth, np.nan)
        else:
            away = np.hypot(directions[:, 0], directions[:, 1])
            theta = np.arctan2(away, depth)
            scale = np.where(theta < 3.0, 1 / np.maximum(np.sinc(theta / np.pi), 1e-9), np.nan)
        a, b = directions[:, 0] * scale, directions[:, 1] * scale
        stretch, da, db = _distortion(a, b, vector[3:])
    focal = np.exp(vector[0])
    return np.column_stack([vector[1] + focal * (a * stretch + da), vector[2] + focal * (b * stretch + db)])


def rotation_of(vectors: Floats) -> Floats:
    """Return rotation matrices (n, 3, 3) of rotation vectors (n, 3) [rad] (Rodrigues)."""
    v = np.atleast_2d(np.asarray(vectors, dtype=np.float64))
    angle = np.linalg.norm(v, axis=1)[:, None, None]
    cross = np.zeros((len(v), 3, 3))
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -v[:, 2], v[:, 1], -v[:, 0]
    cross -= cross.transpose(0, 2, 1)
    return np.asarray(
        np.eye(3) + np.sinc(angle / np.pi) * cross + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * cross @ cross
    )


def plane_to_sky(x: npt.ArrayLike, y: npt.ArrayLike, lens: Lens, flat: str = "TAN") -> Floats:
    """Return unit directions (n, 3) of pixels of an undistorted picture: TAN gnomonic, STG stereographic."""
    a, b = (np.ravel(x) - lens.x) / lens.focal, (np.ravel(y) - lens.y) / lens.focal
    if flat == "STG":
        r2 = (a * a + b * b) / 4
        out = np.column_stack([a, b, 1 - r2]) / (1 + r2)[:, None]
    else:
        out = np.column_stack([a, b, np.ones_like(a)])
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


def sky_to_plane(directions: Floats, lens: Lens, flat: str = "TAN") -> Floats:
    """Return pixels (n, 2) of an undistorted picture; NaN beyond its horizon."""
    depth = directions[:, 2] if flat == "TAN" else 0.5 * (1 + directions[:, 2])
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(depth > 0.02, lens.focal / depth, np.nan)
    return np.column_stack([lens.x + directions[:, 0] * scale, lens.y + directions[:, 1] * scale])


def frame_map(
    lens: Lens, rotation: Floats, shape: tuple[int, int], flat: str = "TAN"
) -> tuple[Floats, Floats, float]:
    """Return the polynomial from the undistorted picture to a frame.

    Parameters
    ----------
    rotation
        3 x 3, from the axes of the picture to those of the frame.
    shape
        Rows and columns of the frame.

    Returns
    -------
    coefficients, domain, residual
        Map (2, term), the box x0, x1, y0, y1 of the picture that holds the frame, and the largest
        deviation of the polynomial from the lens within the frame [pixel].
    """
    fx, fy = np.meshgrid(np.linspace(-0.5, shape[1] - 0.5, 25), np.linspace(-0.5, shape[0] - 0.5, 25))
    seen = sky_to_plane(lens.unproject(fx, fy) @ rotation, lens, flat)
    box = np.array([seen[:, 0].min(), seen[:, 0].max(), seen[:, 1].min(), seen[:, 1].max()])
    if not np.isfinite(box).all():
        return np.full((2, 3), np.nan), np.full(4, np.nan), float("nan")
    # The corners of the box lie off the frame; they get some weight, so that the map stays tame there.
    gx, gy = (
        v.ravel() for v in np.meshgrid(np.linspace(box[0], box[1], 19), np.linspace(box[2], box[3], 19))
    )
    there = lens.project(plane_to_sky(gx, gy, lens, flat) @ rotation.T)
    tame = np.isfinite(there).all(axis=1) & monotone(lens, plane_to_sky(gx, gy, lens, flat) @ rotation.T)
    x = np.concatenate([seen[:, 0], gx[tame]])
    y = np.concatenate([seen[:, 1], gy[tame]])
    to = np.vstack([np.column_stack([fx.ravel(), fy.ravel()]), there[tame]])
    weight = np.concatenate([np.ones(len(seen)), np.full(int(tame.sum()), 0.05)])
    coefficients, left = transform.identity(), np.inf
    for degree in DEGREES:
        trial = transform.fit(x, y, to[:, 0], to[:, 1], degree, weight)
        gone = np.column_stack(transform.evaluate(trial, seen[:, 0], seen[:, 1])) - to[: len(seen)]
        now = float(np.max(np.hypot(*gone.T)))
        if now < left:
            coefficients, left = trial, now
        if left < GOAL:
            break
    return coefficients, box, left


def monotone(lens: Lens, directions: Floats) -> npt.NDArray[np.bool_]:
    """Return where the radius in the picture still grows with the angle of rays (n, 3) from the axis."""
    k1, k2, k3 = lens.radial
    with np.errstate(invalid="ignore", divide="ignore"):
        away = np.hypot(directions[:, 0], directions[:, 1])
        r = away / directions[:, 2] if lens.kind == RECTILINEAR else np.arctan2(away, directions[:, 2])
    r2 = r * r
    return np.asarray(1 + r2 * (3 * k1 + r2 * (5 * k2 + 7 * r2 * k3)) > 0.05)
