"""A model is two files: an iris model, added to a copy of the project, is found wherever a model has to be."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from openapi_spec_validator import validate
from sklearn.datasets import load_iris

from marmita.registry.packed_model import PackedModel
from tests.deploy.chart import rendering
from tests.e2e.server import ROOT, Server, environment, metric, metric_samples, serve, until
from tests.messages import mentions
from tests.samples import CLASSIFY, REQUESTS

pytestmark = pytest.mark.timeout(180)

FILES = Path(__file__).with_name("iris")
ROUTE = "/iris/classify"
NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
SPECIES = ("setosa", "versicolor", "virginica")
FLOWER = dict(zip(NAMES, (5.1, 3.5, 1.4, 0.2), strict=True))
LABELLED = 45


@dataclass(frozen=True)
class Project:
    """A copy of the project with one model more, and a home with two versions of it."""

    folder: Path
    home: Path

    def run(self, *command: str) -> str:
        """Run Python in the project; return what it said."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=environment(self.home),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def marmita(self, *arguments: str) -> str:
        return self.run("-m", "marmita", *arguments)

    def versions(self) -> list[str]:
        """The tags of the iris model, the oldest first."""
        folders = [path for path in (self.home / "models" / "iris").iterdir() if path.is_dir()]
        made = sorted((json.loads((path / "card.json").read_text())["made"], path.name) for path in folders)
        return [f"iris:{version}" for _, version in made]


