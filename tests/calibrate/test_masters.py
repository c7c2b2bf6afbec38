"""Masters against the truth of a small camera: values, variances, outliers, refusals, memory."""

import tracemalloc

import numpy as np
import pytest
from astropy.io import fits
from tiny_camera import TinyCamera

from sciastro.calibrate.masters import MasterOptions, check_flats, combine_master
from sciastro.calibrate.sampling import clipped_variance, take_sample
from sciastro.core.cfa import XTRANS, color_plane
from sciastro.errors import DatasetError, MatchError
from sciastro.io.reader import open_rows, probe

CAMERA = TinyCamera(shape=(200, 240))


def readers(stack):
    return [lambda y0, y1, frame=frame: frame[y0:y1] for frame in stack]


def robust_std(values):
    return 1.4826 * np.median(np.abs(values - np.median(values)))


@pytest.mark.parametrize("n", [5, 9, 20])
def test_bias_pulls(n):
    master = combine_master("bias", readers(CAMERA.frames(n, 0, 0, seed=n)), CAMERA.shape)
    pull = (master.image - CAMERA.bias) / np.sqrt(master.variance)
    assert robust_std(pull) == pytest.approx(1.0, abs=0.05)
    assert np.median(pull) == pytest.approx(0.0, abs=0.03)
    assert master.noise == pytest.approx(np.hypot(CAMERA.read_noise / CAMERA.gain, np.sqrt(1 / 12)), rel=0.02)
    assert master.scatter_ratio == pytest.approx(1.0, abs=0.05)
    assert master.rejected_low + master.rejected_high < 2e-3


@pytest.mark.parametrize("gain", [CAMERA.gain, float("nan")])
def test_dark_pulls_with_hot_pixels(gain):
    camera = TinyCamera(shape=(200, 240))
    rng = np.random.default_rng(3)
    hot = rng.random(camera.shape) < 0.01
    camera.rate = np.where(hot, rng.uniform(5, 50, camera.shape), camera.rate)
    exposure = 100.0
    master = combine_master("dark", readers(camera.frames(10, 0, exposure, seed=1)), camera.shape, gain=gain)
    pull = (master.image - camera.bias - camera.rate * exposure / camera.gain) / np.sqrt(master.variance)
    assert master.scatter_ratio == pytest.approx(1.0, abs=0.05)
    assert robust_std(pull[~hot]) == pytest.approx(1.0, abs=0.05)
    assert robust_std(pull[hot]) == pytest.approx(1.0, abs=0.15)  # their shot noise is in the variance


@pytest.mark.parametrize("n", [5, 12])
@pytest.mark.parametrize("known", [True, False])
def test_flat_pulls(n, known):
    rng = np.random.default_rng(n)
    light = rng.uniform(15_000, 30_000, n)  # electron: no two flats alike
    stack = np.stack([CAMERA.expose(level, 1.0, rng) for level in light])
    bias = combine_master("bias", readers(CAMERA.frames(8, 0, 0, seed=2)), CAMERA.shape)
    facts = {"gain": CAMERA.gain, "read_noise": CAMERA.read_noise} if known else {}
    master = combine_master(
        "flat", readers(stack), CAMERA.shape, subtract=bias.image, subtract_variance=bias.variance, **facts
    )
    truth = CAMERA.flat / np.mean(CAMERA.flat)
    truth *= np.median(master.image / truth)  # level is that of a trimmed mean
    pull = (master.image - truth) / np.sqrt(master.variance)
    assert robust_std(pull) == pytest.approx(1.0, abs=0.06)
    assert master.level == pytest.approx(light.mean() / CAMERA.gain, rel=0.02)
    assert master.image.mean() == pytest.approx(1.0, abs=0.01)


