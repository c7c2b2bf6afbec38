"""Registration against the true map, with distortion, flips, few stars and wrong stars."""

import numpy as np
import pytest
import xarray as xr
from star_lists import as_stars, two_lists

from sciastro.astrometry.frames import RegisterFramesOptions, best_reference, register_frames
from sciastro.astrometry.models import fit_model
from sciastro.astrometry.register import RegisterOptions, register
from sciastro.astrometry.robust import _cross_validated, coverage, select_model
from sciastro.core import transform
from sciastro.core.history import history
from sciastro.core.vocabulary import FROM_REFERENCE, require
from sciastro.errors import DatasetError, MatchError

SHAPE = (2822, 4144)


def grid_error(found, true_map):
    """Return the distance of the map from the truth over a grid on both frames [pixel]."""
    x, y = (
        v.ravel() for v in np.meshgrid(np.linspace(0, SHAPE[1] - 1, 25), np.linspace(0, SHAPE[0] - 1, 25))
    )
    truth = true_map(np.column_stack([x, y]))
    on = np.all((truth > 0) & (truth < [SHAPE[1] - 1, SHAPE[0] - 1]), axis=1)
    got = np.column_stack(transform.evaluate(found.from_reference, x, y))
    return np.hypot(*(got - truth)[on].T)


@pytest.mark.parametrize("rotation", [0.0, np.pi, 0.7])
def test_200_stars_give_a_twentieth_of_a_pixel(rotation):
    # 250 stars of S/N about 20 (0.06 px each), distortion 2.5 px at the corners, dither 30 px.
    a, b, _, _, truth = two_lists(1, n=280, rotation=rotation, noise=0.06)
    found = register(as_stars(a, 0.06), as_stars(b, 0.06), SHAPE)
    error = grid_error(found, truth)
    assert np.median(error) < 0.05
    assert np.percentile(error, 95) < 0.15
    assert found.rms == pytest.approx(0.06 * 2, rel=0.2)
    assert found.flipped == (abs(found.rotation) > 90)
    assert found.scale == pytest.approx(1.0, abs=2e-4)


def test_the_claimed_error_is_the_error_made():
    claimed, made = [], []
    for seed in range(8):
        a, b, _, _, truth = two_lists(seed, n=500, rotation=0.02 * seed, noise=0.1)
        found = register(as_stars(a, 0.1), as_stars(b, 0.1), SHAPE)
        claimed.append(found.error)
        made.append(np.median(grid_error(found, truth)))
    assert 0.4 < np.mean(made) / np.mean(claimed) < 1.6


def test_undistorted_frames_keep_a_simple_map():
    a, b, *_ = two_lists(2, n=300, distortion=0.0, rotation=0.1)
    found = register(as_stars(a, 0.1), as_stars(b, 0.1), SHAPE)
    assert found.degree == 1


def pairs_of(kind, noise=0.05, n=400, seed=4):
    """Return pairs of stars under a known map, 5 % of them wrong, and the map."""
    rng = np.random.default_rng(seed)
    a = rng.uniform((0, 0), (SHAPE[1] - 1, SHAPE[0] - 1), (n, 2))
    middle = np.array([SHAPE[1], SHAPE[0]]) / 2
    turn = np.array([[0.9995, -0.0316], [0.0316, 0.9995]])

    def true_map(p):
        if kind == "shift":
            return p + np.array([12.3, -7.7])
        q = (p - middle) @ turn.T + middle + (12.3, -7.7)
        if kind == "homography":
            return q / (1 + (p - middle) @ [6e-6, -9e-6])[:, None]
        if kind == "spline":  # a bump that no cubic follows
            r2 = np.sum((p - middle) ** 2, axis=1) / 700**2
            return q + 3 * np.exp(-r2)[:, None] * [1, -0.5]
        return q

    b = true_map(a) + rng.normal(0, noise, a.shape)
    b[::20] += rng.uniform(-4, 4, b[::20].shape)
    return a, b, np.full(n, noise), true_map


def model_error(coefficients, true_map):
    x, y = (
        v.ravel() for v in np.meshgrid(np.linspace(0, SHAPE[1] - 1, 25), np.linspace(0, SHAPE[0] - 1, 25))
    )
    got = np.column_stack(transform.evaluate(coefficients, x, y))
    return np.hypot(*(got - true_map(np.column_stack([x, y]))).T)


@pytest.mark.parametrize("kind", ["shift", "homography"])
def test_a_model_asked_for_is_the_model_found(kind):
    a, b, sigma, true_map = pairs_of(kind)
    fit = fit_model(kind, a, b, sigma, SHAPE, max_degree=3)
    assert fit.model == kind
    assert not fit.keep[::20].all()
    # The approximation of the homography is below 0.005 px; 400 stars of 0.05 px fix it to about 0.01.
    assert model_error(fit.coefficients, true_map).max() < 0.04
    assert fit.rms == pytest.approx(0.05 * np.sqrt(2), rel=0.1)


