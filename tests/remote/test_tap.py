"""TAP with a server that goes wrong on purpose: jobs end, errors are errors, a cut table is never whole."""

import io
import time
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, Table
from faulty import PORTAL, Fault, FaultyServer

from sciastro.errors import CatalogError
from sciastro.remote.columns import COLUMNS, Depth, Region
from sciastro.remote.gaia import NEEDED, WELCOME, GaiaDR3, gaia_adql, gaia_to_b_v, gaia_to_v
from sciastro.remote.limits import Limits
from sciastro.remote.tap import Query, ask_tap
from sciastro.remote.trouble import Trouble
from sciastro.remote.votable import ServerError

QUICK = Limits(connect=1.0, read=1.0, total=3.0, attempts=2, pause=0.01)
HERE = Region(83.8, -5.4, 0.2)
IDS = [3017000000000000001, 3017000000000000003, 9223372036854775807]


def votable(columns=(*NEEDED, *WELCOME), rows=3, status="OK", tail="", units=None):
    """A table as a TAP server sends it."""
    table = Table()
    for name in columns:
        values = np.array([10.0, 11.0, 12.0] if name.startswith("phot_") else [1.0, 2.0, 3.0])
        unit = {**NEEDED, **WELCOME, **(units or {})}[name]
        if name == "source_id":
            table[name] = np.array(IDS, np.int64)
            continue
        if name == "ra":
            values = np.array([83.8, 83.85, 83.75])
        if name == "dec":
            values = np.array([-5.4, -5.35, -5.45])
        if name == "ref_epoch":
            values = np.full(3, 2016.0)
        null = [False, False, name in {"pmra", "pmdec", "parallax"}]
        table[name] = MaskedColumn(values, mask=null, unit=unit or None)
    text = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table[:rows].write(text, format="votable")
    info = f'<INFO name="QUERY_STATUS" value="{status}">because</INFO>'.encode()
    content = text.getvalue().replace(b"<TABLE", info + b"<TABLE", 1)
    return content.replace(b"</TABLE>", b"</TABLE>" + tail.encode(), 1)


ERROR = (
    b'<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
    b'<RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">No such table: gaiadr9</INFO>'
    b"</RESOURCE></VOTABLE>"
)


def source(server, **options):
    return GaiaDR3([server.url("/tap")], limits=QUICK, **options)


def test_the_query_is_explicit(server: FaultyServer) -> None:
    server.say("/tap/sync", Fault(votable()))
    found = source(server, rows=1000).tile(HERE, Depth(14.0))
    form = server.asked[0].form
    assert form["QUERY"] == (
        "SELECT TOP 1001 source_id, ra, dec, ref_epoch, pmra, pmdec, parallax, phot_g_mean_mag, "
        "phot_bp_mean_mag, phot_rp_mean_mag, ra_error, dec_error, pmra_error, pmdec_error, parallax_error, "
        "phot_g_mean_flux_over_error, phot_bp_mean_flux_over_error, phot_rp_mean_flux_over_error "
        "FROM gaiadr3.gaia_source WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', 83.8000000000, "
        "-5.4000000000, 0.2000000000)) AND phot_g_mean_mag <= 14.0000 ORDER BY phot_g_mean_mag, source_id"
    )
    assert form["MAXREC"] == "1001" and form["LANG"] == "ADQL" and form["REQUEST"] == "doQuery"
    assert found.meta["query"] == form["QUERY"] and found.meta["complete"]
    assert "e-" not in gaia_adql(Region(1e-9, -1e-9, 1e-7), Depth(), 10, ["ra"])


def test_numbers_names_and_nulls(server: FaultyServer) -> None:
    server.say("/tap/sync", Fault(votable()))
    found = source(server).tile(HERE, Depth(14.0))
    assert found["id"].tolist() == [f"Gaia DR3 {one}" for one in IDS]
    assert np.isnan(found["pm_dec"].value).tolist() == [False, False, True]
    assert found["ra_err"].unit == u.arcsec and found["ra_err"].to_value(u.mas) == pytest.approx([1, 2, 3])
    assert found["mag_G_err"].value[0] == pytest.approx(2.5 / np.log(10) / 10)
    assert found.colnames[1 : len(COLUMNS) + 1] == list(COLUMNS)
    assert found["g_mag"].value.tolist() == [10, 11, 12] and found["bp_rp"].value.tolist() == [0, 0, 0]
    assert np.all(found["epoch"].value == 2016.0) and found.meta["epoch"] == 2016.0


