"""A blind search against truth: a made-up sky of its own, so that no test needs the index of the real one."""

import time

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from sciastro.astrometry import blind
from sciastro.astrometry.blind import solve_blind
from sciastro.astrometry.blindplaces import Where, places, spread_out
from sciastro.astrometry.lens import Lens, rotation_of
from sciastro.astrometry.quads import build_index
from sciastro.core.stars import STAR_DTYPE
from sciastro.core.wcs import center, parity, pixel_scale, tan_wcs
from sciastro.errors import SolveError

SHAPE = (1200, 1600)
DENSITY = 4  # stars per square degree


@pytest.fixture(scope="module")
def sky():
    """RA, Dec, magnitude of stars over the whole sky, poles and RA 0 included."""
    rng = np.random.default_rng(8)
    n = 41253 * DENSITY
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    return ra, dec, 11 + np.log10(rng.random(n)) / 0.5


@pytest.fixture(scope="module")
def index(sky):
    return build_index(*sky, lowest=1.0, highest=13.0)


def vectors(ra, dec):
    a, d = np.radians(ra), np.radians(dec)
    return np.column_stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])


def stars_at(sky):
    ra, dec, mag = sky
    where = vectors(ra, dec)

    def cone(ra0, dec0, radius):
        near = where @ vectors(np.array([ra0]), np.array([dec0]))[0] > np.cos(np.radians(radius))
        table = QTable(
            {"id": np.flatnonzero(near), "ra": ra[near] * u.deg, "dec": dec[near] * u.deg, "mag": mag[near]}
        )
        table.meta["catalog"] = "made up"
        return table

    return cone


def seen(sky, wcs, rng, *, lost=0.1, others=0.5, error=0.3):
    """Return the star list of an image: some stars lost, others that no catalog has."""
    ra, dec, mag = sky
    near = vectors(ra, dec) @ vectors(*(np.array([v]) for v in center(wcs, SHAPE)))[0] > np.cos(
        np.radians(30)
    )
    x, y = wcs.all_world2pix(ra[near], dec[near], 0)
    inside = (x > 0) & (x < SHAPE[1] - 1) & (y > 0) & (y < SHAPE[0] - 1) & (rng.random(x.size) > lost)
    x, y, m = x[inside], y[inside], mag[near][inside]
    more = int(others * x.size)
    return listed(
        np.r_[x, rng.uniform(0, SHAPE[1], more)] + rng.normal(0, error, x.size + more),
        np.r_[y, rng.uniform(0, SHAPE[0], more)] + rng.normal(0, error, x.size + more),
        np.r_[m + rng.normal(0, 0.2, x.size), rng.choice(m, more) + 0.5],
    )


def listed(x, y, mag):
    out = np.zeros(x.size, STAR_DTYPE)
    out["x"], out["y"], out["flux"] = x, y, 10 ** (-0.4 * (mag - 20))
    out["flux_err"], out["peak"] = out["flux"] / 100, out["flux"] / 10
    out["x_err"] = out["y_err"] = 0.3
    out["fwhm"], out["snr"] = 3.0, 100.0
    return out


def off(wcs, true):
    """Return the distance of two centers [deg]."""
    a, b = (vectors(*(np.array([v]) for v in center(one, SHAPE)))[0] for one in (wcs, true))
    return np.degrees(2 * np.arcsin(np.linalg.norm(a - b) / 2))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("ra", "dec", "field"), [(120.0, 33.0, 8.0), (0.02, -5.0, 6.0), (77.0, 89.6, 8.0), (200.0, -88.9, 12.0)]
)
def test_a_field_is_found_whatever_its_place_turn_and_parity(sky, index, ra, dec, field, sign):
    rng = np.random.default_rng(int(ra) + sign + 1)
    true = tan_wcs(ra, dec, 3600 * field / SHAPE[1], SHAPE, angle=rng.uniform(-180, 180), parity=sign)
    stars = seen(sky, true, rng)
    found = solve_blind([lambda: stars], SHAPE, index=index, stars_at=stars_at(sky), epoch=2020.0)
    assert found.method == "blind"
    assert off(found.wcs, true) * 3600 < 0.3 * pixel_scale(true)
    assert parity(found.wcs) == sign
    assert found.scale == pytest.approx(pixel_scale(true), rel=1e-3)


