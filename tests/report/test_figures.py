"""Drawings: nothing for nothing, something for one frame, user text as it is, numbers in captions."""

import re

import numpy as np
import pytest

from sciastro.report.figures import color_calibration, frame_quality, registration, wcs_residuals, zeropoint


def texts(plot):
    return re.findall(r"<text[^>]*>([^<]*)", plot.svg)


def test_nothing_to_draw_gives_none():
    assert frame_quality([]) is None
    assert frame_quality([{"type": "light", "path": "a", "fwhm_px": None}]) is None
    assert frame_quality([{"type": "dark", "fwhm_px": 3.0}]) is None
    assert registration([], [], []) is None
    assert wcs_residuals([], [], [], []) is None
    assert zeropoint([], []) is None
    assert zeropoint([np.nan], [np.nan]) is None
    assert color_calibration([]) is None


def test_one_frame_and_one_star():
    assert frame_quality([{"type": "light", "fwhm_px": 3.0, "used": True, "band": "V"}]).svg.startswith(
        "<svg"
    )
    assert registration([0.0], [0.0], [0.1]).svg.startswith("<svg")
    assert wcs_residuals([5.0], [5.0], [0.1], [0.0]).svg.startswith("<svg")
    assert zeropoint([12.0], [21.0]).svg.startswith("<svg")
    assert color_calibration([{"label": "B - G", "expected": [0.5], "measured": [0.6]}]).svg.startswith(
        "<svg"
    )


def test_frames_left_out_are_counted_and_marked(summary):
    plot = frame_quality(summary["frames"])
    assert plot.caption == "24 light frames; crosses mark the 2 left out (reasons below)."
    assert {"R", "V", "left out", "time, UTC"} <= set(texts(plot))
    for row in summary["frames"]:
        row.pop("time", None)
    assert "frame, in the order taken" in texts(frame_quality(summary["frames"]))


def test_rms_of_positions_is_the_two_dimensional_one():
    # residuals (3, 4) everywhere: rms 5
    plot = wcs_residuals([0.0, 1.0], [0.0, 1.0], [3.0, 3.0], [4.0, -4.0])
    assert "2 stars; the circle is their rms, 5.00" in plot.caption


def test_zero_point_caption_counts_and_scatter():
    # used differences 1, 2, 3, 4, 5: median 3, MAD 1, so 1.4826 -> 1.483
    plot = zeropoint(np.arange(6.0), [1, 2, 3, 4, 5, 90], used=[1, 1, 1, 1, 1, 0], value=3.0, value_error=0.1)
    assert plot.caption == "5 stars used, 1 left out (crosses); robust scatter 1.483 mag."


def test_labels_keep_all_digits_and_user_text_is_no_formula_and_no_markup():
    row = {"type": "light", "fwhm_px": 3.0, "used": True, "band": "$x<&"}
    plot = frame_quality([row, row | {"fwhm_px": 3.001}])
    assert "$x&lt;&amp;" in plot.svg
    labels = [
        float(t) for t in texts(registration([0, 1], [0, 1], [0.01, 0.19])) if re.fullmatch(r"0\.\d{3}", t)
    ]
    steps = np.diff(sorted(set(labels)))
    assert np.allclose(steps, steps[0])  # 0.175 must not have become 0.17


def test_svg_belongs_to_a_page():
    svg = zeropoint([10.0, 11.0], [21.0, 21.1], color=[0.1, 0.9], error=[0.1, 0.1], band="R/../x").svg
    assert "http" not in svg
    assert "xmlns" not in svg
    assert "var(--ink)" in svg or "var(--muted)" in svg
    assert not re.search(r"#0[0-9a-f]0[0-9a-f]0[0-9a-f]|#110a", svg)  # no placeholder color left
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert ids
    assert all(name.startswith("zeropoint-R----x-") for name in ids)
    for target in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg):
        assert max(target) in ids


@pytest.mark.parametrize("count", [10, 20_000])
def test_many_points_are_thinned(count):
    rng = np.random.default_rng(0)
    plot = wcs_residuals(*rng.normal(size=(4, count)))
    assert len(plot.svg) < 700_000
