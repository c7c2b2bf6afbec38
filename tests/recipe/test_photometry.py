"""Photometry of any image: files in, tables out, and what is said where it cannot be."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable, Table
from small_nights import assert_nothing_half_written, command

import sciastro
from sciastro.core.wcs import tan_wcs
from sciastro.errors import CatalogError, DatasetError, OptionError
from sciastro.io.positions import positions_from_text, read_positions
from sciastro.photometry.flags import SourceFlag
from sciastro.recipe.catalogs import CatalogWarning
from sciastro.recipe.photometry import PhotometryOptions, aperture_photometry
from sciastro.recipe.photometryimages import Given, read_targets
from sciastro.recipe.photometryradii import pixels_of, radii_from

SHAPE, FWHM, GAIN, SECONDS = (220, 240), 3.0, 1.5, 20.0
WCS = tan_wcs(250.0, 36.0, 2.0, SHAPE)


def picture(seed=1, n=24, bright=4.8):
    """Return counts [adu] of Gaussian stars on a sky, x, y and flux [electron]."""
    rng = np.random.default_rng(seed)
    lattice = np.array([(30.0 + 40 * i, 30.0 + 40 * j) for j in range(5) for i in range(5)])[:n]
    x, y = (lattice + rng.uniform(-4, 4, lattice.shape)).T
    flux = 10 ** rng.uniform(3.3, bright, n)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    sigma = FWHM / 2.35482
    light = np.full(SHAPE, 150.0)
    for a, b, f in zip(x, y, flux, strict=True):
        light += f * np.exp(-((columns - a) ** 2 + (rows - b) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    return (rng.poisson(light) + rng.normal(0, 5, SHAPE)) / GAIN + 300, x, y, flux


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A FITS file of another program, with world coordinates, gain and exposure; x, y, flux."""
    counts, x, y, flux = picture()
    header = WCS.to_header()
    for key, value in {"EXPTIME": SECONDS, "EGAIN": GAIN, "FILTER": "V", "OBJECT": "made up"}.items():
        header[key] = value
    path = tmp_path_factory.mktemp("foreign") / "other.fits"
    fits.PrimaryHDU(np.clip(np.rint(counts), 0, 65535).astype(np.uint16), header).writeto(path)
    return path, x, y, flux


def test_a_file_without_errors_or_bits(foreign):
    path, x, y, flux = foreign
    got = aperture_photometry(path, Table({"x": x, "y": y}), radius="1.5fwhm")
    assert got["flux"].unit == u.electron / u.s
    pull = (got["flux"].value - flux / SECONDS) / got["flux_err"].value
    assert abs(pull.mean()) < 3.5 / np.sqrt(len(x))
    assert pull.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * len(x)))
    assert any("has no errors" in note for note in got.meta["notes"])
    assert any("scintillation is left out" in note for note in got.meta["notes"])
    np.testing.assert_allclose(got["ra"].value, WCS.all_pix2world(x, y, 0)[0], atol=1e-9)


def test_sky_positions_find_the_same_pixels(foreign):
    path, x, y, _ = foreign
    ra, dec = WCS.all_pix2world(x, y, 0)
    on_pixels = aperture_photometry(path, Table({"x": x, "y": y}), radius=4.0)
    on_sky = aperture_photometry(path, SkyCoord(ra, dec, unit="deg"), radius=4.0 * u.pix)
    np.testing.assert_allclose(on_sky["flux"].value, on_pixels["flux"].value, rtol=1e-6)
    in_arcsec = aperture_photometry(path, SkyCoord(ra, dec, unit="deg"), radius=8.0 * u.arcsec)
    np.testing.assert_allclose(in_arcsec["flux"].value, on_pixels["flux"].value, rtol=1e-4)


