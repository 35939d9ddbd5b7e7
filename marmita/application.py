"""The ASGI application of a service, composed of the front, the models' routes and the API."""

import inspect
import math
from collections.abc import Mapping
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLConfigException
from starlette.types import ASGIApp

from marmita.api import index, labels, openapi, prices, quality, shepherd
from marmita.api import models as models_api
from marmita.api.auth import ApiKeys
from marmita.api.operations import Api, Operation
from marmita.contract.openapi import Inference
from marmita.contract.replies import Route
from marmita.hooks import LifespanHook
from marmita.internals.bentoml import cross_origin, hold_runner_sockets, tracer
from marmita.internals.bentoml_app import application as bentoml_application
from marmita.oip.routes import server_routes
from marmita.registry.startup import follows_store
from marmita.runtime.champion_watcher import ChampionWatcher
from marmita.runtime.endpoints import endpoints_of
from marmita.runtime.maintenance import MaintenanceJobs
from marmita.runtime.recording import RecorderShutdown, database
from marmita.runtime.runner import Runner, model_name
from marmita.runtime.slot import new_slot, slot_for
from marmita.settings import settings
from marmita.telemetry import logs, metrics
from marmita.telemetry.catalogue import with_deprecated_names
from marmita.telemetry.requests import RequestMetrics
from marmita.telemetry.spans import make_spans
from marmita.web.cross_origin import allow_origins
from marmita.web.front import Front, RunnerFront, paths
from marmita.web.lane import Lane
from marmita.web.ready_line import ReadyLine
from marmita.web.topology import Models

_A_DAY_S = 86_400.0


def build(service: "bentoml.Service[Any]", is_main: bool) -> ASGIApp:
    """Build the application of a worker: of the front if `is_main`, otherwise of a runner in its own process."""
    logs.configure()
    metrics.clear_dead_workers()
    service.inject_config()
    if is_main:
        hold_runner_sockets()
    runners = runners_of(service)
    if not hasattr(service.inner, "__metrics__"):  # BentoML's hook for the text of /metrics
        service.inner.__metrics__ = staticmethod(with_deprecated_names)
    bentoml_app, app = bentoml_application(service, is_main)
    slots, keys = [new_slot(runner) for runner in runners.values()], ApiKeys(settings().keys)
    versions = {slot.packed.name: slot.version for slot in slots}
    spans = make_spans(tracer())
    models = Models(service, runners, spans)
    routes = models.routes()
    if is_main:
        routes |= server_routes(service.name.lower(), _version(service), models.are_ready)
        routes |= {"/readyz": Route("GET", models.ready)}
        operations = {
            path: route for one in _operations(service, runners, keys) for path, route in one.routes().items()
        }
        if clash := routes.keys() & operations.keys():
            raise BentoMLConfigException(f"a model has the route {min(clash)}, which is one of the API's")
        routes |= operations
    lane = Lane(routes, versions, RequestMetrics(app), spans, bentoml_app.timeout or _A_DAY_S)
    hooks: list[LifespanHook] = [RecorderShutdown()]
    if follows_store():
        hooks.append(ChampionWatcher(slots))
    if not is_main:
        return RunnerFront(app, paths(app.routes), settings(), lane, hooks)
    hooks += [MaintenanceJobs(slots, database(), settings()), ReadyLine(service.name, slots, models.are_ready)]
    most = bentoml_app.max_concurrency or math.inf
    front = Front(app, paths(app.routes), settings(), lane, most, hooks, keys.warn_if_open)
    origins = cross_origin()
    return allow_origins(front, origins) if origins else front


def document(service: "bentoml.Service[Any]") -> Any:
    """Return the OpenAPI document of a service."""
    runners = runners_of(service)
    about, operations = _about(service), _operations(service, runners, ApiKeys(settings().keys))
    return openapi.build(about.name, about.about, about.version, _inferences(runners), operations)


def runners_of(service: "bentoml.Service[Any]") -> dict[str, type[Runner]]:
    """Return the runner classes of a service's models, by the models' names."""
    runners = [one.inner for one in service.all_services().values() if issubclass(one.inner, Runner)]
    return {model_name(runner): runner for runner in runners}


def _inferences(runners: Mapping[str, type[Runner]]) -> list[Inference]:
    return [
        Inference(model_name(runner), one.path, one.operation, one.about, one.request, one.answer, one.many)
        for runner in runners.values()
        for one in endpoints_of(runner).values()
    ]


def _operations(service: "bentoml.Service[Any]", runners: Mapping[str, type[Runner]], keys: ApiKeys) -> list[Operation]:
    resources: list[Any] = [models_api, labels, quality, shepherd]
    if any(runner.needs_prices for runner in runners.values()):
        resources.append(prices)
    api = Api(list(runners), lambda name: slot_for(runners[name]), database, keys)
    operations = [operation for resource in resources for operation in resource.operations(api)]
    return [index.operation(api, _about(service), _inferences(runners)), *operations]


def _about(service: "bentoml.Service[Any]") -> index.ServiceInfo:
    about = service.description or inspect.cleandoc(service.inner.__doc__ or "")
    return index.ServiceInfo(service.name, about, _version(service))


def _version(service: "bentoml.Service[Any]") -> str:
    return str(service.bento.tag.version) if service.bento else "development"
