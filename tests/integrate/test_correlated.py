"""Stacks of interpolated mosaics: the noise of pixels and of blocks is what the stack claims."""

import numpy as np
import pytest

from sciastro.calibrate.debayer import noise_of, split_window
from sciastro.core import transform
from sciastro.core.cfa import XTRANS
from sciastro.integrate.correlated import resampled_noise, widened
from sciastro.integrate.fuse import resampler_of
from sciastro.integrate.noise import autocorrelation, sample_canvas
from sciastro.integrate.normalize import Terms
from sciastro.integrate.options import StackOptions
from sciastro.integrate.run import empty_stack, stack_windows
from sciastro.kernels.warp import warp_table

N, SIZE, EDGE = 8, 300, 12


@pytest.mark.parametrize("method", ["superpixel", "bilinear", "linear"])
@pytest.mark.parametrize("cfa", ["GRBG", XTRANS])
@pytest.mark.parametrize("color", ["R", "G"])
def test_noise_of_pixels_and_of_blocks_is_as_claimed(cfa, method, color):
    rng = np.random.default_rng(4)
    number = "RGB".index(color)
    frames, maps = [], []
    for _ in range(N):
        mosaic = rng.normal(100, 5, (SIZE, SIZE)).astype("f4")
        planes = split_window(
            mosaic, np.full_like(mosaic, 25.0), np.zeros(mosaic.shape, "u2"), cfa, method=method,
            colors=[number],
        )  # fmt: skip
        frames.append([plane[0] for plane in planes])
        shift = transform.identity(1)
        shift[:, 0] += rng.uniform(-3, 3, 2)
        maps.append(shift)
    raised, shared = resampled_noise(noise_of(cfa, color, method), warp_table("lanczos3"))

    def read(i, y0, y1, x0, x1):
        signal, variance, quality = (np.ascontiguousarray(plane[y0:y1, x0:x1]) for plane in frames[i])
        return signal, variance * np.float32(raised), quality

    shape = frames[0][0].shape
    out, ones = empty_stack(shape), np.ones(N)
    factor = stack_windows(
        read, np.array(maps), shape, Terms(ones, 0 * ones, 0 * ones), ones, out,
        options=StackOptions(reject="none"), memory_bytes=10**9, correlation=np.full(N, shared),
    )  # fmt: skip
    inner = np.s_[EDGE:-EDGE, EDGE:-EDGE]
    image, variance = out.image[inner].astype(float), out.variance[inner].astype(float)
    assert image.std() / np.sqrt(variance.mean()) == pytest.approx(1, abs=0.05)
    # Large areas: the power of waves longer than 25 pixels, over that of the claimed, independent pixels.
    rows, columns = (np.fft.fftfreq(n)[:, None] for n in image.shape)
    power = np.abs(np.fft.fft2(image - image.mean())) ** 2 / image.size / variance.mean()
    waves = np.hypot(rows, columns.T)
    low = power[(waves > 0) & (waves < (0.15 if method == "superpixel" else 0.04))]
    assert low.size > 150
    assert np.sqrt(low.mean()) / factor == pytest.approx(1, abs=0.1)
    # By offset: what the stack carries for aperture errors (`recipe.stacking`).
    how = resampler_of(StackOptions())
    tied = widened(
        autocorrelation(sample_canvas(maps, shape, shape), ones, how), noise_of(cfa, color, method)
    )
    assert np.sqrt(tied.sum()) == pytest.approx(factor, rel=0.04)
    rest, middle = image - image.mean(), tied.shape[0] // 2
    for dy, dx in ((0, 1), (1, 1), (2, 0)):
        measured = np.mean(rest[dy:, dx:] * rest[: len(rest) - dy, : rest.shape[1] - dx]) / rest.var()
        assert measured == pytest.approx(tied[middle + dy, middle + dx], abs=0.04)
    if method == "superpixel":
        assert (raised, shared) == (1.0, 1.0)
    else:
        assert shared > 1.2


def test_independent_pixels_stay_independent():
    alone = np.zeros((9, 9))
    alone[4, 4] = 1
    assert resampled_noise(alone, warp_table("lanczos3")) == (1.0, 1.0)


@pytest.mark.parametrize("cfa", ["RGGB", XTRANS])
@pytest.mark.parametrize("method", ["bilinear", "linear"])
def test_the_autocorrelation_is_that_of_noise(cfa, method):
    rng = np.random.default_rng(2)
    mosaic = rng.normal(0, 1, (600, 600)).astype("f4")
    for number, color in enumerate("RGB"):
        plane = split_window(
            mosaic, np.empty((0, 0), "f4"), np.zeros(mosaic.shape, "u2"), cfa, method=method, colors=[number]
        )[0][0, 6:-6, 6:-6].astype(float)
        rho = noise_of(cfa, color, method)
        middle = rho.shape[0] // 2
        for dy, dx in ((0, 1), (1, 0), (1, 1), (0, 2), (2, 1)):
            measured = np.mean(plane[dy:, dx:] * plane[: len(plane) - dy, : len(plane) - dx])
            assert measured / plane.var() == pytest.approx(rho[middle + dy, middle + dx], abs=0.015)
