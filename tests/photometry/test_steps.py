import copy
import json

import numpy as np
import pytest
import xarray as xr
from astropy import units as u
from astropy.table import QTable
from scipy.ndimage import correlate1d
from star_fields import as_stars, field, star_image

from sciastro.core import history, vocabulary
from sciastro.core.vocabulary import require
from sciastro.core.wcs import tan_wcs, wcs_to_text
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.photometry.colorsteps import calibrate_color
from sciastro.photometry.depth import depth
from sciastro.photometry.sources import COLUMNS
from sciastro.photometry.steps import (
    calibrate_bands,
    calibrate_photometry,
    measure_bands,
    published,
)

ZERO = {"R": 21.4, "G": 22.0, "B": 21.6}
SLOPES = {"R": 0.0, "G": 0.0, "B": 0.0}


@pytest.fixture(scope="module")
def night():
    """Return a dataset of three bands, star lists, the catalog and true fluxes."""
    rng = np.random.default_rng(12)
    _, _, _, x, y, _ = field(1, size=700, spacing=50)
    v, b_v = rng.uniform(9.5, 14.5, x.size), rng.uniform(0.0, 1.3, x.size)
    wcs = tan_wcs(83.6, 22.0, 2.0, (700, 700), angle=12)
    ra, dec = wcs.all_pix2world(x, y, 0)
    mags = {"R": v - 0.021 - 0.556 * b_v, "G": v, "B": v + b_v}
    planes, variances, fluxes = [], [], {}
    for band, mag in mags.items():
        fluxes[band] = 10 ** (-0.4 * (mag - ZERO[band]))
        truth = star_image((700, 700), x, y, fluxes[band], 3.0) + 5.0
        exposure = 100.0
        planes.append((rng.poisson(truth * exposure) / exposure - 5).astype("f4"))
        variances.append((truth / exposure).astype("f4"))
    ds = xr.Dataset(
        {
            "image": (("band", "y", "x"), np.stack(planes), {"units": "electron / s"}),
            "image_variance": (("band", "y", "x"), np.stack(variances), {"units": "electron2 / s2"}),
            "image_quality": (("band", "y", "x"), np.zeros((3, 700, 700), "u2"), {"units": "1"}),
        },
        coords={"band": ["R", "G", "B"], "wcs": wcs_to_text(wcs)},
    )
    seen = rng.permutation(x.size)[:120]
    catalog = QTable(
        {
            "id": np.array([f"star {k}" for k in seen]),
            "ra": ra[seen] * u.deg,
            "dec": dec[seen] * u.deg,
            "mag": (v + rng.normal(0, 0.01, x.size))[seen] * u.mag,
            "mag_err": np.full(seen.size, 0.01) * u.mag,
            "color": b_v[seen] * u.mag,
        },
        meta={"system": "Johnson V, B-V", "catalog": "made up"},
    )
    stars = {band: as_stars(x, y, 3.0) for band in mags}
    return ds, stars, catalog, fluxes, mags


@pytest.fixture(scope="module")
def sources(night):
    ds, stars, *_ = night
    return measure_bands(ds, stars, dict.fromkeys(stars, 3.0))


def test_zero_points_are_those_put_in(night, sources):
    ds, _, catalog, *_ = night
    before = copy.deepcopy(ds)
    out = calibrate_photometry(ds, sources=sources, catalog=catalog)
    xr.testing.assert_identical(ds, before)
    require(out, vocabulary.ZEROPOINT, vocabulary.ZEROPOINT_ERR, vocabulary.COLOR_TERM)
    for k, band in enumerate(ZERO):
        off = out["zeropoint"].values[k] - ZERO[band]
        assert abs(off) < 4 * out["zeropoint_err"].values[k] + 0.002
        assert out["zeropoint_err"].values[k] < 0.02
        assert abs(out["color_term"].values[k]) < 0.03
    details = json.loads(out["zeropoint"].attrs["details"])
    assert details["R"]["system"] == "Cousins R"
    assert details["B"]["catalog"] == "made up"
    assert len(history.history(out)) == len(history.history(ds)) + 1


def test_published_table(night, sources):
    _, _, catalog, _, mags = night
    calibration = calibrate_bands(sources, catalog)["G"]
    table = published(sources["G"], calibration, catalog)
    assert table.colnames[:17] == list(COLUMNS)[:17]
    for name in table.colnames:
        assert table[name].info.description
    for name in ("x", "ra", "ra_err", "flux", "mag", "fwhm"):
        assert table[name].unit is not None
    matched = table["catalog_id"] != ""
    assert 110 <= matched.sum() <= 120
    zero_err = calibration.zeropoint.err  # common to all rows, so not in mag_err
    assert abs(np.nanmedian(table["mag"].value - mags["G"])) < 4 * zero_err
    pull = (table["mag"].value - mags["G"]) / table["mag_err"].value
    pull -= np.nanmedian(pull)
    good = np.isfinite(pull)
    assert good.sum() > 100
    assert 0.75 < 1.4826 * np.median(np.abs(pull[good])) < 1.25
    np.testing.assert_allclose(table["ra_err"].value, 0.02 * 2.0, rtol=0.02)  # 0.02 px of 2 arcsec
    assert "Johnson V" in table["mag"].info.description


