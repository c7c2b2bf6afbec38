"""Calibration of lights: pulls, hand-worked pixels, repair, windows, lazy arrays."""

import numpy as np
import pytest
import xarray as xr
from tiny_camera import TinyCamera

from sciastro.calibrate.correct import CorrectOptions, Planes, correct, correct_window, dark_plane
from sciastro.core.history import history
from sciastro.core.lift import chunk_rows, is_lazy
from sciastro.core.quality import Quality
from sciastro.core.vocabulary import CFA, FILTER, GAIN, RAW, READ_NOISE, SATURATION, labeled
from sciastro.errors import DatasetError
from sciastro.kernels import calibrate as kernel


def dataset(raw, gain=1.3, read_noise=4.0, saturation=60_000.0, cfa="", filters=None):
    n = len(raw)
    return xr.Dataset(
        {"raw": labeled(RAW, raw)},
        coords={
            "gain": labeled(GAIN, np.full(n, float(gain))),
            "read_noise": labeled(READ_NOISE, np.full(n, read_noise)),
            "saturation": labeled(SATURATION, np.full(n, saturation)),
            "cfa": labeled(CFA, np.full(n, cfa, dtype="U4")),
            "filter": labeled(FILTER, np.array(filters or ["L"] * n)),
        },
    )


def masters(**planes):
    units = {"dark": "adu", "dark_variance": "adu2", "bias": "adu", "bias_variance": "adu2"}
    return xr.Dataset(
        {
            name: (("y", "x") if np.ndim(plane) else (), plane, {"units": units.get(name, "1")})
            for name, plane in planes.items()
        }
    )


@pytest.mark.parametrize("level", [50.0, 400.0, 15_000.0])  # electron
def test_pulls_are_standard_normal(level):
    camera, exposure, n = TinyCamera(), 60.0, 8
    # Masters with the noise of n frames each, made here from the truth; their variance is told honestly.
    rng = np.random.default_rng(7)
    dark_truth = camera.bias + camera.rate * exposure / camera.gain
    dark_noise = np.sqrt((camera.read_noise**2 + camera.rate * exposure) / n) / camera.gain
    flat_noise = np.sqrt(camera.flat / (n * 30_000))
    given = masters(
        dark=(dark_truth + rng.normal(0, dark_noise)).astype("f4"),
        dark_variance=(dark_noise**2).astype("f4"),
        bias=camera.offset,
        flat=(camera.flat + rng.normal(0, flat_noise)).astype("f4"),
        flat_variance=(flat_noise**2).astype("f4"),
    )
    got = correct(dataset(camera.frames(2, level, exposure, seed=3)), masters=given)
    pull = (got["signal"] - level) / np.sqrt(got["variance"])
    assert float(pull.std()) == pytest.approx(1.0, abs=0.03)
    # The mean of the pulls is below 0 (a low sample claims a small error); that of the signal is not.
    residual = got["signal"] - level
    assert float(residual.mean()) == pytest.approx(0.0, abs=0.02 * float(residual.std()))
    assert got["signal"].attrs["units"] == "electron"
    assert got["variance"].attrs["units"] == "electron2"


def test_one_pixel_by_hand():
    # raw 500, D 110 with V_D 4, b 100, F 0.8 with V_F 0.0001, g 2, R 6:
    # signal = 2 * 390 / 0.8 = 975; V = (2*400 + 36 + 4/12 + 4*4) / 0.64 + 975^2 * 1e-4 / 0.64 = 1480.1...
    planes = Planes(
        dark=np.full((1, 2), 110, "f4"),
        dark_variance=np.full((1, 2), 4, "f4"),
        bias_level=100,
        flat=np.full((1, 2), 0.8, "f4"),
        flat_variance=np.full((1, 2), 1e-4, "f4"),
        gain=2,
        read_noise=6,
        saturation=60_000,
    )
    signal, variance, quality = correct_window(np.array([[500, 60_000]], np.uint16), planes)
    assert signal[0, 0] == pytest.approx(975)
    assert variance[0, 0] == pytest.approx((800 + 36 + 4 / 12 + 16) / 0.64 + 975**2 * 1e-4 / 0.64, rel=1e-6)
    assert quality.tolist() == [[0, int(Quality.SATURATED)]]


def test_below_bias_the_noise_is_read_noise_and_the_value_stays_negative():
    planes = Planes(bias_level=100, gain=2, read_noise=6)
    signal, variance, _ = correct_window(np.array([[90]], np.uint16), planes)
    assert (signal[0, 0], variance[0, 0]) == (-20.0, pytest.approx(36 + 4 / 12))


