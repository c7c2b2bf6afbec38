"""The real TAP server of ../shared/services/tap (DaCHS with a table like Gaia DR3), where it is running.

Skipped where it is not: install.sh and start.sh in that folder, or SCIASTRO_TAP_URL, make it run. The same
tests then go through a proxy that spoils what the real server says.
"""

import csv
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from faulty import PORTAL, TAP, Fault, FaultyServer, tap_runs

from sciastro.errors import CatalogError
from sciastro.io.skytiles import tiles_folder
from sciastro.recipe.catalogs import CatalogWarning, cone
from sciastro.remote.columns import Depth, Region
from sciastro.remote.gaia import GaiaDR3, gaia_adql
from sciastro.remote.limits import Limits
from sciastro.remote.tap import Query, ask_tap
from sciastro.remote.trouble import Trouble

URL = TAP
STARS = Path(os.environ.get("SCIASTRO_TAP_STARS", "/var/gavo/inputs/gaiadr3/data/stars.csv"))
CENTER = (83.8, -5.4)
PATIENT = Limits(connect=5.0, read=30.0, total=90.0, attempts=2, pause=0.1)


pytestmark = [
    pytest.mark.skipif(not tap_runs(), reason=f"no TAP server at {URL} (../shared/services/tap/start.sh)"),
    pytest.mark.filterwarnings("ignore::astropy.io.votable.exceptions.VOWarning"),
]


@pytest.fixture(scope="module")
def truth():
    """The stars that the server was filled with: of its own file, else as make_stars.py writes them."""
    if STARS.is_file() and os.access(STARS, os.R_OK):
        text = STARS.read_text(encoding="ascii")
    else:
        pytest.skip(f"the stars of the server are not at {STARS} (SCIASTRO_TAP_STARS)")
    rows = list(csv.DictReader(text.splitlines()))
    number = {
        name: np.array([float(r[name] or "nan") for r in rows]) for name in rows[0] if name != "source_id"
    }
    return number | {"id": np.array([f"Gaia DR3 {row['source_id']}" for row in rows])}


@pytest.fixture
def archive(monkeypatch, tmp_path):
    monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path))
    monkeypatch.setenv("SCIASTRO_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setenv("SCIASTRO_GAIA_TAP", URL)
    monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)


def inside(truth, radius, center=CENTER):
    places = SkyCoord(truth["ra"] * u.deg, truth["dec"] * u.deg)
    return places.separation(SkyCoord(*center, unit="deg")).deg <= radius


def check(found, truth, wanted):
    """Ids, numbers and nulls are exactly those of the file."""
    assert sorted(found["id"]) == sorted(truth["id"][wanted])
    order = {name: k for k, name in enumerate(truth["id"])}
    rows = np.array([order[name] for name in found["id"]])
    for ours, theirs, digits in (
        ("ra", "ra", 1e-12), ("dec", "dec", 1e-12), ("pm_ra_cosdec", "pmra", 1e-5), ("pm_dec", "pmdec", 1e-5),
        ("parallax", "parallax", 1e-5), ("g_mag", "phot_g_mean_mag", 2e-6), ("epoch", "ref_epoch", 0),
        ("mag_BP", "phot_bp_mean_mag", 2e-6), ("mag_RP", "phot_rp_mean_mag", 2e-6),
    ):  # fmt: skip
        assert np.allclose(found[ours].value, truth[theirs][rows], rtol=0, atol=digits, equal_nan=True), ours
    assert np.isnan(found["parallax"].value).sum() == np.isnan(truth["parallax"][wanted]).sum() > 0


def test_a_cone_is_the_file_and_then_the_cache(archive, truth):
    found = cone(CENTER, 0.5, catalog="gaia-dr3", mag_limit=15.0, band="G", fallback=False)
    wanted = inside(truth, 0.5) & (truth["phot_g_mean_mag"] <= 15.0)
    check(found, truth, wanted)
    assert all(len(name.split()[-1]) == 19 for name in found["id"])
    again = cone(CENTER, 0.5, catalog="gaia-dr3", mag_limit=15.0, band="G", offline=True, fallback=False)
    assert again["id"].tolist() == found["id"].tolist() and again.meta["fetched"] == 0
    assert "dec_error" in found.meta["lacking"]  # this table has no errors; Gaia's has


