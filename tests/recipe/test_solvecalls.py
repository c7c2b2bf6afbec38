"""`sciastro.solve`: files, star lists, images and frames; hints in every form; calls that are wrong."""

import doctest

import numpy as np
import pytest
import xarray as xr
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable

import sciastro
from sciastro.astrometry.sky import Hint
from sciastro.core.wcs import celestial_from_header, center, tan_wcs
from sciastro.errors import DatasetError, FileError, SolveError, UsageError
from sciastro.recipe import solvecalls
from sciastro.recipe.solving import Question, solve_files

SHAPE, RA, DEC, SCALE = (400, 500), 83.0, 21.0, 24.0


def painted(wcs, shape=SHAPE, seed=1):
    """Stars of the embedded catalog, 3 pixels wide, on a noisy sky."""
    sky = sciastro.cone((RA, DEC), 3.0, epoch=2016.0, mag_limit=9.5)
    x, y = wcs.all_world2pix(sky["ra"].value, sky["dec"].value, 0)
    image = np.random.default_rng(seed).normal(200, 5, shape)
    rows, columns = np.mgrid[-8:9, -8:9]
    for a, b, mag in zip(x, y, sky["mag"].value, strict=True):
        i, j = round(float(b)), round(float(a))
        if 8 < j < shape[1] - 9 and 8 < i < shape[0] - 9:
            spot = np.exp(-((columns + j - a) ** 2 + (rows + i - b) ** 2) / 3.2)
            image[i - 8 : i + 9, j - 8 : j + 9] += 20000 * 10 ** (-0.4 * (mag - 7)) * spot
    return image.astype(np.float32)


@pytest.fixture(scope="module")
def stars():
    sky = sciastro.cone((RA, DEC), 3.0, epoch=2016.0, brightest=250)
    x, y = tan_wcs(RA, DEC, SCALE, SHAPE, angle=33.0).all_world2pix(sky["ra"].value, sky["dec"].value, 0)
    table = QTable({"x": x, "y": y, "flux": 10 ** (-0.4 * sky["mag"].value)})
    return table[(x > 0) & (x < 499) & (y > 0) & (y < 399)]


def off(wcs, shape=SHAPE):
    """Distance from the true place [pixel]."""
    ra, dec = center(wcs, shape)
    return np.hypot((ra - RA) * np.cos(np.radians(DEC)), dec - DEC) * 3600 / SCALE


@pytest.mark.parametrize(
    "hint",
    [
        (RA + 0.1, DEC, SCALE * 1.03),
        (RA * 60 * u.arcmin, DEC * u.deg, SCALE * u.arcsec),
        pytest.param(SkyCoord(RA + 0.1, DEC, unit="deg"), marks=pytest.mark.slow),
        tan_wcs(RA + 0.05, DEC, SCALE, SHAPE, angle=33.0),
        Hint(ra=RA, dec=DEC, scale=SCALE),
        pytest.param((200.0, -60.0, 3.0), marks=pytest.mark.slow),
        None,
    ],
    ids=["numbers", "quantities", "SkyCoord", "WCS", "Hint", "wrong", "none"],
)
def test_star_lists_with_every_kind_of_hint(stars, hint):
    found = sciastro.solve(stars, shape=SHAPE, hint=hint)
    assert off(found.wcs) < 0.1 and found.scale == pytest.approx(SCALE, rel=1e-3)
    again = sciastro.solve(stars, shape=SHAPE, hint=found)
    assert again.method == "header" and off(again.wcs) < 0.1


