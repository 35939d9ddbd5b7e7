"""The files that `marmita new` writes are part of the project at once."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from marmita.cli.templates import quoted
from tests.cli.projects import NASTY, flowers, houses, make_project, python, write
from tests.e2e.server import ROOT


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a classifier and a regressor that were made from files."""
    folder = tmp_path_factory.mktemp("grown")
    project = make_project(folder / "project")
    numbered: list[list[object]] = [[number, number % 3] for number in range(30)]
    commands = [
        ["iris", "--csv", str(flowers(folder)), "--target", "species", "--unit", "sepal length=cm"],
        ["house_prices", "--csv", str(houses(folder)), "--target", "Price (€)"],
        ["kinds", "--csv", str(write(folder / "k.csv", ["x", "class"], numbered)), "--target", "class"],
    ]
    commands[2] += ["--kind", "classifier"]
    many: list[list[object]] = [[number, f'a rather "long" name of a class, number {number}'] for number in range(20)]
    file = write(folder / "many.csv", ["x", "model"], many, delimiter="\t")
    commands.append(["many", "--csv", str(file), "--target", "model"])
    blocked = "import sys\nfor name in ('pandas', 'sklearn', 'onnx', 'skl2onnx', 'joblib'): sys.modules[name] = None\n"
    for command in commands:
        script = f"{blocked}from marmita.cli.main import main\nsys.argv[1:] = {['new', *command]!r}\nmain()"
        done = python(project, "-c", script)
        assert done.returncode == 0, done.stderr
        assert f"python -m training.{command[0]}" in done.stdout
    return project


def test_what_it_writes_is_in_shape_and_has_types(grown: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", grown)
    ruff = str(Path(sys.executable).with_name("ruff"))
    for command in (["format", "--diff"], ["check"]):
        done = subprocess.run(
            [ruff, *command, "bentos", "training"], cwd=grown, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    done = python(grown, "-m", "mypy", "bentos", "training")
    assert done.returncode == 0, done.stdout


def test_a_service_says_what_its_file_said(grown: Path) -> None:
    script = """if True:
        import json
        from marmita import discovery
        from marmita.contract.rows import describe
        runners = {name: discovery.runner(name) for name in discovery.names()}
        print(json.dumps({name: [
            describe(one.row), one.target, list(getattr(one, "classes", []))
        ] for name, one in runners.items()}))
    """
    done = python(grown, "-W", "error:::pydantic", "-c", script)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)

    features, target, classes = said["iris"]
    assert [(one["name"], one["unit"]) for one in features] == [("sepal_length", "cm"), ("petal_length", "1")]
    assert (target, classes) == ("species", ["Iris-setosa", "Iris-versicolor", "Iris-virginica"])
    features, target, classes = said["house_prices"]
    assert len(features) == len(NASTY)
    assert {"l_ete_a_30_c", "two_lines", "column", "column_class", "column_json", "column_l", "column_2nd"} <= {
        one["name"] for one in features
    }
    assert (target, classes) == ("price", [])
    assert said["kinds"][1:3] == ["class", ["0", "1", "2"]]
    assert said["many"][1] == "column_model"


def test_what_it_writes_can_be_trained_and_served(grown: Path, tmp_path: Path) -> None:
    training = """if True:
        from marmita import discovery
        from marmita.registry.champions import promote
        for name, folds in {"iris": {"shufflings": 1}, "house_prices": {"residual_folds": 2}}.items():
            promote(discovery.training(name).train(trees=5, folds=2, **folds))
    """
    serving = """if True:
        import sys
        from starlette.testclient import TestClient
        from marmita import discovery
        from marmita.contract.rows import example
        name, route = sys.argv[1:]
        with TestClient(discovery.service(name).to_asgi()) as client:
            print(client.post(route, json={"rows": [example(discovery.runner(name).row)]}).json())
    """
    home = str(tmp_path / "home")
    trained = python(grown, "-c", training, BENTOML_HOME=home)
    assert trained.returncode == 0, trained.stdout + trained.stderr

    for name, route, said in (
        ("iris", "/iris/classify", "'species': 'Iris-setosa'"),
        ("house_prices", "/house-prices/predict", "'interval'"),
    ):
        (metrics := tmp_path / name).mkdir()
        done = python(grown, "-c", serving, name, route, BENTOML_HOME=home, PROMETHEUS_MULTIPROC_DIR=str(metrics))
        assert said in done.stdout, done.stdout + done.stderr


def test_any_text_is_quoted_as_python_reads_it() -> None:
    letters = [chr(one) for one in range(0x250)] + ["\N{EN DASH}", "长", "😀", "\ud800", "\u2028"]
    for text in [*letters, "".join(letters), "\"'", "''\"", "\\'", '"""', ""]:
        assert eval(quoted(text)) == text
