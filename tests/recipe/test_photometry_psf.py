"""`sciastro photometry --psf` and `--inject`: what is written, and that a seed gives the same stars."""

import json

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.table import QTable, Table
from small_nights import assert_nothing_half_written, command, reduce

import sciastro
from sciastro.errors import OptionError
from sciastro.photometry.aperture import ApertureOptions
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.psfphotometry import PsfOptions as PsfFitOptions
from sciastro.recipe import photometrypsf
from sciastro.recipe.photometry import PhotometryOptions
from sciastro.recipe.photometrypsf import PsfRequest
from sciastro.recipe.psfcalls import measure_by_psf
from sciastro.simulate.psf import Psf, PsfOptions, draw_stars

SHAPE = (180, 190)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    rng = np.random.default_rng(4)
    line = np.arange(20.0, 175.0, 30.0)
    x, y = (axis.ravel() for axis in np.meshgrid(line, line))
    x, y = x + rng.uniform(-4, 4, x.size), y + rng.uniform(-4, 4, y.size)
    flux = 10 ** rng.uniform(3.8, 4.9, x.size)
    light = np.zeros(SHAPE, np.float32)
    draw_stars(light, x, y, flux, Psf(fwhm=3.2, options=PsfOptions(beta=5.0)))
    counts = rng.poisson(light + 100) + rng.normal(0, 4, SHAPE)
    path = tmp_path_factory.mktemp("psf") / "field.fits"
    hdu = fits.PrimaryHDU(counts.astype(np.float32))
    hdu.header["BUNIT"], hdu.header["EXPTIME"] = "electron", 1.0
    hdu.writeto(path)
    return path, x, y, flux


@pytest.mark.slow
def test_psf_writes_table_model_residual_and_artificial_stars(picture, tmp_path):
    path, x, y, flux = picture
    out = tmp_path / "out"
    base = ["photometry", str(path), "--zeropoint", "none", "--psf", "--searches", "0"]
    done = command(*base, "--inject", "15", "--seed", "3", "-o", str(out))
    assert done.exit_code == 0, done.output
    assert_nothing_half_written(out)
    table = QTable.read(out / "field_psf_photometry.ecsv")
    assert {"chi2", "qfit", "cfit", "sharpness", "light", "group_size"} <= set(table.colnames)
    assert abs(len(table) - x.size) <= 1
    assert table["flux"].value.max() == pytest.approx(flux.max(), rel=0.03)
    with fits.open(out / "field_residual.fits") as hdus:
        assert hdus["SCI"].data.shape == SHAPE
        assert hdus["SCI"].data.std() < 1.5 * np.median(np.sqrt(hdus["SKY"].data + 16))
    injected = QTable.read(out / "field_injected.ecsv")
    assert len(injected) == 15
    found = np.asarray(injected["found"])
    apart = np.hypot(injected["x_in"].value[:, None] - x, injected["y_in"].value[:, None] - y).min(axis=1)
    easy = (injected["flux_in"].value > 3000) & (
        apart > 10
    )  # without a search, what a neighbor hides is lost
    assert easy.sum() >= 3
    assert found[easy].all()
    bins = QTable.read(out / "field_completeness.ecsv")
    assert bins["n"].sum() == 15
    assert bins.meta["seed"] == 3
    assert (out / "field_completeness.png").read_bytes().startswith(b"\x89PNG")
    row = json.loads((out / "photometry.json").read_text())["images"][0]
    assert row["psf"]["psf_kind"] == "empirical"
    assert row["injected"]["number"] == 15
    again = tmp_path / "again"
    model = str(out / "field_psf.fits")
    done = command(*base, "--inject", "15", "--seed", "3", "--psf-model", model, "-o", str(again))
    assert done.exit_code == 0, done.output
    same = QTable.read(again / "field_injected.ecsv")
    np.testing.assert_allclose(same["x_in"].value, injected["x_in"].value, atol=1e-6)


def test_psf_at_given_positions(picture, tmp_path):
    path, x, y, flux = picture
    blank, off = (95.0, 7.0), (400.0, 20.0)
    places = tmp_path / "places.csv"
    rows = [*zip(x[:6], y[:6], strict=True), blank, off, ("", "")]
    places.write_text("x,y\n" + "".join(f"{a},{b}\n" for a, b in rows))
    done = command("photometry", str(path), "--zeropoint", "none", "--psf", "--searches", "0", "--at",
                   str(places), "--format", "ecsv", "-o", str(tmp_path))  # fmt: skip
    assert done.exit_code == 0, done.output
    table = QTable.read(tmp_path / "field_psf_photometry.ecsv")
    assert len(table) == 9
    pull = (table["flux"].value[:6] - flux[:6]) / table["flux_err"].value[:6]
    assert np.abs(pull).max() < 4
    np.testing.assert_allclose(table["x"].value[:6], x[:6])
    assert abs(table["flux"].value[6] / table["flux_err"].value[6]) < 4  # nothing is there
    flags = np.asarray(table["flags"]).astype(int)
    assert not (flags[:6] & int(SourceFlag.HELD)).any()
    assert flags[7] & int(SourceFlag.OFF_IMAGE)
    assert flags[8] & int(SourceFlag.BAD_POSITION)
    assert np.isnan(table["flux"].value[7:]).all()
    by_call = measure_by_psf(
        path, Table({"x": x[:2], "y": y[:2]}), options=PhotometryOptions(zeropoint="none"),
        psf=PsfRequest(model=str(tmp_path / "field_psf.fits"), searches=0),
    )  # fmt: skip
    np.testing.assert_allclose(by_call["flux"].value, table["flux"].value[:2], rtol=0.02)
    with fits.open(tmp_path / "field_residual.fits") as hdus:  # the other stars are taken off, too
        assert hdus["SCI"].data.std() < 1.5 * np.median(np.sqrt(hdus["SKY"].data + 16))


@pytest.mark.slow
def test_a_recipe_measures_its_sources_by_the_psf(good_night, tmp_path):
    settings = ("--set", "photometry.psf.use=true", "--set", "photometry.psf.searches=0")
    outcome = reduce(good_night, tmp_path / "out", *settings, until="photometry")
    assert outcome.code in (0, 4), outcome.told
    path = next((tmp_path / "out").glob("products/*_G_sources.ecsv"))
    table = QTable.read(path)
    assert {"chi2", "sharpness", "confusion", "mag", "ra"} <= set(table.colnames)
    assert np.isfinite(table["flux"].value).sum() > 20
    image = sciastro.open(next((tmp_path / "out").glob("products/*_G.fits")))
    once = PsfFitOptions(searches=0)
    again = sciastro.find_sources(image, psf=once)["G"]
    plain = sciastro.find_sources(image)["G"]
    assert "chi2" in again.colnames
    both = np.isfinite(again["snr"]) & np.isfinite(plain["snr"]) & (plain["snr"] > 30)
    both &= (np.asarray(again["flags"]) == 0) & (np.asarray(plain["flags"]) == 0)
    assert both.sum() > 5
    ratio = again["flux"].value[both] / plain["flux"].value[both]
    assert np.median(ratio) == pytest.approx(1, abs=0.02)


def test_options_of_apertures_do_not_go_with_the_psf():
    with pytest.raises(OptionError, match="are of apertures"):
        sciastro.find_sources(xr.Dataset(), psf=PsfFitOptions(), options=ApertureOptions())


def test_few_artificial_stars_are_told():
    assert photometrypsf._few(photometrypsf.ENOUGH) == ""
    assert photometrypsf._few(10) == "; 10 stars tell limits roughly, --inject 100 or more well"
