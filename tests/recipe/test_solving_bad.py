"""Bad input to `solve`: whatever the file is, a reason comes back, never a traceback and never a place."""

import json
from functools import partial

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable
from no_skies import KINDS, picture
from PIL import Image, ImageFilter
from small_nights import command

from sciastro.astrometry import blind
from sciastro.astrometry.quads import build_index
from sciastro.core.wcs import tan_wcs
from sciastro.recipe import skyindex, solving
from sciastro.recipe.solving import Question, solve_files

SHAPE, RA, DEC, SCALE = (400, 520), 120.0, 35.0, 40.0


@pytest.fixture(scope="module")
def sky():
    """RA, Dec, magnitude of a sky that is made up, so that no test needs the index of the real one."""
    rng = np.random.default_rng(5)
    n = 41253 * 3
    return (
        rng.uniform(0, 360, n),
        np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
        11 + np.log10(rng.random(n)) / 0.5,
    )


@pytest.fixture(autouse=True)
def made_up(sky, index, monkeypatch):
    """Let `solve` look at that sky."""
    ra, dec, mag = sky

    def cone(ra0, dec0, radius, *, epoch, brightest=3000, **_):
        away = np.sin(np.radians(dec)) * np.sin(np.radians(dec0))
        away += np.cos(np.radians(dec)) * np.cos(np.radians(dec0)) * np.cos(np.radians(ra - ra0))
        near = np.flatnonzero(away > np.cos(np.radians(radius)))
        near = near[np.argsort(mag[near])][:brightest]
        table = QTable({"id": near, "ra": ra[near] * u.deg, "dec": dec[near] * u.deg, "mag": mag[near]})
        table.meta["catalog"] = "made up"
        return table

    monkeypatch.setattr(blind, "DEPTHS", (3, 14))  # quads of the brightest stars: the rest takes minutes
    monkeypatch.setattr(solving, "sky_index", lambda: index)
    monkeypatch.setattr(solving, "cone", cone)


@pytest.fixture(scope="module")
def index(sky):
    return build_index(*sky, lowest=1.0, highest=13.0)


@pytest.fixture(scope="module")
def plane(sky):
    """The made-up sky around (RA, DEC), on noise."""
    ra, dec, mag = sky
    near = np.hypot((ra - RA) * np.cos(np.radians(DEC)), dec - DEC) < 6
    x, y = tan_wcs(RA, DEC, SCALE, SHAPE, angle=50.0).all_world2pix(ra[near], dec[near], 0)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = np.random.default_rng(1).normal(200, 5, SHAPE)
    for a, b, m in zip(x, y, mag[near], strict=True):
        if 0 < a < SHAPE[1] and 0 < b < SHAPE[0]:
            image += 900 * 10 ** (-0.4 * (m - 10)) * np.exp(-((columns - a) ** 2 + (rows - b) ** 2) / 3.2)
    return image.astype(np.float32)


def solved(path, **known):
    (one,) = solve_files([path], Question(write=False, seconds=20.0, **known))
    return one


