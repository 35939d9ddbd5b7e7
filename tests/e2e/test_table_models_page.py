"""The page of table models keeps its promises: its blocks run one after the other, as they stand."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marmita.registry.packed_model import PackedModel
from tests.docs.pages import TABLE_MODELS, blocks
from tests.e2e.server import ROOT, Server, environment, serve
from tests.e2e.test_pages import ADDRESS, STRICT, shape

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def server(champions: dict[str, PackedModel], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    store = tmp_path_factory.mktemp("table-models") / "home" / "models"
    store.mkdir(parents=True)
    for packed in champions.values():
        (store / packed.name).symlink_to(packed.path.parent)
    with serve(store.parent) as found:
        yield found


def customers(file: Path) -> None:
    """Write the data set that the page reads."""
    chance = np.random.default_rng(7)
    lines = ["age,plan,balance,churned"]
    for _ in range(600):
        age, plan, balance = chance.integers(18, 90), chance.choice(["basic", "pro"]), chance.normal(100, 40)
        leaves = (age > 50 and plan == "basic") != (chance.random() < 0.05)
        lines.append(f"{age},{plan},{balance:.2f},{'yes' if leaves else 'no'}")
    file.write_text("\n".join(lines))


def test_the_blocks_run_in_their_order(server: Server, tmp_path: Path) -> None:

    customers(tmp_path / "customers.csv")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = environment(server.log.parent, PATH=path, PYTHONPATH=str(ROOT))

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    found = [block for kind in ("python", "sh") for block in blocks(kind) if block.page == TABLE_MODELS]
    assert [block.kind for block in sorted(found, key=lambda one: one.line)] == ["python", "sh", "sh", "sh"]
    outputs: list[Any] = []
    for block in sorted(found, key=lambda one: one.line):
        text = block.text.replace(ADDRESS, server.url.removeprefix("http://"))
        output = run(sys.executable, "-c", text) if block.kind == "python" else run("bash", "-c", STRICT + text)
        outputs.append(output)
        if block.answer:
            assert shape(json.loads(block.answer)) == shape(json.loads(output))
    assert "much" in outputs[2].splitlines()[2].rpartition(";")[2]
