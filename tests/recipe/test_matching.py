"""Which light gets which master: the rules of WBPP, case by case."""

from datetime import date
from pathlib import Path

import pytest
from session_frames import several

from sciastro.errors import OptionError
from sciastro.recipe.masterplan import MatchOptions
from sciastro.recipe.matching import plan_masters
from sciastro.recipe.session import Session, scan

DATA = Path(__file__).parents[3] / "shared" / "data"


def plan(*sets, **options):
    frames = tuple(frame for members in sets for frame in members)
    return plan_masters(Session(Path("night"), frames), MatchOptions(**options))


def only(made):
    assert len(made.matches) == 1
    return made.matches[0]


def choice(match, kind):
    return next(item for item in match.choices if item.kind == kind)


def test_a_full_set():
    match = only(
        made := plan(
            several("light"), several("bias", 5), several("dark", 5), several("flat", 5, exposure=2.0)
        )
    )
    assert (match.dark, match.dark_scale, match.bias, match.flat) == ("dark-60s", 1.0, None, "flat-L")
    assert match.level == "bias"
    assert made.master("flat-L").calibrated_by == "bias"
    assert "holds the bias already" in choice(match, "bias").reason
    assert made.missing == ()
    assert [len(spec.frames) for spec in made.masters] == [5, 5, 5]


def test_the_bias_is_never_taken_out_twice():
    for extra in ([], several("bias")):
        match = only(plan(several("light"), several("dark"), extra))
        assert match.dark is not None
        assert match.dark_scale == 1.0
        assert match.bias is None


def test_a_dark_of_another_exposure_is_scaled_with_the_bias():
    match = only(plan(several("light", exposure=120.0), several("bias"), several("dark", exposure=80.0)))
    assert (match.dark, match.dark_scale, match.bias) == ("dark-80s", 1.5, "bias")
    assert "Scaled by 1.5" in choice(match, "dark").reason
    assert choice(match, "dark").severity == "note"


def test_of_several_darks_the_matching_one_wins_then_the_next_longer():
    darks = [several("dark", exposure=value) for value in (30.0, 60.0, 100.0, 300.0)]
    assert only(plan(several("light"), several("bias"), *darks)).dark == "dark-60s"
    match = only(plan(several("light", exposure=90.0), several("bias"), *darks))
    assert (match.dark, match.dark_scale) == ("dark-100s", 0.9)
    told = choice(match, "dark").candidates
    assert told[0].id == "dark-100s"
    assert {item.id for item in told} == {"dark-30s", "dark-60s", "dark-100s", "dark-300s"}
    assert all("s" in item.distance for item in told)


def test_without_bias_a_near_dark_is_used_loudly_and_a_far_one_refused():
    match = only(plan(several("light", exposure=60.0), several("dark", exposure=80.0)))
    assert (match.dark, match.dark_scale, match.bias) == ("dark-80s", 1.0, None)
    assert choice(match, "dark").severity == "warning"
    # 80 s of dark current in place of 60 s: 33 % too much.
    assert "+33 %" in choice(match, "dark").reason
    match = only(plan(several("light", exposure=60.0), several("dark", exposure=300.0)))
    assert match.dark is None
    assert "cannot be scaled" in choice(match, "dark").reason
    assert not choice(match, "dark").candidates[0].accepted


def test_scaling_on_request():
    sets = several("light", exposure=120.0), several("bias"), several("dark", exposure=80.0)
    match = only(plan(*sets, scale_darks="never"))
    assert (match.dark, match.bias) == (None, "bias")
    assert "switched off" in choice(match, "dark").reason
    match = only(
        plan(several("light", exposure=61.0), several("bias"), several("dark"), scale_darks="always")
    )
    assert match.dark_scale == pytest.approx(61 / 60)
    assert match.bias == "bias"