def test_the_center_is_icrs_to_the_last_star(archive, truth):
    """astroquery asks for an FK5 center, 0.03 arcsec off; one star at the edge tells the difference."""
    away = SkyCoord(truth["ra"] * u.deg, truth["dec"] * u.deg).separation(SkyCoord(*CENTER, unit="deg")).deg
    k = int(np.argmin(np.abs(away - 0.7)))
    for radius, there in ((away[k] + 3e-9, True), (away[k] - 3e-9, False)):  # 10 microarcsec
        found = GaiaDR3(limits=PATIENT).tile(Region(*CENTER, radius), Depth(14.5))
        expected = truth["phot_g_mean_mag"][k] <= 14.5 and there
        assert (truth["id"][k] in found["id"]) == expected
        assert len(found) == int((inside(truth, radius) & (truth["phot_g_mean_mag"] <= 14.5)).sum())


def test_a_top_that_cuts_is_told_and_asked_for_in_pieces(archive, truth, monkeypatch):
    few = GaiaDR3(limits=PATIENT, rows=150)
    assert not few.tile(Region(*CENTER, 0.5), Depth(15.0)).meta["complete"]
    exact = int((inside(truth, 0.1) & (truth["phot_g_mean_mag"] <= 15.0)).sum())
    assert GaiaDR3(limits=PATIENT, rows=exact).tile(Region(*CENTER, 0.1), Depth(15.0)).meta["complete"]
    assert (
        not GaiaDR3(limits=PATIENT, rows=exact - 1).tile(Region(*CENTER, 0.1), Depth(15.0)).meta["complete"]
    )
    few.order = 8
    monkeypatch.setattr("sciastro.recipe.catalogs.source_of", lambda name: few)
    found = cone(CENTER, 0.2, catalog="gaia-dr3", mag_limit=15.0, band="G", fallback=False)
    check(found, truth, inside(truth, 0.2) & (truth["phot_g_mean_mag"] <= 15.0))


def test_a_job_brings_the_same_as_a_request_and_is_deleted(archive):
    adql = "SELECT TOP 400 source_id, ra, dec FROM gaiadr3.gaia_source ORDER BY phot_g_mean_mag, source_id"
    columns = {"source_id": "", "ra": "deg", "dec": "deg"}
    with FaultyServer(URL.removesuffix("/tap")) as proxy:
        tables = [
            ask_tap(
                proxy.url("/tap"), Query(adql, 400, columns, {}, job), limits=PATIENT, until=_soon(60)
            ).table
            for job in (False, True)
        ]
        assert len(tables[0]) == 400 and np.array_equal(tables[0]["source_id"], tables[1]["source_id"])
        assert gone(proxy)


def gone(proxy):
    """Whether the one job that was run through a proxy does not exist any more."""
    jobs = {one.path.split("/")[3] for one in proxy.asked if one.path.startswith("/tap/async/")}
    assert len(jobs) == 1
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{URL}/async/{jobs.pop()}", timeout=10)
    return True


def _soon(seconds):
    return time.monotonic() + seconds


def test_a_job_that_takes_too_long_is_given_up_and_deleted(archive):
    slow = (
        "SELECT TOP 5 a.ra FROM gaiadr3.gaia_source AS a, gaiadr3.gaia_source AS b, gaiadr3.gaia_source AS c "
        "WHERE a.ra + b.ra + c.ra < 0"
    )
    query = Query(slow, 5, {"ra": "deg"}, {}, job=True)
    with FaultyServer(URL.removesuffix("/tap")) as proxy:
        with pytest.raises(Trouble, match="given up"):
            ask_tap(proxy.url("/tap"), query, limits=PATIENT, until=_soon(6))
        assert gone(proxy)


@pytest.mark.parametrize("job", [False, True])
def test_a_query_that_is_wrong_is_refused_in_the_servers_words(archive, job):
    query = Query("SELECT TOP 5 nonsense FROM gaiadr3.gaia_source", 5, {"ra": "deg"}, {}, job)
    with pytest.raises(Trouble, match=r"refuses: .*nonsense"):
        ask_tap(URL, query, limits=PATIENT, until=_soon(30))


