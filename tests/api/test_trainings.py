"""Trainings are ordered with an upload, watched, listed and cancelled."""

import json
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from marmita.api.auth import ApiKeys
from marmita.api.operations import Api
from marmita.api.trainings import MAX_LISTED, NO_TRAINER, name_of, names_of, operations
from marmita.contract.errors import RequestError
from marmita.records.database.database import Database
from marmita.records.operations import trainings
from marmita.records.operations.leases import TRAINER, Claim
from marmita.records.operations.trainings import CANCELLED, DONE, FAILED, QUEUED, RUNNING, TrainingOutcome
from marmita.records.predictions.bundles import new_id
from tests.api.conftest import WITH_CODE, Serve
from tests.packed_tables import CLASSES, NUMBERS, pack_table
from tests.records.conftest import impatient as impatient
from tests.records.postgres import Postgres

ROWS = b"x,y,left\r\n1,2,stays\r\n3,4,leaves\r\n"
KEY = "a-key-of-the-tests"
LEASE = f"{TRAINER}of-the-tests"


@pytest.fixture
def client(api: Api, serving: Serve) -> TestClient:
    return serving(operations(api))


def order(client: TestClient, **texts: str) -> httpx2.Response:
    files = {"file": ("Churn 2026.csv", ROWS, "text/csv")}
    return client.post("/trainings", files=files, data={"target": "left", **texts})


def ordered(client: TestClient, **texts: str) -> dict[str, Any]:
    answer = order(client, **texts)
    assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


def stored(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*.csv")]


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def end(records: Database, outcome: TrainingOutcome) -> None:
    """What a trainer makes of the oldest training."""
    training = trainings.take(records, LEASE, new_id())
    assert training is not None
    assert trainings.end(records, training.id, LEASE, outcome)


@pytest.fixture
def trainer(records: Database) -> Claim:
    """A trainer that is alive."""
    claim = Claim(records, LEASE)
    assert claim.take()
    return claim


def test_an_order_waits_in_the_queue_with_its_dataset(client: TestClient, datasets: Path) -> None:
    answer = order(client, task="classification", drop="id, phone")

    begun = answer.json()
    assert answer.status_code == HTTPStatus.ACCEPTED
    assert answer.headers["location"] == f"/trainings/{begun['id']}"
    assert (begun["name"], begun["target"], begun["file"], begun["state"]) == (
        "churn_2026",
        "left",
        "Churn 2026.csv",
        QUEUED,
    )
    assert (begun["order"]["task"], begun["order"]["drop"]) == ("classification", ["id", "phone"])
    assert stored(datasets) == [ROWS]
    assert client.get(answer.headers["location"]).json() == begun


def test_every_field_of_an_order_is_taken(client: TestClient) -> None:
    begun = ordered(
        client,
        name="churn",
        model="RandomForestClassifier",
        params='{"n_estimators": 50, "max_depth": null}',
        drop='["id", "phone, home"]',
        kinds='{"zip": "category"}',
        seed="3",
        seconds="30",
    )

    assert begun["order"] == {
        "name": "churn",
        "target": "left",
        "task": "auto",
        "model": "RandomForestClassifier",
        "params": {"n_estimators": 50, "max_depth": None},
        "drop": ["id", "phone, home"],
        "kinds": {"zip": "category"},
        "seed": 3,
        "seconds": 30.0,
    }


@pytest.mark.parametrize("media_type", ["text/csv", "application/vnd.ms-excel", "application/octet-stream", "", "x"])
def test_any_media_type_of_the_file_is_taken(client: TestClient, media_type: str) -> None:
    file = ("a.csv", ROWS, media_type) if media_type else ("a.csv", ROWS)

    answer = client.post("/trainings", files={"file": file}, data={"target": "left"})

    assert answer.status_code == HTTPStatus.ACCEPTED


def test_the_same_file_twice_is_stored_once(client: TestClient, datasets: Path) -> None:
    first, second = ordered(client), ordered(client)

    assert first["id"] != second["id"]
    assert stored(datasets) == [ROWS]


@pytest.mark.parametrize(
    ("texts", "place"),
    [
        ({"target": ""}, "target"),
        ({"name": "Churn"}, "name"),
        ({"name": "1"}, "name"),
        ({"task": "clustering"}, "task"),
        ({"model": "SVC"}, ""),
        ({"params": "{"}, "params"),
        ({"params": "[1]"}, "params"),
        ({"model": "Ridge", "params": '{"alpha": -1}'}, ""),
        ({"drop": "[1]"}, "drop"),
        ({"drop": '["left"]'}, ""),
        ({"kinds": '{"x": "colour"}'}, "kinds"),
        ({"seconds": "0"}, "seconds"),
        ({"seconds": "599"}, "seconds"),
        ({"targets": "left"}, "targets"),
    ],
)
def test_an_invalid_order_is_rejected_and_leaves_nothing(
    client: TestClient, datasets: Path, records: Database, texts: dict[str, str], place: str
) -> None:
    answer = order(client, **texts)

    assert code(answer) == (400, "invalid_request")
    assert answer.json()["detail"][0]["loc"][:1] == ([place] if place else [])
    assert stored(datasets) == []
    assert trainings.latest(records, 10) == []


@pytest.mark.parametrize(
    "files",
    [
        {"other": ("a.csv", ROWS)},
        {"file": (None, ROWS)},
        {"file": ("a.csv", ROWS), "name": ("b.csv", b"churn")},
    ],
)
def test_the_dataset_must_be_the_only_file(client: TestClient, files: dict[str, Any]) -> None:
    answer = client.post("/trainings", files=files, data={"target": "left"})

    assert code(answer) == (400, "invalid_request")


def test_a_form_is_the_only_body(client: TestClient) -> None:
    assert code(client.post("/trainings", json={"target": "left"})) == (415, "unsupported_media_type")


def test_the_name_of_a_model_with_code_is_taken(client: TestClient, datasets: Path) -> None:
    assert code(order(client, name=WITH_CODE)) == (409, "name_taken")
    assert stored(datasets) == []


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("iris.csv", "iris"),
        ("Churn 2026 (final).csv", "churn_2026_final"),
        ("Avaliação.csv", "avaliacao"),
        ("2026.csv", "model_2026"),
        ("данные.csv", "model"),
        ("", "model"),
        ("x" * 100 + ".csv", "x" * 63),
        ("archive.tar.gz", "archive_tar"),
    ],
)
def test_a_model_is_named_as_its_file(file: str, name: str) -> None:
    assert name_of(file) == name


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("id", ["id"]),
        ("id, timestamp", ["id", "timestamp"]),
        ('"a, b",c', ["a, b", "c"]),
        ('["id", "a, b"]', ["id", "a, b"]),
        ("[]", []),
        (" , ", []),
        ("id\nphone", ["id", "phone"]),
    ],
)
def test_names_come_as_a_list_or_with_commas(text: str, names: list[str]) -> None:
    assert names_of("drop", text) == names


