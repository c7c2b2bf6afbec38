"""Bad frames are named, normal nights pass whole, weights are inverse variances."""

import numpy as np
import pytest
import xarray as xr
from fields import measured_night

from sciastro.core import vocabulary as v
from sciastro.core.history import history
from sciastro.core.lift import is_lazy
from sciastro.errors import DatasetError
from sciastro.integrate.grade import GradeOptions, grade


@pytest.mark.parametrize("n", [1, 2, 3, 5, 12, 60])
@pytest.mark.parametrize("seed", range(8))
def test_a_normal_night_loses_nothing(n, seed):
    out = grade(measured_night(n, seed))
    assert out["use"].all()
    assert (out["weight"] > 0).all()
    assert float(out["weight"].max()) == 1.0


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"transparency": {4: 0.3}, "n_stars": {4: 90}}, "clouded: transparency 0.3"),
        ({"transparency": {4: np.nan}, "n_stars": {4: 60}}, "clouded: 60 stars"),
        ({"eccentricity": {4: 0.93}}, "trailed: eccentricity 0.93"),
        ({"fwhm": {4: 7.0}}, "blurred: FWHM 7.0"),
        ({"n_stars": {4: 0}, "fwhm": {4: np.nan}, "eccentricity": {4: np.nan}}, "no stars"),
        ({"noise": {4: np.nan}}, "no usable pixel"),
    ],
)
def test_the_bad_frame_is_named(changes, word):
    out = grade(measured_night(**changes))
    assert not out["use"][4]
    assert float(out["weight"][4]) == 0
    assert str(out["reason"].values[4]).startswith(word)
    assert int(out["use"].sum()) == 11


def test_many_clouded_frames_do_not_hide_each_other():
    out = grade(measured_night(transparency=dict.fromkeys(range(5), 0.3)))
    np.testing.assert_array_equal(out["use"], np.arange(12) >= 5)


def test_common_elongation_counts_before_eccentricity():
    ratio = v.labeled(v.ELONGATION, np.r_[np.full(11, 1.05), 1.8])
    ds = measured_night(eccentricity={2: 0.9}).assign_coords(elongation=ratio)
    out = grade(ds)
    np.testing.assert_array_equal(out["use"], np.arange(12) < 11)
    assert "along one direction" in str(out["reason"].values[11])


def test_unregistered_frames_are_left_out():
    maps = np.repeat(np.eye(2, 3)[None], 12, axis=0)
    maps[7] = np.nan
    out = grade(measured_night().assign_coords(from_reference=v.labeled(v.FROM_REFERENCE, maps)))
    assert not out["use"][7]
    assert "unregistered" in str(out["reason"].values[7])


def test_groups_are_judged_on_their_own():
    # The blue frames see a third of the stars and half the flux: another filter, not clouds.
    ds = measured_night()
    ds["filter"].values[6:] = "B"
    ds["transparency"].values[6:] *= 0.4
    ds["n_stars"].values[6:] //= 3
    out = grade(ds)
    assert out["use"].all()
    assert float(out["weight"][6:].max()) == 1.0


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_small_group_keeps_its_best_frame_and_says_so(n):
    ds = measured_night(n, n_stars=dict.fromkeys(range(n), 0), fwhm=dict.fromkeys(range(n), np.nan))
    out = grade(ds)
    assert int(out["use"].sum()) == 1
    kept = int(np.argmax(out["use"].values))
    assert str(out["reason"].values[kept]) == "no stars; kept nevertheless, as the group has no better frame"


def test_weights_are_inverse_variances_of_point_sources():
    # t**2 / (noise**2 fwhm): 1 / 3 against 0.25 / (4 * 3) and 1 / (1 * 6): 1, 1/16, 1/2.
    ds = measured_night(
        3, transparency={0: 1, 1: 0.5, 2: 1}, noise={0: 1, 1: 2, 2: 1}, fwhm={0: 3, 1: 3, 2: 6}
    )
    out = grade(ds, options=GradeOptions(reject=False))
    np.testing.assert_allclose(out["weight"], [1, 1 / 16, 1 / 2])
    sky = grade(ds, options=GradeOptions(reject=False, weight="sky_variance"))
    np.testing.assert_allclose(sky["weight"], [1, 1 / 16, 1])
    assert (grade(ds, options=GradeOptions(reject=False, weight="equal"))["weight"] == 1).all()


def test_weighted_signal_to_noise_is_at_least_the_unweighted():
    ds = measured_night(
        30, 5, transparency=dict.fromkeys(range(8), 0.7), noise=dict.fromkeys(range(8, 14), 2.0)
    )
    w = grade(ds, options=GradeOptions(reject=False))["weight"].values
    variance = ((ds["noise"] / ds["transparency"]) ** 2 * ds["fwhm"]).values

    def snr(weight):
        return weight.sum() / np.sqrt((weight**2 * variance).sum())

    assert snr(w) > 1.05 * snr(np.ones(30))
    assert snr(w) == pytest.approx(np.sqrt((1 / variance).sum()), rel=1e-6)


def test_a_light_frame_says_why():
    out = grade(measured_night(transparency={3: 0.6}, fwhm={3: 3.1}))
    assert bool(out["use"][3])
    assert str(out["reason"].values[3]).startswith("weighted down: transparency 0.6")


def test_input_untouched_and_one_history_entry():
    ds = measured_night()
    before = ds.copy(deep=True)
    out = grade(ds)
    xr.testing.assert_identical(ds, before)
    assert [entry["step"] for entry in history(out)] == ["integrate.grade"]
    assert not is_lazy(out["weight"])


def test_lazy_facts_are_refused():
    ds = measured_night()
    with pytest.raises(DatasetError, match="variable 'fwhm': is lazy"):
        grade(ds.assign_coords(fwhm=ds["fwhm"].chunk()))
