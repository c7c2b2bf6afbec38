"""Levels of nights: what stars differ from night to night is found, and nothing where there is none."""

import numpy as np
import pytest

from sciastro.photometry.nightoffsets import night_covariance, night_offsets


def nights(seed, *, alike=0.0, neighbors=0.0, faint=0.0, stars=80, count=3, points=15):
    """Return the arguments of `night_offsets` and the true offset error of each star."""
    rng = np.random.default_rng([seed, 2])
    night = np.repeat(np.arange(count), points)
    brightness = np.geomspace(5, 0.1, stars)
    crowding = np.where(rng.random(stars) < 0.3, rng.uniform(0.02, 0.5, stars), 0.0)
    err = np.broadcast_to(0.003 / np.sqrt(brightness)[:, None], (stars, night.size)).copy()
    truth = np.sqrt(alike**2 + (neighbors * crowding) ** 2 + (faint / brightness) ** 2)
    level = truth[:, None] * rng.standard_normal((stars, count))
    flux = 1 + level[:, night] + err * rng.standard_normal(err.shape)
    good = np.ones(err.shape, bool)
    return (flux, err, night, good, crowding, brightness, np.ones(stars, bool)), truth


@pytest.mark.parametrize("kind", [{"alike": 0.003}, {"neighbors": 0.1}, {"faint": 0.003}])
def test_offsets_of_nights_are_found_by_their_cause(kind):
    data, truth = nights(1, **kind)
    found = night_offsets(*data)
    for name in ("alike", "neighbors", "faint"):
        assert getattr(found, name) == pytest.approx(kind.get(name, 0.0), rel=0.5, abs=1e-3), name
    ratio = found.err[truth > 0] / truth[truth > 0]
    assert 0.6 < np.median(ratio) < 1.6
    assert found.pull > 1.15 or kind.get("neighbors")
    assert found.pull_with == pytest.approx(1, abs=0.2)


def test_nights_without_offsets_have_none_in_most_fields():
    some = [night_offsets(*nights(seed, stars=40)[0]) for seed in range(6)]
    assert np.mean([one.err.max() > 0 for one in some]) <= 0.5
    assert np.median([np.median(one.err) for one in some]) < 3e-4


def test_variable_stars_do_not_make_offsets_of_all_others():
    data, _ = nights(3)
    flux = data[0].copy()
    flux[:6] += 0.05 * np.random.default_rng(1).standard_normal((6, 3))[:, data[2]]
    assert np.median(night_offsets(flux, *data[1:]).err) < 1e-3


def test_too_few_nights_or_stars_tell_nothing():
    for data in (nights(1, count=1)[0], nights(1, stars=5)[0]):
        found = night_offsets(*data)
        assert np.isnan(found.err).all()
        assert np.isnan(found.alike)
    data, _ = nights(2, alike=0.003)
    data[4][7] = np.nan  # a star whose neighbors nobody knows
    assert np.isnan(night_offsets(*data).err).tolist().count(True) == 1


def test_points_of_a_night_share_the_error_of_its_level():
    covariance = night_covariance(np.array([0.1, 0.2, 0.3]), 0.5, np.array([0, 0, 1]))
    np.testing.assert_allclose(covariance, [[0.26, 0.25, 0], [0.25, 0.29, 0], [0, 0, 0.34]])
    np.testing.assert_allclose(night_covariance(np.array([0.1]), np.nan, np.array([0])), [[0.01]])
