import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sciastro.render.labels import Box, Places, around


def outline(x, y, a, b, angle):
    t, turn = np.linspace(0, 2 * np.pi, 400), np.radians(angle)
    return (
        x + a * np.cos(t) * np.cos(turn) - b * np.sin(t) * np.sin(turn),
        y + a * np.cos(t) * np.sin(turn) + b * np.sin(t) * np.cos(turn),
    )


@settings(max_examples=30, deadline=None)
@given(
    a=st.floats(5, 400), ratio=st.floats(0.1, 1), angle=st.floats(-180, 180), w=st.floats(5, 80),
    h=st.floats(4, 20),
)  # fmt: skip
def test_a_name_never_lies_on_its_outline(a, ratio, angle, w, h):
    px, py = outline(500, 400, a, a * ratio, angle)
    for box in around(500, 400, a, a * ratio, angle, w, h, 4.0):
        assert not ((np.abs(px - box.x) < box.w) & (np.abs(py - box.y) < box.h)).any()


def test_names_do_not_overlap_and_stay_in_the_picture():
    places = Places(400, 300, 5, 2)
    rng = np.random.default_rng(2)
    for x, y in rng.uniform(0, 1, (60, 2)) * (400, 300):
        places.take(around(x, y, 6, 6, 0, 30, 7, 3))
    assert len(places.taken) > 15
    for i, one in enumerate(places.taken):
        assert one.within(400, 300, 5)
        assert not any(one.meets(other) for other in places.taken[:i])


def test_a_name_keeps_away_from_other_marks_but_not_from_its_own():
    places = Places(200, 200, 2, 2)
    own, other = Box(100, 100, 8, 8), Box(130, 95, 10, 10)
    places.marks = [own, other]
    box = places.take(around(100, 100, 8, 8, 0, 20, 6, 2), own)
    assert box is not None
    assert not box.meets(other)


def test_no_place_is_none():
    places = Places(50, 50, 2, 2)
    assert places.take(around(25, 25, 10, 10, 0, 40, 6, 2)) is None
