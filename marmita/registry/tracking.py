"""The MLflow server that the settings name: reached within a bound of time, and told who the champion is.

MLflow's client is imported when it is needed, and only then: a service has no use for it, and an image has none.
"""

import os
import re
from collections.abc import Callable
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

from marmita.settings import settings

CHAMPION = "champion"
"""The alias of the version that is served."""
TAG = "bento_tag"
"""The tag of a version, and of a run, that says which packed model it is."""
WITHIN_S = 60.0
"""All that is told of one model may take so long."""

IMPATIENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""MLflow's own patience is minutes, and it talks. Who sets one of these gets what he sets."""


class TrackingError(Exception):
    """MLflow could not be told."""


def address() -> str:
    """Where the server is, without the secrets in its address."""
    read = urlsplit(settings().mlflow_uri.get_secret_value())
    return read._replace(netloc=read.netloc.rpartition("@")[2]).geturl()


def client() -> Any:
    """MLflow's client, which knows the server. It has asked it nothing yet."""
    for name, value in IMPATIENT.items():
        os.environ.setdefault(name, value)
    # MLflow repeats addresses in its errors: the secrets go another way.
    read = urlsplit(settings().mlflow_uri.get_secret_value())
    for name, secret in (("USERNAME", read.username), ("PASSWORD", read.password)):
        if secret is not None:
            os.environ[f"MLFLOW_TRACKING_{name}"] = unquote(secret)
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise TrackingError("its client is not installed here: pip install mlflow-skinny") from None
    return MlflowClient(tracking_uri=address(), registry_uri=address())


def bounded(tell: Callable[[], None], within_s: float = WITHIN_S) -> None:
    """Tell the server something. Raises if that fails or takes too long: a server may answer, and slowly."""
    failed: list[Exception] = []

    def run() -> None:
        try:
            tell()
        except Exception as error:  # MLflow raises what its layers raise
            failed.append(error)

    thread = Thread(target=run, name="mlflow", daemon=True)
    thread.start()
    thread.join(within_s)
    if thread.is_alive():
        raise TrackingError(f"it took longer than {within_s:g} s")
    if failed:
        raise TrackingError(_first_line(failed[0])) from failed[0]


def name_champion(tag: str) -> str | None:
    """Let the alias point to this version. What came of it, as a sentence, or None if there is no server to tell.

    It does not raise: what is served does not depend on it.
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
    cause = re.search(r"Caused by \w+\(['\"][^:]*: (.+?)['\"]\)", said)  # what stands before it is all addresses
    return cause[1] if cause else said or type(error).__name__
