"""The canvas: extents, exact maps, boxes, refusals; and stacks on it are the same numbers, moved."""

import numpy as np
import pytest
from astropy.wcs import Sip
from fields import Night

from sciastro.core import transform
from sciastro.core import vocabulary as v
from sciastro.core.wcs import resampled, tan_wcs
from sciastro.errors import DatasetError
from sciastro.integrate.canvas import Canvas, CanvasOptions, choose_canvas, domain_box, domain_boxes
from sciastro.integrate.options import StackOptions
from sciastro.integrate.run import empty_stack, stack_windows
from sciastro.integrate.stack import stack

SHAPE = (100, 140)


def shifted(dx, dy, angle=0.0):
    c = transform.identity()
    t = np.radians(angle)
    a = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    middle = np.array([(SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2])
    c[:, 1:3] = transform.SCALE * a
    c[:, 0] = middle - a @ (middle + np.array([dx, dy]))
    return c


def bent(seed=0, degree=3):
    rng = np.random.default_rng(seed)
    c = transform.pad(shifted(7, -4, 20), degree)
    c[:, 3:] += rng.normal(0, 40, c[:, 3:].shape)
    return c


@pytest.mark.parametrize("scale", [1.0, 2.0, 1.5])
def test_maps_of_a_canvas_are_exact(scale):
    canvas = Canvas((50, 60), (-13.0, 22.0), scale)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-100, 300, (2, 50))
    c = bent()
    want = transform.evaluate(c, (x - (scale - 1) / 2) / scale - 13.0, (y - (scale - 1) / 2) / scale + 22.0)
    np.testing.assert_allclose(transform.evaluate(canvas.map(c), x, y), want, atol=1e-9)
    back = canvas.from_reference((x - (scale - 1) / 2) / scale - 13.0, (y - (scale - 1) / 2) / scale + 22.0)
    np.testing.assert_allclose(back, (x, y), atol=1e-9)


def test_a_map_is_inverted_over_the_whole_frame():
    c = bent(3)
    x, y = (v.ravel() for v in np.meshgrid(np.linspace(0, 139, 15), np.linspace(0, 99, 12)))
    u, v = transform.invert(c, x, y)
    np.testing.assert_allclose(transform.evaluate(c, u, v), (x, y), atol=1e-6)
    derivative = transform.jacobian(c, x, y)
    step = 1e-4
    right, left = transform.evaluate(c, x + step, y), transform.evaluate(c, x - step, y)
    np.testing.assert_allclose(derivative[:, 0, 0], (right[0] - left[0]) / (2 * step), atol=1e-6)
    np.testing.assert_allclose(derivative[:, 1, 0], (right[1] - left[1]) / (2 * step), atol=1e-6)


def test_what_the_map_does_not_reach_is_not_invented():
    fold = transform.pad(transform.identity(), 2)
    fold[0, 3] = -5000.0  # x = 1000 u - 5000 u^2 turns at u = 0.1 and never exceeds 50
    u, _ = transform.invert(fold, np.array([10.0, 60.0]), np.zeros(2), near=(0.0, 0.0))
    assert np.isfinite(u[0])
    assert np.isnan(u[1])


def test_boxes_hold_the_frame():
    np.testing.assert_allclose(domain_box(shifted(10, -20), SHAPE), [9.5, 149.5, -20.5, 79.5], atol=1e-9)
    box = domain_box(bent(), SHAPE)
    x, y = np.meshgrid(np.arange(-300, 500), np.arange(-300, 500))
    fx, fy = transform.evaluate(bent(), x, y)
    near = np.hypot(x - 70, y - 50) < 150
    inside = near & (fx > -0.5) & (fx < 139.5) & (fy > -0.5) & (fy < 99.5)
    assert box[0] <= x[inside].min() < box[0] + 2
    assert box[1] - 2 < x[inside].max() <= box[1]
    assert box[2] <= y[inside].min() < box[2] + 2
    assert box[3] - 2 < y[inside].max() <= box[3]
    assert np.isnan(domain_box(np.full((2, 3), np.nan), SHAPE)).all()


def choose(maps, **options):
    return choose_canvas(maps, SHAPE, SHAPE, options=CanvasOptions(**options))


def test_union_holds_every_frame_and_the_reference_grid_stays_whole():
    canvas, refused = choose([shifted(0, 0), shifted(60, -30)], extent="union")
    assert refused == {}
    assert canvas.origin == (0.0, -30.0)
    assert canvas.shape == (130, 200)


def test_common_is_covered_by_every_frame():
    maps = [shifted(0, 0, 9), shifted(30, -12, 0), shifted(-8, 5, -14)]
    canvas, _ = choose(maps, extent="common")
    x, y = np.meshgrid(np.arange(canvas.shape[1]), np.arange(canvas.shape[0]))
    assert canvas.shape[0] * canvas.shape[1] > 0.3 * SHAPE[0] * SHAPE[1]
    for c in maps:
        fx, fy = transform.evaluate(canvas.map(c), x, y)
        assert fx.min() > -0.5
        assert fx.max() < 139.5
        assert fy.min() > -0.5
        assert fy.max() < 99.5


def test_frames_without_common_area_say_so():
    with pytest.raises(DatasetError, match="no area that all of them cover"):
        choose([shifted(0, 0), shifted(200, 0)], extent="common")


