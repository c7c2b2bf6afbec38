"""Zero points of all frames at once, comparison stars, and light curves with the errors that they have."""

from dataclasses import replace

import numpy as np
import pytest
from curve_fields import field, normalized

from sciastro.core.quality import Quality
from sciastro.errors import MatchError
from sciastro.photometry.comparison import CompareOptions, Light, choose
from sciastro.photometry.ensemble import _by_frames, _by_stars, solve_ensemble
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.lightcurve import make_curves
from sciastro.photometry.rednoise import red_noise
from sciastro.photometry.variability import variability


def curves(raw, **how):
    every = np.ones(raw.flux.shape[2], bool)
    return make_curves(raw, every, barred={}, given=None, options=CompareOptions(), **how)


def pulls(raw, curve, found, star=0):
    truth = normalized(curve)[star]
    ratio, err = found.flux[star] / truth, found.err[star] / truth
    mean = np.average(ratio, weights=1 / err**2)
    return (ratio / mean - 1) / err


def test_hand_worked_zero_points():
    # Two stars, three frames; the second star is missing in the last frame: its zero point comes from the
    # first star alone, and no frame is lost.
    mag = np.array([[-10.0, -9.9, -9.5], [-8.0, -7.9, np.nan]])
    found = solve_ensemble(mag, np.full(mag.shape, 1e-4))
    assert np.diff(found.zero) == pytest.approx([0.1, 0.4])
    assert found.mag[1] - found.mag[0] == pytest.approx(2.0)
    # Variance of the last zero point: 1e-4 of the star, and that of its M against the mean of both stars.
    assert found.zero_err[2] > found.zero_err[0]
    assert found.n_stars.tolist() == [2, 2, 1]


def test_stars_or_frames_are_eliminated_with_the_same_result():
    rng = np.random.default_rng(5)
    weight = rng.uniform(1e3, 1e5, (7, 12)) * (rng.random((7, 12)) > 0.2)  # (frame, star)
    weight[3] = 0  # a frame without a star
    weight[:, 4] = 0  # a star without a frame
    mag = np.where(weight.T > 0, rng.normal(-9, 1, (12, 7)), 0.0)
    seen, used = weight.any(axis=1), weight.any(axis=0)
    one = np.where(seen, 1 / np.where(seen, weight.sum(axis=1), 1), 1.0)[:, None, None]
    by_stars = _by_stars(weight, mag, used, np.ones((12, 1)), one)
    by_frames = _by_frames(weight, mag, seen, used)
    for got, want, some in zip(by_frames, by_stars, (used, used, (..., seen), seen), strict=True):
        assert got[some] == pytest.approx(want[some], rel=1e-8)


def test_zero_points_have_the_errors_they_tell():
    rng, pull = np.random.default_rng(1), []
    err = np.linspace(0.002, 0.01, 6)[:, None]
    for _ in range(60):
        zero = np.cumsum(rng.normal(0, 0.1, 30))
        found = solve_ensemble(zero[None] + rng.normal(0, 1, (6, 30)) * err, np.broadcast_to(err**2, (6, 30)))
        step = np.diff(found.zero - zero) / np.hypot(found.zero_err[1:], found.zero_err[:-1])
        pull.append(step)
    # The errors of the stars' own levels are common to both, and excesses are never negative: 0.95.
    assert np.std(pull) == pytest.approx(0.95, abs=0.05)


def test_frames_without_a_common_star_are_refused():
    mag = np.array([[-10.0, -10.0, np.nan, np.nan], [np.nan, np.nan, -9.0, -9.0]])
    with pytest.raises(MatchError, match="2 groups that share no comparison star"):
        solve_ensemble(mag, np.full(mag.shape, 1e-4))


@pytest.mark.slow
@pytest.mark.parametrize(
    "night",
    [
        {}, {"twinkle": 0.004}, {"target": 500.0, "sky": 200.0}, {"gain": 0.2}, {"slope": 0.05},
        {"n_stars": 4},
    ],
    ids=["photons", "scintillation", "faint", "unknown gain", "slope", "three stars"],
)  # fmt: skip
def test_errors_of_light_curves_are_those_they_have(night):
    # 24 seeds of each gave 0.96 to 1.03 (docs/numbers.md); here fewer.
    found = []
    for seed in range(5):
        raw, curve = field(seed, **night)
        found.append(pulls(raw, curve, curves(raw)))
    assert np.std(found, ddof=1) == pytest.approx(1, abs=0.1)


