"""Satellite trails: found where they are, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from sciastro.kernels.render_stars import add_streak
from sciastro.kernels.trails import bin_residual, cross_profiles, mark_trails
from sciastro.measure.background import background
from sciastro.measure.trails import TrailOptions, find_trails

DATA = Path(__file__).parents[3] / "shared" / "data"
SIGMA = 10.0


def sky_with_stars(seed, shape=(700, 900), stars=600, nebula=0.0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    image = 500 + rng.normal(0, SIGMA, shape).astype(np.float32) + 0.02 * x
    if nebula:  # a bright arc with a sharp edge
        r = np.hypot(x - 300, y - 350)
        image += nebula * SIGMA * (1 / (1 + np.exp((r - 180) / 6)))
    for _ in range(stars):
        cx, cy, flux = rng.uniform(0, shape[1]), rng.uniform(0, shape[0]), SIGMA * 10 ** rng.uniform(0, 3.3)
        j, i = int(cy), int(cx)
        here = np.s_[max(j - 9, 0) : j + 10, max(i - 9, 0) : i + 10]
        image[here] += flux * np.exp(-((x[here] - cx) ** 2 + (y[here] - cy) ** 2) / 3.5)
    return image


def crossing(seed, shape):
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0.03, np.pi / 2 - 0.03) + np.pi / 2 * rng.integers(2)
    x, y = rng.uniform(0.35, 0.65) * shape[1], rng.uniform(0.35, 0.65) * shape[0]
    dx, dy = 2000 * np.cos(angle), 2000 * np.sin(angle)
    return x - dx, y - dy, x + dx, y + dy


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("peak", [2.0, 8.0, 60.0])
def test_a_crossing_is_found_to_a_pixel(seed, peak):
    image = sky_with_stars(seed)
    clean = image.copy()
    line = crossing(seed, image.shape)
    add_streak(image, *line, 1.2, peak * SIGMA * 1.2 * 2.5066)
    trails = find_trails(image, None, background(image))
    assert len(trails) == 1
    x0, y0, x1, y1, half = trails[0]
    length = np.hypot(line[2] - line[0], line[3] - line[1])
    for x, y in ((x0, y0), (x1, y1)):
        away = ((x - line[0]) * (line[3] - line[1]) - (y - line[1]) * (line[2] - line[0])) / length
        assert abs(away) < 1.5
    quality = np.zeros(image.shape, np.uint16)
    mark_trails(quality, 0, 0, trails, np.uint16(4))
    left = (image - clean)[quality == 0]
    assert left.max() < 0.6 * SIGMA  # what is not masked is far below the noise
    assert 2 * half < 40


@pytest.mark.parametrize("seed", range(25))
def test_clean_frames_have_none(seed):
    image = sky_with_stars(100 + seed, stars=(50, 600, 3000)[seed % 3], nebula=(0, 0, 0, 8, 50)[seed % 5])
    assert len(find_trails(image, None, background(image))) == 0


def test_bad_columns_short_spikes_and_star_trails_are_not_satellites():
    image = sky_with_stars(7)
    image[:, 300:303] += 200
    image[400, :] += 80
    add_streak(image, 500.0, 300.0, 590.0, 350.0, 1.2, 5000.0)  # a spike of 100 pixels
    assert len(find_trails(image, None, background(image))) == 0
    for k in range(8):
        add_streak(image, 100.0 + 90 * k, 50.0, 40.0 + 90 * k, 600.0, 1.2, 900.0)
    assert len(find_trails(image, None, background(image))) == 0


@pytest.mark.parametrize("angle", [0.2, 0.4, 89.7, 179.8])
def test_geostationary_satellites_along_rows_and_columns(angle):
    # Frames with north up have them so; what the camera makes lies along its pixels exactly.
    image = sky_with_stars(11, stars=300)
    image[:, 300:303] += 200
    image[400, :] += 80
    along = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
    middle = np.array([450.0, 350.0])
    add_streak(image, *(middle - 800 * along), *(middle + 800 * along), 1.2, 8 * SIGMA * 1.2 * 2.5066)
    trails = find_trails(image, None, background(image))
    assert len(trails) == 1
    assert np.rad2deg(np.arctan2(*(trails[0, 3:1:-1] - trails[0, 1::-1]))) % 180 == pytest.approx(
        angle, abs=0.05
    )


def test_two_crossings_and_the_switch():
    image = sky_with_stars(3)
    add_streak(image, -50.0, 90.0, 950.0, 540.0, 1.2, 300.0)
    add_streak(image, 120.0, 750.0, 610.0, -50.0, 1.2, 120.0)
    sky = background(image)
    assert len(find_trails(image, None, sky)) == 2
    assert len(find_trails(image, None, sky, TrailOptions(find=False))) == 0


@pytest.mark.parametrize("apart", [12.0, 20.0])
def test_the_two_lights_of_an_aircraft_are_two_trails(apart):
    image = sky_with_stars(3, stars=300)
    along = np.array([np.cos(0.6), np.sin(0.6)])
    for side in (-0.5, 0.5):
        middle = np.array([450.0, 350.0]) + side * apart * np.array([-along[1], along[0]])
        add_streak(image, *(middle - 800 * along), *(middle + 800 * along), 1.2, 10 * SIGMA * 1.2 * 2.5066)
    trails = find_trails(image, None, background(image))
    marks = np.zeros(image.shape, np.uint16)
    mark_trails(marks, 0, 0, trails, np.uint16(1))
    assert len(trails) >= 2
    assert (image[marks == 0] > 500 + 0.02 * 900 + 8 * SIGMA).mean() < 0.02  # what is left are stars
    for side in (-0.5, 0.5):
        t = np.linspace(-250, 250, 100)
        x, y = (
            np.array([450.0, 350.0])[:, None]
            + side * apart * np.array([[-along[1]], [along[0]]])
            + along[:, None] * t
        )
        assert marks[y.round().astype(int), x.round().astype(int)].mean() > 0.95


def real_frames():
    return [
        path
        for pattern in ("timeseries_hatp32/*.fz", "stack_m13_orion/*.fz", "calib_arcsat_m13/light/*.fz")
        for path in sorted((DATA / pattern).parent.glob(Path(pattern).name))[::6]
    ]


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the real frames of ../shared/data")
def test_real_frames_without_satellites_have_none():
    frames = real_frames()
    assert len(frames) > 20
    for path in frames:
        image = fits.getdata(path).astype(np.float32)
        assert len(find_trails(image, None, background(image))) == 0, path.name


def test_bins_by_hand():
    image = np.full((16, 24), 7.0, np.float32)
    image[0, 0], image[1, 1], image[9, 9] = 107.0, 9.0, np.nan
    quality = np.zeros((16, 24), np.uint16)
    quality[1, 1] = 1
    out = np.empty((2, 3), np.float32)
    mesh = np.full((1, 1), 7.0)
    bin_residual(image, quality, np.uint16(1), mesh, np.full((1, 1), 2.0), 8, 6.0, out)
    assert out[0, 0] == pytest.approx(12.0 / (2.0 * np.sqrt(63)))  # 100 clipped to 6 x 2, one pixel flagged
    np.testing.assert_array_equal(out.ravel()[1:], 0)


def test_profiles_by_hand():
    image = np.zeros((40, 100), np.float32)
    image[20, :] = 5
    image[20, 30] = 1e6  # a star does not raise a median
    out = np.empty((4, 7), np.float32)
    cross_profiles(image, 0.0, 20.0, 99.0, 20.0, 3, 128, out)
    np.testing.assert_array_equal(out, np.tile([0, 0, 0, 5, 0, 0, 0], (4, 1)))


def test_marks_are_the_pixels_within_the_width_in_any_window():
    trails = np.array(
        [[5.0, 3.0, 70.0, 44.0, 3.5], [10.0, 30.0, 60.0, 30.0, 2.0], [33.0, 0.0, 33.0, 49.0, 1.0]]
    )
    whole = np.zeros((50, 80), np.uint16)
    count = mark_trails(whole, 0, 0, trails, np.uint16(2))
    y, x = np.mgrid[:50, :80]
    slow = np.zeros(whole.shape, bool)
    for x0, y0, x1, y1, half in trails:
        length = np.hypot(x1 - x0, y1 - y0)
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length
        away = ((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / length
        slow |= (np.abs(away) <= half + 1e-9) & (along >= -half) & (along <= length + half)
    np.testing.assert_array_equal(whole == 2, slow)
    assert count == slow.sum()
    part = np.full((20, 30), 1, np.uint16)
    mark_trails(part, 15, 25, trails, np.uint16(2))
    np.testing.assert_array_equal(part, whole[15:35, 25:55] | 1)
