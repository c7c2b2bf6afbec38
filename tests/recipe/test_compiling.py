"""A first run has helpers that compile what it calls, once; its products are those of later runs."""

import json
import os
import subprocess
import sys

import pytest
from small_nights import science

from sciastro.recipe import compiling

RUN = """
import json, sys
from pathlib import Path
from sciastro.kernels.planned import PLANNED
from sciastro.recipe.plan import load_recipe
from sciastro.recipe.run import RunRequest, reduce_session
night, out = (Path(name) for name in sys.argv[1:])
reduce_session(RunRequest(session=night, out=out, recipe=load_recipe(None, []), workers=2))
called = {job.name: job.types in job.kernel.signatures for job in PLANNED if job.kernel.signatures}
print(json.dumps(called))
"""


def _run(night, out, **environment):
    done = subprocess.run(
        [sys.executable, "-c", RUN, night, out],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_plan_has_the_types_that_a_run_calls(good_night, tmp_path):
    called = _run(good_night, tmp_path / "out")
    assert len(called) >= 20, called
    assert [name for name, planned in called.items() if not planned] == []


@pytest.mark.parametrize(
    "workers, memory, number",
    [(1, 2e9, 0), (2, 2e9, 2), (8, 2e9, 2), (8, 8e9, 3), (2, 1e9, 1), (2, 8e8, 0)],
)
def test_few_workers_and_little_memory_have_few_helpers(workers, memory, number, monkeypatch):
    monkeypatch.setattr(compiling.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert compiling._number(workers, int(memory)) == number


@pytest.mark.slow
def test_a_first_run_compiles_nothing_twice_and_gives_the_same(good_night, tmp_path):
    out = {name: tmp_path / name for name in ("first", "second")}
    told = []
    for folder in out.values():
        command = [sys.executable, "-m", "sciastro", "reduce", good_night, "-o", folder, "--workers", "2"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False,
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        lines = [json.loads(line)["message"] for line in (folder / "log.jsonl").read_text().splitlines()]
        told.append([line for line in lines if line.startswith("compiled here")])
    ((first,), second) = told
    assert second == []  # nothing is left to compile
    here, theirs = (part.partition(": ")[2].split() for part in first.split("; "))
    assert len(theirs) > 5
    assert len(set(here)) == len(here)
    assert not set(here) & {name.partition(".")[2] for name in theirs}
    assert len(set(theirs)) == len(theirs)
    assert science(out["first"]) == science(out["second"])