def test_what_is_found_is_measured(foreign):
    path, x, y, flux = foreign
    got = sciastro.aperture_photometry(path)
    distance = np.hypot(got["x"].value[:, None] - x, got["y"].value[:, None] - y)
    assert (distance.min(axis=0) < 0.5).sum() >= len(x) - 1
    row = distance.argmin(axis=0)
    pull = (got["flux"].value[row] - flux / SECONDS) / got["flux_err"].value[row]
    assert np.median(np.abs(pull)) < 1.2


def test_err_and_dq_of_others_are_used(foreign, tmp_path):
    path, x, y, _ = foreign
    with fits.open(path) as hdus:
        science = hdus[0].data.astype(np.float32)
        header = hdus[0].header.copy()
    mask = np.zeros(SHAPE, np.uint8)
    mask[int(y[0]) - 1 : int(y[0]) + 2, int(x[0]) - 1 : int(x[0]) + 2] = 1
    both = fits.HDUList(
        [
            fits.PrimaryHDU(), fits.ImageHDU(science, header, name="SCI"),
            fits.ImageHDU(np.full(SHAPE, 10, np.float32), name="ERR"), fits.ImageHDU(mask, name="MASK"),
        ]
    )  # fmt: skip
    whole = tmp_path / "both.fits"
    both.writeto(whole)
    got = aperture_photometry(whole, Table({"x": x, "y": y}), radius=4.0,
                              options=PhotometryOptions(error_terms=True))  # fmt: skip
    assert np.isnan(got["flux"].value[0])
    assert int(got["flags"][0]) & SourceFlag.CUT
    assert got["err_pixels"].value[1] == pytest.approx(
        got.meta["aperture_correction"] * 10 * GAIN / SECONDS * np.sqrt(np.pi * 16), rel=0.06
    )
    assert not any("has no errors" in note for note in got.meta["notes"])


@pytest.mark.parametrize("kind", ["StdDevUncertainty", "VarianceUncertainty", "InverseVariance"])
def test_errors_of_ccddata_are_what_they_say(foreign, tmp_path, kind):
    from astropy import nddata

    path, *_ = foreign
    with fits.open(path) as hdus:
        science, header = hdus[0].data.astype(np.float32), hdus[0].header.copy()
    plane = {"StdDevUncertainty": 10.0, "VarianceUncertainty": 100.0, "InverseVariance": 0.01}[kind]
    errors = getattr(nddata, kind)(np.full(SHAPE, plane, np.float32))
    whole = tmp_path / "ccd.fits"
    nddata.CCDData(science, unit="adu", uncertainty=errors, header=header).write(whole)
    (read,) = read_targets(whole, Given())
    np.testing.assert_allclose(read.variance, (10 * GAIN / SECONDS) ** 2, rtol=1e-5)


def test_errors_of_an_unknown_kind_are_refused(foreign, tmp_path):
    path, *_ = foreign
    with fits.open(path) as hdus:
        both = fits.HDUList(
            [hdus[0].copy(), fits.ImageHDU(np.ones(SHAPE, np.float32), name="UNCERT")]
        )  # fmt: skip
    both[1].header["UTYPE"] = "UnknownUncertainty"
    both.writeto(tmp_path / "unknown.fits")
    with pytest.raises(DatasetError, match="of the kind 'UnknownUncertainty'"):
        list(read_targets(tmp_path / "unknown.fits", Given()))


def test_read_noise_and_exposure_of_the_caller(foreign, tmp_path):
    # 500 e- of read noise over 50 s are 10 e- / s, whoever says how long it was.
    path, *_ = foreign
    (long,) = read_targets(path, Given(read_noise=500.0, exposure=50.0))
    assert long.variance.min() == pytest.approx(100.0, rel=1e-5)
    with fits.open(path) as hdus:
        header = hdus[0].header.copy()
        del header["EXPTIME"]
        header["BUNIT"] = "electron / s"
        fits.PrimaryHDU(hdus[0].data.astype(np.float32), header).writeto(tmp_path / "rate.fits")
    (rate,) = read_targets(tmp_path / "rate.fits", Given(read_noise=500.0, exposure=50.0))
    assert rate.variance.min() == pytest.approx(100.0, rel=1e-5)
    assert not any("exposure" in note for note in rate.notes)
    (rate,) = read_targets(tmp_path / "rate.fits", Given(read_noise=500.0))
    assert any("exposure is unknown" in note for note in rate.notes)