def test_random_stars_are_no_field(index, sky, monkeypatch):
    monkeypatch.setattr(blind, "DEPTHS", (3, 14))  # quads of the brightest: the rest takes minutes
    rng = np.random.default_rng(2)
    for _ in range(10):
        n = rng.integers(30, 200)
        x, y = rng.uniform(0, SHAPE[1], n), rng.uniform(0, SHAPE[0], n)
        stars = listed(x, y, rng.exponential(1.0, n))
        with pytest.raises(SolveError, match="beyond doubt"):
            solve_blind([lambda stars=stars: stars], SHAPE, index=index, stars_at=stars_at(sky), epoch=2020.0)


@pytest.mark.parametrize("n", [0, 1, 3, 4])
def test_too_few_stars_are_no_field(index, sky, n):
    stars = listed(np.linspace(5, 900, n), np.linspace(9, 800, n), np.zeros(n))
    with pytest.raises(SolveError, match=f"{n} image stars"):
        solve_blind([lambda: stars], SHAPE, index=index, stars_at=stars_at(sky), epoch=2020.0)


def test_the_second_list_is_tried_where_the_first_holds_nothing(sky, index):
    rng = np.random.default_rng(4)
    true = tan_wcs(40.0, 20.0, 3600 * 8 / SHAPE[1], SHAPE, angle=12.0)
    stars, nothing = seen(sky, true, rng), listed(*np.zeros((3, 0)))
    lists = [lambda: nothing, lambda: stars]
    found = solve_blind(lists, SHAPE, index=index, stars_at=stars_at(sky), epoch=2020.0)
    assert off(found.wcs, true) < 0.001


def test_the_time_is_kept(sky, index):
    rng = np.random.default_rng(6)
    x, y = rng.uniform(0, SHAPE[1], 120), rng.uniform(0, SHAPE[0], 120)
    stars, asked = listed(x, y, rng.exponential(1.0, 120)), []
    lists = [lambda: stars, lambda: asked.append("the second") or stars]
    with pytest.raises(SolveError, match=r"; the time was over\.") as caught:
        solve_blind(
            lists, SHAPE, index=index, stars_at=stars_at(sky), epoch=2020.0, until=time.monotonic() - 1
        )
    assert asked == [] and str(caught.value).count("the time was over") == 1


def test_bounds_are_kept(sky, index):
    rng = np.random.default_rng(5)
    scale = 3600 * 8 / SHAPE[1]
    true = tan_wcs(250.0, -40.0, scale, SHAPE, angle=100.0)
    stars = seen(sky, true, rng)
    points = np.column_stack([stars["x"], stars["y"]]).astype(float)[np.argsort(-stars["flux"])]
    right = Where(scale_low=0.9 * scale, scale_high=1.1 * scale, ra=251.0, dec=-41.0, radius=3.0, parity=1)
    assert next(places(points, SHAPE, index, right), None) is not None
    for wrong in (
        Where(scale_low=2 * scale, scale_high=3 * scale),
        Where(ra=251.0, dec=41.0, radius=3.0),
        Where(parity=-1),
    ):
        assert next(places(points, SHAPE, index, wrong, last=14), None) is None


