"""Real servers, each started once."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from marmita.registry.card import Card
from marmita.registry.packed_model import PackedModel
from tests.e2e.server import ROOT, Server, home, serve

if TYPE_CHECKING:
    from tritonclient.http import InferenceServerClient


@pytest.fixture(scope="session")
def colocated(champions: dict[str, PackedModel], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """All models inside the front's two workers."""
    with serve(home(tmp_path_factory.mktemp("colocated") / "home")) as server:
        yield server


@pytest.fixture(scope="session")
def split(champions: dict[str, PackedModel], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each model in a process of its own, behind the front."""
    with serve(home(tmp_path_factory.mktemp("split") / "home"), MARMITA_TOPOLOGY="split") as server:
        yield server


@dataclass(frozen=True)
class Trained:
    """A home in which all models were trained as they are served, their cards, and what was said."""

    home: Path
    cards: dict[str, Card]
    said: str


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """What the training command makes of an empty store. This takes as long as it takes a user."""
    home = tmp_path_factory.mktemp("trained") / "home"
    command = [sys.executable, "-m", "marmita", "train", "--missing"]
    environment = os.environ | {"BENTOML_HOME": str(home)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cards = {}
    for folder in (home / "models").iterdir():
        version = (folder / "champion").read_text()
        cards[folder.name] = Card.model_validate_json((folder / version / "card.json").read_text())
    return Trained(home, cards, done.stdout)


@pytest.fixture(params=["colocated", "split"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each topology in turn."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def own_home(champions: dict[str, PackedModel], tmp_path: Path) -> Path:
    """A home for a server that only one test uses."""
    return home(tmp_path / "home")


@pytest.fixture
def triton(server: Server) -> Iterator["InferenceServerClient"]:
    """Triton's own client of the Open Inference Protocol, for each topology in turn."""
    from tritonclient.http import InferenceServerClient

    from tests.e2e.tensors import address

    with InferenceServerClient(address(server)) as client:
        yield client