def test_all_of_a_hint_counts(stars):
    from sciastro.recipe.solvecalls import _question
    from sciastro.recipe.solvehints import hint_of
    from sciastro.recipe.solvereading import from_pixels

    given = Hint(ra=RA, dec=DEC, scale=SCALE, radius=0.5, angle=33.0, parity=1)
    field = from_pixels(np.zeros(SHAPE, np.float32))
    assert hint_of(field, _question(given, None, 9.0, None)) == given
    halved = from_pixels(np.zeros(SHAPE, np.float32), step=2, wcs=tan_wcs(1.0, 2.0, 2 * SCALE, SHAPE))
    of_header = hint_of(halved, _question(given, None, 9.0, None))  # what is named goes first
    assert of_header.wcs is None and of_header.scale == 2 * SCALE
    both = hint_of(halved, _question(Hint(wcs=halved.wcs, scale=SCALE), None, 9.0, None))
    assert both.wcs is halved.wcs and both.scale == 2 * SCALE
    assert sciastro.solve(stars, shape=SHAPE, hint=given).method == "header"  # the angle makes it a WCS
    wrong = Hint(ra=RA, dec=DEC, scale=SCALE, parity=-1)  # found all the same
    assert sciastro.solve(stars, shape=SHAPE, hint=wrong).method == "blind"


def test_a_file_of_a_color_camera_is_solved_on_its_own_pixels(tmp_path):
    pixels = painted(tan_wcs(RA, DEC, SCALE / 2, (800, 1000), angle=33.0), (800, 1000))
    header = fits.Header([("BAYERPAT", "RGGB"), ("IMAGETYP", "LIGHT"), ("DATE-OBS", "2024-01-12T21:00:00")])
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(pixels.astype(np.uint16), header).writeto(path)
    before = path.read_bytes()
    found = sciastro.solve(path, hint=(RA, DEC, SCALE / 2))
    assert off(found.wcs, (800, 1000)) < 0.2 and found.scale == pytest.approx(SCALE / 2, rel=1e-3)
    assert found.epoch == pytest.approx(2024.03, abs=0.01)
    used = found.matched[found.matched["used"]]
    x, _ = found.wcs.all_world2pix(used["ra"].value, used["dec"].value, 0)
    np.testing.assert_allclose(used["x"].value - x, used["dx"].value, atol=1e-3)
    assert np.hypot(used["dx"].value, used["dy"].value).max() < 2
    np.testing.assert_allclose(used["x"] - used["x_fit"], used["dx"], atol=1e-9 * u.pix)
    np.testing.assert_allclose(
        used["radius"].value, np.hypot(used["x"].value - 499.5, used["y"].value - 399.5)
    )
    for name in ("sigma", "error"):
        np.testing.assert_allclose(used[f"{name}_sky"].value, used[name].value * found.scale, rtol=1e-9)
    assert used["radius"].info.description
    assert path.read_bytes() == before  # only the command writes
    frames = sciastro.solve(sciastro.open([path]), hint=(RA, DEC, SCALE / 2))  # `raw`, a mosaic of colors
    assert off(frames.sky.wcs(), (800, 1000)) < 0.2
    assert frames.sky.wcs().pixel_shape == (1000, 800)


@pytest.mark.parametrize("suffix", [".fits", ".fits.fz", ".fits.gz"])
def test_a_color_stack_is_solved_by_its_brightness(tmp_path, suffix):
    plane = painted(tan_wcs(RA, DEC, SCALE, SHAPE, angle=33.0))
    cube = np.stack([plane, 0.8 * plane, 0.5 * plane]).astype(np.float32)
    path = tmp_path / f"rgb{suffix}"
    hdu = fits.CompImageHDU(cube, quantize_level=16) if suffix.endswith("fz") else fits.PrimaryHDU(cube)
    hdus = fits.HDUList([fits.PrimaryHDU(), hdu] if suffix.endswith("fz") else [hdu])
    hdus.writeto(path, checksum=True)
    before = fits.getdata(path)
    (one,) = solve_files([path], Question(ra=RA, dec=DEC, scale=SCALE))
    assert one.solved, one.reason
    with fits.open(path, checksum=True) as hdus:
        np.testing.assert_array_equal(hdus[-1].data, before)
        assert off(celestial_from_header(hdus[-1].header)) < 0.1


