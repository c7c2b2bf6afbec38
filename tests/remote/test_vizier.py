"""VizieR's catalogs: what is asked, what becomes of the answer, and that no bad answer becomes anything."""

import numpy as np
import pytest
from canned import FIELDS, Cell, vizier
from faulty import Fault, FaultyServer, wrong_contents

from sciastro.errors import CatalogError
from sciastro.remote.asu import MIRRORS, mirrors
from sciastro.remote.columns import COLUMNS, Depth, Region, Source
from sciastro.remote.limits import Limits
from sciastro.remote.vizier import vizier_source
from sciastro.remote.viziertables import TABLES

QUICK = Limits(connect=10, read=5, total=30, attempts=2, pause=0.01, max_bytes=3_000_000)
HERE = Region(83.8, -5.4, 0.5)

# One made-up star per table, all near HERE; then one with nothing but its name and place.
STARS: dict[str, tuple[list[Cell], list[Cell]]] = {
    "tycho2": (
        [4774, 123, 1, 83.80001, -5.40002, 12, 15, 1990.0, 1989.0,
         10.5, -20.0, 1.5, 1.2, 10.9, 0.03, 10.1, 0.02],
        [4774, 456, 1, 83.9, -5.3, 80, 90, None, None, None, None, None, None, None, None, 11.5, None],
    ),
    "apass-dr9": (
        [101, 83.8, -5.4, 0.2, 0.3, 15.1, 0.05, 14.5, 0.04, 14.8, 0.03, 14.3, 0.02, 14.1, 0.06],
        [102, 83.9, -5.3, 0.0, 0.0, None, None, 16.0, 0.0, None, None, None, None, None, None],
    ),
    "refcat2": (
        [83.80000001, -5.4, 2.5, 0.04, 10.0, 0.07, -4.0, 0.05, 0,
         15.0, 0.01, 14.6, 0.01, 14.4, 0.02, 14.3, 0.02, 14.5, 0.001, 14.9, 0.003, 14.0, 0.002,
         13.4, 0.03, 13.0, 0.03, 12.9, 0.04],
        [83.9, -5.3, None, None, None, None, None, None, 2, *[None] * 20],
    ),
    "ps1": (
        [101520838000123456, 83.8, -5.4, 0.012, 0.015, 60, 56200.0,
         18.0, 0.01, 17.5, 0.01, 17.3, 0.01, 17.2, 0.02, 17.1, 0.03],
        [101520838000123457, 83.9, -5.3, None, None, 52, None, *[None] * 10],
    ),
    "sdss16": (
        [1237660024493441234, 83.8, -5.4, 0.02, 0.03, 2006.1,
         19.9, 0.04, 18.0, 0.02, 17.5, 0.02, 17.2, 0.02, 17.1, 0.03],
        [1237660024493441235, 83.9, -5.3, None, None, None, *[None] * 10],
    ),
    "stetson": (
        ["NGC 1904", "4567", 17.0, 0.02, 16.8, 0.01, 16.0, 0.01, 15.6, 0.02, 15.1, 0.02, 83.8, -5.4],
        ["NGC 1904", "12", *[None] * 10, 83.9, -5.3],
    ),
    "landolt1992": (
        ["94 171", 12.659, 0.0020, 0.817, 0.0036, 0.304, 0.005,
         0.480, 0.001, 0.483, 0.002, 0.964, 0.002, 83.8, -5.4],
        ["94 172", *[None] * 12, 83.9, -5.3],
    ),
}  # fmt: skip
STARS["vsx"] = (
    [
        37500,
        "RR Lyr",
        0,
        "RRAB",
        "",
        7.06,
        "V",
        "",
        "",
        8.12,
        "V",
        2458695.405,
        "",
        0.56686776,
        "A",
        83.8,
        -5.4,
    ],
    [40000, "NSV 2322", 1, "INS:", "", None, "", "", "", None, "", None, "", None, "", 83.9, -5.3],
)
STARS["landolt2009"] = STARS["landolt2013"] = STARS["landolt1992"]


