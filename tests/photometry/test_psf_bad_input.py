"""PSF photometry of what is hard or wrong: it is said and flagged, never made up."""

import numpy as np
import pytest
from astropy.io import fits
from psf_fields import expose, lattice, quiet, sky_map, stars_at

from sciastro.core.quality import Quality
from sciastro.core.stars import empty_stars
from sciastro.errors import DatasetError, FileError
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.psfmodel import moffat_model
from sciastro.photometry.psfphotometry import PsfOptions, psf_photometry
from sciastro.recipe.photometrypsf import read_model, write_model

SHAPE = (150, 160)
ONCE = PsfOptions(searches=0)


def measure(image, variance, quality, stars, fwhm=3.2, options=ONCE, **more):
    return psf_photometry(
        image, variance, quality, stars, fwhm=fwhm, sky_map=sky_map, options=options, tell=quiet, **more
    )


def has(table, row, flag):
    return bool(int(table["flags"][row]) & int(flag))


def test_no_star_and_too_few_stars_fall_back_and_say_so():
    x, y, flux = np.array([40.0, 100.0]), np.array([50.0, 90.0]), np.array([4e4, 3e4])
    planes = expose(x, y, flux, SHAPE, 1, elongation=0.0)
    nothing = measure(*planes, empty_stars())
    assert len(nothing.table) == 0
    assert nothing.model.kind == "assumed"
    assert "no star" in nothing.model.note
    two = measure(*planes, stars_at(x, y, 1))
    assert two.model.kind == "moffat"
    assert "too few" in two.model.note
    np.testing.assert_allclose(two.table["flux"].value, flux, rtol=0.03)


def test_saturated_cores_are_fit_from_the_wings():
    x, y, flux = lattice(2, size=150, spacing=30, faint=4.0, bright=4.6)
    flux[:2] = 2e6
    planes = expose(x, y, flux, SHAPE, 2, elongation=0.0, full=2e4)
    table = measure(*planes, stars_at(x, y, 2)).table
    for row in (0, 1):
        assert has(table, row, Quality.SATURATED)
        assert has(table, row, SourceFlag.WINGS)
        assert table["flux"].value[row] == pytest.approx(2e6, rel=0.1)
    assert not has(table, 5, SourceFlag.WINGS)


def test_all_saturated():
    x, y, flux = lattice(3, size=150, spacing=40, faint=6.0, bright=6.2)
    result = measure(*expose(x, y, flux, SHAPE, 3, elongation=0.0, full=9e3), stars_at(x, y, 3))
    assert result.model.kind == "assumed"
    assert all(has(result.table, row, Quality.SATURATED) for row in range(x.size))


def test_edges_holes_and_positions_that_are_none():
    x, y, flux = lattice(4, size=150, spacing=30, faint=4.2, bright=4.7)
    x, y, flux = np.append(x, 0.3), np.append(y, 75.0), np.append(flux, 4e4)
    image, variance, quality = expose(x, y, flux, SHAPE, 4, elongation=0.0)
    image[int(y[6]) - 9 : int(y[6]) + 10, int(x[6]) - 9 : int(x[6]) + 10] = np.nan
    quality[int(y[7]) - 9 : int(y[7]) + 10, int(x[7]) - 9 : int(x[7]) + 10] |= int(Quality.NO_DATA)
    stars = stars_at(x, y, 4)
    stars["x"][9] = np.nan
    table = measure(image, variance, quality, stars).table
    edge = x.size - 1
    assert has(table, edge, SourceFlag.PARTLY)
    assert abs(table["flux"].value[edge] - 4e4) < 5 * table["flux_err"].value[edge] + 2000
    for row in (6, 7, 9):
        assert np.isnan(table["flux"].value[row])
        assert has(table, row, SourceFlag.CUT)
    assert np.isfinite(table["flux"].value[[0, 1, 2]]).all()


