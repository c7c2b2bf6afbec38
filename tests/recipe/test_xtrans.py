"""A night of an X-Trans camera from files to photometry, small: solved, in place, colors in proportion."""

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from scipy.spatial import cKDTree
from small_nights import PLAN

from sciastro.core.quality import Quality
from sciastro.recipe.plan import load_recipe
from sciastro.recipe.run import RunRequest, reduce_session
from sciastro.recipe.simulated import night_plan, write_night
from sciastro.simulate.camera import XTRANS
from sciastro.simulate.truth import Truth

OSC = {
    **PLAN, "bands": "OSC", "camera.cfa": XTRANS, "camera.rows": 390, "camera.columns": 486, "seeing": 30.0,
    "flats": 2, "darks": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("xtrans")
    write_night(night_plan("tiny", OSC), folder / "session")
    return folder / "session"


@pytest.mark.parametrize(("method", "step"), [("superpixel", 3), ("linear", 1)])
def test_an_xtrans_night(session, tmp_path, method, step):
    recipe = load_recipe(None, [f"calibrate.debayer.method={method}"])
    reduce_session(RunRequest(session=session, out=tmp_path / "out", until="photometry", recipe=recipe))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    truth = Truth.load(session)
    reference = next(row["path"] for row in summary["frames"] if row.get("registration_rms_px") == 0.0)
    x, y = truth.sky_to_pixel(reference, truth.stars["ra"], truth.stars["dec"])
    places, scale = {}, {}
    assert [row["band"] for row in summary["products"]] == ["R", "G", "B"]
    for row in summary["products"]:
        assert row["n_frames"] == 3
        assert row["wcs"] is not None
        image = fits.getdata(tmp_path / "out" / row["image"], "SCI")
        assert image.shape == ((390 - 1) // 3, (486 - 1) // 3) if step == 3 else (390, 486)
        table = QTable.read(tmp_path / "out" / row["sources"], format="ascii.ecsv")
        table = table[table["flags"] == 0]
        table = table[np.argsort(-table["flux"].value)[:25]]
        found = np.column_stack([table["x"].value, table["y"].value])
        # Cells of this array begin at the pixel that `core.cfa.cell_origin` says.
        true = np.column_stack([(x - row_of(step, 0)) / step, (y - row_of(step, 1)) / step])
        sure = np.isfinite(true).all(axis=1)
        distance, index = cKDTree(true[sure]).query(found)
        assert len(found) == 25
        assert np.median(distance) < 0.1 * 3 / step
        assert np.abs(np.median(found - true[sure][index], axis=0)).max() < 0.04 * 3 / step
        places[row["band"]] = found
        rates = truth.star_rates(f"OSC-{row['band']}")[sure][index]
        scale[row["band"]] = np.median(table["flux"].value / rates)
    # 25 stars in a crowd, neighbors in the apertures; `tests/truth/test_color_night.py` is stricter.
    assert scale["R"] / scale["G"] == pytest.approx(1, abs=0.1)
    assert scale["B"] / scale["G"] == pytest.approx(1, abs=0.1)


def row_of(step, axis):
    """Return the raw position of the center of the first pixel of the stack, along x or y."""
    from sciastro.core.cfa import cell_center

    return cell_center(XTRANS)[axis] if step == 3 else 0.0


def test_a_split_mosaic_is_stacked_sample_by_sample(session, tmp_path):
    # Three dithered frames: green (5 of 9 pixels) nearly whole, red and blue (2 of 9) half; none invented.
    recipe = load_recipe(None, ["calibrate.debayer.method=split"])
    reduce_session(RunRequest(session=session, out=tmp_path / "out", until="integrate", recipe=recipe))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    for row in summary["products"]:
        assert row["noise_correlation"] == 1.0  # each sample in one pixel
        said = f"{row['band']}: "
        warned = [text for text in summary["warnings"] if said in text and "hold no sample" in text]
        assert len(warned) == 1 and "debayer.method=superpixel" in warned[0]
    for row, least, most in zip(summary["products"], (0.4, 0.8, 0.4), (0.7, 1.0, 0.7), strict=True):
        with fits.open(tmp_path / "out" / row["image"]) as hdus:
            image, bits = hdus["SCI"].data[20:-20, 20:-20], hdus["DQ"].data[20:-20, 20:-20]
            coverage = hdus["COVERAGE"].data[20:-20, 20:-20]
        there = np.isfinite(image)
        assert least < there.mean() < most
        assert ((bits[~there] & int(Quality.NO_DATA)) != 0).all()
        assert coverage[there].mean() == pytest.approx(
            3 * (5 if row["band"] == "G" else 2) / 9 / there.mean(), rel=0.1
        )


def test_figures_that_holes_forbid_are_null_with_the_reason(session, tmp_path):
    recipe = load_recipe(None, ["calibrate.debayer.method=split"])
    reduce_session(RunRequest(session=session, out=tmp_path / "out", until="photometry", recipe=recipe))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    for row in summary["products"]:
        if row["band"] == "G" or row["depth_mag_5sigma"] is not None:
            continue
        assert row["zeropoint"] is None
        for name in ("zeropoint", "depth_mag_5sigma"):
            assert "of the pixels hold nothing" in row["unknown"][name]
            assert "debayer.method=superpixel" in row["unknown"][name]
    assert any("unknown" in row for row in summary["products"])
