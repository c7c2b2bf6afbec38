"""Pictures: the right color in the right channel, a neutral sky, y upward, the science untouched."""

import json

import numpy as np
import pytest
import xarray as xr

from sciastro.core.history import history
from sciastro.core.quality import Quality
from sciastro.errors import DatasetError, OptionError
from sciastro.render.background import flatten
from sciastro.render.bands import choose_palette
from sciastro.render.color import fit_gamut, pixel_noise, quiet_noise, remove_green, sky_level, star_white
from sciastro.render.compose import ComposeOptions, compose, picture_recipe
from sciastro.render.frame import covered, crop_box, fill_missing

NY, NX = 120, 160
Y, X = np.mgrid[:NY, :NX]
STARS = {"red": (30, 40), "blue": (90, 110), "white": (40, 100)}  # y, x
COLORS = {"red": (1.0, 0.5, 0.25), "blue": (0.3, 0.6, 1.0), "white": (0.8, 0.8, 0.8)}


def scene(bands, *, gains=(1.0, 1.0, 1.0), sky=(5.0, 9.0, 3.0), noise=0.1, seed=0):
    """Three stars of known color, seen by a camera with the given response, over a colored sky."""
    rng = np.random.default_rng(seed)
    planes = []
    for k, _ in enumerate(bands):
        plane = sky[k % 3] + rng.normal(0, noise, (NY, NX))
        for name, (y, x) in STARS.items():
            plane = plane + 60 * COLORS[name][k % 3] / gains[k % 3] * np.exp(
                -((Y - y) ** 2 + (X - x) ** 2) / 18
            )
        planes.append(plane)
    image = (("band", "y", "x"), np.array(planes, np.float32), {"units": "electron / s"})
    return xr.Dataset({"image": image}, coords={"band": list(bands)})


def at(picture, name):
    """Return the color of a star three pixels off its center, found through the labels of the picture."""
    y, x = STARS[name]
    return picture["display"].sel(y=y + 3, x=x).values


def test_colors_land_in_their_channels_and_the_sky_is_gray():
    ds = scene(["B", "G", "R"][::-1])
    picture = compose(ds)
    assert picture["display"].dims == ("y", "x", "channel")
    assert picture["display"].dtype == np.float32
    assert list(picture["channel"].values) == ["red", "green", "blue"]
    red, blue = at(picture, "red"), at(picture, "blue")
    assert red[0] > 1.15 * red[1] > 1.15 * 1.15 * red[2]
    assert blue[2] > 1.2 * blue[0]
    sky = np.median(picture["display"].values, axis=(0, 1))
    assert np.ptp(sky) < 0.01
    assert sky.mean() == pytest.approx(ComposeOptions().target, abs=0.03)


def test_order_of_the_bands_does_not_matter():
    ds = scene(["R", "G", "B"])
    a, b = compose(ds), compose(ds.isel(band=[2, 0, 1]))
    np.testing.assert_allclose(a["display"], b["display"], atol=1e-6)


def test_row_0_is_the_top_and_labels_tell_the_pixels():
    picture = compose(scene(["V"]))
    assert picture["y"].values[0] == NY - 1
    assert picture["y"].values[-1] == 0
    y, x = STARS["red"]
    assert np.unravel_index(picture["display"].values[NY - 1 - y, :, 0].argmax(), (NX,))[0] == pytest.approx(
        x, abs=2
    )
    assert picture["display"].sel(y=y, x=x).item() > 0.9
    assert picture["display"].sizes["channel"] == 1


def test_color_gain_is_applied_and_named():
    gains = (1.5, 1.0, 2.0)
    seen = scene(["R", "G", "B"], gains=gains)
    seen["color_gain"] = ("band", np.array(gains), {"units": "1"})
    white = at(compose(seen), "white")
    assert np.ptp(white) < 0.03
    recipe = picture_recipe(compose(seen))
    assert recipe["white_balance"] == {"source": "color_gain", "gain": [1.5, 1.0, 2.0]}
    seen["color_gain"] = ("band", np.array([1.5, np.nan, 2.0]), {"units": "1"})
    assert picture_recipe(compose(seen))["white_balance"]["source"].startswith("assumed")


