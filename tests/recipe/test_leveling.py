"""Leveling: moving gradients go, what is on the sky stays, rejection finds outliers again."""

from pathlib import Path

import numpy as np
import pytest
from fields import star_field

from sciastro.core import transform
from sciastro.core.stars import empty_stars
from sciastro.integrate.canvas import Canvas, domain_box
from sciastro.integrate.fuse import integrate_tile
from sciastro.integrate.grid import Tile
from sciastro.integrate.local import LevelOptions
from sciastro.integrate.normalize import terms
from sciastro.integrate.options import StackOptions
from sciastro.io.framefacts import FrameFacts
from sciastro.measure.background import background
from sciastro.recipe.context import Context, Silent
from sciastro.recipe.leveling import level_band
from sciastro.recipe.lights import Light, Measured

SHAPE, SECONDS, SKY, READ = (448, 512), 10.0, 400.0, 3.0
OUTLIER = (100, 350)  # where one frame has a faint ghost, 30 x 30 pixels


def gradients(n, size, seed=2):
    """Return a smooth surface per frame, as moonlight and thin clouds make them [electron]."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[: SHAPE[0], : SHAPE[1]].T / np.array(SHAPE) * 2 - 1).T
    out = []
    for _ in range(n):
        a, b, c, d = rng.normal(0, size, 4)
        phase = rng.uniform(0, 6, 2)
        out.append(
            a * x + b * y + 0.5 * c * x * y + 0.3 * d * np.sin(2 * x + phase[0]) * np.cos(1.5 * y + phase[1])
        )
    return out


class Night:
    """Frames with known gradients, an extended source and a ghost in one of them."""

    def __init__(self, n=10, *, size=60.0, nebula=0.0, ghost=0.0, noise=True, seed=1):
        rng = np.random.default_rng(seed)
        self.gradients = gradients(n, size)
        xs, ys = rng.uniform(30, SHAPE[1] - 30, 60), rng.uniform(30, SHAPE[0] - 30, 60)
        flux = np.geomspace(2e3, 2e5, 60)
        self.maps = np.repeat(transform.identity()[None], n, axis=0)
        self.maps[1:, :, 0] += rng.uniform(-9, 9, (n - 1, 2))
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        self.frames, self.lights = [], []
        for i in range(n):
            dx, dy = self.maps[i, :, 0]
            self.scene = SKY + star_field(SHAPE, xs + dx, ys + dy, flux, 3.0)
            self.scene += nebula * np.exp(-0.5 * (((x - dx - 300) / 70) ** 2 + ((y - dy - 200) / 45) ** 2))
            mean = self.scene + self.gradients[i]
            if i == 4:
                mean[OUTLIER[0] : OUTLIER[0] + 30, OUTLIER[1] : OUTLIER[1] + 30] += ghost
            # The same noise with and without the source, so that their difference is the source alone.
            sigma = np.sqrt(np.maximum(SKY + self.gradients[i], 0) + READ**2)
            signal = (mean + (rng.normal(0, 1, SHAPE) * sigma if noise else 0)).astype("f4")
            variance = np.broadcast_to((sigma**2).astype("f4"), SHAPE).copy()
            self.frames.append((signal, variance, np.zeros(SHAPE, "u2")))
            self.lights.append(self._light(i, background(signal)))

    def _light(self, i, mesh):
        facts = FrameFacts(
            path=f"{i}.fits", hdu=0, shape=SHAPE, dtype="uint16", kind="light", exposure=SECONDS
        )
        light = Light(facts=facts, match=None)
        light.domain = domain_box(self.maps[i], SHAPE)
        light.measured = Measured(
            stars=empty_stars(), fwhm=3.0, eccentricity=0.1, elongation=1.0, sky={"V": mesh.level},
            noise={"V": mesh.rms}, n_stars=60, sha256="", gain=1.0, read_noise=READ, saturation=6e4,
            gain_source="", zero={}, trails=np.empty((0, 5)), hits=np.empty(0, np.int64),
            meshes={"V": mesh.coarse()},
        )  # fmt: skip
        return light

    def stack(self, **level):
        n = len(self.frames)
        sky = np.array([light.measured.sky["V"] for light in self.lights]) / SECONDS
        change = terms(np.full(n, SECONDS), sky, np.ones(n))
        context = Context(out=Path(), workers=1, memory=10**9, progress=Silent())
        self.leveled = level_band(
            self.lights,
            "V",
            self.maps,
            Canvas(SHAPE),
            change,
            np.ones(n),
            SHAPE,
            LevelOptions(**level),
            context,
        )
        return integrate_tile(
            lambda i, y0, y1, x0, x1: tuple(p[y0:y1, x0:x1] for p in self.frames[i]),
            self.maps, SHAPE, change, np.ones(n), Tile(0, SHAPE[0], 0, SHAPE[1]), StackOptions(),
            adjust=self.leveled.surfaces, feather=self.leveled.feather,
        )  # fmt: skip


INNER = (slice(24, -24), slice(24, -24))


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "surface", ["local", pytest.param("plane", marks=SLOW), pytest.param("quadratic", marks=SLOW)]
)
def test_an_extended_source_keeps_its_light(surface):
    with_source, without = Night(nebula=60.0), Night(nebula=0.0)
    difference = with_source.stack(surface=surface).image - without.stack(surface=surface).image
    expected = 60.0 / SECONDS * 2 * np.pi * 70 * 45
    # What the sky level takes of a source that fills the frame is given back as the reference's own level.
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    r = np.hypot((x - 300) / 70, (y - 200) / 45)
    zero = np.median(difference[INNER][r[INNER] > 3.5])
    inside = r < 3
    got = (difference - zero)[inside & np.isfinite(difference)].sum()
    assert got == pytest.approx(expected * (1 - np.exp(-4.5)), rel=0.005)


def scatter(night):
    """Return how far the frames' backgrounds lie apart at one place, in sigma of a pixel's noise."""
    tile = Tile(0, SHAPE[0], 0, SHAPE[1])
    planes = []
    for i, surface in enumerate(night.gradients):
        values = (surface - np.median(surface)).astype("f4") / np.float32(SECONDS)
        if night.leveled.surfaces is not None:
            night.leveled.surfaces(i, tile, values)
        planes.append(values)
    return np.std(planes, axis=0)[INNER].mean() / (np.sqrt(SKY + READ**2) / SECONDS)


def test_moving_gradients_agree_afterwards():
    night = Night()
    night.stack(surface="none")
    before = scatter(night)
    found = {}
    for surface in ("plane", "quadratic", "local"):
        night.stack(surface=surface)
        found[surface] = scatter(night)
    assert before > 1.5
    assert found["plane"] < 0.5 * before
    assert found["local"] < found["quadratic"] <= found["plane"]
    assert found["local"] < 0.1 * before


def test_rejection_finds_a_ghost_again():
    # A ghost in one of ten frames: lost among moving gradients, seen once they are leveled.
    part = (slice(OUTLIER[0] + 12, OUTLIER[0] + 18), slice(OUTLIER[1] + 12, OUTLIER[1] + 18))
    night = Night(ghost=7 * np.sqrt(SKY))
    raw, leveled = night.stack(surface="none"), night.stack(surface="local")
    assert raw.rejected_high[part].mean() < 0.3
    assert leveled.rejected_high[part].mean() > 0.8


def test_the_gradient_left_is_that_of_the_reference_frames():
    night = Night(n=8, noise=False)
    stack = night.stack(surface="local", best=3)
    mean = np.mean([surface - np.median(surface) for surface in night.gradients[:3]], axis=0) / SECONDS
    bare = Night(n=8, noise=False, size=0.0).stack(surface="none")
    left = (stack.image - bare.image - mean)[INNER]
    left -= np.nanmedian(left)
    # The three best frames' mean, moved by their dither and known on tiles of 64 pixels: 0.1 of its range.
    assert np.nanpercentile(np.abs(left), 99) < 0.1 * np.ptp(mean)


def test_nothing_is_done_by_default():
    night = Night(n=3)
    night.stack()
    assert night.leveled.surfaces is None and night.leveled.feather == 0 and night.leveled.method == ""