def source(server: FaultyServer, name: str, *paths: str):
    return vizier_source(name, addresses=tuple(server.url(p) for p in paths or ("/cds",)), limits=QUICK)


def good(name: str) -> bytes:
    return vizier(TABLES[name].table, STARS[name])


@pytest.mark.parametrize("name", TABLES)
def test_the_columns_are_those_of_every_source(server: FaultyServer, name: str) -> None:
    server.say("/cds", Fault(good(name)))
    one = source(server, name)
    assert isinstance(one, Source)
    table = one.tile(HERE, Depth(faintest=16.0))
    bands = [f"mag_{band}{err}" for band in one.bands for err in ("", "_err")]
    assert table.colnames == ["id", *COLUMNS, *bands]
    assert len(table) == 2
    assert table.meta["complete"] is True
    assert table.meta["citation"] == TABLES[name].citation
    assert table["ra"].value == pytest.approx([83.8, 83.9], abs=2e-5)
    assert np.isfinite(table["mag"][0]) and (np.isfinite(table["mag_err"][0]) or name == "vsx")
    unknown = [c for c in table.colnames[1:] if np.isnan(table[c].value[1])]
    assert {"parallax", "mag_err"} <= set(unknown)  # nothing is made up where the catalog is silent
    form = server.asked[0].form
    assert form["-source"] == TABLES[name].table
    assert form["-c"] == "83.80000000 -5.40000000"
    assert form[TABLES[name].faint] == "<=16.0000"
    assert set(FIELDS[TABLES[name].table]) >= set(
        (form["-out"] + "," + form.get("-out.add", "")).strip(",").split(",")
    )
    assert all(form[column] == condition for column, condition in TABLES[name].cuts.items())


def test_tycho_errors_have_grown_by_2000(server: FaultyServer) -> None:
    # 12 mas in 1990.0 and 1.5 mas/yr: hypot(12, 15) = 19.21 mas in 2000.0.
    server.say("/cds", Fault(good("tycho2")))
    table = source(server, "tycho2").tile(HERE, Depth())
    assert table["ra_err"].to_value("mas")[0] == pytest.approx(np.hypot(12, 15))
    assert table["id"][0] == "TYC 4774-123-1"
    assert table["mag"][0].value == pytest.approx(10.1 - 0.090 * 0.8, abs=1e-5)
    assert table["color"][0].value == pytest.approx(0.850 * 0.8, abs=1e-5)
    assert table["epoch"][0].value == 2000.0
    assert np.isnan(table["ra_err"][1])  # its mean epoch is not known, so neither is its error in 2000
    assert np.isnan(table["pm_ra_cosdec"][1])


def test_tycho_stars_without_a_mean_position_are_left_out(server: FaultyServer) -> None:
    nowhere: list[Cell] = [1, 2, 3, *[None] * 10, 11.0, 0.1, 10.0, 0.1]
    server.say("/cds", Fault(vizier("I/259/tyc2", [*STARS["tycho2"], nowhere])))
    assert len(source(server, "tycho2").tile(HERE, Depth())) == 2


def test_errors_of_nought_are_unknown_in_apass(server: FaultyServer) -> None:
    server.say("/cds", Fault(good("apass-dr9")))
    table = source(server, "apass-dr9").tile(HERE, Depth())
    assert table["mag"][1].value == pytest.approx(16.0)
    assert np.isnan(table["mag_err"][1]) and np.isnan(table["ra_err"][1])
    assert table["mag_g"][0].value == pytest.approx(14.8)


def test_small_and_large_letters_are_different_bands(server: FaultyServer) -> None:
    server.say("/cds", Fault(good("refcat2")))
    table = source(server, "refcat2").tile(HERE, Depth())
    assert (table["mag_g"][0].value, table["mag_G"][0].value) == (pytest.approx(15.0), pytest.approx(14.5))
    assert table["g_mag"][0].value == pytest.approx(14.5)
    assert table["bp_rp"][0].value == pytest.approx(0.9)
    # Tonry et al. 2012: V = r + 0.006 + 0.474 (g - r) = 14.6 + 0.006 + 0.1896.
    assert table["mag"][0].value == pytest.approx(14.7956, abs=1e-5)