def spots(*places, light=4000.0):
    """Return a noisy plane with a few stars."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    out = np.random.default_rng(2).normal(100, 5, SHAPE)
    for x, y, width in places:
        out += light * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * width**2))
    return out.astype(np.float32)


BAD_PLANES = {
    "no stars": spots(),
    "three stars": spots((50, 60, 1.5), (300, 200, 1.5), (420, 90, 1.5)),
    "one huge star": spots((260, 200, 60.0)),
    "all saturated": np.full(SHAPE, 65535.0, np.float32),
    "black": np.zeros(SHAPE, np.float32),
    "not a number": np.full(SHAPE, np.nan, np.float32),
    "infinite": np.full(SHAPE, np.inf, np.float32),
    "a row": np.ones((1, 4000), np.float32),
}


@pytest.mark.parametrize("name", BAD_PLANES)
def test_planes_without_a_sky_have_reasons(name, tmp_path):
    fits.PrimaryHDU(BAD_PLANES[name]).writeto(tmp_path / "a.fits")
    one = solved(tmp_path / "a.fits")
    assert not one.solved and one.reason.endswith(".")
    assert json.loads(one.as_json())["center_deg"] is None
    if name in ("no stars", "all saturated", "black"):
        assert "Look at the image" in one.reason
    if name == "not a number":
        assert one.reason.startswith(f"{tmp_path / 'a.fits'}: has no usable pixel.")


@pytest.mark.parametrize("number", range(2 * len(KINDS)))
def test_pictures_of_other_things_are_never_solved(number, tmp_path):
    """None of 16; the full run of 200 is benchmarks/solve.py --false 200."""
    kind, pixels = picture(number)
    Image.fromarray(pixels).save(tmp_path / f"{kind}.png")
    one = solved(tmp_path / f"{kind}.png")
    assert not one.solved, kind
    assert one.reason.endswith(".")


def broken_files(folder):
    """Write files that are no image, or half of one; yield their names."""
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(folder / "one.png")
    whole = folder / "whole.jpg"
    Image.fromarray(picture(0)[1]).save(whole)
    (folder / "cut.jpg").write_bytes(whole.read_bytes()[:900])
    (folder / "text.jpg").write_text("hello")
    (folder / "empty.fits").write_bytes(b"")
    (folder / "empty.png").write_bytes(b"")
    (folder / "folder.fits").mkdir()
    (folder / "movie.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(200))
    fits.HDUList(
        [fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column("a", "E", array=[1.0])])]
    ).writeto(folder / "table.fits")
    made = ("one.png", "cut.jpg", "text.jpg", "empty.fits", "empty.png", "folder.fits", "movie.mp4")
    return (*made, "table.fits", "missing.fits")


def test_files_that_are_no_image_have_reasons_and_the_exit_code_of_data(tmp_path):
    names = broken_files(tmp_path)
    done = list(solve_files([tmp_path / name for name in names], Question(write=False, seconds=10.0)))
    reasons = dict(zip(names, (one.reason for one in done), strict=True))
    assert "is a folder" in reasons["folder.fits"]
    assert "is no picture" in reasons["text.jpg"]
    assert not any("object at 0x" in reason for reason in reasons.values())
    assert "does not exist" in command("annotate", tmp_path / "missing.jpg").output
    for name, one in zip(names, done, strict=True):
        assert not one.solved, name
        assert one.reason.endswith("."), (name, one.reason)
    result = command("solve", "--json", *[tmp_path / name for name in names])
    assert result.exit_code == 3
    assert "Traceback" not in result.output
    assert not list(tmp_path.glob("*.wcs"))


def test_one_good_file_among_bad_ones_is_a_partial_success(plane, tmp_path):
    fits.PrimaryHDU(plane).writeto(tmp_path / "good.fits")
    (tmp_path / "bad.fits").write_text("no")
    result = command("solve", "--json", "--no-write", tmp_path / "good.fits", tmp_path / "bad.fits")
    assert result.exit_code == 4
    assert command("solve", "--no-write", tmp_path / "good.fits").exit_code == 0


@pytest.mark.parametrize("mode", ["RGBA", "LA", "I;16", "P"])
def test_pictures_of_any_mode_are_solved(plane, tmp_path, mode):
    level = np.clip((plane - 150) / 8, 0, 255)[::-1]
    if mode == "I;16":
        image = Image.fromarray((level * 200).astype(np.uint16))
    else:
        image = Image.fromarray(level.astype(np.uint8)).convert("RGBA" if mode == "RGBA" else mode)
    image.save(tmp_path / "a.png")
    one = solved(tmp_path / "a.png")
    assert one.solved, one.reason
    assert one.center_deg == pytest.approx((RA, DEC), abs=0.005)
    assert one.parity == 1


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_turned_pictures_are_found(plane, tmp_path, turn):
    level = np.clip((plane - 150) / 8, 0, 255)[::-1].astype(np.uint8)
    Image.fromarray(np.rot90(level, turn)).save(tmp_path / "a.png")
    one = solved(tmp_path / "a.png")
    assert one.solved and one.parity == 1
    assert (one.rotation_deg - 50.0 - 90.0 * turn + 180.0) % 360.0 == pytest.approx(180.0, abs=0.2) or (
        one.rotation_deg - 50.0 + 90.0 * turn + 180.0
    ) % 360.0 == pytest.approx(180.0, abs=0.2)


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({"ra": RA, "dec": -DEC, "scale": SCALE}, "70.0 degrees from the center that was given"),
        ({"ra": RA, "dec": DEC, "scale": 100 * SCALE}, "not 4000 as was given"),
        ({"scale": 0.02}, "not 0.02 as was given"),
    ],
)
def test_hints_that_are_wrong_do_not_hide_the_place_and_are_told(plane, tmp_path, known, told):
    fits.PrimaryHDU(plane).writeto(tmp_path / "a.fits")
    one = solved(tmp_path / "a.fits", **known)
    assert one.solved, one.reason
    assert one.center_deg == pytest.approx((RA, DEC), abs=0.005)
    assert told in one.note


def test_a_series_goes_on_from_the_frame_before(plane, tmp_path):
    for name, shift in (("a", 0), ("b", 9)):
        fits.PrimaryHDU(np.roll(plane, shift, axis=1)).writeto(tmp_path / f"{name}.fits")
    paths = [tmp_path / "a.fits", tmp_path / "b.fits"]
    first, second = solve_files(paths, Question(write=False, seconds=20.0))
    assert (first.engine, second.engine) == ("blind", "previous")
    assert second.solved and second.center_deg != first.center_deg


def lines(image, rng):
    """Three satellites: two steady, one that tumbles; brighter than most stars, from edge to edge."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for number in range(3):
        angle, middle = rng.uniform(0, np.pi), rng.uniform(0.3, 0.7, 2) * SHAPE
        across = (columns - middle[1]) * np.sin(angle) - (rows - middle[0]) * np.cos(angle)
        along = (columns - middle[1]) * np.cos(angle) + (rows - middle[0]) * np.sin(angle)
        light = 400.0 if number < 2 else 500.0 * (np.sin(along / 12.0) > 0.3)
        image = image + light * np.exp(-(across**2) / (2 * 1.6**2))
    return image


