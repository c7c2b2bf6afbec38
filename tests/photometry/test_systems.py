import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from sciastro.photometry.matching import match_catalog
from sciastro.photometry.systems import band_system, catalog_magnitudes


def embedded(n=4):
    return QTable(
        {
            "mag": np.array([10.0, 11.0, 12.0, 13.0])[:n] * u.mag,
            "mag_err": np.full(n, 0.01) * u.mag,
            "color": np.array([0.5, 1.0, np.nan, 1.9])[:n] * u.mag,
        },
        meta={"system": "Johnson V, B-V (Tycho/Hipparcos)"},
    )


def test_hand_worked_transformations():
    # V = 10, B-V = 0.5: B = 10.5; g = 10 + 0.3 - 0.12 = 10.18; r = 10 - 0.21 + 0.11 = 9.90.
    catalog = embedded()
    assert catalog_magnitudes(catalog, "B").mag[0] == pytest.approx(10.5)
    assert catalog_magnitudes(catalog, "g").mag[0] == pytest.approx(10.18)
    assert catalog_magnitudes(catalog, "r").mag[0] == pytest.approx(9.90)
    assert "Jester" in catalog_magnitudes(catalog, "r").note
    assert catalog_magnitudes(catalog, "r").mag_err[0] == pytest.approx(np.hypot(0.01, 0.03))


def test_stars_without_color_or_outside_the_validity_are_left_out():
    found = catalog_magnitudes(embedded(), "r")
    assert list(np.isfinite(found.mag)) == [True, True, False, False]
    assert np.isfinite(catalog_magnitudes(embedded(), "V").mag).all()


@pytest.mark.parametrize("band", ["L", "Clear", "G", "green", "Luminance", "UV/IR Cut"])
def test_broad_filters_go_by_v_and_say_that_they_only_resemble_it(band):
    found = catalog_magnitudes(embedded(), band)
    assert found.system == "Johnson V"
    assert "resembles" in found.note


@pytest.mark.parametrize("band", ["Ha", "OIII", "SII", "i", "z", "u", "U"])
def test_bands_that_v_and_b_v_say_nothing_about(band):
    assert band_system(band) is None
    assert catalog_magnitudes(embedded(), band) is None


def test_the_band_itself_wins():
    catalog = embedded()
    catalog["mag_r"] = np.array([9.0, 9.5, 99.999, 10.0]) * u.mag
    catalog["mag_r_err"] = np.full(4, 0.02) * u.mag
    found = catalog_magnitudes(catalog, "sdss_r")
    np.testing.assert_array_equal(found.mag, [9.0, 9.5, np.nan, 10.0])
    assert found.system == "SDSS r"
    assert catalog_magnitudes(catalog, "i") is None
    assert catalog_magnitudes(catalog, "R").system == "Cousins R"  # case counts


def test_color_goes_with_the_system():
    catalog = QTable({"mag_g": [12.0] * u.mag, "mag_r": [11.4] * u.mag, "mag": [12.0] * u.mag})
    catalog.meta["system"] = "g"
    found = catalog_magnitudes(catalog, "g")
    assert found.color_name == "g-r"
    assert found.color[0] == pytest.approx(0.6)
    # V = 12 - 0.59 * 0.6 - 0.01 = 11.636, never the g that stands in `mag`.
    v, b = (catalog_magnitudes(catalog, band) for band in ("V", "B"))
    assert v.mag[0] == pytest.approx(11.636)
    assert v.mag_err[0] == pytest.approx(0.01)
    # B = V + 0.98 * 0.6 + 0.22, and the scatter of B-V is 0.04.
    assert b.mag[0] == pytest.approx(11.636 + 0.808)
    assert b.mag_err[0] == pytest.approx(np.hypot(0.01, 0.04))


def test_a_catalog_of_another_band_is_not_taken_for_v():
    catalog = QTable({"mag": [12.0] * u.mag, "color": [0.5] * u.mag}, meta={"system": "r"})
    assert catalog_magnitudes(catalog, "V") is None


