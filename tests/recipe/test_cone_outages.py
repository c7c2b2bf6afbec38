"""`cone` when servers go wrong: what is kept is whole, what is lost is told, and the cache serves offline."""

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "remote"))

from canned import Cell, gaia, vizier
from faulty import Fault, FaultyServer, broken_lines, wrong_contents

from sciastro.errors import CatalogError
from sciastro.io.skytiles import tiles_folder
from sciastro.recipe.catalogs import CatalogWarning, cone
from sciastro.remote.limits import Limits

QUICK = Limits(connect=5, read=1.0, total=6.0, attempts=1, pause=0.01, max_bytes=2_000_000)
HERE, RADIUS = (83.8, -5.4), 0.2
ROWS: list[list[Cell]] = [
    [
        4774,
        k,
        1,
        83.75 + 0.01 * k,
        -5.4,
        12,
        15,
        1990.0,
        1989.0,
        10.5,
        -20.0,
        1.5,
        1.2,
        10.9,
        0.03,
        10.1,
        0.02,
    ]
    for k in range(10)
]
TYCHO = vizier("I/259/tyc2", ROWS)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """A faulty VizieR and Gaia archive with a mirror each, an empty cache, small time-outs."""
    with FaultyServer() as one:
        monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)
        monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("SCIASTRO_VIZIER", f"{one.url('/cds')} {one.url('/cfa')}")
        monkeypatch.setenv("SCIASTRO_GAIA_TAP", f"{one.url('/esa')} {one.url('/ari')}")
        monkeypatch.setattr("sciastro.remote.catalogs.DEFAULTS", QUICK)
        monkeypatch.setattr("sciastro.remote.catalogs.source_of.__kwdefaults__", {"limits": QUICK})
        yield one


def kept() -> list[Path]:
    return [path for path in tiles_folder().rglob("*") if path.is_file() and path.suffix in {".json", ".npy"}]


BAD = wrong_contents(TYCHO) | {k: v for k, v in broken_lines(TYCHO).items() if k not in {"silent", "drips"}}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_answer_is_not_kept_and_the_embedded_catalog_takes_over(
    server: FaultyServer, what: str
) -> None:
    server.say("/c", BAD[what])
    with pytest.warns(CatalogWarning, match="Tycho-2 .* The embedded catalog takes its place") as told:
        found = cone(HERE, RADIUS, catalog="tycho2")
    assert len(told) == 1
    assert len(found) > 0 and found.meta["fallback"]
    assert not any(name.startswith("TYC 4774-1-1") for name in found["id"])
    assert kept() == []
    with pytest.raises(CatalogError) as caught:
        cone(HERE, RADIUS, catalog="tycho2", fallback=False)
    assert caught.value.found and caught.value.where and caught.value.remedy
    assert kept() == []
    server.say("/cfa", Fault(TYCHO))  # the mirror comes back
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = cone(HERE, RADIUS, catalog="tycho2")
    assert len(got) == 10 and not got.meta.get("fallback")
    assert kept()


def test_what_is_kept_is_not_asked_for_again_and_serves_offline(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.say("/cds", Fault(TYCHO))
    first = cone(HERE, RADIUS, catalog="tycho2")
    asked = server.count()
    second = cone(HERE, RADIUS, catalog="tycho2")
    assert server.count() == asked
    monkeypatch.setenv("SCIASTRO_OFFLINE", "1")
    third = cone(HERE, RADIUS, catalog="tycho2", fallback=False)
    for one in (second, third):
        assert list(one["id"]) == list(first["id"])
        np.testing.assert_array_equal(one["ra"].value, first["ra"].value)
    assert third.meta["citation"].startswith("Hog")
    with pytest.raises(CatalogError, match="network is switched off"):
        cone((120.0, 40.0), RADIUS, catalog="tycho2", fallback=False)


def test_an_answer_that_was_cut_is_never_kept_as_whole(server: FaultyServer) -> None:
    server.say("/c", Fault(vizier("I/259/tyc2", [], overflow=True)))
    with pytest.raises(CatalogError, match="more stars than one answer may have"):
        cone(HERE, RADIUS, catalog="tycho2", fallback=False)
    assert kept() == []


@pytest.mark.parametrize(
    "what", ["login page", "an error, HTTP 200", "cut off at the end of a row", "other columns"]
)
def test_gaia_through_its_archives(server: FaultyServer, what: str) -> None:
    server.say("/esa", wrong_contents(gaia(20))[what])
    server.say("/ari", Fault(gaia(20)))
    got = cone(HERE, RADIUS, catalog="gaia-dr3", mag_limit=14.0, fallback=False)
    assert len(got) == 20
    assert str(got["id"][0]).startswith("Gaia DR3 30172643")
    assert server.count("/ari") >= 1
