"""The Open Inference Protocol's routes, `/v2` and below: the fast way in for machines.

They stand in front of BentoML's own stack, which costs several times what the model does. Requests count in BentoML's
metrics all the same.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from http import HTTPStatus
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import aiohttp
from bentoml._internal.utils.uri import uri_to_path
from bentoml.exceptions import ServiceUnavailable
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from marmita.contract.errors import RequestError
from marmita.oip.codec import read, write
from marmita.runtime.runner import Runner
from marmita.telemetry import logs
from marmita.telemetry.metrics import Requests
from marmita.timeouts import Deadline

JSON_SIZE = "inference-header-content-length"
"""The header that says how much of a body is JSON. What follows is tensors."""

PATIENCE_S = 2.0
"""How long a runner in another process may take to say that it is ready."""

_JSON_SIZE = JSON_SIZE.encode()
_JSON, _BYTES = b"application/json", b"application/octet-stream"
_EXTENSIONS = ["binary_tensor_data"]
_LONGEST_SIZE = 18
"""A number of bytes with more digits is none, and one with thousands of them is more than Python reads."""


class Reply(NamedTuple):
    """An answer that is ready to be sent."""

    status: int
    body: bytes
    json_size: int | None = None


class Model(Protocol):
    """A model that answers for itself, wherever it lives."""

    async def describe(self) -> Reply: ...
    async def ready(self) -> Reply: ...
    async def infer(self, body: bytes, json_size: int | None) -> Reply: ...


class LocalModel:
    """A model whose runner lives in this process."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def describe(self) -> Reply:
        return _json(HTTPStatus.OK, self._runner.served.signature.describe())

    async def ready(self) -> Reply:
        return _ready(await self._runner.__is_ready__(), name=self._runner.served.signature.model)

    async def infer(self, body: bytes, json_size: int | None) -> Reply:
        asked = read(body, json_size, self._runner.served.signature)
        predicted = await self._runner.predict(asked.rows)
        return Reply(HTTPStatus.OK, *write(asked, predicted.outputs, predicted.by.signature, predicted.kept))


class RemoteModel:
    """A model whose runner lives in a process of its own. It is asked in the same words."""

    def __init__(self, model: str, address: str) -> None:
        self._path = f"/v2/models/{model}"
        self._address = address

    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        # uvicorn closes a connection that was idle for five seconds: it must not be reused at that very moment.
        limits: dict[str, Any] = {"limit": 0, "keepalive_timeout": 2}
        if self._address.startswith("tcp:"):
            address = self._address.replace("tcp:", "http:", 1)
            return aiohttp.ClientSession(address, connector=aiohttp.TCPConnector(**limits))
        connector = aiohttp.UnixConnector(uri_to_path(self._address), **limits)
        return aiohttp.ClientSession("http://runner", connector=connector)

    async def describe(self) -> Reply:
        return await self._ask("GET", "")

    async def ready(self) -> Reply:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._ask("GET", "/ready")
        except TimeoutError:
            return _ready(False)

    async def infer(self, body: bytes, json_size: int | None) -> Reply:
        return await self._ask("POST", "/infer", body, json_size)

    async def _ask(self, method: str, what: str, body: bytes | None = None, json_size: int | None = None) -> Reply:
        headers = {logs.REQUEST_ID: logs.request_id.get() or ""}
        if json_size is not None:
            headers[JSON_SIZE] = str(json_size)
        try:
            async with self._session.request(method, self._path + what, data=body, headers=headers) as answer:
                size = answer.headers.get(JSON_SIZE)
                return Reply(answer.status, await answer.read(), int(size) if size else None)
        except (aiohttp.ClientError, OSError) as error:
            raise ServiceUnavailable("the model is not answering: try again in a moment") from error


class _Route(NamedTuple):
    """What is at a path: its name in the metrics, its verb, and who answers."""

    endpoint: str
    method: str
    answer: Callable[[bytes, int | None], Awaitable[Reply]]


