"""Kept tiles: whole or absent, whatever happens to the files and whoever writes them at the same time."""

import json
import multiprocessing
import os
import time

import numpy as np
import pytest

from sciastro.errors import OutputError
from sciastro.io.skytiles import TileStore, shrink, tile_stores

TOLD = {"catalog": "Made up", "query": "SELECT ...", "date": "2026-11-26T06:00:00+00:00", "license": "none",
        "epoch": 2016.0}  # fmt: skip


def stars(n=5, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "id": np.array([f"star {k}" for k in range(n)], "S8"),
        "ra": rng.uniform(0, 360, n),
        "g_mag": rng.uniform(5, 20, n).astype(np.float32),
    }


@pytest.fixture
def store(tmp_path):
    return TileStore("made-up", 6, 1, tmp_path)


def same(a, b):
    return set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_what_is_kept_is_read_again(store, n):
    kept = store.keep(77, stars(n), 15.0, TOLD)
    found = store.find(77, 15.0)
    assert found == kept and found.rows == n
    assert same(store.read(found), stars(n))
    described = json.loads(found.path.read_text())
    assert {key: described[key] for key in TOLD} == TOLD and described["sha256"] == found.sha256
    assert np.load(found.stars, allow_pickle=False)["ra"][:n].tolist() == stars(n)["ra"].tolist()


def test_a_tile_serves_what_is_not_deeper(store):
    store.keep(1, stars(), 15.0, TOLD)
    assert store.find(1, 14.0) and store.find(1, 15.0)
    assert store.find(1, 16.0) is None and store.find(1, None) is None and store.find(2, 10.0) is None
    store.keep(1, stars(9), None, TOLD)
    assert store.find(1, 16.0).rows == 9 and store.find(1, None)


def test_other_versions_orders_and_catalogs_are_not_looked_at(store, tmp_path):
    store.keep(1, stars(), None, TOLD)
    assert TileStore("made-up", 6, 2, tmp_path).find(1, None) is None
    assert TileStore("made-up", 7, 1, tmp_path).find(1, None) is None
    assert TileStore("other", 6, 1, tmp_path).find(1, None) is None


def flipped(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "a flipped bit": lambda tile: flipped(tile.stars),
    "cut off": lambda tile: tile.stars.write_bytes(tile.stars.read_bytes()[:-20]),
    "empty": lambda tile: tile.stars.write_bytes(b""),
    "an error page": lambda tile: tile.stars.write_text("<html>Service unavailable</html>"),
    "gone": lambda tile: tile.stars.unlink(),
    "another tile's": lambda tile: np.save(tile.stars, np.zeros(3)),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_stars_are_no_stars(store, what):
    tile = store.keep(3, stars(), None, TOLD)
    store.keep(4, stars(seed=4), None, TOLD)
    assert store.damaged() == []
    DAMAGE[what](tile)
    assert store.read(store.find(3, None)) is None
    problems = store.damaged()
    assert len(problems) == 1 and problems[0].startswith("1-6-3.json: ")
    assert store.mend() == 1
    assert store.damaged() == [] and store.find(3, None) is None and store.find(4, None)


@pytest.mark.parametrize("text", ["", "{", "[]", "<html>", '{"format": 1}'])
def test_a_description_that_makes_no_sense_is_no_tile(store, text):
    store.keep(3, stars(), None, TOLD).path.write_text(text)
    assert store.find(3, None) is None
    assert list(store.tiles()) == [] and len(store.damaged()) == 1


@pytest.mark.parametrize(
    "changes", [{"format": 99}, {"data": "../../secret.npy"}, {"complete": False}, {"rows": "many"}]
)
def test_a_description_of_something_else_is_no_tile(store, changes):
    path = store.keep(3, stars(), None, TOLD).path
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert store.find(3, None) is None


def test_pickles_are_not_read(store):
    tile = store.keep(3, stars(), None, TOLD)
    np.save(tile.stars, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert store.read(tile) is None


def test_the_least_recently_used_go_first(store, tmp_path):
    tiles = [store.keep(number, stars(200, number), None, TOLD) for number in range(5)]
    now = time.time()
    for age, tile in enumerate(tiles):
        os.utime(tile.path, (now, now - 10_000 - 1000 * age))  # tile 4 was used longest ago
    store.touch([tiles[4]])
    size = tiles[0].size
    assert shrink(5 * size, tmp_path) == 0
    assert shrink(3 * size, tmp_path) == 2 * size
    assert [tile.number for tile in store.tiles()] == [0, 1, 4]
    assert shrink(0, tmp_path, spare=[tiles[0].path]) == 2 * size
    assert [tile.number for tile in store.tiles()] == [0]
    assert sorted(path.suffix for path in store.folder.iterdir()) == [".json", ".npy"]


def test_clear_leaves_what_is_not_ours(store, tmp_path):
    store.keep(1, stars(), None, TOLD)
    (store.folder / "notes.txt").write_text("mine")
    assert store.clear()[0] == 1
    assert [path.name for path in store.folder.iterdir()] == ["notes.txt"]
    assert [one.folder.name for one in tile_stores(tmp_path)] == ["made-up"]


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "made-up").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="cannot be written"):
        TileStore("made-up", 6, 1, tmp_path).keep(1, stars(), None, TOLD)


def work(folder, seed):
    store = TileStore("made-up", 6, 1, folder)
    for round_ in range(40):
        number = (round_ + seed) % 3
        store.keep(number, stars(300 + number, number), None, TOLD)
        tile = store.find(round_ % 3, None)
        read = store.read(tile) if tile is not None else None
        if read is not None and not same(read, stars(300 + round_ % 3, round_ % 3)):
            raise SystemExit(1)
    raise SystemExit(0)


def test_processes_that_write_the_same_tiles_never_see_a_mixture(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(tmp_path, seed)) for seed in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    store = TileStore("made-up", 6, 1, tmp_path)
    assert [problem for problem in store.damaged() if "belongs to no tile" not in problem] == []
    assert all(same(store.read(store.find(k, None)), stars(300 + k, k)) for k in range(3))
