"""The OpenAPI document: valid, complete, and good enough for a client that no one here wrote."""

import importlib
import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import jsonschema
import pytest
from openapi_spec_validator import validate

from marmita.contract.errors import ErrorCode
from marmita.records.operations.reasons import ReasonCode
from tests.e2e.server import Server
from tests.messages import mentions
from tests.samples import CLASSIFY, FORECAST, SCORE, wines

INFERS = [f"/v2/models/{model}/infer" for model in ("fetal_health", "wine_quality", "stock_forecast")]


CLIENT_OPTIONS = "content_type_overrides: {text/csv: application/octet-stream}"
"""The generator knows no CSV: it is to send one as bytes."""


@pytest.fixture(scope="module")
def document(colocated: Server) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{colocated.url}/docs.json").json()
    return found


def test_it_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_every_route_is_in_it(document: dict[str, Any]) -> None:
    probes = {"/", "/healthz", "/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}
    models = {"/models", "/models/{name}", "/v2", "/v2/models/{name}", "/v2/models/{name}/ready"}
    models |= {f"/models/{{name}}/{what}" for what in ("versions", "promote", "rollback", "predict")}
    models |= {"/models/{name}/versions/{version}/predict"}
    records = {"/labels", "/quality/{name}", "/shepherd", "/prices", "/prices/load", "/stock-forecast/forecast-from"}
    trainings = {"/trainings", "/trainings/{id}", "/train", "/predict"}
    assert set(document["paths"]) == {CLASSIFY, SCORE, FORECAST, *INFERS, *models, *records, *trainings, *probes}


def test_what_can_be_looked_at_looks_as_it_says(document: dict[str, Any], colocated: Server) -> None:
    components = {"components": document["components"]}
    for path, item in document["paths"].items():
        if "get" not in item or path == "/metrics":
            continue
        asked = [one for one in item["get"].get("parameters", []) if one["in"] == "query"]
        query = {one["name"]: one["schema"]["examples"][0] for one in asked}
        for media_type in item["get"]["responses"]["200"]["content"]:
            url, accept = colocated.url + path.replace("{name}", "wine_quality"), {"accept": media_type}
            answer = httpx.get(url, params=query, headers=accept)
            content = item["get"]["responses"][str(answer.status_code)]["content"]
            found = answer.headers["content-type"].partition(";")[0]
            assert found in content
            if found == "application/json":
                jsonschema.validate(answer.json(), content[found]["schema"] | components)


@pytest.mark.parametrize("route", INFERS)
def test_tensors_and_their_errors_look_as_it_says(document: dict[str, Any], colocated: Server, route: str) -> None:
    asked, components = document["paths"][route]["post"], {"components": document["components"]}
    content = asked["requestBody"]["content"]["application/json"]
    in_bytes = {"id": "7", "parameters": {"binary_data_output": True}}
    requests: list[dict[str, Any]] = [content["example"], content["example"] | in_bytes, {"inputs": []}]

    for request in requests:
        answer = httpx.post(f"{colocated.url}{route}", json=request)
        size = int(answer.headers.get("inference-header-content-length", len(answer.content)))
        schema = asked["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
        jsonschema.validate(json.loads(answer.content[:size]), schema | components)
        if answer.status_code == 200:
            jsonschema.validate(request, content["schema"] | components)


@pytest.mark.parametrize("route", [CLASSIFY, SCORE, FORECAST, *INFERS])
def test_its_example_can_be_sent_as_it_is(document: dict[str, Any], colocated: Server, route: str) -> None:
    example = document["paths"][route]["post"]["requestBody"]["content"]["application/json"]["example"]

    assert httpx.post(f"{colocated.url}{route}", json=example).status_code == 200


@pytest.mark.parametrize("row", ["Exam", "Wine"])
def test_features_have_descriptions_units_and_ranges(document: dict[str, Any], row: str) -> None:
    schema = document["components"]["schemas"][row]

    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == set(schema["properties"])
    for feature in schema["properties"].values():
        assert feature["description"]
        assert feature["unit"]
        assert feature["minimum"] < feature["maximum"]
        assert feature["examples"]


def test_codes_for_programs_are_listed(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["ErrorCode"]["enum"] == list(ErrorCode)
    assert schemas["ReasonCode"]["enum"] == list(ReasonCode)
    assert schemas["ModelDecision"]["properties"]["reason_codes"]["items"] == {
        "$ref": "#/components/schemas/ReasonCode"
    }


@pytest.fixture(scope="module")
def generated(document: dict[str, Any], colocated: Server, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """A client that `openapi-python-client` wrote from the document."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "docs.json").write_text(httpx.get(f"{colocated.url}/docs.json").text)
    (folder / "client.yaml").write_text(CLIENT_OPTIONS)
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("openapi-python-client")),
            *("generate", "--path", "docs.json", "--meta", "none", "--output-path", "marmita_client"),
            *("--config", "client.yaml"),
            "--fail-on-warning",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    return importlib.import_module("marmita_client")


def test_a_generated_client_works(generated: ModuleType, colocated: Server) -> None:
    api = importlib.import_module("marmita_client.api.models.score")
    models = importlib.import_module("marmita_client.models")
    client = generated.Client(base_url=colocated.url)
    wine = models.Wine(**wines(1)["wines"][0])

    scores = api.sync(client=client, body=models.Wines(wines=[wine]))
    assert isinstance(scores[0], models.WineScore)
    assert scores[0].interval.low < scores[0].quality < scores[0].interval.high

    wine.alcohol = -1.0
    error = api.sync(client=client, body=models.Wines(wines=[wine]))
    assert isinstance(error, models.Error)
    assert error.detail[0].loc == ["wines", 0, "alcohol"]

    shown = importlib.import_module("marmita_client.api.models.show_model")
    assert shown.sync("wine_quality", client=client).card.headline.metric == "mae"


def test_a_generated_client_speaks_in_tensors_too(generated: ModuleType, colocated: Server) -> None:
    api = importlib.import_module("marmita_client.api.tensors.infer_wine_quality")
    models = importlib.import_module("marmita_client.models")
    client = generated.Client(base_url=colocated.url)
    values = list(wines(1)["wines"][0].values())
    rows = models.InputTensor(name="features", shape=[1, 11], datatype=models.InputTensorDatatype.FP32, data=values)

    answer = api.sync(client=client, body=models.InferRequest(inputs=[rows], id="7"))
    assert isinstance(answer, models.InferAnswer)
    assert answer.id == "7"
    assert [(output.name, output.shape, len(output.data)) for output in answer.outputs] == [
        (name, [1, 1], 1) for name in ("quality", "low", "high")
    ]

    rows.shape = [1, 12]
    error = api.sync(client=client, body=models.InferRequest(inputs=[rows]))
    assert isinstance(error, models.TensorError)
    assert mentions(error.error, "features", "[rows, 11]", "[1, 12]")


def test_a_generated_client_orders_trainings(generated: ModuleType, colocated: Server) -> None:
    api = importlib.import_module("marmita_client.api.trainings.begin_training")
    cancel = importlib.import_module("marmita_client.api.trainings.cancel_training")
    models = importlib.import_module("marmita_client.models")
    types = importlib.import_module("marmita_client.types")
    client = generated.Client(base_url=colocated.url)
    file = types.File(BytesIO(b"x,left\n1,stays\n"), "churn.csv", "text/csv")
    parameters = models.TrainingFormParams.from_dict({"max_depth": 3})
    form = models.TrainingForm(file=file, target="left", model="RandomForestClassifier", params=parameters)

    training = api.sync(client=client, body=form)
    cancelled = cancel.sync(training.id, client=client)

    assert training.state == "queued"
    assert training.order["params"] == {"max_depth": 3}
    assert cancelled.state == "cancelled"
