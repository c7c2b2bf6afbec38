"""Differences where frames overlap, solved for all frames at once."""

from dataclasses import replace

import numpy as np
import pytest

from sciastro.integrate.overlap import Samples, fit_corrections, gains, polynomial

STEP, WIDE, HIGH = 32, 1000, 700


def chain(panels, each, *, overlap=0.1, degree=1, noise=0.1, wild=0.02, seed=1, gap=None):
    """Frames of a row of panels over a wavy scene; returns samples, true corrections, places and scene."""
    rng = np.random.default_rng(seed)
    rows, truth = [], []
    for panel in range(panels):
        for _ in range(each):
            c = rng.normal(0, 20, len(polynomial(0.0, 0.0, degree)))
            begin = panel * WIDE * (1 - overlap) + rng.normal(0, 10) + (5000 if panel == gap else 0)
            x, y = np.meshgrid(np.arange(0, 9000, STEP), np.arange(0, HIGH, STEP))
            inside = (x > begin) & (x < begin + WIDE)
            x, y = x[inside].astype(float), y[inside].astype(float)
            u, v = (x - begin - WIDE / 2) / (WIDE / 2), (y - HIGH / 2) / (WIDE / 2)
            scene = 100 + 30 * np.sin(x / 300) * np.cos(y / 200)
            level = scene + polynomial(u, v, degree) @ c + rng.normal(0, noise, x.size)
            level += 40 * noise * (rng.random(x.size) < wild)
            node = (x // STEP * 1000 + y // STEP).astype(int)
            rows.append(np.array([np.full(x.size, len(truth)), node, u, v, level, scene, x]))
            truth.append(c)
    frame, node, u, v, level, scene, x = np.concatenate(rows, axis=1)
    places, node = np.unique(node, return_inverse=True)
    samples = Samples(frame.astype(int), node, u, v, level, np.ones(level.size), len(truth), places.size)
    return samples, np.array(truth), scene, x


def leveled(samples, fitted, degree):
    return samples.level - (
        polynomial(samples.u, samples.v, degree) * fitted.coefficients[samples.frame]
    ).sum(1)


@pytest.mark.parametrize(("panels", "each", "degree"), [(1, 6, 1), (3, 4, 1), (2, 5, 2)])
def test_frames_agree_wherever_they_overlap(panels, each, degree):
    samples, _, _, x = chain(panels, each, degree=degree, wild=0.0)
    fitted = fit_corrections(samples, degree=degree)
    assert set(fitted.group) == {0}
    assert fitted.scatter == pytest.approx(0.1, rel=0.1)
    left = leveled(samples, fitted, degree)
    count = np.bincount(samples.node)
    mean = np.bincount(samples.node, left) / count
    seen = count[samples.node] > 1
    scatter = left - mean[samples.node]
    assert scatter[seen].std() < 0.11
    # Frame by frame, in the strips where panels meet: no step, 0.2 sigma being 0.02.
    for panel in range(panels - 1):
        strip = seen & (x > WIDE * 0.9 * (panel + 1) + 20) & (x < WIDE * 0.9 * (panel + 1) + 80)
        for frame in np.unique(samples.frame[strip]):
            assert abs(scatter[strip & (samples.frame == frame)].mean()) < 0.05
        for side in (panel, panel + 1):
            assert abs(scatter[strip & (samples.frame // each == side)].mean()) < 0.02


def test_wild_samples_do_not_tilt():
    clean, *_ = chain(3, 4, wild=0.0)
    dirty, *_ = chain(3, 4, wild=0.03)
    a, b = (fit_corrections(one, degree=1).coefficients for one in (clean, dirty))
    differences = (a - a.mean(axis=0)) - (b - b.mean(axis=0))
    assert np.abs(differences[:, 0]).max() < 0.5  # slopes are common to 0.5 of 20


def test_what_all_share_is_left_alone():
    samples, _, _, x = chain(2, 4, noise=0.05, wild=0.0)
    bare = replace(samples, level=100 + 30 * np.sin(x / 300) + 0.02 * x)
    fitted = fit_corrections(bare, degree=1)
    assert np.abs(fitted.coefficients).max() < 1e-3


def test_the_anchor_keeps_its_level():
    samples, *_ = chain(2, 3, wild=0.0)
    fitted = fit_corrections(samples, degree=1, anchor=4)
    value = (polynomial(samples.u, samples.v, 1) * fitted.coefficients[samples.frame]).sum(axis=1)
    assert value[samples.frame == 4].mean() == pytest.approx(0.0, abs=1e-9)
    best = fit_corrections(samples, degree=1, merit=[0, 0, 1, 0, 0, 0])
    value = (polynomial(samples.u, samples.v, 1) * best.coefficients[samples.frame]).sum(axis=1)
    assert value[samples.frame == 2].mean() == pytest.approx(0.0, abs=1e-9)


def test_groups_that_do_not_touch_keep_their_own_zero():
    samples, *_ = chain(3, 3, gap=2)
    fitted = fit_corrections(samples, degree=1)
    assert fitted.group.tolist() == [0] * 6 + [1] * 3
    assert np.isfinite(fitted.coefficients).all()


def test_lone_frames_are_left_alone():
    samples, *_ = chain(1, 1)
    fitted = fit_corrections(samples, degree=1)
    assert (fitted.coefficients == 0).all()
    assert np.isnan(fitted.scatter)


def test_same_numbers_as_a_dense_solution():
    # The twin: scene and corrections of degree 0 in one dense least-squares fit, gauge by minimum norm.
    samples, *_ = chain(2, 3, degree=0, wild=0.0)
    few = samples.node % 40 == 0
    parts = {name: getattr(samples, name)[few] for name in ("frame", "node", "u", "v", "level", "weight")}
    samples = replace(samples, **parts)
    fitted = fit_corrections(samples, degree=0, anchor=0)
    keep = np.bincount(samples.node)[samples.node] > 1
    n, k = samples.frames, int(keep.sum())
    matrix = np.zeros((k, n + samples.nodes))
    matrix[np.arange(k), samples.frame[keep]] = 1
    matrix[np.arange(k), n + samples.node[keep]] = 1
    left = np.full(k, 1.0)
    for _ in range(5):
        found = np.linalg.lstsq(matrix * left[:, None], samples.level[keep] * left, rcond=None)[0]
        residual = np.abs(samples.level[keep] - matrix @ found)
        sigma = 1.4826 * np.median(residual)
        left = np.sqrt(np.where(residual > 2.5 * sigma, 2.5 * sigma / np.maximum(residual, 1e-9), 1.0))
    np.testing.assert_allclose(fitted.coefficients[:, 0], found[:n] - found[0], atol=1e-3)


def test_gains_from_common_stars():
    rng = np.random.default_rng(3)
    truth = np.r_[rng.uniform(0.5, 1.0, 8)]
    flux = rng.pareto(1.0, 400) * 500 + 300
    first = np.array([0, 0, 0, 140, 140, 140, 280, 280])  # each sees 150 stars: only 10 in common
    frame = np.repeat(np.arange(8), 150)
    star = np.concatenate([np.arange(f, f + 150) for f in first]) % 430
    keep = star < 400
    frame, star = frame[keep], star[keep]
    error = np.sqrt(flux[star])
    seen = truth[frame] * flux[star] + rng.normal(0, 1, star.size) * error
    seen[rng.random(star.size) < 0.01] *= 3  # a variable star, a blend
    gain, group = gains(frame, star, seen, error, 8, anchor=0)
    assert set(group) == {0}
    np.testing.assert_allclose(gain, truth / truth[0], rtol=0.02)
    np.testing.assert_allclose(gain[:3], truth[:3] / truth[0], rtol=0.012)


def test_gains_of_frames_without_common_stars_are_told_apart():
    gain, group = gains(
        [0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 5, 6], [2.0, 4, 1, 2, 9, 9], np.full(6, 0.01), 3, anchor=0
    )
    np.testing.assert_allclose(gain, [1, 0.5, 1], rtol=1e-6)
    assert group.tolist() == [0, 0, 1]
