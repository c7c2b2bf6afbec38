"""A camera that stands still under the sky: lens, turns and places come out of star lists alone."""

import numpy as np
import pytest
import xarray as xr
from tripods import PHONE, SHAPE, Tripod

from sciastro.astrometry.drifting import register_drifting
from sciastro.astrometry.frames import RegisterFramesOptions, register_frames
from sciastro.astrometry.lens import (
    FISHEYE,
    RECTILINEAR,
    Lens,
    frame_map,
    plane_to_sky,
    rotation_of,
    sky_to_plane,
)
from sciastro.astrometry.register import RegisterOptions
from sciastro.astrometry.sky import CatalogStars
from sciastro.astrometry.solution import ImageStars
from sciastro.astrometry.tracks import fixed_sources
from sciastro.astrometry.wide import find_place, picture_wcs
from sciastro.astrometry.widesolve import solve_wide
from sciastro.core import transform
from sciastro.core.stars import STAR_DTYPE
from sciastro.core.vocabulary import SIGNAL, labeled
from sciastro.errors import MatchError
from sciastro.integrate.canvas import CanvasOptions, choose_canvas


@pytest.fixture(scope="module")
def tripod():
    return Tripod()


@pytest.fixture(scope="module")
def model(tripod):
    return register_drifting(tripod.lists, SHAPE, 4, RegisterOptions())


def grid():
    return (v.ravel() for v in np.meshgrid(np.linspace(0, SHAPE[1] - 1, 12), np.linspace(0, SHAPE[0] - 1, 9)))


@pytest.mark.parametrize("lens", [PHONE, Lens(500.0, 590.0, 460.0, (0.02, -0.01, 0.0), kind=FISHEYE)])
def test_a_lens_undoes_what_it_does(lens):
    x, y = grid()
    rays = lens.unproject(x, y)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(lens.project(rays), np.column_stack([x, y]), atol=1e-7)


@pytest.mark.parametrize("flat", ["TAN", "STG"])
def test_a_picture_undoes_what_it_does(flat):
    x, y = grid()
    back = sky_to_plane(plane_to_sky(x, y, PHONE, flat), PHONE, flat)
    np.testing.assert_allclose(back, np.column_stack([x, y]), atol=1e-9)


def test_the_polynomial_follows_the_lens_and_its_box_holds_the_frame():
    turn = rotation_of([[0.03, -0.05, 0.02]])[0]
    c, box, left = frame_map(PHONE, turn, SHAPE)
    assert left < 0.005
    x, y = grid()
    at = sky_to_plane(PHONE.unproject(x, y) @ turn, PHONE)
    assert box[0] <= at[:, 0].min()
    assert at[:, 0].max() <= box[1]
    np.testing.assert_allclose(
        np.column_stack(transform.evaluate(c, *at.T)), np.column_stack([x, y]), atol=0.005
    )
    # The corners of the box lie off the frame: the polynomial must not come back onto it there.
    u, v = (g.ravel() for g in np.meshgrid(np.linspace(*box[:2], 60), np.linspace(*box[2:], 60)))
    fx, fy = transform.evaluate(c, u, v)
    true = PHONE.project(plane_to_sky(u, v, PHONE) @ turn.T)
    inside = (fx > 0) & (fx < SHAPE[1] - 1) & (fy > 0) & (fy < SHAPE[0] - 1)
    assert np.hypot(fx - true[:, 0], fy - true[:, 1])[inside].max() < 0.01


def test_what_does_not_move_is_told_from_the_stars(tripod):
    masks = fixed_sources(tripod.lists)
    for mask, names in zip(masks, tripod.names, strict=True):
        assert mask[names < 0].mean() > 0.95
        assert mask[names >= 0].mean() < 0.02


def test_every_frame_is_placed_and_the_lens_is_found(tripod, model):
    assert model.placed == len(tripod.lists)
    assert model.lens.kind == RECTILINEAR
    assert model.lens.focal == pytest.approx(PHONE.focal, rel=0.003)
    assert model.lens.radial[0] == pytest.approx(PHONE.radial[0], abs=0.01)
    for one in model.frames:
        assert one.rms < 0.12 * np.sqrt(2) * 1.15
        assert one.n > 300


def test_maps_are_true_all_over_the_frames(tripod, model):
    """From any frame to any other: 0.05 pixel in the median, also at the edges, where few stars are."""
    x, y = grid()
    for i, j in ((0, 8), (8, 0), (2, 4), (0, 1)):
        want = tripod.way(i, j, x, y)
        on = (want[:, 0] > 0) & (want[:, 0] < SHAPE[1]) & (want[:, 1] > 0) & (want[:, 1] < 0.9 * SHAPE[0])
        on &= y < 0.9 * SHAPE[0]
        u, v = transform.invert(model.frames[i].from_reference, x[on], y[on], near=_middle(model.frames[i]))
        got = np.column_stack(transform.evaluate(model.frames[j].from_reference, u, v))
        error = np.hypot(*(got - want[on]).T)
        assert np.median(error) < 0.05
        assert error.max() < 0.3


def _middle(one):
    return one.domain[:2].mean(), one.domain[2:].mean()


def test_stars_of_the_model_are_those_of_the_sky(tripod, model):
    for one, names in zip(model.frames, tripod.names, strict=True):
        assert (names[one.entry] >= 0).all()  # nothing that stands still
    numbers = np.full(len(model.directions), -1)
    wrong = total = 0
    for one, names in zip(model.frames, tripod.names, strict=True):
        new = numbers[one.star] < 0
        numbers[one.star[new]] = names[one.entry[new]]
        wrong += (numbers[one.star] != names[one.entry]).sum()
        total += one.star.size
    assert wrong < 0.01 * total


