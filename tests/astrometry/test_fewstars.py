"""Fields of five or six catalog stars near a pointing: solved where they are, never where they are not."""

import numpy as np
import pytest
from star_lists import as_stars, catalog_of

from sciastro.astrometry.fewstars import by_all_pairs
from sciastro.astrometry.plane import deproject
from sciastro.astrometry.search import Nearby, Pointing
from sciastro.astrometry.sky import Hint
from sciastro.astrometry.solve import solve_field
from sciastro.core.wcs import center, tan_wcs
from sciastro.errors import SolveError

SHAPE, SCALE, RA, DEC = (1000, 1500), 1.6, 200.0, 35.0


def field(seed, parity, seen, n_sky=40):
    """Return stars of an image (of which `seen` are cataloged), the catalog, and the truth."""
    rng = np.random.default_rng(seed)
    truth = tan_wcs(RA + 0.2, DEC - 0.1, SCALE, SHAPE, angle=rng.uniform(0, 360), parity=parity)
    real = rng.uniform(0.1, 0.9, (seen, 2)) * SHAPE[::-1]
    ra, dec = truth.all_pix2world(*real.T, 0)
    away = rng.uniform(-1.0, 1.0, (n_sky, 2))
    x, y = truth.all_world2pix(*deproject(away, RA, DEC), 0)
    off = ~((x > -20) & (x < SHAPE[1] + 20) & (y > -20) & (y < SHAPE[0] + 20))
    others = deproject(away[off], RA, DEC)
    sky = np.r_[ra, others[0]], np.r_[dec, others[1]], np.r_[rng.uniform(8, 11, seen + off.sum())]
    fakes = rng.uniform(0, 1, (200, 2)) * SHAPE[::-1]  # too faint for the catalog, but for two hot pixels
    points = np.concatenate([fakes[:1], real[:3], fakes[1:2], real[3:], fakes[2:]])
    return as_stars(points + rng.normal(0, 0.2, points.shape), 0.2), sky, truth


@pytest.mark.parametrize("parity", [1, -1])
@pytest.mark.parametrize("seen", [5, 6])
def test_five_stars_near_a_pointing_are_enough(parity, seen):
    stars, sky, truth = field(7 * seen, parity, seen)
    hint = Hint(ra=RA, dec=DEC, scale=1.03 * SCALE, radius=0.6)
    found = solve_field(stars, SHAPE, stars_at=catalog_of(*sky), hint=hint, epoch=2016.0)
    x, y = found.wcs.all_world2pix(*center(truth, SHAPE), 0)
    assert np.hypot(x - 749.5, y - 499.5) < 1.0
    assert found.n_stars == seen and found.parity == parity and found.order == 1
    assert found.log_false_alarm < -7 and "all pairs of" in " ".join(found.attempts)


@pytest.mark.parametrize("seed", range(3))
def test_fields_of_another_place_are_no_match(seed):
    stars, _, _ = field(seed, 1, 6)
    _, sky, _ = field(100 + seed, 1, 6)
    with pytest.raises(SolveError, match="not solved"):
        hint = Hint(ra=RA, dec=DEC, scale=SCALE, radius=0.5)
        solve_field(stars, SHAPE, stars_at=catalog_of(*sky), epoch=2016.0, hint=hint)


def test_the_bound_is_no_smaller_than_what_chance_does():
    told, rng = [], np.random.default_rng(1)
    for _ in range(25):
        attempts = []
        points = rng.uniform(0, 1, (60, 2)) * SHAPE[::-1]
        sky = deproject(rng.uniform(-1, 1, (40, 2)), RA, DEC)
        pointing = Pointing(ra=RA, dec=DEC, radius=0.5, scale=SCALE, scale_tolerance=0.1, parity=None)
        stars_at = catalog_of(*sky, np.full(40, 10.0))
        assert not by_all_pairs(Nearby(points, SHAPE, pointing, stars_at, 1e-2, attempts))
        told.append(float(attempts[0].split()[-1]))
    assert np.mean(np.array(told) < -0.5) < 0.3


def test_rich_fields_are_left_to_patterns():
    rng = np.random.default_rng(2)
    sky = deproject(rng.uniform(-1, 1, (900, 2)), RA, DEC)
    pointing = Pointing(ra=RA, dec=DEC, radius=0.5, scale=SCALE, scale_tolerance=0.1, parity=None)
    attempts = []
    sky_at = catalog_of(*sky, np.full(900, 10.0))
    by_all_pairs(Nearby(rng.uniform(0, 900, (60, 2)), SHAPE, pointing, sky_at, 1e-7, attempts))
    assert not attempts
