"""APASS DR10: the AAVSO's CSV and GAVO's table become the columns of every source; nothing wrong does.

The real services cannot be reached from where tests run: the CSV has the header line that public programs
read ("Johnson_V (V)", "Verr", ...), the TAP answers the column names that public queries use.
"""

import gzip

import numpy as np
import pytest
from canned import Cell, table_of
from faulty import PORTAL, Fault, FaultyServer

from sciastro.errors import CatalogError
from sciastro.recipe.catalogs import CatalogWarning, cone
from sciastro.recipe.tiling import missing_tiles
from sciastro.remote.apass import ADDRESSES, MOST_DEGREES, PLACES, ApassDR10, read_csv
from sciastro.remote.catalogs import source_of
from sciastro.remote.columns import COLUMNS, Depth, Region, Source
from sciastro.remote.limits import Limits
from sciastro.remote.trouble import Trouble

QUICK = Limits(connect=10, read=1, total=10, attempts=2, pause=0.01, max_bytes=3_000_000)
HERE = Region(83.8, -5.4, 0.5)
CSV = "text/plain; charset=utf-8"
HEAD = (
    'radeg,raerr("),decdeg,decerr("),Johnson_V (V),Verr,Vnobs,Johnson_B (B),Berr,Bnobs,'
    "Sloan_u (SU),SUerr,SUnobs,Sloan_g (SG),SGerr,SGnobs,Sloan_r (SR),SRerr,SRnobs,Sloan_i (SI),SIerr,SInobs,"
    "Sloan_z (SZ),SZerr,SZnobs,PanSTARRS_Y (Y),Yerr,Ynobs\n"
)
FULL = (
    "83.800000,0.310,-5.400000,0.280,14.500,0.040,5,15.100,0.050,5,NA,NA,0,14.800,0.030,5,14.300,0.020,5,"
    "14.100,0.060,4,14.000,0.070,3,13.900,0.090,1\n"
)
POOR = (
    "83.900000,0.510,-5.300000,0.480,16.000,-0.000,1,NA,NA,0,NA,NA,0,NA,NA,0,15.900,0.100,1,NA,NA,0,"
    "NA,NA,0,NA,NA,0\n"
)
GOOD = (HEAD + FULL + POOR).encode()


def source(server: FaultyServer, *paths: str) -> ApassDR10:
    return ApassDR10([server.url(path) for path in paths or ("/cgi-bin/apass.pl",)], limits=QUICK)


def test_the_columns_are_those_of_every_source(server: FaultyServer) -> None:
    server.say("/cgi-bin", Fault(GOOD, type=CSV))
    one = source(server)
    assert isinstance(one, Source)
    table = one.tile(HERE, Depth(faintest=15.0))
    bands = [f"mag_{band}{err}" for band in one.bands for err in ("", "_err")]
    assert table.colnames == ["id", *COLUMNS, *bands]
    assert table["ra"].value == pytest.approx([83.8, 83.9])
    assert table["ra_err"].to_value("arcsec") == pytest.approx([0.31, 0.51])
    assert table["mag"].value == pytest.approx([14.5, 16.0])
    assert table["color"][0].value == pytest.approx(0.6)
    told = {"V": 14.5, "B": 15.1, "g": 14.8, "r": 14.3, "i": 14.1, "z": 14.0, "Y": 13.9}
    errors = {"V": 0.04, "B": 0.05, "g": 0.03, "r": 0.02, "i": 0.06, "z": 0.07, "Y": 0.09}
    for band, value in told.items():
        assert table[f"mag_{band}"][0].value == pytest.approx(value), band
        assert table[f"mag_{band}_err"][0].value == pytest.approx(errors[band]), band
    assert np.isnan(table["mag_u"]).all() and np.isnan(table["mag_B"][1])
    assert np.isnan(table["mag_err"][1])  # seen once: an error of nought is none
    assert np.isnan(table["parallax"]).all() and np.isnan(table["pm_dec"]).all()
    assert list(table["id"]) == ["APASS DR10 83.800000-5.400000", "APASS DR10 83.900000-5.300000"]
    assert table.meta["complete"] is True and "lacking" not in table.meta
    assert "Robert Martin Ayers" in table.meta["license"] and "Henden" in table.meta["citation"]
    form = server.asked[0].form
    assert form == {"ra": "83.80000000", "dec": "-5.40000000", "radius": "0.500000", "outtype": "1"}