def test_the_input_is_untouched_and_the_result_is_new():
    ds = flatten(scene(["R", "G", "B"]))
    before = ds.copy(deep=True)
    picture = compose(ds)
    xr.testing.assert_identical(ds, before)
    assert set(picture.data_vars) == {"display"}
    assert picture["display"].attrs["units"] == "1"
    assert [entry["step"] for entry in history(picture)] == ["render.background", "render.compose"]
    xr.testing.assert_identical(compose(ds), picture)


@pytest.mark.parametrize("stretch", ["stf", "arcsinh"])
@pytest.mark.parametrize("linked", [True, False])
def test_every_stretch_gives_a_full_range_picture(stretch, linked):
    picture = compose(scene(["R", "G", "B"]), options=ComposeOptions(stretch=stretch, linked=linked))
    values = picture["display"].values
    assert np.isfinite(values).all()
    assert values.min() >= 0
    assert values.max() <= 1
    assert values.max() > 0.9
    assert picture_recipe(picture)["stretch"]["kind"] == stretch


def test_recipe_is_json_and_complete():
    recipe = picture_recipe(compose(scene(["R", "G", "B"])))
    assert json.loads(json.dumps(recipe)) == recipe
    assert recipe["palette"] == "rgb"
    assert recipe["channels"] == [["R"], ["G"], ["B"]]
    assert recipe["sky_e_s"]["G"] == pytest.approx(9.0, abs=0.05)
    assert recipe["sky_noise_e_s"]["G"] == pytest.approx(0.1, rel=0.15)
    assert recipe["options"]["target"] == ComposeOptions().target
    with pytest.raises(DatasetError, match="no attribute 'recipe'"):
        picture_recipe(scene(["R"]))


def test_background_model_is_subtracted():
    ds = scene(["V"])
    ds["image"] = ds["image"] + xr.DataArray(0.05 * X, dims=("y", "x")).astype("float32")
    ds["image"].attrs["units"] = "electron / s"
    plain, flat = compose(ds)["display"].values, compose(flatten(ds))["display"].values

    def tilt(v):
        return abs(np.median(v[:, -30:]) - np.median(v[:, :30]))

    assert tilt(flat) < 0.02 < 0.1 < tilt(plain)


def test_uncovered_border_is_cut_and_holes_are_filled():
    ds = scene(["R", "G", "B"])
    depth = np.full((3, NY, NX), 10.0)
    depth[:, :9] = 1.0
    depth[1, :, -13:] = 0.0
    values = ds["image"].values.copy()
    values[1, :, -13:] = np.nan
    values[:, 60:63, 70:73] = np.nan
    ds["image"] = ds["image"].copy(data=values)
    ds["coverage"] = (("band", "y", "x"), depth, {"units": "1"})
    picture = compose(ds)
    assert dict(picture.sizes) == {"y": NY - 9, "x": NX - 13, "channel": 3}
    assert picture_recipe(picture)["crop"] == {"x": [0, NX - 13], "y": [9, NY]}
    hole = picture["display"].sel(y=[60, 61, 62], x=[70, 71, 72]).values
    sky = np.median(picture["display"].values)
    assert np.abs(hole - sky).max() < 0.15
    whole = compose(ds, options=ComposeOptions(crop=0.0))
    assert whole.sizes["x"] == NX
    assert np.isfinite(whole["display"]).all()


def test_saturated_cores_are_white():
    ds = scene(["R", "G", "B"])
    y, x = STARS["red"]
    quality = np.zeros((3, NY, NX), np.uint16)
    quality[0, y - 2 : y + 3, x - 2 : x + 3] = Quality.SATURATED
    plain = compose(ds)["display"].sel(y=y, x=x).values
    ds["image_quality"] = (("band", "y", "x"), quality, {"units": "1"})
    core = compose(ds)["display"].sel(y=y, x=x).values
    assert np.ptp(core) < 0.05
    assert np.ptp(core) <= np.ptp(plain)