@pytest.mark.parametrize("barrel", [-0.1, 0.0, 0.1])
def test_a_wide_distorted_lens_is_placed(sky, index, barrel):
    """50 degrees wide, the corner moved by a tenth of its distance from the axis."""
    rng = np.random.default_rng(21)
    ra, dec, mag = sky
    bright = mag < np.sort(mag)[9000]
    focal = SHAPE[1] / 2 / np.tan(np.radians(25))
    corner = np.hypot(*SHAPE) / 2 / focal
    lens = Lens(focal, (SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2, (barrel / corner**2, 0.0, 0.0))
    turn = rotation_of(rng.normal(0, 2, (1, 3)))[0]
    there = vectors(ra[bright], dec[bright]) @ turn.T
    pixel = lens.project(there)
    with np.errstate(invalid="ignore"):
        inside = (there[:, 2] > 0.7) & np.all((pixel > 0) & (pixel < [SHAPE[1], SHAPE[0]]), axis=1)
    stars = listed(*(pixel[inside] + rng.normal(0, 0.3, (inside.sum(), 2))).T, mag[bright][inside])
    points = np.column_stack([stars["x"], stars["y"]]).astype(float)[np.argsort(-stars["flux"])]
    place = next(places(points, SHAPE, index, Where()))
    axis = vectors(*(np.array([v]) for v in center(place.wcs, SHAPE)))[0]
    assert np.degrees(np.arccos(axis @ turn.T[:, 2])) < 1.0


@pytest.mark.parametrize("bend", [-0.1, 0.0, 0.1])
def test_a_phone_is_solved_with_its_lens(sky, index, bend):
    """90 degrees wide, up to a tenth of distortion at the corner; no place is known, nor the lens."""
    rng = np.random.default_rng(31)
    ra, dec, mag = sky
    bright = np.argsort(mag)[:1500]
    focal = SHAPE[1] / 2
    corner = np.hypot(*SHAPE) / 2 / focal
    lens = Lens(focal, (SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2, (bend / corner**2, 0.0, 0.0))
    turn = rotation_of(rng.normal(0, 2, (1, 3)))[0]
    there = vectors(ra[bright], dec[bright]) @ turn.T
    pixel = lens.project(there)
    with np.errstate(invalid="ignore"):
        inside = (there[:, 2] > 0.5) & np.all((pixel > 0) & (pixel < [SHAPE[1], SHAPE[0]]), axis=1)
    seen = pixel[inside] + rng.normal(0, 0.3, (inside.sum(), 2))
    stars = listed(
        np.r_[seen[:, 0], rng.uniform(0, SHAPE[1], 40)], np.r_[seen[:, 1], rng.uniform(0, SHAPE[0], 40)],
        np.r_[mag[bright][inside], np.full(40, np.median(mag[bright]))],
    )  # fmt: skip
    found = solve_blind([lambda: stars], SHAPE, index=index, stars_at=stars_at(sky), epoch=2020.0)
    axis = vectors(*(np.array([v]) for v in center(found.wcs, SHAPE)))[0]
    assert np.degrees(np.arccos(min(axis @ turn[2], 1.0))) * 3600 < 2 * 3600 * np.degrees(1 / focal)
    assert found.rms_px < 2.0 and found.n_stars > 40


def test_stars_come_from_every_part_of_the_frame():
    rng = np.random.default_rng(1)
    crowd = rng.uniform(0, 100, (50, 2))  # the brightest all in one corner
    rest = rng.uniform(0, 1, (200, 2)) * [SHAPE[1], SHAPE[0]]
    chosen = spread_out(np.vstack([crowd, rest]), SHAPE, 16)
    assert (chosen < 50).sum() == 1
    assert chosen[0] == 0 or chosen.min() == 0
    assert len(set(chosen.tolist())) == 16


def test_codes_do_not_change_with_place_scale_and_turn():
    from sciastro.kernels.quads import quad_code

    rng = np.random.default_rng(3)
    for _ in range(200):
        x, y = rng.normal(0, 1, (2, 4))
        code, other, corner = np.empty(4), np.empty(4), np.empty(4, np.int64)
        size = quad_code(x, y, code, corner, False)
        assert code[0] + code[2] <= 1 + 1e-12
        assert code[0] <= code[2]
        assert size == pytest.approx(
            max(np.hypot(x[i] - x[j], y[i] - y[j]) for i in range(4) for j in range(4))
        )
        z = (x + 1j * y) * 3.7 * np.exp(1.1j) + 5 - 2j
        order = rng.permutation(4)
        twin = np.empty(4, np.int64)
        quad_code(z.real[order].copy(), z.imag[order].copy(), other, twin, False)
        np.testing.assert_allclose(other, code, atol=1e-9)
        assert (order[twin] == corner).all()
