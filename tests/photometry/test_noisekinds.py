"""Noise that remembers: the filter against matrices, shares against fields of known noise, errors."""

from dataclasses import replace

import numpy as np
import pytest
from test_transit import night

from sciastro.kernels.likelihood import filter_gains, log_likelihood, whiten
from sciastro.photometry.baselines import Points, evidence_of_noise, trend_variance
from sciastro.photometry.noisekinds import TREND, UNKNOWN_NOISE, learn_noise, make_filters
from sciastro.photometry.transit import causes_to_try, fit_transit
from sciastro.photometry.transitoptions import TransitOptions
from sciastro.photometry.trends import make_trends


def covariance(time, variance, red, tau):
    return np.diag(variance) + red * np.exp(-np.abs(time[:, None] - time[None, :]) / tau)


def remembering(rng, time, tau):
    """Return a process of variance 1 whose correlation falls as exp(-dt / tau), by its matrix."""
    root = np.linalg.cholesky(covariance(time, np.full(time.size, 1e-9), 1.0, tau))
    return root @ rng.standard_normal(time.size)


@pytest.mark.parametrize(("red", "tau"), [(0.0, 1.0), (0.5, 0.02), (30.0, 0.003), (4.0, 0.5)])
def test_filter_makes_of_any_columns_what_the_matrix_makes(red, tau):
    rng = np.random.default_rng(4)
    time = np.sort(rng.uniform(0, 0.3, 40))
    variance, columns = rng.uniform(0.5, 2, 40), rng.normal(size=(40, 3))
    keep, gain, root = np.empty((3, 40))
    logdet = filter_gains(time, variance, red, tau, keep, gain, root)
    out = np.empty_like(columns)
    whiten(keep, gain, root, columns, out)
    full = covariance(time, variance, red, tau)
    assert logdet == pytest.approx(np.linalg.slogdet(full)[1], rel=1e-10)
    np.testing.assert_allclose(out.T @ out, columns.T @ np.linalg.solve(full, columns), rtol=1e-9)


def test_likelihood_is_that_of_matrices_set_by_set():
    rng = np.random.default_rng(5)
    n, m = 30, 4
    time, variance = np.sort(rng.uniform(0, 0.2, n)), rng.uniform(0.5, 2, n)
    basis = np.column_stack([np.ones(n), rng.normal(size=(n, m - 1))])
    basis[:, 3] = basis[:, 1]  # the same cause twice: sets of both are not determined
    transit, flux = rng.uniform(0.9, 1, n), 20 + rng.normal(size=n)
    sets = np.array(
        [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1], [1, 0, 1, 0], [1, 0, 1, 1]], bool
    )
    kinds = ((0.0, 1.0), (2.0, 0.03))
    gains = np.empty((3, 2, n))
    for g, (red, tau) in enumerate(kinds):
        filter_gains(time, variance, red, tau, *gains[:, g])
    prior, freedom = rng.normal(size=(2, 6)), n - sets.sum(axis=1) + 0.0
    prior[1, 2] = -np.inf
    # An odd number of transits, one of which no orbit has: each has its own, whoever is beside it.
    transits = np.stack([rng.uniform(0.9, 1, n), np.full(n, np.nan), transit])
    values, each, chi2 = np.empty(3), np.empty((3, 2, 6)), np.empty((3, 2, 6))
    ridge = np.array([0.0, 0.0, 2.0, 0.0])
    log_likelihood(transits, flux, basis, ridge, *gains, sets, prior, freedom, each, chi2, values)
    assert values[1] == -np.inf
    assert np.isfinite(values[0]) and values[0] != values[2]
    value, each, chi2 = values[2], each[2], chi2[2]
    assert not np.isfinite(each[:, 3]).any()
    assert each[1, 2] == -np.inf
    for g, kind in enumerate(kinds):
        inverse = np.linalg.inv(covariance(time, variance, *kind))
        for s in (0, 1, 2, 4, 5):
            if np.isfinite(prior[g, s]):
                design = basis[:, sets[s]] * transit[:, None]
                normal = design.T @ inverse @ design + np.diag(ridge[sets[s]])
                c = np.linalg.solve(normal, design.T @ inverse @ flux)
                rest = flux - design @ c
                held = np.sum(ridge[sets[s]] * c**2)
                assert chi2[g, s] == pytest.approx(rest @ inverse @ rest + held, rel=1e-6)
                expected = (
                    prior[g, s] - freedom[s] / 2 * np.log(chi2[g, s]) - np.linalg.slogdet(normal)[1] / 2
                )
                assert each[g, s] == pytest.approx(expected, rel=1e-8)
    assert value == pytest.approx(np.logaddexp.reduce(each[np.isfinite(each)]))