def test_luminance_gives_the_brightness_and_colors_the_hue():
    ds = scene(["L", "R", "G", "B"])
    planes = ds["image"].values.copy()
    y, x = 75, 30
    planes[0] = scene(["G"], noise=0.02)["image"].values[0] + 8 * np.exp(-((Y - y) ** 2 + (X - x) ** 2) / 18)
    planes[1:] = scene(["R", "G", "B"])["image"].values
    ds["image"] = ds["image"].copy(data=planes)
    picture = compose(ds)
    assert picture_recipe(picture)["palette"] == "lrgb"
    assert picture["display"].sel(y=y, x=x).values.mean() > 0.5  # seen in L alone
    red = at(picture, "red")
    assert red[0] > 1.15 * red[2]


def test_an_image_without_pixels_is_refused():
    ds = scene(["R"])
    ds["image"] = ds["image"].copy(data=np.full((1, NY, NX), np.nan, np.float32))
    with pytest.raises(DatasetError, match="holds no pixel"):
        compose(ds)


def test_flat_and_tiny_images_do_not_fail():
    for shape in ((1, 1, 1), (3, 2, 5), (1, 40, 40)):
        image = (("band", "y", "x"), np.full(shape, 3.0, np.float32), {"units": "electron / s"})
        names = ["R", "G", "B"][: shape[0]]
        picture = compose(flatten(xr.Dataset({"image": image}, coords={"band": names})))
        assert np.isfinite(picture["display"]).all()


@pytest.mark.parametrize(
    ("bands", "name", "channels"),
    [
        (["B", "R", "G"], "rgb", (("R",), ("G",), ("B",))),
        (["L", "B", "R", "G"], "lrgb", (("R",), ("G",), ("B",))),
        (["Ha", "OIII", "SII"], "sho", (("SII",), ("Ha",), ("OIII",))),
        (["OIII", "Ha"], "hoo", (("Ha",), ("OIII",), ("OIII",))),
        (["B", "V", "R"], "broadband", (("R",), ("V",), ("B",))),
        (["g", "r", "i"], "broadband", (("i",), ("r",), ("g",))),
        (["V", "R"], "bicolor", (("R",), ("R", "V"), ("V",))),
        (["V"], "gray", (("V",),)),
        (["weird"], "gray", (("weird",),)),
        (["weird", "odd"], "gray", (("weird", "odd"),)),
        (["U", "V", "z", "I"], "broadband", (("z",), ("V",), ("U",))),
    ],
)
def test_palettes(bands, name, channels):
    got = choose_palette(bands)
    assert (got.name, got.channels) == (name, channels)


def test_palettes_on_demand():
    bands = ["R", "G", "B", "Ha", "OIII"]
    assert choose_palette(bands).left_out == ("Ha", "OIII")
    assert choose_palette(bands, "hoo").channels == (("Ha",), ("OIII",), ("OIII",))
    assert choose_palette(bands, custom="Ha, G,B").channels == (("Ha",), ("G",), ("B",))
    assert choose_palette(["R", "G"], "gray").channels == (("R", "G"),)
    with pytest.raises(OptionError, match=r"'sho', and there is no SII\. Bands here: R, G, B, Ha, OIII"):
        choose_palette(bands, "sho")
    with pytest.raises(OptionError, match="asks for band 'X'"):
        choose_palette(bands, custom="R,G,X")
    with pytest.raises(OptionError, match="Name three bands"):
        choose_palette(bands, custom="R,G")


def test_sky_level_ignores_stars_and_pixel_noise_ignores_gradients():
    rng = np.random.default_rng(0)
    plane = rng.normal(100, 3, (300, 300))
    plane[:40, :40] += 500
    level, noise = sky_level(plane)
    assert level == pytest.approx(100, abs=0.15)
    assert noise == pytest.approx(3, rel=0.04)
    steep = (rng.normal(0, 3, (300, 300)) + np.arange(300) * 2.0).astype(np.float32)
    assert pixel_noise(steep) == pytest.approx(3, rel=0.03)
    assert np.isnan(sky_level(np.full((3, 3), np.nan))).all()


def test_star_white_needs_enough_bright_pixels():
    cube = np.zeros((50, 50, 3), np.float32)
    assert star_white(cube, [1, 1, 1]).tolist() == [1, 1, 1]
    cube[:10, :10] = (50, 100, 25)
    assert star_white(cube, [1, 1, 1]).tolist() == [2, 1, 4]


