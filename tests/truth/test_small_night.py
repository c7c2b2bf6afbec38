"""A smaller night of the same kind, for every test run: eight lights in one band, the same mishaps."""

import pytest
from acceptance import (
    check_artifacts,
    check_bad_frames,
    check_fluxes,
    check_noise,
    check_positions,
    check_pulls,
)
from night_figures import Night, calibrated_pulls

from sciastro.recipe.run import RunRequest, reduce_session
from sciastro.recipe.simulated import night_plan, write_night

CHANGES = {
    "bands": "G", "lights": 8, "biases": 8, "darks": 8, "flats": 8, "clouded": 2, "trailed": 4,
    "satellite": 6,
}  # fmt: skip


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    write_night(night_plan("acceptance", CHANGES, shape="720x960"), folder / "session")
    reduce_session(
        RunRequest(session=folder / "session", out=folder / "out", until="photometry", keep=("calibrated",))
    )
    return Night(folder / "session", folder / "out")


def test_bad_frames_are_named(night):
    check_bad_frames(night)


def test_world_coordinates(night):
    check_positions(night)


def test_fluxes(night):
    check_fluxes(night.band("G"), snr=150, fewest=40)


def test_noise(night):
    check_noise(night.band("G"))


def test_artifacts(night):
    check_artifacts(night.band("G"))


def test_pulls(night):
    check_pulls(night.band("G"))


def test_error_of_calibrated_frames(night):
    pulls = calibrated_pulls(night)
    assert len(pulls) == 8
    for path, (scatter, level) in pulls.items():
        assert 0.95 < scatter < 1.05, path
        assert abs(level) < 0.01, path
