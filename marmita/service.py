"""The base class of all services: a BentoML service with our application, configuration and OpenAPI document.

Pass it to `@bentoml.service(service_class=...)`, BentoML's extension point.
"""

import os
from pathlib import Path
from typing import Any, TypeVar

import bentoml
from starlette.types import ASGIApp

from marmita.internals.bentoml import configuration, serve_address, use_configuration
from marmita.registry.startup import inside_bento
from marmita.runtime.batching import Batching
from marmita.settings import settings
from marmita.web.port import check_free

CONFIGURATION = "configuration.yaml"
"""The configuration file of all services: beside the framework's package, or else in the current folder."""

_EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  BentoML's default
T = TypeVar("T")


class Service(bentoml.Service[T]):
    """A service of one model or of all models.

    The process that starts the workers imports this module too, but needs no application. So the application is
    imported on use, which makes a service ready half a second earlier.
    """

    def all_services(self, exclude_urls: bool = False) -> dict[str, bentoml.Service[Any]]:
        """Return the service and its dependencies.

        With `exclude_urls`, BentoML asks which of them need their own processes. Colocated, none does: BentoML then
        creates them inside the workers.
        """
        if exclude_urls and settings().topology == "colocated":
            return {self.name: self}
        return super().all_services(exclude_urls=exclude_urls)

    def inject_config(self) -> None:
        """Apply `configuration.yaml`, independent of the current folder, and check the configuration and the port.

        Outside a Bento, a service listens on 127.0.0.1 where BentoML would listen on all interfaces, because a checkout
        is a developer's machine. `--host`, BENTOML_HOST and another address in `configuration.yaml` take precedence.

        Without an OTLP endpoint, tracing is disabled and excludes all URLs. BentoML's tracing middleware would
        otherwise cost as much as the rest of a request.
        """
        os.environ.setdefault("BENTOML_CONFIG", str(_configuration()))
        settings().hand_down()
        super().inject_config()
        config: Any = configuration()
        http = config["api_server"]["http"]
        if http["host"] == _EVERY_ADDRESS and not inside_bento():
            http["host"] = "127.0.0.1"
        tracing = config["tracing"]
        tracing["otlp"]["endpoint"] = tracing["otlp"]["endpoint"] or settings().otlp_endpoint
        if tracing["exporter_type"] == "otlp" and not tracing["otlp"]["endpoint"]:
            tracing |= {"exporter_type": None, "excluded_urls": ".*"}
        use_configuration(config)
        # Report errors before any process is started.
        if (address := serve_address()) is not None:
            check_free(*address)
        for name, service in self.all_services().items():
            Batching.of(name)
            for model in service.models:
                model.resolve()

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        from marmita import application

        return application.build(self, is_main)

    @property
    def openapi_spec(self) -> Any:
        from marmita import application

        return application.document(self)


def _configuration() -> Path:
    beside = Path(__file__).resolve().parents[1] / CONFIGURATION
    return beside if beside.exists() else Path.cwd() / CONFIGURATION
