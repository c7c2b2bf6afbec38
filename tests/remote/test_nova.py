"""nova.astrometry.net, played by a server of ours: what is sent, what is never sent, and how it fails."""

import logging
import time

import numpy as np
import pytest
from astropy.io import fits
from fake_nova import FakeNova, running

from sciastro.core.platequery import PlateQuery
from sciastro.core.wcs import center, tan_wcs, wcs_to_header
from sciastro.errors import SolveError
from sciastro.remote import nova
from sciastro.remote.nova import ask_nova

SHAPE = (600, 800)
KEY = "sesame-5up3r5ecret"
CARDS = wcs_to_header(tan_wcs(83.0, 21.0, 12.0, SHAPE))
HEADER = fits.PrimaryHDU(header=CARDS).header.tostring().encode()


class Notes(dict):
    """A memory that lasts as long as the test."""

    recall = dict.get

    def keep(self, name, note):
        self[name] = note

    def forget(self, name):
        self.pop(name, None)


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """Import what is imported where it is used, so that no test times that."""
    import astrometry_net_client  # noqa: F401

    import sciastro.remote.bridge  # noqa: F401


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(nova, "FIRST", 0.02)
    monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)


def query(**known):
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 800, 30), rng.uniform(0, 600, 30)
    return PlateQuery(x=x, y=y, flux=np.linspace(9, 1, 30), shape=SHAPE, **known)


def ask(state, *, seconds=10.0, memory=None, key=KEY, **known):
    with running(state) as url:
        return ask_nova(query(**known), key=key, until=time.monotonic() + seconds, memory=memory, url=url)


def test_a_star_list_is_solved_privately():
    state = FakeNova(HEADER)
    wcs = ask(state, scale_low=10.0, scale_high=14.0, ra=83.5, dec=21.0, radius=3.0)
    np.testing.assert_allclose(center(wcs, SHAPE), (83.0, 21.0), atol=1e-6)
    (told,) = state.uploads
    assert (told["publicly_visible"], told["allow_modifications"], told["allow_commercial_use"]) == tuple(
        "nnn"
    )
    assert len(told["x"]) == len(told["y"]) == 30
    assert told["x"][0] == pytest.approx(query().x[0] + 1, abs=1e-3)  # FITS counts from 1
    assert (told["image_width"], told["image_height"]) == (800, 600)
    assert (told["scale_units"], told["scale_lower"], told["scale_upper"]) == ("arcsecperpix", 10.0, 14.0)
    assert (told["center_ra"], told["center_dec"], told["radius"]) == (83.5, 21.0, 3.0)


def test_the_key_is_not_told_to_a_server_that_is_not_encrypted():
    state = FakeNova(HEADER)
    ask(state)
    assert state.asked[0] == ("/api/login", {"apikey": "local"})
    with pytest.raises(SolveError, match="not encrypted"):
        ask_nova(query(), key=KEY, until=time.monotonic() + 5, url="http://nova.example")


def test_the_key_is_nowhere_to_be_read(caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(nova, "LOOPBACK", frozenset())  # as if this machine were the service
    state = FakeNova(HEADER, "bad-key")
    with pytest.raises(SolveError, match="does not accept the API key") as caught:
        ask(state)
    assert state.asked[0][1] == {"apikey": KEY}
    assert KEY not in str(caught.value) and KEY not in caplog.text
    ask(FakeNova(HEADER))
    assert KEY not in caplog.text and "session-1" not in caplog.text


def test_a_lost_session_is_renewed_over_the_same_link():
    state = FakeNova(HEADER, "forgetful")
    ask(state)
    assert [path for path, _ in state.asked][:4] == ["/api/login", "/api/upload"] * 2


@pytest.mark.parametrize(
    "mode, words",
    [
        ("portal", r"a web page \('Hotel WiFi'\).*[Ll]og in to the network"),
        ("redirect", "a web page, HTTP 302"),
        ("broken", "HTTP 500"),
        ("cut", "broke off"),
        ("failure", r"did not solve it \(job 42\)"),
    ],
)
def test_bad_answers_are_told_for_what_they_are(mode, words):
    with pytest.raises(SolveError, match=words) as caught:
        ask(FakeNova(HEADER, mode))
    assert caught.value.where == "nova.astrometry.net" and caught.value.remedy


@pytest.mark.parametrize("mode", ["hang", "drip", "endless"])
def test_time_is_kept(mode):
    start = time.monotonic()
    with pytest.raises(SolveError):
        ask(FakeNova(HEADER, mode), seconds=0.7)
    assert time.monotonic() - start < 15  # it would be minutes; the machine may be busy


def test_a_look_that_fails_is_repeated():
    np.testing.assert_allclose(center(ask(FakeNova(HEADER, "flaky")), SHAPE), (83.0, 21.0), atol=1e-6)


def test_a_job_is_taken_up_again():
    state, notes = FakeNova(HEADER, "endless"), Notes()
    with running(state) as url:
        for mode in ("endless", "good"):
            state.mode = mode
            until = time.monotonic() + (1.5 if mode == "endless" else 10)
            if mode == "endless":
                with pytest.raises(SolveError, match="takes the job up again"):
                    ask_nova(query(), key=KEY, until=until, memory=notes, url=url)
                assert len(notes) == 1 and KEY not in str(notes)
            else:
                ask_nova(query(), key=KEY, until=until, memory=notes, url=url)
    assert len(state.uploads) == 1 and not notes


def test_a_submission_that_is_gone_is_sent_again():
    state, notes = FakeNova(HEADER, "gone"), Notes()
    with running(state) as url:
        notes[f"nova-{query().digest()}"] = {"submission": 1, "time": time.time(), "url": url}
        ask_nova(query(), key=KEY, until=time.monotonic() + 10, memory=notes, url=url)
    assert len(state.uploads) == 1


def test_a_wcs_that_is_none():
    with pytest.raises(SolveError, match="something else"):
        ask(FakeNova(b"SIMPLE  =                    T".ljust(80) + b"END".ljust(80)))


NONSENSE = (
    b"", b"[]", b"null", b'"x"', b"7", b"{}", b'{"status": "error"}', b"[" * 100_000,
    b'{"status": "error", "errormessage": 7}', b'{"status": "done"}', b"SIMPLE  =    T", b"\xff\xfe\x00",
    b'{"subid": "7", "jobs": 3, "session": 9}', b'{"jobs": [], "status": []}',
)  # fmt: skip


@pytest.mark.parametrize(
    "at", ["/api/login", "/api/upload", "/api/submissions/701", "/api/jobs/42", "/wcs_file/42"]
)
def test_nonsense_is_never_more_than_an_error_of_ours(at):
    state = FakeNova(HEADER)
    with running(state) as url:
        for state.body in NONSENSE:
            for state.kind in ("text/plain", "application/fits", "image/png; x"):
                state.at = at.replace("701", str(701 + len(state.uploads)))
                with pytest.raises(SolveError):
                    ask_nova(query(), key=KEY, until=time.monotonic() + 0.3, url=url)


def test_no_key_no_network(monkeypatch):
    with pytest.raises(SolveError, match="ASTROMETRY_NET_API_KEY"):
        ask_nova(query(), key=None, until=time.monotonic() + 5)
    monkeypatch.setenv("SCIASTRO_OFFLINE", "1")
    with pytest.raises(SolveError, match="SCIASTRO_OFFLINE"):
        ask_nova(query(), key=KEY, until=time.monotonic() + 5)
