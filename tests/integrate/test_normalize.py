"""Normalization terms and star flux ratios."""

import numpy as np
import pytest

from sciastro.core.stars import STAR_DTYPE
from sciastro.errors import DatasetError
from sciastro.integrate.normalize import NormalizeOptions, flux_ratio, terms, transparency


def apply(t, i, electrons):
    return (electrons - t.pedestal[i]) * t.scale[i] + t.offset[i]


def test_both_hand_worked():
    # Frame 1: 20 s, sky 5 e/s, transparency 0.5; a star of 40 e/s at full transparency gives
    # (5 + 20) * 20 = 500 e. Normalized to the sky of frame 0 (2 e/s): 40 + 2 = 42 e/s.
    t = terms([10.0, 20.0], [2.0, 5.0], [1.0, 0.5])
    assert apply(t, 1, 500.0) == pytest.approx(42.0)
    assert apply(t, 0, 420.0) == pytest.approx(42.0)


@pytest.mark.parametrize(
    "mode, want", [("none", 25.0), ("additive", 22.0), ("multiplicative", 50.0), ("both", 42.0)]
)
def test_modes(mode, want):
    t = terms([10.0, 20.0], [2.0, 5.0], [1.0, 0.5], options=NormalizeOptions(mode=mode))
    assert apply(t, 1, 500.0) == pytest.approx(want)


def test_transparency_is_taken_relative_to_the_reference():
    t = terms([1.0, 1.0], [0.0, 0.0], [0.5, 0.25], reference=0)
    assert apply(t, 0, 10.0) == pytest.approx(10.0)
    assert apply(t, 1, 5.0) == pytest.approx(10.0)


def test_unknown_sky_and_transparency_change_nothing():
    t = terms([2.0, 2.0], [3.0, np.nan], [1.0, np.nan])
    assert apply(t, 1, 8.0) == pytest.approx(4.0)
    assert apply(terms([2.0], None, None), 0, 8.0) == pytest.approx(4.0)


@pytest.mark.parametrize("exposure, t, where", [([0.0], [1.0], "exposure"), ([1.0], [-1.0], "transparency")])
def test_nonsense_is_refused(exposure, t, where):
    with pytest.raises(DatasetError, match=f"coordinate '{where}': holds"):
        terms(exposure, [1.0], t)


def test_flux_ratio_is_robust_and_its_error_is_true():
    rng = np.random.default_rng(1)
    ratios, errors = [], []
    for _ in range(200):
        flux = rng.uniform(1e3, 1e5, 60)
        err = np.full(60, 60.0)
        seen = 0.7 * flux + rng.normal(0, err)
        seen[:6] *= rng.uniform(2, 5, 6)  # blends, variables
        ratio, error, used = flux_ratio(seen, err, flux + rng.normal(0, err), err)
        ratios.append(ratio)
        errors.append(error)
        assert 40 <= used <= 58
    assert np.mean(ratios) == pytest.approx(0.7, rel=2e-3)
    assert np.std(ratios) == pytest.approx(np.mean(errors), rel=0.4)


def test_few_stars_give_no_ratio():
    ratio, error, used = flux_ratio([1.0, np.nan, 2.0], [0.1] * 3, [1.0, 1.0, 2.0], [0.1] * 3)
    assert np.isnan(ratio)
    assert np.isnan(error)
    assert used == 2


def test_transparency_from_star_lists_leaves_saturated_stars_out():
    stars, reference = np.zeros(6, STAR_DTYPE), np.zeros(6, STAR_DTYPE)
    reference["flux"], reference["flux_err"] = np.linspace(100, 600, 6), 1
    stars["flux"], stars["flux_err"] = 0.8 * 2 * reference["flux"], 1
    stars["flux"][0], stars["quality"][0] = 1e6, 2
    got, _, used = transparency(stars, np.arange(6), reference, np.arange(6), 20.0, 10.0)
    assert got == pytest.approx(0.8, rel=1e-5)
    assert used == 5
