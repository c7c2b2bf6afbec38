"""A color picture of three images of SDSS whose headers all say FILTER g."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_nights import command

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "wcs_fits"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="real data of wcs_fits are not here")


@pytest.mark.slow
def test_sdss_i_r_g(tmp_path):
    paths = [FOLDER / f"reprojected_sdss_{band}.fits.bz2" for band in "irg"]
    refused = command("color", *paths, "-o", tmp_path)
    assert refused.exit_code == 2 and "g, g, g" in refused.output and "--bands" in refused.output
    assert command("color", *paths, "-o", tmp_path, "--bands", "i,r,g").exit_code == 0
    record = json.loads((tmp_path / "86_S_color.json").read_text())
    assert record["bands"] == ["i", "r", "g"] and len(record["notes"]) == 3
    with Image.open(tmp_path / "86_S.png") as picture:
        pixels = np.asarray(picture, dtype=float)
    sky = np.median(pixels.reshape(-1, 3), axis=0)
    assert np.ptp(sky) < 6  # of 255: the sky is gray
    bright = pixels[pixels.sum(axis=-1) > 500]
    assert len(bright) > 500 and np.ptp(bright, axis=1).max() > 60  # stars have colors
