"""The pages keep their promises: all that can run runs as it stands, and answers look as they are shown."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from marmita.registry.packed_model import PackedModel
from tests.docs.pages import IN_ORDER, Block, blocks
from tests.e2e.server import ROOT, Server, environment, home, serve
from tests.records.stocks import walk
from tests.samples import CLASSIFY, FORECAST, SCORE
from tests.training.yahoo import Yahoo, serving

pytestmark = pytest.mark.timeout(180)

ADDRESS = "localhost:3000"
STRICT = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; }\n'
"""A command that fails, or a request that is answered with an error, fails the block."""
SHELL = [block for block in blocks("sh") if block.page not in IN_ORDER]
NODE = shutil.which("node")
TENSORS = "/v2/models/wine_quality/infer"


@dataclass(frozen=True)
class Desk:
    """A service as the pages ask it, and a folder like the project's to ask it from."""

    server: Server
    folder: Path
    environment: dict[str, str]

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def here(self, text: str) -> str:
        """What a page says, with the service's own address."""
        return text.replace(ADDRESS, self.server.url.removeprefix("http://"))


@pytest.fixture(scope="module")
def desk(champions: dict[str, PackedModel], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Predictions are recorded, and prices come from a Yahoo of our own."""
    folder, own = tmp_path_factory.mktemp("project"), home(tmp_path_factory.mktemp("pages") / "home")
    for file in ROOT.iterdir():
        if not file.name.startswith("."):
            (folder / file.name).symlink_to(file)
    with serving(Yahoo(walk(310, date(2012, 1, 2)))) as yahoo:
        mirror, path = f"http://{yahoo.address}", f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with serve(own, MARMITA_RECORD="all", MARMITA_YAHOO_URL=mirror) as server:
            yield Desk(server, folder, environment(own, MARMITA_YAHOO_URL=mirror, PATH=path))


def shape(value: Any) -> Any:
    """What a value is like: of a list, what its first item is like."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(one) for one in value[:1]]
    return "number" if isinstance(value, int | float) else type(value).__name__


def without_ids(value: Any) -> Any:
    """The same without what only answers to recorded requests have."""
    if isinstance(value, dict):
        return {name: without_ids(one) for name, one in value.items() if name not in ("id", "parameters")}
    return [without_ids(one) for one in value] if isinstance(value, list) else value


def test_there_is_a_request_to_each_route() -> None:
    asked = "".join(block.text for block in SHELL)

    for path in (CLASSIFY, SCORE, FORECAST, "/stock-forecast/forecast-from", TENSORS):
        assert f"{ADDRESS}{path} " in asked, path
    for path in ("/models", "/models/wine_quality", "/labels", "/quality/", "/prices?", "/prices/load", "/shepherd"):
        assert f"{ADDRESS}{path}" in asked, path
    for path in ("/livez", "/readyz", "/metrics", "/docs.json", "/v2/models/wine_quality"):
        assert f"{ADDRESS}{path}" in asked, path


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_work_as_they_stand(desk: Desk, block: Block) -> None:
    output = desk.run("bash", "-c", STRICT + desk.here(block.text))

    if block.answer:
        shown, answer = json.loads(block.answer), json.loads(output)
        assert shape(shown) in (shape(answer), shape(without_ids(answer)))


@pytest.mark.parametrize("block", [one for one in blocks("python") if one.page not in IN_ORDER], ids=str)
def test_python_works_as_it_stands(desk: Desk, block: Block) -> None:
    desk.run(sys.executable, "-c", desk.here(block.text))


@pytest.mark.skipif(NODE is None, reason="there is no Node here")
@pytest.mark.parametrize("block", blocks("ts"), ids=str)
def test_typescript_works_as_it_stands(desk: Desk, block: Block) -> None:
    quality, low, high = map(float, desk.run(str(NODE), "--input-type=module", "-e", desk.here(block.text)).split())

    assert low < quality < high


def test_the_error_that_is_shown_is_the_one_that_comes(desk: Desk) -> None:
    (shown,) = [json.loads(block.text) for block in blocks("json") if block.text.startswith('{"error"')]
    (command, *_) = [block.text for block in SHELL if f"{ADDRESS}{SCORE} " in block.text]
    body = command.partition("-d '")[2].partition("'")[0].replace('"alcohol": 9.4', '"alcohol": "9.4"')

    answer = httpx.post(f"{desk.server.url}{SCORE}", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 400
    assert answer.json() == shown
