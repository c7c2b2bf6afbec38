"""A simulated comet is where and as bright as the plan says."""

from datetime import timedelta

import numpy as np
import pytest
from simulated_fields import catalog, quiet

from sciastro.simulate.bands import star_rates
from sciastro.simulate.comet import CometOptions, comet_place
from sciastro.simulate.night import light_rate, make_scene
from sciastro.simulate.optics import sky_to_pixel
from sciastro.simulate.plan import middle_of, schedule
from sciastro.simulate.truth import plan_from


def rate(plan, number):
    scene = make_scene(plan, catalog(plan))
    spec = [one for one in schedule(plan) if one.kind == "light"][number]
    return scene, spec, light_rate(scene, spec, np.random.default_rng(0))


def comet_alone(number, **comet):
    settings = {f"comet.{name}": value for name, value in comet.items()}
    with_comet = quiet(**{"lights": 4, "flip": False, "comet.present": True, **settings})
    scene, spec, light = rate(with_comet, number)
    _, _, dark = rate(quiet(**{"lights": 4, "flip": False}), number)
    return with_comet, scene, spec, (light - dark) / spec.transparency / scene.transmission["G"]


def test_its_place_moves_at_the_stated_rate_and_angle():
    options = CometOptions(rate=360.0, angle=90.0)
    middle = middle_of(quiet(lights=4))
    # 360 arcsec / h to the east at dec 60: 0.1 deg on the sky, twice that in right ascension.
    ra, dec = comet_place(options, 10.0, 60.0, middle, middle + timedelta(hours=1))
    assert ra == pytest.approx(10.2, abs=1e-4)
    assert dec == pytest.approx(60.0, abs=2e-4)
    north = comet_place(CometOptions(rate=360.0, angle=0.0), 10.0, 60.0, middle, middle - timedelta(hours=1))
    assert north == pytest.approx((10.0, 59.9), abs=1e-6)


@pytest.mark.parametrize("number", [0, 3])
def test_its_nucleus_is_where_the_truth_says(number):
    plan, _, spec, light = comet_alone(number, rate=500.0, mag=20.0, nucleus=8.0)
    when = spec.start + timedelta(seconds=spec.exposure / 2)
    place = comet_place(plan.comet, plan.ra, plan.dec, middle_of(plan), when)
    x, y = sky_to_pixel(spec.geometry, [place[0]], [place[1]])
    v, u = np.mgrid[: light.shape[0], : light.shape[1]]
    near = np.hypot(u - x[0], v - y[0]) < 15
    total = light[near].sum()
    assert (u[near] * light[near]).sum() / total == pytest.approx(x[0], abs=0.01)
    assert (v[near] * light[near]).sum() / total == pytest.approx(y[0], abs=0.01)


def test_coma_and_tail_hold_the_light_of_its_magnitude():
    plan, _, _, light = comet_alone(1, mag=6.0, nucleus=25.0, coma=15.0, tail=30.0)
    expected = star_rates(("G",), [6.0], [plan.comet.color], plan.telescope)[0, 0]
    # The end of the tail lies outside the frame.
    assert light.sum() == pytest.approx(expected, rel=0.03)


def test_the_plan_with_its_comet_comes_back():
    plan = quiet(**{"comet.present": True, "comet.rate": 77.0})
    assert plan_from(plan.as_dict()) == plan
