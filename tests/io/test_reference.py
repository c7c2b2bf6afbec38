"""The embedded star catalog and the user's own."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table

from sciastro.errors import CatalogError
from sciastro.io import reference
from sciastro.io.reference import catalog_info, catalog_root, cone, read_user_catalog, verify

rng = np.random.default_rng(20261120)
RANDOM = [
    (rng.uniform(0, 360), np.degrees(np.arcsin(rng.uniform(-1, 1))), rng.uniform(0.2, 6)) for _ in range(12)
]
SPECIAL = [
    (0.0, 0.0, 2.0),
    (359.99, 45.0, 3.0),
    (0.01, -60.0, 5.0),
    (123.0, 90.0, 2.0),
    (10.0, -90.0, 1.0),
    (77.0, 89.5, 1.0),
    (200.0, -88.8, 1.3),
    (40.0, 10.0, 1e-3),
    (300.0, 20.0, 95.0),
    (-5.0, 3.0, 1.0),
]


@pytest.fixture(scope="module")
def everything():
    return cone(0.0, 0.0, 180.0, epoch=2026.5)


@pytest.fixture(scope="module")
def vectors(everything):
    return SkyCoord(everything["ra"], everything["dec"]).cartesian.xyz.value.T


@pytest.mark.parametrize(("ra", "dec", "radius"), RANDOM + SPECIAL)
def test_cone_equals_brute_force(everything, vectors, ra, dec, radius):
    a, d = np.radians(ra), np.radians(dec)
    center = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    chord = np.linalg.norm(vectors - center, axis=1)
    expected = everything["id"][chord <= 2 * np.sin(np.radians(radius) / 2)]
    found = cone(ra, dec, radius, epoch=2026.5)
    assert sorted(found["id"]) == sorted(expected)
    assert np.all(np.diff(found["mag"].value) >= 0)


def test_whole_sky_has_every_row_once(everything):
    assert len(everything) == catalog_info()["stars"]["counts"]["rows"]
    assert len(np.unique(everything["id"])) == len(everything)


# Hipparcos (ESA 1997) positions carried to J2000 by SIMBAD; V and B-V of Hipparcos.
@pytest.mark.parametrize(
    ("name", "ra", "dec", "mag", "color"),
    [
        ("HIP 91262", 279.234735, 38.783689, 0.03, 0.00),
        ("HIP 11767", 37.954561, 89.264109, 1.97, 0.64),
        ("HIP 32349", 101.287155, -16.716116, -1.44, 0.01),
    ],
)
def test_bright_stars(name, ra, dec, mag, color):
    star = cone(ra, dec, 0.01, epoch=2000.0, brightest=1)[0]
    assert star["id"] == name
    # SIMBAD uses the 2007 reduction: a few mas at most between the two.
    apart = SkyCoord(star["ra"], star["dec"]).separation(SkyCoord(ra, dec, unit="deg"))
    assert apart < 0.02 * u.arcsec
    assert star["mag"].value == pytest.approx(mag, abs=0.011)
    assert star["color"].value == pytest.approx(color, abs=0.011)


def test_barnards_star_moves():
    # Gaia DR3: (269.44850253, 4.73942005) deg at 2016.0, motion (-801.55, 10362.39) mas / yr. Ten years:
    # dec + 103.624 arcsec = + 0.02878442 deg; ra - 8.0155 arcsec / cos(4.7394 deg) = - 0.00223417 deg.
    star = cone(269.4463, 4.7682, 0.003, epoch=2026.0, brightest=1)
    expected = SkyCoord(269.44850253 - 0.00223417, 4.73942005 + 0.02878442, unit="deg")
    assert SkyCoord(star["ra"][0], star["dec"][0]).separation(expected) < 0.5 * u.arcsec
    assert star["mag"][0].value == pytest.approx(9.54, abs=0.02)
    assert len(cone(269.4463, 4.7682, 0.003, epoch=1991.25, mag_limit=10.0)) == 0


def test_unknown_is_nan_and_never_a_stored_null(everything):
    unknown = np.isnan(everything["pm_dec"].value)
    counts = catalog_info()["stars"]["counts"]
    assert np.count_nonzero(~unknown) == counts["with_proper_motion"]
    assert np.count_nonzero(np.isfinite(everything["color"].value)) == counts["with_b_v"]
    assert np.nanmin(everything["color"].value) > -2
    assert np.nanmax(np.abs(everything["pm_ra_cosdec"].value)) < 11_000
    assert np.nanmin(everything["g_mag"].value) > 1
    for name in ("ra", "dec", "ra_err", "dec_err", "mag", "mag_err"):
        assert np.all(np.isfinite(everything[name].value))
    # 26.5 years at 15 mas / yr are 0.40 arcsec; with the error of the position a little more.
    at2000 = unknown & (everything["ra_err"].value > 0.3)
    assert at2000.sum() > 500_000


def test_unknown_motion_stays_put_and_its_error_grows():
    then, now = (cone(100.0, 20.0, 1.0, epoch=epoch) for epoch in (2000.0, 2030.0))
    then = then[np.isnan(then["pm_dec"])]
    now = now[np.isin(now["id"], then["id"])]
    order = np.argsort(then["id"]), np.argsort(now["id"])
    np.testing.assert_allclose(then["dec"][order[0]].value, now["dec"][order[1]].value, rtol=0, atol=1e-12)
    assert np.all(now["dec_err"][order[1]] > then["dec_err"][order[0]])


def test_limits_keep_the_brightest():
    every = cone(83.8, -5.4, 2.0)
    few = cone(83.8, -5.4, 2.0, brightest=10)
    assert list(few["id"]) == list(every["id"][:10])
    bright = cone(83.8, -5.4, 2.0, mag_limit=8.0)
    assert list(bright["id"]) == list(every["id"][every["mag"].value <= 8.0])
    assert few.meta["epoch"] == 2016.0
    assert few.meta["system"] == "Johnson V, B-V (Tycho/Hipparcos)"
    assert "CC BY-SA" in few.meta["license"]
    units = [few[n].unit for n in ("ra", "ra_err", "pm_dec", "mag")]
    assert units == [u.deg, u.arcsec, u.mas / u.yr, u.mag]


def test_density():
    # 24 per square degree at the galactic poles in the mean, fewer than 10 in dark clouds: all of Tycho-2.
    centers = [(rng.uniform(0, 360), np.degrees(np.arcsin(rng.uniform(-1, 1)))) for _ in range(500)]
    counts = np.array([len(cone(ra, dec, 1.0)) for ra, dec in centers])
    assert counts.min() >= 20
    assert np.median(counts) > 100


def test_an_empty_cone_is_an_empty_table():
    found = cone(40.0, 10.0, 1e-6)
    assert len(found) == 0
    assert found["ra"].unit == u.deg


@pytest.mark.parametrize("bad", [(np.nan, 0, 1), (0, 91, 1), (0, 0, 0), (0, 0, 181)])
def test_cone_refuses_what_is_no_cone(bad):
    with pytest.raises(CatalogError, match="cone: is ra="):
        cone(*bad)


def test_data_files_are_the_ones_of_the_manifest():
    assert verify() == []
    info = catalog_info()
    assert set(info["files"]) == {f"stars/{p.name}" for p in (catalog_root() / "stars").glob("*.npy")}
    assert all(s["license"] and s["citation"] for s in info["stars"]["sources"])


def test_verify_names_the_broken_file(tmp_path, monkeypatch):
    (tmp_path / "manifest.toml").write_text(
        '[files."stars/a.npy"]\nsha256 = "00"\n[files."stars/b.npy"]\nsha256 = "00"\n'
    )
    (tmp_path / "stars").mkdir()
    (tmp_path / "stars" / "a.npy").write_bytes(b"x")
    monkeypatch.setattr(reference, "catalog_root", lambda: tmp_path)
    assert verify() == [
        "stars/a.npy: has another SHA-256 than the manifest.",
        "stars/b.npy: is missing.",
    ]


# --- the user's own catalog ---------------------------------------------------------------------


def example() -> Table:
    table = Table()
    table["source_id"] = [11, 12, 13]
    table["RA_ICRS"] = [10.0, 20.0, 30.0] * u.deg
    table["DE_ICRS"] = [-5.0, 6.0, 7.0] * u.deg
    table["pmRA"] = MaskedColumn([1.5, 2.5, 0.0], mask=[False, False, True], unit="mas/yr")
    table["Vmag"] = [12.0, 11.0, 99.999]
    table["e_Vmag"] = [0.01, 0.02, 9.999]
    table["Bmag"] = [12.5, -999.0, 13.0]
    return table


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.csv", "ascii.csv"), ("a.ecsv", "ascii.ecsv"), ("a.fits", "fits"), ("a.vot", "votable")],
)
def test_four_formats_say_the_same(tmp_path, name, form):
    example().write(tmp_path / name, format=form)
    out = read_user_catalog(tmp_path / name)
    assert list(out["id"]) == ["12", "11", "13"]  # by V; unknown last
    np.testing.assert_array_equal(out["ra"].to_value(u.deg), [20.0, 10.0, 30.0])
    np.testing.assert_array_equal(out["mag"].value, [11.0, 12.0, np.nan])
    np.testing.assert_array_equal(out["mag_err"].value, [0.02, 0.01, np.nan])
    np.testing.assert_array_equal(out["mag_B"].value, [np.nan, 12.5, 13.0])
    np.testing.assert_array_equal(out["color"].value, [np.nan, 0.5, np.nan])
    np.testing.assert_array_equal(out["pm_ra_cosdec"].value, [2.5, 1.5, np.nan])
    assert out["mag"].unit == u.mag
    assert out.meta["system"] == "V"


def test_ugriz_names_and_band(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("DAOPHOTID,ra,dec,g,gError,r,rError\n1,1,2,15.5,0.1,0,9.999\n2,1,3,15.0,0.2,14.5,0.3\n")
    out = read_user_catalog(path, band="r")
    np.testing.assert_array_equal(out["mag"].value, [14.5, np.nan])  # 0 with error 9.999 is no magnitude
    np.testing.assert_array_equal(out["mag_g_err"].value, [0.2, 0.1])
    with pytest.raises(CatalogError, match="no magnitudes in band 'z', only in: g, r"):
        read_user_catalog(path, band="z")


@pytest.mark.parametrize(
    "text",
    [
        "name,ra,dec\nVega,18:36:56.336,+38:47:01.28\n",
        "name,RAJ2000,DEJ2000\nVega,18 36 56.336,+38 47 01.28\n",
        "name,alpha,delta\nVega,279.2347333,38.7836889\n",
        "name,ra_hours,dec_degrees\nVega,18.61564889,38.7836889\n",
        "name,ra,dec\nVega,18h36m56.336s,+38d47m01.28s\n",
    ],
)
def test_sexagesimal_and_hours(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_text(text)
    out = read_user_catalog(path)
    assert out["ra"][0].to_value(u.deg) == pytest.approx(279.2347333, abs=1e-6)
    assert out["dec"][0].to_value(u.deg) == pytest.approx(38.7836889, abs=1e-6)
    assert np.isnan(out["mag"][0].value)


def test_vizier_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(
        '#\n#   VizieR Astronomical Server\n#RESOURCE=yCat\n |mag|mag|"h:m:s"|"d:m:s"\n'
        "Name|Vmag|B-V|RAJ2000|DEJ2000\n92 309 |13.842| 0.513|00 53 14.047|+00 46 02.14\n"
    )
    out = read_user_catalog(path)
    assert out["id"][0] == "92 309"
    # 0 h 53 m 14.047 s = 3194.047 s / 240 = 13.30852917 deg.
    assert out["ra"][0].to_value(u.deg) == pytest.approx(13.30852917, abs=1e-8)
    assert (out["mag"][0].value, out["color"][0].value) == (13.842, 0.513)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,lon,lat\na,1,2\n", "no columns for right ascension and declination among name, lon, lat"),
        ("ra,dec,V\n", "has no rows"),
        ("ra,dec\n1,95\n", r"1 positions out of range or missing, the first in row 0"),
        ("ra,dec\n1,\n2,3\n", "out of range or missing"),
        ("ra,dec\nhello,world\n", "neither degrees nor sexagesimal"),
        ("ra,dec\n1,2,3,4\n", "cannot be read as a table"),
    ],
)
def test_bad_input_says_what_and_where(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(CatalogError, match=message):
        read_user_catalog(path)


def test_missing_file(tmp_path):
    with pytest.raises(CatalogError, match=r"none\.csv: does not exist"):
        read_user_catalog(tmp_path / "none.csv")


def test_files_of_apass_dr10_with_codes_in_their_headings(tmp_path):
    path = tmp_path / "apass_dr10.csv"
    path.write_text(
        'radeg,raerr("),decdeg,decerr("),Johnson_V (V),Verr,Vnobs,Johnson_B (B),Berr,Bnobs,'
        "Sloan_g (SG),SGerr,SGnobs,Sloan_r (SR),SRerr,SRnobs\n"
        "83.8,0.310,-5.4,0.280,14.500,0.040,4,15.100,0.050,4,14.800,0.030,4,14.300,0.020,4\n"
        "83.9,0.510,-5.3,0.480,16.000,0,1,NA,NA,0,NA,NA,0,15.900,0.100,1\n"
    )
    out = read_user_catalog(path)
    assert out["mag"].value == pytest.approx([14.5, 16.0])
    assert out["mag_g"][0].value == pytest.approx(14.8)
    assert out["mag_g_err"][0].value == pytest.approx(0.03)
    assert out["mag_r_err"].value == pytest.approx([0.02, 0.1])
    assert out["mag_B_err"][0].value == pytest.approx(0.05) and np.isnan(out["mag_B"][1])
    assert out["ra_err"][0].to_value(u.arcsec) == pytest.approx(0.31)


def test_files_of_apass_from_the_aavso(tmp_path):
    path = tmp_path / "apass_dr10.csv"
    path.write_text(
        "radeg,raerr,decdeg,decerr,number_of_Obs,Johnson_V,Verr,Johnson_B,B_err,Sloan_g,gerr,Sloan_r,r_err\n"
        "83.9,0.510,-5.3,0.480,1,16.000,NA,NA,NA,NA,NA,15.900,0.100\n"
        "83.8,0.310,-5.4,0.280,4,14.500,0.040,15.100,0.050,14.800,0.030,14.300,0.020\n"
    )
    out = read_user_catalog(path)
    assert out["mag"].value == pytest.approx([14.5, 16.0])
    assert out["mag_r_err"].value == pytest.approx([0.02, 0.1])
    assert out["color"][0].value == pytest.approx(0.6)
    assert np.isnan(out["mag_B"][1]) and np.isnan(out["mag_err"][1])
    assert out["ra_err"][0].to_value(u.arcsec) == pytest.approx(0.31)
