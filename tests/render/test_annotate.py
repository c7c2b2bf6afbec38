import numpy as np
import pytest

from sciastro.render.annotate import Compass, Mark, Stroke, annotate


def dark(height=300, width=400, channels=3):
    return np.full((height, width, channels), 0.1, np.float32)


def changed(out, level=0.1):
    return np.abs(out - level).max(axis=2) > 0.02


def test_nothing_to_draw_changes_nothing():
    picture = dark()
    out, named = annotate(picture, [])
    assert named == []
    assert np.array_equal(out, picture)


def test_an_outline_lies_where_it_should():
    out, named = annotate(dark(), [Mark("galaxy", "", 200.0, 150.0, 80.0, 30.0, 30.0)])
    assert named == [False]
    y, x = np.nonzero(changed(out))
    turn = np.radians(30.0)
    u = (x - 200.0) * np.cos(turn) + (y - 150.0) * np.sin(turn)
    v = (y - 150.0) * np.cos(turn) - (x - 200.0) * np.sin(turn)
    radius = np.hypot(u / 80.0, v / 30.0)
    assert radius.min() > 0.85
    assert radius.max() < 1.15
    assert np.ptp(np.arctan2(v, u)) > 6.2  # all the way around


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_becomes_color_and_the_input_stays(channels):
    picture = dark(channels=channels)
    out, named = annotate(picture, [Mark("cluster", "M 13", 200, 150, 20, 20, 0, 0, "Hercules")])
    assert named == [True]
    assert out.shape == (300, 400, 3)
    assert (picture == np.float32(0.1)).all()
    assert out.min() >= 0
    assert out.max() <= 1


def test_important_names_come_first():
    crowd = [Mark("galaxy", f"NGC {4000 + i}", 200 + 3.0 * i, 150 + 2.0 * i, rank=3) for i in range(40)]
    _, named = annotate(dark(), [*crowd, Mark("galaxy", "M 87", 230, 170, rank=0)])
    assert named[-1]
    assert 0 < sum(named[:-1]) < 40


def test_lines_and_compass_are_drawn():
    line = Stroke("ra", "16ʰ40ᵐ", (np.array([200.0, 210.0]),), (np.array([-0.5, 799.5]),))
    compass = Compass((0.0, -1.0), (-1.0, 0.0), 80.0, "10′")
    out, _ = annotate(dark(800, 900), [], [line], compass)
    touched = changed(out)
    assert touched[400, 200:210].any()
    assert touched[-80:, :120].any()
    assert touched[-90:, -90:].any()


def test_same_input_same_pixels():
    marks = [Mark("nebula", "M 42", 200, 150, 60, 50, 10, 0, "Orion Nebula"), Mark("star", "Rigel", 60, 60)]
    assert np.array_equal(annotate(dark(), marks)[0], annotate(dark(), marks)[0])


def test_dollar_signs_are_no_formulas():
    assert annotate(dark(), [Mark("other", "a$b$c_{", 200, 150)])[1] == [True]