def test_limits_and_magnitudes_meet_where_the_options_say(foreign):
    path, *_ = foreign
    rng = np.random.default_rng(8)
    places = Table({"x": rng.uniform(20, SHAPE[1] - 20, 300), "y": rng.uniform(20, SHAPE[0] - 20, 300)})
    got = aperture_photometry(path, places, radius=3.0, options=PhotometryOptions(limit_snr=2.0))
    between = (got["snr"].value > 2.1) & (got["snr"].value < 4.9)
    assert between.sum() >= 3
    assert np.isfinite(got["mag_inst"].value[between]).all()


def test_no_gain_no_electrons(foreign, tmp_path):
    path, x, y, flux = foreign
    with fits.open(path) as hdus:
        header = hdus[0].header.copy()
        del header["EGAIN"]
        fits.PrimaryHDU(hdus[0].data, header).writeto(tmp_path / "counts.fits")
    got = aperture_photometry(tmp_path / "counts.fits", Table({"x": x, "y": y}), radius=4.0)
    assert got["flux"].unit == u.adu / u.s
    assert any("gain is unknown" in note for note in got.meta["notes"])
    assert np.median(got["flux"].value / flux) == pytest.approx(1 / GAIN / SECONDS, rel=0.02)


def test_scintillation_enters_where_it_is_known(foreign):
    path, x, y, _ = foreign
    given = Given(aperture_diameter=0.2, airmass=1.5, site=(28.0, -16.0, 2400.0))
    got = aperture_photometry(path, Table({"x": x, "y": y}), radius=4.0, given=given,
                              options=PhotometryOptions(error_terms=True))  # fmt: skip
    expected = np.sqrt(1e-5 * 2.25 * 0.2 ** (-4 / 3) / SECONDS * 1.5**3 * np.exp(-2 * 2400 / 8000))
    np.testing.assert_allclose(got["err_scintillation"].value / got["flux"].value, expected, rtol=1e-6)
    assert not any("scintillation" in note for note in got.meta["notes"])
    low = aperture_photometry(path, Table({"x": x, "y": y}), radius=4.0, given=replace(given, site=None))
    assert any("scintillation is that at the sea" in note for note in low.meta["notes"])
    assert (low["flux_err"].value > got["flux_err"].value).all()


def test_arrays_and_datasets(foreign):
    counts, x, y, flux = picture()
    electrons = (counts - 300) * GAIN
    places = Table({"x": x, "y": y})
    got = aperture_photometry(electrons, places, variance=electrons + 25, unit="electron", radius=4.5)
    assert got["flux"].unit == u.electron
    pull = (got["flux"].value - flux) / got["flux_err"].value
    assert pull.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * len(x)))
    with pytest.raises(sciastro.SciastroError, match="shape"):
        aperture_photometry(electrons, places, variance=electrons[1:], radius=4.5)


def test_places_off_the_image_stay_in_the_table(foreign):
    path, *_ = foreign
    far = SkyCoord([250.0, 70.0, 250.0, np.nan], [36.0, -36.0, 40.0, 1.0], unit="deg")
    got = aperture_photometry(path, far, radius=4.0)
    assert len(got) == 4
    flags = [int(value) for value in got["flags"]]
    assert not flags[0] & SourceFlag.OFF_IMAGE
    assert flags[1] & SourceFlag.OFF_IMAGE
    assert flags[2] & SourceFlag.OFF_IMAGE
    assert flags[3] & SourceFlag.BAD_POSITION
    assert np.isfinite(got["flux"].value).tolist() == [True, False, False, False]


