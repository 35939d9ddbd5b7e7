"""The BentoML service that all services here are: BentoML's own, with our application, configuration and document.

It is given to `@bentoml.service(service_class=...)`, which is BentoML's own way of extending it.
"""

import os
from pathlib import Path
from typing import Any, TypeVar

import bentoml
from starlette.types import ASGIApp

from marmita.internals.bentoml import configuration, use_configuration
from marmita.registry.startup import inside_bento
from marmita.runtime.batching import Batching
from marmita.settings import settings

CONFIGURATION = "configuration.yaml"
"""How services are served: beside the framework, as in a checkout and in a Bento, or in the current folder."""

_EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  BentoML's default
T = TypeVar("T")


class Service(bentoml.Service[T]):
    """A service of Marmita: of one model, or of all.

    The process that starts the workers imports this module too. It needs no application, so that is imported late:
    a service is ready half a second earlier.
    """

    def all_services(self, exclude_urls: bool = False) -> dict[str, bentoml.Service[Any]]:
        """The service and those it depends on.

        With `exclude_urls` BentoML asks which of them need processes of their own. Colocated, none does: BentoML
        then makes each of them inside the worker that asks for it.
        """
        if exclude_urls and settings().topology == "colocated":
            return {self.name: self}
        return super().all_services(exclude_urls=exclude_urls)

    def inject_config(self) -> None:
        """Follow `configuration.yaml`, wherever `bentoml` was started.

        A checkout is a developer's machine: it listens on 127.0.0.1 where BentoML would listen everywhere. `--host` and
        BENTOML_HOST still say otherwise, and so does an address of one network in `configuration.yaml`.

        Without an endpoint to send traces to, the tracing middleware is told to look at nothing: it would otherwise
        cost as much as all the rest.
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
        for name, service in self.all_services().items():  # what is wrong must be said before anything is started
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
