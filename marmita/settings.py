"""The settings of the service and its shepherd: environment variables `MARMITA_*`, or the same names in a file `.env`.

How the service is served (workers, batching, timeouts, logging, tracing) is BentoML's business and stands in
`configuration.yaml`.
"""

import os
import re
from datetime import timedelta
from functools import cache
from typing import Annotated, Literal
from urllib.parse import urlsplit

from bentoml.exceptions import BentoMLConfigException
from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from marmita.records.database.database import Database
from marmita.records.prices.ticker import ticker_of

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
_LONGEST = timedelta(days=366)
_SHORTEST_KEY = 16


def span(text: object) -> timedelta:
    """A span of time as people write it: `90m`, `24h`, `7d`."""
    if isinstance(text, timedelta):
        return text
    said = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", str(text))
    if not said:
        raise ValueError("must be a number of minutes, hours or days, such as 90m, 24h or 7d")
    found = int(said[1]) * _UNITS[said[2]]
    if found > _LONGEST:
        raise ValueError(f"must not be longer than {_LONGEST.days}d")
    return found


Span = Annotated[timedelta, BeforeValidator(span)]


class Settings(BaseSettings):
    """One typed object for everything that an operator may set."""

    model_config = SettingsConfigDict(env_prefix="MARMITA_", env_file=".env", extra="ignore", frozen=True)

    topology: Literal["colocated", "split"] = "colocated"
    """Runners inside the workers of the front, or each in processes of its own."""

    follow_store: bool = False
    """Inside a Bento: serve the champions of the model store in BentoML's home, and take up new ones, instead of the
    models that the Bento was built with."""

    otlp_endpoint: str = ""
    """Where to send traces, if `configuration.yaml` names no other place. Empty: nowhere."""

    max_body_bytes: int = Field(default=16 * 1024 * 1024, gt=0)
    """A larger request body is answered with 413."""

    body_timeout_s: float = Field(default=20.0, gt=0)
    """A client that has not sent its body by then is answered with 408."""

    database_url: SecretStr = SecretStr("")
    """Where records are kept, such as postgresql://user:password@host/name. Empty: SQLite in BentoML's home."""

    record: Literal["off", "sample", "all"] = "off"
    """Which predictions are kept, with their inputs: none, a sample of the requests, or all."""

    record_share: float = Field(default=0.1, gt=0, le=1)
    """The share of the requests that a sample has."""

    record_buffer_mb: int = Field(default=32, gt=0)
    """How much each process keeps in memory for a database that is down."""

    record_days: int = Field(default=30, gt=0, le=36_500)
    """Older predictions, their labels and measurements are forgotten; decisions are kept for a year at least."""

    quality_every_s: float = Field(default=60.0, gt=0)
    """How often quality and drift are measured for Prometheus, while predictions are kept."""

    quality_window: Span = timedelta(days=1)
    """How far back a measurement looks."""

    yahoo_url: str = ""
    """Where to load prices from, if not from Yahoo Finance itself: a mirror."""

    mlflow_uri: SecretStr = SecretStr("")
    """The MLflow tracking server that training runs are logged to, such as https://user:password@host. Empty: none."""

    api_keys: SecretStr = SecretStr("")
    """Keys, with commas between them, of which those who change something must send one. Empty: they need none."""

    shepherd_every: Span = timedelta(hours=1)
    """How often the shepherd looks at all models."""

    shepherd_ticker: str = ""
    """The stock whose prices the forecaster learns from. Empty: it is retrained only when it has no champion."""

    retrain_max_age: Span = timedelta(days=30)
    """Prices that are so much newer than those that a forecaster was made from make it stale."""

    retrain_error_ratio: float = Field(default=1.5, gt=1)
    """A model is retrained when its error on labelled rows is so many times the one on held-out rows."""

    retrain_min_labels: int = Field(default=100, gt=0)
    """So many rows must be labelled since the champion was made, or there is nothing new to learn from."""

    retrain_pause: Span = timedelta(days=1)
    """So long after a retraining that promoted nothing the next one waits: twice as long after two, up to 8 times."""

    retrain_timeout: Span = timedelta(hours=1)
    """A training that takes longer is ended."""

    retrain_memory_mb: int = Field(default=4096, gt=0)
    """A training that takes more memory, with all its processes, is ended."""

    retrain_keep_versions: int = Field(default=10, gt=0)
    """How many of each model's newest versions, and of its former champions, the shepherd keeps in the store."""

    @field_validator("shepherd_ticker")
    @classmethod
    def _a_stock(cls, ticker: str) -> str:
        return ticker_of(ticker) if ticker.strip() else ""

    @field_validator("database_url")
    @classmethod
    def _readable(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value():
            Database(url.get_secret_value())
        return url

    @field_validator("mlflow_uri")
    @classmethod
    def _address(cls, uri: SecretStr) -> SecretStr:
        if uri.get_secret_value() and not _is_address(uri.get_secret_value()):
            raise ValueError("must look like http://host:5000 or https://user:password@host")
        return uri

    @field_validator("api_keys")
    @classmethod
    def _long_enough(cls, keys: SecretStr) -> SecretStr:
        if any(len(key) < _SHORTEST_KEY for key in _split(keys)):
            raise ValueError(f"each key must have at least {_SHORTEST_KEY} characters")
        if not keys.get_secret_value().isascii():
            raise ValueError("a key must have no characters outside ASCII: they can't be sent in a header")
        return keys

    @property
    def keys(self) -> list[str]:
        return _split(self.api_keys)

    def hand_down(self) -> None:
        """Let the processes that this one starts have the same settings: they start in another folder, and would not
        find the `.env` of this one.
        """
        for name, value in self.model_dump().items():
            os.environ[f"MARMITA_{name.upper()}"] = _written(value)


def _split(keys: SecretStr) -> list[str]:
    return [key.strip() for key in keys.get_secret_value().split(",") if key.strip()]


def _is_address(uri: str) -> bool:
    try:
        read = urlsplit(uri)
        return read.scheme in ("http", "https") and bool(read.hostname and read.port != 0 and not read.query)
    except ValueError:  # the port is no number: to say so would show what stands there, and that may be a password
        return False


def _written(value: object) -> str:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case timedelta():
            return next(f"{value // one}{unit}" for unit, one in _UNITS.items() if not value % one)
        case _:
            return str(value)


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return read()


def read() -> Settings:
    """The settings as they are now. While BentoML loads a Bento it stands in another folder, where there is no `.env`:
    what is read there must not stay.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(f"MARMITA_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise BentoMLConfigException(wrong) from None