def test_radii():
    assert radii_from("4px, 2.5arcsec,1.5fwhm,3") == [
        (4.0, "pixel"), (2.5, "arcsec"), (1.5, "fwhm"), (3.0, "pixel"),
    ]  # fmt: skip
    assert radii_from([3.0, 2 * u.arcmin]) == [(3.0, "pixel"), (120.0, "arcsec")]
    assert pixels_of([(3.0, "arcsec"), (2.0, "fwhm")], fwhm=4.0, scale=1.5, where="a") == [2.0, 8.0]
    with pytest.raises(OptionError, match="scale of the image"):
        pixels_of([(3.0, "arcsec")], fwhm=4.0, scale=np.nan, where="a")


@pytest.mark.parametrize("text", ["", "abc", "3 parsec", "-2", "0", "nan", "1e9", "3,,x"])
def test_radii_that_are_none(text):
    with pytest.raises(OptionError, match="radius"):
        radii_from(text)


def test_positions_as_text():
    assert positions_from_text("250.5 -36.25").dec[0] == -36.25
    one = positions_from_text("16:41:41.6 +36:27:41")
    assert one.ra[0] == pytest.approx(250.42333, abs=1e-4)
    for text in ("", "250", "250 100", "a b", "nan nan", "1 2 3"):
        with pytest.raises(OptionError, match="position"):
            positions_from_text(text)


def test_tables_of_positions(tmp_path):
    path = tmp_path / "places.csv"
    path.write_text("name,ra,dec\nfirst,250.1,36.0\nlost,,\nlast,249.9,36.1\n")
    got = read_positions(path)
    assert got.names.tolist() == ["first", "lost", "last"]
    assert np.isnan(got.ra).tolist() == [False, True, False]
    path.write_text("X_IMAGE,Y_IMAGE\n11,21\n")
    assert (read_positions(path).x[0], read_positions(path).y[0]) == (10.0, 20.0)
    path.write_text("name,mag\nfirst,3\n")
    with pytest.raises(CatalogError, match="no columns of positions"):
        read_positions(path)
    with pytest.raises(CatalogError, match="does not exist"):
        read_positions(tmp_path / "nowhere.csv")
    for rows, said in (("foo,bar\n10,99\n", "has 2 rows, and no position"), ("", "has no rows")):
        path.write_text("ra,dec\n" + rows)
        with pytest.raises(CatalogError, match=said):
            read_positions(path)


def test_ds9_regions_in_and_out(foreign, tmp_path):
    pytest.importorskip("regions")
    path, *_ = foreign
    result = command("photometry", path, "-o", tmp_path, "--regions", "--format", "ecsv", "--offline")
    assert result.exit_code == 0, result.output
    regions = tmp_path / "other_photometry.reg"
    table = QTable.read(tmp_path / "other_photometry.ecsv")
    back = read_positions(regions)
    np.testing.assert_allclose(back.ra, table["ra"].value, atol=1e-7)
    np.testing.assert_allclose(back.dec, table["dec"].value, atol=1e-7)
    again = aperture_photometry(path, regions, radius=4.0)
    plain = aperture_photometry(path, Table({"x": table["x"].value, "y": table["y"].value}), radius=4.0)
    np.testing.assert_allclose(again["flux"].value, plain["flux"].value, rtol=1e-4)
    (tmp_path / "pixels.reg").write_text("# Region file format: DS9\nimage\ncircle(11,21,4)\n")
    pixels = read_positions(tmp_path / "pixels.reg")
    assert (pixels.x[0], pixels.y[0]) == (10.0, 20.0)  # ds9 counts from 1
    (tmp_path / "bad.reg").write_text("")
    with pytest.raises(CatalogError, match="no regions"):
        read_positions(tmp_path / "bad.reg")


