"""BentoML's private names are where `marmita/internals/bentoml.py` looks for them.

These are canaries: after an upgrade of BentoML the first one that fails names what has moved.
"""

import socket
import subprocess
import sys
from contextlib import nullcontext
from importlib import import_module
from inspect import getsource, signature
from pathlib import Path
from typing import Any

import bentoml
import click
import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from marmita.internals import bentoml as internals
from marmita.internals import bentoml_app
from tests.telemetry.bentoml_app import application

# BentoML's home, its model store and its metrics.

CONTAINER = "bentoml._internal.configuration.containers"


@pytest.mark.parametrize("setting", ["bentoml_home", "model_store_dir", "model_store", "prometheus_multiproc_dir"])
def test_the_container_has_each_setting_that_is_read(setting: str) -> None:
    container = import_module(CONTAINER).BentoMLContainer

    provider = getattr(container, setting, None)
    assert provider is not None, f"BentoML has moved {CONTAINER}.BentoMLContainer.{setting}"
    assert provider.get(), f"{CONTAINER}.BentoMLContainer.{setting} is empty"


def test_models_are_made_in_the_store_that_is_named(tmp_path: Path, empty_store: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    with bentoml.models.create("canary", _model_store=internals.model_store(folder)) as model:
        (Path(model.path) / "file").write_text("")

    made = folder / "canary" / str(model.tag.version)
    assert (made / "file").exists(), "bentoml.models.create has lost its argument _model_store, or ignores it"
    assert internals.model_store(folder).get(model.tag).path == str(made), "ModelStore(folder).get has changed"
    assert bentoml.models.list() == []


def test_a_store_that_is_used_is_the_one_that_bentoml_reads(tmp_path: Path, empty_store: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    with bentoml.models.create("canary", _model_store=internals.model_store(folder)):
        pass

    internals.use_model_store(folder)

    names = [model.tag.name for model in bentoml.models.list()]
    assert names == ["canary"], "BentoMLContainer.model_store is not what bentoml.models reads any more"


def test_folders_lie_in_bentomls_home() -> None:
    assert internals.model_store_dir() == internals.bentoml_home() / "models", "BentoML's model store has moved"
    assert internals.metrics_folder().is_dir()


# The request path.


@pytest.mark.parametrize("setting", ["config", "tracer_provider", "remote_runner_mapping", "metrics_client"])
def test_the_container_has_each_setting_of_the_request_path(setting: str) -> None:
    container = import_module(CONTAINER).BentoMLContainer

    assert hasattr(container, setting), f"BentoML has moved {CONTAINER}.BentoMLContainer.{setting}"


def test_the_configuration_can_be_changed() -> None:
    before = internals.configuration()
    try:
        internals.use_configuration({**before, "canary": 1})
        assert internals.configuration()["canary"] == 1, "BentoMLContainer.config can't be set any more"
    finally:
        internals.use_configuration(before)


@pytest.mark.parametrize("name", ["bento_name", "bento_version", "service_name"])
def test_the_server_s_context_has_the_labels_of_metrics(name: str) -> None:
    assert hasattr(internals.server_context, name), f"bentoml._internal.context.server_context has lost {name}"


@pytest.mark.parametrize("name", ["exclude_urls", "is_main"])
def test_a_service_can_be_extended_where_it_is(name: str) -> None:
    method = {"exclude_urls": bentoml.Service.all_services, "is_main": bentoml.Service.to_asgi}[name]

    assert name in signature(method).parameters, f"bentoml.Service.{method.__name__} has lost its argument {name}"


@pytest.mark.parametrize("name", ["inject_config", "openapi_spec", "all_services", "to_asgi"])
def test_a_service_has_what_is_overridden(name: str) -> None:
    assert hasattr(bentoml.Service, name), f"bentoml.Service.{name} has moved"


def test_the_command_that_serves_has_its_address_as_options() -> None:
    """In a process of its own: the command is made from the first configuration of a process."""
    commands = "from bentoml_cli.serve import build_serve_command; commands = build_serve_command().commands"
    script = f"{commands}; print(*(option.name for option in commands['serve'].params))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert {"host", "port"} <= set(done.stdout.split()), f"bentoml_cli.serve has lost --host or --port: {done.stderr}"


@pytest.mark.parametrize(
    ("host", "port", "address"),
    [("0.0.0.0", 80, ("0.0.0.0", 80)), (None, None, ("127.0.0.7", 3007)), (None, 80, ("127.0.0.7", 80))],
)
def test_the_address_is_in_the_options_of_the_command_or_in_the_configuration(
    host: str | None, port: int | None, address: tuple[str, int]
) -> None:
    before = internals.configuration()
    http = {"host": "127.0.0.7", "port": 3007}
    try:
        internals.use_configuration({**before, "api_server": {**before["api_server"], "http": http}})
        with click.Context(click.Command("serve")) as context:
            context.params = {"host": host, "port": port}
            assert internals.serve_address() == address
    finally:
        internals.use_configuration(before)


@pytest.mark.parametrize("command", [None, "build"])
def test_no_other_command_has_an_address(command: str | None) -> None:
    with click.Context(click.Command(command)) if command else nullcontext():
        assert internals.serve_address() is None


def test_the_factory_of_applications_takes_what_it_is_given() -> None:
    taken = list(signature(bentoml_app.ServiceAppFactory.__init__).parameters)

    assert taken[1:3] == ["service", "is_main"], "_bentoml_impl.server.app.ServiceAppFactory takes other arguments"
    assert "enable_access_control" in taken, "ServiceAppFactory has another name for what turns CORS on"
    for name in ("timeout", "max_concurrency"):
        source = getsource(bentoml_app.ServiceAppFactory)
        assert f"{name}=" in source, f"ServiceAppFactory has lost {name}"


def test_the_page_of_an_application_is_where_it_is_looked_for() -> None:
    class Canary:
        pass

    service: Any = bentoml.service(Canary)

    def routes(app: Starlette) -> set[str]:
        return {route.name for route in app.routes if isinstance(route, BaseRoute) and hasattr(route, "name")}

    configuration = internals.configuration()
    try:
        service.inject_config()
        before = routes(bentoml_app.ServiceAppFactory(service, is_main=True)())
        _, app = bentoml_app.application(service, is_main=True)
    finally:
        internals.use_configuration(configuration)

    assert before - routes(app) == {"index", "static_content"}, "BentoML's page has other routes"
    assert "openapi-spec" in routes(app)


def test_the_metrics_of_requests_are_where_they_are_looked_for() -> None:
    with application("test_canary") as app:
        found = bentoml_app.traffic_metrics(app)
        assert found is not None, "RunnerTrafficMetricsMiddleware is not among the layers of an application's stack"
        for metric in ("in_progress", "total", "duration"):
            assert hasattr(found, f"metrics_request_{metric}"), f"the middleware has lost metrics_request_{metric}"
        assert bentoml_app.traffic_metrics(app) is found


def test_without_an_exporter_there_is_no_tracer() -> None:
    before = internals.configuration()
    tracing = before["tracing"]
    assert {"exporter_type", "excluded_urls", "otlp"} <= set(tracing), "BentoML's settings of tracing have moved"
    try:
        internals.use_configuration({**before, "tracing": {**tracing, "exporter_type": None}})
        assert internals.tracer() is None
    finally:
        internals.use_configuration(before)


def test_runners_addresses_can_be_changed_and_their_sockets_held(socket_path: Path) -> None:
    path = socket_path
    before = internals.runner_addresses()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(path))
        listener.listen()
        try:
            internals.use_runner_addresses({"A": path.as_uri(), "B": "tcp://127.0.0.1:1"})
            internals.hold_runner_sockets()
            held = internals.runner_addresses()
        finally:
            internals.use_runner_addresses(before)
        path.unlink()
        at = internals.socket_path(held["A"])
        assert at is not None, "BentoML names Unix sockets in another way"
        client.connect(at)
    assert held["B"] == "tcp://127.0.0.1:1"
    assert internals.socket_path(held["B"]) is None


def test_a_service_is_asked_for_the_text_of_its_metrics() -> None:
    assert '"__metrics__"' in getsource(bentoml_app.ServiceAppFactory.metrics), "/metrics asks no __metrics__ any more"
