"""Color pictures of images of other programs: one grid, bands by name, colors by stars, and what is told."""

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from PIL import Image
from small_nights import command

from sciastro.core.wcs import tan_wcs
from sciastro.photometry.bandpass import load
from sciastro.photometry.locus import bp_rp_from, locus_photons
from sciastro.photometry.response import make_response, photons_of
from sciastro.photometry.spectra import white_spectrum

SHAPE = (220, 300)
FACTORS = {"R": 0.7, "G": 1.0, "B": 0.5}
RESPONSE = make_response({band: load(f"dichroic_{band}") * load("cmos") for band in "RGB"})


def truth():
    light = np.exp(RESPONSE.log_light(photons_of(white_spectrum("G2V"))[None])[0]) * list(FACTORS.values())
    return light[1] / light


def field(folder, *, shift=(0, 0), with_wcs="RGB", cube=False, names="RGB"):
    """Write images of 60 stars of known color; blue is turned and shifted; return paths and the catalog."""
    rng = np.random.default_rng(5)
    n = 60
    x, y = rng.uniform(15, SHAPE[1] - 15, n), rng.uniform(15, SHAPE[0] - 15, n)
    b_v = rng.uniform(0.2, 1.2, n)
    mag = rng.uniform(0, 2.5, n)
    light = np.exp(RESPONSE.log_light(locus_photons(bp_rp_from(b_v)))) * list(FACTORS.values())
    light *= 6e4 * 10 ** (-0.4 * mag)[:, None] / light[:, [1]]
    sky = tan_wcs(150.0, 20.0, 3.0, SHAPE)
    ra, dec = sky.all_pix2world(x, y, 0)
    Table({"id": np.arange(n), "ra": ra, "dec": dec, "V": mag + 9, "B-V": b_v}).write(folder / "stars.ecsv")
    paths, planes = [], []
    for k, band in enumerate("RGB"):
        dx, dy = shift if band == "B" else (0, 0)
        rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
        plane = 200 + rng.normal(0, 4, SHAPE)
        for j in range(n):
            plane += (
                light[j, k]
                / (2 * np.pi * 1.7**2)
                * np.exp(-((columns - x[j] - dx) ** 2 + (rows - y[j] - dy) ** 2) / (2 * 1.7**2))
            )
        header = tan_wcs(150.0, 20.0, 3.0, SHAPE).to_header() if band in with_wcs else fits.Header()
        if "CRPIX1" in header:
            header["CRPIX1"] += dx
            header["CRPIX2"] += dy
        header["FILTER"], header["OBJECT"] = names[k], "Field 5"
        planes.append(plane.astype(np.float32))
        paths.append(folder / f"stack_{k}.fits")
        fits.PrimaryHDU(planes[-1], header).writeto(paths[-1])
    if cube:
        fits.PrimaryHDU(np.stack(planes), sky.to_header()).writeto(folder / "rgb.fits")
        paths = [folder / "rgb.fits"]
    return paths, folder / "stars.ecsv"


def off(record):
    return np.array(record["gains"]) / truth() - 1


@pytest.mark.parametrize("with_wcs", ["RGB", "G", pytest.param("R", marks=pytest.mark.slow)])
def test_three_images_become_one_picture_of_true_colors(tmp_path, with_wcs):
    paths, catalog = field(tmp_path, shift=(7.4, -3.6), with_wcs=with_wcs)
    out = tmp_path / "out"
    done = command("color", *paths, "-o", out, "--catalog", catalog, "--apply-color")
    assert done.exit_code == 0, done.output
    record = json.loads((out / "Field_5_color.json").read_text())
    assert record["bands"] == ["R", "G", "B"] and record["n_stars"] > 40
    assert np.abs(off(record)).max() < 0.01
    err = np.array(record["errors"]) / np.array(record["gains"])
    assert (np.abs(off(record))[[0, 2]] < 4 * err[[0, 2]]).all()
    with Image.open(out / "Field_5.png") as picture:
        assert all(0 <= n - m <= 9 for n, m in zip(SHAPE[::-1], picture.size, strict=True)), picture.size
    planes = [fits.getdata(out / f"Field_5_{band}_color.fits") for band in "RGB"]
    inside = [plane[12:-12, 12:-12].ravel() for plane in planes]
    assert np.corrcoef(inside).min() > 0.9  # on one grid; 7 pixels apart it is below 0.1
    table = Table.read(out / "Field_5_color.ecsv")
    assert str(table["flux_R"].unit) == "adu"  # in the images' own unit


