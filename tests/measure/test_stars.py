"""Stars against truth: positions near the photon limit, widths within 3 %, no hot pixel, no ghost."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from star_scenes import cramer_rao, flux_of_snr, gaussian_field, grid, moffat_stamp

from sciastro.core.quality import Quality
from sciastro.core.stars import STAR_DTYPE
from sciastro.errors import DatasetError
from sciastro.measure.stars import DetectOptions, measure_plane
from sciastro.simulate.psf import Psf, PsfOptions, draw_stars

SKY_VARIANCE = 200.0 + 9.0


def matched(stars, xy, radius=1.0):
    """Return star entries and truth entries that belong together."""
    distance, index = cKDTree(np.column_stack([stars["x"], stars["y"]])).query(xy)
    return index[distance < radius], np.flatnonzero(distance < radius)


@pytest.mark.parametrize("fwhm", [2.0, 3.2, 6.0])
@pytest.mark.parametrize("snr", [20, 100, 1000])
def test_positions_reach_the_cramer_rao_bound(fwhm, snr):
    xy = grid(18, int(14 * max(fwhm, 2.5)), seed=snr)
    flux = flux_of_snr(snr, fwhm, SKY_VARIANCE)
    shape = (18 * int(14 * max(fwhm, 2.5)),) * 2
    stars = measure_plane(gaussian_field(shape, xy, np.full(len(xy), flux), fwhm, seed=7)).stars
    i, j = matched(stars, xy)
    assert j.size >= 0.98 * len(xy)
    dx, dy = stars["x"][i] - xy[j, 0], stars["y"][i] - xy[j, 1]
    rms = np.sqrt(np.mean(dx**2 + dy**2) / 2)
    # 324 stars: the rms itself is known to 4 %.
    assert rms < 1.15 * cramer_rao(flux, fwhm, SKY_VARIANCE)
    assert rms == pytest.approx(np.mean(stars["x_err"][i]), rel=0.12)
    limit = max(0.01, 4 * rms / np.sqrt(j.size))
    assert abs(dx.mean()) < limit and abs(dy.mean()) < limit
    phase = 2 * np.pi * (xy[j, 0] - np.round(xy[j, 0]))
    assert abs(2 * np.mean(dx * np.sin(phase))) < max(
        0.01, 6 * rms / np.sqrt(j.size)
    )  # no pull to pixel centers


@pytest.mark.parametrize("fwhm", [2.0, 3.0, 5.0, 8.0])
def test_width_is_recovered(fwhm):
    step = int(14 * max(fwhm, 2.5))
    xy = grid(10, step, seed=3)
    flux = 10 ** np.random.default_rng(4).uniform(3.8, 5.5, len(xy))
    found = measure_plane(gaussian_field((10 * step,) * 2, xy, flux, fwhm, seed=8))
    assert found.fwhm == pytest.approx(fwhm, rel=0.03)
    assert found.eccentricity < 0.3
    assert found.sky == pytest.approx(200, abs=1.0)
    assert found.noise == pytest.approx(np.sqrt(SKY_VARIANCE), rel=0.03)


@pytest.mark.parametrize("beta", [2.5, 3.5, 4.77])
@pytest.mark.parametrize("fwhm", [4.0, 7.0])
def test_width_of_stars_with_wings(beta, fwhm):
    # A Gaussian's moments would say 12 to 27 % too much.
    rng = np.random.default_rng(5)
    size, side = int(14 * fwhm), 6
    image = np.full((side * size,) * 2, 100.0)
    for j in range(side):
        for i in range(side):
            x, y = size // 2 + rng.uniform(-0.5, 0.5, 2)
            image[j * size : (j + 1) * size, i * size : (i + 1) * size] += 3e5 * moffat_stamp(
                size, x, y, fwhm, beta
            )
    found = measure_plane(rng.poisson(image).astype(np.float32))
    assert found.n_stars == side * side
    assert found.fwhm == pytest.approx(fwhm, rel=0.04)


@pytest.mark.parametrize(("ratio", "theta"), [(0.8, 0.3), (0.5, -0.9), (0.25, 1.2)])
def test_eccentricity_and_angle(ratio, theta):
    rng = np.random.default_rng(6)
    y, x = np.mgrid[:480, :480]
    image = np.full((480, 480), 100.0)
    minor = 1.4
    for cx, cy in grid(8, 60, seed=7):
        u, v = x - cx, y - cy
        p, q = u * np.cos(theta) + v * np.sin(theta), v * np.cos(theta) - u * np.sin(theta)
        flux = 10 ** rng.uniform(4, 5.5)
        image += flux * np.exp(-0.5 * ((p * ratio) ** 2 + q**2) / minor**2) / (2 * np.pi * minor**2) * ratio
    found = measure_plane(rng.poisson(image).astype(np.float32))
    assert found.eccentricity == pytest.approx(np.sqrt(1 - ratio**2), abs=0.02)
    assert np.median(found.stars["theta"]) == pytest.approx(theta, abs=0.05)
    assert found.shape.elongation == pytest.approx(1 / ratio, rel=0.05)
    assert found.shape.orientation == pytest.approx(theta, abs=0.05)
    assert found.shape.trailed == (ratio < 1 / 1.3)


def test_flux_is_linear_and_its_error_true():
    fwhm = 3.0
    xy = grid(20, 40, seed=8)
    flux = np.repeat([2e3, 2e4, 2e5, 2e6], 100)
    stars = measure_plane(gaussian_field((800, 800), xy, flux, fwhm, seed=9)).stars
    i, j = matched(stars, xy)
    # Within 1.5 FWHM of a Gaussian lie 1 - 2**-9 = 99.8 % of the light.
    ratio = stars["flux"][i] / flux[j] / (1 - 2.0**-9)
    for level in np.unique(flux):
        these = flux[j] == level
        pull = (ratio[these] - 1) * flux[j][these] / stars["flux_err"][i][these]
        assert np.std(pull) == pytest.approx(1.0, abs=0.25)
        assert abs(np.mean(ratio[these]) - 1) < 0.003 + 3 * np.std(ratio[these]) / np.sqrt(these.sum())


def random_field(seed=10, n=300, shape=(700, 900), fwhm=3.0):
    rng = np.random.default_rng(seed)
    xy = 10 + rng.uniform(0, 1, (n, 2)) * [shape[1] - 20, shape[0] - 20]
    flux = 10 ** rng.uniform(2.4, 5.2, n)
    return gaussian_field(shape, xy, flux, fwhm, seed=seed), xy, flux


def test_complete_and_pure():
    image, xy, flux = random_field()
    stars = measure_plane(image).stars
    snr = flux / np.sqrt(flux + 4 * np.pi * (3 / 2.3548) ** 2 * SKY_VARIANCE)
    _i, j = matched(stars, xy, 1.5)
    bright = snr > 10
    assert np.isin(np.flatnonzero(bright), j).mean() > 0.93  # the rest are blends
    distance, _ = cKDTree(xy).query(np.column_stack([stars["x"], stars["y"]]))
    assert np.sum(distance > 2) <= 3  # of 490 000 independent looks at 5 sigma, and blends


def test_pure_noise_has_no_stars():
    image = np.random.default_rng(11).normal(100, 10, (900, 900)).astype(np.float32)
    found = measure_plane(image)
    assert found.n_stars <= 2
    empty = measure_plane(np.full((200, 200), 5.0))
    assert empty.stars.size == 0 and empty.stars.dtype == STAR_DTYPE
    assert np.isnan(empty.fwhm) and np.isnan(empty.eccentricity)


def test_hot_pixels_and_cosmic_rays_are_not_stars():
    image, xy, _ = random_field(seed=12, fwhm=3.0)
    rng = np.random.default_rng(13)
    spots = rng.integers(5, 690, (400, 2))
    image[spots[:, 0], spots[:, 1]] += 10 ** rng.uniform(2.3, 4.5, 400)
    stars = measure_plane(image).stars
    found = np.column_stack([stars["x"], stars["y"]])
    far = cKDTree(xy).query(found)[0] > 3
    on_spot = cKDTree(spots[:, ::-1].astype(float)).query(found)[0] < 1.0
    assert np.sum(far & on_spot) <= 4  # of 400


def test_saturated_stars_come_last_flagged_once_and_well_centered():
    xy = np.array([(100.3, 120.7), (300.0, 80.2), (220.6, 300.4)])
    image = gaussian_field((400, 400), [*xy, (50, 350), (350, 350)], [3e6, 2e4, 8e6, 5e4, 9e4], 4.0, seed=14)
    quality = np.where(image > 3e4, int(Quality.SATURATED), 0).astype(np.uint16)
    image = np.minimum(image, 3e4)
    stars = measure_plane(image, quality).stars
    saturated = (stars["quality"] & int(Quality.SATURATED)) != 0
    assert saturated.tolist() == [False] * 3 + [True] * 2
    _i, j = matched(stars, xy, 0.3)
    assert sorted(j.tolist()) == [0, 1, 2]
    assert np.all(np.diff(stars["flux"][~saturated]) <= 0)


def test_bad_pixels_do_not_move_stars():
    image, xy, flux = random_field(seed=15)
    clean = measure_plane(image).stars
    rng = np.random.default_rng(16)
    quality = np.zeros(image.shape, np.uint16)
    bad = rng.uniform(size=image.shape) < 0.01
    quality[bad] = int(Quality.DEAD)
    image[bad] = rng.choice([0.0, 6e4, np.nan], bad.sum())
    stars = measure_plane(image, quality).stars
    assert stars.size == pytest.approx(clean.size, rel=0.08)
    i, j = matched(stars, xy[flux > 2e4], 1.0)
    error = np.hypot(stars["x"][i] - xy[flux > 2e4][j, 0], stars["y"][i] - xy[flux > 2e4][j, 1])
    assert np.median(error) < 0.03
    assert np.isfinite(stars["flux"]).all()


def test_agrees_with_sep():
    # Faint stars agree far within their errors; for bright ones our window is wider (`kernels.windowed`).
    sep = pytest.importorskip("sep")
    image, xy, _ = random_field(seed=17)
    ours = measure_plane(image).stars
    sky = sep.Background(image)
    theirs = sep.extract(image - sky.back(), 5, err=sky.rms())
    x, y, flag = sep.winpos(image - sky.back(), theirs["x"], theirs["y"], np.full(len(theirs), 3 / 2.3548))
    _, i, j = np.intersect1d(
        *[
            cKDTree(xy).query(np.column_stack(p), distance_upper_bound=1)[1]
            for p in ((ours["x"], ours["y"]), (x, y))
        ],
        return_indices=True,
    )
    use = (ours["snr"][i] > 20) & (flag[j] == 0)
    assert use.sum() > 80
    difference = np.hypot(ours["x"][i] - x[j], ours["y"][i] - y[j])[use] / ours["x_err"][i][use]
    assert np.median(difference) < 1.0


def test_limits_and_the_given_width():
    image, _, _ = random_field(seed=18)
    few = measure_plane(image, options=DetectOptions(max_stars=20)).stars
    every = measure_plane(image).stars
    assert few.size == 20
    np.testing.assert_allclose(few["flux"], every["flux"][:20], rtol=0.02)
    high = measure_plane(image, options=DetectOptions(threshold=50))
    assert high.n_stars == pytest.approx((every["snr"] >= 50).sum(), abs=3)
    assert high.n_stars < every.size - 50
    assert measure_plane(image, options=DetectOptions(fwhm=3.0)).fwhm == pytest.approx(3.0, rel=0.03)


def test_wrong_shapes_are_named():
    with pytest.raises(DatasetError, match="variance: has shape"):
        measure_plane(np.zeros((50, 50)), gain_noise=np.zeros((3, 3)))


@pytest.mark.parametrize("stars", [12, 200])
def test_the_share_of_light_in_the_aperture_does_not_go_by_the_seeing(stars):
    rng = np.random.default_rng(4)
    x, y = (20 + 460 * rng.uniform(size=(2, stars))).astype(float)
    rates = 10 ** rng.uniform(4.2, 4.8, stars)
    share = []
    for fwhm in (2.4, 2.55, 2.7, 2.9, 3.4, 4.1):
        plane = np.full((500, 500), 50.0, np.float32)
        draw_stars(plane, x, y, rates, Psf(fwhm=fwhm, options=PsfOptions(beta=3.0)))
        image = rng.poisson(plane).astype(np.float32)
        measured = measure_plane(image)
        found = measured.stars
        assert measured.fwhm == pytest.approx(np.sqrt(fwhm**2 + 0.3), rel=0.03)  # pixels widen it; 0.2 before
        apart, near = cKDTree(np.column_stack([x, y])).query(np.column_stack([found["x"], found["y"]]))
        alone = cKDTree(np.column_stack([x, y])).query(np.column_stack([x, y]), 2)[0][:, 1] > 20
        good = (apart < 1) & alone[near]
        share.append(np.median(found["flux"][good] / rates[near[good]]))
    assert np.std(share) < 0.008 * np.mean(share)  # measured 0.004; by the first look 0.17 for 12 stars