def test_spellings_of_the_older_form_are_read_too() -> None:
    rows = read_csv(
        b"radeg,raerr,decdeg,decerr,number_of_Obs,Johnson_V,Verr,Johnson_B,B_err,Sloan_g,gerr,Sloan_r,r_err,"
        b"Sloan_i,i_err\r\n83.8,0.3,-5.4,0.2,4,14.5,0.04,15.1,0.05,14.8,0.03,14.3,0.02,14.1,0.06\r\n"
    )
    assert rows["B_err"] == pytest.approx([0.05]) and rows["i_err"] == pytest.approx([0.06])
    assert "z" not in rows


def wrong() -> dict[str, Fault]:
    """Answers that are none."""
    told = {"type": CSV}
    cell = GOOD.replace(b"14.300", b"<b>error</b>")
    return {
        "cut off in a line, no length": Fault(GOOD[:-40], length="none", **told),
        "whole, but without a length": Fault(GOOD, length="none", **told),
        "cut off at the end of a line, no length": Fault((HEAD + FULL).encode(), length="none", **told),
        "cut off in a line": Fault(GOOD[:-40], **told),
        "a cell without an end": Fault(GOOD + b'"' + b"1" * 200_000 + b"\n", **told),
        "cut off before the last newline": Fault(GOOD[:-1], **told),
        "cut off, length told": Fault(GOOD, keep=0.6, **told),
        "cut off, chunked": Fault(GOOD, keep=0.6, length="chunked", **told),
        "stalls": Fault(GOOD, keep=0.5, stall=3.0, **told),
        "login page": Fault(PORTAL, type="text/html"),
        "login page called text": Fault(PORTAL, **told),
        "page without a head": Fault(b"<table border=1>\n<td>RA</td></table>\n", **told),
        "an error as text": Fault(b"Software error: Can't connect to database\n", **told),
        "500": Fault(b"oops", status=500, type="text/plain"),
        "503 with a page": Fault(b"<html><title>Maintenance</title></html>", status=503, type="text/html"),
        "empty": Fault(b"", **told),
        "blanks": Fault(b"\n  \n", **told),
        "other columns": Fault(GOOD.replace(b"Johnson_V", b"Vega_V"), **told),
        "no magnitudes": Fault(b"radeg,decdeg\n83.8,-5.4\n", **told),
        "a cell that is no number": Fault(cell, **told),
        "a place that is none": Fault(GOOD.replace(b"-5.400000", b"NA"), **told),
        "another place": Fault(GOOD.replace(b"83.800000", b"183.80000"), **told),
        "bytes": Fault(b"\xff\xfe\x00" + GOOD, **told),
        "gzip cut off": Fault(gzip.compress(GOOD)[:-60], headers={"Content-Encoding": "gzip"}, **told),
        "sent on to plain HTTP": Fault(b"", status=302, headers={"Location": "http://portal.example/"}),
    }


@pytest.mark.parametrize("what", wrong())
def test_no_bad_answer_becomes_a_table(server: FaultyServer, what: str) -> None:
    server.say("/cgi-bin", wrong()[what])
    with pytest.raises(CatalogError, match=r"gave no usable answer: 127\.0\.0\.1") as caught:
        source(server).tile(HERE, Depth())
    assert caught.value.remedy and "\n" not in str(caught.value)
    assert caught.value.where.startswith("APASS DR10")


def test_compressed_and_chunked_answers_are_whole(server: FaultyServer) -> None:
    packed = Fault(gzip.compress(GOOD), type=CSV, length="none", headers={"Content-Encoding": "gzip"})
    for fault in (packed, Fault(GOOD, type=CSV, length="chunked")):
        server.say("/cgi-bin", fault)
        assert len(source(server).tile(HERE, Depth())) == 2


def test_no_star_is_an_answer(server: FaultyServer) -> None:
    server.say("/cgi-bin", Fault(HEAD.encode(), type=CSV))
    table = source(server).tile(HERE, Depth())
    assert len(table) == 0 and "mag_V_err" in table.colnames


def test_a_radius_beyond_the_limit_is_not_asked(server: FaultyServer) -> None:
    with pytest.raises(CatalogError, match=r"radius of 15\.5 deg; the AAVSO gives up to 15"):
        source(server).tile(Region(10, 10, MOST_DEGREES + 0.5), Depth())
    assert server.count() == 0


def test_what_is_not_encrypted_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)
    with pytest.raises(CatalogError, match="not encrypted"):
        ApassDR10(["http://www.example.org/apass.pl"], limits=QUICK).tile(HERE, Depth())
    assert all(one.startswith("https://") for one in ADDRESSES)


