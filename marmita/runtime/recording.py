"""The database and the recorder of this process, made from the settings."""

from functools import cache
from pathlib import Path

from marmita.hooks import LifespanHook
from marmita.internals.bentoml import bentoml_home
from marmita.records.database.database import Database, default_url
from marmita.records.metrics import RecordMetrics
from marmita.records.predictions.recorder import Recorder
from marmita.settings import settings


@cache
def database() -> Database:
    """Return the database of this process."""
    return Database(settings().database_url.get_secret_value() or default_url(_database_file().parent))


def uses_database() -> bool:
    """Tell whether this process uses a database at all. A database that is not used is not created."""
    named = settings().database_url.get_secret_value()
    return settings().record != "off" or bool(named) or _database_file().exists()


@cache
def recorder() -> Recorder | None:
    """Return the recorder of this process's predictions, or None if recording is off."""
    mode = settings().record
    if mode == "off":
        return None
    rate = settings().record_sample_rate if mode == "sample" else 1.0
    return Recorder(database(), RecordMetrics(), sample_rate=rate, most_bytes=settings().record_buffer_mb * 1024 * 1024)


class RecorderShutdown(LifespanHook):
    """The lifespan hook that writes the queued predictions at a worker's shutdown."""

    def end(self) -> None:
        found = recorder()
        if found is not None:
            found.close()


def _database_file() -> Path:
    """Return the database's file, for settings that name no other database."""
    return bentoml_home() / "records.db"