def test_every_format_holds_the_same(foreign, tmp_path):
    pytest.importorskip("pyarrow")
    path, *_ = foreign
    result = command(
        "photometry", path, "-o", tmp_path, "--format", "ecsv,fits,csv,parquet,votable", "--error-terms",
        "--flag-words", "--radius", "4px,2fwhm", "--offline",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    first = QTable.read(tmp_path / "other_photometry.ecsv")
    for name, how in (("fits", {"hdu": 1, "unit_parse_strict": "silent"}), ("csv", {"format": "ascii.csv"}),
                      ("parquet", {}), ("xml", {"format": "votable"})):  # fmt: skip
        other = Table.read(tmp_path / f"other_photometry.{name}", **how)
        assert other.colnames == first.colnames, name
        for column in ("flux", "flux_err_2", "mag", "err_sky", "crowding"):
            mine = np.asarray(getattr(first[column], "value", first[column]), float)
            theirs = np.asarray(np.ma.filled(np.ma.asarray(other[column]).astype(float), np.nan))
            np.testing.assert_allclose(theirs, mine, rtol=1e-12, err_msg=f"{name} {column}")
        np.testing.assert_array_equal(np.asarray(other["flags"]).astype(np.int64), first["flags"])
    assert first["flux"].unit == u.electron / u.s
    first.to_pandas()


def test_summary_is_json_and_told_as_one_line(foreign, tmp_path):
    path, *_ = foreign
    result = command("photometry", path, "-o", tmp_path, "--at", "250 36", "--json", "--offline")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary == json.loads((tmp_path / "photometry.json").read_text())
    (row,) = summary["images"]
    assert (row["n_sources"], row["band"], row["unit"]) == (1, "V", "electron / s")
    assert row["apertures"][0]["radius_pixel"] > 1
    assert_nothing_half_written(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--radius", "3 parsec"], 2, "px, arcsec or fwhm"),
        (["--at", "nowhere.csv"], 3, "does not exist"),
        (["--at", "not a star at all"], 2, "no object that is known here: it is not in"),
        (["--system", "Nonsense X"], 2, "Allowed values are 'Johnson U'"),
        (["--at", "250 36", "--catalog", "embedded"], 2, "do not go together"),
        (["--frames"], 2, "folder of a finished run"),
        (["--format", "docx"], 2, "Choose from"),
        (["--sky", "8"], 2, "two numbers"),
        (["--sky", "8,4"], 2, "beyond its beginning"),
        (["--zeropoint", "guess"], 2, "--zeropoint: is 'guess'"),
        (["--psf", "--radius", "3px"], 2, "whole profile"),
        (["--psf", "--flat-pixel-noise", "0.01"], 2, "--flat-pixel-noise"),
        (["--psf-model", __file__], 3, "is no FITS file"),
        (["--gain", "inf"], 2, "less than or equal to"),
        (["--exposure", "inf"], 2, "less than or equal to"),
    ],
)
def test_wrong_usage_is_told(foreign, tmp_path, arguments, code, words):
    path, *_ = foreign
    result = command("photometry", path, "-o", tmp_path, "--offline", *arguments)
    assert result.exit_code == code
    assert words in " ".join(result.stderr.split())
    assert list(tmp_path.glob("*_photometry.*")) == []


def test_one_bad_file_does_not_stop_the_others(foreign, tmp_path):
    path, *_ = foreign
    (tmp_path / "text.fits").write_text("no image")
    result = command("photometry", tmp_path / "text.fits", path, "-o", tmp_path / "out", "--offline")
    assert result.exit_code == 4
    summary = json.loads((tmp_path / "out" / "photometry.json").read_text())
    assert summary["status"] == "partial"
    assert len(summary["images"]) == 1
    assert "text.fits" in summary["warnings"][0]


