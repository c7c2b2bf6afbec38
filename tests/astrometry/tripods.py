"""Star lists of a camera that stands still under the sky, with its lens and turns known."""

import numpy as np

from sciastro.astrometry.lens import Lens, rotation_of
from sciastro.core.directions import unit_vectors
from sciastro.core.stars import STAR_DTYPE

SHAPE = (900, 1200)
PHONE = Lens(880.0, 604.0, 445.0, (-0.13, 0.01, 0.0), (0.0006, -0.0004))


def axes_at(ra, dec, roll):
    """Return the rotation from equatorial axes to those of a camera that looks at (ra, dec) [deg]."""
    z = unit_vectors([ra], [dec])[0]
    x = np.cross([0, 0, 1.0], z)
    x /= np.linalg.norm(x)
    t = np.radians(roll)
    y = np.cross(z, x)
    return np.array([np.cos(t) * x + np.sin(t) * y, np.cos(t) * y - np.sin(t) * x, z])


class Tripod:
    """Star lists of a camera fixed to the ground, with sources that do not move."""

    def __init__(self, frames=9, turn=7.0, lens=PHONE, n=16000, noise=0.12, fixed=40, seed=3):
        rng = np.random.default_rng(seed)
        v = rng.normal(size=(n, 3))
        self.sky = v / np.linalg.norm(v, axis=1, keepdims=True)
        self.light = 10 ** (-0.4 * 7 * rng.random(n) ** 0.4)
        base = axes_at(300.0, 35.0, 20.0)
        hours = np.radians(np.linspace(-turn / 2, turn / 2, frames))
        self.lens = lens
        self.rotations = [base @ rotation_of([[0, 0, -h]])[0] for h in hours]
        self.lists, self.names = [], []
        still = rng.uniform((0, 0), SHAPE[::-1], (fixed, 2))
        for r in self.rotations:
            xy = lens.project(self.sky @ r.T)
            on = (xy[:, 0] > 2) & (xy[:, 0] < SHAPE[1] - 3) & (xy[:, 1] > 2) & (xy[:, 1] < 0.88 * SHAPE[0])
            there = np.flatnonzero(on & (rng.random(n) < 0.9))
            there = there[np.argsort(-self.light[there])][:900]
            points = np.vstack([still, xy[there]]) + rng.normal(0, noise, (fixed + there.size, 2))
            stars = np.zeros(len(points), STAR_DTYPE)
            stars["x"], stars["y"] = points.T
            stars["x_err"] = stars["y_err"] = noise
            stars["flux"] = np.concatenate([np.full(fixed, 2.0), self.light[there]])
            order = np.argsort(-stars["flux"], kind="stable")
            self.lists.append(stars[order])
            self.names.append(np.concatenate([np.full(fixed, -1), there])[order])

    def way(self, i, j, x, y):
        """Return where what frame `i` shows at (x, y) is on frame `j`."""
        return self.lens.project(self.lens.unproject(x, y) @ self.rotations[i] @ self.rotations[j].T)