@pytest.fixture(scope="module")
def project(champions: dict[str, PackedModel], tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("new-model")
    project = Project(folder / "project", folder / "home")
    for file in files_of_the_project():
        (project.folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, project.folder / file)
    shutil.copy(FILES / "service.py.txt", project.folder / "bentos" / "iris.py")
    shutil.copy(FILES / "training.py.txt", project.folder / "training" / "iris.py")
    (project.folder / ".venv").symlink_to(sys.prefix)
    (project.home / "models").mkdir(parents=True)
    for champion in champions.values():
        (project.home / "models" / champion.name).symlink_to(champion.path.parent)
    assert mentions(project.marmita("train", "iris"), "[1/1] iris")
    project.run("-m", "training.iris", "--seed", "11")
    first, _ = project.versions()
    project.marmita("promote", first)
    return project


def files_of_the_project() -> list[str]:
    """Its files, with those that are about to be committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [file for file in listed if (ROOT / file).is_file() and not file.startswith(("tests/", "benchmarks/"))]


@pytest.fixture(scope="module")
def colocated(project: Project) -> Iterator[Server]:
    with serve(project.home, cwd=project.folder, MARMITA_RECORD="all", MARMITA_QUALITY_INTERVAL="1s") as server:
        yield server


@pytest.fixture(scope="module")
def split(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("split")
    (home / "models").symlink_to(project.home / "models")
    with serve(home, cwd=project.folder, MARMITA_TOPOLOGY="split") as server:
        yield server


@pytest.fixture(params=["colocated", "split"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def document(colocated: Server) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{colocated.url}/docs.json").json()
    return found


def flowers(count: int) -> tuple[dict[str, Any], list[str]]:
    """Flowers of all species in turn, which are in no data set, and what they are."""
    rows, truths = load_iris(return_X_y=True)
    chosen = [kind * 50 + place for place in range(count // 3) for kind in range(3)]
    asked = [dict(zip(NAMES, (round(value + 0.013, 3) for value in rows[one]), strict=True)) for one in chosen]
    return {"flowers": asked}, [SPECIES[truths[one]] for one in chosen]


def post(server: Server, path: str, body: Any) -> httpx.Response:
    return httpx.post(f"{server.url}{path}", json=body, timeout=30)


def test_it_is_two_files(project: Project) -> None:
    listed = set(files_of_the_project())
    there = {
        path.relative_to(project.folder).as_posix()
        for package in ("bentos", "training", "marmita", "deploy")
        for path in (project.folder / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert there - listed == {"bentos/iris.py", "training/iris.py"}
    for command in (["format", "--check"], ["check"]):
        project.run("-m", "ruff", *command, "bentos/iris.py", "training/iris.py")


def test_its_route_answers(server: Server) -> None:
    request, truths = flowers(30)
    answers = post(server, ROUTE, request).json()

    assert sum(answer["species"] == truth for answer, truth in zip(answers, truths, strict=True)) > 25
    for answer in answers:
        assert set(answer) - {"id"} == {"species", "probabilities", "unusual", "model"}
        assert list(answer["probabilities"]) == list(SPECIES)
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        assert answer["model"].startswith("iris:")
    assert post(server, CLASSIFY, REQUESTS[CLASSIFY](1)).status_code == 200


def test_what_is_wrong_with_a_request_is_named(server: Server) -> None:
    without = {name: value for name, value in FLOWER.items() if name != "petal_width"}
    wrong: list[tuple[dict[str, Any], str, str]] = [
        (without, "petal_width", "missing"),
        (FLOWER | {"colour": 1}, "colour", "extra_forbidden"),
        (FLOWER | {"petal_width": 31}, "petal_width", "less_than_equal"),
        (FLOWER | {"petal_width": -0.1}, "petal_width", "greater_than_equal"),
        (FLOWER | {"petal_width": "0.2"}, "petal_width", "float_type"),
        (FLOWER | {"petal_width": None}, "petal_width", "float_type"),
    ]
    for row, field, kind in wrong:
        answer = post(server, ROUTE, {"flowers": [FLOWER, row]})

        assert answer.status_code == 400, answer.text
        assert [(one["loc"], one["type"]) for one in answer.json()["detail"]] == [(["flowers", 1, field], kind)]
    assert post(server, ROUTE, {"exams": [FLOWER]}).status_code == 400


def test_it_speaks_the_open_inference_protocol(server: Server) -> None:
    about = httpx.get(f"{server.url}/v2/models/iris").json()
    tensor = {"name": "features", "shape": [2, 4], "datatype": "FP32", "data": list(FLOWER.values()) * 2}
    answer = post(server, "/v2/models/iris/infer", {"inputs": [tensor]}).json()
    (typed,) = post(server, ROUTE, {"flowers": [FLOWER]}).json()

    assert about["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 4]}]
    assert about["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}]
    (output,) = answer["outputs"]
    assert output["shape"] == [2, 3]
    assert output["data"][:3] == pytest.approx(list(typed["probabilities"].values()), abs=1e-5)
    assert httpx.get(f"{server.url}/v2/models/iris/ready").status_code == 200
    assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_it_is_listed_with_its_card(server: Server, project: Project) -> None:
    listed = {model["name"]: model for model in httpx.get(f"{server.url}/models").json()["models"]}
    shown = httpx.get(f"{server.url}/models/iris").json()

    assert set(listed) == {"fetal_health", "iris", "stock_forecast", "wine_quality"}
    assert listed["iris"]["about"] == "Classify iris flowers by four measurements."
    assert shown["tag"] == project.versions()[0]
    assert shown["card"]["data"]["source"].startswith("Fisher (1936)")
    assert [one["name"] for one in shown["contract"]["features"]] == list(NAMES)


def test_it_is_in_the_document_beside_the_other_classifier(document: dict[str, Any], colocated: Server) -> None:
    validate(document)
    asked = document["paths"][ROUTE]["post"]
    example = asked["requestBody"]["content"]["application/json"]["example"]
    schemas = document["components"]["schemas"]
    methods = [one for path in document["paths"].values() for name, one in path.items() if name in ("get", "post")]
    operations = [one["operationId"] for one in methods]

    assert asked["operationId"] == "classify_iris"
    assert document["paths"][CLASSIFY]["post"]["operationId"] == "classify"
    assert len(set(operations)) == len(operations)
    assert {"Flower", "Flowers", "FlowerSpecies", "FlowerProbabilities", "Exam", "Exams"} <= set(schemas)
    assert set(schemas["FlowerProbabilities"]["properties"]) == set(SPECIES)
    assert schemas["Flower"]["properties"]["petal_width"]["unit"] == "cm"
    assert example == {"flowers": [FLOWER]}
    assert post(colocated, ROUTE, example).status_code == 200
    assert "/v2/models/iris/infer" in document["paths"]
    references = {part.partition('"')[0] for part in json.dumps(document).split('"#/components/schemas/')[1:]}
    assert references <= set(schemas)


def test_its_metrics_have_its_name(server: Server) -> None:
    before = metric(server, "marmita_rows_total", model="iris")
    request, _ = flowers(30)
    answers = post(server, ROUTE, request).json()
    post(server, ROUTE, {"flowers": [FLOWER | {"petal_width": 29}]})

    assert metric(server, "marmita_rows_total", model="iris") - before == 31
    counted = sum(metric(server, "marmita_predictions_total", model="iris", outcome=name) for name in SPECIES)
    assert counted == metric(server, "marmita_rows_total", model="iris")
    assert {answer["species"] for answer in answers} == set(SPECIES)
    assert metric(server, "marmita_unusual_inputs_total", model="iris", feature="petal_width") >= 1
    assert metric(server, "bentoml_service_request_total", endpoint=ROUTE, http_response_code="200") >= 2
    assert metric(server, "bentoml_service_request_duration_seconds_count", endpoint=ROUTE) >= 2


async def test_its_predictions_are_kept_labelled_and_judged_and_train_the_next(
    colocated: Server, project: Project
) -> None:
    request, truths = flowers(LABELLED)
    ids = [answer["id"] for answer in post(colocated, ROUTE, request).json()]
    labels = [{"id": id, "truth": truth} for id, truth in zip(ids, truths, strict=True)]
    refused = post(colocated, "/labels", {"labels": [{"id": ids[0], "truth": "rose"}]})
    told = post(colocated, "/labels", {"labels": labels}).json()
    quality = httpx.get(f"{colocated.url}/quality/iris?window=1h", timeout=30).json()
    by_command = json.loads(project.marmita("quality", "iris", "--window", "1h"))

    assert refused.status_code == 400
    assert told == {"stored": LABELLED, "unchanged": 0, "unknown": []}
    for figures in (quality, by_command):
        assert figures["labelled"] == LABELLED
        assert [sum(line) for line in figures["confusion"]] == [LABELLED // 3] * 3
        assert {score["part"] for score in figures["scores"]} >= set(SPECIES)
    await until(lambda: LABELLED in metric_samples(colocated, 'marmita_quality_labelled_rows{model="iris"').values())

    evidence = json.loads(project.run("-c", EVIDENCE))
    assert evidence["champion"]["tag"] == project.versions()[0]
    assert evidence["champion"]["labelled"] == LABELLED
    assert evidence["material"]["new_labels"] == LABELLED

    champion = (project.home / "models" / "iris" / "champion").read_text()
    assert mentions(project.run("-m", "training.iris", "--with-labels"), f"{LABELLED} labelled rows")
    (project.home / "models" / "iris" / "champion").write_text(champion)
    assert project.marmita("runs", "iris").count("iris") >= 3


EVIDENCE = """
import json
from datetime import timedelta
from marmita.runtime.recording import database
from marmita.shepherd import evidence
print(json.dumps(evidence.look("iris", "", database(), timedelta(hours=1)).as_dict()))
"""


async def test_another_version_is_promoted_and_rolled_back_while_it_serves(server: Server, project: Project) -> None:
    first, second, *_ = project.versions()

    def answers() -> str:
        (answer,) = post(server, ROUTE, {"flowers": [FLOWER]}).json()
        return str(answer["model"])

    await until(lambda: answers() == first)
    assert mentions(project.marmita("promote", second, "--force"), second)
    await until(lambda: answers() == second)
    assert second in project.marmita("tags", "iris")
    assert mentions(project.marmita("rollback", "iris"), first)
    await until(lambda: answers() == first)


def test_the_load_test_asks_it(colocated: Server, project: Project) -> None:
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    done = subprocess.run(
        ["make", "--assume-old=.venv/dev", "load", f"URL={colocated.url}", "USERS=16", "SECONDS=3", "P95=20000"],
        cwd=project.folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )

    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    lines = [line.split() for line in said.splitlines() if ROUTE in line]
    assert int(lines[0][lines[0].index(ROUTE) + 1]) > 0, said


def test_a_bento_holds_it_alone_or_beside_the_others(project: Project) -> None:
    tags = {}
    for model in ([], ["iris"]):
        tag = project.marmita("bento", *model).splitlines()[-1].removeprefix("Built ")
        bento = project.home / "bentos" / tag.replace(":", "/")
        described = yaml.safe_load((bento / "bento.yaml").read_text())
        packed = {one["tag"].partition(":")[0] for service in described["services"] for one in service["models"]}
        code = {path.stem for path in (bento / "src" / "bentos").iterdir() if path.stem != "__init__"}
        tags[tag.partition(":")[0]] = (packed, code)

    every = {"fetal_health", "iris", "stock_forecast", "wine_quality"}
    assert tags == {"marmita": (every, every), "iris": ({"iris"}, {"iris"})}


def test_the_chart_deploys_it_by_itself(project: Project) -> None:
    project.marmita("chart")
    chart = project.folder / "deploy" / "chart"
    models = yaml.safe_load((chart / "values.yaml").read_text())["models"]
    assert models["iris"]["routes"] == [ROUTE]

    tags = {name: {"image": {"tag": "1"}} for name in models}
    manifests = rendering.render({"mode": "separate", "models": tags}, folder=chart)
    deployments = rendering.of_kind(manifests, "Deployment")
    (name,) = [name for name in deployments if name.endswith("iris")]
    (container,) = deployments[name]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "iris:1"