def test_what_shows_nothing_is_said(tmp_path):
    rng = np.random.default_rng(0)
    fits.PrimaryHDU(rng.normal(100, 5, (128, 128)).astype(np.float32)).writeto(tmp_path / "blank.fits")
    done = command(
        "photometry", tmp_path / "blank.fits", "-o", tmp_path / "out", "--offline", "--threshold", "50"
    )
    assert done.exit_code == 4
    (warning,) = json.loads((tmp_path / "out" / "photometry.json").read_text())["warnings"]
    assert "no star was found" in warning and "--threshold" in warning  # what to do


def test_places_without_flux_say_why_and_no_numpy_warning_is_shown(foreign, tmp_path):
    path, *_ = foreign
    done = command("photometry", path, "--at", "10 10", "-o", tmp_path, "--offline")
    assert done.exit_code == 4
    assert "0 of 1 measured (without flux: 1 OFF_IMAGE)" in " ".join(done.output.split())
    (image,) = json.loads((tmp_path / "photometry.json").read_text())["images"]
    assert image["unmeasured"] == {"OFF_IMAGE": 1}


def test_a_missing_image_leaves_no_folder(tmp_path):
    done = command("photometry", tmp_path / "none.fits", "-o", tmp_path / "a" / "b", "--offline")
    assert done.exit_code == 3
    assert not (tmp_path / "a").exists()
    fits.PrimaryHDU(np.ones((1, 1), np.float32)).writeto(tmp_path / "one.fits")
    done = command("photometry", tmp_path / "one.fits", "-o", tmp_path / "a" / "b", "--offline")
    assert done.exit_code == 3
    assert "more than a pixel a side" in " ".join(done.stderr.split())


def test_without_world_coordinates_the_sky_is_refused(tmp_path):
    counts, x, y, _ = picture()
    fits.PrimaryHDU(counts.astype(np.float32)).writeto(tmp_path / "bare.fits")
    with pytest.raises(OptionError, match="no world coordinates"):
        aperture_photometry(tmp_path / "bare.fits", "250 36")
    with pytest.raises(OptionError, match="scale of the image"):
        aperture_photometry(tmp_path / "bare.fits", Table({"x": x, "y": y}), radius="3arcsec")
    got = aperture_photometry(tmp_path / "bare.fits", Table({"x": x, "y": y}), radius="1.5fwhm")
    assert np.isfinite(got["flux"].value).all()
    assert np.isnan(got["ra"].value).all()


@pytest.mark.parametrize(
    "words", [("--saturation", "nan"), ("--saturation", "-5"), ("--faintest", "nan"), ("--gain", "nan")]
)
def test_levels_that_are_none_are_wrong_usage(tmp_path, words):
    fits.PrimaryHDU(picture()[0].astype(np.float32)).writeto(tmp_path / "a.fits")
    result = command("photometry", tmp_path / "a.fits", "-o", tmp_path / "out", "--offline", *words)
    assert result.exit_code == 2, result.output
    assert words[0] in result.stderr
    assert not (tmp_path / "out").exists()


def test_an_image_without_a_usable_pixel_is_named(tmp_path):
    fits.PrimaryHDU(np.full((90, 90), np.nan, np.float32)).writeto(tmp_path / "night.fits")
    with pytest.raises(DatasetError, match=r"night\.fits: has no usable pixel"):
        aperture_photometry(tmp_path / "night.fits")


def test_an_image_without_stars(tmp_path):
    rng = np.random.default_rng(0)
    fits.PrimaryHDU(rng.normal(100, 5, (128, 128)).astype(np.float32)).writeto(tmp_path / "blank.fits")
    table = aperture_photometry(tmp_path / "blank.fits")
    assert len(table) <= 2
    with pytest.raises(OptionError, match="width of stars"):
        aperture_photometry(
            tmp_path / "blank.fits", Table({"x": [64.0], "y": [64.0]}),
            options=PhotometryOptions(threshold=50.0),
        )  # fmt: skip
    got = aperture_photometry(
        tmp_path / "blank.fits", Table({"x": [64.0], "y": [64.0]}), radius=4.0,
        options=PhotometryOptions(threshold=50.0, fwhm=3.0),
    )  # fmt: skip
    assert abs(got["flux"].value[0]) < 5 * got["flux_err"].value[0]
    assert np.isnan(got["mag"].value[0])