def test_auto_prefers_the_homography_where_there_is_one():
    a, b, sigma, true_map = pairs_of("homography")
    fit = fit_model("auto", a, b, sigma, SHAPE, max_degree=3)
    assert fit.model == "homography"
    assert model_error(fit.coefficients, true_map).max() < 0.1
    plain = fit_model("auto", *pairs_of("affine")[:3], SHAPE, max_degree=3)
    assert plain.degree == 1


def test_a_spline_follows_what_no_cubic_does():
    a, b, sigma, true_map = pairs_of("spline")
    spline = fit_model("spline", a, b, sigma, SHAPE, max_degree=3)
    cubic = fit_model("polynomial", a, b, sigma, SHAPE, max_degree=3)
    assert cubic.model == "degree 3"
    fine, coarse = (np.percentile(model_error(fit.coefficients, true_map), 95) for fit in (spline, cubic))
    assert fine < 0.12  # stars of 0.05 px, 170 px apart
    assert coarse > 2 * fine
    assert "spline (as degree 11, within 0." in spline.model


def test_the_option_reaches_the_map():
    a, b, _, _, truth = two_lists(1, n=280, rotation=0.01, noise=0.06)
    found = register(as_stars(a, 0.06), as_stars(b, 0.06), SHAPE, RegisterOptions(model="homography"))
    assert found.model == "homography"
    assert (
        np.median(grid_error(found, truth)) < 0.5
    )  # 2.5 px of distortion that it cannot follow, turned a little


def test_wrong_pairs_are_clipped():
    a, b, name_a, name_b, truth = two_lists(3, n=300, rotation=np.pi, noise=0.06)
    rng = np.random.default_rng(4)
    moved = rng.choice(len(b), 40, replace=False)
    b[moved] += rng.normal(0, 1.2, (40, 2))  # blends
    found = register(as_stars(a, 0.06), as_stars(b, 0.06), SHAPE)
    assert np.median(grid_error(found, truth)) < 0.05
    table = found.residuals
    assert np.isin(table["index_frame"][table["used"]], moved).sum() < 12  # of 40: those that moved little
    assert (name_a[table["index_reference"]] == name_b[table["index_frame"]]).mean() > 0.97
    assert np.hypot(table["dx"], table["dy"])[table["used"]].max() < 0.6


def test_few_stars_are_not_bent():
    # 12 stars cannot prove a cubic; the corners must stay within the distortion itself.
    for seed in range(5):
        a, b, _, _, truth = two_lists(seed, n=14, kept=1.0, rotation=0.3, brightness=0.1)
        found = register(as_stars(a, 0.1), as_stars(b, 0.1), SHAPE)
        assert found.degree == 1
        assert grid_error(found, truth).max() < 4


def test_stars_in_one_corner_do_not_bend_the_rest():
    a, b, _, _, truth = two_lists(6, n=3000, rotation=0.0, kept=1.0)
    near_a, near_b = (np.all(points < [1300, 900], axis=1) for points in (a, b))
    found = register(as_stars(a[near_a], 0.1), as_stars(b[near_b], 0.1), SHAPE)
    assert found.degree == 1
    assert grid_error(found, truth).max() < 6


def test_ten_percent_scale_and_refusal():
    a, b, *_ = two_lists(7, n=600, scale=1.1, distortion=1.0)
    found = register(as_stars(a, 0.1), as_stars(b, 0.1), SHAPE)
    assert found.scale == pytest.approx(1.1, abs=1e-3)
    with pytest.raises(MatchError, match="do not match"):
        register(as_stars(a, 0.1), as_stars(b, 0.1), SHAPE, RegisterOptions(max_scale=1.03))


def test_coverage_by_hand():
    assert coverage(np.array([[0.0, 0], [10, 0], [10, 5], [0, 5]]), (10, 10)) == pytest.approx(0.5)
    assert coverage(np.array([[0.0, 0], [1, 1], [2, 2]]), (10, 10)) == 0.0
    assert coverage(np.zeros((2, 2)), (10, 10)) == 0.0


def test_coverage_that_is_enough_is_told_by_the_octagon_and_else_by_the_hull():
    rng = np.random.default_rng(5)
    for n in (3, 4, 8, 30, 300):
        points = rng.uniform(0, 100, (n, 2))
        whole = coverage(points, (100, 100))
        for enough in (0.0, 0.3, 0.65, 0.99):
            told = coverage(points, (100, 100), enough=enough)
            assert told == whole if told < enough else enough <= told <= whole + 1e-12


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_the_degree_is_the_one_that_is_there(degree):
    rng = np.random.default_rng(degree)
    points = rng.uniform(0, 1000, (400, 2))
    c = transform.identity(degree)
    c[:, 3:] = rng.choice([-1, 1], c[:, 3:].shape) * 1.5
    target = np.column_stack(transform.evaluate(c, *points.T)) + rng.normal(0, 0.1, (400, 2))
    fit = select_model(points, target, np.full(400, 0.1), (1000, 1000), max_degree=4, min_degree=1)
    assert fit.degree == degree
    assert fit.scatter < 0.05