def test_much_shorter_darks_are_not_scaled_up():
    match = only(plan(several("light", exposure=300.0), several("bias"), several("dark", exposure=10.0)))
    assert (match.dark, match.bias) == (None, "bias")
    assert "noise would spoil" in choice(match, "dark").reason


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"gain_setting": 200.0}, "another gain (200, not 100)"),
        ({"offset": 50.0}, "another offset"),
        ({"binning": (2, 2)}, "another binning"),
        ({"shape": (50, 60)}, "another size (60 x 50, not 120 x 100)"),
        ({"instrument": "QHY268M"}, "another camera"),
        ({"row_order": "BOTTOM-UP"}, "rows in the other order"),
        ({"readout_mode": "Fast"}, "another read-out mode"),
    ],
)
def test_hard_keys(facts, why):
    light = {"row_order": "TOP-DOWN", "readout_mode": "Slow"}
    same = {"row_order": "TOP-DOWN", "readout_mode": "Slow", **facts}
    made = plan(
        several("light", **light),
        several("bias", **same),
        several("dark", **same),
        several("flat", exposure=2.0, **same),
    )
    match = only(made)
    assert (match.dark, match.bias, match.flat, match.level) == (None, None, None, None)
    for kind in ("dark", "bias", "flat"):
        (candidate,) = choice(match, kind).candidates
        assert not candidate.accepted
        assert why in candidate.why
    assert {item.what for item in made.missing} == {"dark", "zero level", "flat"}
    assert all(item.cost for item in made.missing)


def test_gain_in_electrons_tells_settings_apart_where_none_is_named():
    match = only(
        plan(several("light", gain_setting=None, egain=1.0), several("dark", gain_setting=None, egain=0.25))
    )
    assert match.dark is None
    assert "another gain" in choice(match, "dark").candidates[0].why


def test_a_setting_that_only_one_header_names_is_remarked():
    match = only(plan(several("light"), several("dark", gain_setting=None)))
    assert match.dark == "dark-60s"
    assert "names the gain: check it" in choice(match, "dark").reason
    assert choice(match, "dark").severity == "note"


def test_temperature():
    near, far = several("dark", temperature=-11.0), several("dark", temperature=0.0)
    match = only(plan(several("light"), near, far))
    assert match.dark == "dark-60s--11C"
    refused = next(item for item in choice(match, "dark").candidates if not item.accepted)
    assert "10.0 deg C away, more than the 3 allowed" in refused.why
    assert only(plan(several("light"), far)).dark is None
    assert only(plan(several("light"), far, temperature_tolerance=15.0)).dark == "dark-60s"


def test_flats_by_filter_and_color_array():
    flats = [several("flat", exposure=2.0, filter=band) for band in ("R", "r", "Ha")]
    match = only(plan(several("light", filter="r"), several("bias"), *flats))
    assert match.flat.startswith("flat-r")
    refused = [item.why for item in choice(match, "flat").candidates if not item.accepted]
    assert sorted(refused) == ["another filter (Ha, not r)", "another filter (R, not r)"]
    color = plan(several("light", filter="OSC", cfa="RGGB"), several("flat", filter="OSC", cfa="GBRG"))
    assert only(color).flat is None


def test_ids_differ_even_where_case_does_not_count():
    made = plan(several("light"), several("flat", filter="R"), several("flat", filter="r"), several("flat"))
    ids = [spec.id.casefold() for spec in made.masters]
    assert len(set(ids)) == len(ids) == 3


def test_a_flat_without_filter_name_serves_a_color_camera():
    flat = several("flat", filter="Clear", origins={"filter": "default"})
    assert only(plan(several("light", filter="OSC", cfa="RGGB"), flat)).flat is not None
    assert only(plan(several("light", filter="Ha"), flat)).flat is None


def test_flats_of_the_nearest_night_and_old_ones_with_a_warning():
    old, new = several("flat", night=date(2024, 1, 1)), several("flat", night=date(2024, 2, 28))
    match = only(plan(several("light"), old, new))
    assert match.flat == "flat-L-2024-02-28"
    assert choice(match, "flat").severity == "ok"
    match = only(plan(several("light"), old))
    assert choice(match, "flat").severity == "warning"
    assert "60 nights apart" in choice(match, "flat").reason
    assert choice(only(plan(several("light"), old, flat_age=90.0)), "flat").severity == "ok"


def test_what_flats_are_calibrated_with():
    flats = several("flat", exposure=2.0)
    bias, dark = several("bias"), several("dark")
    matching, other = several("dark-flat", exposure=2.3), several("dark-flat", exposure=5.0)

    def used(*sets):
        made = plan(several("light"), flats, *sets)
        return next(spec for spec in made.masters if spec.kind == "flat")

    assert used(bias, dark, matching).calibrated_by == "dark-flat-2.3s"
    assert used(bias, dark, other).calibrated_by == "bias"
    assert "3 s, more than 0.5 s" in used(bias, dark, other).candidates[0].why
    assert used(several("dark", exposure=2.0)).calibrated_by == "dark-2s"
    assert used(dark).calibrated_by is None  # never with the dark of the lights
    assert "NOT calibrated" in used(dark).reason
    assert used(several("bias", gain_setting=200.0)).calibrated_by is None


