"""The ASGI application of a service, composed of the front, the models' routes and the API."""

import inspect
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import bentoml
from starlette.types import ASGIApp

from marmita.api import index, labels, mini_ml_trainer, openapi, prices, quality, shepherd
from marmita.api import models as models_api
from marmita.api import tables as tables_api
from marmita.api import trainings as trainings_api
from marmita.api import versions as versions_api
from marmita.api.auth import ApiKeys
from marmita.api.operations import Api, Operation
from marmita.contract.openapi import Inference
from marmita.hooks import LifespanHook
from marmita.internals.bentoml import cross_origin, hold_runner_sockets, tracer
from marmita.internals.bentoml_app import application as bentoml_application
from marmita.oip.routes import server_routes, table_templates
from marmita.registry.startup import follows_store
from marmita.registry.tables import TableStore
from marmita.runtime.champion_watcher import ChampionWatcher
from marmita.runtime.endpoints import endpoints_of
from marmita.runtime.maintenance import MaintenanceJobs
from marmita.runtime.recording import RecorderShutdown, database
from marmita.runtime.runner import Runner, model_name
from marmita.runtime.slot import ModelSlot, ServedVersion, new_slot, slot_for
from marmita.runtime.table_models import TableModels
from marmita.settings import settings
from marmita.telemetry import logs, metrics
from marmita.telemetry.catalogue import with_deprecated_names
from marmita.telemetry.requests import RequestMetrics
from marmita.telemetry.spans import make_spans
from marmita.web.cross_origin import allow_origins, allows_origin
from marmita.web.front import Front, RunnerFront, paths
from marmita.web.lane import Lane
from marmita.web.ready_line import ReadyLine
from marmita.web.topology import Models, readiness_probe

_A_DAY_S = 86_400.0


def build(service: "bentoml.Service[Any]", is_main: bool) -> ASGIApp:
    """Build the application of a worker: of the front if `is_main`, otherwise of a runner in its own process."""
    logs.configure()
    metrics.clear_dead_workers()
    service.inject_config()
    if is_main:
        hold_runner_sockets()
    if not hasattr(service.inner, "__metrics__"):  # BentoML's hook for the text of /metrics
        service.inner.__metrics__ = staticmethod(with_deprecated_names)
    runners = runners_of(service)
    bentoml_app, app = bentoml_application(service, is_main)
    slots = [new_slot(runner) for runner in runners.values()]
    spans = make_spans(tracer())
    models = Models(service, runners, spans)
    versions = {slot.packed.name: slot.version for slot in slots}
    lane = Lane(models.routes(), versions, RequestMetrics(app), spans, bentoml_app.timeout or _A_DAY_S)
    hooks: list[LifespanHook] = [RecorderShutdown()]
    if follows_store():
        hooks.append(ChampionWatcher(slots))
    if not is_main:
        return RunnerFront(app, paths(app.routes), settings(), lane, hooks)

    keys, tables = _keys(), _table_models(service)

    async def are_ready() -> bool:
        return await tables.are_ready() and await models.are_ready()

    lane.add(server_routes(service.name.lower(), _version(service), are_ready), table_templates(tables))
    lane.add({"/readyz": readiness_probe(are_ready)}, tables_api.templates(tables))
    for operation in _operations(service, runners, tables, keys):
        lane.add(operation.routes(), operation.templates())
    hooks += [
        tables,
        MaintenanceJobs(lambda: _current(slots, tables.store), database(), settings()),
        ReadyLine(service.name, slots, are_ready),
    ]
    most = bentoml_app.max_concurrency or math.inf
    front = Front(app, paths(app.routes), settings(), lane, most, hooks, keys.warn_if_open)
    origins = cross_origin()
    return allow_origins(front, origins) if origins else front


def document(service: "bentoml.Service[Any]") -> Any:
    """Return the OpenAPI document of a service."""
    runners, tables = runners_of(service), _table_models(service)
    about, operations = _about(service), _operations(service, runners, tables, _keys())
    return openapi.build(
        about.name,
        about.about,
        about.version,
        _inferences(runners, tables.store),
        operations,
        serves_tables=tables.store.serves,
    )


def runners_of(service: "bentoml.Service[Any]") -> dict[str, type[Runner]]:
    """Return the runner classes of a service's models, by the models' names."""
    runners = [one.inner for one in service.all_services().values() if issubclass(one.inner, Runner)]
    return {model_name(runner): runner for runner in runners}


def table_store(service: "bentoml.Service[Any]") -> TableStore:
    """Return the table models of a service. That of a single model with code has none."""
    return TableStore(runners_of(service), serves=not issubclass(service.inner, Runner))


def _table_models(service: "bentoml.Service[Any]") -> TableModels:
    return TableModels(table_store(service), settings().tables_loaded)


def _keys() -> ApiKeys:
    origins = cross_origin()
    return ApiKeys(settings().keys, allows_origin(origins) if origins else lambda _: False)


def _inferences(runners: Mapping[str, type[Runner]], tables: TableStore) -> list[Inference]:
    """Return the typed routes of all models that are served now."""
    with_code = [
        Inference(model_name(runner), one.path, one.operation, one.about, one.request, one.answer, one.many)
        for runner in runners.values()
        for one in endpoints_of(runner).values()
    ]
    return [*with_code, *tables_api.inferences(tables)]


def _operations(
    service: "bentoml.Service[Any]", runners: Mapping[str, type[Runner]], tables: TableModels, keys: ApiKeys
) -> list[Operation]:
    resources: list[Any] = [models_api, versions_api, labels, quality, shepherd]
    if any(runner.needs_prices for runner in runners.values()):
        resources.append(prices)
    if tables.store.serves:
        resources.append(trainings_api)
    models = {name: partial(_current_of, runner) for name, runner in runners.items()}
    contracts = {name: runner.contract for name, runner in runners.items()}
    api = Api(models, contracts, tables.store, database, keys)
    operations = [operation for resource in resources for operation in resource.operations(api)]
    if tables.store.serves:
        operations += mini_ml_trainer.operations(api, tables)
    return [index.operation(api, _about(service), partial(_inferences, runners, tables.store)), *operations]


def _current_of(runner: type[Runner]) -> ServedVersion:
    return slot_for(runner).current


def _current(slots: Sequence[ModelSlot], tables: TableStore) -> list[ServedVersion]:
    """Return all versions that are served now."""
    packed = [tables.champion(name) for name in tables.names()]
    return [*(slot.current for slot in slots), *(ServedVersion.of_table(one) for one in packed if one)]


def _about(service: "bentoml.Service[Any]") -> index.ServiceInfo:
    about = service.description or inspect.cleandoc(service.inner.__doc__ or "")
    return index.ServiceInfo(service.name, about, _version(service))


def _version(service: "bentoml.Service[Any]") -> str:
    return str(service.bento.tag.version) if service.bento else "development"