SCHEMA = {"column_name": ("*", "")}
TAP = {
    "ra": ("double", "deg"), "dec": ("double", "deg"), "mag_v": ("float", "mag"),
    "err_mag_v": ("float", "mag"),
    **{name: ("float", "mag") for band in "bgri" for name in (f"mag_{band}", f"err_mag_{band}")},
}  # fmt: skip
STAR: list[Cell] = [83.8, -5.4, 14.5, 0.04, 15.1, 0.05, 14.8, 0.03, 14.3, 0.02, 14.1, 0.06]


def gavo(server: FaultyServer, *answers: bytes, columns: tuple[str, ...] = tuple(TAP)) -> None:
    """Let ``/tap`` answer the question for its columns, then others."""
    schema = table_of(SCHEMA, [[name] for name in columns])
    server.say("/tap/sync", Fault(schema), *(Fault(answer) for answer in answers))


def test_the_same_star_from_the_other_service(server: FaultyServer) -> None:
    server.say("/cgi-bin", Fault(b"<html><title>Moved</title></html>", status=404, type="text/html"))
    gavo(server, table_of(TAP, [STAR]))
    one = source(server, "/cgi-bin/apass.pl", "/tap")
    table = one.tile(HERE, Depth(faintest=16.5))
    assert table.meta["server"].endswith("/tap") and table.meta["complete"] is True
    assert table["mag_r"][0].value == pytest.approx(14.3) and table["mag_err"][0].value == pytest.approx(0.04)
    assert {"z", "Y", "ra_err"} <= set(table.meta["lacking"]) and np.isnan(table["mag_z"][0])
    server.say("/cgi-bin", Fault((HEAD + FULL).encode(), type=CSV))
    plain = source(server).tile(HERE, Depth())
    assert list(plain["id"]) == list(table["id"])
    for name in ("ra", "dec", "mag", "color", "mag_i", "mag_g_err"):
        assert plain[name][0].value == pytest.approx(table[name][0].value, abs=1e-5), name
    adql = server.asked[2].form["QUERY"]
    assert adql.startswith("SELECT TOP 500001 ra, dec, mag_b, mag_v, mag_g, mag_r, mag_i, ")
    assert "FROM apass.dr10" in adql and "CIRCLE('ICRS', 83.8000000000" in adql and "mag_v <= 16.5000" in adql
    before = server.count("/cgi-bin")
    one.tile(HERE, Depth())
    assert server.count("/cgi-bin") == before  # the one that answered is asked first, its schema once


def test_a_cut_table_says_so_and_another_schema_is_refused(server: FaultyServer) -> None:
    gavo(server, table_of(TAP, [STAR], overflow=True))
    assert source(server, "/tap").tile(HERE, Depth()).meta["complete"] is False
    gavo(server, table_of(TAP, [STAR]), columns=("ra", "dec", "vmag"))
    with pytest.raises(CatalogError, match=r"no columns mag_b, mag_g, mag_i, mag_r, mag_v in apass\.dr10"):
        source(server, "/tap").tile(HERE, Depth())


def test_by_name_through_the_cache_and_never_poisoned(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path))
    monkeypatch.setenv(PLACES, server.url("/cgi-bin/apass.pl"))
    assert source_of("APASS DR10").name == source_of("apass10").name == "apass-dr10"
    region = Region(83.8, -5.4, 0.2)
    for fault in (wrong()["login page"], wrong()["cut off in a line"], wrong()["another place"]):
        server.say("/cgi-bin", fault)
        with pytest.warns(CatalogWarning, match="The embedded catalog takes its place"):
            assert cone((83.8, -5.4), 0.2, catalog="apass-dr10").meta["fallback"]
        missing, tiles = missing_tiles(source_of("apass-dr10"), region, None)
        assert len(missing) == tiles  # nothing was kept
    server.say("/cgi-bin", Fault(GOOD, type=CSV))
    table = cone((83.8, -5.4), 0.2, catalog="apass-dr10", fallback=False)
    assert list(table["mag"].value) == pytest.approx([14.5, 16.0])
    assert "AAVSO" in table.meta["license"] and "Henden et al. 2018" in table.meta["citation"]
    asked = server.count()
    again = cone((83.8, -5.4), 0.2, catalog="apass-dr10", fallback=False, offline=True)
    assert len(again) == 2 and server.count() == asked


def test_bad_text_is_called_what_it_is() -> None:
    for text, words in (
        (b"a,b\n1,2\n", "without radeg, decdeg, johnson_b"),
        (GOOD[:-40] + b"\n", "line 3 is cut off"),
        (GOOD.replace(b"14.300", b"1e"), r"'1e' as Sloan_r \(SR\), which is no number"),
    ):
        with pytest.raises(Trouble, match=words):
            read_csv(text)
