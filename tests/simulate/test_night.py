"""Whole nights: what is in the pixels is what the truth says."""

import hashlib

import numpy as np
import pytest
from simulated_fields import catalog, quiet

from sciastro.errors import OptionError
from sciastro.simulate.bands import star_rates
from sciastro.simulate.night import frames_of, light_rate, make_scene, night
from sciastro.simulate.optics import pixel_to_sky, sky_to_pixel
from sciastro.simulate.plan import base_geometry, schedule
from sciastro.simulate.presets import PRESETS, adjusted, preset
from sciastro.simulate.truth import plan_from


def lights(plan):
    return [spec for spec in schedule(plan) if spec.kind == "light"]


def rate_of(scene, spec):
    return light_rate(scene, spec, np.random.default_rng(0))


def digests(plan, workers=1):
    return {
        frame.path: hashlib.sha256(frame.image.tobytes() + repr(frame.header).encode()).hexdigest()
        for frame in frames_of(make_scene(plan, catalog(plan)), workers)
    }


def test_same_seed_same_bytes_and_other_seed_others():
    plan = adjusted(
        preset("tiny"), {"lights": 2, "darks": 1, "flats": 1, "biases": 2, "satellite": 1, "clouded": 2}
    )
    first = digests(plan)
    assert first == digests(plan)
    assert list(first.items()) == list(digests(plan, workers=3).items())
    assert len(set(first.values())) == len(first) == 6
    other = digests(adjusted(plan, {"seed": 2}))
    assert not set(first.values()) & set(other.values())


def test_another_night_has_the_same_stars_and_other_noise():
    plan = adjusted(preset("tiny"), {"lights": 1, "darks": 1, "flats": 1, "biases": 1, "flip": False})
    other = adjusted(plan, {"night": 2})
    one, two = (make_scene(p, catalog(plan)) for p in (plan, other))
    np.testing.assert_array_equal(one.stars["ra"], two.stars["ra"])
    np.testing.assert_array_equal(one.sensor.hot, two.sensor.hot)
    first, second = (next(s for s in schedule(p) if s.kind == "light") for p in (plan, other))
    assert (first.dx, first.dy) != (second.dx, second.dy)
    assert not set(digests(plan).values()) & set(digests(other).values())


def test_a_frame_does_not_depend_on_the_others():
    plan = adjusted(preset("tiny"), {"flip": False, "darks": 1, "flats": 1, "biases": 1})
    few = {f.path: f.image for f in night(adjusted(plan, {"lights": 2}), catalog(plan))}
    many = {f.path: f.image for f in night(adjusted(plan, {"lights": 3}), catalog(plan))}
    same = [path for path in few if "/LIGHT/" in path]
    assert len(same) == 2
    for path in same:
        np.testing.assert_array_equal(few[path], many[path])


@pytest.mark.parametrize("settings", [{}, {"mirrored": True}, {"row_order": "BOTTOM-UP"}])
def test_stars_are_where_the_truth_says(settings):
    # Alone on the sky, without noise: the center of light against the exact position.
    plan = quiet(
        **{"sky.most_invented": 0, "sky.brightness": 23.0, "distortion": 3.0, "lights": 4, **settings}
    )
    ra, dec = pixel_to_sky(base_geometry(plan, "G"), [60.0, 230.0, 150.0], [70.0, 90.0, 200.0])
    table = catalog(plan, 3)
    table["ra"], table["dec"] = ra * table["ra"].unit, dec * table["dec"].unit
    scene = make_scene(plan, table)
    assert {spec.flipped for spec in lights(plan)} == {False, True}
    for spec in lights(plan):
        image = rate_of(scene, spec).astype(float)
        image -= np.median(image)
        x, y = sky_to_pixel(spec.geometry, scene.stars["ra"], scene.stars["dec"])
        yy, xx = np.mgrid[: image.shape[0], : image.shape[1]]
        for star in range(3):
            near = (np.abs(xx - x[star]) < 25) & (np.abs(yy - y[star]) < 25)
            light = image[near].sum()
            assert light == pytest.approx(scene.rates["G"][star, 0] * spec.transparency, rel=1e-3)
            assert (image[near] * xx[near]).sum() / light == pytest.approx(x[star], abs=0.01)
            assert (image[near] * yy[near]).sum() / light == pytest.approx(y[star], abs=0.01)