def test_missing_and_bad_flat_are_nan_with_a_bit():
    flat = np.array([[1, 0, np.nan, -1]], "f4")
    planes = Planes(flat=flat, gain=1, read_noise=1)
    signal, variance, quality = correct_window(np.array([[np.nan, 5, 5, 5]], "f4"), planes)
    assert np.isnan(signal).all() and np.isnan(variance).all()
    assert quality[0, 0] & Quality.NO_DATA
    assert all(bits & Quality.LOW_FLAT and bits & Quality.DO_NOT_USE for bits in quality[0, 1:])


def test_bits_of_the_kernel_are_those_of_the_vocabulary():
    for name in ("DO_NOT_USE", "SATURATED", "DEAD", "HOT", "INTERPOLATED", "NO_DATA", "LOW_FLAT"):
        assert int(getattr(kernel, name)) == int(Quality[name])


def test_absent_planes_give_the_same_as_planes_of_nothing():
    raw = np.random.default_rng(0).integers(90, 500, (40, 50)).astype(np.uint16)
    bare = correct_window(raw, Planes(bias_level=100, gain=1.5, read_noise=3))
    full = correct_window(
        raw,
        Planes(
            dark=np.full(raw.shape, 100, "f4"),
            dark_variance=np.zeros(raw.shape, "f4"),
            bias_level=100,
            flat=np.ones(raw.shape, "f4"),
            flat_variance=np.zeros(raw.shape, "f4"),
            defects=np.zeros(raw.shape, "u2"),
            gain=1.5,
            read_noise=3,
        ),
    )
    for a, b in zip(bare, full, strict=True):
        np.testing.assert_array_equal(a, b)


def test_repair_takes_good_neighbors_keeps_the_bit_and_raises_the_variance():
    raw = np.full((5, 5), 10, np.uint16)
    raw[2, 2], raw[2, 3] = 5000, 4000
    defects = np.zeros(raw.shape, np.uint16)
    defects[2, 2] = defects[2, 3] = Quality.HOT
    planes = Planes(defects=defects, gain=1, read_noise=2)
    signal, variance, quality = correct_window(raw, planes)
    assert (signal == 10).all()
    assert quality[2, 2] == Quality.HOT | Quality.INTERPOLATED
    assert variance[2, 2] == pytest.approx(variance[0, 0] * 1.5 / 7)  # seven good neighbors, no scatter
    assert correct_window(raw, planes, repair=False)[0][2, 2] == 5000


def test_repair_on_a_mosaic_uses_the_same_color():
    raw = np.where((np.arange(8)[:, None] + np.arange(8)) % 2, 100, 20).astype(np.uint16)  # G 100, R and B 20
    defects = np.zeros(raw.shape, np.uint16)
    defects[3, 4] = Quality.DEAD  # a green site
    signal, _, _ = correct_window(
        np.where(defects, 0, raw), Planes(defects=defects, gain=1, read_noise=1, cfa="RGGB")
    )
    assert signal[3, 4] == 100


@pytest.mark.parametrize("cfa", ["", "RGGB"])
def test_a_window_with_margin_equals_the_whole(cfa):
    rng = np.random.default_rng(5)
    raw = rng.integers(100, 4000, (60, 70)).astype(np.uint16)
    defects = np.where(rng.random(raw.shape) < 0.1, int(Quality.HOT), 0).astype(np.uint16)
    planes = Planes(bias_level=100, defects=defects, gain=1.1, read_noise=2, cfa=cfa)
    whole = correct_window(raw, planes)
    m = 2 if cfa else 1
    part = correct_window(raw[20 - m : 41 + m, 30 - m : 55 + m], planes, 20 - m, 30 - m, margin=(m, m, m, m))
    for a, b in zip(part, whole, strict=True):
        np.testing.assert_array_equal(a, b[20:41, 30:55])


def test_without_variance_signal_and_quality_are_the_same():
    raw = np.random.default_rng(0).integers(90, 500, (40, 50)).astype(np.uint16)
    defects = np.zeros(raw.shape, np.uint16)
    defects[3:5, 7] = Quality.HOT
    planes = Planes(defects=defects, gain=1.5, read_noise=3)
    fast, full = correct_window(raw, planes, with_variance=False), correct_window(raw, planes)
    assert fast[1].size == 0
    np.testing.assert_array_equal(fast[0], full[0])
    np.testing.assert_array_equal(fast[2], full[2])


