"""The simulated night of issue 2, reduced and held against its truth."""

import pytest
from acceptance import (
    check_artifacts,
    check_bad_frames,
    check_flux_slope,
    check_fluxes,
    check_noise,
    check_positions,
    check_pulls,
    check_zeropoint,
)
from night_figures import Night

from sciastro.recipe.run import RunRequest, reduce_session
from sciastro.recipe.simulated import night_plan, write_night

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("acceptance")
    write_night(night_plan("acceptance"), folder / "session")
    reduce_session(RunRequest(session=folder / "session", out=folder / "out", until="photometry"))
    return Night(folder / "session", folder / "out")


@pytest.fixture(params=["G", "R"])
def band(night, request):
    return night.band(request.param)


def test_the_night_is_the_one_asked_for(night):
    plan = night.truth.plan
    assert (plan.lights, plan.band_names) == (12, ("G", "R"))
    assert plan.rotation == 31 and plan.distortion == 2.5 and plan.dither == 30 and plan.flip
    assert plan.clouded and plan.trailed and plan.satellite


def test_bad_frames_are_named(night):
    check_bad_frames(night)


def test_world_coordinates(night):
    check_positions(night)


def test_fluxes(band):
    check_fluxes(band, snr=200)


def test_flux_does_not_depend_on_brightness(band):
    check_flux_slope(band)


def test_noise(band):
    check_noise(band)


def test_artifacts(band):
    check_artifacts(band)


def test_pulls(band):
    check_pulls(band)


def test_zeropoint(band):
    check_zeropoint(band)
