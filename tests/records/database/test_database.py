"""What is written is there for all, or not at all, and for nobody else to see."""

import os
import stat
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import select

from marmita.records.database.database import Database, DatabaseDownError, default_url, insert_into
from marmita.records.database.tables import PriceRange
from tests.records.postgres import PASSWORD
from tests.records.ranges import MOMENT, a_range, add, count


def test_what_is_written_can_be_read_by_others(database: Database, database_url: str) -> None:
    add(database)
    other = Database(database_url)
    with other.reading() as session:
        assert session.scalars(select(PriceRange.fetched_at)).all() == [MOMENT]
    other.close()


def test_nothing_is_kept_of_a_block_that_raises(database: Database) -> None:
    def fail() -> None:
        with database.writing() as session:
            session.add(a_range())
            session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert count(database) == 0


def test_a_reader_sees_one_state(database: Database) -> None:
    with database.reading() as session:
        before = session.scalars(select(PriceRange.ticker)).all()
        add(database)
        assert session.scalars(select(PriceRange.ticker)).all() == before == []
    assert count(database) == 1


def test_rows_that_are_there_already_can_be_left_as_they_are(database: Database) -> None:
    add(database)
    with database.writing() as session:
        values = {"ticker": "MSFT", "first_day": date(2024, 1, 1), "last_day": date(2025, 1, 1), "fetched_at": MOMENT}
        session.execute(insert_into(session, PriceRange).on_conflict_do_nothing(), values)
    with database.reading() as session:
        assert session.scalars(select(PriceRange.last_day)).all() == [date(2024, 2, 1)]


def test_a_mistake_is_no_outage(database: Database) -> None:
    add(database)
    with pytest.raises(Exception, match=r"(?i)unique") as raised:
        add(database)
    assert not isinstance(raised.value, DatabaseDownError)


def test_errors_show_nothing_of_what_was_to_be_kept(database: Database) -> None:
    add(database, "A-SECRET")
    with pytest.raises(Exception, match=r"(?i)unique") as raised:
        add(database, "A-SECRET")
    assert "parameters: " not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://marmita:{PASSWORD}@host:port/records",
        f"postgresql:/marmita:{PASSWORD}@host/records",
        f"mysql://marmita:{PASSWORD}@host/records",
        f"postgresql+asyncpg://marmita:{PASSWORD}@host/records",
        f"postgresql://marmita:{PASSWORD}@host/records?foo=1",
        f"postgresql://marmita@host/records?{PASSWORD}=1",
        f"postgres://marmita@host/records?sslmode=require&passwort={PASSWORD}",
        f"postgresql+psycopg://marmita:{PASSWORD}@host/records?prepare_threshold=5",
        PASSWORD,
        "",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_a_url_that_is_of_no_use_is_refused_at_once_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|SQLite") as raised:
        Database(url)
    assert PASSWORD not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://host/records?sslmode=verify-full&sslrootcert=/a/file&options=-csearch_path%3Dmarmita",
        "postgresql://marmita@/records?host=one:5432&host=other:5433&target_session_attrs=read-write",
        "postgresql:///records?host=/run/postgresql&connect_timeout=2",
        "postgresql://marmita:%40%2F%20%27@host/records",
    ],
)
def test_what_postgresql_knows_may_be_in_the_url(url: str) -> None:
    assert str(Database(url))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_no_password_is_shown(scheme: str) -> None:
    database = Database(f"{scheme}://marmita:{PASSWORD}@host:1/records?password={PASSWORD}&sslmode=require")
    assert str(database) == "postgresql+psycopg://marmita:***@host:1/records"
    assert PASSWORD not in repr(database)


def test_what_is_kept_in_a_file_is_nobody_elses(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        database = Database(default_url(tmp_path / "a folder" / "that is missing"))
        with database.writing() as session:
            session.add(a_range())
            session.flush()
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("records.db*")}
    finally:
        os.umask(before)
    database.close()
    assert modes == dict.fromkeys(("records.db", "records.db-wal", "records.db-shm"), 0o600)


PASSER_BY = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM price_ranges").fetchone()[0])
connection.close()
"""


def passer_by(path: Path) -> int:
    """What another process sees, which is the last one to close the file if it thinks that nobody else has it open."""
    command = [sys.executable, "-c", PASSER_BY, str(path)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_who_comes_by_takes_nothing_away_from_those_who_have_the_file_open(tmp_path: Path) -> None:
    """The system forgets all locks that a process has on a file as soon as it closes that file in any way."""
    first, second = Database(default_url(tmp_path)), Database(default_url(tmp_path))
    add(first)
    assert count(second) == 1  # opened while the first one has it open
    assert passer_by(tmp_path / "records.db") == 1

    add(first, ticker="AAPL")

    assert passer_by(tmp_path / "records.db") == 2
    for database in (first, second):
        database.close()
    assert passer_by(tmp_path / "records.db") == 2