def test_mixed_gain_gets_masters_of_its_own():
    made = plan(
        several("light"),
        several("light", 2, gain_setting=200.0),
        several("dark"),
        several("dark", gain_setting=200.0),
        several("light", 2, binning=(2, 2), shape=(50, 60)),
    )
    chosen = {(match.group.gain_setting, match.group.binning): match.dark for match in made.matches}
    assert chosen == {
        (100.0, (1, 1)): "dark-60s-g100",
        (200.0, (1, 1)): "dark-60s-g200",
        (100.0, (2, 2)): None,
    }


def test_finished_masters_are_used():
    master = several("master-dark", 1, combined=50)
    made = plan(several("light"), master, several("master-flat", 1), several("master-bias", 1))
    match = only(made)
    assert (match.dark, match.flat) == ("dark-60s", "flat-L")
    assert all(spec.existing for spec in made.masters)
    assert "finished" in made.master("flat-L").reason
    # A master of 50 is preferred to 3 raw frames that match as well.
    match = only(made := plan(several("light"), master, several("dark")))
    assert made.master(match.dark).existing


def test_calibrated_lights_are_not_calibrated_again():
    match = only(
        made := plan(several("light", calibrated="BDF"), several("dark"), several("bias"), several("flat"))
    )
    assert (match.dark, match.bias, match.level, match.flat) == (None, None, None, None)
    assert made.missing == ()
    match = only(
        plan(
            several("light", calibrated="B"), several("dark", exposure=30.0), several("bias"), several("flat")
        )
    )
    assert (match.dark, match.bias, match.level) == (None, None, None)  # any of them would take it twice
    assert "holds the bias" in choice(match, "dark").candidates[0].why
    assert match.flat == "flat-L"
    match = only(plan(several("light", calibrated="B"), several("dark", calibrated="B"), several("bias")))
    assert (match.dark, match.bias, match.level) == ("dark-60s", None, None)
    made = plan(several("light"), several("bias"), several("flat", calibrated="B"))
    assert made.master("flat-L").calibrated_by is None


def test_a_dark_whose_bias_is_gone_is_refused():
    match = only(plan(several("light"), several("master-dark", 1, calibrated="B")))
    assert match.dark is None
    assert "bias is already taken out" in choice(match, "dark").candidates[0].why


def test_switches():
    sets = several("light"), several("bias"), several("dark"), several("flat")
    match = only(plan(*sets, use_darks=False))
    assert (match.dark, match.bias) == (None, "bias")
    assert "use_darks" in choice(match, "dark").reason
    assert only(plan(*sets, use_flats=False)).flat is None
    assert only(plan(*sets, use_bias=False)).level is None
    with pytest.raises(OptionError, match="scale_darks"):
        MatchOptions(scale_darks="maybe")


def test_flats_of_nights_with_too_few_are_joined():
    made = plan(several("light"), several("flat", 2), several("flat", 4, night=date(2024, 3, 2)))
    assert [len(spec.frames) for spec in made.masters] == [6]
    made = plan(several("light"), several("flat", 3), several("flat", 4, night=date(2024, 3, 2)))
    assert sorted(len(spec.frames) for spec in made.masters) == [3, 4]


def test_nothing_at_all():
    match = only(made := plan(several("light", 1)))
    assert made.masters == ()
    assert {item.reason for item in match.choices} == {
        "The session holds no dark frames.",
        "The session holds no bias frames.",
        "The session holds no flat frames.",
    }
    assert plan(several("dark")).matches == ()


def test_the_real_session_with_darks_of_another_exposure():
    if not (DATA / "calib_arcsat_m13").is_dir():
        pytest.skip("no real data beside the repository")
    made = plan_masters(scan(DATA / "calib_arcsat_m13"))
    assert [(spec.id, len(spec.frames), spec.calibrated_by) for spec in made.masters] == [
        ("bias", 3, None),
        ("dark-80s", 3, None),
        ("flat-g", 3, "bias"),
        ("flat-r", 3, "bias"),
    ]
    got = [(m.group.band, m.group.exposure, m.dark, m.dark_scale, m.bias, m.flat) for m in made.matches]
    assert got == [
        ("g", 120.0, "dark-80s", 1.5, "bias", "flat-g"),
        ("r", 60.0, "dark-80s", 0.75, "bias", "flat-r"),
        ("r", 120.0, "dark-80s", 1.5, "bias", "flat-r"),
    ]