def test_auto_takes_the_union_where_frames_drift_and_says_why():
    still, _ = choose([shifted(0, 0), shifted(2, 1), shifted(0, 0, 180)])
    assert (still.extent, still.shape) == ("reference", SHAPE)
    drifting, _ = choose([shifted(30 * i, 0) for i in range(4)])
    assert (drifting.extent, drifting.shape) == ("union", (100, 230))
    assert "of the frames' area lies outside" in drifting.reason


def test_a_wrong_map_does_not_blow_the_canvas_up():
    maps = [shifted(0, 0), shifted(3, 3), shifted(1e6, 1e6), shifted(-2, 0)]
    canvas, refused = choose(maps, extent="union")
    assert list(refused) == [2]
    assert "canvas.largest" in refused[2]
    assert canvas.shape == (103, 145)


@pytest.mark.parametrize("scale", [1.0, 2.0, 0.5])
def test_world_coordinates_move_along(scale):
    wcs = tan_wcs(83.0, 22.0, 30.0, SHAPE, angle=17.0)
    a = np.zeros((3, 3))
    a[2, 0], a[1, 1] = 1e-4, -2e-4
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.sip = Sip(a, -a, None, None, wcs.wcs.crpix)
    new = resampled(wcs, (-20.0, 11.0), scale)
    x, y = np.random.default_rng(0).uniform(0, 100, (2, 20))
    want = wcs.all_pix2world((x - (scale - 1) / 2) / scale - 20.0, (y - (scale - 1) / 2) / scale + 11.0, 0)
    np.testing.assert_allclose(new.all_pix2world(x, y, 0), want, atol=1e-10)
    whole = Canvas(SHAPE, wcs=wcs).times(scale)
    want = wcs.all_pix2world((x - (scale - 1) / 2) / scale, (y - (scale - 1) / 2) / scale, 0)
    np.testing.assert_allclose(whole.wcs.all_pix2world(x, y, 0), want, atol=1e-10)


def drifting_night():
    night = Night(6, seed=4, side=3, dither=3)
    for i in range(6):  # frames of a field that drifts: same pixels, declared 45 px apart each
        night.maps[i, 0, 0] -= 45.0 * i
    return night


def test_drifting_frames_stack_whole_and_alike_for_any_memory():
    night = drifting_night()
    canvas, _ = choose_canvas(night.maps, night.shape, night.shape)
    assert canvas.extent == "union"
    want = stack(night.dataset(), canvas=canvas)
    domains = canvas.boxes(domain_boxes(night.maps, night.shape))
    for workers, memory in ((1, 400 << 20), (2, 40 << 20), (1, 19 << 20)):
        out = empty_stack(canvas.shape)
        stack_windows(
            night.read, canvas.maps(night.maps), night.shape, night.terms(), np.ones(6), out,
            options=StackOptions(), memory_bytes=memory, workers=workers, domains=domains,
        )  # fmt: skip
        np.testing.assert_array_equal(out.image, want["image"].values[0])
        np.testing.assert_array_equal(out.variance, want["image_variance"].values[0])
        np.testing.assert_array_equal(out.quality, want["image_quality"].values[0])
        np.testing.assert_array_equal(out.coverage, want["coverage"].values[0])
    # Six frames 45 px apart: one at either end, more in between, none above the jitter of 3 px.
    assert np.nanmax(want["coverage"].values) > 4
    assert want["coverage"].values[0][night.shape[0] // 2, 20] == 1.0
    reference = stack(night.dataset())["image"].values[0]
    x0, y0 = (int(-v) for v in canvas.origin)
    here = np.s_[y0 : y0 + night.shape[0], x0 : x0 + night.shape[1]]
    np.testing.assert_array_equal(want["image"].values[0][here], reference)


@pytest.mark.parametrize("rule", ["noise", "averaged", "esd", "winsorized"])
def test_a_rule_looks_far_enough_beyond_its_tile(rule):
    night = Night(6, seed=9, side=3, dither=2)
    rng = np.random.default_rng(1)
    for signal, *_ in night.frames:  # pairs of hits, the second one fainter
        y, x = rng.integers(0, night.shape[0], 60), rng.integers(0, night.shape[1] - 1, 60)
        signal[y, x] += 400
        signal[y, x + 1] += 75
    options = StackOptions(reject=rule, grow_high=2)
    found = []
    for memory in (400 << 20, 19 << 20):
        out = empty_stack(night.shape)
        stack_windows(
            night.read, night.maps, night.shape, night.terms(), np.ones(6), out,
            options=options, memory_bytes=memory, workers=1,
        )  # fmt: skip
        found.append(out)
    assert found[0].rejected_high.any()
    for name in ("image", "variance", "quality", "rejected_low", "rejected_high"):
        np.testing.assert_array_equal(getattr(found[0], name), getattr(found[1], name))


def test_a_folding_map_does_not_come_back_on_a_large_canvas():
    night = Night(2, seed=4, side=3, dither=0)
    fold = transform.pad(transform.identity(), 3)
    fold[0, 6] = -1000 / 3 / 0.25  # x = 1000 (u - 4/3 u^3): turns at u = 0.5, back at 0 where u = 0.87
    maps = np.stack([fold, fold])
    canvas = Canvas((night.shape[0], 1000))
    ds = night.dataset().drop_vars("from_reference")
    ds = ds.assign_coords(from_reference=v.labeled(v.FROM_REFERENCE, maps))
    out = stack(ds, canvas=canvas, options=StackOptions(reject="none"))
    image = out["image"].values[0]
    box = domain_box(fold, night.shape)
    assert np.isfinite(image[:, 10]).any()
    assert np.isnan(image[:, int(box[1]) + 3 :]).all()