@pytest.mark.parametrize("text", ["[", "[1]", '["a"', '[["a"]]'])
def test_a_broken_list_of_names_is_rejected(text: str) -> None:
    with pytest.raises(RequestError):
        names_of("drop", text)


def test_a_full_queue_takes_no_more(client: TestClient, setting: Callable[[str, str], None]) -> None:
    setting("TRAINING_QUEUE", "2")
    for _ in range(2):
        ordered(client)

    answer = order(client)

    assert code(answer) == (429, "queue_full")
    assert answer.headers["retry-after"] == "1"


def test_an_order_plans_with_less_than_the_time_limit(client: TestClient, setting: Callable[[str, str], None]) -> None:
    assert ordered(client)["order"]["seconds"] == 120
    setting("TRAINING_TIMEOUT", "60s")

    assert ordered(client)["order"]["seconds"] == 48
    assert code(order(client, seconds="50")) == (400, "invalid_request")


def test_where_no_trainer_runs_the_answer_says_so(client: TestClient, trainer: Claim) -> None:
    with_trainer = ordered(client)
    assert (with_trainer["trainers"], with_trainer["note"]) == (1, None)

    trainer.release()

    alone = ordered(client)
    assert (alone["trainers"], alone["note"]) == (0, NO_TRAINER)
    assert client.get("/trainings").json()["trainers"] == 0


def test_progress_is_seen_while_it_runs(client: TestClient, records: Database, trainer: Claim) -> None:
    id = ordered(client)["id"]
    trainings.take(records, LEASE, new_id())
    trainings.report(records, id, LEASE, {"step": "fitting", "done": 0.25, "seconds_left": None})

    running = client.get(f"/trainings/{id}").json()

    assert (running["state"], running["attempts"], running["note"]) == (RUNNING, 1, None)
    assert running["progress"] == {"step": "fitting", "done": 0.25, "seconds_left": None}
    trainer.release()


def test_one_that_is_done_has_its_tag_and_its_card(client: TestClient, records: Database) -> None:
    packed = pack_table("churn", NUMBERS, CLASSES)
    id = ordered(client, name="churn")["id"]
    end(records, TrainingOutcome(DONE, packed.tag))

    done = client.get(f"/trainings/{id}").json()

    assert (done["state"], done["tag"]) == (DONE, packed.tag)
    assert done["card"] == json.loads(packed.card.model_dump_json())
    assert done["ended_at"] >= done["started_at"] >= done["at"]


