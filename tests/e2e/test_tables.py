"""Table models on a real server: packed beside it, and served without code, in both topologies."""

import csv
import io
import shutil
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from marmita.registry import champions
from marmita.registry.packed_model import PackedModel
from tests.e2e.server import Server, serve
from tests.packed_tables import CLASSES, MIXED, NUMBERS, pack_table
from tests.stores import using_store

WITHIN_S = 2.0
"""How soon each worker serves another champion."""
ROW = {"age in years": 40, "plan": "pro", "region": "north", "balance": 1.5, "is active": True}
TOTAL = 40 + 1 + 0 + 1.5 + 1
"""The small regressor's value for the row."""


@dataclass(frozen=True)
class Tables:
    """A server with table models in a store of its own."""

    server: Server
    store: Path

    def post(self, path: str, **options: Any) -> httpx.Response:
        return httpx.post(f"{self.server.url}{path}", **options)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.server.url}{path}")

    def predict(self, name: str, *rows: dict[str, Any], version: str = "") -> httpx.Response:
        path = f"/models/{name}/versions/{version}/predict" if version else f"/models/{name}/predict"
        return self.post(path, json={"rows": rows})

    def pack(self, *arguments: Any, **options: Any) -> PackedModel:
        with using_store(self.store):
            return pack_table(*arguments, **options)


@pytest.fixture(scope="module", params=["colocated", "split"])
def tables(
    request: pytest.FixtureRequest, champions: dict[str, PackedModel], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tables]:
    home = tmp_path_factory.mktemp("tables") / "home"
    store = home / "models"
    store.mkdir(parents=True)
    for packed in champions.values():
        (store / packed.name).symlink_to(packed.path.parent)
    with using_store(store):
        pack_table("price")
        pack_table("churn", classes=CLASSES)
        pack_table("sum", NUMBERS)
    with serve(home, MARMITA_TOPOLOGY=request.param, MARMITA_RECORD="all") as server:
        yield Tables(server, store)


def test_a_regressor_answers_a_value_with_its_interval(tables: Tables) -> None:
    (answer,) = tables.predict("price", ROW).json()
    assert answer["value"] == TOTAL
    assert answer["interval"] == {"low": TOTAL - 1, "high": TOTAL + 1, "coverage": 0.9}
    assert answer["unusual"] == ["age in years", "balance"]
    assert answer["model"].startswith("price:")
    assert answer["id"]


def test_a_classifier_answers_the_class_its_code_and_the_probabilities(tables: Tables) -> None:
    answers = tables.predict("churn", ROW, ROW | {"age in years": 0, "plan": "gold", "balance": None}).json()
    for answer in answers:
        assert answer["code"] == CLASSES.index(answer["class"])
        assert answer["probabilities"][answer["class"]] == max(answer["probabilities"].values())
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert answers[1]["unusual"] == ["plan"]


def test_an_error_names_the_row_and_the_column(tables: Tables) -> None:
    answer = tables.predict("price", ROW, ROW | {"region": "west", "more": 1})
    assert answer.status_code == 400
    assert [one["loc"] for one in answer.json()["detail"]] == [["rows", 1, "region"], ["rows", 1, "more"]]
    assert tables.post("/models/price/predict?extra=ignore", json={"rows": [ROW | {"more": 1}]}).status_code == 200
    assert tables.post("/models/price/predict?extra=no", json={"rows": [ROW]}).json()["code"] == "invalid_request"