def test_flip_turns_by_half_a_turn_and_a_bit():
    plan = quiet(flip_turn=0.25)
    before, after = lights(plan)[0].geometry, lights(plan)[-1].geometry
    assert (after.angle - before.angle) % 360 == pytest.approx(180.25)
    assert before.parity == after.parity == -1  # N.I.N.A. stores the top row first
    assert base_geometry(adjusted(plan, {"row_order": "BOTTOM-UP"}), "G").parity == 1


def test_row_order_only_turns_the_picture_over():
    down = quiet(**{"sky.most_invented": 50, "distortion": 2.0, "sky.gradient": 0.2})
    up = adjusted(down, {"row_order": "BOTTOM-UP"})
    table = catalog(down)
    for one, other in zip(lights(down), lights(up), strict=True):
        first, second = rate_of(make_scene(down, table), one), rate_of(make_scene(up, table), other)
        np.testing.assert_allclose(second[::-1], first, rtol=1e-4, atol=1e-3)


def test_noise_of_the_sky_is_the_truth(tmp_path):
    plan = quiet(**{"sky.most_invented": 0, "lights": 1, "flip": False})
    table = catalog(plan, 1)
    table["mag"] = table["mag"] + 20 * table["mag"].unit
    from sciastro.simulate.truth import Truth, frame_record, save_truth

    scene = make_scene(plan, table)
    frame = next(f for f in frames_of(scene) if f.spec.kind == "light")
    save_truth(tmp_path, scene, [frame_record(frame.path, frame.spec)])
    truth = Truth.load(tmp_path)
    electrons = (frame.image - np.float64(scene.sensor.structure)) * plan.camera.gain
    glowless = electrons - scene.sensor.glow * plan.exposure
    noise = truth.sky_noise(frame.path)
    expected = truth.sky_rate(frame.path) + plan.camera.dark_current * 2 ** (plan.camera.temperature / 6.3)
    assert glowless.mean() == pytest.approx(expected * plan.exposure, abs=5 * noise / np.sqrt(electrons.size))
    assert glowless[:, :150].std() == pytest.approx(noise, rel=0.015)
    both = truth.ideal_noise([frame.path, frame.path])
    assert both == pytest.approx(noise / plan.exposure / frame.spec.transparency / np.sqrt(2))


def test_bad_frames_are_bad_as_told():
    plan = quiet(lights=4, flip=False, clouded=1, trailed=2, satellite=3, cloud_transparency=0.3)
    scene = make_scene(plan, catalog(plan))
    specs = lights(plan)
    assert [(s.clouded, s.trailed, s.satellite) for s in specs] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
        (False, False, False),
    ]
    assert specs[0].transparency / specs[3].transparency == pytest.approx(0.3, rel=0.1)
    assert specs[0].sky_factor / specs[3].sky_factor == pytest.approx(1.7, rel=0.01)
    assert np.hypot(specs[1].trail_x, specs[1].trail_y) == pytest.approx(plan.trail)
    crossed, clear = rate_of(scene, specs[2]), rate_of(scene, specs[3])
    sky = np.median(clear)
    long_lines = [(np.abs(frame - np.median(frame)) > 3 * sky).sum() for frame in (crossed, clear)]
    assert long_lines[0] > long_lines[1] + 250  # a trail across 256 x 320 pixels