def test_cousins_r_against_landolt():
    from pathlib import Path

    path = Path(__file__).resolve().parents[3] / "shared" / "data" / "catalogs" / "iraf_nlandolt.dat"
    if not path.exists():
        pytest.skip("the shared data are absent")
    rows = []
    for line in path.read_text().splitlines():
        cells = line.split()
        if len(cells) > 10 and cells[0] != "#":
            rows.append([float(cell) for cell in cells[3:9]])
    v, b_v, _, v_r, _, v_i = np.array(rows).T
    catalog = QTable({"mag": v * u.mag, "color": b_v * u.mag})
    for band, truth, scatter in (("Rc", v - v_r, 0.035), ("Ic", v - v_i, 0.08)):
        off = catalog_magnitudes(catalog, band).mag - truth
        off = off[np.isfinite(off) & (np.abs(v_r) < 9) & (np.abs(v_i) < 9)]
        assert len(off) > 200
        assert abs(np.median(off)) < 0.01
        assert 1.4826 * np.median(np.abs(off)) < scatter


def positions(ra, dec):
    return QTable({"ra": np.array(ra) * u.deg, "dec": np.array(dec) * u.deg})


def test_matches_are_mutual_and_unique():
    arcsec = 1 / 3600
    catalog = positions([10.0, 10.01, 359.99999], [20.0, 20.0, 0.0])
    catalog["mag"] = [10.0, 11.0, 12.0] * u.mag
    sources = positions([10.0, 10.0 + 1.5 * arcsec, 50.0, 0.00001, np.nan], [20.0, 20.0, 0.0, 0.0, 1.0])
    found = match_catalog(sources, catalog, 2.0)
    pairs = dict(zip(found.source.tolist(), found.star.tolist(), strict=True))
    assert pairs == {0: 0, 3: 2}  # across RA 0; the second source is not the star's nearest
    assert found.distance[0] == pytest.approx(0, abs=1e-6)
    assert found.distance[1] == pytest.approx(0.072, abs=1e-3)
    assert list(found.lonely) == [False, True]  # the first has a second source beside it


def test_a_comparable_star_nearby_makes_a_match_ambiguous():
    arcsec = 1 / 3600
    sources = positions([10.0], [20.0])
    for mag, lonely in ((11.0, False), (15.0, True), (np.nan, False)):
        catalog = positions([10.0, 10.0], [20.0, 20.0 + 3 * arcsec])
        catalog["mag"] = [10.0, mag] * u.mag
        assert match_catalog(sources, catalog, 2.0).lonely.tolist() == [lonely]


def test_nothing_matches_nothing():
    catalog = positions([10.0], [20.0])
    assert len(match_catalog(positions([], []), catalog, 2.0).source) == 0
    assert len(match_catalog(catalog, positions([], []), 2.0).source) == 0
    assert len(match_catalog(positions([10.1], [20.0]), catalog, 2.0).source) == 0


def test_tycho_vt_is_no_johnson_v():
    # BT - VT = 1: B-V = 0.85 and V = VT - 0.09; a star without a color has no V.
    catalog = QTable({"mag": [9.0, 9.0] * u.mag, "color": [0.85, np.nan] * u.mag}, meta={"system": "VT"})
    found = catalog_magnitudes(catalog, "V")
    np.testing.assert_allclose(found.mag, [8.91, np.nan])
    assert (found.system, found.color[0]) == ("Johnson V", 0.85)
    assert "VT" in found.note


def test_a_system_asked_for_by_the_way_that_serves_more_stars():
    # As the embedded catalog of a field without bright stars: columns of Gaia that are all but empty.
    catalog = embedded()
    nothing = np.full(4, np.nan)
    for name in ("G", "BP", "RP"):
        catalog[f"mag_{name}"] = nothing * u.mag
    found = catalog_magnitudes(catalog, "G", "Johnson B")
    assert found.mag[:2] == pytest.approx([10.5, 12.0]) and found.system == "Johnson B"
    for name, mags in (("G", 10.0), ("BP", 10.3), ("RP", 9.5)):
        catalog[f"mag_{name}"] = np.full(4, mags) * u.mag
    assert "Riello" in catalog_magnitudes(catalog, "G", "Johnson B").note  # Gaia's bands are better known