def test_positions_of_other_packages(foreign):
    path, x, y, _ = foreign
    ra, dec = WCS.all_pix2world(x[:3], y[:3], 0)
    known = aperture_photometry(path, SkyCoord(ra, dec, unit="deg"), radius=4.0)
    table = Table({"ra": ra, "dec": dec})
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"ra": ra, "dec": dec})
    for given in (
        table,
        frame,
        (ra[0] * u.deg, dec[0] * 60 * u.arcmin),
        (ra[0], dec[0]),
        list(zip(ra, dec, strict=True)),
    ):
        got = aperture_photometry(path, given, radius=4.0)
        np.testing.assert_allclose(got["flux"].value, known["flux"].value[: len(got)], rtol=1e-6)
    assert len(known.to_pandas()) == 3  # and out
    with pytest.raises(OptionError, match="is object"):
        aperture_photometry(path, object())
    for bad in ((10.0, 100.0), (3 * u.m, 5.0)):
        with pytest.raises(OptionError, match="no place on the sky"):
            aperture_photometry(path, bad)


def test_warnings_are_told_without_lines_of_the_program(foreign, tmp_path, monkeypatch):
    monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path))  # nothing is kept there
    with warnings.catch_warnings():
        warnings.simplefilter("default", CatalogWarning)  # as without pytest
        done = command("photometry", foreign[0], "--catalog", "gaia-dr3", "--offline", "-o", tmp_path / "out")
    told = " ".join(done.output.split())
    assert "sciastro: Gaia DR3" in told and "The embedded catalog takes its place" in told
    assert "CatalogWarning" not in told


def test_regions_in(foreign):
    regions = pytest.importorskip("regions")
    path, x, y, _ = foreign
    ra, dec = WCS.all_pix2world(x[:2], y[:2], 0)
    circles = [
        regions.CircleSkyRegion(SkyCoord(a, d, unit="deg"), 3 * u.arcsec)
        for a, d in zip(ra, dec, strict=True)
    ]
    known = aperture_photometry(path, SkyCoord(ra, dec, unit="deg"), radius=4.0)["flux"].value
    pixels = [regions.CirclePixelRegion(regions.PixCoord(a, b), 3) for a, b in zip(x[:2], y[:2], strict=True)]
    for given in (regions.Regions(circles), circles, pixels, circles[0]):
        got = aperture_photometry(path, given, radius=4.0)["flux"].value
        np.testing.assert_allclose(got, known[: len(got)], rtol=1e-6)


def test_what_errors_do_not_hold_is_told(tmp_path):
    counts, *_ = picture(n=9)  # too few stars to tell a shape over the field
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    crowd = np.full(SHAPE, 150.0)
    for a, b, f in zip(rng.uniform(3, 236, 500), rng.uniform(3, 216, 500), 10 ** rng.uniform(3, 5, 500)):
        crowd += f * np.exp(-((columns - a) ** 2 + (rows - b) ** 2) / 3.25) / (6.5 * np.pi / 2)
    said = {}
    for name, image in (("few", counts), ("crowd", (rng.poisson(crowd) + rng.normal(0, 5, SHAPE)) / GAIN)):
        path = tmp_path / f"{name}.fits"
        header = fits.Header({"EXPTIME": SECONDS, "EGAIN": GAIN})
        fits.PrimaryHDU(np.clip(np.rint(image), 0, 65535).astype(np.uint16), header).writeto(path)
        said[name] = " ".join(aperture_photometry(path).meta["notes"])
    assert "toward the corners" in said["few"] and "--psf" not in said["few"]
    assert "light of neighbors" in said["crowd"] and "--psf" in said["crowd"]