def field(seed, stars, red=0.0, n=100):
    """Return the evidence of each kind of noise (star, kind), for constant stars with trends of their own."""
    rng = np.random.default_rng([seed, 3])
    time = np.linspace(0.4, 0.68, n)
    causes = {"airmass": 1 + 32 * (time - 0.5) ** 2, "fwhm": rng.normal(3, 0.2, n), "x": np.linspace(0, 9, n)}
    trends = make_trends(causes, np.ones(n, bool), np.zeros(n, np.int64))
    every, err, rows = causes_to_try(trends, "auto"), np.full(n, 0.004), []
    for _ in range(stars):
        flux = 1 + 0.002 * rng.normal() * trends.columns["airmass"][:, 0] + rng.normal(0, 0.003, n)
        flux += 0.003 * red * remembering(rng, time, 30 / 1440)
        rows.append(evidence_of_noise(Points(time, flux, err, err, 1, 0.0, 0.0, (0.4, 0.2)), trends, every))
    return np.array(rows)


def test_stars_tell_how_often_noise_is_red():
    white, red = (learn_noise(field(1, 20, red)).share for red in (0.0, 1.0))
    assert white[0] > 0.7
    assert white[UNKNOWN_NOISE.ratio < 3].sum() > 0.9
    assert red[0] < 0.1
    minutes = np.average(UNKNOWN_NOISE.minutes[1:], weights=red[1:])
    assert 10 < minutes < 90
    assert learn_noise(np.empty((0, 16))) is UNKNOWN_NOISE
    for one in (white, red):
        assert one.sum() == pytest.approx(1)


@pytest.mark.parametrize("size", [0.0, 0.004, 0.02])
def test_stars_tell_how_large_trends_are(size):
    rng, n = np.random.default_rng(6), 120
    time = np.linspace(0.4, 0.68, n)
    causes = {"airmass": 1 + 32 * (time - 0.5) ** 2, "fwhm": rng.normal(3, 0.2, n), "x": np.linspace(0, 9, n)}
    trends, found = make_trends(causes, np.ones(n, bool), np.zeros(n, np.int64)), []
    for _ in range(60):  # of any brightness: trends are relative
        level = rng.uniform(0.5, 50)
        flux = 1 + size * rng.normal() * trends.columns["airmass"][:, 0] + rng.normal(0, 0.003, n)
        points = Points(time, level * flux, np.full(n, level * 0.003), time, 1, 0.0, 0.0, (0.4, 0.2))
        found.append(trend_variance(points, trends.basis(("airmass", "fwhm", "x"))))
    learned = learn_noise(np.zeros((60, 16)), trends=np.array(found)).trend
    expected = np.sqrt((60 * size**2 + 2 * TREND**2) / 62)
    assert learned == pytest.approx(expected, rel=0.35)
    assert learn_noise(np.zeros((60, 16))).trend == TREND


def test_trends_of_the_size_of_other_stars_undo_no_transit():
    """A transit three times as long, whose light trends of 5 per cent undo, fits as well where they may."""
    *points, _ = night(2, n=24, sigma=0.005, k=0.14, duration=0.07)
    how = TransitOptions(steps=1000, transit="yes")
    far = {}
    for size in (0.004, 1.0):
        kinds = replace(UNKNOWN_NOISE, trend=size)
        fit = fit_transit(*points, options=how, kinds=kinds)
        far[size] = np.mean(fit.samples["duration"] > 0.12)
    assert far[0.004] < 0.02 < far[1.0], far


def test_filters_do_not_depend_on_the_unit_or_the_cadence_of_points():
    # Ten times as many points of ten times the variance are the same light curve: so is the noise.
    few, many = np.linspace(0, 0.3, 60), np.linspace(0, 0.3, 600)
    one, other = make_filters(few, np.full(60, 0.01)), make_filters(many, np.full(600, 0.01 * 10**0.5))
    np.testing.assert_allclose(one.deviation, other.deviation, rtol=0.01)


@pytest.mark.slow
def test_errors_hold_red_noise_and_white_noise_alike():
    """Five fields each; errors of t0 in white noise are those of a fit that knows it to be white."""
    pulls = {0.0: [], 0.8: []}
    wider = []
    for red, rows in pulls.items():
        for seed in range(5):
            kinds = learn_noise(field(seed, 20, red, n=150))
            *points, truth = night(seed)
            time, flux, err, exposure, trends = points
            rng = np.random.default_rng([seed, 11])
            flux = flux + 0.003 * red * remembering(rng, time, 30 / 1440)
            how = TransitOptions(period=3.0, steps=500, seed=seed, transit="yes")
            fit = fit_transit(time, flux, err, exposure, trends, options=how, kinds=kinds)
            rows.append([(fit.values[key] - truth[key]) / fit.errors[key] for key in ("t0", "depth")])
            if not red:
                sure = learn_noise(np.where(np.arange(16) == 0, 0.0, -np.inf)[None].repeat(500, axis=0))
                plain = fit_transit(time, flux, err, exposure, trends, options=how, kinds=sure)
                wider.append(fit.errors["t0"] / plain.errors["t0"])
    rms = {red: np.sqrt(np.mean(np.square(rows), axis=0)) for red, rows in pulls.items()}
    # t0, depth: 0.79, 0.49 in white noise, 0.75, 1.12 in red, errors 1.07 times as wide (1.06, 0.46; 0.72,
    # 0.82; 1.05 of ten fields); of five, that of a standard normal is 0.68 to 1.32 by chance.
    assert all((one < 1.6).all() for one in rms.values()), rms
    assert np.median(wider) < 1.15, wider
