"""What is kept of a stack may be damaged, or from another version: an error that says so, never a crash."""

import json

import numpy as np
import pytest

from sciastro.errors import FileError, OptionError
from sciastro.recipe import kept
from sciastro.recipe.kept import load_stacks
from sciastro.recipe.plan import load_recipe
from sciastro.recipe.request import RunRequest


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "stacks" / "1"
    folder.mkdir(parents=True)
    (tmp_path / "stacks.json").write_text('{"schema": 1, "generation": 1}')
    state = {"schema": 1, "nights": 1, "recipe": {}, "sets": []}
    (folder / "state.json").write_text(json.dumps(state))
    np.savez(folder / "stars.npz", a=np.zeros(3))
    return tmp_path


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", b"no zip at all"])
def test_damaged_stars(out, content):
    (out / "stacks" / "1" / "stars.npz").write_bytes(content)
    with pytest.raises(FileError, match="cannot be read"):
        load_stacks(out, load_recipe(None, []))


@pytest.mark.parametrize("state", ["[]", '{"schema": 1}', '{"schema": 1, "recipe": [], "sets": 3}', "{"])
def test_a_damaged_state(out, state):
    (out / "stacks" / "1" / "state.json").write_text(state)
    with pytest.raises(FileError, match="cannot be read"):
        load_stacks(out, load_recipe(None, []))


def test_stacks_of_another_schema(out):
    (out / "stacks" / "1" / "state.json").write_text('{"schema": 2}')
    with pytest.raises(OptionError, match="schema 2") as caught:
        load_stacks(out, load_recipe(None, []))
    assert "reduce both nights together" in caught.value.remedy


@pytest.mark.parametrize("name", ["../m31", "/tmp/m31", ""])
def test_names_that_lead_out_of_the_folder(out, name):
    one = {"target": "M 31", "stem": "m31", "cfa": "", "bands": ["G"], "files": {"G": name}, "images": {},
           "lights": [], "canvas": None, "reference": ""}  # fmt: skip
    recipe = load_recipe(None, [])
    state = {"schema": 1, "nights": 1, "recipe": kept.deciding(recipe), "sets": [one]}
    (out / "stacks" / "1" / "state.json").write_text(json.dumps(state))
    with pytest.raises(FileError, match="is no name of a file"):
        load_stacks(out, recipe)


@pytest.mark.parametrize("nights", [1, 2])
def test_a_grown_stack_is_not_replaced(out, tmp_path, nights):
    """What one session made may be made again; what grew by --add may not be lost without a word."""
    (out / "stacks" / "1" / "state.json").write_text(json.dumps({"schema": 1, "nights": nights}))
    request = RunRequest(session=tmp_path.parent / "night", out=out)
    if nights == 1:
        request.check()
        return
    with pytest.raises(OptionError, match="holds a stack of 2 nights") as caught:
        request.check()
    assert all(word in caught.value.remedy for word in ("--add", "--out", "stacks.json"))
    RunRequest(session=tmp_path.parent / "night", out=out, add=True).check()
    (out / "stacks.json").unlink()
    request.check()


@pytest.mark.parametrize("address", ["foo", "tcp://host", "host", "tcp://:x"])
def test_an_address_that_is_none(tmp_path, address):
    with pytest.raises(OptionError, match="is no address") as caught:
        RunRequest(session=tmp_path / "night", out=tmp_path / "out", scheduler=address).check()
    assert "tcp://host:8786" in caught.value.remedy


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:8786", "host:8786", "tls://[::1]:1", "inproc://1.2.3.4/5/1"]
)
def test_addresses_of_schedulers(tmp_path, address):
    RunRequest(session=tmp_path / "night", out=tmp_path / "new", scheduler=address).check()
