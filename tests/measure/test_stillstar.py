"""Slow movers over a star: the star is found, the place is right without it, and errors are those made."""

import numpy as np
import pytest

from sciastro.measure.stillstar import part_from_star
from sciastro.measure.trailfit import cut, fit_together
from sciastro.simulate.psf import Psf, PsfOptions, draw_stars

NOISE, FWHM, FRAMES = 10.0, 2.5, 12
TIMES = np.linspace(-0.5, 0.5, FRAMES)


def night(rng, way, snr, star, profile):
    """Return stamps, places, speed of a mover; a star of `star` times its light is under its way."""
    angle = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    middle = 20 + rng.uniform(-0.5, 0.5, 2)
    spot = (
        middle + along * way * rng.uniform(-0.4, 0.4) + np.array([-along[1], along[0]]) * rng.uniform(-1, 1)
    )
    flux = snr * NOISE * np.sqrt(4 * np.pi) * FWHM / 2.3548
    psf, stamps, places = Psf(fwhm=FWHM, options=PsfOptions(profile=profile)), [], []
    for time in TIMES:
        at = middle + along * way * time
        plane = np.zeros((41, 41), np.float32)
        draw_stars(plane, [at[0], spot[0]], [at[1], spot[1]], [flux, star * flux], psf)
        image = rng.poisson(plane + NOISE**2) - NOISE**2 + 100.0
        stamps.append(cut(image, *at, NOISE, FWHM, (0.0, 0.0)))
        places.append(tuple(at))
    return stamps, places, along * way


def pull(off, covariance):
    return float(np.sqrt(off @ np.linalg.solve(covariance, off) / 2))


@pytest.mark.parametrize(
    ("way", "snr", "star", "profile"),
    [(3.0, 20.0, 1.0, "gaussian"), (3.0, 50.0, 0.3, "moffat"), (6.0, 8.0, 1.0, "moffat")],
)
def test_a_star_beneath_is_found_and_the_place_is_right_without_it(way, snr, star, profile):
    rng, with_star, without, gains, shares = np.random.default_rng(1), [], [], [], []
    for _ in range(16):
        stamps, places, speed = night(rng, way, snr, star, profile)
        slopes, scales = [np.eye(2)] * FRAMES, [1.0] * FRAMES
        plain = fit_together(stamps, places, slopes, scales)
        found = part_from_star(stamps, places, slopes, scales, TIMES, speed)
        with_star.append(pull(plain.offset, plain.covariance))
        without.append(pull(found.offset, 2 * max(found.chi2, 1) * found.covariance[:2, :2]))
        gains.append(found.gain)
        shares.append(found.star / found.light)
    assert np.sqrt(np.mean(np.square(with_star))) > 3.0  # sigma, which nothing told
    assert np.sqrt(np.mean(np.square(without))) < 1.5
    assert np.mean(np.array(gains) > 16) > 0.9
    assert np.median(shares) == pytest.approx(star, rel=0.35)


@pytest.mark.parametrize("profile", ["gaussian", "moffat"])
def test_where_there_is_no_star_few_are_told(profile):
    rng, gains = np.random.default_rng(2), []
    for _ in range(24):
        stamps, places, speed = night(rng, 3.0, 20.0, 0.0, profile)
        found = part_from_star(stamps, places, [np.eye(2)] * FRAMES, [1.0] * FRAMES, TIMES, speed)
        gains.append(0.0 if found is None else found.gain)
    assert np.mean(np.array(gains) > 16) <= 0.1


def test_nothing_at_all_has_no_star():
    rng = np.random.default_rng(3)
    stamps = [cut(rng.normal(100, NOISE, (41, 41)), 20.0, 20.0, NOISE, FWHM, (0.0, 0.0)) for _ in range(4)]
    found = part_from_star(stamps, [(20.0, 20.0)] * 4, [np.eye(2)] * 4, [1.0] * 4, np.arange(4.0), (1.0, 0.0))
    assert found is None or found.gain < 25
