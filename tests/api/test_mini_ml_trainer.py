"""Clients of mini-ml-trainer go on with their fields and their answers."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from marmita.api import mini_ml_trainer
from marmita.api.mini_ml_trainer import MODEL, NOT_CSV, operations
from marmita.api.operations import Api
from marmita.contract.columns import Column, Kind
from marmita.contract.training_order import TrainingErrorCode
from marmita.records.database.database import Database
from marmita.records.operations import trainings
from marmita.records.operations.leases import TRAINER, Claim
from marmita.records.operations.trainings import CANCELLED, DONE, FAILED, StopCode, TrainingOutcome
from marmita.records.predictions.bundles import new_id
from marmita.runtime.table_models import TableModels
from tests.api.conftest import Serve
from tests.packed_tables import NUMBERS, pack_table
from tests.records.conftest import impatient as impatient
from tests.records.postgres import Postgres

ROWS = b'"x","y","variety"\r\n1,.2,Setosa\r\n300,4,Virginica\r\n'
CSV = ("iris.csv", ROWS, "text/csv")
LEASE = f"{TRAINER}of-the-tests"
SPECIES = ("Virginica", "Setosa", "Versicolor")
"""The classes of a model, in an order that is not that of the alphabet."""


@pytest.fixture
def client(api: Api, serving: Serve) -> TestClient:
    return serving(operations(api, TableModels(api.tables, 8)))


@pytest.fixture
def trainer(records: Database) -> Iterator[Callable[[Callable[[], TrainingOutcome]], None]]:
    """Starts a trainer whose trainings have a given outcome."""
    stopping = threading.Event()
    claim = Claim(records, LEASE)
    threads = []

    def start(outcome: Callable[[], TrainingOutcome]) -> None:
        def work() -> None:
            while not stopping.wait(0.05):
                if training := trainings.take(records, LEASE, new_id()):
                    trainings.end(records, training.id, LEASE, outcome())

        assert claim.take()
        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield start
    stopping.set()
    for thread in threads:
        thread.join()
    claim.release()


def train(client: TestClient, file: Any = CSV, **texts: str) -> httpx2.Response:
    return client.post("/train", files={"dataset_file": file}, data={"target_column": "variety", **texts})


def predict(client: TestClient, content: bytes = ROWS, media_type: str = "text/csv", **texts: str) -> httpx2.Response:
    return client.post("/predict", files={"input_file": ("rows.csv", content, media_type)}, data=texts)


def done(**options: Any) -> TrainingOutcome:
    return TrainingOutcome(DONE, pack_table(MODEL, NUMBERS, **options).tag)


def ordered(records: Database) -> dict[str, Any]:
    return trainings.latest(records, 1)[0].order


def test_a_training_is_answered_with_its_metric(
    client: TestClient, records: Database, trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mini_ml_trainer, "_SCORES", {"mae": "r2_score"})  # that of the small table
    trainer(done)

    answer = train(client)

    assert answer.status_code == HTTPStatus.OK
    assert answer.json() == {
        "metrics": {"r2_score": 1.0},
        "model_path": trainings.latest(records, 1)[0].tag,
        "training": trainings.latest(records, 1)[0].id,
    }
    assert ordered(records)["name"] == MODEL


def test_the_fields_are_those_that_clients_send(client: TestClient, records: Database, trainer: Any) -> None:
    trainer(done)

    train(client, model_type="LogisticRegression", model_params='{"C": 0.5}', columns_to_drop='["id", "nowhere"]')
    assert ordered(records)["model"] == "LogisticRegression"
    assert ordered(records)["params"] == {"C": 0.5}
    assert ordered(records)["drop"] == ["id", "nowhere"]
    assert ordered(records)["target"] == "variety"
    train(client, columns_to_drop="id, timestamp")
    assert ordered(records)["drop"] == ["id", "timestamp"]
    train(client, model_type="", model_params="", columns_to_drop="", other="x")
    assert ordered(records)["model"] == "RandomForestClassifier"
    assert (ordered(records)["params"], ordered(records)["drop"]) == ({}, [])


@pytest.mark.parametrize("media_type", ["text/csv", "text/csv; charset=utf-8", "application/vnd.ms-excel", None])
def test_a_csv_is_taken_whatever_it_is_called(client: TestClient, trainer: Any, media_type: str | None) -> None:
    trainer(done)

    answer = train(client, ("iris.csv", ROWS, media_type) if media_type else ("iris.csv", ROWS))

    assert answer.status_code == HTTPStatus.OK


@pytest.mark.parametrize("media_type", ["text/plain", "Text/Plain; charset=utf-8"])
def test_a_plain_text_is_not(client: TestClient, media_type: str) -> None:
    pack_table(MODEL, NUMBERS)

    for answer in (train(client, ("test.txt", ROWS, media_type)), predict(client, media_type=media_type)):
        assert (answer.status_code, answer.json()["detail"]) == (400, NOT_CSV)


@pytest.mark.parametrize(
    ("path", "sent", "missing"),
    [
        ("/train", {"files": {"dataset_file": CSV}}, ["target_column"]),
        ("/train", {"files": {"dataset_file": CSV}, "data": {"target_column": ""}}, ["target_column"]),
        ("/train", {"files": {"target_column": CSV, "dataset_file": CSV}}, ["target_column"]),
        ("/train", {"files": {"other": CSV}, "data": {"target_column": "a"}}, ["dataset_file"]),
        ("/train", {"files": {"dataset_file": (None, "a"), "other": CSV}}, ["dataset_file", "target_column"]),
        ("/predict", {"files": {"other": CSV}}, ["input_file"]),
    ],
)
def test_a_missing_field_is_named_as_fastapi_does(
    client: TestClient, path: str, sent: dict[str, Any], missing: list[str]
) -> None:
    answer = client.post(path, **sent)

    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer.json()["detail"] == [
        {"loc": ["body", name], "msg": "field required", "type": "value_error.missing"} for name in missing
    ]


@pytest.mark.parametrize(
    "texts",
    [
        {"model_type": "SVC"},
        {"model_params": "{"},
        {"model_params": "[]"},
        {"model_params": '{"n_estimators": 10000000}'},
        {"columns_to_drop": "[1]"},
        {"columns_to_drop": '["variety"]'},
    ],
)
def test_an_invalid_order_has_a_text_as_its_detail(
    client: TestClient, records: Database, texts: dict[str, str]
) -> None:
    answer = train(client, **texts)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert isinstance(answer.json()["detail"], str)
    assert trainings.latest(records, 1) == []


@pytest.mark.parametrize(
    "headers", [{"content-type": "multipart/form-data"}, {"content-type": "multipart/form-data; boundary=x"}]
)
def test_a_broken_form_has_a_text_as_its_detail(client: TestClient, headers: dict[str, str]) -> None:
    for path in ("/train", "/predict"):
        answer = client.post(path, content=b"nothing", headers=headers)
        assert answer.status_code == HTTPStatus.BAD_REQUEST
        assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize(
    ("outcome", "status", "detail"),
    [
        (
            TrainingOutcome(FAILED, error={"code": TrainingErrorCode.ONE_CLASS, "message": "one class"}),
            400,
            "one class",
        ),
        (TrainingOutcome.stopped(StopCode.CRASHED, "it was killed"), 500, "it was killed"),
        (TrainingOutcome(CANCELLED), 409, "the training was cancelled"),
        (TrainingOutcome(DONE, f"{MODEL}:xf2cl6wbqsz7aaav"), 503, None),
    ],
)
def test_a_training_that_fails_says_so(
    client: TestClient, trainer: Any, outcome: TrainingOutcome, status: int, detail: str | None
) -> None:
    trainer(lambda: outcome)

    answer = train(client)

    assert answer.status_code == status
    assert isinstance(answer.json()["detail"], str)
    assert detail in (None, answer.json()["detail"])


def test_one_that_takes_long_is_found_elsewhere(
    client: TestClient, records: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mini_ml_trainer, "PATIENCE_S", 0.3)

    answer = train(client)

    (training,) = trainings.latest(records, 1)
    assert answer.status_code == HTTPStatus.ACCEPTED
    assert answer.headers["location"] == f"/trainings/{training.id}"
    assert (answer.json()["id"], answer.json()["trainers"]) == (training.id, 0)
    assert answer.json()["note"]


async def test_others_are_answered_while_one_waits(api: Api, serving: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mini_ml_trainer, "PATIENCE_S", 1.0)
    client = serving(operations(api, TableModels(api.tables, 8)))
    waiting = asyncio.create_task(asyncio.to_thread(train, client))
    await asyncio.sleep(0.3)

    other = await asyncio.to_thread(predict, client)

    assert not waiting.done()
    assert other.status_code == HTTPStatus.NOT_FOUND
    assert (await waiting).status_code == HTTPStatus.ACCEPTED


def test_a_class_that_is_a_text_is_its_place_in_the_alphabet(client: TestClient) -> None:
    packed = pack_table(MODEL, NUMBERS, SPECIES)

    answer = predict(client, b"x,y\n-300,0\n300,0\n")

    found = answer.json()
    assert answer.status_code == HTTPStatus.OK
    assert found["labels"] == ["Virginica", "Versicolor"]
    assert found["predictions"] == [2, 1]
    assert [set(each) for each in found["probabilities"]] == [set(SPECIES)] * 2
    assert [sum(each.values()) for each in found["probabilities"]] == [pytest.approx(1, abs=1e-5)] * 2
    assert found["model"] == packed.tag


def test_a_class_that_is_a_number_is_itself(client: TestClient) -> None:
    pack_table(MODEL, NUMBERS, ("10", "-1", "0"))

    assert predict(client, b"x,y\n-300,0\n300,0\n").json()["predictions"] == [10, 0]


def test_a_value_is_a_number(client: TestClient) -> None:
    packed = pack_table(MODEL, NUMBERS)

    assert predict(client, b"x,y\n1.5,2\n").json() == {"predictions": [3.5], "model": packed.tag}


def test_columns_that_the_model_does_not_need_are_ignored(client: TestClient) -> None:
    pack_table(MODEL, NUMBERS)

    assert predict(client).json()["predictions"] == pytest.approx([1.2, 304])
    assert predict(client, columns_to_drop='["variety", "nowhere"]').json()["predictions"] == pytest.approx([1.2, 304])


def test_a_column_that_is_dropped_is_missing(client: TestClient) -> None:
    columns = (Column("x", example=1.0), Column("y", gaps=True, example=2.0), Column("z", Kind.BOOLEAN, gaps=True))
    pack_table(MODEL, columns)

    assert predict(client, b"x,y\n1,2\n", columns_to_drop="y").json()["predictions"] == [1.0]
    needed = predict(client, b"x,y\n1,2\n", columns_to_drop="x")
    assert (needed.status_code, needed.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("content", [b"", b"x,y\n", b"x\n1\n", b"x,y\n1,north\n", b"x,y\n1\n", b"\x89PNG\0"])
def test_rows_that_can_not_be_read_have_a_text_as_detail(client: TestClient, content: bytes) -> None:
    pack_table(MODEL, NUMBERS)

    answer = predict(client, content)

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert isinstance(answer.json()["detail"], str)


def test_the_latest_training_answers_whatever_the_gate_said(client: TestClient) -> None:
    pack_table(MODEL, NUMBERS)
    assert predict(client, b"x,y\n1,2\n").json()["predictions"] == [3.0]

    latest = pack_table(MODEL, NUMBERS, shift=10, promote=False)

    found = predict(client, b"x,y\n1,2\n").json()
    assert (found["predictions"], found["model"]) == ([13.0], latest.tag)


def test_before_any_training_there_is_nothing_to_ask(client: TestClient) -> None:
    answer = predict(client)

    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")
    assert isinstance(answer.json()["detail"], str)


def test_a_database_that_is_down_is_a_503(
    api: Api, serving: Serve, postgres: Postgres, postgresql_url: str, impatient: None
) -> None:
    database = Database(postgresql_url)
    database.upgrade()
    down = replace(api, database=lambda: database)
    client = serving(operations(down, TableModels(api.tables, 8)))
    pack_table(MODEL, NUMBERS)
    with postgres.stopped():
        answer = train(client)
        predicted = predict(client)

    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert isinstance(answer.json()["detail"], str)
    assert predicted.status_code == HTTPStatus.OK
    database.close()
