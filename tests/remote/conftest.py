"""What the tests of `sciastro.remote` share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from faulty import FaultyServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """A faulty server of this test's own; the network switch is on."""
    monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)
    with FaultyServer() as one:
        yield one
