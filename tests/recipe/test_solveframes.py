"""A stack of frames: one is solved, the others follow it, each with a WCS of its own."""

import numpy as np
import pytest

import sciastro
from sciastro.core.stars import STAR_DTYPE
from sciastro.core.wcs import tan_wcs
from sciastro.errors import SolveError
from sciastro.recipe import solveframes, solving
from sciastro.recipe.solveframes import solve_frames
from sciastro.recipe.solvereading import from_stars
from sciastro.recipe.solving import Question

SHAPE, RA, DEC, SCALE = (1000, 1500), 83.0, 21.0, 8.0
NOISE = 0.1  # pixel


def frame(wcs, seed, *, most=150):
    """The stars of a frame, each measured to `NOISE`."""
    rng = np.random.default_rng(seed)
    sky = sciastro.cone(tuple(float(v) for v in wcs.wcs.crval), 3.0, epoch=2016.0, brightest=500)
    x, y = wcs.all_world2pix(sky["ra"].value, sky["dec"].value, 0)
    on = np.flatnonzero((x > 0) & (x < SHAPE[1] - 1) & (y > 0) & (y < SHAPE[0] - 1))[:most]
    stars = np.zeros(on.size, STAR_DTYPE)
    stars["x"], stars["y"] = (v[on] + rng.normal(0, NOISE, on.size) for v in (x, y))
    stars["flux"] = 10 ** (-0.4 * sky["mag"].value[on])
    stars["x_err"], stars["y_err"], stars["fwhm"], stars["snr"] = NOISE, NOISE, 3.0, 100.0
    return from_stars(stars, SHAPE)


def off(wcs, truth):
    """Largest distance of the corners and the middle from where they truly are [pixel]."""
    x, y = (
        np.array([0, SHAPE[1] - 1, 0, SHAPE[1] - 1, 750]),
        np.array([0, 0, SHAPE[0] - 1, SHAPE[0] - 1, 500]),
    )
    back = truth.all_world2pix(*wcs.all_pix2world(x, y, 0), 0)
    return float(np.max(np.hypot(back[0] - x, back[1] - y)))


@pytest.fixture
def searches(monkeypatch):
    """The frames that were solved by themselves."""
    done = []

    def noted(field, question):
        done.append(field)
        return solveframes_solve_one(field, question)

    solveframes_solve_one = solveframes.solve_one
    monkeypatch.setattr(solveframes, "solve_one", noted)
    return done


def test_one_is_solved_and_the_others_follow_each_with_its_own_fit(searches):
    turned = [33.0, 33.4, 213.0]  # the last one after the mount's meridian flip
    moved = [0.0, 0.05, -0.1]
    truths = [tan_wcs(RA + d, DEC, SCALE, SHAPE, angle=a) for d, a in zip(moved, turned, strict=True)]
    fields = [frame(one, seed) for seed, one in enumerate(truths)]
    asked = Question(ra=RA, dec=DEC, scale=SCALE, seconds=10.0)
    places = solve_frames(fields, [asked] * 3)
    assert len(searches) == 1
    assert sorted(place.how for place in places) == ["refined", "refined", "solved"]
    for place, truth in zip(places, truths, strict=True):
        assert off(place.wcs, truth) < 0.15  # 0.1 pixel per star, 150 stars
    # own fits: the errors of the first frame's fit are not those of the others
    errors = [np.subtract(p.wcs.wcs.crval, t.wcs.crval) for p, t in zip(places, truths, strict=True)]
    assert len({tuple(np.round(one, 9)) for one in errors}) == 3


def test_a_frame_with_few_stars_is_carried_over(searches, monkeypatch):
    truths = [tan_wcs(RA, DEC, SCALE, SHAPE, angle=33.0), tan_wcs(RA + 0.03, DEC, SCALE, SHAPE, angle=35.0)]
    fields = [frame(one, seed) for seed, one in enumerate(truths)]
    monkeypatch.setattr(solveframes, "_refined", lambda *known: None)
    asked = Question(ra=RA, dec=DEC, scale=SCALE, seconds=10.0)
    places = solve_frames(fields, [asked] * 2)
    assert [place.how for place in places].count("carried") == 1 and len(searches) == 1
    assert max(off(place.wcs, truth) for place, truth in zip(places, truths, strict=True)) < 0.3


def test_a_frame_of_another_field_is_solved_by_itself_and_nothing_stays_nothing(searches, monkeypatch):
    monkeypatch.setattr(solving, "TIERS", (solving.near_hint,))
    truths = [tan_wcs(RA, DEC, SCALE, SHAPE), tan_wcs(200.0, -40.0, SCALE, SHAPE, angle=90.0)]
    fields = [frame(one, seed) for seed, one in enumerate(truths)]
    rng = np.random.default_rng(3)
    empty = np.zeros(40, STAR_DTYPE)
    empty["x"], empty["y"] = rng.uniform(0, SHAPE[1], 40), rng.uniform(0, SHAPE[0], 40)
    empty["flux"], empty["fwhm"] = rng.uniform(1, 9, 40), 3.0
    asked = [
        Question(ra=ra, dec=dec, scale=SCALE, seconds=2.0)
        for ra, dec in ((RA, DEC), (200.0, -40.0), (RA, DEC))
    ]
    places = solve_frames([*fields, from_stars(empty, SHAPE)], asked)
    assert [place.how for place in places] == ["solved", "solved", ""]
    assert isinstance(places[2].reason, SolveError)
    assert max(off(place.wcs, truth) for place, truth in zip(places[:2], truths, strict=True)) < 0.15
