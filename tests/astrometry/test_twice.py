"""A plate that was exposed twice: which of the two places is told."""

import numpy as np
import pytest
from star_lists import catalog_of, observe, random_sky

from sciastro.astrometry.sky import Hint
from sciastro.astrometry.solve import SolveOptions, solve_field
from sciastro.astrometry.twice import brighter_image
from sciastro.core.wcs import center, tan_wcs

SHAPE, SCALE, RA, DEC = (1400, 2000), 2.0, 150.0, 30.0
SHIFT = np.array([70.0, -40.0])  # pixel, from the first images to the second ones
NEAR = SolveOptions(shift=20.0)


@pytest.fixture(scope="module")
def sky():
    return random_sky(2, RA, DEC, 5000, 2.5)


def plate(sky, times, share=1.0):
    """Return the stars of a plate whose second images are `times` as bright, and the truth of the first."""
    truth = tan_wcs(RA + 0.02, DEC, SCALE, SHAPE, angle=100.0)
    first = observe(truth, SHAPE, *sky, 3)
    second = first[np.random.default_rng(1).random(first.size) < share].copy()
    second["x"], second["y"] = second["x"] + SHIFT[0], second["y"] + SHIFT[1]
    second["flux"] *= times
    second = second[(second["x"] < SHAPE[1]) & (second["y"] > 0)]
    return np.concatenate([first, second]), truth


def looked_again(sky, stars, truth):
    first = solve_field(
        stars, SHAPE, stars_at=catalog_of(*sky), hint=Hint(wcs=truth), epoch=2020.0, options=NEAR
    )
    x, y = first.wcs.all_world2pix(*center(truth, SHAPE), 0)
    assert np.hypot(x - 999.5, y - 699.5) < 0.5  # the first images, as the hint has them
    return first, brighter_image(stars, SHAPE, first, stars_at=catalog_of(*sky))


@pytest.mark.parametrize("times", [0.3, 4.0])
def test_the_brighter_images_tell_the_place(sky, times):
    stars, truth = plate(sky, times)
    first, found = looked_again(sky, stars, truth)
    x, y = found.wcs.all_world2pix(*center(truth, SHAPE), 0)
    moved = SHIFT if times > 1 else (0.0, 0.0)
    assert np.hypot(x - 999.5 - moved[0], y - 699.5 - moved[1]) < 0.2
    (note,) = found.notes
    size = abs(2.5 * np.log10(times))
    assert f"{np.hypot(*SHIFT) * SCALE:.0f} arcsec apart" in note and f"by {size:.1f} mag" in note
    assert found.log_false_alarm >= first.log_false_alarm and found.method == first.method


def test_equal_images_are_told(sky):
    first, found = looked_again(sky, *plate(sky, 1.0))
    assert found.wcs is first.wcs and "one of them; neither is brighter" in found.notes[0]


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_one_picture_stays_as_it_is_with_and_without_ghosts(sky, share):
    stars, truth = plate(sky, 4.0, share)
    first, found = looked_again(sky, stars, truth)
    assert found is first
