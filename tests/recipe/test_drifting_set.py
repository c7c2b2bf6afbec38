"""When a run models the camera: where maps hold on to the landscape, never where they are good."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sciastro.recipe.aligning import register_set
from sciastro.recipe.context import Context, Silent
from sciastro.recipe.drifting import register_camera
from sciastro.recipe.lights import Light, StackSet
from sciastro.recipe.plan import load_recipe

sys.path.insert(0, str(Path(__file__).parents[1] / "astrometry"))

from tripods import PHONE, SHAPE, Tripod


def as_set(lists, scale):
    lights = []
    for number, stars in enumerate(lists):
        facts = SimpleNamespace(
            name=f"{number}.dng",
            path=f"{number}.dng",
            shape=SHAPE,
            scale=scale,
            cfa="",
            filter="L",
            time=None,
        )
        match = SimpleNamespace(group=SimpleNamespace(target="Tripod"))
        light = Light(facts=facts, match=match)
        light.measured = SimpleNamespace(stars=stars, n_stars=stars.size, fwhm=2.5, elongation=1.0)
        lights.append(light)
    members = StackSet(target="Tripod", stem="Tripod", lights=lights, cfa="")
    members.reference = lights[0]
    return members


@pytest.fixture
def context(tmp_path):
    return Context(out=tmp_path, workers=1, memory=10**9, progress=Silent())


def registered(members, context, *changes):
    recipe = load_recipe(None, changes)
    register_set(members, recipe, context, 1)
    before = [None if one.from_reference is None else one.from_reference.copy() for one in members.lights]
    solution = register_camera(members, None, recipe, context, 1, 2024.0)
    return before, solution


def test_a_match_that_holds_on_to_the_landscape_is_seen_through(context):
    tripod = Tripod(frames=7, n=6000, fixed=60)
    members = as_set(tripod.lists, np.rad2deg(1 / PHONE.focal) * 3600)
    before, solution = registered(members, context)
    still = [np.abs(c[:, 0]).max() < 1 for c in before if c is not None]
    assert np.mean(still) > 0.5  # lamps and hot pixels are the brightest: no frame seems to move
    assert "stay at their pixel while the others move" in members.lens
    assert all(light.registration_model == "camera model" for light in members.lights)
    assert all(light.registration_rms < 0.25 and not light.reason for light in members.lights)
    assert solution is None  # these stars are made up: the sky does not know them
    assert any("is not solved" in text for text in context.warnings)
    for light, names in zip(members.lights, tripod.names, strict=True):
        assert (names[light.pairs[1]] >= 0).all()


def test_a_set_that_follows_the_sky_keeps_its_maps(context):
    rng = np.random.default_rng(1)
    base = Tripod(frames=1, n=6000, fixed=0).lists[0]
    lists = []
    for _ in range(6):
        stars = base.copy()
        stars["x"] += rng.uniform(-8, 8) + rng.normal(0, 0.1, stars.size)
        stars["y"] += rng.uniform(-8, 8) + rng.normal(0, 0.1, stars.size)
        lists.append(stars)
    members = as_set(lists, 200.0)
    before, _ = registered(members, context)
    assert members.lens == ""
    for light, c in zip(members.lights, before, strict=True):
        np.testing.assert_array_equal(light.from_reference, c)


def test_the_camera_model_can_be_asked_for(context):
    tripod = Tripod(frames=5, n=6000, turn=3.0, fixed=0)
    members = as_set(tripod.lists, None)
    registered(members, context, "register.model=distortion")
    assert "as asked for" in members.lens
    assert all(light.registration_model == "camera model" for light in members.lights)


def test_a_model_that_few_stars_cannot_carry_is_warned_of_by_frame(context):
    # 9 stars in common, and a homography takes 12: stated in the warnings and in the row of each frame.
    rng = np.random.default_rng(3)
    base = Tripod(frames=1, n=6000, fixed=0).lists[0][:9]
    lists = [base]
    for _ in range(2):
        stars = base.copy()
        stars["x"] += rng.uniform(-8, 8) + rng.normal(0, 0.1, stars.size)
        stars["y"] += rng.uniform(-8, 8) + rng.normal(0, 0.1, stars.size)
        lists.append(stars)
    members = as_set(lists, 200.0)
    register_set(members, load_recipe(None, ("register.model=homography",)), context, 1)
    assert [light.reason for light in members.lights] == [""] * 3
    for light in members.lights[1:]:
        said = "homography needs 12 stars in common with the reference, and 9 were found"
        assert said in light.registration_shortfall
        assert any(text.startswith(f"{light.name}: registration: {said}") for text in context.warnings)
    assert members.lights[0].registration_shortfall == ""


def test_a_lens_of_too_few_frames_is_warned_of(context):
    members = as_set(Tripod(frames=2, n=3000, turn=1.0, fixed=0).lists, None)
    registered(members, context, "register.model=distortion")
    assert any("distortion needs 3 frames with stars, and 2 were found" in text for text in context.warnings)
