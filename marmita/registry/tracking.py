"""Access to the MLflow server that the settings name, within a time limit.

MLflow's client is imported on first use: a service does not need it, and its image does not contain it.
"""

import os
import re
from collections.abc import Callable
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

from marmita.settings import settings

CHAMPION = "champion"
"""The alias of the champion in MLflow's model registry."""
TAG = "bento_tag"
"""The tag of an MLflow version or run that holds the tag of its packed model."""
TIME_LIMIT_S = 60.0
"""The time limit for all updates about one model."""

CLIENT_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Defaults for MLflow's client, which otherwise retries for minutes and prints. Variables that are set win."""


class TrackingError(Exception):
    """A failed request to MLflow."""


def address() -> str:
    """Return the server's address without its credentials."""
    read = urlsplit(settings().mlflow_uri.get_secret_value())
    return read._replace(netloc=read.netloc.rpartition("@")[2]).geturl()


def client() -> Any:
    """Return MLflow's client for the server, without connecting."""
    for name, value in CLIENT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    # MLflow repeats addresses in its errors: credentials go through the environment.
    read = urlsplit(settings().mlflow_uri.get_secret_value())
    for name, secret in (("USERNAME", read.username), ("PASSWORD", read.password)):
        if secret is not None:
            os.environ[f"MLFLOW_TRACKING_{name}"] = unquote(secret)
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise TrackingError("its client is not installed here: pip install mlflow-skinny") from None
    return MlflowClient(tracking_uri=address(), registry_uri=address())


def bounded(tell: Callable[[], None], within_s: float = TIME_LIMIT_S) -> None:
    """Send an update to the server. Raise `TrackingError` if it fails or exceeds the time limit."""
    failed: list[Exception] = []

    def run() -> None:
        try:
            tell()
        except Exception as error:  # MLflow passes on the errors of all its layers
            failed.append(error)

    thread = Thread(target=run, name="mlflow", daemon=True)
    thread.start()
    thread.join(within_s)
    if thread.is_alive():
        raise TrackingError(f"it took longer than {within_s:g} s")
    if failed:
        raise TrackingError(_first_line(failed[0])) from failed[0]


def name_champion(tag: str) -> str | None:
    """Point the alias to this version. Return a sentence on the outcome, or None if the settings name no server.

    A failure does not raise: serving does not depend on MLflow.
    """
    if not settings().mlflow_uri.get_secret_value():
        return None
    name = tag.partition(":")[0]

    def tell() -> None:
        mlflow = client()
        found = mlflow.search_model_versions(f"name = '{name}' and tag.{TAG} = '{tag}'")
        if not found:
            raise TrackingError(f"it has no version of {name} with the tag {tag}")
        mlflow.set_registered_model_alias(name, CHAMPION, found[0].version)

    try:
        bounded(tell)
    except TrackingError as error:
        return f"MLflow at {address()} was not told: {error}"
    return f"MLflow at {address()} knows that {tag} is the champion"


def _first_line(error: Exception) -> str:
    said = str(error).strip().partition("\n")[0]
    cause = re.search(r"Caused by \w+\(['\"][^:]*: (.+?)['\"]\)", said)  # only addresses stand before it
    return cause[1] if cause else said or type(error).__name__
