"""What crowding adds to errors, and shapes that give companions away."""

import numpy as np
import pytest

from sciastro.photometry.psfcrowd import CONFUSION, Fluxes, confusion, odd_shapes


def test_the_constant_is_the_integral_by_chance():
    # Companions thrown at random: what those of which less than 5 sigma stands out add to the variance.
    rng = np.random.default_rng(1)
    n, half = 1_000_000, 2.5
    x, y = rng.uniform(-half, half, (2, n))
    light = np.exp(rng.uniform(np.log(1e-2), np.log(1e4), n))  # sigma
    d2 = x**2 + y**2
    weight = np.exp(-2 * np.log(2) * d2)
    standing = np.sqrt(np.maximum(1 - weight**2 * (1 + 4 * np.log(2) * d2), 0))
    missed = (light * standing < 5) & (d2 > 0.05**2) & (d2 < half**2)
    part = np.where(missed, (light * np.minimum(weight, 1 - weight)) ** 2, 0.0)
    folds, area = np.log(1e6), (2 * half) ** 2  # one star in each would be one per square width and e-fold
    assert part.mean() * folds * area == pytest.approx(CONFUSION, rel=0.05)


def test_confusion_follows_the_density_and_the_counts():
    rng = np.random.default_rng(2)
    size, fwhm = 600, 3.0
    x, y = rng.uniform(0, size, (2, 4000))
    x = np.where(rng.uniform(size=4000) < 0.5, x / 3, x)  # denser on the left
    flux, err = np.exp(rng.uniform(np.log(100), np.log(1e5), 4000)), np.full(4000, 20.0)
    got = confusion(Fluxes(x, y, flux, err), fwhm, (size, size))
    per_fold = 4000 / np.log(1000) / (size / fwhm) ** 2
    assert np.sqrt(np.mean(got**2)) == pytest.approx(20 * np.sqrt(CONFUSION * per_fold), rel=0.35)
    assert np.median(got[x < 150]) > 1.5 * np.median(got[x > 300])
    assert (confusion(Fluxes(x[:1], y[:1], flux[:1], err[:1]), fwhm, (size, size)) == 0).all()
    nothing = np.array([np.nan, 3.0]), np.array([1.0, 3.0]), np.array([np.nan, 1.0]), np.array([1.0, np.nan])
    assert (confusion(Fluxes(*nothing), fwhm, (size, size)) == 0).all()


def test_odd_shapes_are_told_from_noise_and_from_a_poor_psf():
    rng = np.random.default_rng(3)
    n = 2000
    snr = np.exp(rng.uniform(np.log(6), np.log(600), n))
    err = 1.5 / snr
    poor = 0.02 * rng.standard_normal(n)  # stars differ from the PSF by more than their noise
    columns = {
        "sharpness": 0.03 + poor + err * rng.standard_normal(n), "sharpness_err": err,
        "chi2": rng.chisquare(70, n) / 70 * (1 + (snr / 200) ** 2), "n_pixels": np.full(n, 73.0),
    }  # fmt: skip
    sound = np.ones(n, bool)
    assert odd_shapes(snr, columns, sound).mean() < 0.03
    wide = np.flatnonzero(snr > 50)[:40]
    columns["sharpness"][wide] += 0.15
    odd = odd_shapes(snr, columns, sound)
    assert odd[wide].mean() > 0.95
    columns["sharpness"][:] = np.nan
    assert not odd_shapes(snr, columns, sound).any()
