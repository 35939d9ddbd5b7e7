"""A model that is added as the page says, word for word, is served."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from sklearn.datasets import load_iris

from marmita.registry.packed_model import PackedModel
from tests.docs.pages import ADD_A_MODEL, Block, blocks
from tests.e2e.server import ROOT, environment, serve
from tests.e2e.test_new_model import files_of_the_project
from tests.e2e.test_pages import ADDRESS, STRICT, shape, without_ids

pytestmark = pytest.mark.timeout(180)

PAGE = [block for block in blocks() if block.page == ADD_A_MODEL]
SERVE = next(block for block in PAGE if block.text == "make serve\n")
HEADERS = ["sepal length", "sepal width", "petal length", "petal width"]


def test_the_page_leads_from_a_csv_to_an_answer(champions: dict[str, PackedModel], tmp_path: Path) -> None:
    project, home = tmp_path / "project", tmp_path / "home"
    for file in files_of_the_project():
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, project / file)
    (home / "models").mkdir(parents=True)
    for champion in champions.values():
        (home / "models" / champion.name).symlink_to(champion.path.parent)
    variables = environment(home, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")

    def run(block: Block, address: str = ADDRESS) -> str:
        done = subprocess.run(
            ["bash", "-c", STRICT + block.text.replace(ADDRESS, address)],
            cwd=project,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"
        return done.stdout

    (shown,) = _of_kind("csv")
    assert _flowers(project / "iris.csv").startswith(shown.text)
    before = [block for block in _of_kind("sh") if block.line < SERVE.line]
    said = [run(block) for block in before]
    written = [(project / folder / "iris.py").read_text() for folder in ("bentos", "training")]
    assert [block.text for block in _of_kind("python")] == written
    assert ", promoted: " in said[-1]

    with serve(home, cwd=project) as server:
        for block in _of_kind("sh"):
            if block.line > SERVE.line:
                answer = run(block, server.url.removeprefix("http://"))
                if block.answer:
                    assert shape(json.loads(block.answer)) == shape(without_ids(json.loads(answer)))


def _of_kind(kind: str) -> Sequence[Block]:
    return [block for block in PAGE if block.kind == kind]


def _flowers(file: Path) -> str:
    loaded = load_iris(as_frame=True)
    table = loaded.frame.set_axis([*HEADERS, "species"], axis=1)
    table["species"] = [loaded.target_names[kind] for kind in table["species"]]
    table.to_csv(file, index=False)
    return file.read_text()