def test_errors_of_a_light_curve_are_those_it_has():
    found = []
    for seed in range(3):
        raw, curve = field(seed, twinkle=0.003)
        found.append(pulls(raw, curve, curves(raw)))
    assert np.std(found, ddof=1) == pytest.approx(1, abs=0.12)


def test_scintillation_is_in_every_star_and_so_times_one_plus_one_over_n():
    raw, _ = field(0, n_stars=3, brightest=1e9, faintest=1e9, target=1e9, twinkle=0.005)
    found = curves(raw)
    # Two comparison stars of the target's brightness: 0.005 sqrt(1 + 1/2).
    assert np.median(found.err[0]) == pytest.approx(0.005 * np.sqrt(1.5), rel=0.1)


def test_slopes_are_kept_only_where_the_field_asks_for_them():
    assert curves(field(2, slope=0.08)[0]).sloping
    assert not curves(field(2)[0]).sloping


def test_unknown_gain_is_measured_from_comparison_stars():
    found = curves(field(4, gain=0.2)[0])
    assert found.photons == pytest.approx(0.2, rel=0.15)


def test_a_variable_star_is_no_comparison_star_and_spoils_nothing():
    wave = 1 + 0.05 * np.sin(np.linspace(0, 9, 80))
    raw, curve = field(3, curves={5: wave})
    found = curves(raw)
    assert 5 not in found.chosen.stars
    assert "varies by itself" in found.chosen.reasons[5]
    assert np.std(pulls(raw, curve, found)) == pytest.approx(1, abs=0.2)
    # Its own curve is there, with its errors.
    assert np.std(pulls(raw, curve, found, 5)) == pytest.approx(1, abs=0.25)


def test_known_variables_and_what_the_user_names():
    raw, _ = field(3)
    every = np.ones(80, bool)
    barred = {2: "a known variable (X Cyg, VSX)"}
    auto = make_curves(raw, every, barred=barred, given=None, options=CompareOptions())
    assert 2 not in auto.chosen.stars
    mine = make_curves(raw, every, barred=barred, given=np.array([2, 4, 6]), options=CompareOptions())
    assert mine.chosen.stars.tolist() == [2, 4, 6]
    assert any("kept as you asked" in note and "X Cyg" in note for note in mine.notes)


def test_all_comparison_stars_saturated_is_told():
    raw, _ = field(0)
    raw.flags[:, 1:] |= np.uint32(int(Quality.SATURATED))
    with pytest.raises(MatchError, match=r"are none: 1 the target; 29 saturated\. Expose shorter"):
        curves(raw)


def test_no_comparison_star_is_told():
    raw, _ = field(0, n_stars=1)
    with pytest.raises(MatchError, match="are none: 1 the target"):
        curves(raw)


def test_all_variable_leaves_what_is_least_so_and_errors_that_say_it():
    rng = np.random.default_rng(0)
    waves = {i: 1 + 0.05 * np.sin(rng.uniform(3, 9) * np.linspace(0, 3, 80) + i) for i in range(1, 12)}
    raw, _ = field(0, n_stars=12, curves=waves)
    found = curves(raw)
    # Nothing is constant to 0.1 per cent: the errors hold the stars' own scatter, ten times that of photons.
    photons = np.median(np.sqrt(raw.variance[0, 0]) / raw.flux[0, 0])
    assert np.median(found.err[0]) > 3 * photons


def test_a_star_that_fails_in_a_frame_is_missing_there_alone():
    raw, curve = field(6)
    raw.flux[:, 3, 10] = np.nan
    raw.flags[:, 3, 10] |= np.uint32(int(SourceFlag.CUT))
    raw.flux[:, 4, 20] *= 0.5  # a cosmic ray, or a passing wing: an outlier
    found = curves(raw)
    assert np.isfinite(found.flux[0]).all()
    assert np.abs(pulls(raw, curve, found))[[10, 20]].max() < 4


