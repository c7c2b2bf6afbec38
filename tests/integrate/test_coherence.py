"""How far the phases of frames agree: 1 without dither, 1 / sqrt(n) at random, 0 evenly spread."""

import numpy as np
import pytest

from sciastro.core import transform
from sciastro.integrate.coherence import at_random, coherence
from sciastro.integrate.noise import sample_canvas

SHAPE = (400, 500)


def of(shifts, weight=None):
    maps = np.repeat(transform.identity(1)[None], len(shifts), axis=0)
    maps[:, 0, 0], maps[:, 1, 0] = np.asarray(shifts).T
    sampled = sample_canvas(maps, SHAPE, SHAPE)
    return coherence(sampled, np.ones(len(shifts)) if weight is None else weight)


def test_frames_without_dither_agree():
    np.testing.assert_allclose(of([(0, 0)] * 5), 1.0, atol=1e-9)


def test_whole_pixels_are_no_dither_but_along_the_diagonals():
    # Positions 0 and 1 along x: the phase turns once, that of the diagonals half: 1 and -1 cancel.
    got = of([(0, 0), (1, 0)])
    np.testing.assert_allclose(got[:2], 1.0, atol=1e-9)
    assert got[2:].max() < 0.1  # at the rim only one frame shows the pixel


def test_quarters_cancel():
    got = of([(0, 0), (0.25, 0), (0.5, 0), (0.75, 0)])
    assert got[0] < 0.1
    assert got[1] == pytest.approx(1.0)


def test_it_is_the_weighted_mean_of_phases():
    shifts, weight = np.array([(0.1, 0.3), (0.6, 0.9), (0.45, 0.2)]), np.array([1.0, 2.0, 0.5])
    want = [abs((weight * np.exp(2j * np.pi * shifts[:, k])).sum()) / weight.sum() for k in (0, 1)]
    np.testing.assert_allclose(of(shifts, weight)[:2], want, atol=0.01)


def test_random_dithers_leave_one_over_root_n():
    rng = np.random.default_rng(1)
    squares = [of(rng.uniform(-5, 5, (9, 2)))[0] ** 2 for _ in range(40)]
    assert np.sqrt(np.mean(squares)) == pytest.approx(at_random(9)[0], rel=0.2)