def test_one_whose_version_was_deleted_has_no_card(client: TestClient, records: Database) -> None:
    id = ordered(client)["id"]
    end(records, TrainingOutcome(DONE, "churn_2026:xf2cl6wbqsz7aaav"))

    done = client.get(f"/trainings/{id}").json()

    assert (done["tag"], done["card"]) == ("churn_2026:xf2cl6wbqsz7aaav", None)


def test_one_that_failed_says_why_and_where(client: TestClient, records: Database) -> None:
    id = ordered(client)["id"]
    error = {"code": "ragged_row", "message": "line 3 has 2 cells", "column": None, "row": 3, "value": None}
    end(records, TrainingOutcome(FAILED, error=error))

    failed = client.get(f"/trainings/{id}").json()

    assert (failed["state"], failed["error"], failed["card"]) == (FAILED, error, None)


def test_the_newest_are_listed_first(client: TestClient, setting: Callable[[str, str], None]) -> None:
    ids = [ordered(client)["id"] for _ in range(MAX_LISTED + 1)]

    listed = client.get("/trainings").json()["trainings"]

    assert [one["id"] for one in listed] == ids[:0:-1]
    assert set(listed[0]) == set(ordered(client)) - {"order", "card", "trainers", "note"}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_one_that_is_unknown_is_not_found(client: TestClient, method: str) -> None:
    assert code(client.request(method, f"/trainings/{'0' * 32}")) == (404, "training_not_found")
    assert code(client.request(method, "/trainings/1")) == (404, "not_found")


def test_one_that_waits_is_cancelled(client: TestClient) -> None:
    id = ordered(client)["id"]

    for _ in range(2):
        assert client.delete(f"/trainings/{id}").json()["state"] == CANCELLED
    assert client.get(f"/trainings/{id}").json()["state"] == CANCELLED


def test_one_that_runs_is_marked_for_its_trainer(client: TestClient, records: Database, trainer: Claim) -> None:
    id = ordered(client)["id"]
    trainings.take(records, LEASE, new_id())

    marked = client.delete(f"/trainings/{id}").json()

    assert (marked["state"], marked["cancelling"]) == (RUNNING, True)
    assert not trainings.is_wanted(records, id, LEASE)
    trainer.release()


def test_one_that_has_ended_can_not_be_cancelled(client: TestClient, records: Database) -> None:
    id = ordered(client)["id"]
    end(records, TrainingOutcome(DONE, "churn:v1"))

    assert code(client.delete(f"/trainings/{id}")) == (409, "training_ended")


def test_other_methods_are_not_allowed(client: TestClient) -> None:
    for path, allowed in (("/trainings", "POST, GET"), (f"/trainings/{'0' * 32}", "GET, DELETE")):
        answer = client.put(path, json={})
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_changes_need_a_key_and_looking_needs_none(api: Api, datasets: Path, serving: Serve) -> None:
    client = serving(operations(replace(api, keys=ApiKeys([KEY]))))
    with_key = serving(operations(replace(api, keys=ApiKeys([KEY]))))
    with_key.headers["authorization"] = f"Bearer {KEY}"

    assert code(order(client)) == (401, "unauthorized")
    assert stored(datasets) == []
    id = ordered(with_key)["id"]
    assert client.get(f"/trainings/{id}").status_code == client.get("/trainings").status_code == 200
    assert code(client.delete(f"/trainings/{id}")) == (401, "unauthorized")
    assert with_key.delete(f"/trainings/{id}").status_code == 200


def test_a_page_of_another_origin_can_not_order(client: TestClient, datasets: Path) -> None:
    client.headers["origin"] = "https://page.example"

    assert code(order(client)) == (403, "cross_origin")
    assert stored(datasets) == []


def test_a_database_that_is_down_is_a_503(
    api: Api, serving: Serve, postgres: Postgres, postgresql_url: str, impatient: None
) -> None:
    database = Database(postgresql_url)
    client = serving(operations(replace(api, database=lambda: database)))
    id = ordered(client)["id"]
    with postgres.stopped():
        for answer in (
            order(client),
            client.get("/trainings"),
            client.get(f"/trainings/{id}"),
            client.delete(f"/trainings/{id}"),
        ):
            assert code(answer) == (503, "database_unavailable")
            assert answer.headers["retry-after"] == "1"
    assert client.get(f"/trainings/{id}").json()["state"] == QUEUED
    database.close()
