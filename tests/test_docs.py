"""The documentation says what the code says."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

import sciastro
from sciastro.cli import app
from sciastro.recipe.simulated import night_plan, write_night
from sciastro.recipe.steps import STEPS

ROOT = Path(__file__).parents[1]
LARGEST = 300_000  # byte


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def maker():
    spec = importlib.util.spec_from_file_location("make_tables", ROOT / "docs/make_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["vocabulary.md", "options.md"])
def test_pages_made_from_the_code_are_current(name):
    assert text(f"docs/{name}") == maker().PAGES[name](), "run python docs/make_tables.py"


def test_every_public_name_loads_and_is_in_the_reference():
    page = text("docs/reference.md")
    for name in sciastro.__all__:
        found = getattr(sciastro, name)
        assert callable(found), name
        assert re.search(rf"\b{name}\b", page), name


def test_every_page_of_the_reference_exists():
    for target in re.findall(r"^::: (\S+)$", text("docs/reference.md"), re.MULTILINE):
        module, _, name = target.rpartition(".")
        assert hasattr(importlib.import_module(module), name), target


def test_every_step_is_in_the_guide_and_in_the_options():
    guide, options = text("docs/guide.md"), text("docs/options.md")
    for name in STEPS:
        assert f"## {name}\n" in options
        for word in name.split("."):
            assert re.search(rf"\b{word}\b", guide), name


def commands(page):
    """Return every command with its switches in the code blocks of a page."""
    blocks = "\n".join(re.findall(r"```\n(.*?)```", page, re.DOTALL))
    return [
        (command, re.findall(r"(?<=\s)--?[a-z][a-z-]*", rest.split("#")[0]))
        for command, rest in re.findall(r"sciastro +([a-z]+)([^\n]*)", blocks)
    ]


@pytest.mark.parametrize("page", ["README.md", "docs/first-light.md", "docs/guide.md"])
def test_commands_and_switches_of_the_pages_exist(page):
    runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    listed = runner.invoke(app, ["--help"]).output
    switches = ""
    for name in ("demo", "simulate", "inspect", "doctor", "reduce", "catalog", "config"):
        assert re.search(rf"^\W*{name}\b", listed, re.MULTILINE), name
        switches += runner.invoke(app, [name, "--help"]).output
    for command, used in commands(text(page)):
        output = runner.invoke(app, [command, "--help"])
        assert output.exit_code == 0, command
        for switch in used:
            assert switch in output.output, f"{command} {switch}"
    for switch in re.findall(r"`(--[a-z-]+)", text(page)):
        assert switch in switches or switch == "--help", switch


def test_options_that_pages_set_exist():
    from sciastro.recipe.plan import load_recipe

    pages = ("first-light", "guide", "stacking", "cameras", "scale", "decisions")
    for page in ("README.md", *(f"docs/{name}.md" for name in pages)):
        for line in text(page).splitlines():
            if "simulate" in line:  # which has settings of its own
                continue
            found = re.findall(r"--set (?:'([^']+)'|([a-z_]+\.[a-z_]+=[a-z0-9_.,]+))", line)
            load_recipe(None, [quoted or plain for quoted, plain in found])


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    write_night(
        night_plan("tiny", {"ra": 97.98, "dec": 4.94, "camera.rows": 512, "camera.columns": 640}),
        folder / "night",
    )
    request = sciastro.RunRequest(session=folder / "night", out=folder / "out")
    return sciastro.reduce_session(request)


def test_the_products_page_names_every_key_of_a_real_summary(summary):
    page = text("docs/products.md")
    product = summary["products"][0]
    groups = (summary, summary["frames"][0], summary["masters"][0], product, product["wcs"],
              product["zeropoint"], summary["timings_s"])  # fmt: skip
    for group in groups:
        for key in group:
            assert re.search(rf"\b{key}\b", page), key


def test_a_real_summary_has_every_key_that_the_products_page_promises(summary):
    row = r"^\| `(frames|products|products\[\]\.\w+)` \| `([^`]*)`"
    promised = dict(re.findall(row, text("docs/products.md"), re.MULTILINE))
    product = summary["products"][0]
    rows = {"frames": summary["frames"][0], "products": product,
            "products[].wcs": product["wcs"], "products[].zeropoint": product["zeropoint"]}  # fmt: skip
    assert set(promised) == set(rows)
    for name, keys in promised.items():
        assert set(keys.split(", ")) <= set(rows[name]), name


def tracked():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_path_of_a_machine_is_in_any_text():
    pattern = re.compile(r"/(?:home|root|Users|work)/[A-Za-z0-9_.-]+/")
    for path in tracked():
        if path.suffix in {".py", ".md", ".toml", ".yml", ".ipynb", ".html", ".css", ".js", ".json"}:
            found = pattern.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{path.relative_to(ROOT)}: {found}"


def test_pictures_of_the_documentation_are_small_and_there():
    for path in (ROOT / "docs/images").iterdir():
        assert path.stat().st_size < LARGEST, path.name
    assert "docs/images/demo.jpg" in text("README.md")


def test_notebooks_are_kept_without_output():
    import json

    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert not cell.get("outputs"), path.name
            assert cell.get("execution_count") is None, path.name
