"""Frames that `--keep` writes: none is written over, none is empty, old ones are told."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small_nights import PLAN, reduce

import sciastro
from sciastro.core.transform import identity
from sciastro.integrate.canvas import Canvas
from sciastro.io.product_cards import ProductFacts
from sciastro.recipe.keeping import _export
from sciastro.recipe.plan import load_recipe
from sciastro.recipe.simulated import night_plan, write_night


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Two nights whose files have the same names."""
    root = tmp_path_factory.mktemp("kept")
    for number in (1, 2):
        plan = PLAN | {"lights": 3, "bands": "G", "night": number}
        write_night(night_plan("tiny", plan), root / str(number))
    return root


def registered(out: Path) -> list[Path]:
    return sorted((out / "registered").glob("*.fits"))


def test_an_added_night_writes_over_no_kept_frame(nights, tmp_path):
    out = tmp_path / "out"
    assert reduce(nights / "1", out, "--keep", "registered").code == 0
    old = {path: path.read_bytes() for path in registered(out)}
    assert len(old) == 3
    assert reduce(nights / "2", out, "--add", "--keep", "registered").code == 0
    assert len(registered(out)) == 6
    assert all(path.read_bytes() == content for path, content in old.items())
    frames = sciastro.open(registered(out))
    again = sciastro.stack(frames)
    assert again["n_frames"].item() == 6
    again = reduce(nights / "2", tmp_path / "out", "--add", "--keep", "registered")  # all are in already
    assert len(registered(out)) == 6


def test_a_registered_frame_tells_the_sky_of_its_own_pixels(tmp_path):
    # A frame of 2 x 2 binned pixels on a finer grid: 1000 electron of sky in 10 s are 250 in each pixel.
    shape = (40, 60)
    planes = np.full(shape, 1e3, np.float32), np.full(shape, 1e3, np.float32), np.zeros(shape, np.uint16)
    half = identity() / 2
    half[:, 0] = -0.25
    light = SimpleNamespace(facts=SimpleNamespace(cfa=""), from_reference=half, domain=None)
    calibrator = SimpleNamespace(grid_shape=lambda _: shape, window=lambda *_: planes)
    members = SimpleNamespace(canvas=Canvas((80, 120)), fwhm=2.0)
    facts = ProductFacts(band="G", exposure=10.0, measured={"sky": 100.0, "noise": 3.0})
    _export(
        light, "G", "a.fits", ["registered"], members, calibrator, load_recipe(None, []),
        SimpleNamespace(out=tmp_path), facts,
    )  # fmt: skip
    frame = sciastro.open(tmp_path / "registered" / "a.fits")
    assert frame["signal"][0, 40, 60].item() == pytest.approx(250.0, rel=1e-5)
    assert frame["sky"].item() == pytest.approx(25.0, rel=1e-5)
    assert frame["noise"].item() == 3.0


def test_frames_that_an_earlier_run_kept_are_told(nights, tmp_path):
    reduce(nights / "1", tmp_path, "--keep", "calibrated", until="register")
    run = reduce(nights / "1", tmp_path, until="register")
    (told,) = (text for text in run.summary["warnings"] if "of an earlier run" in text)
    assert told.startswith("3 files are of an earlier run and not of this one: calibrated/")


def test_registered_samples_of_a_split_mosaic_are_there(tmp_path):
    plan = {"lights": 3, "camera.rows": 240, "camera.columns": 320}
    write_night(night_plan("osc", plan), tmp_path / "night")
    out = tmp_path / "out"
    reduce(tmp_path / "night", out, "--keep", "registered", "--set", "debayer.method=split", until="register")
    for band, share in (("R", 0.25), ("G", 0.5), ("B", 0.25)):
        for path in sorted((out / "registered").glob(f"*_{band}.fits")):
            there = np.isfinite(sciastro.open(path)["signal"].values).mean()
            assert there == pytest.approx(share, abs=0.08)
