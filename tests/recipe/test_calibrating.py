"""What a light is calibrated with: whose defects, which masters stand in, where saturation lies."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from session_frames import frame

from sciastro.calibrate.debayer import split_window
from sciastro.calibrate.defects import DefectOptions
from sciastro.calibrate.planes import Planes
from sciastro.core import transform
from sciastro.core.cfa import XTRANS, cell_center, cell_side, color_plane
from sciastro.core.quality import Quality
from sciastro.core.stars import STAR_DTYPE
from sciastro.io.products import ProductFacts, write_master
from sciastro.recipe.calibrating import Calibrator
from sciastro.recipe.colors import averaged, light_of_cells, sky_of_colors
from sciastro.recipe.context import Context, Silent
from sciastro.recipe.detector import DetectorFacts, _agree
from sciastro.recipe.grading import grade_set
from sciastro.recipe.lights import Light, Measured, bands_of, lights_of, stack_sets
from sciastro.recipe.masterbank import MasterBank, match_of_made
from sciastro.recipe.masterplan import LightMatch
from sciastro.recipe.matching import plan_masters
from sciastro.recipe.plan import load_recipe
from sciastro.recipe.session import scan

RECIPE = load_recipe(None, [])


def context_in(folder):
    return Context(out=folder, workers=2, memory=10**9, progress=Silent())


def noisy(path, shape, hot, seed, **cards):

    pixels = np.random.default_rng(seed).normal(1000, 10, shape).round().astype(np.uint16)
    pixels[hot] = 9000
    path.parent.mkdir(parents=True, exist_ok=True)
    header = fits.Header({key.replace("_", "-"): value for key, value in cards.items()})
    fits.PrimaryHDU(pixels, header).writeto(path)


def detector_of(saturation=65535.0):
    return SimpleNamespace(of=lambda light: DetectorFacts(1.0, 5.0, saturation, "test"))


def test_lights_without_masters_of_two_sizes_have_each_their_own_defects(tmp_path):
    for i in range(3):
        noisy(tmp_path / "a" / f"{i}.fits", (60, 80), (20, 30), i, IMAGETYP="Light", EXPTIME=60.0, OBJECT="A")
        noisy(tmp_path / "b" / f"{i}.fits", (40, 50), (7, 9), i, IMAGETYP="Light", EXPTIME=60.0, OBJECT="B")
    session = scan(tmp_path)
    lights = lights_of(plan_masters(session))
    calibrator = Calibrator(
        tmp_path / "no.h5", tmp_path, MasterBank(DefectOptions()), detector_of(), RECIPE, context_in(tmp_path)
    )
    assert not calibrator.holds(lights[:1], mosaic=False)
    for light in (lights[0], lights[-1], lights[0]):
        defects = calibrator.planes(light).defects
        assert calibrator.holds([light], mosaic=False)
        assert defects.shape == light.facts.shape
        hot = {(int(y), int(x)) for y, x in np.argwhere(defects & int(Quality.HOT))}
        assert hot == ({(20, 30)} if light.facts.target == "A" else {(7, 9)})


def master(folder, name, value):
    plane = np.full((60, 80), value, np.float32)
    write_master(
        folder / f"{name}.fits", plane, np.ones_like(plane), np.zeros(plane.shape, np.uint16),
        facts=ProductFacts(),
    )  # fmt: skip
    return folder / f"{name}.fits"


def test_the_bias_stands_in_for_a_dark_that_could_not_be_made(tmp_path):
    for i in range(3):
        noisy(tmp_path / "n" / f"b{i}.fits", (60, 80), (20, 30), i, IMAGETYP="Bias", EXPTIME=0.0)
        noisy(tmp_path / "n" / f"d{i}.fits", (60, 80), (20, 30), i, IMAGETYP="Dark", EXPTIME=60.0)
        noisy(tmp_path / "n" / f"l{i}.fits", (60, 80), (20, 30), i, IMAGETYP="Light", EXPTIME=60.0)
    light = lights_of(plan_masters(scan(tmp_path / "n")))[0]
    assert (light.match.dark, light.match.bias, light.match.level) == ("dark-60s", None, "bias")
    files = {"bias": master(tmp_path, "bias", 500.0)}
    bank = MasterBank(DefectOptions(), files=files, kinds={"bias": "bias"}, cfas={"bias": ""})
    light.match = match_of_made(light.match, bank)
    assert (light.match.dark, light.match.bias, light.match.level) == (None, "bias", "bias")
    calibrator = Calibrator(tmp_path / "no.h5", tmp_path, bank, detector_of(), RECIPE, context_in(tmp_path))
    planes = calibrator.planes(light)
    assert planes.bias_level == 500.0
    assert float(np.median(planes.dark)) == 500.0


@pytest.mark.parametrize(("scale", "dark"), [(1.5, "dark-60s"), (3.0, None)])
def test_a_dark_cannot_be_scaled_without_its_bias(tmp_path, scale, dark):
    match = LightMatch(None, "dark-60s", scale, "bias", "bias", None, ())
    bank = MasterBank(DefectOptions(), files={"dark-60s": tmp_path / "dark-60s.fits"})
    made = match_of_made(match, bank)
    assert (made.dark, made.dark_scale, made.bias, made.level) == (dark, 1.0, None, None)


def measured(bands, n_stars=40, noise=10.0):
    stars = np.zeros(n_stars, STAR_DTYPE)
    stars["flux"], stars["flux_err"] = 1e4, 100.0
    return Measured(
        stars=stars, fwhm=3.0, eccentricity=0.2, elongation=1.0, sky=dict.fromkeys(bands, 100.0),
        noise=dict.fromkeys(bands, noise), n_stars=n_stars, sha256="", gain=1.0, read_noise=1.0,
        gain_source="gain header; read noise header", saturation=65535.0, zero={},
        trails=np.empty((0, 5)), hits=np.empty(0, np.int64),
    )  # fmt: skip


def test_a_color_frame_that_is_weighted_down_has_weight_in_every_color():
    lights = []
    for i in range(6):
        facts = frame("light", cfa="RGGB", filter="OSC")
        light = Light(facts=facts, match=SimpleNamespace(group=SimpleNamespace(target="M 42")))
        light.measured = measured(bands_of(facts), noise=10.0 if i else 20.0)
        light.from_reference = transform.identity(1)
        light.pairs = np.stack([np.arange(40)] * 2)
        lights.append(light)
    (members,) = stack_sets(lights)
    grade_set(members, RECIPE, context_in(None))
    noisy_one = lights[0]
    assert noisy_one.use
    assert noisy_one.reason.startswith("weighted down")
    for light in lights:
        assert set(light.weights) == {"R", "G", "B"}
        assert list(light.weights.values()) == pytest.approx([0.25 if light is noisy_one else 1.0] * 3)


def test_a_pixel_that_is_full_is_flagged_under_a_pedestal(tmp_path):
    # 65535 with a pedestal of 100 is 65435 adu of signal, below 65535, and full all the same.
    facts = frame("light", shape=(2, 3), pedestal=100.0)
    nothing = SimpleNamespace(id="L1", frames=(), target="M 42")
    light = Light(facts=facts, match=LightMatch(nothing, None, 1.0, None, None, None, ()))
    calibrator = Calibrator(
        tmp_path / "no.h5", tmp_path, MasterBank(DefectOptions()), detector_of(), RECIPE, context_in(tmp_path)
    )
    raw = np.array([[100, 65534, 65535], [1100, 5000, 65535]], np.uint16)
    signal, quality = calibrator.plane(light, raw, calibrator.planes(light))
    assert signal[1, 0] == 1000.0  # gain 1
    assert ((quality & int(Quality.SATURATED)) != 0).tolist() == [[False, False, True], [False, False, True]]


def test_gain_zero_is_a_setting():
    assert _agree(frame("bias", gain_setting=0.0), frame("light", gain_setting=0.0))
    assert not _agree(frame("bias", gain_setting=0.0), frame("light", gain_setting=100.0))
    assert _agree(frame("bias", gain_setting=None), frame("light", gain_setting=100.0))


@pytest.mark.parametrize("cfa", ["GRBG", XTRANS])
def test_noise_of_a_raw_green_pixel_in_a_mosaic(cfa):
    # Sky noise 10 electron per raw pixel: the mean of both greens of a Bayer cell has 7.07, red has 10.
    signal = np.random.default_rng(3).normal(200, 10, (480, 480)).astype("f4")
    planes, _, bits = split_window(signal, np.empty((0, 0), "f4"), np.zeros(signal.shape, "u2"), cfa)
    _, noise, _ = sky_of_colors(planes, bits, ("R", "G", "B"))
    raw = {band: noise[band] * averaged(cfa, band) for band in noise}
    assert raw == pytest.approx({"R": 10, "G": 10, "B": 10}, rel=0.04)


@pytest.mark.parametrize("cfa", ["RGGB", "GBRG", XTRANS, XTRANS[7:] + XTRANS[:7]])
@pytest.mark.parametrize("tint", [(1, 1, 1), (3, 1, 0.2)])
def test_a_star_of_any_color_is_centered_on_cells_where_it_is(cfa, tint):
    # A Gaussian of sigma 4 raw pixels: cells sample it well, and its color must not move it.
    if len(cfa) == 36:
        cfa = (
            "".join(np.roll(np.array(list(XTRANS)).reshape(6, 6), (2, 4), (0, 1)).ravel())
            if cfa != XTRANS
            else cfa
        )
    y, x = np.mgrid[:60, :66]
    star = np.exp(-((x - 31.3) ** 2 + (y - 28.6) ** 2) / 32)
    light = (star * np.array(tint)[color_plane(cfa, star.shape)]).astype("f4")
    planes, _, bits = split_window(light, np.empty((0, 0), "f4"), np.zeros(light.shape, "u2"), cfa)
    whole = light_of_cells(planes, bits, cfa)[0]
    j, i = np.mgrid[: whole.shape[0], : whole.shape[1]]
    first, side = cell_center(cfa), cell_side(cfa)
    assert side * (whole * i).sum() / whole.sum() + first[0] == pytest.approx(31.3, abs=0.01)
    assert side * (whole * j).sum() / whole.sum() + first[1] == pytest.approx(28.6, abs=0.01)


@pytest.mark.parametrize("cfa", ["RGGB", XTRANS])
def test_a_window_of_the_mosaic_holds_the_samples_of_one_color(tmp_path, cfa):
    facts = frame("light", shape=(24, 30), cfa=cfa, filter="OSC")
    nothing = SimpleNamespace(id="L1", frames=(), target="M 42")
    light = Light(facts=facts, match=LightMatch(nothing, None, 1.0, None, None, None, ()))
    calibrator = Calibrator(
        tmp_path / "no.h5", tmp_path, MasterBank(DefectOptions()), detector_of(), RECIPE, context_in(tmp_path)
    )
    raw = np.arange(720, dtype=np.uint16).reshape(24, 30) + 1
    calibrator.block = lambda light: SimpleNamespace(rows=lambda index, y0, y1: raw[y0:y1])
    color = color_plane(cfa, raw.shape)[5:20, 3:29]
    for number, band in enumerate("RGB"):
        signal, variance, quality = calibrator.mosaic_window(light, band, 5, 20, 3, 29)
        own = color == number
        np.testing.assert_array_equal(signal[own], raw[5:20, 3:29][own])  # gain 1
        assert (variance[own] > 0).all()
        assert np.isnan(signal[~own]).all() and np.isnan(variance[~own]).all()
        assert ((quality & int(Quality.NO_DATA)) != 0).tolist() == (~own).tolist()
    # The map of a superpixel to raw pixels: the center of cell (0, 0) is at 0.5 or 1.
    to_raw = calibrator.to_raw(light, transform.identity(1))
    x, y = transform.evaluate(to_raw, np.array([0.0, 2.0]), np.array([0.0, 1.0]))
    side = cell_side(cfa)
    assert x.tolist() == [(side - 1) / 2, 2 * side + (side - 1) / 2]
    assert y.tolist() == [(side - 1) / 2, side + (side - 1) / 2]


@pytest.mark.parametrize("band", ["R", "G", "B"])
def test_phases_apart_give_the_numbers_of_the_mosaic(tmp_path, band, monkeypatch):
    rng = np.random.default_rng(5)
    shape, cells_ = (25, 37), (slice(2, 10), slice(3, 15))
    facts = frame("light", shape=shape, cfa="GBRG", filter="OSC", pedestal=50.0)
    nothing = SimpleNamespace(id="L1", frames=(), target="M 42")
    light = Light(facts=facts, match=LightMatch(nothing, None, 1.0, None, None, None, ()))
    light.measured = measured(("R", "G", "B"))
    light.measured = replace(
        light.measured,
        trails=np.array([[0.0, 3.0, 36.0, 20.0, 2.2]]),
        hits=np.flatnonzero(rng.random(shape) < 0.05),
    )
    raw = rng.integers(500, 9000, shape).astype(np.uint16)
    raw[rng.random(shape) < 0.05] = 65535
    planes = Planes(
        dark=rng.normal(400, 5, shape).astype("f4"), dark_variance=rng.uniform(1, 2, shape).astype("f4"),
        bias_level=395.0, flat=rng.uniform(-0.01, 1.2, shape).astype("f4"),
        flat_variance=rng.uniform(0, 1e-3, shape).astype("f4"),
        defects=np.where(rng.random(shape) < 0.2, int(Quality.HOT), 0).astype("u2"),
        gain=1.0, read_noise=1.0, cfa="GBRG",
    )  # fmt: skip
    calibrator = Calibrator(
        tmp_path / "no.h5", tmp_path, MasterBank(DefectOptions()), detector_of(), RECIPE, context_in(tmp_path)
    )
    calibrator.block = lambda light: SimpleNamespace(rows=lambda index, y0, y1: raw[y0:y1])
    monkeypatch.setattr(calibrator._shelf, "_load", lambda match, cfa: planes)
    y, x = cells_
    fast = calibrator.window(light, band, y.start, y.stop, x.start, x.stop)
    slow = calibrator._debayered(light, band, y.start, y.stop, x.start, x.stop)
    for a, b in zip(fast[:2], slow[:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    # A lone sample keeps the DO_NOT_USE of its flat beside LOW_FLAT.
    np.testing.assert_array_equal(fast[2] | 1, slow[2] | 1)
    assert 0 < np.count_nonzero(fast[2] & int(Quality.TRAIL)) < fast[2].size
    assert 0 < np.count_nonzero(fast[2] & int(Quality.COSMIC_RAY)) < fast[2].size
    colors, bits = calibrator.colors(light, raw)
    whole, mask = calibrator.plane(light, raw, calibrator.planes(light))
    want = split_window(whole, np.empty((0, 0), "f4"), mask, "GBRG")
    inner = np.s_[:, :-1, :-1]  # repairs at the border of odd-sized frames see half a cell less
    np.testing.assert_allclose(colors[inner], want[0][inner], rtol=1e-6)
    np.testing.assert_array_equal(bits[inner] | 1, want[2][inner] | 1)


def test_no_product_overwrites_another():
    # Names that meet: two of one safe name, r and R where case is ignored, a target with a band in it.
    facts = [
        frame("light", target="a/b", filter="r"),
        frame("light", target="a:b", filter="r"),
        frame("light", target="a-b_2", filter="r"),
        frame("light", target="a/b", filter="R"),
        frame("light", target="a-b_x", filter="R"),
        frame("light", target="a/b", filter="x R"),
    ]
    lights = [
        Light(facts=one, match=SimpleNamespace(group=SimpleNamespace(target=one.target))) for one in facts
    ]
    sets = stack_sets(lights)
    files = [name for members in sets for name in members.files.values()]
    assert files[0] == "a-b_r"
    assert len(files) == 6
    assert len({name.casefold() for name in files}) == 6
    assert len({members.stem.casefold() for members in sets}) == 4
    assert not any("/" in name for name in files)
