import numpy as np
import pytest

from sciastro.errors import OptionError
from sciastro.photometry.robust import fit_linear
from sciastro.photometry.zeropoint import ZeroPointOptions, fit_zeropoint


def stars(rng, n, *, zero=22.5, term=0.08, scatter=0.03, outliers=0.0, colors=(0.2, 1.4)):
    color = rng.uniform(*colors, n)
    truth = rng.uniform(9, 14, n)
    inst_err, cat_err = rng.uniform(0.002, 0.03, n), rng.uniform(0.01, 0.03, n)
    cat = truth + rng.normal(0, cat_err)
    inst = truth - zero - term * (color - 0.7) + rng.normal(0, inst_err) + rng.normal(0, scatter, n)
    wrong = rng.random(n) < outliers
    inst[wrong] += rng.choice([-1, 1], wrong.sum()) * rng.uniform(0.4, 2, wrong.sum())
    return inst, inst_err, cat, cat_err, color


@pytest.mark.parametrize("n, outliers", [(40, 0.0), (40, 0.1), (300, 0.05)])
def test_pulls_of_zero_point_and_color_term(n, outliers):
    rng = np.random.default_rng(n)
    options = ZeroPointOptions(color_reference=0.7)
    pulls, scatters = [], []
    for _ in range(150):
        fit, reason = fit_zeropoint(*stars(rng, n, outliers=outliers), options=options)
        assert not reason
        pulls.append(((fit.mag - 22.5) / fit.err, (fit.color_term - 0.08) / fit.color_term_err))
        scatters.append(fit.scatter)
    std, mean = np.std(pulls, axis=0), np.mean(pulls, axis=0)
    assert (std > 0.85).all() and (std < 1.18).all(), std
    assert (np.abs(mean) < 0.3).all(), mean
    assert np.mean(scatters) == pytest.approx(0.03, abs=0.006)


def test_outliers_are_counted_as_rejected():
    rng = np.random.default_rng(2)
    inst, inst_err, cat, cat_err, color = stars(rng, 50, scatter=0.0)
    inst[:5] += 1.5
    fit, _ = fit_zeropoint(inst, inst_err, cat, cat_err, color, options=ZeroPointOptions(color_reference=0.7))
    assert fit.n_rejected == 5
    assert fit.n_stars == 45
    assert abs(fit.mag - 22.5) < 4 * fit.err


def test_reduced_chi2_is_one_where_the_errors_are_right():
    fits = [fit_zeropoint(*stars(np.random.default_rng(s), 50, scatter=0.0))[0] for s in range(60)]
    assert np.mean([fit.chi2 for fit in fits]) == pytest.approx(1.0, abs=0.1)


def test_few_stars_get_no_color_term_and_it_is_said():
    fit, _ = fit_zeropoint(*stars(np.random.default_rng(3), 8, term=0.0))
    assert fit.color_term == 0
    assert np.isnan(fit.color_term_err)
    assert "no color term: 8 stars have colors" in fit.note
    assert fit.covariance[1] == (0.0, 0.0)
    assert abs(fit.mag - 22.5) < 5 * fit.err


def test_narrow_colors_get_no_color_term():
    fit, _ = fit_zeropoint(*stars(np.random.default_rng(3), 60, colors=(0.6, 0.8)))
    assert "colors span" in fit.note
    assert fit.color_reference == pytest.approx(0.7, abs=0.03)


def test_under_determined_is_refused():
    values = stars(np.random.default_rng(3), 2)
    fit, reason = fit_zeropoint(*values)
    assert fit is None
    assert "2 matched stars" in reason
    nothing = np.full(10, np.nan)
    fit, reason = fit_zeropoint(nothing, nothing, nothing, nothing, nothing)
    assert fit is None
    assert "0 matched stars" in reason
    with pytest.raises(OptionError):
        ZeroPointOptions(min_stars=2)


def test_hand_worked_zero_point():
    # Three stars of equal error 0.1 and offsets 20.0, 20.1, 20.2: mean 20.1; chi2 of the errors alone is
    # (1 + 0 + 1) / 2 = 1, so there is no extra scatter and the error is 0.1 / sqrt(3).
    offsets = np.array([20.0, 20.1, 20.2])
    nan = np.full(3, np.nan)
    fit, _ = fit_zeropoint(np.zeros(3), np.full(3, 0.1), offsets, np.zeros(3), nan)
    assert fit.mag == pytest.approx(20.1)
    assert fit.err == pytest.approx(0.1 / np.sqrt(3), rel=1e-4)
    assert fit.scatter == pytest.approx(0, abs=1e-3)
    assert fit.chi2 == pytest.approx(1)
    assert np.isnan(fit.color_reference)


def test_scatter_is_found_where_errors_are_unknown():
    rng = np.random.default_rng(5)
    found = [fit_linear(np.ones((30, 1)), rng.normal(5, 0.2, 30), np.zeros(30)) for _ in range(200)]
    assert np.mean([fit.scatter for fit in found]) == pytest.approx(0.2, abs=0.01)
    pulls = [(fit.coefficients[0] - 5) / np.sqrt(fit.covariance[0, 0]) for fit in found]
    assert np.std(pulls) == pytest.approx(1, abs=0.15)


def test_fit_linear_needs_enough_samples():
    with pytest.raises(ValueError, match="cannot fix 2 terms"):
        fit_linear(np.ones((1, 2)), np.ones(1), np.ones(1))
