"""Headers as capture programs write them."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from astropy.io import fits
from simulated_fields import catalog

from sciastro.simulate.dialects import DIALECTS, sexagesimal, spellings
from sciastro.simulate.night import night
from sciastro.simulate.presets import adjusted, preset

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "headers"
SMALL = {
    "camera.rows": 64,
    "camera.columns": 80,
    "lights": 1,
    "darks": 1,
    "flats": 1,
    "biases": 1,
    "dark_flats": 1,
}


def frames(program, name="tiny", **settings):
    plan = adjusted(preset(name), {**SMALL, "program": program, **settings})
    return {frame.spec.kind: frame for frame in night(plan, catalog(plan, 5))}, plan


def cards(frame):
    return {key: value for key, value, _ in frame.header}


@pytest.mark.parametrize(
    ("program", "key", "light", "flat", "bias", "dark", "dark_flat"),
    [
        ("nina", "IMAGETYP", "LIGHT", "FLAT", "BIAS", "DARK", "DARKFLAT"),
        ("sharpcap", "FRAMETYP", "Light", "Flat", "Bias", "Dark", "DarkFlat"),
        ("asiair", "IMAGETYP", "Light", "Flat", "Bias", "Dark", "Dark"),
        ("ekos", "IMAGETYP", "Light Frame", "Flat Frame", "Bias Frame", "Dark Frame", "Dark Frame"),
        ("maxim", "IMAGETYP", "Light Frame", "Flat Field", "Bias Frame", "Dark Frame", "Dark Frame"),
    ],
)
def test_frame_types(program, key, light, flat, bias, dark, dark_flat):
    got, _ = frames(program)
    assert {kind: cards(frame)[key] for kind, frame in got.items()} == {
        "light": light,
        "flat": flat,
        "bias": bias,
        "dark": dark,
        "dark-flat": dark_flat,
    }


@pytest.mark.parametrize("program", DIALECTS)
def test_facts_are_in_the_header(program):
    got, plan = frames(program)
    light = cards(got["light"])
    assert light["EXPTIME"] == plan.exposure
    assert light["FILTER"] == "G" == cards(got["flat"])["FILTER"]
    assert "FILTER" not in cards(got["dark"])
    assert light["OBJECT"] == "Tiny"
    assert light["XPIXSZ"] == plan.camera.pixel_size
    assert light["FOCALLEN"] == plan.telescope.focal_length
    assert light["CCD-TEMP"] == pytest.approx(-10, abs=0.5)
    assert cards(got["bias"])["EXPTIME"] == 0
    assert cards(got["dark-flat"])["EXPTIME"] == plan.flat_exposure
    assert ("ROWORDER" in light) == (program in ("nina", "sharpcap", "ekos"))
    assert "BAYERPAT" not in light
    pointing = ("RA", "DEC") if "RA" in light else ("OBJCTRA", "OBJCTDEC")
    assert set(pointing) <= set(light)
    assert not set(pointing) & set(cards(got["dark"]))
    start = got["light"].spec.start
    assert light["DATE-OBS"].startswith(start.strftime("%Y-%m-%dT%H:%M:%S"))
    paths = [frame.path for frame in got.values()]
    assert len(set(paths)) == len(paths) and not any(path.startswith("/") or ".." in path for path in paths)
    for frame in got.values():
        for key, value, comment in frame.header:
            if key != "COMMENT":
                fits.Card(key, value, comment).verify("exception")


@pytest.mark.parametrize("program", DIALECTS)
@pytest.mark.parametrize("order", ["", "BOTTOM-UP"])
def test_color_array_is_the_sensors_whatever_the_row_order(program, order):
    got, _ = frames(program, "osc", row_order=order)
    light = cards(got["light"])
    assert light["BAYERPAT"] == "RGGB"
    assert "FILTER" not in light
    if order:
        assert light["ROWORDER"] == "BOTTOM-UP"
    # Row 0 of a top-down file holds R G; stored bottom-up (even height) it holds G B.
    flat = got["flat"].image.astype(float) - 500
    means = {(j, i): flat[j::2, i::2].mean() for j in range(2) for i in range(2)}
    assert min(means, key=means.get) == ((1, 0) if order else (0, 0))  # the panel is weakest in red


@pytest.mark.parametrize(
    ("file", "program"),
    [("header_nina.txt", "nina"), ("header_maximdl.txt", "maxim"), ("header_seestar.txt", "asiair")],
)
def test_order_and_comments_follow_a_real_header(file, program):
    path = REAL / file
    if not path.is_file():
        pytest.skip(f"needs {path.name} from ../shared/data/headers")
    real = [line[:8].strip() for line in path.read_text(encoding="latin-1").splitlines() if line[8:9] == "="]
    ours = [key for key, *_ in DIALECTS[program].rows]
    common = [key for key in ours if key in real]
    assert len(common) >= 15
    order = [real.index(key) for key in common]
    # Programs change their order a little from version to version: most neighbors must agree.
    agree = sum(a < b for a, b in pairwise(order))
    assert agree >= 0.8 * (len(order) - 1)


def test_angles_as_text():
    assert sexagesimal(83.8221, hours=True) == "05 35 17"
    assert sexagesimal(-5.391, digits=2) == "-05 23 27.60"
    assert sexagesimal(359.99999, hours=True) == "00 00 00"
    assert sexagesimal(-0.5, separator=":") == "-00:30:00"
    assert sexagesimal(59.9999999) == "+60 00 00"


def test_times_as_text():
    facts = {
        "start": datetime(2024, 1, 13, 23, 59, 59, 250000, tzinfo=UTC),
        "exposure": 60.0,
        "longitude": -16.5,
    }
    facts |= {
        "ra": 1.0,
        "dec": 2.0,
        "latitude": 3.0,
        "target": "M 31/a",
        "kind": "dark-flat",
        "band": "",
        "temperature": -10.0,
    }
    got = spellings(facts)
    assert got["date_ms"] == "2024-01-13T23:59:59.250"
    assert got["local_ms"] == "2024-01-13T22:59:59.250"
    assert got["mid_ms"] == "2024-01-14T00:00:29.250"
    assert got["jd"] == pytest.approx(2460323.499991, abs=1e-6)  # 2024-01-14T00:00 is JD 2460323.5
    assert got["mjd"] == pytest.approx(got["jd"] - 2400000.5, abs=1e-6)
    assert got["night"] == "2024-01-13"
    assert got["name"] == "M_31_a"