def test_an_image_gets_one_wcs():
    planes = np.stack([painted(tan_wcs(RA, DEC, SCALE, SHAPE, angle=33.0), seed=s) for s in (1, 2)])
    image = xr.Dataset(
        {"image": (("band", "y", "x"), planes, {"units": "electron / s"})}, {"band": ["G", "R"]}
    )
    out = sciastro.solve(image, hint=(RA, DEC, SCALE))
    assert "wcs" not in image.variables and out["wcs"].dims == ()
    assert off(out.sky.wcs()) < 0.1 and out["wcs"].attrs["n_stars"] > 20
    assert out["wcs"].attrs["engine"] == "pattern"
    assert sciastro.solve(out)["wcs"].attrs["engine"] == "header"  # what it says itself is its hint


def test_frames_get_one_wcs_each(tmp_path):
    moves = ((0.0, 33.0), (0.02, 33.5), (-0.03, 32.0))
    planes = [painted(tan_wcs(RA + d, DEC, SCALE, SHAPE, angle=a)) for d, a in moves]
    planes.append(np.random.default_rng(5).normal(200, 5, SHAPE).astype(np.float32))
    frames = xr.Dataset({"signal": (("frame", "y", "x"), np.stack(planes), {"units": "electron"})})
    out = sciastro.solve(frames, hint=(RA, DEC, SCALE), seconds=5)
    assert out["wcs"].dims == ("frame",) and str(out["wcs"].values[3]) == ""
    for k, (d, _) in enumerate(moves):
        ra, dec = center(out.sky.wcs(frame=k), SHAPE)
        assert ra == pytest.approx(RA + d, abs=2e-4) and dec == pytest.approx(DEC, abs=2e-4)
    with pytest.raises(SolveError):
        sciastro.solve(frames.isel(frame=[3]), seconds=2)


@pytest.mark.parametrize(
    "what, known, error, words",
    [
        ("stars", {}, UsageError, "shape"),
        ("stars", {"shape": SHAPE, "hint": 7}, UsageError, "is int"),
        (
            "stars",
            {"shape": SHAPE, "hint": SkyCoord([1, 2], [3, 4], unit="deg")},
            UsageError,
            "hint: (is|holds)",
        ),
        ("stars", {"shape": SHAPE, "hint": ("05h", "10d")}, UsageError, "holds '05h'"),
        ("stars", {"shape": SHAPE, "hint": (1.0 * u.s, 2.0)}, UsageError, "holds <Quantity"),
        ("stars", {"shape": SHAPE, "hint": (1.0, 95.0)}, UsageError, "dec: is 95"),
        ("stars", {"shape": SHAPE, "ra": 1.0}, UsageError, "go together"),
        ("stars", {"shape": SHAPE, "scale": -1.0}, UsageError, "scale: is -1"),
        ("stars", {"shape": SHAPE, "seconds": 0}, UsageError, "above 0"),
        ("stars", {"shape": SHAPE, "engine": "foo"}, UsageError, "is 'foo'"),
        ({"a": 1}, {}, UsageError, "is dict"),
        (QTable({"x": [1.0], "y": [1.0]}), {"shape": SHAPE}, DatasetError, "no column 'flux'"),
        (QTable({"x": [1.0], "y": [1.0], "flux": [1.0]}), {"shape": SHAPE}, SolveError, "1 "),
        (xr.Dataset(), {}, DatasetError, "raw"),
        ("nowhere.fits", {}, FileError, "does not exist"),
    ],
)
def test_calls_that_are_wrong(stars, what, known, error, words):
    with pytest.raises(error, match=words):
        sciastro.solve(stars if isinstance(what, str) and what == "stars" else what, **known)


def test_the_example_of_the_docstring():
    done = doctest.testmod(solvecalls)
    assert (done.attempted > 5, done.failed) == (True, 0)