def test_flats_of_a_mosaic_are_equalized_by_phase():
    color = np.tile(np.array([[0.5, 1.0], [1.0, 0.7]]), (100, 120))
    rng = np.random.default_rng(1)
    stack = np.stack([CAMERA.expose(20_000 * color, 1.0, rng) for _ in range(6)])
    bias = CAMERA.bias.astype("f4")
    master = combine_master("flat", readers(stack), CAMERA.shape, subtract=bias, cfa="RGGB")
    for j, i in ((0, 0), (0, 1), (1, 0), (1, 1)):
        assert master.image[j::2, i::2].mean() == pytest.approx(1.0, abs=0.01)
    assert master.phase_levels == pytest.approx(np.array([0.5, 1, 1, 0.7]) * 20_000 / CAMERA.gain, rel=0.03)
    truth = CAMERA.flat.copy()
    for j, i in ((0, 0), (0, 1), (1, 0), (1, 1)):
        truth[j::2, i::2] *= np.median(master.image[j::2, i::2] / truth[j::2, i::2])
    assert robust_std((master.image - truth) / np.sqrt(master.variance)) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("cfa", ["RGGB", XTRANS])
def test_the_color_of_the_flat_is_taken_out_unless_told(cfa):
    color = color_plane(cfa, CAMERA.shape)
    panel = np.array([0.5, 1.0, 0.7])[color]
    rng = np.random.default_rng(1)
    stack = np.stack([CAMERA.expose(20_000 * panel, 1.0, rng) for _ in range(4)])
    bias = CAMERA.bias.astype("f4")
    for equalize, wanted in ((True, (1.0, 1.0, 1.0)), (False, np.array([0.5, 1.0, 0.7]) / panel.mean())):
        master = combine_master(
            "flat", readers(stack), CAMERA.shape, subtract=bias, cfa=cfa,
            options=MasterOptions(equalize=equalize),
        )  # fmt: skip
        means = [float(np.median(master.image[color == c])) for c in range(3)]
        assert means == pytest.approx(list(wanted), rel=0.03)


def test_a_cosmic_ray_and_a_star_leave_no_trace():
    stack = CAMERA.frames(7, 0, 0, seed=4)
    clean = combine_master("bias", readers(stack), CAMERA.shape)
    stack[2, 50:60, 80] += 3000
    hit = combine_master("bias", readers(stack), CAMERA.shape)
    error = (hit.image - CAMERA.bias)[50:60, 80] / np.sqrt(hit.variance[50:60, 80])
    assert np.abs(error).max() < 4
    outside = np.ones(CAMERA.shape, bool)
    outside[50:60, 80] = False
    np.testing.assert_allclose(hit.image[outside], clean.image[outside], atol=0.02)
    np.testing.assert_allclose(hit.variance[50:60, 80], hit.noise**2 / 6, rtol=1e-4)  # six frames are left


def test_bands_workers_and_dtype_do_not_change_the_result():
    stack = CAMERA.frames(5, 0, 0, seed=6)
    one = combine_master("bias", readers(stack), CAMERA.shape, workers=1)
    seen = []
    many = combine_master(
        "bias",
        readers(stack),
        CAMERA.shape,
        workers=3,
        memory_bytes=100_000,
        progress=lambda done, total: seen.append((done, total)),
    )
    floats = combine_master("bias", readers(stack.astype(">f4")), CAMERA.shape)
    for other in (many, floats):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.variance, other.variance)
    assert seen[-1] == (200, 200) and len(seen) > 10


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
@pytest.mark.parametrize("files", [True, False])
def test_dtypes_may_differ_from_frame_to_frame(order, files, tmp_path):
    counts = np.full((1, 12, 16), 3, "u2")
    floats = np.full((2, 12, 16), 2.25, "f4")
    floats[:, 0, 0] = np.nan
    floats[:, 1, 1] = -6.0
    sources = [*readers(counts), *readers(floats)][order]
    if files:
        paths = [tmp_path / f"{k}.fits" for k in range(3)]
        for path, pixels in zip(paths, (*counts, *floats), strict=True):
            fits.writeto(path, pixels)
        sources = [open_rows(probe(path)[0]) for path in paths][order]
    master = combine_master("dark", sources, (12, 16), options=MasterOptions(reject="none"))
    expected = np.full((12, 16), 2.5)
    expected[0, 0], expected[1, 1] = 3.0, -3.0
    np.testing.assert_allclose(master.image, expected, rtol=1e-6)


