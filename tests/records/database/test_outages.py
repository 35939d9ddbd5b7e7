"""A database that can't be relied on: it says so soon, and is used again when it is back."""

import logging
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import select, text

from marmita.records.database import engines, postgresql
from marmita.records.database.database import Database, DatabaseDownError, default_url
from marmita.records.database.tables import PriceRange
from tests.records.postgres import PASSWORD, Postgres
from tests.records.ranges import a_range, add, count

NOBODY = 65534


@contextmanager
def is_down_soon(within_s: float = 5, saying: str = ".") -> Iterator[None]:
    start = monotonic()
    with pytest.raises(DatabaseDownError, match=saying) as raised:
        yield
    assert monotonic() - start < within_s
    assert PASSWORD not in str(raised.value)


def test_a_wrong_password_is_not_shown_either(
    postgres: Postgres, postgresql_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(DatabaseDownError, match="password") as raised:
        add(Database(postgresql_url.replace(PASSWORD, "wr0ng-one")))
    assert "wr0ng-one" not in f"{raised.value}{raised.value.__cause__}{caplog.text}"


@contextmanager
def without_rights_of_root(owner_of: Path) -> Iterator[None]:
    """Root may write anywhere: be the one whose folder it is, who may not even reach this checkout."""
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(owner_of, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_a_folder_that_is_read_only_is_an_outage_until_it_is_not(read_only_folder: Path, sqlite_url: str) -> None:
    other = Database(sqlite_url)
    add(other)  # imports what is imported late
    other.close()
    database = Database(default_url(read_only_folder))
    with without_rights_of_root(read_only_folder), is_down_soon(saying=f"{read_only_folder}.*{os.strerror(EACCES)}"):
        add(database)
    read_only_folder.chmod(0o755)
    add(database)
    assert count(database) == 1
    database.close()


def fill(database: Database) -> None:
    for number in range(1000):
        with database.writing() as session:
            session.add_all([a_range(f"T{number}-{other}") for other in range(200)])


def test_a_file_that_may_not_grow_is_an_outage_until_it_may(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.writing() as session:
        session.execute(text("PRAGMA max_page_count = 60"))
    with is_down_soon(saying="full"):
        fill(database)
    kept = count(database)
    with database.writing() as session:
        session.execute(text("PRAGMA max_page_count = 1000"))
    add(database)
    assert count(database) == kept + 1
    database.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "marmita-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a small file system can't be mounted: this takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_an_outage_until_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(500_000))
    database = Database(default_url(small_disk))
    with is_down_soon(saying="full|disk I/O"):
        fill(database)
    kept = count(database)
    ballast.unlink()
    add(database)
    assert count(database) == kept + 1
    database.close()


def test_a_file_that_somebody_removed_is_made_anew(tmp_path: Path) -> None:
    database = Database(default_url(tmp_path))
    add(database)
    for path in tmp_path.glob("records.db*"):
        path.unlink()
    with is_down_soon(saying="price_ranges"):
        add(database)
    add(database)
    assert count(database) == 1
    database.close()


@pytest.mark.usefixtures("impatient")
def test_who_writes_for_long_keeps_others_waiting_for_no_longer_than_their_patience(sqlite_url: str) -> None:
    hog, other = Database(sqlite_url), Database(sqlite_url)
    add(hog)
    with hog.writing(), is_down_soon(saying="locked"):
        add(other)
    add(other, "AAPL")
    assert count(other) == 2
    for database in (hog, other):
        database.close()


@pytest.mark.usefixtures("impatient")
def test_who_asks_for_more_connections_than_there_are_is_not_kept_waiting(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    database.upgrade()

    def nested(depth: int) -> None:
        if depth:
            with database.reading():
                nested(depth - 1)

    with is_down_soon():
        nested(6)
    nested(5)
    database.close()


def test_a_server_that_stopped_is_an_outage_until_it_is_back(postgres: Postgres, postgresql_url: str) -> None:
    database = Database(postgresql_url)
    add(database)
    with postgres.stopped(), is_down_soon(saying="refused"):
        add(database, "AAPL")
    add(database, "AAPL")
    assert count(database) == 2
    database.close()


def test_a_server_that_stops_in_the_middle_is_an_outage(postgres: Postgres, postgresql_url: str) -> None:
    database = Database(postgresql_url)
    database.upgrade()
    with is_down_soon(10), database.writing() as session:
        session.add(a_range())
        session.flush()
        with postgres.stopped():
            pass
    add(database)
    assert count(database) == 1
    database.close()


def test_a_server_that_was_restarted_meanwhile_is_no_outage(postgres: Postgres, postgresql_url: str) -> None:
    database = Database(postgresql_url)
    add(database)
    with postgres.stopped():
        pass
    assert count(database) == 1
    database.close()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_freezes_is_an_outage_until_it_thaws(postgres: Postgres, postgresql_url: str) -> None:
    database = Database(postgresql_url)
    add(database)
    with postgres.frozen(), is_down_soon(saying="timeout"):
        add(database, "AAPL")
    add(database, "AAPL")
    assert count(database) == 2
    database.close()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_freezes_in_the_middle_is_an_outage(
    postgres: Postgres, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "_STATEMENT_TIMEOUT_S", 1)
    database = Database(postgresql_url)
    database.upgrade()
    with database.reading() as session:
        session.scalars(select(PriceRange)).all()
        with postgres.frozen(), is_down_soon(saying="timeout"), database.reading():
            pass
    with is_down_soon(saying="timeout"), database.writing() as session:
        session.add(a_range())
        session.flush()
        with postgres.frozen():
            session.execute(text("SELECT 1"))
    add(database)
    database.close()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_takes_connections_and_says_nothing_is_an_outage() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with is_down_soon(saying="timeout"):
            add(Database(f"postgresql://marmita:{PASSWORD}@127.0.0.1:{port}/records"))


def test_a_statement_that_takes_too_long_is_given_up(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "_LIMITS", "SET LOCAL statement_timeout = '200ms'")
    database = Database(postgresql_url)
    database.upgrade()
    with is_down_soon(saying="statement timeout"), database.reading() as session:
        session.execute(text("SELECT pg_sleep(20)"))
    database.close()


@pytest.mark.usefixtures("impatient")
def test_who_upgrades_may_take_all_the_time_that_it_needs(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "_STATEMENT_TIMEOUT_S", 0)
    database = Database(postgresql_url)
    with database.writing() as session:
        engines.lock_exclusively(session.connection())
        session.execute(text("SELECT pg_sleep(1)"))
    with is_down_soon(saying="timeout"), database.writing() as session:
        session.execute(text("SELECT pg_sleep(20)"))
    database.close()
