"""Solving against true skies: right within a tenth of a pixel, or refused; never a guess."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table
from star_lists import as_stars, catalog_of, distort, observe, random_sky

from sciastro.astrometry.plane import offset
from sciastro.astrometry.search import spiral
from sciastro.astrometry.sky import Hint, catalog_stars, isolated
from sciastro.astrometry.solve import SolveOptions, solve_field
from sciastro.core.wcs import tan_wcs
from sciastro.errors import CatalogError, SolveError

SHAPE, SCALE = (1400, 2000), 2.0


def true_error(solution, truth, distortion):
    """Return the error of the solution over a grid [pixel]."""
    x, y = (
        v.ravel() for v in np.meshgrid(np.linspace(0, SHAPE[1] - 1, 20), np.linspace(0, SHAPE[0] - 1, 20))
    )
    flat = np.column_stack(truth.wcs_world2pix(*solution.wcs.all_pix2world(x, y, 0), 0))
    return np.hypot(*(distort(flat, SHAPE, distortion) - np.column_stack([x, y])).T)


@pytest.mark.parametrize("center", [(0.1, 20.0), (83.0, -5.0), (200.0, 89.7)])
@pytest.mark.parametrize("seed", [0, 1])
def test_pattern_with_a_rough_pointing(center, seed):
    sky = random_sky(1, *center, 6000, 3.0)
    rng = np.random.default_rng(seed)
    parity = 1 if seed else -1
    middle = offset(*center, *rng.uniform(-0.5, 0.5, 2))
    truth = tan_wcs(*middle, SCALE * rng.uniform(0.9, 1.1), SHAPE, angle=rng.uniform(0, 360), parity=parity)
    hint = Hint(ra=center[0], dec=center[1], scale=SCALE, radius=1.0)
    found = solve_field(
        observe(truth, SHAPE, *sky, seed), SHAPE, stars_at=catalog_of(*sky), hint=hint, epoch=2020.5
    )
    error = true_error(found, truth, 2.5)
    assert np.median(error) < 0.1 and np.percentile(error, 95) < 0.3
    assert found.parity == parity and found.method == "pattern" and found.order == 3
    assert found.log_false_alarm < -20
    assert (found.catalog, found.epoch) == ("test", 2020.5)
    assert found.rms_px == pytest.approx(0.08 * np.sqrt(2), rel=0.2)
    assert found.rms_arcsec == pytest.approx(found.rms_px * found.scale, rel=0.05)
    assert found.round_trip_px < 0.01


@pytest.fixture(scope="module")
def field():
    sky = random_sky(2, 150.0, 30.0, 5000, 2.5)
    truth = tan_wcs(150.1, 30.05, SCALE, SHAPE, angle=100.0)
    return sky, truth, observe(truth, SHAPE, *sky, 3)


def test_a_header_wcs_is_moved_and_refined(field):
    sky, truth, stars = field
    header = tan_wcs(150.115, 30.04, SCALE * 1.002, SHAPE, angle=100.2)  # 30 pixel and 0.2 degree off
    found = solve_field(stars, SHAPE, stars_at=catalog_of(*sky), hint=Hint(wcs=header), epoch=2020.0)
    assert found.method == "header"
    assert np.median(true_error(found, truth, 2.5)) < 0.1


def test_a_header_that_lies_is_overruled_by_patterns(field):
    sky, truth, stars = field
    header = tan_wcs(150.4, 30.2, SCALE, SHAPE, angle=-20.0)
    found = solve_field(stars, SHAPE, stars_at=catalog_of(*sky), hint=Hint(wcs=header), epoch=2020.0)
    assert found.method == "pattern"
    assert np.median(true_error(found, truth, 2.5)) < 0.1


def test_angle_and_parity_help_where_stars_are_few(field):
    sky, truth, _ = field
    few = tuple(column[np.argsort(sky[2])[:500]] for column in sky)
    stars = observe(truth, SHAPE, *few, 3, kept=1.0, fake=0.3)
    hint = Hint(ra=150.1, dec=30.05, scale=SCALE, angle=100.0, parity=1)
    found = solve_field(stars, SHAPE, stars_at=catalog_of(*few), hint=hint, epoch=2020.0)
    assert np.median(true_error(found, truth, 2.5)) < 1.0
    assert found.order <= 2


def test_matched_table(field):
    sky, _, stars = field
    hint = Hint(ra=150.1, dec=30.05, scale=SCALE)
    table = solve_field(stars, SHAPE, stars_at=catalog_of(*sky), hint=hint, epoch=2020.0).matched
    assert table["d_ra"].unit == u.arcsec and table["x"].unit == u.pix
    np.testing.assert_array_equal(stars["x"][table["index"]], table["x"].value)
    number = np.array([int(name[1:]) for name in table["id"]])
    np.testing.assert_allclose(sky[0][number], table["ra"].to_value(u.deg))
    used = table[table["used"]]
    assert np.hypot(used["d_ra"], used["d_dec"]).max() < 1.0 * u.arcsec
    assert np.hypot(used["dx"], used["dy"]).max() < 0.5 * u.pix


@pytest.mark.parametrize("seed", range(6))
def test_random_stars_are_never_solved(field, seed):
    sky, *_ = field
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 1, (250, 2)) * [SHAPE[1], SHAPE[0]]
    stars = as_stars(points, 0.1, 1 + rng.pareto(1.0, 250))
    hint = Hint(wcs=tan_wcs(150.0, 30.0, SCALE, SHAPE), radius=0.3)
    with pytest.raises(SolveError, match=r"^the field is not solved: 250 image stars, the given WCS moved"):
        solve_field(stars, SHAPE, stars_at=catalog_of(*sky), hint=hint, epoch=2020.0)


def test_wrong_scale_and_wrong_parity_are_refused(field):
    sky, _, stars = field
    for hint in (
        Hint(ra=150.1, dec=30.05, scale=1.3, radius=0.1),
        Hint(ra=150.1, dec=30.05, scale=SCALE, radius=0.1, parity=-1),
    ):
        with pytest.raises(SolveError, match=r"is not solved: .* image stars, star patterns compared at"):
            solve_field(stars, SHAPE, stars_at=catalog_of(*sky), hint=hint, epoch=2020.0)


def test_too_little_to_work_with(field):
    sky, _, stars = field
    with pytest.raises(SolveError, match="holds 3 stars"):
        solve_field(
            stars[:3], SHAPE, stars_at=catalog_of(*sky), hint=Hint(ra=1.0, dec=1.0, scale=1.0), epoch=2020.0
        )
    with pytest.raises(SolveError, match="no center and scale"):
        solve_field(stars, SHAPE, stars_at=catalog_of(*sky), hint=Hint(), epoch=2020.0)


def test_a_cluster_whose_catalog_lacks_the_bright_stars():
    # As M13 in An et al. 2008: 11 arcmin, thousands of catalog stars, none brighter than the giants.
    rng = np.random.default_rng(5)
    shape = (1000, 1000)
    truth = tan_wcs(250.42, 36.46, 0.667, shape, angle=180.0, parity=-1)
    points = 500 + 130 * rng.standard_t(2, (6000, 2))
    points = points[np.all((points > 0) & (points < 999), axis=1)]
    mag = 20 + np.log10(rng.uniform(size=len(points))) / 0.3
    ra, dec = truth.wcs_pix2world(*points.T, 0)
    bright = np.argsort(mag)[:1200]
    stars = as_stars(points[bright] + rng.normal(0, 0.1, (1200, 2)), 0.1, 10 ** (-0.4 * (mag[bright] - 25)))
    listed = mag > np.sort(mag)[80]
    hint = Hint(wcs=tan_wcs(250.4203, 36.4598, 0.667, shape, angle=180.1, parity=-1))
    found = solve_field(
        stars, shape, stars_at=catalog_of(ra[listed], dec[listed], mag[listed]), hint=hint, epoch=2019.3
    )
    assert found.rms_arcsec < 0.3
    x, y = found.wcs.all_world2pix(ra[:50], dec[:50], 0)
    assert np.median(np.hypot(x - points[:50, 0], y - points[:50, 1])) < 0.1


def test_tables_of_users_are_understood():
    plain = Table({"ra": [10.0, 370.5, np.nan], "dec": [1.0, 2.0, 3.0], "mag": [12.0, 9.0, 8.0]})
    stars = catalog_stars(QTable(plain))
    assert stars.ra.tolist() == [10.5, 10.0] and stars.mag.tolist() == [9.0, 12.0]
    hours = QTable({"ra": [1.0] * u.hourangle, "dec": [60.0] * u.arcmin})
    stars = catalog_stars(hours)
    assert (
        stars.ra[0] == pytest.approx(15.0) and stars.dec[0] == pytest.approx(1.0) and np.isnan(stars.mag[0])
    )
    masked = Table(
        {"ra": [1.0, 2.0], "dec": [0.0, 0.0], "mag": np.ma.array([5.0, 6.0], mask=[True, False])}, masked=True
    )
    assert catalog_stars(masked).ra.tolist() == [2.0, 1.0]  # unknown magnitudes last
    with pytest.raises(CatalogError, match=r"has no column 'dec' \(columns: ra, de\)"):
        catalog_stars(QTable({"ra": [1.0], "de": [1.0]}))


def test_isolation_by_hand():
    points = np.array([[0.0, 0.0], [3.0, 0.0], [50.0, 0.0], [53.0, 0.0]])
    mag = np.array([10.0, 10.5, 10.0, 14.0])
    assert isolated(points, mag, 5.0, 1.5).tolist() == [False, False, True, False]


def test_the_spiral_covers_the_disk():
    centers = np.array(list(spiral(1.0, 0.3)))
    assert centers[0].tolist() == [0.0, 0.0]
    rng = np.random.default_rng(1)
    r, t = 0.95 * np.sqrt(rng.uniform(size=500)), rng.uniform(0, 2 * np.pi, 500)
    nearest = np.min(
        np.hypot(
            r[:, None] * np.cos(t)[:, None] - centers[:, 0], r[:, None] * np.sin(t)[:, None] - centers[:, 1]
        ),
        axis=1,
    )
    assert nearest.max() < 0.3


def test_tan_only_when_asked(field):
    sky, _, stars = field
    hint = Hint(ra=150.1, dec=30.05, scale=SCALE)
    found = solve_field(
        stars, SHAPE, stars_at=catalog_of(*sky), hint=hint, epoch=2020.0, options=SolveOptions(max_order=1)
    )
    assert found.wcs.sip is None and found.order == 1 and found.round_trip_px == 0.0
