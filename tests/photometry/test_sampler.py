"""Walkers against distributions of known moments, and against the stretch move."""

import numpy as np
import pytest
from test_transit import night

from sciastro.photometry import sampler, transitposterior
from sciastro.photometry.sampler import autocorrelation_time, sample
from sciastro.photometry.transit import fit_transit
from sciastro.photometry.transitoptions import TransitOptions


def gaussian(x, covariance):
    return -0.5 * np.einsum("ij,jk,ik->i", x, np.linalg.inv(covariance), x)


def six_dimensions():
    """Return a covariance whose parameters differ a thousandfold and correlate by up to 0.95."""
    rng = np.random.default_rng(8)
    root = rng.normal(size=(6, 6))
    root[1] = 0.3 * root[1] + root[0]
    return root @ root.T * np.outer(*(2 * (np.geomspace(1e-3, 1, 6),)))


def stretched(log_probability, start, rng, steps):
    """Return a chain of the stretch move (Goodman & Weare 2010), walker by walker."""
    place, now = start.copy(), log_probability(start)
    n, d = start.shape
    chain = np.empty((steps, n, d))
    for step in range(steps):
        for i in range(n):
            z = (rng.random() + 1) ** 2 / 2
            other = place[(i + rng.integers(1, n)) % n]
            trial = other + z * (place[i] - other)
            value = log_probability(trial[None])[0]
            if np.log(rng.random()) < (d - 1) * np.log(z) + value - now[i]:
                place[i], now[i] = trial, value
        chain[step] = place
    return chain


def test_moments_of_a_correlated_gaussian_and_fewer_steps_than_by_stretching():
    covariance = six_dimensions()
    rng = np.random.default_rng(0)
    start = rng.multivariate_normal(np.zeros(6), covariance, size=24)
    draws = sample(lambda x: gaussian(x, covariance), start, rng=rng, most=8000, lengths=1000)
    assert draws.converged and not draws.late
    root = np.linalg.cholesky(covariance)
    white = np.linalg.solve(root, draws.flat.T)
    assert np.abs(white.mean(axis=1)).max() < 5 / draws.effective**0.5
    np.testing.assert_allclose(np.cov(white), np.eye(6), atol=7 / draws.effective**0.5)
    assert 0.3 < draws.acceptance < 0.7
    chain = stretched(lambda x: gaussian(x, covariance), start, rng, 1500)
    # 5 and 40 to 50: an eighth
    assert draws.autocorrelation.max() < autocorrelation_time(chain).max() / 4


def test_moments_of_a_banana():
    """x is normal of sigma 1, y = x squared + normal of sigma 1 (Haario et al. 1999 bend so)."""

    def log_probability(x):
        return -0.5 * x[:, 0] ** 2 - 0.5 * (x[:, 1] - x[:, 0] ** 2) ** 2 - 0.5 * x[:, 2] ** 2

    rng = np.random.default_rng(1)
    start = rng.normal(size=(24, 3)) * 0.1
    draws = sample(log_probability, start, rng=rng, most=20_000, lengths=100)
    x, y, z = draws.flat.T
    few = draws.effective**0.5
    assert draws.converged
    for found, true, spread in (
        (x.mean(), 0, 1), (x.var(), 1, 1.5), (y.mean(), 1, 1.5), (y.var(), 3, 9), (z.var(), 1, 1.5),
        ((x * y).mean(), 0, 4),
    ):  # fmt: skip
        assert abs(found - true) < 5 * spread / few


def test_a_parameter_that_is_even_about_zero_is_mirrored_there():
    """Half of a normal distribution, bent with another parameter: mirrored jumps leave it as it is."""

    def log_probability(x):
        inside = np.where(x[:, 1] >= 0, 0.0, -np.inf)
        return inside - 0.5 * x[:, 1] ** 2 - 0.5 * (x[:, 0] - x[:, 1] ** 2) ** 2

    rng = np.random.default_rng(2)
    for even in (1, None):
        start = np.abs(rng.normal(size=(16, 2)))
        draws = sample(log_probability, start, rng=rng, most=20_000, lengths=300, even=even)
        few = draws.effective**0.5
        assert draws.converged
        x, y = draws.flat.T
        assert y.min() >= 0
        assert abs(y.mean() - (2 / np.pi) ** 0.5) < 5 * 0.6 / few
        assert abs((y**2).mean() - 1) < 5 * 1.5 / few
        assert abs(x.mean() - 1) < 5 * 1.7 / few