def test_johnson_magnitudes_are_those_of_the_embedded_catalog() -> None:
    from sciastro.io import reference

    stars = reference.cone(83.8, -5.4, 20.0)
    g, color = stars["g_mag"].value, stars["bp_rp"].value
    known = np.isfinite(g) & np.isfinite(color) & (color > -0.3) & (color < 2.2)
    # Most of them are from Gaia's bands there, rounded to 0.001; the others from Hipparcos or Tycho.
    assert np.median(np.abs(gaia_to_v(g, color) - stars["mag"].value)[known]) < 0.001
    assert np.nanmedian(np.abs(gaia_to_b_v(color) - stars["color"].value)[known]) < 0.001
    assert np.isnan(gaia_to_b_v(np.array([-0.4, 2.3, np.nan]))).all()


@pytest.mark.parametrize(
    ("content", "complete"),
    [
        (votable(), True),
        (votable(status="OVERFLOW"), False),
        (votable(tail='<INFO name="QUERY_STATUS" value="OVERFLOW"/>'), False),
    ],
)
def test_an_overflow_is_told(server: FaultyServer, content: bytes, complete: bool) -> None:
    server.say("/tap/sync", Fault(content))
    assert source(server).tile(HERE, Depth(14.0)).meta["complete"] is complete


def test_one_row_more_than_asked_for_is_a_cut(server: FaultyServer) -> None:
    server.say("/tap/sync", Fault(votable()))
    assert source(server, rows=3).tile(HERE, Depth(14.0)).meta["complete"]
    assert not source(server, rows=2).tile(HERE, Depth(14.0)).meta["complete"]


@pytest.mark.parametrize("status", [200, 400, 500])
def test_an_error_is_an_error_with_any_state(server: FaultyServer, status: int) -> None:
    server.say("/tap/sync", Fault(ERROR, status=status))
    with pytest.raises(CatalogError, match=r"127\.0\.0\.1:\d+ refuses: No such table: gaiadr9"):
        source(server).tile(HERE, Depth(14.0))


BAD = {
    "a web page": (Fault(PORTAL, type="text/html"), "web page titled 'Hotel Aurora Wi-Fi'"),
    "a page with 503": (Fault(PORTAL, status=503, type="text/html"), "web page .* with HTTP 503"),
    "nothing": (Fault(b""), "sends nothing"),
    "cut off": (Fault(votable(), keep=0.7, length="none"), "cut off|damaged"),
    "cut off, told": (Fault(votable(), keep=0.7), "broke off"),
    "text": (Fault(b"java.lang.NullPointerException", type="text/plain"), "sends no VOTable"),
    "other columns": (Fault(votable(["source_id", "ra", "dec"])), "without ref_epoch, pmra"),
    "other units": (Fault(votable(units={"pmra": "km"})), "'pmra' in 'km'"),
    "no table": (Fault(ERROR.replace(b"ERROR", b"OK")), "without a table"),
    "text ids": (Fault(votable().replace(b'datatype="long"', b'arraysize="*" datatype="char"')), "source_id"),
    "no place": (Fault(votable().replace(b"83.85", b"783.8")), "out of range"),
    "silent": (Fault(votable(), silence=20.0), "silent|did not finish"),
    "hangs up": (Fault(hangup=True), "closes the connection"),
}


@pytest.mark.parametrize("what", BAD)
def test_no_bad_answer_becomes_a_table(server: FaultyServer, what: str) -> None:
    fault, words = BAD[what]
    server.say("/tap/sync", fault)
    start = time.monotonic()
    with pytest.raises(CatalogError, match=words) as told:
        source(server).tile(HERE, Depth(14.0))
    assert time.monotonic() - start < QUICK.total + 12.0
    assert str(told.value).startswith("Gaia DR3 (gaiadr3.gaia_source): gave no usable answer: ")


