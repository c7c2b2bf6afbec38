"""Published polynomials by hand, and against standards where they are at hand."""

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from sciastro.errors import OptionError
from sciastro.io.reference import cone
from sciastro.photometry.systems import SYSTEMS, catalog_magnitudes
from sciastro.photometry.transformations import GAIA_DR3, PAN_STARRS, transform, transform_table

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "catalogs"


def needs(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip("the shared data are absent")
    return path


def gaia(color, g=12.0):
    color = np.atleast_1d(np.asarray(color, float))
    return QTable(
        {
            "mag_G": np.full(color.shape, g) * u.mag,
            "mag_BP": (g + color) * u.mag,
            "mag_RP": np.full(color.shape, g) * u.mag,
        },
        meta={"catalog": "Gaia DR3"},
    )


def test_hand_worked_gaia_to_johnson_cousins():
    # BP-RP = 1: G-V = -0.02704 + 0.01424 - 0.2156 + 0.01426 = -0.21414, so V = 12.21414;
    # G-R = -0.02275 + 0.3961 - 0.1243 - 0.01396 + 0.003775 = 0.238865;
    # G-Ic = 0.01753 + 0.76 - 0.0991 = 0.67843;
    # G-B = 0.01448 - 0.6874 - 0.3604 + 0.06718 - 0.006061 = -0.972201.
    truth = {"Johnson V": 12.21414, "Cousins R": 11.761135, "Cousins I": 11.32157, "Johnson B": 12.972201}
    found = transform_table(gaia(1.0), list(truth))
    for system, mag in truth.items():
        assert found[system].value[0] == pytest.approx(mag, abs=1e-9)
        assert found[f"{system}_err"].value[0] == pytest.approx(GAIA_DR3[system].scatter, rel=1e-6)
        assert "Riello" in found.meta["transformations"][system]


def test_the_sun_is_where_it_should_be():
    # G - V of the Sun is about -0.15 and V - Ic 0.70 to 0.73 at BP-RP 0.82 (Casagrande & VandenBerg 2018).
    v, i = (transform(GAIA_DR3[s], 0.0, 0.82).mag for s in ("Johnson V", "Cousins I"))
    assert float(v) == pytest.approx(0.15, abs=0.02)
    assert float(v - i) == pytest.approx(0.715, abs=0.03)


@pytest.mark.parametrize("system", GAIA_DR3)
def test_outside_the_range_there_is_no_magnitude(system):
    low, high = GAIA_DR3[system].colors
    found = transform(GAIA_DR3[system], 12.0, [low - 0.01, low + 0.01, high - 0.01, high + 0.01, np.nan])
    assert list(np.isfinite(found.mag)) == [False, True, True, False, False]
    assert list(found.outside) == [True, False, False, True, False]
    assert np.isnan(found.mag_err[0])
    assert high <= GAIA_DR3[system].published[1]


def test_errors_hold_the_color_and_the_scatter():
    # d(G-Ic)/dc at 1 = 0.76 - 2 * 0.0991 = 0.5618; err^2 = 0.01^2 + (0.5618 * 0.02)^2 + 0.03765^2.
    found = transform(GAIA_DR3["Cousins I"], 12.0, 1.0, 0.01, 0.02)
    assert float(found.mag_err) == pytest.approx(np.sqrt(0.01**2 + (0.5618 * 0.02) ** 2 + 0.03765**2))


def test_hand_worked_pan_starrs():
    # g-r = 0.5, r = 15: V = 15 + 0.005 + 0.231 + 0.00325; SDSS g = 15.5 + 0.013 + 0.0725 + 0.00475.
    catalog = QTable(
        {"mag_g": [15.5] * u.mag, "mag_r": [15.0] * u.mag, "mag_i": [14.8] * u.mag},
        meta={"catalog": "ATLAS-REFCAT2 (J/ApJ/867/105/refcat2)"},
    )
    found = transform_table(catalog, ["Johnson V", "SDSS g"])
    assert found["Johnson V"].value[0] == pytest.approx(15.23925)
    assert found["SDSS g"].value[0] == pytest.approx(15.59025)
    # The catalog's own band is named for what it is, and SDSS on request is transformed.
    assert catalog_magnitudes(catalog, "g").system == "Pan-STARRS g"
    assert catalog_magnitudes(catalog, "g", "SDSS g").mag[0] == pytest.approx(15.59025)
    assert catalog_magnitudes(catalog, "g", "Pan-STARRS g").mag[0] == 15.5
    assert catalog_magnitudes(catalog, "g", "Gaia G") is None


def test_g_and_r_of_another_catalog_are_not_pan_starrs():
    catalog = QTable({"mag_g": [15.5] * u.mag, "mag_r": [15.0] * u.mag}, meta={"catalog": "APASS DR9"})
    assert catalog_magnitudes(catalog, "g").system == "SDSS g"
    with pytest.raises(OptionError, match="cannot be had from the columns"):
        transform_table(catalog, ["Cousins I"])
    with pytest.raises(OptionError, match="photometric system 'Walraven B'"):
        transform_table(gaia(1.0), ["Walraven B"])


def test_a_gaia_catalog_calibrates_every_system():
    catalog = gaia([0.8, 1.0, 1.2, 2.5])
    for system in GAIA_DR3:
        found = catalog_magnitudes(catalog, "R", system)
        assert found.system == system
        assert found.color_name == "BP-RP"
    found = catalog_magnitudes(catalog, "R", "Cousins R")
    assert "1 stars beyond it are left out" in found.note
    assert list(found.outside) == [False, False, False, True]
    for name in ("G", "BP", "RP"):
        assert catalog_magnitudes(catalog, "L", f"Gaia {name}").color_name == "BP-RP"
    assert catalog_magnitudes(catalog, "R", "Johnson U") is None
    assert set(GAIA_DR3) | set(PAN_STARRS) <= set(SYSTEMS)


def test_gaia_against_landolt_standards():
    # Standards of Landolt 2009 and 2013 brighter than V = 11.9 in the embedded catalog's Gaia magnitudes.
    from astropy.coordinates import SkyCoord

    off = {"Johnson V": [], "Johnson B": [], "Cousins R": [], "Cousins I": []}
    for name in ("Landolt_Standards_2009.txt", "Landolt_Standards_2013.txt"):
        lines = [line.split("|") for line in needs(name).read_text().splitlines() if line.count("|") > 12]
        head = [cell.strip() for cell in next(line for line in lines if "Vmag" in line)]
        for line in lines:
            cells = dict(zip(head, line, strict=False))
            try:
                v, b_v, v_r, v_i = (float(cells[key]) for key in ("Vmag", "B-V", "V-R", "V-I"))
            except ValueError:
                continue
            if v > 11.9:
                continue
            at = SkyCoord(cells["RAJ2000"], cells["DEJ2000"], unit=("hourangle", "deg"))
            stars = cone(at.ra.deg, at.dec.deg, 0.006)
            near = np.abs(stars["mag"].value - v) < 0.3
            if near.sum() != 1:
                continue
            g, color = stars["g_mag"].value[near], stars["bp_rp"].value[near]
            for system, truth in zip(off, (v, v + b_v, v - v_r, v - v_i), strict=True):
                off[system].append((transform(GAIA_DR3[system], g, color).mag - truth)[0])
    for system, values in off.items():
        known = np.array(values)[np.isfinite(values)]
        assert len(known) > 60
        # Within the published scatter, both the median and the spread.
        assert abs(np.median(known)) < 1.1 * GAIA_DR3[system].scatter, system
        assert 1.4826 * np.median(np.abs(known - np.median(known))) < 1.1 * GAIA_DR3[system].scatter, system


def test_gaia_and_pan_starrs_lead_to_the_same_sdss():
    from astropy.table import Table

    t = Table.read(needs("ey_uma/all_refcat2_ey_uma.ecsv"))

    def column(name):
        return np.ma.filled(np.ma.asarray(t[name], float), np.nan)

    bright = column("Gmag") < 17
    for band, most in (("g", 0.03), ("r", 0.03), ("i", 0.03)):
        by_gaia = transform(GAIA_DR3[f"SDSS {band}"], column("Gmag"), column("BPmag") - column("RPmag")).mag
        by_ps1 = transform(
            PAN_STARRS[f"SDSS {band}"], column(f"{band}mag"), column("gmag") - column("rmag")
        ).mag
        off = (by_gaia - by_ps1)[bright & np.isfinite(by_gaia) & np.isfinite(by_ps1)]
        assert len(off) > 50
        assert abs(np.median(off)) < most
        assert 1.4826 * np.median(np.abs(off - np.median(off))) < GAIA_DR3[f"SDSS {band}"].scatter


def test_gaia_against_tycho():
    # Bright Gaia DR3 stars and Tycho-2 brighter than 6; G above 4.5, where Gaia's own saturation is small.
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    mine = pandas.read_parquet(needs("gaia_dr3_bright_1457.parquet"))
    tycho = Table.read(needs("tycho2-mag6.fits"))
    here = SkyCoord(mine.ra.values, mine.dec.values, unit="deg")
    at, distance, _ = here.match_to_catalog_sky(SkyCoord(tycho["RA"], tycho["DEC"], unit="deg"))
    near = (distance.arcsec < 5) & (mine.phot_g_mean_mag.values > 4.5)
    color = (mine.phot_bp_mean_mag - mine.phot_rp_mean_mag).values
    for system, name in (("Tycho VT", "MAG_VT"), ("Tycho BT", "MAG_BT")):
        off = (
            transform(GAIA_DR3[system], mine.phot_g_mean_mag.values, color).mag - np.asarray(tycho[name])[at]
        )
        off = off[near & np.isfinite(off) & (np.abs(off) < 1)]
        assert len(off) > 300
        assert abs(np.median(off)) < 0.03


def test_published_colors_are_those_of_the_fit():
    # The embedded catalog has V, B-V and Gaia's bands: a color term in B-V takes B-V, whatever leads to V.
    stars = cone(92.27, 24.34, 0.3)
    found = catalog_magnitudes(stars, "G")
    assert (found.system, found.color_name) == ("Johnson V", "B-V")
    assert catalog_magnitudes(stars, "G", "Johnson V").color_name == "B-V"
    np.testing.assert_array_equal(catalog_magnitudes(stars, "G", "Johnson V").mag, found.mag)
    assert catalog_magnitudes(stars, "G", "SDSS i").color_name == "BP-RP"
