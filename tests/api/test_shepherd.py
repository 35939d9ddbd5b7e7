"""What was decided can be looked at by anybody, and only so much of it at a time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from marmita.api.auth import ApiKeys
from marmita.api.operations import Api
from marmita.api.shepherd import MAX_LIMIT, operations
from marmita.records.database.database import Database
from marmita.records.database.tables import Decision
from marmita.records.operations import decisions
from marmita.records.operations.decisions import LEAVE
from marmita.records.operations.reasons import Reason, ReasonCode
from tests.web.fronts import front

DRIFT, FEW = Reason(ReasonCode.DRIFT, "it drifted"), Reason(ReasonCode.TOO_FEW_NEW_LABELS, "9 labels")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """With three decisions."""
    database = Database(f"sqlite:///{tmp_path / 'records.db'}")
    for _ in range(3):
        decisions.begin(database, "a", LEAVE, [DRIFT, FEW], {})
    yield database
    database.close()


@pytest.fixture
def client(database: Database) -> TestClient:
    (operation,) = operations(Api(["a"], lambda _: pytest.fail("no model is asked"), lambda: database, ApiKeys([])))
    return TestClient(front(operation.routes()))


def test_reasons_have_texts_and_codes_in_one_order(client: TestClient) -> None:
    (decision,) = client.get("/shepherd", params={"limit": "1"}).json()["decisions"]

    assert decision["reasons"] == [DRIFT.text, FEW.text]
    assert decision["reason_codes"] == ["drift", "too_few_new_labels"]


def test_reasons_of_decisions_without_codes_are_unknown(client: TestClient, database: Database) -> None:
    with database.writing() as session:
        session.execute(update(Decision).values(reason_codes=[]))

    (decision,) = client.get("/shepherd", params={"limit": "1"}).json()["decisions"]

    assert decision["reasons"] == [DRIFT.text, FEW.text]
    assert decision["reason_codes"] == ["unknown", "unknown"]


@pytest.mark.parametrize(("limit", "shown"), [("1", 1), ("002", 2), (str(MAX_LIMIT), 3)])
def test_as_many_as_are_asked_for_are_shown(client: TestClient, limit: str, shown: int) -> None:
    assert len(client.get("/shepherd", params={"limit": limit}).json()["decisions"]) == shown


@pytest.mark.parametrize("limit", ["", "0", "-1", "1.0", "\u0663", str(MAX_LIMIT + 1), "0000001005", "9" * 5000])
def test_what_is_no_number_up_to_the_bound_is_refused(client: TestClient, limit: str) -> None:
    answer = client.get("/shepherd", params={"limit": limit})

    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"
    assert answer.json()["error"].startswith("limit: ")
