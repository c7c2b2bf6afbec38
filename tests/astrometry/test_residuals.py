"""Formal and empirical errors of residuals, where both are known."""

import numpy as np
import pytest
from astropy import units as u
from star_lists import as_stars, catalog_of, distort, random_sky

from sciastro.astrometry.residuals import (
    DESCRIPTIONS,
    agreement,
    empirical_errors,
    leverage,
    magnitude_bins,
)
from sciastro.astrometry.sky import Hint
from sciastro.astrometry.solve import solve_field
from sciastro.core import transform
from sciastro.core.wcs import tan_wcs

SHAPE, SCALE = (1400, 2000), 2.0


def test_leverage_is_the_diagonal_of_the_hat_matrix():
    rng = np.random.default_rng(1)
    points, sigma = rng.uniform(0, 2000, (40, 2)), rng.uniform(0.05, 0.2, 40)
    keep = rng.uniform(size=40) < 0.8
    matrix = transform.design(*points.T, 3) / sigma[:, None]
    hat = matrix @ np.linalg.pinv(matrix[keep])
    np.testing.assert_allclose(leverage(points, sigma, keep, 3)[keep], np.diag(hat[keep]), rtol=1e-6)
    assert leverage(points, sigma, keep, 3)[keep].sum() == pytest.approx(10)  # its trace: terms of degree 3
    line = np.column_stack([np.arange(5.0), np.arange(5.0)])
    assert np.isfinite(leverage(line, np.ones(5), np.ones(5, bool), 1)).all()


def test_empirical_errors_find_the_truth_after_a_fit():
    rng = np.random.default_rng(2)
    n = 4000
    mag = rng.uniform(8, 12, n)
    truth = 0.02 * 10 ** (0.25 * (mag - 8))  # 0.02 to 0.2 pixel
    points = rng.uniform(0, 2000, (n, 2))
    noise = rng.normal(0, 1, (n, 2)) * truth[:, None]
    keep = np.ones(n, bool)
    fitted = transform.fit(*points.T, *noise.T, 3, 1 / truth)
    left = noise - np.column_stack(transform.evaluate(fitted, *points.T))
    found = empirical_errors(left, leverage(points, truth, keep, 3), mag, keep)
    middle = (mag > 8.5) & (mag < 11.5)
    assert np.abs(found / truth - 1)[middle].max() < 0.12


def test_few_stars_have_larger_errors():
    rng = np.random.default_rng(3)
    ratios = []
    for _ in range(300):
        points, noise = rng.uniform(0, 2000, (6, 2)), rng.normal(0, 0.1, (6, 2))
        keep = np.ones(6, bool)
        c = transform.fit(*points.T, *noise.T, 1)
        left = noise - np.column_stack(transform.evaluate(c, *points.T))
        share = leverage(points, np.full(6, 0.1), keep, 1)
        ratios.append((empirical_errors(left, share, np.full(6, 9.0), keep)[0], np.sqrt(np.mean(left**2))))
    corrected, plain = np.median(ratios, axis=0)
    assert corrected == pytest.approx(0.1, rel=0.15)
    assert plain < 0.075  # what the residuals alone pretend


def test_bins_of_magnitude():
    mag = np.concatenate([np.linspace(5, 10, 300), [np.nan] * 7])
    bins = magnitude_bins(mag, np.ones(307, bool))
    assert len(bins) == 9 and bins[-1].tolist() == list(range(300, 307))
    assert {part.size for part in bins[:-1]} <= {37, 38}
    assert sum(part.size for part in magnitude_bins(mag[:10], np.arange(10) < 4)) == 4
    error = empirical_errors(np.ones((307, 2)), np.zeros(307), mag, np.ones(307, bool))
    assert np.isfinite(error).all()


def test_the_table_tells_all_and_its_errors_agree():
    sky = random_sky(7, 10.0, 40.0, 5000, 1.2)
    truth = tan_wcs(10.0, 40.0, SCALE, SHAPE, angle=60.0)
    rng = np.random.default_rng(4)
    points = distort(np.column_stack(truth.wcs_world2pix(*sky[:2], 0)), SHAPE, 3.0)
    on = np.all((points > 0) & (points < [SHAPE[1] - 1, SHAPE[0] - 1]), axis=1)
    mag = sky[2]
    sigma = (0.03 * 10 ** (0.2 * (np.clip(mag, 11, 16) - 11)))[on]
    order = np.argsort(mag[on])
    seen = (points[on] + rng.normal(0, 1, (on.sum(), 2)) * sigma[:, None])[order]
    stars = as_stars(seen, sigma[order], 10 ** (-0.4 * (mag[on][order] - 25)))
    hint = Hint(ra=10.0, dec=40.0, scale=SCALE)
    found = solve_field(stars, SHAPE, stars_at=catalog_of(*sky), hint=hint, epoch=2020.0)
    table = found.matched
    assert set(table.colnames) == set(DESCRIPTIONS)
    assert table["sigma"].unit == u.pix and table["error_sky"].unit == u.arcsec
    assert all(table[name].info.description for name in table.colnames)
    np.testing.assert_allclose(table["x"] - table["x_fit"], table["dx"], atol=1e-9 * u.pix)
    np.testing.assert_allclose(
        np.hypot(table["d_ra"], table["d_dec"]).value, SCALE * np.hypot(table["dx"], table["dy"]).value,
        rtol=0.02, atol=1e-4,
    )  # fmt: skip
    rows = agreement(table)
    assert len(rows) >= 4
    for _, n, formal, empirical in rows:
        assert empirical == pytest.approx(formal, rel=0.15 + 1 / np.sqrt(n))
    total = np.array([(n * formal, n * empirical) for _, n, formal, empirical in rows]).sum(axis=0)
    assert total[1] == pytest.approx(total[0], rel=0.1)
