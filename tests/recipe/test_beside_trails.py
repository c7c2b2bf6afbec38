"""A satellite across a frame: its stars are measured as if it had not come."""

import json

import numpy as np
import pytest
from small_nights import command, reduce

from sciastro.io.tables import read_table


def test_a_satellite_changes_neither_width_nor_transparency(tmp_path):
    session = tmp_path / "night"
    command(
        "simulate", session, "--preset", "demo", "--shrink", "3", "--bands", "R", "--lights", "3", "--quiet",
        *(f"--set={one}" for one in ("satellite=2", "darks=2", "biases=2", "flats=2")),
    )  # fmt: skip
    truth = json.loads((session / "truth" / "truth.json").read_text())
    lights = {one["path"]: one for one in truth["frames"] if one["kind"] == "light"}
    crossed = next(path for path, one in lights.items() if one["satellite"])
    done = reduce(session, tmp_path / "out", until="register")
    table = read_table(done.out / "quality.ecsv")
    rows = {str(row["path"]): row for row in table}
    assert "crossed by a satellite" in rows[crossed]["reason"]
    first = next(path for path in rows if path != crossed)
    for name, within in (("fwhm", 0.03), ("transparency", 0.015), ("n_stars", 0.15)):
        true = 1.0 if name == "n_stars" else lights[crossed][name] / lights[first][name]
        assert rows[crossed][name] / rows[first][name] == pytest.approx(true, abs=within), name
    assert np.isfinite(rows[crossed]["weight"])


@pytest.mark.slow
def test_a_satellite_on_a_mosaic_costs_no_night(tmp_path):
    """Its peaks were taken for sharp stars, so that its frame became the reference that no other matched."""
    out = {}
    for number in (0, 2):
        night = tmp_path / f"night{number}"
        command(
            "simulate", night, "--preset", "osc", "--shrink", "3", "--lights", "3", "--quiet",
            *(f"--set={one}" for one in (f"satellite={number}", "darks=2", "biases=2", "flats=2")),
        )  # fmt: skip
        done = reduce(night, tmp_path / f"out{number}", until="register")
        table = read_table(done.out / "quality.ecsv")
        out[number] = table[table["band"] == "G"]
    assert out[2]["used"].all() and "crossed by a satellite" in out[2]["reason"][1]
    for name, within in (("fwhm", 0.03), ("transparency", 0.015)):
        clean, crossed = (np.asarray(out[k][name], float) / out[k][name][0] for k in (0, 2))
        assert crossed == pytest.approx(clean, abs=within), name
