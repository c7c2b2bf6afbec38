"""Where files look: hints, what is written beside them, and what a bad file says."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image
from small_nights import command

from sciastro.core.wcs import celestial_from_header, tan_wcs
from sciastro.errors import FileError, SolveError
from sciastro.io.reference import cone
from sciastro.recipe import solving
from sciastro.recipe.solvereading import begun, from_pixels
from sciastro.recipe.solving import Question, solve_files, solve_one, whole_sky

SHAPE, RA, DEC, SCALE = (600, 800), 83.0, 21.0, 12.0


@pytest.fixture(scope="module")
def plane():
    """Stars of the embedded catalog, 3 pixels wide, on a noisy sky."""
    wcs = tan_wcs(RA, DEC, SCALE, SHAPE, angle=33.0)
    stars = cone(RA, DEC, 2.0, epoch=2016.0, mag_limit=10.5)
    x, y = wcs.all_world2pix(stars["ra"].value, stars["dec"].value, 0)
    image = np.random.default_rng(1).normal(200, 5, SHAPE)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for a, b, mag in zip(x, y, stars["mag"].value, strict=True):
        if 5 < a < SHAPE[1] - 5 and 5 < b < SHAPE[0] - 5:
            image += 20000 * 10 ** (-0.4 * (mag - 7)) * np.exp(-((columns - a) ** 2 + (rows - b) ** 2) / 3.2)
    return image.astype(np.float32)


def answer(path, **known):
    (one,) = solve_files([path], Question(ra=RA + 0.1, dec=DEC - 0.1, **known))
    return one


def test_a_hint_gives_the_place_and_the_header_holds_it(plane, tmp_path):
    path = tmp_path / "field.fits"
    fits.PrimaryHDU(plane).writeto(path)
    one = answer(path, scale=SCALE * 1.02)
    assert one.solved and one.engine == "pattern" and one.parity == 1
    assert one.rotation_deg == pytest.approx(33.0, abs=0.05)
    assert one.scale_arcsec_px == pytest.approx(SCALE, rel=1e-3)
    wcs = celestial_from_header(fits.getheader(path))
    ra, dec = wcs.all_pix2world(399.5, 299.5, 0)
    assert np.hypot((ra - RA) * np.cos(np.radians(DEC)), dec - DEC) * 3600 < 0.2 * SCALE
    np.testing.assert_array_equal(fits.getdata(path), plane)
    assert json.loads(one.as_json())["path"] == str(path)


def test_a_picture_has_its_first_row_on_top(plane, tmp_path):
    path = tmp_path / "field.png"
    Image.fromarray(np.clip((plane - 150) / 8, 0, 255).astype(np.uint8)[::-1]).save(path)
    one = answer(path, scale=SCALE, write=False)
    assert one.solved and one.parity == 1
    assert one.rotation_deg == pytest.approx(33.0, abs=0.1)
    assert not (tmp_path / "field.wcs").exists()


def test_bad_files_have_reasons(tmp_path):
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(tmp_path / "one.png")
    (tmp_path / "text.jpg").write_text("hello")
    fits.PrimaryHDU(np.full((64, 64), np.nan, np.float32)).writeto(tmp_path / "nan.fits")
    names = ("one.png", "text.jpg", "nan.fits", "missing.fits")
    done = list(solve_files([tmp_path / name for name in names], Question()))
    assert not any(one.solved for one in done)
    assert all(one.reason.endswith(".") for one in done)


def test_a_closed_folder_is_told_and_the_next_file_is_looked_at(tmp_path):
    def read(path):
        raise PermissionError(13, "Permission denied", str(path))

    answers = list(solve_files([tmp_path / "a.fits", tmp_path / "b.fits"], Question(write=False), read=read))
    assert [one.solved for one in answers] == [False, False]
    assert "b.fits: may not be used: permission denied. Check its permissions" in answers[1].reason


def test_a_file_that_was_begun_is_read_once_and_what_is_wrong_with_it_told_in_its_turn(plane, tmp_path):
    path = tmp_path / "field.fits"
    fits.PrimaryHDU(plane).writeto(path)
    read = begun(path)
    path.unlink()
    early = read(path)
    assert early.shape == SHAPE and early.stars().size > 50
    with pytest.raises(FileError, match="does not exist"):
        read(path)  # given away: pixels are not kept for a second time
    fits.PrimaryHDU(plane).writeto(path)
    np.testing.assert_array_equal(begun(tmp_path / "none.fits")(path).plane, early.plane)
    since = time.monotonic() - 100.0
    known = Question(ra=RA + 0.1, dec=DEC - 0.1, scale=SCALE, write=False)
    missing, found = solve_files(
        [tmp_path / "none.fits", path], known, read=begun(tmp_path / "none.fits"), since=since
    )
    assert "does not exist" in missing.reason and missing.seconds > 100.0
    assert found.solved and found.seconds < 100.0


def test_making_the_index_is_not_of_the_time_of_a_solve(plane, monkeypatch):
    given = []
    monkeypatch.setattr(solving, "sky_index", lambda: time.sleep(0.3))
    monkeypatch.setattr(solving, "solve_blind", lambda *_, until, **known: given.append(until))
    until = time.monotonic() + 5
    whole_sky(from_pixels(plane), Question(), until)
    assert given[0] >= until + 0.3


@pytest.mark.parametrize("words", [["--dec", "100"], ["--scale", "-1"], ["--ra", "10"], ["--seconds", "0"]])
def test_wrong_usage(tmp_path, words):
    assert command("solve", tmp_path / "a.fits", *words).exit_code == 2


def test_a_field_too_small_for_the_catalog_is_told_so(tmp_path, monkeypatch):
    def nothing(*_, **known):
        raise SolveError("the field is not solved.", remedy="Give a center.")

    monkeypatch.setattr(solving, "sky_index", lambda: None)
    monkeypatch.setattr(solving, "solve_blind", nothing)
    path = tmp_path / "small.fits"
    fits.PrimaryHDU(np.random.default_rng(1).normal(200, 5, SHAPE).astype(np.float32)).writeto(path)
    assert "degrees wide" in answer(path, scale=0.5).reason
    assert "Give a center." in answer(path, scale=30.0).reason


def test_a_wide_picture_without_time_for_its_lens_says_so(plane, monkeypatch):
    field = from_pixels(plane)
    near = solve_one(field, Question(ra=RA, dec=DEC, scale=SCALE))
    assert near.notes == ()
    wide = replace(near, wcs=tan_wcs(RA, DEC, 20 * SCALE, SHAPE))
    for found, notes in ((near, ()), (wide, (solving.LATE,))):
        monkeypatch.setattr(solving, "TIERS", (lambda *_, found=found: found,))
        assert solve_one(field, Question(seconds=-1.0)).notes == notes
