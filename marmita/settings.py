"""The settings of the service and its shepherd: environment variables `MARMITA_*`, or the same names in a file `.env`.

BentoML's own configuration (workers, batching, timeouts, logging, tracing) is in `configuration.yaml`.
"""

import logging
import math
import os
import re
from collections.abc import Callable
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from bentoml.exceptions import BentoMLConfigException
from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

from marmita.records.database.database import Database
from marmita.records.prices.ticker import ticker_of

PREFIX = "MARMITA_"

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}
_A_YEAR = timedelta(days=366)
_A_CENTURY = timedelta(days=36_500)
_SHORTEST_KEY = 16

log = logging.getLogger(__name__)


def duration(text: object, longest: timedelta = _A_YEAR) -> timedelta:
    """Parse a duration string, such as `30s`, `90m`, `24h` or `7d`."""
    if isinstance(text, timedelta):
        return text
    parts = re.fullmatch(r"([1-9][0-9]{0,9})([smhd])", str(text))
    if not parts:
        raise ValueError("must be a number of seconds, minutes, hours or days, such as 30s, 90m, 24h or 7d")
    number, unit = int(parts[1]), _UNITS[parts[2]]
    if number > longest / unit:
        raise ValueError(f"must not be longer than {longest.days}d")
    return number * unit


def format_duration(value: timedelta) -> str:
    """Format a duration as `duration` parses it, in the largest unit without a remainder."""
    return next(f"{value // one}{unit}" for unit, one in _UNITS.items() if not value % one)


Duration = Annotated[timedelta, BeforeValidator(duration)]
LongDuration = Annotated[timedelta, BeforeValidator(partial(duration, longest=_A_CENTURY))]


class Settings(BaseSettings):
    """All settings of an operator."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    topology: Literal["colocated", "split"] = "colocated"
    """Where the models run: `colocated` in the workers that take the requests, or `split` into processes of their
    own."""

    follow_store: bool = False
    """Inside a Bento: serve the champions of the model store in BentoML's home, and load new champions while running,
    instead of the models that the Bento was built with."""

    tables_loaded: int = Field(default=32, gt=0)
    """How many table models each worker keeps in memory. They are loaded on first use; the least recently used one is
    dropped for another one."""

    otlp_endpoint: str = ""
    """The OTLP endpoint that traces are sent to, such as `http://collector:4318/v1/traces`, unless
    `configuration.yaml` names one. Empty: no traces are sent."""

    max_body_bytes: int = Field(default=16 * 1024 * 1024, gt=0)
    """The largest request body, in bytes. A larger one is rejected with 413."""

    body_timeout: Duration = timedelta(seconds=20)
    """How long a request body may take to arrive. A slower one is rejected with 408."""

    upload_max_bytes: int = Field(default=256 * 1024 * 1024, gt=0)
    """The largest upload of a dataset, in bytes. A larger one is rejected with 413."""

    datasets: str = ""
    """The folder in which uploaded datasets are stored. Empty: the folder `datasets` in BentoML's home."""

    training_queue: int = Field(default=100, gt=0)
    """The number of trainings that may wait for a trainer. Orders over the limit are rejected with 429."""

    training_timeout: Duration = timedelta(minutes=10)
    """The time limit of a training from an uploaded dataset. A longer one is stopped."""

    training_memory_mb: int = Field(default=2048, gt=0)
    """The memory limit of a training from an uploaded dataset, in MB. One that needs more is stopped."""

    database_url: SecretStr = SecretStr("")
    """The database of the records, such as `postgresql://user:password@host/name`. Empty: the SQLite file
    `records.db` in BentoML's home."""

    record: Literal["off", "sample", "all"] = "off"
    """Which predictions are recorded, with their inputs: `off` for none, a `sample` of the requests, or `all`."""

    record_sample_rate: float = Field(default=0.1, gt=0, le=1)
    """The fraction of the requests that are recorded when `MARMITA_RECORD` is `sample`."""

    record_buffer_mb: int = Field(default=32, gt=0)
    """The memory, in MB, in which each process holds records while the database is down. Records beyond it are
    dropped."""

    record_retention: LongDuration = timedelta(days=30)
    """How long predictions, their labels and quality measurements are kept. The shepherd's decisions are kept for this
    long too, and for at least a year."""

    quality_interval: Duration = timedelta(seconds=60)
    """The interval at which quality and drift are measured for Prometheus while predictions are recorded."""

    quality_window: Duration = timedelta(days=1)
    """How far back a quality measurement looks."""

    yahoo_url: str = ""
    """A mirror of Yahoo Finance that prices are loaded from. Empty: Yahoo Finance itself."""

    mlflow_uri: SecretStr = SecretStr("")
    """The MLflow tracking server that training runs are logged to, such as `https://user:password@host`. Empty:
    they are not logged."""

    api_keys: SecretStr = SecretStr("")
    """Comma-separated API keys of at least 16 characters. Requests that change something must send one of them.
    Empty: no key is needed."""

    shepherd_interval: Duration = timedelta(hours=1)
    """The interval at which the shepherd checks all models."""

    shepherd_ticker: str = ""
    """The ticker of the stock whose prices the forecaster is trained on. Empty: it is trained only when it has no
    champion."""

    retrain_max_age: Duration = timedelta(days=30)
    """Retrain a forecaster when prices are newer than those it was trained on by more than this."""

    retrain_error_ratio: float = Field(default=1.5, gt=1)
    """Retrain when the live error exceeds the held-out error by this factor."""

    retrain_min_labels: int = Field(default=100, gt=0)
    """The number of rows that must have been labelled since the champion was trained, or there is nothing new to
    learn from."""

    retrain_backoff: Duration = timedelta(days=1)
    """How long to wait after a retraining that promoted nothing. The wait doubles with each further one, up to 8
    times."""

    retrain_timeout: Duration = timedelta(hours=1)
    """The time limit of a training. A longer one is stopped."""

    retrain_memory_mb: int = Field(default=4096, gt=0)
    """The memory limit of a training with all its subprocesses, in MB. One that needs more is stopped."""

    retrain_keep_versions: int = Field(default=10, gt=0)
    """How many of each model's newest versions, and of its former champions, the shepherd keeps in the store."""

    @field_validator("datasets")
    @classmethod
    def _make_absolute(cls, folder: str) -> str:
        """Make a path absolute, as subprocesses may start in another folder."""
        return str(Path(folder).expanduser().absolute()) if folder.strip() else ""

    @field_validator("shepherd_ticker")
    @classmethod
    def _check_ticker(cls, ticker: str) -> str:
        return ticker_of(ticker) if ticker.strip() else ""

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value():
            Database(url.get_secret_value())
        return url

    @field_validator("mlflow_uri")
    @classmethod
    def _check_mlflow_uri(cls, uri: SecretStr) -> SecretStr:
        if uri.get_secret_value() and not _is_http_address(uri.get_secret_value()):
            raise ValueError("must look like http://host:5000 or https://user:password@host")
        return uri

    @field_validator("api_keys")
    @classmethod
    def _check_api_keys(cls, keys: SecretStr) -> SecretStr:
        if any(len(key) < _SHORTEST_KEY for key in _split(keys)):
            raise ValueError(f"each key must have at least {_SHORTEST_KEY} characters")
        if not keys.get_secret_value().isascii():
            raise ValueError("a key must have no characters outside ASCII: they can't be sent in a header")
        return keys

    @property
    def keys(self) -> list[str]:
        return _split(self.api_keys)

    def hand_down(self) -> None:
        """Export the settings to the environment of subprocesses, which start in another folder without this `.env`."""
        for name, value in self.model_dump().items():
            os.environ[variable(name)] = written(value)


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def _days_to_duration(text: str) -> str:
    return f"{text}d"


