"""What tests of several folders share."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_nights import Outcome, make_night, reduce

os.environ["SCIASTRO_CONFIG"] = os.devnull  # what a developer has set must not change a test


def pytest_configure(config: pytest.Config) -> None:
    """Keep the index of the sky with pytest's own things: made once, and not among the user's."""
    if "SCIASTRO_CACHE" not in os.environ and hasattr(config, "cache"):
        os.environ["SCIASTRO_CACHE"] = str(config.cache.mkdir("sciastro"))


@pytest.fixture(scope="session")
def good_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small night without faults; not to be written to."""
    return make_night(tmp_path_factory.mktemp("good") / "night")


@pytest.fixture
def night(good_night: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(good_night, tmp_path / "night"))


@pytest.fixture(scope="session")
def good_run(good_night: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Everything that a whole run of the small night leaves; not to be written to."""
    return reduce(good_night, tmp_path_factory.mktemp("run") / "out", until="report")


@pytest.fixture
def old_run(good_run: Outcome, tmp_path: Path) -> Callable[[], Path]:
    """Return a function that copies the whole run to a folder that a test may write to."""
    return lambda: Path(shutil.copytree(good_run.out, tmp_path / "old"))


@pytest.fixture(autouse=True)
def nowhere_on_the_sky(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not look for made-up stars all over the sky, half a minute each, unless a test asks for it."""
    from sciastro.errors import SolveError
    from sciastro.recipe import setsolving

    def not_looked_for(*_: object, why: str, **__: object) -> None:
        raise SolveError(why)

    if request.node.get_closest_marker("whole_sky") is None:
        monkeypatch.setattr(setsolving, "solve_lost", not_looked_for)
