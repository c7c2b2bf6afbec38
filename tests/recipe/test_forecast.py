"""The doctor foresees what a run will do, with the functions by which the run decides."""

import re
from pathlib import Path

import pytest
from session_frames import several

from sciastro.recipe.forecast import foreseen, formats, panel_issues
from sciastro.recipe.matching import plan_masters
from sciastro.recipe.plan import load_recipe
from sciastro.recipe.session import Session

HERE = {"pointing": (83.8, -5.4), "scale": 1.0}


def planned(*sets):
    return plan_masters(Session(Path("night"), tuple(item for members in sets for item in members)))


def told(plan, *changes):
    return {what: how for _, what, how in foreseen(plan, load_recipe(None, list(changes))).rows}


@pytest.mark.parametrize(
    ("facts", "what", "how"),
    [
        ({"cfa": "RGGB", "shape": (100, 120)}, "color sensor", "RGGB mosaic, .* images of 60 x 50"),
        ({"cfa": "RGGB"}, "frames", "R 6, G 6, B 6; .* stack.reject=noise"),
        ({"target": "C/2023 A3"}, "comet", "comet.enabled=true"),
        ({"target": "12P/Pons-Brooks"}, "comet", "comet.enabled=true"),
        ({"scale": 600.0, "shape": (400, 500)}, "wide field", "107 deg across"),
        ({"scale": 600.0, "shape": (400, 500), "pointing": None}, "position", "on the whole sky"),
        ({"pointing": None}, "position", "looked for on the whole sky, .*--ra --dec would make it quick"),
        (
            {"pointing": None, "scale": None},
            "position",
            "looked for on the whole sky, .*--ra --dec and --scale would",
        ),
        ({}, "position", "from the pointing of the headers"),
    ],
)
def test_what_will_be_done(facts, what, how):
    assert re.search(how, told(planned(several("light", 6, **{**HERE, **facts})))[what])


def test_an_ordinary_set_is_not_made_special():
    assert set(told(planned(several("light", 6, **HERE)))) == {"frames", "position"}


def test_options_count():
    plan = planned(several("light", 6, cfa="RGGB", **HERE))
    assert "full size" in told(plan, "debayer.method=linear")["color sensor"]
    assert told(plan, "drizzle.scale=2")["drizzle"].startswith("onto pixels 2 times finer")
    assert "both sharp" in told(plan, "comet.enabled=true")["comet"]
    assert "stack.reject=sigma" in told(plan, "stack.reject=sigma")["frames"]


def test_panels_are_counted_as_in_a_run():
    near, far = (several("light", n, scale=1.0, pointing=(ra, -5.4)) for n, ra in ((4, 83.8), (3, 83.83)))
    plan = planned(near, far)
    assert told(plan)["mosaic"].startswith("2 panels (4, 3 lights), up to 0.03 deg apart")
    assert [(issue.code, issue.severity) for issue in panel_issues(plan)] == [("mosaic", "note")]
    assert list(panel_issues(planned(near))) == []


def test_panels_too_far_apart_for_one_canvas_are_a_warning():
    west, middle, east = (several("light", 2, scale=36.0, pointing=(ra % 360, 0.0)) for ra in (-2, 0, 2))
    plan = planned(middle, west, east)
    # Fields of 1.2 deg: (4 + 1.2) / 1.2 = 4.3 frames.
    small, large = "canvas.largest=4", "canvas.largest=5"
    (issue,) = panel_issues(plan, load_recipe(None, [small]))
    assert issue.severity == "warning"
    assert re.search(r"3 places \(up to 4\.00 deg.* as large as 5 frames.*=4; some", issue.message)
    assert [one.severity for one in panel_issues(plan, load_recipe(None, [large]))] == ["note"]
    assert "left out" in told(plan, small)["mosaic"]
    assert "share one canvas" in told(plan, large)["mosaic"]


def test_formats_are_counted_where_they_are_not_all_plain_fits():
    clip = several("light", 1, path="clip.ser", of=200)
    raws = several("light", 2, path="a.cr3") + several("light", 1, path="b.fits.fz")
    section = formats(Session(Path("night"), (*clip, *raws)))
    assert set(section.rows) == {(".ser", "1", "200"), (".cr3", "1", "1"), (".fits.fz", "1", "1")}
    assert formats(Session(Path("night"), tuple(several("light", 3)))).rows == ()
