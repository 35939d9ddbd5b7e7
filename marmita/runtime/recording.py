"""The database and the recorder of this process, as the settings say."""

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
    """The database of this process."""
    return Database(settings().database_url.get_secret_value() or default_url(_file().parent))


def uses_database() -> bool:
    """Whether there is anything to record or to read: a database that is not used is not made."""
    named = settings().database_url.get_secret_value()
    return settings().record != "off" or bool(named) or _file().exists()


@cache
def recorder() -> Recorder | None:
    """What found this process's predictions, if they are to be kept."""
    mode = settings().record
    if mode == "off":
        return None
    rate = settings().record_sample_rate if mode == "sample" else 1.0
    return Recorder(database(), RecordMetrics(), sample_rate=rate, most_bytes=settings().record_buffer_mb * 1024 * 1024)


class RecorderShutdown(LifespanHook):
    """Writes what still waits when a worker ends."""

    def end(self) -> None:
        found = recorder()
        if found is not None:
            found.close()


def _file() -> Path:
    """Where records are kept if no other database is named."""
    return bentoml_home() / "records.db"
