"""Debayering as a labeled step: names, windows, lazy arrays, and where the light of a plane was measured."""

import numpy as np
import pytest
import xarray as xr

from sciastro.calibrate.debayer import DebayerOptions, debayer, phase_offset, reach_of, split_window
from sciastro.core.cfa import XTRANS
from sciastro.core.history import history, record
from sciastro.core.lift import chunk_rows, is_lazy
from sciastro.core.vocabulary import CFA, EXPOSURE, FILTER, QUALITY, SIGNAL, VARIANCE, WCS, labeled
from sciastro.errors import DatasetError


def frames(n=2, shape=(14, 18), cfa="GRBG", name="OSC"):
    rng = np.random.default_rng(1)
    signal = rng.normal(100, 10, (n, *shape)).astype("f4")
    signal[rng.random(signal.shape) < 0.05] = np.nan
    ds = xr.Dataset(
        {
            "signal": labeled(SIGNAL, signal),
            "variance": labeled(VARIANCE, np.where(np.isnan(signal), np.nan, 25).astype("f4")),
            "quality": labeled(QUALITY, np.where(np.isnan(signal), 1, 0).astype("u2")),
        },
        coords={
            "cfa": labeled(CFA, np.full(n, cfa)),
            "filter": labeled(FILTER, np.full(n, name)),
            "exposure": labeled(EXPOSURE, np.arange(1.0, n + 1)),
            "wcs": labeled(WCS, np.full(n, "")),
        },
    )
    return record(ds, "calibrate.correct")


METHODS = ["superpixel", "bilinear", "linear", "split"]
SHIFTED = "".join(np.roll(np.array(list(XTRANS)).reshape(6, 6), (1, 5), (0, 1)).ravel())


@pytest.mark.parametrize("method", METHODS)
def test_three_frames_of_each_with_their_coordinates(method):
    ds = frames()
    out = debayer(ds, options=DebayerOptions(method=method))
    assert out["filter"].values.tolist() == ["R", "G", "B"] * 2
    assert out["exposure"].values.tolist() == [1, 1, 1, 2, 2, 2]
    assert set(out["cfa"].values) == {""}
    assert "wcs" not in out.variables  # it belonged to the mosaic
    assert out["sparse"].values.tolist() == [method == "split"] * 6
    assert out["signal"].attrs["units"] == "electron"
    assert [entry["step"] for entry in history(out)] == ["calibrate.correct", "calibrate.debayer"]
    for i in (0, 1):
        want = split_window(
            *(ds[name].values[i] for name in ("signal", "variance", "quality")), "GRBG", method=method
        )
        for name, plane in zip(("signal", "variance", "quality"), want, strict=True):
            np.testing.assert_array_equal(out[name].values[3 * i : 3 * i + 3], plane)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [4, 5, 14])
@pytest.mark.parametrize("cfa", ["GRBG", XTRANS, SHIFTED])
def test_lazy_in_lazy_out_with_the_same_numbers(rows, method, cfa):
    ds, options = frames(cfa=cfa), DebayerOptions(method=method)
    lazy = debayer(chunk_rows(ds, rows), options=options)
    assert is_lazy(lazy["signal"])
    xr.testing.assert_identical(lazy.compute(), debayer(ds, options=options))


@pytest.mark.parametrize("method", ["bilinear", "linear", "split"])
@pytest.mark.parametrize("cfa", ["GRBG", XTRANS, SHIFTED])
def test_a_window_with_its_reach_is_a_part_of_the_whole(method, cfa):
    ds, reach = frames(1, (30, 32)), reach_of(method, cfa)
    planes = [ds[name].values[0] for name in ("signal", "variance", "quality")]
    whole = split_window(*planes, cfa, method=method)
    part = split_window(*(plane[5:25, 3:28] for plane in planes), cfa, 5, 3, method=method)
    for a, b in zip(part, whole, strict=True):
        inner = np.s_[:, reach : 20 - reach, reach : 25 - reach]
        np.testing.assert_array_equal(a[inner], b[:, 5 + reach : 25 - reach, 3 + reach : 28 - reach])
    for c in range(3):
        one = split_window(*planes, cfa, method=method, colors=[c])
        for a, b in zip(one, whole, strict=True):
            np.testing.assert_array_equal(a[0], b[c])


@pytest.mark.parametrize("start", [(0, 0), (3, 4), (2, 5), (7, 7)])
def test_a_window_of_superpixels_is_a_part_of_the_whole(start):
    ds = frames(1, (30, 32))
    planes = [ds[name].values[0] for name in ("signal", "variance", "quality")]
    whole = split_window(*planes, "GRBG")
    y0, x0 = start
    part = split_window(*(plane[y0 : y0 + 14, x0 : x0 + 12] for plane in planes), "GRBG", y0, x0)
    j, i = (y0 + 1) // 2, (x0 + 1) // 2
    for a, b in zip(part, whole, strict=True):
        np.testing.assert_array_equal(a, b[:, j : j + a.shape[1], i : i + a.shape[2]])


def test_a_selective_filter_stays_in_the_name():
    assert debayer(frames(1, name="HaOIII"))["filter"].values.tolist() == ["HaOIII_R", "HaOIII_G", "HaOIII_B"]


def test_other_patterns_are_refused():
    with pytest.raises(DatasetError, match="RGGB, BGGR, GRBG, GBRG and X-Trans"):
        debayer(frames(cfa="RGBW"))
    with pytest.raises(DatasetError, match="RGGB, BGGR, GRBG, GBRG and X-Trans"):
        debayer(frames(cfa=""))


@pytest.mark.parametrize("cfa", ["RGGB", "BGGR", "GRBG", "GBRG"])
def test_a_linear_sky_is_measured_where_phase_offset_says(cfa):
    # Mosaic value = its x + 100 y. Cell (j, i) is centered on mosaic (2 j + 0.5, 2 i + 0.5).
    y, x = np.mgrid[:20, :24].astype("f4")
    for color, plane in zip(
        "RGB", split_window(x + 100 * y, np.empty((0, 0), "f4"), np.zeros(x.shape, "u2"), cfa)[0], strict=True
    ):
        dx, dy = phase_offset(cfa, color)
        j, i = np.mgrid[: plane.shape[0], : plane.shape[1]]
        np.testing.assert_allclose(plane, 2 * (i + dx) + 0.5 + 100 * (2 * (j + dy) + 0.5))
