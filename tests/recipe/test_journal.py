"""The journal: what is finished comes back whole or not at all, and never from another run."""

import json

import numpy as np
import pytest

from sciastro.recipe.journal import Journal, fingerprint

ARRAYS = {"stars": np.arange(6.0).reshape(2, 3), "map": np.array([[np.nan, 1.0]])}
FACTS = {"fwhm": 3.25, "reason": "", "bands": ["R", "V"], "gain": None}


def saved(folder, mark="a"):
    journal = Journal(folder, mark, resume=False)
    journal.save("lights/0001", ARRAYS, FACTS)
    return journal


def test_a_piece_comes_back_as_it_was(tmp_path):
    journal = saved(tmp_path / "work")
    assert journal.has("lights/0001") and not journal.has("lights/0002")
    arrays, facts = journal.load("lights/0001")
    assert facts == FACTS
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
    assert journal.load("lights/0002") is None


def test_structured_arrays_and_texts_survive(tmp_path):
    from sciastro.core.stars import STAR_DTYPE

    stars = np.zeros(3, STAR_DTYPE)
    stars["x"] = [1.5, 2.5, 3.5]
    journal = Journal(tmp_path / "work", "a", resume=False)
    journal.save("one", {"stars": stars, "names": np.array(["Ha", "OIII"])}, {})
    arrays, _ = journal.load("one")
    np.testing.assert_array_equal(arrays["stars"], stars)
    assert arrays["names"].tolist() == ["Ha", "OIII"]


def test_the_same_run_resumes(tmp_path):
    saved(tmp_path / "work", "a")
    again = Journal(tmp_path / "work", "a", resume=True)
    assert again.resumed
    assert again.load("lights/0001") is not None


@pytest.mark.parametrize(("mark", "resume"), [("b", True), ("a", False)])
def test_another_run_begins_empty(tmp_path, mark, resume):
    saved(tmp_path / "work", "a")
    other = Journal(tmp_path / "work", mark, resume=resume)
    assert not other.resumed
    assert not other.has("lights/0001")
    assert other.load("lights/0001") is None
    assert Journal(tmp_path / "work", mark, resume=True).resumed  # its own mark is kept now


@pytest.mark.parametrize("state", [None, "", "{", '{"other": 1}', "[]"])
def test_a_state_that_cannot_be_read_is_no_state(tmp_path, state):
    saved(tmp_path / "work", "a")
    path = tmp_path / "work" / "state.json"
    if state is None:
        path.unlink()
    else:
        path.write_text(state)
    journal = Journal(tmp_path / "work", "a", resume=True)
    assert not journal.resumed and not journal.has("lights/0001")


@pytest.mark.parametrize("keep", [0, 1, 100, -30])
def test_a_piece_cut_short_counts_as_none(tmp_path, keep):
    """Files are renamed into place, but a power failure may still leave one without its content."""
    journal = saved(tmp_path / "work")
    path = tmp_path / "work" / "lights" / "0001.npz"
    path.write_bytes(path.read_bytes()[:keep])
    assert journal.load("lights/0001") is None
    journal.save("lights/0001", ARRAYS, FACTS)
    assert journal.load("lights/0001") is not None


def test_a_crash_while_saving_leaves_the_old_piece(tmp_path, monkeypatch):
    journal = saved(tmp_path / "work")

    def crash(out, **_arrays):
        out.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", crash)
    with pytest.raises(KeyboardInterrupt):
        journal.save("lights/0001", {"stars": np.zeros(1)}, {})
    with pytest.raises(KeyboardInterrupt):
        journal.save("lights/0002", {"stars": np.zeros(1)}, {})
    monkeypatch.undo()
    assert journal.load("lights/0001")[1] == FACTS
    assert not journal.has("lights/0002")


def test_pickles_are_refused(tmp_path):
    journal = saved(tmp_path / "work")
    np.savez(tmp_path / "work" / "bad.npz", facts=np.array({"a": 1}, dtype=object), allow_pickle=True)
    assert journal.load("bad") is None


def test_closing_forgets_everything(tmp_path):
    journal = saved(tmp_path / "work")
    journal.close()
    assert not (tmp_path / "work").exists()
    journal.close()  # twice does no harm


def test_fingerprints_follow_content_not_order():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint("a", "b") != fingerprint("ab")
    assert fingerprint({"kappa": 3.0}) != fingerprint({"kappa": 3.5})
    assert len(fingerprint(1)) == 64
    assert json.loads(json.dumps(fingerprint(None))) == fingerprint(None)


def test_what_a_killed_run_left_half_written_goes(tmp_path):
    Journal(tmp_path / "j", "mark", resume=False).save("one", {"a": np.zeros(2)}, {})
    (tmp_path / "j" / ".two.npz.new").write_bytes(b"half")
    again = Journal(tmp_path / "j", "mark", resume=True)
    assert again.resumed and again.has("one")
    assert not list((tmp_path / "j").glob(".*"))
