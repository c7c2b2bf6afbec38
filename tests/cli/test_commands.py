"""The command line as a newcomer meets it: help, plans, stages, logs, and the same bytes every time."""

import json
import re
import subprocess
import sys
from importlib.metadata import version

import pytest
from small_nights import PLAN, command, frames, reduce, science
from typer.main import get_command

from sciastro.cli import app
from sciastro.cli.common import first_use

COMMANDS = ("demo", "simulate", "inspect", "doctor", "reduce", "catalog", "config")


def refused(code, *arguments):
    """Run a command that must fail with `code`, and return what it told on standard error."""
    result = command(*arguments)
    assert result.exit_code == code, result.output
    return " ".join(re.sub("[│╭╮╰╯─]", " ", result.stderr).split())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_every_option(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    parameters = get_command(app).commands[name].params
    told = command(name, "--help").stdout
    for parameter in parameters:
        if parameter.name != "help" and parameter.opts[0].startswith("--"):
            assert parameter.opts[0] in told
        assert parameter.name == "help" or parameter.help, f"{name} {parameter.name} has no help"


def test_help_lists_every_command_and_where_to_start():
    told = " ".join(command("--help").stdout.split())
    assert all(name in told for name in COMMANDS) and "Start with `sciastro demo`" in told


def test_version():
    assert command("--version").stdout == f"sciastro {version('sciastro')}\n"


def test_help_starts_fast_and_imports_little():
    code = (
        "import sys; from sciastro.cli import app; heavy = {'numpy', 'astropy', 'xarray', 'numba', 'dask'};"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------------------ wrong usage
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--until", "later"), "--until: is 'later'. Stages: ingest, masters, calibrate, register"),
        (("--memory", "lots"), "--memory: is 'lots'. Write it like 2GB"),
        (("--memory", "1MB"), "--memory: is '1MB'. Give at least 500MB"),
        (("--set", "stack.nothing=1"), "has no option 'nothing'. Known options: "),
        (("--set", "nothing.high=1"), "is no step: 'nothing'. Steps: ingest.scan, calibrate.match"),
        (("--set", "stack.high=abc"), "high: is 'abc'. Give a number"),
        (("--set", "stack.high"), "--set: is 'stack.high'. Write STEP.OPTION=VALUE"),
        (("--ra", "10"), "--ra or --dec: is given without the other. Give both."),
        (("--ra", "400", "--dec", "0"), "--ra: is 400.0. Give degrees from 0 to 360."),
        (("--scale", "-1"), "--scale: is -1.0."),
        (("--keep", "everything"), "--keep: is 'everything'. Choose from calibrated, registered, xisf."),
        (("--workers", "-1"), "Invalid value for '--workers'"),
        (("--catalog", "gaja-dr3"), "Invalid value for '--catalog'"),
        (("--no-such-option",), "No such option: --no-such-option"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_written(good_night, tmp_path, arguments, told):
    assert told in refused(2, "reduce", good_night, "-o", tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"a,b\n1,2\n", "has no columns for right ascension"), (bytes(range(256)), "cannot be read as a table")],
)
def test_a_catalog_that_is_none(good_night, tmp_path, content, told):
    (tmp_path / "mine.csv").write_bytes(content)
    out = tmp_path / "out"
    assert told in refused(3, "reduce", good_night, "-o", out, "--catalog", tmp_path / "mine.csv")
    assert told in refused(3, "catalog", "--file", tmp_path / "mine.csv")


def test_a_recipe_that_is_none(good_night, tmp_path):
    told = refused(
        3, "reduce", good_night, "-o", tmp_path / "out", "--recipe", frames(good_night, "LIGHT")[0]
    )
    assert "is not a recipe" in told and "See `sciastro config --toml`." in told


# ---------------------------------------------------------------------------------- look without touching
def test_dry_run_writes_nothing(good_night, tmp_path):
    result = command("reduce", good_night, "-o", tmp_path / "out", "--dry-run")
    assert result.exit_code == 0 and not (tmp_path / "out").exists()
    assert "products/Tiny_G.fits from 3 frames, 180 s" in result.stdout
    assert "masters/dark-60s.fits from 3 frames" in result.stdout


def test_doctor(good_night):
    result = command("doctor", good_night)
    assert result.exit_code == 0
    for text in ("Tiny", "dark-60s", "flat-G", "What to do"):
        assert text in result.stdout


def test_inspect(good_night, good_run):
    raw = frames(good_night, "LIGHT")[0]
    assert re.search(r"exposure +60\.0", command("inspect", raw).stdout)
    assert "EXPTIME" in command("inspect", raw, "--header").stdout
    product = command("inspect", good_run.out / "products" / "Tiny_G.fits").stdout
    assert product.count("product of sciastro") == 5 and "problem" not in product
    assert re.search(r"scale +\d+\.?\d* ", product) and re.search(
        r"time +\S+ \d\d:\d\d:\d\d\.\d{3}\+", product
    )
    table = command("inspect", good_run.out).stdout
    assert "6 of 6 frames used" in table or "3 of 3 frames used" in table
    assert "HDU" not in table
    assert "lights_0: 6 frames of 320 x 256" in command("inspect", good_run.out / "frames.h5").stdout
    lines = command("inspect", good_night, "--json").stdout.splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds.count("light") == 6 and kinds.count("bias") == PLAN["biases"]


def test_catalog(tmp_path):
    assert "license" in command("catalog").stdout
    assert "complete and unchanged" in command("catalog", "--verify").stdout
    cone = command("catalog", "--ra", "83.8", "--dec", "-5.4", "--radius", "1", "--brightest", "5").stdout
    assert len(cone.splitlines()) == 8 and re.match(r"\d+ stars \(", cone)
    (tmp_path / "mine.csv").write_text("ra,dec,mag\n10.0,20.0,9.5\n10.1,20.1,11.5\n")
    assert "2 stars" in command("catalog", "--file", tmp_path / "mine.csv").stdout
    assert "is given without the other" in refused(2, "catalog", "--ra", "10")


def test_config(tmp_path):
    everything, one = command("config").stdout, command("config", "stack").stdout
    assert one in everything and one.startswith("integrate.stack: ")
    assert "is no step: 'nothing'" in refused(2, "config", "nothing")
    assert "high = 2.5" in command("config", "stack", "--set", "stack.high=2.5").stdout


# ------------------------------------------------------------------------------------------- the run
def test_config_gives_a_recipe_that_reduce_takes(good_night, tmp_path):
    changed = command("config", "--toml", "--set", "stack.high=2.5").stdout
    (tmp_path / "recipe.toml").write_text(changed)
    run = reduce(good_night, tmp_path / "out", "--recipe", tmp_path / "recipe.toml", until="ingest")
    assert run.code == 0
    assert "high = 2.5" in (run.out / "recipe.toml").read_text()


@pytest.mark.parametrize(
    ("until", "files"),
    [
        ("ingest", ["frames.h5", "recipe.toml", "log.jsonl"]),
        ("masters", ["masters/bias.fits", "masters/dark-60s.fits", "masters/flat-R.fits"]),
        ("register", ["frames.h5", "masters/bias.fits"]),
        ("integrate", ["products/Tiny_G.fits", "products/Tiny_R.fits"]),
        ("photometry", ["products/Tiny_G_sources.ecsv", "products/Tiny_G_sources.fits"]),
        pytest.param("render", ["renders/Tiny.png"], marks=pytest.mark.slow),
    ],
)
def test_until_leaves_what_it_promises(good_night, tmp_path, until, files):
    run = reduce(good_night, tmp_path / "out", until=until)
    assert run.code == 0 and run.summary["until"] == until
    assert all((run.out / name).is_file() for name in files)
    assert not (run.out / "report.html").exists()


def test_a_whole_run(good_run):
    assert good_run.code == 0 and good_run.summary["status"] == "ok"
    assert (good_run.out / "report.html").is_file() and not (good_run.out / ".work").exists()
    for line in (good_run.out / "log.jsonl").read_text().splitlines():
        assert {"time", "level", "logger", "message"} <= set(json.loads(line))


def test_quiet_and_json_log(good_night, tmp_path):
    result = command("reduce", good_night, "-o", tmp_path / "a", "--until", "masters", "--quiet")
    assert result.exit_code == 0 and result.output == ""
    result = command("reduce", good_night, "-o", tmp_path / "b", "--until", "masters", "--json-log", "-q")
    entries = [json.loads(line) for line in result.stderr.splitlines()]
    assert {entry["stage"] for entry in entries if "stage" in entry} == {"ingest", "masters"}


@pytest.mark.parametrize(
    "arguments", [("--workers", "1"), ("--memory", "500MB")], ids=["one-worker", "little-memory"]
)
def test_same_bytes_whatever_the_machine_has(good_night, good_run, tmp_path, arguments):
    assert science(reduce(good_night, tmp_path / "out", *arguments, until="photometry").out) == science(
        good_run.out
    )


def test_the_recipe_of_a_run_gives_the_same_bytes(good_night, good_run, tmp_path):
    run = reduce(good_night, tmp_path / "out", "--recipe", good_run.out / "recipe.toml", until="photometry")
    assert science(run.out) == science(good_run.out)


def test_the_first_use_is_known_by_its_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert first_use()
    (tmp_path / "kernels_1").mkdir()
    (tmp_path / "kernels_1" / "order.f-1.py311.nbi").touch()
    assert not first_use()


def test_a_process_that_ends_does_not_look_through_its_garbage():
    code = (
        "import atexit, gc, sys; atexit.register(lambda: print(gc.get_freeze_count() > 1000));"
        "sys.argv = ['sciastro', '--version']; from sciastro.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "True", done.stdout