def test_pyvo_gets_the_same_stars(archive):
    pyvo = pytest.importorskip("pyvo")
    ours = GaiaDR3(limits=PATIENT).tile(Region(*CENTER, 0.3), Depth(15.0))
    theirs = pyvo.dal.TAPService(URL).run_sync(ours.meta["query"]).to_table()
    assert ours["id"].tolist() == [f"Gaia DR3 {one}" for one in theirs["source_id"]]
    assert np.array_equal(ours["ra"].value, np.asarray(theirs["ra"]))
    assert np.array_equal(np.isnan(ours["parallax"].value), np.ma.getmaskarray(theirs["parallax"]) | np.isnan(
        np.ma.filled(theirs["parallax"], np.nan)))  # fmt: skip


# --- a proxy between us and the real server -----------------------------------------------------------

SPOILED = {
    "cut off half-way": Fault(keep=0.5),
    "cut off, no length": Fault(keep=0.5, length="none"),
    "stalls half-way": Fault(keep=0.5, stall=60.0),
    "an internal error": Fault(status=500, body=b"Traceback (most recent call last)", type="text/plain"),
    "a login page": Fault(body=PORTAL, type="text/html"),
    "other columns": (b"phot_g_mean_mag", b"gmag"),
    "other units": (b'unit="mas/yr"', b'unit="m"'),
}


@pytest.mark.parametrize("what", SPOILED)
def test_what_is_spoiled_on_the_way_is_neither_returned_nor_kept(archive, monkeypatch, what, truth):
    quick = Limits(connect=2.0, read=3.0, total=15.0, attempts=1, pause=0.01)
    with FaultyServer(URL.removesuffix("/tap")) as proxy:
        fault = SPOILED[what]
        if isinstance(fault, tuple):
            adql = gaia_adql(Region(*CENTER, 1.0), Depth(13.0), 10_000, _LOCAL)
            form = {"REQUEST": "doQuery", "LANG": "ADQL", "FORMAT": "votable", "QUERY": adql}
            plain = urllib.request.urlopen(f"{URL}/sync", urllib.parse.urlencode(form).encode(), timeout=30)
            fault = Fault(plain.read().replace(*fault))
        proxy.say("/tap/sync", fault)
        spoiled = GaiaDR3([proxy.url("/tap")], limits=quick)
        spoiled._columns[proxy.url("/tap")] = tuple(name for name in _LOCAL)
        monkeypatch.setattr("sciastro.recipe.catalogs.source_of", lambda name: spoiled)
        with pytest.raises(CatalogError, match="gave no usable answer"):
            cone(CENTER, 0.2, catalog="gaia-dr3", mag_limit=13.0, band="G", fallback=False)
        assert not list(tiles_folder().rglob("*.json")) and not list(tiles_folder().rglob("*.npy"))
        with pytest.warns(CatalogWarning, match="The embedded catalog takes its place"):
            assert len(cone(CENTER, 0.2, catalog="gaia-dr3", mag_limit=13.0, band="G"))
        proxy.say("/tap/sync", Fault())  # well again
        found = cone(CENTER, 0.2, catalog="gaia-dr3", mag_limit=13.0, band="G", fallback=False)
        expected = sorted(truth["id"][inside(truth, 0.2) & (truth["phot_g_mean_mag"] <= 13.0)])
        assert sorted(found["id"]) == expected


_LOCAL = (
    "source_id", "ra", "dec", "ref_epoch", "pmra", "pmdec", "parallax", "phot_g_mean_mag", "phot_bp_mean_mag",
    "phot_rp_mean_mag",
)  # fmt: skip


def test_every_star_of_the_server_in_tiles(archive, truth, monkeypatch):
    monkeypatch.setattr(GaiaDR3, "expected", staticmethod(lambda region, depth: len(truth["id"])))
    found = cone(CENTER, 3.0, catalog="gaia-dr3", fallback=False)
    check(found, truth, inside(truth, 3.0))
    assert len(found) == len(truth["id"]) or len(truth["id"]) > 5000
    again = cone(CENTER, 3.0, catalog="gaia-dr3", offline=True, fallback=False)
    assert again["id"].tolist() == found["id"].tolist()