def planet(image, rng):
    """A saturated disk with its glow, a bleeding column and four moons in a row."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    away = np.hypot(columns - 300, rows - 180)
    image = image + 3e5 * (away < 20) + 4000.0 / (1 + (away / 20) ** 3)
    image[60:320, 298:303] += 9e4
    for x in (235, 262, 352, 390):
        image = image + 1e4 * np.exp(-((columns - x) ** 2 + (rows - 190) ** 2) / 3.2)
    return np.minimum(image, 65535.0)


def nebula(image, rng):
    """A nebula with knots that look like wide stars, and a star with spikes that saturates."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for _ in range(25):
        x, y, width = rng.uniform(100, 400), rng.uniform(80, 320), rng.uniform(6, 50)
        image = image + rng.uniform(20, 150) * np.exp(
            -((columns - x) ** 2 + (rows - y) ** 2) / (2 * width**2)
        )
    x, y = np.abs(columns - 150), np.abs(rows - 250)
    image = image + 2e5 / (1 + (np.hypot(x, y) / 3) ** 3)
    return np.minimum(image + 3e3 * ((x < 1.5) & (y < 70) | (y < 1.5) & (x < 70)), 65535.0)


def hot(image, rng):
    """Three hundred hot pixels and two bad columns."""
    image = image.copy()
    image.ravel()[rng.integers(0, image.size, 300)] += rng.uniform(300, 5e4, 300)
    image[:, [77, 411]] += 2000
    return image


@pytest.mark.parametrize("name", ["fits", "jpeg"])
@pytest.mark.parametrize("disturbed", [lines, planet, nebula, hot], ids=lambda one: one.__name__)
def test_satellites_planets_nebulae_and_hot_pixels_hide_no_field(disturbed, name, plane, tmp_path):
    """As FITS, and as a picture that was stretched, denoised and compressed."""
    image = disturbed(plane.astype(np.float64), np.random.default_rng(7)).astype(np.float32)
    path = tmp_path / f"a.{name}"
    if name == "fits":
        fits.PrimaryHDU(image).writeto(path)
    else:
        shown = np.arcsinh((image - 190.0) / 60.0)
        shown = np.clip(255 * shown / shown.max(), 0, 255).astype(np.uint8)
        picture = Image.fromarray(shown[::-1]).filter(ImageFilter.MedianFilter(3))  # first row on top
        picture.save(path, quality=80)
    one = solved(path)
    assert one.solved, one.reason
    east = (one.center_deg[0] - RA) * np.cos(np.radians(DEC))
    assert np.hypot(east, one.center_deg[1] - DEC) * 3600 < 1.5 * SCALE
    assert one.scale_arcsec_px == pytest.approx(SCALE, rel=3e-3) and one.log_odds > 7


def test_an_index_that_cannot_be_kept_lives_in_memory(monkeypatch, tmp_path, sky, caplog):
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(skyindex, "star_positions", lambda: sky)
    monkeypatch.setattr(skyindex, "build_index", partial(build_index, lowest=2.0, highest=13.0))
    skyindex.sky_index.cache_clear()
    try:
        made = skyindex.sky_index()
        assert len(made.codes) > 1000
        assert "building the index" in caplog.text
    finally:
        skyindex.sky_index.cache_clear()


def test_a_damaged_index_is_made_again(monkeypatch, tmp_path, sky):
    monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path))
    monkeypatch.setattr(skyindex, "star_positions", lambda: sky)
    monkeypatch.setattr(skyindex, "build_index", partial(build_index, lowest=2.0, highest=13.0))
    skyindex.sky_index.cache_clear()
    try:
        first = len(skyindex.sky_index().codes)
        (codes,) = tmp_path.glob("quads-*/codes.npy")
        codes.write_bytes(codes.read_bytes()[:5000])  # cut off: memory-mapped arrays check their length
        skyindex.sky_index.cache_clear()
        assert len(skyindex.sky_index().codes) == first
    finally:
        skyindex.sky_index.cache_clear()
