"""A real TAP server on this machine, asked directly and through a proxy that goes wrong.

It is not part of the project: where none answers (127.0.0.1:8080, or SCIASTRO_TAP_URL) these tests are
skipped.
"""

import time
from dataclasses import replace

import numpy as np
import pytest
from faulty import TAP, Fault, FaultyServer, tap_runs

from sciastro.errors import CatalogError
from sciastro.remote.columns import Depth, Region
from sciastro.remote.gaia import GaiaDR3
from sciastro.remote.limits import Limits

REAL = TAP.removesuffix("/tap")
HERE = Region(83.8, -5.4, 0.2)
PATIENT = Limits(connect=5, read=60, total=120)
QUICK = Limits(connect=5, read=4.0, total=20, attempts=2, pause=0.05, max_bytes=20_000_000)
BUDGET = 60.0  # seconds


pytestmark = [
    pytest.mark.skipif(REAL == TAP or not tap_runs(), reason=f"no TAP server at {REAL}/tap"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)


@pytest.fixture(scope="module")
def truth():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SCIASTRO_OFFLINE", raising=False)
        return GaiaDR3([f"{REAL}/tap"], limits=PATIENT).tile(HERE, Depth())


def same(first, second) -> None:
    assert list(first["id"]) == list(second["id"])
    for name in first.colnames[1:]:
        np.testing.assert_array_equal(first[name].value, second[name].value)


def test_stars_are_where_they_were_asked_for(truth) -> None:
    assert len(truth) > 20
    east = (truth["ra"].value - HERE.ra) * np.cos(np.radians(HERE.dec))
    apart = np.hypot(east, truth["dec"].value - HERE.dec)
    assert apart.max() <= HERE.radius * 1.001
    assert truth.meta["complete"]
    assert set(truth.meta.get("lacking", [])) <= {
        "ra_error",
        "dec_error",
        "pmra_error",
        "pmdec_error",
        "parallax_error",
        "phot_g_mean_flux_over_error",
        "phot_bp_mean_flux_over_error",
        "phot_rp_mean_flux_over_error",
    }  # what the local table does not have is NaN, and told


def test_through_an_honest_proxy_nothing_changes(truth) -> None:
    with FaultyServer(REAL) as proxy:
        same(GaiaDR3([proxy.url("/tap")], limits=PATIENT).tile(HERE, Depth()), truth)
        assert proxy.count("/tap") >= 1


FAULTS = {
    "silent": Fault(silence=30),
    "cut off": Fault(keep=0.5),
    "cut off, no length": Fault(keep=0.5, length="none"),
    "cut off, chunked": Fault(keep=0.5, length="chunked"),
    "stalls": Fault(keep=0.5, stall=30),
    "hangs up": Fault(hangup=True),
    "500": Fault(b"oops", status=500, type="text/plain"),
    "500 with the table": Fault(status=500),
    "login page": Fault(b"<html><title>Hotel</title></html>", type="text/html"),
    "other columns": Fault(swap=(rb'name="ra"', b'name="rho"')),
    "other units": Fault(swap=(rb'unit="deg"', b'unit="kg"')),
    "empty": Fault(b""),
}


SAID = {
    "silent": "silent", "cut off": "broke off", "cut off, no length": "cut off",
    "cut off, chunked": "broke off",
    "stalls": "fell silent", "hangs up": "closes the connection", "500": "500", "500 with the table": "500",
    "login page": "'Hotel'", "other columns": "without ra", "other units": "'kg'", "empty": "nothing",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("what", FAULTS)
def test_a_spoilt_answer_is_an_error(what: str) -> None:
    with FaultyServer(REAL) as proxy:
        proxy.say("/tap", FAULTS[what])
        started = time.monotonic()
        with pytest.raises(CatalogError) as caught:
            GaiaDR3([proxy.url("/tap")], limits=QUICK).tile(HERE, Depth())
        assert time.monotonic() - started < BUDGET
        error = caught.value
        assert error.found and error.where.startswith("Gaia DR3") and error.remedy, what
        assert SAID[what] in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["cut off", "login page"])
def test_a_mirror_helps(truth, what: str) -> None:
    with FaultyServer(REAL) as proxy:
        proxy.say("/tap", FAULTS[what])
        archives = [proxy.url("/tap"), f"{REAL}/tap"]
        got = GaiaDR3(archives, limits=replace(PATIENT, attempts=2, pause=0.05)).tile(HERE, Depth())
        same(got, truth)


@pytest.mark.slow
def test_trouble_that_passes_is_not_noticed(truth) -> None:
    with FaultyServer(REAL) as proxy:
        proxy.say("/tap", Fault(b"", status=503), Fault(keep=0.3), Fault())
        got = GaiaDR3([proxy.url("/tap")], limits=replace(PATIENT, attempts=4, pause=0.05)).tile(
            HERE, Depth()
        )
        same(got, truth)
        assert proxy.count() >= 3


@pytest.mark.slow
def test_jobs_go_through_too(truth) -> None:
    with FaultyServer(REAL) as proxy:
        source = GaiaDR3([proxy.url("/tap")], limits=PATIENT)
        wide = source.tile(Region(83.8, -5.4, 8.0), Depth())  # more stars than fit into one request
        assert any(one.path.startswith("/tap/async") for one in proxy.asked)
        assert any(one.method == "DELETE" for one in proxy.asked)
        assert set(truth["id"]) <= set(wide["id"])


def test_other_packages_go_through_our_transport(truth) -> None:
    pyvo = pytest.importorskip("pyvo")
    from sciastro.remote.transport import session

    with FaultyServer(REAL) as proxy:
        service = pyvo.dal.TAPService(proxy.url("/tap"), session=session(PATIENT))
        circle = f"CIRCLE('ICRS', {HERE.ra}, {HERE.dec}, {HERE.radius})"
        adql = (
            "SELECT TOP 5 source_id, ra, dec FROM gaiadr3.gaia_source "
            f"WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), {circle})"
        )
        got = service.run_sync(adql)
        assert len(got) == 5
        assert {f"Gaia DR3 {one}" for one in got["source_id"]} <= set(truth["id"])
        assert all(one.headers["User-Agent"].startswith(("sciastro/", "python-")) for one in proxy.asked)
        proxy.say("/tap", Fault(keep=0.5))
        with pytest.raises(pyvo.dal.DALFormatError, match="broke off"):
            service.run_sync(adql)
