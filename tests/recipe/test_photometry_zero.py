"""Zero points of images that are measured: from catalog stars, from headers, in other systems, and none."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable

from sciastro.core.wcs import tan_wcs
from sciastro.errors import OptionError
from sciastro.io.products import ProductFacts, write_image_product
from sciastro.io.reference import cone
from sciastro.photometry.flags import SourceFlag
from sciastro.recipe.photometry import PhotometryOptions, measure_target
from sciastro.recipe.photometryimages import Given, Target, read_targets
from sciastro.recipe.photometryplaces import gather

SHAPE = (300, 340)
ZERO, TERM = 19.0, 0.06


def draw(seed=1):
    """Return an image of the embedded stars around M 35 in V, 12 arcsec / pixel, with a color term."""
    rng = np.random.default_rng(seed)
    wcs = tan_wcs(92.27, 24.34, 12.0, SHAPE)
    stars = cone(92.27, 24.34, 0.9)
    stars = stars[np.isfinite(stars["color"].value)]
    x, y = wcs.all_world2pix(stars["ra"].value, stars["dec"].value, 0)
    inst = stars["mag"].value - ZERO - TERM * (stars["color"].value - 0.5)
    image = np.full(SHAPE, 30.0)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for at_x, at_y, mag in zip(x, y, inst, strict=True):
        if not (0 < at_x < SHAPE[1] and 0 < at_y < SHAPE[0]):
            continue
        a, b = int(at_y), int(at_x)
        box = np.s_[max(a - 12, 0) : a + 13, max(b - 12, 0) : b + 13]
        radius2 = (columns[box] - at_x) ** 2 + (rows[box] - at_y) ** 2
        image[box] += 10 ** (-0.4 * mag) / (2 * np.pi * 2.25) * np.exp(-radius2 / 4.5)
    variance = image / 10.0
    image = image + rng.normal(0, np.sqrt(variance))
    return Target(
        name="M35", image=image.astype("float32"), variance=variance.astype("float32"),
        quality=np.zeros(SHAPE, "uint16"), wcs=wcs, band="V", target="M 35", exposure=10.0,
        time="2016-01-01T00:00:00",
    )  # fmt: skip


@pytest.fixture(scope="module")
def target():
    return draw()


OPTIONS = PhotometryOptions(zeropoint="catalog", scintillation=0.0)


def test_catalog_stars_give_zero_point_and_color_term(target):
    found = measure_target(target, options=OPTIONS)
    zero = found.zeropoint
    assert zero.mag == pytest.approx(ZERO + TERM * (zero.color_reference - 0.5), abs=0.02)
    assert zero.color_term == pytest.approx(TERM, abs=0.03)
    table = found.table
    assert np.isfinite(table["color"].value).sum() > 50
    assert table["mag_zp_err"].unit == u.mag
    assert table.meta["zeropoint"]["terms"][:2] == ("zeropoint", "color")
    assert table["color_assumed"].info.description == "Color B-V that the magnitude was made with"


def test_other_systems_and_surface_brightness(target):
    options = replace(OPTIONS, system="SDSS r", surface_brightness=True, spatial="none")
    found = measure_target(target, options=options)
    zero = found.zeropoint
    # The embedded catalog knows B-V of more stars here than Gaia's bands.
    assert (zero.system, zero.kind, zero.color_name) == ("SDSS r", "AB", "B-V")
    assert "Jester et al. 2005" in zero.note and zero.n_stars > 60
    # Sky of 30 electron / s in pixels of 12 arcsec.
    sky = found.zeropoint.mag - 2.5 * np.log10(30 / 144)
    assert np.nanmedian(found.table["sky_brightness"].value) == pytest.approx(sky, abs=0.02)
    assert found.table["mean_brightness"].unit == u.mag / u.arcsec**2
    with pytest.raises(OptionError, match="system: is 'Walraven'"):
        PhotometryOptions(system="Walraven")


def test_blank_places_get_limits(target):
    x, y = np.meshgrid(np.arange(20, 320, 25), np.arange(20, 280, 25))
    places = QTable({"x": x.ravel().astype(float), "y": y.ravel().astype(float)})
    table = measure_target(target, gather(places), options=OPTIONS).table
    faint = np.isfinite(table["mag_limit"].value)
    assert faint.sum() > 40
    assert np.isnan(table["mag"].value[faint]).all()
    assert (np.asarray(table["flags"])[faint] & SourceFlag.FAINT != 0).all()
    # 3 sigma of an empty place, and no less.
    err = table["flux_err"].value[faint]
    deepest = table.meta["zeropoint"]["mag"] - 2.5 * np.log10(3 * err)
    assert (table["mag_limit"].value[faint] <= deepest + 0.05).all()
    assert table.meta["limit_sigma"] == 3.0


def test_the_zero_point_of_a_header_takes_colors_from_the_catalog(target):
    fitted = measure_target(target, options=replace(OPTIONS, spatial="none"))
    zero = fitted.zeropoint
    known = {name: getattr(zero, name) for name in ("mag", "err", "system", "color_term", "color_term_err",
                                                    "color_name", "color_reference")}  # fmt: skip
    again = measure_target(
        replace(target, zeropoint=known), options=PhotometryOptions(scintillation=0.0, zeropoint="auto")
    )
    np.testing.assert_allclose(again.table["mag"].value, fitted.table["mag"].value, atol=1e-9)
    lost = measure_target(
        replace(target, zeropoint=known),
        options=PhotometryOptions(scintillation=0.0, zeropoint="header", system="SDSS r"),
    )
    assert lost.zeropoint is None
    assert "the file names none in SDSS r; magnitudes are instrumental" in lost.notes[-1]


def test_the_field_term_goes_through_the_header(target, tmp_path):
    fitted = measure_target(target, options=replace(OPTIONS, spatial="2"))
    assert fitted.zeropoint.spatial == 2
    facts = ProductFacts(
        target="M 35", band="V", zeropoint=fitted.zeropoint.as_dict(), date_average=target.time, exposure=10.0
    )
    path = write_image_product(
        tmp_path / "m35.fits", target.image, target.variance, target.quality, np.ones(SHAPE, "float32"),
        wcs=target.wcs, facts=facts,
    )  # fmt: skip
    (read,) = read_targets(path, Given())
    again = measure_target(read, options=PhotometryOptions(scintillation=0.0))
    assert again.zeropoint.terms == fitted.zeropoint.terms
    np.testing.assert_allclose(again.zeropoint.coefficients, fitted.zeropoint.coefficients)
    both = np.isfinite(again.table["mag"].value) & np.isfinite(fitted.table["mag"].value)
    assert both.sum() > 50
    np.testing.assert_allclose(again.table["mag"].value[both], fitted.table["mag"].value[both], atol=2e-5)
    del again, both
    for card, value in (("ZPFC1", "damaged"), ("ZPFHALX", None)):
        change(path, card, value)
        (read,) = read_targets(path, Given())
        without = measure_target(read, options=PhotometryOptions(scintillation=0.0))
        assert without.zeropoint.spatial == 0 and without.zeropoint.mag == fitted.zeropoint.mag
        assert any("damaged, and not applied" in note for note in without.notes)
    was = fits.getval(path, "MAGZPERR")
    for card, value, good in (
        ("MAGZPERR", -1.0, was), ("MAGZPERR", "damaged", was), ("MAGSCAT", -0.1, 0.0),
        ("COLTERM", "damaged", 0.0), ("COLREF", "damaged", 0.0), ("MAGZP", 1e30, 0.0),
        ("MAGZP", "damaged", 0.0),
    ):  # fmt: skip
        change(path, card, value)
        (read,) = read_targets(path, Given())
        assert not read.zeropoint  # magnitudes come from the catalog then
        assert f"is damaged and not used ({card} = {value!r})" in read.notes[-1]
        change(path, card, good)
    (read,) = read_targets(path, Given())
    assert read.zeropoint["mag"] == 0.0 and not any("damaged" in note for note in read.notes)
    found = measure_target(replace(read, zeropoint={}, notes=("told",)), options=OPTIONS)
    assert "told" in found.notes


def change(path, card, value):
    """Set a card of the primary header, or remove it; the sums of the file are not kept."""
    with fits.open(path, mode="update") as hdus:
        if value is None:
            del hdus[0].header[card]
        else:
            hdus[0].header[card] = value


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({"band": ""}, {}, "the filter is unknown (give --filter)"),
        ({"band": "Ha"}, {}, "the catalog has no magnitude for filter 'Ha'"),
        ({"wcs": None}, {}, "the image has no world coordinates"),
        ({}, {"system": "SDSS u"}, "the catalog does not lead to 'SDSS u'"),
        ({}, {"zeropoint_catalog": "gaia-dr3"}, "The embedded catalog takes its place"),
        ({}, {"extinction": 0.2}, "the extinction that was given is not used: the airmass is unknown"),
    ],
)
def test_what_cannot_be_done_is_told(target, monkeypatch, change, options, words):
    monkeypatch.setenv("SCIASTRO_OFFLINE", "1")
    found = measure_target(replace(target, **change), options=replace(OPTIONS, **options))
    assert any(words in note for note in found.notes), found.notes
    if found.zeropoint is None:
        assert found.table["mag"].info.description.startswith("INSTRUMENTAL")
        assert "mag_limit" not in found.table.colnames


def test_all_saturated_is_told(target):
    full = replace(target, quality=np.full(SHAPE, 2, "uint16"))
    found = measure_target(full, options=OPTIONS)
    assert found.zeropoint is None
    assert any("no zero point" in note for note in found.notes)
