"""The OpenAPI document: valid, complete, and good enough for a client that no one here wrote."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from tests.e2e.server import Server
from tests.samples import CLASSIFY, FORECAST, SCORE, wines


@pytest.fixture(scope="module")
def document(colocated: Server) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{colocated.url}/docs.json").json()
    return found


def test_it_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_every_route_is_in_it(document: dict[str, Any]) -> None:
    probes = {"/healthz", "/livez", "/readyz", "/metrics"}

    assert set(document["paths"]) == {CLASSIFY, SCORE, FORECAST, "/models", "/models/{name}", *probes}


@pytest.mark.parametrize("route", [CLASSIFY, SCORE, FORECAST])
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


@pytest.fixture(scope="module")
def generated(document: dict[str, Any], colocated: Server, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """A client that `openapi-python-client` wrote from the document."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "docs.json").write_text(httpx.get(f"{colocated.url}/docs.json").text)
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("openapi-python-client")),
            *("generate", "--path", "docs.json", "--meta", "none", "--output-path", "marmita_client"),
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
