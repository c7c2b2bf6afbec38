"""A mover is found among stars, noise and gaps; without one, nothing is made up."""

import numpy as np
import pytest

from sciastro.astrometry.movers import Detections, chance_lines, find_track, line_through
from sciastro.errors import MatchError

SIZE = 1000.0


def frames(n=12, *, vx=0.01, vy=-0.004, stars=150, noise=10, error=0.1, missing=(), seed=3, mover=True):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, SIZE, (2, stars))
    flux = 10 ** rng.uniform(2, 5, stars)
    out = []
    for i in range(n):
        time = 60.0 * i
        columns = [x + rng.normal(0, error, stars), y + rng.normal(0, error, stars), flux]
        found = rng.random(stars) < 0.95  # faint stars come and go
        columns = [one[found] for one in columns]
        columns = [
            np.r_[one, more]
            for one, more in zip(
                columns, (*rng.uniform(0, SIZE, (2, noise)), rng.uniform(1e2, 1e3, noise)), strict=True
            )
        ]
        if mover and i not in missing:
            place = (400 + vx * time, 600 + vy * time, 3e3)
            columns = [
                np.r_[one, value + (rng.normal(0, error) if k < 2 else 0)]
                for k, (one, value) in enumerate(zip(columns, place, strict=True))
            ]
        out.append(Detections(time, *columns))
    return out


def test_it_is_found_with_its_speed():
    track = find_track(frames())
    # 660 s with errors of 0.1 pixel: the speed is good to 0.1 / (660 * sqrt(12 / 12)) or 1.5e-4.
    assert track.vx == pytest.approx(0.01, abs=5e-4)
    assert track.vy == pytest.approx(-0.004, abs=5e-4)
    assert track.at(0.0) == pytest.approx((400.0, 600.0), abs=0.3)
    assert len(track.frames) >= 11
    assert track.rms < 0.3


@pytest.mark.parametrize("missing", [(0,), (5, 6), (11,), (0, 1, 11)])
def test_frames_without_it_do_not_matter(missing):
    track = find_track(frames(missing=missing))
    assert track.vx == pytest.approx(0.01, abs=1e-3)
    assert not set(track.frames) & set(missing)


def test_a_known_speed_helps_among_noise():
    found = find_track(frames(noise=80, seed=8), velocity=(0.01, -0.004))
    assert found.vx == pytest.approx(0.01, abs=1e-3)


def test_without_a_mover_nothing_is_made_up():
    with pytest.raises(MatchError, match="not found: the best line is supported by"):
        find_track(frames(mover=False, noise=5))


def test_a_wrong_speed_is_not_forced():
    with pytest.raises(MatchError, match="not found"):
        find_track(frames(noise=5), velocity=(0.05, 0.03))


def test_two_frames_do_not_suffice():
    with pytest.raises(MatchError, match="in 2 frames"):
        find_track(frames(n=2))


def test_line_through_leaves_an_outlier_out():
    # x = 2 + 3 t, y = 1 - t; the fourth frame is 50 pixels off.
    times = np.arange(6.0)
    x, y = 2 + 3 * times, 1 - times
    x[3] += 50
    track = line_through(times, x, y, range(6))
    assert (track.vx, track.vy) == pytest.approx((3.0, -1.0))
    assert track.frames == (0, 1, 2, 4, 5)
    with pytest.raises(MatchError, match="one time only"):
        line_through([1.0, 1.0], [0.0, 1.0], [0.0, 1.0], range(2))


def test_how_many_lines_chance_makes_is_said():
    """Without a mover, four frames of many false detections give a line through three; chance tells so."""
    assert chance_lines(frames(), find_track(frames())) < 1e-3
    for seed in range(4):
        nothing = frames(n=4, noise=60, mover=False, seed=seed)
        found = find_track(nothing)
        assert len(found.frames) == 3 and chance_lines(nothing, found) > 10
