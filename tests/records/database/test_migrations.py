"""The tables are made and changed by migrations, once, whoever comes first."""

import json
import logging
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import inspect, select, text
from sqlalchemy.orm import Session

from marmita.records.database import bulk
from marmita.records.database.database import HEAD, MIGRATIONS, Database, DatabaseDownError
from marmita.records.database.tables import Base, Decision, Forecast, Prediction, Price
from marmita.records.operations import decisions
from marmita.records.operations.reasons import Reason, ReasonCode
from marmita.records.predictions.bundles import Bundle, PredictionRequest, write
from tests.records.postgres import PASSWORD, Postgres

ONE_OF_MANY = """
import sys
from marmita.records.database.database import Database
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
database.upgrade()
print("alembic" in sys.modules)
"""


def tables(database: Database) -> set[str]:
    with database.reading() as session:
        return set(inspect(session.connection()).get_table_names())


def test_the_migrated_tables_are_those_of_the_code(database: Database) -> None:
    with database.writing() as session:
        context = MigrationContext.configure(session.connection())
        assert compare_metadata(context, Base.metadata) == []


def test_the_code_knows_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_all_of_it_can_be_taken_back_and_made_again(database: Database, database_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.writing() as session:
        config.attributes["connection"] = session.connection()
        command.downgrade(config, "base")
    assert tables(database) == {"alembic_version"}

    again = Database(database_url)
    assert tables(again) == {"alembic_version", *Base.metadata.tables}
    again.close()


def keep_as_before(session: Session, id: str, at: datetime) -> None:
    """A prediction of two rows, as a service from before requests were kept together writes it."""
    connection = session.connection()
    moment = bulk.moments(connection)(at.timestamp())
    columns = ("id", "model", "version", "request_id", "at", "seconds", "rows", "inputs", "outputs")
    bulk.insert(connection, Prediction, columns, [(id, "grades", "v1", "mine", moment, 0.125, 2, b"in", b"out")])
    bulk.insert(connection, Forecast, ("prediction_id", "row", "ticker", "as_of"), [(id, 1, "MSFT", "2026-03-04")])


def test_predictions_from_before_they_were_kept_together_are_still_there(database: Database, database_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    at = datetime(2026, 3, 4, 12, 30, 15, 250_000, tzinfo=UTC)
    id = "0" * 32
    with database.writing() as session:
        config.attributes["connection"] = session.connection()
        command.downgrade(config, "0001")
        keep_as_before(session, id, at)

    again = Database(database_url)
    with again.reading() as session:
        kept = session.scalars(select(Prediction)).one()
        assert session.scalars(select(Forecast)).one().row == 1
    again.close()
    assert (kept.id, kept.model, kept.version, kept.at, kept.rows) == (id, "grades", "v1", at, 2)
    assert (kept.requests, kept.inputs, kept.outputs) == (1, b"in", b"out")
    (then,) = kept.asked.pop("at")
    assert then == pytest.approx(at.timestamp(), abs=0.001)
    assert kept.asked == {"request_ids": ["mine"], "rows": [2], "seconds": [0.125]}


def test_a_service_from_before_predictions_were_kept_together_goes_on_beside_newer_ones(database: Database) -> None:
    bundle = Bundle("grades", "v2")
    for id, seconds in (("first", 0.25), ("second", 0.75)):
        bundle.add(PredictionRequest(id, np.zeros((1, 2), np.float32), np.zeros((1, 1), np.float32), seconds), 0)
    with database.writing() as session:
        keep_as_before(session, "0" * 32, datetime.now(UTC))
        write(session.connection(), [bundle])
    with database.reading() as session:
        found = session.execute(text("SELECT request_id, seconds, rows FROM predictions ORDER BY version")).all()
        assert [tuple(row) for row in found] == [("mine", 0.125, 2), ("first", 0.5, 2)]
        assert session.scalars(select(Prediction.requests).order_by(Prediction.version)).all() == [1, 2]


def decide_as_before(session: Session, id: str) -> None:
    """A decision, as a service from before reasons had codes writes it."""
    connection = session.connection()
    now = bulk.moments(connection)(datetime.now(UTC).timestamp())
    columns = ("id", "model", "at", "action", "reasons", "evidence", "runs", "outcome", "detail", "tag", "ended_at")
    row = (id, "grades", now, decisions.LEAVE, '["it drifted", "9 labels"]', "{}", "[]", decisions.LEFT, "", None, now)
    bulk.insert(connection, Decision, columns, [row])


WITHOUT_CODES = [Reason(ReasonCode.UNKNOWN, "it drifted"), Reason(ReasonCode.UNKNOWN, "9 labels")]


def test_decisions_from_before_reasons_had_codes_are_still_there(database: Database, database_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.writing() as session:
        config.attributes["connection"] = session.connection()
        command.downgrade(config, "0003")
        decide_as_before(session, "0" * 32)

    again = Database(database_url)
    (kept,) = decisions.latest(again)
    again.close()
    assert (kept.id, kept.model, kept.action, kept.outcome) == ("0" * 32, "grades", decisions.LEAVE, decisions.LEFT)
    assert kept.reason_codes == []
    assert decisions.reasons_of(kept) == WITHOUT_CODES


def test_a_service_from_before_reasons_had_codes_goes_on_beside_newer_ones(database: Database) -> None:
    decisions.begin(database, "grades", decisions.LEAVE, [Reason(ReasonCode.NO_DRIFT, "all is well")], {})
    with database.writing() as session:
        decide_as_before(session, "0" * 32)

    newer, older = decisions.latest(database)[::-1]
    assert decisions.reasons_of(newer) == [Reason(ReasonCode.NO_DRIFT, "all is well")]
    assert decisions.reasons_of(older) == WITHOUT_CODES
    with database.reading() as session:
        texts = session.execute(text("SELECT reasons FROM decisions ORDER BY at")).scalars().all()
    assert [json.loads(one) if isinstance(one, str) else one for one in texts] == [
        ["all is well"],
        ["it drifted", "9 labels"],
    ]


def test_of_eight_processes_that_start_together_one_upgrades_and_none_fails(database_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ONE_OF_MANY, database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        said = [process.communicate(timeout=60)[0].strip() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert sorted(said) == ["False"] * 7 + ["True"]


def open_together(folder: Path, rounds: int, together: Barrier, failures: "Queue[str]") -> None:
    for each in range(rounds):
        database = Database(f"sqlite:///{folder / str(each)}.db")
        together.wait(60)
        try:
            database.upgrade()
        except DatabaseDownError as error:
            failures.put(f"round {each}: {error}")
        finally:
            database.close()


def test_a_new_sqlite_file_opens_for_all_processes_that_come_at_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    together, failures = spawn.Barrier(8), spawn.Queue()
    processes = [spawn.Process(target=open_together, args=(tmp_path, 60, together, failures)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 8
    assert failures.empty(), failures.get()


def test_who_has_nothing_to_upgrade_does_not_import_alembic(database: Database, database_url: str) -> None:
    database.upgrade()
    run = subprocess.run(
        [sys.executable, "-c", ONE_OF_MANY, database_url], input="\n", capture_output=True, text=True, timeout=60
    )
    assert run.stdout.split() == ["ready", "False"], run.stderr


def test_an_upgrade_leaves_the_logs_as_they_are(database: Database) -> None:
    bystander = logging.getLogger("bystander")
    before = list(logging.root.handlers), logging.root.level, bystander.disabled
    database.upgrade()
    assert (list(logging.root.handlers), logging.root.level, bystander.disabled) == before


def test_a_database_from_a_newer_version_is_used_as_it_is(database: Database, database_url: str) -> None:
    with database.writing() as session:
        session.execute(text("ALTER TABLE labels ADD COLUMN by_whom VARCHAR(10)"))
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    older = Database(database_url)
    with older.writing() as session:
        assert session.scalars(select(Price)).all() == []
    with older.reading() as session:
        assert session.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
        columns = inspect(session.connection()).get_columns("labels")
    assert "by_whom" in [column["name"] for column in columns]
    older.close()


@pytest.fixture
def guest(postgres: Postgres) -> Iterator[str]:
    """A role that may do nothing but connect."""
    name = sql.Identifier("guest")
    postgres.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(PASSWORD)))
    yield "guest"
    postgres.execute(sql.SQL("DROP ROLE {}").format(name))


@pytest.fixture
def guests_database(guest: str, postgres: Postgres, postgresql_url: str) -> Iterator[Database]:
    database = Database(postgres.url(postgresql_url.rpartition("/")[2], user=guest))
    yield database
    database.close()


def test_a_role_that_may_make_no_tables_can_use_those_that_are_there(
    guests_database: Database, postgresql_url: str
) -> None:
    owner = Database(postgresql_url)
    with owner.writing() as session:
        session.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest"))
    owner.close()
    with guests_database.reading() as session:
        assert session.scalars(select(Price)).all() == []


def test_a_role_that_may_make_no_tables_is_told_so_if_there_are_none(guests_database: Database) -> None:
    with pytest.raises(DatabaseDownError, match="permission denied for schema public"):
        guests_database.upgrade()