def test_gradient_lies_on_the_sky_and_turns_with_the_flip():
    plan = quiet(**{"sky.gradient": 0.3, "sky.most_invented": 0, "sky.drift": 0.0})
    table = catalog(plan, 1)
    table["mag"] = table["mag"] + 20 * table["mag"].unit
    scene = make_scene(plan, table)
    first, last = lights(plan)[0], lights(plan)[-1]
    one, two = rate_of(scene, first), rate_of(scene, last)
    rotated = two[::-1, ::-1]
    assert np.corrcoef(one.ravel(), rotated.ravel())[0, 1] > 0.99
    assert np.ptp(one) / one.mean() > 0.3


def test_bayer_frame_has_the_color_of_each_phase():
    plan = adjusted(quiet(preset("osc")), {"camera.rows": 240, "camera.columns": 300, "sky.nebula": "none"})
    plan = adjusted(
        plan, {"lights": 1, "flip": False, "sky.most_invented": 0, "psf.halo": 0.0, "seeing": 9.0}
    )
    table = catalog(plan, 1)
    table["ra"], table["dec"] = [plan.ra] * table["ra"].unit, [plan.dec] * table["dec"].unit
    table["mag"], table["color"] = [9.0] * table["mag"].unit, [1.5] * table["mag"].unit
    scene = make_scene(plan, table)
    image = rate_of(scene, lights(plan)[0]).astype(float)
    expected = star_rates(("OSC-R", "OSC-G", "OSC-B"), [9.0], [1.5], plan.telescope)[0]
    np.testing.assert_allclose(scene.rates["OSC"][0], expected)
    for j, i, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):  # RGGB, stored top-down by ASIAIR
        phase = image[j::2, i::2] - np.median(image[j::2, i::2])
        # A quarter of the pixels sees the star; summing them samples the profile, good to 1 % for wide stars.
        light = 4 * phase.sum() / lights(plan)[0].transparency
        assert light == pytest.approx(expected[channel], rel=0.01)


def test_airmass_and_transit_of_a_known_star():
    # Independent: astropy, without the network.
    from astropy import units as u
    from astropy.coordinates import AltAz, EarthLocation, SkyCoord
    from astropy.time import Time
    from astropy.utils import iers

    plan = preset("tiny")
    spec = lights(plan)[0]
    middle = Time(spec.start) + plan.exposure / 2 * u.s
    site = EarthLocation(lat=plan.latitude * u.deg, lon=plan.longitude * u.deg, height=plan.elevation * u.m)
    with iers.conf.set_temp("auto_download", False):
        horizon = SkyCoord(plan.ra, plan.dec, unit="deg").transform_to(AltAz(obstime=middle, location=site))
    assert spec.altitude == pytest.approx(horizon.alt.deg, abs=0.3)  # precession since J2000 is left out
    assert spec.airmass == pytest.approx(float(horizon.secz), rel=0.01)
    flips = [spec.flipped for spec in lights(plan)]
    assert flips == sorted(flips)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_sense(name):
    plan = preset(name)
    specs = list(schedule(plan))
    assert len({(s.kind, s.band, s.number) for s in specs}) == len(specs)
    for spec in lights(plan):
        assert spec.altitude > 25
        assert 1.8 < spec.fwhm < 6
    assert plan_from(plan.as_dict()) == plan


def test_mistakes_in_a_plan_are_named():
    with pytest.raises(OptionError, match="bands='OSC' with a Bayer camera"):
        adjusted(preset("tiny"), {"camera.cfa": "RGGB"})
    with pytest.raises(OptionError, match="Known bands"):
        adjusted(preset("tiny"), {"bands": "G,purple"})
    with pytest.raises(OptionError, match="YYYY-MM-DD"):
        adjusted(preset("tiny"), {"date": "yesterday"})
    with pytest.raises(OptionError, match="Its parts"):
        adjusted(preset("tiny"), {"lens.gain": 1})
    with pytest.raises(OptionError, match="Known presets"):
        preset("huge")