def test_one_comparison_star_is_told():
    raw, _ = field(0, n_stars=2)
    found = curves(raw)
    assert "one comparison star cannot show that it is constant" in found.notes
    assert np.isfinite(found.flux[0]).all()


def test_negative_fluxes_stay_negative():
    raw, _ = field(1, target=1.0, sky=300.0)
    found = curves(raw)
    assert (found.flux[0] < 0).sum() > 10
    assert np.isfinite(found.err[0]).all()


def test_candidates_out_of_the_frame_or_crowded_are_told():
    raw, _ = field(2)
    raw.flux[:, 7, 20:] = np.nan
    raw.flags[:, 8] |= np.uint32(int(SourceFlag.CROWDED))
    light = Light(*(getattr(raw, name)[0].astype(float) for name in ("flux", "variance")), raw.flags[0])
    chosen = choose(light, barred={0: "the target"}, options=CompareOptions())
    assert chosen.reasons[7] == "not in the frame often enough"
    assert chosen.reasons[8] == "a neighbor's light is in the aperture"


def test_red_noise_is_seen_and_white_noise_is_not():
    rng = np.random.default_rng(2)
    time = np.arange(400) * 60 / 86400
    white = rng.normal(0, 0.003, 400)
    alone = red_noise(time, white)
    assert abs(alone.beta - 1) < 2.5 * alone.beta_err
    assert 0.05 < alone.beta_err < 0.25
    slow = np.repeat(rng.normal(0, 0.002, 10), 40)  # steps of 40 minutes: does not average out within them
    found = red_noise(time, white + slow)
    assert found.beta > 1.7
    assert found.sigma_red == pytest.approx(0.002, rel=0.5)
    assert found.factor == found.beta


def test_bins_end_at_gaps():
    time = np.append(np.arange(50), 5000 + np.arange(50)) * 60 / 86400
    residual = np.append(np.full(50, 0.01), np.full(50, -0.01)) + np.tile([1e-4, -1e-4], 50)
    found = red_noise(time, residual)
    # No bin mixes the two nights: four averages of +1 and -1 per cent have a deviation of 1.15 per cent.
    assert found.scatter[-1] == pytest.approx(0.01 * np.sqrt(4 / 3), rel=0.01)


def test_variability_indices():
    rng = np.random.default_rng(3)
    time, err = np.arange(200) * 1e-3, np.full((2, 200), 0.01)
    mag = rng.normal(0, 0.01, (2, 200))
    mag[1] += 0.05 * np.sin(time * 60)
    found = variability(mag, err, time)
    assert found["chi2_reduced"][0] == pytest.approx(1, abs=0.3)
    assert found["von_neumann_eta"][0] == pytest.approx(2, abs=0.3)
    assert abs(found["stetson_j"][0]) < 0.3
    assert found["chi2_reduced"][1] > 10
    assert found["von_neumann_eta"][1] < 0.3
    assert found["stetson_j"][1] > 2
    assert found["mad"][0] == pytest.approx(0.01, rel=0.2)
    assert found["iqr"][0] == pytest.approx(0.0135, rel=0.2)
    few = variability(mag[:, :4], err[:, :4], time[:4])
    assert np.isnan(few["chi2_reduced"]).all()


def test_apertures_in_which_stars_scatter_as_little_are_as_good():
    one, *_ = field(3)
    noise = np.random.default_rng(3).standard_normal((2, *one.flux.shape[1:]))
    spread = np.array([0.1, 1.5])[:, None, None] * np.sqrt(one.variance)
    flux = np.concatenate([one.flux, one.flux + spread * noise]).astype(np.float32)
    raw = replace(
        one, flux=flux, variance=one.variance.repeat(3, axis=0), flags=one.flags.repeat(3, axis=0),
        factor=np.array([1.8, 2.2, 2.6]),
    )  # fmt: skip
    found = curves(raw)
    assert found.tried[2] > 1.3 * found.tried.min()
    assert {found.aperture, *found.others} == {0, 1}
    for flux_rel, err in found.others.values():
        assert flux_rel.shape == err.shape == (raw.flux.shape[2],)
        assert np.corrcoef(flux_rel, found.flux[0])[0, 1] > 0.5
