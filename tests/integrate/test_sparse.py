"""One color of a mosaic left as it was: real pixels come out of stacking and aligning whatever the kernel."""

import numpy as np
import pytest
import xarray as xr

from sciastro.calibrate.debayer import DebayerOptions, debayer
from sciastro.core import transform
from sciastro.core.history import history
from sciastro.core.vocabulary import CFA, EXPOSURE, FILTER, FROM_REFERENCE, QUALITY, SIGNAL, VARIANCE, labeled
from sciastro.integrate.align import AlignOptions, align
from sciastro.integrate.drizzle import DrizzleOptions
from sciastro.integrate.stack import StackOptions, stack

LEVEL = {"R": 300.0, "G": 500.0, "B": 200.0}


@pytest.fixture
def split():
    """Twelve dithered frames of a flat sky of three colors, split; moved by up to 3 pixels."""
    rng, n, shape = np.random.default_rng(6), 12, (60, 64)
    colors = np.tile(np.array([["R", "G"], ["G", "B"]]), (30, 32))
    truth = np.vectorize(LEVEL.get)(colors)
    signal = rng.normal(truth, np.sqrt(truth), (n, *shape)).astype("f4")
    mosaics = xr.Dataset(
        {
            "signal": labeled(SIGNAL, signal),
            "variance": labeled(VARIANCE, np.broadcast_to(truth, signal.shape).astype("f4")),
            "quality": labeled(QUALITY, np.zeros(signal.shape, "u2")),
        },
        coords={
            "cfa": labeled(CFA, np.full(n, "RGGB")),
            "filter": labeled(FILTER, np.full(n, "OSC")),
            "exposure": labeled(EXPOSURE, np.ones(n)),
        },
    )
    maps = np.repeat(transform.identity(1)[None], n, axis=0)
    maps[1:, :, 0] = rng.uniform(-3, 3, (n - 1, 2))
    planes = debayer(mosaics, options=DebayerOptions(method="split"))
    return planes.assign(from_reference=labeled(FROM_REFERENCE, np.repeat(maps, 3, axis=0)))


@pytest.mark.parametrize("kernel", ["lanczos3", "bilinear", "nearest"])
def test_a_stack_has_real_pixels_and_says_how(split, kernel):
    out = stack(split, options=StackOptions(kernel=kernel, reject="none"))
    entry = history(out)[-1]
    assert entry["options"]["kernel"] == kernel  # as asked for
    assert ("kernel" in entry) == (kernel != "nearest")
    if kernel != "nearest":
        assert entry["kernel"].startswith(f"nearest instead of {kernel}")
    for k, band in enumerate(out["band"].values):
        image, noise = (out[name].values[k, 8:-8, 8:-8] for name in ("image", "image_variance"))
        there = np.isfinite(image)
        # A pixel of red or blue misses all of 12 random dithers with (3/4)^12 = 3 %.
        assert there.mean() > (0.999 if band == "G" else 0.93)
        pull = (image - LEVEL[str(band)])[there] / np.sqrt(noise[there])
        assert abs(pull.mean()) < 0.2
        assert pull.std() == pytest.approx(1.0, abs=0.08)
    if kernel != "nearest":
        np.testing.assert_allclose(out["noise_correlation"].values, 1.0, atol=1e-6)


def test_aligned_frames_keep_their_samples(split):
    out = align(split, options=AlignOptions())
    assert out["sparse"].values.all()
    there = np.isfinite(out["signal"].values[:, 8:-8, 8:-8]).mean(axis=(1, 2))
    np.testing.assert_allclose(there, [0.25, 0.5, 0.25] * 12, atol=0.03)
    assert history(out)[-1]["kernel"].startswith("nearest instead of auto")


def test_drizzle_copes_by_itself(split):
    out = stack(split, options=StackOptions(reject="none"), drizzle=DrizzleOptions(scale=1.0, pixfrac=1.0))
    assert np.isfinite(out["image"].values[:, 8:-8, 8:-8]).mean() > 0.99
    assert "kernel" not in history(out)[-1]