def test_one_image_of_three_planes(tmp_path):
    paths, catalog = field(tmp_path, cube=True)
    done = command("color", *paths, "-o", tmp_path / "out", "--catalog", catalog)
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "out" / "rgb_color.json").read_text())
    assert np.abs(off(record)).max() < 0.01


def test_bands_are_named_on_the_command_line(tmp_path):
    paths, catalog = field(tmp_path, names="ggg")
    out = tmp_path / "out"
    bad = command("color", *paths, "-o", out, "--catalog", catalog)
    assert bad.exit_code == 2 and "--bands" in bad.output and not list(out.glob("*"))
    for order, names in ((paths, "R,G,B"), (paths[::-1], "B,G,R")):
        assert command("color", *order, "-o", out, "--catalog", catalog, "--bands", names).exit_code == 0
        record = json.loads((out / "Field_5_color.json").read_text())
        assert np.abs(off(record)).max() < 0.01  # in any order
    two = command("color", *paths, "-o", out, "--bands", "R,G")
    assert two.exit_code == 2 and "names 2 bands" in two.output


def test_without_stars_of_known_color_the_picture_is_made_and_that_is_told(tmp_path):
    paths, _ = field(tmp_path)
    done = command("color", *paths, "-o", tmp_path / "out")
    assert done.exit_code == 0 and "no color calibration" in done.output
    record = json.loads((tmp_path / "out" / "Field_5_color.json").read_text())
    assert "gains" not in record and "known to" not in record and record["reason"]
    assert (tmp_path / "out" / "Field_5.png").is_file()


def test_a_catalog_that_cannot_be_had_is_told_in_one_line(tmp_path):
    paths, _ = field(tmp_path)
    done = command("color", *paths, "-o", tmp_path / "out", "--catalog", "gaia-dr3", "--offline")
    told = " ".join(done.output.split())
    assert done.exit_code == 0 and "sciastro: Gaia DR3" in told and "The embedded catalog takes" in told
    assert "CatalogWarning" not in told


def test_images_of_different_fields_are_no_picture(tmp_path):
    paths, _ = field(tmp_path)
    away = tmp_path / "away.fits"
    plane = np.random.default_rng(1).normal(100, 3, SHAPE).astype(np.float32)
    fits.PrimaryHDU(plane, tan_wcs(151.0, 20.0, 3.0, SHAPE).to_header()).writeto(away)
    found = command("color", paths[0], away, "-o", tmp_path / "out", "--bands", "R,B")
    assert found.exit_code == 3 and "cannot be brought onto the grid" in found.output
    assert not (tmp_path / "out").exists()


def test_bad_input_is_told(tmp_path):
    paths, catalog = field(tmp_path)
    other = tmp_path / "other.fits"
    plane = np.random.default_rng(1).normal(100, 3, SHAPE).astype(np.float32)
    fits.PrimaryHDU(plane).writeto(other)
    (tmp_path / "text.fits").write_text("no image")
    cases = {
        ("-o",): (paths, 2, "-o"),
        (): ([tmp_path / "none.fits", *paths[1:]], 3, "does not exist"),
        ("one",): (paths[:1], 3, "three planes"),
        ("four",): ([*paths, paths[0]], 2, "4 images"),
        ("text",): ([tmp_path / "text.fits", *paths[1:]], 3, "text.fits"),
        ("folder",): ([tmp_path, paths[0]], 2, "is a folder"),
    }
    for name, (given, code, words) in cases.items():
        to = () if name == ("-o",) else ("-o", tmp_path / "out")
        found = command("color", *given, *to, "--catalog", catalog)
        said = " ".join(found.output.replace("│", " ").split())
        assert found.exit_code == code and words in said, (name, found.output)
    found = command("color", paths[0], paths[1], other, "-o", tmp_path / "out", "--bands", "R,G,B")
    assert found.exit_code == 3 and "one grid" not in found.output and "grid of" in found.output
    assert not list((tmp_path / "out").glob("*.p*"))