def test_extended_objects_are_left_out_of_pan_starrs_and_dates_become_years(server: FaultyServer) -> None:
    galaxy = [101520838000123458, *STARS["ps1"][0][1:5], 61, *STARS["ps1"][0][6:]]  # 61 has bit 1
    server.say("/cds", Fault(vizier("II/349/ps1", [*STARS["ps1"], galaxy])))
    table = source(server, "ps1").tile(HERE, Depth())
    assert list(table["id"]) == ["PS1 101520838000123456", "PS1 101520838000123457"]  # all 18 digits
    assert table["epoch"][0].value == pytest.approx(2012.7461, abs=1e-3)  # MJD 56200 is 2012-09-30


def test_errors_and_dates_may_be_missing_and_that_is_told(server: FaultyServer) -> None:
    answer = good("tycho2").replace(b'name="EpRAm"', b'name="Ep"').replace(b'name="e_VTmag"', b'name="sVT"')
    server.say("/cds", Fault(answer))
    table = source(server, "tycho2").tile(HERE, Depth())
    assert table.meta["lacking"] == ["EpRAm", "e_VTmag"]
    assert np.isnan(table["ra_err"]).all() and np.isnan(table["mag_VT_err"]).all()
    assert np.isfinite(table["dec_err"][0]) and np.isfinite(table["mag_VT"][0])


def test_landolt_bands_are_sums(server: FaultyServer) -> None:
    for name in ("landolt1992", "landolt2009", "landolt2013"):
        server.say("/cds", Fault(good(name)))
        table = source(server, name).tile(HERE, Depth())
        got = [table[f"mag_{band}"][0].value for band in "UBVRI"]
        assert got == pytest.approx([13.780, 13.476, 12.659, 12.179, 11.695], abs=1e-4)
        assert table["mag_B_err"][0].value == pytest.approx(np.hypot(0.0020, 0.0036), rel=1e-5)


def test_no_star_is_an_answer(server: FaultyServer) -> None:
    bare = vizier("I/259/tyc2", None)
    without = bare[: bare.index(b"  <TABLE")] + b"</RESOURCE>\n</VOTABLE>\n"
    for answer in (bare, without, vizier("I/259/tyc2", [])):
        server.say("/cds", Fault(answer))
        table = source(server, "tycho2").tile(HERE, Depth())
        assert len(table) == 0 and table.meta["complete"] and "mag_VT_err" in table.colnames


def test_units_are_converted_by_what_the_answer_says(server: FaultyServer) -> None:
    units = {"e_RAJ2000": "mas", "e_DEJ2000": "deg"}
    server.say("/cds", Fault(vizier("II/336/apass9", STARS["apass-dr9"], units=units)))
    table = source(server, "apass-dr9").tile(HERE, Depth())
    assert table["ra_err"][0].value == pytest.approx(0.0002)
    assert table["dec_err"][0].value == pytest.approx(0.3 * 3600)


def test_a_cut_answer_says_so(server: FaultyServer) -> None:
    server.say("/cds", Fault(vizier("I/259/tyc2", STARS["tycho2"], overflow=True)))
    assert source(server, "tycho2").tile(HERE, Depth()).meta["complete"] is False
    server.say("/cds", Fault(vizier("I/259/tyc2", STARS["tycho2"], matches=3)))
    assert source(server, "tycho2").tile(HERE, Depth()).meta["complete"] is False
    server.say("/cds", Fault(good("tycho2")))
    short = source(server, "tycho2")
    short.most = 2  # as many rows as asked for: there may be more
    assert short.tile(HERE, Depth()).meta["complete"] is False