def test_numbers_that_lie_elsewhere_are_not_fetched(server: FaultyServer) -> None:
    secret = server.say("/secret", Fault(b"0" * 64))
    head, tail = votable(NEEDED).split(b"<DATA>")[0], b"</DATA></TABLE></RESOURCE></VOTABLE>"
    stream = f'<STREAM type="a>b"\n href="{secret}"/>'
    for form in ("BINARY", "BINARY2", "FITS"):
        server.say("/tap/sync", Fault(head + f"<DATA><{form}>{stream}</{form}>".encode() + tail))
        with pytest.raises(CatalogError, match="points to other addresses"):
            source(server).tile(HERE, Depth())
    entity = b"<!DOCTYPE VOTABLE [<!ENTITY s '<STREAM href=\"file:///etc/hostname\"/>'>]>"
    server.say("/tap/sync", Fault(votable().replace(b"<VOTABLE", entity + b"<VOTABLE", 1)))
    with pytest.raises(CatalogError, match="points to other addresses"):
        source(server).tile(HERE, Depth())
    assert server.count("/secret") == 0


def test_a_mirror_helps_out_and_lacking_columns_are_told(server: FaultyServer) -> None:
    with FaultyServer() as second:
        server.say("/tap/sync", Fault(PORTAL, type="text/html"))
        names = Table({"column_name": [*NEEDED, "ra_error"]})
        text = io.BytesIO()
        names.write(text, format="votable")
        schema = text.getvalue()
        second.say("/tap/sync", Fault(ERROR), Fault(schema), Fault(votable([*NEEDED, "ra_error"])))
        both = GaiaDR3([server.url("/tap"), second.url("/tap")], limits=QUICK)
        found = both.tile(HERE, Depth(14.0))
        assert found.meta["server"] == second.url("/tap") and "dec_error" in found.meta["lacking"]
        assert np.isfinite(found["ra_err"].value).all() and np.isnan(found["dec_err"].value).all()
        both.tile(HERE, Depth(14.0))
        assert second.count() == 4  # it is not asked for its columns again
        assert "dec_error" not in second.asked[-1].form["QUERY"]


def test_every_archive_is_named_with_what_it_did(server: FaultyServer) -> None:
    with FaultyServer() as second:
        server.say("/tap/sync", Fault(PORTAL, type="text/html"))
        second.say("/tap/sync", Fault(ERROR))
        with pytest.raises(CatalogError, match=r"web page.*; 127\.0\.0\.1:\d+ refuses: No such table"):
            GaiaDR3([server.url("/tap"), second.url("/tap")], limits=QUICK).tile(HERE, Depth(14.0))


# --- jobs -------------------------------------------------------------------------------------------


def job(server: FaultyServer, *phases: str, result: Fault | None = None, location: str = "") -> str:
    where = location or server.url("/tap/async/job-1")
    server.say("/tap/async", Fault(b"", status=303, headers={"Location": where}))
    server.say("/tap/async/job-1", Fault(b"gone", status=303, headers={"Location": server.url("/tap/async")}))
    # The first answer is to the order to run.
    server.say("/tap/async/job-1/phase", Fault(b"", status=303), *(Fault(one.encode()) for one in phases))
    server.say("/tap/async/job-1/results/result", result or Fault(votable()))
    server.say("/tap/async/job-1/error", Fault(ERROR))
    return server.url("/tap")


QUERY = Query("SELECT TOP 4 ra FROM t", 4, {"ra": "deg"}, {}, job=True)


def run(base: str, seconds: float = 3.0) -> Table:
    return ask_tap(base, QUERY, limits=QUICK, until=time.monotonic() + seconds).table


def told(server: FaultyServer) -> list[tuple[str, str]]:
    return [(one.method, one.path.removeprefix("/tap/async")) for one in server.asked]


def test_a_job_runs_and_is_deleted(server: FaultyServer) -> None:
    base = job(server, "QUEUED", "EXECUTING\n", "COMPLETED")
    assert len(run(base)) == 3
    assert told(server) == [
        ("POST", ""), ("POST", "/job-1/phase"), ("GET", "/job-1/phase"), ("GET", "/job-1/phase"),
        ("GET", "/job-1/phase"), ("GET", "/job-1/results/result"), ("DELETE", "/job-1"),
    ]  # fmt: skip
    assert server.asked[1].form == {"PHASE": "RUN"}