@pytest.mark.parametrize("parts", [("flat",), ("dark", "flat"), ("defects", "dark", "flat", "bias"), ()])
def test_lazy_in_lazy_out_with_the_same_numbers(parts):
    rng = np.random.default_rng(1)
    shape = (48, 40)
    planes = {
        "dark": rng.normal(100, 2, shape).astype("f4"),
        "flat": rng.normal(1, 0.1, shape).astype("f4"),
        "bias": rng.normal(98, 2, shape).astype("f4"),
        "defects": np.where(rng.random(shape) < 0.05, int(Quality.HOT), 0).astype("u2"),
    }
    frames = dataset(rng.integers(90, 5000, (3, *shape)).astype(np.uint16))
    before = frames.copy(deep=True)
    given = masters(**{name: planes[name] for name in parts})
    eager, lazy = correct(frames, masters=given), correct(chunk_rows(frames, 10), masters=given)
    assert is_lazy(lazy["signal"]) and is_lazy(lazy["variance"]) and is_lazy(lazy["quality"])
    xr.testing.assert_identical(lazy.drop_vars("raw").compute(), eager.drop_vars("raw"))
    xr.testing.assert_identical(frames, before)
    assert [entry["step"] for entry in history(eager)] == ["calibrate.correct"]


def test_each_frame_takes_the_flat_of_its_filter():
    frames = dataset(np.full((3, 4, 4), 100, np.uint16), gain=1, filters=["B", "R", "B"])
    flats = xr.Dataset(
        {
            "flat": (
                ("band", "y", "x"),
                np.stack([np.full((4, 4), f, "f4") for f in (2.0, 4.0)]),
                {"units": "1"},
            )
        },
        coords={"band": ["R", "B"]},
    )
    for ds in (frames, chunk_rows(frames, 2)):
        assert correct(ds, masters=flats)["signal"][:, 0, 0].values.tolist() == [25, 50, 25]
    with pytest.raises(DatasetError, match="no flat for filter V"):
        correct(frames.assign_coords(filter=("frame", ["B", "V", "B"])), masters=flats)


def test_options_stand_in_for_what_the_header_does_not_know():
    frames = dataset(np.full((1, 4, 4), 100, np.uint16), gain=np.nan, read_noise=np.nan)
    with pytest.raises(DatasetError, match="gain"):
        correct(frames)
    got = correct(frames, options=CorrectOptions(gain=2.0, read_noise=3.0, saturation=100.0))
    assert (got["signal"] == 200).all() and (got["quality"] == int(Quality.SATURATED)).all()


def test_masters_of_another_size_or_unit_are_refused():
    frames = dataset(np.full((1, 4, 4), 100, np.uint16))
    with pytest.raises(DatasetError, match=r"\(5, 4\)"):
        correct(frames, masters=masters(dark=np.zeros((5, 4), "f4")))
    wrong = masters(dark=np.zeros((4, 4), "f4"))
    with pytest.raises(DatasetError, match="needs 'adu'"):
        correct(frames, masters=wrong.assign(dark=wrong["dark"].assign_attrs(units="electron")))


def test_a_scaled_dark_by_hand():
    # D = 100 + 2 * (130 - 100) = 160; V = 4 * 9 + 1 * 16 = 52.
    one = np.ones((2, 2), "f4")
    plane, variance, level = dark_plane(130 * one, 9 * one, 100 * one, 16 * one, scale=2.0)
    assert (plane[0, 0], variance[0, 0], level) == (160, 52, 100)
    with pytest.raises(DatasetError, match="no bias"):
        dark_plane(130 * one, 9 * one, scale=2.0)


def test_the_noise_of_a_bias_that_stands_in_for_the_dark_counts():
    # V = g (raw - b) + R^2 + g^2 / 12 + g^2 V_B = 2 * 100 + 9 + 4 / 12 + 4 * 16.
    frames = dataset(np.full((1, 4, 4), 200, np.uint16), gain=2.0, read_noise=3.0)
    given = masters(bias=np.full((4, 4), 100, "f4"), bias_variance=np.full((4, 4), 16, "f4"))
    got = correct(frames, masters=given)["variance"].values
    np.testing.assert_allclose(got, 200 + 9 + 1 / 3 + 64, rtol=1e-6)


def test_single_low_flat_pixels_are_repaired_and_keep_their_bit():
    raw = np.full((7, 7), 1100, "u2")
    flat = np.ones((7, 7), "f4")
    flat[3, 3] = 0.05
    defects = np.zeros((7, 7), "u2")
    defects[3, 3] = int(Quality.LOW_FLAT)
    planes = Planes(bias_level=100.0, flat=flat, defects=defects, gain=1.0, read_noise=3.0)
    signal, variance, quality = correct_window(raw, planes)
    assert signal[3, 3] == 1000.0  # the median of its eight neighbors
    assert variance[3, 3] > 0
    assert quality[3, 3] == Quality.LOW_FLAT | Quality.INTERPOLATED