def test_a_clouded_frame_says_so_and_its_neighbors_stay():
    lists = list(Tripod(frames=7, n=5000, seed=2).lists)
    rng = np.random.default_rng(9)
    clouded = np.zeros(60, STAR_DTYPE)
    clouded["x"], clouded["y"] = rng.uniform(0, 900, (2, 60))
    clouded["x_err"] = clouded["y_err"] = 0.2
    lists[2] = clouded
    model = register_drifting(lists, SHAPE, 3, RegisterOptions())
    assert "where the camera model expects stars" in model.frames[2].reason
    assert np.isnan(model.frames[2].from_reference).all()
    assert model.placed == len(lists) - 1


def test_stars_that_cannot_be_followed_say_so():
    rng = np.random.default_rng(0)
    lists = []
    for _ in range(4):
        stars = np.zeros(25, STAR_DTYPE)
        stars["x"], stars["y"] = rng.uniform(0, 900, (2, 25))
        lists.append(stars)
    with pytest.raises(MatchError, match="stars that can be followed over 3 frames"):
        register_drifting(lists, SHAPE, 1, RegisterOptions())


@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_a_wide_picture_finds_its_place_without_a_hint(tripod, model, mirror):
    order = np.argsort(-tripod.light)[:500]
    flip = np.array([1.0, mirror, 1.0])
    place = find_place(model.directions * flip, model.light, tripod.sky[order])
    assert place is not None
    assert place.log_false_alarm < -9
    want = flip[:, None] * tripod.rotations[4]
    assert np.rad2deg(np.abs(place.rotation - want).max()) < 0.3  # a shift of the axis stands for a turn
    assert np.sign(np.linalg.det(place.rotation)) == mirror


def test_no_place_is_made_up(model):
    rng = np.random.default_rng(5)
    v = rng.normal(size=(500, 3))
    assert find_place(model.directions, model.light, v / np.linalg.norm(v, axis=1, keepdims=True)) is None


def test_world_coordinates_of_the_picture_are_true(tripod, model):
    first = picture_wcs(tripod.rotations[4], model.picture, SHAPE)
    xy = sky_to_plane(model.directions, model.picture)
    good = np.flatnonzero(np.isfinite(xy).all(axis=1) & (model.light > 0))
    good = good[np.argsort(-model.light[good])]
    corner = xy[good].min(axis=0) - 1
    size = tuple(int(v) for v in np.ceil(np.ptp(xy[good], axis=0))[::-1] + 3)
    first.wcs.crpix = first.wcs.crpix - corner
    image = ImageStars(
        good, xy[good] - corner, np.full(good.size, 0.05), -2.5 * np.log10(model.light[good]), 3.0, size
    )
    ra = np.rad2deg(np.arctan2(tripod.sky[:, 1], tripod.sky[:, 0])) % 360
    dec = np.rad2deg(np.arcsin(tripod.sky[:, 2]))
    order = np.argsort(-tripod.light)
    mag, none = -2.5 * np.log10(tripod.light[order]), np.full(order.size, np.nan)
    sky = CatalogStars(order, ra[order], dec[order], mag, "made", np.zeros(order.size), none)
    found = solve_wide(image, first, sky, epoch=2024.0)
    assert found is not None
    assert found.n_stars > 300
    x, y = grid()
    keep = y < 0.88 * SHAPE[0]
    rays = tripod.lens.unproject(x[keep], y[keep]) @ tripod.rotations[4]
    u, v = transform.invert(model.frames[4].from_reference, x[keep], y[keep], near=_middle(model.frames[4]))
    want = np.rad2deg(np.arctan2(rays[:, 1], rays[:, 0])) % 360, np.rad2deg(np.arcsin(rays[:, 2]))
    got = found.wcs.all_pix2world(u - corner[0], v - corner[1], 0)
    error = np.hypot((got[0] - want[0]) * np.cos(np.radians(want[1])), got[1] - want[1]) * 3600 / found.scale
    assert np.median(error) < 0.05
    assert error.max() < 0.3


@pytest.mark.slow
def test_a_fisheye_is_told_from_a_rectilinear_lens():
    fish = Tripod(
        frames=7, turn=12.0, n=8000, lens=Lens(520.0, 600.0, 450.0, (0.03, 0.0, 0.0), kind=FISHEYE), seed=8
    )
    model = register_drifting(fish.lists, SHAPE, 3, RegisterOptions())
    assert model.placed == 7
    assert model.lens.kind == FISHEYE
    assert model.flat == "STG"
    assert model.rms < 0.2


def test_the_step_places_frames_by_the_camera_and_stacks_them_whole():
    tripod = Tripod(frames=5, n=5000, turn=3.0, fixed=0)
    zeros = np.zeros((5, *SHAPE), np.float32)
    ds = xr.Dataset({"signal": labeled(SIGNAL, zeros)})
    out = register_frames(ds, tripod.lists, options=RegisterFramesOptions(model="distortion", reference=2))
    maps = out["from_reference"].values
    assert np.isfinite(maps).all()
    assert (out["registration_rms"].values < 0.25).all()
    canvas, refused = choose_canvas(maps, SHAPE, SHAPE, options=CanvasOptions(extent="union"))
    assert refused == {}
    assert canvas.shape[0] > 1.1 * SHAPE[0]  # undistorted, and drifting
    assert canvas.shape[1] > 1.1 * SHAPE[1]