@pytest.mark.slow
def test_undersampled_stars_are_flagged_and_right():
    x, y, flux = lattice(5, size=300, spacing=24, faint=3.8, bright=4.8)
    planes = expose(x, y, flux, (300, 300), 5, fwhm=1.4, elongation=0.0)
    table = measure(*planes, stars_at(x, y, 5, err=0.1, fwhm=1.5), fwhm=1.6).table
    assert has(table, 0, SourceFlag.UNDERSAMPLED)
    ratio = table["flux"].value / flux - 1
    assert abs(np.median(ratio)) < 0.01
    assert 1.4826 * np.median(np.abs(ratio)) < 0.03


def test_two_stars_nearly_in_one_place_do_not_run_away():
    x, y, flux = lattice(6, size=150, spacing=40, faint=4.2, bright=4.7)
    x, y, flux = np.append(x, x[4] + 0.4), np.append(y, y[4]), np.append(flux, flux[4])
    table = measure(*expose(x, y, flux, SHAPE, 6, elongation=0.0), stars_at(x, y, 6, err=0.02)).table
    pair = [4, x.size - 1]
    assert all(has(table, row, SourceFlag.BLENDED) for row in pair)
    assert table["flux"].value[pair].sum() == pytest.approx(2 * flux[4], rel=0.05)


def test_wrong_planes_are_told():
    image = np.ones((20, 30), np.float32)
    zero = np.zeros((20, 30), np.uint16)
    with pytest.raises(DatasetError, match="three planes"):
        measure(image, image[:10], zero, empty_stars())
    with pytest.raises(DatasetError, match="fwhm"):
        measure(image, image, zero, empty_stars(), fwhm=float("nan"))
    with pytest.raises(DatasetError, match="no finite pixel"):
        measure(image * np.nan, image, zero, empty_stars())


def test_model_files_round_trip_and_open_elsewhere(tmp_path):
    x, y, flux = lattice(7, size=150, spacing=30, faint=4.0, bright=4.7)
    model = measure(*expose(x, y, flux, SHAPE, 7), stars_at(x, y, 7)).model
    path = write_model(tmp_path / "psf.fits", model, SHAPE)
    again = read_model(path)
    np.testing.assert_array_equal(again.tables, model.tables)
    assert (again.field, again.step, again.kind, again.n_stars) == (
        model.field, model.step, model.kind, model.n_stars,
    )  # fmt: skip
    from photutils.psf import GriddedPSFModel

    theirs = GriddedPSFModel.read(str(path), format="stdpsf")
    rows, columns = np.mgrid[70:81, 65:76]
    got = theirs.evaluate(columns.astype(float), rows.astype(float), 1.0, 70.3, 75.2)
    wanted = model.values(70.3, 75.2, np.arange(65, 76) - 70.3, np.arange(70, 81) - 75.2)
    np.testing.assert_allclose(got, wanted, atol=2e-3 * wanted.max())
    with pytest.raises(FileError, match="does not exist"):
        read_model(tmp_path / "none.fits")
    (tmp_path / "text.fits").write_text("nothing")
    with pytest.raises(FileError, match="no FITS file"):
        read_model(tmp_path / "text.fits")


@pytest.mark.parametrize(
    ("card", "value"),
    [
        ("PSFSTEP", "two"), ("PSFSTEP", 2.5), ("PSFSTEP", 0), ("PSFSCALE", 0.0), ("PSFFWHM", "wide"),
        ("PSFRAD", 1e6), ("PSFRAD", -3.0), ("PSFBLUR", "much"), ("PSFX0", None),
    ],
)  # fmt: skip
def test_model_files_that_are_none_are_refused(tmp_path, card, value):
    model = moffat_model((60, 60), 3.0, radius=9.0, inside=8.0)
    path = write_model(tmp_path / "psf.fits", model, (60, 60))
    assert read_model(path).radius == 9.0
    with fits.open(path, mode="update") as hdus:
        header = hdus["TABLES"].header
        if value is None:
            del header[card]
        else:
            header[card] = value
    with pytest.raises(FileError, match="no whole PSF model"):
        read_model(path)