def test_extra_scatter_is_found():
    rng = np.random.default_rng(9)
    points = rng.uniform(0, 1000, (600, 2))
    target = points + rng.normal(0, 0.5, points.shape)
    fit = select_model(points, target, np.full(600, 0.1), (1000, 1000), max_degree=3)
    assert fit.scatter == pytest.approx(np.sqrt(0.25 - 0.01), rel=0.1)


@pytest.fixture
def night():
    lists = []
    a, *_ = two_lists(10, n=250, kept=0.9, rotation=0.0, shift=0)
    for rotation in (0.01, np.pi):
        lists.append(as_stars(two_lists(10, n=250, kept=0.9, rotation=rotation)[1], 0.1))
    lists.insert(0, as_stars(a, 0.1))
    lists.append(as_stars(np.random.default_rng(1).uniform(0, 2000, (60, 2)), 0.1))  # another field
    pixels = xr.DataArray(np.zeros((4, 2, 2), np.float32), dims=("frame", "y", "x"))
    return xr.Dataset({"signal": pixels.assign_attrs(units="electron")}), lists


def test_frames_are_registered_or_say_why(night):
    ds, lists = night
    before = ds.copy(deep=True)
    out = register_frames(ds, lists, options=RegisterFramesOptions(reference=0))
    xr.testing.assert_identical(ds, before)
    require(out, FROM_REFERENCE)
    x, y = transform.evaluate(out["from_reference"].values[0], [12.0], [700.0])
    assert (x[0], y[0]) == pytest.approx((12.0, 700.0))
    assert np.isfinite(out["from_reference"].values[:3]).all()
    assert np.isnan(out["from_reference"].values[3]).all()
    assert "do not match" in out["registration_reason"].values[3]
    assert (out["registration_reason"].values[:3] == "").all()
    assert np.isnan(out["registration_rms"].values[3])
    assert history(out)[-1]["step"] == "astrometry.register"
    assert history(out)[-1]["reference"] == 0


def test_the_deepest_sharpest_frame_is_the_reference(night):
    ds, lists = night
    lists[1]["fwhm"] = 2.0
    assert best_reference(lists) == 1
    with pytest.raises(DatasetError, match="3 star lists"):
        register_frames(ds, lists[:3])
    with pytest.raises(DatasetError, match="has no frame 9"):
        register_frames(ds, lists, options=RegisterFramesOptions(reference=9))


@pytest.mark.parametrize("degree", [1, 2])
def test_left_out_residuals_equal_refitting(degree):
    rng = np.random.default_rng(11)
    points = rng.uniform(0, 1000, (20, 2))
    target, error = points + rng.normal(0, 1, points.shape), rng.uniform(0.5, 2, 20)
    total = 0.0
    for k in range(20):
        seen = np.arange(20) != k
        c = transform.fit(*points[seen].T, *target[seen].T, degree, 1 / error[seen])
        x, y = transform.evaluate(c, *points[k])
        total += ((target[k, 0] - x) ** 2 + (target[k, 1] - y) ** 2) / error[k] ** 2
    want = np.sqrt(total / np.sum(1 / error**2))
    assert _cross_validated(points, target, error, degree, 1) == pytest.approx(want, rel=1e-8)


# ----------------------------------------------------------------------------- fewer stars than a model needs
@pytest.mark.parametrize("model", ["homography", "spline", "polynomial"])
def test_a_model_with_too_few_stars_says_what_it_needs(model):
    # 9 stars in common: 12 make a homography or a spline, 30 a polynomial of degree 3.
    a, b, *_ = two_lists(4, n=9, rotation=0.0, noise=0.03, kept=1.0, distortion=0.0)
    found = register(as_stars(a, 0.03), as_stars(b, 0.03), SHAPE, RegisterOptions(model=model))
    need = 30 if model == "polynomial" else 12
    assert f"{model}" in found.shortfall
    assert f"needs {need} stars" in found.shortfall
    assert f"{found.model} is taken instead" in found.shortfall
    assert " 9 " in found.shortfall


@pytest.mark.parametrize("model", ["auto", "similarity", "affine", "homography", "polynomial"])
def test_enough_stars_leave_nothing_to_say(model):
    a, b, *_ = two_lists(4, n=300, rotation=0.0, noise=0.03)
    found = register(as_stars(a, 0.03), as_stars(b, 0.03), SHAPE, RegisterOptions(model=model))
    assert found.shortfall == ""


def test_the_step_keeps_the_shortfall_in_its_history(caplog):
    a, b, *_ = two_lists(4, n=9, rotation=0.0, noise=0.03, kept=1.0, distortion=0.0)
    frames = xr.Dataset(
        {"signal": (("frame", "y", "x"), np.zeros((2, *SHAPE), np.float32), {"units": "electron"})}
    )
    options = RegisterFramesOptions(model="homography", reference=0)
    out = register_frames(frames, [as_stars(a, 0.03), as_stars(b, 0.03)], options=options)
    assert "frame 1: homography needs 12 stars" in str(history(out)[-1])
    assert "homography needs 12 stars" in caplog.text
