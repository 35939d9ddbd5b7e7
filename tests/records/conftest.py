"""The databases that records are tested on: the same tests run on SQLite and on a real PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from marmita.records.database import engines, postgresql
from marmita.records.database.database import Database


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'records.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A new database of each kind. What a test needs of one kind only, it asks for by name."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A new database of each kind, in which nothing is yet."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a database for longer than a second or two."""
    monkeypatch.setattr(engines, "PATIENCE_S", 0.5)
    monkeypatch.setitem(postgresql._CONNECT_OPTIONS, "connect_timeout", 2)
