"""summary.json: the promised keys, an honest status, and JSON that any reader takes."""

import json

import numpy as np
import pytest

from sciastro.errors import OutputError
from sciastro.recipe.context import STAGES, Context, Silent
from sciastro.recipe.summary import Summary, clean, frame_row

KEYS = {
    "schema",
    "status",
    "frames",
    "masters",
    "products",
    "colors",
    "renders",
    "timings_s",
    "peak_memory_bytes",
    "warnings",
}
FRAME_KEYS = {
    *("path", "type", "band", "exposure_s", "used", "reason", "fwhm_px", "eccentricity", "sky_e_s"),
    *("n_stars", "weight"),
}


@pytest.fixture
def context(tmp_path):
    return Context(out=tmp_path, workers=1, memory=10**9, progress=Silent())


def rows(*used, reason=None):
    return [
        {**frame_row(f"{i}.fits", "light", "R", 60.0), "used": one, "reason": reason}
        for i, one in enumerate(used)
    ]


@pytest.mark.parametrize(
    ("used", "products", "wanted", "status"),
    [
        ((True, True), 2, 2, "ok"),
        ((True, False), 2, 2, "partial"),  # a frame left out
        ((True, True), 1, 2, "partial"),  # a product missing
        ((True, True), 0, 2, "failed"),
        ((False, False), 0, 2, "failed"),
        ((True, True), 0, 0, "ok"),  # stopped before integration, as asked
        ((True, False), 0, 0, "partial"),
    ],
)
def test_status(used, products, wanted, status):
    summary = Summary(frames=rows(*used, reason="clouded"), products=[{}] * products)
    assert summary.status == "failed"  # until it is settled
    summary.settle(wanted)
    assert summary.status == status


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("not selected: rank(fwhm) = 90, not < 80", "ok"),
        ("spare: no light needs it", "ok"),
        ("is the same file as a.fits; a frame counts once", "ok"),
        ("fits no light, while some go without darks; `sciastro doctor` tells why", "partial"),
        ("clouded: transparency 0.2 of the group's", "partial"),
        (None, "partial"),
    ],
)
def test_what_the_user_chose_is_no_fault(reason, status):
    summary = Summary(frames=[*rows(True), *rows(False, reason=reason)], products=[{}])
    summary.settle(1)
    assert summary.status == status
    assert summary.incomplete == ([] if status == "ok" else ["1 light frame left out"])


def test_a_product_without_world_coordinates_is_not_complete():
    summary = Summary(frames=rows(True), products=[{"target": "M 31", "band": "R", "wcs": None}])
    summary.settle(1)
    assert (summary.status, summary.incomplete) == ("partial", ["no world coordinates for M 31 R"])


def test_the_promised_keys_are_there(context):
    content = Summary().as_dict(context)
    assert set(content) >= KEYS
    assert content["schema"] == 1
    assert content["status"] == "failed"
    assert set(content["timings_s"]) == {*STAGES, "total"}
    assert content["peak_memory_bytes"] > 10**7
    assert set(frame_row("a.fits", "light", None, None)) == FRAME_KEYS


def test_timings_add_up_with_zeros_for_what_was_not_reached(context):
    context.timings.update(ingest=1.25, masters=2.5)
    timings = Summary().as_dict(context)["timings_s"]
    assert timings["ingest"] == 1.25
    assert timings["report"] == 0.0
    assert timings["total"] == 3.75


def test_numbers_are_plain_and_missing_ones_are_null():
    value = {
        "a": np.float32(1.5),
        "b": np.nan,
        "c": [np.int64(3), float("inf"), (np.bool_(True), np.float64("nan"))],
        4: {"d": "text", "e": None, "f": np.str_("g")},
    }
    cleaned = clean(value)
    assert cleaned == {
        "a": 1.5,
        "b": None,
        "c": [3, None, [True, None]],
        "4": {"d": "text", "e": None, "f": "g"},
    }
    assert type(cleaned["c"][0]) is int and type(cleaned["c"][2][0]) is bool
    assert json.loads(json.dumps(cleaned, allow_nan=False)) == cleaned


def test_the_file_is_strict_json_and_appears_whole(context):
    context.warn("ein Rätsel: 3″")
    summary = Summary(
        frames=rows(True), products=[{"noise_e_s": np.float32(np.nan), "n_frames": np.int64(3)}]
    )
    summary.settle(1)
    content = summary.write(context)

    def strict(word):
        raise AssertionError(f"{word} is no JSON")

    text = (context.out / "summary.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=strict) == content
    assert content["products"] == [{"noise_e_s": None, "n_frames": 3}]
    assert "Rätsel" in text
    assert [path.name for path in context.out.iterdir()] == ["summary.json"]  # nothing temporary is left


def test_file_names_that_are_no_utf8_survive(context):
    name = b"M\xff31/light.fits".decode("utf-8", "surrogateescape")
    content = Summary(frames=[frame_row(name, "light", "R", 60.0)]).write(context)
    back = json.loads((context.out / "summary.json").read_text(encoding="utf-8"))
    assert back == content
    assert back["frames"][0]["path"].encode("utf-8", "surrogateescape") == b"M\xff31/light.fits"


def test_a_summary_that_cannot_be_written_leaves_the_old_one(context, monkeypatch):
    Summary(status="ok").write(context)
    before = (context.out / "summary.json").read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OutputError, match=r"summary\.json"):
        Summary(status="partial").write(context)
    monkeypatch.undo()
    assert (context.out / "summary.json").read_bytes() == before
    assert [path.name for path in context.out.iterdir()] == ["summary.json"]
