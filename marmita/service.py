"""The BentoML service that all services here are: BentoML's own, with our front, configuration and document.

It is given to `@bentoml.service(service_class=...)`, which is BentoML's own way of extending it.
"""

import inspect
import math
import os
from pathlib import Path
from typing import Any, TypeVar

import bentoml
from bentoml.exceptions import BentoMLConfigException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from marmita.api import labels, openapi, prices, quality, shepherd
from marmita.api import models as models_api
from marmita.api.auth import ApiKeys
from marmita.api.operations import Api, Operation
from marmita.contract.openapi import Inference
from marmita.contract.replies import Route
from marmita.hooks import LifespanHook
from marmita.internals.bentoml import (
    ServiceAppFactory,
    configuration,
    cross_origin,
    hold_runner_sockets,
    tracer,
    use_configuration,
)
from marmita.oip.routes import server_routes
from marmita.registry.startup import follows
from marmita.runtime.batching import Batching
from marmita.runtime.champion_watcher import ChampionWatcher
from marmita.runtime.endpoints import endpoints_of
from marmita.runtime.maintenance import MaintenanceJobs
from marmita.runtime.recording import RecorderShutdown, database
from marmita.runtime.runner import Runner, model_name
from marmita.runtime.slot import new_slot, slot_for
from marmita.settings import settings
from marmita.telemetry import logs, metrics
from marmita.telemetry.requests import RequestMetrics
from marmita.telemetry.spans import make_spans
from marmita.web.front import Front, RunnerFront, paths
from marmita.web.lane import Lane
from marmita.web.topology import Models

_A_DAY_S = 86_400.0
CONFIGURATION = "configuration.yaml"
"""How services are served: beside the framework, as in a checkout and in a Bento, or in the current folder."""

T = TypeVar("T")


class Service(bentoml.Service[T]):
    """A service of Marmita: of one model, or of all."""

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

        Without an endpoint to send traces to, the tracing middleware is told to look at nothing: it would otherwise
        cost as much as all the rest.
        """
        os.environ.setdefault("BENTOML_CONFIG", str(_configuration()))
        settings().hand_down()
        super().inject_config()
        config: Any = configuration()
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
        logs.configure()
        metrics.forget_the_dead()
        self.inject_config()
        if is_main:
            hold_runner_sockets()
        bentoml_app = ServiceAppFactory(self, is_main=is_main)
        app = bentoml_app()
        slots, keys = [new_slot(runner) for runner in self._runners().values()], ApiKeys(settings().keys)
        versions = {slot.packed.name: slot.version for slot in slots}
        spans = make_spans(tracer())
        models = Models(self, self._runners(), spans)
        routes = models.routes()
        if is_main:
            routes |= server_routes(self.name.lower(), self._version(), models.are_ready)
            routes |= {"/readyz": Route("GET", models.ready)}
            operations = {path: route for one in self._operations(keys) for path, route in one.routes().items()}
            if clash := routes.keys() & operations.keys():
                raise BentoMLConfigException(f"a model has the route {min(clash)}, which is one of the API's")
            routes |= operations
        lane = Lane(routes, versions, RequestMetrics(app), spans, bentoml_app.timeout or _A_DAY_S)
        hooks: list[LifespanHook] = [RecorderShutdown()]
        if follows():
            hooks.append(ChampionWatcher(slots))
        if not is_main:
            return RunnerFront(app, paths(app.routes), settings(), lane, hooks)
        hooks.append(MaintenanceJobs(slots, database(), settings()))
        most = bentoml_app.max_concurrency or math.inf
        front = Front(app, paths(app.routes), settings(), lane, most, hooks, keys.warn_if_open)
        origins = cross_origin()
        return CORSMiddleware(front, **origins) if origins else front

    @property
    def openapi_spec(self) -> Any:
        inferences = [
            Inference(model_name(runner), one.path, one.operation, one.about, one.request, one.answer, one.many)
            for runner in self._runners().values()
            for one in endpoints_of(runner).values()
        ]
        about = self.description or inspect.cleandoc(self.inner.__doc__ or "")
        return openapi.build(self.name, about, self._version(), inferences, self._operations(ApiKeys(settings().keys)))

    def _runners(self) -> dict[str, type[Runner]]:
        """Return the classes of the models' runners: this service's own, or those that it is composed of."""
        runners = [one.inner for one in self.all_services().values() if issubclass(one.inner, Runner)]
        return {model_name(runner): runner for runner in runners}

    def _operations(self, keys: ApiKeys) -> list[Operation]:
        runners = self._runners()
        resources: list[Any] = [models_api, labels, quality, shepherd]
        if any(runner.needs_prices for runner in runners.values()):
            resources.append(prices)
        api = Api(list(runners), lambda name: slot_for(runners[name]), database, keys)
        return [operation for resource in resources for operation in resource.operations(api)]

    def _version(self) -> str:
        return str(self.bento.tag.version) if self.bento else "development"


def _configuration() -> Path:
    beside = Path(__file__).resolve().parents[1] / CONFIGURATION
    return beside if beside.exists() else Path.cwd() / CONFIGURATION
