"""Topology: local models, whose runners live in this process, and remote models, whose runners have their own."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property, partial
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit

import bentoml

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import BYTES, JSON, Call, Handler, Reply, Route
from marmita.internals.bentoml import runner_addresses, socket_path
from marmita.oip import routes as oip
from marmita.runtime.endpoints import endpoints_of
from marmita.runtime.runner import PATIENCE_S, Runner, model_name
from marmita.telemetry import logs
from marmita.telemetry.spans import Spans
from marmita.web.relay import Relay, RelayError

_UNAVAILABLE = "the model is not answering: try again in a moment"


class Model(Protocol):
    """A local or remote model."""

    async def ask(self, path: str, call: Call) -> Reply: ...
    async def is_ready(self) -> bool: ...


class LocalModel:
    """A model whose runner lives in this process."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        typed: dict[str, Handler] = {path: partial(_answer_typed, answer) for path, answer in runner.routes().items()}
        self._handlers = typed | dict(oip.handlers(model_name(type(runner)), runner))

    async def ask(self, path: str, call: Call) -> Reply:
        return await self._handlers[path](call)

    async def is_ready(self) -> bool:
        return await self._runner.__is_ready__()


class RemoteModel:
    """A model whose runner lives in its own process. Its routes have the same paths there."""

    def __init__(self, model: str, relay: Relay, spans: Spans) -> None:
        self._ready_path = oip.ready_path(model)
        self._relay = relay
        self._spans = spans

    async def ask(self, path: str, call: Call) -> Reply:
        if oip.is_of_version(call.scope["path"]):  # only the runner knows which version it serves now
            path = call.scope["path"]
        # An answer to HEAD has a length but no body, which the relay can't parse. For GET, uvicorn omits the body.
        method = "GET" if call.scope["method"] == "HEAD" else call.scope["method"]
        return await self._ask(method, path, self._headers(call), call.body)

    async def is_ready(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return (await self._ask("GET", self._ready_path, self._trace_headers(), b"")).status == HTTPStatus.OK
        except (TimeoutError, RequestError):
            return False

    async def _ask(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Reply:
        try:
            answer = await self._relay.ask(method, path, headers, body)
        except RelayError as error:
            raise RequestError(ErrorCode.MODEL_UNAVAILABLE, _UNAVAILABLE) from error
        return Reply(answer.status, answer.body, *oip.relayed(answer.headers))

    def _headers(self, call: Call) -> list[tuple[bytes, bytes]]:
        is_binary = call.headers.get(b"content-type", JSON).startswith(BYTES)
        headers = [
            (b"content-type", BYTES if is_binary else JSON),
            (logs.REQUEST_ID.encode(), (logs.request_id.get() or "").encode()),
        ]
        if (size := call.headers.get(oip.JSON_SIZE)) is not None:
            headers.append((oip.JSON_SIZE, size))
        return headers + self._trace_headers()

    def _trace_headers(self) -> list[tuple[bytes, bytes]]:
        return [(name.encode(), value.encode()) for name, value in self._spans.propagation_headers().items()]


class Models:
    """The models of a service, local or remote. BentoML creates the runners when the worker starts."""

    def __init__(self, service: Any, runners: Mapping[str, type[Runner]], spans: Spans) -> None:
        self._service = service
        self._runners = runners
        self._spans = spans

    def routes(self) -> dict[str, Route]:
        """Return the routes of all models."""
        found: dict[str, Route] = {}
        for name, runner in self._runners.items():
            for path in endpoints_of(runner):
                found[path] = Route("POST", partial(self._ask, name, path))
            for path, route in oip.model_routes(name, partial(self._ask, name, "")).items():
                found[path] = route._replace(handle=partial(self._ask, name, path))
            ready = oip.ready_path(name)
            found[ready] = found[ready]._replace(handle=partial(self._is_ready, name))
        return found

    async def are_ready(self) -> bool:
        return all(await asyncio.gather(*(model.is_ready() for model in self._models.values())))

    async def _is_ready(self, name: str, _: Call) -> Reply:
        return oip.readiness(await self._models[name].is_ready(), name=name)

    async def _ask(self, name: str, path: str, call: Call) -> Reply:
        return await self._models[name].ask(path, call)

    @cached_property
    def _models(self) -> Mapping[str, Model]:
        service: Any = bentoml.get_current_service()
        if isinstance(service, Runner):
            return {model_name(type(service)): LocalModel(service)}
        addresses = runner_addresses()
        return {
            model_name(dependency.on.inner): self._model(dependency, addresses.get(dependency.on.name))
            for dependency in self._service.dependencies.values()
            if issubclass(dependency.on.inner, Runner)
        }

    def _model(self, dependency: Any, address: str | None) -> Model:
        if address is None:
            return LocalModel(dependency.get())
        return RemoteModel(model_name(dependency.on.inner), _relay_to(address), self._spans)


def _relay_to(address: str) -> Relay:
    path = socket_path(address)
    if path is not None:
        return Relay(path=path)
    found = urlsplit(address)
    return Relay(host=found.hostname or "", port=found.port or 0)


def readiness_probe(are_ready: Callable[[], Awaitable[bool]]) -> Route:
    """Return the route of the readiness probe."""

    async def answer(_: Call) -> Reply:
        if not await are_ready():
            raise RequestError(ErrorCode.MODEL_UNAVAILABLE, "the models are not ready: try again in a moment")
        return Reply(HTTPStatus.OK, b"\n", b"text/plain; charset=utf-8")

    return Route("GET", answer)


async def _answer_typed(answer: Callable[[bytes], Any], call: Call) -> Reply:
    return Reply(HTTPStatus.OK, await answer(call.body))
