"""The BentoML service that all services here are: BentoML's own, with our front, configuration and document.

It is given to `@bentoml.service(service_class=...)`, which is BentoML's own way of extending it.
"""

import inspect
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import bentoml
from _bentoml_impl.server.app import ServiceAppFactory
from _bentoml_sdk.io_models import IOMixin
from bentoml._internal.configuration.containers import BentoMLContainer
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.types import ASGIApp

from marmita.api import openapi
from marmita.api.auth import ApiKeys
from marmita.api.models import catalog
from marmita.api.record_routes import HANDLERS, RecordRoutes
from marmita.api.shepherd import shepherd
from marmita.contract.openapi import Inference
from marmita.hooks import LifespanHook
from marmita.oip.routes import TensorRoutes
from marmita.records.quality.path_evaluator import PathEvaluator
from marmita.registry.startup import follows
from marmita.runtime.batching import Batching
from marmita.runtime.champion_watcher import ChampionWatcher
from marmita.runtime.maintenance import MaintenanceJobs
from marmita.runtime.recording import RecorderShutdown, database
from marmita.runtime.slot import ModelSlot, begun
from marmita.settings import settings
from marmita.telemetry import logs, metrics
from marmita.web.front import Front, Inner, paths
from marmita.web.topology import hold_on, tensor_models

_A_DAY_S = 86_400.0
CONFIGURATION = Path(__file__).resolve().parent.parent / "configuration.yaml"

T = TypeVar("T")


class Service(bentoml.Service[T]):
    """A service of this house."""

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
        os.environ.setdefault("BENTOML_CONFIG", str(CONFIGURATION))
        settings().hand_down()
        super().inject_config()
        config: Any = BentoMLContainer.config.get()
        tracing = config["tracing"]
        tracing["otlp"]["endpoint"] = tracing["otlp"]["endpoint"] or settings().otlp_endpoint
        if tracing["exporter_type"] == "otlp" and not tracing["otlp"]["endpoint"]:
            tracing |= {"exporter_type": None, "excluded_urls": ".*"}
        BentoMLContainer.config.set(config)
        for name in self.all_services():
            Batching.of(name)  # what is wrong must be said before anything is started

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        logs.configure()
        metrics.forget_the_dead()
        self.inject_config()
        models, keys = self._served(), ApiKeys(settings().keys)
        if is_main:
            hold_on()
            names = [model.packed.name for model in models]
            routes = [*catalog(models), *self._record_routes(models, keys).routes(), shepherd(names, database)]
            self.mount_asgi_app(Starlette(routes=routes, exception_handlers=HANDLERS), name="house")
        bentoml_app = ServiceAppFactory(self, is_main=is_main)
        app = bentoml_app()
        tensors = TensorRoutes(
            self.name.lower(),
            self._version(),
            {model.packed.name: model.version for model in models},
            lambda: tensor_models(self.dependencies.values()),
            metrics.Requests(app),
            bentoml_app.timeout or _A_DAY_S,
        )
        hooks: list[LifespanHook] = [RecorderShutdown()]
        if follows():
            hooks.append(ChampionWatcher(models))
        if not is_main:
            return Inner(app, tensors, hooks)
        hooks.append(MaintenanceJobs(models, database(), settings()))
        most = bentoml_app.max_concurrency or math.inf
        return Front(app, paths(app.routes), settings(), tensors, most, hooks, keys.warn_if_open)

    @property
    def openapi_spec(self) -> Any:
        inferences = [
            Inference(
                path=method.route,
                operation=method.name,
                about=inspect.cleandoc(method.doc or method.name),
                request=next(base for base in method.input_spec.__mro__ if not issubclass(base, IOMixin)),
                answer=answer,
                many=many,
            )
            for method in self.apis.values()
            for answer, many in [_answer(method.output_spec)]
        ]
        return openapi.build(self.name, self.description or "", self._version(), inferences)

    def _served(self) -> list[ModelSlot]:
        return [begun(service.inner) for service in self.all_services().values() if service.models]

    def _record_routes(self, models: Sequence[ModelSlot], keys: ApiKeys) -> RecordRoutes:
        forecasts = any(isinstance(model.evaluator, PathEvaluator) for model in models)
        return RecordRoutes(models, database, keys, with_prices=forecasts)

    def _version(self) -> str:
        return str(self.bento.tag.version) if self.bento else "development"


def _answer(spec: Any) -> tuple[type[BaseModel], bool]:
    """What an endpoint gives, and whether it gives a list of it."""
    given: Any = spec.model_fields["root"].annotation
    return (get_args(given)[0], True) if get_origin(given) is list else (given, False)
