"""Whole runs with drizzle: a mono night on half the pixel, a color night from its raw mosaic."""

import numpy as np
import pytest
from astropy.table import Table
from small_nights import PLAN

from sciastro.io.product_reading import read_product
from sciastro.recipe.plan import load_recipe
from sciastro.recipe.run import RunRequest, reduce_session
from sciastro.recipe.simulated import night_plan, write_night

pytestmark = pytest.mark.slow


def run(session, out, *changes, until="photometry"):
    return reduce_session(
        RunRequest(session=session, out=out, recipe=load_recipe(None, list(changes)), until=until)
    )


def test_a_mono_night_on_half_the_pixel(tmp_path):
    plan = {**PLAN, "bands": "G", "lights": 10}
    write_night(night_plan("tiny", plan), tmp_path / "night")
    plain = run(tmp_path / "night", tmp_path / "plain")["products"][0]
    summary = run(
        tmp_path / "night", tmp_path / "fine", "drizzle.scale=2", "drizzle.pixfrac=0.8", "stack.context=true"
    )
    fine = summary["products"][0]
    assert "drizzle 2x, square drops of 0.8 px" in fine["method"]
    assert fine["canvas"]["scale"] == 2
    ratio = fine["wcs"]["scale_arcsec_px"] / plain["wcs"]["scale_arcsec_px"]
    assert ratio == pytest.approx(0.5, rel=1e-6)
    np.testing.assert_allclose(fine["wcs"]["center_deg"], plain["wcs"]["center_deg"], atol=1e-6)
    assert fine["exposure_s"] == plain["exposure_s"]
    assert fine["zeropoint"]["mag"] == pytest.approx(plain["zeropoint"]["mag"], abs=0.01)
    assert 1.8 < fine["noise_correlation"] < 2.2
    ds = read_product(tmp_path / "fine" / fine["image"])
    assert ds["image"].shape[1:] == tuple(
        2 * n for n in read_product(tmp_path / "plain" / plain["image"])["image"].shape[1:]
    )
    assert float(ds["noise_autocorrelation"].sum()) == pytest.approx(fine["noise_correlation"] ** 2, rel=2e-3)
    assert list((tmp_path / "fine" / "products").glob("*_context.fits"))
    # The same stars at the same place on the sky, with the same magnitudes.
    tables = [
        Table.read(tmp_path / name / one["sources"]) for name, one in (("plain", plain), ("fine", fine))
    ]
    apart = np.hypot(
        (tables[0]["ra"][:, None] - tables[1]["ra"][None]) * np.cos(np.radians(tables[0]["dec"][:, None])),
        tables[0]["dec"][:, None] - tables[1]["dec"][None],
    )
    nearest = apart.argmin(axis=1)
    bright = (apart.min(axis=1) * 3600 < 2) & (tables[0]["snr"] > 50) & (tables[0]["flags"] == 0)
    assert bright.sum() > 10
    difference = tables[0]["mag"][bright] - tables[1]["mag"][nearest[bright]]
    assert abs(np.median(difference)) < 0.012  # zero point errors are 0.004
    assert np.median(apart.min(axis=1)[bright] * 3600) < 0.1 * plain["wcs"]["scale_arcsec_px"]


def test_a_color_night_from_the_raw_mosaic(tmp_path):
    plan = {**PLAN, "bands": "OSC", "lights": 16, "dither": 12.0}
    write_night(night_plan("tiny", plan, settings=["camera.cfa=RGGB"]), tmp_path / "night")
    summary = run(tmp_path / "night", tmp_path / "out", "drizzle.scale=1", "drizzle.pixfrac=1")
    assert [one["band"] for one in summary["products"]] == ["R", "G", "B"]
    places, shapes = {}, set()
    for one in summary["products"]:
        ds = read_product(tmp_path / "out" / one["image"])
        shapes.add(ds["image"].shape[1:])
        inner = ds["image"].values[0, 30:-30, 30:-30]
        assert np.isfinite(inner).mean() > 0.98
        places[one["band"]] = Table.read(tmp_path / "out" / one["sources"])
        # No color of the mosaic prints through: the four phases have one level, of about four frames each.
        sky = [np.nanmedian(inner[j::2, i::2]) for j in (0, 1) for i in (0, 1)]
        assert np.ptp(sky) < 1e-2 * np.mean(sky)
    assert shapes == {(256, 320)}  # the sensor's own pixels, not cells of four
    for band in ("R", "B"):
        a, b = places["G"], places[band]
        apart = np.hypot(a["x"][:, None] - b["x"][None], a["y"][:, None] - b["y"][None])
        near = apart.argmin(axis=1)
        good = (apart.min(axis=1) < 1.5) & (a["snr"] > 40) & (a["flags"] == 0)
        assert good.sum() > 8
        dx, dy = (np.median(a[axis][good] - b[axis][near[good]]) for axis in ("x", "y"))
        assert np.hypot(dx, dy) < 0.1
    text = " ".join(summary["warnings"])
    few = run(
        tmp_path / "night", tmp_path / "few", "drizzle.scale=3", "drizzle.pixfrac=0.3", until="integrate"
    )
    assert "caught no drop" not in text
    assert any("caught no drop" in warning and "drizzle.scale=3" in warning for warning in few["warnings"])