@pytest.mark.parametrize("phase", ["PENDING", "EXECUTING", "QUEUED", "HELD"])
def test_a_job_that_does_not_end_is_given_up_aborted_and_deleted(server: FaultyServer, phase: str) -> None:
    base = job(server, phase)
    start = time.monotonic()
    with pytest.raises(Trouble, match=f"{phase}.* given up"):
        run(base, 2.0)
    assert time.monotonic() - start < 15.0  # not the minutes of a job; the machine may be busy
    assert told(server)[-2:] == [("POST", "/job-1/phase"), ("DELETE", "/job-1")]
    assert server.asked[-2].form == {"PHASE": "ABORT"}
    orders = [one.form for one in server.asked if one.method == "POST" and one.path.endswith("/phase")]
    assert orders.count({"PHASE": "RUN"}) <= 2


def test_a_job_that_fails_says_why(server: FaultyServer) -> None:
    base = job(server, "ERROR")
    with pytest.raises(ServerError, match="No such table: gaiadr9"):
        run(base)
    assert told(server)[-1] == ("DELETE", "/job-1")


@pytest.mark.parametrize(
    ("phases", "result", "words"),
    [
        (("COMPLETED",), Fault(PORTAL, type="text/html"), "web page"),
        (("COMPLETED",), Fault(votable(), keep=0.5), "broke off"),
        (("ABORTED",), None, "ended the job in the phase ABORTED"),
        (("<html>",), None, "nothing sensible about the job"),
    ],
)
def test_jobs_that_go_wrong(server: FaultyServer, phases, result, words) -> None:
    base = job(server, *phases, result=result)
    with pytest.raises(Trouble, match=words):
        run(base)
    assert told(server)[-1] == ("DELETE", "/job-1")


@pytest.mark.parametrize(
    "where", ["http://evil.example/", "/tap/async/..", "/tap/async/a b", "http://[", "/"]
)
def test_a_job_with_a_strange_address_is_not_followed(server: FaultyServer, where: str) -> None:
    base = job(server, "COMPLETED", location=where)
    with pytest.raises(Trouble):
        run(base)
    assert told(server) == [("POST", "")]


def test_a_job_named_by_another_host_is_asked_for_where_it_was_made(server: FaultyServer) -> None:
    base = job(server, "COMPLETED", location="http://internal.archive.example:8080/tap/async/job-1")
    assert len(run(base)) == 3


def test_a_server_that_cannot_delete_is_asked_in_the_older_way(server: FaultyServer) -> None:
    base = job(server, "COMPLETED")
    server.say("/tap/async/job-1", Fault(b"no", status=405), Fault(b"", status=303))
    assert len(run(base)) == 3
    assert told(server)[-2:] == [("DELETE", "/job-1"), ("POST", "/job-1")]
    assert server.asked[-1].form == {"ACTION": "DELETE"}


def test_large_regions_are_jobs(server: FaultyServer) -> None:
    job(server, "COMPLETED")
    assert len(source(server).tile(Region(83.8, -5.4, 2.0), Depth())) == 3
    assert server.count("/tap/sync") == 0


def test_archives_are_encrypted_and_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    from sciastro.remote.gaia import ARCHIVES

    monkeypatch.delenv("SCIASTRO_GAIA_TAP", raising=False)
    assert all(one.startswith("https://") for one in ARCHIVES) and GaiaDR3().archives == ARCHIVES
    monkeypatch.setenv("SCIASTRO_GAIA_TAP", "http://127.0.0.1:9/tap https://other.example/tap")
    assert GaiaDR3().archives == ("http://127.0.0.1:9/tap", "https://other.example/tap")
    with pytest.raises(CatalogError, match="not encrypted"):
        GaiaDR3(["http://gea.esac.esa.int/tap"], limits=QUICK).tile(HERE, Depth(10.0))


def test_the_switch_forbids_the_archives(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIASTRO_OFFLINE", "1")
    with pytest.raises(CatalogError, match="SCIASTRO_OFFLINE"):
        source(server).tile(HERE, Depth(10.0))
    assert server.asked == []
