"""The routes of the Open Inference Protocol: `/v2` and below."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import (
    BYTES,
    JSON,
    JSON_ONLY,
    JSON_OR_BYTES,
    Call,
    Handler,
    Reply,
    Route,
    RouteTemplate,
    json_reply,
)
from marmita.contract.rows import Floats
from marmita.oip.codec import describe, read, write
from marmita.registry.tables import NAMES
from marmita.runtime.loaded_model import LoadedModel, Predicted
from marmita.runtime.runner import Runner
from marmita.runtime.table_models import TableModels

JSON_SIZE = b"inference-header-content-length"
"""The header with the number of bytes of a body that are JSON. Raw tensors follow them."""

_EXTENSIONS = ["binary_tensor_data"]
_MAX_DIGITS = 18
"""The most digits of a number of bytes. `int` raises for numbers with thousands of digits."""


def has_error_details(path: str) -> bool:
    """Tell whether errors at a path have a code and details. The protocol defines only the message."""
    return not (path == "/v2" or path.startswith("/v2/"))


def model_path(model: str) -> str:
    return f"/v2/models/{model}"


def ready_path(model: str) -> str:
    return f"{model_path(model)}/ready"


def model_routes(model: str, handle: Handler) -> dict[str, Route]:
    """Return the routes of a model, with one handler for all of them."""
    path = model_path(model)
    return {
        path: Route("GET", handle),
        f"{path}/ready": Route("GET", handle),
        f"{path}/infer": Route("POST", handle, JSON_OR_BYTES),
    }


def server_routes(service: str, version: str, ready: Callable[[], Awaitable[bool]]) -> dict[str, Route]:
    """Return the routes about the server: its metadata, liveness and readiness."""
    about = {"name": service, "version": version, "extensions": _EXTENSIONS}

    async def describe(_: Call) -> Reply:
        return json_reply(about)

    async def is_live(_: Call) -> Reply:
        return json_reply({"live": True})

    async def is_ready(_: Call) -> Reply:
        return readiness(await ready())

    return {
        "/v2": Route("GET", describe),
        "/v2/health/live": Route("GET", is_live),
        "/v2/health/ready": Route("GET", is_ready),
    }


def handlers(model: str, runner: Runner) -> Mapping[str, Handler]:
    """Return the handlers of a local model's routes."""

    async def show(_: Call) -> Reply:
        return json_reply(describe(runner.served.signature))

    async def ready(_: Call) -> Reply:
        return readiness(await runner.__is_ready__(), name=model)

    path = model_path(model)
    return {path: show, f"{path}/ready": ready, f"{path}/infer": partial(infer, runner)}


class InferenceModel(Protocol):
    """A model with code or a table model, as the protocol's inference route uses it."""

    @property
    def served(self) -> LoadedModel: ...
    async def predict(self, rows: Floats) -> Predicted: ...


async def infer(model: InferenceModel, call: Call) -> Reply:
    """Answer an inference request."""
    asked = read(call.body, json_size(call.headers, len(call.body)), model.served.signature)
    predicted = await model.predict(asked.rows)
    content, size = write(asked, predicted.outputs, predicted.by.signature, predicted.kept)
    if size is None:
        return Reply(HTTPStatus.OK, content)
    return Reply(HTTPStatus.OK, content, BYTES, ((JSON_SIZE, b"%d" % size),))


def table_templates(models: TableModels) -> list[RouteTemplate]:
    """Return the routes of table models: of their champions, and of single versions."""

    async def show(name: str, version: str, _: Call) -> Reply:
        return json_reply(describe((await models.get(name, version)).served.signature))

    async def ready(name: str, version: str, _: Call) -> Reply:
        await models.get(name, version)
        return readiness(True, name=name)

    async def answer(name: str, version: str, call: Call) -> Reply:
        return await infer(await models.get(name, version), call)

    def route(method: str, handle: Callable[..., Awaitable[Reply]], types: tuple[bytes, ...] = JSON_ONLY) -> Any:
        return lambda name, version="": Route(method, partial(handle, name, version), types)

    path, of_version = model_path("{name}"), f"{model_path('{name}')}/versions/{{version}}"
    routes = {"": route("GET", show), "/ready": route("GET", ready), "/infer": route("POST", answer, JSON_OR_BYTES)}
    return [RouteTemplate(f"{one}{end}", NAMES, make) for one in (path, of_version) for end, make in routes.items()]


def json_size(headers: Mapping[bytes, bytes], body: int) -> int | None:
    """Return how many bytes of a body are JSON, or None if the header is absent and all of them are."""
    size = headers.get(JSON_SIZE)
    if size is None:
        return None
    if not size.isdigit() or len(size) > _MAX_DIGITS or int(size) > body:
        name = JSON_SIZE.decode()
        raise RequestError(ErrorCode.INVALID_REQUEST, f"{name} must be a number of bytes within the body")
    return int(size)


def is_of_version(path: str) -> bool:
    """Tell whether a path names a version of a model."""
    return path.startswith("/v2/models/") and "/versions/" in path


def canonical(path: str, versions: Mapping[str, Callable[[], str]]) -> str | None:
    """Return a path without its version, or None if it names no version or one that is not served."""
    if not path.startswith("/v2/models/"):
        return None
    model, _, rest = path.removeprefix("/v2/models/").partition("/versions/")
    version, slash, what = rest.partition("/")
    if model in versions and version == versions[model]():
        return f"{model_path(model)}{slash}{what}"
    return None


def relayed(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
    """Return the content type of a remote model's answer, and the headers to pass on."""
    content_type, kept = JSON, []
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name in (JSON_SIZE, b"retry-after"):
            kept.append((name, value))
    return content_type, tuple(kept)


def readiness(ready: bool, **of: str) -> Reply:
    """Return the answer of a readiness route. Raise an error if not ready."""
    if not ready:
        raise RequestError(ErrorCode.MODEL_UNAVAILABLE, "not ready: try again in a moment")
    return json_reply({**of, "ready": True})
