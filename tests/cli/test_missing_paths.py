"""A path that is not there, in whatever command: exit code 3, its name, and nothing left behind."""

import pytest
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
        ("color", "{file}"),
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
