"""Recipes: what wins, what is refused and how, and that a resolved recipe reproduces itself."""

import re
import tomllib

import pytest

from sciastro.errors import FileError, OptionError
from sciastro.integrate.options import StackOptions
from sciastro.recipe.plan import describe_steps, load_recipe, recipe_text, resolve
from sciastro.recipe.steps import STEPS


def write(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_every_step_has_its_defaults():
    recipe = load_recipe(None, [])
    assert list(recipe.options) == list(STEPS)
    for name, step in STEPS.items():
        assert recipe.options[name] == step.options()
        assert recipe.of(step.options) is recipe.options[name]


def test_later_sources_win(tmp_path):
    path = write(
        tmp_path,
        'schema = 1\n[[step]]\nname = "integrate.stack"\nhigh = 2.5\nlow = 3.5\n'
        '[[step]]\nname = "register"\nmax_degree = 2\n',
    )
    recipe = load_recipe(path, ["stack.high=2.0", "integrate.stack.combine = median"])
    stack = recipe.of(StackOptions)
    assert (stack.low, stack.high, stack.combine) == (3.5, 2.0, "median")
    assert recipe.options["astrometry.register"].max_degree == 2
    assert load_recipe(path, ["stack.high=2", "stack.high=4"]).of(StackOptions).high == 4.0


@pytest.mark.parametrize("name", STEPS)
def test_short_names_mean_one_step(name):
    assert resolve(name) == resolve(name.rpartition(".")[2]) == name


CHANGES = [
    "correct.gain=1.7",
    "correct.repair=no",
    "stack.clamp=none",  # None, and its default is a number
    "stack.reject=percentile",
    "stack.low=0.3",
    "align.kernel=bilinear",
    "register.reference=4",
    "compose.custom=Ha,OIII,OIII",
    "solve.false_alarm=1e-9",
    "depth.seed=7",
]


@pytest.mark.parametrize("changes", [[], *([one] for one in CHANGES), CHANGES])
def test_a_resolved_recipe_reproduces_itself(tmp_path, changes):
    recipe = load_recipe(None, changes)
    text = recipe_text(recipe, {"session": "night", "hint": None})
    again = load_recipe(write(tmp_path, text), [])
    assert again == recipe
    assert recipe_text(again, {"session": "night", "hint": None}) == text
    content = tomllib.loads(text)
    assert content["schema"] == 1
    assert content["version"]
    assert content["run"] == {"session": "night"}
    assert [table["name"] for table in content["step"]] == list(STEPS)


def test_every_single_option_survives_the_way_through_the_file(tmp_path):
    """Set each optional number to None, and each None to a number, one file for all."""
    changes = []
    for name, step in STEPS.items():
        for key, value in step.options().as_dict().items():
            hint = step.options.__dataclass_fields__[key].type
            if value is not None and "None" in str(hint):
                changes.append(f"{name}.{key}=none")
    assert any("clamp" in change for change in changes)
    recipe = load_recipe(None, changes)
    again = load_recipe(write(tmp_path, recipe_text(recipe)), [])
    assert again == recipe
    assert again != load_recipe(None, [])


REFUSED = [
    (
        "high = 2",
        FileError,
        r"recipe\.toml: has schema None, and this version reads 1\. See `sciastro config",
    ),
    ("schema = 2", FileError, r"has schema 2, and this version reads 1"),
    (
        "schema = 1\nsteps = []",
        FileError,
        r"has an unknown table 'steps'\. Known: schema, version, run, step",
    ),
    ("schema = 1\n[[step]]\nhigh = 2", FileError, r"has a step without a name\. Write \[\[step\]\] and name"),
    ("schema = 1\nstep = 3", FileError, r"has a step without a name"),
    ("schema = = 1", FileError, r"recipe\.toml: is not a recipe \(.*\)\. See `sciastro config --toml`"),
    (
        'schema = 1\n[[step]]\nname = "stak"',
        OptionError,
        r"recipe: is no step: 'stak'\. Steps: ingest\.scan, calibrate\.match, ",
    ),
    (
        'schema = 1\n[[step]]\nname = "stack"\nkapa = 2',
        OptionError,
        r"integrate.stack: has no option 'kapa'\. Known options: .*reject, low, high",
    ),
    (
        'schema = 1\n[[step]]\nname = "stack"\nprotect = 20',
        OptionError,
        r"integrate\.stack\.protect: is 20\.0\. Choose a value from 0\.0 to 10\.0",
    ),
    (
        'schema = 1\n[[step]]\nname = "stack"\ncombine = "mode"',
        OptionError,
        r"integrate\.stack\.combine: is 'mode'\. Allowed values are 'mean', 'median'",
    ),
    (
        'schema = 1\n[[step]]\nname = "stack"\nmin_frames = 2.5',
        OptionError,
        r"integrate\.stack\.min_frames: is 2\.5\. Give a whole number",
    ),
]


@pytest.mark.parametrize(("text", "error", "message"), REFUSED)
def test_a_wrong_file_is_refused_with_a_remedy(tmp_path, text, error, message):
    with pytest.raises(error, match=message):
        load_recipe(write(tmp_path, text), [])


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileError, match=r"nothing\.toml: is not a recipe"):
        load_recipe(tmp_path / "nothing.toml", [])
    with pytest.raises(FileError, match="is not a recipe"):
        load_recipe(tmp_path, [])
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00schema")
    with pytest.raises(FileError, match=r"binary\.toml: is not a recipe"):
        load_recipe(tmp_path / "binary.toml", [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("stack.high", r"--set: is 'stack\.high'\. Write STEP\.OPTION=VALUE, for instance stack\.high=2\.5"),
        ("high=2", r"--set: is 'high=2'\. Write STEP\.OPTION=VALUE"),
        ("", "Write STEP.OPTION=VALUE"),
        ("stack.kapa=2", "integrate.stack: has no option 'kapa'"),
        ("stuck.high=2", "is no step: 'stuck'"),
        ("stack.=2", "integrate.stack: has no option ''"),
        ("stack.high=much", r"integrate\.stack\.high: is 'much'\. Give a number or none"),
        ("correct.repair=perhaps", r"calibrate\.correct\.repair: is 'perhaps'\. Give yes or no"),
        ("stack.min_reject=2", r"integrate\.stack\.min_reject: is 2\. Choose a value from 3 to inf"),
        ("register.tolerance=0.1", r"tolerance: is 0\.1 pixel\. Choose a value from 0\.3 to 50\.0 pixel"),
    ],
)
def test_a_wrong_change_is_a_usage_error(change, message):
    with pytest.raises(OptionError, match=message) as caught:
        load_recipe(None, [change])
    assert caught.value.exit_code == 2


def test_values_may_hold_equals_signs_and_dots():
    recipe = load_recipe(None, ["compose.custom=a=b,c.d,e"])
    assert recipe.options["render.compose"].custom == "a=b,c.d,e"


def test_the_description_names_values_units_and_ranges():
    recipe = load_recipe(None, ["register.tolerance=4"])
    lines = list(describe_steps(recipe, "register"))
    assert lines[0] == "astrometry.register: How all frames are registered."
    assert "  tolerance = 4.0 pixel   (0.3 to 50.0)" in lines
    assert any(re.search(r"kernel = auto +\(one of auto, ", line) for line in describe_steps(recipe, "align"))
    whole = "\n".join(describe_steps(recipe, None))
    assert all(f"{name}: " in whole for name in STEPS)
    with pytest.raises(OptionError, match="is no step: 'nothing'"):
        list(describe_steps(recipe, "nothing"))
