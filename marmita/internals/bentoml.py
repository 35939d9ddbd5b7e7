"""An adapter to BentoML's private names: one function for each purpose."""

import os
from pathlib import Path
from typing import Any

import click
from bentoml._internal.configuration.containers import BentoMLContainer as BentoMLContainer
from bentoml._internal.context import server_context as server_context
from bentoml._internal.models import ModelStore as ModelStore
from bentoml._internal.utils.uri import path_to_uri, uri_to_path
from opentelemetry.trace import Tracer

# BentoML's home, its model store and its metrics.


def bentoml_home() -> Path:
    """Return BentoML's home folder, which has its stores."""
    return Path(BentoMLContainer.bentoml_home.get())


def model_store_dir() -> Path:
    """Return the folder of the model store in BentoML's home."""
    return Path(BentoMLContainer.model_store_dir.get())


def bento_store_dir() -> Path:
    """Return the folder of the Bento store in BentoML's home."""
    return Path(BentoMLContainer.bento_store_dir.get())


def model_store(folder: Path | None = None) -> ModelStore:
    """Return the model store of a folder, or of BentoML's home.

    Inside a Bento that contains its models, BentoML's own functions see only those.
    """
    return ModelStore(folder or model_store_dir())


def use_model_store(folder: Path) -> None:
    """Make BentoML's own functions use the model store in this folder."""
    BentoMLContainer.model_store.set(ModelStore(folder))


def metrics_folder() -> Path:
    """Return the folder into which the processes of a service write their metrics. Create it if it is missing."""
    folder = Path(BentoMLContainer.prometheus_multiproc_dir.get())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# The request path.


def configuration() -> Any:
    """Return the current configuration. Pass changes of it to `use_configuration`."""
    return BentoMLContainer.config.get()


def use_configuration(configuration: Any) -> None:
    """Make this the current configuration."""
    BentoMLContainer.config.set(configuration)


def cross_origin() -> dict[str, Any] | None:
    """Return the options of `http.cors` under Starlette's names, or None if CORS is disabled."""
    if not BentoMLContainer.http.cors.enabled.get():
        return None
    options: dict[str, Any] = BentoMLContainer.access_control_options.get()
    lists = {"allow_origins", "allow_methods", "allow_headers", "expose_headers"}
    return {name: [value] if name in lists and isinstance(value, str) else value for name, value in options.items()}


def tracer() -> Tracer | None:
    """Return the tracer, or None if no traces are exported."""
    if not configuration()["tracing"]["exporter_type"]:
        return None
    found: Tracer = BentoMLContainer.tracer_provider.get().get_tracer("marmita")
    return found


def serve_address() -> tuple[str, int] | None:
    """Return the address that `bentoml serve` will listen on, or None if this process does not run this command.

    The command passes its options on to the server, and not to the service: only click's context has them.
    """
    context = click.get_current_context(silent=True)
    if context is None or context.command.name != "serve":
        return None
    http = configuration()["api_server"]["http"]
    return context.params["host"] or http["host"], context.params["port"] or http["port"]


def own_address(service: str) -> str | None:
    """Return the address at which the service listens, or None if `bentoml serve` did not start it."""
    return runner_addresses().get(service)


def is_first_worker() -> bool:
    """Tell whether this process is the first or only worker of a service."""
    return (server_context.worker_index or 1) == 1


def runner_addresses() -> dict[str, str]:
    """Return the addresses of the runners in their own processes, by the names of their services."""
    return dict(BentoMLContainer.remote_runner_mapping.get())


def use_runner_addresses(addresses: dict[str, str]) -> None:
    """Replace the addresses of the runners."""
    BentoMLContainer.remote_runner_mapping.set(addresses)


def socket_path(address: str) -> str | None:
    """Return the path of a Unix socket's address, or None for any other address."""
    return uri_to_path(address) if address.startswith(("file:", "unix:")) else None


def hold_runner_sockets() -> None:
    """Keep the runners' Unix sockets reachable during graceful shutdown.

    BentoML removes the socket files on SIGTERM, while requests are still in progress. This process opens a descriptor
    of each socket, and connects through `/proc/self/fd`, which needs no file.
    """
    addresses = runner_addresses()
    for name, address in addresses.items():
        if (path := socket_path(address)) is not None:
            addresses[name] = path_to_uri(f"/proc/self/fd/{os.open(path, os.O_PATH)}")
    use_runner_addresses(addresses)
