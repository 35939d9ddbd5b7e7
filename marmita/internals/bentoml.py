"""BentoML's private names, each behind a function that says what it is for."""

import os
from pathlib import Path
from typing import Any

from bentoml._internal.configuration.containers import BentoMLContainer as BentoMLContainer
from bentoml._internal.context import server_context as server_context
from bentoml._internal.models import ModelStore as ModelStore
from bentoml._internal.utils.uri import path_to_uri, uri_to_path
from opentelemetry.trace import Tracer

# BentoML's home, its model store and its metrics.


def bentoml_home() -> Path:
    """Return the folder in which BentoML keeps all that it keeps."""
    return Path(BentoMLContainer.bentoml_home.get())


def model_store_dir() -> Path:
    """Return the folder of the model store in BentoML's home."""
    return Path(BentoMLContainer.model_store_dir.get())


def bento_store_dir() -> Path:
    """Return the folder of the Bento store in BentoML's home."""
    return Path(BentoMLContainer.bento_store_dir.get())


def model_store(folder: Path | None = None) -> ModelStore:
    """Return the model store of a folder, or of BentoML's home.

    In a Bento that brings its models along, BentoML's own functions see those only.
    """
    return ModelStore(folder or model_store_dir())


def use_model_store(folder: Path) -> None:
    """Let BentoML's own functions read and write the models of this folder."""
    BentoMLContainer.model_store.set(ModelStore(folder))


def metrics_folder() -> Path:
    """Return the folder into which the processes of a service write their metrics, and make it if need be."""
    folder = Path(BentoMLContainer.prometheus_multiproc_dir.get())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# The request path.


def configuration() -> Any:
    """Return the configuration in force, which `use_configuration` puts into force again."""
    return BentoMLContainer.config.get()


def use_configuration(configuration: Any) -> None:
    """Put a changed configuration into force."""
    BentoMLContainer.config.set(configuration)


def cross_origin() -> dict[str, Any] | None:
    """Return the options of `http.cors` in the configuration, by Starlette's names, if it is on."""
    if not BentoMLContainer.http.cors.enabled.get():
        return None
    options: dict[str, Any] = BentoMLContainer.access_control_options.get()
    lists = {"allow_origins", "allow_methods", "allow_headers", "expose_headers"}
    return {name: [said] if name in lists and isinstance(said, str) else said for name, said in options.items()}


def tracer() -> Tracer | None:
    """Return what makes spans, if traces are sent somewhere."""
    if not configuration()["tracing"]["exporter_type"]:
        return None
    found: Tracer = BentoMLContainer.tracer_provider.get().get_tracer("marmita")
    return found


def own_address(service: str) -> str | None:
    """Return where the service itself listens, if it was started by `bentoml serve`."""
    return runner_addresses().get(service)


def is_first_worker() -> bool:
    """Tell whether this is the first of a service's workers, or the only one."""
    return (server_context.worker_index or 1) == 1


def runner_addresses() -> dict[str, str]:
    """Return where runners in processes of their own listen, by the names of their services."""
    return dict(BentoMLContainer.remote_runner_mapping.get())


def use_runner_addresses(addresses: dict[str, str]) -> None:
    """Ask runners at these addresses from now on."""
    BentoMLContainer.remote_runner_mapping.set(addresses)


def socket_path(address: str) -> str | None:
    """Return the path of a Unix socket, if that is what an address names."""
    return uri_to_path(address) if address.startswith(("file:", "unix:")) else None


def hold_runner_sockets() -> None:
    """Keep the runners' sockets within reach.

    BentoML removes their files as soon as it is told to end, while there are still requests to be answered. Through a
    descriptor that this process holds, a socket can be reached without its file.
    """
    addresses = runner_addresses()
    for name, address in addresses.items():
        if (path := socket_path(address)) is not None:
            addresses[name] = path_to_uri(f"/proc/self/fd/{os.open(path, os.O_PATH)}")
    use_runner_addresses(addresses)
