"""Mosaics end to end: panels of other sky levels, gradients and transparencies become one image."""

from dataclasses import dataclass

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS
from mosaics import BASE, Mosaic, write_mosaic
from small_nights import Outcome, reduce

from sciastro.errors import SolveError
from sciastro.integrate.overlap import polynomial
from sciastro.io.framefacts import FrameFacts
from sciastro.measure.stars import measure_plane
from sciastro.recipe import setsolving
from sciastro.recipe.lights import Light
from sciastro.recipe.panels import find_panels
from sciastro.recipe.targets import name_targets
from sciastro.simulate.truth import Truth

BLOCK, RADIUS = 20, 9.0


@dataclass(frozen=True)
class Image:
    """A product, and where the stars of the truth lie on it."""

    image: np.ndarray
    sigma: float
    x: np.ndarray
    y: np.ndarray
    stars: QTable

    @classmethod
    def of(cls, mosaic: Mosaic, outcome: Outcome) -> "Image":
        (path,) = (outcome.out / "products").glob("*_G.fits")
        with fits.open(path) as hdus:
            wcs = WCS(hdus["SCI"].header)
            image, error = hdus["SCI"].data.astype(float), hdus["ERR"].data.astype(float)
        x, y = wcs.all_world2pix(mosaic.stars["ra"], mosaic.stars["dec"], 0)
        return cls(image, float(np.nanmedian(error)), x, y, mosaic.stars)

    def levels(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the star-free median of blocks and their places: column, row, level."""
        masked = self.image.copy()
        yy, xx = np.mgrid[: masked.shape[0], : masked.shape[1]]
        for x, y, mag in zip(self.x, self.y, self.stars["mag"], strict=True):
            r = 4 + 2.5 * max(0.0, 14.5 - mag)
            part = (
                slice(max(0, int(y - r)), max(0, int(y + r + 2))),
                slice(max(0, int(x - r)), max(0, int(x + r + 2))),
            )
            masked[part][np.hypot(xx[part] - x, yy[part] - y) < r] = np.nan
        rows, columns = masked.shape[0] // BLOCK, masked.shape[1] // BLOCK
        blocks = masked[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
        blocks = blocks.transpose(0, 2, 1, 3).reshape(rows, columns, -1)
        row, column = np.nonzero(np.isfinite(blocks).sum(axis=-1) > 100)
        return column, row, np.nanmedian(blocks[row, column], axis=-1)

    def steps(self) -> np.ndarray:
        """Return what blocks differ from one smooth surface over the whole mosaic [sigma of a pixel]."""
        column, row, level = self.levels()
        terms = polynomial(2 * column / column.max() - 1, 2 * row / row.max() - 1, 3)
        return (level - terms @ np.linalg.lstsq(terms, level, rcond=None)[0]) / self.sigma

    def seam(self, at: float, axis: str, reach: int = 3) -> float:
        """Return the mean step of the background across a line of the canvas [sigma of a pixel].

        Less one smooth surface over the whole mosaic: a gradient is no step.
        """
        column, row, _ = self.levels()
        level = self.steps()
        along, across = (row, column) if axis == "x" else (column, row)
        place = at / BLOCK - 0.5
        steps = []
        for k in np.unique(along):
            mine = along == k
            before = mine & (across < place) & (across > place - reach)
            after = mine & (across > place) & (across < place + reach)
            if before.any() and after.any():
                steps.append(level[after].mean() - level[before].mean())
        return float(np.median(steps))

    def fluxes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return aperture fluxes of bright isolated stars, NaN for others, and which those are."""
        yy, xx = np.mgrid[: self.image.shape[0], : self.image.shape[1]]
        mag = np.asarray(self.stars["mag"])
        good = (mag < 12.3) & (mag > 9.5)
        for i in np.flatnonzero(good):
            near = (np.hypot(self.x - self.x[i], self.y - self.y[i]) < 20) & (mag < mag[i] + 4)
            good[i] = near.sum() == 1
        margin = 22
        good &= (self.x > margin) & (self.x < self.image.shape[1] - margin)
        good &= (self.y > margin) & (self.y < self.image.shape[0] - margin)
        out = np.full(mag.size, np.nan)
        for i in np.flatnonzero(good):
            part = tuple(slice(int(c) - 21, int(c) + 23) for c in (self.y[i], self.x[i]))
            r = np.hypot(xx[part] - self.x[i], yy[part] - self.y[i])
            inside = np.clip(RADIUS + 0.5 - r, 0, 1)
            sky = np.nanmedian(self.image[part][(r > 12) & (r < 20)])
            out[i] = (inside * (self.image[part] - sky)).sum()
        return out, good


def panel_of(mosaic: Mosaic, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Return for each star the one panel that sees it well inside, -1 where several or none do."""
    seen = np.zeros((len(mosaic.folders), ra.size), bool)
    for k, folder in enumerate(mosaic.folders):
        truth = Truth.load(folder)
        x, y = truth.sky_to_pixel(truth.lights("G")[0], ra, dec)
        seen[k] = (x > -15) & (x < BASE["camera.columns"] + 15) & (y > -15) & (y < BASE["camera.rows"] + 15)
    return np.where(seen.sum(axis=0) == 1, seen.argmax(axis=0), -1)


def check(mosaic: Mosaic, outcome: Outcome, panels: int) -> Image:
    assert outcome.code == 0, outcome.told
    assert list(outcome.images) == [("M 99", "G")]
    image = Image.of(mosaic, outcome)
    # Background: no step at any seam. A median of 400 pixels errs by 0.07 sigma with the noise correlation.
    steps = image.steps()
    assert np.percentile(np.abs(steps), 99) < 0.35
    assert steps.std() < 0.12
    # Stars: one sky, one brightness.
    flux, good = image.fluxes()
    truth = Truth.load(mosaic.folders[0])
    expected = truth.star_rates("G").ravel()
    ratio = flux / expected
    panel = panel_of(mosaic, np.asarray(mosaic.stars["ra"]), np.asarray(mosaic.stars["dec"]))
    groups = [ratio[good & (panel == k)] for k in range(panels)]
    assert all(group.size >= 5 for group in groups)
    middle = np.array([np.median(group) for group in groups])
    error = np.array([1.25 * group.std() / np.sqrt(group.size) for group in groups])
    assert np.all(np.abs(middle / np.median(middle) - 1) < 0.005 + 2 * error)
    # No star twice: around each isolated star there is one detection, at its place.
    found = measure_plane(image.image.astype("f4")).stars
    found = found[found["snr"] > 10]
    for i in np.flatnonzero(good):
        distance = np.hypot(found["x"] - image.x[i], found["y"] - image.y[i])
        assert (distance < 6).sum() == 1
        assert distance.min() < 0.35
    # Stars where panels overlap are as sharp as elsewhere.
    near = [
        np.argmin(np.hypot(found["x"] - image.x[i], found["y"] - image.y[i])) for i in np.flatnonzero(good)
    ]
    width, lone = found["fwhm"][near], panel[good] >= 0
    assert np.median(width[~lone]) < 1.05 * np.median(width[lone])
    return image


@pytest.fixture(scope="module")
def square(tmp_path_factory):
    return write_mosaic(tmp_path_factory.mktemp("square"), 2, 2, overlap=0.15, lights=3)


def test_two_by_two(square, tmp_path):
    outcome = reduce(square.session, tmp_path / "out")
    image = check(square, outcome, 4)
    product = outcome.summary["products"][0]
    assert product["canvas"]["extent"] == "union"
    assert "plane surfaces leveled over overlaps" in product["method"]
    for axis, length in (("x", image.image.shape[1]), ("y", image.image.shape[0])):
        for side in (-1, 1):
            at = length / 2 + side * 0.075 * BASE["camera.columns" if axis == "x" else "camera.rows"]
            assert abs(image.seam(at, axis)) < 0.2
    used = [row for row in outcome.summary["frames"] if row["type"] == "light"]
    assert len(used) == 12 and all(row["used"] for row in used)


@pytest.mark.slow
def test_without_leveling_the_seams_show(square, tmp_path):
    # What the numbers above would say of an image that is only laid side by side.
    outcome = reduce(
        square.session, tmp_path / "out", "--set", "level.surface=none", "--set", "level.feather=0"
    )
    image = Image.of(square, outcome)
    assert image.steps().std() > 0.6


@pytest.mark.slow
def test_three_in_a_row_with_a_tenth_of_overlap(tmp_path):
    mosaic = write_mosaic(tmp_path / "session", 3, 1, overlap=0.1, lights=3, names="M 99_Panel_{}")
    image = check(mosaic, reduce(mosaic.session, tmp_path / "out"), 3)
    middle = image.image.shape[1] / 2
    for side in (-1, 1):
        for edge in (0.4, 0.5):
            assert abs(image.seam(middle + side * edge * BASE["camera.columns"], "x")) < 0.2


@pytest.mark.slow
def test_a_mosaic_in_color(tmp_path, monkeypatch):
    wide = {
        "bands": "OSC", "camera.cfa": "RGGB", "camera.rows": 480, "camera.columns": 640,
        "telescope.focal_length": 250.0, "seeing": 11.0,
    }  # fmt: skip
    for name, value in wide.items():
        monkeypatch.setitem(BASE, name, value)
    mosaic = write_mosaic(tmp_path / "session", 2, 2, overlap=0.2, lights=3)
    outcome = reduce(mosaic.session, tmp_path / "out")
    assert outcome.code == 0
    assert outcome.images == {("M 99", band): 12 for band in "RGB"}
    image = Image.of(mosaic, outcome)
    assert outcome.summary["products"][0]["canvas"]["reason"] == "4 panels of a mosaic"
    assert image.steps().std() < 0.15
    for axis, length in (("x", image.image.shape[1]), ("y", image.image.shape[0])):
        assert abs(image.seam(length / 2, axis)) < 0.2


@pytest.mark.slow
def test_a_panel_that_cannot_be_solved_hangs_on_its_neighbor(tmp_path, monkeypatch):
    mosaic = write_mosaic(tmp_path / "session", 2, 1, overlap=0.4, lights=3)
    solve = setsolving.solve_light
    solved = []

    def once(light, *rest):
        if solved and not light.name.startswith(solved[0]):
            raise SolveError("is not solved.", where=light.name)
        solved.append(light.name.partition("/")[0])
        return solve(light, *rest)

    monkeypatch.setattr(setsolving, "solve_light", once)
    outcome = reduce(mosaic.session, tmp_path / "out")
    assert outcome.code == 0
    assert outcome.images == {("M 99", "G"): 6}
    image = Image.of(mosaic, outcome)
    found = measure_plane(image.image.astype("f4")).stars
    found = found[found["snr"] > 30]
    distance = [np.hypot(image.x - star["x"], image.y - star["y"]).min() for star in found]
    assert found.size > 20
    # A straight map from the stars of the overlap: the distortion of 0.5 pixel is carried to the far edge.
    assert np.median(distance) < 0.4
    assert np.percentile(distance, 90) < 1.5


@pytest.mark.slow
def test_panels_that_do_not_touch_are_told(tmp_path):
    mosaic = write_mosaic(tmp_path / "session", 2, 1, overlap=-0.05, lights=2, names="M 99")
    outcome = reduce(mosaic.session, tmp_path / "out")
    assert outcome.code == 0
    warnings = " ".join(outcome.summary["warnings"])
    assert "do not overlap, so each keeps its own sky level" in warnings
    assert "without stars in common" in warnings


def light(target, ra=10.0, dec=41.0, number=0):
    return FrameFacts(
        path=f"{number}.fits", hdu=0, shape=(1000, 1500), dtype="uint16", kind="light", target=target,
        pointing=None if ra is None else (ra, dec), scale=2.0, origins={"target": "OBJECT"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("names", "joined"),
    [
        (("M 31 Panel 1", "M 31 Panel 2"), "M 31"),
        (("M31_Panel_1", "M31_Panel_2"), "M31"),
        (("M31 panel 1-2", "M31 panel 2-2"), "M31"),
        (("NGC 7000 Mosaic 1", "NGC 7000 Mosaic 2"), "NGC 7000"),
        (("Veil (Tile 3)", "Veil (Tile 4)"), "Veil"),
    ],
)
def test_names_of_panels_are_joined(names, joined, tmp_path):
    frames = [light(names[0], 10.0, 41.0, 0), light(names[1], 10.8, 41.0, 1)]
    named = name_targets(frames, tmp_path)
    assert {frame.target for frame in named} == {joined}
    assert named[0].origins["target"] == "OBJECT, panels joined"


def test_names_that_only_look_like_panels_stay(tmp_path):
    alone = [light("M 31 Panel 1", number=0), light("M 31 Panel 1", number=1)]
    assert {frame.target for frame in name_targets(alone, tmp_path)} == {"M 31 Panel 1"}
    apart = [light("Field Panel 1", 10.0, 41.0, 0), light("Field Panel 2", 90.0, -10.0, 1)]
    assert {frame.target for frame in name_targets(apart, tmp_path)} == {"Field Panel 1", "Field Panel 2"}
    other = [light("Abell 21", number=0), light("Abell 31", 10.2, number=1)]
    assert {frame.target for frame in name_targets(other, tmp_path)} == {"Abell 21", "Abell 31"}


def lights(*pointings):
    return [Light(facts=light("M 31", *place, number), match=None) for number, place in enumerate(pointings)]


def test_pointings_are_sorted_into_panels():
    # A field of 0.83 x 0.56 degree: a dither of 0.05 is none, 0.4 is a panel; RA wraps at 0.
    found = find_panels(lights((0.02, 41.0), (359.98, 41.03), (0.6, 41.0), (0.62, 41.02), (0.02, 41.5)), None)
    assert sorted(len(group) for group in found) == [1, 2, 2]
    assert len(find_panels(lights((10, 89.95), (190, 89.95)), None)) == 1  # 0.1 degree apart over the pole
    assert len(find_panels(lights((10, 41), (None, None)), None)) == 1
