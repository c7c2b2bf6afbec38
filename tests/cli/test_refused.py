"""What is refused before anything has begun: exit code 3 for what is not there, and nothing left behind."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from small_nights import command

PLACE = ("--target", "31 46")
CASES = [
    ("inspect", "{none}"),
    ("inspect", "{here}", "{none}"),
    ("doctor", "{none}"),
    ("reduce", "{none}", "-o", "{out}"),
    ("reduce", "{here}", "-o", "{out}", "--recipe", "{none}"),
    ("reduce", "{here}", "-o", "{out}", "--library", "{none}"),
    ("reduce", "{here}", "-o", "{out}", "--catalog", "{none}"),
    ("select", "{none}", "fwhm < 3"),
    ("solve", "{none}"),
    ("solve", "{none}", "-o", "{out}"),
    ("solve", "{none}", "--json"),
    ("solve", "{none}", "--catalog", "{none}"),
    ("movers", "{none}"),
    ("color", "{none}"),
    ("color", "{here}", "{none}", "-o", "{out}"),
    ("photometry", "{none}", "--offline"),
    ("photometry", "{none}", "-o", "{out}", "--offline"),
    ("photometry", "{here}", "--zeropoint-catalog", "{none}"),
    ("lightcurve", "{none}", *PLACE, "-o", "{out}", "--offline"),
    ("lightcurve", "{here}", *PLACE, "-o", "{out}", "--offline", "--zeropoint-catalog", "{none}"),
    ("annotate", "{none}"),
    ("annotate", "{none}", "-o", "{out}.png"),
    ("catalog", "--file", "{none}"),
    ("catalog", "fetch", "{none}"),
    ("config", "--recipe", "{none}"),
]


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_a_path_that_is_not_there(tmp_path, words):
    (tmp_path / "here").mkdir()
    names = {"none": tmp_path / "none.fits", "here": tmp_path / "here", "out": tmp_path / "out"}
    result = command(*(word.format(**names) for word in words))
    assert result.exit_code == 3, result.output
    told = "".join(result.output.replace("│", " ").split())
    assert "none.fits" in told and ("doesnotexist" in told or "isnofolder" in told)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["here"]


@pytest.mark.parametrize(
    "words",
    [
        ("doctor", "{file}"),
        ("reduce", "{file}", "-o", "{out}"),
        ("reduce", "{here}", "-o", "{out}", "--recipe", "{here}"),
        ("select", "{file}", "fwhm < 3"),
        ("movers", "{file}"),
        ("lightcurve", "{file}", *PLACE, "-o", "{out}", "--offline"),
        ("catalog", "--file", "{here}"),
    ],
    ids=" ".join,
)
def test_a_file_for_a_folder_and_a_folder_for_a_file(tmp_path, words):
    (tmp_path / "here").mkdir()
    (tmp_path / "file").write_text("text")
    names = {"file": tmp_path / "file", "here": tmp_path / "here", "out": tmp_path / "out"}
    result = command(*(word.format(**names) for word in words))
    assert result.exit_code == 3, result.output
    told = " ".join(result.output.replace("│", " ").split())
    assert "is no folder" in told or "is no file" in told, told
    assert not (tmp_path / "out").exists()


def dark(path):
    header = fits.Header({"IMAGETYP": "Dark", "EXPTIME": 10.0})
    fits.PrimaryHDU(np.full((64, 64), 300, np.uint16), header).writeto(path)


@pytest.mark.parametrize(
    "words",
    [
        ("reduce", "{empty}", "-o", "{out}/deep"),
        ("reduce", "{junk}", "-o", "{out}"),
        ("reduce", "{empty}", "-o", "{out}", "--add"),
        ("lightcurve", "{empty}", *PLACE, "-o", "{out}/deep", "--offline"),
        ("lightcurve", "{junk}", *PLACE, "-o", "{out}", "--offline"),
        ("solve", "{junk}/a.fits", "-o", "{out}/deep"),
        ("solve", "{junk}/a.fits", "--report", "{out}/page.html"),
        ("photometry", "{junk}/a.fits", "-o", "{out}", "--offline"),
    ],
    ids=" ".join,
)
def test_a_run_that_is_refused_leaves_nothing(tmp_path, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "a.fits").write_text("no image")
    names = {name: tmp_path / name for name in ("empty", "junk", "out")}
    result = command(*(word.format(**names) for word in words))
    assert result.exit_code == (2 if "--add" in words else 3), result.output
    left = {path.name for path in tmp_path.iterdir()} - {"empty", "junk"}
    assert left == ({"out"} if "--report" in words else set())  # a page says why nothing is solved


def test_a_run_that_is_refused_leaves_an_earlier_one_as_it_is(tmp_path):
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    out.mkdir()
    (out / "summary.json").write_text('{"status": "ok"}')
    assert command("reduce", tmp_path / "empty", "-o", out).exit_code == 3
    assert (out / "summary.json").read_text() == '{"status": "ok"}'
    (out / "summary.json").unlink()
    assert command("reduce", tmp_path / "empty", "-o", out).exit_code == 3
    assert out.is_dir()  # it was there


def test_a_night_that_fails_on_its_way_says_so_in_its_folder(tmp_path):
    (tmp_path / "night").mkdir()
    for number in range(2):
        dark(tmp_path / "night" / f"d{number}.fits")
    assert command("reduce", tmp_path / "night", "-o", tmp_path / "out").exit_code == 3
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["status"] == "failed" and "holds no light frames" in summary["error"]
    assert (tmp_path / "out" / "log.jsonl").is_file()


@pytest.mark.parametrize(
    "words",
    [
        ("simulate", "{file}", "--preset", "tiny"),
        ("reduce", "{empty}", "-o", "{file}"),
        ("lightcurve", "{empty}", *PLACE, "-o", "{file}", "--offline"),
        ("solve", "{empty}/a.fits", "-o", "{file}"),
    ],
    ids=" ".join,
)
def test_a_file_where_the_products_should_go(tmp_path, words):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    result = command(*(word.format(file=tmp_path / "file", empty=tmp_path / "empty") for word in words))
    assert result.exit_code == 3 and "is a file, not a folder" in " ".join(result.output.split())
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "words",
    [
        ("doctor", "{closed}"),
        ("reduce", "{closed}", "-o", "{out}"),
        ("reduce", "{here}", "-o", "{out}", "--library", "{closed}"),
        ("inspect", "{closed}"),
        ("select", "{closed}", "fwhm < 3"),
        ("color", "{closed}"),
    ],
    ids=" ".join,
)
def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch, words):
    """The rights of a folder bind no root, so the system's answer is made."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "here").mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "closed" not in str(path) and access(path, mode))
    names = {name: tmp_path / name for name in ("closed", "here", "out")}
    result = command(*(word.format(**names) for word in words))
    assert result.exit_code == 3, result.output
    told = "".join(result.output.replace("│", " ").split())
    assert "maynotberead:permissiondenied.Checkitspermissions." in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("photometry", "{closed}", "-o", "{out}", "--offline"),
        ("movers", "{closed}"),
        ("lightcurve", "{closed}", *PLACE, "-o", "{out}", "--offline"),
    ],
    ids=" ".join,
)
def test_a_file_in_a_folder_that_may_not_be_entered(tmp_path, monkeypatch, words):
    (tmp_path / "closed").mkdir()

    def closed(real):
        def of(self, *args, **kwargs):
            if self.parent.name == "closed":
                raise PermissionError(errno.EACCES, "Permission denied", str(self))
            return real(self, *args, **kwargs)

        return of

    for name in ("is_file", "exists", "read_text", "open", "read_bytes"):
        monkeypatch.setattr(Path, name, closed(getattr(Path, name)))
    names = {name: tmp_path / name for name in ("closed", "out")}
    result = command(*(word.format(**names) for word in words))
    assert result.exit_code == 3, result.output
    told = " ".join(result.output.split())
    assert "permission" in told.lower() and "internal error" not in told and "closed" in told
    assert not (tmp_path / "out").exists()


def test_a_refusal_of_a_light_curve_is_told_once(tmp_path, caplog):
    (tmp_path / "empty").mkdir()
    result = command("lightcurve", str(tmp_path / "empty"), *PLACE, "-o", str(tmp_path / "out"), "--offline")
    assert result.exit_code == 3 and result.output.count("holds no images") == 1
    assert "holds no images" not in caplog.text


def test_orbits_that_cannot_be_read_are_refused_before_the_search(tmp_path, monkeypatch):
    def search(*args, **kwargs):
        raise AssertionError("the search takes minutes, and the file is damaged")

    monkeypatch.setattr("sciastro.recipe.movers.find_movers", search)
    (tmp_path / "orbits.txt").write_text("this is no orbit\n")
    result = command("movers", str(tmp_path), "--orbits", str(tmp_path / "orbits.txt"))
    assert result.exit_code == 3, result.output
    assert "orbits.txt" in result.output and "Name them" in result.output