class TensorRoutes:
    """All routes of the protocol, for the models of one service, as an ASGI application."""

    def __init__(
        self,
        service: str,
        version: str,
        versions: Mapping[str, Callable[[], str]],
        runners: Callable[[], Mapping[str, Model]],
        requests: Requests,
        timeout_s: float,
    ) -> None:
        self._about = {"name": service, "version": version, "extensions": _EXTENSIONS}
        self._runners = runners
        self._requests = requests
        self._deadline = Deadline(timeout_s)
        self._versions = versions
        self._routes = self._known()
        self.paths = frozenset(self._routes)
        """Those that stay. The paths of a version, which come and go, are for `find`."""

    def find(self, path: str) -> _Route | None:
        """What is at a path. A version's own paths are those of its model, for as long as it is served."""
        route = self._routes.get(path)
        if route is None and path.startswith("/v2/models/"):
            model, _, rest = path.removeprefix("/v2/models/").partition("/versions/")
            version, slash, what = rest.partition("/")
            if model in self._versions and version == self._versions[model]():
                return self._routes.get(f"/v2/models/{model}{slash}{what}")
        return route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = perf_counter()
        route = self.find(scope["path"])
        if route is None:  # a version that has just been replaced
            raise RequestError(HTTPStatus.NOT_FOUND, "this version is not served any more")
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        self._requests.begun(route.endpoint)
        try:
            reply = await self._answer(route, scope, receive)
            status = reply.status
        finally:
            self._requests.ended(route.endpoint, status, perf_counter() - start)
        headers = [
            (b"content-type", _JSON if reply.json_size is None else _BYTES),
            (b"content-length", b"%d" % len(reply.body)),
        ]
        if reply.status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append((b"allow", route.method.encode()))
        if reply.json_size is not None:
            headers.append((_JSON_SIZE, b"%d" % reply.json_size))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _answer(self, route: _Route, scope: Scope, receive: Receive) -> Reply:
        if scope["method"] != route.method:
            return _error(HTTPStatus.METHOD_NOT_ALLOWED, f"only {route.method} is allowed here")
        try:
            with self._deadline.begin():
                body = await _body(receive) if route.method == "POST" else b""
                return await route.answer(body, _size(scope["headers"], len(body)))
        except RequestError as refused:
            return _error(refused.status, refused.error)
        except ServiceUnavailable as unavailable:
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, str(unavailable))
        except TimeoutError:
            return _error(HTTPStatus.GATEWAY_TIMEOUT, f"there was no answer within {self._deadline.seconds:g} s")
        except Exception:
            logging.getLogger("bentoml.marmita").exception("a request failed")
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected error, see the server's log")

    def _known(self) -> dict[str, _Route]:
        async def about(_body: bytes, _json_size: int | None) -> Reply:
            return _json(HTTPStatus.OK, self._about)

        async def live(_body: bytes, _json_size: int | None) -> Reply:
            return _json(HTTPStatus.OK, {"live": True})

        async def ready(_body: bytes, _json_size: int | None) -> Reply:
            replies = await asyncio.gather(*(model.ready() for model in self._models.values()))
            return _ready(all(reply.status == HTTPStatus.OK for reply in replies))

        found = {
            "/v2": _Route("/v2", "GET", about),
            "/v2/health/live": _Route("/v2/health/live", "GET", live),
            "/v2/health/ready": _Route("/v2/health/ready", "GET", ready),
        }
        for model in self._versions:
            found |= self._of(model, f"/v2/models/{model}")
        return found

    def _of(self, model: str, path: str) -> dict[str, _Route]:
        async def describe(_body: bytes, _json_size: int | None) -> Reply:
            return await self._models[model].describe()

        async def ready(_body: bytes, _json_size: int | None) -> Reply:
            return await self._models[model].ready()

        async def infer(body: bytes, json_size: int | None) -> Reply:
            return await self._models[model].infer(body, json_size)

        return {
            path: _Route(path, "GET", describe),
            f"{path}/ready": _Route(f"{path}/ready", "GET", ready),
            f"{path}/infer": _Route(f"{path}/infer", "POST", infer),
        }

    @cached_property
    def _models(self) -> Mapping[str, Model]:
        return self._runners()


def _error(status: HTTPStatus, text: str) -> Reply:
    """An error in the protocol's own shape."""
    return _json(status, {"error": text})


async def _body(receive: Receive) -> bytes:
    chunks, more = [], True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


def _size(headers: Iterable[tuple[bytes, bytes]], body: int) -> int | None:
    for name, said in headers:
        if name == _JSON_SIZE:
            if not said.isdigit() or len(said) > _LONGEST_SIZE or int(said) > body:
                raise RequestError(HTTPStatus.BAD_REQUEST, f"{JSON_SIZE} must be a number of bytes within the body")
            return int(said)
    return None


def _ready(ready: bool, **of: str) -> Reply:
    if not ready:
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, "not ready: try again in a moment")
    return _json(HTTPStatus.OK, {**of, "ready": True})


def _json(status: HTTPStatus, content: object) -> Reply:
    return Reply(status, to_json(content))
