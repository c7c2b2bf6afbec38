"""Sightings linked to tracks: complete, with as few false ones as stated, and slow movers told from stars."""

import numpy as np
import pytest

from sciastro.astrometry.evenmotion import fit_motion
from sciastro.astrometry.sightings import Sightings, Stars, settle, slow_chains, stationary
from sciastro.astrometry.tracklets import LinkOptions, link

SIZE, WIDTH, STEP = 1000.0, 5.0, 2.0  # arcsec, arcsec, min
BOX = np.array([0.0, SIZE, 0.0, SIZE])


def night(seed, frames=8, noise=30, movers=8, err=0.3, seen=0.95, rates=(2.0, 8.0), snr=(10.0, 60.0)):
    """Return sightings of chance and movers, and the numbers of mover (-1: chance)."""
    rng = np.random.default_rng(seed)
    speed, angle = rng.uniform(*rates, movers), rng.uniform(0, 2 * np.pi, movers)
    x0, y0 = rng.uniform(250, 750, (2, movers))
    light = rng.uniform(*snr, movers)
    rows = []
    for i in range(frames):
        for _ in range(rng.poisson(noise)):
            s = 4 + rng.exponential(2.0)
            rows.append((i, rng.uniform(0, SIZE), rng.uniform(0, SIZE), s, -1))
        for k in np.flatnonzero(rng.random(movers) < seen):
            run = speed[k] * STEP * i
            x, y = x0[k] + run * np.cos(angle[k]), y0[k] + run * np.sin(angle[k])
            rows.append((i, x + rng.normal(0, err), y + rng.normal(0, err), light[k], k))
    table = np.array(rows)
    number = table[:, 0].astype(np.intp)
    return (
        Sightings(
            number,
            STEP * table[:, 0],
            table[:, 1],
            table[:, 2],
            np.full(len(table), err),
            table[:, 3],
            table[:, 3],
        ),
        table[:, 4].astype(int),
        speed,
    )


@pytest.mark.parametrize(("frames", "noise"), [(3, 10), (5, 30), (8, 100), (20, 60)])
def test_movers_are_linked_and_chance_is_not(frames, noise):
    found = false = total = 0
    expected = 0.0
    for seed in range(4):
        seen, owner, speed = night(seed, frames, noise)
        linked = link(seen, WIDTH, BOX, LinkOptions(fastest=10.0))
        total += 8
        expected += linked.expected_false
        for track in linked.tracks:
            who = np.bincount(owner[track.members] + 1, minlength=9)
            best = int(np.argmax(who)) - 1
            if best >= 0 and who[best + 1] >= 0.7 * track.members.size:
                found += 1
                rate = np.hypot(track.motion.vx, track.motion.vy)
                assert abs(rate - speed[best]) < 6 * track.motion.speed_err
            else:
                false += 1
        assert not linked.bounded
    assert found >= (0.8 if frames == 3 else 0.93) * total
    assert false <= 1
    assert expected <= 4 * 0.1


def test_expected_false_tracks_are_those_that_chance_makes():
    # Crowded sightings and a large allowance, so that false tracks can be counted.
    options, found, expected = LinkOptions(fastest=10.0, false_tracks=6.0), 0, 0.0
    for seed in range(8):
        seen, _, _ = night(100 + seed, frames=6, noise=60, movers=0, err=0.8)
        linked = link(seen, WIDTH, BOX, options)
        found, expected = found + len(linked.tracks), expected + linked.expected_false
    # Stated numbers are an upper bound (a false track is proposed by several pairs), not far off.
    assert found <= 1.3 * expected + 3
    assert found >= 0.1 * expected
    assert expected > 5


def test_time_is_bounded():
    seen, _, _ = night(5, frames=6, noise=1500, movers=4)
    linked = link(seen, WIDTH, BOX, LinkOptions(fastest=20.0))
    assert linked.bounded


def star_night(seed, drift, err=0.05, frames=10, shift=0.0):
    """Return sightings of 80 stars, the first of which drifts [arcsec / min], and the stack's stars."""
    rng = np.random.default_rng(seed)
    x0, y0 = rng.uniform(50, SIZE - 50, (2, 80))
    flux = 10 ** rng.uniform(2, 4, 80)
    rows = []
    for i in range(frames):
        away = rng.normal(0, shift, 2)
        for k in range(80):
            run = drift * STEP * (i - (frames - 1) / 2) if k == 0 else 0.0
            x, y = x0[k] + run + rng.normal(0, err) + away[0], y0[k] + rng.normal(0, err) + away[1]
            rows.append((i, x, y, flux[k] * 0.7))
    t = np.array(rows)
    seen = Sightings(
        t[:, 0].astype(np.intp), STEP * t[:, 0], t[:, 1], t[:, 2], np.full(len(t), err), t[:, 3], t[:, 3] / 10
    )
    return seen, Stars(x0, y0, flux, flux / 10)


@pytest.mark.parametrize(("drift", "found"), [(0.0, 0), (0.02, 0), (0.15, 1), (0.4, 1)])
def test_slow_movers_are_told_from_stars(drift, found):
    seen, stars = star_night(1, drift, shift=0.5)
    settled = settle(seen, stars, WIDTH).apply(seen)
    chains = slow_chains(settled, stars, WIDTH, 0.1)
    assert len(chains) == found
    for chain in chains:
        assert chain.motion.vx == pytest.approx(drift, abs=5 * chain.motion.speed_err)


def test_shifts_scales_and_errors_are_learned_from_stars():
    seen, stars = star_night(2, 0.0, err=0.2, shift=1.0)
    bad = Sightings(seen.frame, seen.time, seen.x, seen.y, seen.err / 2, seen.flux, np.minimum(seen.snr, 20))
    settled = settle(bad, stars, WIDTH)
    assert len(settled.shifts) == 10
    assert settled.factor2 == pytest.approx(4.0, rel=0.15)  # errors stated half as large as they are
    assert all(scale == pytest.approx(1 / 0.7, rel=1e-6) for scale in settled.scales.values())
    again = settled.apply(bad)
    assert stationary(again, stars, WIDTH).all()


def test_a_mover_brighter_than_its_trail_in_the_stack_does_not_stand_still():
    seen, stars = star_night(3, 0.0)
    mover = Sightings(
        np.array([0]),
        np.array([0.0]),
        stars.x[:1],
        stars.y[:1],
        np.array([0.1]),
        stars.flux[:1] * 3,
        np.array([50.0]),
    )
    assert not stationary(mover, stars, WIDTH)[0]
    assert stationary(seen, stars, WIDTH)[0]


def test_a_line_by_hand():
    # Places 0, 1, 2, 3 at times 0..3 with errors 1: speed 1 +- 1 / sqrt(5), place 1.5 +- 1/2 at 1.5.
    t = np.arange(4.0)
    fit = fit_motion(t, t, np.zeros(4), np.ones(4))
    assert (fit.x, fit.vx, fit.time) == (1.5, 1.0, 1.5)
    assert fit.place_err == 0.5
    assert fit.speed_err == pytest.approx(5**-0.5)
    assert fit.chi2 == pytest.approx(0.0, abs=1e-12)
    assert fit.gain == pytest.approx(5.0)
    assert fit_motion(np.zeros(3), t[:3], t[:3], np.ones(3)) is None