def _seconds_to_duration(text: str) -> str:
    """Convert a number of seconds to a duration string, rounded up to whole seconds."""
    try:
        return f"{math.ceil(float(text))}s"
    except (ValueError, OverflowError):
        return text


RENAMED: dict[str, tuple[str, Callable[[str], str]]] = {
    "body_timeout_s": ("body_timeout", _seconds_to_duration),
    "quality_every_s": ("quality_interval", _seconds_to_duration),
    "record_days": ("record_retention", _days_to_duration),
    "record_share": ("record_sample_rate", str),
    "retrain_pause": ("retrain_backoff", str),
    "shepherd_every": ("shepherd_interval", str),
}
"""Deprecated names of settings, each with the new name and a function that converts the value. They are read for one
release."""


def _deprecated() -> dict[str, tuple[str, str]]:
    """Return the values of deprecated names whose new names are not set: (old name, value) by new name."""
    given = {**DotEnvSettingsSource(Settings).env_vars, **EnvSettingsSource(Settings).env_vars}
    values = {name: given.get(variable(name).lower()) for name in (*RENAMED, *Settings.model_fields)}
    return {
        new: (old, convert(value))
        for old, (new, convert) in RENAMED.items()
        if (value := values[old]) is not None and values[new] is None
    }


def _split(keys: SecretStr) -> list[str]:
    return [key.strip() for key in keys.get_secret_value().split(",") if key.strip()]


def _is_http_address(uri: str) -> bool:
    try:
        read = urlsplit(uri)
        return read.scheme in ("http", "https") and bool(read.hostname and read.port != 0 and not read.query)
    except ValueError:  # an invalid port: its message would show the text, which may be a password
        return False


def written(value: object) -> str:
    """Format the value of a setting for the environment."""
    match value:
        case SecretStr():
            return value.get_secret_value()
        case timedelta():
            return format_duration(value)
        case _:
            return str(value)


@cache
def settings() -> Settings:
    """Return the settings of this process, which are read once. Log a warning for each deprecated name."""
    for new, (old, _) in _deprecated().items():
        log.warning("the setting %s is deprecated: use %s", variable(old), variable(new))
    return read()


def read() -> Settings:
    """Read the current settings without caching them.

    While BentoML loads a Bento, the current folder is another one without this `.env`. Settings read there must not be
    cached.
    """
    deprecated = _deprecated()
    try:
        return Settings.model_validate({new: value for new, (_, value) in deprecated.items()})
    except ValidationError as error:
        names = {new: old for new, (old, _) in deprecated.items()}
        wrong = [(str(e["loc"][0]), e["msg"]) for e in error.errors()]
        message = "; ".join(f"{variable(names.get(name, name))}: {text}" for name, text in wrong)
        raise BentoMLConfigException(message) from None