def test_scnr_by_hand():
    pixel = np.array([[[0.2, 0.9, 0.4]]], np.float32)
    # G' = min(0.9, 0.3) = 0.3; half of it: 0.9 + 0.5 (0.3 - 0.9) = 0.6
    assert remove_green(pixel, 1.0)[0, 0] == pytest.approx([0.2, 0.3, 0.4])
    assert remove_green(pixel, 0.5)[0, 0] == pytest.approx([0.2, 0.6, 0.4])
    assert remove_green(pixel, 0.0) is pixel


def test_gamut_keeps_hue_and_brightness():
    cube = np.array([[[1.6, 0.6, 0.2], [0.5, 0.5, 0.5], [0.45, 0.5, 0.55], [3.0, 3.0, 2.0]]], np.float32)
    out = fit_gamut(cube)
    assert out.min() >= 0
    assert out.max() <= 1
    assert out[0, 0].mean() == pytest.approx(0.8, abs=1e-5)
    ratio = (out[0, 0] - 0.8) / (cube[0, 0] - 0.8)
    assert ratio == pytest.approx(
        [ratio[0]] * 3, rel=1e-4
    )  # every channel moved by one factor: the hue stays
    assert out[0, 1:3] == pytest.approx(cube[0, 1:3], abs=1e-6)  # what fits is not touched
    assert out[0, 3] == pytest.approx([1, 1, 1], abs=1e-5)


def test_quiet_noise_smooths_the_sky_and_leaves_stars():
    rng = np.random.default_rng(0)
    cube = rng.normal(0, 1, (150, 150, 3)).astype(np.float32)
    yy, xx = np.mgrid[:150, :150]
    star = np.exp(-((yy - 75) ** 2 + (xx - 75) ** 2) / 12)[:, :, None] * np.array([300, 100, 50])
    out = quiet_noise((cube + star).astype(np.float32), color=1.0, light=0.0, radius=4.0)
    far = np.s_[:50, :50]
    chroma = (out - out.mean(axis=2, keepdims=True))[far].std()
    before = (cube - cube.mean(axis=2, keepdims=True))[far].std()
    assert chroma < 0.15 * before
    assert out.mean(axis=2) == pytest.approx((cube + star).mean(axis=2), abs=1e-3)  # brightness untouched
    assert out[75, 75] == pytest.approx((cube + star)[75, 75], rel=1e-4)
    ring = np.hypot(yy - 75, xx - 75)
    halo = (out[:, :, 0] - out[:, :, 2])[(ring > 14) & (ring < 18)].mean()
    assert abs(halo) < 0.5  # the star's red does not bleed into its surroundings


def test_crop_box_by_hand():
    good = np.zeros((6, 8), bool)
    good[1:5, 2:7] = True
    assert crop_box(good, 0.9) == (slice(1, 5), slice(2, 7))
    good[2, 3] = False  # a hole inside changes nothing
    assert crop_box(good, 0.9) == (slice(1, 5), slice(2, 7))
    assert crop_box(good, 0.0) == (slice(0, 6), slice(0, 8))
    assert crop_box(np.zeros((4, 4), bool), 0.9) == (slice(0, 4), slice(0, 4))


def test_covered_needs_every_band_and_typical_depth():
    planes = np.zeros((2, 1, 4), np.float32)
    planes[1, 0, 3] = np.nan
    depth = np.array([[[10, 4, 10, 10]], [[6, 6, 6, 6]]], float)
    assert covered(planes, depth, 0.5).tolist() == [[True, False, True, False]]
    assert covered(planes, None, 0.5).tolist() == [[True, True, True, False]]


def test_fill_missing_takes_the_neighborhood_near_and_the_level_far():
    plane = np.full((80, 300), 5.0, np.float32)
    plane[10, 10] = np.nan
    plane[:, 150:] = np.nan
    filled = fill_missing(plane, 2.0)
    assert filled[10, 10] == pytest.approx(5.0, abs=1e-4)
    assert filled[40, 299] == 2.0
    assert np.isfinite(filled).all()
    assert fill_missing(np.full((4, 4), np.nan, np.float32), 1.5).tolist() == [[1.5] * 4] * 4