def test_a_csv_comes_back_whole_with_the_answers_and_the_errors_beside_its_rows(tables: Tables) -> None:
    content = "region;age in years;is active;balance\nnorth;40;yes;1,5\nwest;40;yes;1\nsouth;1;no;\n"
    answer = tables.post(
        "/models/price/predict", content=content, headers={"content-type": "text/csv", "accept": "text/csv"}
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    good, bad, gap = csv.DictReader(io.StringIO(answer.text), delimiter=";")
    assert (good["region"], float(good["value"]), good["error"]) == ("north", 42.5, "")
    assert good["id"]
    assert bad["value"] == ""
    assert "region" in bad["error"]
    assert "'west'" in bad["error"]
    assert float(gap["value"]) == 2


def test_a_csv_with_a_bad_row_is_an_error_in_json(tables: Tables) -> None:
    content = "age in years,region,is active\n40,north,yes\n40,west,yes\n"
    answer = tables.post("/models/price/predict", content=content, headers={"content-type": "text/csv"})
    assert answer.status_code == 400
    assert answer.json()["detail"][0]["loc"] == ["rows", 1]


def test_tensors_have_one_column_each_or_all_numbers_in_one(tables: Tables) -> None:
    inputs = [
        {"name": "plan", "datatype": "BYTES", "shape": [2], "data": ["pro", "gold"]},
        {"name": "age in years", "datatype": "INT64", "shape": [2, 1], "data": [40, 1]},
        {"name": "region", "datatype": "BYTES", "shape": [2, 1], "data": [["north"], ["south"]]},
        {"name": "is active", "datatype": "BOOL", "shape": [2], "data": [True, False]},
    ]
    outputs = tables.post("/v2/models/price/infer", json={"inputs": inputs}).json()["outputs"]
    assert outputs[0] == {"name": "value", "datatype": "FP32", "shape": [2, 1], "data": [42.0, 1.0]}
    matrix = {"name": "features", "datatype": "FP32", "shape": [1, 2], "data": [3, 4]}
    answer = tables.post("/v2/models/sum/infer", json={"inputs": [matrix]}).json()
    assert answer["outputs"][0]["data"] == [7.0]
    assert answer["parameters"]["prediction_id"]


def test_raw_tensors_follow_the_json(tables: Tables) -> None:
    words = b"".join(struct.pack("<I", len(word)) + word for word in (b"north", b"south"))
    values = struct.pack("<2q", 40, 1), struct.pack("2?", True, False), words
    head = httpx.Request("POST", "http://x", json={"inputs": [
        {"name": name, "datatype": datatype, "shape": [2], "parameters": {"binary_data_size": len(raw)}}
        for (name, datatype), raw in zip(
            (("age in years", "INT64"), ("is active", "BOOL"), ("region", "BYTES")), values, strict=True
        )
    ]}).content  # fmt: skip
    answer = tables.post(
        "/v2/models/price/infer",
        content=head + b"".join(values),
        headers={"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))},
    )
    assert answer.json()["outputs"][0]["data"] == [41.0, 2.0]


def test_models_and_the_document_have_table_models(tables: Tables) -> None:
    names = {one["name"] for one in tables.get("/models").json()["models"]}
    assert {"price", "churn", "sum", "wine_quality"} <= names
    shown = tables.get("/models/churn").json()
    assert shown["contract"]["classes"] == list(CLASSES)
    assert [one["name"] for one in shown["contract"]["features"]] == [column.name for column in MIXED]
    document = tables.get("/docs.json").json()
    asked = document["paths"]["/models/price/predict"]["post"]["requestBody"]["content"]
    assert tables.post("/models/price/predict", json=asked["application/json"]["example"]).status_code == 200
    sent = {"content": asked["text/csv"]["example"], "headers": {"content-type": "text/csv"}}
    assert tables.post("/models/price/predict", **sent).status_code == 200
    tensors = document["paths"]["/v2/models/price/infer"]["post"]["requestBody"]["content"]["application/json"]
    assert tables.post("/v2/models/price/infer", json=tensors["example"]).status_code == 200


@pytest.mark.parametrize(
    "path", ["/models/nothing", "/models/nothing/predict", "/models/price/versions/nothing/predict", "/quality/nothing"]
)
def test_a_model_that_is_not_there_is_not_found(tables: Tables, path: str) -> None:
    answer = tables.post(path, json={"rows": [ROW]}) if path.endswith("predict") else tables.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")


def test_predictions_are_recorded_labelled_and_measured(tables: Tables) -> None:
    answers = [tables.predict("churn", ROW | {"age in years": age}).json()[0] for age in range(60)]
    labels = [{"id": one["id"], "truth": one["class"]} for one in answers]
    assert tables.post("/labels", json={"labels": labels}).json()["stored"] == 60
    quality = tables.get("/quality/churn?window=1h").json()
    assert quality["labelled"] == 60
    assert {one["score"]: one["value"] for one in quality["scores"] if one["part"] == "all"} == {"accuracy": 1.0}
    drift = {one["feature"]: one for one in quality["drift"]}
    assert drift["age in years"]["rows"] == 60
    wrong = tables.post("/labels", json={"labels": [{"id": answers[0]["id"], "truth": "unknown"}]})
    assert wrong.json()["code"] == "invalid_request"


def test_a_promotion_reaches_every_worker_and_a_version_stays_reachable(tables: Tables) -> None:
    first = tables.pack("swapped", NUMBERS)
    assert tables.predict("swapped", {"x": 1, "y": 2}).json()[0]["model"] == first.tag
    second = tables.pack("swapped", NUMBERS, shift=10)
    time.sleep(WITHIN_S)
    seen = {tables.predict("swapped", {"x": 1, "y": 2}).json()[0]["model"] for _ in range(30)}
    assert seen == {second.tag}
    assert tables.predict("swapped", {"x": 1, "y": 2}, version=first.version).json()[0]["value"] == 3
    with using_store(tables.store):
        assert champions.roll_back("swapped").tag == first.tag
    time.sleep(WITHIN_S)
    assert {tables.predict("swapped", {"x": 1, "y": 2}).json()[0]["value"] for _ in range(30)} == {3.0}


def test_a_removed_model_is_not_found_by_any_worker(tables: Tables) -> None:
    tables.pack("removed", NUMBERS)
    assert {tables.predict("removed", {"x": 1, "y": 2}).status_code for _ in range(30)} == {200}
    shutil.rmtree(tables.store / "removed")
    time.sleep(WITHIN_S)
    assert {tables.predict("removed", {"x": 1, "y": 2}).status_code for _ in range(30)} == {404}


def test_metrics_count_the_rows_of_a_table_model(tables: Tables) -> None:
    tables.predict("sum", {"x": 1, "y": 2})
    metrics = tables.get("/metrics").text
    assert 'marmita_rows_total{model="sum"' in metrics
    assert 'endpoint="/models/{name}/predict"' in metrics
