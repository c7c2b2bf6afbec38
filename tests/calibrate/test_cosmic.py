"""Cosmic rays on a starry frame: found, stars spared, repaired with a bit."""

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import binary_dilation

from sciastro.calibrate.cosmic import clean_cosmics, flag_cosmics
from sciastro.core.cfa import XTRANS
from sciastro.core.lift import chunk_rows, is_lazy
from sciastro.core.quality import Quality
from sciastro.core.vocabulary import CFA, QUALITY, SIGNAL, VARIANCE, labeled


def sky(cfa="", seed=1, fwhm=3.5, shape=(200, 220)):
    """Return frames with 40 stars and 60 cosmic rays (one pixel each), and the truth without noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    truth = np.full(shape, 200.0)
    for cx, cy, flux in zip(
        rng.uniform(10, 210, 40), rng.uniform(10, 190, 40), rng.uniform(2e3, 2e5, 40), strict=True
    ):
        s = fwhm / 2.3548
        truth += flux / (2 * np.pi * s**2) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * s**2))
    signal = rng.poisson(truth) + rng.normal(0, 5, shape)
    hits = (rng.integers(5, 195, 60), rng.integers(5, 215, 60))
    signal[hits] += rng.uniform(500, 5000, 60)
    ds = xr.Dataset(
        {
            "signal": labeled(SIGNAL, signal[None].astype("f4")),
            "variance": labeled(VARIANCE, (np.maximum(signal, 0) + 25)[None].astype("f4")),
            "quality": labeled(QUALITY, np.zeros((1, *shape), "u2")),
        },
        coords={"cfa": labeled(CFA, np.array([cfa]))},
    )
    return ds, truth, hits


@pytest.mark.parametrize("cfa", ["", "RGGB", XTRANS])
def test_hits_are_found_and_stars_spared(cfa):
    ds, truth, hits = sky(cfa, fwhm=7 if len(cfa) == 4 else 3.5)
    out = flag_cosmics(ds)
    flagged = (out["quality"].values[0] & int(Quality.COSMIC_RAY)) != 0
    dark_sky = truth[hits] < 400
    assert flagged[hits][dark_sky].mean() > 0.95
    struck = np.zeros(flagged.shape, bool)
    struck[hits] = True
    struck = binary_dilation(struck, np.ones((5, 5) if cfa else (3, 3)))  # neighbors may go with a hit
    assert (flagged & ~struck).sum() < (20 if cfa else 5)  # of 44000 pixels, 40 stars among them
    assert float(out["signal"].max()) > 1000  # stars are still there
    repaired = out["signal"].values[0][hits][dark_sky]
    pull = (repaired - truth[hits][dark_sky]) / np.sqrt(out["variance"].values[0][hits][dark_sky])
    assert np.abs(pull).max() < 4
    assert (out["quality"].values[0][hits][dark_sky] & int(Quality.INTERPOLATED) != 0).mean() > 0.95


def test_missing_pixels_stay_missing_and_lazy_stays_lazy():
    ds, _, _ = sky()
    signal = ds["signal"].values.copy()
    signal[0, 20:24, 30:34] = np.nan
    ds = ds.assign(signal=labeled(SIGNAL, signal))
    before = ds.copy(deep=True)
    eager, lazy = flag_cosmics(ds), flag_cosmics(chunk_rows(ds, 50))
    assert is_lazy(lazy["signal"])
    xr.testing.assert_identical(lazy.compute(), eager)
    xr.testing.assert_identical(ds, before)
    assert np.isnan(eager["signal"].values[0, 20:24, 30:34]).all()
    assert np.isnan(flag_cosmics(ds.assign(signal=labeled(SIGNAL, signal * np.nan)))["signal"]).all()


@pytest.mark.parametrize("shape", [(1, 1), (2, 7), (128, 1), (4, 200)])
def test_planes_too_small_to_search_come_back_as_they_are(shape):
    # astroscrappy writes beyond planes one or two pixels wide and takes the process down.
    signal, variance = np.full(shape, 900.0, np.float32), np.full(shape, 100.0, np.float32)
    signal[0, 0] = 9000
    for _ in range(50):
        got = clean_cosmics(signal, variance, np.zeros(shape, np.uint16))
    np.testing.assert_array_equal(got[0], signal)
    assert not got[2].any()
