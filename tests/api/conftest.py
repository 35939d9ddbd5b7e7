"""A front with operations of the API, over a store and a database of its own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from marmita.api.auth import ApiKeys
from marmita.api.operations import Api, Operation
from marmita.records.database.database import Database
from marmita.registry.datasets import DatasetStore
from marmita.registry.tables import TableStore
from marmita.settings import settings
from tests.web.fronts import front

WITH_CODE = "wine_quality"
Serve = Callable[[Sequence[Operation]], TestClient]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'records.db'}")
    yield database
    database.close()


@pytest.fixture
def datasets(tmp_path: Path) -> Path:
    return tmp_path / "datasets"


@pytest.fixture
def api(records: Database, datasets: Path, empty_store: Path) -> Api:
    return Api(
        models={WITH_CODE: lambda: pytest.fail("no model is asked")},
        contracts={},
        tables=TableStore([WITH_CODE]),
        database=lambda: records,
        keys=ApiKeys([]),
        datasets=lambda: DatasetStore(datasets),
    )


@pytest.fixture
def serving() -> Iterator[Serve]:
    """Makes clients of operations. All requests of one run in one event loop, as in a worker."""
    with ExitStack() as opened:

        def serve(operations: Sequence[Operation]) -> TestClient:
            found = front()
            for operation in operations:
                found.lane.add(operation.routes(), operation.templates())
            return opened.enter_context(TestClient(found, base_url="http://front"))

        yield serve


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Sets a setting for a test."""

    def set_one(name: str, value: str) -> None:
        monkeypatch.setenv(f"MARMITA_{name}", value)
        settings.cache_clear()

    yield set_one
    monkeypatch.undo()
    settings.cache_clear()
