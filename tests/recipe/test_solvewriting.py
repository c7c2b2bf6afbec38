"""What is written where: headers of FITS, files beside pictures, copies; what others made stays."""

import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import Sip
from PIL import Image
from small_nights import command

from sciastro.astrometry.solution import Solution
from sciastro.core.wcs import celestial_from_header, tan_wcs
from sciastro.errors import OutputError
from sciastro.recipe.lensing import lens_card
from sciastro.recipe.solvereading import from_pixels, read_field
from sciastro.recipe.solvewriting import Writing, once, write_solution

SHAPE = (60, 80)


@pytest.fixture
def solution():
    wcs = tan_wcs(10.0, 20.0, 5.0, SHAPE)
    return Solution(
        wcs=wcs, n_stars=12, rms_arcsec=0.5, rms_px=0.1, matched=None, order=1, log_false_alarm=-20.0,
        parity=1, rotation=0.0, scale=5.0, catalog="c", epoch=2016.0, method="blind", round_trip_px=0.0,
        attempts=(),
    )  # fmt: skip


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "field.png"
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(path)
    return path


FIELD = from_pixels(np.zeros(SHAPE, np.float32), top_down=True)


def test_a_picture_has_a_file_beside_it(picture, solution):
    written = write_solution(picture, FIELD, solution, Writing())
    assert written.name == "field.wcs"
    header = fits.getheader(written)
    assert header["IMAGEW"] == 80 and header["ROWORDER"] == "TOP-DOWN" and header["CD2_2"] > 0
    np.testing.assert_allclose(
        celestial_from_header(header).all_pix2world(39.5, 29.5, 0), (10, 20), atol=1e-9
    )
    write_solution(picture, FIELD, solution, Writing())  # ours may be replaced


def test_distortion_that_tpv_cannot_hold_is_written_as_sip_and_told(picture, solution):
    a, said = np.zeros((10, 10)), []
    a[9, 0] = 30.0 / 40.0**9  # 30 pixels at the edge
    wcs = solution.wcs.deepcopy()
    wcs.sip = Sip(a, a.T.copy(), None, None, wcs.wcs.crpix)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    bent = replace(solution, wcs=wcs)
    written = write_solution(picture, FIELD, bent, Writing(distortion="tpv"), said.append)
    assert fits.getheader(written)["CTYPE1"] == "RA---TAN-SIP"
    assert len(said) == 1 and said[0].startswith("The distortion is written as SIP: TPV form")


def test_two_images_of_one_stem_do_not_share_a_file(picture, solution):
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(picture.with_suffix(".jpg"))
    names = {
        write_solution(picture.with_suffix(s), FIELD, solution, Writing()).name for s in (".png", ".jpg")
    }
    assert names == {"field.png.wcs", "field.jpg.wcs"}


def test_a_file_of_another_program_stays(picture, solution):
    other = picture.with_suffix(".wcs")
    fits.PrimaryHDU(header=fits.Header([("HISTORY", "Created by the Astrometry.net suite.")])).writeto(other)
    before = other.read_bytes()
    with pytest.raises(OutputError, match="--overwrite"):
        write_solution(picture, FIELD, solution, Writing())
    assert other.read_bytes() == before
    write_solution(picture, FIELD, solution, Writing(overwrite=True))
    assert fits.getheader(other)["CRVAL1"] == 10.0


def test_a_copy_leaves_the_file_alone(tmp_path, solution):
    path = tmp_path / "a.fits"
    pixels = np.arange(60 * 80, dtype=np.uint16).reshape(SHAPE)
    fits.PrimaryHDU(pixels).writeto(path)
    path.chmod(0o444)
    before = path.read_bytes()
    written = write_solution(path, read_field(path), solution, Writing(folder=tmp_path / "out"))
    assert path.read_bytes() == before and written == tmp_path / "out" / "a.fits"
    np.testing.assert_array_equal(fits.getdata(written), pixels)
    assert fits.getheader(written)["CRVAL2"] == 20.0
    with pytest.raises(OutputError, match="is the file that was solved"):
        write_solution(path, read_field(path), solution, Writing(folder=tmp_path, overwrite=True))


def test_files_of_one_name_do_not_replace_each_other(tmp_path):
    taken = {}
    once(tmp_path / "out" / "a.fits", tmp_path / "one" / "a.fits", taken)
    once(tmp_path / "out" / "a.fits", tmp_path / "one" / "a.fits", taken)
    with pytest.raises(OutputError, match="two --output folders"):
        once(tmp_path / "out" / "a.fits", tmp_path / "two" / "a.fits", taken)


KEYS = "path solved center_deg scale_arcsec_px rotation_deg parity n_stars rms_arcsec log_odds engine"


def test_a_file_that_cannot_be_written_is_told_before_it_is_solved(tmp_path):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros(SHAPE, np.uint16)).writeto(path)
    path.chmod(0o444)
    done = command("solve", path, "--json")
    answer = json.loads(done.stdout)
    assert done.exit_code == 3 and "is read-only" in answer["reason"] and "--output" in answer["reason"]
    assert answer["seconds"] < 5 and {*KEYS.split(), "seconds", "reason"} <= set(answer)


def test_an_engine_that_does_not_exist(picture):
    done = command("solve", picture, "--engine", "foo")
    assert done.exit_code == 2 and "tetra3rs" in done.stderr


def test_how_well_sip_follows_a_lens_is_in_the_header(tmp_path, solution):
    # A wide lens is fitted as such, and written as SIP; the card says by how much the two differ at most.
    path = tmp_path / "wide.fits"
    fits.PrimaryHDU(np.zeros(SHAPE, np.uint16)).writeto(path)
    write_solution(path, read_field(path), replace(solution, deviation_px=0.01234), Writing())
    header = fits.getheader(path)
    assert header["LENSRES"] == 0.0123 and "lens model" in header.comments["LENSRES"]
    half = (
        solution.scale / 2
    )  # a color mosaic: pixels of the file are half as large as those that were solved
    assert lens_card(replace(solution, deviation_px=0.01), half)["LENSRES"][0] == 0.02
    assert lens_card(solution, 1.0) == lens_card(None, 1.0) == {}
    write_solution(path, read_field(path), solution, Writing())  # solved again, without a lens
    assert "LENSRES" not in fits.getheader(path)