def test_instrumental_magnitudes_are_named_so(sources):
    table = published(sources["G"], None, None)
    assert "INSTRUMENTAL" in table["mag"].info.description
    assert table.meta["mag_system"] == "instrumental"
    np.testing.assert_array_equal(table["mag"].value, table["mag_inst"].value)


def test_no_zero_point_is_nan_with_its_reason(night, sources):
    ds, _, catalog, *_ = night
    out = calibrate_photometry(ds, sources=sources, catalog=catalog[:2])
    assert np.isnan(out["zeropoint"].values).all()
    assert "needs 3" in json.loads(out["zeropoint"].attrs["details"])["G"]["reason"]
    narrow = ds.isel(band=[0]).assign_coords(band=["Ha"])
    out = calibrate_photometry(narrow, sources={"Ha": sources["R"]}, catalog=catalog)
    assert np.isnan(out["zeropoint"].item())
    assert "'Ha'" in json.loads(out["zeropoint"].attrs["details"])["Ha"]["reason"]


def test_without_wcs_there_is_a_reason(night):
    ds, stars, catalog, *_ = night
    bare = ds.drop_vars("wcs").isel(band=[1])
    sources = measure_bands(bare, {"G": stars["G"]}, {"G": 3.0})
    calibration = calibrate_bands(sources, catalog)["G"]
    assert calibration.zeropoint is None
    assert "world coordinates" in calibration.reason
    assert np.isnan(published(sources["G"], calibration, catalog)["ra"].value).all()


def test_color_gains_make_the_white_reference_gray(night, sources):
    ds, _, catalog, *_ = night
    options = ColorOptions(white="0.65")
    out = calibrate_color(ds, sources=sources, catalog=catalog, options=options)
    require(out, vocabulary.COLOR_GAIN, vocabulary.COLOR_GAIN_ERR)
    # Flux ratio of a star of B-V = 0.65 to its G flux, by the zero points and colors put in.
    red = 10 ** (-0.4 * ((-0.021 - 0.556 * 0.65) - ZERO["R"] + ZERO["G"]))
    blue = 10 ** (-0.4 * (0.65 - ZERO["B"] + ZERO["G"]))
    gains, errors = out["color_gain"].values, out["color_gain_err"].values
    assert abs(gains[0] - 1 / red) < 4 * errors[0]
    assert abs(gains[2] - 1 / blue) < 4 * errors[2]
    assert gains[1] == 1
    assert errors[0] / gains[0] < 0.02
    xr.testing.assert_identical(out["image"], ds["image"])


def test_color_without_three_bands_says_so(night, sources):
    ds, _, catalog, *_ = night
    out = calibrate_color(ds, sources={"G": sources["G"]}, catalog=catalog)
    assert np.isnan(out["color_gain"].values).all()
    assert "reason" in json.loads(out["color_gain"].attrs["details"])


@pytest.mark.parametrize("smooth", [False, True])
def test_depth_is_where_stars_have_five_sigma(smooth):
    rng = np.random.default_rng(4)
    frame = rng.normal(0, 3, (600, 600))
    variance, correlation = 9.0, 1.0
    if smooth:  # bilinear, half a pixel: variance / 4, noise of large areas kept
        for axis in (0, 1):
            frame = correlate1d(frame, [0.5, 0.5], axis=axis)
        variance, correlation = 9.0 / 4, 2.0
    image = frame.astype("f4")
    found = depth(
        image,
        np.full_like(image, variance),
        np.zeros(image.shape, "u2"),
        [],
        [],
        fwhm=3.0,
        aperture_radius=4.0,
        aperture_correction=1.1,
        noise_correlation=correlation,
        zeropoint=25.0,
    )
    truth = 3 * np.sqrt(np.pi * 16)
    assert found.sigma == pytest.approx(truth, rel=0.1)
    assert found.ratio == pytest.approx(1, abs=0.1)
    assert found.mag == pytest.approx(25 - 2.5 * np.log10(5 * truth * 1.1), abs=0.12)
    assert found.n_apertures > 200


def test_depth_keeps_clear_of_sources():
    image, variance, quality, x, y, _ = field(3, size=500, spacing=90, faint=4, bright=6)
    found = depth(image, variance, quality, x, y, fwhm=3.2, aperture_radius=4.0)
    assert found.ratio == pytest.approx(1, abs=0.15)
    assert np.isnan(found.mag)  # no zero point, no magnitude
    assert found.flux > 0


def test_depth_without_blank_sky_uses_the_variance():
    image, variance, quality, x, y, _ = field(3, size=200, spacing=12, faint=4, bright=6)
    found = depth(image, variance, quality, x, y, fwhm=3.2, aperture_radius=4.0)
    assert found.n_apertures == 0
    assert np.isnan(found.ratio)
    assert found.sigma > 0
