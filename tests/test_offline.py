"""The default paths work without a network: not one of them so much as looks for it."""

import ast
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_nights import command, frames, reduce

import sciastro

NETWORK = {
    "aiohttp", "astroquery", "astrometry_net_client", "ftplib", "http", "httpx", "pyvo", "requests",
    "smtplib", "socket", "ssl", "telnetlib", "urllib3",
}  # fmt: skip
ALLOWED = {"core/cluster.py"}  # talks to the scheduler whose address the user gives


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Sockets that go nowhere; what was tried is listed, whoever swallows the error."""
    tried: list[str] = []

    def refuse(what: str) -> Any:
        def refused(*arguments: Any, **_: Any) -> Any:
            tried.append(f"{what}{arguments[-3:]}")
            raise OSError("this test has no network")

        return refused

    for name in ("connect", "connect_ex", "sendto", "bind"):
        monkeypatch.setattr(socket.socket, name, refuse(name))
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse(name))
    for name in ("SCIASTRO_OFFLINE", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield tried
    assert tried == []


def test_the_block_blocks_and_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    from sciastro.errors import CatalogError
    from sciastro.remote.names import resolve

    monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)
    tried = []

    def refused(*arguments: Any, **_: Any) -> Any:
        tried.append(arguments)
        raise socket.gaierror("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    with pytest.raises(CatalogError, match=r"cannot be found .*; .* cannot be found .* Check the network"):
        resolve("M 13")
    assert len(tried) == 2  # each mirror once: a name that is unknown stays so


@pytest.mark.usefixtures("attempts")
def test_a_whole_night_is_reduced(good_night: Path, tmp_path: Path) -> None:
    done = reduce(good_night, tmp_path / "out", until="report")
    assert done.code == 0, done.told
    assert all(product["wcs"] for product in done.summary["products"])


@pytest.mark.usefixtures("attempts")
def test_a_frame_is_solved_and_named_and_a_night_looked_at(night: Path) -> None:
    light = frames(night, "LIGHT")[0]
    done = command("solve", light, "--json", "--no-write")
    assert done.exit_code == 0, done.output
    assert '"solved": true' in done.stdout
    assert command("annotate", light, "--solve", "-o", night / "named.png", "--size", "400").exit_code == 0
    assert command("catalog", "status").exit_code == 0
    assert command("inspect", light).exit_code == 0
    assert command("doctor", night).exit_code in {0, 4}


@pytest.mark.usefixtures("attempts")
def test_the_embedded_catalog_answers() -> None:
    from sciastro.io.reference import cone

    assert len(cone(250.42, 36.46, 1.0)) > 10


@pytest.mark.usefixtures("attempts")
@pytest.mark.parametrize("date", ["1995-03-04T05:06:07", "2026-11-26T05:06:07", "2031-03-04T05:06:07"])
def test_time_and_height_of_stars_need_no_tables_from_afar(date: str) -> None:
    from sciastro.astrometry.airmass import airmass
    from sciastro.astrometry.timing import Site, bjd_tdb

    time = np.array([date], dtype="datetime64[ns]")
    site = Site(28.3, -16.5, 2390.0)
    assert np.isfinite(bjd_tdb(time, 250.42, 36.46, site)).all()
    got = airmass(250.42, 36.46, site.latitude, site.longitude, time)
    assert got.shape == (1,)


def test_only_one_room_knows_how_to_reach_the_network() -> None:
    root = Path(sciastro.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        place = path.relative_to(root).as_posix()
        if place.startswith("remote/") or place in ALLOWED:
            continue
        text = path.read_text(encoding="utf-8")
        if not any(f"import {name}" in text or f"from {name}" in text for name in (*NETWORK, "urllib")):
            continue
        for node in ast.walk(ast.parse(text)):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            found |= {
                f"{place}: {name}"
                for name in names
                if name.split(".")[0] in NETWORK or name == "urllib.request"
            }
    assert found == set()
