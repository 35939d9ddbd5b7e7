"""The databases: SQLite, and PostgreSQL for tests that say so."""

import pytest

from tests.records.conftest import database as database
from tests.records.conftest import sqlite_url as sqlite_url

ON_BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url"))