def test_a_single_frame_makes_a_master_with_the_noise_of_one():
    master = combine_master("bias", readers(CAMERA.frames(1, 0, 0, seed=6)), CAMERA.shape)
    pull = (master.image - CAMERA.bias) / np.sqrt(master.variance)
    assert 0.8 < robust_std(pull) < 1.05  # fixed pattern counts as noise: never too small
    assert np.isnan(master.scatter_ratio)


def test_missing_in_every_frame_is_nan_with_a_bit():
    stack = CAMERA.frames(4, 0, 0, seed=6).astype("f4")
    stack[:, 3, 4] = np.nan
    master = combine_master("dark", readers(stack), CAMERA.shape)
    assert np.isnan(master.image[3, 4]) and np.isnan(master.variance[3, 4]) and master.quality[3, 4]
    assert np.count_nonzero(master.quality) == 1


def test_saturated_and_black_flats_are_refused_by_name():
    good, full, black = (
        CAMERA.frames(1, 20_000, 1, 1)[0],
        np.full(CAMERA.shape, 65_535, "u2"),
        CAMERA.frames(1, 0, 1, 2)[0],
    )
    bias = CAMERA.bias.astype("f4")
    stack = readers([good, full, black])
    checks = check_flats(stack, CAMERA.shape, subtract=bias)
    assert [bool(check.reason) for check in checks] == [False, True, True]
    with pytest.raises(MatchError, match=r"frame 2 is saturated: 100.0 %.*frame 3 is black"):
        combine_master("flat", stack, CAMERA.shape, subtract=bias)
    unknown = [
        bool(check.reason) for check in check_flats(stack, CAMERA.shape, subtract=bias, saturation=np.nan)
    ]
    assert unknown[0] is False
    assert combine_master("flat", stack[:1], CAMERA.shape, subtract=bias, saturation=np.inf).n_frames == 1
    with pytest.raises(DatasetError, match="has no frames"):
        combine_master("flat", [], CAMERA.shape)


def test_rejection_can_be_turned_off():
    stack = CAMERA.frames(5, 0, 0, seed=6)
    master = combine_master("bias", readers(stack), CAMERA.shape, options=MasterOptions(reject="none"))
    np.testing.assert_allclose(master.image, stack.mean(axis=0), rtol=1e-6)


def test_memory_stays_within_the_bound():
    shape, n, bound = (1000, 1000), 40, 10_000_000
    frame = np.random.default_rng(0).integers(90, 110, shape).astype("u2")  # 40 frames would be 80 MB
    combine_master("bias", [lambda y0, y1: frame[y0:y1]] * 3, shape)  # compile first
    tracemalloc.start()
    combine_master("bias", [lambda y0, y1: frame[y0:y1]] * n, shape, memory_bytes=bound, workers=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sample = n * 300_000 * 4 * 2  # levels and noise are learned from these before
    results = shape[0] * shape[1] * 30
    assert peak < max(sample, bound) + results


@pytest.mark.parametrize("sigma", [0.4, 1.0, 8.0])
def test_clipped_variance_of_digitized_noise_with_outliers(sigma):
    rng = np.random.default_rng(1)
    values = np.round(rng.normal(0, sigma, 200_000))
    truth = values.var()
    values[:400] += 500
    assert clipped_variance(values) == pytest.approx(truth, rel=0.01)


@pytest.mark.parametrize("kind", ["bias", "dark"])
def test_frames_without_a_number_make_no_master(kind):
    frame = np.full((16, 20), np.nan, np.float32)
    with pytest.raises(DatasetError, match="hold no numbers"):
        combine_master(kind, [lambda a, b: frame[a:b]] * 2, frame.shape)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("n", [3, 4])
def test_the_median_of_a_sample_is_that_of_its_values(dtype, n):
    rng = np.random.default_rng(n)
    stack = rng.integers(3, 9, (n, 21, 13)).astype(dtype)
    stack[0, 0, 0] = 100
    sample = take_sample(readers(stack), (21, 13))
    assert (sample.counts is not None) == (np.dtype(dtype).kind == "u")
    assert sample.median() == np.median(sample.values)
    assert sample.only(range(1, n)).median() == np.median(sample.values[1:])
