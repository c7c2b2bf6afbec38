"""Drawings of positions, and the page of a solution: numbers in captions, hostile names as text."""

import re

import numpy as np

from sciastro.report.figures import wcs_residuals
from sciastro.report.page import SolvedImage, render_solutions
from sciastro.report.positions import distortion, trends

GRID = np.meshgrid(np.linspace(0, 100, 6), np.linspace(0, 50, 3))


def texts(plot):
    return re.findall(r"<text[^>]*>([^<]*)", plot.svg)


def test_nothing_to_draw_gives_none():
    assert trends([("magnitude", [], [])], []) is None
    assert distortion(*GRID, *GRID, np.full((3, 6), np.nan)) is None


def test_trends_tell_the_ends():
    mag, length = np.arange(40.0), np.r_[np.full(20, 3.0), np.full(20, 5.0)]
    bins = [(9.5, 20, 3.0), (29.5, 20, 5.0)]
    plot = trends(
        [("magnitude", mag, bins), ("color index [mag]", mag * np.nan, [])], length, formal=([9.5], [2.0])
    )
    assert plot.caption == "Magnitude: rms 3″ at 9.5, 5″ at 29.5."
    assert {"magnitude", "rms", "expected"} <= set(texts(plot)) and "color index [mag]" not in texts(plot)


def test_distortion_tells_size_and_scale():
    x, y = GRID
    plot = distortion(x, y, 0.03 * x, 0.0 * y, 2.0 + 0.001 * x, words="And more.")
    assert plot.caption == (
        "Left: distortion, 3 pixel at most. Right: pixel scale, 2.05″ in the median, 2 to 2.1″ over "
        "the frame. And more."
    )
    assert "3 pixel" in texts(plot)
    flat = distortion(x, y, 0 * x, 0 * x, 0 * x + 2.0)
    assert flat.caption.startswith("Left: no distortion. Right: pixel scale, 2″")


def test_arrows_have_a_key_inside_the_drawing():
    plot = wcs_residuals([0.0, 1.0], [0.0, 1.0], [3.0, 3.0], [4.0, -4.0], top_down=True, words="Up.", key="7")
    assert plot.caption.endswith("5.00″. Up.") and plot.key == "wcs-7"
    at = re.search(r'<text[^>]* y="([-\d.]+)"[^>]*>5″', plot.svg)
    assert float(at[1]) > 0


def test_the_page_of_solutions_takes_names_as_text():
    evil = "<script>x</script>"
    page = render_solutions(
        [
            SolvedImage(name=evil, facts=[("Center", evil)], plots=[None]),
            SolvedImage(name="b", reason=f"no stars {evil}"),
        ],
        title=evil,
    )
    assert "<script" not in page and page.count("&lt;script&gt;") >= 4
    assert "Not solved: no stars" in page