def test_two_modes_keep_their_shares():
    """0.7 about -3 and 0.3 about 3, each of sigma 1."""

    def log_probability(x):
        low, high = np.sum((x + 3) ** 2, axis=1), np.sum((x - 3) ** 2, axis=1)
        return np.logaddexp(np.log(0.7) - 0.5 * low, np.log(0.3) - 0.5 * high)

    rng = np.random.default_rng(3)
    start = rng.normal(size=(16, 2)) + rng.choice([-3, 3], (16, 1))
    draws = sample(log_probability, start, rng=rng, most=20_000, lengths=300)
    assert draws.converged
    assert np.mean(draws.flat[:, 0] < 0) == pytest.approx(0.7, abs=5 * 0.46 / draws.effective**0.5)


def test_snooker_moves_leave_a_distribution_as_it_is():
    """Draws of a Gaussian are moved along lines to fixed walkers: by any other ratio they drift outward."""
    rng = np.random.default_rng(6)
    n, d = 40_000, 4
    place, third = rng.normal(size=(n, d)), rng.normal(size=(5, d))
    for one in third:
        trial, odds = sampler._snooker(place, rng.normal(size=(n, d)), np.broadcast_to(one, (n, d)), rng)
        yes = np.log(rng.random(n)) < odds - 0.5 * (np.sum(trial**2, axis=1) - np.sum(place**2, axis=1))
        assert 0.2 < yes.mean() < 0.8
        place[yes] = trial[yes]
    assert np.abs(place.mean(axis=0)).max() < 5 / n**0.5
    assert np.mean(np.sum(place**2, axis=1)) == pytest.approx(d, abs=5 * (2 * d / n) ** 0.5)


def test_nothing_is_learned_from_draws_that_are_kept(monkeypatch):
    """Jumps that follow the chain would not leave the distribution as it is."""
    seen, learned = [], sampler._learned

    def watched(draws, even):
        seen.append(len(draws))
        return learned(draws, even)

    monkeypatch.setattr(sampler, "_learned", watched)
    rng = np.random.default_rng(7)
    start = rng.normal(size=(12, 2))
    draws = sample(lambda x: gaussian(x, np.eye(2)), start, rng=rng, burn=100, most=500, lengths=1e9)
    assert len(draws.chain) == 500
    assert seen == [25 * 12, 50 * 12]  # the second quarter of the burn, then its second half


@pytest.mark.slow
def test_the_posterior_of_a_transit_is_that_of_stretching(monkeypatch):
    *points, _ = night(3)
    grabbed = {}

    def keep(log_probability, start, **how):
        grabbed.update(target=log_probability, start=start)
        return sample(log_probability, start, **how)

    monkeypatch.setattr(transitposterior, "sample", keep)
    fit = fit_transit(*points, options=TransitOptions(period=3.0))
    assert fit.draws.converged
    start = grabbed["start"][::2]
    chain = stretched(grabbed["target"], start, np.random.default_rng(6), 4000)[500:]
    times = autocorrelation_time(chain)
    few = (chain.shape[0] * chain.shape[1] / times) ** 0.5
    flat, mine = chain.reshape(-1, 6), fit.draws.flat
    spread = mine.std(axis=0)
    # medians of so few draws scatter by 1.25 sigma over their root
    assert (np.abs(np.median(flat, axis=0) - np.median(mine, axis=0)) < 5 * 1.25 * spread / few).all()
    np.testing.assert_allclose(flat.std(axis=0), spread, rtol=0.2)
    assert fit.draws.autocorrelation.max() < times.max() / 3


def test_time_that_ends_the_walkers_is_told():
    rng = np.random.default_rng(4)
    start = rng.normal(size=(16, 2))
    draws = sample(lambda x: gaussian(x, np.eye(2)), start, rng=rng, check=50, lengths=1e9, seconds=0.0)
    assert draws.late and not draws.converged
    assert len(draws.chain) == 50
    steps = sample(lambda x: gaussian(x, np.eye(2)), start, rng=rng, most=100, lengths=1e9)
    assert not steps.late and not steps.converged


def test_walkers_in_a_plane_jump_no_further():
    """Where a parameter has but one value nothing is learned, and nothing fails."""
    rng = np.random.default_rng(5)
    start = np.column_stack([rng.normal(size=12), np.ones(12)])
    draws = sample(lambda x: -0.5 * x[:, 0] ** 2, start, rng=rng, most=400)
    assert (draws.flat[:, 1] == 1).all()
    assert draws.flat[:, 0].std() == pytest.approx(1, abs=0.3)
