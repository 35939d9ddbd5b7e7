"""Real servers, each started once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from marmita.store import Packed
from tests.e2e.server import Server, home, serve


@pytest.fixture(scope="session")
def colocated(champions: dict[str, Packed], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """All models inside the front door's two workers."""
    with serve(home(tmp_path_factory.mktemp("colocated") / "home")) as server:
        yield server


@pytest.fixture(scope="session")
def split(champions: dict[str, Packed], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each model in a process of its own, behind the front door."""
    with serve(home(tmp_path_factory.mktemp("split") / "home"), MARMITA_TOPOLOGY="split") as server:
        yield server


@pytest.fixture(params=["colocated", "split"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each topology in turn."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def own_home(champions: dict[str, Packed], tmp_path: Path) -> Path:
    """A home for a server that only one test uses."""
    return home(tmp_path / "home")