@pytest.mark.parametrize("name", TABLES)
def test_no_bad_answer_becomes_a_table(server: FaultyServer, name: str) -> None:
    for what, fault in wrong_contents(good(name)).items():
        server.say("/cds", fault)
        with pytest.raises(CatalogError) as caught:
            source(server, name).tile(HERE, Depth())
        error = caught.value
        assert error.found and error.where.startswith(TABLES[name].title) and error.remedy, what
        assert "\n" not in str(error), what


def test_each_bad_answer_is_called_what_it_is(server: FaultyServer) -> None:
    said = {}
    for what, fault in wrong_contents(good("tycho2")).items():
        server.say("/cds", fault)
        with pytest.raises(CatalogError) as caught:
            source(server, "tycho2").tile(HERE, Depth())
        said[what] = str(caught.value)
    assert "Hotel Aurora Wi-Fi" in said["login page"] and "web browser" in said["login page"]
    assert "Hotel Aurora Wi-Fi" in said["login page called a VOTable"]
    assert "http://portal.example/login" in said["sent on to plain HTTP"]
    assert "from=catalog" not in said["sent on to plain HTTP"]
    assert "cut off" in said["cut off at the end of a row"]
    assert "kg" in said["other units"]
    assert "furlongs" in said["unknown units"]
    assert "abc" in said["numbers that are none"]
    assert "unknown column" in said["an error, HTTP 200"]
    assert "unknown column" in said["an error, HTTP 400"]
    assert "not currently reachable" in said["an error, the older way"]


def test_stars_from_elsewhere_are_no_answer(server: FaultyServer) -> None:
    server.say("/cds", Fault(good("tycho2")))
    with pytest.raises(CatalogError, match=r"180 deg away, where none was asked for"):
        source(server, "tycho2").tile(Region(263.8, 5.4, 0.5), Depth())


def test_a_mirror_helps_out(server: FaultyServer) -> None:
    for what, fault in wrong_contents(good("tycho2")).items():
        server.say("/cds", fault)
        server.say("/cfa", Fault(good("tycho2")))
        table = source(server, "tycho2", "/cds", "/cfa").tile(HERE, Depth())
        assert len(table) == 2, what
        assert table.meta["server"].endswith("/cfa")


def test_an_outage_is_waited_for_once(server: FaultyServer) -> None:
    server.say("/cds", Fault(b"", status=503))
    server.say("/cfa", Fault(good("tycho2")))
    one = source(server, "tycho2", "/cds", "/cfa")
    for _ in range(3):
        assert len(one.tile(HERE, Depth())) == 2
    assert (server.count("/cds"), server.count("/cfa")) == (2, 3)  # two attempts, then never again


def test_cones_over_the_pole_and_across_nought(server: FaultyServer) -> None:
    star = list(STARS["tycho2"][0])
    for region, ra, dec in ((Region(10.0, 89.9, 1.0), 190.0, 89.8), (Region(359.9, 0.0, 0.5), 0.1, 0.0)):
        star[3:5] = [ra, dec]
        server.say("/cds", Fault(vizier("I/259/tyc2", [star])))
        assert len(source(server, "tycho2").tile(region, Depth())) == 1


def test_unknown_catalogs_are_named_with_the_known_ones() -> None:
    with pytest.raises(CatalogError, match=r"gsc2: is not a catalog .* tycho2, apass-dr9"):
        vizier_source("gsc2")
    with pytest.raises(CatalogError, match=r"APASS DR10 is not at VizieR; `remote\.apass`"):
        vizier_source("apass-dr10")


def test_mirrors_are_encrypted_and_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCIASTRO_VIZIER", raising=False)
    assert mirrors() == MIRRORS
    assert all(one.startswith("https://") for one in MIRRORS)
    monkeypatch.setenv("SCIASTRO_VIZIER", "https://a.example/votable, https://b.example/votable")
    assert mirrors() == ("https://a.example/votable", "https://b.example/votable")
